//! The engine on the simulated host: calls go through both, and what must hold is checked after each.

use std::collections::BTreeSet;

use hostcompute_engine::host::{Host, Surroundings, Uplink};
use hostcompute_engine::plan::{Fact, Family, Step, undo};
use hostcompute_engine::sim::{Listener, Simulator};
use hostcompute_engine::{Context, Decision, Record, Request, State, decide};
use hostcompute_schema::{Failure, Guid, HResult};

use crate::random::Random;

/// A state, a host that has its facts, and a source of random numbers.
#[derive(Debug)]
pub struct Machine {
    pub state: State,
    pub host: Simulator,
    random: Random,
}

impl Machine {
    pub fn new(seed: u64) -> Self {
        let surroundings = Surroundings {
            prefixes: ["198.51.100.0/24"].map(|net| net.parse().expect("a prefix")).into(),
            addresses: vec!["198.51.100.1".parse().expect("an address")],
            uplink_mtu: Some(1400),
            answers: true,
            uplinks: vec![Uplink {
                name: "up0".into(),
                index: 2,
                mtu: 1400,
                up: true,
                addresses: vec!["198.51.100.1/24".parse().expect("a prefix")],
                default_route: true,
                ..Uplink::default()
            }],
        };
        let mut host = Simulator::new(surroundings);
        let listener =
            Listener { address: None, family: Family::V4, dual: false, protocol: 6, port: 22 };
        host.listen(listener);
        Self { state: State::default(), host, random: Random::new(seed) }
    }

    pub fn records(&self) -> Vec<Record> {
        self.state.objects().map(|object| object.record()).collect()
    }

    /// A new id, as `hc` makes them.
    pub fn guid(&mut self) -> Guid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.random.number().to_be_bytes());
        bytes[8..].copy_from_slice(&self.random.number().to_be_bytes());
        Guid::from_bytes(bytes)
    }

    /// Decides, performs, checks. What cannot be performed is taken back.
    ///
    /// # Errors
    /// The failure that a client would get.
    ///
    /// # Panics
    /// Something that must hold does not.
    pub fn call(&mut self, request: &Request<'_>) -> Result<(), Failure> {
        let before = self.state.facts();
        let outcome = self.decide(request).and_then(|decision| {
            follows(&before, &decision.plan, &self.state.facts());
            self.perform(&decision)
        });
        match &outcome {
            Ok(()) => {}
            Err(failure) => {
                check_failure(failure, request.document);
                assert_eq!(self.state.facts(), before, "a refused request changed the facts");
            }
        }
        self.check();
        outcome
    }

    fn decide(&mut self, request: &Request<'_>) -> Result<Decision, Failure> {
        let surroundings = self.host.surroundings().expect("the simulator is alive");
        let mut random = || self.random.number();
        let mut context = Context {
            random: &mut random,
            surroundings: &surroundings,
            prepared: &|_| None,
            strict: false,
        };
        decide(&mut self.state, request, &mut context)
    }

    fn perform(&mut self, decision: &Decision) -> Result<(), Failure> {
        let Err(fault) = self.host.perform(&decision.plan) else { return Ok(()) };
        // The only thing that a host may hold against a sound plan is a port that one of its programs has.
        assert_eq!(
            fault.failure.hresult,
            HResult::HCN_E_PORT_ALREADY_EXISTS,
            "the host refused {:?}: {}",
            decision.plan.get(fault.step),
            fault.failure
        );
        self.host.perform(&undo(&decision.plan)).expect("the way back is free");
        self.state.apply(&decision.undo);
        Err(fault.failure)
    }

    /// State and host agree, and the state agrees with itself.
    ///
    /// # Panics
    /// They do not.
    pub fn check(&mut self) {
        assert_eq!(self.state.check(), [], "the state breaks its rules");
        let facts = self.state.facts();
        let differences = self.host.compare(&facts).expect("the simulator is alive");
        assert_eq!(differences, [], "the host differs from the state");
    }

    /// The state survives being stored.
    ///
    /// # Panics
    /// It does not.
    pub fn check_records(&self) {
        let records = self.records();
        let again = State::load(records.clone()).expect("our own records can be read");
        assert_eq!(again.facts(), self.state.facts(), "the reloaded state has other facts");
        let known: Vec<Record> = again.objects().map(|object| object.record()).collect();
        assert_eq!(known, records, "the reloaded state has other records");
    }
}

/// The facts before, with the plan carried out on paper, are the facts after.
fn follows(before: &[Fact], plan: &[Step], after: &[Fact]) {
    let mut facts: BTreeSet<&Fact> = before.iter().collect();
    for step in plan {
        let right = match step {
            Step::Add(fact) => facts.insert(fact),
            Step::Remove(fact) => facts.remove(fact),
            Step::Change { from, to } => facts.remove(from) && facts.insert(to),
            Step::Claim(_) => true,
            Step::Sweep(_) => false,
        };
        assert!(right, "the plan makes no sense at {step:?}");
    }
    assert!(facts.into_iter().eq(after), "the plan leads elsewhere: {plan:?}");
}

/// A failure says what was wrong in one line, and where, if a document is to blame.
///
/// # Panics
/// It does not.
pub fn check_failure(failure: &Failure, text: &str) {
    assert!(!failure.message.trim().is_empty(), "a failure without a message: {failure:?}");
    assert_ne!(failure.hresult, HResult::E_UNEXPECTED, "a bug, by its own account: {failure}");
    assert_ne!(failure.hresult.0, 0, "a failure with the code of success: {failure}");
    if let Some(position) = failure.position {
        let lines = text.lines().count().max(1);
        assert!(
            (1..=lines + 1).contains(&position.line) && position.column >= 1,
            "{position} is not in the document: {failure}"
        );
    }
}
