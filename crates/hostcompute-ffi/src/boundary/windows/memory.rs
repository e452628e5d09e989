//! Memory that the library makes and the program frees: the task allocator's, which is the process heap's, so that `CoTaskMemFree` and
//! `LocalFree` both give it back.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

// SAFETY: the declarations are those of combaseapi.h.
#[link(name = "ole32")]
unsafe extern "system" {
    fn CoTaskMemAlloc(size: usize) -> *mut c_void;
    fn CoTaskMemFree(block: *mut c_void);
}

/// Memory that the caller has from this library; may be NULL.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Block(*mut c_void);

impl Block {
    /// Gives it back.
    pub fn release(self) {
        // SAFETY: the caller promises a block of this library's that was not given back before, or NULL.
        unsafe { CoTaskMemFree(self.0) }
    }
}

/// A copy of these values for the program; none without memory.
pub fn allocate<T: Copy>(values: &[T]) -> Option<NonNull<T>> {
    // SAFETY: the allocator has no conditions. One byte more, so that no values are no special case.
    let block = unsafe { CoTaskMemAlloc(size_of_val(values) + 1) }.cast::<T>();
    let block = NonNull::new(block)?;
    // SAFETY: the block is fresh, as large as the values, and aligned for every type that C knows.
    unsafe { ptr::copy_nonoverlapping(values.as_ptr(), block.as_ptr(), values.len()) };
    Some(block)
}
