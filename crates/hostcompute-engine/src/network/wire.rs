//! Bridged networks: endpoints are machines on the adapter's own network, under the adapter's MAC (hcn.md 2.3, 6.3).
//!
//! Nothing of the adapter is changed, neither its addresses nor its routes: ports are routed as everywhere, the adapter answers
//! ARP for their addresses, and what they send leaves by a routing table of the network's own, through the gateway that the document
//! names (docs/decisions/0011). On L2Tunnel networks that is so for every packet, also for those to a neighbour on this host.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Failure, HResult};
use serde_json::{Map, Value};

use crate::mac::Mac;
use crate::network::network::Network;
use crate::network::subnet::Subnet;
use crate::object::Chosen;
use crate::plan::{self, Element, Fact, Family, Guise, Way};

/// What makes a network bridged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// The adapter's name.
    pub uplink: String,
    /// The host's own addresses there, which no endpoint can have.
    pub taken: Vec<IpAddr>,
    /// All traffic goes through the gateway.
    pub tunnel: bool,
    /// A routing table for each subnet, in order; they are numbered as interfaces.
    pub(crate) tables: Vec<u32>,
    /// The MAC under which its endpoints are on the wire, where that is not the adapter's (policy SourceMacAddress).
    pub mac: Option<Mac>,
}

impl Wire {
    pub(crate) fn chosen(&self) -> Map<String, Value> {
        let mut chosen = Map::new();
        chosen.insert("Uplink".into(), self.uplink.clone().into());
        let taken = self.taken.iter().map(|address| Value::String(alloc::format!("{address}")));
        chosen.insert("Taken".into(), taken.collect());
        let tables = self.tables.iter().map(|table| Value::from(*table));
        chosen.insert("Tables".into(), tables.collect());
        if let Some(mac) = self.mac {
            chosen.insert("Mac".into(), Value::String(mac.to_string()));
        }
        chosen
    }

    pub(crate) fn revive(chosen: &Chosen, tunnel: bool) -> Option<Wire> {
        let wire = chosen.0.get("Wire")?;
        let address = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        Some(Wire {
            uplink: wire.get("Uplink")?.as_str()?.into(),
            taken: wire.get("Taken")?.as_array()?.iter().filter_map(address).collect(),
            tunnel,
            tables: wire.get("Tables")?.as_array()?.iter().filter_map(number).collect(),
            mac: wire.get("Mac").and_then(Value::as_str).and_then(|text| text.parse().ok()),
        })
    }
}

impl Wire {
    /// Whether machines on the wire ask the adapter for its endpoints by solicitations (IPv6).
    pub(crate) fn is_solicited(&self, network: &Network) -> bool {
        self.mac.is_none() && network.families().any(|family| family == Family::V6)
    }

    /// The link by which its endpoints are on the wire: the adapter, or one beside it with a MAC of its own.
    pub(crate) fn out(&self, network: &Network) -> String {
        match self.mac {
            Some(_) => guise_name(network),
            None => self.uplink.clone(),
        }
    }
}

/// The link beside the adapter by which what a network sends leaves the host.
pub(crate) fn guise_name(network: &Network) -> String {
    alloc::format!("hm{:x}", network.interface)
}

/// Such a link.
pub(crate) fn guise(network: &Network, uplink: &str, mac: Mac) -> Guise {
    Guise {
        name: guise_name(network),
        uplink: uplink.into(),
        mac,
        inet6: network.families().any(|family| family == Family::V6),
    }
}

/// All traffic of an L2Tunnel network goes to the gateway, so there must be one, and one for all.
///
/// # Errors
/// HCN_E_INVALID_SUBNET.
pub(crate) fn check_gateways(subnets: &[Subnet]) -> Result<(), Failure> {
    match subnets {
        [one] if one.gateway.is_some() => Ok(()),
        _ => {
            let why =
                "an L2Tunnel network needs one subnet, with a gateway that all traffic goes to";
            Err(Failure::new(HResult::HCN_E_INVALID_SUBNET, why).at("Ipams[0].Subnets"))
        }
    }
}

/// What the host has because a network is bridged, beside its device.
pub(crate) fn facts(network: &Network, wire: &Wire, facts: &mut Vec<Fact>) {
    facts.extend(wire.mac.map(|mac| Fact::Guise(guise(network, &wire.uplink, mac))));
    let way = |(subnet, table): (&Subnet, &u32)| Way {
        subnet: subnet.prefix,
        gateway: subnet.gateway,
        others: if wire.tunnel { Vec::new() } else { subnet.others.clone() },
        table: *table,
    };
    facts.push(Fact::Wire(plan::Wire {
        network: network.id,
        uplink: wire.uplink.clone(),
        out: wire.out(network),
        ways: network.subnets.iter().zip(&wire.tables).map(way).collect(),
        tunnel: wire.tunnel,
    }));
    for from in network.subnets.iter().map(|subnet| subnet.prefix) {
        let same_family = |to: &ipnet::IpNet| to.addr().is_ipv4() == from.addr().is_ipv4();
        for to in network.subnets.iter().map(|subnet| subnet.prefix).filter(same_family) {
            facts.push(Fact::Element(Element::Intra { from, to }));
        }
        facts.push(Fact::Element(Element::Bridged { subnet: from }));
        facts.push(Fact::Element(Element::Published { subnet: from }));
    }
}
