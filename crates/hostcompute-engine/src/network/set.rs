//! Sets of addresses that access rules name: policy SetPolicy of networks (hcn.md 2.13).
//!
//! To clients a set is a policy of its network. Here it is an object of its own, so that changing one neither reads nor writes the
//! others. A nested set contains what its parts contain; the kernel has no sets of sets, so its members are worked out anew when
//! a part changes. Rules name sets in the kernel, not their members: they stay as they are whatever the set contains.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{
    Failure, Guid, HResult, ModifyRequestType, NetworkPolicy, NetworkPolicyType, ProtocolType,
    SetPolicySetting, SetPolicyTypes,
};
use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::decide::Draft;
use crate::network::policy::acl::Access;
use crate::network::policy::outbound_nat::outermost;
use crate::network::policy::port_mapping::{SCTP, TCP, UDP};
use crate::object::{Change, Kind, Object, Parts};
use crate::plan::{self, Fact, Family, Member};
use crate::state::State;

/// A set of addresses of a network.
#[derive(Debug, Clone)]
pub struct AddressSet {
    pub id: Guid,
    /// As clients see it.
    pub document: SetPolicySetting,
    pub(crate) sequence: u64,
    pub network: Guid,
    /// What rules and other sets call it (member `Id`).
    pub name: String,
    /// Tells it from other sets in the kernel.
    pub(crate) number: u32,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// Members of IPv4 and of IPv6, as the kernel takes them.
    Addresses([Arc<[Member]>; 2]),
    /// Names of other sets.
    Sets(Vec<String>),
}

/// The sets of one network as a request leaves them.
struct Sets<'a> {
    state: &'a State,
    network: Guid,
    /// What becomes of those that the request names; `None`: they go.
    changed: BTreeMap<String, Option<AddressSet>>,
}

fn invalid(member: &str, why: impl Into<String>) -> Failure {
    Failure::new(HResult::HCN_E_INVALID_POLICY, why).at(member)
}

impl AddressSet {
    /// The sets that this one is made of.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        let names: &[String] = match &self.content {
            Content::Sets(names) => names,
            Content::Addresses(_) => &[],
        };
        names.iter().map(String::as_str)
    }

    pub(crate) fn chosen(&self) -> Map<String, Value> {
        let mut chosen = Map::new();
        chosen.insert("Network".into(), self.network.to_string().into());
        chosen.insert("Sequence".into(), self.sequence.into());
        chosen.insert("Number".into(), self.number.into());
        chosen
    }

    pub(crate) fn revive(id: Guid, parts: Parts) -> Result<AddressSet, Failure> {
        let document: SetPolicySetting =
            hostcompute_schema::parse_value(&parts.document, "")?.document;
        let (name, content) = read(&document)?;
        Ok(AddressSet {
            id,
            document,
            sequence: parts.chosen.number("Sequence").unwrap_or_default(),
            network: parts.chosen.guid("Network").unwrap_or_default(),
            name,
            number: parts.chosen.small("Number").unwrap_or_default(),
            content,
        })
    }

    /// The set as a policy of its network.
    pub(crate) fn policy(&self) -> NetworkPolicy {
        NetworkPolicy::new(NetworkPolicyType::SetPolicy, &self.document)
    }

    /// Whether some member, its own or a part's, has a port: then rules compare ports, too.
    pub(crate) fn has_ports(&self, state: &State) -> bool {
        match &self.content {
            Content::Addresses(members) => {
                members.iter().any(|members| members.iter().any(|one| one.service.is_some()))
            }
            Content::Sets(names) => names
                .iter()
                .filter_map(|name| state.set(self.network, name))
                .any(|part| part.has_ports(state)),
        }
    }

    /// Whether rules that name the set can stay as they are when it becomes the other.
    pub(crate) fn same_shape(&self, other: &AddressSet) -> bool {
        let ports = |content: &Content| match content {
            Content::Addresses(members) => {
                members.iter().any(|members| members.iter().any(|one| one.service.is_some()))
            }
            Content::Sets(_) => false,
        };
        match (&self.content, &other.content) {
            (Content::Addresses(_), Content::Addresses(_)) => {
                ports(&self.content) == ports(&other.content)
            }
            (own, theirs) => own == theirs,
        }
    }

    /// The set in the kernel, once for each family that the network has.
    pub(crate) fn facts(&self, state: &State, facts: &mut Vec<Fact>) {
        let Some(network) = state.networks.get(self.network) else { return };
        let ports = self.has_ports(state);
        for family in network.families() {
            let members = self.members(state, family);
            facts.push(Fact::AddressSet(plan::AddressSet {
                number: self.number,
                family,
                ports,
                members,
            }));
        }
    }

    fn members(&self, state: &State, family: Family) -> Arc<[Member]> {
        match &self.content {
            Content::Addresses([v4, _]) if family == Family::V4 => v4.clone(),
            Content::Addresses([_, v6]) => v6.clone(),
            Content::Sets(names) => {
                let parts = names.iter().filter_map(|name| state.set(self.network, name));
                let all: Vec<Member> = parts
                    .flat_map(|part| {
                        part.members(state, family).iter().copied().collect::<Vec<_>>()
                    })
                    .collect();
                apart(&all, family)
            }
        }
    }
}

