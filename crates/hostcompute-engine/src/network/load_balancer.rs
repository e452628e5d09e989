//! Load balancers: HcnCreateLoadBalancer, HcnModifyLoadBalancer, HcnDeleteLoadBalancer (hcn.md 2.17, 3.10).
//!
//! A frontend is a virtual IP, or every address of the host when there is none (node port). Connections are translated to
//! a backend and keep the client's address; replies come back through this host, which owns every port's only route.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use hostcompute_schema::{
    Failure, Guid, HResult, HostComputeLoadBalancer, LoadBalancerDistribution, LoadBalancerFlags,
    LoadBalancerPortMapping, LoadBalancerPortMappingFlags, ProtocolType, Version,
};
use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::decide::Draft;
use crate::network::endpoint::Endpoint;
use crate::network::policy::port_mapping::{SCTP, TCP, UDP};
use crate::network::slots;
use crate::network::station;
use crate::object::{Change, Kind, Object, Parts};
use crate::plan::{Affinity, Fact, Family, Service, VipRoute};
use crate::state::{Frontend, State};

/// A load balancer.
#[derive(Debug, Clone)]
pub struct LoadBalancer {
    pub id: Guid,
    /// As clients see it, filled in.
    pub document: HostComputeLoadBalancer,
    pub(crate) sequence: u64,
    /// Backends in the document's order, without repetitions.
    pub endpoints: Vec<Guid>,
    pub services: Vec<Balanced>,
}

/// One frontend of a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balanced {
    pub frontend: Frontend,
    pub internal: u16,
    pub affinity: Affinity,
}

/// Flags that are carried out (client address preserved), or describe what needs no doing.
const KNOWN_FLAGS: u32 =
    LoadBalancerFlags::ENABLE_DIRECT_SERVER_RETURN.0 | LoadBalancerFlags::IPV6.0;
const KNOWN_MAPPING_FLAGS: u32 = LoadBalancerPortMappingFlags::LOCAL_ROUTED_VIP.0
    | LoadBalancerPortMappingFlags::VIP_EXTERNAL_IP.0;

impl LoadBalancer {
    pub(crate) fn chosen(&self) -> Map<String, Value> {
        let mut chosen = Map::new();
        chosen.insert("Sequence".into(), self.sequence.into());
        chosen
    }

    pub(crate) fn revive(state: &State, id: Guid, parts: Parts) -> Result<LoadBalancer, Failure> {
        let document = hostcompute_schema::parse_value(&parts.document, "")?.document;
        let sequence = parts.chosen.number("Sequence").unwrap_or_default();
        understand(state, id, document, sequence)
    }

    /// What the host has because of this load balancer.
    pub(crate) fn facts(&self, state: &State, facts: &mut Vec<Fact>) {
        let backends: Vec<&Endpoint> = self
            .endpoints
            .iter()
            .filter_map(|id| state.endpoints.get(*id))
            .map(AsRef::as_ref)
            .collect();
        for balanced in &self.services {
            let (family, vip, protocol, port) = balanced.frontend;
            let address = |endpoint: &&Endpoint| address_of(endpoint, family);
            let backends: Vec<SocketAddr> = backends
                .iter()
                .filter_map(address)
                .map(|address| SocketAddr::new(address, balanced.internal))
                .collect();
            let slots = slots::assign(&backends);
            if slots.is_empty() {
                continue;
            }
            let affinity = balanced.affinity;
            facts.push(Fact::Service(Service { vip, family, protocol, port, affinity, slots }));
            facts.extend(vip.and_then(|vip| self.route(state, vip)));
        }
    }

    /// The route to a virtual IP, from the first of the load balancers that announce it.
    fn route(&self, state: &State, vip: IpAddr) -> Option<Fact> {
        let announcer = state.index.vips.get(&vip)?.first()?;
        if *announcer != self.id {
            return None;
        }
        let backend = self.endpoints.iter().find_map(|id| state.endpoints.get(*id))?;
        let network = state.networks.get(backend.network)?;
        let (device, index) = (network.anchor_name(), network.interface);
        Some(Fact::VipRoute(VipRoute { address: vip, device, index }))
    }
}

fn address_of(endpoint: &Endpoint, family: Family) -> Option<IpAddr> {
    endpoint.addresses.iter().map(IpNet::addr).find(|address| Family::of(address) == family)
}

