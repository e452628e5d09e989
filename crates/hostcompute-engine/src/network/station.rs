//! Transparent networks: endpoints are machines on the adapter's own network, under MACs of their own (hcn.md 2.3, 6.3).
//!
//! Most are *stations*: the host has no part in their traffic, nor does it see them, since an adapter does not talk to the machines that
//! it carries. Where a policy filters, translates, steers or shapes, the endpoint is *guided*: it has a port as on bridged networks, out
//! of whose reach the host does all that (so it has in a virtual machine, which has no place for a link of the adapter), and a face on the wire, which has its MAC and answers for its addresses. A station becomes
//! guided, and the other way round, when such policies come and go.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Failure, Guid, HResult};
use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::network::attach;
use crate::network::endpoint::{Attachment, Endpoint};
use crate::network::namespace::HOST_DEFAULT;
use crate::network::network::{Mode, Network};
use crate::network::policy::Policies;
use crate::network::subnet::Subnet;
use crate::network::vlan;
use crate::network::wire::{self, Wire};
use crate::object::Chosen;
use crate::plan::{Face, Fact, INNER_INDEX, PortRoute, Station, Trunk};
use crate::state::State;

/// The adapter of a Transparent network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    pub name: String,
    /// The host's own addresses there, which no endpoint can have.
    pub taken: Vec<IpAddr>,
    /// A routing table for each subnet, in order, for endpoints that are guided; none on networks of earlier versions.
    pub(crate) tables: Vec<u32>,
}

impl Adapter {
    pub(crate) fn chosen(&self) -> Map<String, Value> {
        let mut chosen = Map::new();
        chosen.insert("Name".into(), self.name.clone().into());
        let taken = self.taken.iter().map(|address| Value::String(alloc::format!("{address}")));
        chosen.insert("Taken".into(), taken.collect());
        let tables = self.tables.iter().map(|table| Value::from(*table));
        chosen.insert("Tables".into(), tables.collect());
        chosen
    }

    pub(crate) fn revive(chosen: &Chosen) -> Option<Self> {
        let adapter = chosen.0.get("Adapter")?;
        let address = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        let tables = adapter.get("Tables").and_then(Value::as_array);
        Some(Self {
            tables: tables.into_iter().flatten().filter_map(number).collect(),
            name: adapter.get("Name")?.as_str()?.into(),
            taken: adapter.get("Taken")?.as_array()?.iter().filter_map(address).collect(),
        })
    }
}

/// Whether an endpoint's own policies, or the machine that it is plugged into, want the host between it and the wire.
pub(crate) fn wants_guidance(
    state: &State,
    policies: &Policies,
    network: &Network,
    attachment: Option<&Attachment>,
) -> bool {
    let machine = || attachment.is_some_and(|it| attach::is_guests(state, it.namespace));
    network.mode == Mode::Transparent && (policies.need_host() || machine())
}

/// Whether an endpoint will be guided for its own sake in a namespace.
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED where it cannot be.
pub(crate) fn is_guided_in(
    state: &State,
    endpoint: &Endpoint,
    namespace: Guid,
) -> Result<bool, Failure> {
    let network = state.network(endpoint.network)?;
    if network.mode == Mode::Transparent && attach::is_guests(state, namespace) {
        check_guided(network, &endpoint.addresses, &endpoint.routes)?;
        vlan::check_endpoint(network, endpoint)?;
        return Ok(true);
    }
    Ok(endpoint.guided)
}

/// Whether the host is between an endpoint of the network and the wire.
pub(crate) fn is_guided(network: &Network, endpoint: &Endpoint) -> bool {
    endpoint.guided || network.guides()
}

/// Refuses to guide what cannot be: the host would have to know where the endpoint's packets go.
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED.
pub(crate) fn check_guided(
    network: &Network,
    addresses: &[IpNet],
    routes: &[PortRoute],
) -> Result<(), Failure> {
    let refuse = |why: String, hint: &str| {
        Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("Policies").hint(hint))
    };
    if addresses.is_empty() {
        let why = "the endpoint chooses its address itself, so that no policy on its packets can be enforced";
        return refuse(why.into(), "give the network a subnet, or leave such policies out");
    }
    if network.adapter.as_ref().is_none_or(|it| it.tables.len() != network.subnets.len()) {
        let why = "the network was made by a version that could not enforce policies on it";
        return refuse(why.into(), "delete the network and make it again");
    }
    let known = |hop: &IpAddr| {
        let of = |subnet: &Subnet| {
            subnet.gateway == Some(*hop) || subnet.others.iter().any(|(_, other)| other == hop)
        };
        network.subnets.iter().any(of)
    };
    match routes.iter().filter_map(|route| route.next_hop).find(|hop| !known(hop)) {
        Some(hop) => refuse(
            alloc::format!(
                "the next hop {hop} is not one of the network's, by which the packets of endpoints with policies go"
            ),
            "name the next hop in the subnet's routes",
        ),
        None => Ok(()),
    }
}

/// Refuses what would have the host lead packets to the endpoint, or on their way from it, where it is not between.
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED.
pub(crate) fn check_member(state: &State, endpoint: &Endpoint) -> Result<(), Failure> {
    let network = state.network(endpoint.network)?;
    if network.mode != Mode::Transparent || is_guided(network, endpoint) {
        return Ok(());
    }
    let why = alloc::format!("the packets of endpoint {} never meet the host", endpoint.id);
    Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
        .at("HostComputeEndpoints")
        .hint("give it a policy that the host carries out, such as OutBoundNAT or an ACL, first"))
}

impl Network {
    /// Whether its own policies want the host between all its endpoints and the wire.
    pub(crate) fn guides(&self) -> bool {
        self.mode == Mode::Transparent && !(self.access.is_empty() && self.proxies.is_empty())
    }
}

