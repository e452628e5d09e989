//! One client: what it may do, what it holds, and what it asks.
//!
//! A session is what a connection is on the wire. When it ends (dropped, or [`Session::end`]) its handles and subscriptions go at
//! once; what it made stays, and changes that it asked for are carried out all the same.

use std::ops::Deref;
use std::time::{Duration, Instant};

use hostcompute_engine::host::Host;
use hostcompute_engine::{Kind, Seen, State, look, query};
use hostcompute_schema::compute::ComputeOperation;
use hostcompute_schema::operation::Right;
use hostcompute_schema::{Failure, Guid, HResult};

use super::caller::{Caller, require};
use super::handles::{Handle, Handles};
use super::limits::{Account, Lease, Limits};
use super::queue::stopped;
use super::{Job, Shared};
use crate::answering::{Answering, broke_down};
use crate::sync::{Arc, Mutex, lock, mpsc, read};
use crate::{Answer, Call, Reading, Service, Subscription, Topic};

/// Who asked, for the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    pub session: Guid,
    pub uid: u32,
    pub pid: Option<u32>,
}

impl Asker {
    /// One line for a change, done or refused.
    pub fn audit(&self, what: &str, id: Option<Guid>, code: HResult) {
        tracing::info!(
            target: "audit",
            uid = self.uid,
            pid = self.pid,
            session = %self.session,
            operation = what,
            id = id.map(tracing::field::display),
            hresult = %code,
        );
    }
}

/// A change that waits for its turn.
pub(super) struct Change {
    pub call: Call,
    pub asker: Asker,
    pub asked: Instant,
    pub answering: Answering<Answer>,
}

/// What one client holds.
#[derive(Debug)]
pub(super) struct Belongings {
    /// `None` once the session has ended.
    handles: Mutex<Option<Handles>>,
    account: Arc<Account>,
    connection: Mutex<Option<Lease>>,
}

impl Belongings {
    pub fn handles(&self) -> usize {
        lock(&self.handles).as_ref().map_or(0, Handles::len)
    }
}

/// A client's session. Dropping it runs it down.
pub struct Session<H: Host> {
    shared: Arc<Shared<H>>,
    id: Guid,
    caller: Caller,
    right: Right,
    belongings: Arc<Belongings>,
}

impl<H: Host> std::fmt::Debug for Session<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("caller", &self.caller).finish()
    }
}

