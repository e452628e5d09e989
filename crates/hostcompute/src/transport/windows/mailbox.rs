//! What callbacks leave for whoever listens: in order, and no more than a reader may leave unread.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Who reads none of so many hears only how many there were.
const MOST: usize = 4096;

/// Something that Windows told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// A value of HCN_NOTIFICATIONS or HCS_EVENT_TYPE.
    pub kind: u32,
    /// The document that came with it; may be empty.
    pub data: String,
}

/// Between the threads of Windows and one reader.
#[derive(Debug, Default)]
pub struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    letters: VecDeque<Letter>,
    lost: u64,
    is_closed: bool,
}

impl Mailbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a letter; counts it where nobody reads.
    pub fn put(&self, letter: Letter) {
        let mut state = self.state();
        if state.letters.len() < MOST {
            state.letters.push_back(letter);
        } else {
            state.lost += 1;
        }
        self.changed.notify_all();
    }

    /// The next letter, waiting for it; `None` when it was closed.
    pub fn take(&self) -> Option<Letter> {
        let mut state = self.state();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(letter) = state.letters.pop_front() {
                return Some(letter);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`Self::take`], and no longer than until then: `None` also when nothing has come.
    pub fn take_until(&self, when: Option<Instant>) -> Option<Letter> {
        let Some(when) = when else { return self.take() };
        let mut state = self.state();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(letter) = state.letters.pop_front() {
                return Some(letter);
            }
            let left = when.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How many letters were lost before the next one is put, told once and when those before them are read.
    pub fn lost(&self) -> u64 {
        let mut state = self.state();
        if state.letters.is_empty() { std::mem::take(&mut state.lost) } else { 0 }
    }

    /// Nothing more is read: who waits is told so, now and from now on.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(kind: u32) -> Letter {
        Letter { kind, data: String::new() }
    }

    #[test]
    fn letters_come_in_order_and_what_is_too_much_is_counted() {
        let mailbox = Mailbox::default();
        for kind in 0..MOST as u32 + 3 {
            mailbox.put(letter(kind));
        }
        assert_eq!(mailbox.lost(), 0, "there is something to read first");
        for kind in 0..MOST as u32 {
            assert_eq!(mailbox.take(), Some(letter(kind)));
        }
        assert_eq!((mailbox.lost(), mailbox.lost()), (3, 0));
        assert_eq!(mailbox.take_until(Some(Instant::now())), None);
        mailbox.put(letter(1));
        assert_eq!(mailbox.take_until(Some(Instant::now())), Some(letter(1)));
        mailbox.put(letter(2));
        assert_eq!(mailbox.take_until(None), Some(letter(2)));
    }

    #[test]
    fn closing_wakes_the_reader() {
        let mailbox = std::sync::Arc::new(Mailbox::default());
        let reader = mailbox.clone();
        let waiting = std::thread::spawn(move || reader.take());
        mailbox.close();
        assert_eq!(waiting.join().expect("no panic"), None);
    }
}
