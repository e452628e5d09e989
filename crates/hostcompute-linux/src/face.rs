//! Faces and guises: the macvlan links in the host's namespace by which guided endpoints of Transparent networks are on an adapter's
//! wire.
//!
//! A face has the endpoint's MAC and answers for its addresses alone: never for the host's own, which are not its business
//! (`arp_ignore` 8, no IPv6 addresses). Whatever is sent to the endpoint comes in here and is routed to its port. What the endpoints of a
//! network send leaves by the network's guise, under the MACs that [`crate::nft::guise`] puts in. A bridged network with a MAC of its own
//! (policy SourceMacAddress) has a guise and no faces: the guise answers for its endpoints.

use std::net::{IpAddr, Ipv6Addr};

use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::{Face, Family, Guise};
use ipnet::IpNet;
use rustix::io::Errno;

use crate::anchor::DEVICE_GROUP;
use crate::error::Error;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient};
use crate::nft::guise;
use crate::port::{self, Inet6};
use crate::route::link::{self, Inet4Setting, Place};
use crate::route::{address, neighbour};
use crate::{Linux, marks, wire};

/// The kernel answers for no address of the host.
const NEVER: u32 = 8;

/// The source must be known, by whichever link.
const LOOSE: u32 = 2;

/// Makes the link by which guided endpoints leave, and its table; what is there from an earlier attempt is made anew.
pub(crate) fn put_on(host: &mut Linux, step: usize, wanted: &Guise) -> Result<(), Error> {
    let uplink = wire::index(&mut host.route, &wanted.uplink)?;
    let new = Macvlan { name: &wanted.name, mac: wanted.mac, isolated: false };
    let index = make_link(host, step, uplink, new)?;
    guise::put(&mut host.netfilter, wanted, uplink)?;
    if link_local(wanted).is_none() {
        host.within(|| {
            port::set_ipv6(&wanted.name, Inet6::Off);
            Ok(())
        })?;
    }
    if wanted.inet6 {
        host.within(|| answer_solicitations(&wanted.name))?;
    }
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    let mut datagram = Datagram::default();
    push_settings(&mut datagram, step, index, is_strict(host));
    for family in [Family::V4].into_iter().chain(wanted.inet6.then_some(Family::V6)) {
        neighbour::push_prompt(&mut datagram, note("answer at once"), index, family);
    }
    if let Some(address) = link_local(wanted) {
        address::push_add(&mut datagram, note("add a link-local address"), index, address);
    }
    link::push_up(&mut datagram, note("bring the link to the wire up"), index);
    host.route.exchange(&mut datagram)
}

/// Solicitations need a sender; it is made of the MAC (RFC 4291, appendix A).
pub(crate) fn link_local(guise: &Guise) -> Option<IpNet> {
    let Mac([a, b, c, d, e, f]) = guise.mac;
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    let parts = [pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f)];
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, parts[0], parts[1], parts[2], parts[3]);
    guise.inet6.then(|| IpNet::from(IpAddr::V6(address)))
}

/// Removes the link with its table.
pub(crate) fn take_off(host: &mut Linux, step: usize, old: &Guise) -> Result<(), Error> {
    guise::remove(&mut host.netfilter, &guise::table(&old.name))?;
    remove_link(host, step, &old.name)
}

/// Makes a face; one that is there from an earlier attempt is made anew.
pub(crate) fn make(host: &mut Linux, step: usize, face: &Face) -> Result<(), Error> {
    let uplink = wire::index(&mut host.route, &face.uplink)?;
    guise::wear(&mut host.netfilter, face)?;
    let new = Macvlan { name: &face.name, mac: face.mac, isolated: face.isolated };
    let index = make_link(host, step, uplink, new)?;
    speak_ipv6(host, face)?;
    let note = |aim| Note { step, aim, lenient: Lenient::Not };
    let mut datagram = Datagram::default();
    push_settings(&mut datagram, step, index, is_strict(host));
    for family in families(face) {
        neighbour::push_prompt(&mut datagram, note("answer at once"), index, family);
    }
    for address in &face.addresses {
        let note = note("answer for the endpoint's address");
        neighbour::push_proxy(&mut datagram, note, index, *address);
    }
    link::push_up(&mut datagram, note("bring the link to the wire up"), index);
    host.route.exchange(&mut datagram)
}

