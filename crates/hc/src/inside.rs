//! `hc namespace exec`: this process becomes a program inside a namespace.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use hostcompute::{Host, Namespace};

use crate::problem::{Done, Problem};

/// What shells answer for a program that is not there.
const NOT_FOUND: u8 = 127;

/// What shells answer for a program that cannot be started.
const NOT_EXECUTABLE: u8 = 126;

/// Runs a program; returns only if that fails.
///
/// # Errors
/// There is no such namespace, or no such program.
pub fn execute(host: Host, namespace: &str, command: &[OsString]) -> Done {
    let place = host.place(&Namespace::find(&host, namespace)?)?;
    // The program may run for long: the state directory must be free for others meanwhile.
    drop(host);
    // The grammar asks for at least one word.
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    place.enter()?;
    let error = Command::new(program).args(arguments).exec();
    let status = match error.kind() {
        ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    };
    let why = format!("hc: cannot run {}: {error}", Path::new(program).display());
    Err(Problem::NotStarted { why, status })
}
