//! `Trace`: what becomes of a packet, by what the service knows.

use hostcompute_engine::State;
use hostcompute_engine::host::{Host, Surroundings};
use hostcompute_linux::Linux;
use hostcompute_schema::service::{Trace, TraceRequest};
use hostcompute_schema::{Failure, parse};

/// What becomes of the packet that a [`TraceRequest`] names.
///
/// # Errors
/// What is wrong with the request, or the not-found code of an end that does not exist.
pub fn trace(state: &State, surroundings: &Surroundings, document: &str) -> Result<Trace, Failure> {
    let request = parse::<TraceRequest>(document)?.document;
    hostcompute_engine::trace::trace(state, surroundings, &request)
        .map_err(|failure| failure.in_document(document))
}

/// What the host has of its own.
///
/// # Errors
/// The host could not be read.
pub fn surroundings(linux: &mut Linux) -> Result<Surroundings, Failure> {
    linux.surroundings().map_err(|fault| fault.failure)
}
