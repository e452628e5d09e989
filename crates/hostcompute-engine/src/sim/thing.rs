//! What a kernel object is known by: the key under which the simulated kernel holds a fact.
//!
//! Two facts with the same [`Thing`] cannot hold at once, whatever their content: a second interface of one name, a second
//! verdict under one key of a map. [`Fact::same_thing`] is narrower: it also asks whether one can become the other in place.

use alloc::string::{String, ToString};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hostcompute_schema::Guid;
use ipnet::IpNet;

use crate::mac::Mac;
use crate::plan::{Element, Fact, Family};

/// The identity of a kernel object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Table,
    Forwarding(Family),
    /// An interface of the host namespace, by name: anchors, host ends of ports, ifb devices.
    Link(String),
    Netns(Guid),
    HostAddress(IpAddr),
    /// A MAC behind a tunnel, by the tunnel's name.
    Peer(String, Mac),
    RemoteRoute(IpNet),
    /// The routing tables of a network.
    Wire(Guid),
    Detour(Family, u32),
    Proxy(IpAddr),
    VipRoute(IpAddr),
    /// By the port's name.
    VipOwner(String, IpAddr),
    Chain(String),
    /// A set of addresses: its number, family and whether its keys have ports.
    Set(u32, Family, bool),
    /// An element with the data of its key; a map's value is blanked.
    Element(Element),
    Service(Option<IpAddr>, Family, u8, u16),
    /// The link of an endpoint on the wire.
    Station(Guid),
    Resolver(Guid),
    Solicited(String),
    Responder(Guid),
    Lease(u32),
    Name(Guid, String, IpAddr),
    /// The packet filter inside a namespace.
    Interception(Guid),
    /// The hook for what arrives from a port, by the port's name.
    Diversion(String),
}

/// Who carries out a step: steps of one medium that stand together travel together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// One atomic transaction for the whole plan.
    Nftables,
    /// Messages in one datagram; the kernel goes on after a message that failed.
    Links,
    /// Files and sysctls, one at a time.
    Files,
}

impl Thing {
    pub(super) fn of(fact: &Fact) -> Self {
        match fact {
            Fact::Table => Self::Table,
            Fact::Forwarding(family) => Self::Forwarding(*family),
            Fact::Anchor(anchor) => Self::Link(anchor.name.clone()),
            Fact::Tunnel(tunnel) => Self::Link(tunnel.name.clone()),
            Fact::Peer(peer) => Self::Peer(peer.device.clone(), peer.mac),
            Fact::RemoteRoute(route) => Self::RemoteRoute(route.destination),
            Fact::Wire(wire) => Self::Wire(wire.network),
            Fact::Station(station) => Self::Station(station.endpoint),
            Fact::Face(face) => Self::Link(face.name.clone()),
            Fact::Guise(guise) => Self::Link(guise.name.clone()),
            Fact::Proxy(proxy) => Self::Proxy(proxy.address),
            Fact::Detour(detour) => Self::Detour(detour.family, detour.number),
            Fact::Netns(id) => Self::Netns(*id),
            Fact::Port(port) => Self::Link(port.name.clone()),
            Fact::HostAddress(host) => Self::HostAddress(host.address),
            Fact::Shaper(shaper) => Self::Link(shaper.name.clone()),
            Fact::Diversion(diversion) => Self::Diversion(diversion.port.clone()),
            Fact::VipRoute(route) => Self::VipRoute(route.address),
            Fact::VipOwner(owner) => Self::VipOwner(owner.port.clone(), owner.address),
            Fact::AddressSet(set) => Self::Set(set.number, set.family, set.ports),
            Fact::AclChain(chain) => Self::Chain(chain.name.clone()),
            Fact::Element(element) => Self::Element(key(element)),
            Fact::Service(service) => {
                let (vip, family, protocol, port) = service.frontend();
                Self::Service(vip, family, protocol, port)
            }
            Fact::Resolver(resolver) => Self::Resolver(resolver.netns),
            Fact::Solicited(uplink) => Self::Solicited(uplink.clone()),
            Fact::Responder(responder) => Self::Responder(responder.network),
            Fact::Lease(lease) => Self::Lease(lease.index),
            Fact::Name(name) => Self::Name(name.network, name.name.clone(), name.address),
            Fact::Interception(interception) => Self::Interception(interception.netns),
        }
    }

