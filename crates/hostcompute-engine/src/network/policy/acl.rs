//! Access rules: which traffic an endpoint lets in and out (hcn.md 2.12, 2.14, rule 45). Policies ACL and TierAcl of endpoints,
//! NetworkACL of networks.
//!
//! Stages, one after the other: tiers in their order, Switch rules at the port, Host rules behind them in the endpoint's
//! namespace. What a tier allows or passes goes on: Pass to the next tier and then to the Switch rules, Allow past both. A
//! direction that has any Switch rule denies what no Switch rule allows; the other stages deny only what they block. Rules of the
//! network come before those of the endpoint with the same priority. All are enforced on the host's side of the port, where the
//! workload cannot reach them. Replies to allowed traffic pass.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::net::IpAddr;

use hostcompute_schema::{
    AclPolicySetting, ActionType, DirectionType, Failure, Guid, HResult, ProtocolType, RuleType,
    TierAclPolicySetting,
};
use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

use super::port_mapping::{SCTP, TCP, UDP};
use crate::network::network::Network;
use crate::plan::{
    AclChain, AclRule, Direction, Element, End, Fact, Family, PortRange, SetMatch, Verdict,
};
use crate::state::State;

/// Protocol number for "any" in ACLs.
const ANY_PROTOCOL: u16 = 256;

/// All access rules of an endpoint, or of a network, in order of evaluation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    rules: Vec<Rule>,
}

/// Endpoints of a network whose rules are the same share the chains: which network, and a digest of the rules.
pub(crate) type Ruled = (Guid, u128);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// Index of the policy that says it, for messages.
    policy: usize,
    id: String,
    stage: Stage,
    direction: Direction,
    priority: u16,
    action: Action,
    packets: Packets,
}

/// Where a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Stage {
    /// By its order.
    Tier(u16),
    Switch,
    Host,
}

/// Block wins a tie, then Pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Action {
    Block,
    Pass,
    Allow,
}

/// Which packets are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Packets {
    pub protocols: Vec<u8>,
    pub local: Addresses,
    pub remote: Addresses,
    pub local_ports: Vec<PortRange>,
    pub remote_ports: Vec<PortRange>,
}

/// The addresses of one side. Rules that name sets mean the packet's source where they say Local and its destination where they
/// say Remote, whatever their direction: so do the consumers of Windows (hcn.md 2.13).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Addresses {
    /// One of these, or any if there are none.
    Nets(Vec<IpNet>),
    /// In all of these sets.
    Sets(Vec<String>),
}

impl Default for Addresses {
    fn default() -> Self {
        Self::Nets(Vec::new())
    }
}

/// The members of documents that say which packets are meant.
pub(crate) struct Described<'a> {
    pub protocols: Option<&'a str>,
    pub local_addresses: Option<&'a str>,
    pub remote_addresses: Option<&'a str>,
    pub local_ports: Option<&'a str>,
    pub remote_ports: Option<&'a str>,
}

/// The members that access rules of all documents have.
macro_rules! described {
    ($setting:expr) => {
        Described {
            protocols: $setting.protocols.as_deref(),
            local_addresses: $setting.local_addresses.as_deref(),
            remote_addresses: $setting.remote_addresses.as_deref(),
            local_ports: $setting.local_ports.as_deref(),
            remote_ports: $setting.remote_ports.as_deref(),
        }
    };
}
pub(super) use described;

fn invalid(member: &str, why: impl Into<String>) -> Failure {
    Failure::new(HResult::HCN_E_INVALID_POLICY, why).at(member)
}

