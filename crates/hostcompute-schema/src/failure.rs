//! What a caller is told when a request fails.
//!
//! A failure has a code, one line that says what was wrong, and, where a document was at fault, the
//! path and the place in its text. This file is the only one that maps failures to the error record
//! of the Windows interface and to an HTTP problem document; every face uses these two.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde_json::{Map, Value, json};

use crate::cause::Cause;
use crate::class::Class;
use crate::hresult::HResult;
use crate::position::{Position, locate};

/// Why a request failed: a code, one line of what was wrong, the place in the document, what could be done, and what lies behind it.
///
/// `{}` prints it in one line without what lies behind, which [`core::error::Error::source`] tells; `{:#}` prints that, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code that the caller is given.
    pub hresult: HResult,
    /// What was wrong, one line, without the system text of the code.
    pub message: String,
    /// The member at fault, such as `Policies[2].Settings.Protocols`.
    pub path: Option<String>,
    /// Where that member stands in the document's text.
    pub position: Option<Position>,
    /// What the caller could do about it.
    pub hint: Option<String>,
    /// What lies behind it: what the kernel, a file or a connection said.
    pub cause: Option<Box<Cause>>,
}

impl Failure {
    /// A failure without a place.
    pub fn new(hresult: HResult, message: impl Into<String>) -> Failure {
        let (path, position, hint, cause) = (None, None, None, None);
        Failure { hresult, message: message.into(), path, position, hint, cause }
    }

