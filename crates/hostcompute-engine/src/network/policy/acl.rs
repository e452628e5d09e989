//! ACL: which traffic an endpoint lets in and out (hcn.md 2.12, rule 45).
//!
//! Two layers, as on Windows: Switch rules stand at the port, Host rules behind them in the endpoint's namespace. A
//! direction that has any Switch rule denies what no rule allows; Host rules deny only what they block. Both are
//! enforced on the host's side of the port, where the workload cannot reach them. Replies to allowed traffic pass.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{
    AclPolicySetting, ActionType, DirectionType, Failure, HResult, ProtocolType, RuleType,
};
use ipnet::IpNet;

use super::port_mapping::{SCTP, TCP, UDP};
use crate::plan::{AclChain, AclRule, Direction, Element, Fact, PortRange, Verdict};

/// Protocol number for "any" in ACLs.
const ANY_PROTOCOL: u16 = 256;

/// All ACL policies of an endpoint, in order of evaluation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    id: String,
    layer: Layer,
    direction: Direction,
    priority: u16,
    /// Block sorts before Allow, so that it wins a tie.
    allow: bool,
    protocols: Vec<u8>,
    local: Vec<IpNet>,
    remote: Vec<IpNet>,
    local_ports: Vec<PortRange>,
    remote_ports: Vec<PortRange>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Switch,
    Host,
}

fn invalid(member: &str, why: impl Into<String>) -> Failure {
    Failure::new(HResult::HCN_E_INVALID_POLICY, why).at(member)
}

impl Access {
    /// Whether there are no rules at all: everything is allowed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn add(&mut self, setting: &AclPolicySetting) -> Result<(), Failure> {
        let rule = read(setting)?;
        if !rule.id.is_empty() && self.rules.iter().any(|other| other.id == rule.id) {
            return Err(invalid(
                "Id",
                alloc::format!("another rule of the endpoint has the id '{}'", rule.id),
            ));
        }
        self.rules.push(rule);
        Ok(())
    }

    /// Brings the rules into order of evaluation.
    pub(super) fn finish(&mut self) {
        self.rules.sort_by_key(|rule| (rule.priority, rule.allow));
    }

    /// Chains for the layers and directions that have rules, and the elements that lead packets to them.
    pub(crate) fn facts(&self, suffix: &str, addresses: &[IpNet], facts: &mut Vec<Fact>) {
        for direction in [Direction::In, Direction::Out] {
            let layers = [Layer::Switch, Layer::Host];
            let present = |layer: &Layer| {
                self.rules.iter().any(|rule| rule.direction == direction && rule.layer == *layer)
            };
            let mut next: Option<String> = None;
            // From the innermost layer outward, so that each knows where "allowed" leads.
            for layer in layers.into_iter().filter(present).rev() {
                let chain = self.chain(direction, layer, suffix, next.take());
                next = Some(chain.name.clone());
                facts.push(Fact::AclChain(chain));
            }
            let Some(chain) = next else { continue };
            for address in addresses.iter().map(IpNet::addr) {
                let chain = chain.clone();
                facts.push(Fact::Element(match direction {
                    Direction::In => Element::AclIn { address, chain },
                    Direction::Out => Element::AclOut { address, chain },
                }));
            }
        }
    }

    fn chain(
        &self,
        direction: Direction,
        layer: Layer,
        suffix: &str,
        next: Option<String>,
    ) -> AclChain {
        let way = match direction {
            Direction::In => "in",
            Direction::Out => "out",
        };
        let depth = match layer {
            Layer::Switch => "switch",
            Layer::Host => "host",
        };
        let allowed = next.map_or(Verdict::Allow, Verdict::Goto);
        let mine =
            self.rules.iter().filter(|rule| rule.direction == direction && rule.layer == layer);
        let rules = mine.flat_map(|rule| rule.compile(&allowed)).collect();
        let otherwise = match layer {
            Layer::Switch => Verdict::Block,
            Layer::Host => allowed.clone(),
        };
        AclChain { name: alloc::format!("acl_{way}_{depth}_{suffix}"), direction, rules, otherwise }
    }
}

