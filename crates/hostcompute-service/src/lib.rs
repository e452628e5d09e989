//! Who asked and what is remembered: the one call that changes a host, its journal, and recovery.
//!
//! A [`Service`] owns a state directory ([`Store`]), the engine's state and a host. [`Service::call`] decides, writes down what
//! will be true, makes it true and marks it done:
//!
//! ```text
//!   decide ──► journal (rows + means to undo) ──► host.perform ──► done
//!                                                     │ fault
//!                                                     ▼
//!                               host.perform(undo) ──► old rows ──► both failures to the caller
//! ```
//!
//! A process that dies anywhere in between leaves a pending row; [`Service::open`] then compares the host with the state and
//! finishes the operation, or undoes it where the host refuses (`recovery`).
//!
//! A [`server::Server`] puts a service behind a thread of its own and lets many clients ask at once; what waits together is carried
//! out together (`group`).
//!
//! This crate knows no Linux: it is generic over [`Host`], so that the tests run it on the simulator.

mod answering;
pub mod apply;
mod call;
pub mod compute;
mod durability;
mod group;
mod kill;
mod mailbox;
mod management;
mod notifier;
mod recovery;
mod remembered;
mod report;
#[cfg(all(test, feature = "schedules"))]
mod schedules;
pub mod server;
mod store;
mod sync;
mod transfer;

/// The world of the tests is written from outside.
#[cfg(all(test, feature = "schedules"))]
extern crate self as hostcompute_service;

use std::fmt;
use std::path::Path;

use hostcompute_engine::host::{Fault, Host, Surroundings};
use hostcompute_engine::plan::Step;
use hostcompute_engine::{Context, Decision, Reply, Request, State, decide};
use hostcompute_schema::operation::{Kind as Subject, Verb};
use hostcompute_schema::{Failure, Guid, HResult, Warning};

pub use call::{Answer, Body, Call, IdempotencyKey, Reading};
use group::{Asked, Drafted, Group};
use notifier::Notifier;
pub use notifier::{Disconnect, Happened, Notice, Subscription, Told, Topic};
pub use recovery::{Outcome, Recovery};
pub use report::Report;
use server::{Numbers, Repairs};
pub use store::{Durability, Identity, REPAIR, Store};
use sync::{Arc, RwLock};

/// The service of one host.
pub struct Service<H: Host> {
    host: H,
    store: Store,
    state: State,
    notifier: Arc<Notifier>,
    /// A copy of what is committed and performed, for readers on other threads.
    view: Option<Arc<RwLock<State>>>,
    numbers: Arc<Numbers>,
    surroundings: Surroundings,
    random: Random,
    recovery: Option<Recovery>,
    /// The machine on which the objects are realised.
    identity: Identity,
    /// Nothing on the host belongs to another state directory.
    alone: bool,
    repairs: Repairs,
}

impl<H: Host> fmt::Debug for Service<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A source of random numbers.
pub type Random = Box<dyn FnMut() -> u64 + Send>;

/// How often an operation is decided anew when a port that the service itself chose turns out to be taken.
const CHOICES: usize = 16;

