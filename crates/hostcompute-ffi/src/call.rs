//! What all exported functions have in common: no panic leaves the library, and a failure is told by its code and its error record.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hostcompute::{Failure, HResult};

use crate::boundary::TextOut;

/// HRESULT.
pub type Code = i32;

/// Carries out a call; a failure's record goes where the caller wants it, and NULL on success.
pub fn answer(record: TextOut, work: impl FnOnce() -> Result<(), Failure>) -> Code {
    record.clear();
    match guarded(work) {
        Ok(()) => HResult::S_OK.to_signed(),
        Err(failure) => {
            // Without memory for the record the code alone has to do.
            let _ = record.hand_out(&failure.error_record().to_string());
            failure.hresult.to_signed()
        }
    }
}

/// As [`answer`], for functions without error records.
pub fn code(work: impl FnOnce() -> Result<(), Failure>) -> Code {
    guarded(work).map_or_else(|failure| failure.hresult, |()| HResult::S_OK).to_signed()
}

/// Does the work; a panic becomes E_UNEXPECTED.
///
/// # Errors
/// Those of the work.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|thrown| {
        // What was thrown may panic when it is dropped.
        std::mem::forget(thrown);
        Err(Failure::new(HResult::E_UNEXPECTED, "the call failed inside the library"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_code() {
        struct Worse;
        impl Drop for Worse {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let unexpected = HResult::E_UNEXPECTED.to_signed();
        assert_eq!(code(|| panic!("here")), unexpected);
        assert_eq!(code(|| std::panic::panic_any(Worse)), unexpected);
        assert_eq!(code(|| Ok(())), 0);
    }
}
