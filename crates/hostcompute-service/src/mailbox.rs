//! A bounded queue between one writer that never waits and one reader that may: by blocking, or by being called.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::sync::{Arc, Condvar, Mutex, lock, wait_within};

/// What a reader wants to be called with when there is something; it must not block.
pub(crate) type Ready = Arc<dyn Fn() + Send + Sync>;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The queue.
pub(crate) struct Mailbox<T> {
    inside: Mutex<Inside<T>>,
    arrived: Condvar,
}

struct Inside<T> {
    queue: VecDeque<T>,
    room: usize,
    /// Nothing comes any more.
    ended: bool,
    ready: Option<Ready>,
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

/// The reader is too far behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl<T> Mailbox<T> {
    /// A queue that holds `first` already and has room for `room` more.
    pub fn new(first: Vec<T>, room: usize) -> Self {
        let room = first.len() + room;
        let inside = Inside { queue: first.into(), room, ended: false, ready: None };
        Self { inside: Mutex::new(inside), arrived: Condvar::new() }
    }

    /// Appends something. Call [`Self::call`] when no lock is held.
    pub fn put(&self, item: T) -> Result<(), Full> {
        let mut inside = lock(&self.inside);
        if inside.ended {
            return Ok(());
        }
        if inside.queue.len() >= inside.room {
            return Err(Full);
        }
        inside.queue.push_back(item);
        self.arrived.notify_all();
        Ok(())
    }

    /// Appends the last thing that ever comes, whether or not there is room.
    pub fn end(&self, last: T) {
        let mut inside = lock(&self.inside);
        if !inside.ended {
            inside.queue.push_back(last);
            inside.ended = true;
            self.arrived.notify_all();
        }
    }

    /// Calls the reader who asked for it.
    pub fn call(&self) {
        let ready = lock(&self.inside).ready.clone();
        if let Some(ready) = ready {
            ready();
        }
    }

    /// What came first, if anything is there.
    pub fn take(&self) -> Option<T> {
        lock(&self.inside).queue.pop_front()
    }

    /// As [`Self::take`], waiting at most `patience`.
    pub fn take_within(&self, patience: Duration) -> Option<T> {
        // A patience beyond all clocks is a day at a time.
        let deadline = Instant::now().checked_add(patience);
        let mut inside = lock(&self.inside);
        loop {
            if let Some(item) = inside.queue.pop_front() {
                return Some(item);
            }
            let left = deadline.map_or(DAY, |at| at.saturating_duration_since(Instant::now()));
            if inside.ended || left.is_zero() {
                return None;
            }
            inside = wait_within(&self.arrived, inside, left);
        }
    }

    /// From now on `ready` is called whenever something has come; at once if something is there already.
    pub fn on_ready(&self, ready: Ready) {
        let waiting = {
            let mut inside = lock(&self.inside);
            inside.ready = Some(ready);
            !inside.queue.is_empty()
        };
        if waiting {
            self.call();
        }
    }

    /// Whether everything was taken and nothing comes any more.
    pub fn is_over(&self) -> bool {
        let inside = lock(&self.inside);
        inside.ended && inside.queue.is_empty()
    }
}

#[cfg(all(test, not(feature = "schedules")))]
mod tests {
    use super::*;

    #[test]
    fn what_comes_last_has_room_and_nothing_follows_it() {
        let mailbox = Mailbox::new(vec![1], 1);
        assert_eq!((mailbox.put(2), mailbox.put(3)), (Ok(()), Err(Full)));
        mailbox.end(4);
        mailbox.end(5);
        assert_eq!(mailbox.put(6), Ok(()));
        let all: Vec<_> = std::iter::from_fn(|| mailbox.take()).collect();
        assert_eq!(all, [1, 2, 4]);
        assert!(mailbox.is_over() && mailbox.take_within(Duration::MAX).is_none());
    }

    #[test]
    fn readers_are_called_for_what_is_there_and_for_what_comes() {
        let (sender, calls) = std::sync::mpsc::channel();
        let mailbox = Mailbox::new(vec![1], 8);
        mailbox.on_ready(Arc::new(move || sender.send(()).expect("the test listens")));
        assert_eq!(calls.try_iter().count(), 1);
        mailbox.put(2).expect("room");
        mailbox.call();
        assert_eq!(calls.try_iter().count(), 1);
    }
}
