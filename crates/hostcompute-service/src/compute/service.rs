//! Questions: properties of systems, which systems there are, the service itself.

use hostcompute_engine::compute::cpu_group::CpuGroups;
use hostcompute_engine::compute::properties::{self, Measured, Needs, basic, matches, read_filter};
use hostcompute_engine::compute::record::Record;
use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{Worker, Workers, service_properties};
use hostcompute_schema::{Document, Failure};
use serde_json::Value;

use super::cell::Cell;
use super::modify::to_fault;
use super::{Networks, Shared, WorkerOf};
use crate::sync::{Arc, lock};

impl<W: Workers, N: Networks> Shared<W, N> {
    /// The Properties document of one system.
    pub(super) fn properties(
        &self,
        cell: &Arc<Cell<WorkerOf<W>>>,
        document: &str,
    ) -> Result<Value, Failure> {
        let query = properties::read_query(document)?;
        let needs = cell.look(|system| {
            system.legal(query.verb())?;
            Ok(query.needs(system))
        })?;
        let mut measured = Measured::default();
        if needs != Needs::default() {
            let (worker, ()) = cell.worker(|_| Ok(()))?;
            if needs.statistics {
                let read = worker.statistics();
                measured.statistics = Some(cell.look(|system| system.outcome(Verb::Measure, read)));
            }
            if needs.processes {
                let read = worker.processes();
                measured.processes = Some(cell.look(|system| system.outcome(Verb::Measure, read)));
            }
        }
        cell.look(|system| Ok(query.answer(system, &measured)?.to_value()))
    }

    /// The basic properties of all systems that match, by id.
    pub(super) fn enumerate(self: &Arc<Self>, document: &str) -> Result<Value, Failure> {
        let filter = read_filter(document)?;
        self.clone().adopt_all()?;
        let cells: Vec<_> = lock(&self.systems).values().cloned().collect();
        let mut found = Vec::new();
        for cell in cells.into_iter().filter(|cell| cell.is_alive()) {
            let told =
                cell.look(|system| Ok(matches(&filter, system).then(|| basic(system).to_value())));
            found.extend(told.ok().flatten());
        }
        Ok(Value::Array(found))
    }

    /// Who all systems are, by id.
    pub(super) fn records(self: &Arc<Self>) -> Result<Vec<Record>, Failure> {
        self.clone().adopt_all()?;
        let cells: Vec<_> = lock(&self.systems).values().cloned().collect();
        let alive = cells.into_iter().filter(|cell| cell.is_alive());
        Ok(alive.filter_map(|cell| cell.look(|system| Ok(system.record().clone())).ok()).collect())
    }

    /// The ServiceProperties document.
    pub(super) fn service_properties(&self, document: &str) -> Result<Value, Failure> {
        let groups = CpuGroups::from_text(&self.workers.keep(&mut |_| Ok(None))?);
        let facts = self.workers.facts();
        Ok(service_properties::answer(document, &facts, &groups)?.to_value())
    }

    /// Changes what the service keeps for all systems.
    pub(super) fn modify_service(self: &Arc<Self>, document: &str) -> Result<(), Failure> {
        let facts = self.workers.facts();
        let Some(change) = service_properties::read_modification(document, &facts)? else {
            return Ok(());
        };
        self.clone().adopt_all()?;
        let cells: Vec<_> = lock(&self.systems).values().cloned().collect();
        let alive = cells.iter().filter(|cell| cell.is_alive());
        let alive: Vec<String> = alive
            .filter_map(|cell| cell.look(|system| Ok(system.record().runtime_id.to_string())).ok())
            .collect();
        self.workers.keep(&mut |text| {
            let mut groups = CpuGroups::from_text(text);
            let is_alive = |member: &str| alive.iter().any(|id| id == member);
            groups.change(&change, &is_alive).map_err(to_fault)?;
            Ok(Some(groups.to_text()))
        })?;
        Ok(())
    }
}
