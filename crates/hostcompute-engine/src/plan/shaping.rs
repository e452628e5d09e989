//! Caps on what endpoints send (QOS): the bucket of each, and what of a port's packets goes through which.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// A token bucket on an `ifb` device; out of the workload's reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shaper {
    /// Host end of the capped endpoint's port.
    pub port: String,
    /// The ifb device, `hv…`.
    pub name: String,
    pub index: u32,
    pub bytes_per_second: u64,
}

/// Packets that arrive from a port are redirected to buckets, and continue behind them as if they had just arrived.
///
/// A namespace with several endpoints may send from each address by every port, so what is capped is the address: by whichever port
/// it leaves, it shares the bucket of its endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Diversion {
    /// Host end of the port.
    pub port: String,
    pub index: u32,
    /// The first that fits counts; those with addresses come first.
    pub lanes: Vec<Lane>,
}

/// What goes through one bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// Number of the capped endpoint's interface in the namespace.
    pub place: u32,
    /// Source addresses; empty for everything that no other lane takes: of the endpoint's own port.
    pub sources: Vec<IpAddr>,
    /// Index of the [`Shaper`].
    pub shaper: u32,
}
