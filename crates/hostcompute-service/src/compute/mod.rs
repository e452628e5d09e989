//! Compute systems for many clients: sessions and their handles, one order of changes for each system, what is told and to whom.
//!
//! ```text
//!   Session ── call ──► lane of the system ──► worker (no lock held) ──► answer
//!                            │                    │ what happens
//!                            └── a thread of the pool, or the caller's    ▼
//!                                          Cell: state, subscriptions, waits
//! ```
//!
//! - `session.rs`: one client, its handles and requests.
//! - `cell.rs`: one system; `lane.rs`: whose turn it is to change it; `subscription.rs`: who hears what happens.
//! - `create.rs`, `life.rs`, `processes.rs`, `modify.rs`, `service.rs`: what each verb does.
//! - `allowance.rs`: how much a client may have.
//! - `adopt.rs`: systems that others made, or this program in an earlier life.
//! - `pool.rs`: the threads.
//!
//! It knows no Linux: it is generic over who carries systems ([`Workers`]) and over the network service ([`Networks`]). There is no
//! journal: what is to be remembered of a system is with its worker, and ends with the machine's boot as the system does.

mod adopt;
mod allowance;
mod call;
mod cell;
mod create;
mod lane;
mod life;
mod modify;
mod networks;
mod over;
mod pool;
mod processes;
#[cfg(all(test, feature = "schedules"))]
mod schedules;
mod service;
mod session;
mod subscription;
mod wished;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Weak;

use hostcompute_engine::compute::document::Policy;
use hostcompute_engine::compute::record;
use hostcompute_engine::compute::{Happening, HostFacts, OnBehalf, Sink, Worker, Workers};
use hostcompute_schema::operation::Right;
use hostcompute_schema::{Failure, Guid, HResult};

pub use allowance::Allowance;
pub use call::{Answer, Body, Call, ProcessInformation};
pub use networks::{Adapter, Networks, OwnNetwork, Placed};
pub use over::OverDesk;
pub use session::{Session, Watching};
pub use subscription::{Disconnect, Notice, Subscription};

use crate::Random;
use crate::sync::{Arc, Mutex, lock};
use cell::{Aftermath, Cell};
use pool::Pool;

/// When a service looks for systems that it did not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Adoption {
    /// When it starts: it stays, and wants to hear of their ends.
    #[default]
    AtStart,
    /// When a client asks for one, or for all: it is there for one command.
    WhenAsked,
}

/// What can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub adoption: Adoption,
    /// How many calls may be carried out at once.
    pub threads: usize,
    /// How many calls may wait for a thread.
    pub queue: usize,
    /// How many events may wait for a reader before it is cut off.
    pub backlog: usize,
    /// What to do with settings that only Windows has and that take nothing away.
    pub policy: Policy,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            adoption: Adoption::AtStart,
            threads: 16,
            queue: 4096,
            backlog: 1024,
            policy: Policy::Ignore,
        }
    }
}

/// The compute systems of a host. A clone is the same.
pub struct Compute<W: Workers, N: Networks> {
    shared: Arc<Shared<W, N>>,
}

struct Shared<W: Workers, N: Networks> {
    workers: W,
    networks: N,
    settings: Settings,
    systems: Mutex<BTreeMap<String, Arc<Cell<W::Worker>>>>,
    stopping: Mutex<bool>,
    pool: Pool,
    random: Mutex<Random>,
}

impl<W: Workers, N: Networks> Clone for Compute<W, N> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<W: Workers, N: Networks> fmt::Debug for Compute<W, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compute").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl<W: Workers, N: Networks> Compute<W, N> {
    /// Finds the systems that are there, and lets go of the networks of those that ended while nobody looked, unless the settings
    /// say later.
    ///
    /// # Errors
    /// What is there cannot be read.
    pub fn open(
        workers: W,
        networks: N,
        settings: Settings,
        random: Random,
    ) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            workers,
            networks,
            settings,
            systems: Mutex::new(BTreeMap::new()),
            stopping: Mutex::new(false),
            pool: Pool::new(settings.threads),
            random: Mutex::new(random),
        });
        if settings.adoption == Adoption::AtStart {
            shared.clone().adopt_all()?;
            shared.sweep_networks();
        }
        Ok(Self { shared })
    }

    /// A client with this right. What it holds goes when the session is dropped.
    ///
    /// # Errors
    /// HCS_E_SERVICE_DISCONNECT once the service stops.
    pub fn session(&self, right: Right) -> Result<Session<W, N>, Failure> {
        self.session_of(right, None)
    }

    /// As [`Self::session`], for a client whose own rights count where it names paths of the host.
    ///
    /// # Errors
    /// As [`Self::session`].
    pub fn session_of(
        &self,
        right: Right,
        client: Option<OnBehalf>,
    ) -> Result<Session<W, N>, Failure> {
        self.shared.refuse_stopping()?;
        Ok(Session::begin(self.shared.clone(), right, client))
    }

    /// Lets go of the networks of systems that ended while nobody looked.
    pub fn sweep(&self) {
        self.shared.sweep_networks();
    }

    /// The host.
    pub fn facts(&self) -> HostFacts {
        self.shared.workers.facts()
    }

    /// Who carries the systems, for what is beside the API.
    pub fn workers(&self) -> &W {
        &self.shared.workers
    }

    /// How many systems are known that have not ended.
    pub fn alive(&self) -> usize {
        lock(&self.shared.systems).values().filter(|cell| cell.is_alive()).count()
    }

    /// Waits until nothing is done in the background.
    pub fn settle(&self) {
        self.shared.pool.settle();
    }

    /// Ends no system with its last handle any more: a newer service will adopt those that are there.
    pub fn loosen(&self) {
        let cells: Vec<_> = lock(&self.shared.systems).values().cloned().collect();
        cells.iter().for_each(|cell| cell.loosen());
    }

    /// Takes no new calls and ends all subscriptions; the systems go on, also those that would end with their last handle
    /// ([`Self::loosen`]). What was begun is finished.
    pub fn stop(&self) {
        *lock(&self.shared.stopping) = true;
        self.loosen();
        let cells: Vec<_> = lock(&self.shared.systems).values().cloned().collect();
        for cell in cells {
            cell.disconnect(Disconnect::Stopping).call();
        }
        self.shared.pool.close();
    }
}