/// What a document says: the name, and the content.
fn read(document: &SetPolicySetting) -> Result<(String, Content), Failure> {
    let name = document.id.clone().unwrap_or_default();
    let is_address = name.parse::<IpAddr>().is_ok() || name.parse::<IpNet>().is_ok();
    if name.trim() != name || name.is_empty() || name.contains(',') || is_address {
        let why = alloc::format!("'{name}' cannot be the name of a set: rules could not tell it");
        return Err(invalid("Id", why));
    }
    let values = document.values.as_deref().unwrap_or_default();
    let items = values.split(',').map(str::trim).filter(|item| !item.is_empty());
    match document.policy_type.as_ref() {
        None | Some(SetPolicyTypes::IPSET) => {
            let members = addresses(items)?;
            let [v4, v6] = [Family::V4, Family::V6].map(|family| apart(&members, family));
            Ok((name, Content::Addresses([v4, v6])))
        }
        Some(SetPolicyTypes::NESTEDIPSET) => {
            let mut names: Vec<String> = Vec::new();
            for item in items {
                if !names.iter().any(|other| other == item) {
                    names.push(item.to_string());
                }
            }
            Ok((name, Content::Sets(names)))
        }
        Some(SetPolicyTypes::Unknown(other)) => {
            let why = alloc::format!("'{other}' is neither IPSET nor NESTEDIPSET");
            Err(invalid("PolicyType", why))
        }
    }
}

/// Addresses and prefixes, each of which may be followed by one protocol and port: `10.0.0.1,tcp:80`.
fn addresses<'a>(items: impl Iterator<Item = &'a str>) -> Result<Vec<Member>, Failure> {
    let mut members: Vec<Member> = Vec::new();
    for item in items {
        let net = item.parse::<IpNet>().map(|net| net.trunc());
        match net.or_else(|_| item.parse::<IpAddr>().map(IpNet::from)) {
            Ok(net) => members.push(Member { net, service: None }),
            Err(_) => match (members.last_mut(), service(item)) {
                (Some(last @ Member { service: None, .. }), Some(service)) => {
                    last.service = Some(service);
                }
                _ => {
                    let why = alloc::format!(
                        "'{item}' is neither an address nor a prefix, nor a port after one"
                    );
                    return Err(invalid("Values", why));
                }
            },
        }
    }
    Ok(members)
}

