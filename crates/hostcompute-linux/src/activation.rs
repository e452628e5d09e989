//! Descriptors that the service manager passes to the process it starts (sd_listen_fds(3)): 3 and up, as many as it says.
#![expect(
    unsafe_code,
    reason = "descriptors known by their number only; the block says why it is sound"
)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::FdFlags;

/// The first number after standard input, output and error.
const FIRST: RawFd = 3;

/// More than any unit passes; what claims to be more is a mistake.
const MOST: u32 = 1024;

/// What `LISTEN_PID` and `LISTEN_FDS` say, as the environment has it.
#[derive(Debug, Clone, Copy)]
pub struct Passed<'a> {
    pub pid: Option<&'a str>,
    pub count: Option<&'a str>,
}

/// Takes over what was passed to this process: nothing, when the environment speaks of another process or not at all.
///
/// # Errors
/// The environment promises descriptors that are not there, or they were taken before.
pub fn passed(environment: Passed<'_>) -> io::Result<Vec<OwnedFd>> {
    let ours = environment.pid.and_then(|pid| pid.parse().ok()) == Some(std::process::id());
    let count = environment.count.and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
    if !ours || count == 0 {
        return Ok(Vec::new());
    }
    if count > MOST {
        return Err(io::Error::other(format!("LISTEN_FDS is {count}")));
    }
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(io::Error::other("the passed descriptors were taken before"));
    }
    (FIRST..).take(count as usize).map(take).collect()
}

fn take(number: RawFd) -> io::Result<OwnedFd> {
    if std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_err() {
        return Err(io::Error::other(format!("descriptor {number} was promised and is not there")));
    }
    // SAFETY: the descriptor is open. By the protocol it is for this process, which takes each only once (`TAKEN`); nothing else here
    // makes a descriptor that it does not hold as an owner, so nobody else closes it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    // The manager passes them to us, not to what we may start.
    rustix::io::fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_another_process_is_left_alone() {
        let own = std::process::id().to_string();
        for (pid, count) in [
            (None, Some("1")),
            (Some("1"), Some("1")),
            (Some(&*own), None),
            (Some(&*own), Some("0")),
        ] {
            assert!(passed(Passed { pid, count }).expect("nothing").is_empty());
        }
    }

    #[test]
    fn promises_that_nobody_keeps_are_an_error() {
        let own = std::process::id().to_string();
        assert!(passed(Passed { pid: Some(&own), count: Some("70000") }).is_err());
    }
}
