//! Calls about compute systems. Windows knows handles, the crate ids: which handles are open is kept here, so that closing the last one
//! means what it means to Windows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hostcompute_schema::compute::Input;
use hostcompute_schema::hcs::ProcessStatus;
use hostcompute_schema::{ComputeOperation, Document, Failure, HResult};

use super::boundary::hcs::{self, FOR_EVER, Information, OfProcess, OfSystem, Process, System};
use super::{ends, network, nowhere};
use crate::transport::{ComputeAnswer, ComputeCall, Streams};

/// What this program has open.
#[derive(Debug, Default)]
pub struct Systems(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    /// By id, whose case does not count.
    systems: BTreeMap<String, Held<System>>,
    processes: BTreeMap<(String, u32), Held<Process>>,
}

/// A handle that was asked for so many times.
#[derive(Debug)]
struct Held<T> {
    handle: Arc<T>,
    count: usize,
}

impl Systems {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out one operation of the compute service.
    ///
    /// # Errors
    /// E_NOTIMPL for what this Windows lacks, or what it refuses.
    pub fn call(&self, call: &ComputeCall<'_>, strict: bool) -> Result<ComputeAnswer, Failure> {
        use ComputeOperation as Own;
        if let (true, Input::Document(schema)) = (strict, call.operation.input()) {
            network::refuse_unknown(call.document, schema)?;
        }
        let only_id = call.operation == Own::CreateComputeSystem;
        refuse_parameters(call, only_id)?;
        match call.operation {
            Own::EnumerateComputeSystems => hcs::enumerate(call.document).map(answer),
            Own::GetServiceProperties => hcs::service_properties(call.document).map(answer),
            Own::ModifyServiceSettings => hcs::modify_service(call.document).map(answer),
            Own::CreateComputeSystem => self.create(call),
            Own::OpenComputeSystem => self.keep(call.system, hcs::open(call.system)?),
            Own::CloseComputeSystem => self.close(call.system),
            Own::CreateProcess => self.run(call),
            operation => match call.pid {
                None => self.of_system(operation, call),
                Some(pid) => self.of_process(operation, call, pid),
            },
        }
    }

