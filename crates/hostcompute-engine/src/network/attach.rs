//! Attaching endpoints to namespaces, and what an attached endpoint is made of in the kernel (hcn.md 2.16, 3.6).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hostcompute_schema::{Failure, Guid, HResult};
use ipnet::IpNet;

use crate::decide::Draft;
use crate::network::endpoint::{Attachment, Endpoint, FIRST_RESOLVER, LOW_METRIC};
use crate::network::namespace::HOST_DEFAULT;
use crate::network::network::{Mode, Network};
use crate::network::policy;
use crate::network::station;
use crate::network::subnet::Subnet;
use crate::network::{detour, overlay, sdn_route};
use crate::object::Object;
use crate::plan::{
    Diversion, Element, Fact, Family, FarEnd, HostAddress, INNER_INDEX, Lane, Meter, Port,
    PortRoute, Proxy, Shaper, host_end, tap,
};
use crate::request::EventKind;
use crate::state::State;

/// Where packets of networks without a gateway go: the host end of the port, which forwards within the network only.
const NEXT_HOP4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));
const NEXT_HOP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));

/// Puts an endpoint into a namespace.
///
/// # Errors
/// HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS when it is in one; HCN_E_REQUEST_UNSUPPORTED when the namespace cannot give
/// what the endpoint's policies promise.
pub(crate) fn attach(draft: &mut Draft<'_, '_>, id: Guid, namespace: Guid) -> Result<(), Failure> {
    let endpoint = draft.state.endpoint(id).map_err(|f| f.at("Settings.EndpointId"))?.clone();
    if let Some(attachment) = &endpoint.attachment {
        let why = alloc::format!("endpoint {id} is in namespace {} already", attachment.namespace);
        return Err(Failure::new(HResult::HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS, why)
            .at("Settings.EndpointId")
            .hint("remove it there first"));
    }
    if endpoint.remote.is_some() {
        let why = alloc::format!("endpoint {id} lives on another host");
        return Err(Failure::new(HResult::HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION, why)
            .at("Settings.EndpointId"));
    }
    if namespace == HOST_DEFAULT && draft.state.network(endpoint.network)?.mode == Mode::Transparent
    {
        let why = "an endpoint of a Transparent network has an interface of its own, which HostDefault cannot give it";
        return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("Settings.EndpointId"));
    }
    permitted(draft.state, &endpoint, namespace)?;
    let guided = station::is_guided_in(draft.state, &endpoint, namespace)?;
    if namespace == HOST_DEFAULT && draft.state.routes_of(id).next().is_some() {
        return Err(sdn_route::on_host());
    }
    let slot = free_slot(draft.state, &endpoint, namespace);
    if slot != 0 && namespace != HOST_DEFAULT && endpoint.has_flag(LOW_METRIC) {
        let why = "another endpoint of the namespace has the lowest metric";
        return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
            .at("Settings.EndpointId")
            .hint("attach the endpoint with EnableLowInterfaceMetric first"));
    }
    let sequence = draft.next_sequence();
    let network = draft.state.network(endpoint.network)?;
    let has_port = network.mode != Mode::Transparent || guided || network.guides();
    let inside = !is_guests(draft.state, namespace);
    let alone = inside
        && has_port
        && namespace != HOST_DEFAULT
        && draft.state.attached(namespace).next().is_none();
    let interface = if alone { draft.first_interface(namespace) } else { draft.next_interface() };
    let attachment = Some(Attachment { namespace, sequence, interface, slot });
    draft.put(Object::Endpoint(Endpoint { attachment, guided, ..(*endpoint).clone() }.into()));
    draft.port_event(EventKind::NetworkEndpointAttached, &endpoint);
    Ok(())
}

/// The device that caps an endpoint has the index after that of its host end.
fn shaper_index(interface: u32) -> u32 {
    interface + 1
}

/// The first `ethN` of the namespace that is free and whose routes differ from those of the endpoints already there.
///
/// The slot is part of every metric, so that two endpoints of one network can share a namespace: the kernel refuses a
/// second route of the same destination and metric, and the endpoint attached first is preferred.
fn free_slot(state: &State, endpoint: &Endpoint, namespace: Guid) -> u32 {
    let residents: Vec<&Endpoint> = state.attached(namespace).map(|other| &**other).collect();
    let used = |slot: u32| {
        residents.iter().any(|other| other.attachment.as_ref().is_some_and(|a| a.slot == slot))
    };
    let inside = |other: &&Endpoint| Some(routes_at(state, other, other.attachment.as_ref()?));
    let routes: Vec<PortRoute> = residents.iter().filter_map(inside).flatten().collect();
    let crosses = |slot: u32| {
        let attachment = Attachment { namespace, sequence: 0, interface: 0, slot };
        let wanted = routes_at(state, endpoint, &attachment);
        wanted.into_iter().any(|route| routes.iter().any(|other| rivals(other, &route)))
    };
    (0..)
        .find(|slot| !used(*slot) && (residents.is_empty() || !crosses(*slot)))
        .expect("a namespace has fewer than 2^32 endpoints")
}

