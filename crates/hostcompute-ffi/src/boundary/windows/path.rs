//! Paths of Windows programs as the Linux below has them: Wine knows, and tells by a function that Windows does not have.

use std::ffi::{CStr, c_char, c_void};

use hostcompute::{Failure, HResult};

use crate::boundary::text::wide;

// SAFETY: the declarations are those of libloaderapi.h and heapapi.h.
#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetModuleHandleW(name: *const u16) -> *mut c_void;
    fn GetProcAddress(
        module: *mut c_void,
        name: *const c_char,
    ) -> Option<unsafe extern "system" fn() -> isize>;
    fn GetProcessHeap() -> *mut c_void;
    fn HeapFree(heap: *mut c_void, flags: u32, block: *mut c_void) -> i32;
}

/// wine_get_unix_file_name: a path in bytes of the process heap, or NULL.
type Teller = unsafe extern "C" fn(path: *const u16) -> *mut c_char;

/// The path on the Linux below. One that begins with a slash is one already; drive Z is the root.
///
/// # Errors
/// E_INVALIDARG for a relative one, ERROR_PATH_NOT_FOUND for what Wine does not know, ERROR_NOT_SUPPORTED outside Wine.
pub fn path_below(path: &str, what: &str) -> Result<String, Failure> {
    let path = path.strip_prefix(r"\\?\").unwrap_or(path);
    if path.starts_with('/') && !path.starts_with("//") {
        return Ok(path.to_owned());
    }
    let mut letters = path.chars();
    let drive = letters.next().filter(char::is_ascii_alphabetic);
    let (Some(drive), Some(':'), Some('\\' | '/')) = (drive, letters.next(), letters.next()) else {
        let why = format!("the {what} is {path:?}, and must be absolute");
        return Err(Failure::new(HResult::E_INVALIDARG, why));
    };
    if drive.eq_ignore_ascii_case(&'z') {
        return Ok(format!("/{}", letters.as_str().replace('\\', "/")));
    }
    told_by_wine(path)
}

fn told_by_wine(path: &str) -> Result<String, Failure> {
    let library = wide("kernel32.dll");
    // SAFETY: the name ends with a zero, and the library is one that every process has.
    let kernel = unsafe { GetModuleHandleW(library.as_ptr()) };
    // SAFETY: both are a loaded library and a name that ends with a zero.
    let found = unsafe { GetProcAddress(kernel, c"wine_get_unix_file_name".as_ptr()) };
    let Some(found) = found else {
        let why = format!("no Linux is below that {path} could be on: this is not Wine");
        return Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why));
    };
    // SAFETY: of this name Wine has a function of this type, and nobody else has one.
    let teller =
        unsafe { std::mem::transmute::<unsafe extern "system" fn() -> isize, Teller>(found) };
    let named = wide(path);
    // SAFETY: the path ends with a zero and lives until the function has returned.
    let told = unsafe { teller(named.as_ptr()) };
    if told.is_null() {
        let why = format!("{path} is no path that Wine knows");
        return Err(Failure::new(HResult::ERROR_PATH_NOT_FOUND, why));
    }
    // SAFETY: what is not NULL is a text that ends with a zero, and nobody else has it.
    let text = unsafe { CStr::from_ptr(told) }.to_str().map(str::to_owned);
    // SAFETY: it is of the process heap, as Wine's own programs free it, and is not used any more.
    unsafe { HeapFree(GetProcessHeap(), 0, told.cast()) };
    text.map_err(|_| {
        let why = format!("the path of {path} on Linux is no UTF-8");
        Failure::new(HResult::ERROR_INVALID_DATA, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drive_z_is_the_root_and_what_is_no_path_is_refused() {
        for (path, below) in
            [("/a/b", "/a/b"), (r"Z:\a b\c", "/a b/c"), ("z:/a", "/a"), (r"\\?\Z:\a", "/a")]
        {
            assert_eq!(path_below(path, "path").as_deref(), Ok(below));
        }
        for path in ["a", "", "C:", "C:a", r"\\server\share", "//server"] {
            let failure = path_below(path, "path").expect_err(path);
            assert_eq!(failure.hresult, HResult::E_INVALIDARG);
        }
    }

    #[test]
    fn other_drives_are_where_wine_says() {
        let below = path_below(r"C:\windows\new", "path").expect("Wine");
        assert!(below.starts_with('/') && below.ends_with("/windows/new"), "{below}");
    }
}
