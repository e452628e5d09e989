//! A connection to one supervisor: questions with numbers, answers to whoever waits for them, notices to the sink.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hostcompute_engine::compute::{Cause, End, Fault, Happening, Sink};
use hostcompute_schema::HResult;
use hostcompute_supervisor::message::{Answer, Call, Notice, Refusal, Request, Said};
use hostcompute_supervisor::wire::{self, Received};

use super::{fault, place, translate};

/// How long a supervisor may take for an answer: file systems and freezers may be slow.
const PATIENCE: Duration = Duration::from_secs(90);

/// An answer and its descriptors.
type Answered = (Result<Answer, Refusal>, Vec<OwnedFd>);

/// From when on the sink hears notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listening {
    Now,
    /// What came before is in that answer.
    AfterFirstAnswer,
}

/// A connection.
pub(super) struct Link {
    socket: OwnedFd,
    directory: PathBuf,
    number: AtomicU64,
    waiting: Mutex<HashMap<u64, Sender<Answered>>>,
    listens: AtomicBool,
    sink: Sink,
    /// There is a system. One that died before it said so is whoever's who wanted it, and who holds its lock meanwhile.
    is_there: AtomicBool,
    /// The system has ended, as far as this connection knows.
    ended: AtomicBool,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Link").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Link {
    pub(super) fn new(
        socket: OwnedFd,
        directory: PathBuf,
        listening: Listening,
        sink: Sink,
    ) -> Arc<Self> {
        Arc::new(Self {
            socket,
            directory,
            number: AtomicU64::new(0),
            waiting: Mutex::new(HashMap::new()),
            listens: AtomicBool::new(listening == Listening::Now),
            sink,
            is_there: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask(&self, request: Request) -> Result<(Answer, Vec<OwnedFd>), Fault> {
        self.ask_with(request, &[])
    }

    /// Asks something that is done without an answer of its own.
    pub(super) fn tell(&self, request: Request) -> Result<(), Fault> {
        self.ask(request).map(drop)
    }

    pub(super) fn ask_with(
        &self,
        request: Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(Answer, Vec<OwnedFd>), Fault> {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        let answer = self.expect(number);
        if self.ended.load(Ordering::Acquire) {
            self.forget(number);
            return Err(fault::ended());
        }
        if let Err(error) = self.send(&Call { number, request }, descriptors) {
            self.forget(number);
            return Err(match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => fault::ended(),
                _ => Fault::new(HResult::E_FAIL, format!("could not ask the supervisor: {error}")),
            });
        }
        match answer.recv_timeout(PATIENCE) {
            Ok((answer, descriptors)) => {
                answer.map(|answer| (answer, descriptors)).map_err(fault::of)
            }
            // Nobody will answer any more.
            Err(RecvTimeoutError::Disconnected) => Err(fault::ended()),
            Err(RecvTimeoutError::Timeout) => {
                self.forget(number);
                Err(Fault::new(HResult::E_FAIL, "the supervisor does not answer"))
            }
        }
    }

    fn send(&self, call: &Call, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        // Several may ask at once; a packet is whole or not there.
        wire::send(&self.socket, call, descriptors)
    }

    fn expect(&self, number: u64) -> Receiver<Answered> {
        let (sender, receiver) = channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sender);
        receiver
    }

    fn forget(&self, number: u64) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// Hears one message; whether there may be more. Called by the hub alone.
    pub(super) fn hear(&self) -> bool {
        match wire::receive::<Said>(&self.socket) {
            Ok(Some(Received { message: Said::Answer { number, answer }, descriptors })) => {
                self.listens.store(true, Ordering::Relaxed);
                self.is_there.fetch_or(answer.is_ok(), Ordering::Relaxed);
                let waiting =
                    self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
                if let Some(waiting) = waiting {
                    // Whoever asked may have lost patience.
                    let _ = waiting.send((answer, descriptors));
                }
                true
            }
            Ok(Some(Received { message: Said::Notice(notice), .. })) => {
                self.notice(&notice);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Ok(None) | Err(_) => {
                self.close();
                false
            }
        }
    }

    fn notice(&self, notice: &Notice) {
        if matches!(notice, Notice::Exited(_)) {
            self.ended.store(true, Ordering::Release);
        }
        if self.listens.load(Ordering::Relaxed)
            && let Some(happening) = translate::happening(notice)
        {
            (self.sink)(happening);
        }
    }

    /// The supervisor is gone. If it did not say that the system has ended, it died.
    fn close(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            if self.is_there.load(Ordering::Relaxed)
                && let Err(error) = place::bury(&self.directory)
            {
                tracing::warn!(%error, directory = %self.directory.display(), "a compute system could not be cleaned up");
            }
            let end = End { cause: Cause::WorkerDied, out_of_memory: false };
            if self.listens.load(Ordering::Relaxed) {
                (self.sink)(Happening::Exited(end));
            }
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
