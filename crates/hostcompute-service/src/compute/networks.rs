//! What compute systems need of the network service. Two implementations exist: the one over this crate's services, and one for tests.

use hostcompute_engine::compute::NetworkPlace;
use hostcompute_schema::{Failure, Guid};

/// The network service, as compute systems see it. Calls block; none is made under a lock.
pub trait Networks: Send + Sync + 'static {
    /// Where a namespace is.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND when there is no such namespace.
    fn namespace(&self, id: Guid) -> Result<Placed, Failure>;

    /// Where a namespace will be that [`Self::make`] is going to make of these endpoints. Makes nothing.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND for an endpoint that is not there.
    fn plan(&self, id: Guid, endpoints: &[Guid]) -> Result<Placed, Failure>;

    /// Makes a namespace of this id with these endpoints in it, wholly or not at all.
    ///
    /// # Errors
    /// What the network service refuses.
    fn make(&self, id: Guid, endpoints: &[Guid]) -> Result<(), Failure>;

    /// Removes a namespace that [`Self::make`] made; its endpoints stay, attached to nothing. Nothing is done when it is gone.
    ///
    /// # Errors
    /// What the network service cannot do.
    fn release(&self, id: Guid) -> Result<(), Failure>;

    /// Lets a namespace have one more endpoint.
    ///
    /// # Errors
    /// What the network service refuses.
    fn add(&self, namespace: Guid, endpoint: Guid) -> Result<(), Failure>;

    /// Takes an endpoint out of a namespace.
    ///
    /// # Errors
    /// What the network service refuses.
    fn remove(&self, namespace: Guid, endpoint: Guid) -> Result<(), Failure>;
}

/// A network namespace, as a system is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub place: NetworkPlace,
    /// resolv.conf(5) for its endpoints; absent when none says anything of names.
    pub resolv_conf: Option<String>,
}
