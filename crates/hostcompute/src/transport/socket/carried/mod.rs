//! Streams of a process as connections: each is upgraded, and from there on its bytes are the stream's. So they come over TCP, where no
//! descriptors can be handed over.

#[cfg(unix)]
mod direct;
#[cfg(not(unix))]
mod piped;

use std::io::{self, Read};

use hostcompute_schema::compute::{STDIN, StreamUpgrade};

use super::compute::Upgraded;
use super::stream::Stream;
use super::wire::{Connection, Head, Incoming, Request};
use crate::transport::StreamEnd;
#[cfg(unix)]
use direct as platform;
#[cfg(not(unix))]
use piped as platform;

/// How an input of a process is ended: in the order of what was written before.
pub(super) use platform::Hold;

/// One stream: what the program has of it, and of an input what ends it.
#[derive(Debug)]
pub(super) struct Carried {
    pub end: StreamEnd,
    pub hold: Option<Hold>,
}

/// Longer heads are no answers of a service of ours.
const LONGEST_HEAD: usize = 64 * 1024;

/// What the answer says where a process has no such stream.
const NO_CONTENT: u16 = 204;

const SWITCHING: u16 = 101;

/// Asks for one stream on a connection of its own; none where the process has none.
///
/// # Errors
/// The connection broke, or what came is not what was asked for.
pub(super) fn ask(
    connection: Connection,
    request: &Request<'_>,
    wanted: &StreamUpgrade,
) -> io::Result<Upgraded<Option<Carried>>> {
    let mut stream = connection.send(request)?;
    let (bytes, head) = head(&mut stream, request.method)?;
    if head.status == NO_CONTENT {
        return Ok(Upgraded::Done(None));
    }
    if head.status != SWITCHING {
        let length = bytes.len();
        return Ok(Upgraded::Refused(Incoming::begun(stream, bytes, length, head)));
    }
    if !head.header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case(wanted.name)) {
        let why = "the connection is upgraded to something else";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let carried = match wanted.bit {
        STDIN => platform::input(stream)?,
        _ => Carried { end: platform::output(stream)?, hold: None },
    };
    Ok(Upgraded::Done(Some(carried)))
}

/// The head of the answer and not a byte more: what follows is the stream's.
fn head(stream: &mut Stream, method: &str) -> io::Result<(Vec<u8>, Head)> {
    let mut bytes = Vec::new();
    while bytes.len() < LONGEST_HEAD {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.extend(byte);
        if !bytes.ends_with(b"\r\n\r\n") {
            continue;
        }
        if let Some((_, head)) = Head::parse(&bytes, method)? {
            return Ok((bytes, head));
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the head of an answer does not end"))
}
