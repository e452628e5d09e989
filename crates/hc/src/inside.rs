//! `hc namespace exec`: this process becomes a program inside a namespace.

use std::ffi::OsString;

use hostcompute::{Host, Namespace};

use crate::problem::Done;

/// Runs a program; returns only if that fails.
///
/// # Errors
/// There is no such namespace, or no such program.
pub fn execute(host: Host, namespace: &str, command: &[OsString]) -> Done {
    let place = host.place(&Namespace::find(&host, namespace)?)?;
    // The program may run for long: the state directory must be free for others meanwhile.
    drop(host);
    match command.split_first() {
        Some((program, arguments)) => Err(place.execute(program, arguments).into()),
        // The grammar asks for at least one word.
        None => Ok(()),
    }
}
