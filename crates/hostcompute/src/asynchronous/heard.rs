//! Subscriptions and logs as streams: a thread listens, and hands over what it hears.

use std::fmt::{self, Debug};
use std::io::{ErrorKind, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use hostcompute_schema::{Failure, HResult};
use tokio::sync::mpsc;

use super::pool::aside;
use crate::events::Stopper;

/// Notices that were heard and not taken yet. A reader that is slower lets the service wait, which counts what it cannot tell.
const AHEAD: usize = 64;

/// The most of a log that comes in one piece, in bytes.
const PIECE: usize = 16 << 10;

/// What happens, as a [`Stream`]. Dropping it unsubscribes.
///
/// It ends as the iterator does: after an error, when it is stopped, and for a compute system with that system. A log
/// ([`Log`](super::Log)) ends as its reading does.
///
/// ```no_run
/// use hostcompute::asynchronous::Host;
/// use hostcompute::{Notice, Options, Topic};
///
/// # async fn example() -> Result<(), hostcompute::Error> {
/// let host = Host::auto(Options::from_env()).await?;
/// let mut heard = host.subscribe(Topic::All, None).await?;
/// while let Some(notice) = heard.next().await {
///     if let Notice::Event(event) = notice? {
///         println!("{} {}", event.number, event.name);
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Heard<T> {
    heard: mpsc::Receiver<Result<T, Failure>>,
    stopper: Stopper,
}

impl<T: Send + 'static> Heard<T> {
    /// Listens to what the iterator brings.
    pub(super) fn begin(
        notices: impl Iterator<Item = Result<T, Failure>> + Send + 'static,
        stopper: Stopper,
    ) -> Result<Self, Failure> {
        let (sender, heard) = mpsc::channel(AHEAD);
        let listen = move || {
            for notice in notices {
                if sender.blocking_send(notice).is_err() {
                    return;
                }
            }
        };
        aside(listen).map_err(|error| {
            Failure::new(HResult::E_OUTOFMEMORY, "there is no thread to listen with")
                .because(&error)
        })?;
        Ok(Self { heard, stopper })
    }
}

impl Heard<Vec<u8>> {
    /// What a log brings, as it comes.
    pub(super) fn of_reader(mut log: crate::Log) -> Result<Self, Failure> {
        let stopper = log.stopper();
        let mut over = false;
        let pieces = std::iter::from_fn(move || {
            if over {
                return None;
            }
            let piece = read(&mut log).transpose();
            over = !matches!(piece, Some(Ok(_)));
            piece
        });
        Self::begin(pieces, stopper)
    }
}

/// What can be read without waiting for more than something; `None` at the end.
fn read(log: &mut crate::Log) -> Result<Option<Vec<u8>>, Failure> {
    let mut piece = vec![0; PIECE];
    loop {
        match log.read(&mut piece) {
            Ok(0) => return Ok(None),
            Ok(length) => {
                piece.truncate(length);
                return Ok(Some(piece));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                let why = "the log breaks off";
                return Err(Failure::new(HResult::E_FAIL, why).because(&error));
            }
        }
    }
}

impl<T> Heard<T> {
    /// The next one; `None` at the end. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<T, Failure>> {
        self.heard.recv().await
    }

    /// What ends it from elsewhere.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }
}

impl<T> Stream for Heard<T> {
    type Item = Result<T, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.heard.poll_recv(context)
    }
}

impl<T> Drop for Heard<T> {
    fn drop(&mut self) {
        let stopper = self.stopper.clone();
        // Inside the process this waits for whoever is being served.
        let _ = aside(move || stopper.stop());
    }
}

impl<T> Debug for Heard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard").field("stopper", &self.stopper).finish_non_exhaustive()
    }
}
