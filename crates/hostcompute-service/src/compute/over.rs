//! The network service of this crate, as compute systems see it: each wish is a few of its ordinary calls.

use std::fmt;

use hostcompute_engine::apply::Call;
use hostcompute_engine::compute::NetworkPlace;
use hostcompute_engine::network::dns;
use hostcompute_engine::network::namespace::{self, HOST_DEFAULT};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Document, Failure, Guid, HResult};
use serde_json::json;

use super::networks::{Adapter, Networks, OwnNetwork, Placed};
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

    fn is_network(&self, id: Guid) -> bool {
        self.desk.look(|state| state.network(id).is_ok()).unwrap_or(false)
    }

    fn plan(&self, id: Guid, adapters: &[Adapter]) -> Result<Placed, Failure> {
        let resolv_conf = self.desk.look(|state| {
            let said = adapters.iter().map(|adapter| match adapter {
                Adapter::Given(id) => state.endpoint(*id).map(|found| found.document.dns.as_ref()),
                // Where it says nothing, it will say what its network says.
                Adapter::Made { network, like, .. } => {
                    let network = state.network(*network);
                    network.map(|found| like.dns.as_ref().or(found.document.dns.as_ref()))
                }
            });
            let said: Result<Vec<_>, Failure> = said.collect();
            let missing =
                |failure: Failure| Failure { hresult: HResult::ERROR_NOT_FOUND, ..failure };
            let said: Vec<_> = said.map_err(missing)?.into_iter().flatten().collect();
            Ok::<_, Failure>(dns::resolver(&said))
        })??;
        Ok(Placed { place: self.named(id), resolv_conf })
    }

    fn make(&self, id: Guid, adapters: &[Adapter]) -> Result<(), Failure> {
        self.call(Operation::CreateNamespace, id, "{}".to_owned())?;
        let mut own = OwnNetwork { namespace: id, endpoints: Vec::new() };
        let joined = adapters.iter().try_for_each(|adapter| match adapter {
            Adapter::Given(endpoint) => self.add(id, *endpoint),
            Adapter::Made { endpoint, network, like } => {
                let endpoint = *endpoint;
                let (operation, network) = (Operation::CreateEndpoint, Some(*network));
                let document = like.to_value().to_string();
                let call = Call { operation, id: endpoint, network, document };
                self.desk.carry_out(&call, Reading::Lenient)?;
                own.endpoints.push(endpoint);
                self.add(id, endpoint)
            }
        });
        if joined.is_err()
            && let Err(failure) = self.release(&own)
        {
            tracing::error!(namespace = %id, "what was begun could not be undone: {failure:#}");
        }
        joined
    }

    fn release(&self, own: &OwnNetwork) -> Result<(), Failure> {
        let delete = |operation, id| match self.call(operation, id, String::new()) {
            Err(failure) if failure.is_not_found() => Ok(()),
            outcome => outcome,
        };
        let namespace = delete(Operation::DeleteNamespace, own.namespace);
        let endpoints =
            own.endpoints.iter().map(|endpoint| delete(Operation::DeleteEndpoint, *endpoint));
        // The others go also where one cannot.
        endpoints.fold(namespace, Result::and)
    }

    fn add(&self, namespace: Guid, endpoint: Guid) -> Result<(), Failure> {
        self.membership("Add", namespace, endpoint)
    }

    fn remove(&self, namespace: Guid, endpoint: Guid) -> Result<(), Failure> {
        self.membership("Remove", namespace, endpoint)
    }
}
