//! Handles of namespaces, and what is plugged into them.

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{
    Document, HostComputeNamespace, ModifyNamespaceSettingRequest, ModifyRequestType,
    NamespaceEndpointRequest, NamespaceResourceType, NamespaceType,
};

use crate::{Endpoint, Failure, Guid, HResult, Host};

handle! {
    /// A network namespace: the network stack that processes share.
    ///
    /// ```no_run
    /// use hostcompute::schema::HostComputeNamespace;
    /// use hostcompute::{Endpoint, Host, Namespace, Options};
    ///
    /// # fn main() -> Result<(), hostcompute::Failure> {
    /// let host = Host::embedded(Options::from_env())?;
    /// let namespace = Namespace::create(&host, &HostComputeNamespace::default())?;
    /// namespace.add(&Endpoint::find(&host, "front")?)?;
    /// # Ok(())
    /// # }
    /// ```
    Namespace, HostComputeNamespace, Namespace,
    open OpenNamespace, enumerate EnumerateNamespaces, query QueryNamespaceProperties, delete DeleteNamespace,
    modify ModifyNamespace by ModifyNamespaceSettingRequest
}

creation! { Namespace, HostComputeNamespace, CreateNamespace }

impl Namespace {
    /// A namespace of this host's, with nothing in it.
    ///
    /// # Errors
    /// Why the host cannot make one.
    pub fn create_host(host: &Host) -> Result<Self, Failure> {
        Self::create(host, &HostComputeNamespace::default().kind(NamespaceType::Host))
    }

    /// The host's own network stack, which is always there.
    ///
    /// # Errors
    /// Why the service cannot be reached.
    pub fn host_default(host: &Host) -> Result<Self, Failure> {
        for namespace in Self::list(host)? {
            match namespace.query() {
                Ok(document) if document.kind == Some(NamespaceType::HostDefault) => {
                    return Ok(namespace);
                }
                Err(failure) if !failure.is_not_found() => return Err(failure),
                _ => {}
            }
        }
        Err(Failure::new(HResult::ERROR_NOT_FOUND, "the host's namespace is not listed"))
    }

    /// The endpoints that are plugged in, in their order.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND when the namespace was deleted.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        let mut found = Vec::new();
        for resource in self.query()?.resources {
            if resource.kind != Some(NamespaceResourceType::Endpoint) {
                continue;
            }
            let id = resource.data.as_ref().and_then(|data| data.get("Id")?.as_str()?.parse().ok());
            let Some(id) = id else { continue };
            match Endpoint::open(&self.host, id) {
                // Deleted meanwhile.
                Err(failure) if failure.is_not_found() => {}
                opened => found.push(opened?),
            }
        }
        Ok(found)
    }

    /// Plugs an endpoint in.
    ///
    /// # Errors
    /// HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS when it is in a namespace already, or why the host cannot do it.
    pub fn add(&self, endpoint: &Endpoint) -> Result<(), Failure> {
        self.change(ModifyRequestType::Add, endpoint.id())
    }

    /// Unplugs an endpoint; it stays, and can be plugged in again.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND when it is not in this namespace.
    pub fn remove(&self, endpoint: &Endpoint) -> Result<(), Failure> {
        self.change(ModifyRequestType::Remove, endpoint.id())
    }

    fn change(&self, kind: ModifyRequestType, endpoint: Guid) -> Result<(), Failure> {
        let settings = NamespaceEndpointRequest {
            endpoint_id: Some(endpoint),
            ..NamespaceEndpointRequest::default()
        };
        self.modify(&ModifyNamespaceSettingRequest {
            request_type: Some(kind),
            resource_type: Some(NamespaceResourceType::Endpoint),
            settings: Some(settings.to_value()),
            ..ModifyNamespaceSettingRequest::default()
        })
    }
}
