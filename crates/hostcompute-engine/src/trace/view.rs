//! The facts, asked one thing at a time: whom a map leads to, what a set holds, where a route goes.
//!
//! A trace asks a few dozen questions, so each looks through the list; nothing is kept between traces. Every fact and every
//! element is matched by name here, so that a new kind of either must be thought about.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use hostcompute_schema::Guid;
use ipnet::IpNet;

use super::Packet;
use crate::host::Surroundings;
use crate::plan::{
    AclChain, AclRule, Anchor, Direction, Element, End, Fact, Family, Port, PortRange, RemoteRoute,
    Service, SetMatch, Tunnel, Verdict,
};

/// What a host has, and what it had before us.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub facts: &'a [Fact],
    pub surroundings: &'a Surroundings,
}

/// The host's routing decision.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way<'a> {
    Local,
    Port(&'a Port),
    /// Behind a tunnel, at the host with this address.
    OtherHost(IpAddr),
    Outside,
    /// Outside, by the next hop of an SDN route.
    Detour(IpAddr),
    Nowhere,
}

/// The rule that refuses a packet; none: the end of the chain.
#[derive(Debug, Clone)]
pub(super) struct Denied {
    pub chain: alloc::string::String,
    pub rule: Option<Box<AclRule>>,
}

/// The sets in which an address, or a pair of addresses, may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    Outbound,
    Hidden,
    Apart,
    Published,
    Bridged,
    Isolated,
    NatLimited,
    Fenced,
    /// The address is an endpoint's of this host.
    Loop,
}

/// A chain may send a packet on to another this often before it is taken for a loop.
const DEEPEST: usize = 64;

