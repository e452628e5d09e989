//! Compute systems: made, opened, asked, changed, waited for.

use hostcompute::schema::ComputeOperation as Verb;
use hostcompute::{Failure, HResult};
use hostcompute_engine::compute::operation::{Delivery, OperationType as Kind};

use super::{delivery, unsecured};
use crate::boundary::{
    Context, CreateOptions, CreateOptionsIn, Descriptor, EventFunction, Listener, Out, Text,
    TextOut,
};
use crate::call::{Code, code};
use crate::compute::machine::not_made;
use crate::compute::system::{self, Wish};
use crate::handle::Handle;

/// Functions that take a system, an operation, and a document that may be left out.
macro_rules! calls {
    ($($name:ident: $kind:ident $verb:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(system: Handle, operation: Handle, document: Text) -> Code {
            code(|| system::call(system, operation, (Kind::$kind, Verb::$verb), document))
        }
    )*};
}

calls! {
    HcsStartComputeSystem: Start StartComputeSystem;
    HcsShutDownComputeSystem: Shutdown ShutDownComputeSystem;
    HcsTerminateComputeSystem: Terminate TerminateComputeSystem;
    HcsCrashComputeSystem: Crash CrashComputeSystem;
    HcsPauseComputeSystem: Pause PauseComputeSystem;
    HcsResumeComputeSystem: Resume ResumeComputeSystem;
    HcsSaveComputeSystem: Save SaveComputeSystem;
    HcsGetComputeSystemProperties: GetProperties GetComputeSystemProperties;
}

/// Functions for live migration, which there is none of.
macro_rules! migrations {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(_system: Handle, _operation: Handle, _options: Text) -> Code {
            code(|| not_made("live migration"))
        }
    )*};
}

migrations! {
    HcsInitializeLiveMigrationOnSource HcsStartLiveMigrationOnSource HcsStartLiveMigrationTransfer
    HcsFinalizeLiveMigration HcsCancelLiveMigration
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsCreateComputeSystem(
    id: Text,
    document: Text,
    operation: Handle,
    security: Descriptor,
    system: Out<Handle>,
) -> Code {
    code(|| {
        system.put(Handle::NULL);
        unsecured(security)?;
        let wish = Wish { listener: None, delivery: Delivery::default() };
        system::create((id, document), operation, wish, system)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsCreateComputeSystemInNamespace(
    namespace: Text,
    id: Text,
    document: Text,
    operation: Handle,
    options: CreateOptionsIn,
    system: Out<Handle>,
) -> Code {
    code(|| {
        system.put(Handle::NULL);
        common(namespace)?;
        let wish = match options.read()? {
            None => Wish { listener: None, delivery: Delivery::default() },
            Some(options) => wished(options)?,
        };
        system::create((id, document), operation, wish, system)
    })
}

fn wished(options: CreateOptions) -> Result<Wish, Failure> {
    unsecured(options.security)?;
    if !options.user.is_none() {
        let why = "systems are made with the rights of the caller, not of somebody else";
        return Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why));
    }
    let listener = Listener::new(options.callback, options.context);
    Ok(Wish { listener, delivery: delivery(options.events)? })
}

/// Ids have one namespace, which has no name.
fn common(namespace: Text) -> Result<(), Failure> {
    match namespace.read_or_empty()?.as_str() {
        "" => Ok(()),
        other => {
            let why =
                format!("there is no namespace of ids called {other:?}: NULL is the only one");
            Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why))
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsOpenComputeSystem(id: Text, access: u32, system: Out<Handle>) -> Code {
    code(|| system::open(id, access, system))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsOpenComputeSystemInNamespace(
    namespace: Text,
    id: Text,
    access: u32,
    system: Out<Handle>,
) -> Code {
    code(|| {
        system.put(Handle::NULL);
        common(namespace)?;
        system::open(id, access, system)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsCloseComputeSystem(system: Handle) {
    code(|| system::close(system));
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsModifyComputeSystem(
    system: Handle,
    operation: Handle,
    document: Text,
    identity: Descriptor,
) -> Code {
    code(|| system::modify(system, operation, document, identity))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsSetComputeSystemCallback(
    system: Handle,
    options: i32,
    context: Context,
    callback: Option<EventFunction>,
) -> Code {
    code(|| system::set_callback(system, delivery(options)?, Listener::new(callback, context)))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsWaitForComputeSystemExit(
    system: Handle,
    milliseconds: u32,
    result: TextOut,
) -> Code {
    code(|| system::wait_for_exit(system, milliseconds, result))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsEnumerateComputeSystems(query: Text, operation: Handle) -> Code {
    code(|| system::enumerate(query, operation))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsEnumerateComputeSystemsInNamespace(
    namespace: Text,
    query: Text,
    operation: Handle,
) -> Code {
    code(|| {
        common(namespace)?;
        system::enumerate(query, operation)
    })
}
