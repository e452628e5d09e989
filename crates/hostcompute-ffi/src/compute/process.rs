//! Handles of processes in compute systems.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hostcompute::schema::ComputeOperation;
use hostcompute::transport::ComputeCall;
use hostcompute::{Failure, HResult, Host};
use hostcompute_engine::compute::operation::{Delivery, OperationType};

use super::events::Registered;
use super::operation::Subject;
use super::party::{Party, plain, with_process};
use super::system;
use crate::boundary::{Listener, Text, TextOut};
use crate::handle::{self, Handle, Object};

/// What a handle of a process stands for.
#[derive(Debug)]
pub struct Process {
    pub host: Arc<Host>,
    pub system: String,
    pub party: Arc<Party>,
    /// Its number, when it was started.
    pub birth: Birth<u32>,
}

/// GENERIC_ALL: the access that is asked for when something is opened.
const GENERIC_ALL: u32 = 0x1000_0000;

/// Fails for an access that has no meaning; programs ask for all, or say nothing.
///
/// # Errors
/// E_INVALIDARG.
pub fn allow(access: u32) -> Result<(), Failure> {
    match access {
        0 | GENERIC_ALL => Ok(()),
        other => {
            let why = format!("the access must be GENERIC_ALL, {GENERIC_ALL:#x}, not {other:#x}");
            Err(Failure::new(HResult::E_INVALIDARG, why))
        }
    }
}

fn pick(object: &Object) -> Option<Arc<Process>> {
    match object {
        Object::Process(process) => Some(process.clone()),
        _ => None,
    }
}

/// The process that a handle stands for.
///
/// # Errors
/// E_INVALIDARG, E_HANDLE.
pub fn find(handle: Handle) -> Result<Arc<Process>, Failure> {
    handle::find(handle, pick)
}

/// A handle of a process that may not have been started yet.
///
/// # Errors
/// E_OUTOFMEMORY.
pub fn new(host: Arc<Host>, system: String) -> Result<(Arc<Process>, Handle), Failure> {
    let birth = Birth::default();
    let process = Arc::new(Process { host, system, party: Arc::default(), birth });
    let handle = handle::add(Object::Process(process.clone()))?;
    Ok((process, handle))
}

/// HcsCloseProcess: the process goes on.
pub fn close(handle: Handle) -> Result<(), Failure> {
    handle::remove(handle, pick)?.party.end();
    Ok(())
}

/// A call that an operation tracks, with options or another document that may be left out.
pub fn call(
    handle: Handle,
    operation: Handle,
    (kind, verb): (OperationType, ComputeOperation),
    document: Text,
) -> Result<(), Failure> {
    let process = find(handle)?;
    let document = document.read_or_empty()?;
    let subject = Subject { process: handle, ..Subject::default() };
    let party = process.party.clone();
    party.submit(operation, (kind, subject), move || {
        let pid = process.birth.wait(None)?;
        let call = ComputeCall::on(verb, &process.system, &document).process(pid);
        let answer = process.host.compute(&call)?;
        Ok(match kind {
            OperationType::GetProcessInfo => with_process(pid, answer),
            _ => plain(answer),
        })
    })
}

/// HcsSetProcessCallback: from now on, or from when a process that is being started is known.
pub fn set_callback(
    handle: Handle,
    delivery: Delivery,
    listener: Option<Listener>,
) -> Result<(), Failure> {
    let process = find(handle)?;
    let registered = listener.map(Registered::new);
    process.party.register(registered.clone(), delivery)?;
    let Some(registered) = registered else { return Ok(()) };
    if let Some(pid) = process.birth.known() {
        let listen = || registered.listen(&process.host, &process.system, Some(pid));
        return process.party.at_once(listen);
    }
    let (host, system) = (process.host.clone(), process.system.clone());
    let birth = process.birth.clone();
    process.party.follow(move || {
        // A process that was not started, or whose system has gone already, has nothing to tell.
        if let Ok(pid) = birth.wait(None) {
            let _ = registered.listen(&host, &system, Some(pid));
        }
    })
}

/// HcsWaitForProcessExit.
pub fn wait_for_exit(handle: Handle, patience: u32, result: TextOut) -> Result<(), Failure> {
    result.clear();
    let process = find(handle)?;
    let pid = process.birth.wait(system::limit(patience))?;
    let verb = ComputeOperation::WaitForProcessExit;
    let call = ComputeCall::on(verb, &process.system, "").process(pid);
    result.hand_out(&system::wait(&process.host, call, patience)?)
}

impl Process {
    /// It was started under this number, or could not be.
    pub fn started(&self, pid: Option<u32>) {
        self.birth.tell(pid);
    }
}

impl Drop for Process {
    /// After the last of the calls that were accepted.
    fn drop(&mut self) {
        if let Some(pid) = self.birth.known() {
            let verb = ComputeOperation::CloseProcess;
            let call = ComputeCall::on(verb, &self.system, "").process(pid);
            // One that has gone has no handles.
            let _ = self.host.compute(&call);
        }
    }
}

/// What a handle stands for may not be there yet; clones speak of the same thing.
#[derive(Debug)]
pub struct Birth<T>(Arc<(Mutex<Stage<T>>, Condvar)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage<T> {
    Awaited,
    Succeeded(T),
    Failed,
}

impl<T> Default for Birth<T> {
    fn default() -> Self {
        Self(Arc::new((Mutex::new(Stage::Awaited), Condvar::new())))
    }
}

impl<T> Clone for Birth<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Copy> Birth<T> {
    /// It is there, or never will be.
    pub fn tell(&self, made: Option<T>) {
        *self.stage() = made.map_or(Stage::Failed, Stage::Succeeded);
        self.0.1.notify_all();
    }

    /// Waits until it is there.
    ///
    /// # Errors
    /// HCS_E_INVALID_STATE for what could not be made, WAIT_TIMEOUT.
    pub fn wait(&self, patience: Option<Duration>) -> Result<T, Failure> {
        let began = Instant::now();
        let mut stage = self.stage();
        loop {
            match *stage {
                Stage::Succeeded(made) => return Ok(made),
                Stage::Failed => {
                    let why = "what this handle is of could not be made";
                    return Err(Failure::new(HResult::HCS_E_INVALID_STATE, why));
                }
                Stage::Awaited => {}
            }
            let Some(patience) = patience else {
                stage = self.0.1.wait(stage).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                let why = "what this handle is of is still being made";
                return Err(Failure::new(HResult::WAIT_TIMEOUT, why));
            }
            let waited = self.0.1.wait_timeout(stage, left);
            stage = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What was made, if it was.
    pub fn known(&self) -> Option<T> {
        match *self.stage() {
            Stage::Succeeded(made) => Some(made),
            Stage::Awaited | Stage::Failed => None,
        }
    }

    /// Whether it is there.
    pub fn succeeded(&self) -> bool {
        self.known().is_some()
    }

    fn stage(&self) -> MutexGuard<'_, Stage<T>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
