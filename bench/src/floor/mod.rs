//! The yardstick: the kernel objects of an endpoint, made by the cheapest sequences known.
//!
//! An endpoint here is what one attach of the product makes: a named network namespace, a veth pair into it, an
//! address, a default route, source translation and one port mapping. What separates the product from this is the
//! price of documents, decisions and remembering. The sequences and how they were found are in `docs/benchmarks.md`.
//!
//! The static part (a bridge, a table with two sets) is loaded once with `ip` and `nft`, before any clock runs.

mod balancer;
mod elements;
pub mod message;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use balancer::Balancer;
pub use elements::Elements;
use message::{Doing, INNER, LOOPBACK, VethOptions};

use crate::command;
use crate::namespace::Namespace;
use crate::netlink::{Datagram, Socket};

/// The way in which the objects of an endpoint are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, Serialize, Deserialize)]
pub enum Sequence {
    /// One message makes both ends where they belong, one queue each and no IPv6 address generation, the host end in a
    /// bridge; one datagram inside, one nft batch. The cheapest known for a bridge.
    Fused,
    /// `fused` with the kernel's defaults for queues and IPv6.
    Plain,
    /// `fused` without a bridge: a /32 route and permanent neighbours; the product's own topology.
    Routed,
    /// `fused` with the namespace taken from a stock made beforehand and named by a symbolic link.
    Pool,
}

impl Sequence {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fused => "floor, fused",
            Self::Plain => "floor, fused plain",
            Self::Routed => "floor, routed",
            Self::Pool => "floor, pool",
        }
    }
}

/// Addresses and names of one endpoint, all derived from its number.
#[derive(Debug)]
pub struct Endpoint {
    pub host_name: String,
    pub host_index: u32,
    pub mac: [u8; 6],
    pub address: Ipv4Addr,
    pub host_port: u16,
}

impl Endpoint {
    pub fn numbered(number: u32) -> Self {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 90, 0, 10)) + number);
        let [a, b, c, d] = address.octets();
        Self {
            host_name: format!("fl{number}"),
            host_index: 100_000 + number,
            mac: [0x02, 0x15, a, b, c, d],
            address,
            host_port: crate::host_port(number),
        }
    }
}

/// A namespace with a netlink socket that was opened inside.
#[derive(Debug)]
struct Room {
    namespace: Namespace,
    socket: Socket,
}

/// A host namespace with the static objects, and the endpoints made in it.
#[derive(Debug)]
pub struct Floor {
    sequence: Sequence,
    home: Namespace,
    route: Socket,
    netfilter: Socket,
    datagram: Datagram,
    endpoints: HashMap<u32, (Room, Endpoint)>,
    stock: VecDeque<Room>,
}

const BRIDGE: &str = "flbr0";
const BRIDGE_INDEX: u32 = 99_999;
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 90, 0, 1);
/// The next hop of a routed endpoint: any address will do that its neighbour entry answers for.
const ROUTED_GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

const TABLE: &str = "
table ip floor {
    set outbound { type ipv4_addr; }
    map portmap { type inet_proto . inet_service : ipv4_addr . inet_service; }
    chain prerouting { type nat hook prerouting priority dstnat;
        fib daddr type local dnat ip to meta l4proto . th dport map @portmap
    }
    chain output { type nat hook output priority -100;
        fib daddr type local dnat ip to meta l4proto . th dport map @portmap
    }
    chain postrouting { type nat hook postrouting priority srcnat;
        ip saddr @outbound ip daddr != 10.90.0.0/16 masquerade
    }
}
";

impl Floor {
    /// Loads the static objects into the calling thread's network namespace.
    pub fn open(sequence: Sequence) -> anyhow::Result<Self> {
        let batch = format!(
            "link set lo up\nlink add {BRIDGE} index {BRIDGE_INDEX} type bridge\naddr add {GATEWAY}/16 dev {BRIDGE}\nlink set {BRIDGE} up\n"
        );
        command::run("ip", ["-batch", "-"], &batch)?;
        command::run("nft", ["-f", "-"], TABLE)?;
        Ok(Self {
            sequence,
            home: Namespace::current()?,
            route: Socket::route()?,
            netfilter: Socket::netfilter()?,
            datagram: Datagram::default(),
            endpoints: HashMap::new(),
            stock: VecDeque::new(),
        })
    }