/// HcnCreateLoadBalancer.
pub(crate) fn create(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let document: HostComputeLoadBalancer =
        draft.settings(hostcompute_schema::parse_load_balancer)?;
    let id = draft.new_id(Kind::LoadBalancer, document.base.id)?;
    let sequence = draft.next_sequence();
    write(draft, id, document, sequence)?;
    draft.created(id);
    Ok(())
}

/// HcnModifyLoadBalancer takes a whole document (hcn.md rule 27); connections that exist keep their backend.
pub(crate) fn modify(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let id = draft.target()?;
    let present = draft.state.load_balancer(id)?.clone();
    let mut document: HostComputeLoadBalancer =
        draft.settings(hostcompute_schema::parse_load_balancer)?;
    let is_request = |name: &String| name.eq_ignore_ascii_case("RequestType");
    if document.unknown.keys().any(is_request) {
        let why = "a load balancer is modified with a whole HostComputeLoadBalancer document";
        return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("RequestType"));
    }
    document.base.name = document.base.name.or(present.document.base.name.clone());
    document.base.owner = document.base.owner.or(present.document.base.owner.clone());
    write(draft, id, document, present.sequence)
}

fn write(
    draft: &mut Draft<'_, '_>,
    id: Guid,
    mut document: HostComputeLoadBalancer,
    sequence: u64,
) -> Result<(), Failure> {
    document.base.id = Some(id);
    document.base.schema_version.get_or_insert(Version::new(2, 0));
    let balancer = understand(draft.state, id, document, sequence)?;
    refuse_conflicts(draft.state, &balancer)?;
    draft.put(Object::LoadBalancer(balancer.into()));
    Ok(())
}

fn understand(
    state: &State,
    id: Guid,
    mut document: HostComputeLoadBalancer,
    sequence: u64,
) -> Result<LoadBalancer, Failure> {
    refuse_unsupported(&document)?;
    let endpoints = referenced(state, &document.host_compute_endpoints, "a load balancer")?;
    if endpoints.len() > slots::MOST_BACKENDS {
        let why = alloc::format!("a load balancer has at most {} endpoints", slots::MOST_BACKENDS);
        return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why).at("HostComputeEndpoints"));
    }
    // Upper case, which every version of kube-proxy understands (hcn.md 7, row 18).
    document.host_compute_endpoints = endpoints.iter().map(Guid::to_upper).collect();
    let vips = vips(&document)?;
    if document.port_mappings.is_empty() {
        let why = "a load balancer needs at least one port mapping";
        return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why).at("PortMappings"));
    }
    let v6 = document.flags.is_some_and(|flags| flags.0 & LoadBalancerFlags::IPV6.0 != 0);
    let mut services: Vec<Balanced> = Vec::new();
    for (i, mapping) in document.port_mappings.iter().enumerate() {
        let path = alloc::format!("PortMappings[{i}]");
        for (family, vip) in frontends(&vips, v6)? {
            let balanced = balanced(mapping, family, vip, &path)?;
            if services.iter().any(|other| other.frontend == balanced.frontend) {
                let why = "another port mapping of the load balancer has the same protocol and external port";
                return Err(Failure::new(HResult::ERROR_ALREADY_EXISTS, why).at(path));
            }
            require_family(state, &endpoints, family)?;
            services.push(balanced);
        }
    }
    Ok(LoadBalancer { id, document, sequence, endpoints, services })
}

fn refuse_unsupported(document: &HostComputeLoadBalancer) -> Result<(), Failure> {
    let unsupported = |path: &str, why: String| {
        Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at(path.to_string()))
    };
    let flags = document.flags.map_or(0, |flags| flags.0);
    if flags & !KNOWN_FLAGS != 0 {
        let which = LoadBalancerFlags(flags & !KNOWN_FLAGS);
        return unsupported(
            "Flags",
            alloc::format!("load balancer flags {which} are not supported"),
        );
    }
    let source = document.source_vip.as_deref().unwrap_or_default();
    if !source.is_empty() && flags & LoadBalancerFlags::ENABLE_DIRECT_SERVER_RETURN.0 == 0 {
        let why =
            "backends see the client's own address: a source VIP cannot be put in its place".into();
        return unsupported("SourceVIP", why);
    }
    for (i, mapping) in document.port_mappings.iter().enumerate() {
        let flags = mapping.flags.map_or(0, |flags| flags.0) & !KNOWN_MAPPING_FLAGS;
        if flags != 0 {
            let which = LoadBalancerPortMappingFlags(flags);
            let why = alloc::format!("port mapping flags {which} are not supported");
            return unsupported(&alloc::format!("PortMappings[{i}].Flags"), why);
        }
    }
    Ok(())
}

