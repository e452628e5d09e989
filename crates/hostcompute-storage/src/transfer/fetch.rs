//! One layer: from wherever it comes, through its digests, into the store; in one pass.
//!
//! ```text
//! origin ─► digest of the blob ─► blob in the store
//!               └─► thread: decompression ─► thread: digest of the stream ─► tree
//! ```
//!
//! What is there already is not read again: a blob that the store has is not asked of its origin, and of one that broke off only the
//! rest is.

use std::io::{self, Read};
use std::path::PathBuf;
use std::thread;

use crate::beneath;
use crate::blocks::{BLOCK, BlockReader, BlockWriter, blocks};
use crate::compression;
use crate::digest::{Digest, Hashed};
use crate::error::{Error, Kind, Result};
use crate::image::document::Descriptor;
use crate::limits::{Bounded, Event, Limits, Watch, tell};
use crate::store::{BlobWriter, Key, Record, Store, TreeMaker};
use crate::tar::Reader;
use crate::unpack::{Outcome, Unpacker};

/// Where blobs come from.
pub(crate) trait Origin {
    /// Writes a blob's bytes from `from` on into the sink.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    fn blob(&self, wanted: &Descriptor, from: u64, sink: &mut Sink<'_>) -> Result<()>;
}

/// One layer that an image needs.
pub(crate) struct Wanted<'a> {
    pub key: Key,
    pub blob: &'a Descriptor,
    /// Trees below, top first.
    pub below: &'a [PathBuf],
    /// Where the blob comes from if it is not there.
    pub origin: &'a dyn Origin,
}

impl Store {
    /// Sees to it that a layer's blob and tree are there; answers with the tree.
    pub(crate) fn fetch(
        &self,
        wanted: &Wanted<'_>,
        limits: &Limits,
        watch: Watch<'_>,
    ) -> Result<PathBuf> {
        let what = format!("layer {}", wanted.blob.digest);
        self.fetch_named(wanted, limits, (watch, &what)).map_err(|error| error.about(&what))
    }

    fn fetch_named(
        &self,
        wanted: &Wanted<'_>,
        limits: &Limits,
        (watch, what): (Watch<'_>, &str),
    ) -> Result<PathBuf> {
        let maker = self.tree_maker(&wanted.key)?;
        let writer = self.blob_writer(wanted.blob)?;
        if maker.is_none() && writer.is_none() {
            tell(watch, Event::Present(what))?;
        } else {
            tell(watch, Event::Begins { what, total: Some(wanted.blob.size) })?;
            let lost = self.carry(maker, writer, wanted, limits, watch)?;
            tell(watch, Event::Ended)?;
            if let Some(lost) = lost {
                tell(watch, Event::Note(&format!("{what}: {lost}")))?;
            }
        }
        self.tree(&wanted.key).ok_or_else(|| Error::new(Kind::NotFound, "it was removed meanwhile"))
    }

    /// Moves the bytes: into the blob, into the tree, or both.
    fn carry(
        &self,
        maker: Option<TreeMaker>,
        writer: Option<BlobWriter>,
        wanted: &Wanted<'_>,
        limits: &Limits,
        watch: Watch<'_>,
    ) -> Result<Option<String>> {
        let Some(maker) = maker else {
            self.feed(writer, wanted, Sink::new(None, watch)).1?;
            return Ok(None);
        };
        let root = maker.root()?;
        let below = wanted
            .below
            .iter()
            .map(|tree| beneath::root(tree).map_err(|error| Error::system("open", tree, error)));
        let below = below.collect::<Result<Vec<_>>>()?;
        let unpacker = Unpacker::new(&root, &below, self.marks(), *limits);
        let (sender, receiver) = blocks();
        let diff = wanted.key.diff;
        let (fed, unpacked) = thread::scope(|scope| {
            let unpacking = scope.spawn(|| {
                thread::scope(|scope| {
                    let (plain, stream) = blocks();
                    scope.spawn(move || decompress(receiver, &plain));
                    unpack(unpacker, stream, diff, limits)
                })
            });
            let fed = self.feed(writer, wanted, Sink::new(Some(sender), watch));
            (fed, unpacking.join())
        });
        let unpacked = unpacked.map_err(|_| Error::invalid("unpacking it ended unexpectedly"));
        let made = match fed {
            // Nobody read any more: the other side knows why.
            (true, _) => unpacked.and_then(|unpacked| unpacked),
            (false, Err(error)) => Err(error),
            (false, Ok(())) => unpacked.and_then(|unpacked| unpacked),
        };
        match made {
            Ok((outcome, stream)) => {
                let lost = outcome.lost.told();
                let record = Record {
                    stream,
                    bytes: outcome.bytes,
                    entries: outcome.entries,
                    lost: lost.clone(),
                };
                self.keep_tree(&maker, &wanted.key, outcome.is_bound_to_parents, &record)?;
                Ok(lost)
            }
            Err(error) => {
                self.discard(maker);
                if matches!(error.kind(), Kind::Invalid | Kind::Mismatch) {
                    self.drop_partial(&wanted.blob.digest);
                }
                Err(error)
            }
        }
    }

    /// Sends the blob's bytes on: from the store if they are there, else from the origin.
    ///
    /// Also answers whether the other side had stopped reading.
    fn feed(
        &self,
        writer: Option<BlobWriter>,
        wanted: &Wanted<'_>,
        mut sink: Sink<'_>,
    ) -> (bool, Result<()>) {
        let fed = match writer {
            None => self.blob(&wanted.blob.digest).and_then(|mut file| sink.pour(&mut file)),
            Some(writer) => sink.write_to(writer, wanted),
        };
        if let (Err(_), Some(pipe)) = (&fed, &sink.pipe) {
            pipe.fail(io::Error::other("interrupted"));
        }
        (sink.is_closed, fed)
    }
}

/// Where an origin writes to.
pub(crate) struct Sink<'a> {
    writer: Option<BlobWriter>,
    pipe: Option<BlockWriter>,
    watch: Watch<'a>,
    is_closed: bool,
}

