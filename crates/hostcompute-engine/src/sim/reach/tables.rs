//! The facts as the data path looks them up: sets and maps of the table, routes of the host, interfaces of namespaces.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use hostcompute_schema::Guid;
use ipnet::IpNet;

use super::{Connection, Packet, Receiver, Way};
use crate::host::Surroundings;
use crate::plan::{
    AclChain, AclRule, AddressSet, Affinity, Anchor, Direction, Element, End, Fact, Family,
    Interception, Port, PortRange, RemoteRoute, Service, SetMatch, Verdict,
};

/// A chain may send a packet on to another this often before it is taken for a loop.
const DEEPEST: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Tables<'a> {
    forwarding: BTreeSet<Family>,
    anchors: Vec<&'a Anchor>,
    ports: BTreeMap<Guid, &'a Port>,
    /// Endpoints by the namespace they are attached to.
    inside: BTreeMap<Guid, Vec<&'a Port>>,
    /// Host routes to ports.
    routes: BTreeMap<IpAddr, &'a Port>,
    host_addresses: BTreeMap<IpAddr, Guid>,
    /// Every local address of the host with the device's network, if it is ours.
    local: BTreeSet<IpAddr>,
    foreign: Vec<IpAddr>,
    sources: BTreeSet<(&'a str, crate::mac::Mac, IpAddr)>,
    loops: BTreeSet<IpAddr>,
    isolated: BTreeSet<IpAddr>,
    intra: Vec<(IpNet, IpNet)>,
    outbound: Vec<IpNet>,
    hidden: Vec<IpNet>,
    apart: Vec<IpNet>,
    published: Vec<IpNet>,
    bridged: Vec<IpNet>,
    fenced: Vec<IpNet>,
    barred: Vec<(IpNet, IpNet)>,
    answered: BTreeSet<(IpAddr, u8, u16)>,
    joined: Vec<(&'a str, IpNet)>,
    aloof: BTreeSet<(Family, &'a str)>,
    seen_as: BTreeMap<(Family, &'a str), IpAddr>,
    tunnels: BTreeMap<u32, &'a str>,
    remote_routes: Vec<&'a RemoteRoute>,
    peers: BTreeMap<(&'a str, crate::mac::Mac), IpAddr>,
    mappings: BTreeMap<(Option<IpAddr>, Family, u8, u16), SocketAddr>,
    exempt: Vec<(IpAddr, IpNet)>,
    limited: BTreeSet<IpAddr>,
    limits: Vec<(IpAddr, IpNet)>,
    appears: BTreeMap<IpAddr, IpAddr>,
    admitted: Vec<(IpAddr, IpNet)>,
    steered: Vec<(IpAddr, IpNet, u32)>,
    detours: BTreeMap<(Family, u32), Option<IpAddr>>,
    listed: BTreeSet<(Family, &'a str)>,
    acl: BTreeMap<(Direction, IpAddr), &'a str>,
    chains: BTreeMap<&'a str, &'a AclChain>,
    /// Chains of redirections by source.
    proxied: BTreeMap<IpAddr, &'a str>,
    masked: BTreeSet<(IpAddr, SocketAddr, u8)>,
    interceptions: BTreeMap<Guid, &'a Interception>,
    /// Sets of addresses by number, family and whether they have ports.
    sets: BTreeMap<(u32, Family, bool), &'a AddressSet>,
    vip_routes: BTreeSet<IpAddr>,
    services: BTreeMap<(Option<IpAddr>, Family, u8, u16), &'a Service>,
}

impl<'a> Tables<'a> {
    pub(super) fn of(facts: &'a [Fact], surroundings: &'a Surroundings) -> Self {
        let mut tables = Self { foreign: surroundings.addresses.clone(), ..Self::default() };
        tables.local.extend(&surroundings.addresses);
        for fact in facts {
            tables.learn(fact);
        }
        tables
    }

    fn learn(&mut self, fact: &'a Fact) {
        match fact {
            Fact::Forwarding(family) => {
                self.forwarding.insert(*family);
            }
            Fact::Anchor(anchor) => {
                self.anchors.push(anchor);
                self.local.extend(anchor.gateways.iter().map(IpNet::addr));
            }
            Fact::Tunnel(tunnel) => {
                self.tunnels.insert(tunnel.vsid, &tunnel.name);
            }
            Fact::RemoteRoute(route) => self.remote_routes.push(route),
            Fact::Detour(detour) => {
                self.detours.insert((detour.family, detour.number), detour.via);
            }
            Fact::Peer(peer) => {
                self.peers.insert((&peer.device, peer.mac), peer.provider);
            }
            Fact::Port(port) => {
                self.ports.insert(port.endpoint, port);
                self.inside.entry(port.netns).or_default().push(port);
                self.routes.extend(port.addresses.iter().map(|net| (net.addr(), port)));
            }
            Fact::HostAddress(host) => {
                self.host_addresses.insert(host.address, host.endpoint);
                self.local.insert(host.address);
            }
            Fact::Interception(interception) => {
                self.interceptions.insert(interception.netns, interception);
            }
            Fact::AddressSet(set) => {
                self.sets.insert((set.number, set.family, set.ports), set);
            }
            Fact::AclChain(chain) => {
                self.chains.insert(&chain.name, chain);
            }
            Fact::Element(element) => self.learn_element(element),
            Fact::Service(service) => {
                self.services.insert(service.frontend(), service);
            }
            // What is not translated on its way to a virtual IP finds nobody there.
            Fact::VipRoute(route) => {
                self.vip_routes.insert(route.address);
            }
            // Shapers delay and never decide.
            // Which link it is outside that packets leave by, and who answers there, is not modelled.
            Fact::VipOwner(_)
            | Fact::Wire(_)
            | Fact::Proxy(_)
            | Fact::Face(_)
            | Fact::Guise(_)
            // Its packets never meet the host.
            | Fact::Station(_)
            | Fact::Table
            | Fact::Netns(_)
            | Fact::Shaper(_)
            | Fact::Diversion(_)
            | Fact::Resolver(_)
            | Fact::Responder(_)
            | Fact::Solicited(_)
            | Fact::Lease(_)
            | Fact::Name(_) => {}
        }
    }

    fn learn_element(&mut self, element: &'a Element) {
        match element {
            Element::Source { port, mac, address } => {
                self.sources.insert((port, *mac, *address));
            }
            Element::Loop { address } => {
                self.loops.insert(*address);
            }
            Element::Intra { from, to } => self.intra.push((*from, *to)),
            Element::Outbound { subnet } => self.outbound.push(*subnet),
            Element::Hidden { subnet } => self.hidden.push(*subnet),
            Element::Apart { subnet } => self.apart.push(*subnet),
            Element::Published { subnet } => self.published.push(*subnet),
            Element::Bridged { subnet } => self.bridged.push(*subnet),
            Element::Fenced { subnet } => self.fenced.push(*subnet),
            Element::Barred { from, to } => self.barred.push((*from, *to)),
            Element::Answered { address, protocol, port } => {
                self.answered.insert((*address, *protocol, *port));
            }
            Element::Joined { device, subnet } => self.joined.push((device, *subnet)),
            Element::Aloof { family, device } => {
                self.aloof.insert((*family, device));
            }
            Element::SeenAs { device, address } => {
                self.seen_as.insert((Family::of(address), device), *address);
            }
            Element::Isolated { address } => {
                self.isolated.insert(*address);
            }
            Element::PortMapping { vip, protocol, port, to } => {
                self.mappings.insert((*vip, Family::of(&to.ip()), *protocol, *port), *to);
            }
            Element::NatExempt { source, destination } => self.exempt.push((*source, *destination)),
            Element::NatLimited { source } => {
                self.limited.insert(*source);
            }
            Element::Admit { to, from } => self.admitted.push((*to, *from)),
            Element::NatLimit { source, destination } => self.limits.push((*source, *destination)),
            Element::NatAs { source, address } => {
                self.appears.insert(*source, *address);
            }
            Element::Steer { source, destination, number } => {
                self.steered.push((*source, *destination, *number));
            }
            Element::Proxied { address, chain } => {
                self.proxied.insert(*address, chain);
            }
            Element::Masked { source, to, protocol } => {
                self.masked.insert((*source, *to, *protocol));
            }
            Element::Listed { family, chain } => {
                self.listed.insert((*family, chain));
            }
            // Listed ones come before those who lead there.
            Element::AclOut { address, chain } if self.is_listed(address, chain) => {
                self.acl.insert((Direction::Out, *address), chain);
            }
            Element::AclIn { address, chain } if self.is_listed(address, chain) => {
                self.acl.insert((Direction::In, *address), chain);
            }
            // How many, and where they come from, no packet by itself shows.
            Element::NatPorts { .. } => {}
            Element::AclOut { .. } | Element::AclIn { .. } => {}
        }
    }

    fn is_listed(&self, address: &IpAddr, chain: &str) -> bool {
        self.listed.contains(&(Family::of(address), chain))
    }

    pub(super) fn forwards(&self, family: Family) -> bool {
        self.forwarding.contains(&family)
    }

    pub(super) fn port_of(&self, endpoint: Guid) -> Option<&'a Port> {
        self.ports.get(&endpoint).copied()
    }

    pub(super) fn ports_in(&self, netns: Guid) -> impl Iterator<Item = &'a Port> {
        self.inside.get(&netns).into_iter().flatten().copied()
    }

    /// The endpoint in a namespace that has an address.
    pub(super) fn holder_in(&self, netns: Guid, address: IpAddr) -> Option<Guid> {
        self.ports_in(netns).find(|port| super::holds(port, address)).map(|port| port.endpoint)
    }

    /// The address of an endpoint in the host's own namespace.
    pub(super) fn host_address_of(&self, endpoint: Guid, family: Family) -> Option<IpAddr> {
        let mut addresses = self.host_addresses.iter();
        let found = addresses.find(|(a, owner)| **owner == endpoint && Family::of(a) == family);
        found.map(|(address, _)| *address)
    }

    /// The port through which a namespace sends to an address: longest prefix, then smallest metric.
    pub(super) fn route_inside(&self, netns: Guid, to: IpAddr) -> Option<&'a Port> {
        let routes = self.ports_in(netns).flat_map(|port| {
            let near = port.gateways.iter().map(|gateway| (IpNet::from(*gateway), 0));
            let far = port.routes.iter().map(|route| (route.destination, route.metric));
            near.chain(far).map(move |(net, metric)| (net, metric, port))
        });
        let fitting = routes.filter(|(net, _, _)| net.contains(&to));
        let best =
            fitting.max_by_key(|(net, metric, _)| (net.prefix_len(), core::cmp::Reverse(*metric)));
        best.map(|(_, _, port)| port)
    }

    pub(super) fn may_send(&self, port: &Port, source: IpAddr) -> bool {
        self.sources.contains(&(port.name.as_str(), port.mac, source))
    }

    /// Whether this may come out of the tunnel of a virtual subnet: what is sent there goes into it.
    pub(super) fn may_come(&self, vsid: u32, source: IpAddr) -> bool {
        if self.is_local(source) || self.routes.contains_key(&source) {
            return false;
        }
        let into = self.remote_route(source).map(|route| route.device.as_str());
        into.is_some() && into == self.tunnel(vsid)
    }

    /// The tunnel of a virtual subnet.
    pub(super) fn tunnel(&self, vsid: u32) -> Option<&'a str> {
        self.tunnels.get(&vsid).copied()
    }

    fn remote_route(&self, to: IpAddr) -> Option<&'a RemoteRoute> {
        let fitting = self.remote_routes.iter().filter(|route| route.destination.contains(&to));
        fitting.max_by_key(|route| route.destination.prefix_len()).copied()
    }

    /// Whether an address is this host's part of the virtual subnet behind a tunnel.
    pub(super) fn is_joined(&self, device: &str, address: IpAddr) -> bool {
        self.joined.iter().any(|(tunnel, net)| *tunnel == device && net.contains(&address))
    }

    /// Under which address of the host a translated packet gets into a tunnel; none for those of the virtual subnet, and where a service
    /// says which.
    pub(super) fn through(&self, device: &str, packet: &Packet) -> Option<IpAddr> {
        if !packet.translated || packet.shown.is_some() || self.is_joined(device, packet.source) {
            return None;
        }
        self.seen_as.get(&(Family::of(&packet.source), device)).copied()
    }

    /// Whether what is behind a tunnel and the host do not see each other.
    pub(super) fn is_aloof(&self, device: &str, like: IpAddr) -> bool {
        self.aloof.contains(&(Family::of(&like), device))
    }

    /// Whether the address reaches neither the host nor other networks of it.
    pub(super) fn is_fenced(&self, address: IpAddr) -> bool {
        self.fenced.iter().any(|net| net.contains(&address))
    }

    pub(super) fn is_barred(&self, from: IpAddr, to: IpAddr) -> bool {
        self.barred.iter().any(|(a, b)| a.contains(&from) && b.contains(&to))
    }

    /// Whether the host serves its endpoints there.
    pub(super) fn is_answered(&self, packet: &Packet) -> bool {
        self.answered.contains(&(packet.destination, packet.protocol, packet.port))
    }

    pub(super) fn is_local(&self, address: IpAddr) -> bool {
        self.local.contains(&address)
    }

    pub(super) fn local_receiver(&self, address: IpAddr) -> Receiver {
        self.host_addresses.get(&address).map_or(Receiver::Host, |id| Receiver::Endpoint(*id))
    }

    /// The host's routing decision.
    pub(super) fn way(&self, to: IpAddr) -> Way<'a> {
        if self.is_local(to) || to.is_loopback() {
            return Way::Local;
        }
        if let Some(port) = self.routes.get(&to) {
            return Way::Port(port);
        }
        if let Some(route) = self.remote_route(to) {
            let host = self.peers.get(&(route.device.as_str(), route.mac));
            return host.map_or(Way::Nowhere, |host| Way::Beyond(*host, &route.device));
        }
        let ours =
            self.anchors.iter().flat_map(|anchor| &anchor.subnets).any(|net| net.contains(&to));
        if ours || self.vip_routes.contains(&to) { Way::Nowhere } else { Way::Outside }
    }

    /// Whether what comes from outside may go in, since a way of its own leads there from here.
    pub(super) fn is_admitted(&self, source: IpAddr, destination: IpAddr) -> bool {
        self.admitted.iter().any(|(to, from)| *to == destination && from.contains(&source))
    }

    /// Whether what a port sends has a way of its own there.
    pub(super) fn is_steered(&self, source: IpAddr, destination: IpAddr) -> bool {
        self.detour(source, destination).is_some()
    }

    /// The host's routing decision about what a port or a tunnel sent. Endpoints of this host are found first.
    pub(super) fn way_from(&self, source: IpAddr, to: IpAddr) -> Way<'a> {
        let usual = self.way(to);
        match self.detour(source, to) {
            Some(number)
                if !matches!(usual, Way::Local | Way::Port(_))
                    && !self.vip_routes.contains(&to) =>
            {
                match self.detours.get(&(Family::of(&to), number)) {
                    Some(Some(_)) => Way::Outside,
                    _ => usual,
                }
            }
            _ => usual,
        }
    }

    fn detour(&self, source: IpAddr, destination: IpAddr) -> Option<u32> {
        let fits =
            |(from, to, _): &&(IpAddr, IpNet, u32)| *from == source && to.contains(&destination);
        self.steered.iter().find(fits).map(|(_, _, number)| *number)
    }

    /// The source the kernel chooses for a packet of the host itself.
    pub(super) fn host_source(&self, to: IpAddr) -> Option<IpAddr> {
        if self.is_local(to) || to.is_loopback() {
            return Some(to);
        }
        let family = Family::of(&to);
        let of_family = |address: &&IpAddr| Family::of(address) == family;
        let preferred = self.routes.get(&to).and_then(|port| port.prefer.iter().find(of_family));
        preferred
            .or_else(|| self.remote_route(to).and_then(|route| route.prefer.as_ref()))
            .or_else(|| self.foreign.iter().find(of_family))
            .copied()
            .or_else(|| self.local.iter().find(of_family).copied())
    }

    pub(super) fn prefer(&self, port: &Port) -> Option<IpAddr> {
        port.prefer.first().copied()
    }

    /// The address of the host that a masqueraded packet to this endpoint has.
    pub(super) fn gateway_of(&self, address: IpAddr) -> IpAddr {
        let of_family = |prefer: &&IpAddr| Family::of(prefer) == Family::of(&address);
        let preferred =
            self.routes.get(&address).and_then(|port| port.prefer.iter().find(of_family));
        // A port without one lets the kernel choose among the host's own.
        preferred.copied().unwrap_or_else(|| self.outer_address(address))
    }

    /// The address of the host that a packet to the outside has after masquerading.
    pub(super) fn outer_address(&self, source: IpAddr) -> IpAddr {
        let family = Family::of(&source);
        self.foreign.iter().find(|a| Family::of(a) == family).copied().unwrap_or(source)
    }

    pub(super) fn service(&self, vip: Option<IpAddr>, packet: &Packet) -> Option<&'a Service> {
        let family = Family::of(&packet.destination);
        self.services.get(&(vip, family, packet.protocol, packet.port)).copied()
    }

    /// How many different draws matter to a connection.
    pub(super) fn most_slots(&self, connection: &Connection) -> u64 {
        let Connection { to, protocol, port, .. } = *connection;
        let service = |vip| self.services.get(&(vip, Family::of(&to), protocol, port));
        let service = service(Some(to)).or_else(|| service(None));
        service.map_or(1, |service| service.slots.len() as u64)
    }

    pub(super) fn mapping(&self, vip: Option<IpAddr>, packet: &Packet) -> Option<SocketAddr> {
        let family = Family::of(&packet.destination);
        self.mappings.get(&(vip, family, packet.protocol, packet.port)).copied()
    }

    pub(super) fn is_loop(&self, source: IpAddr, destination: IpAddr) -> bool {
        source == destination && self.loops.contains(&source)
    }

    pub(super) fn is_isolated(&self, address: IpAddr) -> bool {
        self.isolated.contains(&address)
    }

    pub(super) fn is_intra(&self, source: IpAddr, destination: IpAddr) -> bool {
        self.intra.iter().any(|(from, to)| from.contains(&source) && to.contains(&destination))
    }

    pub(super) fn is_outbound(&self, source: IpAddr) -> bool {
        self.outbound.iter().any(|net| net.contains(&source))
    }

    pub(super) fn is_hidden(&self, address: IpAddr) -> bool {
        self.hidden.iter().any(|net| net.contains(&address))
    }

    pub(super) fn is_apart(&self, address: IpAddr) -> bool {
        self.apart.iter().any(|net| net.contains(&address))
    }

    pub(super) fn is_bridged(&self, address: IpAddr) -> bool {
        self.bridged.iter().any(|net| net.contains(&address))
    }

    pub(super) fn is_published(&self, address: IpAddr) -> bool {
        self.published.iter().any(|net| net.contains(&address))
    }

    pub(super) fn is_exempt(&self, source: IpAddr, destination: IpAddr) -> bool {
        self.exempt.iter().any(|(from, to)| *from == source && to.contains(&destination))
    }

    pub(super) fn is_limited(&self, source: IpAddr) -> bool {
        self.limited.contains(&source)
    }

    pub(super) fn is_within_limit(&self, source: IpAddr, destination: IpAddr) -> bool {
        self.limits.iter().any(|(from, to)| *from == source && to.contains(&destination))
    }

    pub(super) fn appears_as(&self, source: IpAddr) -> Option<IpAddr> {
        self.appears.get(&source).copied()
    }

    /// Whether the access rules of the packet's endpoint on that side let it pass.
    pub(super) fn allows(&self, direction: Direction, packet: &Packet) -> bool {
        let address = match direction {
            Direction::Out => packet.source,
            Direction::In => packet.destination,
        };
        let Some(mut chain) = self.acl.get(&(direction, address)).copied() else { return true };
        for _ in 0..DEEPEST {
            let Some(rules) = self.chains.get(chain) else { return false };
            let hit = rules.rules.iter().find(|rule| self.matches(rule, direction, packet));
            match hit.map_or(&rules.otherwise, |rule| &rule.verdict) {
                Verdict::Allow => return true,
                Verdict::Block => return false,
                Verdict::Goto(next) => chain = next,
                Verdict::Redirect(_) | Verdict::Intercept(_) => return true,
            }
        }
        false
    }

    /// Where the proxies of the packet's source send it.
    pub(super) fn proxy(&self, packet: &Packet) -> Option<SocketAddr> {
        let chain = self.chains.get(self.proxied.get(&packet.source)?)?;
        let hit = chain.rules.iter().find(|rule| self.matches(rule, Direction::Out, packet))?;
        match hit.verdict {
            Verdict::Redirect(to) => Some(to),
            _ => None,
        }
    }

    /// Whether a redirected packet appears as the host.
    pub(super) fn is_masked(&self, packet: &Packet) -> bool {
        let to = SocketAddr::new(packet.destination, packet.port);
        packet.translated && self.masked.contains(&(packet.source, to, packet.protocol))
    }

    /// The port inside the namespace that a connection by this port goes to; of a process whom nothing exempts.
    pub(super) fn intercepted(
        &self,
        port: &Port,
        direction: Direction,
        packet: &Packet,
    ) -> Option<u16> {
        let interception = self.interceptions.get(&port.netns)?;
        let mine = interception.redirections.iter().filter(|redirection| {
            (redirection.device.as_str(), redirection.direction)
                == (port.inner_name.as_str(), direction)
        });
        mine.filter_map(|redirection| {
            let mut rules = redirection.rules.iter();
            rules.find(|rule| self.matches(rule, direction, packet))
        })
        .find_map(|rule| match rule.verdict {
            Verdict::Intercept(port) => Some(port),
            _ => None,
        })
    }

    fn matches(&self, rule: &AclRule, direction: Direction, packet: &Packet) -> bool {
        let family = Family::of(&packet.destination);
        let sets = || rule.sets.iter().all(|wanted| self.is_in(wanted, family, packet));
        rule.family.is_none_or(|own| own == family) && sets() && matches(rule, direction, packet)
    }

    /// Whether the end of the packet's way is a member of the set.
    fn is_in(&self, wanted: &SetMatch, family: Family, packet: &Packet) -> bool {
        let (address, port) = match wanted.end {
            End::Source => (packet.source, packet.source_port),
            End::Destination => (packet.destination, packet.port),
        };
        let service = (packet.protocol, port);
        let set = self.sets.get(&(wanted.number, family, wanted.ports));
        set.is_some_and(|set| {
            set.members.iter().any(|member| {
                member.net.contains(&address) && member.service.is_none_or(|own| own == service)
            })
        })
    }
}

