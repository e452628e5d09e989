//! One system among others: its state, its worker, who listens and who waits. The lock is held to look and to note, never while a
//! worker or the network service is asked, nor while anybody is called back.

use std::fmt;
use std::time::{Duration, Instant};

use hostcompute_engine::compute::event::Event;
use hostcompute_engine::compute::process::ProcessKey;
use hostcompute_engine::compute::system::System;
use hostcompute_engine::compute::{Found, Happening, Leash, Worker};
use hostcompute_schema::hcs::{ProcessStatus, SystemExitStatus};
use hostcompute_schema::{Failure, HResult};

use super::lane::{Lane, Turn};
use super::networks::OwnNetwork;
use super::subscription::{Disconnect, Listeners, Notice, Subscription};
use crate::mailbox::Mailbox;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, lock, wait, wait_within};

/// One system.
pub(super) struct Cell<W: Worker> {
    /// See [`hostcompute_engine::compute::record::key`].
    pub key: String,
    /// Who asked for it, of a system that is made here.
    user: Option<u32>,
    inside: Mutex<Inside<W>>,
    changed: Condvar,
    lane: Arc<Lane>,
}

struct Inside<W: Worker> {
    /// `None` before it is made, or found.
    system: Option<System>,
    worker: Option<W>,
    /// What was told, and how many handles and gates were opened, before the system was known.
    early: Early,
    /// The namespace of the system's own that is to be removed, from its end on until somebody does it.
    cleanup: Option<(String, OwnNetwork)>,
    /// It was said before that it is.
    gives_up: bool,
    /// It is to be removed, or somebody is at it.
    cleaning: bool,
    fate: Fate,
    listeners: Listeners,
    watches: Vec<Watch>,
    last_watch: u64,
    leash: Leashing,
}

#[derive(Debug, Default)]
struct Early {
    happenings: Vec<Happening>,
    handles: usize,
    gates: usize,
}

/// What became of the making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Making,
    Made,
    Failed,
}

/// The leash as it is and as somebody is making it.
#[derive(Debug, Default)]
struct Leashing {
    held: bool,
    /// Somebody is about to make it what it should be.
    busy: bool,
    /// It is for a newer service to hold.
    given_up: bool,
}

struct Watch {
    id: u64,
    process: Option<ProcessKey>,
    call: Box<dyn FnOnce() + Send>,
}

impl<W: Worker> fmt::Debug for Cell<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What is left to do, without a lock, after something was noted.
#[derive(Default)]
#[must_use = "somebody waits to be called"]
pub(super) struct Aftermath {
    mailboxes: Vec<Arc<Mailbox<Notice>>>,
    calls: Vec<Box<dyn FnOnce() + Send>>,
    /// The system has just ended.
    pub ended: bool,
}

impl Aftermath {
    /// Calls those who wait to be called.
    pub fn call(self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.call());
        self.calls.into_iter().for_each(|call| call());
    }
}

impl<W: Worker> Cell<W> {
    /// A system that nothing is known of yet but its id.
    pub fn new(key: String, user: Option<u32>) -> Self {
        let inside = Inside {
            system: None,
            worker: None,
            early: Early::default(),
            cleanup: None,
            gives_up: false,
            cleaning: false,
            fate: Fate::Making,
            listeners: Listeners::default(),
            watches: Vec::new(),
            last_watch: 0,
            leash: Leashing::default(),
        };
        let (changed, lane) = (Condvar::new(), Arc::new(Lane::default()));
        Self { key, user, inside: Mutex::new(inside), changed, lane }
    }

    /// The user who asked for it here.
    pub fn user(&self) -> Option<u32> {
        self.user
    }

    /// Whether this user asked for it.
    pub fn belongs_to(&self, user: u32) -> bool {
        let of_record = || self.lock().system.as_ref().and_then(|system| system.record().user);
        self.user.or_else(of_record) == Some(user)
    }

    /// Waits for the turn to change the system.
    pub fn enter(&self) -> Turn {
        self.lane.enter()
    }

    /// Has `start` called when it is its turn.
    pub fn queue(&self, start: Box<dyn FnOnce(Turn) + Send>) {
        self.lane.queue(start);
    }

    /// It is about to be made, or was found: its document was understood.
    pub fn describe(&self, mut system: System) {
        let mut inside = self.lock();
        (0..inside.early.handles).for_each(|_| system.hold());
        (0..inside.early.gates).for_each(|_| system.open_gate());
        inside.system = Some(system);
    }

