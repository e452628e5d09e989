//! How the older functions answer: by a code in the older form, and by a document where there is room for one.

use hostcompute::schema::Document;
use hostcompute::schema::hcs::{ErrorEvent, ResultError};
use hostcompute::{Failure, HResult};

use crate::boundary::TextOut;
use crate::call::{self, Code, guarded};

/// Carries out a call; what is wrong stands in `result`.
pub fn answer(result: TextOut, work: impl FnOnce() -> Result<(), Failure>) -> Code {
    told(result, HResult::S_OK, work)
}

/// The same for calls whose end is told by a notification.
pub fn pending(result: TextOut, work: impl FnOnce() -> Result<(), Failure>) -> Code {
    told(result, HResult::VMCOMPUTE_OPERATION_PENDING, work)
}

fn told(result: TextOut, done: HResult, work: impl FnOnce() -> Result<(), Failure>) -> Code {
    result.clear();
    let failure = match guarded(work) {
        Ok(()) => return done.to_signed(),
        Err(failure) => older(failure),
    };
    let mut document = ResultError::of(&failure);
    // Of this document hcsshim prints the events alone.
    let event = ErrorEvent { message: document.error_message.clone(), ..ErrorEvent::default() };
    document.error_events = Some(vec![event]);
    // Without memory for the document the code alone has to do.
    let _ = result.hand_out(&document.to_value().to_string());
    failure.hresult.to_signed()
}

/// As [`answer`], for functions without a result.
pub fn code(work: impl FnOnce() -> Result<(), Failure>) -> Code {
    call::code(|| work().map_err(older))
}

fn older(failure: Failure) -> Failure {
    Failure { hresult: failure.hresult.older_form(), ..failure }
}
