//! The pool: rooms made while nobody waits, so that making a namespace and attaching to it take a fraction of the time.
//!
//! A room is a network namespace without a name, held by descriptors, with a veth pair whose inner end is in it: what a fresh
//! namespace and the first port's link would be, but for what only the port can tell (its addresses, its MAC). The host end is down
//! and in a group of its own, so that nothing passes it. [`Pool::take`] gives a room to a namespace; its pair then waits for the
//! port that is made with the index the pair has ([`Pool::prepared`], [`Pool::redeem`]).
//!
//! One thread fills the pool ([`filler`]), once [`Pool::open`] has been called, when nothing else has been done for a moment: making
//! a room holds the kernel's lock on links, which whoever attaches meanwhile would wait for. Nothing outlives the process but what
//! was given to a namespace of an object, since nothing else has a name; and a pair in such a namespace ends with it.
//!
//! A namespace inherits settings from the machine when it is made. A new room that differs in them from the older ones therefore
//! replaces these, and our own switch of forwarding empties the pool.

pub(crate) mod filler;

use std::collections::{HashMap, VecDeque};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hostcompute_engine::plan::{INNER_INDEX, Port, host_end};
use hostcompute_schema::Guid;

use crate::cleanup::Cleanup;
use crate::error::Error;
use crate::netns::Inside;
use crate::route::numbering::Numbering;
use filler::Filler;

/// The interface group of host ends that wait for their port.
pub(crate) const POOL_GROUP: u32 = 0x6863_0003;

/// The name of a namespace's first interface.
pub(crate) const INNER_NAME: &str = "eth0";

/// So many rooms are kept ready.
const MOST: usize = 16;
/// So long nothing must have been done before a room is made.
const QUIET: Duration = Duration::from_millis(2);

/// A namespace that nobody has yet.
#[derive(Debug)]
pub(crate) struct Room {
    pub inside: Inside,
    /// A mount of the namespace's handle that is nowhere yet; absent where the kernel cannot make one.
    pub handle: Option<OwnedFd>,
    /// Index of the host end of the pair.
    pub index: u32,
    /// What the namespace has from the machine.
    inherited: Inherited,
}

/// Settings that a namespace is born with.
type Inherited = Vec<u8>;

/// The rooms of one host.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Named namespaces whose pair waits for its port.
    promised: HashMap<Guid, u32>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Room>,
    /// When the host was last changed.
    used: Option<Instant>,
    /// A change is under way.
    busy: bool,
    /// Rooms made for an earlier value are not taken in.
    generation: u64,
    /// The thread sleeps until it is told that a room was taken.
    asleep: bool,
    ending: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Rooms and numbers, valid after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread, if it sleeps because nothing was wanted.
    fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.asleep) {
            self.changed.notify_all();
        }
    }
}

impl Pool {
    /// From now on rooms are made; called again, nothing happens.
    pub(crate) fn open(
        &mut self,
        netns: Option<BorrowedFd<'_>>,
        numbering: &Numbering,
        cleanup: &Cleanup,
    ) -> Result<(), Error> {
        if self.thread.is_some() {
            return Ok(());
        }
        let filler = Filler::new(netns, numbering.clone())?;
        let (shared, cleanup) = (Arc::clone(&self.shared), cleanup.watch());
        let thread = std::thread::Builder::new()
            .name("hostcompute-pool".into())
            .spawn(move || filler::run(&shared, filler, &cleanup))
            .map_err(|source| Error::system("start the pool's thread", source))?;
        self.thread = Some(thread);
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.thread.is_some()
    }

    /// Says that a change begins or is over: no room is made meanwhile, nor shortly after. The thread is not told, since waking it
    /// costs more than all else here; while rooms are wanted it looks by itself.
    pub(crate) fn set_busy(&self, busy: bool) {
        if self.is_open() {
            let mut state = self.shared.lock();
            state.busy = busy;
            state.used = Some(Instant::now());
        }
    }

    /// A room, if one is ready; its pair waits for the first port of `netns`.
    pub(crate) fn take(&mut self, netns: Guid) -> Option<Room> {
        let room = {
            let mut state = self.shared.lock();
            let room = state.ready.pop_front();
            // It makes many at once rather than one after each change, whose author it would be in the way of.
            if state.ready.len() <= MOST / 2 {
                self.shared.wake(&mut state);
            }
            room?
        };
        self.promised.insert(netns, room.index);
        Some(room)
    }

    /// The index of the pair that waits in a namespace.
    pub(crate) fn prepared(&self, netns: Guid) -> Option<u32> {
        self.promised.get(&netns).copied()
    }

    /// Whether the port's pair waits for it. It does so once.
    pub(crate) fn redeem(&mut self, port: &Port) -> bool {
        let meant = self.promised.get(&port.netns) == Some(&port.index)
            && port.name == host_end(port.index)
            && (port.inner_name.as_str(), port.inner_index) == (INNER_NAME, INNER_INDEX);
        meant && self.promised.remove(&port.netns).is_some()
    }

    /// The namespace is gone, or what was ready in it is of no use.
    pub(crate) fn forget(&mut self, netns: Guid) {
        self.promised.remove(&netns);
    }

    /// Lets go of all rooms: namespaces would be born with other settings now.
    pub(crate) fn empty(&mut self) {
        let rooms = {
            let mut state = self.shared.lock();
            state.generation += 1;
            self.shared.wake(&mut state);
            std::mem::take(&mut state.ready)
        };
        drop(rooms);
    }

    /// How many rooms are ready.
    pub(crate) fn ready(&self) -> usize {
        self.shared.lock().ready.len()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().ending = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was reported when it happened; what it held is gone with it.
            let _ = thread.join();
        }
    }
}