    /// It is there. What was told meanwhile happens now.
    pub fn made(&self, worker: W, found: &Found, leash: Leash) -> Aftermath {
        let mut inside = self.lock();
        inside.worker = Some(worker);
        inside.fate = Fate::Made;
        inside.leash.held = leash == Leash::Held;
        let Some(system) = &mut inside.system else { return Aftermath::default() };
        system.made(found);
        let early = std::mem::take(&mut inside.early.happenings);
        let mut all = Aftermath::default();
        for happening in early {
            let Aftermath { mailboxes, calls, ended } = inside.note(happening);
            all.mailboxes.extend(mailboxes);
            all.calls.extend(calls);
            all.ended |= ended;
        }
        self.changed.notify_all();
        all
    }

    /// Whether its end was told while it is still being made.
    pub fn ended_early(&self) -> bool {
        let inside = self.lock();
        let mut told = inside.early.happenings.iter();
        told.any(|happening| matches!(happening, Happening::Exited(_)))
    }

    /// It could not be made. Nobody is told of it but those who asked for it.
    pub fn failed(&self) -> Aftermath {
        let mut inside = self.lock();
        inside.fate = Fate::Failed;
        inside.worker = None;
        let mailboxes = inside.listeners.end(Disconnect::NotMade);
        let calls = inside.watches.drain(..).map(|watch| watch.call).collect();
        self.changed.notify_all();
        Aftermath { mailboxes, calls, ended: false }
    }

    /// Something happened.
    pub fn happened(&self, happening: Happening) -> Aftermath {
        let mut inside = self.lock();
        if inside.fate == Fate::Making {
            inside.early.happenings.push(happening);
            return Aftermath::default();
        }
        let aftermath = inside.note(happening);
        self.changed.notify_all();
        aftermath
    }

    /// From now on events wait until [`Self::close_gate`].
    pub fn open_gate(&self) {
        let mut inside = self.lock();
        match &mut inside.system {
            Some(system) => system.open_gate(),
            None => inside.early.gates += 1,
        }
    }

    /// The completion that events waited for was told.
    pub fn close_gate(&self) -> Aftermath {
        let mut inside = self.lock();
        let events = inside.system.as_mut().map(System::close_gate).unwrap_or_default();
        let aftermath = inside.tell(events);
        self.changed.notify_all();
        aftermath
    }

    /// Looks at the system.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND when it was never made.
    pub fn look<T>(&self, look: impl FnOnce(&System) -> Result<T, Failure>) -> Result<T, Failure> {
        let inside = self.lock();
        look(inside.system()?)
    }

