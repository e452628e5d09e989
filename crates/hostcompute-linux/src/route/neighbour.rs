//! Permanent neighbours: who has which address on a link, so that nobody need ask.

use std::net::IpAddr;

use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::Family;
use rustix::io::Errno;

use super::path::ORIGIN;
use super::{address_of, family_number, with_octets};
use crate::error::Error;
use crate::netlink::attribute::array_of;
use crate::netlink::message::Note;
use crate::netlink::{Attributes, Body, Datagram, Message, Socket, flag, messages};

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
const RTM_SETNEIGHTBL: u16 = 67;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_PROTOCOL: u16 = 12;
const NDTA_NAME: u16 = 1;
const NDTA_PARMS: u16 = 6;
const NDTPA_IFINDEX: u16 = 1;
const NDTPA_PROXY_DELAY: u16 = 14;
const NUD_PERMANENT: u16 = 0x80;
const NTF_PROXY: u8 = 8;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub index: u32,
    pub address: IpAddr,
    pub mac: Mac,
}

/// Adds or replaces a permanent entry.
pub(crate) fn push_set(datagram: &mut Datagram, note: Note, neighbour: Neighbour) {
    datagram.push(RTM_NEWNEIGH, flag::CREATE | flag::REPLACE, note, |body| {
        // struct ndmsg.
        body.raw(&[family_number(Family::of(&neighbour.address)), 0, 0, 0])
            .raw(&neighbour.index.to_ne_bytes());
        let [low, high] = NUD_PERMANENT.to_ne_bytes();
        body.raw(&[low, high, 0, 0]);
        with_octets(neighbour.address, |octets| {
            body.put(NDA_DST, octets);
        });
        body.put(NDA_LLADDR, &neighbour.mac.0);
    });
}

/// Lets a link answer for others without the usual delay, which is for links with many who could answer.
pub(crate) fn push_prompt(datagram: &mut Datagram, note: Note, index: u32, family: Family) {
    datagram.push(RTM_SETNEIGHTBL, 0, note, |body| {
        // struct ndtmsg.
        body.raw(&[family_number(family), 0, 0, 0]);
        let table = match family {
            Family::V4 => "arp_cache",
            Family::V6 => "ndisc_cache",
        };
        body.put_text(NDTA_NAME, table);
        body.nest(NDTA_PARMS, |parameters| {
            parameters.put_u32(NDTPA_IFINDEX, index);
            parameters.put(NDTPA_PROXY_DELAY, &0_u64.to_ne_bytes());
        });
    });
}

/// Removes the entry for an address.
pub(crate) fn push_remove(datagram: &mut Datagram, note: Note, neighbour: Neighbour) {
    datagram.push(RTM_DELNEIGH, 0, note, |body| {
        body.raw(&[family_number(Family::of(&neighbour.address)), 0, 0, 0])
            .raw(&neighbour.index.to_ne_bytes())
            .raw(&[0; 4]);
        with_octets(neighbour.address, |octets| {
            body.put(NDA_DST, octets);
        });
    });
}

/// Makes a link answer for an address that is elsewhere.
pub(crate) fn push_proxy(datagram: &mut Datagram, note: Note, index: u32, address: IpAddr) {
    datagram.push(RTM_NEWNEIGH, flag::CREATE | flag::REPLACE, note, |body| {
        write_proxy(body, index, address);
        body.put_u8(NDA_PROTOCOL, ORIGIN);
    });
}

pub(crate) fn push_remove_proxy(datagram: &mut Datagram, note: Note, index: u32, address: IpAddr) {
    datagram.push(RTM_DELNEIGH, 0, note, |body| write_proxy(body, index, address));
}

fn write_proxy(body: &mut Body<'_>, index: u32, address: IpAddr) {
    body.raw(&[family_number(Family::of(&address)), 0, 0, 0]).raw(&index.to_ne_bytes());
    // Others are forgotten when the link loses its carrier.
    let [low, high] = NUD_PERMANENT.to_ne_bytes();
    body.raw(&[low, high, NTF_PROXY, 0]);
    with_octets(address, |octets| {
        body.put(NDA_DST, octets);
    });
}

/// The addresses for which links answer because of us.
pub(crate) fn dump_proxies(socket: &mut Socket) -> Result<Vec<(u32, IpAddr)>, Error> {
    let table = socket.dump(RTM_GETNEIGH, "list the answers for others", |body| {
        body.raw(&[0; 8]).raw(&[0, 0, NTF_PROXY, 0]);
    })?;
    let ours = |message: Message<'_>| {
        let attributes = Attributes::new(message.body.get(12..)?);
        let index = u32::from_ne_bytes(array_of(message.body, 4)?);
        let address = attributes.get(NDA_DST).and_then(address_of)?;
        (attributes.get(NDA_PROTOCOL) == Some(&[ORIGIN])).then_some((index, address))
    };
    Ok(messages(&table).filter(|message| message.kind == RTM_NEWNEIGH).filter_map(ours).collect())
}

fn read(message: &Message<'_>) -> Option<Neighbour> {
    if message.kind != RTM_NEWNEIGH {
        return None;
    }
    let state = u16::from_ne_bytes(array_of(message.body, 8)?);
    let attributes = Attributes::new(message.body.get(12..)?);
    (state & NUD_PERMANENT != 0).then_some(())?;
    Some(Neighbour {
        index: u32::from_ne_bytes(array_of(message.body, 4)?),
        address: attributes.get(NDA_DST).and_then(address_of)?,
        mac: Mac(attributes.get(NDA_LLADDR).and_then(|mac| array_of(mac, 0))?),
    })
}

/// The permanent entry for an address, if there is one. A dump would walk through the entries of all namespaces of the machine
/// to find those of one.
pub(crate) fn get(
    socket: &mut Socket,
    index: u32,
    address: IpAddr,
) -> Result<Option<Neighbour>, Error> {
    let answer = socket.ask(RTM_GETNEIGH, "look up a neighbour", |body| {
        body.raw(&[family_number(Family::of(&address)), 0, 0, 0]).raw(&index.to_ne_bytes());
        body.raw(&[0; 4]);
        with_octets(address, |octets| {
            body.put(NDA_DST, octets);
        });
    });
    match answer {
        Ok(bytes) => Ok(messages(&bytes).find_map(|message| read(&message))),
        Err(Error::Refused(refusal)) if refusal.errno == Errno::NOENT => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every permanent entry of the socket's namespace.
pub(crate) fn dump(socket: &mut Socket) -> Result<Vec<Neighbour>, Error> {
    let table = socket.dump(RTM_GETNEIGH, "list the neighbours", |body| {
        body.raw(&[0; 12]);
    })?;
    Ok(messages(&table).filter_map(|message| read(&message)).collect())
}
