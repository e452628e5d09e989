//! Which packet arrives where: the data path of one host, walked by one packet, computed from facts alone.
//!
//! The walk goes through the same places as a real packet (ARCHITECTURE.md, "data path"): the namespace's routes, the check of
//! the source, translation of the destination, routing, the filter of its hook, translation of the source, and the way back
//! of the answer. It knows facts and nothing of documents, so that a test can hold what documents promise against it.
//!
//! The packet is the first of its flow. Packets of established flows pass by connection tracking and are not walked.

mod tables;

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hostcompute_schema::Guid;
use ipnet::IpNet;

use crate::host::Surroundings;
use crate::plan::{Audience, Direction, Fact, Family, Port, Service};

use tables::Tables;

/// Where a connection starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A process that uses this endpoint's address.
    Endpoint(Guid),
    /// A process of the host, on the address the kernel prefers.
    Host,
    /// A machine elsewhere, whose packets reach the host.
    Outside(IpAddr),
    /// Whoever sends from this address into the tunnel of a virtual subnet.
    Beyond(IpAddr, u32),
}

/// The first packet of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    pub origin: Origin,
    pub to: IpAddr,
    pub protocol: u8,
    /// 0 for protocols without ports.
    pub source_port: u16,
    pub port: u16,
    /// What the kernel's generator of random numbers would have said: decides between backends.
    pub draw: u64,
}

/// Who gets a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Receiver {
    Endpoint(Guid),
    Host,
    Outside,
    /// The host with this address on the network below, by a tunnel.
    Beyond(IpAddr),
}

/// A packet as it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    pub receiver: Receiver,
    pub destination: SocketAddr,
    /// The source that the receiver sees.
    pub source: IpAddr,
}

/// Where a packet is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// The endpoint is not attached, or has no address of the family.
    NoSource,
    /// The sender's namespace has no route.
    NoRoute,
    /// The source is not one the port may use.
    Spoofed,
    /// An access rule, or the end of a chain of them.
    AccessRule(Direction),
    /// The host has no way to the destination.
    Unreachable,
    /// The host does not forward packets of this family.
    NotForwarding,
    /// Nothing allows this forwarding: another network, an isolated endpoint, the outside of a network without one.
    Filtered,
    /// The host and the subnet do not see each other.
    Hidden,
    /// The packet arrives; the answer has no way back.
    NoWayBack,
}

/// What becomes of a connection.
pub type Outcome = Result<Delivery, Lost>;

/// The data path that a set of facts makes.
#[derive(Debug)]
pub struct Reach<'a> {
    tables: Tables<'a>,
}

/// A packet on its way.
#[derive(Debug, Clone, Copy)]
struct Packet {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    source_port: u16,
    port: u16,
    /// It came in by a port or a tunnel.
    from_ours: bool,
    /// The virtual subnet out of whose tunnel it came.
    from_tunnel: Option<u32>,
    /// It is a program's of the host.
    from_host: bool,
    translated: bool,
    /// The source that a service shows, and the destination that it keeps.
    shown: Option<IpAddr>,
    kept: Option<IpAddr>,
}

