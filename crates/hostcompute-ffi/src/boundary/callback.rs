//! Functions of C programs that the library calls.

use std::ffi::c_void;

use hostcompute::{Failure, HResult};

use super::text::wide;
use crate::handle::Handle;

/// What a C program wants to have back in its callback. Never followed.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Context(*const c_void);

impl Context {
    pub const NULL: Context = Context(std::ptr::null());
}

// SAFETY: the library only carries it. What it stands for is the C program's, who promises that callbacks may use it on any thread.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// HCN_NOTIFICATION_CALLBACK; may be NULL.
pub type Notification =
    unsafe extern "C" fn(kind: u32, context: Context, status: i32, data: *const u16);

/// HCS_OPERATION_COMPLETION; may be NULL.
pub type Completion = unsafe extern "C" fn(operation: Handle, context: Context);

/// HCS_EVENT_CALLBACK; may be NULL.
pub type EventFunction = unsafe extern "C" fn(event: *const Event, context: Context);

/// HCS_EVENT.
#[derive(Debug)]
#[repr(C)]
pub struct Event {
    kind: i32,
    data: *const u16,
    operation: Handle,
}

/// Who is told that an operation has ended. The context is the operation's, which may change.
#[derive(Debug, Clone, Copy)]
pub enum Completed {
    Plain(Completion),
    /// By an event, as those are told who want to know how far an operation has got.
    Event(EventFunction),
}

impl Completed {
    /// Calls it.
    pub fn call(&self, operation: Handle, context: Context) {
        match *self {
            // SAFETY: the caller promises a function of this type that can be called on any thread until the operation is closed.
            Self::Plain(function) => unsafe { function(operation, context) },
            Self::Event(function) => {
                Listener { function, context }.call(OPERATION_CALLBACK, None, operation);
            }
        }
    }
}

/// HcsEventOperationCallback.
pub const OPERATION_CALLBACK: u32 = 0x0100_0000;

/// A function that is told of events, with its context.
#[derive(Debug, Clone, Copy)]
pub struct Listener {
    function: EventFunction,
    context: Context,
}

impl Listener {
    /// The function to call; none for NULL.
    pub fn new(function: Option<EventFunction>, context: Context) -> Option<Self> {
        function.map(|function| Self { function, context })
    }

    /// Calls it; without data with NULL.
    pub fn call(&self, kind: u32, data: Option<&str>, operation: Handle) {
        let data = data.map(wide);
        let text = data.as_ref().map_or(std::ptr::null(), |data| data.as_ptr());
        let event = Event { kind: kind.cast_signed(), data: text, operation };
        // SAFETY: the caller promises a function of this type that can be called on any thread, one call at a time, until its
        // registration has ended; event and text live until it has returned.
        unsafe { (self.function)(&raw const event, self.context) }
    }
}

/// A function that is told of notifications, with its context.
#[derive(Debug, Clone, Copy)]
pub struct Notify {
    function: Notification,
    context: Context,
}

impl Notify {
    /// The function to call.
    ///
    /// # Errors
    /// E_POINTER for NULL.
    pub fn new(function: Option<Notification>, context: Context) -> Result<Self, Failure> {
        let none = || Failure::new(HResult::E_POINTER, "the callback is NULL");
        Ok(Self { function: function.ok_or_else(none)?, context })
    }

    /// Calls it; without data with NULL.
    pub fn call(&self, kind: u32, status: HResult, data: Option<&str>) {
        let data = data.map(wide);
        let text = data.as_ref().map_or(std::ptr::null(), |data| data.as_ptr());
        // SAFETY: the caller promises a function of this type that can be called on any thread, one call at a time, until its
        // registration has ended; the text lives until it has returned.
        unsafe { (self.function)(kind, self.context, status.to_signed(), text) }
    }
}
