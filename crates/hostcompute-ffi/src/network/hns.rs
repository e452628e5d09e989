//! HNSCall: the older interface, a method and a path like those of HTTP. The crate carries it out ([`hostcompute::Host::hns_call`]).

use hostcompute::Failure;

use crate::boundary::{Text, TextOut};
use crate::service;

/// HNSCall. What the service refuses is part of the response; the call fails only when it cannot be made.
///
/// # Errors
/// E_POINTER for a missing argument, E_INVALIDARG for what is no UTF-16, E_OUTOFMEMORY.
pub fn call(method: Text, path: Text, object: Text, response: TextOut) -> Result<(), Failure> {
    response.clear();
    response.demand("response")?;
    let (method, path) = (method.read("method")?, path.read("path")?);
    let object = object.read_or_empty()?;
    let answer = match service::host() {
        Ok(host) => host.hns_call(&method, &path, &object),
        Err(failure) => failure.error_record(),
    };
    response.hand_out(&answer.to_string())
}
