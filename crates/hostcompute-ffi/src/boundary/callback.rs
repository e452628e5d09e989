//! Functions of C programs that the library calls.

use std::ffi::c_void;

use hostcompute::{Failure, HResult};

use super::text::wide;

/// What a C program wants to have back in its callback. Never followed.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Context(*const c_void);

// SAFETY: the library only carries it. What it stands for is the C program's, who promises that callbacks may use it on any thread.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// HCN_NOTIFICATION_CALLBACK; may be NULL.
pub type Notification =
    unsafe extern "C" fn(kind: u32, context: Context, status: i32, data: *const u16);

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
    pub fn call(&self, kind: u32, data: Option<&str>) {
        let data = data.map(wide);
        let text = data.as_ref().map_or(std::ptr::null(), |data| data.as_ptr());
        // SAFETY: the caller promises a function of this type that can be called on any thread, one call at a time, until its
        // registration has ended; the text lives until it has returned.
        unsafe { (self.function)(kind, self.context, HResult::S_OK.to_signed(), text) }
    }
}
