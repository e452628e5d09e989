//! Endpoints: HcnCreateEndpoint, HcnModifyEndpoint, HcnDeleteEndpoint, statistics (hcn.md 2.8-2.11, 3.4, 3.5).
//!
//! ```text
//!   create ──► Created ──attach──► Attached (alone) / AttachedSharing (with others)
//!                 ▲                    │
//!              Detached ◄───detach─────┘        delete is possible in every state
//! ```
//! An endpoint has nothing in the kernel until it is attached to a namespace (see `attach`): what it was promised (address,
//! MAC, published ports) is held by the state.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{
    EndpointFlags, EndpointResourceType, Failure, Guid, HResult, HostComputeEndpoint, IpConfig,
    ModifyEndpointSettingRequest, ModifyRequestType, PolicyEndpointRequest, Route, Version,
};
use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::decide::{Draft, Look};
use crate::mac::Mac;
use crate::network::namespace::HOST_DEFAULT;
use crate::network::network::{Mode, Network, unsupported_modification};
use crate::network::policy::acl::Ruled;
use crate::network::policy::outbound_nat::{self, Ports};
use crate::network::policy::{self, Policies};
use crate::network::remote::{self, Remote};
use crate::network::sdn_route::{self, Hop};
use crate::network::{attach, detour, dns, ipam, load_balancer, macs, station, subnet, vlan};
use crate::object::{Change, Chosen, Kind, Object, Parts};
use crate::plan::PortRoute;
use crate::request::{EventKind, Reply};
use crate::state::State;

/// An endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub id: Guid,
    /// As clients see it, filled in; the namespace and the state follow from the attachment.
    pub document: HostComputeEndpoint,
    pub(crate) sequence: u64,
    pub network: Guid,
    pub addresses: Vec<IpNet>,
    pub mac: Mac,
    pub routes: Vec<PortRoute>,
    pub policies: Policies,
    pub attachment: Option<Attachment>,
    /// Whether it was attached before: Detached rather than Created.
    pub(crate) detached: bool,
    /// Its policies want the host between it and the wire of its Transparent network.
    pub(crate) guided: bool,
    /// It lives on another host.
    pub remote: Option<Remote>,
    /// The numbers of the ways that its own routes name.
    pub(crate) hops: BTreeMap<Hop, u32>,
    /// The host's ports that its translated connections use, where a policy limits them.
    pub(crate) nat_ports: Option<Ports>,
}

/// Where an endpoint is plugged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub namespace: Guid,
    pub(crate) sequence: u64,
    /// Index of the host end; the shaper has the next one.
    pub(crate) interface: u32,
    /// Which `ethN` it is inside.
    pub(crate) slot: u32,
}

/// HCN endpoint states (hcn.md 2.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum EndpointState {
    Created = 1,
    Attached = 2,
    AttachedSharing = 3,
    Detached = 4,
}

impl Endpoint {
    /// The endpoint's state; sharing means that the namespace holds several endpoints.
    pub fn state(&self, state: &State) -> EndpointState {
        match &self.attachment {
            Some(attachment) if state.attached(attachment.namespace).nth(1).is_some() => {
                EndpointState::AttachedSharing
            }
            Some(_) => EndpointState::Attached,
            None if self.detached => EndpointState::Detached,
            None => EndpointState::Created,
        }
    }

    /// As it is in no namespace any more.
    pub(crate) fn detached(&self, state: &State) -> Self {
        let network = state.networks.get(self.network);
        let guided =
            network.is_some_and(|it| station::wants_guidance(state, &self.policies, it, None));
        Self { attachment: None, detached: true, guided, ..self.clone() }
    }

    /// Whether other endpoints are out of its reach (DisableInterComputeCommunication).
    pub fn isolated(&self) -> bool {
        self.has_flag(ISOLATED)
    }

    /// The first and the last of the host's ports that its translated connections use, where a policy limits them.
    pub fn nat_ports(&self) -> Option<Ports> {
        self.nat_ports
    }

