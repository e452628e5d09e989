//! The standard streams of a process, passed on: what it writes goes to the log and to its readers, what they write goes to it.
//!
//! The first reader, who asked for the process, loses nothing: while it does not read, the process is not read from either. Later ones
//! delay nobody: who does not read is cut off.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hostcompute_supervisor::log;
use hostcompute_supervisor::message::{Refusal, Stream};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::refusal::Context;

/// What is read in one go.
pub const BLOCK: usize = 64 << 10;

/// So many blocks of one stream, before others have their turn.
const TURN: usize = 16;

/// What pipes hold: fewer, larger pieces for those who write much.
const PIPE: usize = 256 << 10;

/// What a later reader may leave unread before it is cut off, what is in its pipe apart.
const BEHIND: usize = 1 << 20;

/// What is written to a process, and by whom.
#[derive(Debug, Default)]
pub struct Input {
    /// Where it goes; `None` once it is closed.
    sink: Option<OwnedFd>,
    sources: Vec<OwnedFd>,
    pending: Pending,
    /// Ends when what is pending has been written.
    closing: bool,
    is_terminal: bool,
}

/// What a process writes, and to whom.
#[derive(Debug, Default)]
pub struct Output {
    source: Option<OwnedFd>,
    readers: Vec<Reader>,
    /// At the last look there was nothing to read.
    pub drained: bool,
}

#[derive(Debug)]
struct Reader {
    sink: OwnedFd,
    pending: Pending,
    first: bool,
}

/// Bytes that did not fit.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    done: usize,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.done == self.bytes.len()
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.done
    }

    /// Writes what fits; what does not is kept.
    fn write(&mut self, sink: impl AsFd, bytes: &[u8]) -> Result<(), Errno> {
        self.flush(&sink)?;
        let written = if self.is_empty() { write(&sink, bytes)? } else { 0 };
        self.bytes.extend_from_slice(bytes.get(written..).unwrap_or_default());
        Ok(())
    }

    fn flush(&mut self, sink: impl AsFd) -> Result<(), Errno> {
        if !self.is_empty() {
            self.done += write(sink, self.bytes.get(self.done..).unwrap_or_default())?;
        }
        if self.is_empty() && self.done > 0 {
            // The memory goes, too: there may be hundreds of streams.
            *self = Self::default();
        }
        Ok(())
    }
}