/// Whether all its endpoints can be guided where a network's policies begin to want it, and need not be where they cease to.
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED.
pub(crate) fn check_network(
    state: &State,
    before: Option<&Network>,
    after: &Network,
) -> Result<(), Failure> {
    let guided = before.is_some_and(Network::guides);
    if after.guides() && !guided {
        if after.subnets.is_empty() {
            let why = "without a subnet endpoints choose their addresses themselves, so that no policy on their packets can be enforced";
            return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("Policies"));
        }
        vlan::check_guided(after, &Policies::default())?;
        let of = |endpoint: &Arc<Endpoint>| {
            vlan::check_endpoint(after, endpoint)?;
            check_guided(after, &endpoint.addresses, &endpoint.routes)
        };
        return state.members(after.id).try_for_each(of);
    }
    if guided && !after.guides() {
        return state.members(after.id).try_for_each(|endpoint| release(state, endpoint));
    }
    Ok(())
}

/// An endpoint becomes a station, unless its own policies keep it from that. A load balancer or route leads packets on the host.
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED.
fn release(state: &State, endpoint: &Endpoint) -> Result<(), Failure> {
    let led = || {
        state.balancers_of(endpoint.id).next().is_some()
            || state.routes_of(endpoint.id).next().is_some()
    };
    if endpoint.guided || !led() {
        return Ok(());
    }
    let why = alloc::format!(
        "without a policy that the host carries out, no load balancer or route can lead packets of endpoint {}",
        endpoint.id
    );
    Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
        .at("Settings.Policies")
        .hint("take the endpoint out of them first"))
}

/// Whether the policies of an endpoint can change so: as [`check_network`].
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED.
pub(crate) fn check_endpoint(
    state: &State,
    network: &Network,
    before: &Endpoint,
    after: &Endpoint,
) -> Result<(), Failure> {
    if is_guided(network, after) {
        vlan::check_endpoint(network, after)?;
    }
    match (before.guided, after.guided) {
        (false, true) => check_guided(network, &after.addresses, &after.routes),
        (true, false) if !network.guides() => release(state, after),
        _ => Ok(()),
    }
}

/// What the host has because it is between some endpoint of the network and the wire.
pub(crate) fn guidance_facts(state: &State, network: &Network, facts: &mut Vec<Fact>) {
    let wanted = network.guides() || state.index.guided.contains_key(&network.id);
    let Some(adapter) = network.adapter.as_ref().filter(|_| wanted) else { return };
    let wire = Wire {
        uplink: adapter.name.clone(),
        taken: Vec::new(),
        tunnel: false,
        tables: adapter.tables.clone(),
        mac: Some(network.anchor_mac()),
    };
    wire::facts(network, &wire, facts);
}

/// How a guided endpoint appears on the wire.
pub(crate) fn face(
    network: &Network,
    endpoint: &Endpoint,
    attachment: &Attachment,
) -> Option<Face> {
    let adapter = network.adapter.as_ref()?;
    Some(Face {
        endpoint: endpoint.id,
        uplink: adapter.name.clone(),
        name: alloc::format!("hm{:x}", attachment.interface),
        mac: endpoint.mac,
        addresses: endpoint.addresses.iter().map(IpNet::addr).collect(),
        isolated: endpoint.isolated(),
        guise: wire::guise_name(network),
    })
}

/// The interface of an endpoint that is a station, in a namespace other than HostDefault.
pub fn station(state: &State, endpoint: &Endpoint) -> Option<Station> {
    station_at(state, endpoint, endpoint.attachment.as_ref()?)
}

pub(crate) fn station_at(
    state: &State,
    endpoint: &Endpoint,
    attachment: &Attachment,
) -> Option<Station> {
    let network = state.networks.get(endpoint.network)?;
    let adapter = network.adapter.as_ref()?;
    if attachment.namespace == HOST_DEFAULT || is_guided(network, endpoint) {
        return None;
    }
    Some(Station {
        endpoint: endpoint.id,
        netns: attachment.namespace,
        uplink: adapter.name.clone(),
        name: alloc::format!("eth{}", attachment.slot),
        index: INNER_INDEX + attachment.slot,
        alias: endpoint.policies.port_name.clone().unwrap_or_default(),
        mac: endpoint.mac,
        mtu: endpoint.policies.mtu(network.mtu),
        addresses: endpoint.addresses.clone(),
        routes: routes(network, endpoint, attachment.slot),
        isolated: endpoint.isolated(),
        trunk: vlan::of_endpoint(network, &endpoint.policies).map(|vlan| Trunk {
            vlan,
            outer: alloc::format!("hv{:x}", attachment.interface),
            index: attachment.interface,
            face: alloc::format!("hm{:x}", attachment.interface),
        }),
    })
}

/// The subnets on the link, and what the endpoint's document says.
fn routes(network: &Network, endpoint: &Endpoint, slot: u32) -> Vec<PortRoute> {
    let own = endpoint.addresses.iter().filter_map(|address| {
        let subnet =
            network.subnets.iter().find(|subnet| subnet.prefix.contains(&address.addr()))?;
        Some(PortRoute { destination: subnet.prefix, next_hop: None, metric: 0 })
    });
    let mut routes: Vec<PortRoute> = Vec::new();
    for mut route in own.chain(endpoint.routes.iter().cloned()) {
        route.metric = attach::metric_at(&route, slot);
        let rival = |other: &PortRoute| {
            (other.destination, other.metric) == (route.destination, route.metric)
        };
        if !routes.iter().any(rival) {
            routes.push(route);
        }
    }
    routes
}
