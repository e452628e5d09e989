//! Claims: is a port of this host free? Answered by binding to it without listening, which disturbs nobody.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hostcompute_engine::plan::{Claim, Family};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use crate::error::Error;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// Fails if a socket of the calling thread's namespace holds the port.
pub(crate) fn check(claim: &Claim) -> Result<(), Error> {
    match bind(claim) {
        Ok(()) => Ok(()),
        // Another socket holds it.
        Err(Errno::ADDRINUSE) => Err(Error::PortTaken {
            protocol: match claim.protocol {
                TCP => "tcp",
                UDP => "udp",
                SCTP => "sctp",
                _ => "this protocol",
            },
            port: claim.port,
        }),
        // No address of this host, hence no listener on it; or a protocol or family that no program here can use.
        Err(
            Errno::ADDRNOTAVAIL
            | Errno::PROTONOSUPPORT
            | Errno::AFNOSUPPORT
            | Errno::SOCKTNOSUPPORT
            | Errno::PROTOTYPE,
        ) => Ok(()),
        Err(error) => {
            Err(Error::system("see whether the host's port is free", io::Error::from(error)))
        }
    }
}

fn bind(claim: &Claim) -> Result<(), Errno> {
    let (family, any) = match claim.family {
        Family::V4 => (AddressFamily::INET, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        Family::V6 => (AddressFamily::INET6, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
    };
    let (kind, protocol) = match claim.protocol {
        TCP => (SocketType::STREAM, ipproto::TCP),
        UDP => (SocketType::DGRAM, ipproto::UDP),
        SCTP => (SocketType::STREAM, ipproto::SCTP),
        _ => return Ok(()),
    };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?;
    if claim.family == Family::V6 {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if claim.protocol == TCP {
        // Connections that a restarted server left waiting are no listeners; with this option only those count.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &SocketAddr::new(claim.address.unwrap_or(any), claim.port))
}
