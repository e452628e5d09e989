//! Facts of made-up networks and endpoints, as the engine would derive them.

use std::net::IpAddr;

use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::{Anchor, Element, Fact, Family, FarEnd, Port, PortRoute};
use hostcompute_schema::Guid;
use ipnet::IpNet;

/// A GUID that is easy to recognise.
pub fn guid(number: u8) -> Guid {
    Guid::from_bytes([number; 16])
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// Network `n` has the subnets 10.n.0.0/24 and fd00:n::/64, with the gateways .1 and ::1.
pub fn anchor(n: u8) -> Anchor {
    Anchor {
        network: guid(n),
        name: format!("hb{n}"),
        index: 1_000_000 + u32::from(n),
        mac: Mac([2, 0x15, 0x5d, 0, n, 1]),
        gateways: vec![net(&format!("10.{n}.0.1/24")), net(&format!("fd00:{n}::1/64"))],
        subnets: vec![net(&format!("10.{n}.0.0/24")), net(&format!("fd00:{n}::/64"))],
    }
}

/// What a host has that serves anything at all.
pub fn base() -> Vec<Fact> {
    vec![Fact::Table, Fact::Forwarding(Family::V4), Fact::Forwarding(Family::V6)]
}

/// Kinds of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nat,
    Internal,
    Private,
}

pub fn network(n: u8, kind: Kind) -> Vec<Fact> {
    let mut anchor = anchor(n);
    let mut facts: Vec<Fact> = anchor
        .subnets
        .iter()
        .map(|subnet| Fact::Element(Element::Intra { from: *subnet, to: *subnet }))
        .collect();
    for subnet in &anchor.subnets {
        match kind {
            Kind::Nat => facts.push(Fact::Element(Element::Outbound { subnet: *subnet })),
            Kind::Internal => {}
            Kind::Private => facts.push(Fact::Element(Element::Hidden { subnet: *subnet })),
        }
    }
    if kind == Kind::Private {
        anchor.gateways.clear();
    }
    facts.push(Fact::Anchor(anchor));
    facts
}

/// Endpoint `e` of network `n` has the addresses 10.n.0.e and fd00:n::e and namespace `guid(100 + e)`.
pub fn port(n: u8, e: u8) -> Port {
    let next = |address: &str| Some(ip(address));
    let (v4, v6) = (format!("10.{n}.0.1"), format!("fd00:{n}::1"));
    Port {
        endpoint: guid(e),
        netns: guid(100 + e),
        name: format!("he{n}x{e}"),
        index: 2_000_000 + u32::from(n) * 1000 + u32::from(e),
        alias: String::new(),
        far: FarEnd::Namespace,
        inner_name: "eth0".to_owned(),
        inner_index: 2,
        mac: Mac([2, 0x15, 0x5d, 1, n, e]),
        mtu: None,
        addresses: vec![net(&format!("10.{n}.0.{e}/24")), net(&format!("fd00:{n}::{e:x}/64"))],
        gateways: vec![ip(&v4), ip(&v6)],
        routes: vec![
            PortRoute { destination: net("0.0.0.0/0"), next_hop: next(&v4), metric: 0 },
            PortRoute { destination: net("::/0"), next_hop: next(&v6), metric: 0 },
        ],
        prefer: vec![ip(&v4), ip(&v6)],
    }
}

/// An endpoint in its namespace.
pub fn endpoint(n: u8, e: u8) -> Vec<Fact> {
    of_port(port(n, e))
}

pub fn of_port(port: Port) -> Vec<Fact> {
    let mut facts = vec![Fact::Netns(port.netns)];
    for address in port.addresses.iter().map(IpNet::addr) {
        let (name, mac) = (port.name.clone(), port.mac);
        facts.push(Fact::Element(Element::Source { port: name, mac, address }));
        facts.push(Fact::Element(Element::Loop { address }));
    }
    facts.push(Fact::Port(port));
    facts
}

pub fn mapping(protocol: u8, port: u16, to: &str) -> Fact {
    let to = to.parse().unwrap();
    Fact::Element(Element::PortMapping { vip: None, protocol, port, to })
}

/// The facts, and what leads packets to the chains among them.
pub fn listed(facts: &[Fact]) -> Vec<Fact> {
    let chains = facts.iter().filter_map(|fact| match fact {
        Fact::AclChain(chain) => Some(&chain.name),
        _ => None,
    });
    let ways = chains.flat_map(|chain| {
        [Family::V4, Family::V6].map(|family| Element::Listed { family, chain: chain.clone() })
    });
    facts.iter().cloned().chain(ways.map(Fact::Element)).collect()
}

/// A NAT network 1 with endpoints 2, 3, …
pub fn nat(endpoints: u8) -> Vec<Fact> {
    let mut facts = base();
    facts.extend(network(1, Kind::Nat));
    facts.extend((2..2 + endpoints).flat_map(|e| endpoint(1, e)));
    facts
}
