//! A state to try requests on, with checks after every step: the state's own, the plan against the facts, the records, and the way
//! back.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;

use hostcompute_engine::host::{Surroundings, Uplink};
use hostcompute_engine::plan::{Step, difference};
use hostcompute_engine::{Context, Decision, Reply, Request, State, decide};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Failure, Guid, HResult};
use serde_json::{Value, json};

/// A state with a source of numbers, and checks after every step.
pub struct World {
    pub state: State,
    seed: u64,
    pub surroundings: Surroundings,
    /// Interfaces that the host has ready.
    pub prepared: BTreeMap<Guid, u32>,
}

impl World {
    pub fn new() -> Self {
        Self {
            state: State::default(),
            seed: 1,
            surroundings: Surroundings::default(),
            prepared: BTreeMap::new(),
        }
    }

    /// One whose host has an adapter `up0` with 192.0.2.1/24 and the default route.
    pub fn on_a_wire() -> Self {
        let mut world = Self::new();
        world.surroundings.uplinks.push(Uplink {
            name: "up0".into(),
            index: 2,
            mtu: 1500,
            up: true,
            addresses: vec!["192.0.2.1/24".parse().unwrap()],
            default_route: true,
            ..Uplink::default()
        });
        world
    }

    pub fn call(
        &mut self,
        operation: Operation,
        id: Option<Guid>,
        document: Value,
    ) -> Result<Decision, Failure> {
        let text = document.to_string();
        let request = Request { operation, id, network: None, document: &text };
        let before = self.state.facts();
        let mut random = || {
            self.seed =
                self.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            self.seed >> 7
        };
        let mut context = Context {
            random: &mut random,
            surroundings: &self.surroundings,
            prepared: &|namespace| self.prepared.get(&namespace).copied(),
            strict: false,
        };
        let result = decide(&mut self.state, &request, &mut context);
        assert_eq!(self.state.check(), [], "after {operation:?} {text}");
        let after = self.state.facts();
        if let Ok(decision) = &result {
            let steps: Vec<Step> =
                decision.plan.iter().filter(|s| !matches!(s, Step::Claim(_))).cloned().collect();
            assert_eq!(steps, difference(&before, &after), "after {operation:?} {text}");
            let records: Vec<_> = self.state.objects().map(|object| object.record()).collect();
            let loaded = State::load(records).unwrap();
            assert_eq!(loaded.facts(), after);
            let mut back = self.state.clone();
            back.apply(&decision.undo);
            assert_eq!(back.facts(), before);
            assert_eq!(back.check(), []);
        } else {
            assert_eq!(before, after, "a refused request changes nothing");
        }
        result
    }

    pub fn create(&mut self, operation: Operation, document: Value) -> Guid {
        match self.call(operation, None, document).unwrap().reply {
            Reply::Id(id) => id,
            other => panic!("{other:?}"),
        }
    }

    pub fn refuse(
        &mut self,
        operation: Operation,
        id: Option<Guid>,
        document: Value,
    ) -> (HResult, String) {
        let failure = self.call(operation, id, document).unwrap_err();
        (failure.hresult, failure.path.unwrap_or_default())
    }

    pub fn show(&mut self, operation: Operation, id: Guid) -> Value {
        let query = json!({"SchemaVersion": {"Major": 2, "Minor": 0}});
        match self.call(operation, Some(id), query).unwrap().reply {
            Reply::Document(document) => document,
            Reply::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}
