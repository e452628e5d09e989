//! Netlink: bytes, messages and a blocking socket. What the messages mean is in [`crate::route`] and [`crate::nft`].
//!
//! A netlink request runs inside `sendmsg`: when the call returns, the work is done and the answers are queued. That is why a
//! blocking socket is the honest model, and why many messages in one datagram cost one system call.

pub(crate) mod attribute;
pub(crate) mod message;
mod parting;
pub(crate) mod socket;

pub(crate) use attribute::{Attributes, Body};
pub(crate) use message::{Datagram, Lenient, Message, messages};
pub(crate) use socket::{Protocol, Socket};

/// Flags of a message header (linux/netlink.h).
pub(crate) mod flag {
    pub const REQUEST: u16 = 0x01;
    pub const ACK: u16 = 0x04;
    pub const DUMP_INTERRUPTED: u16 = 0x10;
    pub const DUMP: u16 = 0x300;
    pub const REPLACE: u16 = 0x100;
    pub const EXCLUSIVE: u16 = 0x200;
    pub const CREATE: u16 = 0x400;
    pub const APPEND: u16 = 0x800;
    /// In an acknowledgement: attributes follow.
    pub const ACK_ATTRIBUTES: u16 = 0x200;
}