impl<'a> View<'a> {
    fn elements(self) -> impl Iterator<Item = &'a Element> {
        self.facts.iter().filter_map(|fact| match fact {
            Fact::Element(element) => Some(element),
            _ => None,
        })
    }

    pub fn ports(self) -> impl Iterator<Item = &'a Port> {
        self.facts.iter().filter_map(|fact| match fact {
            Fact::Port(port) => Some(port),
            _ => None,
        })
    }

    fn anchors(self) -> impl Iterator<Item = &'a Anchor> {
        self.facts.iter().filter_map(|fact| match fact {
            Fact::Anchor(anchor) => Some(anchor),
            _ => None,
        })
    }

    fn tunnels(self) -> impl Iterator<Item = &'a Tunnel> {
        self.facts.iter().filter_map(|fact| match fact {
            Fact::Tunnel(tunnel) => Some(tunnel),
            _ => None,
        })
    }

    /// The local addresses of endpoints in the host's own namespace.
    fn host_addresses(self) -> impl Iterator<Item = (IpAddr, Guid)> + 'a {
        self.facts.iter().filter_map(|fact| match fact {
            Fact::HostAddress(host) => Some((host.address, host.endpoint)),
            _ => None,
        })
    }

    pub fn forwards(self, family: Family) -> bool {
        self.facts.contains(&Fact::Forwarding(family))
    }

    pub fn port_of(self, endpoint: Guid) -> Option<&'a Port> {
        self.ports().find(|port| port.endpoint == endpoint)
    }

    pub fn ports_in(self, netns: Guid) -> impl Iterator<Item = &'a Port> {
        self.ports().filter(move |port| port.netns == netns)
    }

    /// The attached endpoint of this host that has an address.
    pub fn owner(self, address: IpAddr) -> Option<Guid> {
        let port = self.ports().find(|port| holds(port, address)).map(|port| port.endpoint);
        port.or_else(|| self.on_host(address))
    }

    /// The endpoint in the host's own namespace that has an address.
    pub fn on_host(self, address: IpAddr) -> Option<Guid> {
        self.host_addresses().find(|(own, _)| *own == address).map(|(_, endpoint)| endpoint)
    }

    /// The address of an endpoint in the host's own namespace.
    pub fn host_address_of(self, endpoint: Guid, family: Family) -> Option<IpAddr> {
        let mut own = self.host_addresses();
        own.find(|(a, id)| *id == endpoint && Family::of(a) == family).map(|(a, _)| a)
    }

    /// The port by which a namespace sends to an address: the longest prefix, then the smallest metric.
    pub fn route_inside(self, netns: Guid, to: IpAddr) -> Option<&'a Port> {
        let mut best: Option<(u8, u32, &Port)> = None;
        for port in self.ports_in(netns) {
            let near = port.gateways.iter().map(|gateway| (IpNet::from(*gateway), 0));
            let far = port.routes.iter().map(|route| (route.destination, route.metric));
            for (net, metric) in near.chain(far).filter(|(net, _)| net.contains(&to)) {
                let better = best.is_none_or(|(length, other, _)| {
                    net.prefix_len() > length || (net.prefix_len() == length && metric <= other)
                });
                if better {
                    best = Some((net.prefix_len(), metric, port));
                }
            }
        }
        best.map(|(_, _, port)| port)
    }

    pub fn may_send(self, port: &Port, source: IpAddr) -> bool {
        self.elements().any(|element| {
            matches!(element, Element::Source { port: name, mac, address }
                if *name == port.name && *mac == port.mac && *address == source)
        })
    }

    /// The virtual subnet out of whose tunnel packets with this source may come.
    pub fn tunnel_of(self, source: IpAddr) -> Option<u32> {
        if !matches!(self.way(source), Way::OtherHost(_)) {
            return None;
        }
        let route = self.remote_route(source)?;
        self.tunnels().find(|tunnel| tunnel.name == route.device).map(|tunnel| tunnel.vsid)
    }

    /// The tunnel out of which a packet came, and the one into which it goes.
    pub fn tunnels_of(self, packet: &Packet) -> [Option<&'a str>; 2] {
        let from = packet.from_tunnel.and_then(|vsid| {
            self.tunnels().find(|tunnel| tunnel.vsid == vsid).map(|tunnel| tunnel.name.as_str())
        });
        let to = match self.way(packet.destination) {
            Way::OtherHost(_) => {
                self.remote_route(packet.destination).map(|route| route.device.as_str())
            }
            _ => None,
        };
        [from, to]
    }

    /// The address of this host under which strangers to a virtual subnet get into its tunnel.
    pub fn seen_as(self, packet: &Packet) -> Option<IpAddr> {
        let [_, to] = self.tunnels_of(packet);
        self.elements().find_map(|element| match element {
            Element::SeenAs { device, address }
                if Some(device.as_str()) == to
                    && address.is_ipv4() == packet.source.is_ipv4()
                    && !self.is_joined(packet) =>
            {
                Some(*address)
            }
            _ => None,
        })
    }

    /// Whether one end is this host's part of a virtual subnet, and the other behind its tunnel.
    pub fn is_joined(self, packet: &Packet) -> bool {
        let [from, to] = self.tunnels_of(packet);
        let joined = |device: &str, end: IpAddr| {
            self.elements().any(|element| {
                matches!(element, Element::Joined { device: tunnel, subnet }
                    if tunnel == device && subnet.contains(&end))
            })
        };
        from.is_some_and(|device| joined(device, packet.destination))
            || to.is_some_and(|device| joined(device, packet.source))
    }

    /// Whether the host and what is behind the packet's tunnel do not see each other.
    pub fn is_aloof(self, packet: &Packet) -> bool {
        let family = Family::of(&packet.destination);
        self.tunnels_of(packet).into_iter().flatten().any(|tunnel| {
            self.elements().any(|element| {
                matches!(element, Element::Aloof { family: of, device }
                    if *of == family && device == tunnel)
            })
        })
    }

    pub fn is_local(self, address: IpAddr) -> bool {
        self.surroundings.addresses.contains(&address)
            || self.on_host(address).is_some()
            || self.anchors().flat_map(|anchor| &anchor.gateways).any(|net| net.addr() == address)
    }

    /// The host's routing decision.
    pub fn way(self, to: IpAddr) -> Way<'a> {
        if to.is_loopback() || self.is_local(to) {
            return Way::Local;
        }
        if let Some(port) = self.ports().find(|port| holds(port, to)) {
            return Way::Port(port);
        }
        if let Some(route) = self.remote_route(to) {
            return self.peer_of(route).map_or(Way::Nowhere, Way::OtherHost);
        }
        let ours = self.anchors().flat_map(|anchor| &anchor.subnets).any(|net| net.contains(&to));
        if ours || self.is_vip(to) || !self.leads_outside(to) { Way::Nowhere } else { Way::Outside }
    }

    /// Whether a load balancer announces the address: what is not translated finds nobody there.
    fn is_vip(self, to: IpAddr) -> bool {
        let is = |fact: &Fact| matches!(fact, Fact::VipRoute(route) if route.address == to);
        self.facts.iter().any(is)
    }

    /// The host's routing decision about what a port or a tunnel sent: SDN routes come before what leads elsewhere.
    pub fn way_from(self, source: IpAddr, to: IpAddr) -> Way<'a> {
        let usual = self.way(to);
        match self.detour(source, to) {
            Some(Some(via)) if !matches!(usual, Way::Local | Way::Port(_)) && !self.is_vip(to) => {
                Way::Detour(via)
            }
            _ => usual,
        }
    }

    /// Whether an SDN route fits the packet, and the next hop that it names.
    pub fn detour(self, source: IpAddr, to: IpAddr) -> Option<Option<IpAddr>> {
        let steered = self.elements().find_map(|element| match element {
            Element::Steer { source: from, destination, number }
                if *from == source && destination.contains(&to) =>
            {
                Some(*number)
            }
            _ => None,
        });
        let family = Family::of(&to);
        steered.map(|number| {
            self.facts.iter().find_map(|fact| match fact {
                Fact::Detour(detour) if detour.number == number && detour.family == family => {
                    detour.via
                }
                _ => None,
            })
        })
    }

    fn leads_outside(self, to: IpAddr) -> bool {
        let around = self.surroundings;
        around.uplinks.iter().any(|uplink| uplink.default_route)
            || around.prefixes.iter().any(|net| net.contains(&to))
    }

    fn remote_route(self, to: IpAddr) -> Option<&'a RemoteRoute> {
        let routes = self.facts.iter().filter_map(|fact| match fact {
            Fact::RemoteRoute(route) if route.destination.contains(&to) => Some(route),
            _ => None,
        });
        routes.max_by_key(|route| route.destination.prefix_len())
    }

    fn peer_of(self, route: &RemoteRoute) -> Option<IpAddr> {
        self.facts.iter().find_map(|fact| match fact {
            Fact::Peer(peer) if peer.device == route.device && peer.mac == route.mac => {
                Some(peer.provider)
            }
            _ => None,
        })
    }

    /// The address under which the host is known: its uplink's, where that has one.
    pub fn own_address(self, v4: bool) -> Option<IpAddr> {
        let uplinks = self.surroundings.uplinks.iter().flat_map(|uplink| &uplink.addresses);
        let known = uplinks.map(IpNet::addr).chain(self.surroundings.addresses.iter().copied());
        known.into_iter().find(|address| address.is_ipv4() == v4 && !address.is_loopback())
    }

    /// The source that the kernel chooses for a packet of the host.
    pub fn host_source(self, to: IpAddr) -> Option<IpAddr> {
        if to.is_loopback() || self.is_local(to) {
            return Some(to);
        }
        let alike = |address: &&IpAddr| address.is_ipv4() == to.is_ipv4();
        let preferred = match self.way(to) {
            Way::Port(port) => port.prefer.iter().find(alike),
            _ => self.remote_route(to).and_then(|route| route.prefer.as_ref()),
        };
        let own = || self.own_address(to.is_ipv4());
        let gateway = || {
            let gateways = self.anchors().flat_map(|anchor| &anchor.gateways).map(IpNet::addr);
            gateways.filter(|address| address.is_ipv4() == to.is_ipv4()).min()
        };
        preferred.copied().or_else(own).or_else(gateway)
    }

    pub fn service(self, vip: Option<IpAddr>, packet: &Packet) -> Option<&'a Service> {
        let frontend = (vip, Family::of(&packet.destination), packet.protocol, packet.port);
        self.facts.iter().find_map(|fact| match fact {
            Fact::Service(service) if service.frontend() == frontend => Some(service),
            _ => None,
        })
    }

    pub fn mapping(self, to: Option<IpAddr>, packet: &Packet) -> Option<SocketAddr> {
        self.elements().find_map(|element| match element {
            Element::PortMapping { vip, protocol, port, to: inner }
                if *vip == to
                    && *protocol == packet.protocol
                    && *port == packet.port
                    && inner.is_ipv4() == packet.destination.is_ipv4() =>
            {
                Some(*inner)
            }
            _ => None,
        })
    }

    pub fn is_intra(self, source: IpAddr, destination: IpAddr) -> bool {
        self.elements().any(|element| {
            matches!(element, Element::Intra { from, to }
                if from.contains(&source) && to.contains(&destination))
        })
    }

    /// Whether a fenced network and what is near the host are kept apart.
    pub fn is_barred(self, source: IpAddr, destination: IpAddr) -> bool {
        self.elements().any(|element| {
            matches!(element, Element::Barred { from, to }
                if from.contains(&source) && to.contains(&destination))
        })
    }

    /// Whether the host itself serves its endpoints there.
    pub fn is_answered(self, packet: &Packet) -> bool {
        self.elements().any(|element| {
            matches!(element, Element::Answered { address, protocol, port }
                if *address == packet.destination
                    && *protocol == packet.protocol
                    && *port == packet.port)
        })
    }

    /// Whether an address stands in a set.
    pub fn is_in(self, set: Set, address: IpAddr) -> bool {
        self.elements().any(|element| stands_in(element, set, address))
    }

    pub fn is_exempt(self, packet: &Packet) -> bool {
        self.elements().any(|element| {
            matches!(element, Element::NatExempt { source, destination }
                if *source == packet.source && destination.contains(&packet.destination))
        })
    }

    pub fn is_within_limit(self, packet: &Packet) -> bool {
        self.elements().any(|element| {
            matches!(element, Element::NatLimit { source, destination }
                if *source == packet.source && destination.contains(&packet.destination))
        })
    }

    pub fn appears_as(self, source: IpAddr) -> Option<IpAddr> {
        self.elements().find_map(|element| match element {
            Element::NatAs { source: from, address } if *from == source => Some(*address),
            _ => None,
        })
    }

    /// The access rules of the packet's endpoint on that side: how many chains let it pass, or what refuses it.
    pub fn access(self, direction: Direction, packet: &Packet) -> Result<usize, Denied> {
        let first = self.elements().find_map(|element| match (direction, element) {
            (Direction::Out, Element::AclOut { address, chain }) if *address == packet.source => {
                Some(chain)
            }
            (Direction::In, Element::AclIn { address, chain })
                if *address == packet.destination =>
            {
                Some(chain)
            }
            _ => None,
        });
        let Some(mut name) = first else { return Ok(0) };
        for passed in 1..=DEEPEST {
            let denied = |rule| Denied { chain: name.clone(), rule };
            let chain = self.chain(name).ok_or_else(|| denied(None))?;
            let hit = chain.rules.iter().find(|rule| self.matches(rule, direction, packet));
            match hit.map_or(&chain.otherwise, |rule| &rule.verdict) {
                Verdict::Allow => return Ok(passed),
                Verdict::Block => return Err(denied(hit.cloned().map(Box::new))),
                Verdict::Goto(next) => name = next,
                // Of chains of redirections only.
                Verdict::Redirect(_) | Verdict::Intercept(_) => return Ok(passed),
            }
        }
        Err(Denied { chain: name.clone(), rule: None })
    }

    fn matches(self, rule: &AclRule, direction: Direction, packet: &Packet) -> bool {
        let AclRule {
            family,
            sets,
            protocols,
            local,
            remote,
            local_ports,
            remote_ports,
            verdict: _,
        } = rule;
        let source = (packet.source, packet.source_port);
        let destination = (packet.destination, packet.port);
        let (near, far) = match direction {
            Direction::In => (destination, source),
            Direction::Out => (source, destination),
        };
        let among =
            |nets: &[IpNet], a: IpAddr| nets.is_empty() || nets.iter().any(|net| net.contains(&a));
        let within = |ranges: &[PortRange], port: u16| {
            ranges.is_empty()
                || ranges.iter().any(|range| range.first <= port && port <= range.last)
        };
        family.is_none_or(|family| family == Family::of(&packet.destination))
            && (protocols.is_empty() || protocols.contains(&packet.protocol))
            && among(local, near.0)
            && among(remote, far.0)
            && within(local_ports, near.1)
            && within(remote_ports, far.1)
            && sets.iter().all(|set| self.is_member(set, packet))
    }

    /// Whether that end of the packet's way is in a set.
    fn is_member(self, wanted: &SetMatch, packet: &Packet) -> bool {
        let SetMatch { end, number, ports } = *wanted;
        let (address, port) = match end {
            End::Source => (packet.source, packet.source_port),
            End::Destination => (packet.destination, packet.port),
        };
        let sets = self.facts.iter().filter_map(|fact| match fact {
            Fact::AddressSet(set) if set.number == number && set.ports == ports => Some(set),
            _ => None,
        });
        let service = Some((packet.protocol, port));
        let mut members = sets.flat_map(|set| set.members.iter());
        members.any(|member| {
            member.net.contains(&address) && (member.service.is_none() || member.service == service)
        })
    }

    /// Where the proxies of the sender send its packet instead (L4Proxy).
    pub fn proxy(self, packet: &Packet) -> Option<SocketAddr> {
        let name = self.elements().find_map(|element| match element {
            Element::Proxied { address, chain } if *address == packet.source => Some(chain),
            _ => None,
        })?;
        let mut rules = self.chain(name)?.rules.iter();
        match rules.find(|rule| self.matches(rule, Direction::Out, packet))?.verdict {
            Verdict::Redirect(to) => Some(to),
            _ => None,
        }
    }

    /// Whether a packet that was sent to a proxy appears as the host there.
    pub fn is_masked(self, packet: &Packet) -> bool {
        let proxy = SocketAddr::new(packet.destination, packet.port);
        self.elements().any(|element| {
            matches!(element, Element::Masked { source, to, protocol }
                if *source == packet.source && *to == proxy && *protocol == packet.protocol)
        })
    }

    /// Whether what comes from outside may go in, since a way of its own leads there from here.
    pub fn admits(self, packet: &Packet) -> bool {
        self.elements().any(|element| {
            matches!(element, Element::Admit { to, from }
                if *to == packet.destination && from.contains(&packet.source))
        })
    }

    /// The port inside the namespace to which a proxy there takes a connection by this port (L4WFPPROXY).
    pub fn intercepted(self, port: &Port, direction: Direction, packet: &Packet) -> Option<u16> {
        let interceptions = self.facts.iter().filter_map(|fact| match fact {
            Fact::Interception(interception) if interception.netns == port.netns => {
                Some(interception)
            }
            _ => None,
        });
        let redirections = interceptions.flat_map(|interception| &interception.redirections);
        let mine =
            redirections.filter(|one| one.device == port.inner_name && one.direction == direction);
        let hit =
            |rules: &'a [AclRule]| rules.iter().find(|rule| self.matches(rule, direction, packet));
        mine.filter_map(|one| hit(&one.rules)).find_map(|rule| match rule.verdict {
            Verdict::Intercept(port) => Some(port),
            _ => None,
        })
    }

    fn chain(self, name: &str) -> Option<&'a AclChain> {
        self.facts.iter().find_map(|fact| match fact {
            Fact::AclChain(chain) if chain.name == name => Some(chain),
            _ => None,
        })
    }
}

