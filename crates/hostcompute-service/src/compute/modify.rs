//! Changing a system that is there.

use hostcompute_engine::compute::cpu_group::CpuGroups;
use hostcompute_engine::compute::document::{Change, read_modify};
use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{Fault, Limits, OnBehalf, Worker, Workers};
use hostcompute_schema::{Failure, Guid, HResult};

use super::cell::Cell;
use super::{Networks, Shared, WorkerOf, refused_by_worker};
use crate::sync::Arc;

const AT: &str = "$.Settings";

impl<W: Workers, N: Networks> Shared<W, N> {
    pub(super) fn modify(
        &self,
        cell: &Arc<Cell<WorkerOf<W>>>,
        document: &str,
        client: Option<&OnBehalf>,
    ) -> Result<(), Failure> {
        // The network can be modified whenever anything can be.
        let looked = |system: &hostcompute_engine::compute::system::System| {
            system.legal(Verb::ModifyNetwork)?;
            Ok((system.limits().clone(), system.record().clone()))
        };
        let (worker, (limits, record)) = cell.worker(looked)?;
        let change = read_modify(document, &limits, &self.workers.facts())?;
        cell.look(|system| system.legal(change.verb()))?;
        let refused = |fault: Fault| refused_by_worker(fault, AT).in_document(document);
        let answer = match change {
            Change::Limits(changed) => self.limit(cell, &worker, changed),
            Change::AddMount(mount) => worker.add_mount(&mount, client),
            Change::RemoveMount(path) => worker.remove_mount(&path),
            Change::AddPipe(pipe) => worker.add_pipe(&pipe, client),
            Change::RemovePipe(name) => worker.remove_pipe(&name),
            Change::AddDevices(devices) => worker.add_devices(&devices),
            Change::RemoveDevices(devices) => worker.remove_devices(&devices),
            Change::AddEndpoint(endpoint) => {
                let added = self.networks.add(namespace(record.namespace)?, endpoint);
                return added.map_err(|failure| failure.at(AT).in_document(document));
            }
            Change::RemoveEndpoint(endpoint) => {
                let removed = self.networks.remove(namespace(record.namespace)?, endpoint);
                return removed.map_err(|failure| failure.at(AT).in_document(document));
            }
            Change::CpuGroup(group) => {
                self.group(cell, &worker, &record.runtime_id.to_string(), group)
            }
        };
        cell.look(|system| match answer {
            Err(fault) if system.end().is_none() => Err(refused(fault)),
            answer => system.outcome(Verb::Modify, answer),
        })
    }

    fn limit(
        &self,
        cell: &Arc<Cell<WorkerOf<W>>>,
        worker: &WorkerOf<W>,
        limits: Limits,
    ) -> Result<(), Fault> {
        worker.update(&limits)?;
        let noted = cell.note(|system| {
            system.set_limits(limits);
            Ok(())
        });
        noted.map_err(|failure| Fault::new(failure.hresult, failure.story()))
    }

    /// Puts a system into a group of processors, or out of the one it is in.
    fn group(
        &self,
        cell: &Arc<Cell<WorkerOf<W>>>,
        worker: &WorkerOf<W>,
        member: &str,
        group: Option<Guid>,
    ) -> Result<(), Fault> {
        if group.is_some() && !self.workers.facts().limits.cpuset {
            let why = "processors cannot be chosen for a container here";
            return Err(Fault::new(HResult::ERROR_NOT_SUPPORTED, why));
        }
        let mut before = None;
        let mut cpus = None;
        self.workers.keep(&mut |text| {
            let mut groups = CpuGroups::from_text(text);
            before = groups.of(member);
            cpus = groups.assign(member, group).map_err(to_fault)?;
            Ok(Some(groups.to_text()))
        })?;
        let limits = cell.look(|system| Ok(system.limits().clone())).map_err(to_fault)?;
        let done = self.limit(cell, worker, Limits { cpus, ..limits });
        if done.is_err() {
            self.workers.keep(&mut |text| {
                let mut groups = CpuGroups::from_text(text);
                groups.assign(member, before).map_err(to_fault)?;
                Ok(Some(groups.to_text()))
            })?;
        }
        done
    }
}

fn namespace(id: Option<Guid>) -> Result<Guid, Failure> {
    id.ok_or_else(|| {
        let why = "the container is in no namespace of the network service";
        Failure::new(HResult::ERROR_NOT_SUPPORTED, why)
            .at("$.ResourcePath")
            .hint("make it with Networking.Namespace or Networking.NetworkAdapters")
    })
}

/// For where only faults go through.
pub(super) fn to_fault(failure: Failure) -> Fault {
    let told = Fault::new(failure.hresult, failure.story());
    Fault { hint: failure.hint, ..told }
}
