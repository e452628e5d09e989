//! Detours: what an endpoint sends to some destinations leaves another way than its network's own (hcn.md 2.18, 3.11, 6.4).
//!
//! An SDN route, as an object or as a policy of the endpoint, names destinations and a next hop. Without a next hop, or with one
//! that is this host, the host's own routes decide; else the next hop gets the packets, or nobody. `NeedEncap` false: they keep
//! their source address. On L2Bridge networks the endpoint's own routes can name the host as next hop, which is the same.
//!
//! The most specific destination counts; among equals the endpoint's policies, then the oldest route. Which way a packet goes is
//! told to the host's routing by a number, one for each next hop, however many endpoints use it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Failure, HResult, SdnRoutePolicySetting};
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::network::network::{Mode, Network};
use crate::network::subnet::{self, Subnet};
use crate::object::Chosen;
use crate::plan::{Detour, Element, Fact, Family, PortRoute, STEERED, STEERED_NUMBERS};
use crate::state::State;

/// Where a detour leads: through a next hop, or as the host's own routes say.
pub type Hop = (Family, Option<IpAddr>);

/// One destination and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub destination: IpNet,
    pub next_hop: Option<IpAddr>,
    /// Packets are treated as all that leaves the network; else they keep their source address.
    pub encapsulated: bool,
}

impl Entry {
    /// Where it leads.
    pub fn hop(&self) -> Hop {
        (Family::of(&self.destination.addr()), self.next_hop)
    }
}

/// What a route means for endpoints of a network. Paths of failures are relative to the route.
///
/// # Errors
/// HCN_E_INVALID_PREFIX, HCN_E_INVALID_IP and HCN_E_INVALID_POLICY for what makes no sense, HCN_E_MAPPING_NOT_SUPPORTED on networks
/// without a way out, HCN_E_REQUEST_UNSUPPORTED for what is not done.
pub(crate) fn read(setting: &SdnRoutePolicySetting, network: &Network) -> Result<Entry, Failure> {
    if !network.mode.translates() {
        let why = "this network type has no way out that a route could choose";
        return Err(Failure::new(HResult::HCN_E_MAPPING_NOT_SUPPORTED, why));
    }
    if setting.automatic_endpoint_monitor == Some(true) {
        let why = "next hops are not watched";
        return Err(
            Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("AutomaticEndpointMonitor")
        );
    }
    let text = setting.next_hop.as_deref().unwrap_or_default();
    let hop = match text {
        "" => None,
        text => Some(text.parse::<IpAddr>().map_err(|_| {
            let why = alloc::format!("'{text}' is not an IP address");
            Failure::new(HResult::HCN_E_INVALID_IP, why).at("NextHop")
        })?),
    };
    let text = setting.destination_prefix.as_deref().unwrap_or_default();
    let destination = subnet::destination(text, hop).ok_or_else(|| {
        let why = alloc::format!("'{text}' is not a prefix like 10.0.0.0/8");
        Failure::new(HResult::HCN_E_INVALID_PREFIX, why).at("DestinationPrefix")
    })?;
    let next_hop = match hop {
        Some(hop) => next_hop(hop, destination, network).map_err(|f| f.at("NextHop"))?,
        None => None,
    };
    Ok(Entry { destination, next_hop, encapsulated: setting.need_encap.unwrap_or(false) })
}

/// The next hop; `None` when it is this host under one of the names by which endpoints know it.
fn next_hop(hop: IpAddr, destination: IpNet, network: &Network) -> Result<Option<IpAddr>, Failure> {
    let is_gateway = network.subnets.iter().any(|subnet| subnet.gateway == Some(hop));
    let provider = network.overlay.as_ref().map(|overlay| overlay.provider);
    let at_wire = network.wire.as_ref().is_some_and(|wire| wire.taken.contains(&hop));
    // The gateway of a network on the wire is another machine.
    let here = (is_gateway && !is_on_wire(network)) || provider == Some(hop) || at_wire;
    if hop.is_unspecified() || hop.is_loopback() || here {
        return Ok(None);
    }
    let refuse = |code, why: &str| Err(Failure::new(code, alloc::format!("{hop} {why}")));
    if hop.is_ipv4() != destination.addr().is_ipv4() {
        return refuse(HResult::HCN_E_INVALID_POLICY, "is of another family than the destination");
    }
    if hop.is_multicast() {
        return refuse(HResult::HCN_E_INVALID_POLICY, "is not the address of one machine");
    }
    let within = |subnet: &Subnet| subnet.prefix.contains(&hop);
    let own = !is_on_wire(network) && network.subnets.iter().any(within);
    if own {
        let why = "is inside the network: an endpoint cannot be the next hop of others";
        return refuse(HResult::HCN_E_REQUEST_UNSUPPORTED, why);
    }
    Ok(Some(hop))
}