fn matches(rule: &AclRule, direction: Direction, packet: &Packet) -> bool {
    let source = (packet.source, packet.source_port);
    let destination = (packet.destination, packet.port);
    let (local, remote) = match direction {
        Direction::In => (destination, source),
        Direction::Out => (source, destination),
    };
    let among =
        |nets: &[IpNet], a: IpAddr| nets.is_empty() || nets.iter().any(|net| net.contains(&a));
    let within = |ranges: &[PortRange], port: u16| {
        ranges.is_empty() || ranges.iter().any(|range| (range.first..=range.last).contains(&port))
    };
    (rule.protocols.is_empty() || rule.protocols.contains(&packet.protocol))
        && among(&rule.local, local.0)
        && among(&rule.remote, remote.0)
        && within(&rule.local_ports, local.1)
        && within(&rule.remote_ports, remote.1)
}

/// The slot that a new connection takes.
pub(super) fn backend(service: &Service, client: IpAddr, draw: u64) -> Option<SocketAddr> {
    let choice = match service.affinity {
        Affinity::None => draw,
        Affinity::Client => match client {
            IpAddr::V4(client) => u64::from(client.to_bits()),
            IpAddr::V6(client) => (client.to_bits() % u128::from(u64::MAX)) as u64,
        },
    };
    let slots = service.slots.len() as u64;
    let slot = choice.checked_rem(slots).and_then(|slot| usize::try_from(slot).ok())?;
    service.slots.get(slot).copied()
}
