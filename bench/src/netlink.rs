//! Netlink by hand: as little as the yardstick needs, with nothing between it and the kernel.
//!
//! Written apart from `hostcompute-linux` on purpose. A yardstick that shared the product's codec would shrink and
//! grow with it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt,
};

/// Request flags (`include/uapi/linux/netlink.h`).
pub mod flag {
    pub const REQUEST: u16 = 0x1;
    pub const ACK: u16 = 0x4;
    pub const REPLACE: u16 = 0x100;
    pub const EXCLUSIVE: u16 = 0x200;
    pub const CREATE: u16 = 0x400;
    pub const DUMP: u16 = 0x300;
}

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLA_NESTED: u16 = 0x8000;

/// Several messages that travel in one `send`.
#[derive(Debug, Default)]
pub struct Datagram {
    bytes: Vec<u8>,
    acknowledgements: usize,
}

impl Datagram {
    /// Forgets the messages and keeps the memory.
    pub fn clear(&mut self) -> &mut Self {
        self.bytes.clear();
        self.acknowledgements = 0;
        self
    }

    /// Appends one message; `body` writes its family header and attributes.
    pub fn message(
        &mut self,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Body<'_>),
    ) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | flag::REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]);
        body(&mut Body(&mut self.bytes));
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        if flags & flag::ACK != 0 {
            self.acknowledgements += 1;
        }
        self
    }
}

/// The inside of a message: family header, then attributes.
#[derive(Debug)]
pub struct Body<'a>(&'a mut Vec<u8>);

impl Body<'_> {
    /// A family header, or a part of one.
    pub fn header(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A zero-terminated string.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let start = self.0.len();
        self.attribute(kind, value.as_bytes());
        // The terminator takes the first byte of the padding, or four new ones.
        if value.len().is_multiple_of(4) {
            self.0.extend_from_slice(&[0; 4]);
        }
        let length = (value.len() + 5) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// A number in the machine's byte order (rtnetlink).
    pub fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    pub fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Body<'_>)) -> &mut Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&(kind | NLA_NESTED).to_ne_bytes());
        inside(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }
}

/// A netlink socket in the network namespace that the thread was in when it was opened.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// For links, addresses, routes and neighbours.
    pub fn route() -> io::Result<Self> {
        Self::open(None)
    }

    /// For nftables.
    pub fn netfilter() -> io::Result<Self> {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let descriptor = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        // Big batches are answered by as many acknowledgements at once.
        sockopt::set_socket_recv_buffer_size_force(&descriptor, 4 << 20)?;
        sockopt::set_socket_send_buffer_size_force(&descriptor, 4 << 20)?;
        Ok(Self { descriptor, sequence: 0, buffer: Vec::new() })
    }

    /// Sends the messages and waits for every acknowledgement asked for; the first refusal is the error.
    pub fn send(&mut self, datagram: &mut Datagram) -> io::Result<()> {
        self.transmit(datagram)?;
        let mut refusal = None;
        let mut left = datagram.acknowledgements;
        while left > 0 {
            let length = self.receive()?;
            for (kind, body) in messages(&self.buffer[..length]) {
                if kind != NLMSG_ERROR {
                    continue;
                }
                let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                if code != 0 && refusal.is_none() {
                    refusal = Some(io::Error::from_raw_os_error(-code));
                }
                left = left.saturating_sub(1);
            }
            // A message that asked for no acknowledgement still reports its failure, so the count says nothing more.
            if refusal.is_some() {
                break;
            }
        }
        match refusal {
            Some(error) => {
                self.drain();
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// Sends a dump request and counts the answers.
    pub fn count(&mut self, datagram: &mut Datagram) -> io::Result<usize> {
        self.transmit(datagram)?;
        let mut count = 0;
        loop {
            let length = self.receive()?;
            for (kind, _) in messages(&self.buffer[..length]) {
                match kind {
                    NLMSG_DONE => return Ok(count),
                    NLMSG_ERROR => return Err(io::Error::other("the dump was refused")),
                    _ => count += 1,
                }
            }
        }
    }

    fn transmit(&mut self, datagram: &mut Datagram) -> io::Result<()> {
        let mut rest = datagram.bytes.as_mut_slice();
        while rest.len() >= 16 {
            let length = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            self.sequence = self.sequence.wrapping_add(1);
            rest[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
            rest = &mut rest[length.next_multiple_of(4)..];
        }
        rustix::net::send(&self.descriptor, &datagram.bytes, SendFlags::empty())?;
        Ok(())
    }

    fn receive(&mut self) -> io::Result<usize> {
        if self.buffer.is_empty() {
            self.buffer.resize(1 << 16, 0);
        }
        let (length, _) =
            rustix::net::recv(&self.descriptor, &mut *self.buffer, RecvFlags::empty())?;
        Ok(length)
    }

    /// Throws away what is still queued after a refusal.
    fn drain(&mut self) {
        while rustix::net::recv(&self.descriptor, &mut *self.buffer, RecvFlags::DONTWAIT).is_ok() {}
    }
}

/// Kind and body of each message of a received datagram.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let message = bytes.get(..length)?;
        let kind = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
        let body = message.get(16..)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_terminated_and_padded() {
        for (text, length) in [("abc", 8), ("abcd", 12), ("", 8)] {
            let mut datagram = Datagram::default();
            datagram.message(16, flag::ACK, |body| {
                body.text(3, text);
            });
            let body = &datagram.bytes[16..];
            assert_eq!(body.len(), length, "{text}");
            assert_eq!(body[0] as usize, text.len() + 5);
            assert_eq!(&body[4..4 + text.len()], text.as_bytes());
            assert!(body[4 + text.len()..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_nest_counts_what_is_in_it() {
        let mut datagram = Datagram::default();
        datagram.message(16, 0, |body| {
            body.nest(18, |inner| {
                inner.number(1, 7).number(2, 8);
            });
        });
        assert_eq!(datagram.bytes[16], 20);
        assert_eq!(datagram.bytes.len(), 36);
        assert_eq!(datagram.acknowledgements, 0);
    }

    #[test]
    fn a_cut_answer_ends_the_messages() {
        assert_eq!(messages(&[20, 0, 0, 0, 2, 0]).count(), 0);
        assert_eq!(messages(&[]).count(), 0);
    }
}
