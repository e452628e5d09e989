//! Ports of this host: is one free, and keep one from everybody. Both by binding to it without listening, which disturbs nobody.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use std::os::fd::OwnedFd;

use hostcompute_engine::host::{Hold, Ports};
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
        // No address of this host, hence no listener on it; or a protocol or family that no program here can use.
        Err(
            Errno::ADDRNOTAVAIL
            | Errno::PROTONOSUPPORT
            | Errno::AFNOSUPPORT
            | Errno::SOCKTNOSUPPORT
            | Errno::PROTOTYPE,
        ) => Ok(()),
        Err(error) => Err(explain(error, claim.protocol, claim.port)),
    }
}

/// Sockets that are bound to ports, and nothing else.
#[derive(Debug)]
struct Bound {
    _sockets: Vec<OwnedFd>,
}

impl Hold for Bound {}

/// Binds to ports in the calling thread's namespace, on every address of both families.
pub(crate) fn hold(ports: Ports) -> Result<Box<dyn Hold>, Error> {
    let mut sockets = Vec::new();
    for port in ports.first..=ports.last {
        for protocol in ports.protocols() {
            let socket = occupy(protocol, port).map_err(|error| explain(error, protocol, port))?;
            sockets.push(socket);
        }
    }
    Ok(Box::new(Bound { _sockets: sockets }))
}

/// Without the option to share an address, which would let another program listen beside a socket that does not.
fn occupy(protocol: u8, port: u16) -> Result<OwnedFd, Errno> {
    let both = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
    match open(Family::V6, protocol) {
        Ok(Some(socket)) => {
            sockopt::set_ipv6_v6only(&socket, false)?;
            match rustix::net::bind(&socket, &both) {
                // IPv6 is there, and turned off.
                Err(Errno::ADDRNOTAVAIL) => {}
                bound => return bound.map(|()| socket),
            }
        }
        Ok(None) => return Err(Errno::PROTONOSUPPORT),
        Err(Errno::AFNOSUPPORT) => {}
        Err(error) => return Err(error),
    }
    let socket = open(Family::V4, protocol)?.ok_or(Errno::PROTONOSUPPORT)?;
    rustix::net::bind(&socket, &SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))?;
    Ok(socket)
}

fn bind(claim: &Claim) -> Result<(), Errno> {
    let Some(socket) = open(claim.family, claim.protocol)? else { return Ok(()) };
    let any = match claim.family {
        Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    if claim.family == Family::V6 {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if claim.protocol == TCP {
        // Connections that a restarted server left waiting are no listeners; with this option only those count.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &SocketAddr::new(claim.address.unwrap_or(any), claim.port))
}

/// A socket of a protocol with ports; `None` for one without.
fn open(family: Family, protocol: u8) -> Result<Option<OwnedFd>, Errno> {
    let family = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    let (kind, protocol) = match protocol {
        TCP => (SocketType::STREAM, ipproto::TCP),
        UDP => (SocketType::DGRAM, ipproto::UDP),
        SCTP => (SocketType::STREAM, ipproto::SCTP),
        _ => return Ok(None),
    };
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol)).map(Some)
}

fn explain(error: Errno, protocol: u8, port: u16) -> Error {
    if error != Errno::ADDRINUSE {
        return Error::system("see whether the host's port is free", io::Error::from(error));
    }
    let protocol = match protocol {
        TCP => "tcp",
        UDP => "udp",
        SCTP => "sctp",
        _ => "this protocol",
    };
    Error::PortTaken { protocol, port }
}