fn routes_at(state: &State, endpoint: &Endpoint, attachment: &Attachment) -> Vec<PortRoute> {
    let port = port_at(state, endpoint, attachment).map(|port| port.routes);
    let station = || station::station_at(state, endpoint, attachment).map(|s| s.routes);
    port.or_else(station).unwrap_or_default()
}

/// Where the traffic of an attached endpoint is counted.
pub fn meter(state: &State, endpoint: &Endpoint) -> Option<Meter> {
    let port = port(state, endpoint).map(|port| port.meter());
    port.or_else(|| station::station(state, endpoint).map(|station| station.meter()))
}

/// Takes an endpoint out of its namespace.
pub(crate) fn detach(draft: &mut Draft<'_, '_>, endpoint: &Endpoint) {
    let detached = endpoint.detached(draft.state);
    draft.put(Object::Endpoint(detached.into()));
    draft.port_event(EventKind::NetworkEndpointDetached, endpoint);
}

/// Whether a namespace is inside of a virtual machine.
pub(crate) fn is_guests(state: &State, namespace: Guid) -> bool {
    state.namespaces.get(namespace).is_some_and(|namespace| namespace.is_guests())
}

/// Whether the namespace can carry out the endpoint's policies.
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED: in HostDefault an endpoint is an address of the host, not an interface of its own; what is inside of a
/// machine is out of the host's reach.
pub(crate) fn permitted(
    state: &State,
    endpoint: &Endpoint,
    namespace: Guid,
) -> Result<(), Failure> {
    let guests = is_guests(state, namespace);
    if guests {
        return permitted_to_machine(endpoint);
    }
    if namespace != HOST_DEFAULT {
        return Ok(());
    }
    let policies = &endpoint.policies;
    let promised = match () {
        () if policies.bytes_per_second.is_some() => "QOS",
        () if policies.mtu.is_some() => "InterfaceParameters or EncapOverhead",
        () if endpoint.has_flag(LOW_METRIC | FIRST_RESOLVER) => {
            "EnableLowInterfaceMetric or OverrideDNSServerOrder (a flag)"
        }
        () if policies.port_name.is_some() => "PortName",
        () if !policies.detours.is_empty() => "SDNRoute",
        () if !policies.sidecars.is_empty() => "L4WFPPROXY",
        () => return Ok(()),
    };
    let why = alloc::format!(
        "in namespace HostDefault an endpoint is an address of the host without an interface of its own, \
         so policy {promised} cannot be carried out"
    );
    Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why))
}

fn permitted_to_machine(endpoint: &Endpoint) -> Result<(), Failure> {
    let promised = match () {
        () if endpoint.has_flag(LOW_METRIC | FIRST_RESOLVER) => {
            "EnableLowInterfaceMetric or OverrideDNSServerOrder (a flag)"
        }
        () if !endpoint.policies.sidecars.is_empty() => "L4WFPPROXY",
        () => return Ok(()),
    };
    let why = alloc::format!(
        "what is inside of a virtual machine is out of this host's reach, so policy {promised} cannot be carried out"
    );
    Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why))
}

/// The port of an endpoint that is attached to a namespace other than HostDefault.
pub fn port(state: &State, endpoint: &Endpoint) -> Option<Port> {
    port_at(state, endpoint, endpoint.attachment.as_ref()?)
}

fn port_at(state: &State, endpoint: &Endpoint, attachment: &Attachment) -> Option<Port> {
    if attachment.namespace == HOST_DEFAULT {
        return None;
    }
    let network = state.networks.get(endpoint.network)?;
    if network.mode == Mode::Transparent && !station::is_guided(network, endpoint) {
        return None;
    }
    let (gateways, routes) = ways_out(network, endpoint, attachment.slot);
    let (far, name) = match is_guests(state, attachment.namespace) {
        true => (FarEnd::Machine, tap(endpoint.id)),
        false => (FarEnd::Namespace, host_end(attachment.interface)),
    };
    Some(Port {
        endpoint: endpoint.id,
        netns: attachment.namespace,
        far,
        name,
        index: attachment.interface,
        alias: endpoint.policies.port_name.clone().unwrap_or_default(),
        inner_name: alloc::format!("eth{}", attachment.slot),
        inner_index: INNER_INDEX + attachment.slot,
        mac: endpoint.mac,
        mtu: endpoint.policies.mtu(network.mtu),
        addresses: endpoint.addresses.clone(),
        gateways,
        routes,
        prefer: match network.mode.owns_gateways() {
            true => prefer(network, &endpoint.addresses),
            false => Vec::new(),
        },
    })
}