    /// Whether the object lives and dies with the nftables table.
    pub(super) fn is_in_table(&self) -> bool {
        matches!(self, Self::Set(..) | Self::Chain(_) | Self::Element(_) | Self::Service(..))
    }
}

/// The element with its value, if it has one, blanked.
fn key(element: &Element) -> Element {
    match element.clone() {
        Element::PortMapping { vip, protocol, port, to } => {
            let to = SocketAddr::new(unspecified(&to.ip()), 0);
            Element::PortMapping { vip, protocol, port, to }
        }
        Element::NatAs { source, address } => {
            Element::NatAs { source, address: unspecified(&address) }
        }
        Element::NatPorts { source, .. } => Element::NatPorts { source, first: 0, last: 0 },
        Element::Steer { source, destination, .. } => {
            Element::Steer { source, destination, number: 0 }
        }
        Element::Proxied { address, .. } => Element::Proxied { address, chain: String::new() },
        Element::AclOut { address, .. } => Element::AclOut { address, chain: String::new() },
        Element::AclIn { address, .. } => Element::AclIn { address, chain: String::new() },
        set => set,
    }
}

fn unspecified(like: &IpAddr) -> IpAddr {
    match Family::of(like) {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

impl Medium {
    pub(super) fn of(fact: &Fact) -> Self {
        match fact {
            Fact::Table
            | Fact::AddressSet(_)
            | Fact::AclChain(_)
            | Fact::Element(_)
            | Fact::Service(_) => Self::Nftables,
            Fact::Anchor(_)
            | Fact::Tunnel(_)
            | Fact::Peer(_)
            | Fact::RemoteRoute(_)
            | Fact::Wire(_)
            | Fact::Detour(_)
            | Fact::Proxy(_)
            | Fact::Station(_)
            | Fact::Face(_)
            | Fact::Guise(_)
            | Fact::Port(_)
            | Fact::HostAddress(_)
            | Fact::Shaper(_)
            | Fact::Diversion(_)
            | Fact::VipRoute(_)
            | Fact::VipOwner(_) => Self::Links,
            Fact::Forwarding(_)
            | Fact::Solicited(_)
            | Fact::Netns(_)
            | Fact::Resolver(_)
            | Fact::Responder(_)
            | Fact::Lease(_)
            | Fact::Interception(_)
            | Fact::Name(_) => Self::Files,
        }
    }
}

/// For people, and as the handle of a stray; different things print differently.
impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => f.write_str("table hostcompute"),
            Self::Forwarding(family) => write!(f, "forwarding of {family:?}"),
            Self::Link(name) => write!(f, "interface {name}"),
            Self::Netns(id) => write!(f, "network namespace {id}"),
            Self::HostAddress(address) => write!(f, "host address {address}"),
            Self::Peer(tunnel, mac) => write!(f, "MAC {mac} behind {tunnel}"),
            Self::RemoteRoute(range) => write!(f, "route to {range} elsewhere"),
            Self::Detour(family, number) => write!(f, "way {number:x} of {family:?}"),
            Self::Wire(table) => write!(f, "routing tables of {table}"),
            Self::Proxy(address) => write!(f, "answers for {address}"),
            Self::VipOwner(port, address) => write!(f, "owner of {address} at {port}"),
            Self::VipRoute(address) => write!(f, "route to {address}"),
            Self::Chain(name) => write!(f, "chain {name}"),
            Self::Set(number, family, ports) => {
                let keys = if *ports { "addresses and ports" } else { "addresses" };
                write!(f, "set {number:x} of {family:?} {keys}")
            }
            Self::Element(element) => write!(f, "element {element:?}"),
            Self::Service(vip, family, protocol, port) => {
                let vip = vip.map_or_else(|| "every address".to_string(), |vip| vip.to_string());
                write!(f, "service {vip} {family:?} protocol {protocol} port {port}")
            }
            Self::Station(id) => write!(f, "link of endpoint {id} to the wire"),
            Self::Resolver(id) => write!(f, "resolver of {id}"),
            Self::Solicited(uplink) => write!(f, "solicitations at {uplink}"),
            Self::Responder(id) => write!(f, "answers of network {id}"),
            Self::Lease(index) => write!(f, "lease of interface {index}"),
            Self::Name(network, name, address) => {
                write!(f, "name {name} of {address} on network {network}")
            }
            Self::Interception(id) => write!(f, "packet filter inside {id}"),
            Self::Diversion(port) => write!(f, "redirection of {port}"),
        }
    }
}
