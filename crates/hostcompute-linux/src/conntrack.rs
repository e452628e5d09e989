//! Connection tracking: forgetting the connections of addresses that are gone, and showing those that are there.
//!
//! The kernel deletes by address itself (Linux 6.8), looking at the whole table once per address and direction. For many
//! addresses, and on older kernels, we read the table once and delete what we find; that is the worse way for few, because the
//! kernel stops its housekeeping on that processor for the whole reading, 10 ms and more.
//!
//! An address is given to another endpoint soon after its first owner went. Connections that the kernel still remembers would
//! pass the packet filter as established and reach the new owner, so they are forgotten first.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;

use hostcompute_engine::host::{Flow, FlowState};
use rustix::io::Errno;

use crate::error::Error;
use crate::netlink::attribute::array_of;
use crate::netlink::message::Note;
use crate::netlink::{Attributes, Datagram, Lenient, Message, Socket, messages};
use crate::nft::header;
use crate::route::{AF_INET, AF_INET6, address_of, with_octets};

/// A message type of ctnetlink within nfnetlink (NFNL_SUBSYS_CTNETLINK).
const fn kind(message: u16) -> u16 {
    1 << 8 | message
}

const NEW: u16 = kind(0);
const GET: u16 = kind(1);
const DELETE: u16 = kind(2);
const GET_STATS: u16 = kind(5);

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_COUNTERS_ORIG: u16 = 9;
const CTA_COUNTERS_REPLY: u16 = 10;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_FILTER: u16 = 25;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
const CTA_FILTER_F_CTA_IP_SRC: u32 = 1;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_COUNTERS_BYTES: u16 = 2;
const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
/// Of [`CTA_STATUS`]: packets went both ways (IPS_SEEN_REPLY).
const SEEN_REPLY: u32 = 2;
/// The first of the TCP states after "established" (TCP_CONNTRACK_FIN_WAIT).
const TCP_CLOSING: u8 = 4;
const TCP_ESTABLISHED: u8 = 3;
const CTA_STATS_GLOBAL_ENTRIES: u16 = 1;
const NESTED: u16 = 0x8000;

/// Up to this many addresses are forgotten one by one.
const FEW: usize = 8;
const NOTE: Note = Note { step: 0, aim: "forget a connection", lenient: Lenient::Absent };

/// How many connections the socket's namespace remembers.
fn count(socket: &mut Socket) -> Result<u32, Error> {
    let answer = socket.ask(GET_STATS, "count the connections", |body| {
        body.raw(&header(0));
    })?;
    let count = messages(&answer).find_map(|message| {
        Attributes::new(message.body.get(4..)?).get_be32(CTA_STATS_GLOBAL_ENTRIES)
    });
    count.ok_or(Error::Silent)
}

/// Forgets every connection that one of the addresses opened or answered.
pub(crate) fn forget(socket: &mut Socket, addresses: &HashSet<IpAddr>) -> Result<(), Error> {
    // Looking through the table costs the same whether it is full or empty; counting costs nothing.
    if addresses.is_empty() || count(socket)? == 0 {
        return Ok(());
    }
    if addresses.len() <= FEW {
        match forget_by_filter(socket, addresses) {
            // A kernel that does not know the filter misses the rest of the tuple.
            Err(Error::Refused(refusal))
                if matches!(refusal.errno, Errno::INVAL | Errno::OPNOTSUPP) => {}
            result => return result,
        }
    }
    forget_by_reading(socket, addresses)
}

fn forget_by_filter(socket: &mut Socket, addresses: &HashSet<IpAddr>) -> Result<(), Error> {
    let mut datagram = Datagram::default();
    for address in addresses {
        let (family, source) = match address {
            IpAddr::V4(_) => (AF_INET, CTA_IP_V4_SRC),
            IpAddr::V6(_) => (AF_INET6, CTA_IP_V6_SRC),
        };
        for (tuple, flags) in
            [(CTA_TUPLE_ORIG, CTA_FILTER_ORIG_FLAGS), (CTA_TUPLE_REPLY, CTA_FILTER_REPLY_FLAGS)]
        {
            datagram.push(DELETE, 0, NOTE, |body| {
                body.raw(&header(family));
                body.nest(tuple, |tuple| {
                    tuple.nest(CTA_TUPLE_IP, |ip| {
                        with_octets(*address, |octets| {
                            ip.put(source, octets);
                        });
                    });
                });
                body.nest(CTA_FILTER, |filter| {
                    filter.put_u32(flags, CTA_FILTER_F_CTA_IP_SRC);
                });
            });
        }
    }
    socket.exchange(&mut datagram)
}

fn forget_by_reading(socket: &mut Socket, addresses: &HashSet<IpAddr>) -> Result<(), Error> {
    for family in [AF_INET, AF_INET6] {
        let wanted = |address: &IpAddr| address.is_ipv4() == (family == AF_INET);
        if !addresses.iter().any(wanted) {
            continue;
        }
        let table = socket.dump(GET, "list the connections", |body| {
            body.raw(&header(family));
        })?;
        let mut datagram = Datagram::default();
        for message in messages(&table).filter(|message| message.kind == NEW) {
            let Some(connection) = message.body.get(4..).map(Attributes::new) else { continue };
            if !concerns(&connection, addresses) {
                continue;
            }
            push_delete(&mut datagram, family, &connection);
            if datagram.is_full() {
                socket.exchange(&mut datagram)?;
                datagram.clear();
            }
        }
        socket.exchange(&mut datagram)?;
    }
    Ok(())
}