pub(super) fn holds(port: &Port, address: IpAddr) -> bool {
    port.addresses.iter().any(|net| net.addr() == address)
}

fn stands_in(element: &Element, set: Set, looked_for: IpAddr) -> bool {
    match element {
        Element::Outbound { subnet } => set == Set::Outbound && subnet.contains(&looked_for),
        Element::Hidden { subnet } => set == Set::Hidden && subnet.contains(&looked_for),
        Element::Apart { subnet } => set == Set::Apart && subnet.contains(&looked_for),
        Element::Published { subnet } => set == Set::Published && subnet.contains(&looked_for),
        Element::Bridged { subnet } => set == Set::Bridged && subnet.contains(&looked_for),
        Element::Fenced { subnet } => set == Set::Fenced && subnet.contains(&looked_for),
        Element::Isolated { address } => set == Set::Isolated && *address == looked_for,
        Element::NatLimited { source } => set == Set::NatLimited && *source == looked_for,
        Element::Loop { address } => set == Set::Loop && *address == looked_for,
        Element::Source { .. }
        | Element::Intra { .. }
        | Element::Joined { .. }
        | Element::Aloof { .. }
        | Element::SeenAs { .. }
        | Element::Barred { .. }
        | Element::Answered { .. }
        | Element::Admit { .. }
        | Element::Steer { .. }
        | Element::Proxied { .. }
        | Element::Masked { .. }
        | Element::PortMapping { .. }
        | Element::NatExempt { .. }
        | Element::NatLimit { .. }
        | Element::NatAs { .. }
        | Element::NatPorts { .. }
        | Element::Listed { .. }
        | Element::AclOut { .. }
        | Element::AclIn { .. } => false,
    }
}

/// The backends of a service, each once, in the order of their first slots.
pub(super) fn backends(service: &Service) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for slot in &service.slots {
        if !found.contains(slot) {
            found.push(*slot);
        }
    }
    found
}
