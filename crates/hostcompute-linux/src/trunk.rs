//! Trunks: what keeps stations in their VLANs. A pair whose inner end is the station, a macvlan link beside the adapter, and a program at
//! each that hands frames to the other ([`crate::program`]).

use std::os::fd::AsFd;

use hostcompute_engine::plan::{Station, Trunk};

use crate::anchor::DEVICE_GROUP;
use crate::error::Error;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient};
use crate::port::{self, Inet6};
use crate::program::{self, Way};
use crate::route::{link, queue};
use crate::{Linux, face, station, wire};

/// The kernel's word for the links that stations are then.
pub(crate) const KIND: &str = "veth";

/// Makes the station's interface, down, with all that is behind it; what is there from an earlier attempt is made anew.
pub(crate) fn make(
    host: &mut Linux,
    step: usize,
    wanted: &Station,
    trunk: &Trunk,
) -> Result<(), Error> {
    remove(host, step, trunk)?;
    let uplink = wire::index(&mut host.route, &wanted.uplink)?;
    let mtu = match wanted.mtu {
        Some(mtu) => Some(mtu),
        None => Some(station::uplink_mtu(host, wanted)?),
    };
    let inside = host.namespaces.inside(wanted.netns)?;
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    let mut datagram = Datagram::default();
    link::push_veth(
        &mut datagram,
        note("make the interface"),
        // Without an index here the kernel would choose the inner end's, too.
        link::NewLink {
            name: &trunk.outer,
            index: trunk.index,
            mac: None,
            group: DEVICE_GROUP,
            mtu,
        },
        link::Peer {
            name: &wanted.name,
            index: wanted.index,
            mac: Some(wanted.mac),
            mtu,
            netns: inside.fd.as_fd(),
        },
    );
    link::push_macvlan(
        &mut datagram,
        note("make the link to the wire"),
        link::Macvlan {
            name: &trunk.face,
            index: 0,
            mac: wanted.mac,
            mtu: None,
            uplink,
            isolated: wanted.isolated,
            place: link::Place::Group(DEVICE_GROUP),
        },
    );
    host.route.exchange(&mut datagram)?;
    connect(host, step, trunk)
}

fn connect(host: &mut Linux, step: usize, trunk: &Trunk) -> Result<(), Error> {
    host.within(|| {
        for name in [&trunk.outer, &trunk.face] {
            port::set_ipv6(name, Inet6::Off);
        }
        Ok(())
    })?;
    let outer = wire::index(&mut host.route, &trunk.outer)?;
    let face = wire::index(&mut host.route, &trunk.face)?;
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    let mut datagram = Datagram::default();
    let mut programs = Vec::new();
    for (way, at, to) in [(Way::Leaves, outer, face), (Way::Enters, face, outer)] {
        let program = program::load(way, trunk.vlan, to)?;
        queue::push_ingress(&mut datagram, note("make the hook for arriving frames"), at);
        queue::push_program(&mut datagram, note("keep the frames in their VLAN"), at, &program);
        programs.push(program);
    }
    link::push_up(&mut datagram, note("bring the outer end up"), outer);
    link::push_up_hearing_all(&mut datagram, note("bring the link to the wire up"), face);
    host.route.exchange(&mut datagram)
}

/// Removes both links, and with them the station's interface.
pub(crate) fn remove(host: &mut Linux, step: usize, trunk: &Trunk) -> Result<(), Error> {
    face::remove_link(host, step, &trunk.outer)?;
    face::remove_link(host, step, &trunk.face)
}