/// Writes as much as fits now.
fn write(sink: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::write(&sink, rest) {
            Ok(written) => done += written,
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// A pipe of which the supervisor's end, `ours`, does not block.
pub struct Pipe {
    pub ours: OwnedFd,
    pub theirs: OwnedFd,
}

impl Pipe {
    pub fn to_us() -> Result<Self, Refusal> {
        let (ours, theirs) = pipe()?;
        Self::unblocked(ours, theirs)
    }

    pub fn from_us() -> Result<Self, Refusal> {
        let (theirs, ours) = pipe()?;
        Self::unblocked(ours, theirs)
    }

    fn unblocked(ours: OwnedFd, theirs: OwnedFd) -> Result<Self, Refusal> {
        rustix::io::ioctl_fionbio(&ours, true).context(|| "set up a pipe")?;
        // A smaller one works as well: the user may have many already.
        let _ = rustix::pipe::fcntl_setpipe_size(&ours, PIPE);
        Ok(Self { ours, theirs })
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Refusal> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context(|| "make a pipe")
}

impl Input {
    pub fn new(sink: Option<OwnedFd>, is_terminal: bool) -> Self {
        Self { sink, is_terminal, ..Self::default() }
    }

    pub fn is_open(&self) -> bool {
        self.sink.is_some() && !self.closing
    }

    pub fn set_sink(&mut self, sink: OwnedFd) {
        self.sink = Some(sink);
    }

    pub fn add(&mut self, source: OwnedFd) {
        self.sources.push(source);
    }

    /// Ends the input once what was written so far has been passed on.
    pub fn close(&mut self, block: &mut [u8]) {
        // What is in the pipes was written before.
        while self.pending.is_empty() && self.read_once(block) {}
        self.closing = true;
        self.settle();
    }

    pub fn drop_sink(&mut self) {
        self.sink = None;
        self.settle();
    }

    /// Who to read from, by place.
    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let wanted = self.pending.is_empty();
        self.sources.iter().filter(move |_| wanted).map(AsFd::as_fd)
    }

    /// The sink, while something waits for it.
    pub fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.sink.as_ref().filter(|_| !self.pending.is_empty()).map(AsFd::as_fd)
    }

    /// Passes on what there is.
    pub fn pass(&mut self, block: &mut [u8]) {
        if let Some(sink) = &self.sink
            && self.pending.flush(sink).is_err()
        {
            self.sink = None;
        }
        for _ in 0..TURN {
            if !self.pending.is_empty() || !self.read_once(block) {
                break;
            }
        }
        self.settle();
    }

    /// Reads a block from everybody who has one; whether anybody had.
    fn read_once(&mut self, block: &mut [u8]) -> bool {
        let mut any = false;
        let (sink, pending) = (&mut self.sink, &mut self.pending);
        self.sources.retain(|source| match rustix::io::read(source, &mut *block) {
            // Who closes its end ends only its own writing: a client that is killed does the same.
            Ok(0) => false,
            Ok(read) => {
                any = true;
                let bytes = block.get(..read).unwrap_or_default();
                if sink.as_ref().is_some_and(|sink| pending.write(sink, bytes).is_err()) {
                    *sink = None;
                }
                true
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => true,
            Err(_) => false,
        });
        any
    }

    fn settle(&mut self) {
        if self.sink.is_none() {
            self.sources.clear();
            self.pending = Pending::default();
        } else if self.closing && self.pending.is_empty() {
            if self.is_terminal
                && let Some(sink) = &self.sink
            {
                // What a person types for the end.
                let _ = write(sink, b"\x04");
            }
            self.sink = None;
            self.sources.clear();
        }
    }
}

impl Output {
    pub fn new(source: Option<OwnedFd>) -> Self {
        Self { source, readers: Vec::new(), drained: false }
    }

    pub fn add_first(&mut self, sink: OwnedFd) {
        self.readers.push(Reader { sink, pending: Pending::default(), first: true });
    }

    pub fn add(&mut self, sink: OwnedFd) {
        self.readers.push(Reader { sink, pending: Pending::default(), first: false });
    }

    pub fn set_source(&mut self, source: OwnedFd) {
        self.source = Some(source);
    }

    pub fn drop_readers(&mut self) {
        self.readers.clear();
    }

    pub fn is_open(&self) -> bool {
        self.source.is_some()
    }

    /// Whether everything that was written is in the hands of the first reader, and of the log.
    pub fn is_settled(&self) -> bool {
        self.drained && self.held_up().is_none()
    }

    /// The first reader, while it holds the process up.
    fn held_up(&self) -> Option<&Reader> {
        self.readers.iter().find(|reader| reader.first && !reader.pending.is_empty())
    }

    /// What to read from, unless the first reader has to read first.
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().filter(|_| self.held_up().is_none()).map(AsFd::as_fd)
    }

    /// Readers whose pipes were full.
    pub fn blocked(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.readers
            .iter()
            .filter(|reader| !reader.pending.is_empty())
            .map(|reader| reader.sink.as_fd())
    }

    /// Passes on what there is; how many readers were cut off.
    pub fn pass(
        &mut self,
        block: &mut [u8],
        mut log: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> usize {
        self.readers.retain_mut(|reader| reader.pending.flush(&reader.sink).is_ok());
        let mut cut = 0;
        for _ in 0..TURN {
            let Some(source) = self.source() else { break };
            match rustix::io::read(source, &mut *block) {
                // A terminal whose other side is closed says so by an error.
                Ok(0) | Err(Errno::IO) => {
                    self.source = None;
                    self.drained = true;
                }
                Ok(read) => {
                    self.drained = false;
                    let bytes = block.get(..read).unwrap_or_default();
                    // A full disk must not stop the process; its first reader has everything.
                    let _ = log(bytes);
                    cut += self.hand_out(bytes);
                }
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    self.drained = true;
                    break;
                }
                Err(_) => {
                    self.source = None;
                    self.drained = true;
                }
            }
        }
        if self.source.is_none() {
            self.readers.retain(|reader| !reader.pending.is_empty());
            self.drained = true;
        }
        cut
    }

    fn hand_out(&mut self, bytes: &[u8]) -> usize {
        let mut cut = 0;
        self.readers.retain_mut(|reader| {
            if reader.pending.write(&reader.sink, bytes).is_err() {
                return false;
            }
            let stays = reader.first || reader.pending.len() <= BEHIND;
            cut += usize::from(!stays);
            stays
        });
        cut
    }
}

/// Adds a piece of output to the log.
pub fn log_to(
    log: &mut log::Writer,
    pid: u32,
    stream: Stream,
) -> impl FnMut(&[u8]) -> io::Result<()> + '_ {
    move |bytes| log.write(pid, stream, bytes)
}
