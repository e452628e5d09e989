//! What a code is about: the few classes that callers tell apart, whatever object or interface a code belongs to.

use crate::hresult::HResult;

/// What a failure is about, and so what a caller does about it. There may come more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// No failure.
    Success,
    /// What the call is about does not exist: make it, or be content where it was to go.
    NotFound,
    /// Something of this id, name, port, address or frontend exists: open it, or choose another.
    AlreadyExists,
    /// Others still need it: end them first.
    InUse,
    /// The caller lacks the right: ask as somebody else.
    AccessDenied,
    /// The caller's document or arguments are at fault: mend them. Asking again is of no use.
    InvalidDocument,
    /// Understood, and not to be had on this system: do without, or try an older form.
    Unsupported,
    /// Not possible in the present state: change that first.
    InvalidState,
    /// What was to be changed has ended already.
    AlreadyStopped,
    /// The call goes on: ask for its result later.
    Pending,
    /// It did not end in time: wait longer.
    Timeout,
    /// Nobody answers, or the service is about to stop: start it, or ask again.
    Unavailable,
    /// A limit of the service or of the machine is reached: give something back, or ask later.
    Exhausted,
    /// The service or the machine failed: its log says more.
    Internal,
}

impl HResult {
    /// What the code is about.
    pub fn class(self) -> Class {
        match self {
            code if code.is_success() => Class::Success,
            code if code.is_access_denied() => Class::AccessDenied,
            code if code.is_not_found() => Class::NotFound,
            code if code.is_already_exists() => Class::AlreadyExists,
            code if code.is_in_use() => Class::InUse,
            code if code.is_invalid_state() => Class::InvalidState,
            code if code.is_already_stopped() => Class::AlreadyStopped,
            code if code.is_pending() => Class::Pending,
            code if code.is_timeout() => Class::Timeout,
            code if code.is_invalid_json() => Class::InvalidDocument,
            HResult::HCS_E_INVALID_LAYER
            | HResult::HCS_E_IMAGE_MISMATCH
            | HResult::HCS_E_WINDOWS_INSIDER_REQUIRED
            | HResult::E_INVALIDARG
            | HResult::E_HANDLE
            | HResult::ERROR_MESSAGE_EXCEEDS_MAX_SIZE => Class::InvalidDocument,
            HResult::E_NOTIMPL
            | HResult::ERROR_NOT_SUPPORTED
            | HResult::HCN_E_REQUEST_UNSUPPORTED
            | HResult::HCN_E_VFP_NOT_ALLOWED
            | HResult::HCN_E_ICS_DISABLED
            | HResult::HCS_E_HYPERV_NOT_INSTALLED
            | HResult::HCS_E_SERVICE_NOT_AVAILABLE => Class::Unsupported,
            HResult::HCN_E_MANAGER_STOPPED
            | HResult::HCS_E_SERVICE_DISCONNECT
            | HResult::RPC_S_SERVER_UNAVAILABLE => Class::Unavailable,
            HResult::ERROR_NOT_ENOUGH_QUOTA | HResult::E_OUTOFMEMORY | HResult::ERROR_DISK_FULL => {
                Class::Exhausted
            }
            HResult::HCN_E_REGKEY_FAILURE | HResult::HCN_E_NAMESPACE_ATTACH_FAILED => {
                Class::Internal
            }
            // Of the network service, all others tell what is wrong with a document.
            code if code.0 >> 16 == 0x803b => Class::InvalidDocument,
            _ => Class::Internal,
        }
    }

    /// The HTTP status that carries this code.
    pub fn http_status(self) -> u16 {
        match self {
            HResult::E_HANDLE => return 404,
            HResult::ERROR_MESSAGE_EXCEEDS_MAX_SIZE => return 413,
            HResult::ERROR_NOT_ENOUGH_QUOTA => return 429,
            // The answer to a combination that no version knows.
            HResult::HCN_E_REQUEST_UNSUPPORTED => return 400,
            _ => {}
        }
        match self.class() {
            Class::Success => 200,
            Class::InvalidDocument => 400,
            Class::AccessDenied => 403,
            Class::NotFound => 404,
            Class::AlreadyExists | Class::InUse | Class::InvalidState | Class::AlreadyStopped => {
                409
            }
            Class::Unsupported => 501,
            Class::Unavailable | Class::Exhausted => 503,
            Class::Timeout => 504,
            Class::Pending | Class::Internal => 500,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_about_something() {
        use Class::*;
        for (code, class, status) in [
            (HResult::S_OK, Success, 200),
            (HResult::HCN_E_NETWORK_NOT_FOUND, NotFound, 404),
            (HResult::ERROR_NOT_FOUND, NotFound, 404),
            (HResult::HCN_E_PORT_ALREADY_EXISTS, AlreadyExists, 409),
            (HResult::HCN_E_ENTITY_HAS_REFERENCES, InUse, 409),
            (HResult::HCS_E_ACCESS_DENIED, AccessDenied, 403),
            (HResult::HCN_E_INVALID_JSON, InvalidDocument, 400),
            (HResult::HCN_E_ADDR_INVALID_OR_RESERVED, InvalidDocument, 400),
            (HResult::HCN_E_ADAPTER_NOT_FOUND, InvalidDocument, 400),
            (HResult::E_HANDLE, InvalidDocument, 404),
            (HResult::ERROR_MESSAGE_EXCEEDS_MAX_SIZE, InvalidDocument, 413),
            (HResult::HCN_E_REQUEST_UNSUPPORTED, Unsupported, 400),
            (HResult::E_NOTIMPL, Unsupported, 501),
            (HResult::HCS_E_INVALID_STATE, InvalidState, 409),
            (HResult::HCS_E_SYSTEM_ALREADY_STOPPED, AlreadyStopped, 409),
            (HResult::HCS_E_OPERATION_PENDING, Pending, 500),
            (HResult::WAIT_TIMEOUT, Timeout, 504),
            (HResult::RPC_S_SERVER_UNAVAILABLE, Unavailable, 503),
            (HResult::ERROR_NOT_ENOUGH_QUOTA, Exhausted, 429),
            (HResult::E_OUTOFMEMORY, Exhausted, 503),
            (HResult::E_UNEXPECTED, Internal, 500),
            (HResult(0x8765_4321), Internal, 500),
        ] {
            assert_eq!((code.class(), code.http_status()), (class, status), "{code:?}");
        }
    }
}
