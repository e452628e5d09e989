//! Routes. ("route" is the name of the parent module.)

use std::net::IpAddr;

use hostcompute_engine::plan::Family;
use ipnet::IpNet;

use super::{AF_INET, AF_INET6, address_of, family_number, with_octets};
use crate::error::Error;
use crate::netlink::attribute::{array_of, u32_of};
use crate::netlink::message::Note;
use crate::netlink::{Attributes, Body, Datagram, Message, Socket, flag, messages};

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTAX_MTU: u16 = 2;

const TABLE_MAIN: u8 = 254;
const TABLE_LOCAL: u8 = 255;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
const RTN_UNREACHABLE: u8 = 7;
/// The next hop is reachable although no address of the device says so.
const RTNH_F_ONLINK: u32 = 4;
const RTM_F_CLONED: u32 = 0x200;

/// The origin that our routes carry, by which `ip route` and we ourselves tell them from others.
pub(crate) const ORIGIN: u8 = 104;

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// To neighbours on a device.
    Device(u32),
    /// Through a next hop on a device.
    Gateway(u32, IpAddr),
    /// Nowhere: senders are told so.
    Unreachable,
    /// Something we never make (several hops, blackhole…).
    Other,
}

/// A route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    pub destination: IpNet,
    pub target: Target,
    /// Preferred source of what this machine itself sends.
    pub source: Option<IpAddr>,
    /// 0: the kernel's default (0 for IPv4, 1024 for IPv6).
    pub metric: u32,
}

/// Adds a route; refused if one to the destination is there, since it may be somebody else's.
pub(crate) fn push_add(datagram: &mut Datagram, note: Note, path: &Path) {
    datagram.push(RTM_NEWROUTE, flag::CREATE | flag::EXCLUSIVE, note, |body| write(body, path));
}

pub(crate) fn push_remove(datagram: &mut Datagram, note: Note, path: &Path) {
    datagram.push(RTM_DELROUTE, 0, note, |body| write(body, path));
}

/// Adds a route to a table of our own, where another route says that the next hop is on the link. The kernel does not take its being
/// there on trust if table main leads to it by another link.
pub(crate) fn push_add_behind(datagram: &mut Datagram, note: Note, path: &Path, table: u32) {
    datagram.push(RTM_NEWROUTE, flag::CREATE | flag::EXCLUSIVE, note, |body| {
        write_with(body, path, 0);
        body.put_u32(RTA_TABLE, table);
    });
}

/// Adds a route to a table of our own.
pub(crate) fn push_add_to(datagram: &mut Datagram, note: Note, path: &Path, table: u32) {
    datagram.push(RTM_NEWROUTE, flag::CREATE | flag::EXCLUSIVE, note, |body| {
        write(body, path);
        body.put_u32(RTA_TABLE, table);
    });
}

pub(crate) fn push_remove_from(datagram: &mut Datagram, note: Note, path: &Path, table: u32) {
    datagram.push(RTM_DELROUTE, 0, note, |body| {
        write(body, path);
        body.put_u32(RTA_TABLE, table);
    });
}

fn write(body: &mut Body<'_>, path: &Path) {
    write_with(body, path, RTNH_F_ONLINK);
}

/// `trust`: the flags of a next hop.
fn write_with(body: &mut Body<'_>, path: &Path, trust: u32) {
    let destination = path.destination.trunc();
    let (kind, scope, flags) = match path.target {
        Target::Unreachable => (RTN_UNREACHABLE, SCOPE_UNIVERSE, 0),
        Target::Gateway(..) => (RTN_UNICAST, SCOPE_UNIVERSE, trust),
        // IPv6 knows no scopes.
        Target::Device(_) | Target::Other => match destination {
            IpNet::V4(_) => (RTN_UNICAST, SCOPE_LINK, 0),
            IpNet::V6(_) => (RTN_UNICAST, SCOPE_UNIVERSE, 0),
        },
    };
    let family = family_number(Family::of(&destination.addr()));
    // struct rtmsg.
    body.raw(&[family, destination.prefix_len(), 0, 0, TABLE_MAIN, ORIGIN, scope, kind])
        .raw(&u32::to_ne_bytes(flags));
    with_octets(destination.addr(), |octets| {
        body.put(RTA_DST, octets);
    });
    match path.target {
        Target::Device(index) => {
            body.put_u32(RTA_OIF, index);
        }
        Target::Gateway(index, hop) => {
            with_octets(hop, |octets| {
                body.put(RTA_GATEWAY, octets);
            });
            body.put_u32(RTA_OIF, index);
        }
        Target::Unreachable | Target::Other => {}
    }
    if let Some(source) = path.source {
        with_octets(source, |octets| {
            body.put(RTA_PREFSRC, octets);
        });
    }
    if path.metric != 0 {
        body.put_u32(RTA_PRIORITY, path.metric);
    }
}

