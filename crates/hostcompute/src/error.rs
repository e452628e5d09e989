//! Why a call did not succeed: one type, whatever the object, the interface and the way to the service.
//!
//! An [`Error`] carries
//!
//! - its code, an [`HResult`] with a [name](HResult::name): what programs written for Windows compare,
//! - one line of what was wrong ([`Error::message`]),
//! - the member of the document that is at fault ([`Error::path`]) and its line and column in the text ([`Error::position`]),
//! - what could be done about it ([`Error::hint`]),
//! - what lies behind it: what the kernel, a file or a connection said ([`std::error::Error::source`]).
//!
//! The service inside the process and the one behind a socket give the same errors; what lies behind travels as text. `{}` prints
//! everything but what lies behind, in one line; `{:#}` prints that, too.
//!
//! Codes are many; what they are about is one of a few [classes](Class), and each class that callers tell apart has a predicate:
//!
//! | class | predicate | some codes | what to do |
//! |---|---|---|---|
//! | not found | [`is_not_found`](Error::is_not_found) | HCN_E_NETWORK_NOT_FOUND, ERROR_NOT_FOUND | make it; or be content, if it was to go |
//! | already exists | [`is_already_exists`](Error::is_already_exists) | HCN_E_NETWORK_ALREADY_EXISTS, HCN_E_PORT_ALREADY_EXISTS | open it, or choose another name, port, address |
//! | in use | [`is_in_use`](Error::is_in_use) | HCN_E_ENTITY_HAS_REFERENCES | end what uses it first |
//! | access denied | [`is_access_denied`](Error::is_access_denied) | E_ACCESSDENIED, HCS_E_ACCESS_DENIED | ask as somebody else |
//! | invalid document | [`is_invalid_document`](Error::is_invalid_document) | HCN_E_INVALID_JSON, HCN_E_INVALID_POLICY, E_INVALIDARG | mend what [`path`](Error::path) names |
//! | unsupported | [`is_unsupported`](Error::is_unsupported) | E_NOTIMPL, ERROR_NOT_SUPPORTED, HCN_E_REQUEST_UNSUPPORTED | do without it |
//! | invalid state | [`is_invalid_state`](Error::is_invalid_state) | HCS_E_INVALID_STATE | start, pause or resume it first |
//! | already stopped | [`is_already_stopped`](Error::is_already_stopped) | HCS_E_SYSTEM_ALREADY_STOPPED | nothing |
//! | timeout | [`is_timeout`](Error::is_timeout) | WAIT_TIMEOUT, HCS_E_OPERATION_TIMEOUT | wait longer |
//! | unavailable | [`is_unavailable`](Error::is_unavailable) | RPC_S_SERVER_UNAVAILABLE, HCN_E_MANAGER_STOPPED | start the service, ask again |
//! | exhausted | [`is_exhausted`](Error::is_exhausted) | ERROR_NOT_ENOUGH_QUOTA, E_OUTOFMEMORY | give something back, ask later |
//!
//! Which call gives which code stands with each call; the table of all codes is [`HResult`].
//!
//! ```
//! use hostcompute::error::{Class, Error};
//! use hostcompute::schema::{self, HostComputeNetwork};
//!
//! let text = r#"{"Name": "web",
//!   "Type": 8}"#;
//! let error: Error = schema::parse::<HostComputeNetwork>(text).unwrap_err();
//! assert!(error.is_invalid_document());
//! assert_eq!(error.class(), Class::InvalidDocument);
//! assert_eq!(error.hresult.name(), "HCN_E_INVALID_JSON");
//! assert_eq!(error.path.as_deref(), Some("Type"));
//! assert_eq!(error.position.map(|place| place.line), Some(2));
//! ```

pub use hostcompute_schema::service::Obstacle;
pub use hostcompute_schema::{Cause, Class, Failure as Error, HResult, Position};

/// What a call brings.
pub type Result<T, E = Error> = std::result::Result<T, E>;
