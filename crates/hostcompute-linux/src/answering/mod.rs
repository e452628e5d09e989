//! Answering the endpoints of networks: DHCP and DNS at their gateways.
//!
//! ```text
//!   plan ──► Desk ──► Book (leases, names)          one thread, asleep while nobody asks
//!                └──► Post (sockets of a network) ──► UDP: answer from the book, or relay to the host's resolvers
//!                                                     TCP: a thread for each connection (`stream`)
//!   ports ──► one packet socket for all ────────────► DHCP: the lease of the port, and nothing to others
//! ```
//!
//! Only a process that stays answers ([`Host::answer`](hostcompute_engine::host::Host::answer)); what it answers is in its memory, and the next
//! one begins anew with the facts of the state. Everything is bounded: questions under way, connections, answers to one port.

mod book;
mod desk;
mod dhcp;
mod dns;
mod frame;
mod posts;
mod relay;
mod stream;

mod upstream;

pub(crate) use desk::Desk;
use desk::Shared;

/// Understands any bytes as a question; for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn understand(bytes: &[u8]) -> usize {
    let of_dns = dns::read(bytes)
        .map_or(0, |query| query.answer(dns::Code::Good, &[], dns::Over::Udp).len());
    of_dns + frame::open(bytes).map_or(0, |(_, message)| message.len())
}
