//! Processes by the older functions.

use hostcompute::Failure;
use hostcompute::schema::ComputeOperation as Verb;
use hostcompute::transport::{ComputeAnswer, ComputeCall};

use crate::boundary::{Out, Text, TextOut};
use crate::compute::operation::{ProcessInformation, Started};
use crate::compute::party::started_with;
use crate::compute::process::find;
use crate::compute::system;
use crate::handle::Handle;

/// HcsOpenProcess.
pub fn open(system: Handle, pid: u32, out: Out<Handle>) -> Result<(), Failure> {
    system::open_process(system, pid, 0, out)
}

fn call(handle: Handle, verb: Verb, document: Text) -> Result<(u32, ComputeAnswer), Failure> {
    let process = find(handle)?;
    let (pid, document) = (process.birth.wait(None)?, document.read_or_empty()?);
    let call = ComputeCall::on(verb, &process.system, &document).process(pid);
    Ok((pid, process.host.compute(&call)?))
}

/// HcsTerminateProcess, HcsSignalProcess and HcsModifyProcess.
pub fn change(handle: Handle, verb: Verb, document: Text) -> Result<(), Failure> {
    call(handle, verb, document).map(drop)
}

/// HcsGetProcessInfo: the streams once more.
pub fn information(handle: Handle, out: Out<ProcessInformation>) -> Result<(), Failure> {
    out.put(ProcessInformation::of(Started::default())?);
    out.demand("information")?;
    let (pid, answer) = call(handle, Verb::GetProcessInfo, Text::NULL)?;
    out.put(ProcessInformation::of(started_with(pid, answer.streams))?);
    Ok(())
}

/// HcsGetProcessProperties.
pub fn properties(handle: Handle, out: TextOut) -> Result<(), Failure> {
    out.clear();
    let (_, answer) = call(handle, Verb::GetProcessProperties, Text::NULL)?;
    out.hand_out(&answer.body)
}
