//! The compute functions of vmcompute.dll. Some are named like functions of computecore.dll with other arguments, so here all begin with
//! `Vm`; the library that programs load has them under their own names.
#![expect(unsafe_code, reason = "exports names of C")]

use hostcompute::schema::ComputeOperation as Verb;

use super::answer::{answer, code, pending};
use super::notify::{self, Completed};
use super::{process, system};
use crate::boundary::{Context, Descriptor, Notification, Out, Text, TextOut};
use crate::call::Code;
use crate::compute::operation::ProcessInformation;
use crate::compute::process as handles;
use crate::handle::Handle;

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsCreateComputeSystem(
    id: Text,
    document: Text,
    identity: Descriptor,
    system: Out<Handle>,
    result: TextOut,
) -> Code {
    pending(result, || system::create(id, document, identity, system))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsOpenComputeSystem(id: Text, system: Out<Handle>, result: TextOut) -> Code {
    answer(result, || system::open(id, system))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsCloseComputeSystem(system: Handle) -> Code {
    code(|| system::close(system))
}

/// Functions that change a system, and whose end is told.
macro_rules! changes {
    ($($name:ident: $verb:ident, $completed:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(system: Handle, options: Text, result: TextOut) -> Code {
            pending(result, || system::change(system, Verb::$verb, options, $completed))
        }
    )*};
}

changes! {
    VmHcsStartComputeSystem: StartComputeSystem, Some(Completed::Start);
    VmHcsPauseComputeSystem: PauseComputeSystem, Some(Completed::Pause);
    VmHcsResumeComputeSystem: ResumeComputeSystem, Some(Completed::Resume);
    VmHcsSaveComputeSystem: SaveComputeSystem, Some(Completed::Save);
    VmHcsShutdownComputeSystem: ShutDownComputeSystem, None;
    VmHcsTerminateComputeSystem: TerminateComputeSystem, None;
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsGetComputeSystemProperties(
    system: Handle,
    query: Text,
    properties: TextOut,
    result: TextOut,
) -> Code {
    answer(result, || system::properties(system, query, properties))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsModifyComputeSystem(
    system: Handle,
    document: Text,
    result: TextOut,
) -> Code {
    answer(result, || system::modify(system, document))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsEnumerateComputeSystems(
    query: Text,
    systems: TextOut,
    result: TextOut,
) -> Code {
    answer(result, || system::ask(Verb::EnumerateComputeSystems, query, systems))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsGetServiceProperties(
    query: Text,
    properties: TextOut,
    result: TextOut,
) -> Code {
    answer(result, || system::ask(Verb::GetServiceProperties, query, properties))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsModifyServiceSettings(settings: Text, result: TextOut) -> Code {
    answer(result, || system::modify_service(settings))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsRegisterComputeSystemCallback(
    system: Handle,
    callback: Option<Notification>,
    context: Context,
    registration: Out<Handle>,
) -> Code {
    code(|| notify::register_system(system, callback, context, registration))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsUnregisterComputeSystemCallback(registration: Handle) -> Code {
    code(|| notify::unregister(registration))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsCreateProcess(
    system: Handle,
    parameters: Text,
    information: Out<ProcessInformation>,
    process: Out<Handle>,
    result: TextOut,
) -> Code {
    answer(result, || system::create_process(system, parameters, information, process))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsOpenProcess(
    system: Handle,
    pid: u32,
    process: Out<Handle>,
    result: TextOut,
) -> Code {
    answer(result, || process::open(system, pid, process))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsCloseProcess(process: Handle) -> Code {
    code(|| handles::close(process))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsTerminateProcess(process: Handle, result: TextOut) -> Code {
    answer(result, || process::change(process, Verb::TerminateProcess, Text::NULL))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsSignalProcess(process: Handle, options: Text, result: TextOut) -> Code {
    answer(result, || process::change(process, Verb::SignalProcess, options))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsModifyProcess(process: Handle, settings: Text, result: TextOut) -> Code {
    answer(result, || process::change(process, Verb::ModifyProcess, settings))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsGetProcessInfo(
    process: Handle,
    information: Out<ProcessInformation>,
    result: TextOut,
) -> Code {
    answer(result, || process::information(process, information))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsGetProcessProperties(
    process: Handle,
    properties: TextOut,
    result: TextOut,
) -> Code {
    answer(result, || process::properties(process, properties))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsRegisterProcessCallback(
    process: Handle,
    callback: Option<Notification>,
    context: Context,
    registration: Out<Handle>,
) -> Code {
    code(|| notify::register_process(process, callback, context, registration))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmHcsUnregisterProcessCallback(registration: Handle) -> Code {
    code(|| notify::unregister(registration))
}
