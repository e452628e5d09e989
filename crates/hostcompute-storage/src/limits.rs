//! How large an image may be, and what is told while one is worked on.

use std::io::{self, Read};
use std::ops::ControlFlow;

use crate::error::{Error, Kind, Result};

/// Bounds on what others hand us: a few bytes may unpack to more than any disk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one layer after decompression.
    pub layer_bytes: u64,
    /// Files, directories and links of one layer.
    pub layer_entries: u64,
    /// Layers of one image.
    pub layers: usize,
    /// Bytes of one manifest, configuration or index.
    pub document_bytes: u64,
}

impl Default for Limits {
    /// More than known images need, less than what hurts: 64 GiB and four million entries a layer, 500 layers, 8 MiB a document.
    fn default() -> Self {
        Self {
            layer_bytes: 64 << 30,
            layer_entries: 4_000_000,
            layers: 500,
            document_bytes: 8 << 20,
        }
    }
}

/// What is told while something long goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A piece of work begins; with its size in bytes, where that is known.
    Begins {
        /// What is done: `layer sha256:0123...`.
        what: &'a str,
        /// Its size in bytes.
        total: Option<u64>,
    },
    /// So many bytes more of it are done.
    Advanced(u64),
    /// That piece is done.
    Ended,
    /// It was there already.
    Present(&'a str),
    /// Something that the caller should know: what could not be kept.
    Note(&'a str),
}

/// Who is told; the answer says whether to go on. Called from several threads.
pub type Watch<'a> = &'a (dyn Fn(Event<'_>) -> ControlFlow<()> + Sync);

/// For those who do not watch.
pub const UNWATCHED: Watch<'static> = &|_| ControlFlow::Continue(());

/// Tells, and fails when the caller does not want to go on.
pub(crate) fn tell(watch: Watch<'_>, event: Event<'_>) -> Result<()> {
    match watch(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::new(Kind::Cancelled, "interrupted")),
    }
}

/// A reader that fails after so many bytes, instead of going on for ever.
#[derive(Debug)]
pub(crate) struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R> Bounded<R> {
    pub(crate) fn new(inner: R, limit: u64) -> Self {
        Self { inner, left: limit, limit }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
            let message = format!("it is more than {} bytes when unpacked", self.limit);
            Error::new(Kind::TooLarge, message).hint("a larger limit can be asked for")
        })?;
        Ok(length)
    }
}
