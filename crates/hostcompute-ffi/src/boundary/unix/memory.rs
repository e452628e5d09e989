//! Memory that the library makes and the C program frees: of the C library's allocator, so that any of the functions below, and
//! `free` itself, give it back.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

// The C library, which the standard library links anyway.
// SAFETY: the declarations are those of C's <stdlib.h>.
unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
}

/// Memory that the caller has from this library; may be NULL.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Block(*mut c_void);

impl Block {
    /// Gives it back.
    pub fn release(self) {
        // SAFETY: the caller promises a block of this library's that was not given back before, or NULL; both are `free`'s.
        unsafe { free(self.0) }
    }
}

/// A copy of these values for the C program; none without memory.
pub fn allocate<T: Copy>(values: &[T]) -> Option<NonNull<T>> {
    // SAFETY: `malloc` has no conditions. One byte more, so that no values are no special case.
    let block = unsafe { malloc(size_of_val(values) + 1) }.cast::<T>();
    let block = NonNull::new(block)?;
    // SAFETY: the block is fresh, as large as the values, and aligned for every type that C knows.
    unsafe { ptr::copy_nonoverlapping(values.as_ptr(), block.as_ptr(), values.len()) };
    Some(block)
}

/// Frees what the library has allocated: texts and error records. NULL is nothing.
#[unsafe(no_mangle)]
pub extern "C" fn HostComputeFree(block: Block) {
    block.release();
}

/// As [`HostComputeFree`], by the name that programs for Windows know.
#[unsafe(no_mangle)]
pub extern "C" fn CoTaskMemFree(block: Block) {
    block.release();
}

/// As [`HostComputeFree`], by another name that programs for Windows know. Answers NULL: it was freed.
#[unsafe(no_mangle)]
pub extern "C" fn LocalFree(block: Block) -> *mut c_void {
    block.release();
    ptr::null_mut()
}
