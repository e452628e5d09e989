//! What waits to be carried out: a bounded queue that many fill; whoever has the service empties it, everything that waits at once.

use std::collections::VecDeque;
use std::fmt;

use hostcompute_schema::{Failure, HResult};

use crate::sync::{Condvar, Mutex, lock, wait};

/// The queue; `J` is what waits.
pub(super) struct Queue<J> {
    inside: Mutex<Inside<J>>,
    filled: Condvar,
    room: usize,
}

struct Inside<J> {
    waiting: VecDeque<J>,
    open: bool,
}

impl<J> fmt::Debug for Queue<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("room", &self.room).finish_non_exhaustive()
    }
}

impl<J> Queue<J> {
    pub fn new(room: usize) -> Self {
        let inside = Inside { waiting: VecDeque::new(), open: true };
        Self { inside: Mutex::new(inside), filled: Condvar::new(), room }
    }

    /// Appends a job. Nobody is called: see [`Self::call`].
    ///
    /// # Errors
    /// The job, and HCN_E_MANAGER_STOPPED once the queue is closed, or RPC_S_SERVER_UNAVAILABLE when too much waits already.
    pub fn push(&self, job: J) -> Result<(), (J, Failure)> {
        let mut inside = lock(&self.inside);
        if !inside.open {
            return Err((job, stopped()));
        }
        if inside.waiting.len() >= self.room {
            let why = format!("{} changes wait already", self.room);
            let failure = Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, why)
                .hint("try again; `queue` in section [limits] of the service's configuration says how many may wait");
            return Err((job, failure));
        }
        inside.waiting.push_back(job);
        Ok(())
    }

    /// Wakes who waits in [`Self::is_filled`].
    pub fn call(&self) {
        self.filled.notify_one();
    }

    /// Everything that waits now.
    pub fn take(&self) -> VecDeque<J> {
        std::mem::take(&mut lock(&self.inside).waiting)
    }

    /// Waits until something waits; before, calls `idle` as long as it says that there is more to do. `false` when the queue is
    /// closed and empty.
    pub fn is_filled(&self, mut idle: impl FnMut() -> bool) -> bool {
        let mut busy = true;
        let mut inside = lock(&self.inside);
        loop {
            if !inside.waiting.is_empty() {
                return true;
            }
            if !inside.open {
                return false;
            }
            if busy {
                drop(inside);
                busy = idle();
                inside = lock(&self.inside);
            } else {
                inside = wait(&self.filled, inside);
            }
        }
    }

    /// Takes nothing more in; what is in is still taken out.
    pub fn close(&self) {
        lock(&self.inside).open = false;
        self.filled.notify_all();
    }

    pub fn is_open(&self) -> bool {
        lock(&self.inside).open
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.inside).waiting.is_empty()
    }

    pub fn len(&self) -> usize {
        lock(&self.inside).waiting.len()
    }
}

/// The failure of whatever comes too late.
pub(super) fn stopped() -> Failure {
    Failure::new(HResult::HCN_E_MANAGER_STOPPED, "the service stops")
        .hint("connect again when it has started")
}

#[cfg(all(test, not(feature = "schedules")))]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_comes_out_in_order_and_nothing_goes_in_after_the_end() {
        let queue = Queue::new(2);
        queue.push(1).expect("room");
        queue.push(2).expect("room");
        let (job, full) = queue.push(3).expect_err("full");
        assert_eq!((job, full.hresult), (3, HResult::RPC_S_SERVER_UNAVAILABLE));
        queue.close();
        assert_eq!(queue.push(4).expect_err("closed").1.hresult, HResult::HCN_E_MANAGER_STOPPED);
        assert!(queue.is_filled(|| unreachable!("there is work")));
        assert_eq!(queue.take(), [1, 2]);
        assert!(!queue.is_filled(|| false));
    }

    #[test]
    fn idle_work_is_done_before_waiting() {
        let queue = Queue::new(2);
        let mut pieces = 3;
        let filled = queue.is_filled(|| {
            pieces -= 1;
            if pieces == 1 {
                queue.push(7).expect("room");
            }
            pieces > 0
        });
        assert_eq!((filled, queue.take(), pieces), (true, [7].into(), 1));
    }
}
