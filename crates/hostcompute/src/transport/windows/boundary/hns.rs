//! HNSCall, the older interface of the network service.
#![expect(unsafe_code, reason = "calls a function of vmcompute.dll")]

use hostcompute_schema::Failure;

use super::library::OLDER;
use super::memory::{Given, Giver, Wide};
use crate::transport::windows::refusal;

/// `HNSCall(method, path, object, response)`.
type Function = unsafe extern "system" fn(*const u16, *const u16, *const u16, *mut *mut u16) -> i32;

/// Asks; the answer is the text of a document.
///
/// # Errors
/// E_NOTIMPL where vmcompute.dll is not there, or what Windows refuses without an answer.
pub fn call(method: &str, path: &str, object: &str) -> Result<String, Failure> {
    // SAFETY: this is its shape (hcsshim's internal/hns/hns.go).
    let function: Function = unsafe { OLDER.function("HNSCall")? };
    let (method, path, object) = (Wide::new(method)?, Wide::new(path)?, Wide::new(object)?);
    let mut response = Given::by(Giver::Network);
    // SAFETY: the texts end with zeros and, like the room for the answer, outlive the call.
    let code =
        unsafe { function(method.as_ptr(), path.as_ptr(), object.as_ptr(), response.room()) };
    refusal::unless(code, String::new)?;
    Ok(response.read())
}
