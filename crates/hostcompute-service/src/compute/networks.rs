//! What compute systems need of the network service. Two implementations exist: the one over this crate's services, and one for tests.

use hostcompute_engine::compute::NetworkPlace;
use hostcompute_engine::compute::record::Record;
use hostcompute_schema::hcn::HostComputeEndpoint;
use hostcompute_schema::{Failure, Guid};

/// The network service, as compute systems see it. Calls block; none is made under a lock.
pub trait Networks: Send + Sync + 'static {
    /// Where a namespace is.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND when there is no such namespace.
    fn namespace(&self, id: Guid) -> Result<Placed, Failure>;

    /// Whether this is a network, rather than an endpoint or nothing.
    fn is_network(&self, id: Guid) -> bool;

    /// Where a namespace will be that [`Self::make`] is going to make with these adapters. Makes nothing.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND for an endpoint or network that is not there.
    fn plan(&self, id: Guid, adapters: &[Adapter]) -> Result<Placed, Failure>;

    /// Makes a namespace of this id with these adapters in it, wholly or not at all.
    ///
    /// # Errors
    /// What the network service refuses.
    fn make(&self, id: Guid, adapters: &[Adapter]) -> Result<(), Failure>;

    /// Removes a namespace that [`Self::make`] made, and the endpoints that it made; the others stay, attached to nothing. What is gone
    /// is passed over.
    ///
    /// # Errors
    /// What the network service cannot do.
    fn release(&self, own: &OwnNetwork) -> Result<(), Failure>;

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

/// One way into a network that a namespace is made with.
#[derive(Debug, Clone, PartialEq)]
pub enum Adapter {
    /// An endpoint that is there.
    Given(Guid),
    /// An endpoint like this that is made under this id, on this network.
    Made { endpoint: Guid, network: Guid, like: Box<HostComputeEndpoint> },
}

/// What was made for one system's network, and goes with the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnNetwork {
    pub namespace: Guid,
    pub endpoints: Vec<Guid>,
}

impl OwnNetwork {
    /// That of a system, if anything was made for it.
    pub fn of(record: &Record) -> Option<Self> {
        let namespace = record.own_namespace?;
        Some(Self { namespace, endpoints: record.own_endpoints.clone() })
    }
}

/// A network namespace, as a system is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub place: NetworkPlace,
    /// resolv.conf(5) for its endpoints; absent when none says anything of names.
    pub resolv_conf: Option<String>,
}
