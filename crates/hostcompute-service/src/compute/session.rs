//! One client: what it may do, which handles it has, what it asks.
//!
//! A session is what a connection is on the wire. It has handles of systems and processes: those that it made, and those that it
//! opened. A handle means one system even when another has its id later. When the session ends its handles are closed; a system
//! that is not to outlive its last handle ends then.
//!
//! Calls name systems by id. Where the session has a handle of that id the handle's system is meant, else the one that has the id
//! now: asking about a system takes no handle.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hostcompute_engine::compute::exit::system_status;
use hostcompute_engine::compute::process::ProcessKey;
use hostcompute_engine::compute::record::{self, Record};
use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{LogRequest, OnBehalf, Remains, Workers};
use hostcompute_schema::hcs::{ProcessStatus, SystemExitStatus};
use hostcompute_schema::operation::Right;
use hostcompute_schema::{Failure, HResult};

use super::allowance::Allowance;
use super::cell::{Cell, Gate, not_found};
use super::lane::Turn;
use super::{Answer, Body, Call, Networks, Shared, StreamOf, Subscription, WorkerOf};
use crate::answering::Answering;
use crate::sync::{Arc, Mutex, lock};

/// A client. Dropping it closes what it holds.
pub struct Session<W: Workers, N: Networks> {
    shared: Arc<Shared<W, N>>,
    right: Right,
    client: Option<OnBehalf>,
    allowance: Allowance,
    held: Arc<Mutex<Held<WorkerOf<W>>>>,
}

/// What a client holds.
struct Held<W: hostcompute_engine::compute::Worker> {
    systems: BTreeMap<String, (Arc<Cell<W>>, usize)>,
    /// Of earlier systems, whose ids are about to be used again.
    earlier: BTreeMap<String, (Arc<Cell<W>>, usize)>,
    processes: Vec<(Arc<Cell<W>>, ProcessKey)>,
    ended: bool,
}

impl<W: Workers, N: Networks> fmt::Debug for Session<W, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("right", &self.right).finish_non_exhaustive()
    }
}

impl<W: hostcompute_engine::compute::Worker> Held<W> {
    /// One more handle. What comes back are handles that the session has no more: this one, when it has ended; those of an earlier
    /// system with the same id.
    fn add(&mut self, cell: &Arc<Cell<W>>) -> Option<(Arc<Cell<W>>, usize)> {
        if self.ended {
            return Some((cell.clone(), 1));
        }
        match self.systems.get_mut(&cell.key) {
            Some((known, count)) if Arc::ptr_eq(known, cell) => {
                *count += 1;
                None
            }
            _ => self.systems.insert(cell.key.clone(), (cell.clone(), 1)),
        }
    }

    /// Where the newest handle of this process is.
    fn process(&self, key: &str, pid: u32) -> Option<usize> {
        let is = |(cell, process): &(Arc<Cell<W>>, ProcessKey)| {
            cell.key == key && cell.look(|system| system.processes.pid(*process)) == Ok(pid)
        };
        self.processes.iter().rposition(is)
    }
}

/// Somebody waits to be called; dropping this, nobody does any more.
pub struct Watching {
    stop: Option<Box<dyn FnOnce() + Send>>,
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").finish_non_exhaustive()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
    }
}

type CellOf<W> = Arc<Cell<WorkerOf<W>>>;
type Told<W> = Result<Answer<StreamOf<W>>, Failure>;

impl<W: Workers, N: Networks> Session<W, N> {
    pub(super) fn begin(shared: Arc<Shared<W, N>>, right: Right, client: Option<OnBehalf>) -> Self {
        let held = Held {
            systems: BTreeMap::new(),
            earlier: BTreeMap::new(),
            processes: Vec::new(),
            ended: false,
        };
        let allowance = Allowance::UNLIMITED;
        Self { shared, right, client, allowance, held: Arc::new(Mutex::new(held)) }
    }

    /// The same, with so much and no more.
    #[must_use]
    pub fn within(mut self, allowance: Allowance) -> Self {
        self.allowance = allowance;
        self
    }

    /// What the client may do.
    pub fn right(&self) -> Right {
        self.right
    }

