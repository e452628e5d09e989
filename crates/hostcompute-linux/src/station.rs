//! Stations: the macvlan links by which endpoints of Transparent networks are on an adapter's wire.
//!
//! The link is made from the host's side, where the adapter is, and appears in the namespace; everything else happens inside. It ends
//! with the namespace, or with the adapter.

use std::os::fd::AsFd;

use hostcompute_engine::plan::Station;
use rustix::io::Errno;

use crate::error::Error;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient, Socket};
use crate::port::LOOPBACK;
use crate::route::address;
use crate::route::link::{self, Link};
use crate::route::path::{self, Path, Target};
use crate::{Linux, wire};

/// Makes the link and all that is on it; one that is there from an earlier attempt is made anew.
pub(crate) fn make(host: &mut Linux, step: usize, station: &Station) -> Result<(), Error> {
    let uplink = wire::index(&mut host.route, &station.uplink)?;
    let inside = host.namespaces.inside(station.netns)?;
    let link = link::Macvlan {
        name: &station.name,
        index: station.index,
        mac: station.mac,
        mtu: station.mtu,
        uplink,
        isolated: station.isolated,
        netns: inside.fd.as_fd(),
    };
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    let mut datagram = Datagram::default();
    link::push_macvlan(&mut datagram, note("make the interface"), link);
    match host.route.exchange(&mut datagram) {
        Err(error) if error.errno() == Some(Errno::EXIST) => {
            delete_former(&mut inside.socket, station)?;
            datagram.clear();
            link::push_macvlan(&mut datagram, note("make the interface"), link);
            host.route.exchange(&mut datagram)?;
        }
        made => made?,
    }
    datagram.clear();
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
    inside.socket.exchange(&mut datagram)
}

/// Deletes what has the station's place, if it is a link of the same kind.
fn delete_former(inside: &mut Socket, station: &Station) -> Result<(), Error> {
    for link in link::dump(inside)? {
        if link.index != station.index && link.name != station.name {
            continue;
        }
        if link.kind != KIND {
            return Err(Error::Taken { what: format!("the interface {} inside", link.name) });
        }
        let mut datagram = Datagram::default();
        let note = Note { step: 0, aim: "remove the interface", lenient: Lenient::Absent };
        link::push_delete(&mut datagram, note, link.index);
        inside.exchange(&mut datagram)?;
    }
    Ok(())
}

/// The kernel's word for links of this kind.
pub(crate) const KIND: &str = "macvlan";

/// Removes the link. Where the namespace is gone the link is, too.
pub(crate) fn remove(host: &mut Linux, step: usize, station: &Station) -> Result<(), Error> {
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