impl<'a> Sink<'a> {
    fn new(pipe: Option<BlockWriter>, watch: Watch<'a>) -> Self {
        Self { writer: None, pipe, watch, is_closed: false }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// More came than was promised, the disk refuses, or nobody wants them any more.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(writer) = &mut self.writer {
            writer.write(bytes)?;
        }
        self.pass_on(bytes)
    }

    /// Takes all that a reader has.
    pub(crate) fn pour(&mut self, input: &mut dyn Read) -> Result<()> {
        let mut buffer = vec![0; BLOCK];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => self.write(buffer.get(..length).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::caused("cannot read it".to_owned(), error)),
            }
        }
    }

    /// Bytes of the blob that came so far.
    pub(crate) fn length(&self) -> u64 {
        self.writer.as_ref().map_or(0, BlobWriter::length)
    }

    fn pass_on(&mut self, bytes: &[u8]) -> Result<()> {
        tell(self.watch, Event::Advanced(bytes.len() as u64))?;
        if let Some(pipe) = &self.pipe
            && pipe.send(bytes.to_vec()).is_err()
        {
            self.is_closed = true;
            return Err(Error::invalid("it could not be unpacked"));
        }
        Ok(())
    }

    /// The blob: what an earlier try left of it, then the rest from its origin.
    fn write_to(&mut self, mut writer: BlobWriter, wanted: &Wanted<'_>) -> Result<()> {
        let blob = wanted.blob;
        writer.resume(&mut |bytes| self.pass_on(bytes))?;
        self.writer = Some(writer);
        let from = self.length();
        if from < blob.size || blob.size == 0 {
            wanted.origin.blob(blob, from, self)?;
        }
        self.writer.take().map_or(Ok(()), BlobWriter::finish)
    }
}

/// Decompresses until the end, or until nobody listens.
fn decompress(mut input: BlockReader, output: &BlockWriter) {
    let mut run = || -> io::Result<()> {
        let mut plain = compression::decoder(&mut input)?;
        loop {
            let mut block = vec![0; BLOCK];
            let length = plain.read(&mut block)?;
            if length == 0 {
                break;
            }
            block.truncate(length);
            if output.send(block).is_err() {
                return Ok(());
            }
        }
        drop(plain);
        // What follows the compressed stream belongs to the blob all the same.
        io::copy(&mut input, &mut io::sink()).map(drop)
    };
    if let Err(error) = run() {
        output.fail(error);
    }
}

/// Makes the tree, and checks that the stream is the one that was promised.
fn unpack(
    unpacker: Unpacker<'_>,
    input: BlockReader,
    promised: Digest,
    limits: &Limits,
) -> Result<(Outcome, u64)> {
    let mut hashed = Hashed::new(Bounded::new(input, limits.layer_bytes));
    let mut reader = Reader::new(&mut hashed);
    let outcome = unpacker.unpack(&mut reader)?;
    reader.drain()?;
    let length = hashed.hasher.length();
    let found = hashed.hasher.finish();
    if found != promised {
        let message = format!("its files should be {promised}, and are {found}");
        return Err(Error::new(Kind::Mismatch, message));
    }
    Ok((outcome, length))
}