    /// Notes something about the system.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub fn note<T>(
        &self,
        note: impl FnOnce(&mut System) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut inside = self.lock();
        inside.system()?;
        match &mut inside.system {
            Some(system) => note(system),
            None => Err(not_found(&self.key)),
        }
    }

    /// The worker, when `look` has nothing against it.
    ///
    /// # Errors
    /// What `look` says; HCS_E_SYSTEM_NOT_FOUND when it was never made.
    pub fn worker<T>(
        &self,
        look: impl FnOnce(&System) -> Result<T, Failure>,
    ) -> Result<(W, T), Failure> {
        let inside = self.lock();
        let looked = look(inside.system()?)?;
        let worker = inside.worker.clone().ok_or_else(|| {
            Failure::new(HResult::HCS_E_SYSTEM_ALREADY_STOPPED, "the system has ended")
        })?;
        Ok((worker, looked))
    }

    /// Whether the making is over, one way or the other.
    pub fn is_settled(&self) -> bool {
        self.lock().fate != Fate::Making
    }

    /// Whether others may see it.
    pub fn is_alive(&self) -> bool {
        let inside = self.lock();
        inside.fate == Fate::Made && inside.system.as_ref().is_some_and(System::is_alive)
    }

    /// Whether it was made, and has ended or not.
    pub fn is_made(&self) -> bool {
        self.lock().fate == Fate::Made
    }

    /// One more handle. Then [`Self::mind_leash`].
    pub fn hold(&self) {
        let mut inside = self.lock();
        match &mut inside.system {
            Some(system) => system.hold(),
            None => inside.early.handles += 1,
        }
    }

    /// One handle less. Then [`Self::mind_leash`].
    pub fn let_go(&self) {
        let mut inside = self.lock();
        match &mut inside.system {
            Some(system) => system.let_go(),
            None => inside.early.handles = inside.early.handles.saturating_sub(1),
        }
    }

    /// The system is being ended: its network may go already. Whether there is something to remove.
    pub fn give_up_network(&self) -> bool {
        self.lock().begin_cleanup()
    }

    /// Whether a network is to be removed.
    pub fn has_cleanup(&self) -> bool {
        self.lock().cleanup.is_some()
    }

    /// The network that is to be removed, and whose it was, for the first who asks: who has removed it closes the gate.
    pub fn take_cleanup(&self) -> Option<(String, OwnNetwork)> {
        self.lock().cleanup.take()
    }

    /// Makes the leash what the handles want it to be. Others who want it otherwise meanwhile leave that to this call.
    ///
    /// # Errors
    /// What the worker refuses.
    pub fn mind_leash(&self) -> Result<(), Failure> {
        {
            let mut inside = self.lock();
            if inside.leash.busy {
                return Ok(());
            }
            inside.leash.busy = true;
        }
        loop {
            let Some((worker, wanted)) = self.leash_to_change() else { return Ok(()) };
            let leash = if wanted { Leash::Held } else { Leash::Released };
            let done = worker.leash(leash);
            let mut inside = self.lock();
            inside.leash.held = wanted;
            if let Err(fault) = done {
                inside.leash.busy = false;
                let over = inside.system.as_ref().is_none_or(|system| system.end().is_some());
                return if over { Ok(()) } else { Err(fault.into()) };
            }
        }
    }

    /// The worker and what the leash should be, unless it is so; nobody is busy with it then.
    fn leash_to_change(&self) -> Option<(W, bool)> {
        let mut inside = self.lock();
        let wanted = inside.system.as_ref().is_some_and(System::wants_leash);
        let over = inside.system.as_ref().is_none_or(|system| system.end().is_some());
        let idle = over || inside.leash.given_up || wanted == inside.leash.held;
        let worker = inside.worker.clone().filter(|_| !idle);
        inside.leash.busy = worker.is_some();
        Some((worker?, wanted))
    }

    /// Lets the system go without ending it: this service is about to be replaced.
    pub fn loosen(&self) {
        let worker = {
            let mut inside = self.lock();
            let held = std::mem::take(&mut inside.leash.held);
            inside.leash.given_up = true;
            inside.worker.clone().filter(|_| held)
        };
        if let Some(worker) = worker
            && let Err(fault) = worker.leash(Leash::Loose)
        {
            tracing::warn!(system = self.key, "could not be let go: {fault}");
        }
    }

    /// Lets go of the worker: nothing is done or heard here any more.
    pub fn retire(&self) {
        let worker = self.lock().worker.take();
        drop(worker);
    }

    /// Ends all subscriptions.
    pub fn disconnect(&self, why: Disconnect) -> Aftermath {
        let mailboxes = self.lock().listeners.end(why);
        Aftermath { mailboxes, ..Aftermath::default() }
    }

    /// Hears what happens from now on.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_ALREADY_STOPPED when nothing can happen any more.
    pub fn subscribe(&self, room: usize) -> Result<Subscription, Failure> {
        let mut inside = self.lock();
        if inside.is_over() {
            let why = "the system has ended; nothing happens to it any more";
            return Err(Failure::new(HResult::HCS_E_SYSTEM_ALREADY_STOPPED, why));
        }
        Ok(inside.listeners.add(room))
    }

    /// The exit document, once the system has ended and all that was its own is gone. Waits at most `patience`.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND when it was never made.
    pub fn wait(&self, patience: Duration) -> Result<Option<SystemExitStatus>, Failure> {
        self.wait_until(
            patience,
            |inside| inside.fate == Fate::Failed || inside.is_over(),
            |inside| Ok(inside.system()?.exit_status().filter(|_| inside.is_over())),
        )
    }

    /// Waits until what was the system's own is gone, once it has ended.
    pub fn wait_for_cleanup(&self) {
        let mut inside = self.lock();
        while inside.cleaning {
            inside = wait(&self.changed, inside);
        }
    }

    /// What was the system's own is gone.
    pub fn cleaned_up(&self) -> Aftermath {
        self.lock().cleaning = false;
        self.close_gate()
    }

    /// The status of a process, once it has ended. Waits at most `patience`.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND for a process that is forgotten.
    pub fn wait_for_process(
        &self,
        process: ProcessKey,
        patience: Duration,
    ) -> Result<Option<ProcessStatus>, Failure> {
        self.wait_until(
            patience,
            |inside| inside.has_ended(process),
            |inside| {
                let processes = &inside.system()?.processes;
                let over = processes.is_over(process);
                if over { processes.status(process).map(Some) } else { Ok(None) }
            },
        )
    }

    fn wait_until<T>(
        &self,
        patience: Duration,
        over: impl Fn(&Inside<W>) -> bool,
        tell: impl FnOnce(&Inside<W>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // A patience beyond all clocks is for ever.
        let deadline = Instant::now().checked_add(patience);
        let mut inside = self.lock();
        while !over(&inside) {
            inside = match deadline {
                None => wait(&self.changed, inside),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    wait_within(&self.changed, inside, left)
                }
            };
        }
        tell(&inside)
    }

    /// Has `call` called once: when the process, or else the system, has ended; here and now if it has.
    pub fn watch(&self, process: Option<ProcessKey>, call: Box<dyn FnOnce() + Send>) -> u64 {
        let mut inside = self.lock();
        let over = match process {
            Some(process) => inside.has_ended(process),
            None => inside.is_over() || inside.fate == Fate::Failed,
        };
        inside.last_watch += 1;
        let id = inside.last_watch;
        if over {
            drop(inside);
            call();
        } else {
            inside.watches.push(Watch { id, process, call });
        }
        id
    }

    /// Nobody is called any more.
    pub fn unwatch(&self, id: u64) {
        // What the call holds goes without the lock.
        let _gone: Vec<Watch> = {
            let mut inside = self.lock();
            let (gone, kept) =
                std::mem::take(&mut inside.watches).into_iter().partition(|watch| watch.id == id);
            inside.watches = kept;
            gone
        };
    }

    fn lock(&self) -> MutexGuard<'_, Inside<W>> {
        lock(&self.inside)
    }
}

