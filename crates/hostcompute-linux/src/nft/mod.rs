//! nftables: our one table, what is in it, and how facts become its contents.
//!
//! [`ruleset`] is the table's fixed part and the place to read first. [`set`] declares the sets and maps that the rules look
//! into; [`element`] turns facts into their elements; [`acl`] turns access rules into chains; [`transaction`] sends all changes
//! of a plan as one atomic [`batch`]; [`inside`] is the packet filter of namespaces, [`guise`] that of adapters' ways out, [`welcome`] that of tunnels' ways in;
//! [`read`] shows what the kernel has, [`sight`] what it does with a packet. [`expression`] is the vocabulary of rules.

pub(crate) mod acl;
pub(crate) mod batch;
pub(crate) mod element;
pub(crate) mod expression;
pub(crate) mod guise;
pub(crate) mod inside;
pub(crate) mod read;
pub(crate) mod rule;
pub(crate) mod ruleset;
pub(crate) mod set;
pub(crate) mod sight;
pub(crate) mod transaction;
pub(crate) mod welcome;

/// The name of our table.
pub(crate) const TABLE: &str = "hostcompute";

/// The family of our table (NFPROTO_INET): IPv4 and IPv6 alike.
pub(crate) const INET: u8 = 1;

/// The family of tables at devices (NFPROTO_NETDEV).
pub(crate) const NETDEV: u8 = 5;

/// A message type of nftables within nfnetlink (NFNL_SUBSYS_NFTABLES).
pub(crate) const fn kind(message: u16) -> u16 {
    10 << 8 | message
}

/// struct nfgenmsg.
pub(crate) const fn header(family: u8) -> [u8; 4] {
    [family, 0, 0, 0]
}
