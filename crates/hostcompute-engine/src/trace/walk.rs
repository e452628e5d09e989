//! One packet on its way through the host: each place that it passes, and where it ends.
//!
//! The places and their order are those of the table (ARCHITECTURE.md, "data path"). The packet is the first of its flow; what
//! belongs to an established one passes, and is not walked.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use hostcompute_schema::Guid;
use hostcompute_schema::service::{TraceHop, TracePlace as Place};
use ipnet::IpNet;

use super::view::{Denied, Set, View, Way, backends, holds};
use super::words::Words;
use super::{Packet, Question};
use crate::plan::{Affinity, Audience, Direction, Family, Port, Service};

/// Where a connection starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Endpoint(Guid),
    /// A process of the host.
    Host,
    /// A machine elsewhere.
    Outside(IpAddr),
    /// A machine behind the tunnel of a virtual subnet.
    OtherHost(IpAddr, u32),
}

/// Who gets the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiver {
    Endpoint(Guid),
    Host,
    Outside,
    OtherHost(IpAddr),
}

/// What stops a packet.
#[derive(Debug, Clone)]
pub(super) enum Stop {
    NotAttached(Guid),
    /// The endpoint, or the host, has no address of the family.
    NoAddress(Option<Guid>, Family),
    NoRoute(Guid, IpAddr),
    Spoofed(IpAddr),
    Rule(Direction, IpAddr, Denied),
    Nobody(IpAddr),
    NotForwarding(Family),
    Isolated(IpAddr),
    /// Nothing allows it.
    Closed {
        packet: Packet,
        to_ours: bool,
    },
    Private(IpAddr),
    Apart(IpAddr),
    Fenced(IpAddr),
    /// It is what a network's endpoints are served at their gateway.
    Served(IpAddr),
    NoWayBack(Guid, IpAddr),
    /// The receiver is another than the one that was asked about.
    SomebodyElse(Receiver, Guid),
}

/// A walk and its end.
#[derive(Debug)]
pub(super) struct Walked {
    pub hops: Vec<TraceHop>,
    /// Everybody whom the service on the way may choose; empty without one.
    pub backends: Vec<SocketAddr>,
    /// Who gets the packet, and from whom it seems to come.
    pub end: Result<(Receiver, IpAddr), Stop>,
}

/// A walk that is under way.
struct Walk<'a> {
    view: View<'a>,
    words: Words<'a>,
    /// Which of the backends is chosen.
    choice: usize,
    hops: Vec<TraceHop>,
    backends: Vec<SocketAddr>,
}

type End = Result<(Receiver, IpAddr), Stop>;

/// Walks the first packet of a connection; of several backends it takes the one with the number `choice`.
pub(super) fn walk(view: View<'_>, words: Words<'_>, question: &Question, choice: usize) -> Walked {
    let mut walk = Walk { view, words, choice, hops: Vec::new(), backends: Vec::new() };
    let end = walk.begin(question);
    Walked { hops: walk.hops, backends: walk.backends, end }
}

