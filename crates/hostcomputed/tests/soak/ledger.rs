//! What all clients, and who strikes them, know together.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub struct Ledger {
    wanted: usize,
    begun: AtomicUsize,
    /// Cycles in which everything was as it should be, from the beginning to the end.
    whole: AtomicUsize,
    /// Cycles in which something was struck or the daemon was away, and nothing was left nevertheless.
    broken: AtomicUsize,
    over: AtomicBool,
    /// Grows before and after the daemon is killed.
    blows: AtomicUsize,
    /// Systems one of whose processes was killed, from before it was.
    struck: Mutex<HashSet<String>>,
    /// Systems that were told to run and that nobody has begun to end.
    running: Mutex<HashSet<String>>,
}

impl Ledger {
    pub fn new(wanted: usize) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Whether there is one more cycle to do.
    pub fn next(&self) -> bool {
        !self.is_over() && self.begun.fetch_add(1, Ordering::Relaxed) < self.wanted
    }

    /// All cycles are done, or somebody failed.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.done() >= self.wanted
    }

    pub fn give_up(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn count(&self, was_whole: bool) {
        let counter = if was_whole { &self.whole } else { &self.broken };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn done(&self) -> usize {
        self.whole.load(Ordering::Relaxed) + self.broken.load(Ordering::Relaxed)
    }

    /// How many cycles went through undisturbed.
    pub fn proved(&self) -> usize {
        self.whole.load(Ordering::Relaxed)
    }

    pub fn strike(&self, id: &str) {
        lock(&self.struck).insert(id.to_owned());
    }

    pub fn is_struck(&self, id: &str) -> bool {
        lock(&self.struck).contains(id)
    }

    /// The daemon is about to be killed, or was just now.
    pub fn strike_daemon(&self) {
        self.blows.fetch_add(1, Ordering::SeqCst);
    }

    /// The same number at two moments: the daemon was not killed in between.
    pub fn blows(&self) -> usize {
        self.blows.load(Ordering::SeqCst)
    }

    pub fn runs(&self, id: &str) {
        lock(&self.running).insert(id.to_owned());
    }

    pub fn ends(&self, id: &str) {
        lock(&self.running).remove(id);
    }

    /// Whether it must run, as far as anybody knows.
    pub fn must_run(&self, id: &str) -> bool {
        lock(&self.running).contains(id) && !self.is_struck(id)
    }

    pub fn running(&self) -> Vec<String> {
        lock(&self.running).iter().cloned().collect()
    }

    pub fn summary(&self) -> String {
        let (whole, broken) =
            (self.whole.load(Ordering::Relaxed), self.broken.load(Ordering::Relaxed));
        format!("{} cycles, {whole} undisturbed", whole + broken)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
