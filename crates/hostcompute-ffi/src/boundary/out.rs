//! Where C programs want results written.

use std::fmt;
use std::ptr::{self, NonNull};

use hostcompute::{Failure, HResult};

use super::platform::allocate;
use super::text::wide;

/// A place of the caller's for a result; may be NULL.
///
/// Each result is cleared when a call begins, so that after a failure there is never an old value where a program looks.
#[repr(transparent)]
pub struct Out<T>(*mut T);

/// A place for a text that the caller frees.
pub type TextOut = Out<*mut u16>;

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Out<T> {}

impl<T> fmt::Debug for Out<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Out").field(&self.0).finish()
    }
}

impl<T: Copy> Out<T> {
    /// Writes the value, where there is a place for it.
    pub fn put(self, value: T) {
        if let Some(place) = self.place() {
            // SAFETY: the caller promises NULL or a place for one value, which nobody else uses during the call.
            unsafe { place.write(value) };
        }
    }

    /// Fails where there is no place for a result without which a call makes no sense.
    ///
    /// # Errors
    /// E_POINTER.
    pub fn demand(self, what: &str) -> Result<(), Failure> {
        match self.place() {
            Some(_) => Ok(()),
            None => {
                let why = format!("there is no place for the {what}: the pointer is NULL");
                Err(Failure::new(HResult::E_POINTER, why))
            }
        }
    }

    /// Whether there is a place.
    pub fn is_given(self) -> bool {
        self.place().is_some()
    }

    fn place(self) -> Option<NonNull<T>> {
        NonNull::new(self.0).filter(|place| place.is_aligned())
    }
}

impl TextOut {
    /// Writes NULL.
    pub fn clear(self) {
        self.put(ptr::null_mut());
    }

    /// Hands out a text.
    ///
    /// # Errors
    /// E_OUTOFMEMORY.
    pub fn hand_out(self, text: &str) -> Result<(), Failure> {
        if self.place().is_none() {
            return Ok(());
        }
        let Some(text) = allocate(&wide(text)) else {
            return Err(Failure::new(HResult::E_OUTOFMEMORY, "there is no memory for the result"));
        };
        self.put(text.as_ptr());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_place_is_left_out_or_refused() {
        let none = Out::<u32>(ptr::null_mut());
        none.put(7);
        assert_eq!(none.demand("count").unwrap_err().hresult, HResult::E_POINTER);
        let mut value = 0;
        Out(&raw mut value).put(7);
        assert_eq!(value, 7);
        let odd = Out::<u32>((&raw mut value).cast::<u8>().wrapping_add(1).cast());
        assert!(odd.demand("count").is_err());
        assert!(TextOut::hand_out(Out(ptr::null_mut()), "text").is_ok());
    }
}
