//! Everything behind the sockets: many clients at once, one thread that changes the host, readers that wait for nobody.
//!
//! ```text
//!   Session ── changes ──► queue ──► decider: group ──► journal ──► host ──► answers
//!      │ reads                                            │
//!      └────────────► view (committed state) ◄────────────┴──► notifier ──► subscriptions
//! ```
//!
//! - `session.rs`: one client, its rights, handles and requests (`caller.rs`, `handles.rs`, `limits.rs`).
//! - `queue.rs`, `decider.rs`: what waits, and the thread that carries it out.
//! - `operations.rs`: what takes long and is asked about later.
//! - `reservations.rs`: ports of the host that sessions keep for themselves.
//! - `disturbance.rs`: what others do to the host.
//! - `metrics.rs`: numbers for those who watch.
//!
//! Sockets, HTTP and the configuration are the daemon's.

mod caller;
mod decider;
mod disturbance;
mod handles;
mod limits;
mod metrics;
mod operations;
mod queue;
mod reservations;
mod session;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use hostcompute_engine::host::{Counters, Fault, Host, Observer};
use hostcompute_engine::plan::Meter;
use hostcompute_engine::{Kind, State};
use hostcompute_schema::operation::Right;
use hostcompute_schema::{Failure, Guid, HResult};

pub use caller::{Caller, Groups};
pub(crate) use disturbance::Repairs;
pub use handles::Handle;
pub(crate) use limits::exceeded;
pub use limits::{Lease, Limits, ROOT_FACTOR};
pub(crate) use metrics::Numbers;
pub use metrics::{Histogram, JournalNumbers, Metrics, OperationNumbers};
pub use operations::{Following, LongOperation, Operations, Running, Stage, Update};
pub use reservations::{Access, Reservation};
pub use session::Session;

use crate::Service;
use crate::notifier::Notifier;
use crate::sync::{Arc, Mutex, RwLock, lock, read, thread};
use limits::Accounts;
use queue::{Queue, stopped};
use reservations::Reservations;
use session::{Belongings, Change};

/// What can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    pub limits: Limits,
    pub groups: Groups,
}

/// A service for many clients; clones are the same one. Call [`Server::stop`] at the end.
pub struct Server<H: Host> {
    shared: Arc<Shared<H>>,
    decider: Arc<Mutex<Option<thread::JoinHandle<()>>>>,
}

impl<H: Host> Clone for Server<H> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), decider: self.decider.clone() }
    }
}

impl<H: Host> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

/// What sessions, readers and the decider share.
struct Shared<H: Host> {
    queue: Queue<Job<H>>,
    /// Whoever has it changes the host; `None` once the decider has ended.
    service: Mutex<Option<Service<H>>>,
    /// The state that is committed and performed.
    view: Arc<RwLock<State>>,
    notifier: Arc<Notifier>,
    numbers: Arc<Numbers>,
    accounts: Accounts,
    sessions: Mutex<BTreeMap<Guid, Arc<Belongings>>>,
    reservations: Reservations,
    observer: Mutex<Box<dyn Observer + Send>>,
    operations: Operations,
    settings: Settings,
    directory: PathBuf,
}

/// What the decider is asked to do.
enum Job<H: Host> {
    Change(Change),
    Work(Work<H>),
}

type Work<H> = Box<dyn FnOnce(&mut Service<H>) + Send>;