    /// Carries out a call, on this thread. What changes a system waits for its turn.
    ///
    /// After [`Verb::Create`] and [`Verb::Open`] the session has a handle more, after [`Verb::CreateProcess`] and
    /// [`Verb::OpenProcess`] one of the process: see [`Self::close`] and [`Self::close_process`].
    ///
    /// # Errors
    /// HCS_E_ACCESS_DENIED; HCS_E_SYSTEM_NOT_FOUND; what is illegal in the system's state, what is wrong with the document, what
    /// the host refuses.
    pub fn call(&self, call: &Call) -> Told<W> {
        self.admit(call.verb)?;
        match self.prepare(call)? {
            Way::Now => self.asking().answer(call),
            Way::Turn(cell) => {
                let _turn = cell.enter();
                let _gate = Gate::open(&cell);
                self.asking().change(&cell, call)
            }
        }
    }

    /// As [`Self::call`], on a thread of the pool; `done` is called there, once, and before anything that happens to the system because of
    /// the call is heard. The id of a new system is taken, and its handle is open, when this returns.
    pub fn submit(&self, call: Call, done: impl FnOnce(Told<W>) + Send + 'static) {
        let answering = Answering::new(done);
        let way = self.admit(call.verb).and_then(|()| {
            if self.shared.pool.backlog() >= self.shared.settings.queue {
                let why = "too many calls wait already";
                return Err(Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, why));
            }
            self.prepare(&call)
        });
        let asking = self.asking();
        let pool = self.shared.pool.clone();
        match way {
            Err(failure) => answering.tell(Err(failure)),
            Ok(Way::Now) => pool.push(Box::new(move || answering.tell(asking.answer(&call)))),
            Ok(Way::Turn(cell)) => {
                let place = cell.clone();
                place.queue(Box::new(move |turn: Turn| {
                    pool.push(Box::new(move || {
                        // The answer is told before what happened meanwhile, and that before the next one has its turn.
                        let _turn = turn;
                        let _gate = Gate::open(&cell);
                        answering.tell(asking.change(&cell, &call));
                    }));
                }));
            }
        }
    }

    /// Opens a handle of a system.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND.
    pub fn open(&self, id: &str) -> Result<(), Failure> {
        self.call(&Call::of(Verb::Open, id, "")).map(drop)
    }

    /// Closes a handle of a system. The last one that anybody has may end it.
    ///
    /// # Errors
    /// E_HANDLE when this session has none.
    pub fn close(&self, id: &str) -> Result<(), Failure> {
        let cell = {
            let mut held = lock(&self.held);
            let key = record::key(id);
            let Some((cell, count)) = held.systems.get_mut(&key) else { return Err(no_handle()) };
            *count -= 1;
            let (cell, count) = (cell.clone(), *count);
            if count == 0 {
                held.systems.remove(&key);
            }
            cell
        };
        cell.let_go();
        cell.mind_leash()
    }

    /// Closes a handle of a process; the process goes on.
    ///
    /// # Errors
    /// E_HANDLE when this session has none.
    pub fn close_process(&self, id: &str, pid: u32) -> Result<(), Failure> {
        let (cell, key) = {
            let mut held = lock(&self.held);
            let found = held.process(&record::key(id), pid).ok_or_else(no_handle)?;
            held.processes.remove(found)
        };
        release(&cell, key);
        Ok(())
    }

    /// The exit document of a system, also of one that ended lately; `None` when `patience` was over first.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND.
    pub fn wait_for_exit(
        &self,
        id: &str,
        patience: Duration,
    ) -> Result<Option<SystemExitStatus>, Failure> {
        self.admit(Verb::WaitForExit)?;
        match self.asking().find(id) {
            Ok(cell) => cell.wait(patience),
            Err(failure) => self.lately(id, failure).map(Some),
        }
    }

    /// The status of a process that has ended; `None` when `patience` was over first.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND; ERROR_NOT_FOUND for a process that is not known.
    pub fn wait_for_process(
        &self,
        id: &str,
        pid: u32,
        patience: Duration,
    ) -> Result<Option<ProcessStatus>, Failure> {
        self.admit(Verb::WaitForExit)?;
        let (cell, key) = self.asking().process(id, pid)?;
        cell.wait_for_process(key, patience)
    }

    /// Has `call` called once, when the system has ended: [`Self::wait_for_exit`] does not wait then. At once when it has.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND.
    pub fn watch_exit(
        &self,
        id: &str,
        call: impl FnOnce() + Send + 'static,
    ) -> Result<Watching, Failure> {
        self.admit(Verb::WaitForExit)?;
        match self.asking().find(id) {
            Ok(cell) => Ok(watch(cell, None, Box::new(call))),
            Err(failure) => {
                self.lately(id, failure)?;
                call();
                Ok(Watching { stop: None })
            }
        }
    }

    /// Has `call` called once, when the process has ended: [`Self::wait_for_process`] does not wait then.
    ///
    /// # Errors
    /// As [`Self::wait_for_process`].
    pub fn watch_process(
        &self,
        id: &str,
        pid: u32,
        call: impl FnOnce() + Send + 'static,
    ) -> Result<Watching, Failure> {
        self.admit(Verb::WaitForExit)?;
        let (cell, key) = self.asking().process(id, pid)?;
        Ok(watch(cell, Some(key), Box::new(call)))
    }

    /// Hears what happens to a system and its processes from now on. What happened before is not told again.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND; HCS_E_SYSTEM_ALREADY_STOPPED.
    pub fn subscribe(&self, id: &str) -> Result<Subscription, Failure> {
        self.admit(Verb::WaitForExit)?;
        self.asking().find(id)?.subscribe(self.shared.settings.backlog)
    }

    /// What the processes of a system have written, also of one that ended lately.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND.
    pub fn log(&self, id: &str, request: LogRequest) -> Result<StreamOf<W>, Failure> {
        self.admit(Verb::GetProperties)?;
        Ok(self.shared.workers.log(id, request)?)
    }

    /// Who the systems are that are there, whoever made them.
    ///
    /// # Errors
    /// What is there cannot be read.
    pub fn records(&self) -> Result<Vec<Record>, Failure> {
        self.admit(Verb::Enumerate)?;
        self.shared.records()
    }

    /// Systems that ended lately, the newest first.
    ///
    /// # Errors
    /// What is left of them cannot be read.
    pub fn remains(&self) -> Result<Vec<Remains>, Failure> {
        self.admit(Verb::Enumerate)?;
        Ok(self.shared.workers.remains()?)
    }

    /// How many handles of systems and of processes the session has.
    pub fn handles(&self) -> (usize, usize) {
        let held = lock(&self.held);
        (held.systems.values().map(|(_, count)| count).sum(), held.processes.len())
    }

    /// Closes all handles. Dropping the session does the same.
    pub fn end(&self) {
        let (systems, processes) = {
            let mut held = lock(&self.held);
            held.ended = true;
            let earlier = std::mem::take(&mut held.earlier).into_values();
            let systems = std::mem::take(&mut held.systems).into_values().chain(earlier);
            (systems.collect::<Vec<_>>(), std::mem::take(&mut held.processes))
        };
        processes.into_iter().for_each(|(cell, key)| release(&cell, key));
        for (cell, count) in systems {
            (0..count).for_each(|_| cell.let_go());
            // A worker may take a while to let go.
            self.shared.pool.push(Box::new(move || mind(&cell)));
        }
    }

    fn admit(&self, verb: Verb) -> Result<(), Failure> {
        self.shared.refuse_stopping()?;
        if lock(&self.held).ended {
            return Err(Failure::new(HResult::E_HANDLE, "the session has ended"));
        }
        if self.right >= verb.right() {
            return Ok(());
        }
        Err(Failure::new(HResult::HCS_E_ACCESS_DENIED, "this caller may look, not change")
            .hint("root and the members of the service's group may change"))
    }

    /// How a call is carried out. Takes the id of a new system, and opens its handle.
    fn prepare(&self, call: &Call) -> Result<Way<WorkerOf<W>>, Failure> {
        if matches!(call.verb, Verb::Create | Verb::Open | Verb::CreateProcess | Verb::OpenProcess)
        {
            let (systems, processes) = self.handles();
            self.allowance.admits_handle(systems + processes)?;
        }
        Ok(match call.verb {
            Verb::Create => {
                let cell = self.shared.reserve(&call.system, &self.allowance)?;
                cell.hold();
                self.asking().keep_new(&cell);
                Way::Turn(cell)
            }
            Verb::Start
            | Verb::ShutDown
            | Verb::Pause
            | Verb::Resume
            | Verb::Save
            | Verb::Crash
            | Verb::Modify
            | Verb::ModifyNetwork
            | Verb::CreateProcess => Way::Turn(self.asking().find(&call.system)?),
            // Whatever the system is busy with is cut short, but its making is not.
            Verb::Terminate => {
                let cell = self.asking().find(&call.system)?;
                if cell.is_settled() { Way::Now } else { Way::Turn(cell) }
            }
            _ => Way::Now,
        })
    }

    fn lately(&self, id: &str, failure: Failure) -> Result<SystemExitStatus, Failure> {
        let key = record::key(id);
        let remains = self.shared.workers.remains()?;
        let found = remains.iter().find(|one| record::key(&one.id) == key);
        found.map(|one| system_status(&one.end)).ok_or(failure)
    }

    fn asking(&self) -> Asking<W, N> {
        let client = self.client.clone();
        let (shared, held) = (self.shared.clone(), self.held.clone());
        Asking { shared, client, allowance: self.allowance, held }
    }
}