impl Access {
    /// Whether there are no rules at all: everything is allowed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The sets that rules name.
    pub(crate) fn set_names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| rule.packets.set_names())
    }

    /// Refuses rules that name a set which does not exist.
    ///
    /// # Errors
    /// HCN_E_INVALID_POLICY, below `path`, which leads to the list of policies.
    pub(crate) fn check_sets(
        &self,
        path: &str,
        exists: impl Fn(&str) -> bool,
    ) -> Result<(), Failure> {
        for rule in &self.rules {
            let Some(name) = rule.packets.set_names().find(|name| !exists(name)) else { continue };
            let why = alloc::format!(
                "'{name}' is neither an address nor a prefix, nor a set of the network"
            );
            return Err(invalid(&alloc::format!("{path}[{}].Settings", rule.policy), why).hint(
                "leave the list empty for any address; sets are policies SetPolicy of the network",
            ));
        }
        Ok(())
    }

    pub(super) fn add(&mut self, policy: usize, setting: &AclPolicySetting) -> Result<(), Failure> {
        let mut rule = read(setting)?;
        if !rule.id.is_empty() && self.rules.iter().any(|other| other.id == rule.id) {
            return Err(invalid("Id", alloc::format!("another rule has the id '{}'", rule.id)));
        }
        rule.policy = policy;
        self.rules.push(rule);
        Ok(())
    }

    pub(super) fn add_tier(
        &mut self,
        policy: usize,
        setting: &TierAclPolicySetting,
    ) -> Result<(), Failure> {
        let direction = direction(setting.direction.as_ref())?;
        let stage = Stage::Tier(setting.order.unwrap_or_default());
        for (i, rule) in setting.tier_acl_rules.iter().enumerate() {
            let path = alloc::format!("TierAclRules[{i}]");
            let below = |failure: Failure| {
                let member = failure.path.clone().unwrap_or_default();
                failure.at(alloc::format!("{path}.{member}"))
            };
            let action = action(rule.tier_acl_rule_action.as_ref(), "TierAclRuleAction");
            self.rules.push(Rule {
                policy,
                id: String::new(),
                stage,
                direction,
                priority: rule.priority.unwrap_or_default(),
                action: action.map_err(below)?,
                packets: Packets::read(&described!(rule)).map_err(below)?,
            });
        }
        Ok(())
    }

    /// Brings the rules into order of evaluation.
    pub(super) fn finish(&mut self) {
        self.rules.sort_by_key(Rule::rank);
    }

    /// The rules of a network before those of an endpoint with the same priority.
    fn after(&self, network: &Access) -> Access {
        let mut rules: Vec<Rule> = network.rules.iter().chain(&self.rules).cloned().collect();
        if !network.rules.is_empty() {
            rules.sort_by_key(|rule| (rule.stage, rule.priority));
        }
        Access { rules }
    }

    /// With whom an endpoint with these rules shares its chains.
    pub(crate) fn shared(&self, network: Guid) -> Ruled {
        // Most endpoints, at each attach: nothing to digest.
        if self.is_empty() {
            return (network, u128::from_be_bytes(*network.as_bytes()));
        }
        let mut digest = Digest(Sha256::new());
        network.hash(&mut digest);
        for Rule { stage, direction, priority, action, packets, .. } in &self.rules {
            (stage, direction, priority, action, packets).hash(&mut digest);
        }
        let whole: [u8; 32] = digest.0.finalize().into();
        let half = whole.first_chunk().expect("a half of 32 bytes");
        (network, u128::from_be_bytes(*half))
    }

    /// Chains for the stages and directions that have rules, and under which name packets are led to them.
    pub(crate) fn chain_facts(&self, (state, network): (&State, &Network), facts: &mut Vec<Fact>) {
        for chains in self.both_ways(state, network) {
            for family in [Family::V4, Family::V6] {
                let first = chains.last().map(|chain| chain.name.clone());
                let listed = first.map(|chain| Element::Listed { family, chain });
                facts.extend(listed.map(Fact::Element));
            }
            facts.extend(chains.into_iter().map(Fact::AclChain));
        }
    }

    /// The elements that lead packets to the chains.
    pub(crate) fn address_facts(
        &self,
        (state, network): (&State, &Network),
        addresses: &[IpNet],
        facts: &mut Vec<Fact>,
    ) {
        if self.is_empty() && network.access.is_empty() {
            return;
        }
        let all = self.after(&network.access);
        for (direction, number) in self.numbers(state, network) {
            let Some(stage) = all.stages(direction).first().copied() else { continue };
            let name = chain_name(direction, (0, stage), number);
            for address in addresses.iter().map(IpNet::addr) {
                let chain = name.clone();
                facts.push(Fact::Element(match direction {
                    Direction::In => Element::AclIn { address, chain },
                    Direction::Out => Element::AclOut { address, chain },
                }));
            }
        }
    }

    /// The chains of both directions, each as [`Self::chains`].
    fn both_ways(&self, state: &State, network: &Network) -> Vec<Vec<AclChain>> {
        if self.is_empty() && network.access.is_empty() {
            return Vec::new();
        }
        let all = self.after(&network.access);
        let names = Names { state, network };
        self.numbers(state, network).map(|way| all.chains(way, &names)).into()
    }

    /// The number tells listed chains apart, so each direction has one.
    fn numbers(&self, state: &State, network: &Network) -> [(Direction, u32); 2] {
        let known = state.index.ruled.get(&self.shared(network.id));
        let number = known.map_or(0, |(number, _)| *number);
        [(Direction::In, number), (Direction::Out, number | 1)]
    }

    /// The stages of a direction, in the order in which packets meet them.
    fn stages(&self, direction: Direction) -> Vec<Stage> {
        let mine = |rule: &&Rule| rule.direction == direction;
        let mut stages: Vec<Stage> =
            self.rules.iter().filter(mine).map(|rule| rule.stage).collect();
        stages.sort_unstable();
        stages.dedup();
        stages
    }

    /// The chains of a direction, from the last to the first that a packet meets, so that each knows where the next is.
    fn chains(&self, (direction, number): (Direction, u32), names: &Names<'_>) -> Vec<AclChain> {
        let mine = |rule: &&Rule| rule.direction == direction;
        // Where a packet goes that this stage lets pass, and one that it allows past the Switch rules.
        let (mut next, mut allowed) = (Verdict::Allow, Verdict::Allow);
        let mut chains = Vec::new();
        for (place, stage) in self.stages(direction).iter().enumerate().rev() {
            let rules = self.rules.iter().filter(mine).filter(|rule| rule.stage == *stage);
            let rules = rules.flat_map(|rule| {
                let verdict = match (rule.action, stage) {
                    (Action::Block, _) => Verdict::Block,
                    (Action::Allow, _) => allowed.clone(),
                    (Action::Pass, Stage::Tier(_)) => next.clone(),
                    // Not a decision: what follows decides.
                    (Action::Pass, _) => return Vec::new(),
                };
                rule.packets.compile(direction, &verdict, names)
            });
            let otherwise = match stage {
                Stage::Switch => Verdict::Block,
                _ => next.clone(),
            };
            let name = chain_name(direction, (place, *stage), number);
            chains.push(AclChain {
                name: name.clone(),
                direction,
                rules: rules.collect(),
                otherwise,
            });
            next = Verdict::Goto(name.clone());
            if *stage == Stage::Host {
                allowed = Verdict::Goto(name);
            }
        }
        chains
    }
}