/// A route as the kernel shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub path: Path,
    /// Who made it; ours have [`ORIGIN`].
    pub origin: u8,
    /// The route's own MTU, if it has one.
    pub mtu: Option<u32>,
    /// The device of a route with one next hop.
    pub device: Option<u32>,
    pub table: u32,
}

fn read(message: &Message<'_>) -> Option<Seen> {
    if message.kind != RTM_NEWROUTE {
        return None;
    }
    let [family, prefix, _, _, short_table, origin, _, kind]: [u8; 8] = array_of(message.body, 0)?;
    let flags = u32::from_ne_bytes(array_of(message.body, 8)?);
    let attributes = Attributes::new(message.body.get(12..)?);
    let table = attributes.get_u32(RTA_TABLE).unwrap_or(u32::from(short_table));
    if flags & RTM_F_CLONED != 0 {
        return None;
    }
    let any = match family {
        AF_INET => IpAddr::from([0; 4]),
        AF_INET6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let destination = attributes.get(RTA_DST).and_then(address_of).unwrap_or(any);
    let device = attributes.get_u32(RTA_OIF);
    let hop = attributes.get(RTA_GATEWAY).and_then(address_of);
    let target = match (kind, device, hop) {
        // IPv6 shows unreachable routes with the loopback device.
        (RTN_UNREACHABLE, ..) => Target::Unreachable,
        (RTN_UNICAST, Some(index), Some(hop)) => Target::Gateway(index, hop),
        (RTN_UNICAST, Some(index), None) if attributes.get(RTA_MULTIPATH).is_none() => {
            Target::Device(index)
        }
        _ => Target::Other,
    };
    let metric = attributes.get_u32(RTA_PRIORITY).unwrap_or(0);
    Some(Seen {
        path: Path {
            destination: IpNet::new(destination, prefix).ok()?,
            target,
            source: attributes.get(RTA_PREFSRC).and_then(address_of),
            // So that what is read equals what was written.
            metric: if family == AF_INET6 && metric == 1024 { 0 } else { metric },
        },
        origin,
        mtu: attributes.get_nested(RTA_METRICS).and_then(|m| m.get(RTAX_MTU)).and_then(u32_of),
        device,
        table,
    })
}

/// Every route of the main table of the socket's namespace.
pub(crate) fn dump(socket: &mut Socket) -> Result<Vec<Seen>, Error> {
    let mut seen = dump_all(socket)?;
    seen.retain(is_main);
    Ok(seen)
}

/// Whether it is one of the main table.
pub(crate) fn is_main(seen: &Seen) -> bool {
    seen.table == u32::from(TABLE_MAIN)
}

/// Whether it is one of ours in a table of our own.
pub(crate) fn is_own(seen: &Seen) -> bool {
    seen.origin == ORIGIN && seen.table > u32::from(TABLE_LOCAL)
}

/// Every route of every table of the socket's namespace.
pub(crate) fn dump_all(socket: &mut Socket) -> Result<Vec<Seen>, Error> {
    let mut seen = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let table = socket.dump(RTM_GETROUTE, "list the routes", |body| {
            body.raw(&[family, 0, 0, 0, 0, 0, 0, 0]).raw(&[0; 4]);
        });
        match table {
            Ok(table) => seen.extend(messages(&table).filter_map(|message| read(&message))),
            // A kernel without IPv6 has no such routes.
            Err(Error::Refused(refusal))
                if family == AF_INET6 && refusal.errno == rustix::io::Errno::OPNOTSUPP => {}
            Err(error) => return Err(error),
        }
    }
    Ok(seen)
}
