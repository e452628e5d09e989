//! Any bytes in place of what the kernel answers: every reader of netlink messages, on a socket that a fuzzer fills.
//!
//! Only with feature `fuzzing`. The socket is one end of a pair, so that all of the reading is tried: matching answers to
//! questions, the end of a table, acknowledgements, and what the messages mean.

use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::error::Error;
use crate::netlink::Socket;
use crate::nft::{read, set::Set};
use crate::route::{address, link, neighbour, path, queue};
use crate::{conntrack, surroundings};

/// How many questions a reader may ask.
const QUESTIONS: u32 = 4;
/// What answers end with: an NLMSG_DONE without failure.
const DONE: u16 = 3;
/// More than this fits into no answer.
const LONGEST: usize = 32 << 10;

type Reader = fn(&mut Socket) -> Result<(), Error>;

/// The readers whose question does not depend on anything.
const READERS: &[Reader] = &[
    |socket| link::dump(socket).map(drop),
    |socket| link::get(socket, 7).map(drop),
    |socket| link::counters(socket, 7).map(drop),
    |socket| link::all_counters(socket).map(drop),
    |socket| address::dump(socket).map(drop),
    |socket| neighbour::dump(socket).map(drop),
    |socket| path::dump(socket).map(drop),
    |socket| queue::dump_buckets(socket).map(drop),
    |socket| queue::redirects_of(socket, 7).map(drop),
    |socket| surroundings::read(socket).map(drop),
    |socket| read::signature(socket).map(drop),
    |socket| read::chains(socket).map(drop),
    |socket| read::rules(socket).map(drop),
    |socket| read::set_names(socket).map(drop),
    |socket| read::ranges(socket, "__set1").map(drop),
    |socket| {
        let addresses = ["10.0.0.2", "fd00::2"].into_iter().filter_map(|text| text.parse().ok());
        conntrack::forget(socket, &addresses.collect())
    },
    |socket| conntrack::flows(socket, 8, |_| true).map(drop),
];

/// Reads bytes as answers of the kernel in every way there is; tells how many readers were content with them.
///
/// # Panics
/// No pair of sockets can be had from the system.
pub fn read(bytes: &[u8]) -> usize {
    let bytes = bytes.get(..LONGEST).unwrap_or(bytes);
    let (ours, kernel) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .expect("two sockets can be had");
    let mut socket = Socket::played(ours);
    let content = READERS
        .iter()
        .map(|reader| answer(&kernel, &mut socket, bytes, reader))
        .filter(|content| *content)
        .count();
    // One set for each input; all of them are read in the same way.
    let sets: Vec<_> = Set::all().collect();
    let choice =
        bytes.iter().fold(bytes.len(), |sum, byte| sum.wrapping_mul(31) + usize::from(*byte));
    if let Some((set, family)) = sets.get(choice % sets.len().max(1)) {
        answer(&kernel, &mut socket, bytes, |socket| {
            read::entries(socket, *set, *family).map(drop)
        });
    }
    let _ = crate::watch::understand(bytes);
    let _ = crate::answering::understand(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = text.parse::<crate::sweep::Handle>();
    }
    content
}

/// Lets a reader ask, with the bytes and an end mark as the answer to each of its questions.
fn answer(
    kernel: &OwnedFd,
    socket: &mut Socket,
    bytes: &[u8],
    reader: impl FnOnce(&mut Socket) -> Result<(), Error>,
) -> bool {
    for question in 0..QUESTIONS {
        let sequence = socket.next_sequence().wrapping_add(question);
        let _ = rustix::net::send(kernel, &numbered(bytes, sequence), SendFlags::empty());
        let _ = rustix::net::send(kernel, &end(sequence), SendFlags::empty());
    }
    let content = reader(socket).is_ok();
    let mut rest = [0; 16];
    while rustix::net::recv(kernel, &mut rest, RecvFlags::empty()).is_ok_and(|(_, n)| n > 0) {}
    socket.forget();
    content
}

/// The messages in the bytes with the number of the question, as far as they can be told apart.
fn numbered(bytes: &[u8], sequence: u32) -> Vec<u8> {
    let mut numbered = bytes.to_vec();
    let mut start = 0;
    while let Some(header) = numbered.get(start..start + 16) {
        let length = header.first_chunk().map_or(0, |length| u32::from_ne_bytes(*length) as usize);
        if let Some(place) = numbered.get_mut(start + 8..start + 12) {
            place.copy_from_slice(&sequence.to_ne_bytes());
        }
        start += length.clamp(16, LONGEST).next_multiple_of(4);
    }
    numbered
}

fn end(sequence: u32) -> Vec<u8> {
    let mut message = 20_u32.to_ne_bytes().to_vec();
    message.extend_from_slice(&DONE.to_ne_bytes());
    message.extend_from_slice(&[0; 2]);
    message.extend_from_slice(&sequence.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message
}
