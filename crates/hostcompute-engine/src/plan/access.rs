//! Access rules: chains of them, and the sets of addresses that they name.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::RangeInclusive;

use ipnet::IpNet;

use super::Family;

/// A set of addresses of one family that access rules name (policy SetPolicy), with its members; changed element by element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressSet {
    /// Tells it from the others; the name follows from it.
    pub number: u32,
    pub family: Family,
    /// Whether keys are address, protocol and port, as they must be once a member has a port.
    pub ports: bool,
    /// Sorted; none overlaps another.
    pub members: Arc<[Member]>,
}

/// What a set contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    pub net: IpNet,
    /// Protocol and port; without them, everything that the addresses do.
    pub service: Option<(u8, u16)>,
}

/// A condition of an access rule: the packet's source or destination is in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetMatch {
    pub end: End,
    pub number: u32,
    /// The set's keys have protocol and port.
    pub ports: bool,
}

/// An end of a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    Source,
    Destination,
}

/// Which way traffic goes, seen from the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    In,
    Out,
}

/// A chain of access rules (or of redirections), evaluated in order; the end of the chain is `otherwise`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AclChain {
    pub name: String,
    pub direction: Direction,
    pub rules: Vec<AclRule>,
    pub otherwise: Verdict,
}

/// One access rule; an empty list matches everything. Addresses, when present, are all of one family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AclRule {
    /// The family of the packets; given where the rule names sets. Addresses say it otherwise.
    pub family: Option<Family>,
    /// All of them must hold.
    pub sets: Vec<SetMatch>,
    pub protocols: Vec<u8>,
    /// The endpoint's side: destination for `In`, source for `Out`.
    pub local: Vec<IpNet>,
    /// The peer's side.
    pub remote: Vec<IpNet>,
    pub local_ports: Vec<PortRange>,
    pub remote_ports: Vec<PortRange>,
    pub verdict: Verdict,
}

/// Inclusive range of transport ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl From<RangeInclusive<u16>> for PortRange {
    fn from(range: RangeInclusive<u16>) -> Self {
        Self { first: *range.start(), last: *range.end() }
    }
}

/// What an access rule decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Back to the caller: this layer has no objection.
    Allow,
    /// Drop.
    Block,
    /// On to another chain (the next layer).
    Goto(String),
    /// To this address and port instead (policy L4Proxy).
    Redirect(SocketAddr),
    /// To this port of the namespace itself (policy L4WFPPROXY).
    Intercept(u16),
}
