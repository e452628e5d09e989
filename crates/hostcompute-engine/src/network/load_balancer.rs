//! Load balancers: HcnCreateLoadBalancer, HcnModifyLoadBalancer, HcnDeleteLoadBalancer (hcn.md 2.17, 3.10).
//!
//! A frontend is a virtual IP, or every address of the host when there is none (node port). Connections are translated to
//! a backend that is attached, or lives on another host. They keep the client's address, unless a source VIP is given and direct server
//! return is not asked for; replies come back through this host, which owns every port's only route.

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
use crate::network::attach;
use crate::network::endpoint::Endpoint;
use crate::network::policy::port_mapping::{SCTP, TCP, UDP};
use crate::network::slots;
use crate::network::station;
use crate::object::{Change, Kind, Object, Parts};
use crate::plan::{
    Affinity, Audience, Claim, Fact, Family, Kept, Port, Service, Shown, VipOwner, VipRoute,
};
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
    /// What backends see in place of the client's address.
    pub shown: Option<IpAddr>,
}

/// One frontend of a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balanced {
    pub frontend: Frontend,
    pub internal: u16,
    pub affinity: Affinity,
    pub audience: Audience,
    /// Backends get packets with the virtual IP as destination.
    pub kept: bool,
}

/// Flags that are carried out (client address preserved), or describe what needs no doing.
const KNOWN_FLAGS: u32 =
    LoadBalancerFlags::ENABLE_DIRECT_SERVER_RETURN.0 | LoadBalancerFlags::IPV6.0;
const KNOWN_MAPPING_FLAGS: u32 = INTERNAL
    | LOCAL
    | PRESERVE
    | LoadBalancerPortMappingFlags::USE_MUX.0
    | LoadBalancerPortMappingFlags::VIP_EXTERNAL_IP.0;