fn chain_name(direction: Direction, (place, stage): (usize, Stage), number: u32) -> String {
    let way = match direction {
        Direction::In => "in",
        Direction::Out => "out",
    };
    let depth = match stage {
        Stage::Tier(_) => alloc::format!("tier{place}"),
        Stage::Switch => "switch".to_string(),
        Stage::Host => "host".to_string(),
    };
    alloc::format!("acl_{way}_{depth}_{number:08x}")
}

impl State {
    /// The different rules of a network's attached endpoints.
    pub(crate) fn ruled_in(&self, network: Guid) -> impl Iterator<Item = Ruled> {
        let here = (network, 0)..=(network, u128::MAX);
        self.index.ruled.range(here).map(|(ruled, _)| *ruled)
    }

    /// What the host has because endpoints have these rules.
    pub(crate) fn ruled_facts(&self, ruled: &Ruled, facts: &mut Vec<Fact>) {
        let users = self.index.ruled.get(ruled).map(|(_, users)| users);
        let one = users.and_then(BTreeSet::first).and_then(|id| self.endpoints.get(*id));
        if let (Some(one), Some(network)) = (one, self.networks.get(ruled.0)) {
            one.policies.access.chain_facts((self, network), facts);
        }
    }
}

/// What is fed to a digest by whoever can be hashed.
struct Digest(Sha256);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks for so little.
    fn finish(&self) -> u64 {
        0
    }
}

impl Rule {
    fn rank(&self) -> (Stage, u16, Action) {
        (self.stage, self.priority, self.action)
    }
}

/// What names in rules mean.
pub(crate) struct Names<'a> {
    pub state: &'a State,
    pub network: &'a Network,
}

impl Names<'_> {
    /// A condition for each of the sets; `None` when one of them does not exist.
    fn matches(&self, end: End, sets: &[String]) -> Option<Vec<SetMatch>> {
        let one = |name: &String| {
            let set = self.state.set(self.network.id, name)?;
            Some(SetMatch { end, number: set.number, ports: set.has_ports(self.state) })
        };
        sets.iter().map(one).collect()
    }
}