impl Rule {
    /// One kernel rule for each family that the addresses name; none when local and remote have no family in common.
    fn compile(&self, allowed: &Verdict) -> Vec<AclRule> {
        let verdict = if self.allow { allowed.clone() } else { Verdict::Block };
        let rule = |local, remote| AclRule {
            protocols: self.protocols.clone(),
            local,
            remote,
            local_ports: self.local_ports.clone(),
            remote_ports: self.remote_ports.clone(),
            verdict: verdict.clone(),
        };
        if self.local.is_empty() && self.remote.is_empty() {
            return alloc::vec![rule(Vec::new(), Vec::new())];
        }
        let mut rules = Vec::new();
        for v4 in [true, false] {
            let of = |nets: &[IpNet]| -> Vec<IpNet> {
                nets.iter().filter(|net| net.addr().is_ipv4() == v4).copied().collect()
            };
            let (local, remote) = (of(&self.local), of(&self.remote));
            let local_fits = self.local.is_empty() || !local.is_empty();
            let remote_fits = self.remote.is_empty() || !remote.is_empty();
            if local_fits && remote_fits && !(local.is_empty() && remote.is_empty()) {
                rules.push(rule(local, remote));
            }
        }
        rules
    }
}

fn read(setting: &AclPolicySetting) -> Result<Rule, Failure> {
    let allow = match setting.action.as_ref() {
        Some(ActionType::Allow) => true,
        Some(ActionType::Block) => false,
        Some(ActionType::Pass) => {
            return Err(Failure::new(
                HResult::HCN_E_REQUEST_UNSUPPORTED,
                "Pass belongs to tiers (policy TierAcl)",
            )
            .at("Action"));
        }
        Some(ActionType::Unknown(name)) => {
            return Err(invalid("Action", alloc::format!("'{name}' is neither Allow nor Block")));
        }
        None => return Err(invalid("Action", "an access rule needs an Action: Allow or Block")),
    };
    let direction = match setting.direction.as_ref() {
        Some(DirectionType::In) => Direction::In,
        Some(DirectionType::Out) => Direction::Out,
        Some(DirectionType::Unknown(name)) => {
            return Err(invalid("Direction", alloc::format!("'{name}' is neither In nor Out")));
        }
        None => return Err(invalid("Direction", "an access rule needs a Direction: In or Out")),
    };
    let layer = match setting.rule_type.as_ref() {
        None | Some(RuleType::Switch) => Layer::Switch,
        Some(RuleType::Host) => Layer::Host,
        Some(RuleType::Unknown(name)) => {
            return Err(invalid("RuleType", alloc::format!("'{name}' is neither Switch nor Host")));
        }
    };
    let priority = setting.priority.unwrap_or_default();
    if priority == 0 && layer == Layer::Switch {
        return Err(invalid(
            "Priority",
            "a Switch rule needs a Priority from 1 (first) to 65535 (last)",
        ));
    }
    let protocols = protocols(setting.protocols.as_deref().unwrap_or_default())?;
    let local_ports = ports(setting.local_ports.as_deref(), "LocalPorts", &protocols)?;
    let remote_ports = ports(setting.remote_ports.as_deref(), "RemotePorts", &protocols)?;
    Ok(Rule {
        id: setting.id.clone().unwrap_or_default(),
        layer,
        direction,
        priority,
        allow,
        local: networks(setting.local_addresses.as_deref(), "LocalAddresses")?,
        remote: networks(setting.remote_addresses.as_deref(), "RemoteAddresses")?,
        protocols,
        local_ports,
        remote_ports,
    })
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

fn networks(text: Option<&str>, member: &str) -> Result<Vec<IpNet>, Failure> {
    let mut nets: Vec<IpNet> = Vec::new();
    for item in items(text.unwrap_or_default()) {
        let net = match (item.parse::<IpNet>(), item.parse::<IpAddr>()) {
            (Ok(net), _) => net.trunc(),
            (_, Ok(address)) => IpNet::from(address),
            _ => {
                let why = alloc::format!("'{item}' is neither an address nor a prefix");
                return Err(invalid(member, why)
                    .hint("leave the list empty for any address; address sets need a network with SetPolicy"));
            }
        };
        nets.push(net);
    }
    Ok(super::outbound_nat::outermost(nets.iter()))
}

fn ports(text: Option<&str>, member: &str, protocols: &[u8]) -> Result<Vec<PortRange>, Failure> {
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
