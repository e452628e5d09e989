//! How a process ended, from what the kernel says.

use hostcompute_supervisor::message::Status;
use rustix::process::WaitStatus;

pub fn of(status: WaitStatus) -> Status {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Status::Exited(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, Some(signal)) => Status::Killed(u8::try_from(signal).unwrap_or(9)),
        (None, None) => Status::Killed(9),
    }
}