    /// With whom it shares chains of access rules, as long as it has an interface here.
    pub(crate) fn ruled(&self) -> Option<Ruled> {
        let here = self.attachment.is_some() && self.remote.is_none();
        here.then(|| self.policies.access.shared(self.network))
    }

    /// Whether its document has a flag.
    pub(crate) fn has_flag(&self, flag: u32) -> bool {
        self.document.flags.is_some_and(|flags| flags.0 & flag != 0)
    }

    /// Whether it is remote in name only: nothing leads to it. Consumers make such for virtual IPs.
    pub(crate) fn is_stand_in(&self, state: &State) -> bool {
        let overlay = state.networks.get(self.network).and_then(|network| network.overlay.as_ref());
        self.remote.as_ref().is_some_and(|remote| {
            overlay.is_none_or(|overlay| remote.provider == Some(overlay.provider))
        })
    }

    /// The document with what follows from the state.
    pub fn describe(&self, state: &State) -> HostComputeEndpoint {
        let mut document = self.document.clone();
        document.host_compute_namespace = self.attachment.as_ref().map(|a| a.namespace);
        document.base.state = Some(self.state(state) as u16);
        document
    }

    pub(crate) fn chosen(&self) -> Map<String, Value> {
        let mut chosen = Map::new();
        chosen.insert("Sequence".into(), self.sequence.into());
        if self.detached {
            chosen.insert("Detached".into(), true.into());
        }
        if !self.hops.is_empty() {
            chosen.insert("Hops".into(), detour::written(&self.hops));
        }
        if let Some((first, last)) = self.nat_ports {
            chosen.insert("FirstNatPort".into(), first.into());
            chosen.insert("LastNatPort".into(), last.into());
        }
        if let Some(attachment) = &self.attachment {
            chosen.insert("Namespace".into(), attachment.namespace.to_string().into());
            chosen.insert("AttachSequence".into(), attachment.sequence.into());
            chosen.insert("Interface".into(), attachment.interface.into());
            chosen.insert("Slot".into(), attachment.slot.into());
        }
        chosen
    }

    pub(crate) fn revive(state: &State, id: Guid, parts: Parts) -> Result<Endpoint, Failure> {
        let document: HostComputeEndpoint =
            hostcompute_schema::parse_value(&parts.document, "")?.document;
        let network = state.network(document.host_compute_network.unwrap_or_default())?;
        let chosen = parts.chosen;
        let attachment = chosen.guid("Namespace").map(|namespace| Attachment {
            namespace,
            sequence: chosen.number("AttachSequence").unwrap_or_default(),
            interface: chosen.small("Interface").unwrap_or_default(),
            slot: chosen.small("Slot").unwrap_or_default(),
        });
        let addresses = addresses(&document)?;
        let policies = policy::read(&document.policies, network, &addresses)?;
        let guided = station::wants_guidance(state, &policies, network, attachment.as_ref());
        let remote = match is_remote(&document) {
            true => Some(remote::read(&document.policies, &policies, network)?),
            false => None,
        };
        let routes = match remote {
            Some(_) => Vec::new(),
            // Who the host was when it was made is of no importance any more.
            None => routes(&document.routes, network, &addresses, &|_| true)?,
        };
        Ok(Endpoint {
            id,
            sequence: chosen.number("Sequence").unwrap_or_default(),
            network: network.id,
            mac: mac(&document)?,
            routes,
            policies,
            addresses,
            attachment,
            detached: chosen.0.contains_key("Detached"),
            guided,
            document,
            remote,
            hops: detour::revive(&chosen),
            nat_ports: nat_ports(&chosen),
        })
    }
}

fn nat_ports(chosen: &Chosen) -> Option<Ports> {
    let port = |name| chosen.number(name).and_then(|number| u16::try_from(number).ok());
    port("FirstNatPort").zip(port("LastNatPort"))
}