/// The endpoints that a document lists, in order and once each; `who` needs at least one.
///
/// # Errors
/// HCN_E_GUID_CONVERSION_FAILURE, HCN_E_INVALID_JSON_REFERENCE.
pub(crate) fn referenced(
    state: &State,
    listed: &[String],
    who: &str,
) -> Result<Vec<Guid>, Failure> {
    let mut endpoints: Vec<Guid> = Vec::new();
    for (i, text) in listed.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
        let path = alloc::format!("HostComputeEndpoints[{i}]");
        let id: Guid = text.parse().map_err(|_| {
            let why = alloc::format!("'{text}' is not a GUID");
            Failure::new(HResult::HCN_E_GUID_CONVERSION_FAILURE, why).at(path.clone())
        })?;
        if state.endpoints.get(id).is_none() {
            let why = alloc::format!("there is no endpoint {id}");
            return Err(Failure::new(HResult::HCN_E_INVALID_JSON_REFERENCE, why).at(path));
        }
        if !endpoints.contains(&id) {
            endpoints.push(id);
        }
    }
    if endpoints.is_empty() {
        let why = alloc::format!("{who} needs a reference to at least one endpoint");
        return Err(
            Failure::new(HResult::HCN_E_INVALID_JSON_REFERENCE, why).at("HostComputeEndpoints")
        );
    }
    Ok(endpoints)
}

fn vips(document: &HostComputeLoadBalancer) -> Result<Vec<IpAddr>, Failure> {
    let mut vips: Vec<IpAddr> = Vec::new();
    for (i, text) in document.frontend_vips.iter().enumerate().filter(|(_, t)| !t.is_empty()) {
        let bad = |why: &str| {
            let path = alloc::format!("FrontendVIPs[{i}]");
            Failure::new(HResult::HCN_E_INVALID_IP, alloc::format!("'{text}' {why}")).at(path)
        };
        let vip: IpAddr = text.parse().map_err(|_| bad("is not an IP address"))?;
        if vip.is_unspecified() || vip.is_multicast() || vip.is_loopback() {
            return Err(bad("cannot be a virtual IP"));
        }
        if !vips.contains(&vip) {
            vips.push(vip);
        }
    }
    Ok(vips)
}

fn frontends(vips: &[IpAddr], v6: bool) -> Result<Vec<(Family, Option<IpAddr>)>, Failure> {
    if vips.is_empty() {
        return Ok(alloc::vec![(if v6 { Family::V6 } else { Family::V4 }, None)]);
    }
    if v6 && let Some(vip) = vips.iter().find(|vip| vip.is_ipv4()) {
        let why = alloc::format!("Flags says IPv6, but {vip} is an IPv4 address");
        return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why).at("FrontendVIPs"));
    }
    Ok(vips.iter().map(|vip| (Family::of(vip), Some(*vip))).collect())
}

fn balanced(
    mapping: &LoadBalancerPortMapping,
    family: Family,
    vip: Option<IpAddr>,
    path: &str,
) -> Result<Balanced, Failure> {
    let at = |member: &str| alloc::format!("{path}.{member}");
    let number = mapping.protocol.map_or(0, |ProtocolType(number)| number);
    let protocol = u8::try_from(number).ok().filter(|number| [TCP, UDP, SCTP].contains(number));
    let Some(protocol) = protocol else {
        let why = alloc::format!(
            "protocol {number} cannot be balanced; use 6 (TCP), 17 (UDP) or 132 (SCTP)"
        );
        return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why).at(at("Protocol")));
    };
    let internal = mapping.internal_port.unwrap_or_default();
    if internal == 0 {
        let why = "the backends' port is missing";
        return Err(Failure::new(HResult::HCN_E_INVALID_INTERNAL_PORT, why).at(at("InternalPort")));
    }
    let external = mapping.external_port.unwrap_or_default();
    if external == 0 {
        let why = "the frontend's port is missing";
        return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why).at(at("ExternalPort")));
    }
    let affinity = match mapping
        .distribution_type
        .map_or(0, |LoadBalancerDistribution(number)| number)
    {
        0 => Affinity::None,
        // By client and protocol, or by client alone: the client's address decides in both, since a frontend has one
        // protocol and backends of one endpoint list agree on the slot.
        1 | 2 => Affinity::Client,
        other => {
            let why = alloc::format!("{other} is not a distribution type (0, 1 or 2)");
            return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why).at(at("DistributionType")));
        }
    };
    Ok(Balanced { frontend: (family, vip, protocol, external), internal, affinity })
}

