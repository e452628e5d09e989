//! The network service of this crate, as compute systems see it: each wish is a few of its ordinary calls.

use std::fmt;

use hostcompute_engine::apply::Call;
use hostcompute_engine::compute::NetworkPlace;
use hostcompute_engine::network::namespace::{self, HOST_DEFAULT};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Failure, Guid, HResult};
use serde_json::json;

use super::networks::{Networks, Placed};
use crate::Reading;
use crate::apply::Desk;

/// The network service behind a desk.
pub struct OverDesk<D> {
    desk: D,
    /// The file that names a namespace.
    path: Box<dyn Fn(Guid) -> String + Send + Sync>,
}

impl<D> fmt::Debug for OverDesk<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverDesk").finish_non_exhaustive()
    }
}

impl<D: Desk> OverDesk<D> {
    /// Where calls are made, and where the host keeps the names of namespaces.
    pub fn new(desk: D, path: impl Fn(Guid) -> String + Send + Sync + 'static) -> Self {
        Self { desk, path: Box::new(path) }
    }

    fn call(&self, operation: Operation, id: Guid, document: String) -> Result<(), Failure> {
        let call = Call { operation, id, network: None, document };
        self.desk.carry_out(&call, Reading::Lenient).map(drop)
    }

    fn membership(&self, request: &str, namespace: Guid, endpoint: Guid) -> Result<(), Failure> {
        let settings = json!({ "EndpointId": endpoint.to_string() });
        let document =
            json!({ "ResourceType": "Endpoint", "RequestType": request, "Settings": settings });
        self.call(Operation::ModifyNamespace, namespace, document.to_string())
    }

    fn named(&self, id: Guid) -> NetworkPlace {
        NetworkPlace::Named { path: (self.path)(id) }
    }
}

impl<D: Desk + Send + Sync + 'static> Networks for OverDesk<D> {
    fn namespace(&self, id: Guid) -> Result<Placed, Failure> {
        if id == HOST_DEFAULT {
            return Ok(Placed { place: NetworkPlace::Host, resolv_conf: None });
        }
        let resolv_conf = self.desk.look(|state| {
            namespace::describe(state, id)?;
            let inside = state.attached(id);
            Ok::<_, Failure>(namespace::resolver(inside.map(AsRef::as_ref)))
        })??;
        Ok(Placed { place: self.named(id), resolv_conf })
    }

    fn plan(&self, id: Guid, endpoints: &[Guid]) -> Result<Placed, Failure> {
        let resolv_conf = self.desk.look(|state| {
            let found: Result<Vec<_>, Failure> =
                endpoints.iter().map(|id| state.endpoint(*id).map(AsRef::as_ref)).collect();
            let missing =
                |failure: Failure| Failure { hresult: HResult::ERROR_NOT_FOUND, ..failure };
            Ok::<_, Failure>(namespace::resolver(found.map_err(missing)?.into_iter()))
        })??;
        Ok(Placed { place: self.named(id), resolv_conf })
    }

    fn make(&self, id: Guid, endpoints: &[Guid]) -> Result<(), Failure> {
        self.call(Operation::CreateNamespace, id, "{}".to_owned())?;
        let joined = endpoints.iter().try_for_each(|endpoint| self.add(id, *endpoint));
        if joined.is_err()
            && let Err(failure) = self.release(id)
        {
            tracing::error!(namespace = %id, "what was begun could not be undone: {failure}");
        }
        joined
    }

    fn release(&self, id: Guid) -> Result<(), Failure> {
        match self.call(Operation::DeleteNamespace, id, String::new()) {
            Err(failure) if failure.is_not_found() => Ok(()),
            outcome => outcome,
        }
    }

    fn add(&self, namespace: Guid, endpoint: Guid) -> Result<(), Failure> {
        self.membership("Add", namespace, endpoint)
    }

    fn remove(&self, namespace: Guid, endpoint: Guid) -> Result<(), Failure> {
        self.membership("Remove", namespace, endpoint)
    }
}
