//! One after the other: what changes a system waits for its turn, whoever asked and on whatever thread.

use std::collections::VecDeque;
use std::fmt;

use crate::sync::{Arc, Mutex, lock, mpsc};

/// Those who wait for one system.
#[derive(Default)]
pub(super) struct Lane {
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    busy: bool,
    waiting: VecDeque<Start>,
}

/// Begins what waited. Called on the thread of the one before, so it hands over and does nothing itself.
type Start = Box<dyn FnOnce(Turn) + Send>;

/// The right to change a system; the next one has it when this is dropped.
pub(super) struct Turn {
    lane: Arc<Lane>,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

impl Lane {
    /// Waits for the turn.
    pub fn enter(self: &Arc<Self>) -> Turn {
        let (sender, granted) = mpsc::channel();
        self.queue(Box::new(move |turn| drop(sender.send(turn))));
        granted.recv().expect("a lane drops nothing that waits in it")
    }

    /// Has `start` called when it is its turn; perhaps at once.
    pub fn queue(self: &Arc<Self>, start: Start) {
        let mut inside = lock(&self.inside);
        if inside.busy {
            inside.waiting.push_back(start);
            return;
        }
        inside.busy = true;
        drop(inside);
        start(Turn { lane: self.clone() });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut inside = lock(&self.lane.inside);
            let next = inside.waiting.pop_front();
            inside.busy = next.is_some();
            next
        };
        if let Some(start) = next {
            start(Turn { lane: self.lane.clone() });
        }
    }
}
