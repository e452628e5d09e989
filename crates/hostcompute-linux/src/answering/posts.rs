//! Where the host listens for the endpoints of one network: sockets on its gateway addresses.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hostcompute_engine::plan::Responder;
use hostcompute_schema::Guid;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::frame::SERVER_PORT;
use crate::error::Error;
use crate::sys;

const DNS_PORT: u16 = 53;
/// Connections that wait to be taken.
const BACKLOG: i32 = 16;
/// Connections that one network may have.
const MOST_CONNECTIONS: usize = 16;

/// The sockets of one network.
#[derive(Debug)]
pub(super) struct Post {
    pub network: Guid,
    pub datagrams: Vec<UdpSocket>,
    pub listeners: Vec<TcpListener>,
    /// Keep the kernel from telling clients that nobody listens where they renew their leases; heard is what they say elsewhere.
    _quiet: Vec<UdpSocket>,
    pub connections: AtomicUsize,
}

impl Post {
    /// Listens in the calling thread's network namespace.
    pub fn open(responder: &Responder) -> Result<Self, Error> {
        let mut post = Self {
            network: responder.network,
            datagrams: Vec::new(),
            listeners: Vec::new(),
            _quiet: Vec::new(),
            connections: AtomicUsize::new(0),
        };
        for gateway in responder.gateways.iter().copied() {
            if responder.dns {
                post.datagrams.push(datagrams(gateway).map_err(|e| unheard("udp", e))?);
                post.listeners.push(listener(gateway).map_err(|e| unheard("tcp", e))?);
            }
            if responder.dhcp && gateway.is_ipv4() {
                // Where another server listens on every address the clients hear that one refuse; they take it for lost.
                post._quiet.extend(quiet(gateway));
            }
        }
        Ok(post)
    }

    /// Sends an answer. What cannot be sent is lost, as any datagram may be.
    pub fn say(&self, listener: usize, message: &[u8], to: SocketAddr) {
        if let Some(socket) = self.datagrams.get(listener)
            && let Err(error) = socket.send_to(message, to)
        {
            tracing::debug!(%to, %error, "an answer was not sent");
        }
    }

    /// A place for one more connection.
    pub fn admit(self: &Arc<Self>) -> Option<Admission> {
        let one_more = |count: usize| (count < MOST_CONNECTIONS).then_some(count + 1);
        self.connections.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Admission(Arc::downgrade(self)))
    }
}

/// A connection's place. It does not keep the sockets open.
#[derive(Debug)]
pub(super) struct Admission(std::sync::Weak<Post>);

impl Admission {
    /// The network, as long as it is answered.
    pub fn network(&self) -> Option<Guid> {
        self.0.upgrade().map(|post| post.network)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(post) = self.0.upgrade() {
            post.connections.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn unheard(protocol: &'static str, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortTaken { protocol, port: DNS_PORT },
        _ => Error::system("listen for the network's questions", source),
    }
}

fn datagrams(address: IpAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((address, DNS_PORT))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn listener(address: IpAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    // Connections of an earlier process may still be ending.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddr::new(address, DNS_PORT))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn quiet(address: IpAddr) -> Option<UdpSocket> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let made = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None);
    let socket = made.ok()?;
    sockopt::set_socket_reuseaddr(&socket, true).ok()?;
    sys::filter(&socket, &[sys::Instruction { code: 0x06, if_true: 0, if_false: 0, value: 0 }])
        .ok()?;
    rustix::net::bind(&socket, &SocketAddr::new(address, SERVER_PORT)).ok()?;
    Some(socket.into())
}
