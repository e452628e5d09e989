//! The way of a registration to its callback: one call at a time, and none once the registration has ended.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// The thread that is inside the callback.
    inside: Option<ThreadId>,
}

/// From where a gate was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// From outside: no callback is running any more.
    Quiet,
    /// From inside the callback, which of course still runs.
    Within,
}

impl Gate {
    /// Calls, unless the gate is closed; whether it is open afterwards.
    pub fn pass(&self, call: impl FnOnce()) -> bool {
        let mut state = self.state();
        while state.inside.is_some() && !state.closed {
            state = self.wait(state);
        }
        if state.closed {
            return false;
        }
        state.inside = Some(thread::current().id());
        drop(state);
        call();
        let mut state = self.state();
        state.inside = None;
        self.changed.notify_all();
        !state.closed
    }

    /// Closes it, and waits for a callback that runs, except for one that this is called from.
    pub fn close(&self) -> Closed {
        let mut state = self.state();
        state.closed = true;
        self.changed.notify_all();
        loop {
            match state.inside {
                None => return Closed::Quiet,
                Some(thread) if thread == thread::current().id() => return Closed::Within,
                Some(_) => state = self.wait(state),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};

    #[test]
    fn closing_waits_for_the_callback_that_runs() {
        let gate = Arc::new(Gate::default());
        let (entered, is_inside) = mpsc::channel();
        let (let_go, may_go) = mpsc::channel::<()>();
        let calls = Arc::new(AtomicUsize::new(0));
        let caller = thread::spawn({
            let (gate, calls) = (gate.clone(), calls.clone());
            move || {
                gate.pass(|| {
                    entered.send(()).unwrap();
                    may_go.recv().unwrap();
                    calls.fetch_add(1, Ordering::SeqCst);
                })
            }
        });
        is_inside.recv().unwrap();
        let closer = thread::spawn({
            let (gate, calls) = (gate.clone(), calls.clone());
            move || (gate.close(), calls.load(Ordering::SeqCst))
        });
        let_go.send(()).unwrap();
        assert_eq!(closer.join().unwrap(), (Closed::Quiet, 1));
        caller.join().unwrap();
        assert!(!gate.pass(|| panic!("closed")));
    }

    #[test]
    fn a_callback_may_close_its_own_gate() {
        let gate = Gate::default();
        let mut closed = None;
        assert!(!gate.pass(|| closed = Some(gate.close())));
        assert_eq!(closed, Some(Closed::Within));
        assert_eq!(gate.close(), Closed::Quiet);
    }
}
