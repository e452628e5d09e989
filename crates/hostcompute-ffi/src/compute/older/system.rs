//! Compute systems by the older functions.

use std::sync::Arc;

use hostcompute::schema::ComputeOperation as Verb;
use hostcompute::transport::{ComputeAnswer, ComputeCall};
use hostcompute::{Failure, HResult};

use super::document;
use super::notify::Completed;
use crate::boundary::{Descriptor, Out, Text, TextOut};
use crate::compute::operation::{ProcessInformation, Started};
use crate::compute::party::started_with;
use crate::compute::process;
use crate::compute::system::{self, System, find};
use crate::handle::Handle;
use crate::service;

/// HcsCreateComputeSystem. That it was made is told to whoever registers first: nobody can before.
pub fn create(id: Text, text: Text, identity: Descriptor, out: Out<Handle>) -> Result<(), Failure> {
    out.put(Handle::NULL);
    out.demand("handle")?;
    if !identity.is_none() {
        let why = "systems are made with the rights of the caller, not of somebody else";
        return Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why));
    }
    let (id, text) = (id.read("id")?, text.read("document")?);
    let text = document::newer(&text)?;
    let host = service::host()?;
    let parameters = [("id", &*id)];
    let call = ComputeCall::on(Verb::CreateComputeSystem, "", &text).with(&parameters);
    host.compute(&call)?;
    let (system, handle) = system::new(host, id.clone())?;
    system.birth.tell(Some(()));
    system.older.made();
    out.put(handle);
    Ok(())
}

/// HcsOpenComputeSystem.
pub fn open(id: Text, out: Out<Handle>) -> Result<(), Failure> {
    system::open(id, 0, out)
}

/// HcsCloseComputeSystem.
pub fn close(handle: Handle) -> Result<(), Failure> {
    find(handle)?.older.end();
    system::close(handle)
}

fn call(
    handle: Handle,
    verb: Verb,
    document: Text,
) -> Result<(Arc<System>, ComputeAnswer), Failure> {
    let system = find(handle)?;
    let answer = system.compute(verb, &document.read_or_empty()?)?;
    Ok((system, answer))
}

/// A call whose end a notification tells: that of this number, or, for those without one, the end of the system.
pub fn change(
    handle: Handle,
    verb: Verb,
    options: Text,
    completed: Option<Completed>,
) -> Result<(), Failure> {
    let (system, _) = call(handle, verb, options)?;
    let Some(completed) = completed else { return Ok(()) };
    system.clone().party.tell(move |_| system.older.tell(completed))
}

/// HcsGetComputeSystemProperties.
pub fn properties(handle: Handle, query: Text, out: TextOut) -> Result<(), Failure> {
    out.clear();
    let (_, answer) = call(handle, Verb::GetComputeSystemProperties, query)?;
    out.hand_out(&answer.body)
}

/// HcsModifyComputeSystem.
pub fn modify(handle: Handle, document: Text) -> Result<(), Failure> {
    call(handle, Verb::ModifyComputeSystem, document).map(drop)
}

/// HcsEnumerateComputeSystems and HcsGetServiceProperties.
pub fn ask(verb: Verb, query: Text, out: TextOut) -> Result<(), Failure> {
    out.clear();
    let query = query.read_or_empty()?;
    out.hand_out(&service::host()?.compute(&ComputeCall::on(verb, "", &query))?.body)
}

/// HcsModifyServiceSettings.
pub fn modify_service(settings: Text) -> Result<(), Failure> {
    let settings = settings.read("settings")?;
    let call = ComputeCall::on(Verb::ModifyServiceSettings, "", &settings);
    service::host()?.compute(&call).map(drop)
}

/// HcsCreateProcess: it runs when this returns.
pub fn create_process(
    handle: Handle,
    parameters: Text,
    information: Out<ProcessInformation>,
    out: Out<Handle>,
) -> Result<(), Failure> {
    out.put(Handle::NULL);
    information.put(ProcessInformation::of(Started::default())?);
    out.demand("handle")?;
    let system = find(handle)?;
    let answer = system.compute(Verb::CreateProcess, &parameters.read("parameters")?)?;
    let pid = system::number(&answer)?;
    let (process, handle) = process::new(system.host.clone(), system.id.clone())?;
    process.started(Some(pid));
    if information.is_given() {
        information.put(ProcessInformation::of(started_with(pid, answer.streams))?);
    }
    out.put(handle);
    Ok(())
}
