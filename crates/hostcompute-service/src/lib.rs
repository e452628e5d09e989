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
//! This crate knows no Linux: it is generic over [`Host`], so that the tests run it on the simulator.

mod durability;
mod events;
mod kill;
mod recovery;
mod report;
mod store;
mod transfer;

use std::fmt;

use hostcompute_engine::host::{Counters, Fault, Host, Surroundings};
use hostcompute_engine::plan::{Step, undo};
use hostcompute_engine::request::id_list;
use hostcompute_engine::{Context, Decision, Reply, Request, State, decide, query};
use hostcompute_schema::operation::{Kind as Subject, Verb};
use hostcompute_schema::{Failure, Guid, HResult, Warning};
use serde_json::Value;

use events::Events;
pub use events::Happened;
pub use recovery::{Outcome, Recovery};
pub use report::Report;
pub use store::{Durability, Identity, REPAIR, Store};

/// The service of one host.
pub struct Service<H: Host> {
    host: H,
    store: Store,
    state: State,
    events: Events,
    surroundings: Surroundings,
    random: Random,
    recovery: Option<Recovery>,
    /// Nothing on the host belongs to another state directory.
    alone: bool,
}

impl<H: Host> fmt::Debug for Service<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A source of random numbers.
pub type Random = Box<dyn FnMut() -> u64 + Send>;

/// What a call brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub body: Body,
    /// What was tolerated in the document.
    pub warnings: Vec<Warning>,
}

/// The reply to a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    None,
    /// The object created or opened.
    Id(Guid),
    Document(Value),
}

/// How strictly documents are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Unknown members are kept and reported as warnings.
    Lenient,
    /// Unknown members are refused.
    Strict,
}

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
        let mut service = Self {
            host,
            store,
            state,
            events: Events::default(),
            surroundings: Surroundings::default(),
            random,
            recovery: None,
            alone: false,
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

    /// Carries out one operation, wholly or not at all.
    ///
    /// # Errors
    /// What the engine refuses, the store cannot write or the host cannot do.
    pub fn call(&mut self, request: &Request<'_>, reading: Reading) -> Result<Answer, Failure> {
        if !request.operation.is_read_only() {
            self.settle_debts();
            self.refuse_company()?;
        }
        if makes_networks(request) {
            self.surroundings = self.host.surroundings().map_err(|fault| fault.failure)?;
        }
        let mut left = CHOICES;
        loop {
            let decision = self.decide(request, reading)?;
            if decision.changes.is_empty() && decision.plan.is_empty() {
                return self.answer(decision);
            }
            left -= 1;
            let again = decision.retry_on_conflict && left > 0;
            match self.carry_out(request, decision) {
                Err(failure) if again && failure.hresult == HResult::HCN_E_PORT_ALREADY_EXISTS => {}
                result => return result,
            }
        }
    }

    /// The events of this service from number `from` on.
    pub fn events(&self, from: u64) -> Happened {
        self.events.since(from)
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

    /// Journals and performs a decision that changes something. The state holds it already.
    fn carry_out(
        &mut self,
        request: &Request<'_>,
        mut decision: Decision,
    ) -> Result<Answer, Failure> {
        let operation = request.operation.symbol();
        let durability = durability::of(&self.state, &decision);
        kill::point();
        if let Err(failure) = self.store.begin(operation, &decision.changes, durability) {
            self.state.apply(&decision.undo);
            return Err(failure);
        }
        kill::point();
        if let Err(fault) = perform(&mut self.host, &decision.plan) {
            return Err(self.take_back(&decision, durability, fault));
        }
        kill::point();
        self.store.done();
        tracing::info!(operation, steps = decision.plan.len(), "done");
        self.events.publish(std::mem::take(&mut decision.events));
        self.answer(decision)
    }

    /// Undoes a decision whose plan failed; what the caller is told names both failures.
    fn take_back(&mut self, decision: &Decision, durability: Durability, fault: Fault) -> Failure {
        let mut failure = fault.failure;
        if let Err(second) = perform(&mut self.host, &undo(&decision.plan)) {
            // The next start compares the host with the state and sweeps what is left.
            self.store.settled(false);
            failure.message = format!(
                "{}; taking it back failed too: {}",
                failure.message, second.failure.message
            );
        }
        self.state.apply(&decision.undo);
        kill::point();
        match self.store.revert(durability) {
            Ok(()) => self.store.done(),
            Err(second) => {
                failure.message = format!("{}; {}", failure.message, second.message);
            }
        }
        tracing::warn!(%failure, "taken back");
        failure
    }

    fn answer(&mut self, decision: Decision) -> Result<Answer, Failure> {
        let body = match decision.reply {
            Reply::None => Body::None,
            Reply::Id(id) => Body::Id(id),
            Reply::Ids(ids) => Body::Document(id_list(&ids)),
            Reply::Document(document) => Body::Document(document),
            Reply::Statistics { endpoint, port } => {
                let counters = match port {
                    Some(port) => self.host.counters(&port).map_err(|fault| fault.failure)?,
                    None => Counters::default(),
                };
                Body::Document(query::statistics(endpoint, &counters))
            }
        };
        Ok(Answer { body, warnings: decision.warnings })
    }
}

/// Whether deciding must know what the host has of its own.
fn makes_networks(request: &Request<'_>) -> bool {
    request.operation.subject() == Subject::Network
        && matches!(request.operation.verb(), Verb::Create | Verb::Modify)
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
