//! What the libraries of these tests count.
#![expect(
    unsafe_code,
    reason = "asks libraries of the tests' own by functions that only they have"
)]

use std::ffi::{CString, c_void};

// SAFETY: the signatures are those of libloaderapi.h.
#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetModuleHandleA(name: *const i8) -> *mut c_void;
    fn GetProcAddress(module: *mut c_void, name: *const i8) -> *mut c_void;
}

/// Calls a function of a library that is loaded.
fn ask(library: &str, function: &str) -> i32 {
    let text = |text: &str| CString::new(text).expect("no zero in it");
    let (library, function) = (text(library), text(function));
    // SAFETY: both names end with zeros and live through the calls.
    let address = unsafe { GetProcAddress(GetModuleHandleA(library.as_ptr()), function.as_ptr()) };
    assert!(!address.is_null(), "{function:?} of {library:?}, which is not that of the tests");
    // SAFETY: the functions that these tests ask take nothing and answer with a number, or with nothing.
    let function: extern "C" fn() -> i32 = unsafe { std::mem::transmute(address) };
    function()
}

/// The small computenetwork.dll.
pub mod network {
    /// Texts that it handed out and nobody has freed.
    pub fn texts() -> i32 {
        super::ask("computenetwork.dll", "TextsHandedOut")
    }

    /// Handles that nobody has closed.
    pub fn handles() -> i32 {
        super::ask("computenetwork.dll", "HandlesOpen")
    }

    /// Waits until it calls nobody back any more.
    pub fn listener_ended() {
        super::ask("computenetwork.dll", "ListenerEnded");
    }
}

/// The small computecore.dll.
pub mod compute {
    /// Handles and operations that nobody has closed.
    pub fn handles() -> i32 {
        super::ask("computecore.dll", "HandlesOpen")
    }
}
