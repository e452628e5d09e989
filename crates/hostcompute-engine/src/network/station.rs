//! Transparent networks: endpoints are machines on the adapter's own network, under MACs of their own (hcn.md 2.3, 6.3).
//!
//! The host has no part in their traffic: nothing is filtered, translated or shaped, and what needs that is refused. Nor does it see
//! them: an adapter does not talk to the machines that it carries.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{EndpointPolicyType, Failure, HResult};
use serde_json::{Map, Value};

use crate::network::endpoint::{Attachment, Endpoint};
use crate::network::namespace::HOST_DEFAULT;
use crate::network::network::{Mode, Network};
use crate::object::Chosen;
use crate::plan::{INNER_INDEX, PortRoute, Station};
use crate::state::State;

/// The adapter of a Transparent network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    pub name: String,
    /// The host's own addresses there, which no endpoint can have.
    pub taken: Vec<IpAddr>,
}

impl Adapter {
    pub(crate) fn chosen(&self) -> Map<String, Value> {
        let mut chosen = Map::new();
        chosen.insert("Name".into(), self.name.clone().into());
        let taken = self.taken.iter().map(|address| Value::String(alloc::format!("{address}")));
        chosen.insert("Taken".into(), taken.collect());
        chosen
    }

    pub(crate) fn revive(chosen: &Chosen) -> Option<Self> {
        let adapter = chosen.0.get("Adapter")?;
        let address = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        Some(Self {
            name: adapter.get("Name")?.as_str()?.into(),
            taken: adapter.get("Taken")?.as_array()?.iter().filter_map(address).collect(),
        })
    }
}

/// Refuses the policies that the host could not carry out.
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED.
pub(crate) fn check_policy(kind: &EndpointPolicyType, network: &Network) -> Result<(), Failure> {
    use EndpointPolicyType as Type;
    let carried_out = matches!(
        kind,
        Type::InterfaceParameters
            | Type::EncapOverhead
            | Type::PortName
            | Type::InterfaceConstraint
            | Type::Iov
            // These say themselves why they are refused.
            | Type::PortMapping
            | Type::OutBoundNAT
            | Type::Unknown(_)
    );
    if network.mode != Mode::Transparent || carried_out {
        return Ok(());
    }
    let why = alloc::format!(
        "policy {} cannot be enforced on a Transparent network, whose packets never meet the host",
        kind.name()
    );
    Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
        .hint("L2Bridge networks are on the adapter's wire, too, and enforce it"))
}

/// Refuses what would have the host lead packets to the endpoint, or on their way from it.
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED.
pub(crate) fn check_member(state: &State, endpoint: &Endpoint) -> Result<(), Failure> {
    if state.network(endpoint.network)?.mode != Mode::Transparent {
        return Ok(());
    }
    let why = alloc::format!("the packets of endpoint {} never meet the host", endpoint.id);
    Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("HostComputeEndpoints"))
}

/// The interface of an endpoint of a Transparent network in a namespace other than HostDefault.
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
    if attachment.namespace == HOST_DEFAULT {
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
        route.metric = super::attach::metric_at(&route, slot);
        let rival = |other: &PortRoute| {
            (other.destination, other.metric) == (route.destination, route.metric)
        };
        if !routes.iter().any(rival) {
            routes.push(route);
        }
    }
    routes
}
