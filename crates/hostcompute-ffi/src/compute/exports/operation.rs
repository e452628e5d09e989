//! Operations: made, asked, waited for, closed.

use crate::boundary::{Completion, Context, Descriptor, EventFunction, Out, Text, TextOut};
use crate::call::{Code, code, guarded};
use crate::compute::machine::not_made;
use crate::compute::operation::{self, ProcessInformation};
use crate::handle::Handle;

#[unsafe(no_mangle)]
pub extern "C" fn HcsCreateOperation(context: Context, callback: Option<Completion>) -> Handle {
    guarded(|| Ok(operation::create(context, callback))).unwrap_or(Handle::NULL)
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsCreateOperationWithNotifications(
    _kinds: i32,
    context: Context,
    callback: Option<EventFunction>,
) -> Handle {
    guarded(|| Ok(operation::create_with_notifications(context, callback))).unwrap_or(Handle::NULL)
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsCloseOperation(operation: Handle) {
    code(|| operation::close(operation));
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsGetOperationId(operation: Handle) -> u64 {
    operation::id(operation)
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsGetOperationType(operation: Handle) -> i32 {
    operation::kind(operation)
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsGetOperationContext(operation: Handle) -> Context {
    operation::context(operation)
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsSetOperationContext(operation: Handle, context: Context) -> Code {
    code(|| operation::set_context(operation, context))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsSetOperationCallback(
    operation: Handle,
    context: Context,
    callback: Option<Completion>,
) -> Code {
    code(|| operation::set_callback(operation, context, callback))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsGetComputeSystemFromOperation(operation: Handle) -> Handle {
    operation::subject(operation).system
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsGetProcessFromOperation(operation: Handle) -> Handle {
    operation::subject(operation).process
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsCancelOperation(operation: Handle) -> Code {
    code(|| operation::cancel(operation))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsGetOperationResult(operation: Handle, document: TextOut) -> Code {
    code(|| operation::result(operation, None, document))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsWaitForOperationResult(
    operation: Handle,
    milliseconds: u32,
    document: TextOut,
) -> Code {
    code(|| operation::result(operation, Some(milliseconds), document))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsGetOperationResultAndProcessInfo(
    operation: Handle,
    information: Out<ProcessInformation>,
    document: TextOut,
) -> Code {
    code(|| operation::result_with_process(operation, None, (information, document)))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsWaitForOperationResultAndProcessInfo(
    operation: Handle,
    milliseconds: u32,
    information: Out<ProcessInformation>,
    document: TextOut,
) -> Code {
    let places = (information, document);
    code(|| operation::result_with_process(operation, Some(milliseconds), places))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsAddResourceToOperation(
    operation: Handle,
    _kind: i32,
    _uri: Text,
    _resource: Descriptor,
) -> Code {
    code(|| {
        operation::find(operation)?;
        not_made("operation that takes resources: only live migration has one")
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsGetOperationProperties(
    operation: Handle,
    _options: Text,
    document: TextOut,
) -> Code {
    code(|| {
        document.clear();
        document.hand_out(&operation::information(operation)?)
    })
}