/// Whether a network's subnets are those of an adapter: others live there, too, who can be next hops.
fn is_on_wire(network: &Network) -> bool {
    network.wire.is_some() || network.mode == Mode::Transparent
}

/// Whether endpoints of a network can have the host as their router beside the network's gateway: all that an L2Tunnel network's send goes
/// to its gateway.
pub(crate) fn is_possible(network: &Network) -> bool {
    network.wire.as_ref().is_some_and(|wire| !wire.tunnel)
}

/// The destinations that an endpoint of a bridged network reaches by the host in place of the network's gateway.
pub(crate) fn by_host(network: &Network, routes: &[PortRoute]) -> Vec<Entry> {
    let by_host =
        |route: &&PortRoute| route.next_hop.is_some_and(|hop| !network.routes_through(&hop));
    let entry = |route: &PortRoute| Entry {
        destination: route.destination,
        next_hop: None,
        encapsulated: true,
    };
    match is_possible(network) {
        true => routes.iter().filter(by_host).map(entry).collect(),
        false => Vec::new(),
    }
}

/// No next hop may lie in a network of ours: packets would reach its endpoints past their access rules.
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED.
pub(crate) fn refuse_inner_hops(state: &State, entries: &[Entry]) -> Result<(), Failure> {
    for hop in entries.iter().filter_map(|entry| entry.next_hop) {
        let hop_alone = IpNet::from(hop);
        let inside = state
            .networks()
            .filter(|network| !is_on_wire(network))
            .find(|network| network.overlapping(state, &hop_alone).is_some());
        if let Some(network) = inside {
            let why = alloc::format!("{hop} is inside network '{}'", network.name());
            return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("NextHop"));
        }
    }
    Ok(())
}

/// The numbers of all next hops: those that are in use already, and new ones.
///
/// # Errors
/// E_OUTOFMEMORY when there are too many.
pub(crate) fn numbers(state: &State, entries: &[Entry]) -> Result<BTreeMap<Hop, u32>, Failure> {
    let known = &state.index.hops;
    let mut numbers: BTreeMap<Hop, u32> = BTreeMap::new();
    for hop in entries.iter().map(Entry::hop) {
        let used = |number: u32| {
            let elsewhere = known.values().any(|(other, _)| *other == number);
            elsewhere || numbers.values().any(|other| *other == number)
        };
        let number = match (known.get(&hop), hop) {
            (Some((number, _)), _) => Some(*number),
            (None, (_, None)) => Some(STEERED),
            (None, _) => numbers
                .get(&hop)
                .copied()
                .or_else(|| (STEERED + 1..STEERED + STEERED_NUMBERS).find(|n| !used(*n))),
        };
        let number = number.ok_or_else(|| {
            let why = "there are too many different next hops";
            Failure::new(HResult::E_OUTOFMEMORY, why).at("NextHop")
        })?;
        numbers.insert(hop, number);
    }
    Ok(numbers)
}

/// The numbers as they are stored.
pub(crate) fn written(hops: &BTreeMap<Hop, u32>) -> Value {
    let one = |((family, hop), number): (&Hop, &u32)| match hop {
        Some(hop) => json!({ "NextHop": alloc::format!("{hop}"), "Number": number }),
        None => json!({ "Family": if *family == Family::V4 { 4 } else { 6 }, "Number": number }),
    };
    hops.iter().map(one).collect()
}

