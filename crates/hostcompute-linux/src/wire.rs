//! Bridged networks on an adapter: the routing table by which their packets leave, and the adapter's answers for their addresses.
//!
//! ```text
//!   32100  from SUBNET iif lo      goto 32766      what the host sends is not ours to route
//!   32100  from SUBNET iif UPLINK  goto 32766      nor what it passes on from there
//!   32101  from SUBNET             lookup main, single addresses only: endpoints of this host   (not on L2Tunnel)
//!   32102  from SUBNET             lookup TABLE: SUBNET on the way out and others behind it (not on L2Tunnel), else its gateway, else nowhere
//! ```

use std::net::IpAddr;

use hostcompute_engine::plan::{Proxy, Way, Wire};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::Error;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient, Socket};
use crate::route::link;
use crate::route::neighbour;
use crate::route::path::{self, Path, Target};
use crate::route::rule::{self, Action, MAIN, MAIN_RULE, Rule};

/// Our rules stand just before the kernel's own, after those of others.
const PASS: u32 = 32_100;
const NEAR: u32 = 32_101;
const AWAY: u32 = 32_102;

/// The rules of a wire, in order.
pub(crate) fn rules(wire: &Wire) -> Vec<Rule> {
    let mut rules = Vec::new();
    for Way { subnet: from, table, .. } in &wire.ways {
        let rule = |priority, link: Option<&str>, action| Rule {
            priority,
            from: *from,
            link: link.map(str::to_owned),
            mark: None,
            action,
        };
        let all_but_single = Some(u32::from(from.max_prefix_len()) - 1);
        rules.push(rule(AWAY, None, Action::Table { number: *table, suppress: None }));
        if !wire.tunnel {
            let near = Action::Table { number: MAIN, suppress: all_but_single };
            rules.push(rule(NEAR, None, near));
        }
        for link in ["lo", &wire.uplink] {
            rules.push(rule(PASS, Some(link), Action::Goto(MAIN_RULE)));
        }
    }
    rules
}

/// The routes of a wire's tables.
pub(crate) fn paths(wire: &Wire, out: u32) -> Vec<(u32, Path)> {
    let path = |destination, target| Path { destination, target, source: None, metric: 0 };
    let mut paths = Vec::new();
    for Way { subnet, table, gateway, others } in &wire.ways {
        if !wire.tunnel {
            paths.push((*table, path(*subnet, Target::Device(out))));
        }
        for (range, hop) in others {
            paths.push((*table, path(*range, Target::Gateway(out, *hop))));
        }
        let everything = match subnet {
            IpNet::V4(_) => IpNet::V4(Ipv4Net::default()),
            IpNet::V6(_) => IpNet::V6(Ipv6Net::default()),
        };
        let away = match gateway {
            Some(gateway) => Target::Gateway(out, *gateway),
            None => Target::Unreachable,
        };
        paths.push((*table, path(everything, away)));
    }
    paths
}

/// The index of an adapter by its name.
pub(crate) fn index(socket: &mut Socket, name: &str) -> Result<u32, Error> {
    link::index_of(socket, name)?.ok_or_else(|| {
        let gone = std::io::Error::from(rustix::io::Errno::NODEV);
        Error::system("find the adapter of the network", gone)
    })
}

pub(crate) fn push_add(datagram: &mut Datagram, step: usize, wire: &Wire, out: u32) {
    let note = |aim| Note { step, aim, lenient: Lenient::Present };
    for (table, path) in paths(wire, out) {
        let note = note("add the way out of the network");
        match path.target {
            Target::Gateway(_, hop) if wire.out != wire.uplink && is_near(wire, hop) => {
                path::push_add_behind(datagram, note, &path, table);
            }
            _ => path::push_add_to(datagram, note, &path, table),
        }
    }
    for rule in rules(wire) {
        rule::push_add(datagram, note("choose the way out of the network"), &rule);
    }
}

fn is_near(wire: &Wire, hop: IpAddr) -> bool {
    wire.ways.iter().any(|way| way.subnet.contains(&hop))
}

pub(crate) fn push_remove(datagram: &mut Datagram, step: usize, wire: &Wire, out: u32) {
    let note = |aim| Note { step, aim, lenient: Lenient::Absent };
    for rule in rules(wire).iter().rev() {
        rule::push_remove(datagram, note("choose no way out of the network"), rule);
    }
    for (table, path) in paths(wire, out) {
        path::push_remove_from(datagram, note("remove the way out"), &path, table);
    }
}

pub(crate) fn push_answer(datagram: &mut Datagram, step: usize, proxy: &Proxy, uplink: u32) {
    let note = Note { step, aim: "answer for the endpoint's address", lenient: Lenient::Not };
    neighbour::push_proxy(datagram, note, uplink, proxy.address);
}

pub(crate) fn push_silence(datagram: &mut Datagram, step: usize, proxy: &Proxy, uplink: u32) {
    let note = Note { step, aim: "answer no more for the address", lenient: Lenient::Absent };
    neighbour::push_remove_proxy(datagram, note, uplink, proxy.address);
}