const ISOLATED: u32 = EndpointFlags::DISABLE_INTER_COMPUTE_COMMUNICATION.0;
/// EnableLowInterfaceMetric: its routes are preferred to those of the namespace's other endpoints.
pub(crate) const LOW_METRIC: u32 = EndpointFlags::ENABLE_LOW_INTERFACE_METRIC.0;
/// OverrideDNSServerOrder: its name servers are asked first.
pub(crate) const FIRST_RESOLVER: u32 = EndpointFlags::OVERRIDE_DNS_SERVER_ORDER.0;
const REMOTE: u32 = EndpointFlags::REMOTE_ENDPOINT.0;

fn is_remote(document: &HostComputeEndpoint) -> bool {
    document.flags.is_some_and(|flags| flags.0 & REMOTE != 0)
}

fn addresses(document: &HostComputeEndpoint) -> Result<Vec<IpNet>, Failure> {
    let parse = |config: &IpConfig| {
        let address = config.ip_address.as_deref().and_then(|text| text.parse().ok())?;
        IpNet::new(address, config.prefix_length?).ok()
    };
    document.ip_configurations.iter().map(parse).collect::<Option<_>>().ok_or_else(|| {
        Failure::new(HResult::HCN_E_INVALID_IP, "an address cannot be read").at("IpConfigurations")
    })
}

fn mac(document: &HostComputeEndpoint) -> Result<Mac, Failure> {
    let text = document.mac_address.as_deref().unwrap_or_default();
    let refuse = |why: String| {
        Failure::new(HResult::HCN_E_INVALID_ENDPOINT, alloc::format!("'{text}': {why}"))
            .at("MacAddress")
    };
    let mac: Mac = text.parse().map_err(|why: crate::mac::MacSyntax| refuse(why.to_string()))?;
    if mac.is_group() || mac == Mac::default() {
        return Err(refuse("not an address that an interface can have".into()));
    }
    Ok(mac)
}

/// HcnCreateEndpoint.
pub(crate) fn create(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let mut document: HostComputeEndpoint = draft.settings(hostcompute_schema::parse_endpoint)?;
    let id = draft.new_id(Kind::Endpoint, document.base.id)?;
    let named = draft.request.network.or(document.host_compute_network).filter(|id| !id.is_zero());
    let Some(network) = named else {
        return Err(Failure::new(
            HResult::E_INVALIDARG,
            "the endpoint does not say which network it is on",
        )
        .at("HostComputeNetwork"));
    };
    let network = draft.state.network(network).map_err(|f| f.at("HostComputeNetwork"))?.clone();
    refuse_flags(&document, &network)?;
    document.base.id = Some(id);
    document.host_compute_network = Some(network.id);
    document.host_compute_namespace = None;
    document.base.name.get_or_insert_with(|| "Ethernet".into());
    document.base.schema_version.get_or_insert(Version::new(2, 0));
    dns::check(document.dns.as_ref(), HResult::HCN_E_INVALID_ENDPOINT)?;
    if document.dns.is_none() {
        document.dns = network.document.dns.clone();
    }
    let elsewhere = is_remote(&document);
    let addresses = match elsewhere {
        true => remote::addresses(draft.state, &network, &document.ip_configurations)?,
        false => ipam::choose(draft.state, &network, &document.ip_configurations)?,
    };
    document.ip_configurations = configurations(&document.ip_configurations, &addresses);
    if document.mac_address.as_deref().is_none_or(str::is_empty) {
        let salt = (draft.context.random)();
        let mac = macs::choose(draft.state, network.id, &network.macs, salt)?;
        document.mac_address = Some(mac.to_string());
    }
    let mac = mac(&document)?;
    if document.routes.is_empty() && !elsewhere {
        document.routes = default_routes(&network, &addresses);
    }
    let routes = match elsewhere {
        true => Vec::new(),
        false => {
            let is_host = |hop| is_host(draft.state, &network, hop);
            routes(&document.routes, &network, &addresses, &is_host)?
        }
    };
    let policies =
        policy::prepare(draft, &mut document.policies, "Policies", &network, &addresses)?;
    let remote = match elsewhere {
        true => Some(remote::read(&document.policies, &policies, &network)?),
        false => None,
    };
    match &remote {
        Some(remote) => remote::check(draft, &network, remote, &addresses, mac)?,
        None => remote::check_local(&policies, &network)?,
    }
    let guided = station::wants_guidance(draft.state, &policies, &network, None);
    if guided || network.guides() {
        station::check_guided(&network, &addresses, &routes)?;
        vlan::check_guided(&network, &policies)?;
    }
    policy::port_mapping::reserve(draft, id, &policies, "Policies")?;
    let hops = hops(draft, (&network, &routes), &policies, "Policies")?;
    let nat_ports = outbound_nat::allot(draft.state, None, &policies.outbound_nat)
        .map_err(|failure| failure.at("Policies"))?;
    let sequence = draft.next_sequence();
    let endpoint = Endpoint {
        id,
        document,
        sequence,
        network: network.id,
        addresses,
        mac,
        routes,
        policies,
        attachment: None,
        detached: false,
        guided,
        remote,
        hops,
        nat_ports,
    };
    draft.put(Object::Endpoint(endpoint.into()));
    draft.created(id);
    Ok(())
}

