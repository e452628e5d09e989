//! Messages and descriptors on a `SOCK_SEQPACKET` socket.
//!
//! A message is one packet: a byte that says where its JSON is, then the JSON. Long ones are put into memory that travels as the first
//! descriptor. Who is at the other end need not be trusted: lengths are bounded, and what arrives unasked is closed.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What fits into a packet.
const INLINE: usize = 32 << 10;

/// The longest message.
const LONGEST: u64 = 64 << 20;

/// The most descriptors of a message.
const DESCRIPTORS: usize = 8;

const HERE: u8 = b'J';
const IN_MEMORY: u8 = b'M';

/// Two ends of a connection.
///
/// # Errors
/// There are no descriptors left.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// A connection to the socket at this path.
///
/// # Errors
/// Nobody listens there.
pub fn connect(path: &std::path::Path) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::connect(&socket, &rustix::net::SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// Sends a message. On a socket that does not block, a full one is `WouldBlock`, and nothing has been sent.
///
/// # Errors
/// The other end is gone or does not read, or the message is longer than 64 MiB or has more than 7 descriptors.
pub fn send<T: Serialize>(
    socket: impl AsFd,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    if text.len() < INLINE {
        return send_packet(socket, &[HERE], &text, descriptors);
    }
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("the message is too long"));
    }
    let memory =
        rustix::fs::memfd_create("message", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    write_all(&memory, &text)?;
    rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    let mut all = vec![memory.as_fd()];
    all.extend_from_slice(descriptors);
    send_packet(socket, &[IN_MEMORY], &[], &all)
}

fn send_packet(
    socket: impl AsFd,
    head: &[u8],
    text: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    if descriptors.len() > DESCRIPTORS {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    let parts = [IoSlice::new(head), IoSlice::new(text)];
    loop {
        match rustix::net::sendmsg(&socket, &parts, &mut beside, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn write_all(file: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::write(&file, bytes)?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// A message and what came with it.
#[derive(Debug)]
pub struct Received<T> {
    pub message: T,
    pub descriptors: Vec<OwnedFd>,
}

/// Receives a message; `None` when the other end has closed. On a socket that does not block, nothing there is `WouldBlock`.
///
/// # Errors
/// The connection broke, or what came is not a message of this kind (`InvalidData`).
pub fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<Received<T>>> {
    let mut buffer = vec![0; INLINE + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        match rustix::net::recvmsg(&socket, &mut parts, &mut beside, flags) {
            Ok(received) => break received,
            // The other end has closed without having heard everything. Told once, before what it said (__skb_try_recv_datagram in
            // net/core/datagram.c asks for the error first): that comes next, and then the end.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let mut descriptors = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(invalid("a packet that is too long"));
    }
    let packet = buffer.get(..received.bytes).unwrap_or_default();
    let message = match packet.split_first() {
        Some((&HERE, text)) => serde_json::from_slice(text)?,
        Some((&IN_MEMORY, [])) if !descriptors.is_empty() => {
            serde_json::from_slice(&read_memory(&descriptors.remove(0))?)?
        }
        _ => return Err(invalid("a packet of no known kind")),
    };
    Ok(Some(Received { message, descriptors }))
}

/// Reads what a descriptor holds, at positions: a pipe or a socket in its place is an error, not a wait.
fn read_memory(memory: &OwnedFd) -> io::Result<Vec<u8>> {
    let length = u64::try_from(rustix::fs::fstat(memory)?.st_size).unwrap_or(u64::MAX);
    if length > LONGEST {
        return Err(invalid("a message that is too long"));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(memory, rest, done as u64)? {
            0 => return Err(invalid("a message that is cut off")),
            read => done += read,
        }
    }
    Ok(bytes)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn travel(text: &str) -> String {
        let (one, other) = pair().expect("a pair");
        send(&one, &text, &[]).expect("sent");
        let received = receive::<String>(&other).expect("received").expect("a message");
        assert!(received.descriptors.is_empty());
        received.message
    }

    #[test]
    fn short_and_long_messages_arrive() {
        assert_eq!(travel("short"), "short");
        let long = "long".repeat(100_000);
        assert_eq!(travel(&long), long);
    }

    #[test]
    fn last_words_arrive_although_something_was_not_heard() {
        let (one, other) = pair().expect("a pair");
        send(&one, &"never heard", &[]).expect("sent");
        send(&other, &"last words", &[]).expect("sent");
        drop(other);
        let received = receive::<String>(&one).expect("received").expect("a message");
        assert_eq!(received.message, "last words");
        assert!(receive::<String>(&one).expect("received").is_none());
    }

    #[test]
    fn descriptors_arrive_in_order() {
        let (one, other) = pair().expect("a pair");
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        send(&one, &1, &[reader.as_fd(), writer.as_fd()]).expect("sent");
        let received = receive::<u32>(&other).expect("received").expect("a message");
        let [reader, writer] = received.descriptors.as_slice() else { panic!("two descriptors") };
        rustix::io::write(writer, b"x").expect("written");
        let mut byte = [0];
        assert_eq!(rustix::io::read(reader, &mut byte), Ok(1));
    }

    #[test]
    fn an_end_and_nonsense_are_told_apart() {
        let (one, other) = pair().expect("a pair");
        rustix::io::write(&one, b"Jnonsense").expect("written");
        assert!(receive::<u32>(&other).is_err());
        rustix::io::write(&one, b"M").expect("written");
        assert!(receive::<u32>(&other).is_err());
        drop(one);
        assert!(receive::<u32>(&other).expect("an end").is_none());
    }
}