impl<W: Workers, N: Networks> Drop for Session<W, N> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a call waits for its turn.
enum Way<W: hostcompute_engine::compute::Worker> {
    Now,
    Turn(Arc<Cell<W>>),
}

/// What a call has of its session, which may end meanwhile.
struct Asking<W: Workers, N: Networks> {
    shared: Arc<Shared<W, N>>,
    client: Option<OnBehalf>,
    allowance: Allowance,
    held: Arc<Mutex<Held<WorkerOf<W>>>>,
}

impl<W: Workers, N: Networks> Asking<W, N> {
    /// What waits for nobody.
    fn answer(&self, call: &Call) -> Told<W> {
        let document = call.document.as_str();
        let body = match call.verb {
            Verb::Enumerate => Body::Document(self.shared.enumerate(document)?),
            Verb::GetServiceProperties => Body::Document(self.shared.service_properties(document)?),
            Verb::ModifyService => {
                self.shared.modify_service(document)?;
                Body::Nothing
            }
            Verb::Open => {
                let cell = self.shared.find(&call.system)?;
                cell.look(|_| Ok(()))?;
                cell.hold();
                self.keep(&cell);
                cell.mind_leash()?;
                Body::Nothing
            }
            Verb::GetProperties | Verb::Measure => {
                let cell = self.find(&call.system)?;
                Body::Document(self.shared.properties(&cell, document)?)
            }
            Verb::Terminate => {
                let cell = self.find(&call.system)?;
                return self.change(&cell, call);
            }
            Verb::OpenProcess => {
                let cell = self.find(&call.system)?;
                let key = cell.note(|system| {
                    system.legal(Verb::OpenProcess)?;
                    let key = system.processes.find(pid(call)?)?;
                    system.processes.legal(Verb::OpenProcess, key)?;
                    system.processes.hold(key);
                    Ok(key)
                })?;
                self.keep_process(&cell, key);
                Body::Nothing
            }
            verb => {
                let (cell, key) = self.process(&call.system, pid(call)?)?;
                return self.shared.to_process(&cell, key, verb, document);
            }
        };
        Ok(body.into())
    }

