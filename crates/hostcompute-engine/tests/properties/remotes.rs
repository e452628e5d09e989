//! Subnets behind other hosts (policy RemoteSubnetRoute, hcn.md 2.6, 3.9): which changes are right, and what is left after one.

use hostcompute_schema::{Guid, HResult};
use ipnet::IpNet;

use crate::command::{How, RANGES, RemoteWish};
use crate::expect::Expected;
use crate::model::{Mode, Model, Network, vsid};

/// A range, its virtual subnet and its host.
pub type Remote = (IpNet, u32, u8);

pub fn remote(wish: &RemoteWish) -> Remote {
    (RANGES[wish.range].parse().expect("a constant prefix"), wish.vsid, wish.host)
}

/// What a network knows after a change. Add tells again what is known, Update replaces all, if anything is said.
pub fn combine(present: &[Remote], how: How, asked: &[RemoteWish]) -> Option<Vec<Remote>> {
    let mut left = present.to_vec();
    if how == How::Update && !asked.is_empty() {
        let kept = |one: &Remote| asked.iter().any(|wish| remote(wish) == *one);
        left.retain(kept);
    }
    for asked in asked.iter().map(remote) {
        let place = left.iter().position(|one| *one == asked);
        match (how, place) {
            (How::Add | How::Update, None) => left.push(asked),
            (How::Remove, Some(place)) => {
                left.remove(place);
            }
            (How::Remove, None) => return None,
            _ => {}
        }
    }
    Some(left)
}

/// How a change may end: what is behind other hosts is in a virtual subnet of the network, and nowhere else.
pub fn expect(e: &mut Expected, model: &Model, id: Guid, how: How, asked: &[RemoteWish]) {
    let Some(network) = model.network(id) else { return };
    if how == How::Reset || (network.mode != Mode::Overlay && !asked.is_empty()) {
        return e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
    let Some(after) = combine(&network.remotes, how, asked) else {
        return e.wrong([HResult::HCN_E_POLICY_NOT_FOUND]);
    };
    let meets = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    let elsewhere =
        || model.networks.iter().filter(|other| other.id != id).flat_map(Network::taken);
    for (place, one) in after.iter().enumerate().filter(|(_, one)| !network.remotes.contains(one)) {
        let (range, number, _) = one;
        let strange = |prefix: &IpNet| meets(prefix, range) && vsid(prefix) != *number;
        let wrong = !network.vsids().contains(number)
            || network.prefixes().iter().any(|own| strange(own) || range.contains(own))
            || after.iter().enumerate().any(|(i, other)| i != place && meets(&other.0, range))
            || elsewhere().any(|other| meets(&other, range));
        if wrong {
            e.wrong([HResult::HCN_E_INVALID_POLICY]);
        }
    }
}
