//! The compute systems of host documents, made by a client's session of the compute service.

use hostcompute_engine::apply::PresentSystem;
use hostcompute_engine::compute::Workers;
use hostcompute_engine::compute::verb::Verb;
use hostcompute_schema::{Failure, HResult};
use serde_json::Value;

use super::{Body, Call, Networks, Session};
use crate::apply::Systems;

/// The member that no system of a host document has: the command that makes it does not stay.
const LAST_HANDLE: &str = "ShouldTerminateOnLastHandleClosed";

impl<W: Workers, N: Networks> Systems for Session<W, N> {
    fn present(&self) -> Result<Vec<PresentSystem>, Failure> {
        let records = self.records()?;
        let present = |record: hostcompute_engine::compute::record::Record| PresentSystem {
            id: record.id,
            document: record.document,
        };
        Ok(records.into_iter().map(present).collect())
    }

    fn make(&self, id: &str, document: &str) -> Result<(), Failure> {
        refuse_leash(document)?;
        self.call(&Call::of(Verb::Create, id, document))?;
        let started = self.call(&Call::of(Verb::Start, id, ""));
        if started.is_err() {
            // A system that could not be started has ended; one that was refused has not.
            let ended = Systems::end(self, id);
            if let Err(failure) = ended {
                tracing::error!(system = id, "what was begun could not be undone: {failure:#}");
            }
        }
        let closed = self.close(id);
        started?;
        closed
    }

    fn run(&self, id: &str, process: &str) -> Result<(), Failure> {
        let answer = self.call(&Call::of(Verb::CreateProcess, id, process))?;
        // Nobody will read its streams: what it writes is in the log.
        match answer.body {
            Body::Process(process) => self.close_process(id, process.pid),
            _ => Ok(()),
        }
    }

    fn end(&self, id: &str) -> Result<(), Failure> {
        match self.call(&Call::of(Verb::Terminate, id, "")) {
            Err(failure)
                if [HResult::HCS_E_SYSTEM_NOT_FOUND, HResult::HCS_E_SYSTEM_ALREADY_STOPPED]
                    .contains(&failure.hresult) =>
            {
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }
}

fn refuse_leash(document: &str) -> Result<(), Failure> {
    let value: Value = serde_json::from_str(document).unwrap_or_default();
    if value.get(LAST_HANDLE) != Some(&Value::Bool(true)) {
        return Ok(());
    }
    let why = "a system of a host document would end at once: nobody keeps a handle of it";
    Err(Failure::new(HResult::E_INVALIDARG, why).at(LAST_HANDLE).hint("leave the member out"))
}