impl Walk<'_> {
    fn hop(&mut self, place: Place, what: impl Into<String>, packet: &Packet) {
        self.hops.push(TraceHop {
            place: Some(place),
            what: Some(what.into()),
            source: Some(packet.source.to_string()),
            destination: Some(packet.sent_to()),
            ..TraceHop::default()
        });
    }

    fn begin(&mut self, question: &Question) -> End {
        match question.origin {
            Origin::Outside(source) => {
                let packet = question.packet(source, false);
                self.hop(
                    Place::Uplink,
                    format!("{source}, elsewhere, sends it to this host"),
                    &packet,
                );
                self.arrive(packet)
            }
            Origin::OtherHost(source, vsid) => {
                let packet = Packet { from_tunnel: Some(vsid), ..question.packet(source, true) };
                self.hop(Place::Tunnel, format!("comes out of the tunnel of VSID {vsid}"), &packet);
                self.arrive(packet)
            }
            Origin::Host => self.leave_host(question, None),
            Origin::Endpoint(id) => match self.view.port_of(id) {
                Some(port) => self.leave_port(question, port),
                None => {
                    let family = Family::of(&question.to);
                    let source = self.view.host_address_of(id, family);
                    let attached = self.words.attached(id);
                    match source {
                        Some(source) => self.leave_host(question, Some(source)),
                        None if attached => Err(Stop::NoAddress(Some(id), family)),
                        None => Err(Stop::NotAttached(id)),
                    }
                }
            },
        }
    }

    /// Out of a namespace, through the port's host end.
    fn leave_port(&mut self, question: &Question, port: &Port) -> End {
        let (id, to) = (port.endpoint, question.to);
        let family = Family::of(&to);
        let own = |net: &&IpNet| Family::of(&net.addr()) == family;
        let source = port.addresses.iter().find(own).map(IpNet::addr);
        let source = source.ok_or(Stop::NoAddress(Some(id), family))?;
        let packet = question.packet(source, true);
        if let Some(holder) = self.view.ports_in(port.netns).find(|port| holds(port, to)) {
            let receiver = Receiver::Endpoint(holder.endpoint);
            self.hop(Place::Namespace, "the address is in the sender's own namespace", &packet);
            return Ok((receiver, source));
        }
        let leaving = self.view.route_inside(port.netns, to).ok_or(Stop::NoRoute(id, to))?;
        let name = self.words.endpoint(id);
        let what = format!("{name} sends it by {} of its namespace", leaving.inner_name);
        self.hop(Place::Namespace, what, &packet);
        if let Some(proxy) = self.view.intercepted(leaving, Direction::Out, &packet) {
            let what = format!(
                "a proxy in the sender's own namespace takes it at port {proxy} (L4WFPPROXY)"
            );
            self.hop(Place::Translation, what, &packet);
            return Ok((Receiver::Endpoint(id), source));
        }
        if !self.view.may_send(leaving, source) {
            return Err(Stop::Spoofed(source));
        }
        let what = format!("{} is an address that {} may send from", source, leaving.name);
        self.hop(Place::Port, what, &packet);
        self.arrive(packet)
    }

    /// Prerouting and what follows.
    fn arrive(&mut self, packet: Packet) -> End {
        let packet = self.translate(packet);
        let way = match packet.from_ours {
            true => self.view.way_from(packet.source, packet.destination),
            false => self.view.way(packet.destination),
        };
        match way {
            Way::Local => self.input(&packet),
            Way::Nowhere => Err(Stop::Nobody(packet.destination)),
            way => self.forward(&packet, way),
        }
    }

    /// Destination translation, in the table's order: services, ports of an address; then node ports and ports of the host.
    fn translate(&mut self, packet: Packet) -> Packet {
        let to = packet.destination;
        if let Some(proxy) = self.view.proxy(&packet) {
            return self.translated(&packet, proxy, "the sender's proxy gets it (L4Proxy)");
        }
        if let Some(translated) = self.translate_at(Some(to), &packet) {
            return translated;
        }
        let of_host = self.view.is_local(to) || (to.is_loopback() && to.is_ipv4());
        match of_host.then(|| self.translate_at(None, &packet)).flatten() {
            Some(translated) => translated,
            None => packet,
        }
    }

    fn translate_at(&mut self, vip: Option<IpAddr>, packet: &Packet) -> Option<Packet> {
        let service = self.view.service(vip, packet);
        if let Some(service) = service.filter(|service| !admits(service, packet)) {
            let name = self.words.balancer(service.frontend());
            self.hop(Place::Translation, format!("{name} is for the inside only"), packet);
            return None;
        }
        if let Some(service) = service {
            self.backends = backends(service);
            let backend = *self.backends.get(self.choice)?;
            let how = match (self.backends.len(), service.affinity) {
                (1, _) => String::new(),
                (count, Affinity::None) => format!(", one of {count} backends, at random"),
                (count, Affinity::Client) => format!(", one of {count} backends, by the client"),
            };
            let name = self.words.balancer(service.frontend());
            let shown = service.shown.as_ref().filter(|one| one.toward.contains(&backend.ip()));
            let packet = Packet { shown: shown.map(|shown| shown.address), ..*packet };
            return Some(self.translated(&packet, backend, &format!("{name} sends it on{how}")));
        }
        let to = self.view.mapping(vip, packet)?;
        let owner = self.words.publisher(vip, packet);
        Some(self.translated(packet, to, &format!("the port is published by {owner}")))
    }

    fn translated(&mut self, packet: &Packet, to: SocketAddr, what: &str) -> Packet {
        let packet = Packet { destination: to.ip(), port: to.port(), translated: true, ..*packet };
        self.hop(Place::Translation, what, &packet);
        packet
    }

    fn forward(&mut self, packet: &Packet, way: Way<'_>) -> End {
        let to_ours = matches!(way, Way::Port(_) | Way::OtherHost(_));
        let family = Family::of(&packet.destination);
        // IPv4 asks the interface by which the packet came, and ports say yes; IPv6 asks the whole host.
        let by_port = packet.from_ours && family == Family::V4;
        if !by_port && !self.view.forwards(family) {
            return Err(Stop::NotForwarding(family));
        }
        self.hop(Place::Routing, self.words.way(way, packet.destination), packet);
        if packet.from_ours || to_ours {
            self.filter(packet, way)?;
        }
        let packet = self.leave_as(packet, to_ours);
        match way {
            Way::Port(port) => self.enter(&packet, port),
            Way::OtherHost(host) => Ok((Receiver::OtherHost(host), packet.source)),
            _ => Ok((Receiver::Outside, packet.source)),
        }
    }

    /// The chains `pass4` and `pass6`.
    fn filter(&mut self, packet: &Packet, way: Way<'_>) -> Result<(), Stop> {
        let (to_ours, into_tunnel) = match way {
            Way::Port(_) => (true, false),
            Way::OtherHost(_) => (true, true),
            _ => (false, false),
        };
        self.access(Direction::Out, packet)?;
        self.access(Direction::In, packet)?;
        let (source, destination) = (packet.source, packet.destination);
        let inside = self.view.is_intra(source, destination);
        self.visible(packet, source)?;
        self.visible(packet, destination)?;
        let view = self.view;
        let is = |set, address| view.is_in(set, address);
        if !inside {
            let fenced = packet.from_ours && to_ours && is(Set::Fenced, source);
            if fenced || view.is_barred(source, destination) {
                return Err(Stop::Fenced(if is(Set::Fenced, source) {
                    source
                } else {
                    destination
                }));
            }
        }
        if packet.translated {
            let open = is(Set::Outbound, destination) || is(Set::Published, destination);
            if open || inside || into_tunnel {
                self.hop(Place::Filter, "what was translated may enter the network", packet);
                return Ok(());
            }
        }
        if packet.from_ours && to_ours {
            let isolated = [source, destination].into_iter().find(|a| is(Set::Isolated, *a));
            isolated.map_or(Ok(()), |address| Err(Stop::Isolated(address)))?;
        }
        let leaves = packet.from_ours && !to_ours;
        let what = if inside || view.is_joined(packet) {
            "both ends are on one network"
        } else if leaves && view.detour(source, destination).is_some() {
            "an SDN route leads outside"
        } else if leaves && is(Set::Outbound, source) {
            "the network leads outside"
        } else if !packet.from_ours && to_ours && view.admits(packet) {
            "an SDN route leads back to where it comes from"
        } else if (leaves && is(Set::Bridged, source))
            || (!packet.from_ours && is(Set::Bridged, destination))
        {
            "the network is part of the outside"
        } else {
            return Err(Stop::Closed { packet: *packet, to_ours });
        };
        self.hop(Place::Filter, what, packet);
        Ok(())
    }

    fn access(&mut self, direction: Direction, packet: &Packet) -> Result<(), Stop> {
        let (address, place) = match direction {
            Direction::Out => (packet.source, Place::SenderRules),
            Direction::In => (packet.destination, Place::ReceiverRules),
        };
        let passed = self.view.access(direction, packet);
        if passed.map_err(|denied| Stop::Rule(direction, address, denied))? > 0 {
            let name = self.words.owner(address);
            self.hop(place, format!("the access rules of {name} allow it"), packet);
        }
        Ok(())
    }

    /// Private networks are closed, translated or not.
    fn visible(&self, packet: &Packet, address: IpAddr) -> Result<(), Stop> {
        let hidden = self.view.is_in(Set::Hidden, address);
        let inside = self.view.is_intra(packet.source, packet.destination);
        if hidden && !inside { Err(Stop::Private(address)) } else { Ok(()) }
    }

    /// Postrouting.
    fn leave_as(&mut self, packet: &Packet, to_ours: bool) -> Packet {
        let source = packet.source;
        if let Some(shown) = packet.shown {
            let packet = Packet { source: shown, ..*packet };
            self.hop(Place::Masquerade, "leaves under the source VIP of the service", &packet);
            return packet;
        }
        if let Some(seen) = self.view.seen_as(packet).filter(|_| packet.translated) {
            let packet = Packet { source: seen, ..*packet };
            self.hop(
                Place::Masquerade,
                "goes on under the host's address in the virtual subnet",
                &packet,
            );
            return packet;
        }
        if to_ours {
            let own = source == packet.destination && self.view.is_in(Set::Loop, source);
            let masked = packet.translated && self.view.is_masked(packet);
            if !(masked || packet.translated && own) {
                return *packet;
            }
            let back = self.view.host_source(packet.destination).unwrap_or(source);
            let packet = Packet { source: back, ..*packet };
            self.hop(
                Place::Masquerade,
                "goes on under the host's address, so that the answer comes back here",
                &packet,
            );
            return packet;
        }
        let limited =
            self.view.is_in(Set::NatLimited, source) && !self.view.is_within_limit(packet);
        if limited || self.view.is_exempt(packet) {
            self.hop(Place::Masquerade, "keeps its address, by OutBoundNAT of the sender", packet);
            return *packet;
        }
        let (as_whom, what) = match self.view.appears_as(source) {
            Some(address) => (address, "leaves under the address of OutBoundNAT"),
            None if self.view.is_in(Set::Outbound, source) => {
                let own = self.view.own_address(source.is_ipv4());
                (own.unwrap_or(source), "leaves under the host's address")
            }
            None => return *packet,
        };
        let packet = Packet { source: as_whom, ..*packet };
        self.hop(Place::Masquerade, what, &packet);
        packet
    }

    /// Into a port; the answer takes the interface that the namespace's routes name, from the address that was asked.
    fn enter(&mut self, packet: &Packet, port: &Port) -> End {
        let back = self.view.route_inside(port.netns, packet.source);
        let answers = back.is_some_and(|back| self.view.may_send(back, packet.destination));
        let own = self.view.ports_in(port.netns).any(|port| holds(port, packet.source));
        if own || !answers {
            return Err(Stop::NoWayBack(port.endpoint, packet.source));
        }
        if let Some(proxy) = self.view.intercepted(port, Direction::In, packet) {
            let packet = Packet { port: proxy, ..*packet };
            self.hop(Place::Translation, "a proxy inside takes it (L4WFPPROXY)", &packet);
        }
        Ok((Receiver::Endpoint(port.endpoint), packet.source))
    }

    /// To an address of the host.
    fn input(&mut self, packet: &Packet) -> End {
        self.hop(Place::Routing, "the address is this host's", packet);
        if packet.from_ours && self.view.is_answered(packet) {
            return Ok((Receiver::Host, packet.source));
        }
        if packet.from_ours {
            let (source, destination) = (packet.source, packet.destination);
            let fellow =
                self.view.is_in(Set::Loop, destination) && self.view.is_intra(source, destination);
            if self.view.is_in(Set::Fenced, source) && !fellow {
                return Err(Stop::Fenced(source));
            }
            self.at_host(packet, packet.source, packet.destination)?;
        } else {
            if !packet.from_host && self.view.is_answered(packet) {
                return Err(Stop::Served(packet.destination));
            }
            self.access(Direction::In, packet)?;
            self.visible(packet, packet.destination)?;
        }
        let there = self.view.on_host(packet.destination);
        Ok((there.map_or(Receiver::Host, Receiver::Endpoint), packet.source))
    }

    /// Between this host, at `near`, and a port, at `far`: the chains `arrive` and `depart`.
    fn at_host(&mut self, packet: &Packet, far: IpAddr, near: IpAddr) -> Result<(), Stop> {
        self.access(Direction::Out, packet)?;
        self.access(Direction::In, packet)?;
        self.visible(packet, far)?;
        if near == packet.destination {
            self.visible(packet, near)?;
        }
        if packet.translated {
            return Ok(());
        }
        let endpoint = self.view.is_in(Set::Loop, near);
        let joined = self.view.is_joined(packet);
        let inside = self.view.is_intra(packet.source, packet.destination);
        let far_apart = self.view.is_in(Set::Apart, far) && !(endpoint && inside);
        let apart = far_apart || (self.view.is_in(Set::Apart, near) && !inside);
        let aloof = self.view.is_aloof(packet) && !(endpoint && joined);
        if aloof || (apart && !joined) {
            return Err(Stop::Apart(far));
        }
        if self.view.is_in(Set::Isolated, near) {
            return Err(Stop::Isolated(near));
        }
        if self.view.is_in(Set::Isolated, far) && endpoint {
            return Err(Stop::Isolated(far));
        }
        Ok(())
    }

    /// From a process of the host, or an endpoint in its own namespace.
    fn leave_host(&mut self, question: &Question, bound: Option<IpAddr>) -> End {
        let family = Family::of(&question.to);
        let source = bound.or_else(|| self.view.host_source(question.to));
        let source = source.ok_or(Stop::NoAddress(None, family))?;
        let packet = Packet { from_host: true, ..question.packet(source, false) };
        self.hop(Place::Host, "a process of this host sends it", &packet);
        let packet = self.translate(packet);
        let way = self.view.way(packet.destination);
        match way {
            Way::Port(_) | Way::OtherHost(_) => {
                self.hop(Place::Routing, self.words.way(way, packet.destination), &packet);
                self.at_host(&packet, packet.destination, packet.source)?;
            }
            _ => self.access(Direction::Out, &packet)?,
        }
        match way {
            Way::Local => self.input(&packet),
            Way::Nowhere => Err(Stop::Nobody(packet.destination)),
            Way::OtherHost(host) => {
                Ok((Receiver::OtherHost(host), self.leave_as(&packet, true).source))
            }
            Way::Outside | Way::Detour(_) => {
                self.hop(Place::Routing, self.words.way(way, packet.destination), &packet);
                Ok((Receiver::Outside, self.leave_as(&packet, false).source))
            }
            Way::Port(port) => {
                let mut packet = packet;
                if packet.shown.is_some() {
                    packet = self.leave_as(&packet, true);
                } else if packet.source.is_loopback() {
                    let first = port.prefer.first().copied();
                    packet.source = first.ok_or(Stop::NoAddress(None, family))?;
                    self.hop(Place::Masquerade, "127.0.0.1 means nobody there", &packet);
                }
                self.enter(&packet, port)
            }
        }
    }
}

/// Whether a service is for whoever sent the packet.
fn admits(service: &Service, packet: &Packet) -> bool {
    match service.audience {
        Audience::Everybody => true,
        Audience::Inside => packet.from_ours,
        Audience::InsideAndHost => packet.from_ours || packet.from_host,
    }
}