/// The source of a tuple tells who sends in that direction: of the original one the client, of the reply the server.
fn concerns(connection: &Attributes<'_>, addresses: &HashSet<IpAddr>) -> bool {
    const SOURCES: [u16; 2] = [CTA_IP_V4_SRC, CTA_IP_V6_SRC];
    [CTA_TUPLE_ORIG, CTA_TUPLE_REPLY].into_iter().any(|direction| {
        let ip = connection.get_nested(direction).and_then(|tuple| tuple.get_nested(CTA_TUPLE_IP));
        let source = ip.and_then(|ip| SOURCES.into_iter().find_map(|kind| ip.get(kind)));
        source.and_then(address_of).is_some_and(|source| addresses.contains(&source))
    })
}

fn push_delete(datagram: &mut Datagram, family: u8, connection: &Attributes<'_>) {
    datagram.push(DELETE, 0, NOTE, |body| {
        body.raw(&header(family));
        for (kind, nested) in [(CTA_TUPLE_ORIG, NESTED), (CTA_ID, 0), (CTA_ZONE, 0)] {
            if let Some(value) = connection.get(kind) {
                body.put(kind | nested, value);
            }
        }
    });
}

/// Connections with an address that `ours` knows, at most `limit`. The socket is of no further use.
pub(crate) fn flows(
    socket: &mut Socket,
    limit: usize,
    ours: impl Fn(IpAddr) -> bool,
) -> Result<Vec<Flow>, Error> {
    let mut flows = Vec::new();
    let body = |body: &mut crate::netlink::Body<'_>| {
        body.raw(&header(0));
    };
    socket.stream(GET, "list the connections", body, |message| {
        flows.extend(flow(message, &ours));
        if flows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(flows)
}

/// One direction of a connection.
struct Tuple {
    protocol: u8,
    source: SocketAddr,
    destination: SocketAddr,
}

fn tuple(attributes: &Attributes<'_>) -> Option<Tuple> {
    let ip = attributes.get_nested(CTA_TUPLE_IP)?;
    let address = |v4, v6| ip.get(v4).or_else(|| ip.get(v6)).and_then(address_of);
    let transport = attributes.get_nested(CTA_TUPLE_PROTO)?;
    let port = |kind| {
        let bytes = transport.get(kind).and_then(|bytes| array_of(bytes, 0));
        bytes.map_or(0, u16::from_be_bytes)
    };
    Some(Tuple {
        protocol: *transport.get(CTA_PROTO_NUM)?.first()?,
        source: (address(CTA_IP_V4_SRC, CTA_IP_V6_SRC)?, port(CTA_PROTO_SRC_PORT)).into(),
        destination: (address(CTA_IP_V4_DST, CTA_IP_V6_DST)?, port(CTA_PROTO_DST_PORT)).into(),
    })
}

/// The connection of a message, if one of its addresses is ours.
fn flow(message: &Message<'_>, ours: impl Fn(IpAddr) -> bool) -> Option<Flow> {
    if message.kind != NEW {
        return None;
    }
    let connection = Attributes::new(message.body.get(4..)?);
    let there = tuple(&connection.get_nested(CTA_TUPLE_ORIG)?)?;
    let back = tuple(&connection.get_nested(CTA_TUPLE_REPLY)?)?;
    let mut ends = [there.source, there.destination, back.source, back.destination].into_iter();
    if !ends.any(|end| ours(end.ip())) {
        return None;
    }
    let bytes = |direction| {
        let counters = connection.get_nested(direction)?;
        array_of(counters.get(CTA_COUNTERS_BYTES)?, 0).map(u64::from_be_bytes)
    };
    Some(Flow {
        protocol: there.protocol,
        source: there.source,
        destination: there.destination,
        translated_to: Some(back.source).filter(|answers| *answers != there.destination),
        bytes: bytes(CTA_COUNTERS_ORIG)
            .zip(bytes(CTA_COUNTERS_REPLY))
            .map(|(there, back)| there.saturating_add(back)),
        state: state(&connection),
    })
}

fn state(connection: &Attributes<'_>) -> FlowState {
    let tcp = connection
        .get_nested(CTA_PROTOINFO)
        .and_then(|info| info.get_nested(CTA_PROTOINFO_TCP))
        .and_then(|tcp| tcp.get(CTA_PROTOINFO_TCP_STATE)?.first().copied());
    let answered = connection.get_be32(CTA_STATUS).is_some_and(|bits| bits & SEEN_REPLY != 0);
    match tcp {
        Some(TCP_CLOSING..) => FlowState::Closing,
        Some(state) if state < TCP_ESTABLISHED => FlowState::Opening,
        _ if answered => FlowState::Established,
        _ => FlowState::Opening,
    }
}
