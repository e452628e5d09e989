//! Where a program reads and writes a socket as it does a file: the connection itself is the stream.

use std::io;

use super::Carried;
use crate::transport::StreamEnd;
use crate::transport::socket::stream::Stream;

/// The same connection once more, to end it.
#[derive(Debug)]
pub struct Hold(Stream);

/// What a process writes.
///
/// # Errors
/// None here.
pub fn output(stream: Stream) -> io::Result<StreamEnd> {
    Ok(match stream {
        Stream::Unix(stream) => stream.into(),
        Stream::Tcp(stream) => stream.into(),
    })
}

/// What a process reads.
///
/// # Errors
/// There are no descriptors left.
pub fn input(stream: Stream) -> io::Result<Carried> {
    let hold = Hold(stream.try_clone()?);
    Ok(Carried { end: output(stream)?, hold: Some(hold) })
}

impl Hold {
    /// The end comes after everything that was written.
    pub fn finish(self) {
        self.0.finish();
    }
}