impl Packets {
    pub(crate) fn read(members: &Described<'_>) -> Result<Packets, Failure> {
        let protocols = protocols(members.protocols.unwrap_or_default())?;
        Ok(Packets {
            local: addresses(members.local_addresses, "LocalAddresses")?,
            remote: addresses(members.remote_addresses, "RemoteAddresses")?,
            local_ports: ports(members.local_ports, "LocalPorts", &protocols)?,
            remote_ports: ports(members.remote_ports, "RemotePorts", &protocols)?,
            protocols,
        })
    }

    pub(crate) fn set_names(&self) -> impl Iterator<Item = &str> {
        [&self.local, &self.remote]
            .into_iter()
            .flat_map(|addresses| match addresses {
                Addresses::Sets(names) => names.as_slice(),
                Addresses::Nets(_) => &[],
            })
            .map(String::as_str)
    }

    /// One kernel rule for each family that the addresses name; none when local and remote have no family in common.
    pub(crate) fn compile(
        &self,
        direction: Direction,
        verdict: &Verdict,
        names: &Names<'_>,
    ) -> Vec<AclRule> {
        let rule = |local, remote| AclRule {
            family: None,
            sets: Vec::new(),
            protocols: self.protocols.clone(),
            local,
            remote,
            local_ports: self.local_ports.clone(),
            remote_ports: self.remote_ports.clone(),
            verdict: verdict.clone(),
        };
        let (local, remote) = match (&self.local, &self.remote) {
            (Addresses::Nets(local), Addresses::Nets(remote)) => (local, remote),
            _ => return self.compile_sets(direction, &rule, names),
        };
        if local.is_empty() && remote.is_empty() {
            return alloc::vec![rule(Vec::new(), Vec::new())];
        }
        let families = [Family::V4, Family::V6].into_iter();
        let both = families.filter_map(|family| Some((of(local, family)?, of(remote, family)?)));
        both.filter(|(local, remote)| !(local.is_empty() && remote.is_empty()))
            .map(|(local, remote)| rule(local, remote))
            .collect()
    }

    /// Local is the source and Remote the destination; the ports stay with their sides.
    fn compile_sets(
        &self,
        direction: Direction,
        rule: &impl Fn(Vec<IpNet>, Vec<IpNet>) -> AclRule,
        names: &Names<'_>,
    ) -> Vec<AclRule> {
        let mut sets = Vec::new();
        for (end, addresses) in [(End::Source, &self.local), (End::Destination, &self.remote)] {
            let Addresses::Sets(wanted) = addresses else { continue };
            let Some(found) = names.matches(end, wanted) else { return Vec::new() };
            sets.extend(found);
        }
        let nets = |addresses: &Addresses, family| match addresses {
            Addresses::Nets(nets) => of(nets, family),
            Addresses::Sets(_) => Some(Vec::new()),
        };
        let one = |family| {
            let (source, destination) = (nets(&self.local, family)?, nets(&self.remote, family)?);
            let (local, remote) = match direction {
                Direction::In => (destination, source),
                Direction::Out => (source, destination),
            };
            Some(AclRule { family: Some(family), sets: sets.clone(), ..rule(local, remote) })
        };
        names.network.families().filter_map(one).collect()
    }
}

/// Those of a family; `None` when there are only others.
fn of(nets: &[IpNet], family: Family) -> Option<Vec<IpNet>> {
    let mine: Vec<IpNet> =
        nets.iter().filter(|net| Family::of(&net.addr()) == family).copied().collect();
    (nets.is_empty() || !mine.is_empty()).then_some(mine)
}

fn action(given: Option<&ActionType>, member: &str) -> Result<Action, Failure> {
    match given {
        Some(ActionType::Allow) => Ok(Action::Allow),
        Some(ActionType::Block) => Ok(Action::Block),
        Some(ActionType::Pass) => Ok(Action::Pass),
        Some(ActionType::Unknown(name)) => {
            Err(invalid(member, alloc::format!("'{name}' is none of Allow, Block and Pass")))
        }
        None => Err(invalid(member, alloc::format!("a rule needs {member}: Allow, Block or Pass"))),
    }
}

fn direction(given: Option<&DirectionType>) -> Result<Direction, Failure> {
    match given {
        Some(DirectionType::In) => Ok(Direction::In),
        Some(DirectionType::Out) => Ok(Direction::Out),
        Some(DirectionType::Unknown(name)) => {
            Err(invalid("Direction", alloc::format!("'{name}' is neither In nor Out")))
        }
        None => Err(invalid("Direction", "access rules need a Direction: In or Out")),
    }
}

