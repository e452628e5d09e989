//! Processes: started, opened, asked, killed, waited for.

use hostcompute::schema::ComputeOperation as Verb;
use hostcompute_engine::compute::operation::OperationType as Kind;

use super::{delivery, unsecured};
use crate::boundary::{Context, Descriptor, EventFunction, Listener, Out, Text, TextOut};
use crate::call::{Code, code};
use crate::compute::{process, system};
use crate::handle::Handle;

/// Functions that take a process, an operation, and a document that may be left out.
macro_rules! calls {
    ($($name:ident: $kind:ident $verb:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(process: Handle, operation: Handle, document: Text) -> Code {
            code(|| process::call(process, operation, (Kind::$kind, Verb::$verb), document))
        }
    )*};
}

calls! {
    // Killing has no type of its own.
    HcsTerminateProcess: SignalProcess TerminateProcess;
    HcsSignalProcess: SignalProcess SignalProcess;
    HcsGetProcessProperties: GetProcessProperties GetProcessProperties;
    HcsModifyProcess: ModifyProcess ModifyProcess;
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsCreateProcess(
    system: Handle,
    parameters: Text,
    operation: Handle,
    security: Descriptor,
    process: Out<Handle>,
) -> Code {
    code(|| {
        process.put(Handle::NULL);
        unsecured(security)?;
        system::create_process(system, parameters, operation, process)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsOpenProcess(
    system: Handle,
    pid: u32,
    access: u32,
    process: Out<Handle>,
) -> Code {
    code(|| system::open_process(system, pid, access, process))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsCloseProcess(process: Handle) {
    code(|| process::close(process));
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsGetProcessInfo(process: Handle, operation: Handle) -> Code {
    let verb = (Kind::GetProcessInfo, Verb::GetProcessInfo);
    code(|| process::call(process, operation, verb, Text::NULL))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsSetProcessCallback(
    process: Handle,
    options: i32,
    context: Context,
    callback: Option<EventFunction>,
) -> Code {
    code(|| process::set_callback(process, delivery(options)?, Listener::new(callback, context)))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsWaitForProcessExit(
    process: Handle,
    milliseconds: u32,
    result: TextOut,
) -> Code {
    code(|| process::wait_for_exit(process, milliseconds, result))
}
