//! Points at which tests end the process, to prove that any point will do.
//!
//! In debug builds the variable `HOSTCOMPUTE_KILL_AT=n` makes the n-th point (counted from 1) abort the process at once: no
//! destructor runs, nothing is flushed, exactly as after `kill -9`. Plans are then performed step by step, with a point before
//! each step. Release builds contain none of this.

/// A place between two effects.
#[cfg(debug_assertions)]
pub fn point() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if let Some(last) = wanted()
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == last
    {
        std::process::abort();
    }
}

/// A place between two effects; nothing in this build.
#[cfg(not(debug_assertions))]
pub fn point() {}

/// Whether plans must be performed step by step, because a point is set.
pub fn stepwise() -> bool {
    wanted().is_some()
}

#[cfg(debug_assertions)]
fn wanted() -> Option<u64> {
    static WANTED: std::sync::OnceLock<Option<u64>> = std::sync::OnceLock::new();
    *WANTED.get_or_init(|| std::env::var("HOSTCOMPUTE_KILL_AT").ok()?.parse().ok())
}

#[cfg(not(debug_assertions))]
fn wanted() -> Option<u64> {
    None
}
