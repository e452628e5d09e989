//! What the host answers to endpoints: who listens where, which address a port is given, which names resolve.
//!
//! These facts are beside the kernel: they live in the process that serves, and it makes them hold anew when it starts.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use hostcompute_schema::Guid;
use ipnet::{IpNet, Ipv4Net};

use crate::mac::Mac;
use crate::plan::Fact;

impl Fact {
    /// Whether it lives in the process that serves.
    pub fn is_answer(&self) -> bool {
        matches!(self, Fact::Responder(_) | Fact::Lease(_) | Fact::Name(_))
    }
}

/// The host answers the endpoints of a network on its gateway addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Responder {
    pub network: Guid,
    /// Where it listens.
    pub gateways: Vec<IpAddr>,
    /// Who may ask.
    pub subnets: Vec<IpNet>,
    /// Questions of DHCP are answered from [`Lease`]s.
    pub dhcp: bool,
    /// Questions of DNS are answered from [`Name`]s, else passed on to the host's own resolvers.
    pub dns: bool,
}

/// What a port is told when it asks for an address (DHCPv4): the address that its endpoint has anyway.
///
/// The host end also answers address resolution for what lies behind it, since who has such a lease takes the subnet for its link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The host end, by name and index.
    pub port: String,
    pub index: u32,
    /// Only this MAC is answered.
    pub mac: Mac,
    pub address: Ipv4Net,
    /// The router, which is also who answers.
    pub gateway: Ipv4Addr,
    pub servers: Vec<Ipv4Addr>,
    pub domain: Option<String>,
    pub search: Vec<String>,
    pub mtu: Option<u32>,
}

/// A name that resolves on a network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub network: Guid,
    /// In lower case, without the last dot.
    pub name: String,
    pub address: IpAddr,
}
