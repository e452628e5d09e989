//! Processes: making them, and everything that is done to one.

use hostcompute_engine::compute::document::{
    ProcessChange, read_process, read_process_modify, read_signal,
};
use hostcompute_engine::compute::process::ProcessKey;
use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{Signal, Worker, Workers};
use hostcompute_schema::{Document, Failure, HResult};

use super::allowance::Allowance;
use super::cell::Cell;
use super::{
    Answer, Body, Networks, ProcessInformation, Shared, StreamOf, WorkerOf, is_given,
    refuse_options, refused_by_worker,
};
use crate::sync::Arc;

impl<W: Workers, N: Networks> Shared<W, N> {
    /// Makes a process. It has one handle: who asked holds it.
    pub(super) fn create_process(
        &self,
        cell: &Arc<Cell<WorkerOf<W>>>,
        document: &str,
        allowance: &Allowance,
    ) -> Result<(ProcessKey, Answer<StreamOf<W>>), Failure> {
        let (worker, ()) = cell.worker(|system| {
            system.legal(Verb::CreateProcess)?;
            allowance.admits_process(system.processes.running_ids().count())
        })?;
        let (launch, warnings) = read_process(document)?;
        let answer = worker.create_process(&launch);
        let (key, created) = cell.note(|system| {
            let created = system.outcome(Verb::CreateProcess, answer);
            let created = created.map_err(|failure| failure.in_document(document))?;
            // It was told before the worker returned; a process that ended at once and was forgotten is told anew.
            let key = system.processes.find(created.pid)?;
            system.processes.hold(key);
            Ok((key, created))
        })?;
        let body = Body::Process(ProcessInformation { pid: created.pid, stdio: created.stdio });
        Ok((key, Answer { body, warnings }))
    }

    /// Does something to a process that is known.
    pub(super) fn to_process(
        &self,
        cell: &Arc<Cell<WorkerOf<W>>>,
        key: ProcessKey,
        verb: Verb,
        document: &str,
    ) -> Result<Answer<StreamOf<W>>, Failure> {
        let legal = |system: &hostcompute_engine::compute::system::System| {
            system.processes.legal(verb, key)?;
            system.processes.pid(key)
        };
        if verb == Verb::GetProcessProperties {
            check_query(document)?;
            let status = cell.look(|system| system.processes.status(key))?;
            return Ok(Body::Document(status.to_value()).into());
        }
        let (worker, pid) = cell.worker(legal)?;
        let done = match verb {
            Verb::GetProcessInfo => {
                refuse_options(document)?;
                let stdio = worker.attach(pid);
                let stdio = cell.note(|system| system.outcome(verb, stdio))?;
                return Ok(Body::Process(ProcessInformation { pid, stdio }).into());
            }
            Verb::SignalProcess => worker.signal(pid, read_signal(document)?),
            Verb::TerminateProcess => {
                refuse_options(document)?;
                worker.signal(pid, Signal::KILL)
            }
            Verb::ModifyProcess => match read_process_modify(document)? {
                ProcessChange::Resize(size) => worker.resize(pid, size),
                ProcessChange::Close(streams) => {
                    streams.into_iter().try_for_each(|stream| worker.close(pid, stream))
                }
            },
            _ => return Err(Failure::new(HResult::E_UNEXPECTED, "nothing to do to a process")),
        };
        match done {
            Ok(()) => Ok(Body::Nothing.into()),
            Err(fault) => {
                // It may have ended meanwhile, by itself or with its system.
                cell.look(|system| system.processes.legal(verb, key))?;
                Err(refused_by_worker(fault, "$"))
            }
        }
    }
}

/// Clients ask for the status of a process with `{"PropertyTypes":["ProcessStatus"]}`, or without a document.
fn check_query(document: &str) -> Result<(), Failure> {
    if !is_given(document) {
        return Ok(());
    }
    use hostcompute_schema::hcs::{SystemPropertyQuery, SystemPropertyType, parse};
    let query: SystemPropertyQuery = parse(document)?;
    let mut types = query.property_types.iter().flatten();
    match types.position(|kind| *kind != SystemPropertyType::ProcessStatus) {
        None => Ok(()),
        Some(index) => {
            let why = "a process has one property, ProcessStatus";
            let at = format!("$.PropertyTypes[{index}]");
            Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why).at(at).in_document(document))
        }
    }
}
