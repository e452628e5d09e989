//! Handles of namespaces, and what is plugged into them.

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{
    Document, HostComputeNamespace, ModifyNamespaceSettingRequest, ModifyRequestType,
    NamespaceEndpointRequest, NamespaceResourceType,
};

use crate::{Endpoint, Failure, Guid};

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