impl<H: Host> Service<H> {
    /// Opens the service on a store and a host; what an earlier process left unfinished is finished or undone first.
    ///
    /// A host that cannot be brought to agree with the state does not make this fail: [`Self::recovery`] tells of it, and
    /// objects can still be looked at and deleted.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub fn open(
        store: Store,
        host: H,
        identity: &Identity,
        random: Random,
    ) -> Result<Self, Failure> {
        let state = State::load(store.records()?)?;
        // Numbers begin with 1: whoever has heard nothing yet goes on after 0.
        let notifier = Arc::new(Notifier::starting_at(store.events() + 1));
        let mut service = Self {
            host,
            store,
            state,
            notifier,
            view: None,
            numbers: Arc::default(),
            surroundings: Surroundings::default(),
            random,
            recovery: None,
            identity: identity.clone(),
            alone: false,
            repairs: Repairs::default(),
        };
        service.recovery = service.recover(identity)?;
        Ok(service)
    }

    /// What [`Self::open`] had to repair, if anything.
    pub fn recovery(&self) -> Option<&Recovery> {
        self.recovery.as_ref()
    }

    /// The state as it is now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// An id that nothing has.
    pub fn new_id(&mut self) -> Guid {
        let (high, low) = (u128::from((self.random)()), u128::from((self.random)()));
        Guid::from_random(high << 64 | low)
    }

    /// The host, for what is beside the API (its doctor, its namespaces).
    pub fn host(&mut self) -> &mut H {
        &mut self.host
    }

    /// Tells those who come for the state directory on which socket they are served instead.
    ///
    /// # Errors
    /// HCN_E_REGKEY_FAILURE when that cannot be written.
    pub fn serve_at(&mut self, socket: &Path) -> Result<(), Failure> {
        self.store.serve_at(socket)
    }

    /// Carries out one operation, wholly or not at all.
    ///
    /// # Errors
    /// What the engine refuses, the store cannot write or the host cannot do.
    pub fn call(&mut self, request: &Request<'_>, reading: Reading) -> Result<Answer, Failure> {
        self.call_one(&Asked { request: request.clone(), reading, key: None })
    }

    pub(crate) fn call_one(&mut self, asked: &Asked<'_>) -> Result<Answer, Failure> {
        if !asked.request.operation.is_read_only() {
            self.settle_debts();
            self.refuse_company()?;
        }
        let mut left = CHOICES;
        loop {
            let decision = match self.draft(asked)? {
                Drafted::Decided(decision) => decision,
                Drafted::Known(answer) => return Ok(answer),
            };
            left -= 1;
            let again = decision.retry_on_conflict && left > 0;
            let mut group = Group::default();
            group.add(&self.state, asked, decision);
            match self.carry_out(&mut group) {
                Err(failure) if again && failure.hresult == HResult::HCN_E_PORT_ALREADY_EXISTS => {}
                Err(failure) => return Err(failure),
                Ok(()) => {
                    let Decision { reply, warnings, .. } = group.decisions.remove(0);
                    return self.answer(reply, warnings);
                }
            }
        }
    }

    /// Uses idle time: writes what is owed, makes ready what coming operations need. Whether there is more to do.
    fn make_ready(&mut self) -> bool {
        // Where it still cannot be written, the next change is told why.
        let _ = self.store.repay();
        self.host.prepare()
    }

    /// From now on this process answers for the networks of the state. What cannot be answered now is tried again before the next change.
    fn answer_clients(&mut self) {
        if let Err(fault) = self.host.answer(&self.state.answers()) {
            tracing::warn!(failure = %fault.failure, "not every network is answered");
            self.store.settled(false);
        }
    }

    /// From now on keeps a copy of what is committed and performed for others to look at.
    fn share(&mut self) -> Arc<RwLock<State>> {
        self.view.get_or_insert_with(|| Arc::new(RwLock::new(self.state.clone()))).clone()
    }

    /// Lets readers see the state as it is now, whatever they saw before.
    fn show_all(&self) {
        if let Some(view) = &self.view {
            *sync::write(view) = self.state.clone();
        }
    }

    /// The events of this service from number `from` on.
    pub fn events(&self, from: u64) -> Happened {
        self.notifier.since(from)
    }

    /// Waits for removals that the host finishes in the background.
    ///
    /// # Errors
    /// A removal failed for good.
    pub fn settle(&mut self) -> Result<(), Failure> {
        self.host.settle().map_err(|fault| fault.failure)
    }

    fn decide(&mut self, request: &Request<'_>, reading: Reading) -> Result<Decision, Failure> {
        let strict = reading == Reading::Strict;
        let mut context = Context {
            random: &mut *self.random,
            surroundings: &self.surroundings,
            prepared: &|namespace| self.host.prepared(namespace),
            strict,
        };
        decide(&mut self.state, request, &mut context)
    }

    fn answer(&mut self, reply: Reply, warnings: Vec<Warning>) -> Result<Answer, Failure> {
        Answer::of(reply, warnings, |port| self.host.counters(port))
    }
}

/// Whether deciding must know what the host has of its own: networks are placed beside that, and an endpoint may name an adapter, which
/// few do. To ask the host takes longer the more links it has.
fn concerns_surroundings(request: &Request<'_>) -> bool {
    const POLICY: &[u8] = b"InterfaceConstraint";
    let names_adapter = || {
        let mut pieces = request.document.as_bytes().windows(POLICY.len());
        pieces.any(|piece| piece.eq_ignore_ascii_case(POLICY))
    };
    match (request.operation.subject(), request.operation.verb()) {
        (Subject::Network, Verb::Create) => true,
        (Subject::Endpoint, Verb::Create | Verb::Modify) => names_adapter(),
        _ => false,
    }
}

/// Performs a plan, in one piece except where a test wants to die in the middle of it.
fn perform<H: Host>(host: &mut H, plan: &[Step]) -> Result<(), Fault> {
    if !kill::stepwise() {
        return if plan.is_empty() { Ok(()) } else { host.perform(plan) };
    }
    for (step, single) in plan.iter().enumerate() {
        kill::point();
        host.perform(std::slice::from_ref(single)).map_err(|fault| Fault { step, ..fault })?;
    }
    Ok(())
}
