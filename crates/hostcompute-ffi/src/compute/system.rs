//! Handles of compute systems.

use std::sync::Arc;
use std::time::Duration;

use hostcompute::schema::ComputeOperation;
use hostcompute::schema::hcs::{self, ProcessStatus};
use hostcompute::transport::{ComputeAnswer, ComputeCall};
use hostcompute::{Failure, HResult, Host};
use hostcompute_engine::compute::operation::{Delivery, OperationType};

use super::events::Registered;
use super::operation::{INFINITE, Subject};
use super::party::{Party, plain, with_process};
use super::process::{self, Birth};
use crate::boundary::{Descriptor, Listener, Out, Text, TextOut};
use crate::call::guarded;
use crate::handle::{self, Handle, Object};
use crate::service;

/// What a handle of a compute system stands for.
#[derive(Debug)]
pub struct System {
    pub host: Arc<Host>,
    pub id: String,
    pub party: Arc<Party>,
    pub birth: Birth<()>,
    /// Who has registered by the older functions.
    #[cfg(windows)]
    pub older: super::older::Callbacks,
}

/// What is registered with a handle when it is made.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    pub listener: Option<Listener>,
    pub delivery: Delivery,
}

fn pick(object: &Object) -> Option<Arc<System>> {
    match object {
        Object::System(system) => Some(system.clone()),
        _ => None,
    }
}

/// The system that a handle stands for.
///
/// # Errors
/// E_INVALIDARG, E_HANDLE.
pub fn find(handle: Handle) -> Result<Arc<System>, Failure> {
    handle::find(handle, pick)
}

/// HcsCreateComputeSystem: the handle is there at once, and stays to be closed when the system cannot be made.
pub fn create(
    (id, document): (Text, Text),
    operation: Handle,
    wish: Wish,
    out: Out<Handle>,
) -> Result<(), Failure> {
    out.put(Handle::NULL);
    out.demand("handle")?;
    let (id, document) = (id.read("id")?, document.read("document")?);
    let (system, handle) = new(service::host()?, id)?;
    let subject = Subject { system: handle, ..Subject::default() };
    let made = system.clone();
    let accepted = system.party.submit(operation, (OperationType::Create, subject), move || {
        let parameters = [("id", &*made.id)];
        let call = ComputeCall::on(ComputeOperation::CreateComputeSystem, "", &document);
        let answer = guarded(|| made.host.compute(&call.with(&parameters)));
        made.birth.tell(answer.is_ok().then_some(()));
        // A new system has nothing to say for itself; what was tolerated is in its properties.
        answer.map(|_| plain(ComputeAnswer::default()))
    });
    let registered = accepted.and_then(|()| match wish.listener {
        Some(listener) => system.register(Some(listener), wish.delivery),
        None => Ok(()),
    });
    if let Err(failure) = registered {
        close(handle)?;
        return Err(failure);
    }
    out.put(handle);
    Ok(())
}

/// HcsOpenComputeSystem.
pub fn open(id: Text, access: u32, out: Out<Handle>) -> Result<(), Failure> {
    out.put(Handle::NULL);
    out.demand("handle")?;
    process::allow(access)?;
    let (host, id) = (service::host()?, id.read("id")?);
    host.compute(&ComputeCall::on(ComputeOperation::OpenComputeSystem, &id, ""))?;
    let (system, handle) = new(host, id)?;
    system.birth.tell(Some(()));
    out.put(handle);
    Ok(())
}

/// A handle of a system that may not have been made yet.
///
/// # Errors
/// E_OUTOFMEMORY.
pub fn new(host: Arc<Host>, id: String) -> Result<(Arc<System>, Handle), Failure> {
    let system = Arc::new(System {
        host,
        id,
        party: Arc::default(),
        birth: Birth::default(),
        #[cfg(windows)]
        older: super::older::Callbacks::default(),
    });
    let handle = handle::add(Object::System(system.clone()))?;
    Ok((system, handle))
}

/// HcsCloseComputeSystem: the callback does not run any more when this returns; calls that were accepted are carried out.
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
    let system = find(handle)?;
    let document = document.read_or_empty()?;
    let subject = Subject { system: handle, ..Subject::default() };
    let party = system.party.clone();
    party.submit(operation, (kind, subject), move || system.compute(verb, &document).map(plain))
}

/// HcsModifyComputeSystem.
pub fn modify(
    handle: Handle,
    operation: Handle,
    document: Text,
    identity: Descriptor,
) -> Result<(), Failure> {
    if !identity.is_none() {
        let why = "changes are made with the rights of the caller, not of somebody else";
        return Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why));
    }
    let verb = (OperationType::Modify, ComputeOperation::ModifyComputeSystem);
    call(handle, operation, verb, document)
}

/// HcsSetComputeSystemCallback: from now on, or from the beginning of a system that is being made.
pub fn set_callback(
    handle: Handle,
    delivery: Delivery,
    listener: Option<Listener>,
) -> Result<(), Failure> {
    find(handle)?.register(listener, delivery)
}