    /// What has its turn.
    fn change(&self, cell: &CellOf<W>, call: &Call) -> Told<W> {
        let document = call.document.as_str();
        match call.verb {
            Verb::Create => {
                let made = self.shared.create(cell, call, self.client.as_ref());
                self.settle_new(cell, made.is_ok());
                return Ok(Answer { body: Body::Nothing, warnings: made? });
            }
            Verb::Terminate => self.shared.terminate(cell, document)?,
            Verb::Modify | Verb::ModifyNetwork => {
                self.shared.modify(cell, document, self.client.as_ref())?;
            }
            Verb::CreateProcess => {
                let (key, answer) = self.shared.create_process(cell, document, &self.allowance)?;
                self.keep_process(cell, key);
                return Ok(answer);
            }
            verb => self.shared.lead(cell, verb, document)?,
        }
        Ok(Body::Nothing.into())
    }

    /// The system that is meant.
    fn find(&self, id: &str) -> Result<CellOf<W>, Failure> {
        let held = lock(&self.held).systems.get(&record::key(id)).map(|(cell, _)| cell.clone());
        match held {
            Some(cell) => Ok(cell),
            None => self.shared.find(id),
        }
    }

    /// The process that is meant: of those with that id the one that is held, also when its system is gone; else the last.
    fn process(&self, id: &str, pid: u32) -> Result<(CellOf<W>, ProcessKey), Failure> {
        {
            let held = lock(&self.held);
            let key = record::key(id);
            let system = held.systems.get(&key).map(|(cell, _)| cell);
            let found = held.process(&key, pid).and_then(|index| held.processes.get(index));
            if let Some((cell, process)) = found
                && system.is_none_or(|system| Arc::ptr_eq(system, cell))
            {
                return Ok((cell.clone(), *process));
            }
        }
        let cell = self.find(id)?;
        let key = cell.look(|system| system.processes.find(pid))?;
        Ok((cell, key))
    }

