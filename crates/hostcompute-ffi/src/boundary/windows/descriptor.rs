//! Handles of the kernel that programs hand in and get. NULL and INVALID_HANDLE_VALUE are none.

use std::ffi::c_void;
use std::os::windows::io::{IntoRawHandle, OwnedHandle};
use std::ptr;

use hostcompute::Failure;

/// A handle of the caller's, or for the caller; may be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Descriptor(*mut c_void);

impl Descriptor {
    pub const NONE: Descriptor = Descriptor(ptr::null_mut());

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self.0.is_null() || self.0.addr() == usize::MAX
    }

    /// Makes a handle the caller's.
    ///
    /// # Errors
    /// None here.
    pub fn give(owned: Option<OwnedHandle>) -> Result<Descriptor, Failure> {
        Ok(owned.map_or(Descriptor::NONE, |owned| Descriptor(owned.into_raw_handle())))
    }
}