/// The next hops inside the namespace, and the routes through them.
fn ways_out(network: &Network, endpoint: &Endpoint, slot: u32) -> (Vec<IpAddr>, Vec<PortRoute>) {
    let mut gateways = Vec::new();
    let mut routes: Vec<PortRoute> = Vec::new();
    for address in &endpoint.addresses {
        let own = network.subnets.iter().find(|subnet| subnet.prefix.contains(&address.addr()));
        let stand_in = if address.addr().is_ipv4() { NEXT_HOP4 } else { NEXT_HOP6 };
        let gateway = own.and_then(|subnet| subnet.gateway).unwrap_or(stand_in);
        if !gateways.contains(&gateway) {
            gateways.push(gateway);
        }
        // The first interface's default route through the gateway covers the network itself, too.
        let covered = slot == 0
            && endpoint.routes.iter().any(|route| {
                route.destination.prefix_len() == 0 && route.next_hop == Some(gateway)
            });
        let family = |subnet: &&Subnet| subnet.prefix.addr().is_ipv4() == gateway.is_ipv4();
        for subnet in network.subnets.iter().filter(family).filter(|_| !covered) {
            let (destination, next_hop) = (subnet.prefix, Some(gateway));
            add_route(&mut routes, PortRoute { destination, next_hop, metric: 0 });
        }
    }
    for route in &endpoint.routes {
        if let Some(hop) = route.next_hop.filter(|hop| !gateways.contains(hop)) {
            gateways.push(hop);
        }
        add_route(&mut routes, route.clone());
    }
    for route in &mut routes {
        route.metric = metric_at(route, slot);
    }
    (gateways, routes)
}

/// The metric of a route at a slot: each has its own, so that the same route can be there several times.
pub(crate) fn metric_at(route: &PortRoute, slot: u32) -> u32 {
    let default = if route.destination.addr().is_ipv4() { 0 } else { DEFAULT_METRIC6 };
    match (slot, route.metric) {
        (0, metric) => metric,
        (slot, 0) => default + slot,
        (slot, metric) => metric + slot,
    }
}

/// What the kernel makes of metric 0 for IPv6.
const DEFAULT_METRIC6: u32 = 1024;

/// Every next hop of a port is the host end, so a second route to the same destination adds nothing.
fn add_route(routes: &mut Vec<PortRoute>, route: PortRoute) {
    if !routes.iter().any(|other| rivals(other, &route)) {
        routes.push(route);
    }
}

/// Whether the kernel takes two routes for one.
fn rivals(a: &PortRoute, b: &PortRoute) -> bool {
    a.destination == b.destination && a.metric == b.metric
}

/// The gateway of each family's own subnet.
fn prefer(network: &Network, addresses: &[IpNet]) -> Vec<IpAddr> {
    let mut prefer: Vec<IpAddr> = Vec::new();
    for address in addresses {
        let own = network.subnets.iter().find(|subnet| subnet.prefix.contains(&address.addr()));
        let Some(gateway) = own.and_then(|subnet| subnet.gateway) else { continue };
        if !prefer.iter().any(|other| other.is_ipv4() == gateway.is_ipv4()) {
            prefer.push(gateway);
        }
    }
    prefer
}

impl Endpoint {
    /// What the host has because of this endpoint: nothing while it is not attached.
    pub(crate) fn facts(&self, state: &State, facts: &mut Vec<Fact>) {
        if self.remote.is_some() {
            return overlay::remote_facts(state, self, facts);
        }
        let Some(attachment) = &self.attachment else { return };
        let Some(network) = state.networks.get(self.network) else { return };
        if let Some(station) = station::station(state, self) {
            facts.push(Fact::Station(station));
            return;
        }
        if let Some(port) = port(state, self) {
            self.port_facts(state, &port, facts);
            facts.extend(self.lease(network, &port).map(Fact::Lease));
            facts.extend(station::face(network, self, attachment).map(Fact::Face));
            for uplink in network.wire.iter().map(|wire| wire.out(network)) {
                let proxy = |address: &IpNet| Proxy {
                    endpoint: self.id,
                    uplink: uplink.clone(),
                    address: address.addr(),
                };
                facts.extend(self.addresses.iter().map(proxy).map(Fact::Proxy));
            }
        } else {
            for address in &self.addresses {
                facts.push(Fact::HostAddress(HostAddress {
                    endpoint: self.id,
                    device: network.anchor_name(),
                    index: network.interface,
                    address: address.addr(),
                }));
            }
        }
        for address in self.addresses.iter().map(IpNet::addr) {
            facts.push(Fact::Element(Element::Loop { address }));
            if self.isolated() {
                facts.push(Fact::Element(Element::Isolated { address }));
            }
        }
        self.name_facts(network, facts);
        self.policy_facts((state, network), attachment, facts);
    }