    /// The session has a handle of a system, which has counted it already.
    fn keep(&self, cell: &CellOf<W>) {
        let replaced = lock(&self.held).add(cell);
        self.let_go(replaced);
    }

    /// As [`Self::keep`], of a system that is about to be made: handles of an earlier one with this id come back when it is not.
    fn keep_new(&self, cell: &CellOf<W>) {
        let mut held = lock(&self.held);
        let replaced = held.add(cell);
        let replaced = match replaced {
            Some((earlier, count)) if !held.ended => {
                held.earlier.insert(cell.key.clone(), (earlier, count))
            }
            other => other,
        };
        drop(held);
        self.let_go(replaced);
    }

    /// The new system was made, or not.
    fn settle_new(&self, cell: &CellOf<W>, made: bool) {
        let surplus = {
            let mut held = lock(&self.held);
            let earlier = held.earlier.remove(&cell.key);
            let is_new = held.systems.get(&cell.key).map(|(known, _)| Arc::ptr_eq(known, cell));
            match earlier {
                _ if made => earlier,
                None => {
                    if is_new == Some(true) {
                        held.systems.remove(&cell.key);
                    }
                    None
                }
                Some(earlier) if is_new == Some(false) => Some(earlier),
                Some(earlier) => {
                    held.systems.insert(cell.key.clone(), earlier);
                    None
                }
            }
        };
        self.let_go(surplus);
    }

    /// Handles that the session has no more.
    fn let_go(&self, handles: Option<(CellOf<W>, usize)>) {
        if let Some((cell, count)) = handles {
            (0..count).for_each(|_| cell.let_go());
            mind(&cell);
        }
    }

    fn keep_process(&self, cell: &CellOf<W>, key: ProcessKey) {
        let mut held = lock(&self.held);
        if held.ended {
            drop(held);
            return release(cell, key);
        }
        held.processes.push((cell.clone(), key));
    }
}

impl<W: Workers, N: Networks> Shared<W, N> {
    /// The system that has an id now, whoever made it.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND.
    pub(super) fn find(self: &Arc<Self>, id: &str) -> Result<CellOf<W>, Failure> {
        match self.known(id) {
            Some(cell) if cell.is_made() => Ok(cell),
            Some(_) => Err(not_found(id)),
            None => self.adopt(id),
        }
    }
}

fn watch<W: hostcompute_engine::compute::Worker>(
    cell: Arc<Cell<W>>,
    process: Option<ProcessKey>,
    call: Box<dyn FnOnce() + Send>,
) -> Watching {
    let id = cell.watch(process, call);
    Watching { stop: Some(Box::new(move || cell.unwatch(id))) }
}

fn release<W: hostcompute_engine::compute::Worker>(cell: &Cell<W>, key: ProcessKey) {
    let released = cell.note(|system| {
        system.processes.release(key);
        Ok(())
    });
    debug_assert!(released.is_ok(), "a process of a system that was never made");
}

/// Minds the leash where there is nobody to be told that it failed.
fn mind<W: hostcompute_engine::compute::Worker>(cell: &Cell<W>) {
    if let Err(failure) = cell.mind_leash() {
        tracing::warn!(system = cell.key, "could not be let go: {failure:#}");
    }
}

fn pid(call: &Call) -> Result<u32, Failure> {
    call.pid.ok_or_else(|| Failure::new(HResult::E_INVALIDARG, "the call is about a process"))
}

fn no_handle() -> Failure {
    Failure::new(HResult::E_HANDLE, "this session has no such handle")
}
