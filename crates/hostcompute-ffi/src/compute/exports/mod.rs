//! The exported functions of libcomputecore, by the names of computecore.h.

#[expect(unsafe_code, reason = "exports names of C")]
mod machine;
#[expect(unsafe_code, reason = "exports names of C")]
mod operation;
#[expect(unsafe_code, reason = "exports names of C")]
mod process;
#[expect(unsafe_code, reason = "exports names of C")]
mod system;

use hostcompute::{Failure, HResult};
use hostcompute_engine::compute::operation::Delivery;

use crate::boundary::Descriptor;

/// HcsEventOptionEnableOperationCallbacks.
const OPERATION_CALLBACKS: i32 = 1;

/// How ends of calls are told. The other two options are about events that no system here has.
///
/// # Errors
/// E_INVALIDARG for bits that mean nothing.
fn delivery(options: i32) -> Result<Delivery, Failure> {
    const KNOWN: i32 = 7;
    if options & !KNOWN != 0 {
        let why = format!("{options:#x} are no options for events");
        return Err(Failure::new(HResult::E_INVALIDARG, why));
    }
    Ok(match options & OPERATION_CALLBACKS {
        0 => Delivery::Callbacks,
        _ => Delivery::Events,
    })
}

/// A security descriptor must be NULL, as documented.
///
/// # Errors
/// E_INVALIDARG.
fn unsecured(descriptor: Descriptor) -> Result<(), Failure> {
    if descriptor == Descriptor::NONE {
        return Ok(());
    }
    Err(Failure::new(HResult::E_INVALIDARG, "the security descriptor must be NULL"))
}
