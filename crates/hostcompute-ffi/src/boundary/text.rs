//! Texts and ids that C programs hand in.

use hostcompute::{Failure, Guid, HResult};

/// UTF-16 of the caller's, ended by a zero; may be NULL.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Text(*const u16);

/// The id of an object in the memory layout of Windows; may be NULL.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct GuidIn(*const [u8; 16]);

/// Longer texts are refused, in code units without the zero: no document is that long, and a text without an end is noticed.
pub const LONGEST: usize = 16 * 1024 * 1024;

impl Text {
    pub const NULL: Text = Text(std::ptr::null());

    /// The text, empty for NULL.
    ///
    /// # Errors
    /// E_INVALIDARG for what is no UTF-16, ERROR_MESSAGE_EXCEEDS_MAX_SIZE.
    pub fn read_or_empty(self) -> Result<String, Failure> {
        if self.0.is_null() { Ok(String::new()) } else { self.read("text") }
    }

    /// The text; `what` is what to call it in a failure.
    ///
    /// # Errors
    /// E_POINTER for NULL, E_INVALIDARG for what is no UTF-16, ERROR_MESSAGE_EXCEEDS_MAX_SIZE.
    pub fn read(self, what: &str) -> Result<String, Failure> {
        if self.0.is_null() || !self.0.is_aligned() {
            return Err(Failure::new(HResult::E_POINTER, format!("the {what} is NULL")));
        }
        let mut units = Vec::new();
        loop {
            // SAFETY: the caller promises a text that ends with a zero; no unit so far was one, so this one is there, too.
            match unsafe { self.0.add(units.len()).read() } {
                0 => break,
                unit => units.push(unit),
            }
            if units.len() > LONGEST {
                let why = format!("the {what} has more than {LONGEST} code units");
                return Err(Failure::new(HResult::ERROR_MESSAGE_EXCEEDS_MAX_SIZE, why));
            }
        }
        decode(&units, what)
    }
}

fn decode(units: &[u16], what: &str) -> Result<String, Failure> {
    String::from_utf16(units).map_err(|_| {
        let good = char::decode_utf16(units.iter().copied()).take_while(Result::is_ok);
        let place: usize = good.flatten().map(char::len_utf16).sum();
        let why = format!("the {what} is no UTF-16: code unit {place} is half of a pair");
        Failure::new(HResult::E_INVALIDARG, why)
    })
}

impl GuidIn {
    /// The id; none for NULL and for zeros, which stand for «not given».
    pub fn read_if_given(self) -> Option<Guid> {
        // SAFETY: the caller promises NULL or sixteen bytes, which need no alignment.
        let bytes = unsafe { self.0.as_ref() };
        bytes.map(|bytes| Guid::from_windows_bytes(*bytes)).filter(|id| !id.is_zero())
    }

    /// The id.
    ///
    /// # Errors
    /// E_POINTER for NULL.
    pub fn read(self) -> Result<Guid, Failure> {
        if self.0.is_null() {
            return Err(Failure::new(HResult::E_POINTER, "the id is NULL"));
        }
        Ok(self.read_if_given().unwrap_or(Guid::ZERO))
    }
}

/// A text as C programs read it, its zero included.
pub fn wide(text: &str) -> Vec<u16> {
    // A zero inside would hide what follows.
    text.encode_utf16().filter(|unit| *unit != 0).chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    fn read(units: &[u16]) -> Result<String, HResult> {
        Text(units.as_ptr()).read("text").map_err(|failure| failure.hresult)
    }

    #[test]
    fn texts_are_read_up_to_their_zero() {
        assert_eq!(read(&wide("")), Ok(String::new()));
        assert_eq!(read(&wide("a\u{1f600}ß")), Ok("a\u{1f600}ß".to_owned()));
        assert_eq!(wide("a\0b"), [97, 98, 0]);
        assert_eq!(Text(ptr::null()).read_or_empty(), Ok(String::new()));
    }

    #[test]
    fn half_pairs_and_endless_texts_are_refused() {
        let failure = decode(&[97, 0xd83d, 98], "id").unwrap_err();
        assert_eq!(failure.hresult, HResult::E_INVALIDARG);
        assert!(failure.message.contains("code unit 1"), "{failure}");
        assert_eq!(read(&[0xdc00, 0]), Err(HResult::E_INVALIDARG));
        let long = vec![97; LONGEST + 2];
        assert_eq!(read(&long), Err(HResult::ERROR_MESSAGE_EXCEEDS_MAX_SIZE));
        assert_eq!(Text(ptr::null()).read("id").unwrap_err().hresult, HResult::E_POINTER);
    }

    #[test]
    fn ids_are_in_the_order_of_windows() {
        let id: Guid = "0f8fad5b-d9cb-469f-a165-70867728950e".parse().unwrap();
        let bytes = id.to_windows_bytes();
        assert_eq!(bytes[0], 0x5b);
        assert_eq!(GuidIn(&bytes).read(), Ok(id));
        assert_eq!(GuidIn(&[0; 16]).read_if_given(), None);
        assert_eq!(GuidIn(ptr::null()).read().unwrap_err().hresult, HResult::E_POINTER);
    }
}