fn read(setting: &AclPolicySetting) -> Result<Rule, Failure> {
    let action = action(setting.action.as_ref(), "Action")?;
    let direction = direction(setting.direction.as_ref())?;
    let stage = match setting.rule_type.as_ref() {
        None | Some(RuleType::Switch) => Stage::Switch,
        Some(RuleType::Host) => Stage::Host,
        Some(RuleType::Unknown(name)) => {
            return Err(invalid("RuleType", alloc::format!("'{name}' is neither Switch nor Host")));
        }
    };
    let priority = setting.priority.unwrap_or_default();
    if priority == 0 && stage == Stage::Switch {
        return Err(invalid(
            "Priority",
            "a Switch rule needs a Priority from 1 (first) to 65535 (last)",
        ));
    }
    let packets = Packets::read(&described!(setting))?;
    let id = setting.id.clone().unwrap_or_default();
    Ok(Rule { policy: 0, id, stage, direction, priority, action, packets })
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn protocols(text: &str) -> Result<Vec<u8>, Failure> {
    let mut protocols = Vec::new();
    for item in items(text) {
        let number = match item.parse::<u16>() {
            Ok(number) => number,
            Err(_) => named_protocol(item).unwrap_or(u16::MAX),
        };
        match number {
            ANY_PROTOCOL => return Ok(Vec::new()),
            252 => {
                let why = "protocol 252 (VXLAN) exists on Overlay networks only";
                return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("Protocols"));
            }
            number => match u8::try_from(number) {
                Ok(number) if !protocols.contains(&number) => protocols.push(number),
                Ok(_) => {}
                Err(_) => {
                    return Err(invalid(
                        "Protocols",
                        alloc::format!("'{item}' is not a protocol number"),
                    ));
                }
            },
        }
    }
    Ok(protocols)
}

/// Names are not documented here, but people write them.
fn named_protocol(name: &str) -> Option<u16> {
    let known = ProtocolType::SCHEMA.values.iter().find(|value| value.is_called(name))?;
    u16::try_from(known.number?).ok()
}

fn addresses(text: Option<&str>, member: &str) -> Result<Addresses, Failure> {
    let (mut nets, mut sets): (Vec<IpNet>, Vec<String>) = (Vec::new(), Vec::new());
    for item in items(text.unwrap_or_default()) {
        match (item.parse::<IpNet>(), item.parse::<IpAddr>()) {
            (Ok(net), _) => nets.push(net.trunc()),
            (_, Ok(address)) => nets.push(IpNet::from(address)),
            // Whether there is such a set is asked when the rule is used.
            _ if sets.iter().any(|other| other == item) => {}
            _ => sets.push(item.to_string()),
        }
    }
    match (nets.is_empty(), sets.is_empty()) {
        (_, true) => Ok(Addresses::Nets(super::outbound_nat::outermost(nets.iter()))),
        (true, false) => Ok(Addresses::Sets(sets)),
        (false, false) => {
            let item = sets.first().map(String::as_str).unwrap_or_default();
            let why = alloc::format!(
                "'{item}' is neither an address nor a prefix; sets and addresses cannot be mixed"
            );
            Err(invalid(member, why).hint("leave the list empty for any address"))
        }
    }
}
pub(super) fn ports(
    text: Option<&str>,
    member: &str,
    protocols: &[u8],
) -> Result<Vec<PortRange>, Failure> {
    let mut ranges: Vec<PortRange> = Vec::new();
    for item in items(text.unwrap_or_default()) {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
            (Ok(first), Ok(last)) if first <= last => ranges.push(PortRange { first, last }),
            _ => {
                return Err(invalid(
                    member,
                    alloc::format!("'{item}' is neither a port nor a range like 8000-8080"),
                ));
            }
        }
    }
    if ranges.is_empty() {
        return Ok(ranges);
    }
    let with_ports = [TCP, UDP, SCTP];
    if protocols.is_empty() || !protocols.iter().all(|protocol| with_ports.contains(protocol)) {
        let names = with_ports.map(|protocol| protocol.to_string()).join(", ");
        return Err(invalid(
            member,
            alloc::format!("ports need Protocols out of {names} (TCP, UDP, SCTP)"),
        ));
    }
    Ok(merged(ranges))
}

/// Ranges in order, without overlaps: what interval sets take.
fn merged(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort();
    let mut merged: Vec<PortRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(before) if u32::from(range.first) <= u32::from(before.last) + 1 => {
                before.last = before.last.max(range.last);
            }
            _ => merged.push(range),
        }
    }
    merged
}
