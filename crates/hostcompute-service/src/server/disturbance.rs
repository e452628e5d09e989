//! What others do to what is ours on the host: said in the log, counted, and put right. And what they do to the host itself, where
//! something of ours follows it.
//!
//! The host tells of it on a thread of its own ([`Host::watch`]); the decider compares and repairs, once for all that was told
//! meanwhile. Where somebody does it again and again the service does not fight: it waits for the next change, which finds out
//! before it begins.

use std::time::{Duration, Instant};

use hostcompute_engine::host::{Host, Told};
use hostcompute_engine::network::fence;
use hostcompute_schema::Failure;

use super::{Job, Shared};
use crate::Service;
use crate::sync::{Arc, Mutex, lock};

/// So often within [`WHILE`] the service puts things right at once.
const OFTEN: usize = 5;
const WHILE: Duration = Duration::from_secs(60);
/// How long a full queue is given before it is tried again.
const PATIENCE: Duration = Duration::from_millis(50);

/// Lets the host tell the decider from now on.
pub(super) fn listen<H: Host + Send + 'static>(
    shared: &Arc<Shared<H>>,
    host: &mut H,
) -> Result<(), Failure> {
    let shared = shared.clone();
    let (disturbed, moved) = (Pending::default(), Pending::default());
    let tell = move |told: Told<'_>| match told {
        Told::Disturbed(words) => {
            tracing::warn!("{words}; this was not asked of the service");
            shared.numbers.disturbed();
            disturbed.leave(&shared, Service::put_right);
        }
        Told::Moved => moved.leave(&shared, Service::follow_host),
    };
    host.watch(Box::new(tell)).map_err(|fault| fault.failure)
}

/// Work of one kind that the decider may know of already.
#[derive(Debug, Clone, Default)]
struct Pending(Arc<Mutex<bool>>);

impl Pending {
    /// Leaves it to the decider, once until that begins with it.
    fn leave<H: Host + Send + 'static>(&self, shared: &Shared<H>, work: fn(&mut Service<H>)) {
        if std::mem::replace(&mut *lock(&self.0), true) {
            return;
        }
        let pending = self.clone();
        let mut job = Job::Work(Box::new(move |service: &mut Service<H>| {
            *lock(&pending.0) = false;
            work(service);
        }));
        // This thread has nothing better to do, and what it says must not be lost.
        while let Err((back, _)) = shared.queue.push(job) {
            if !shared.queue.is_open() {
                return;
            }
            job = back;
            std::thread::sleep(PATIENCE);
        }
        shared.queue.call();
    }
}

/// When things were put right.
#[derive(Debug, Default)]
pub(crate) struct Repairs(Vec<Instant>);

impl Repairs {
    /// Whether to do it at once; counts as done if so.
    fn allow(&mut self, now: Instant) -> bool {
        self.0.retain(|time| now.duration_since(*time) < WHILE);
        let allowed = self.0.len() < OFTEN;
        if allowed {
            self.0.push(now);
        }
        allowed
    }
}

impl<H: Host> Service<H> {
    /// Draws the fences of networks anew where the host is near something else now. What fails is tried again when the host moves again.
    pub(crate) fn follow_host(&mut self) {
        if !fence::is_any(&self.state) {
            return;
        }
        let drawn = self.host.surroundings().map_err(|fault| fault.failure).and_then(|found| {
            match fence::follow(&mut self.state, &found.prefixes) {
                Some(decision) => self.carry_out_own("the host's addresses changed", decision),
                None => Ok(()),
            }
        });
        if let Err(failure) = drawn {
            tracing::error!("fences of networks do not follow the host: {failure:#}");
        }
    }

    /// Makes the host agree with the state again, now or with the next change.
    fn put_right(&mut self) {
        // Without objects nothing is ours, and what is there may be another's.
        if self.state.is_empty() {
            return;
        }
        self.store.settled(false);
        if !self.repairs.allow(Instant::now()) {
            tracing::warn!("this happens too often: it is put right when the next change comes");
            return;
        }
        self.settle_debts();
        if self.store.is_settled() {
            tracing::info!("the host agrees with the state again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_disturbed_too_often_waits() {
        let (mut repairs, start) = (Repairs::default(), Instant::now());
        assert!((0..OFTEN).all(|_| repairs.allow(start)));
        assert!(!repairs.allow(start + WHILE / 2));
        assert!(repairs.allow(start + WHILE));
    }
}
