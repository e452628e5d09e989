//! PortMapping: a port of the host leads to a port of the endpoint (hcn.md 2.10, 3.12, rule 18).

use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{
    Failure, Guid, HResult, NatFlags, PortMappingPolicySetting, ProtocolType,
};
use ipnet::IpNet;

use super::Policies;
use crate::decide::Draft;
use crate::network::endpoint;
use crate::network::network::Network;
use crate::plan::{Claim, Family};
use crate::state::Frontend;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const SCTP: u8 = 132;

/// The dynamic range, out of which ports left to the service are taken (as Windows does).
const DYNAMIC: core::ops::RangeInclusive<u16> = 49152..=65535;

const IPV6: u32 = NatFlags::IPV6.0;
const RESERVED: u32 = NatFlags::EXTERNAL_PORT_RESERVED.0;
const LOCAL_ROUTED_VIP: u32 = NatFlags::LOCAL_ROUTED_VIP.0;

/// One published port of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    pub family: Family,
    /// `None`: every address of the host.
    pub vip: Option<IpAddr>,
    pub protocol: u8,
    pub internal: u16,
    pub external: u16,
    /// The caller holds the external port itself, so it need not be free (NatFlags ExternalPortReserved).
    pub held: bool,
    /// Index of the policy that says it, for messages.
    pub policy: usize,
}

impl PortMapping {
    pub fn frontend(&self) -> Frontend {
        (self.family, self.vip, self.protocol, self.external)
    }

    pub fn is_ipv4(&self) -> bool {
        self.family == Family::V4
    }
}

fn invalid(member: &str, why: impl Into<alloc::string::String>) -> Failure {
    Failure::new(HResult::HCN_E_INVALID_POLICY, why).at(member)
}

pub(super) fn read(
    mappings: &mut Vec<PortMapping>,
    policy: usize,
    setting: &PortMappingPolicySetting,
    network: &Network,
    addresses: &[IpNet],
) -> Result<(), Failure> {
    if !endpoint::publishes(network) {
        let why = "ports can be published on NAT networks only";
        return Err(Failure::new(HResult::HCN_E_MAPPING_NOT_SUPPORTED, why));
    }
    let internal = setting.internal_port.unwrap_or_default();
    if internal == 0 {
        let why = "the endpoint's port is missing";
        return Err(Failure::new(HResult::HCN_E_INVALID_INTERNAL_PORT, why).at("InternalPort"));
    }
    let flags = setting.flags.map_or(0, |flags| flags.0);
    if flags & !(IPV6 | RESERVED | LOCAL_ROUTED_VIP) != 0 {
        return Err(invalid("Flags", "unknown NAT flags"));
    }
    let vip = vip(setting)?;
    let family = family(flags, vip, addresses)?;
    if let Some(vip) = vip.filter(|vip| Family::of(vip) != family) {
        return Err(invalid(
            "VIP",
            alloc::format!("{vip} is not of the family that Flags asks for"),
        ));
    }
    for protocol in protocols(setting)? {
        let external = setting.external_port.unwrap_or_default();
        let held = flags & RESERVED != 0;
        let mapping =
            PortMapping { family, vip, protocol: *protocol, internal, external, held, policy };
        if mappings.iter().any(|other| other.frontend() == mapping.frontend()) {
            return Err(taken(&mapping, "another policy of the same endpoint"));
        }
        mappings.push(mapping);
    }
    Ok(())
}

fn vip(setting: &PortMappingPolicySetting) -> Result<Option<IpAddr>, Failure> {
    let Some(text) = setting.vip.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match text.parse::<IpAddr>() {
        Ok(vip) => Ok(Some(vip).filter(|vip| !vip.is_unspecified())),
        Err(_) => Err(invalid("VIP", alloc::format!("'{text}' is not an IP address"))),
    }
}

/// IPv6 by flag (consumers map a dual-stack endpoint twice), or because the endpoint or the VIP has nothing else.
fn family(flags: u32, vip: Option<IpAddr>, addresses: &[IpNet]) -> Result<Family, Failure> {
    let has = |family| addresses.iter().any(|address| Family::of(&address.addr()) == family);
    let wanted = match vip {
        _ if flags & IPV6 != 0 => Family::V6,
        Some(vip) => Family::of(&vip),
        None if has(Family::V4) => Family::V4,
        None => Family::V6,
    };
    if has(wanted) {
        Ok(wanted)
    } else {
        Err(invalid("Flags", "the endpoint has no address of that family"))
    }
}

