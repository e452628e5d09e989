//! File descriptors that C programs hand in and get, as the handles of Windows: the number as a pointer. 0 and -1 are none.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::ptr;

use hostcompute::{Failure, HResult};
use rustix::io::{fcntl_dupfd_cloexec, fcntl_getfd};

/// A descriptor of the caller's, or for the caller; may be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Descriptor(*mut c_void);

/// The lowest descriptor that is used: 0 would be none, and 1 and 2 belong to the program's own streams.
const LOWEST: i32 = 3;

impl Descriptor {
    pub const NONE: Descriptor = Descriptor(ptr::null_mut());

    /// Whether there is none: NULL, or INVALID_HANDLE_VALUE.
    pub fn is_none(self) -> bool {
        self.0.is_null() || self.0.addr() == usize::MAX
    }

    /// A copy of the caller's descriptor, if there is one.
    ///
    /// # Errors
    /// E_HANDLE for a number that is no open descriptor.
    pub fn copy_if_given(self) -> Result<Option<OwnedFd>, Failure> {
        if self.is_none() { Ok(None) } else { self.copy().map(Some) }
    }

    /// A copy of the caller's descriptor.
    ///
    /// # Errors
    /// E_HANDLE for none, or for a number that is no open descriptor.
    pub fn copy(self) -> Result<OwnedFd, Failure> {
        let no = |why: &str| Failure::new(HResult::E_HANDLE, format!("the handle {why}"));
        if self.is_none() {
            return Err(no("is missing"));
        }
        let number = i32::try_from(self.0.addr()).map_err(|_| no("is no file descriptor"))?;
        // SAFETY: the number is not -1. It is only looked at, then copied; the caller promises not to close it during the call.
        let theirs = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl_getfd(theirs).map_err(|_| no("is no open file descriptor"))?;
        fcntl_dupfd_cloexec(theirs, LOWEST).map_err(|error| no(&format!("cannot be used: {error}")))
    }

    /// Makes a descriptor the caller's.
    ///
    /// # Errors
    /// E_OUTOFMEMORY when there are no further descriptors.
    pub fn give(owned: Option<OwnedFd>) -> Result<Descriptor, Failure> {
        let Some(owned) = owned else { return Ok(Descriptor::NONE) };
        let high = if owned.as_raw_fd() >= LOWEST {
            owned
        } else {
            fcntl_dupfd_cloexec(&owned, LOWEST).map_err(|error| {
                Failure::new(HResult::E_OUTOFMEMORY, format!("no descriptor is left: {error}"))
            })?
        };
        let number = high.into_raw_fd();
        Ok(Descriptor(ptr::without_provenance_mut(usize::try_from(number).unwrap_or_default())))
    }
}
