//! The process that keeps one compute system running: holds its standard streams, exit statuses and log, and outlives whoever started it.
//!
//! `hostcompute-supervisor` is started with a socket in the place of its standard input and takes its [`Launch`] from there; everything
//! else it hears comes from its own socket, or from the same one (see [`hostcompute_supervisor::message`]). It has one thread, which
//! making containers by `fork` takes.
//!
//! | | |
//! |---|---|
//! | [`supervise`] | the loop: clients, streams, states, the end |
//! | [`builtin`], [`inside`] | containers and host processes |
//! | [`agent`] | the first process of a system, which makes the others |
//! | [`files`], [`devices`], [`seccomp`] | what containers are given, and what not |
//! | [`external`], [`spec`], [`pause`] | containers by another runtime |
//! | [`root`], [`pieces`], [`mounts`] | file systems |
//! | [`process_list`] | `/proc` |
//!
//! [`Launch`]: hostcompute_supervisor::launch::Launch

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use hostcompute_supervisor::kill::{Who, point};

mod agent;
mod builtin;
mod devices;
mod external;
mod files;
mod inside;
mod mounts;
mod pause;
mod pieces;
mod process_list;
mod refusal;
mod root;
mod seccomp;
mod spec;
mod status;
mod supervise;
mod sys;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("--version") => {
            println!("hostcompute-supervisor {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        // The service manager started it, with a connection for its input, and looks after it.
        Some("--attended") => supervise(Attendance::Attended),
        Some(_) => {
            eprintln!("hostcompute-supervisor is started by hc and hostcomputed, not by people");
            ExitCode::from(2)
        }
        None => supervise(Attendance::Alone),
    }
}

/// Who looks after this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attendance {
    Alone,
    Attended,
}

fn supervise(attendance: Attendance) -> ExitCode {
    match settle_in(attendance) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(starter)) => match supervise::launch(starter).map(supervise::Supervisor::serve) {
            Some(Ok(())) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        },
        Err(_) => ExitCode::FAILURE,
    }
}

/// Becomes a process of nobody's, unless somebody looks after it: neither a child nor a session of the starter's. Returns the socket to
/// the starter; `None` in the process that was started, which whoever started it collects at once.
fn settle_in(attendance: Attendance) -> io::Result<Option<OwnedFd>> {
    point(Who::Supervisor);
    if attendance == Attendance::Alone {
        if let sys::Side::Parent(_) = sys::split()? {
            return Ok(None);
        }
        point(Who::Supervisor);
        rustix::process::setsid()?;
    }
    // Host processes whose parent ends are ours: nobody else would know of them.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::process::chdir("/")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let starter = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(Some(starter))
}