    fn create(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure> {
        let id = call.parameter("id").unwrap_or_default();
        self.keep(id, hcs::create(id, call.document)?)
    }

    /// Keeps a new handle: the system may be another one than that of the handle before.
    fn keep(&self, id: &str, system: System) -> Result<ComputeAnswer, Failure> {
        let mut open = self.open();
        let key = id.to_ascii_lowercase();
        let count = open.systems.get(&key).map_or(0, |held| held.count);
        let before = open.systems.insert(key, Held { handle: Arc::new(system), count: count + 1 });
        // Closing takes its time: nobody waits for it.
        drop(open);
        drop(before);
        Ok(ComputeAnswer::default())
    }

    fn close(&self, id: &str) -> Result<ComputeAnswer, Failure> {
        let closed = release(&mut self.open().systems, &id.to_ascii_lowercase());
        closed.map(|_| ComputeAnswer::default())
    }

    /// The handle that is open, or one for this call.
    fn system(&self, id: &str) -> Result<Arc<System>, Failure> {
        let key = id.to_ascii_lowercase();
        let held = self.open().systems.get(&key).map(|held| held.handle.clone());
        held.map_or_else(|| hcs::open(id).map(Arc::new), Ok)
    }

    fn process(&self, id: &str, pid: u32) -> Result<Arc<Process>, Failure> {
        let key = (id.to_ascii_lowercase(), pid);
        let held = self.open().processes.get(&key).map(|held| held.handle.clone());
        held.map_or_else(|| self.system(id)?.process(pid).map(Arc::new), Ok)
    }

    fn keep_process(&self, id: &str, pid: u32, process: Process) {
        let mut open = self.open();
        let key = (id.to_ascii_lowercase(), pid);
        let count = open.processes.get(&key).map_or(0, |held| held.count);
        let held = Held { handle: Arc::new(process), count: count + 1 };
        let before = open.processes.insert(key, held);
        drop(open);
        drop(before);
    }

    fn run(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure> {
        let (process, information) = self.system(call.system)?.run(call.document)?;
        let pid = information.process_id;
        self.keep_process(call.system, pid, process);
        let status = ProcessStatus { process_id: Some(pid), ..ProcessStatus::default() };
        let body = status.to_value().to_string();
        Ok(ComputeAnswer { body, streams: streams(information), ..ComputeAnswer::default() })
    }

    fn of_system(
        &self,
        operation: ComputeOperation,
        call: &ComputeCall<'_>,
    ) -> Result<ComputeAnswer, Failure> {
        use ComputeOperation as Own;
        let what = match operation {
            Own::StartComputeSystem => OfSystem::Start,
            Own::ShutDownComputeSystem => OfSystem::ShutDown,
            Own::TerminateComputeSystem => OfSystem::Terminate,
            Own::CrashComputeSystem => OfSystem::Crash,
            Own::PauseComputeSystem => OfSystem::Pause,
            Own::ResumeComputeSystem => OfSystem::Resume,
            Own::SaveComputeSystem => OfSystem::Save,
            Own::GetComputeSystemProperties => OfSystem::Properties,
            Own::ModifyComputeSystem => OfSystem::Modify,
            Own::WaitForComputeSystemExit => {
                let (system, patience) = (self.system(call.system)?, patience(call)?);
                if hcs::can_wait() {
                    return system.wait(patience).map(answer);
                }
                return ends::of_system(&system, call.system, patience).map(answer);
            }
            other => return Err(nowhere(other)),
        };
        self.system(call.system)?.ask(what, call.document).map(answer)
    }

    fn of_process(
        &self,
        operation: ComputeOperation,
        call: &ComputeCall<'_>,
        pid: u32,
    ) -> Result<ComputeAnswer, Failure> {
        use ComputeOperation as Own;
        let what = match operation {
            Own::OpenProcess => {
                let process = self.system(call.system)?.process(pid)?;
                self.keep_process(call.system, pid, process);
                return Ok(ComputeAnswer::default());
            }
            Own::CloseProcess => {
                let key = (call.system.to_ascii_lowercase(), pid);
                let closed = release(&mut self.open().processes, &key);
                return closed.map(|_| ComputeAnswer::default());
            }
            Own::GetProcessInfo => {
                let information = self.process(call.system, pid)?.information()?;
                let streams = streams(information);
                return Ok(ComputeAnswer { streams, ..ComputeAnswer::default() });
            }
            Own::WaitForProcessExit => {
                let (process, patience) = (self.process(call.system, pid)?, patience(call)?);
                if hcs::can_wait() {
                    return process.wait(patience).map(answer);
                }
                let again = || self.system(call.system)?.process(pid);
                return ends::of_process(&process, again, patience).map(answer);
            }
            Own::GetProcessProperties => OfProcess::Properties,
            Own::ModifyProcess => OfProcess::Modify,
            Own::SignalProcess => OfProcess::Signal,
            Own::TerminateProcess => OfProcess::Terminate,
            other => return Err(nowhere(other)),
        };
        self.process(call.system, pid)?.ask(what, call.document).map(answer)
    }
}

/// Gives back a handle; the last one is handed out, to be closed when no lock is held.
fn release<K: Ord, T>(held: &mut BTreeMap<K, Held<T>>, key: &K) -> Result<Option<Arc<T>>, Failure> {
    let Some(found) = held.get_mut(key) else {
        return Err(Failure::new(HResult::E_HANDLE, "there is no such handle"));
    };
    found.count -= 1;
    if found.count > 0 {
        return Ok(None);
    }
    Ok(held.remove(key).map(|held| held.handle))
}

/// What documents have no member for is not for Windows.
fn refuse_parameters(call: &ComputeCall<'_>, only_id: bool) -> Result<(), Failure> {
    let is_known = |name: &str| name == "id" && only_id || name == "timeout";
    let unknown = call.parameters.iter().find(|(name, value)| {
        // A wish that nothing be otherwise is none.
        !is_known(name) && !matches!(*value, "" | "false")
    });
    unknown.map_or(Ok(()), |(name, _)| {
        let why = format!("Windows has nothing for {name:?} of {}", call.operation);
        Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why))
    })
}

/// In milliseconds.
fn patience(call: &ComputeCall<'_>) -> Result<u32, Failure> {
    let Some(text) = call.parameter("timeout") else { return Ok(FOR_EVER) };
    text.parse().map_err(|_| {
        Failure::new(HResult::E_INVALIDARG, format!("{text:?} is no number of milliseconds"))
    })
}

fn answer(body: String) -> ComputeAnswer {
    ComputeAnswer { body, ..ComputeAnswer::default() }
}

fn streams(information: Information) -> Streams {
    let [input, output, error] = information.streams;
    Streams { input, output, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_who_gives_back_closes() {
        let mut held = BTreeMap::from([("a", Held { handle: Arc::new(7), count: 2 })]);
        assert_eq!(release(&mut held, &"a"), Ok(None));
        assert_eq!(release(&mut held, &"a"), Ok(Some(Arc::new(7))));
        assert_eq!(
            release(&mut held, &"a").map_err(|failure| failure.hresult),
            Err(HResult::E_HANDLE)
        );
    }

    #[test]
    fn terms_that_windows_does_not_have_are_refused() {
        let create = ComputeCall::on(ComputeOperation::CreateComputeSystem, "", "{}");
        let given = |parameters: &[(&str, &str)]| {
            refuse_parameters(&create.with(parameters), true).map_err(|failure| failure.hresult)
        };
        assert_eq!(given(&[("id", "a"), ("read-only", "false")]), Ok(()));
        assert_eq!(given(&[("read-only", "true")]), Err(HResult::ERROR_NOT_SUPPORTED));
        let wait = ComputeCall::on(ComputeOperation::WaitForProcessExit, "a", "");
        assert_eq!(patience(&wait), Ok(FOR_EVER));
        assert_eq!(patience(&wait.with(&[("timeout", "5")])), Ok(5));
        assert!(patience(&wait.with(&[("timeout", "soon")])).is_err());
    }
}
