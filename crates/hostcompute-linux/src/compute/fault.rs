//! What supervisors and the machine refuse, as faults of the engine.

use std::io;

use hostcompute_engine::compute::Fault;
use hostcompute_schema::HResult;
use hostcompute_supervisor::message::{Refusal, RefusalKind};
use rustix::io::Errno;

/// Says what was being done when something failed.
pub(super) trait Context<T> {
    fn context<M: Into<String>>(self, doing: impl FnOnce() -> M) -> Result<T, Fault>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context<M: Into<String>>(self, doing: impl FnOnce() -> M) -> Result<T, Fault> {
        self.map_err(|error| {
            let error = error.into();
            let hresult = of_errno(Errno::from_io_error(&error));
            Fault::new(hresult, format!("could not {}: {error}", doing().into()))
        })
    }
}

/// What a supervisor refused.
pub(super) fn of(refusal: Refusal) -> Fault {
    let Refusal { kind, errno, message } = refusal;
    let hresult = match kind {
        RefusalKind::State => HResult::HCS_E_INVALID_STATE,
        RefusalKind::Ended => HResult::HCS_E_SYSTEM_ALREADY_STOPPED,
        RefusalKind::NoProcess | RefusalKind::NotFound => HResult::ERROR_NOT_FOUND,
        RefusalKind::ProcessEnded => HResult::HCS_E_PROCESS_ALREADY_STOPPED,
        RefusalKind::NoProgram => HResult::ERROR_FILE_NOT_FOUND,
        RefusalKind::NoPath => HResult::ERROR_PATH_NOT_FOUND,
        RefusalKind::NotExecutable => HResult::E_ACCESSDENIED,
        RefusalKind::Exists => HResult::ERROR_ALREADY_EXISTS,
        RefusalKind::Invalid => HResult::E_INVALIDARG,
        RefusalKind::Unsupported => HResult::ERROR_NOT_SUPPORTED,
        RefusalKind::Failed => of_errno(errno.map(Errno::from_raw_os_error)),
    };
    Fault::new(hresult, message)
}

fn of_errno(errno: Option<Errno>) -> HResult {
    match errno {
        Some(Errno::NOENT | Errno::NOTDIR) => HResult::ERROR_PATH_NOT_FOUND,
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => HResult::E_ACCESSDENIED,
        Some(Errno::NOMEM | Errno::AGAIN | Errno::MFILE | Errno::NFILE) => HResult::E_OUTOFMEMORY,
        Some(Errno::NOSPC | Errno::DQUOT) => HResult::ERROR_DISK_FULL,
        Some(Errno::EXIST) => HResult::ERROR_ALREADY_EXISTS,
        Some(Errno::BUSY) => HResult::ERROR_SHARING_VIOLATION,
        Some(Errno::INVAL) => HResult::E_INVALIDARG,
        _ => HResult::E_FAIL,
    }
}

/// There is no such system (any more).
pub(super) fn no_system(id: &str) -> Fault {
    Fault::new(HResult::HCS_E_SYSTEM_NOT_FOUND, format!("there is no compute system {id}"))
        .hint("list them with: hc ps --all")
}

/// It has ended.
pub(super) fn ended() -> Fault {
    Fault::new(HResult::HCS_E_SYSTEM_ALREADY_STOPPED, "the compute system has ended")
}

/// A supervisor answered something else than what was asked: another version's.
pub(super) fn nonsense() -> Fault {
    Fault::new(HResult::E_UNEXPECTED, "the supervisor's answer does not fit the question")
}
