//! From failed system calls to refusals: what was being done, and which kind of mistake that is.

use std::io;

use hostcompute_supervisor::message::{Refusal, RefusalKind};
use rustix::io::Errno;

/// Says what was being done when something failed.
pub trait Context<T> {
    fn context<M: Into<String>>(self, doing: impl FnOnce() -> M) -> Result<T, Refusal>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context<M: Into<String>>(self, doing: impl FnOnce() -> M) -> Result<T, Refusal> {
        self.map_err(|error| {
            let error = error.into();
            let message = format!("could not {}: {error}", doing().into());
            // A denial of our own is as good as one of the kernel's.
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            let own = denied.then(|| Errno::ACCESS.raw_os_error());
            Refusal { kind: kind(&error), errno: error.raw_os_error().or(own), message }
        })
    }
}

/// A refusal without a system call behind it.
pub fn refuse(kind: RefusalKind, message: impl Into<String>) -> Refusal {
    Refusal { kind, errno: None, message: message.into() }
}

/// Which kind of mistake an error of the system is.
pub fn kind(error: &io::Error) -> RefusalKind {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => RefusalKind::NoPath,
        Some(Errno::EXIST) => RefusalKind::Exists,
        Some(Errno::SRCH) => RefusalKind::ProcessEnded,
        _ if error.kind() == io::ErrorKind::Unsupported => RefusalKind::Unsupported,
        _ => RefusalKind::Failed,
    }
}
