//! Work that is done in its order, one piece after the other, on a thread that lives as long as there is some.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use hostcompute::{Failure, HResult};

use crate::call::guarded;

#[derive(Default)]
pub struct Lane {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// A thread is at work, and takes what is waiting.
    busy: bool,
}

type Job = Box<dyn FnOnce() + Send>;

/// More calls than this do not wait on one handle.
const MOST: usize = 4096;

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

impl Lane {
    /// Has something done after everything that was asked for before.
    ///
    /// # Errors
    /// ERROR_NOT_ENOUGH_QUOTA when too much is waiting, E_OUTOFMEMORY without threads: it is not done then.
    pub fn push(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let mut state = self.state();
        if state.waiting.len() >= MOST {
            let why = format!("{MOST} calls are waiting on this handle");
            return Err(Failure::new(HResult::ERROR_NOT_ENOUGH_QUOTA, why));
        }
        state.waiting.push_back(Box::new(job));
        if state.busy {
            return Ok(());
        }
        let lane = self.clone();
        let started = thread::Builder::new()
            .name("hostcompute-work".to_owned())
            .spawn(move || while lane.work() {});
        if let Err(error) = started {
            // Nobody is at work, so this is the only one.
            state.waiting.clear();
            let why = format!("there is no thread for the call: {error}");
            return Err(Failure::new(HResult::E_OUTOFMEMORY, why));
        }
        state.busy = true;
        Ok(())
    }

    /// Does what comes next; whether there was something.
    fn work(&self) -> bool {
        let mut state = self.state();
        let Some(job) = state.waiting.pop_front() else {
            state.busy = false;
            return false;
        };
        drop(state);
        // What a job has to tell it has told itself.
        let _ = guarded(|| {
            job();
            Ok(())
        });
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn work_keeps_its_order_and_survives_a_panic() {
        let lane = Arc::new(Lane::default());
        let (done, seen) = mpsc::channel();
        for number in 0..100 {
            let done = done.clone();
            let job = move || {
                assert_ne!(number, 50, "this one fails");
                done.send(number).unwrap();
            };
            lane.push(job).unwrap();
        }
        drop(done);
        let seen: Vec<i32> = seen.iter().collect();
        assert_eq!(seen, (0..100).filter(|number| *number != 50).collect::<Vec<_>>());
    }
}
