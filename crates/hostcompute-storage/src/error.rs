//! What can go wrong with layers and images, and which documented failure a client gets for it.

use std::fmt;
use std::io;
use std::path::Path;

use hostcompute_schema::{Failure, HResult};
use rustix::io::Errno;

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no such image, layer or file.
    NotFound,
    /// There is no such directory.
    PathNotFound,
    /// Something of that name is there already.
    Exists,
    /// It is in use by a system, a mount or another command.
    InUse,
    /// The caller lacks the right.
    Denied,
    /// The image, the archive or the layer is not what it should be: damaged, hostile, or of another format.
    Invalid,
    /// Its bytes are not those that were promised.
    Mismatch,
    /// It is larger than the limits allow.
    TooLarge,
    /// There is no variant for this machine.
    WrongPlatform,
    /// Linux, or this program, cannot do that.
    Unsupported,
    /// The caller's arguments contradict each other.
    Argument,
    /// The registry cannot be reached, or refuses.
    Network,
    /// The caller did not want to go on.
    Cancelled,
    /// The machine refuses: full disk, failing disk, and the like.
    System,
}

/// Why something about layers or images could not be done.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    source: Option<io::Error>,
}

/// What the functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// The image, archive or layer is at fault.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// A refusal of the machine: what was tried, and with what.
    pub(crate) fn system(doing: &str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::caused(format!("cannot {doing} {}", path.display()), source.into())
    }

    /// A refusal of the machine, in full words; an error of ours that came through a reader stays what it was.
    pub(crate) fn caused(message: String, source: io::Error) -> Self {
        match carried(source) {
            Ok(error) => error,
            Err(source) => {
                Self { kind: kind_of(&source), message, hint: None, source: Some(source) }
            }
        }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error, with what it is about put before it.
    #[must_use]
    pub(crate) fn about(mut self, subject: impl fmt::Display) -> Self {
        self.message = format!("{subject}: {}", self.message);
        self
    }

    /// The same error; it is the layer's fault, not the machine's.
    #[must_use]
    pub(crate) fn blaming_the_layer(self) -> Self {
        Self { kind: Kind::Invalid, ..self }
    }

    /// Whether the machine's refusal was of this kind.
    pub(crate) fn is_io(&self, kind: io::ErrorKind) -> bool {
        self.source.as_ref().is_some_and(|source| source.kind() == kind)
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The code of the API for it.
    pub fn hresult(&self) -> HResult {
        match self.kind {
            Kind::NotFound => HResult::ERROR_NOT_FOUND,
            Kind::PathNotFound => HResult::ERROR_PATH_NOT_FOUND,
            Kind::Exists => HResult::ERROR_ALREADY_EXISTS,
            Kind::InUse => HResult::ERROR_SHARING_VIOLATION,
            Kind::Denied => HResult::E_ACCESSDENIED,
            Kind::Invalid => HResult::HCS_E_INVALID_LAYER,
            Kind::Mismatch => HResult::ERROR_INVALID_DATA,
            Kind::TooLarge => FILE_TOO_LARGE,
            Kind::WrongPlatform => HResult::HCS_E_IMAGE_MISMATCH,
            Kind::Unsupported => HResult::ERROR_NOT_SUPPORTED,
            Kind::Argument => HResult::E_INVALIDARG,
            Kind::Network => UNEXP_NET_ERR,
            Kind::Cancelled => HResult::E_ABORT,
            Kind::System => match self.source.as_ref().and_then(Errno::from_io_error) {
                Some(Errno::NOSPC | Errno::DQUOT) => HResult::ERROR_DISK_FULL,
                _ => GEN_FAILURE,
            },
        }
    }
}

/// ERROR_GEN_FAILURE: a device does not function.
const GEN_FAILURE: HResult = HResult(0x8007_001f);
/// ERROR_UNEXP_NET_ERR: an unexpected error of the network.
const UNEXP_NET_ERR: HResult = HResult(0x8007_003b);
/// ERROR_FILE_TOO_LARGE: the file is larger than the limit.
const FILE_TOO_LARGE: HResult = HResult(0x8007_00df);

fn kind_of(source: &io::Error) -> Kind {
    match source.kind() {
        io::ErrorKind::NotFound => Kind::NotFound,
        io::ErrorKind::AlreadyExists => Kind::Exists,
        io::ErrorKind::PermissionDenied => Kind::Denied,
        io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy => Kind::InUse,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Kind::Invalid
        }
        _ => Kind::System,
    }
}

/// An error of ours that travelled as one of `std::io`; else the original.
fn carried(source: io::Error) -> std::result::Result<Error, io::Error> {
    if !source.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        return Err(source);
    }
    match source.into_inner().map(|inner| inner.downcast::<Error>()) {
        Some(Ok(error)) => Ok(*error),
        Some(Err(other)) => Err(io::Error::other(other)),
        None => Err(io::Error::other("an error without a cause")),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<Error> for io::Error {
    /// For readers that must answer in the words of `std::io`; [`Error::caused`] takes it out again.
    fn from(error: Error) -> io::Error {
        io::Error::other(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let mut failure = Failure::new(error.hresult(), error.message.clone());
        if let Some(source) = &error.source {
            failure = failure.because(source);
        }
        match error.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_a_reader() {
        let through = io::Error::from(Error::new(Kind::TooLarge, "too much"));
        let back = Error::caused("cannot read".to_owned(), through);
        assert_eq!((back.kind(), back.to_string().as_str()), (Kind::TooLarge, "too much"));
    }

    #[test]
    fn a_failure_says_what_the_machine_said() {
        let error = Error::system("write", Path::new("/x"), Errno::NOSPC);
        assert_eq!(error.hresult(), HResult::ERROR_DISK_FULL);
        let failure = Failure::from(error.hint("make room"));
        assert!(failure.story().starts_with("cannot write /x: No space left"), "{failure:#}");
        assert_eq!(failure.hint.as_deref(), Some("make room"));
    }
}
