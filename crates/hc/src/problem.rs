//! Why a command did not succeed: one line for people, a number for scripts.

use std::fmt;
use std::process::ExitCode;

use hostcompute::{Failure, HResult};

/// The end of a command that did not succeed.
#[derive(Debug)]
pub enum Problem {
    /// A request failed; with the file whose document is to blame, if one is.
    Failed { file: Option<String>, failure: Box<Failure> },
    /// Several requests failed.
    Several(Vec<Problem>),
    /// A program could not be started; with the status that shells have for it.
    NotStarted { why: String, status: u8 },
    /// A command in a container ended with this exit code.
    Ended { status: u8 },
    /// Everything has been said already.
    Told,
    /// Nobody reads the output any more.
    Unread,
}

/// The result of a command.
pub type Done = Result<(), Problem>;

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Failed { file: None, failure: Box::new(failure) }
    }
}

impl Problem {
    /// A failure of a request whose document came from `file`; the file is named when the document is to blame.
    pub fn in_file(file: &str, failure: Failure) -> Self {
        let blamed = failure.path.is_some()
            || failure.position.is_some()
            || failure.hresult == HResult::HCN_E_INVALID_JSON;
        Self::Failed { file: blamed.then(|| file.to_owned()), failure: Box::new(failure) }
    }

    /// The status that the shell gets.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed { failure, .. } if failure.is_access_denied() => ExitCode::from(4),
            Self::Failed { failure, .. } if is_missing(failure) => ExitCode::from(3),
            Self::Several(problems) => problems.first().map_or(ExitCode::FAILURE, Self::exit_code),
            Self::NotStarted { status, .. } | Self::Ended { status } => ExitCode::from(*status),
            Self::Failed { .. } | Self::Told => ExitCode::FAILURE,
            Self::Unread => ExitCode::SUCCESS,
        }
    }
}

/// A failure of a document that nobody typed: hc made it, and a place in it would mean nothing.
pub fn without_place(failure: Failure) -> Failure {
    Failure { path: None, position: None, ..failure }
}

/// Whether the object that was named does not exist (not one that a document refers to).
fn is_missing(failure: &Failure) -> bool {
    failure.is_not_found()
        && failure.path.is_none()
        && failure.hresult != HResult::HCN_E_POLICY_NOT_FOUND
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { file: Some(file), failure } => write!(f, "hc: {file}: {failure:#}"),
            Self::Failed { file: None, failure } => write!(f, "hc: {failure:#}"),
            Self::Several(problems) => {
                for (place, problem) in problems.iter().enumerate() {
                    let end = if place + 1 < problems.len() { "\n" } else { "" };
                    write!(f, "{problem}{end}")?;
                }
                Ok(())
            }
            Self::NotStarted { why, .. } => f.write_str(why),
            Self::Ended { .. } | Self::Told | Self::Unread => Ok(()),
        }
    }
}
