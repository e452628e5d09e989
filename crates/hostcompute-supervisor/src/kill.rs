//! Points at which tests end a process that makes or carries a system, to prove that any point will do.
//!
//! In debug builds the variable of a process ([`Who`]) says `NUMBER:FILE`: the process ends at its point of this number, counted from 1,
//! exactly as after `kill -9`, and makes the file just before. Release builds contain none of this.

/// Whose points they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Who wants a system: `HOSTCOMPUTE_KILL_MAKER`.
    Maker,
    /// The supervisor, also before it has left its starter: `HOSTCOMPUTE_KILL_SUPERVISOR`.
    Supervisor,
    /// The first process of a system: `HOSTCOMPUTE_KILL_FIRST`.
    First,
}

/// A place between two effects.
#[cfg(debug_assertions)]
pub fn point(who: Who) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static PASSED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
    let (variable, passed) = match (who, &PASSED) {
        (Who::Maker, [passed, ..]) => ("HOSTCOMPUTE_KILL_MAKER", passed),
        (Who::Supervisor, [_, passed, _]) => ("HOSTCOMPUTE_KILL_SUPERVISOR", passed),
        (Who::First, [.., passed]) => ("HOSTCOMPUTE_KILL_FIRST", passed),
    };
    let Ok(wanted) = std::env::var(variable) else { return };
    let Some((number, file)) = wanted.split_once(':') else { return };
    let here = passed.fetch_add(1, Ordering::Relaxed) + 1;
    if number.parse() == Ok(here) {
        // A process that has another root already makes none.
        let _ = std::fs::write(file, "");
        std::process::abort();
    }
}

/// A place between two effects; nothing in this build.
#[cfg(not(debug_assertions))]
pub fn point(_: Who) {}
