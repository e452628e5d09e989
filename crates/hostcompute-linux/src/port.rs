//! Routed ports: the messages that make, change and retire the veth pair of an endpoint.
//!
//! A port is made by three datagrams (the link, the host's half, the inner half), and nothing is read back. It is retired in the
//! time of a set element: the routes go, the host end moves to the group of the dying, from which the packet filter takes
//! nothing, and the slow removal of the link itself happens behind the answer (see [`crate::cleanup`]).

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use hostcompute_engine::plan::{DYING_GROUP, Family, FarEnd, HOST_END_MAC, PORT_GROUP, Port};
use ipnet::IpNet;

use crate::error::Error;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient};
use crate::route::address;
use crate::route::link::{self, Finish, Inet4Setting, NewLink, Peer};
use crate::route::neighbour::{self, Neighbour};
use crate::route::path::{self, Path, Target};
use crate::sys;

/// IPv4 settings of the host end: packets from it are forwarded whatever the host's own setting, and answers to what the host
/// sent from its loopback address are let in (the packet filter keeps workloads from using that).
pub(crate) const HOST_SETTINGS: [Inet4Setting; 2] =
    [Inet4Setting::Forwarding, Inet4Setting::RouteLocalnet];

/// The loopback interface of every namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// The beginning of a port: the pair, with both ends where they belong, and down.
pub(crate) fn push_link(datagram: &mut Datagram, step: usize, port: &Port, netns: BorrowedFd<'_>) {
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    link::push_veth(
        datagram,
        note("make the interface"),
        NewLink {
            name: &port.name,
            index: port.index,
            mac: Some(HOST_END_MAC),
            group: PORT_GROUP,
            mtu: port.mtu,
        },
        Peer {
            name: &port.inner_name,
            index: port.inner_index,
            mac: Some(port.mac),
            mtu: port.mtu,
            netns,
        },
    );
}

/// Keeps IPv6 off the host end of a port that has only IPv4: else the kernel walks through all IPv6 routes whenever such a
/// link comes up, and gives it one of its own (`fib6_ifup` in net/ipv6/route.c).
///
/// Only the cost of further ports depends on it, so a host that does not allow it is left as it is.
pub(crate) fn refuse_ipv6(port: &Port) {
    if !has_inet6(port) {
        set_ipv6(&port.name, Inet6::Off);
    }
}

/// The same for a port whose pair comes from the pool, where IPv6 is off.
pub(crate) fn allow_ipv6(port: &Port) {
    if has_inet6(port) {
        set_ipv6(&port.name, Inet6::On);
    }
}

fn has_inet6(port: &Port) -> bool {
    port.addresses.iter().any(|address| address.addr().is_ipv6())
}

/// Whether a link speaks IPv6 at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inet6 {
    On,
    Off,
}

/// Switches IPv6 of a link of the calling thread's namespace.
pub(crate) fn set_ipv6(name: &str, inet6: Inet6) {
    let path = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
    let value = match inet6 {
        Inet6::On => "0",
        Inet6::Off => "1",
    };
    if let Err(error) = std::fs::write(&path, value) {
        tracing::debug!(%error, path, "IPv6 stays as it is");
    }
}

/// Where a port's pair comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pair {
    /// Made for it.
    New,
    /// From the pool: set up as far as it could be without knowing the port.
    Ready,
}

/// The host's half of making a port.
pub(crate) fn push_host(datagram: &mut Datagram, step: usize, port: &Port, pair: Pair) {
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    let up = note("bring the interface up");
    match pair {
        Pair::New if port.far == FarEnd::Machine => {
            let settings = note("set up the interface");
            link::push_settings(datagram, settings, port.index, &HOST_SETTINGS, "");
            let (mac, group) = (Some(HOST_END_MAC), Some(PORT_GROUP));
            let (mtu, alias) = (port.mtu, port.alias.as_str());
            let finish = Finish { mac, group, mtu, alias, ..Finish::default() };
            link::push_finish(datagram, up, port.index, finish);
            push_answers(datagram, step, port.index);
            for gateway in answered_for(port) {
                let note = note("answer for the gateway");
                neighbour::push_proxy(datagram, note, port.index, gateway);
            }
        }
        Pair::New => {
            let settings = note("set up the interface");
            link::push_settings(datagram, settings, port.index, &HOST_SETTINGS, &port.alias);
            link::push_up(datagram, up, port.index);
        }
        Pair::Ready => {
            let (group, alias) = (Some(PORT_GROUP), port.alias.as_str());
            let finish = Finish { group, mtu: port.mtu, alias, ..Finish::default() };
            link::push_finish(datagram, up, port.index, finish);
        }
    }
    for path in host_paths(port) {
        path::push_add(datagram, note("route to the endpoint"), &path);
    }
    for neighbour in host_neighbours(port) {
        neighbour::push_set(datagram, note("set the endpoint's MAC"), neighbour);
    }
}

/// The gateways for which a tap answers solicitations; a machine finds those of IPv4, and its neighbours, as whoever has a lease does.
pub(crate) fn answered_for(port: &Port) -> impl Iterator<Item = IpAddr> + '_ {
    let machine = port.far == FarEnd::Machine;
    port.gateways.iter().copied().filter(move |gateway| machine && gateway.is_ipv6())
}

/// Makes the tap of a port; the calling thread is in the host namespace.
pub(crate) fn make_tap(port: &Port) -> Result<(), Error> {
    sys::make_tap(&port.name, port.index)
        .map_err(|source| Error::system("make the virtual machine's interface", source))
}

