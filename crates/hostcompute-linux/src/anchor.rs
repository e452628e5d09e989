//! Anchors, and what hangs on them: gateway addresses, addresses of endpoints in the host's own namespace, routes to virtual
//! addresses; and who owns one.
//!
//! An anchor is a bridge without ports, since many kernels have no `dummy` device. It is up but has no carrier, which neither
//! its addresses nor the routes through it mind.

use hostcompute_engine::plan::{Anchor, DYING_GROUP, HostAddress, VipOwner, VipRoute};
use ipnet::IpNet;

use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient};
use crate::route::address;
use crate::route::link::{self, NewLink};
use crate::route::neighbour::{self, Neighbour};
use crate::route::path::{self, Path, Target};

/// The interface group of anchors and shaping devices: our mark on links that are no ports.
pub(crate) const DEVICE_GROUP: u32 = 0x6863_0002;

pub(crate) fn push_add(datagram: &mut Datagram, step: usize, anchor: &Anchor) {
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    let new = NewLink {
        name: &anchor.name,
        index: anchor.index,
        mac: Some(anchor.mac),
        group: DEVICE_GROUP,
        mtu: None,
    };
    link::push_bridge(datagram, note("make the network's device"), new);
    link::push_settings(datagram, note("set up the network's device"), anchor.index, &[], "");
    link::push_up(datagram, note("bring the network's device up"), anchor.index);
    for gateway in &anchor.gateways {
        address::push_add(datagram, note("add the gateway address"), anchor.index, *gateway);
    }
    for path in paths(anchor) {
        path::push_add(datagram, note("reserve the subnet"), &path);
    }
}

/// Takes addresses and routes away at once; the device follows in the cleanup.
pub(crate) fn push_retire(datagram: &mut Datagram, step: usize, anchor: &Anchor) {
    let note = |aim| Note { step, aim, lenient: Lenient::Absent };
    for path in paths(anchor) {
        path::push_remove(datagram, note("release the subnet"), &path);
    }
    for gateway in &anchor.gateways {
        address::push_remove(datagram, note("remove the gateway address"), anchor.index, *gateway);
    }
    link::push_group(datagram, note("retire the network's device"), anchor.index, DYING_GROUP);
}

/// An address of the subnet that no port has is nowhere, and must not be sought at the default gateway.
pub(crate) fn paths(anchor: &Anchor) -> impl Iterator<Item = Path> + '_ {
    anchor.subnets.iter().map(|subnet| Path {
        destination: subnet.trunc(),
        target: Target::Unreachable,
        source: None,
        metric: 0,
    })
}

pub(crate) fn push_add_host_address(datagram: &mut Datagram, step: usize, host: &HostAddress) {
    let note = Note { step, aim: "add the endpoint's address", lenient: Lenient::Present };
    address::push_add(datagram, note, host.index, IpNet::from(host.address));
}

pub(crate) fn push_remove_host_address(datagram: &mut Datagram, step: usize, host: &HostAddress) {
    let note = Note { step, aim: "remove the endpoint's address", lenient: Lenient::Absent };
    address::push_remove(datagram, note, host.index, IpNet::from(host.address));
}

pub(crate) fn vip_path(route: &VipRoute) -> Path {
    Path {
        destination: IpNet::from(route.address),
        target: Target::Device(route.index),
        source: None,
        metric: 0,
    }
}

pub(crate) fn push_add_vip(datagram: &mut Datagram, step: usize, route: &VipRoute) {
    let note = Note { step, aim: "route the virtual address", lenient: Lenient::Present };
    path::push_add(datagram, note, &vip_path(route));
}

pub(crate) fn push_remove_vip(datagram: &mut Datagram, step: usize, route: &VipRoute) {
    let note =
        Note { step, aim: "remove the route to the virtual address", lenient: Lenient::Absent };
    path::push_remove(datagram, note, &vip_path(route));
}

pub(crate) fn owner(owner: &VipOwner) -> Neighbour {
    Neighbour { index: owner.index, address: owner.address, mac: owner.mac }
}

pub(crate) fn push_add_owner(datagram: &mut Datagram, step: usize, new: &VipOwner) {
    let note = Note { step, aim: "say who has the virtual address", lenient: Lenient::Not };
    neighbour::push_set(datagram, note, owner(new));
}

pub(crate) fn push_remove_owner(datagram: &mut Datagram, step: usize, old: &VipOwner) {
    let note = Note { step, aim: "forget who had the virtual address", lenient: Lenient::Absent };
    neighbour::push_remove(datagram, note, owner(old));
}
