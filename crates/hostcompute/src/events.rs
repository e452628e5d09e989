//! What happens on a host, as it happens: notifications as an iterator that knows of gaps, and ends when somebody says so.
//!
//! [`Host::subscribe`](crate::Host::subscribe) begins one. Notifications are numbered, in the order in which they happened, the same for
//! every listener; a subscription tells each once. What it could not tell it counts ([`Notice::Missed`]), so that whoever keeps a picture of
//! the host knows when to look again.
//!
//! A service that is started anew is no end: over the socket, a subscription connects again, as long as
//! [`Options::patience`](crate::Options::patience) lasts, and goes on behind the last notification that it has told. Numbers go on, too,
//! for they are kept with the objects; of the notifications a service has the latest 4096, as long as it runs. `Missed(0)` says that nobody
//! knows how much was missed: a subscription that was interrupted before it had told anything, or a service with another history.
//!
//! ```no_run
//! use hostcompute::events::{Notice, Topic};
//! use hostcompute::{Host, Options};
//!
//! # fn main() -> Result<(), hostcompute::Error> {
//! let host = Host::auto(Options::from_env())?;
//! let heard = host.subscribe(Topic::All, None)?;
//! let stopper = heard.stopper(); // another thread ends it by `stopper.stop()`
//! for notice in heard {
//!     match notice? {
//!         Notice::Event(event) => println!("{} {} {}", event.number, event.name, event.data),
//!         Notice::Missed(count) => println!("{count} were missed: look at everything again"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hostcompute_schema::{Failure, Guid};
use serde_json::Value;

pub use crate::transport::{ComputeEvents, ComputeNotice, ComputeSource};

/// A notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place among all notifications of the service.
    pub number: u64,
    /// The value in HCN_NOTIFICATIONS.
    pub code: u32,
    /// Its name, without prefix.
    pub name: String,
    /// NotificationBase.
    pub data: Value,
}

/// The notifications since a number, and where to go on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Events {
    pub events: Vec<Event>,
    pub next: u64,
    /// Notifications that were gone before they were asked for.
    pub missed: u64,
}

/// One thing that a [`Subscription`] tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    Event(Event),
    /// So many notifications could not be told; 0 where nobody knows how many, because the service was started anew.
    Missed(u64),
}

/// What a subscription is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Everything that happens.
    All,
    /// What happens to one network: to itself, and to endpoints of it that come into namespaces and leave them.
    Network(Guid),
    /// What happens to one guest network service.
    GuestService(Guid),
}

/// What happens, in order and without gaps that it does not tell of. Dropping it unsubscribes.
///
/// As an iterator it blocks until something happens; it ends after an error, and when it is stopped ([`Subscription::stopper`]).
pub struct Subscription {
    source: Box<dyn Source>,
    stopper: Stopper,
    over: bool,
}

/// Where notifications come from.
pub trait Source: Send {
    /// The next one, waiting for it.
    ///
    /// # Errors
    /// Why there will be no more.
    fn wait(&mut self) -> Result<Notice, Failure>;

    /// What makes [`Self::wait`] return with an error, now and from now on, called by another thread.
    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync>;
}

/// Ends a [`Subscription`], [`ComputeEvents`] or a [`Log`](crate::Log) that another thread may be waiting on. Clones end the same one.
#[derive(Clone)]
pub struct Stopper {
    stopped: Arc<AtomicBool>,
    interrupt: Arc<dyn Fn() + Send + Sync>,
}

impl Stopper {
    pub(crate) fn new(interrupt: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { stopped: Arc::default(), interrupt: interrupt.into() }
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The subscription tells nothing more: who waits on it is told that it has ended.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        (self.interrupt)();
    }
}

impl Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").field("stopped", &self.stopped).finish_non_exhaustive()
    }
}

impl Subscription {
    /// A subscription to what a transport hears.
    pub fn new(source: Box<dyn Source>) -> Self {
        let stopper = Stopper::new(source.interrupter());
        Self { source, stopper, over: false }
    }

    /// What ends it from another thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }
}

impl Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Iterator for Subscription {
    type Item = Result<Notice, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.source.wait();
        // What comes after it was stopped, that it was interrupted included, is for nobody.
        let stopped = self.stopper.has_stopped();
        self.over = stopped || next.is_err();
        (!stopped).then_some(next)
    }
}
