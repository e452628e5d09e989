//! Messages: a datagram of requests under construction, and the iterator over what the kernel answers.

use super::attribute::{Body, array_of};
use super::flag;

/// Length, type, flags, sequence number and port of a message.
const HEADER: usize = 16;

/// Which refusals count as success, because steps are idempotent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lenient {
    /// None.
    Not,
    /// What was to be made is there.
    Present,
    /// What was to be removed is gone.
    Absent,
    /// A queueing discipline that was to be removed is gone, which the kernel calls an invalid argument.
    NoQueue,
}

/// What the sender remembers of a message, to explain a refusal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Note {
    /// The step of the plan that the message belongs to.
    pub step: usize,
    /// What the message was to do, as a phrase: "create the interface".
    pub aim: &'static str,
    pub lenient: Lenient,
}

/// Datagrams are closed when they are longer than this, or have this many messages: if all of them are refused, the refusals
/// (up to 1280 bytes each, as the kernel counts) fit into the receive buffer that any user gets.
const FULL: usize = 24 << 10;
const MANY: usize = 128;

/// Several requests that the kernel runs in order within one system call.
///
/// It does not stop at a refusal (rtnetlink) or refuses all (an nftables batch).
#[derive(Debug, Default)]
pub(crate) struct Datagram {
    bytes: Vec<u8>,
    /// Where each message starts, and what it was for.
    messages: Vec<(usize, Note)>,
    /// Message 0 opens a transaction: its refusal is the refusal of all.
    batch: bool,
}

impl Datagram {
    /// A datagram whose first message opens a transaction.
    pub(crate) fn transaction() -> Self {
        Self { batch: true, ..Self::default() }
    }

    pub(crate) fn is_batch(&self) -> bool {
        self.batch
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether further messages belong into another datagram.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL || self.messages.len() >= MANY
    }

    /// Size so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.messages.clear();
    }

    /// Appends a request; [`flag::REQUEST`] is added, an acknowledgement is asked for the last message only.
    pub(crate) fn push(
        &mut self,
        kind: u16,
        flags: u16,
        note: Note,
        body: impl FnOnce(&mut Body<'_>),
    ) {
        let start = self.bytes.len();
        self.messages.push((start, note));
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | flag::REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]);
        body(&mut Body::new(&mut self.bytes));
        let length = (self.bytes.len() - start) as u32;
        self.patch(start, &length.to_ne_bytes());
    }

    /// The note of the message with this place in the datagram.
    pub(crate) fn note(&self, place: usize) -> Option<Note> {
        self.messages.get(place).map(|(_, note)| *note)
    }

    /// Numbers the messages from `first` on and asks for an acknowledgement of message `asked`.
    pub(crate) fn seal(&mut self, first: u32, asked: usize) -> &[u8] {
        for place in 0..self.messages.len() {
            let Some(start) = self.messages.get(place).map(|(start, _)| *start) else { continue };
            self.patch(start + 8, &first.wrapping_add(place as u32).to_ne_bytes());
            if place == asked
                && let Some(flags) = array_of(&self.bytes, start + 6).map(u16::from_ne_bytes)
            {
                self.patch(start + 6, &(flags | flag::ACK).to_ne_bytes());
            }
        }
        &self.bytes
    }

    /// How many messages there are.
    pub(crate) fn count(&self) -> usize {
        self.messages.len()
    }

    fn patch(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }
}

/// One message from the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// The messages in received bytes; stops at the first malformed one.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(array_of(bytes, 0)?) as usize;
        let message = Message {
            kind: u16::from_ne_bytes(array_of(bytes, 4)?),
            flags: u16::from_ne_bytes(array_of(bytes, 6)?),
            sequence: u32::from_ne_bytes(array_of(bytes, 8)?),
            body: bytes.get(HEADER..length)?,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: Note = Note { step: 0, aim: "test", lenient: Lenient::Not };

    #[test]
    fn only_the_asked_message_is_acknowledged() {
        let mut datagram = Datagram::default();
        datagram.push(16, flag::CREATE, NOTE, |body| {
            body.raw(&[1, 2, 3, 4]);
        });
        datagram.push(24, 0, NOTE, |_| {});
        let bytes = datagram.seal(7, 1).to_vec();
        let read: Vec<_> =
            messages(&bytes).map(|m| (m.kind, m.flags, m.sequence, m.body)).collect();
        assert_eq!(
            read,
            [
                (16, flag::CREATE | flag::REQUEST, 7, &[1, 2, 3, 4][..]),
                (24, flag::REQUEST | flag::ACK, 8, &[][..])
            ]
        );
    }

    #[test]
    fn truncated_messages_end_the_list() {
        for bytes in [&[][..], &[16, 0, 0, 0], &[0; 16], &[255; 20]] {
            assert_eq!(messages(bytes).count(), 0);
        }
    }

    /// Bytes from a small generator, so that a failure repeats.
    #[test]
    fn no_bytes_make_the_readers_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let length = (next() % 160) as usize;
            let mut bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
            // Small lengths lead further in than random ones.
            for place in (0..length).step_by(4).filter(|place| place % 8 == 0) {
                bytes[place] %= 48;
                if let Some(high) = bytes.get_mut(place + 1) {
                    *high = 0;
                }
            }
            for message in messages(&bytes) {
                let attributes = crate::netlink::Attributes::new(message.body);
                for (kind, value) in attributes.clone() {
                    let nested = attributes.get_nested(kind).into_iter().flatten().count();
                    assert!(nested <= value.len());
                    let _ = (attributes.get_u32(kind), attributes.get_text(kind));
                }
            }
        }
    }
}