impl<W: Worker> Inside<W> {
    fn system(&self) -> Result<&System, Failure> {
        match (&self.system, self.fate) {
            (Some(system), Fate::Made) => Ok(system),
            _ => Err(Failure::new(HResult::HCS_E_SYSTEM_NOT_FOUND, "the system was never made")),
        }
    }

    /// Something happened: the state follows, events go out.
    fn note(&mut self, happening: Happening) -> Aftermath {
        let ends = matches!(happening, Happening::Exited(_));
        let Some(system) = &self.system else { return Aftermath::default() };
        let ended = ends && system.end().is_none();
        if ended {
            // Its network is to be gone when its end is heard.
            self.begin_cleanup();
        }
        let Some(system) = &mut self.system else { return Aftermath::default() };
        let events = system.happened(happening);
        let mut aftermath = self.tell(events);
        // A worker holds its sink, and that holds this: nobody needs it any more.
        if let Some(worker) = self.worker.take_if(|_| ended) {
            aftermath.calls.push(Box::new(move || drop(worker)));
        }
        Aftermath { ended, ..aftermath }
    }

    /// From now on the network that is the system's own is to be removed; whether there is one and nobody has said so before.
    fn begin_cleanup(&mut self) -> bool {
        let Some(system) = self.system.as_mut().filter(|_| !self.gives_up) else { return false };
        let Some(own) = OwnNetwork::of(system.record()) else { return false };
        system.open_gate();
        self.cleanup = Some((system.record().id.clone(), own));
        (self.gives_up, self.cleaning) = (true, true);
        true
    }

    fn tell(&mut self, events: Vec<Event>) -> Aftermath {
        let last = matches!(events.last(), Some(Event::SystemExited(_)));
        let mailboxes = self.listeners.tell(events, last);
        let mut calls = Vec::new();
        for watch in std::mem::take(&mut self.watches) {
            let over = match watch.process {
                Some(process) => self.has_ended(process),
                None => self.is_over(),
            };
            if over {
                calls.push(watch.call);
            } else {
                self.watches.push(watch);
            }
        }
        Aftermath { mailboxes, calls, ended: false }
    }

    /// The system has ended, and who listens has heard it.
    fn is_over(&self) -> bool {
        let heard = |system: &System| system.end().is_some() && !system.has_waiting();
        self.fate == Fate::Made && self.system.as_ref().is_some_and(heard)
    }

    fn has_ended(&self, process: ProcessKey) -> bool {
        self.system.as_ref().is_none_or(|system| system.processes.is_over(process))
    }
}

/// While there is one, events of the system wait.
pub(super) struct Gate<W: Worker> {
    cell: Arc<Cell<W>>,
}

impl<W: Worker> Gate<W> {
    /// Opens it.
    pub fn open(cell: &Arc<Cell<W>>) -> Self {
        cell.open_gate();
        Self { cell: cell.clone() }
    }
}

impl<W: Worker> Drop for Gate<W> {
    fn drop(&mut self) {
        self.cell.close_gate().call();
    }
}

/// What one is told who asks for a system that is not there.
pub(super) fn not_found(id: &str) -> Failure {
    let why = format!("there is no compute system {id:?}");
    Failure::new(HResult::HCS_E_SYSTEM_NOT_FOUND, why).hint("list them with: hc ps --all")
}