#[derive(Debug, Clone, Copy)]
struct Macvlan<'a> {
    name: &'a str,
    mac: Mac,
    isolated: bool,
}

/// Makes a link, down; returns its index.
fn make_link(
    host: &mut Linux,
    step: usize,
    uplink: u32,
    Macvlan { name, mac, isolated }: Macvlan<'_>,
) -> Result<u32, Error> {
    let place = Place::Group(DEVICE_GROUP);
    let new = link::Macvlan { name, index: 0, mac, mtu: None, uplink, isolated, place };
    let note = Note { step, aim: "make the link to the wire", lenient: Lenient::Not };
    let mut datagram = Datagram::default();
    link::push_macvlan(&mut datagram, note, new);
    match host.route.exchange(&mut datagram) {
        Err(error) if error.errno() == Some(Errno::EXIST) => {
            remove_link(host, step, name)?;
            datagram.clear();
            link::push_macvlan(&mut datagram, note, new);
            host.route.exchange(&mut datagram)?;
        }
        made => made?,
    }
    wire::index(&mut host.route, name)
}

/// What links on the wire have in common: what comes in is forwarded, and no question for the host is answered.
fn push_settings(datagram: &mut Datagram, step: usize, index: u32, strict: bool) {
    let note = Note { step, aim: "set up the link to the wire", lenient: Lenient::Not };
    link::push_settings(datagram, note, index, &[Inet4Setting::Forwarding], "");
    link::push_inet4_value(datagram, note, index, (Inet4Setting::ArpIgnore, NEVER));
    if strict {
        link::push_inet4_value(datagram, note, index, (Inet4Setting::ReversePath, LOOSE));
    }
}

/// Whether new links take packets only from where the host itself would send the answer: by the adapter, not by links beside it.
fn is_strict(host: &Linux) -> bool {
    let of =
        |which: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{which}/rp_filter"));
    let strict =
        || Ok(["all", "default"].map(of).into_iter().flatten().any(|text| text.trim() == "1"));
    host.within(strict).unwrap_or_default()
}

fn families(face: &Face) -> impl Iterator<Item = Family> + '_ {
    let has = |family: &Family| face.addresses.iter().any(|it| Family::of(it) == *family);
    [Family::V4, Family::V6].into_iter().filter(has)
}

/// Answers solicitations where there is something to answer, and has no part in IPv6 otherwise.
fn speak_ipv6(host: &Linux, face: &Face) -> Result<(), Error> {
    host.within(|| {
        if !families(face).any(|family| family == Family::V6) {
            port::set_ipv6(&face.name, Inet6::Off);
            return Ok(());
        }
        answer_solicitations(&face.name)
    })
}

fn answer_solicitations(link: &str) -> Result<(), Error> {
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{link}/proxy_ndp"), "1")
        .map_err(|source| Error::system("answer solicitations", source))
}

/// Removes a face, at once: an adapter carries a MAC only once.
pub(crate) fn remove(host: &mut Linux, step: usize, face: &Face) -> Result<(), Error> {
    guise::take_off(&mut host.netfilter, face)?;
    remove_link(host, step, &face.name)
}

pub(crate) fn remove_link(host: &mut Linux, step: usize, name: &str) -> Result<(), Error> {
    let Some(index) = link::index_of(&mut host.route, name)? else { return Ok(()) };
    if !link::get(&mut host.route, index)?.is_some_and(|link| marks::is_ours(&link)) {
        return Err(Error::Taken { what: format!("the interface {name}") });
    }
    let mut datagram = Datagram::default();
    let note = Note { step, aim: "remove the link to the wire", lenient: Lenient::Absent };
    link::push_delete(&mut datagram, note, index);
    host.route.exchange(&mut datagram)
}
