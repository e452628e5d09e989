//! What a caller is told when a request fails.
//!
//! A failure has a code, one line that says what was wrong, and, where a document was at fault, the
//! path and the place in its text. This file is the only one that maps failures to the error record
//! of the Windows interface and to an HTTP problem document; every face uses these two.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use serde_json::{Map, Value, json};

use crate::hresult::HResult;
use crate::position::{Position, locate};

/// Why a request failed.
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
}

impl Failure {
    /// A failure without a place.
    pub fn new(hresult: HResult, message: impl Into<String>) -> Failure {
        Failure { hresult, message: message.into(), path: None, position: None, hint: None }
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
        let position =
            number("line").zip(number("column")).map(|(line, column)| Position { line, column });
        Failure {
            hresult: code,
            message: text("detail").or_else(|| text("title")).unwrap_or_default(),
            path: text("path"),
            position,
            hint: text("hint"),
        }
    }

    /// The HTTP status that carries it.
    pub fn http_status(&self) -> u16 {
        self.hresult.http_status()
    }

    /// What the request is about does not exist.
    pub fn is_not_found(&self) -> bool {
        self.hresult.is_not_found()
    }

    /// What the request would make exists.
    pub fn is_already_exists(&self) -> bool {
        self.hresult.is_already_exists()
    }

    /// The caller lacks the right.
    pub fn is_access_denied(&self) -> bool {
        self.hresult == HResult::E_ACCESSDENIED
    }

    /// The caller's document or arguments are at fault, not the state of the system.
    pub fn is_invalid_document(&self) -> bool {
        self.http_status() == 400
    }

    /// The request is understood and this system cannot do it.
    pub fn is_unsupported(&self) -> bool {
        self.http_status() == 501 || self.hresult == HResult::HCN_E_REQUEST_UNSUPPORTED
    }

    fn detail(&self) -> String {
        match &self.path {
            Some(path) => format!("{} (at {path})", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
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

impl core::error::Error for Failure {}

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
    fn predicates_follow_the_code() {
        assert!(Failure::new(HResult::ERROR_NOT_FOUND, "").is_not_found());
        assert!(Failure::new(HResult::HCN_E_PORT_ALREADY_EXISTS, "").is_already_exists());
        assert!(Failure::new(HResult::E_ACCESSDENIED, "").is_access_denied());
        assert!(example().is_invalid_document());
        assert!(Failure::new(HResult::HCN_E_VFP_NOT_ALLOWED, "").is_unsupported());
    }
}