const INTERNAL: u32 = LoadBalancerPortMappingFlags::ENABLE_INTERNAL_LOAD_BALANCER.0;
const LOCAL: u32 = LoadBalancerPortMappingFlags::LOCAL_ROUTED_VIP.0;
const PRESERVE: u32 = LoadBalancerPortMappingFlags::ENABLE_PRESERVE_DIP.0;

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
        let listed = self.endpoints.iter().filter_map(|id| state.endpoints.get(*id));
        let serving: Vec<&Endpoint> =
            listed.map(AsRef::as_ref).filter(|endpoint| serves(state, endpoint)).collect();
        for balanced in &self.services {
            // Also while nobody serves: what is sent there goes nowhere else meanwhile.
            facts.extend(balanced.frontend.1.and_then(|vip| self.route(state, vip)));
            facts.extend(self.service(state, balanced, &serving).map(Fact::Service));
            if balanced.kept {
                let owners = serving.iter().filter_map(|endpoint| owner(state, balanced, endpoint));
                facts.extend(owners.map(Fact::VipOwner));
            }
        }
    }

    fn service(
        &self,
        state: &State,
        balanced: &Balanced,
        serving: &[&Endpoint],
    ) -> Option<Service> {
        let Balanced { frontend: (family, vip, protocol, port), affinity, audience, .. } =
            *balanced;
        let mut backends = Vec::new();
        let mut kept = Vec::new();
        let mut toward = Vec::new();
        for endpoint in serving {
            let Some(address) = address_of(endpoint, family) else { continue };
            let backend = SocketAddr::new(address, balanced.internal);
            if balanced.kept {
                // An endpoint in HostDefault is an address of the host, which cannot own the virtual IP as well.
                let Some(port) = attach::port(state, endpoint) else { continue };
                kept.push(Kept { port: port.name, mac: port.mac, backend });
            }
            backends.push(backend);
            // What stays on this host comes back through it in any case.
            if audience == Audience::Everybody || endpoint.remote.is_some() {
                toward.push(address);
            }
        }
        let slots = slots::assign(&backends, affinity);
        if slots.is_empty() {
            return None;
        }
        let shown = match self.shown {
            Some(address) => {
                Some(Shown { address, toward }).filter(|shown| !shown.toward.is_empty())
            }
            None => self.shown_elsewhere(state, family, serving),
        };
        Some(Service { vip, family, protocol, port, affinity, slots, audience, shown, kept })
    }

    /// Where no source VIP is given, backends on other hosts of a bridged network see this host: their answers would go past it to a client
    /// that is outside. (On overlays a tunnel knows under which address strangers get through it: `Element::SeenAs`.)
    fn shown_elsewhere(
        &self,
        state: &State,
        family: Family,
        serving: &[&Endpoint],
    ) -> Option<Shown> {
        if self.is_direct() {
            return None;
        }
        let of_host = |endpoint: &Endpoint| {
            endpoint.remote.as_ref()?;
            let wire = state.networks.get(endpoint.network)?.wire.as_ref()?;
            wire.taken.iter().copied().find(|own| Family::of(own) == family)
        };
        let address = serving.iter().find_map(|endpoint| of_host(endpoint))?;
        let same = serving.iter().filter(|endpoint| of_host(endpoint) == Some(address));
        Some(Shown { address, toward: same.filter_map(|one| address_of(one, family)).collect() })
    }

    /// Whether backends see the client's own address (EnableDirectServerReturn).
    fn is_direct(&self) -> bool {
        let direct = LoadBalancerFlags::ENABLE_DIRECT_SERVER_RETURN.0;
        self.document.flags.is_some_and(|flags| flags.0 & direct != 0)
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

/// The way to a backend that keeps the virtual IP.
fn owner(state: &State, balanced: &Balanced, endpoint: &Endpoint) -> Option<VipOwner> {
    let (family, vip, ..) = balanced.frontend;
    address_of(endpoint, family)?;
    let Port { name, index, mac, .. } = attach::port(state, endpoint)?;
    Some(VipOwner { port: name, index, address: vip?, mac })
}

/// Whether an endpoint takes connections: it is plugged in, or elsewhere.
fn serves(state: &State, endpoint: &Endpoint) -> bool {
    let network = state.networks.get(endpoint.network);
    let own = network.and_then(|network| network.overlay.as_ref()).map(|overlay| overlay.provider);
    match endpoint.remote {
        // Consumers make such endpoints for the addresses of hosts, this one's too.
        Some(_) if endpoint.is_stand_in(state) && own.is_some() => {
            endpoint.addresses.iter().any(|address| Some(address.addr()) == own)
        }
        Some(_) => true,
        None => endpoint.attachment.is_some(),
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
    if document.unknown.iter().any(|(name, _)| name.eq_ignore_ascii_case("RequestType")) {
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
    let known = &draft.state.index.services;
    let fresh = balancer.services.iter().filter(|one| !known.contains_key(&one.frontend));
    // Node ports are not kept from programs, but not taken from them either (hcn.md 3.12).
    let claims = fresh.filter_map(|one| match one.frontend {
        (family, None, protocol, port) => Some(Claim { address: None, family, protocol, port }),
        _ => None,
    });
    draft.claims.extend(claims);
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
    // Lower case, as endpoints say their own id: hcsshim compares the two as they are (hcn.md 7, row 18).
    document.host_compute_endpoints = endpoints.iter().map(Guid::to_string).collect();
    let vips = vips(&document)?;
    let shown = source_vip(&document)?;
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
            if shown.is_some_and(|shown| Family::of(&shown) != family) {
                let why = "the source VIP is of another family than a frontend";
                return Err(Failure::new(HResult::HCN_E_INVALID_IP, why).at("SourceVIP"));
            }
            if balanced.kept {
                refuse_keeping(state, &endpoints, vip, &path)?;
            }
            services.push(balanced);
        }
    }
    Ok(LoadBalancer { id, document, sequence, endpoints, services, shown })
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

/// The address that backends see: none with direct server return, or when none is given.
fn source_vip(document: &HostComputeLoadBalancer) -> Result<Option<IpAddr>, Failure> {
    let text = document.source_vip.as_deref().unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    let bad = |why: &str| {
        Failure::new(HResult::HCN_E_INVALID_IP, alloc::format!("'{text}' {why}")).at("SourceVIP")
    };
    let address: IpAddr = text.parse().map_err(|_| bad("is not an IP address"))?;
    if address.is_loopback() || address.is_multicast() {
        return Err(bad("cannot be the source of packets"));
    }
    let direct = LoadBalancerFlags::ENABLE_DIRECT_SERVER_RETURN.0;
    let is_direct = document.flags.is_some_and(|flags| flags.0 & direct != 0);
    Ok(Some(address).filter(|address| !is_direct && !address.is_unspecified()))
}

/// Who keeps the destination must know which it is, and do it itself.
fn refuse_keeping(
    state: &State,
    endpoints: &[Guid],
    vip: Option<IpAddr>,
    path: &str,
) -> Result<(), Failure> {
    let refuse = |why: String| {
        let path = alloc::format!("{path}.Flags");
        Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at(path))
    };
    if vip.is_none() {
        return refuse("only the address of a frontend VIP can be preserved".into());
    }
    let remote = |id: &&Guid| state.endpoints.get(**id).is_some_and(|e| e.remote.is_some());
    match endpoints.iter().find(remote) {
        Some(id) => refuse(alloc::format!(
            "endpoint {id} lives on another host, which would not know what is preserved"
        )),
        None => Ok(()),
    }
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
        // By client and protocol, or by client alone: the client's address decides in both, and on all ports of the load
        // balancer alike, so that a client has one backend also for several protocols.
        1 | 2 => Affinity::Client,
        other => {
            let why = alloc::format!("{other} is not a distribution type (0, 1 or 2)");
            return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why).at(at("DistributionType")));
        }
    };
    let flags = mapping.flags.map_or(0, |flags| flags.0);
    let audience = match (flags & INTERNAL != 0, flags & LOCAL != 0) {
        (false, _) => Audience::Everybody,
        (true, false) => Audience::Inside,
        (true, true) => Audience::InsideAndHost,
    };
    let kept = flags & PRESERVE != 0;
    let frontend = (family, vip, protocol, external);
    Ok(Balanced { frontend, internal, affinity, audience, kept })
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
            shorter.endpoints.iter().map(Guid::to_string).collect();
        draft.changes.retain(|change| change.subject() != (Kind::LoadBalancer, id));
        if shorter.endpoints.is_empty() {
            draft.changes.push(Change::Delete(Kind::LoadBalancer, id));
        } else {
            draft.put(Object::LoadBalancer(shorter.into()));
        }
    }
    Ok(())
}
