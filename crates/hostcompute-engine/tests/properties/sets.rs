//! Sets of addresses (hcn.md 2.13): documents, which changes are right, and who is a member.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hostcompute_schema::{Guid, HResult};
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::command::{How, MEMBERS, Policy, Rule, SetWish};
use crate::expect::Expected;
use crate::model::{Model, Network};

/// A set as the model holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    pub name: u8,
    pub nested: bool,
    pub values: Vec<usize>,
}

impl From<&SetWish> for Set {
    fn from(wish: &SetWish) -> Set {
        Set { name: wish.name, nested: wish.nested, values: wish.values.clone() }
    }
}

pub fn name(number: u8) -> String {
    format!("s{number}")
}

pub fn names(numbers: &[u8]) -> String {
    numbers.iter().map(|number| name(*number)).collect::<Vec<_>>().join(",")
}

/// The policy that says a set.
pub fn policy(wish: &SetWish) -> Value {
    policy_of(&wish.into())
}

pub fn policy_of(wish: &Set) -> Value {
    let one = |value: &usize| match wish.nested {
        true => name(u8::try_from(*value).unwrap_or(0)),
        false => MEMBERS[*value].to_string(),
    };
    let values: Vec<String> = wish.values.iter().map(one).collect();
    let kind = if wish.nested { "NESTEDIPSET" } else { "IPSET" };
    let settings = json!({"Id": name(wish.name), "PolicyType": kind, "Values": values.join(",")});
    json!({"Type": "SetPolicy", "Settings": settings})
}

type Service = (u8, u16);

/// An address or prefix, and the service that is meant of it.
fn member(value: usize) -> Option<(IpNet, Option<Service>)> {
    let (address, service) = match MEMBERS[value].split_once(',') {
        Some((address, service)) => (address, Some(service)),
        None => (MEMBERS[value], None),
    };
    let net = address.parse().ok().or_else(|| Some(IpNet::from(address.parse::<IpAddr>().ok()?)));
    let service = service.map(|text| match text.split_once(':') {
        Some(("udp", port)) => (17, port.parse().unwrap_or(0)),
        Some((_, port)) => (6, port.parse().unwrap_or(0)),
        None => (6, 0),
    });
    Some((net?, service))
}

impl Set {
    /// Whether two sets say the same: their members, in any order.
    fn means(&self, other: &Set) -> bool {
        let of = |set: &Set| -> BTreeSet<usize> {
            let covered = |value: usize| {
                let Some((net, service)) = member(value) else { return false };
                let others = set.values.iter().filter(|other| **other != value);
                let mut others = others.filter_map(|other| member(*other));
                others.any(|(wide, of)| wide.contains(&net) && (of.is_none() || of == service))
            };
            let kept = set.values.iter().filter(|value| set.nested || !covered(**value));
            kept.copied().collect()
        };
        self.nested == other.nested && of(self) == of(other)
    }

    fn parts(&self) -> impl Iterator<Item = u8> {
        let values = if self.nested { self.values.as_slice() } else { &[] };
        values.iter().filter_map(|value| u8::try_from(*value).ok())
    }
}

impl Network {
    fn set(&self, name: u8) -> Option<&Set> {
        self.sets.iter().find(|set| set.name == name)
    }

    /// Whether a set, or a part of it, has the address, or the service of the address.
    pub fn in_set(&self, name: u8, address: IpAddr, service: Service) -> bool {
        let Some(set) = self.set(name) else { return false };
        if set.nested {
            return set.parts().any(|part| self.in_set(part, address, service));
        }
        set.values
            .iter()
            .filter_map(|value| member(*value))
            .any(|(net, only)| net.contains(&address) && only.is_none_or(|only| only == service))
    }
}

/// The sets after a change; `None` where it cannot be made. Each step in turn, then the whole.
pub fn combine(present: &[Set], how: How, asked: &[SetWish]) -> Option<Vec<Set>> {
    let mut e = Expected::default();
    let sets = steps(&mut e, present, how, asked);
    e.wrong.is_empty().then_some(sets)
}

fn steps(e: &mut Expected, present: &[Set], how: How, asked: &[SetWish]) -> Vec<Set> {
    let mut sets = present.to_vec();
    for wish in asked {
        let place = sets.iter().position(|set| set.name == wish.name);
        let bad = !wish.nested && wish.values.iter().any(|value| member(*value).is_none());
        match (how, place) {
            (How::Refresh | How::Reset, _) => {}
            (How::Remove, Some(place)) => {
                sets.remove(place);
            }
            (How::Remove, None) => e.wrong([HResult::HCN_E_POLICY_NOT_FOUND]),
            _ if bad => e.wrong([HResult::HCN_E_INVALID_POLICY]),
            (How::Add, Some(place)) if sets[place].means(&wish.into()) => {
                sets[place] = wish.into();
            }
            (How::Add, Some(_)) => e.wrong([HResult::HCN_E_POLICY_ALREADY_EXISTS]),
            (How::Add, None) => sets.push(wish.into()),
            (How::Update, Some(place)) => sets[place] = wish.into(),
            (How::Update, None) => e.wrong([HResult::HCN_E_POLICY_NOT_FOUND]),
        }
    }
    sets
}

/// How a change of a network's sets may end.
pub fn expect(e: &mut Expected, model: &Model, id: Guid, how: How, asked: &[SetWish]) {
    let Some(network) = model.network(id) else { return };
    if how == How::Reset {
        return e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
    let after = steps(e, &network.sets, how, asked);
    let find = |name: u8| after.iter().find(|set| set.name == name);
    let used = used(model, network);
    for wish in asked.iter().filter(|_| how != How::Refresh) {
        let Some(set) = find(wish.name) else {
            let of_set = after.iter().any(|set| set.parts().any(|part| part == wish.name));
            if used.contains(&wish.name) || of_set {
                e.wrong([HResult::HCN_E_ENTITY_HAS_REFERENCES]);
            }
            continue;
        };
        if set.parts().any(|part| find(part).is_none()) {
            e.wrong([HResult::HCN_E_INVALID_JSON_REFERENCE]);
        }
        let mut seen: BTreeSet<u8> = BTreeSet::new();
        let mut next: Vec<u8> = set.parts().collect();
        while let Some(part) = next.pop() {
            if seen.insert(part) {
                next.extend(find(part).into_iter().flat_map(Set::parts));
            }
        }
        if seen.contains(&wish.name) {
            e.wrong([HResult::HCN_E_INVALID_POLICY]);
        }
    }
}

/// The sets that rules of the network and of its endpoints name.
fn used(model: &Model, network: &Network) -> BTreeSet<u8> {
    let members = model.endpoints.iter().filter(|endpoint| endpoint.network == network.id);
    let policies = members.flat_map(|endpoint| &endpoint.policies);
    policies.flat_map(named).chain(network.rules.iter().flat_map(of_rule)).collect()
}

/// The sets that a policy names.
pub fn named(policy: &Policy) -> Vec<u8> {
    match policy {
        Policy::Acl(rule) => of_rule(rule).collect(),
        Policy::Tier(tier) => tier.rules.iter().flat_map(of_rule).collect(),
        _ => Vec::new(),
    }
}

pub fn of_rule(rule: &Rule) -> impl Iterator<Item = u8> {
    rule.from_sets.iter().chain(&rule.to_sets).copied()
}
