//! HCS_CREATE_OPTIONS: a structure that begins with its version.

use hostcompute::{Failure, HResult};

use super::callback::{Context, EventFunction};
use super::platform::Descriptor;

/// HCS_CREATE_OPTIONS_1.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct CreateOptions {
    pub version: i32,
    pub user: Descriptor,
    pub security: Descriptor,
    pub events: i32,
    pub context: Context,
    pub callback: Option<EventFunction>,
}

/// HcsCreateOptions_1.
const VERSION: i32 = 0x0001_0000;

/// Options of the caller's; may be NULL.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct CreateOptionsIn(*const CreateOptions);

impl CreateOptionsIn {
    /// The options, if there are some.
    ///
    /// # Errors
    /// E_INVALIDARG for a version that is not known, E_POINTER for what is not aligned.
    pub fn read(self) -> Result<Option<CreateOptions>, Failure> {
        if self.0.is_null() {
            return Ok(None);
        }
        if !self.0.is_aligned() {
            return Err(Failure::new(HResult::E_POINTER, "the options are not aligned"));
        }
        // SAFETY: the caller promises a structure that begins with its version, whichever it is.
        let version = unsafe { self.0.cast::<i32>().read() };
        if version != VERSION {
            let why = format!("the options have version {version:#x}, not {VERSION:#x}");
            return Err(Failure::new(HResult::E_INVALIDARG, why));
        }
        // SAFETY: the version says that it is this structure.
        Ok(Some(unsafe { self.0.read() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    #[test]
    fn the_structure_is_that_of_the_header() {
        let word = size_of::<usize>();
        assert_eq!(offset_of!(CreateOptions, user), word);
        assert_eq!(offset_of!(CreateOptions, callback), 5 * word);
        assert_eq!(size_of::<CreateOptions>(), 6 * word);
    }
}
