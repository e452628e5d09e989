//! Hearing what happens to a system: events in order, each once, from the subscription on. Whoever does not read is cut off.

use std::time::Duration;

use hostcompute_engine::compute::event::Event;

use crate::mailbox::Mailbox;
use crate::sync::Arc;

/// One thing that a subscription tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    Event(Event),
    /// The last notice, unless SystemExited was: `ServiceDisconnect`. It does not say that the system has ended.
    Disconnected(Disconnect),
}

/// Why nothing is told any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disconnect {
    /// The reader was too far behind.
    TooSlow,
    /// The service stops; the system does not.
    Stopping,
    /// The system was never made.
    NotMade,
}

/// A subscription; dropping it ends it, and nothing is told afterwards.
#[derive(Debug)]
pub struct Subscription {
    pub(super) mailbox: Arc<Mailbox<Notice>>,
}

impl Subscription {
    /// What comes next, waiting at most `patience` for it. `None` when nothing came, or nothing will (see [`Self::is_over`]).
    pub fn next(&self, patience: Duration) -> Option<Notice> {
        self.mailbox.take_within(patience)
    }

    /// What has come already.
    pub fn take(&self) -> Option<Notice> {
        self.mailbox.take()
    }

    /// From now on `ready` is called when something has come; it must not block.
    pub fn on_ready(&self, ready: impl Fn() + Send + Sync + 'static) {
        self.mailbox.on_ready(Arc::new(ready));
    }

    /// What ends it from another thread, as a service does that stops: what has come can still be taken.
    pub fn ender(&self) -> impl Fn() + Send + Sync + use<> {
        let mailbox = Arc::downgrade(&self.mailbox);
        move || {
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.end(Notice::Disconnected(Disconnect::Stopping));
            }
        }
    }

    /// Whether everything was taken and nothing comes any more.
    pub fn is_over(&self) -> bool {
        self.mailbox.is_over()
    }
}

/// Those who listen to one system.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    mailboxes: Vec<std::sync::Weak<Mailbox<Notice>>>,
}

impl Listeners {
    pub fn add(&mut self, room: usize) -> Subscription {
        let mailbox = Arc::new(Mailbox::new(Vec::new(), room));
        self.mailboxes.retain(|known| known.strong_count() > 0);
        self.mailboxes.push(Arc::downgrade(&mailbox));
        Subscription { mailbox }
    }

    /// Puts events before all who listen; `last` says that none follows. Call what comes back when no lock is held.
    pub fn tell(&mut self, events: Vec<Event>, last: bool) -> Vec<Arc<Mailbox<Notice>>> {
        let mut told = Vec::new();
        if events.is_empty() {
            return told;
        }
        let count = events.len();
        self.mailboxes.retain(|mailbox| {
            let Some(mailbox) = mailbox.upgrade() else { return false };
            let mut keeps_up = true;
            for (index, event) in events.iter().enumerate() {
                let notice = Notice::Event(event.clone());
                if last && index + 1 == count {
                    mailbox.end(notice);
                } else if mailbox.put(notice).is_err() {
                    mailbox.end(Notice::Disconnected(Disconnect::TooSlow));
                    keeps_up = false;
                }
            }
            told.push(mailbox);
            keeps_up
        });
        told
    }

    /// Ends all subscriptions.
    pub fn end(&mut self, why: Disconnect) -> Vec<Arc<Mailbox<Notice>>> {
        let all: Vec<_> =
            self.mailboxes.drain(..).filter_map(|mailbox| mailbox.upgrade()).collect();
        all.iter().for_each(|mailbox| mailbox.end(Notice::Disconnected(why)));
        all
    }
}
