//! Target `netlink`: any bytes in place of what the kernel answers.
//!
//! Everything that reads messages of the kernel (links, addresses, routes, neighbours, queues, the packet filter, connections)
//! takes them for what it expects and gets through without a panic.

use super::Seen;

/// Messages, accepted when one reader at least makes something of them.
///
/// # Panics
/// A reader panics.
pub fn run(data: &[u8]) -> Seen {
    Seen::one(hostcompute_linux::fuzzing::read(data) > 0)
}
