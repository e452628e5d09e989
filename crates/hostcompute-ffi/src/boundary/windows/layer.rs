//! Structures by which the older functions name layers, and the room that they want a path written into.

use std::ptr::{self, NonNull};

use hostcompute::{Failure, HResult};

use crate::boundary::Text;
use crate::boundary::text::wide;

/// DriverInfo: where layers are.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct DriverInfo {
    flavour: i32,
    home: Text,
}

/// WC_LAYER_DESCRIPTOR: one parent of a layer.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct LayerDescriptor {
    id: [u8; 16],
    flags: u32,
    path: Text,
}

/// Where layers are, of the caller's; may be NULL.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct DriverIn(*const DriverInfo);

/// The parents of a layer, of the caller's; may be NULL where there are none.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct ParentsIn(*const LayerDescriptor);

/// More parents than this no layer has.
const MOST: u32 = 4096;

impl DriverIn {
    /// The folder that ids are below; empty where they are paths themselves.
    ///
    /// # Errors
    /// E_POINTER for what is not aligned, E_INVALIDARG for what is no UTF-16.
    pub fn home(self) -> Result<String, Failure> {
        if self.0.is_null() {
            return Ok(String::new());
        }
        if !self.0.is_aligned() {
            return Err(Failure::new(HResult::E_POINTER, "the driver's structure is not aligned"));
        }
        // SAFETY: the caller promises NULL or this structure, which nobody changes during the call.
        unsafe { self.0.read() }.home.read_or_empty()
    }
}

impl ParentsIn {
    /// Their paths.
    ///
    /// # Errors
    /// E_POINTER, E_INVALIDARG for what is no UTF-16, or for more than any layer has.
    pub fn paths(self, count: u32) -> Result<Vec<String>, Failure> {
        if count > MOST {
            let why = format!("a layer has at most {MOST} parents");
            return Err(Failure::new(HResult::E_INVALIDARG, why));
        }
        if count > 0 && (self.0.is_null() || !self.0.is_aligned()) {
            return Err(Failure::new(HResult::E_POINTER, "there are no descriptors of layers"));
        }
        let one = |index| {
            // SAFETY: the caller promises so many structures, which nobody changes during the call.
            unsafe { self.0.add(index).read() }.path.read("parent's path")
        };
        (0..usize::try_from(count).unwrap_or_default()).map(one).collect()
    }
}

/// Room for a text of the caller's: NULL asks how much it takes.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Room(*mut u16);

/// How many code units there are, and then how many it takes.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Length(*mut usize);

impl Room {
    /// Writes the text, its zero included, and how long it is.
    ///
    /// # Errors
    /// E_POINTER without a length, E_INVALIDARG for too little room.
    pub fn fill(self, length: Length, text: &str) -> Result<(), Failure> {
        let Some(length) = NonNull::new(length.0).filter(|length| length.is_aligned()) else {
            return Err(Failure::new(HResult::E_POINTER, "the length is NULL"));
        };
        let text = wide(text);
        // SAFETY: the caller promises a number there, which nobody else uses during the call.
        let given = unsafe { length.replace(text.len()) };
        if self.0.is_null() {
            return Ok(());
        }
        if given < text.len() || !self.0.is_aligned() {
            let why = format!("the text takes {} code units", text.len());
            return Err(Failure::new(HResult::E_INVALIDARG, why));
        }
        // SAFETY: the caller promises room for as many code units as the number said, and the text has no more.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), self.0, text.len()) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_where_there_is_room() {
        let mut length = 0;
        let at = Length(&raw mut length);
        assert!(Room(ptr::null_mut()).fill(at, "path").is_ok());
        assert_eq!(length, 5);
        let mut room = [1_u16; 5];
        assert!(Room(room.as_mut_ptr()).fill(at, "path").is_ok());
        assert_eq!(room, [112, 97, 116, 104, 0]);
        length = 4;
        assert!(Room(room.as_mut_ptr()).fill(Length(&raw mut length), "path").is_err());
        assert!(Room(ptr::null_mut()).fill(Length(ptr::null_mut()), "path").is_err());
    }

    #[test]
    fn parents_are_read_by_their_number() {
        let (one, two) = (wide("/one"), wide("/two"));
        // SAFETY: a `Text` is a pointer to code units, and these end with a zero.
        let text =
            |units: &[u16]| unsafe { std::mem::transmute::<*const u16, Text>(units.as_ptr()) };
        let parent = |units| LayerDescriptor { id: [0; 16], flags: 0, path: text(units) };
        let parents = [parent(&one), parent(&two)];
        assert_eq!(
            ParentsIn(parents.as_ptr()).paths(2).as_deref(),
            Ok(&["/one".to_owned(), "/two".to_owned()][..])
        );
        assert_eq!(ParentsIn(ptr::null()).paths(0), Ok(Vec::new()));
        assert!(ParentsIn(ptr::null()).paths(1).is_err());
        assert!(ParentsIn(parents.as_ptr()).paths(u32::MAX).is_err());
        let info = DriverInfo { flavour: 1, home: text(&one) };
        assert_eq!(DriverIn(&raw const info).home().as_deref(), Ok("/one"));
    }
}
