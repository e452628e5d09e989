//! Addresses of links.

use std::net::IpAddr;

use hostcompute_engine::plan::Family;
use ipnet::IpNet;

use super::{address_of, family_number, with_octets};
use crate::error::Error;
use crate::netlink::attribute::array_of;
use crate::netlink::message::Note;
use crate::netlink::{Attributes, Datagram, Message, Socket, flag, messages};

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;

/// Gives a link an address. No route to the prefix comes with it (routes are facts of their own), and IPv6 addresses are
/// usable at once: on a link with two known ends there is nobody to detect a duplicate.
pub(crate) fn push_add(datagram: &mut Datagram, note: Note, index: u32, address: IpNet) {
    datagram.push(RTM_NEWADDR, flag::CREATE | flag::EXCLUSIVE, note, |body| {
        let flags = match address {
            IpNet::V4(_) => IFA_F_NOPREFIXROUTE,
            IpNet::V6(_) => IFA_F_NOPREFIXROUTE | IFA_F_NODAD,
        };
        body.raw(&header(address, index)).put_u32(IFA_FLAGS, flags);
        with_octets(address.addr(), |octets| {
            body.put(IFA_LOCAL, octets).put(IFA_ADDRESS, octets);
        });
    });
}

pub(crate) fn push_remove(datagram: &mut Datagram, note: Note, index: u32, address: IpNet) {
    datagram.push(RTM_DELADDR, 0, note, |body| {
        body.raw(&header(address, index));
        with_octets(address.addr(), |octets| {
            body.put(IFA_LOCAL, octets).put(IFA_ADDRESS, octets);
        });
    });
}

/// struct ifaddrmsg with scope "universe".
fn header(address: IpNet, index: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[0] = family_number(Family::of(&address.addr()));
    bytes[1] = address.prefix_len();
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes
}

/// An address as the kernel shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub index: u32,
    pub address: IpNet,
}

fn read(message: &Message<'_>) -> Option<Address> {
    if message.kind != RTM_NEWADDR {
        return None;
    }
    let attributes = Attributes::new(message.body.get(8..)?);
    // IFA_LOCAL differs from IFA_ADDRESS on point-to-point links, where the latter is the peer's.
    let address: IpAddr =
        attributes.get(IFA_LOCAL).or_else(|| attributes.get(IFA_ADDRESS)).and_then(address_of)?;
    Some(Address {
        index: u32::from_ne_bytes(array_of(message.body, 4)?),
        address: IpNet::new(address, *message.body.get(1)?).ok()?,
    })
}

/// Every address of the socket's namespace.
pub(crate) fn dump(socket: &mut Socket) -> Result<Vec<Address>, Error> {
    let table = socket.dump(RTM_GETADDR, "list the addresses", |body| {
        body.raw(&[0; 8]);
    })?;
    Ok(messages(&table).filter_map(|message| read(&message)).collect())
}