/// The numbers of the ways that the endpoint's own routes name.
fn hops(
    draft: &Draft<'_, '_>,
    (network, routes): (&Network, &[PortRoute]),
    policies: &Policies,
    path: &str,
) -> Result<BTreeMap<Hop, u32>, Failure> {
    let mut entries = policies.detours.clone();
    entries.extend(detour::by_host(network, routes));
    detour::refuse_inner_hops(draft.state, &entries)
        .and_then(|()| detour::numbers(draft.state, &entries))
        .map_err(|failure| failure.at(path))
}

/// Whether an address on a bridged network is this host: its own at the adapter, or one that it has been given by an endpoint.
fn is_host(state: &State, network: &Network, hop: IpAddr) -> bool {
    let mut own = state.attached(HOST_DEFAULT).filter(|endpoint| endpoint.network == network.id);
    let at_wire = network.wire.as_ref().is_some_and(|wire| wire.taken.contains(&hop));
    at_wire || own.any(|endpoint| endpoint.addresses.iter().any(|own| own.addr() == hop))
}

fn refuse_flags(document: &HostComputeEndpoint, network: &Network) -> Result<(), Failure> {
    let flags = document.flags.map_or(0, |flags| flags.0);
    let tunnelled = network.wire.as_ref().is_some_and(|wire| wire.tunnel);
    let known = match remote::is_possible(network) {
        // The gateway would bring the packets of neighbours back.
        true if tunnelled => REMOTE,
        true => ISOLATED | REMOTE,
        false => ISOLATED,
    };
    let known = known | LOW_METRIC | FIRST_RESOLVER;
    if flags & !known == 0 {
        return Ok(());
    }
    let which = EndpointFlags(flags & !known);
    let why = alloc::format!("endpoint flags {which} are not supported on this network type");
    Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("Flags"))
}

/// The entries of the document, filled in; without any, one for each address.
fn configurations(asked: &[IpConfig], addresses: &[IpNet]) -> Vec<IpConfig> {
    let fill = |(i, address): (usize, &IpNet)| IpConfig {
        ip_address: Some(address.addr().to_string()),
        prefix_length: Some(address.prefix_len()),
        ..asked.get(i).cloned().unwrap_or_default()
    };
    addresses.iter().enumerate().map(fill).collect()
}

/// The routes of the subnets that the addresses are in.
fn default_routes(network: &Network, addresses: &[IpNet]) -> Vec<Route> {
    let subnets = network.document.ipams.iter().flat_map(|ipam| &ipam.subnets);
    let own = subnets.filter(|subnet| {
        let prefix =
            subnet.ip_address_prefix.as_deref().and_then(|text| text.parse::<IpNet>().ok());
        prefix
            .is_some_and(|prefix| addresses.iter().any(|address| prefix.contains(&address.addr())))
    });
    own.flat_map(|subnet| subnet.routes.iter().cloned()).collect()
}