impl<H: Host + Send + 'static> Session<H> {
    pub(super) fn begin(
        shared: Arc<Shared<H>>,
        id: Guid,
        caller: Caller,
        right: Right,
    ) -> Result<Self, Failure> {
        let (account, connection) = shared.accounts.connect(caller.uid, shared.settings.limits)?;
        let handles = Mutex::new(Some(Handles::default()));
        let connection = Mutex::new(Some(connection));
        let belongings = Arc::new(Belongings { handles, account, connection });
        lock(&shared.sessions).insert(id, belongings.clone());
        Ok(Self { shared, id, caller, right, belongings })
    }

    /// Counts as nobody's connection: the service's own.
    pub(super) fn uncounted(&self) {
        *lock(&self.belongings.connection) = None;
    }

    /// What tells this session from others.
    pub fn id(&self) -> Guid {
        self.id
    }

    /// Who is behind it.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What the caller may do.
    pub fn right(&self) -> Right {
        self.right
    }

    /// Whether the caller may do what needs this right.
    ///
    /// # Errors
    /// E_ACCESSDENIED.
    pub fn require(&self, needed: Right) -> Result<(), Failure> {
        require(self.right, needed)
    }

    /// Counts a request that something else than this service answers against the caller's limits.
    ///
    /// # Errors
    /// ERROR_NOT_ENOUGH_QUOTA, ERROR_MESSAGE_EXCEEDS_MAX_SIZE; E_HANDLE once the session has ended.
    pub fn count_request(&self, bytes: usize) -> Result<(), Failure> {
        self.with_handles(|_| Ok(()))?;
        self.belongings.account.request(bytes)
    }

    /// Counts an operation that something else than this service answered.
    pub fn answered(&self, operation: ComputeOperation, took: Duration, failed: bool) {
        self.shared.numbers.answered(operation.name(), took, failed);
    }

    /// Writes a line of the audit trail for something that something else than this service did.
    pub fn audit(&self, what: &str, code: HResult) {
        self.asker().audit(what, None, code);
    }

    /// Asks for something. What only reads is answered at once, on this thread, from what is committed. A change is carried out on this
    /// thread, too, together with others that wait, unless another one is at it; `done` is called on the thread that carries it out.
    pub fn submit(&self, call: Call, done: impl FnOnce(Result<Answer, Failure>) + Send + 'static) {
        let asked = Instant::now();
        if let Err(failure) = self.admit(&call) {
            if !call.operation.is_read_only() {
                self.asker().audit(call.operation.symbol(), call.id, failure.hresult);
            }
            self.shared.numbers.answered(call.operation.name(), asked.elapsed(), true);
            return done(Err(failure));
        }
        self.carry_out(call, asked, done);
    }

    fn carry_out(
        &self,
        call: Call,
        asked: Instant,
        done: impl FnOnce(Result<Answer, Failure>) + Send + 'static,
    ) {
        if call.operation.is_read_only() {
            let result = self.look(&call);
            self.shared.numbers.answered(call.operation.name(), asked.elapsed(), result.is_err());
            return done(result);
        }
        let answering = Answering::new(done);
        let change = Change { call, asker: self.asker(), asked, answering };
        match self.shared.queue.push(Job::Change(change)) {
            Err((Job::Change(change), failure)) => {
                let Change { call, asker, answering, .. } = change;
                asker.audit(call.operation.symbol(), call.id, failure.hresult);
                self.shared.numbers.answered(call.operation.name(), asked.elapsed(), true);
                answering.tell(Err(failure));
            }
            _ => self.shared.see_to_it(),
        }
    }

    /// As [`Self::submit`], waiting for the answer.
    ///
    /// # Errors
    /// What the caller may not do, what the service refuses or cannot do; HCN_E_MANAGER_STOPPED once it stops.
    pub fn call(&self, call: Call) -> Result<Answer, Failure> {
        let (sender, answer) = mpsc::channel();
        self.submit(call, move |result| drop(sender.send(result)));
        answer.recv().map_err(|_| broke_down())?
    }

    /// As [`Self::call`], for a step of something that was admitted as a whole: it counts against no limit of the caller's, so that
    /// what was begun can be finished or taken back.
    pub(crate) fn call_admitted(&self, call: Call) -> Result<Answer, Failure> {
        require(self.right, call.operation.right())?;
        let (sender, answer) = mpsc::channel();
        self.carry_out(call, Instant::now(), move |result| drop(sender.send(result)));
        answer.recv().map_err(|_| broke_down())?
    }

    /// Opens a handle on an object.
    ///
    /// # Errors
    /// The kind's not-found code; ERROR_NOT_ENOUGH_QUOTA when the session has too many handles.
    pub fn open(&self, kind: Kind, id: Guid) -> Result<Handle, Failure> {
        self.belongings.account.request(0)?;
        self.with_handles(|handles| {
            handles.open(&read(&self.shared.view), kind, id, self.belongings.account.limits())
        })
    }

    /// Gives a handle back. The object stays.
    ///
    /// # Errors
    /// E_HANDLE for a handle that this session does not have.
    pub fn close(&self, handle: Handle) -> Result<(), Failure> {
        self.with_handles(|handles| handles.close(handle))
    }

    /// The object of a handle.
    ///
    /// # Errors
    /// E_HANDLE for a handle that this session does not have; HCN_E_OBJECT_USED_AFTER_UNLOAD when the object was deleted, also
    /// when another has its id now.
    pub fn object(&self, handle: Handle) -> Result<(Kind, Guid), Failure> {
        self.with_handles(|handles| handles.object(&read(&self.shared.view), handle))
    }

    /// All handles of this session, oldest first.
    pub fn handles(&self) -> Vec<(Handle, Kind, Guid)> {
        lock(&self.belongings.handles).as_ref().map(Handles::all).unwrap_or_default()
    }

    /// Subscribes to what happens from now on, or after the event with number `after`.
    ///
    /// # Errors
    /// HCN_E_NETWORK_NOT_FOUND and ERROR_NOT_FOUND for what is not there; ERROR_NOT_ENOUGH_QUOTA when the user has too many subscriptions.
    pub fn subscribe(&self, to: Topic, after: Option<u64>) -> Result<Subscription, Failure> {
        self.belongings.account.request(0)?;
        // Under the lock that the end of the session takes first: nothing is subscribed after it.
        self.with_handles(|_| {
            match to {
                Topic::All => {}
                Topic::Network(network) => drop(read(&self.shared.view).network(network)?),
                Topic::GuestService(id) => drop(read(&self.shared.view).guest_service(id)?),
            }
            let account = &self.belongings.account;
            let lease = account.subscribe()?;
            let backlog = account.limits().backlog;
            Ok(self.shared.notifier.subscribe(to, after, self.id, backlog).holding(lease))
        })
    }

    /// A subscription with something else than this service, which counts as one as long as the answer is kept.
    ///
    /// # Errors
    /// ERROR_NOT_ENOUGH_QUOTA; E_HANDLE once the session has ended.
    pub fn count_subscription(&self) -> Result<Lease, Failure> {
        self.with_handles(|_| self.belongings.account.subscribe())
    }

    /// Does something with the whole service, when nothing else is done with it; `what` names it in the audit trail.
    ///
    /// # Errors
    /// E_ACCESSDENIED for a caller without the right; ERROR_NOT_ENOUGH_QUOTA for one who may only look and made others wait a moment
    /// ago; HCN_E_MANAGER_STOPPED once the service stops.
    pub fn with_service<T: Send + 'static>(
        &self,
        right: Right,
        what: &'static str,
        work: impl FnOnce(&mut Service<H>) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let admitted = require(self.right, right).and_then(|()| self.belongings.account.request(0));
        if right == Right::Manage {
            let code = admitted.as_ref().map_or_else(|failure| failure.hresult, |()| HResult::S_OK);
            self.asker().audit(what, None, code);
        }
        admitted?;
        let looks_only = self.right == Right::Read;
        if looks_only {
            self.belongings.account.hold_up()?;
        }
        let (sender, answer) = mpsc::channel();
        let account = self.belongings.account.clone();
        let work = Job::Work(Box::new(move |service| {
            let since = Instant::now();
            let done = work(service);
            if looks_only {
                account.held_up(since.elapsed());
            }
            drop(sender.send(done));
        }));
        self.shared.queue.push(work).map_err(|(_, failure)| failure)?;
        self.shared.see_to_it();
        answer.recv().map_err(|_| broke_down())
    }

    /// What is committed and performed. Changes wait while somebody looks: for more than a glance take a [`Self::snapshot`].
    pub fn view(&self) -> impl Deref<Target = State> {
        read(&self.shared.view)
    }

    /// A copy of what is committed and performed, for a longer look: its objects are shared, its indexes are its own (a millisecond
    /// for five thousand objects).
    pub fn snapshot(&self) -> State {
        read(&self.shared.view).clone()
    }

    /// Ends the session: its handles are closed, its subscriptions end. Dropping it does the same.
    pub fn end(&self) {
        self.shared.run_down(self.id, &self.belongings);
    }

    pub(super) fn shared(&self) -> &Arc<Shared<H>> {
        &self.shared
    }

    pub(super) fn limits(&self) -> &Limits {
        self.belongings.account.limits()
    }

    fn asker(&self) -> Asker {
        Asker { session: self.id, uid: self.caller.uid, pid: self.caller.pid }
    }

    fn admit(&self, call: &Call) -> Result<(), Failure> {
        self.with_handles(|_| Ok(()))?;
        self.belongings.account.request(call.document.len())?;
        require(self.right, call.operation.right())?;
        if self.shared.queue.is_open() { Ok(()) } else { Err(stopped()) }
    }

    fn look(&self, call: &Call) -> Result<Answer, Failure> {
        let strict = call.reading == Reading::Strict;
        let request = call.request();
        let view = read(&self.shared.view);
        let Seen { reply, warnings } = if query::examines_all(&view, &request) {
            drop(view);
            look(&self.snapshot(), &request, strict)?
        } else {
            let seen = look(&view, &request, strict);
            drop(view);
            seen?
        };
        Answer::of(reply, warnings, |port| self.shared.counters(port))
    }

    fn with_handles<T>(
        &self,
        work: impl FnOnce(&mut Handles) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match lock(&self.belongings.handles).as_mut() {
            Some(handles) => work(handles),
            None => Err(Failure::new(HResult::E_HANDLE, "the session has ended")),
        }
    }
}

impl<H: Host> Shared<H> {
    /// Takes from a session what it holds.
    fn run_down(&self, session: Guid, belongings: &Belongings) {
        if lock(&belongings.handles).take().is_some() {
            self.notifier.end_session(session);
            lock(&self.sessions).remove(&session);
            self.reservations.run_down(session);
        }
    }
}

impl<H: Host> Drop for Session<H> {
    fn drop(&mut self) {
        self.shared.run_down(self.id, &self.belongings);
    }
}
