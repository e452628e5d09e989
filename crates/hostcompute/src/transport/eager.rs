//! Waiting for a peer that answers at once: looking again and again for a moment before going to sleep.
//!
//! To wake a sleeping thread on a sleeping processor takes several times as long as to answer a query. Whoever was answered quickly
//! the last time therefore looks for the next message for a moment, and sleeps only then. A peer that takes its time is never waited
//! for in this way, and a machine with one processor has nothing to gain.

#[cfg(unix)]
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

#[cfg(unix)]
use rustix::io::Errno;
#[cfg(unix)]
use rustix::net::{RecvFlags, recv};

/// What the kernel needs to wake somebody, generously: whoever serves many waits no longer for the next request of one.
pub const WAKE: Duration = Duration::from_micros(80);

/// What a change takes that is answered at once: whoever has asked for one has nothing else to do.
pub const CHANGE: Duration = Duration::from_micros(400);

/// One side of a conversation.
#[derive(Debug)]
pub struct Eager {
    /// What comes later is not quick.
    quick_is: Duration,
    /// When the peer was last spoken to.
    spoken: Option<Instant>,
    /// Whether it answered quickly the last time.
    quick: bool,
}

impl Eager {
    /// Somebody who waits awake no longer than this: [`WAKE`] or [`CHANGE`].
    pub fn for_at_most(quick_is: Duration) -> Self {
        Self { quick_is, spoken: None, quick: false }
    }

    /// The peer was told something and has the word.
    pub fn spoken(&mut self) {
        self.spoken = Some(Instant::now());
    }

    /// The peer was heard.
    pub fn heard(&mut self) {
        if let Some(spoken) = self.spoken.take() {
            self.quick = spoken.elapsed() < self.quick_is;
        }
    }

    /// Whether it is worth listening.
    pub fn is_worth_it(&self) -> bool {
        self.quick && self.spoken.is_some() && has_company()
    }

    /// Reads what comes while it is worth waiting awake; `None` when it is time to sleep. An end or an error is left to the next
    /// reading.
    #[cfg(unix)]
    pub fn listen(&mut self, socket: impl AsFd, buffer: &mut [u8]) -> Option<usize> {
        let spoken = self.spoken.filter(|_| self.is_worth_it())?;
        loop {
            match recv(&socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((read, _)) if read > 0 => {
                    self.heard();
                    return Some(read);
                }
                Err(Errno::AGAIN) if spoken.elapsed() < self.quick_is => std::thread::yield_now(),
                _ => break,
            }
        }
        self.quick = false;
        None
    }
}

/// Whether peers can run while this thread does.
fn has_company() -> bool {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from)) > 1
}