/// HcsWaitForComputeSystemExit.
pub fn wait_for_exit(handle: Handle, patience: u32, result: TextOut) -> Result<(), Failure> {
    result.clear();
    let system = find(handle)?;
    let verb = ComputeOperation::WaitForComputeSystemExit;
    let call = ComputeCall::on(verb, &system.id, "");
    system.birth.wait(limit(patience))?;
    result.hand_out(&wait(&system.host, call, patience)?)
}

/// Waits for an exit; the document that tells of it.
pub fn wait(host: &Host, call: ComputeCall<'_>, patience: u32) -> Result<String, Failure> {
    if patience == INFINITE {
        return host.compute(&call).map(|answer| answer.body);
    }
    let milliseconds = patience.to_string();
    host.compute(&call.with(&[("timeout", &milliseconds)])).map(|answer| answer.body)
}

/// How long so many milliseconds are; none is without an end.
pub fn limit(patience: u32) -> Option<Duration> {
    (patience != INFINITE).then(|| Duration::from_millis(patience.into()))
}

/// HcsEnumerateComputeSystems.
pub fn enumerate(query: Text, operation: Handle) -> Result<(), Failure> {
    let (host, query) = (service::host()?, query.read_or_empty()?);
    let party = Arc::new(Party::default());
    party.submit(operation, (OperationType::Enumerate, Subject::default()), move || {
        let verb = ComputeOperation::EnumerateComputeSystems;
        host.compute(&ComputeCall::on(verb, "", &query)).map(plain)
    })
}

/// HcsCreateProcess: the handle is there at once, and stays to be closed when the process cannot be started.
pub fn create_process(
    handle: Handle,
    parameters: Text,
    operation: Handle,
    out: Out<Handle>,
) -> Result<(), Failure> {
    out.put(Handle::NULL);
    out.demand("handle")?;
    let system = find(handle)?;
    let document = parameters.read("parameters")?;
    let (process, process_handle) = process::new(system.host.clone(), system.id.clone())?;
    let subject = Subject { system: handle, process: process_handle };
    let party = system.party.clone();
    let accepted = party.submit(operation, (OperationType::CreateProcess, subject), move || {
        let started = guarded(|| system.compute(ComputeOperation::CreateProcess, &document));
        let numbered = started.and_then(|answer| Ok((number(&answer)?, answer)));
        process.started(numbered.as_ref().ok().map(|(pid, _)| *pid));
        numbered.map(|(pid, answer)| with_process(pid, answer))
    });
    if let Err(failure) = accepted {
        process::close(process_handle)?;
        return Err(failure);
    }
    out.put(process_handle);
    Ok(())
}

/// The number of a process that was started.
///
/// # Errors
/// E_UNEXPECTED.
pub fn number(answer: &ComputeAnswer) -> Result<u32, Failure> {
    let status: ProcessStatus = hcs::parse_answer(&answer.body)?;
    status.process_id.ok_or_else(|| {
        Failure::new(HResult::E_UNEXPECTED, "the service does not tell the number of the process")
    })
}

/// HcsOpenProcess.
pub fn open_process(
    handle: Handle,
    pid: u32,
    access: u32,
    out: Out<Handle>,
) -> Result<(), Failure> {
    out.put(Handle::NULL);
    out.demand("handle")?;
    process::allow(access)?;
    let system = find(handle)?;
    system.birth.wait(None)?;
    let call = ComputeCall::on(ComputeOperation::OpenProcess, &system.id, "").process(pid);
    system.host.compute(&call)?;
    let (process, handle) = process::new(system.host.clone(), system.id.clone())?;
    process.started(Some(pid));
    out.put(handle);
    Ok(())
}

impl System {
    /// A call about it, when it was made.
    ///
    /// # Errors
    /// HCS_E_INVALID_STATE for one that could not be made, what the service refuses.
    pub fn compute(
        &self,
        verb: ComputeOperation,
        document: &str,
    ) -> Result<ComputeAnswer, Failure> {
        // One whose making failed may have the name of another.
        self.birth.wait(None)?;
        self.host.compute(&ComputeCall::on(verb, &self.id, document))
    }

    fn register(&self, listener: Option<Listener>, delivery: Delivery) -> Result<(), Failure> {
        let registered = listener.map(Registered::new);
        self.party.register(registered.clone(), delivery)?;
        let Some(registered) = registered else { return Ok(()) };
        if self.birth.succeeded() {
            return self.party.at_once(|| registered.listen(&self.host, &self.id, None));
        }
        // What comes after its making is heard: calls that are made from now on wait for this.
        let (host, id, birth) = (self.host.clone(), self.id.clone(), self.birth.clone());
        self.party.follow(move || {
            // A system that was not made, or has gone already, has nothing to tell.
            if birth.wait(None).is_ok() {
                let _ = registered.listen(&host, &id, None);
            }
        })
    }
}

impl Drop for System {
    /// After the last of the calls that were accepted.
    fn drop(&mut self) {
        if self.birth.succeeded() {
            let call = ComputeCall::on(ComputeOperation::CloseComputeSystem, &self.id, "");
            // One that has gone has no handles.
            let _ = self.host.compute(&call);
        }
    }
}
