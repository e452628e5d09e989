//! Stations: the macvlan links by which endpoints of Transparent networks are on an adapter's wire.
//!
//! The link is made from the host's side, where the adapter is, and appears in the namespace; everything else happens inside. It ends
//! with the namespace, or with the adapter. In a VLAN the interface is the inner end of a pair instead ([`crate::trunk`]).

use std::os::fd::AsFd;

use hostcompute_engine::plan::Station;
use rustix::io::Errno;

use crate::error::Error;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient};
use crate::pool::POOL_GROUP;
use crate::port::LOOPBACK;
use crate::route::address;
use crate::route::link::{self, Link};
use crate::route::path::{self, Path, Target};
use crate::{Linux, trunk, wire};

/// Makes the link and all that is on it; one that is there from an earlier attempt is made anew.
pub(crate) fn make(host: &mut Linux, step: usize, station: &Station) -> Result<(), Error> {
    if let Err(error) = make_interface(host, step, station) {
        if error.errno() != Some(Errno::EXIST) {
            return Err(error);
        }
        // A port that had the place may still be on its way out.
        host.cleanup.settle()?;
        delete_former(host, station)?;
        make_interface(host, step, station)?;
    }
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    let mut datagram = Datagram::default();
    link::push_up(&mut datagram, note("bring the loopback interface up"), LOOPBACK);
    link::push_settings(
        &mut datagram,
        note("set up the interface"),
        station.index,
        &[],
        &station.alias,
    );
    link::push_up(&mut datagram, note("bring the interface up"), station.index);
    for address in &station.addresses {
        address::push_add(&mut datagram, note("add the address"), station.index, *address);
    }
    for path in paths(station) {
        path::push_add(&mut datagram, note("add the route inside"), &path);
    }
    host.namespaces.inside(station.netns)?.socket.exchange(&mut datagram)
}

fn make_interface(host: &mut Linux, step: usize, station: &Station) -> Result<(), Error> {
    match &station.trunk {
        Some(trunk) => trunk::make(host, step, station, trunk),
        None => make_link(host, step, station),
    }
}

fn make_link(host: &mut Linux, step: usize, station: &Station) -> Result<(), Error> {
    let uplink = wire::index(&mut host.route, &station.uplink)?;
    let inside = host.namespaces.inside(station.netns)?;
    let link = link::Macvlan {
        name: &station.name,
        index: station.index,
        mac: station.mac,
        mtu: station.mtu,
        uplink,
        isolated: station.isolated,
        place: link::Place::Inside(inside.fd.as_fd()),
    };
    let note = Note { step, aim: "make the interface", lenient: Lenient::Not };
    let mut datagram = Datagram::default();
    link::push_macvlan(&mut datagram, note, link);
    host.route.exchange(&mut datagram)
}

/// Deletes what has the station's place: a link of the same kind, or a pair that waits there for a port.
fn delete_former(host: &mut Linux, station: &Station) -> Result<(), Error> {
    let inside = host.namespaces.inside(station.netns)?;
    let has_place = |link: &Link| link.index == station.index || link.name == station.name;
    let former: Vec<Link> = link::dump(&mut inside.socket)?.into_iter().filter(has_place).collect();
    for link in former {
        let mut datagram = Datagram::default();
        let note = Note { step: 0, aim: "remove the interface", lenient: Lenient::Absent };
        if link.kind == KIND {
            link::push_delete(&mut datagram, note, link.index);
            host.namespaces.inside(station.netns)?.socket.exchange(&mut datagram)?;
            continue;
        }
        let outer = link.peer.map(|outer| link::get(&mut host.route, outer)).transpose()?.flatten();
        let Some(spare) = outer.filter(|outer| outer.group == POOL_GROUP) else {
            return Err(Error::Taken { what: format!("the interface {} inside", link.name) });
        };
        link::push_delete(&mut datagram, note, spare.index);
        host.route.exchange(&mut datagram)?;
        host.pool.forget(station.netns);
    }
    Ok(())
}

/// The kernel's word for links of this kind.
pub(crate) const KIND: &str = "macvlan";

/// Removes the link. Where the namespace is gone the link is, too.
pub(crate) fn remove(host: &mut Linux, step: usize, station: &Station) -> Result<(), Error> {
    if let Some(trunk) = &station.trunk {
        return trunk::remove(host, step, trunk);
    }
    let inside = match host.namespaces.inside(station.netns) {
        Err(Error::NamespaceGone { .. }) => return Ok(()),
        inside => inside?,
    };
    let is_it = |link: &Link| link.kind == KIND && link.name == station.name;
    if !link::get(&mut inside.socket, station.index)?.is_some_and(|link| is_it(&link)) {
        return Ok(());
    }
    let mut datagram = Datagram::default();
    let note = Note { step, aim: "remove the interface", lenient: Lenient::Absent };
    link::push_delete(&mut datagram, note, station.index);
    inside.socket.exchange(&mut datagram)
}

/// What can change while it is in use.
pub(crate) fn change(
    host: &mut Linux,
    step: usize,
    from: &Station,
    to: &Station,
) -> Result<(), Error> {
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    let mut datagram = Datagram::default();
    if from.mtu != to.mtu {
        let mtu = match to.mtu {
            Some(mtu) => mtu,
            None => uplink_mtu(host, to)?,
        };
        link::push_mtu(&mut datagram, note("set the MTU"), to.index, mtu);
        if let Some(trunk) = &to.trunk {
            let mut outside = Datagram::default();
            link::push_mtu(&mut outside, note("set the outer end's MTU"), trunk.index, mtu);
            host.route.exchange(&mut outside)?;
        }
    }
    if from.alias != to.alias {
        link::push_alias(&mut datagram, note("set the interface's alias"), to.index, &to.alias);
    }
    if datagram.is_empty() {
        return Ok(());
    }
    host.namespaces.inside(to.netns)?.socket.exchange(&mut datagram)
}

pub(crate) fn uplink_mtu(host: &mut Linux, station: &Station) -> Result<u32, Error> {
    let uplink = wire::index(&mut host.route, &station.uplink)?;
    Ok(link::get(&mut host.route, uplink)?.map_or(1500, |link| link.mtu))
}

/// The routes inside.
pub(crate) fn paths(station: &Station) -> impl Iterator<Item = Path> + '_ {
    station.routes.iter().map(|route| Path {
        destination: route.destination.trunc(),
        target: match route.next_hop {
            Some(hop) => Target::Gateway(station.index, hop),
            None => Target::Device(station.index),
        },
        source: None,
        metric: route.metric,
    })
}
