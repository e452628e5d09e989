//! The adapters of a host, for who wants to name one in a document.

use hostcompute_engine::host::Uplink;
use hostcompute_schema::Failure;

use crate::error::Error;
use crate::netlink::{Protocol, Socket};
use crate::surroundings;

/// The links of the calling thread's network namespace that are not ours and lead to other machines: those with a default route first,
/// then those with an address.
///
/// # Errors
/// The kernel does not tell.
pub fn list() -> Result<Vec<Uplink>, Failure> {
    let socket = Socket::open(Protocol::Route);
    let socket = socket.map_err(|source| Error::system("open a netlink socket", source));
    let found = socket.and_then(|mut socket| surroundings::read(&mut socket));
    found.map(|found| found.uplinks).map_err(|error| error.into_failure(""))
}
