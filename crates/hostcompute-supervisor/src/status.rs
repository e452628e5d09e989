//! How a process ended, from what the kernel says.

use hostcompute_supervisor::message::Status;
use rustix::process::{WaitIdStatus, WaitStatus};

/// Of the child that `waitid` names.
pub fn of_child(status: &WaitIdStatus) -> Status {
    from(status.exit_status(), status.terminating_signal())
}

fn from(code: Option<i32>, signal: Option<i32>) -> Status {
    match (code, signal) {
        (Some(code), _) => Status::Exited(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, Some(signal)) => Status::Killed(u8::try_from(signal).unwrap_or(9)),
        (None, None) => Status::Killed(9),
    }
}

/// Of the child that `wait` found.
pub fn of(status: WaitStatus) -> Status {
    from(status.exit_status(), status.terminating_signal())
}
