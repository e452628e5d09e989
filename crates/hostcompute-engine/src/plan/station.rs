//! A machine of its own on an adapter's wire (Transparent networks), with or without the host in between, and where an interface's
//! counters are read.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::Guid;
use ipnet::IpNet;

use super::{Port, PortRoute};
use crate::mac::Mac;

/// A macvlan link of an adapter inside a namespace, up, with addresses without prefix routes (v6 without DAD), then `routes`; no
/// IPv6 address generation. Its packets never meet the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Station {
    pub endpoint: Guid,
    pub netns: Guid,
    /// The adapter, by name: its index may be another after a reboot.
    pub uplink: String,
    /// `eth0` and so on.
    pub name: String,
    pub index: u32,
    /// For people (policy PortName); empty for none.
    pub alias: String,
    pub mac: Mac,
    /// `None` leaves the adapter's.
    pub mtu: Option<u32>,
    pub addresses: Vec<IpNet>,
    pub routes: Vec<PortRoute>,
    /// Other stations of the adapter are out of its reach, and it out of theirs.
    pub isolated: bool,
    /// Its frames are in a VLAN.
    pub trunk: Option<Trunk>,
}

/// What keeps a station in a VLAN, out of the workload's reach: it is the inner end of a veth pair then, and the macvlan link is on the
/// host's side. Whole frames go from one to the other and nowhere else: from the station with the VLAN's tag, if they had none, and to it
/// without, if they had that one. The host takes none of them for its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trunk {
    pub vlan: u16,
    /// The outer end of the pair, `hv…`.
    pub outer: String,
    pub index: u32,
    /// The macvlan link, `hm…`; its index is the kernel's choice.
    pub face: String,
}

/// The presence of an endpoint on an adapter's wire where the host is in between: a macvlan link of the adapter, in the host's own
/// namespace, with the endpoint's MAC, which answers address resolution for its addresses and for nothing else. What comes in there
/// is routed to the endpoint's [`Port`]; what the endpoint sends leaves by the [`Guise`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Face {
    pub endpoint: Guid,
    /// The adapter, by name.
    pub uplink: String,
    /// `hm…`; its index is the kernel's choice.
    pub name: String,
    pub mac: Mac,
    pub addresses: Vec<IpAddr>,
    /// Other machines that the adapter carries are out of its reach, and it out of theirs.
    pub isolated: bool,
    /// The name of the [`Guise`].
    pub guise: String,
}

/// By what a network's endpoints leave the host under MACs other than the adapter's: a macvlan link of the adapter, in the host's own
/// namespace. With guided endpoints a table of the packet filter at its way out gives each packet the MAC of its sender's [`Face`]; a bridged
/// network with policy SourceMacAddress has its `mac` there, and is answered for there ([`Proxy`](super::Proxy)). It asks for neighbours in
/// nobody's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guise {
    /// `hm…`; its index is the kernel's choice. The table's name follows from it.
    pub name: String,
    pub uplink: String,
    pub mac: Mac,
    /// Whether there is IPv6 on the wire.
    pub inet6: bool,
}

/// An interface whose counters can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    pub endpoint: Guid,
    pub index: u32,
    /// The namespace that has it; `None`: it is the host end of a port.
    pub inside: Option<Guid>,
}

impl Port {
    /// Where what passes it is counted.
    pub fn meter(&self) -> Meter {
        Meter { endpoint: self.endpoint, index: self.index, inside: None }
    }
}

impl Station {
    /// Where what passes it is counted.
    pub fn meter(&self) -> Meter {
        Meter { endpoint: self.endpoint, index: self.index, inside: Some(self.netns) }
    }
}
