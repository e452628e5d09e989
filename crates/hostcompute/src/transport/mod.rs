//! The narrow waist: everything a client can ask is one call, and nothing else crosses.

mod compute;
#[cfg(socket)]
#[doc(hidden)]
pub mod eager;
#[cfg(embedded)]
pub(crate) mod embedded;
#[cfg(socket)]
pub(crate) mod socket;

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hostcompute_schema::operation::Operation;
use hostcompute_schema::service::{HostFile, Obstacle, Progress, Step};
use hostcompute_schema::{Failure, Guid, ServiceOperation, Warning};
use serde_json::Value;

pub use compute::{
    ComputeAnswer, ComputeCall, ComputeEvents, ComputeNotice, ComputeSource, Log, StreamEnd,
    Streams,
};

/// One call of the API.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub operation: Operation,
    /// The object meant, or the id wished for a new one.
    pub id: Option<Guid>,
    /// The network of a new endpoint.
    pub network: Option<Guid>,
    /// Settings or query; empty for none.
    pub document: &'a str,
}

impl<'a> Call<'a> {
    /// A call about an object.
    pub fn on(operation: Operation, id: Guid, document: &'a str) -> Self {
        Self { operation, id: Some(id), network: None, document }
    }
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The document; of a creation the new id as a JSON text; empty where there is nothing to say.
    pub body: String,
    /// What was tolerated in the document.
    pub warnings: Vec<Warning>,
}

/// One of the service's own operations.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub operation: ServiceOperation,
    /// The object that it is about, where it is about one.
    pub id: Option<Guid>,
    /// By the names of the operation's table.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Empty for none.
    pub document: &'a str,
}

impl<'a> Ask<'a> {
    /// An operation that needs nothing more.
    pub fn plain(operation: ServiceOperation) -> Self {
        Self { operation, id: None, parameters: &[], document: "" }
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

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

/// Ends a [`Subscription`], or [`ComputeEvents`], that another thread may be waiting on. Clones end the same one.
#[derive(Clone)]
pub struct Stopper {
    stopped: Arc<AtomicBool>,
    interrupt: Arc<dyn Fn() + Send + Sync>,
}

impl Stopper {
    fn new(interrupt: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { stopped: Arc::default(), interrupt: interrupt.into() }
    }

    fn has_stopped(&self) -> bool {
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

/// A way to reach a service.
pub trait Transport: Debug + Send + Sync {
    /// Carries out one operation of the API.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    fn call(&self, call: &Call<'_>) -> Result<Answer, Failure>;

    /// Carries out one of the service's own operations that is answered by one document, or by nothing (null).
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    fn serve(&self, ask: &Ask<'_>) -> Result<Value, Obstacle>;

    /// Carries out files: `Up`, `Down` or `Diff`; tells of each step as it is done.
    ///
    /// # Errors
    /// What is wrong with a file, what the service refuses, or why it cannot be reached.
    fn carry_out(
        &self,
        work: ServiceOperation,
        files: &[HostFile],
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Step>, Obstacle>;

    /// What happened from notification number `from` on, until now; `u64::MAX` asks only for the number of the next one.
    ///
    /// # Errors
    /// Why the service cannot be reached.
    fn events(&self, from: u64) -> Result<Events, Failure>;

    /// Listens to what happens: from now on, or from the notification after number `after` on.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    fn subscribe(&self, to: Topic, after: Option<u64>) -> Result<Subscription, Failure>;

    /// Carries out one operation of the compute service that is answered by a document, by streams or by nothing. What waits for
    /// something waits in here.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    fn compute(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure>;

    /// Listens to what happens to a compute system from now on.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND, or why the service cannot be reached.
    fn compute_events(&self, system: &str) -> Result<ComputeEvents, Failure>;

    /// Reads what processes of a compute system wrote.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND, or why the service cannot be reached.
    fn compute_log(&self, call: &ComputeCall<'_>) -> Result<Log, Failure>;

    /// Carries out a call about images or layers; null where there is nothing to say.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached; E_ABORT when the watcher does not want to go on; E_NOTIMPL for a
    /// transport that leads to no store.
    #[cfg(images)]
    fn store(
        &self,
        call: crate::store::StoreCall<'_>,
        _watch: hostcompute_storage::Watch<'_>,
    ) -> Result<Value, Failure> {
        let why = format!("{} is not asked this way", call.operation);
        Err(Failure::new(hostcompute_schema::HResult::E_NOTIMPL, why))
    }
}