    /// The same failure, at this member of the document.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Failure {
        self.path = Some(path.into());
        self
    }

    /// The same failure, with what the caller could do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure, with the error that led to it, and what is behind that.
    #[must_use]
    pub fn because(mut self, error: &dyn core::error::Error) -> Failure {
        self.cause = Some(Box::new(Cause::of(error)));
        self
    }

    /// Tells of something else that went wrong beside it; what lies behind becomes part of the line.
    pub fn also(&mut self, further: &str) {
        self.message = format!("{}; {further}", self.story());
        self.cause = None;
    }

    /// The same failure with the place of its path in the text that was given.
    #[must_use]
    pub fn in_document(mut self, text: &str) -> Failure {
        if self.position.is_none()
            && let Some(path) = &self.path
        {
            self.position = locate(text, path);
        }
        self
    }

    /// The error record of the Windows interface: exactly these three members.
    pub fn error_record(&self) -> Value {
        json!({
            "Success": false,
            "Error": format!("{} {}", self.hresult.message(), self.detail()),
            "ErrorCode": self.hresult.0,
        })
    }

    /// The problem document (RFC 9457) of the HTTP interface.
    pub fn problem(&self) -> Value {
        let mut problem = Map::new();
        let mut put = |name: &str, value: Value| problem.insert(name.to_string(), value);
        put("type", Value::from(format!("/problems/{}", self.hresult.name())));
        put("title", Value::from(self.hresult.message()));
        put("status", Value::from(self.http_status()));
        put("detail", Value::from(self.message.as_str()));
        put("hresult", Value::from(self.hresult.to_string()));
        put("name", Value::from(self.hresult.name()));
        if let Some(path) = &self.path {
            put("path", Value::from(path.as_str()));
        }
        if let Some(position) = self.position {
            put("line", Value::from(position.line));
            put("column", Value::from(position.column));
        }
        if let Some(hint) = &self.hint {
            put("hint", Value::from(hint.as_str()));
        }
        if let Some(cause) = &self.cause {
            put("causes", cause.texts().collect());
        }
        Value::Object(problem)
    }

    /// The failure that a problem document tells of; the inverse of [`Failure::problem`].
    ///
    /// A document that is not one, or lacks the code, becomes `E_UNEXPECTED` with what it says.
    pub fn from_problem(problem: &Value) -> Failure {
        let text = |name: &str| problem.get(name).and_then(Value::as_str).map(str::to_string);
        let number = |name: &str| {
            problem.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok())
        };
        let code = text("hresult")
            .and_then(|code| u32::from_str_radix(code.trim_start_matches("0x"), 16).ok())
            .map_or(HResult::E_UNEXPECTED, HResult);
        let causes = problem.get("causes").and_then(Value::as_array);
        let causes = causes.map(Vec::as_slice).unwrap_or_default();
        let position =
            number("line").zip(number("column")).map(|(line, column)| Position { line, column });
        Failure {
            hresult: code,
            message: text("detail").or_else(|| text("title")).unwrap_or_default(),
            path: text("path"),
            position,
            hint: text("hint"),
            cause: Cause::chain(causes.iter().filter_map(Value::as_str).map(str::to_string)),
        }
    }

    /// The HTTP status that carries it.
    pub fn http_status(&self) -> u16 {
        self.hresult.http_status()
    }

    /// What it is about: the few classes that callers tell apart.
    pub fn class(&self) -> Class {
        self.hresult.class()
    }

    /// What the request is about does not exist.
    pub fn is_not_found(&self) -> bool {
        self.class() == Class::NotFound
    }

    /// What the request would make exists.
    pub fn is_already_exists(&self) -> bool {
        self.class() == Class::AlreadyExists
    }

    /// Others still need what should go.
    pub fn is_in_use(&self) -> bool {
        self.class() == Class::InUse
    }

    /// The caller lacks the right.
    pub fn is_access_denied(&self) -> bool {
        self.class() == Class::AccessDenied
    }

    /// The caller's document or arguments are at fault, not the state of the system.
    pub fn is_invalid_document(&self) -> bool {
        self.class() == Class::InvalidDocument
    }

    /// The request is understood and this system cannot do it.
    pub fn is_unsupported(&self) -> bool {
        self.class() == Class::Unsupported
    }

    /// The object is not in a state in which this is possible.
    pub fn is_invalid_state(&self) -> bool {
        self.class() == Class::InvalidState
    }

    /// The compute system or the process has ended already.
    pub fn is_already_stopped(&self) -> bool {
        self.class() == Class::AlreadyStopped
    }

    /// It did not end in time; it may go on.
    pub fn is_timeout(&self) -> bool {
        self.class() == Class::Timeout
    }

    /// Nobody answers, or the service is about to stop; the same call may succeed later.
    pub fn is_unavailable(&self) -> bool {
        self.class() == Class::Unavailable
    }

    /// A limit of the service or of the machine is reached.
    pub fn is_exhausted(&self) -> bool {
        self.class() == Class::Exhausted
    }

    /// What was wrong, and what lies behind it, in one line.
    pub fn story(&self) -> String {
        let causes = self.cause.iter().flat_map(|cause| cause.texts());
        let texts: Vec<&str> = core::iter::once(self.message.as_str()).chain(causes).collect();
        texts.join(": ")
    }

    fn detail(&self) -> String {
        match &self.path {
            Some(path) => format!("{} (at {path})", self.story()),
            None => self.story(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.alternate() {
            true => f.write_str(&self.story())?,
            false => f.write_str(&self.message)?,
        }
        match (&self.path, self.position) {
            (Some(path), Some(position)) if !path.is_empty() => {
                write!(f, " (at {path}, {position})")?;
            }
            (Some(path), None) if !path.is_empty() => write!(f, " (at {path})")?,
            (_, Some(position)) => write!(f, " (at {position})")?,
            _ => {}
        }
        write!(f, " [{} {}]", self.hresult, self.hresult.name())?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl core::error::Error for Failure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// Something that was tolerated and that the caller should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The member it is about.
    pub path: String,
    /// What is odd, one line.
    pub message: String,
    /// Where that member stands in the document's text.
    pub position: Option<Position>,
}

impl Warning {
    /// The refusal that this warning becomes when the caller asks for strictness.
    pub fn into_failure(self) -> Failure {
        let Warning { path, message, position } = self;
        Failure {
            hresult: HResult::HCN_E_INVALID_JSON,
            message,
            path: Some(path),
            position,
            hint: None,
            cause: None,
        }
    }

    /// The warning in the members of a problem document: `path`, `detail`, `line`, `column`.
    pub fn to_value(&self) -> Value {
        let mut told = json!({ "path": self.path, "detail": self.message });
        if let (Some(position), Value::Object(members)) = (self.position, &mut told) {
            members.insert("line".to_string(), Value::from(position.line));
            members.insert("column".to_string(), Value::from(position.column));
        }
        told
    }

    /// The inverse of [`Warning::to_value`].
    pub fn from_value(told: &Value) -> Warning {
        let Failure { message, path, position, .. } = Failure::from_problem(told);
        Warning { path: path.unwrap_or_default(), message, position }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place: Box<dyn fmt::Display> = match self.position {
            Some(position) => Box::new(position),
            None => Box::new("?"),
        };
        write!(f, "{} (at {}, {place})", self.message, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Failure {
        Failure::new(HResult::HCN_E_INVALID_POLICY, "85000 is not a port")
            .at("Policies[0].Settings")
            .hint("ports go up to 65535")
            .in_document("{\"Policies\":\n [{\"Settings\": 1}]}")
    }

    #[test]
    fn the_line_for_people_names_everything() {
        assert_eq!(
            example().to_string(),
            "85000 is not a port (at Policies[0].Settings, 2:4) \
             [0x803b000d HCN_E_INVALID_POLICY]; ports go up to 65535"
        );
        let bare = Failure::new(HResult::E_ACCESSDENIED, "only root may do this");
        assert_eq!(bare.to_string(), "only root may do this [0x80070005 E_ACCESSDENIED]");
    }

    #[test]
    fn the_error_record_has_three_members() {
        assert_eq!(
            example().error_record(),
            json!({
                "Success": false,
                "Error": "The policy is invalid. 85000 is not a port (at Policies[0].Settings)",
                "ErrorCode": 2_151_350_285_u32,
            })
        );
    }

    #[test]
    fn a_problem_document_brings_the_failure_back() {
        let problem = example().problem();
        assert_eq!(problem["status"], 400);
        assert_eq!(problem["name"], "HCN_E_INVALID_POLICY");
        assert_eq!(Failure::from_problem(&problem), example());
        assert_eq!(Failure::from_problem(&json!([])).hresult, HResult::E_UNEXPECTED);
    }

    #[test]
    fn what_lies_behind_is_told_once_and_travels() {
        use core::error::Error;
        let number = "x".parse::<u8>().unwrap_err();
        let failure = Failure::new(HResult::E_UNEXPECTED, "the answer cannot be read");
        let failure = failure.because(&Failure::new(HResult::E_FAIL, "no port").because(&number));
        let told = failure.to_string();
        assert_eq!(told, "the answer cannot be read [0x8000ffff E_UNEXPECTED]");
        let whole = "the answer cannot be read: no port [0x80004005 E_FAIL]: \
                     invalid digit found in string [0x8000ffff E_UNEXPECTED]";
        assert_eq!(format!("{failure:#}"), whole);
        let behind = failure.source().and_then(Error::source).map(ToString::to_string);
        assert_eq!(behind.as_deref(), Some("invalid digit found in string"));
        assert_eq!(Failure::from_problem(&failure.problem()), failure);
        let record = failure.error_record()["Error"].to_string();
        assert!(record.contains("read: no port"), "{record}");
    }

    #[test]
    fn predicates_follow_the_code() {
        assert!(Failure::new(HResult::ERROR_NOT_FOUND, "").is_not_found());
        assert!(Failure::new(HResult::HCN_E_PORT_ALREADY_EXISTS, "").is_already_exists());
        assert!(Failure::new(HResult::E_ACCESSDENIED, "").is_access_denied());
        assert!(example().is_invalid_document());
        assert!(Failure::new(HResult::HCN_E_VFP_NOT_ALLOWED, "").is_unsupported());
    }
}