/// What the document's routes mean inside the namespace.
///
/// Ports are routed, so the only way out of the namespace is the network's gateway: another endpoint as next hop
/// would be passed by, and is refused. On L2Bridge networks, whose gateway is another machine, the host can be the next hop, too.
fn routes(
    documents: &[Route],
    network: &Network,
    addresses: &[IpNet],
    is_host: &dyn Fn(IpAddr) -> bool,
) -> Result<Vec<PortRoute>, Failure> {
    let mut routes = Vec::new();
    for (i, document) in documents.iter().enumerate() {
        let path = alloc::format!("Routes[{i}]");
        let (destination, next_hop) = subnet::read_route(document, &path)?;
        let is_known = |hop: &IpAddr| match network.mode {
            // Whoever is on the wire.
            Mode::Transparent => network.subnets.iter().any(|s| s.prefix.contains(hop)),
            _ => network.routes_through(hop) || detour::is_possible(network) && is_host(*hop),
        };
        if let Some(hop) = next_hop.filter(|hop| !is_known(hop)) {
            let why = alloc::format!("the next hop {hop} is not the gateway of the network");
            return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
                .at(alloc::format!("{path}.NextHop"))
                .hint("on this network type, routes go through the gateway"));
        }
        let same_family =
            |address: &IpNet| address.addr().is_ipv4() == destination.addr().is_ipv4();
        // Consumers send an IPv6 default route for IPv4-only endpoints (hcn.md 5.5); it has no effect there.
        if addresses.iter().any(same_family) {
            let metric = u32::from(document.metric.unwrap_or_default());
            routes.push(PortRoute { destination, next_hop, metric });
        }
    }
    Ok(routes)
}

/// HcnModifyEndpoint.
pub(crate) fn modify(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let id = draft.target()?;
    let endpoint = draft.state.endpoint(id)?.clone();
    let request: ModifyEndpointSettingRequest = draft.settings(hostcompute_schema::parse)?;
    use {EndpointResourceType as Resource, ModifyRequestType as Kind};
    match (&request.resource_type, &request.request_type) {
        (Some(Resource::Policy), Some(kind @ (Kind::Add | Kind::Update | Kind::Remove))) => {
            let settings = request.settings.clone().unwrap_or(Value::Object(Map::new()));
            let asked: PolicyEndpointRequest = draft.part(&settings, "Settings")?;
            change_policies(draft, &endpoint, kind, asked)
        }
        (Some(Resource::Policy), Some(Kind::Refresh)) => Ok(()),
        (Some(Resource::Port), Some(Kind::Refresh)) if endpoint.attachment.is_some() => Ok(()),
        (Some(Resource::Port), Some(Kind::Refresh)) => Err(Failure::new(
            HResult::HCN_E_ENDPOINT_NOT_ATTACHED,
            "the endpoint is in no namespace",
        )),
        (resource, kind) => Err(unsupported_modification(
            "endpoint",
            resource.as_ref().map(|resource| resource.name()),
            kind.as_ref().map(|kind| kind.name()),
        )),
    }
}

