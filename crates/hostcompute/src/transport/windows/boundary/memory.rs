//! Texts as Windows has them: UTF-16 with a zero behind; given by us, handed out by a library, or lent to a callback.
#![expect(unsafe_code, reason = "reads and frees memory that the system hands out")]

use std::ffi::c_void;
use std::ptr;

use hostcompute_schema::{Failure, HResult};

use super::library::MEMORY;

// SAFETY: the signature is that of winbase.h.
#[link(name = "kernel32")]
unsafe extern "system" {
    fn LocalFree(memory: *mut c_void) -> *mut c_void;
}

/// A text of ours.
#[derive(Debug)]
pub struct Wide(Vec<u16>);

impl Wide {
    /// A text with a zero behind.
    ///
    /// # Errors
    /// E_INVALIDARG for a text with a zero in it, which would end there.
    pub fn new(text: &str) -> Result<Self, Failure> {
        if text.contains('\0') {
            return Err(Failure::new(HResult::E_INVALIDARG, "a text with a NUL character in it"));
        }
        Ok(Self(text.encode_utf16().chain([0]).collect()))
    }

    /// Where it begins.
    pub fn as_ptr(&self) -> *const u16 {
        self.0.as_ptr()
    }
}

/// A text of ours, or nothing (NULL).
#[derive(Debug)]
pub struct Optional(Option<Wide>);

impl Optional {
    /// NULL for an empty text.
    ///
    /// # Errors
    /// As [`Wide::new`].
    pub fn new(text: &str) -> Result<Self, Failure> {
        Ok(Self(if text.is_empty() { None } else { Some(Wide::new(text)?) }))
    }

    /// Where it begins, or NULL.
    pub fn as_ptr(&self) -> *const u16 {
        self.0.as_ref().map_or(ptr::null(), Wide::as_ptr)
    }
}

/// Who gives a text back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Giver {
    /// Libraries of the network service: CoTaskMemFree.
    Network,
    /// Libraries of the compute service: LocalFree.
    Compute,
}

/// A text that a library hands out; freed when it is dropped.
#[derive(Debug)]
pub struct Given {
    text: *mut u16,
    giver: Giver,
}

impl Given {
    /// Room for a text.
    pub fn by(giver: Giver) -> Self {
        Self { text: ptr::null_mut(), giver }
    }

    /// What the library writes the text's address to, once.
    pub fn room(&mut self) -> *mut *mut u16 {
        &mut self.text
    }

    /// The text; empty where nothing was handed out.
    pub fn read(&self) -> String {
        // SAFETY: a library has written the address of a text of its own, which only dropping gives back; or it is NULL.
        unsafe { read(self.text) }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        if self.text.is_null() {
            return;
        }
        let memory = self.text.cast::<c_void>();
        match self.giver {
            Giver::Compute => {
                // SAFETY: the compute service's libraries allocate what they hand out by LocalAlloc, and this is its only owner.
                unsafe { LocalFree(memory) };
            }
            Giver::Network => {
                type CoTaskMemFree = unsafe extern "system" fn(*mut c_void);
                // SAFETY: this is the shape of CoTaskMemFree (combaseapi.h).
                if let Ok(free) = unsafe { MEMORY.function::<CoTaskMemFree>("CoTaskMemFree") } {
                    // SAFETY: the network service allocates what it hands out by CoTaskMemAlloc, and this is its only owner.
                    unsafe { free(memory) };
                }
            }
        }
    }
}

/// Reads a text with a zero behind; what is no UTF-16 becomes replacement characters.
///
/// # Safety
/// `text` is NULL, or points to units that end with a zero and stay as they are for the time of the call.
pub unsafe fn read(text: *const u16) -> String {
    if text.is_null() {
        return String::new();
    }
    let mut length = 0;
    // SAFETY: the zero has not been passed, so the unit belongs to the text.
    while unsafe { text.add(length).read() } != 0 {
        length += 1;
    }
    // SAFETY: so many units have just been read.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, length) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_go_out_and_come_back() {
        for text in ["", "plain", "größer 😀"] {
            let wide = Wide::new(text).expect("no zero in it");
            // SAFETY: the text ends with a zero and outlives the call.
            assert_eq!(unsafe { read(wide.as_ptr()) }, text);
        }
        assert!(Wide::new("a\0b").is_err());
        assert!(Optional::new("").expect("empty").as_ptr().is_null());
        assert_eq!(Given::by(Giver::Network).read(), "");
    }
}
