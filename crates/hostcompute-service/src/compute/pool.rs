//! A bounded number of threads that carry out what may take a while. They are made when they are needed and end when they are not.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::sync::{Arc, Condvar, Mutex, lock, thread, wait, wait_within};

/// How long a thread waits for more to do.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The threads. A clone is the same pool.
#[derive(Clone)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    inside: Mutex<Inside>,
    changed: Condvar,
    /// Nothing waits and nobody works.
    quiet: Condvar,
    most: usize,
}

#[derive(Default)]
struct Inside {
    waiting: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("most", &self.shared.most).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool of at most `most` threads, one at least.
    pub fn new(most: usize) -> Self {
        let inside = Mutex::new(Inside::default());
        let (changed, quiet) = (Condvar::new(), Condvar::new());
        Self { shared: Arc::new(Shared { inside, changed, quiet, most: most.max(1) }) }
    }

    /// How many jobs wait for a thread.
    pub fn backlog(&self) -> usize {
        lock(&self.shared.inside).waiting.len()
    }

    /// Hands over a job. A pool that was closed, or has no thread and gets none, does it here and now.
    pub fn push(&self, job: Job) {
        let mut inside = lock(&self.shared.inside);
        if inside.closed {
            drop(inside);
            return run(job);
        }
        inside.waiting.push_back(job);
        if inside.idle >= inside.waiting.len() || inside.threads >= self.shared.most {
            self.shared.changed.notify_one();
            return;
        }
        inside.threads += 1;
        drop(inside);
        let shared = self.shared.clone();
        let started = thread::Builder::new().name("compute".into()).spawn(move || shared.work());
        if started.is_err() {
            self.without_thread();
        }
    }

    /// No thread could be made: what waits is done here, unless others do it.
    fn without_thread(&self) {
        let mut inside = lock(&self.shared.inside);
        inside.threads -= 1;
        if inside.threads > 0 {
            return;
        }
        while let Some(job) = inside.waiting.pop_front() {
            drop(inside);
            run(job);
            inside = lock(&self.shared.inside);
        }
    }

    /// Waits until nothing waits and nothing is done.
    pub fn settle(&self) {
        let mut inside = lock(&self.shared.inside);
        while !inside.waiting.is_empty() || inside.idle < inside.threads {
            inside = wait(&self.shared.quiet, inside);
        }
    }

    /// Lets the threads end once nothing waits any more.
    pub fn close(&self) {
        lock(&self.shared.inside).closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        let mut inside = lock(&self.inside);
        loop {
            if let Some(job) = inside.waiting.pop_front() {
                drop(inside);
                run(job);
                inside = lock(&self.inside);
                continue;
            }
            if inside.closed {
                break;
            }
            inside.idle += 1;
            self.quiet.notify_all();
            inside = wait_within(&self.changed, inside, PATIENCE);
            inside.idle -= 1;
            // Nobody came: another thread is made when there is more to do.
            if inside.waiting.is_empty() && !inside.closed {
                break;
            }
        }
        inside.threads -= 1;
        drop(inside);
        self.quiet.notify_all();
    }
}

/// A job that panics has told its asker so (see `answering`); the thread goes on.
fn run(job: Job) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!("a request about a compute system made the service panic");
    }
}