fn protocols(setting: &PortMappingPolicySetting) -> Result<&'static [u8], Failure> {
    match setting.protocol.map_or(0, |ProtocolType(number)| number) {
        0 => Ok(&[TCP, UDP]),
        6 => Ok(&[TCP]),
        17 => Ok(&[UDP]),
        132 => Ok(&[SCTP]),
        other => Err(invalid(
            "Protocol",
            alloc::format!("protocol {other} has no ports; use 6 (TCP), 17 (UDP) or 132 (SCTP)"),
        )),
    }
}

/// Picks the external port where the document leaves it to the service; the queried policy then shows it.
pub(super) fn choose_port(
    draft: &mut Draft<'_, '_>,
    setting: &mut PortMappingPolicySetting,
    addresses: &[IpNet],
) -> Result<(), Failure> {
    if setting.external_port.unwrap_or_default() != 0 {
        return Ok(());
    }
    let vip = vip(setting)?;
    let family = family(setting.flags.map_or(0, |flags| flags.0), vip, addresses)?;
    let protocols = protocols(setting)?;
    let size = u32::from(DYNAMIC.end() - DYNAMIC.start()) + 1;
    let start = u32::try_from((draft.context.random)() % u64::from(size)).unwrap_or(0);
    let nth = |n: u32| DYNAMIC.start() + u16::try_from((start + n) % size).unwrap_or(0);
    let free = |port: &u16| {
        protocols.iter().all(|protocol| {
            let used = |frontend: &Frontend| {
                draft.state.index.mappings.contains_key(frontend)
                    || draft.state.index.services.contains_key(frontend)
            };
            !used(&(family, vip, *protocol, *port)) && !used(&(family, None, *protocol, *port))
        })
    };
    let Some(port) = (0..size).map(nth).find(free) else {
        let why = "every port of the dynamic range is in use";
        return Err(Failure::new(HResult::HCN_E_PORT_ALREADY_EXISTS, why).at("ExternalPort"));
    };
    setting.external_port = Some(port);
    draft.retry_on_conflict = true;
    Ok(())
}

fn taken(mapping: &PortMapping, owner: &str) -> Failure {
    let protocol = match mapping.protocol {
        TCP => "TCP",
        UDP => "UDP",
        _ => "SCTP",
    };
    let why =
        alloc::format!("{protocol} port {} of the host is taken by {owner}", mapping.external);
    Failure::new(HResult::HCN_E_PORT_ALREADY_EXISTS, why)
        .at("ExternalPort")
        .hint("choose another ExternalPort, or 0 to get a free one")
}

/// Makes sure that nobody else has the ports, and has the host prove it for those that are new.
///
/// # Errors
/// HCN_E_PORT_ALREADY_EXISTS, below `path`, which leads to the list of policies.
pub(crate) fn reserve(
    draft: &mut Draft<'_, '_>,
    id: Guid,
    policies: &Policies,
    path: &str,
) -> Result<(), Failure> {
    for mapping in &policies.port_mappings {
        let taken = |mapping: &PortMapping, owner: &str| {
            taken(mapping, owner)
                .at(alloc::format!("{path}[{}].Settings.ExternalPort", mapping.policy))
        };
        let frontend = mapping.frontend();
        match draft.state.index.mappings.get(&frontend) {
            Some(owner) if *owner == id => continue,
            Some(owner) => return Err(taken(mapping, &alloc::format!("endpoint {owner}"))),
            None => {}
        }
        if let Some(owner) = draft.state.index.services.get(&frontend) {
            return Err(taken(mapping, &alloc::format!("load balancer {owner}")));
        }
        if !mapping.held {
            let PortMapping { family, vip, protocol, external, .. } = *mapping;
            draft.claims.push(Claim { address: vip, family, protocol, port: external });
        }
    }
    Ok(())
}
