//! SDN routes, as objects and as policies of endpoints (hcn.md 2.18, 3.11): documents, which are possible, and which way a packet
//! has because of them.

use std::net::IpAddr;

use hostcompute_schema::{Guid, HResult};
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::command::{DESTINATIONS, Entry, HOPS, Kind, Policy, RouteWish};
use crate::expect::Expected;
use crate::model::{Endpoint, Mode, Model, Network};

/// A route as the model holds it.
#[derive(Debug, Clone)]
pub struct Route {
    pub id: Guid,
    pub endpoints: Vec<Guid>,
    /// Each with whether its next hop was this host when the route was made: that stays, whoever leaves the route.
    pub entries: Vec<(Entry, bool)>,
}

/// The entries of a new route.
pub fn entries(model: &Model, endpoints: &[Guid], entries: &[Entry]) -> Vec<(Entry, bool)> {
    let members = endpoints.iter().filter_map(|id| model.endpoint(*id));
    let networks: Vec<&Network> = members.filter_map(|it| model.network(it.network)).collect();
    let here = |entry: &Entry| networks.iter().any(|network| is_here(network, entry));
    entries.iter().map(|entry| (*entry, here(entry))).collect()
}

/// The settings that say one destination, as they come back.
pub fn settings(entry: &Entry) -> Value {
    let mut settings = json!({"DestinationPrefix": DESTINATIONS[entry.destination], "NeedEncap": entry.encapsulated});
    if !HOPS[entry.hop].is_empty() {
        settings["NextHop"] = HOPS[entry.hop].into();
    }
    settings
}

pub fn destination(entry: &Entry) -> Option<IpNet> {
    DESTINATIONS[entry.destination].parse::<IpNet>().ok().map(|net| net.trunc())
}

/// How the creation of a route may end.
pub fn expect(e: &mut Expected, model: &Model, wish: &RouteWish) {
    let endpoints: Vec<Guid> =
        wish.endpoints.iter().map(|pick| model.pick(Kind::Endpoint, *pick)).collect();
    if endpoints.is_empty() || endpoints.iter().any(|id| !model.exists(Kind::Endpoint, *id)) {
        e.wrong([HResult::HCN_E_INVALID_JSON_REFERENCE]);
    }
    if wish.entries.is_empty() {
        e.wrong([HResult::HCN_E_INVALID_POLICY]);
    }
    let found: Vec<&Endpoint> = endpoints.iter().filter_map(|id| model.endpoint(*id)).collect();
    let entries = entries(model, &endpoints, &wish.entries);
    for endpoint in &found {
        if endpoint.remote.is_some() {
            e.wrong([HResult::HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION]);
        }
        if endpoint.place == Some(model.host_default) || model.is_station(endpoint) {
            e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
        }
        let Some(network) = model.network(endpoint.network) else { continue };
        entries.iter().for_each(|(entry, here)| one(e, model, network, entry, *here));
    }
}

/// Whether endpoints of a network can have such a way.
pub fn expect_policy(e: &mut Expected, model: &Model, network: &Network, entry: &Entry) {
    one(e, model, network, entry, is_here(network, entry));
}

fn one(e: &mut Expected, model: &Model, network: &Network, entry: &Entry, here: bool) {
    if network.mode == Mode::Private {
        e.wrong([HResult::HCN_E_MAPPING_NOT_SUPPORTED]);
    }
    let destination = destination(entry);
    if destination.is_none() {
        e.wrong([HResult::HCN_E_INVALID_PREFIX]);
    }
    let Ok(hop) = HOPS[entry.hop].parse::<IpAddr>() else {
        if !HOPS[entry.hop].is_empty() {
            e.wrong([HResult::HCN_E_INVALID_IP]);
        }
        return;
    };
    if is_here(network, entry) {
        return;
    }
    if destination.is_some_and(|net| net.addr().is_ipv4() != hop.is_ipv4()) {
        e.wrong([HResult::HCN_E_INVALID_POLICY]);
    }
    let within = |other: &Network| other.taken().iter().any(|net| net.contains(&hop));
    let own = !network.is_on_wire() && network.prefixes().iter().any(|net| net.contains(&hop));
    let others = || model.networks.iter().filter(|other| !other.is_on_wire());
    if own || (!here && others().any(within)) {
        e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
    let adapters = crate::drive::surroundings().uplinks;
    let near = adapters.iter().flat_map(|uplink| &uplink.addresses).any(|net| net.contains(&hop));
    if !here && !near {
        e.wrong([HResult::HCN_E_INVALID_POLICY]);
    }
}

/// Whether the next hop is this host by one of the names that endpoints of the network know it by: then the host's routes decide.
fn is_here(network: &Network, entry: &Entry) -> bool {
    let Ok(hop) = HOPS[entry.hop].parse::<IpAddr>() else { return HOPS[entry.hop].is_empty() };
    let gateway = network.subnets.iter().any(|subnet| subnet.gateway == Some(hop));
    hop.is_loopback() || (gateway && !network.is_on_wire())
}

/// Where what an endpoint sends to an address goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// As everything that leaves its network.
    Usual,
    /// As the host's routes say, or through a next hop; under its own address or not.
    Detour { hop: bool, encapsulated: bool },
}

/// The most specific destination counts; among equals the endpoint's own, then the oldest route.
pub fn course(model: &Model, endpoint: &Endpoint, to: IpAddr) -> Course {
    let network = model.network(endpoint.network);
    let own = endpoint.policies.iter().filter_map(|policy| match policy {
        Policy::Route(entry) => Some((*entry, is_here(network?, entry))),
        _ => None,
    });
    let of_routes = model.routes.iter().filter(|route| route.endpoints.contains(&endpoint.id));
    let all = own.chain(of_routes.flat_map(|route| route.entries.iter().copied()));
    let fitting = all.filter_map(|(entry, here)| {
        let net = destination(&entry)?;
        net.contains(&to).then_some((net.prefix_len(), entry, here))
    });
    // The first of the longest.
    let best = fitting.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map_or(Course::Usual, |(_, entry, here)| Course::Detour {
        hop: !here,
        encapsulated: entry.encapsulated,
    })
}
