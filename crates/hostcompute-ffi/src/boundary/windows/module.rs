//! The library as the loader has it: it has threads of its own, so its code must not go away below them with FreeLibrary.

use std::ffi::c_void;
use std::ptr;
use std::sync::Once;

/// GET_MODULE_HANDLE_EX_FLAG_PIN, and ..._FROM_ADDRESS: the module that this address is in, for ever.
const PIN: u32 = 1;
const FROM_ADDRESS: u32 = 4;

// SAFETY: the declaration is that of libloaderapi.h.
#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetModuleHandleExW(flags: u32, address: *const c_void, module: *mut *mut c_void) -> i32;
}

/// The library stays loaded until the process ends.
pub fn stay() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut module = ptr::null_mut();
        // SAFETY: the address is one of this library's own, and the result has a place. Should it fail, the library can be unloaded as
        // any other: nothing is lost but that protection.
        unsafe {
            GetModuleHandleExW(PIN | FROM_ADDRESS, (&raw const ONCE).cast(), &raw mut module)
        };
    });
}