/// The numbers from the store.
pub(crate) fn revive(chosen: &Chosen) -> BTreeMap<Hop, u32> {
    let one = |value: &Value| {
        let number = u32::try_from(value.get("Number")?.as_u64()?).ok()?;
        let hop = value.get("NextHop").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let family = match (&hop, value.get("Family").and_then(Value::as_u64)) {
            (Some(hop), _) => Family::of(hop),
            (None, Some(6)) => Family::V6,
            (None, _) => Family::V4,
        };
        Some(((family, hop), number))
    };
    let list = chosen.0.get("Hops").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(one).collect()
}

/// What the host has because somebody names these next hops.
pub(crate) fn facts<'a>(state: &State, hops: impl Iterator<Item = &'a Hop>, facts: &mut Vec<Fact>) {
    for hop in hops {
        if let Some((number, _)) = state.index.hops.get(hop) {
            let (family, via) = *hop;
            facts.push(Fact::Detour(Detour { number: *number, family, via }));
        }
    }
}

/// The destinations of one family, disjoint, each with its entry.
pub(crate) fn disjoint<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    family: Family,
) -> Vec<(IpNet, &'a Entry)> {
    let mut sorted: Vec<&Entry> = entries.filter(|entry| entry.hop().0 == family).collect();
    // Stable: among equals the first counts.
    sorted.sort_by_key(|entry| core::cmp::Reverse(entry.destination.prefix_len()));
    let mut covered: Vec<IpNet> = Vec::new();
    let mut result = Vec::new();
    for entry in sorted {
        remainder(entry.destination, &covered, &mut |piece| result.push((piece, entry)));
        covered.push(entry.destination);
    }
    result
}

/// What is left of a prefix without the covered ones.
fn remainder(net: IpNet, covered: &[IpNet], found: &mut dyn FnMut(IpNet)) {
    if covered.iter().any(|other| other.contains(&net)) {
        return;
    }
    if !covered.iter().any(|other| net.contains(other)) {
        return found(net);
    }
    for half in net.subnets(net.prefix_len() + 1).into_iter().flatten() {
        remainder(half, covered, found);
    }
}

/// The elements that send an endpoint's packets on their detours.
pub(crate) fn steer(
    source: IpAddr,
    pieces: &[(IpNet, &Entry)],
    number: impl Fn(&Hop) -> Option<u32>,
    facts: &mut Vec<Fact>,
) {
    for (destination, entry) in pieces {
        if let Some(number) = number(&entry.hop()) {
            let destination = *destination;
            facts.push(Fact::Element(Element::Steer { source, destination, number }));
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use alloc::vec;

    fn entry(destination: &str, hop: Option<&str>) -> Entry {
        Entry {
            destination: destination.parse().unwrap(),
            next_hop: hop.map(|hop| hop.parse().unwrap()),
            encapsulated: true,
        }
    }

    #[test]
    fn the_most_specific_destination_counts_and_nothing_overlaps() {
        let entries = [
            entry("10.0.0.0/8", None),
            entry("10.128.0.0/9", Some("192.0.2.1")),
            entry("10.0.0.0/8", Some("192.0.2.9")),
        ];
        let pieces = disjoint(entries.iter(), Family::V4);
        let shown: Vec<_> =
            pieces.iter().map(|(net, e)| (std::format!("{net}"), e.next_hop)).collect();
        let hop: Option<IpAddr> = Some("192.0.2.1".parse().unwrap());
        assert_eq!(shown, vec![("10.128.0.0/9".into(), hop), ("10.0.0.0/9".into(), None)]);
        assert!(disjoint(entries.iter(), Family::V6).is_empty());
    }

    #[test]
    fn a_hole_leaves_the_rest() {
        let entries = [entry("10.0.0.0/24", None), entry("10.0.0.7/32", Some("192.0.2.1"))];
        let pieces = disjoint(entries.iter(), Family::V4);
        let addresses: u64 = pieces.iter().map(|(net, _)| 1 << (32 - net.prefix_len())).sum();
        assert_eq!(addresses, 256);
        let whole = IpNet::aggregate(&pieces.iter().map(|(net, _)| *net).collect());
        assert_eq!(whole, vec!["10.0.0.0/24".parse::<IpNet>().unwrap()]);
    }
}
