//! What went through each endpoint's port: all counters of the host in one look, beside the thread that changes it.

use std::collections::HashMap;

use hostcompute_engine::host::Counters;
use hostcompute_engine::network::attach;
use hostcompute_schema::{Failure, Guid};

use super::Edge;
use super::client::Session;

/// The counters of every endpoint that has a port. It takes its time with the kernel: not for a thread that serves connections.
///
/// # Errors
/// The kernel cannot be asked.
pub fn of_endpoints(edge: &Edge, session: &Session) -> Result<Vec<(Guid, Counters)>, Failure> {
    let read = edge.server.observe(|observer| observer.all_counters());
    let counters: HashMap<u32, Counters> =
        read.map_err(|fault| fault.failure)?.into_iter().collect();
    let state = session.view();
    let ports = state.endpoints().filter_map(|endpoint| attach::port(&state, endpoint));
    Ok(ports.filter_map(|port| Some((port.endpoint, *counters.get(&port.index)?))).collect())
}
