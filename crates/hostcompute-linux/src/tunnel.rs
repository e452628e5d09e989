//! Tunnels: the VXLAN device of a virtual subnet, which hosts are behind it, and the routes through it.

use hostcompute_engine::plan::{DYING_GROUP, PORT_GROUP, Peer, RemoteRoute, Tunnel};

use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient};
use crate::route::destination::{self, Destination};
use crate::route::link::{self, Inet4Setting, NewLink, Vxlan};
use crate::route::neighbour::{self, Neighbour};
use crate::route::path::{self, Path, Target};

/// Packets from a tunnel are forwarded whatever the host's own setting; and backends behind it answer what this host asked as 127.0.0.1.
pub(crate) const SETTINGS: [Inet4Setting; 2] =
    [Inet4Setting::Forwarding, Inet4Setting::RouteLocalnet];

pub(crate) fn push_add(datagram: &mut Datagram, step: usize, tunnel: &Tunnel) {
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    let new = NewLink {
        name: &tunnel.name,
        index: tunnel.index,
        mac: Some(tunnel.mac),
        group: PORT_GROUP,
        mtu: Some(tunnel.mtu),
    };
    link::push_vxlan(datagram, note("make the tunnel"), new, vxlan(tunnel));
    link::push_settings(datagram, note("set up the tunnel"), tunnel.index, &SETTINGS, "");
    link::push_up(datagram, note("bring the tunnel up"), tunnel.index);
}

pub(crate) fn vxlan(tunnel: &Tunnel) -> Vxlan {
    Vxlan { id: tunnel.vsid, port: tunnel.port, local: tunnel.local }
}

/// Deletes the tunnel at once: the kernel has one device for each VSID, so nobody could have the next one while this is dying. The group says
/// to the watch that we did it: the kernel's word about the deletion does not say who asked.
pub(crate) fn push_remove(datagram: &mut Datagram, step: usize, tunnel: &Tunnel) {
    let note = Note { step, aim: "remove the tunnel", lenient: Lenient::Absent };
    link::push_group(datagram, note, tunnel.index, DYING_GROUP);
    link::push_delete(datagram, note, tunnel.index);
}

pub(crate) fn destination(peer: &Peer) -> Destination {
    Destination { index: peer.index, mac: peer.mac, host: peer.provider }
}

pub(crate) fn push_add_peer(datagram: &mut Datagram, step: usize, peer: &Peer) {
    let note = Note { step, aim: "tell the tunnel who is behind it", lenient: Lenient::Not };
    destination::push_set(datagram, note, destination(peer));
}

pub(crate) fn push_remove_peer(datagram: &mut Datagram, step: usize, peer: &Peer) {
    let note = Note { step, aim: "make the tunnel forget a host", lenient: Lenient::Absent };
    destination::push_remove(datagram, note, destination(peer));
}

/// The stand-in for the next hop: the first address of the range, which is nobody's on this host.
pub(crate) fn neighbour(route: &RemoteRoute) -> Neighbour {
    Neighbour { index: route.index, address: route.destination.network(), mac: route.mac }
}

pub(crate) fn path(route: &RemoteRoute) -> Path {
    let single = route.destination.prefix_len() == route.destination.max_prefix_len();
    let target = match single {
        true => Target::Device(route.index),
        false => Target::Gateway(route.index, route.destination.network()),
    };
    Path { destination: route.destination.trunc(), target, source: route.prefer, metric: 0 }
}

pub(crate) fn push_add_route(datagram: &mut Datagram, step: usize, route: &RemoteRoute) {
    let note = |aim, lenient| Note { step, aim, lenient };
    let aim = "set the other router's MAC";
    neighbour::push_set(datagram, note(aim, Lenient::Not), neighbour(route));
    path::push_add(datagram, note("route to another host", Lenient::Present), &path(route));
}

pub(crate) fn push_remove_route(datagram: &mut Datagram, step: usize, route: &RemoteRoute) {
    let note = |aim| Note { step, aim, lenient: Lenient::Absent };
    path::push_remove(datagram, note("remove the route to another host"), &path(route));
    neighbour::push_remove(datagram, note("forget the other router's MAC"), neighbour(route));
}
