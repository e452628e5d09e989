//! Forwarding tables of VXLAN devices: which host a MAC is behind.

use std::net::IpAddr;

use hostcompute_engine::mac::Mac;
use rustix::io::Errno;

use super::{address_of, with_octets};
use crate::error::Error;
use crate::netlink::attribute::array_of;
use crate::netlink::message::Note;
use crate::netlink::{Attributes, Datagram, Message, Socket, flag, messages};

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
/// The family of bridges' tables, to which those of VXLAN devices belong.
const AF_BRIDGE: u8 = 7;
/// Permanent, and nobody asks for it.
const STATE: u16 = 0x80 | 0x40;
/// The device's own table, not that of a bridge above it.
const NTF_SELF: u8 = 2;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Destination {
    pub index: u32,
    pub mac: Mac,
    pub host: IpAddr,
}

/// struct ndmsg.
fn header(index: u32, state: u16, flags: u8) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0] = AF_BRIDGE;
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..10].copy_from_slice(&state.to_ne_bytes());
    bytes[10] = flags;
    bytes
}

/// Adds an entry, or replaces the one of this MAC.
pub(crate) fn push_set(datagram: &mut Datagram, note: Note, entry: Destination) {
    datagram.push(RTM_NEWNEIGH, flag::CREATE | flag::REPLACE, note, |body| {
        body.raw(&header(entry.index, STATE, NTF_SELF)).put(NDA_LLADDR, &entry.mac.0);
        with_octets(entry.host, |octets| {
            body.put(NDA_DST, octets);
        });
    });
}

pub(crate) fn push_remove(datagram: &mut Datagram, note: Note, entry: Destination) {
    datagram.push(RTM_DELNEIGH, 0, note, |body| {
        body.raw(&header(entry.index, 0, NTF_SELF)).put(NDA_LLADDR, &entry.mac.0);
        with_octets(entry.host, |octets| {
            body.put(NDA_DST, octets);
        });
    });
}

fn read(message: &Message<'_>) -> Option<Destination> {
    if message.kind != RTM_NEWNEIGH {
        return None;
    }
    let attributes = Attributes::new(message.body.get(12..)?);
    Some(Destination {
        index: u32::from_ne_bytes(array_of(message.body, 4)?),
        mac: Mac(attributes.get(NDA_LLADDR).and_then(|mac| array_of(mac, 0))?),
        host: attributes.get(NDA_DST).and_then(address_of)?,
    })
}

/// Every entry of a VXLAN device; none where there is no such device.
pub(crate) fn dump(socket: &mut Socket, index: u32) -> Result<Vec<Destination>, Error> {
    let table = socket.dump(RTM_GETNEIGH, "list who is behind a tunnel", |body| {
        body.raw(&header(index, 0, 0));
    });
    match table {
        Ok(table) => Ok(messages(&table)
            .filter_map(|message| read(&message))
            .filter(|entry| entry.index == index)
            .collect()),
        Err(Error::Refused(refusal)) if refusal.errno == Errno::NODEV => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
