//! The last events of this process, in order, for those who ask for what happened since they last asked.
//!
//! A ring of fixed length: a reader that comes too late is told how many events it missed instead of slowing anybody down.
//! Delivery to other processes is the daemon's business, not this module's.

use std::collections::VecDeque;

use hostcompute_engine::Event;

/// How many events are kept.
const LENGTH: usize = 4096;

/// The ring.
#[derive(Debug, Default)]
pub struct Events {
    ring: VecDeque<Event>,
    /// Number of the first event in the ring; the first event ever is 0.
    first: u64,
}

/// What [`Events::since`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    pub events: Vec<Event>,
    /// Pass this to the next call.
    pub next: u64,
    /// Events that had left the ring before they were asked for.
    pub missed: u64,
}

impl Events {
    /// Appends the events of one operation.
    pub fn publish(&mut self, events: Vec<Event>) {
        for event in events {
            if self.ring.len() == LENGTH {
                self.ring.pop_front();
                self.first += 1;
            }
            self.ring.push_back(event);
        }
    }

    /// The events from number `from` on.
    pub fn since(&self, from: u64) -> Happened {
        let missed = self.first.saturating_sub(from);
        let skip = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let events = self.ring.iter().skip(skip).cloned().collect();
        Happened { events, next: self.first + self.ring.len() as u64, missed }
    }
}
