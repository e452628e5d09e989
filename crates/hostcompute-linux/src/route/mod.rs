//! rtnetlink: what links, addresses, routes, neighbours and queueing disciplines look like in bytes, both ways.
//!
//! Each module writes requests into a [`crate::netlink::Datagram`] and decodes the messages of the matching dump. Which
//! requests make a fact is decided in [`crate::port`], [`crate::anchor`], [`crate::tunnel`] and
//! [`crate::shaper`].

pub(crate) mod address;
pub(crate) mod destination;
pub(crate) mod link;
pub(crate) mod neighbour;
pub(crate) mod numbering;
pub(crate) mod path;
pub(crate) mod queue;
pub(crate) mod rule;
#[cfg(test)]
mod witness;

use std::net::IpAddr;

use hostcompute_engine::plan::Family;

/// Numbers of the families in rtnetlink headers (linux/socket.h).
pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;

pub(crate) fn family_number(family: Family) -> u8 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

/// Calls `use_bytes` with an address's bytes in network order.
pub(crate) fn with_octets<R>(address: IpAddr, use_bytes: impl FnOnce(&[u8]) -> R) -> R {
    match address {
        IpAddr::V4(address) => use_bytes(&address.octets()),
        IpAddr::V6(address) => use_bytes(&address.octets()),
    }
}

/// The address in an attribute of 4 or 16 bytes.
pub(crate) fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}