    /// A port may send as every endpoint of its namespace: which interface an answer leaves by is for the workload's
    /// routing to say, and the namespace owns all of these addresses.
    fn port_facts(&self, state: &State, port: &Port, facts: &mut Vec<Fact>) {
        facts.push(Fact::Port(port.clone()));
        let residents = state.attached(port.netns).flat_map(|resident| &resident.addresses);
        for address in residents {
            let (port, mac) = (port.name.clone(), self.mac);
            facts.push(Fact::Element(Element::Source { port, mac, address: address.addr() }));
        }
        if let Some(bytes_per_second) = self.policies.bytes_per_second {
            facts.push(Fact::Shaper(Shaper {
                port: port.name.clone(),
                name: alloc::format!("hv{:x}", port.index),
                index: shaper_index(port.index),
                bytes_per_second,
            }));
        }
        facts.extend(self.diversion(state, port).map(Fact::Diversion));
    }

    /// What leaves by this port and is capped: all of it by the endpoint's own cap, except what comes from the addresses of others in
    /// the namespace that have a cap.
    fn diversion(&self, state: &State, port: &Port) -> Option<Diversion> {
        let capped = state.attached(port.netns).filter_map(|resident| {
            resident.policies.bytes_per_second?;
            let Attachment { slot, interface, .. } = *resident.attachment.as_ref()?;
            let own = resident.id == self.id;
            let sources = match own {
                true => Vec::new(),
                false => resident.addresses.iter().map(IpNet::addr).collect(),
            };
            Some((own, Lane { place: slot, sources, shaper: shaper_index(interface) }))
        });
        let mut lanes: Vec<_> = capped.collect();
        lanes.sort();
        let lanes: Vec<Lane> = lanes.into_iter().map(|(_, lane)| lane).collect();
        let (name, index) = (port.name.clone(), port.index);
        (!lanes.is_empty()).then_some(Diversion { port: name, index, lanes })
    }

    fn policy_facts(
        &self,
        (state, network): (&State, &Network),
        attachment: &Attachment,
        facts: &mut Vec<Fact>,
    ) {
        for mapping in &self.policies.port_mappings {
            let to =
                self.addresses.iter().map(IpNet::addr).find(|a| a.is_ipv4() == mapping.is_ipv4());
            let Some(to) = to else { continue };
            facts.push(Fact::Element(Element::PortMapping {
                vip: mapping.vip,
                protocol: mapping.protocol,
                port: mapping.external,
                to: SocketAddr::new(to, mapping.internal),
            }));
        }
        for address in self.addresses.iter().map(IpNet::addr) {
            let kept = self.detour_facts((state, network), address, facts);
            self.policies.outbound_nat.facts(address, (&kept, self.nat_ports), facts);
            if network.mode == Mode::Internal {
                let admit =
                    |from: &IpNet| Fact::Element(Element::Admit { to: address, from: *from });
                facts.extend(kept.iter().map(admit));
            }
            if self.policies.outbound_nat.stated && network.mode != Mode::Nat {
                let subnet = IpNet::from(address);
                facts.push(Fact::Element(Element::Outbound { subnet }));
            }
        }
        let suffix = alloc::format!("{:x}", attachment.interface);
        self.policies.access.address_facts((state, network), &self.addresses, facts);
        policy::proxy::facts(state, network, self, &suffix, facts);
    }
}

impl Endpoint {
    /// The detours of what it sends from an address; returns the destinations for which it keeps that address.
    fn detour_facts(
        &self,
        (state, network): (&State, &Network),
        source: IpAddr,
        facts: &mut Vec<Fact>,
    ) -> Vec<IpNet> {
        let routes = state.routes_of(self.id).flat_map(|route| &route.entries);
        let by_host = detour::by_host(network, &self.routes);
        let entries = self.policies.detours.iter().chain(routes).chain(&by_host);
        let pieces = detour::disjoint(entries, Family::of(&source));
        let number = |hop: &detour::Hop| state.index.hops.get(hop).map(|(number, _)| *number);
        detour::steer(source, &pieces, number, facts);
        pieces.iter().filter(|(_, entry)| !entry.encapsulated).map(|(net, _)| *net).collect()
    }
}

/// The interface name inside the namespace, for people.
pub fn inner_name(endpoint: &Endpoint) -> Option<String> {
    let attachment = endpoint.attachment.as_ref().filter(|a| a.namespace != HOST_DEFAULT)?;
    Some(["eth", &attachment.slot.to_string()].concat())
}
