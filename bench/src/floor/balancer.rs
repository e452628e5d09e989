//! The yardstick of load balancing: services as elements of one flat map, address . port . slot -> backend.
//!
//! One rule serves any number of services. This is what the cost of a service and of a connection is compared with.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use super::message::{self, Doing, Element};
use crate::command;
use crate::netlink::{Datagram, Socket};
use crate::side::Balancing;

/// Three routed namespaces (a client and two backends) and the table.
#[derive(Debug)]
pub struct Balancer {
    netfilter: Socket,
    datagram: Datagram,
}

const ROOMS: [&str; 3] = ["client", "one", "two"];

const TABLE: &str = "
table ip floor {
    map services {
        typeof ip daddr . tcp dport . numgen random mod 2 : ip daddr . tcp dport
    }
    chain prerouting { type nat hook prerouting priority dstnat;
        dnat ip to ip daddr . tcp dport . numgen random mod 2 map @services
    }
}
";

impl Balancer {
    /// Makes the namespaces and the table in the calling thread's network namespace.
    pub fn open() -> anyhow::Result<Self> {
        for (number, room) in ROOMS.iter().enumerate() {
            command::run("ip", ["netns", "add", room], "")?;
            let host = format!(
                "link add fl{room} type veth peer name eth0 netns {room}\n\
                 addr add 10.91.{number}.1/24 dev fl{room}\nlink set fl{room} up\n"
            );
            command::run("ip", ["-batch", "-"], &host)?;
            let inner = format!(
                "link set lo up\naddr add 10.91.{number}.2/24 dev eth0\nlink set eth0 up\n\
                 route add default via 10.91.{number}.1\n"
            );
            command::run("ip", ["-netns", room, "-batch", "-"], &inner)?;
        }
        command::run("nft", ["-f", "-"], TABLE)?;
        Ok(Self { netfilter: Socket::netfilter()?, datagram: Datagram::default() })
    }

    fn change(&mut self, number: u32, doing: Doing) -> anyhow::Result<()> {
        let vip = crate::vip(number);
        let slots: [Element; 2] = [0, 1].map(|slot: u8| {
            let backend = Ipv4Addr::new(10, 91, slot + 1, 2);
            let mut key = message::address_and_port(*vip.ip(), vip.port());
            key.extend_from_slice(&u32::from(slot).to_ne_bytes());
            (key, Some(message::address_and_port(backend, crate::BACKEND_PORT)))
        });
        message::elements(self.datagram.clear(), doing, &[("services", &slots)]);
        Ok(self.netfilter.send(&mut self.datagram)?)
    }
}

impl Balancing for Balancer {
    fn add(&mut self, number: u32) -> anyhow::Result<()> {
        self.change(number, Doing::Add)
    }

    fn remove(&mut self, number: u32) -> anyhow::Result<()> {
        self.change(number, Doing::Delete)
    }

    fn frontend(&self, number: u32) -> SocketAddrV4 {
        crate::vip(number)
    }

    fn client(&self) -> anyhow::Result<PathBuf> {
        Ok("/run/netns/client".into())
    }

    fn backends(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(vec!["/run/netns/one".into(), "/run/netns/two".into()])
    }
}