/// The host's routing decision.
#[derive(Debug, Clone, Copy)]
enum Way<'a> {
    Local,
    Port(&'a Port),
    /// Behind a tunnel, at this host.
    Beyond(IpAddr, &'a str),
    Outside,
    Nowhere,
}

impl<'a> Reach<'a> {
    /// The data path of a host with these facts, in these surroundings.
    pub fn of(facts: &'a [Fact], surroundings: &'a Surroundings) -> Self {
        Self { tables: Tables::of(facts, surroundings) }
    }

    /// Walks the first packet of a connection.
    ///
    /// # Errors
    /// Where the packet, or the answer to it, is lost.
    pub fn connect(&self, connection: &Connection) -> Outcome {
        match connection.origin {
            Origin::Outside(source) => {
                self.arrive(self.packet(connection, source, false), connection)
            }
            Origin::Beyond(source, vsid) => {
                if !self.tables.may_come(vsid, source) || connection.to.is_loopback() {
                    return Err(Lost::Spoofed);
                }
                let packet = self.packet(connection, source, true);
                self.arrive(Packet { from_tunnel: Some(vsid), ..packet }, connection)
            }
            Origin::Host => self.leave_host(connection, None),
            Origin::Endpoint(id) => match self.tables.port_of(id) {
                Some(port) => self.leave_port(connection, port),
                None => {
                    let family = Family::of(&connection.to);
                    let source = self.tables.host_address_of(id, family).ok_or(Lost::NoSource)?;
                    self.leave_host(connection, Some(source))
                }
            },
        }
    }

    /// Everyone who may get the first packet of a connection, whatever is drawn.
    pub fn receivers(&self, connection: &Connection) -> Vec<Receiver> {
        let ended = |draw: u64| self.connect(&Connection { draw, ..*connection });
        let draws = 0..self.tables.most_slots(connection);
        let mut found: Vec<Receiver> =
            draws.filter_map(|draw| ended(draw).ok()).map(|delivery| delivery.receiver).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn packet(&self, connection: &Connection, source: IpAddr, from_ours: bool) -> Packet {
        let Connection { to, protocol, source_port, port, .. } = *connection;
        Packet {
            source,
            destination: to,
            protocol,
            source_port,
            port,
            from_ours,
            from_tunnel: None,
            from_host: false,
            translated: false,
            shown: None,
            kept: None,
        }
    }

    /// Out of a namespace, through the port's host end, into the host's prerouting.
    fn leave_port(&self, connection: &Connection, port: &'a Port) -> Outcome {
        let to = connection.to;
        let own = |net: &&IpNet| Family::of(&net.addr()) == Family::of(&to);
        let source = port.addresses.iter().find(own).ok_or(Lost::NoSource)?.addr();
        let packet = self.packet(connection, source, true);
        if self.tables.ports_in(port.netns).any(|p| holds(p, to)) {
            let endpoint = self.tables.holder_in(port.netns, to).ok_or(Lost::NoRoute)?;
            return Ok(deliver(Receiver::Endpoint(endpoint), &packet));
        }
        // The namespace's routes name the interface, whichever of its addresses the socket has.
        let leaving = self.tables.route_inside(port.netns, to).ok_or(Lost::NoRoute)?;
        if let Some(proxy) = self.tables.intercepted(leaving, Direction::Out, &packet) {
            let loopback: IpAddr = match to {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            let packet = Packet { destination: loopback, port: proxy, ..packet };
            let owner = match connection.origin {
                Origin::Endpoint(id) => id,
                _ => leaving.endpoint,
            };
            return Ok(deliver(Receiver::Endpoint(owner), &packet));
        }
        if to.is_loopback() || !self.tables.may_send(leaving, source) {
            return Err(Lost::Spoofed);
        }
        self.arrive(packet, connection)
    }

    /// Prerouting and what follows.
    fn arrive(&self, mut packet: Packet, connection: &Connection) -> Outcome {
        self.translate(&mut packet, connection.draw);
        let way = match packet.from_ours {
            true => self.tables.way_from(packet.source, packet.destination),
            false => self.tables.way(packet.destination),
        };
        match way {
            Way::Local => self.input(&packet),
            Way::Nowhere => Err(Lost::Unreachable),
            Way::Outside | Way::Port(_) | Way::Beyond(..) => self.forward(&packet, way),
        }
    }

    /// Destination translation: services, node ports, port mappings; the first that matches.
    fn translate(&self, packet: &mut Packet, draw: u64) {
        let local = self.tables.is_local(packet.destination) || packet.destination.is_loopback();
        if let Some(to) = self.tables.proxy(packet) {
            packet.destination = to.ip();
            packet.port = to.port();
            packet.translated = true;
            return;
        }
        let vip = self.tables.service(Some(packet.destination), packet);
        let service = vip.or_else(|| self.tables.service(None, packet).filter(|_| local));
        let service = service.filter(|service| admits(service, packet));
        let backend = service.and_then(|service| tables::backend(service, packet.source, draw));
        let before = *packet;
        let mapped = || {
            let vip = self.tables.mapping(Some(before.destination), &before);
            vip.or_else(|| self.tables.mapping(None, &before).filter(|_| local))
        };
        if let (Some(to), Some(service)) = (backend, service) {
            let shown = service.shown.as_ref().filter(|shown| shown.toward.contains(&to.ip()));
            packet.shown = shown.map(|shown| shown.address);
            let keeps = service.kept.iter().any(|kept| kept.backend == to);
            packet.kept = keeps.then_some(packet.destination);
        }
        if let Some(to) = backend.or_else(mapped) {
            packet.destination = to.ip();
            packet.port = to.port();
            packet.translated = true;
        }
    }

    fn forward(&self, packet: &Packet, way: Way<'a>) -> Outcome {
        let ours = !matches!(way, Way::Outside);
        // IPv4 asks the interface that the packet came in by, and ports say yes; IPv6 asks the whole host.
        let family = Family::of(&packet.destination);
        let by_port = packet.from_ours && family == Family::V4;
        if !by_port && !self.tables.forwards(family) {
            return Err(Lost::NotForwarding);
        }
        if packet.from_ours || ours {
            self.forward_filter(packet, way)?;
        }
        let through = match way {
            Way::Beyond(_, device) => self.tables.through(device, packet),
            _ => None,
        };
        let source = through.unwrap_or_else(|| self.source_outside(packet, ours));
        let packet = Packet { source, ..*packet };
        match way {
            Way::Port(port) => self.enter(&packet, port),
            Way::Beyond(host, _) => Ok(deliver(Receiver::Beyond(host), &packet)),
            Way::Local | Way::Outside | Way::Nowhere => Ok(deliver(Receiver::Outside, &packet)),
        }
    }

    fn forward_filter(&self, packet: &Packet, way: Way<'a>) -> Result<(), Lost> {
        let to_port = !matches!(way, Way::Outside);
        let into_tunnel = match way {
            Way::Beyond(_, device) => Some(device),
            _ => None,
        };
        self.access(packet)?;
        let (source, destination) = (packet.source, packet.destination);
        let inside = self.tables.is_intra(source, destination);
        self.visible(packet)?;
        let fenced = packet.from_ours && to_port && self.tables.is_fenced(source);
        if !inside && (fenced || self.tables.is_barred(source, destination)) {
            return Err(Lost::Filtered);
        }
        let open = self.tables.is_outbound(destination) || self.tables.is_published(destination);
        if packet.translated && (open || inside || into_tunnel.is_some()) {
            return Ok(());
        }
        let from_port = packet.from_ours;
        let isolated = self.tables.is_isolated(source) || self.tables.is_isolated(destination);
        if from_port && to_port && isolated {
            return Err(Lost::Filtered);
        }
        let steered = self.tables.is_steered(source, destination);
        let outbound = from_port && !to_port && (steered || self.tables.is_outbound(source));
        let out = from_port && !to_port && self.tables.is_bridged(source);
        let bridged = out || (!from_port && to_port && self.tables.is_bridged(destination));
        let admitted = !from_port && to_port && self.tables.is_admitted(source, destination);
        let joined = into_tunnel.is_some_and(|device| self.tables.is_joined(device, source))
            || self.out_of(packet).is_some_and(|device| self.tables.is_joined(device, destination));
        let open = inside || joined || outbound || bridged || admitted;
        if open { Ok(()) } else { Err(Lost::Filtered) }
    }

    /// The tunnel out of which a packet came.
    fn out_of(&self, packet: &Packet) -> Option<&'a str> {
        packet.from_tunnel.and_then(|vsid| self.tables.tunnel(vsid))
    }

    /// A Private network is closed both ways, translated or not.
    fn visible(&self, packet: &Packet) -> Result<(), Lost> {
        let (source, destination) = (packet.source, packet.destination);
        let hidden = self.tables.is_hidden(source) || self.tables.is_hidden(destination);
        let inside = self.tables.is_intra(source, destination);
        if hidden && !inside { Err(Lost::Hidden) } else { Ok(()) }
    }

    /// Isolation where one of the two is an endpoint in the host's own namespace.
    fn apart(&self, packet: &Packet) -> Result<(), Lost> {
        let (source, destination) = (packet.source, packet.destination);
        let endpoint = |address| self.tables.is_loop(address, address);
        let isolated = (self.tables.is_isolated(source) && endpoint(destination))
            || (self.tables.is_isolated(destination) && endpoint(source));
        if isolated && !packet.translated { Err(Lost::Filtered) } else { Ok(()) }
    }

    /// An overlay without HostRoute and the host itself; endpoints of the host's own namespace are endpoints.
    fn kept_from_host(
        &self,
        packet: &Packet,
        far: IpAddr,
        tunnel: Option<&str>,
    ) -> Result<(), Lost> {
        let near = if far == packet.source { packet.destination } else { packet.source };
        let endpoint = self.tables.is_loop(near, near);
        if let Some(device) = tunnel.filter(|_| !packet.translated) {
            let (aloof, joined) =
                (self.tables.is_aloof(device, far), self.tables.is_joined(device, near));
            if aloof && !(endpoint && joined) {
                return Err(Lost::Hidden);
            }
            if joined {
                return Ok(());
            }
        }
        let inside = self.tables.is_intra(packet.source, packet.destination);
        let far_apart = self.tables.is_apart(far) && !(endpoint && inside);
        let near_apart = self.tables.is_apart(near) && !inside;
        let apart = (far_apart || near_apart) && !packet.translated;
        if apart { Err(Lost::Hidden) } else { Ok(()) }
    }

    /// The access rules of the sender and of the receiver, by their addresses.
    fn access(&self, packet: &Packet) -> Result<(), Lost> {
        for direction in [Direction::Out, Direction::In] {
            if !self.tables.allows(direction, packet) {
                return Err(Lost::AccessRule(direction));
            }
        }
        Ok(())
    }

    /// Source translation of what is forwarded.
    fn source_outside(&self, packet: &Packet, to_port: bool) -> IpAddr {
        let (source, destination) = (packet.source, packet.destination);
        if let Some(shown) = packet.shown {
            return shown;
        }
        if to_port {
            let hairpin = packet.translated && self.tables.is_loop(source, destination);
            let masked = hairpin || self.tables.is_masked(packet);
            return if masked { self.tables.gateway_of(destination) } else { source };
        }
        if self.tables.is_masked(packet) {
            return self.tables.outer_address(source);
        }
        if self.tables.is_exempt(source, destination) {
            return source;
        }
        if self.tables.is_limited(source) && !self.tables.is_within_limit(source, destination) {
            return source;
        }
        match self.tables.appears_as(source) {
            Some(address) => address,
            None if self.tables.is_outbound(source) => self.tables.outer_address(source),
            None => source,
        }
    }

    fn enter(&self, packet: &Packet, port: &'a Port) -> Outcome {
        // The answer takes the interface that the namespace's routes name, with the address that was asked.
        let back = self.tables.route_inside(port.netns, packet.source);
        let answers = back.is_some_and(|back| self.tables.may_send(back, packet.destination));
        let own = self.tables.ports_in(port.netns).any(|p| holds(p, packet.source));
        if own || !answers {
            return Err(Lost::NoWayBack);
        }
        let proxy = self.tables.intercepted(port, Direction::In, packet);
        let packet = Packet { port: proxy.unwrap_or(packet.port), ..*packet };
        Ok(deliver(Receiver::Endpoint(port.endpoint), &packet))
    }

    fn input(&self, packet: &Packet) -> Outcome {
        if packet.from_ours && self.tables.is_answered(packet) {
            return Ok(deliver(Receiver::Host, packet));
        }
        if packet.from_ours {
            let (source, destination) = (packet.source, packet.destination);
            let fellow = self.tables.is_loop(destination, destination)
                && self.tables.is_intra(source, destination);
            if self.tables.is_fenced(source) && !fellow {
                return Err(Lost::Hidden);
            }
            self.access(packet)?;
            self.visible(packet)?;
            self.apart(packet)?;
            self.kept_from_host(packet, packet.source, self.out_of(packet))?;
        } else {
            self.present(packet)?;
        }
        Ok(deliver(self.tables.local_receiver(packet.destination), packet))
    }

    /// To an address of the host, past our ports: endpoints in its namespace keep their rules.
    fn present(&self, packet: &Packet) -> Result<(), Lost> {
        // What endpoints are served at their gateway is for them and for this host.
        if !packet.from_host && self.tables.is_answered(packet) {
            return Err(Lost::Filtered);
        }
        if !self.tables.allows(Direction::In, packet) {
            return Err(Lost::AccessRule(Direction::In));
        }
        let hidden = self.tables.is_hidden(packet.destination);
        let inside = self.tables.is_intra(packet.source, packet.destination);
        if hidden && !inside { Err(Lost::Hidden) } else { Ok(()) }
    }

    /// From a process of the host: translation, routing, the output hook.
    fn leave_host(&self, connection: &Connection, bound: Option<IpAddr>) -> Outcome {
        let first = self.tables.host_source(connection.to);
        let source = bound.or(first).ok_or(Lost::NoRoute)?;
        let packet = self.packet(connection, source, false);
        let mut packet = Packet { from_host: true, ..packet };
        self.translate(&mut packet, connection.draw);
        let way = self.tables.way(packet.destination);
        match way {
            Way::Port(port) => return self.depart(&packet, port),
            Way::Beyond(host, device) => {
                self.leave_for_ours(&packet, Some(device))?;
                let through = self.tables.through(device, &packet);
                let source = packet.shown.or(through).unwrap_or(packet.source);
                return Ok(deliver(Receiver::Beyond(host), &Packet { source, ..packet }));
            }
            Way::Local | Way::Outside | Way::Nowhere => {}
        }
        if !self.tables.allows(Direction::Out, &packet) {
            return Err(Lost::AccessRule(Direction::Out));
        }
        match way {
            Way::Local => self.input(&packet),
            Way::Outside => {
                let source = self.source_outside(&packet, false);
                Ok(deliver(Receiver::Outside, &Packet { source, ..packet }))
            }
            Way::Nowhere | Way::Port(_) | Way::Beyond(..) => Err(Lost::Unreachable),
        }
    }

    /// The output hook, toward a port or a tunnel.
    fn leave_for_ours(&self, packet: &Packet, tunnel: Option<&str>) -> Result<(), Lost> {
        self.access(packet)?;
        let hidden = self.tables.is_hidden(packet.destination);
        if hidden && !self.tables.is_intra(packet.source, packet.destination) {
            return Err(Lost::Hidden);
        }
        self.apart(packet)?;
        self.kept_from_host(packet, packet.destination, tunnel)
    }

    /// From the host into a port.
    fn depart(&self, packet: &Packet, port: &'a Port) -> Outcome {
        self.leave_for_ours(packet, None)?;
        let loopback = packet.source.is_loopback();
        let usual = if loopback { self.tables.prefer(port) } else { Some(packet.source) };
        let source = packet.shown.or(usual).ok_or(Lost::NoSource)?;
        self.enter(&Packet { source, ..*packet }, port)
    }
}

/// Whether the service is for whoever sent the packet.
fn admits(service: &Service, packet: &Packet) -> bool {
    match service.audience {
        Audience::Everybody => true,
        Audience::Inside => packet.from_ours,
        Audience::InsideAndHost => packet.from_ours || packet.from_host,
    }
}

fn holds(port: &Port, address: IpAddr) -> bool {
    port.addresses.iter().any(|net| net.addr() == address)
}

fn deliver(receiver: Receiver, packet: &Packet) -> Delivery {
    let destination = packet.kept.unwrap_or(packet.destination);
    let destination = SocketAddr::new(destination, packet.port);
    Delivery { receiver, destination, source: packet.source }
}
