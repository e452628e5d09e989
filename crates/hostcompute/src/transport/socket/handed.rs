//! Streams of a process as descriptors, on an upgraded connection: after the head of the answer one byte comes that says which streams a process has, and with it their
//! descriptors. They travel beside the bytes, so everything on such a connection is read with room for them.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use hostcompute_schema::compute::{STDERR, STDIN, STDIO_UPGRADE, STDOUT};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::compute::Upgraded;
use super::stream::Stream;
use super::wire::{Connection, Head, Incoming, Request};
use crate::transport::Streams;

/// What the connection is upgraded to.
pub(super) const UPGRADE: &str = STDIO_UPGRADE;

/// How many descriptors come at most.
const MOST: usize = 3;

/// What is read at once.
const PIECE: usize = 4096;

/// Asks for streams on a connection of its own.
///
/// # Errors
/// The connection broke, or what came is not what was announced.
pub(super) fn ask(connection: Connection, request: &Request<'_>) -> io::Result<Upgraded<Streams>> {
    let stream = connection.send(request)?;
    let mut arrived = Arrived::default();
    let (length, head) = loop {
        if let Some(parsed) = Head::parse(&arrived.bytes, request.method)? {
            break parsed;
        }
        arrived.more(&stream)?;
    };
    if head.status != 101 {
        return Ok(Upgraded::Refused(Incoming::begun(stream, arrived.bytes, length, head)));
    }
    if !head.header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case(UPGRADE)) {
        return Err(strange("the connection is upgraded to something else"));
    }
    while arrived.bytes.len() <= length {
        arrived.more(&stream)?;
    }
    let said = arrived.bytes.get(length).copied().unwrap_or_default();
    arrived.streams(said).map(Upgraded::Done)
}

/// What has come so far.
#[derive(Debug, Default)]
struct Arrived {
    bytes: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Arrived {
    fn more(&mut self, stream: &Stream) -> io::Result<()> {
        let mut piece = [0; PIECE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut piece)];
        let received = loop {
            match recvmsg(stream, &mut into, &mut beside, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                other => break other?,
            }
        };
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.bytes.extend_from_slice(piece.get(..received.bytes).unwrap_or_default());
        Ok(())
    }

    /// The descriptors in their order, as the byte says which there are.
    fn streams(mut self, said: u8) -> io::Result<Streams> {
        let mut next = |bit: u8| match said & bit {
            0 => Ok(None),
            _ => self
                .descriptors
                .pop_front()
                .map(Some)
                .ok_or_else(|| strange("fewer descriptors than were announced")),
        };
        Ok(Streams { input: next(STDIN)?, output: next(STDOUT)?, error: next(STDERR)? })
    }
}

fn strange(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{IoSlice, Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: hostcompute-stdio\r\n\r\n";

    /// What a client gets when a service sends a head, and then a byte with descriptors.
    fn asked(head: &str, byte: &[u8], descriptors: &[OwnedFd]) -> io::Result<Upgraded<Streams>> {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        theirs.write_all(head.as_bytes()).expect("room");
        let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !borrowed.is_empty() {
            assert!(beside.push(SendAncillaryMessage::ScmRights(&borrowed)));
        }
        if !byte.is_empty() {
            sendmsg(&theirs, &[IoSlice::new(byte)], &mut beside, SendFlags::empty()).expect("sent");
        }
        theirs.shutdown(std::net::Shutdown::Write).expect("open");
        let request = Request {
            method: "POST",
            target: "/".to_owned(),
            headers: vec![("upgrade", STDIO_UPGRADE.to_owned())],
            body: "",
        };
        ask(Connection::of(ours), &request)
    }

    #[test]
    fn descriptors_arrive_with_the_byte_that_names_them() {
        let (read, write) = io::pipe().expect("a pipe");
        let descriptors = [OwnedFd::from(read), OwnedFd::from(write)];
        let Ok(Upgraded::Done(streams)) = asked(UPGRADED, &[STDOUT | STDERR], &descriptors) else {
            panic!("no streams");
        };
        assert!(streams.input.is_none());
        let mut writer = std::fs::File::from(streams.error.expect("the second"));
        writer.write_all(b"hello").expect("open");
        drop((writer, descriptors));
        let mut text = String::new();
        let mut reader = std::fs::File::from(streams.output.expect("the first"));
        reader.read_to_string(&mut text).expect("text");
        assert_eq!(text, "hello");
    }

    #[test]
    fn a_process_may_have_no_streams() {
        let Ok(Upgraded::Done(streams)) = asked(UPGRADED, &[0], &[]) else {
            panic!("no answer");
        };
        assert!(streams.input.is_none() && streams.output.is_none() && streams.error.is_none());
    }

    #[test]
    fn refusals_are_ordinary_answers() {
        let refusal = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
        let Ok(Upgraded::Refused(incoming)) = asked(refusal, b"", &[]) else {
            panic!("no refusal");
        };
        let (head, body, _) = incoming.whole().expect("whole");
        assert_eq!((head.status, body), (404, b"{}".to_vec()));
    }

    #[test]
    fn what_was_announced_and_did_not_come_is_an_error() {
        for (head, byte) in [
            (UPGRADED, &[STDIN][..]),
            (UPGRADED, &[]),
            ("HTTP/1.1 101 Switching\r\nupgrade: websocket\r\n\r\n", &[0]),
            ("", &[]),
        ] {
            assert!(asked(head, byte, &[]).is_err(), "{head:?} {byte:?}");
        }
    }
}