impl<H: Host + Send + 'static> Server<H> {
    /// Puts a service behind a thread of its own.
    ///
    /// # Errors
    /// The host cannot be observed beside being changed, or not be watched.
    pub fn start(mut service: Service<H>, settings: Settings) -> Result<Self, Failure> {
        let observer = service.host().observer().map_err(|fault| fault.failure)?;
        let shared = Arc::new(Shared {
            queue: Queue::new(settings.limits.queue),
            view: service.share(),
            notifier: service.notifier.clone(),
            numbers: service.numbers.clone(),
            accounts: Accounts::default(),
            sessions: Mutex::new(BTreeMap::new()),
            reservations: Reservations::default(),
            observer: Mutex::new(observer),
            operations: Operations::default(),
            settings,
            directory: service.store.directory().to_owned(),
            service: Mutex::new(None),
        });
        disturbance::listen(&shared, service.host())?;
        // It may have moved while nobody watched.
        service.follow_host();
        service.answer_clients();
        *lock(&shared.service) = Some(service);
        let its = shared.clone();
        let decider = thread::Builder::new()
            .name("decider".to_owned())
            .spawn(move || decider::decide(&its))
            .map_err(|error| Failure::new(HResult::E_OUTOFMEMORY, error.to_string()))?;
        Ok(Self { shared, decider: Arc::new(Mutex::new(Some(decider))) })
    }

    /// Begins the session of a client.
    ///
    /// # Errors
    /// E_ACCESSDENIED for who may do nothing here, ERROR_NOT_ENOUGH_QUOTA for who has too many connections, HCN_E_MANAGER_STOPPED.
    pub fn connect(&self, caller: Caller) -> Result<Session<H>, Failure> {
        let right = caller.right(&self.shared.settings.groups)?;
        self.connect_as(caller, right)
    }

    /// Begins a session whose right was found out in another way than by the kernel's word (a console's token).
    ///
    /// # Errors
    /// As [`Self::connect`], but for access.
    pub fn connect_as(&self, caller: Caller, right: Right) -> Result<Session<H>, Failure> {
        if !self.shared.queue.is_open() {
            return Err(stopped());
        }
        Session::begin(self.shared.clone(), new_id(), caller, right)
    }

    /// A session for what runs in the same process and carries out what others may: it is nobody's connection, and not listed.
    ///
    /// # Errors
    /// HCN_E_MANAGER_STOPPED.
    pub fn desk(&self) -> Result<Session<H>, Failure> {
        let session = self.connect_as(Caller::default(), Right::Manage)?;
        lock(&self.shared.sessions).remove(&session.id());
        session.uncounted();
        Ok(session)
    }

    /// Whether requests are accepted; not once it was stopped, or has broken down.
    pub fn is_running(&self) -> bool {
        self.shared.queue.is_open()
    }

    /// Whether changes are taken. They are not after [`Self::stop`], nor when the thread that makes them has ended for another reason.
    pub fn is_open(&self) -> bool {
        self.shared.queue.is_open()
    }

    /// Stops: nothing new is accepted, what was accepted is finished, subscriptions end, the journal is closed. Returns when all of
    /// that is done. Not to be called by what answers a change.
    pub fn stop(&self) {
        self.shared.queue.close();
        if let Some(decider) = lock(&self.decider).take() {
            // It catches what its work throws; whatever else ends it has ended it.
            let _ = decider.join();
        }
    }

    /// The long operations.
    pub fn operations(&self) -> &Operations {
        &self.shared.operations
    }

    /// Numbers for those who watch.
    pub fn metrics(&self) -> Metrics {
        let shared = &self.shared;
        let mut metrics = shared.numbers.read();
        let state = read(&shared.view);
        let kinds = Kind::ALL.iter().filter(|kind| !kind.is_part_of_network());
        metrics.objects = kinds.map(|kind| (*kind, state.count(*kind))).collect();
        drop(state);
        let sessions = lock(&shared.sessions);
        metrics.sessions = sessions.len();
        metrics.handles = sessions.values().map(|session| session.handles()).sum();
        drop(sessions);
        metrics.events = shared.notifier.told();
        metrics.queue = shared.queue.len();
        metrics.journal.bytes = crate::store::size(&shared.directory);
        metrics
    }

    /// Looks at the host beside the thread that changes it.
    pub fn observe<T>(&self, look: impl FnOnce(&mut dyn Observer) -> T) -> T {
        look(&mut **lock(&self.shared.observer))
    }
}

impl<H: Host> Shared<H> {
    /// Whether a session has not ended.
    fn has_session(&self, session: Guid) -> bool {
        lock(&self.sessions).contains_key(&session)
    }

    fn counters(&self, meter: &Meter) -> Result<Counters, Fault> {
        lock(&self.observer).counters(meter)
    }
}

/// An id that nothing has, from the keys that the standard library draws for its hash maps. That is good for sessions, too: a
/// session's id lets in nobody but another connection of the same user.
pub(crate) fn new_id() -> Guid {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let draw = || u128::from(RandomState::new().build_hasher().finish());
    Guid::from_random(draw() << 64 | draw())
}
