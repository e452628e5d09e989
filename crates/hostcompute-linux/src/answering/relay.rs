//! Questions that others answer: under way to the host's resolvers, several at a time, each from a port of its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dns::{self, Code, Over, Query};
use super::posts::Post;

/// A resolver is given so long, then the next one is asked.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Rounds through the resolvers.
const ROUNDS: usize = 2;
/// So many questions are under way at once, of which one network has a part.
const MOST: usize = 256;
const MOST_OF_ONE: usize = 128;
const DNS_PORT: u16 = 53;

/// Questions under way.
#[derive(Debug, Default)]
pub(super) struct Relay {
    flights: Vec<Flight>,
}

/// One question under way.
#[derive(Debug)]
struct Flight {
    /// Who asked, and where.
    post: Arc<Post>,
    listener: usize,
    client: SocketAddr,
    query: Query,
    message: Vec<u8>,
    /// Who is still to be asked, last first.
    servers: Vec<IpAddr>,
    socket: UdpSocket,
    id: u16,
    deadline: Instant,
}

/// A number that nobody can guess.
fn random_id() -> u16 {
    let mut bytes = [0; 2];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(2) => u16::from_ne_bytes(bytes),
        // The kernel has no randomness yet; the port is random all the same.
        _ => 0x5a5a,
    }
}

/// Asks the next resolver from a new port.
fn ask(servers: &mut Vec<IpAddr>, message: &[u8]) -> io::Result<(UdpSocket, u16)> {
    loop {
        let Some(server) = servers.pop() else { return Err(io::ErrorKind::NotFound.into()) };
        let any: IpAddr = match server {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let id = random_id();
        let sent = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.connect((server, DNS_PORT))?;
            socket.send(&dns::renumbered(message, id))?;
            Ok(socket)
        });
        match sent {
            Ok(socket) => return Ok((socket, id)),
            Err(error) => tracing::debug!(%server, %error, "a resolver cannot be asked"),
        }
    }
}

/// Every resolver, several times, in the order in which they are taken from the end.
pub(super) fn rounds(servers: &[IpAddr]) -> Vec<IpAddr> {
    let all = (0..ROUNDS).flat_map(|_| servers.iter().copied());
    let mut all: Vec<IpAddr> = all.collect();
    all.reverse();
    all
}

/// The question of a client over UDP.
pub(super) struct Asked<'a> {
    pub post: &'a Arc<Post>,
    pub listener: usize,
    pub client: SocketAddr,
    pub query: Query,
    pub message: &'a [u8],
}

impl Relay {
    /// Passes a question on. Where too many are under way it is dropped: the client asks again.
    pub fn send(&mut self, asked: Asked<'_>, servers: &[IpAddr], now: Instant) {
        let Asked { post, listener, client, query, message } = asked;
        let same = |flight: &&Flight| Arc::ptr_eq(&flight.post, post);
        if self.flights.len() >= MOST || self.flights.iter().filter(same).count() >= MOST_OF_ONE {
            return;
        }
        let repeated = |flight: &Flight| flight.client == client && flight.query == query;
        if self.flights.iter().any(repeated) {
            return;
        }
        let mut servers = rounds(servers);
        match ask(&mut servers, message) {
            Ok((socket, id)) => {
                let (post, message, deadline) = (post.clone(), message.to_vec(), now + PATIENCE);
                self.flights.push(Flight {
                    post,
                    listener,
                    client,
                    query,
                    message,
                    servers,
                    socket,
                    id,
                    deadline,
                });
            }
            Err(_) => {
                post.say(listener, &query.answer(Code::ServerFailure, &[], Over::Udp), client)
            }
        }
    }

    /// What to wait for.
    pub fn ears(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.flights.iter().map(|flight| flight.socket.as_fd())
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.flights.iter().map(|flight| flight.deadline).min()
    }

    /// Passes answers back. `ready` says of each flight whether something has come.
    pub fn hear(&mut self, ready: &[bool], buffer: &mut [u8]) {
        let mut ready = ready.iter();
        self.flights.retain_mut(|flight| {
            let heard = ready.next().copied().unwrap_or(false);
            !(heard && flight.hear(buffer))
        });
    }

    /// Asks other resolvers where one has had its time, and gives up where there are none left.
    pub fn go_on(&mut self, now: Instant) {
        self.flights.retain_mut(|flight| flight.deadline > now || flight.ask_next(now));
    }

    /// Forgets the questions of who is not answered any more.
    pub fn forget(&mut self, gone: impl Fn(&Arc<Post>) -> bool) {
        self.flights.retain(|flight| !gone(&flight.post));
    }
}

impl Flight {
    /// Whether the question has its answer.
    fn hear(&mut self, buffer: &mut [u8]) -> bool {
        loop {
            match self.socket.recv(buffer) {
                Ok(length) => {
                    let answer = buffer.get(..length).unwrap_or_default();
                    if self.query.is_answered_by(self.id, answer) {
                        let answer = dns::renumbered(answer, self.query.id);
                        let fits = answer.len() <= self.query.room();
                        let said = if fits { answer } else { self.query.cut() };
                        self.post.say(self.listener, &said, self.client);
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // Nobody listens there.
                Err(_) => return !self.ask_next(Instant::now()),
            }
        }
    }

    /// Whether there was another resolver to ask.
    fn ask_next(&mut self, now: Instant) -> bool {
        match ask(&mut self.servers, &self.message) {
            Ok((socket, id)) => {
                (self.socket, self.id, self.deadline) = (socket, id, now + PATIENCE);
                true
            }
            Err(_) => {
                let failed = self.query.answer(Code::ServerFailure, &[], Over::Udp);
                self.post.say(self.listener, &failed, self.client);
                false
            }
        }
    }
}