fn require_family(state: &State, endpoints: &[Guid], family: Family) -> Result<(), Failure> {
    for (i, id) in endpoints.iter().enumerate() {
        let endpoint = state.endpoint(*id)?;
        station::check_member(state, endpoint)?;
        if address_of(endpoint, family).is_none() {
            let why = alloc::format!(
                "endpoint {id} has no address of the frontend's family ({family:?})"
            );
            return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why)
                .at(alloc::format!("HostComputeEndpoints[{i}]")));
        }
    }
    Ok(())
}

fn refuse_conflicts(state: &State, balancer: &LoadBalancer) -> Result<(), Failure> {
    for balanced in &balancer.services {
        let (_, vip, _, port) = balanced.frontend;
        if let Some(owner) =
            state.index.services.get(&balanced.frontend).filter(|id| **id != balancer.id)
        {
            let what = vip.map_or_else(|| "node port".to_string(), |vip| vip.to_string());
            let why = alloc::format!("{what}, port {port}, is a frontend of load balancer {owner}");
            return Err(Failure::new(HResult::ERROR_ALREADY_EXISTS, why).at("PortMappings"));
        }
        if let Some(owner) = state.index.mappings.get(&balanced.frontend) {
            let why = alloc::format!("port {port} of the host is published by endpoint {owner}");
            return Err(Failure::new(HResult::HCN_E_PORT_ALREADY_EXISTS, why).at("PortMappings"));
        }
        let owner = |vip: IpAddr| {
            let networks = state.networks().map(|network| (network.id, vip));
            let mut owners = networks.filter_map(|key| state.index.addresses.get(&key));
            // Consumers make an endpoint for the virtual IP itself, which says that it lives nowhere in particular.
            owners.find(|id| state.endpoints.get(**id).is_some_and(|e| !e.is_stand_in(state)))
        };
        if let Some((vip, owner)) = vip.and_then(|vip| Some((vip, owner(vip)?))) {
            let why = alloc::format!("{vip} is the address of endpoint {owner}");
            return Err(
                Failure::new(HResult::HCN_E_ADDR_INVALID_OR_RESERVED, why).at("FrontendVIPs")
            );
        }
    }
    Ok(())
}

/// HcnDeleteLoadBalancer: the endpoints stay.
pub(crate) fn delete(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let id = draft.target()?;
    draft.state.load_balancer(id)?;
    draft.changes.push(Change::Delete(Kind::LoadBalancer, id));
    Ok(())
}

/// Takes an endpoint out of the load balancers it serves; one without backends goes (hcn.md 3.5, 7 row 24).
pub(crate) fn forget_endpoint(draft: &mut Draft<'_, '_>, endpoint: Guid) -> Result<(), Failure> {
    let serving: Vec<Guid> = draft.state.balancers_of(endpoint).collect();
    for id in serving {
        // A cascade may have shortened this load balancer already.
        let latest =
            draft.changes.iter().rev().find(|change| change.subject() == (Kind::LoadBalancer, id));
        let present = match latest {
            Some(Change::Put(Object::LoadBalancer(balancer))) => balancer.clone(),
            Some(_) => continue,
            None => draft.state.load_balancer(id)?.clone(),
        };
        let mut shorter = (*present).clone();
        shorter.endpoints.retain(|other| *other != endpoint);
        shorter.document.host_compute_endpoints =
            shorter.endpoints.iter().map(Guid::to_upper).collect();
        draft.changes.retain(|change| change.subject() != (Kind::LoadBalancer, id));
        if shorter.endpoints.is_empty() {
            draft.changes.push(Change::Delete(Kind::LoadBalancer, id));
        } else {
            draft.put(Object::LoadBalancer(shorter.into()));
        }
    }
    Ok(())
}