    /// Another one beside this, for another thread, with the same static objects.
    pub fn beside(&self) -> io::Result<Self> {
        Ok(Self {
            sequence: self.sequence,
            home: Namespace::current()?,
            route: Socket::route()?,
            netfilter: Socket::netfilter()?,
            datagram: Datagram::default(),
            endpoints: HashMap::new(),
            stock: VecDeque::new(),
        })
    }

    /// Makes namespaces in advance, for the sequence that takes them from a stock.
    pub fn fill_stock(&mut self, count: u32) -> io::Result<()> {
        if self.sequence != Sequence::Pool {
            return Ok(());
        }
        for _ in 0..count {
            let (namespace, mut socket) = Namespace::create(&self.home, None, Socket::route)?;
            message::up(self.datagram.clear(), LOOPBACK);
            socket.send(&mut self.datagram)?;
            self.stock.push_back(Room { namespace, socket });
        }
        Ok(())
    }

    /// Makes everything that the endpoint with this number needs.
    pub fn attach(&mut self, number: u32) -> io::Result<()> {
        let endpoint = Endpoint::numbered(number);
        let room = self.room(number)?;
        let room = self.link(room, &endpoint)?;
        self.translate(&endpoint, Doing::Add)?;
        self.endpoints.insert(number, (room, endpoint));
        Ok(())
    }

    /// Ends the translations and lets go of the namespace; the kernel removes links and routes behind our back.
    pub fn detach(&mut self, number: u32) -> io::Result<()> {
        let (room, endpoint) = self
            .endpoints
            .remove(&number)
            .ok_or_else(|| io::Error::other(format!("endpoint {number} is not attached")))?;
        self.translate(&endpoint, Doing::Delete)?;
        drop(room.socket);
        room.namespace.release()
    }

    /// A namespace that carries the endpoint's name.
    fn room(&mut self, number: u32) -> io::Result<Room> {
        let path = PathBuf::from(format!("/run/netns/fl{number}"));
        if self.sequence == Sequence::Pool {
            let mut room =
                self.stock.pop_front().ok_or_else(|| io::Error::other("the stock is empty"))?;
            room.namespace.link_to(&path)?;
            return Ok(room);
        }
        let (namespace, socket) = Namespace::create(&self.home, Some(&path), Socket::route)?;
        Ok(Room { namespace, socket })
    }

    /// One datagram outside (the pair and the way to it), one inside (addresses and the way out).
    fn link(&mut self, mut room: Room, endpoint: &Endpoint) -> io::Result<Room> {
        let routed = self.sequence == Sequence::Routed;
        let options = VethOptions {
            bridge: (!routed).then_some(BRIDGE_INDEX),
            lean: self.sequence != Sequence::Plain,
        };
        let datagram = self.datagram.clear();
        message::veth(datagram, endpoint, &room.namespace, options);
        if routed {
            message::neighbour(datagram, endpoint.host_index, endpoint.address, endpoint.mac);
            message::host_route(datagram, endpoint);
        }
        self.route.send(datagram)?;

        datagram.clear();
        if self.sequence != Sequence::Pool {
            message::up(datagram, LOOPBACK);
        }
        if options.lean {
            message::no_address_generation(datagram, INNER);
        }
        message::up(datagram, INNER);
        if routed {
            message::address(datagram, endpoint, 32);
            // Any MAC costs the same; the bench sends no packet along this way but through `Balancer`.
            message::neighbour(datagram, INNER, ROUTED_GATEWAY, endpoint.mac);
            message::default_route_onlink(datagram, ROUTED_GATEWAY);
        } else {
            message::address(datagram, endpoint, 16);
            message::default_route(datagram, GATEWAY);
        }
        room.socket.send(datagram)?;
        Ok(room)
    }

    fn translate(&mut self, endpoint: &Endpoint, doing: Doing) -> io::Result<()> {
        message::endpoint_elements(self.datagram.clear(), doing, endpoint);
        self.netfilter.send(&mut self.datagram)
    }
}
