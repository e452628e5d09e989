//! Policies of endpoints and access rules of networks: which are possible, and what is left after a change (hcn.md 2.10, 2.12, 3.9).

use hostcompute_schema::{Guid, HResult};

use crate::command::{How, Policy, REMOTES, Rule};
use crate::expect::Expected;
use crate::model::{Endpoint, Mode, Model, Network};
use crate::{detours, render, sets, sidecars};

/// The policies of an endpoint, all together. `own` is the endpoint if it exists, `network` its network if that does.
pub fn policy_list(
    e: &mut Expected,
    model: &Model,
    policies: &[Policy],
    network: Option<&Network>,
    own: Option<Guid>,
) {
    let kind = |policy: &Policy| std::mem::discriminant(policy);
    for (i, policy) in policies.iter().enumerate() {
        one_policy(e, model, policy, network, own);
        let again = policies[..i].iter().any(|other| kind(other) == kind(policy));
        match policy {
            Policy::Mtu(_) if again => e.wrong([HResult::HCN_INTERFACEPARAMETERS_ALREADY_APPLIED]),
            Policy::Qos(_) | Policy::PortName(_) | Policy::OutboundNat { .. } if again => {
                e.perhaps([HResult::HCN_E_POLICY_ALREADY_EXISTS, HResult::HCN_E_INVALID_POLICY]);
            }
            Policy::Mapping { protocol, external, .. } if *external != 0 => {
                let same = |other: &Policy| publishes(other, *protocol, *external);
                if policies[..i].iter().any(same) {
                    e.wrong([HResult::HCN_E_PORT_ALREADY_EXISTS]);
                }
            }
            _ => {}
        }
    }
}

fn publishes(policy: &Policy, on: u8, port: u16) -> bool {
    matches!(policy, Policy::Mapping { protocol, external, .. } if (*protocol, *external) == (on, port))
}

