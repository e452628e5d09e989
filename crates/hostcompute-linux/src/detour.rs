//! Detours: routing of packets that carry a number of ours.
//!
//! ```text
//!   32080  fwmark N   lookup main, single addresses only: endpoints of this host     (where there is a next hop)
//!   32090  fwmark N   lookup N: the next hop, else nowhere                           (where there is a next hop)
//!   32090  fwmark N   goto 32766                                                     (the host's own routes)
//! ```

use std::net::IpAddr;

use hostcompute_engine::plan::{Detour, Family};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::Error;
use crate::marks;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient, Socket};
use crate::route::path::{self, Path, Target};
use crate::route::rule::{self, Action, MAIN, MAIN_RULE, Rule};
use crate::route::{address, link};

/// Before the rules of bridged networks.
const NEAR: u32 = 32_080;
const AWAY: u32 = 32_090;
/// Of the route that counts when the next hop cannot be reached.
const LAST: u32 = u32::MAX - 1;

fn everything(family: Family) -> IpNet {
    match family {
        Family::V4 => IpNet::V4(Ipv4Net::default()),
        Family::V6 => IpNet::V6(Ipv6Net::default()),
    }
}

/// The rules of a detour, in order.
pub(crate) fn rules(detour: &Detour) -> Vec<Rule> {
    let from = everything(detour.family);
    let mark = Some(detour.number);
    let rule = |priority, action| Rule { priority, from, link: None, mark, action };
    if detour.via.is_none() {
        return vec![rule(AWAY, Action::Goto(MAIN_RULE))];
    }
    let all_but_single = Some(u32::from(from.max_prefix_len()) - 1);
    vec![
        rule(AWAY, Action::Table { number: detour.number, suppress: None }),
        rule(NEAR, Action::Table { number: MAIN, suppress: all_but_single }),
    ]
}

/// The routes of a detour's table.
pub(crate) fn paths(detour: &Detour, link: u32) -> Vec<(u32, Path)> {
    let Some(hop) = detour.via else { return Vec::new() };
    let destination = everything(detour.family);
    let path = |target, metric| (detour.number, Path { destination, target, source: None, metric });
    vec![path(Target::Gateway(link, hop), 0), path(Target::Unreachable, LAST)]
}

/// The link behind which a next hop is: a foreign one with an address of the same subnet, the most specific of them.
pub(crate) fn link_of(
    addresses: impl Iterator<Item = (u32, IpNet)>,
    is_foreign: impl Fn(u32) -> bool,
    hop: IpAddr,
) -> Option<u32> {
    let near = addresses.filter(|(index, net)| net.contains(&hop) && is_foreign(*index));
    near.max_by_key(|(_, net)| net.prefix_len()).map(|(index, _)| index)
}

/// The link behind which a detour leads; 0 where there is no next hop.
pub(crate) fn find_link(socket: &mut Socket, detour: &Detour) -> Result<u32, Error> {
    let Some(hop) = detour.via else { return Ok(0) };
    let foreign: Vec<u32> = link::dump(socket)?
        .into_iter()
        .filter(|link| !marks::is_ours(link))
        .map(|link| link.index)
        .collect();
    let addresses = address::dump(socket)?.into_iter().map(|one| (one.index, one.address));
    link_of(addresses, |index| foreign.contains(&index), hop).ok_or_else(|| Error::Unfit {
        what: "the route",
        why: format!("no adapter of this host is in a subnet with {hop}"),
    })
}

pub(crate) fn push_add(datagram: &mut Datagram, step: usize, detour: &Detour, link: u32) {
    let note = |aim| Note { step, aim, lenient: Lenient::Present };
    for (table, path) in paths(detour, link) {
        path::push_add_to(datagram, note("add the way to the next hop"), &path, table);
    }
    for rule in rules(detour) {
        rule::push_add(datagram, note("choose the way of the route"), &rule);
    }
}

pub(crate) fn push_remove(datagram: &mut Datagram, step: usize, detour: &Detour, link: u32) {
    let note = |aim| Note { step, aim, lenient: Lenient::Absent };
    for rule in rules(detour) {
        rule::push_remove(datagram, note("choose no way of the route"), &rule);
    }
    for (table, path) in paths(detour, link) {
        path::push_remove_from(datagram, note("remove the way to the next hop"), &path, table);
    }
}