/// Lets a tap answer solicitations, where it has to.
pub(crate) fn answer_solicitations(port: &Port) -> Result<(), Error> {
    if answered_for(port).next().is_none() {
        return Ok(());
    }
    let path = format!("/proc/sys/net/ipv6/conf/{}/proxy_ndp", port.name);
    std::fs::write(path, "1").map_err(|source| Error::system("answer solicitations", source))
}

/// The half inside the namespace; what is inside of a machine is its own.
pub(crate) fn push_inside(datagram: &mut Datagram, step: usize, port: &Port, pair: Pair) {
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    link::push_up(datagram, note("bring the loopback interface up"), LOOPBACK);
    let up = note("bring the inner interface up");
    match pair {
        Pair::New => {
            let settings = note("set up the inner interface");
            link::push_settings(datagram, settings, port.inner_index, &[], "");
            link::push_up(datagram, up, port.inner_index);
        }
        Pair::Ready => {
            let (name, mac) = (Some(port.inner_name.as_str()), Some(port.mac));
            let finish = Finish { name, mac, mtu: port.mtu, ..Finish::default() };
            link::push_finish(datagram, up, port.inner_index, finish);
        }
    }
    for address in &port.addresses {
        address::push_add(datagram, note("add the address"), port.inner_index, *address);
    }
    for neighbour in inner_neighbours(port) {
        neighbour::push_set(datagram, note("set the gateway's MAC"), neighbour);
    }
    let first = |hop: &IpAddr| Path {
        destination: IpNet::from(*hop),
        target: Target::Device(port.inner_index),
        source: None,
        metric: 1,
    };
    // The kernel refuses an IPv6 next hop that it finds behind another interface of the namespace (`ip6_route_check_nh_onlink`),
    // as it does where several have ways to one network. So it is behind this one before all others, for a moment.
    let firsts: Vec<Path> = match pair {
        Pair::New => port.gateways.iter().filter(|hop| hop.is_ipv6()).map(first).collect(),
        // From the pool comes only the first interface of a namespace.
        Pair::Ready => Vec::new(),
    };
    for path in &firsts {
        path::push_add(datagram, note("find the next hop"), path);
    }
    for path in inner_paths(port) {
        path::push_add(datagram, note("add the route inside"), &path);
    }
    for path in &firsts {
        path::push_remove(datagram, note("find the next hop"), path);
    }
}

/// Lets the host end answer address resolution for what is reached through the host, at once: who got its address by DHCP takes
/// the subnet for its own link.
pub(crate) fn push_answers(datagram: &mut Datagram, step: usize, index: u32) {
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    link::push_inet4(datagram, note("answer for neighbours"), index, Inet4Setting::ProxyArp);
    neighbour::push_prompt(datagram, note("answer for neighbours at once"), index, Family::V4);
}

/// Takes a port out of service at once; the link itself is left to the cleanup.
pub(crate) fn push_retire(datagram: &mut Datagram, step: usize, port: &Port) {
    let note = |aim| Note { step, aim, lenient: Lenient::Absent };
    link::push_group(datagram, note("retire the interface"), port.index, DYING_GROUP);
    for path in host_paths(port) {
        path::push_remove(datagram, note("remove the route to the endpoint"), &path);
    }
}

/// What of a port can change while it is in use.
pub(crate) fn push_change(datagram: &mut Datagram, step: usize, from: &Port, to: &Port) {
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    if from.mtu != to.mtu {
        link::push_mtu(datagram, note("set the MTU"), to.index, mtu(to));
    }
    if from.alias != to.alias {
        link::push_alias(datagram, note("set the interface's alias"), to.index, &to.alias);
    }
}

/// The same inside.
pub(crate) fn push_change_inside(datagram: &mut Datagram, step: usize, from: &Port, to: &Port) {
    if from.mtu != to.mtu {
        let note = Note { step, aim: "set the MTU inside", lenient: Lenient::Not };
        link::push_mtu(datagram, note, to.inner_index, mtu(to));
    }
}

/// The MTU that a port has; the kernel gives a veth 1500 when it is told nothing.
pub(crate) fn mtu(port: &Port) -> u32 {
    port.mtu.unwrap_or(1500)
}

/// The host's routes to the endpoint.
pub(crate) fn host_paths(port: &Port) -> impl Iterator<Item = Path> + '_ {
    port.addresses.iter().map(|address| {
        let address = address.addr();
        let family = Family::of(&address);
        Path {
            destination: IpNet::from(address),
            target: Target::Device(port.index),
            source: port.prefer.iter().copied().find(|source| Family::of(source) == family),
            metric: 0,
        }
    })
}

pub(crate) fn host_neighbours(port: &Port) -> impl Iterator<Item = Neighbour> + '_ {
    let (index, mac) = (port.index, port.mac);
    port.addresses.iter().map(move |address| Neighbour { index, address: address.addr(), mac })
}

pub(crate) fn inner_neighbours(port: &Port) -> impl Iterator<Item = Neighbour> + '_ {
    let index = port.inner_index;
    port.gateways.iter().map(move |address| Neighbour {
        index,
        address: *address,
        mac: HOST_END_MAC,
    })
}

pub(crate) fn inner_paths(port: &Port) -> impl Iterator<Item = Path> + '_ {
    let index = port.inner_index;
    port.routes.iter().map(move |route| Path {
        destination: route.destination.trunc(),
        target: match route.next_hop {
            Some(hop) => Target::Gateway(index, hop),
            None => Target::Device(index),
        },
        source: None,
        metric: route.metric,
    })
}

/// The addresses without their prefixes.
pub(crate) fn addresses(port: &Port) -> impl Iterator<Item = IpAddr> + '_ {
    port.addresses.iter().map(IpNet::addr)
}