fn change_policies(
    draft: &mut Draft<'_, '_>,
    endpoint: &Endpoint,
    kind: &ModifyRequestType,
    asked: PolicyEndpointRequest,
) -> Result<(), Failure> {
    let network = draft.state.network(endpoint.network)?.clone();
    let mut document = endpoint.document.clone();
    document.policies = policy::change::combine(&document.policies, kind, asked.policies)?;
    let addresses = &endpoint.addresses;
    let policies =
        policy::prepare(draft, &mut document.policies, "Settings.Policies", &network, addresses)?;
    policy::port_mapping::reserve(draft, endpoint.id, &policies, "Settings.Policies")?;
    let remote = match &endpoint.remote {
        Some(_) => Some(remote::read(&document.policies, &policies, &network)?),
        None => None,
    };
    match &remote {
        Some(remote) => remote::check(draft, &network, remote, addresses, endpoint.mac)?,
        None => remote::check_local(&policies, &network)?,
    }
    let hops = hops(draft, (&network, &endpoint.routes), &policies, "Settings.Policies")?;
    let nat_ports = outbound_nat::allot(draft.state, endpoint.nat_ports, &policies.outbound_nat)
        .map_err(|failure| failure.at("Settings.Policies"))?;
    let attachment = endpoint.attachment.as_ref();
    let guided = station::wants_guidance(draft.state, &policies, &network, attachment);
    let changed =
        Endpoint { document, policies, remote, hops, guided, nat_ports, ..endpoint.clone() };
    station::check_endpoint(draft.state, &network, endpoint, &changed)?;
    if let Some(attachment) = &changed.attachment {
        attach::permitted(draft.state, &changed, attachment.namespace)?;
    }
    draft.put(Object::Endpoint(changed.into()));
    Ok(())
}

/// HcnDeleteEndpoint: detaches first where needed (hcn.md rule 16).
pub(crate) fn delete(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let id = draft.target()?;
    remove(draft, id)
}

/// Takes an endpoint out of everything that refers to it, and away.
pub(crate) fn remove(draft: &mut Draft<'_, '_>, id: Guid) -> Result<(), Failure> {
    let endpoint = draft.state.endpoint(id)?.clone();
    if endpoint.attachment.is_some() {
        draft.port_event(EventKind::NetworkEndpointDetached, &endpoint);
    }
    load_balancer::forget_endpoint(draft, id)?;
    sdn_route::forget_endpoint(draft, id);
    draft.changes.push(Change::Delete(Kind::Endpoint, id));
    Ok(())
}

/// HcnQueryEndpointStats.
pub(crate) fn statistics(look: &Look<'_>) -> Result<Reply, Failure> {
    let id = look.target()?;
    let endpoint = look.state.endpoint(id)?;
    if endpoint.remote.is_some() {
        let why = alloc::format!("endpoint {id} lives on another host, which counts its packets");
        return Err(Failure::new(HResult::HCN_E_ENDPOINT_NOT_LOCAL, why));
    }
    Ok(Reply::Statistics { endpoint: id, meter: attach::meter(look.state, endpoint) })
}

impl Endpoint {
    /// Whether its own policies open a way out by IPv4, whatever its network has.
    pub(crate) fn leaves(&self) -> bool {
        let v4 = || self.addresses.iter().any(|address| address.addr().is_ipv4());
        (self.policies.outbound_nat.stated || self.guided) && v4()
    }

    /// Whether the host forwards IPv6 because of it.
    pub(crate) fn leaves6(&self) -> bool {
        self.guided && self.addresses.iter().any(|address| address.addr().is_ipv6())
    }
}

/// HcnQueryEndpointAddresses: the addresses that the endpoint has at the moment, which are none while it is in no namespace. Nobody
/// has described the document; its members are named as in others.
pub(crate) fn present_addresses(look: &mut Look<'_>) -> Result<Reply, Failure> {
    let id = look.target()?;
    look.query()?;
    let endpoint = look.state.endpoint(id)?;
    let present = if endpoint.attachment.is_some() { &*endpoint.addresses } else { &[] };
    let addresses: Vec<Value> = present
        .iter()
        .map(|net| {
            let mut address = Map::new();
            address.insert("IpAddress".into(), net.addr().to_string().into());
            address.insert("PrefixLength".into(), net.prefix_len().into());
            Value::Object(address)
        })
        .collect();
    let mut document = Map::new();
    document.insert("EndpointId".into(), id.to_string().into());
    document.insert("IpConfigurations".into(), addresses.into());
    Ok(Reply::Document(Value::Object(document)))
}

/// Private networks have no host: nothing of theirs is published there.
pub(crate) fn publishes(network: &Network) -> bool {
    network.mode.publishes()
}
