//! The libraries of Windows, loaded when they are first needed and from the system's directory alone. Functions are looked up by name, so
//! that a Windows that lacks some of them can do everything else.
#![expect(unsafe_code, reason = "loads libraries and calls their functions by address")]

use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::OnceLock;

use hostcompute_schema::{ComputeOperation, Failure, HResult, Operation, SchemaVersion};

use super::memory::Wide;

/// LOAD_LIBRARY_SEARCH_SYSTEM32: a library beside the program, or in the working directory, is not the system's.
const SYSTEM32: u32 = 0x800;

// SAFETY: the signatures are those of libloaderapi.h.
#[link(name = "kernel32")]
unsafe extern "system" {
    fn LoadLibraryExW(name: *const u16, reserved: *mut c_void, flags: u32) -> *mut c_void;
    fn GetProcAddress(module: *mut c_void, name: *const i8) -> *mut c_void;
}

/// A library of the system.
#[derive(Debug)]
pub struct Library {
    name: &'static str,
    /// The module's address, which stays valid: libraries are never unloaded.
    module: OnceLock<Option<usize>>,
}

/// The network service.
pub static NETWORK: Library = Library::new("computenetwork.dll");
/// The compute service.
pub static COMPUTE: Library = Library::new("computecore.dll");
/// Layers.
pub static STORAGE: Library = Library::new("computestorage.dll");
/// The older interface of both services.
pub static OLDER: Library = Library::new("vmcompute.dll");
/// Adapters.
#[cfg(adapters)]
pub static ADAPTERS: Library = Library::new("iphlpapi.dll");
/// Memory that the network service hands out is given back here.
pub static MEMORY: Library = Library::new("ole32.dll");

impl Library {
    const fn new(name: &'static str) -> Self {
        Self { name, module: OnceLock::new() }
    }

    /// The file's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether this Windows has it.
    pub fn is_there(&self) -> bool {
        self.module().is_some()
    }

    /// Whether this Windows has the function.
    pub fn has(&self, function: &str) -> bool {
        self.address(function).is_some()
    }

    /// A function, in its shape.
    ///
    /// # Safety
    /// `F` is a function pointer, and the function of this name has this shape.
    ///
    /// # Errors
    /// E_NOTIMPL that names the function, and the Windows that has it.
    pub unsafe fn function<F: Copy>(&self, name: &str) -> Result<F, Failure> {
        let address = self.address(name).ok_or_else(|| self.lacks(name))?;
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>(), "F is a function pointer");
        // SAFETY: both are addresses of functions, of the same size; the caller vouches for the shape.
        Ok(unsafe { std::mem::transmute_copy::<*mut c_void, F>(&address) })
    }

    fn module(&self) -> Option<*mut c_void> {
        let load = || {
            let name = Wide::new(self.name).ok()?;
            // SAFETY: the name ends with a zero and lives through the call.
            let module = unsafe { LoadLibraryExW(name.as_ptr(), ptr::null_mut(), SYSTEM32) };
            (!module.is_null()).then_some(module as usize)
        };
        (*self.module.get_or_init(load)).map(|module| module as *mut c_void)
    }

    fn address(&self, function: &str) -> Option<*mut c_void> {
        let (module, name) = (self.module()?, CString::new(function).ok()?);
        // SAFETY: the module stays loaded, and the name ends with a zero and lives through the call.
        let address = unsafe { GetProcAddress(module, name.as_ptr()) };
        (!address.is_null()).then_some(address)
    }

    fn lacks(&self, function: &str) -> Failure {
        if !self.is_there() {
            let why = format!("{function} cannot be called: this Windows has no {}", self.name);
            return Failure::new(HResult::E_NOTIMPL, why)
                .hint("it comes with the features Containers and Hyper-V, from Windows 10 version 1809 on");
        }
        let why = format!("{} of this Windows does not export {function}", self.name);
        Failure::new(HResult::E_NOTIMPL, why)
            .hint(format!("it is there from {} on", since(function)))
    }
}

const OF_2019: SchemaVersion = SchemaVersion { major: 2, minor: 1 };
const OF_2004: SchemaVersion = SchemaVersion { major: 2, minor: 3 };

/// The Windows that brought a function (hcn.md 1.9, hcs.md 1.2: versions of the schema and of Windows).
fn since(function: &str) -> &'static str {
    let network = Operation::ALL.iter().find(|one| one.symbol() == function);
    let compute = ComputeOperation::ALL.iter().find(|one| one.symbol() == Some(function));
    let version = network.and_then(|one| one.since()).or(compute.and_then(|one| one.since()));
    match version {
        Some(version) if version <= OF_2019 => {
            "Windows 10 version 1809 and Windows Server 2019 (build 17763)"
        }
        Some(version) if version <= OF_2004 => "Windows 10 version 2004 (build 19041)",
        Some(_) => "Windows Server 2022 (build 20348)",
        None => "a version of Windows that nobody documents",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_windows_that_has_it() {
        static KERNEL: Library = Library::new("kernel32.dll");
        assert!(KERNEL.has("GetProcAddress") && !KERNEL.has("HcnOpenNetwork"));
        let lacks = |name: &str| {
            // SAFETY: it is never called.
            let found = unsafe { KERNEL.function::<fn()>(name) };
            found.expect_err("kernel32 has no such function")
        };
        let failure = lacks("HcsWaitForProcessExit");
        assert_eq!(failure.hresult, HResult::E_NOTIMPL);
        assert!(failure.message.contains("HcsWaitForProcessExit"), "{failure}");
        assert!(failure.to_string().contains("20348"), "{failure}");
        assert!(lacks("HcsCrashComputeSystem").to_string().contains("19041"));
        assert!(lacks("HcnOpenNetwork").to_string().contains("17763"));
        static NONE: Library = Library::new("no-such-library.dll");
        assert!(!NONE.is_there() && !NONE.has("HcnOpenNetwork"));
    }
}
