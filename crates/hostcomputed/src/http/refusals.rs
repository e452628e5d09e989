//! Refused clients in the log: one line in a while, with how many there were, so that strangers cannot fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hostcompute_schema::Failure;

/// The shortest time between two lines.
const PAUSE: Duration = Duration::from_secs(5);

/// What was told last, and what has come since.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<(Option<Instant>, u64)>);

impl Refusals {
    /// One more.
    pub fn note(&self, failure: &Failure) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, untold) = &mut *since;
        if told.is_some_and(|told| told.elapsed() < PAUSE) {
            *untold += 1;
            return;
        }
        tracing::info!(failure = format!("{failure:#}"), untold, "a client is refused");
        (*told, *untold) = (Some(Instant::now()), 0);
    }
}