fn one_policy(
    e: &mut Expected,
    model: &Model,
    policy: &Policy,
    network: Option<&Network>,
    own: Option<Guid>,
) {
    let mode = network.map(|network| network.mode);
    // Who has no address from us cannot be guided.
    let guides = match policy {
        Policy::Acl(_) | Policy::Qos(_) | Policy::Route(_) => true,
        Policy::Tier(tier) => !tier.rules.is_empty(),
        _ => false,
    };
    let wild = network.is_some_and(|it| it.mode == Mode::Transparent && it.subnets.is_empty());
    if guides && wild {
        e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
    if wild && matches!(policy, Policy::Mapping { .. }) {
        // There is no address that a port could lead to.
        e.wrong([HResult::HCN_E_INVALID_POLICY]);
    }
    match policy {
        Policy::Mapping { protocol, external, internal } => {
            if *internal == 0 {
                e.wrong([HResult::HCN_E_INVALID_INTERNAL_PORT]);
            }
            if mode.is_some_and(|mode| {
                matches!(mode, Mode::Internal | Mode::Private | Mode::Transparent)
            }) {
                e.wrong([HResult::HCN_E_MAPPING_NOT_SUPPORTED]);
            }
            let family = published_family(model, network, own);
            let others = model.endpoints.iter().filter(|endpoint| Some(endpoint.id) != own);
            let mut rivals = others.filter(|other| family.is_none_or(|v4| v4 == other.has_v4()));
            let same = |other: &Policy| publishes(other, *protocol, *external);
            let foreign =
                model.foreign_ports.contains(&(*protocol, *external)) && family != Some(false);
            let taken = foreign || rivals.any(|other| other.policies.iter().any(same));
            if *external != 0 && taken {
                match family {
                    Some(_) => e.wrong([HResult::HCN_E_PORT_ALREADY_EXISTS]),
                    None => e.perhaps([HResult::HCN_E_PORT_ALREADY_EXISTS]),
                }
            }
        }
        Policy::Acl(_) | Policy::Tier(_) => {
            let known =
                |name: &u8| network.is_none_or(|it| it.sets.iter().any(|set| set.name == *name));
            if !sets::named(policy).iter().all(known) {
                e.wrong([HResult::HCN_E_INVALID_POLICY]);
            }
        }
        Policy::Route(entry) => {
            if let Some(network) = network {
                detours::expect_policy(e, model, network, entry);
            }
        }
        Policy::Sidecar(sidecar) => sidecars::expect(e, sidecar),
        Policy::Qos(_) | Policy::PortName(_) => {}
        Policy::Mtu(_) => {}
        Policy::BadAcl(_) => e.wrong([HResult::HCN_E_INVALID_POLICY]),
        Policy::OutboundNat { exceptions, .. } => {
            // Defined for bridged types; on NAT "undefined (accept)" (hcn.md 2.10).
            if !matches!(mode, Some(Mode::Nat | Mode::Overlay | Mode::Bridged))
                || exceptions.iter().any(|which| REMOTES[*which].contains(':'))
            {
                e.unnamed = true;
            }
        }
        Policy::Unknown(_) => {
            e.wrong([HResult::HCN_E_INVALID_POLICY_TYPE, HResult::HCN_E_REQUEST_UNSUPPORTED]);
        }
    }
}

/// The family of a mapping without flag IPv6: that of the endpoint's addresses, IPv4 where it has both; unsure while the
/// addresses are not chosen.
fn published_family(model: &Model, network: Option<&Network>, own: Option<Guid>) -> Option<bool> {
    if let Some(endpoint) = own.and_then(|id| model.endpoint(id)) {
        return Some(endpoint.has_v4());
    }
    let v4: Vec<bool> = network?.subnets.iter().map(|s| s.prefix.addr().is_ipv4()).collect();
    match v4.as_slice() {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => Some(*first),
        _ => None,
    }
}

pub fn change_policies(e: &mut Expected, model: &Model, id: Guid, how: How, asked: &[Policy]) {
    let Some(endpoint) = model.endpoint(id) else {
        return e.unnamed = true;
    };
    if how == How::Reset {
        return e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
    e.unnamed |= endpoint.remote.is_some();
    if endpoint.remote.is_some() && !asked.is_empty() && how == How::Add {
        return e.wrong([HResult::HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION]);
    }
    match combine(&endpoint.policies, how, asked) {
        None => e.wrong([HResult::HCN_E_POLICY_NOT_FOUND]),
        Some(together) => {
            policy_list(e, model, &together, model.network(endpoint.network), Some(id));
            let after = Endpoint { policies: together.clone(), ..endpoint.clone() };
            if model.is_led(id) && model.is_station(&after) {
                e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
            }
            if endpoint.place == Some(model.host_default) {
                on_host(e, &together);
            }
            if endpoint.place.is_some_and(|place| model.is_machine(place)) {
                in_machine(e, &together);
            }
        }
    }
}

/// The policies after a modification (hcn.md 3.9); `None` when one that is to be removed is not there.
pub fn combine(present: &[Policy], how: How, asked: &[Policy]) -> Option<Vec<Policy>> {
    let mut result = present.to_vec();
    match how {
        How::Add => result.extend(asked.iter().cloned()),
        How::Update => {
            let name = |policy: &Policy| render::policy(policy)["Type"].clone();
            let fixed = |policy: &&Policy| {
                let name = name(policy);
                !["ACL", "L4Proxy", "L4WFPPROXY", "TierAcl", "QOS"].iter().any(|one| name == *one)
            };
            let asked_for: Vec<_> = asked.iter().map(render::policy).collect();
            let is_asked_for = |policy: &Policy| asked_for.contains(&render::policy(policy));
            // Everything that cannot be changed, and nothing else: what can be goes.
            let clears = present.iter().filter(fixed).count() == asked.len()
                && present.iter().filter(fixed).all(is_asked_for);
            result.retain(|policy| {
                !asked.iter().any(|other| name(other) == name(policy))
                    && (!clears || fixed(&policy))
            });
            result.extend(asked.iter().cloned());
        }
        How::Remove => {
            for policy in asked {
                let wanted = render::policy(policy);
                let place = result.iter().position(|other| render::policy(other) == wanted)?;
                result.remove(place);
            }
        }
        How::Refresh | How::Reset => {}
    }
    Some(result)
}

/// An endpoint in HostDefault has no interface of its own on which these could be enforced.
pub fn on_host(e: &mut Expected, policies: &[Policy]) {
    let of_interface = |policy: &Policy| {
        let own = matches!(policy, Policy::Qos(_) | Policy::Mtu(_) | Policy::PortName(_));
        own || matches!(policy, Policy::Route(_) | Policy::Sidecar(_))
    };
    if policies.iter().any(of_interface) {
        e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
}

/// What is inside of a machine is out of reach.
pub fn in_machine(e: &mut Expected, policies: &[Policy]) {
    if policies.iter().any(|policy| matches!(policy, Policy::Sidecar(_))) {
        e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
}

/// Rules for all endpoints of a network name sets that it has, and on a Transparent network bring the host between its endpoints and
/// the wire, which must be possible, or take it away, which must not leave a load balancer or route behind.
pub fn network_rules(e: &mut Expected, model: &Model, id: Guid, how: How, asked: &[Rule]) {
    let Some(network) = model.network(id) else { return };
    if how == How::Reset {
        return e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
    let Some(rules) = combine_rules(&network.rules, how, asked) else {
        return e.wrong([HResult::HCN_E_POLICY_NOT_FOUND]);
    };
    let known = |name: u8| network.sets.iter().any(|set| set.name == name);
    if !rules.iter().flat_map(sets::of_rule).all(known) {
        e.wrong([HResult::HCN_E_INVALID_POLICY]);
    }
    if network.mode != Mode::Transparent {
        return;
    }
    if !rules.is_empty() && network.subnets.is_empty() {
        e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
    let mut after = model.clone();
    after.network_mut(id).into_iter().for_each(|network| network.rules.clone_from(&rules));
    let members = model.endpoints.iter().filter(|endpoint| endpoint.network == id);
    let mut left =
        members.filter(|endpoint| after.is_station(endpoint) && model.is_led(endpoint.id));
    if rules.is_empty() && left.next().is_some() {
        e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
}

/// A network's rules after a modification (hcn.md 3.9): what is added again stays once.
pub fn combine_rules(present: &[Rule], how: How, asked: &[Rule]) -> Option<Vec<Rule>> {
    let mut rules = present.to_vec();
    match how {
        How::Add => {
            for rule in asked {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
        How::Update if asked.is_empty() => {}
        How::Update => rules = asked.to_vec(),
        How::Remove => {
            for rule in asked {
                let place = rules.iter().position(|other| other == rule)?;
                rules.remove(place);
            }
        }
        How::Refresh | How::Reset => {}
    }
    Some(rules)
}