/// `tcp:80`, or `80` for TCP.
fn service(item: &str) -> Option<(u8, u16)> {
    let (protocol, port) = item.split_once(':').unwrap_or(("tcp", item));
    let named = ProtocolType::SCHEMA.values.iter().find(|value| value.is_called(protocol));
    let protocol = match named {
        Some(value) => u8::try_from(value.number?).ok()?,
        None => protocol.parse().ok()?,
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    [TCP, UDP, SCTP].contains(&protocol).then_some((protocol, port))
}

/// The members of a family, sorted, none within another: what interval sets take.
fn apart(members: &[Member], family: Family) -> Arc<[Member]> {
    let mut whole: Vec<IpNet> = Vec::new();
    let mut narrow: BTreeMap<(u8, u16), Vec<IpNet>> = BTreeMap::new();
    for member in members.iter().filter(|member| Family::of(&member.net.addr()) == family) {
        match member.service {
            None => whole.push(member.net),
            Some(service) => narrow.entry(service).or_default().push(member.net),
        }
    }
    let mut whole = outermost(whole.iter());
    whole.sort_unstable();
    let covered = |net: &IpNet| {
        let place = whole.partition_point(|other| other.network() <= net.network());
        place.checked_sub(1).and_then(|place| whole.get(place)).is_some_and(|o| o.contains(net))
    };
    let mut result: Vec<Member> =
        whole.iter().map(|net| Member { net: *net, service: None }).collect();
    for (service, nets) in narrow {
        let nets = outermost(nets.iter()).into_iter().filter(|net| !covered(net));
        result.extend(nets.map(|net| Member { net, service: Some(service) }));
    }
    result.sort_unstable();
    result.into()
}

/// Carries out what a request says about sets of a network, whose own rules will be `access`; all or nothing.
///
/// # Errors
/// HCN_E_INVALID_POLICY, HCN_E_POLICY_ALREADY_EXISTS (Add of another content), HCN_E_POLICY_NOT_FOUND (Update, Remove),
/// HCN_E_INVALID_JSON_REFERENCE (a part that does not exist), HCN_E_ENTITY_HAS_REFERENCES (Remove of what rules or sets name).
pub(crate) fn change(
    draft: &mut Draft<'_, '_>,
    network: Guid,
    kind: &ModifyRequestType,
    asked: Vec<(usize, NetworkPolicy)>,
    (path, access): (&str, &Access),
) -> Result<(), Failure> {
    let mut named: Vec<(usize, String)> = Vec::new();
    let mut changed = BTreeMap::new();
    for (place, policy) in asked {
        let path = alloc::format!("{path}[{place}].Settings");
        let given = policy.settings.unwrap_or(Value::Object(Map::new()));
        let document: SetPolicySetting = draft.part(&given, &path)?;
        let below = |failure: Failure| {
            let member = failure.path.clone().unwrap_or_default();
            failure.at(alloc::format!("{path}.{member}"))
        };
        let name = document.id.clone().unwrap_or_default();
        let present = match changed.get(&name) {
            Some(set) => Option::<AddressSet>::clone(set),
            None => draft.state.set(network, &name).map(|set| (**set).clone()),
        };
        let next = one(draft, network, kind, document, present).map_err(below)?;
        changed.insert(name.clone(), next);
        named.push((place, name));
    }
    let sets = Sets { state: &*draft.state, network, changed };
    for (place, name) in named {
        sets.check(&name, access).map_err(|failure| {
            let member = failure.path.as_deref().map(|member| [".", member].concat());
            let member = member.unwrap_or_default();
            failure.at(alloc::format!("{path}[{place}].Settings{member}"))
        })?;
    }
    for (name, set) in sets.changed {
        match set {
            Some(set) => draft.put(Object::Set(set.into())),
            None => {
                let gone = draft.state.set(network, &name).map(|set| set.id);
                draft.changes.extend(gone.map(|id| Change::Delete(Kind::Set, id)));
            }
        }
    }
    Ok(())
}

/// What becomes of one set.
fn one(
    draft: &mut Draft<'_, '_>,
    network: Guid,
    kind: &ModifyRequestType,
    document: SetPolicySetting,
    present: Option<AddressSet>,
) -> Result<Option<AddressSet>, Failure> {
    let unknown = || {
        let name = document.id.clone().unwrap_or_default();
        let why = alloc::format!("the network has no set '{name}'");
        Failure::new(HResult::HCN_E_POLICY_NOT_FOUND, why).at("Id")
    };
    if *kind == ModifyRequestType::Remove {
        return present.map(|_| None).ok_or_else(unknown);
    }
    let (name, content) = read(&document)?;
    match (kind, present) {
        (ModifyRequestType::Add, None) => Ok(Some(AddressSet {
            id: draft.context.guid(),
            document,
            sequence: draft.next_sequence(),
            network,
            name,
            number: draft.next_interface(),
            content,
        })),
        (ModifyRequestType::Add, Some(set)) if set.content != content => {
            let why = alloc::format!("the network has a set '{name}' with other values");
            Err(Failure::new(HResult::HCN_E_POLICY_ALREADY_EXISTS, why)
                .at("Id")
                .hint("RequestType Update replaces the values of a set"))
        }
        (_, Some(set)) => Ok(Some(AddressSet { document, content, ..set })),
        (_, None) => Err(unknown()),
    }
}

impl Sets<'_> {
    fn get(&self, name: &str) -> Option<&AddressSet> {
        match self.changed.get(name) {
            Some(changed) => changed.as_ref(),
            None => self.state.set(self.network, name).map(AsRef::as_ref),
        }
    }

    /// Whether what is said of a set fits the others.
    fn check(&self, name: &str, access: &Access) -> Result<(), Failure> {
        let Some(set) = self.get(name) else { return self.check_unused(name, access) };
        if let Some(missing) = set.parts().find(|part| self.get(part).is_none()) {
            let why = alloc::format!("set '{name}' contains '{missing}', which does not exist");
            return Err(Failure::new(HResult::HCN_E_INVALID_JSON_REFERENCE, why)
                .hint("sets that others contain come first, or in the same request"));
        }
        let mut seen = BTreeSet::new();
        let mut next: Vec<&str> = set.parts().collect();
        while let Some(part) = next.pop() {
            if part == name {
                let why = alloc::format!("set '{name}' contains itself");
                return Err(invalid("Values", why));
            }
            if seen.insert(part) {
                next.extend(self.get(part).into_iter().flat_map(AddressSet::parts));
            }
        }
        Ok(())
    }

    fn check_unused(&self, name: &str, access: &Access) -> Result<(), Failure> {
        let user = self.state.set_users(self.network, name).find(|(kind, id)| match kind {
            Kind::Set => {
                let user = self.state.sets.get(*id).map(|set| set.name.clone()).unwrap_or_default();
                self.get(&user).is_some_and(|user| user.parts().any(|part| part == name))
            }
            _ => true,
        });
        let by_network = access.set_names().any(|other| other == name);
        let added = self.changed.values().flatten().any(|set| set.parts().any(|p| p == name));
        let who = match user {
            Some((Kind::Set, id)) => alloc::format!("set {id}"),
            Some((kind, id)) => alloc::format!("a rule of {kind} {id}"),
            None if by_network => "a rule of the network".to_string(),
            None if added => "another set".to_string(),
            None => return Ok(()),
        };
        let why = alloc::format!("set '{name}' is named by {who}");
        Err(Failure::new(HResult::HCN_E_ENTITY_HAS_REFERENCES, why)
            .hint("remove what names it first: rules, then nested sets, then sets"))
    }
}