impl<W: Workers, N: Networks> Shared<W, N> {
    fn refuse_stopping(&self) -> Result<(), Failure> {
        if !*lock(&self.stopping) {
            return Ok(());
        }
        Err(Failure::new(HResult::HCS_E_SERVICE_DISCONNECT, "the service stops"))
    }

    /// A GUID that nothing has.
    fn fresh(&self) -> Guid {
        let mut random = lock(&self.random);
        let (high, low) = (u128::from(random()), u128::from(random()));
        Guid::from_random(high << 64 | low)
    }

    /// The system of this id, if it is known here.
    fn known(&self, id: &str) -> Option<Arc<Cell<W::Worker>>> {
        lock(&self.systems).get(&record::key(id)).cloned()
    }

    /// From now on this cell is not the one of its id.
    fn forget(&self, cell: &Arc<Cell<W::Worker>>) {
        let mut systems = lock(&self.systems);
        if systems.get(&cell.key).is_some_and(|known| Arc::ptr_eq(known, cell)) {
            systems.remove(&cell.key);
        }
    }

    /// Who is told what happens to a system.
    fn sink(self: &Arc<Self>, cell: &Arc<Cell<W::Worker>>) -> Sink {
        let (shared, cell): (Weak<Self>, _) = (Arc::downgrade(self), cell.clone());
        Arc::new(move |happening: Happening| {
            let aftermath = cell.happened(happening);
            match shared.upgrade() {
                Some(shared) => shared.after(&cell, aftermath),
                None => aftermath.call(),
            }
        })
    }

    /// Does what is left to do after something was noted of a system.
    fn after(self: &Arc<Self>, cell: &Arc<Cell<W::Worker>>, aftermath: Aftermath) {
        if aftermath.ended {
            self.forget(cell);
        }
        if aftermath.ended && cell.has_cleanup() {
            let (shared, cell) = (self.clone(), cell.clone());
            self.pool.push(Box::new(move || shared.clean_up(&cell)));
        }
        aftermath.call();
    }

    /// Removes the network that was a system's own, unless somebody else does or did; its end is heard then.
    fn clean_up(&self, cell: &Arc<Cell<W::Worker>>) {
        let Some((id, own)) = cell.take_cleanup() else { return };
        self.release(&id, &own);
        cell.cleaned_up().call();
    }
}

impl<W: Workers, N: Networks> Drop for Shared<W, N> {
    fn drop(&mut self) {
        self.pool.close();
        std::mem::take(&mut *lock(&self.systems)).into_values().for_each(|cell| cell.retire());
    }
}

/// What a place of a launch is called where there is no launch: a modification names it otherwise.
fn refused_by_worker(fault: hostcompute_engine::compute::Fault, at: &str) -> Failure {
    let placed = fault.place.is_some();
    let failure = Failure::from(fault);
    if placed { failure.at(at) } else { failure }
}

/// Whether a document says anything.
fn is_given(document: &str) -> bool {
    !matches!(document.trim_ascii(), "" | "null")
}

/// Verbs without options refuse some.
fn refuse_options(document: &str) -> Result<(), Failure> {
    if !is_given(document) {
        return Ok(());
    }
    Err(Failure::new(
        HResult::E_INVALIDARG,
        "this call has no options; the document must be absent",
    ))
}

/// The worker of a system, for those who have a cell.
type WorkerOf<W> = <W as Workers>::Worker;
/// One end of a pipe.
type StreamOf<W> = <<W as Workers>::Worker as Worker>::Stream;
