//! Handles of namespaces, and what is plugged into them.

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{
    Document, HostComputeNamespace, ModifyNamespaceSettingRequest, ModifyRequestType,
    NamespaceEndpointRequest, NamespaceResourceType,
};

use crate::handle::created;
use crate::transport::Call;
use crate::{Endpoint, Failure, Guid, Host, Warning};

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
    open OpenNamespace, enumerate EnumerateNamespaces, query QueryNamespaceProperties, delete DeleteNamespace
}

impl Namespace {
    /// Makes a namespace.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn create(host: &Host, settings: &HostComputeNamespace) -> Result<Self, Failure> {
        Self::create_json(host, None, &settings.to_value().to_string())
            .map(|(namespace, _)| namespace)
    }

    /// Makes a namespace from a JSON document, under the given id if there is one; also tells what was tolerated.
    ///
    /// # Errors
    /// As [`Self::create`], with the place in the text.
    pub fn create_json(
        host: &Host,
        id: Option<Guid>,
        settings: &str,
    ) -> Result<(Self, Vec<Warning>), Failure> {
        let call =
            Call { operation: Operation::CreateNamespace, id, network: None, document: settings };
        let answer = host.call(&call)?;
        Ok((Self { host: host.clone(), id: created(&answer.body)? }, answer.warnings))
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

    /// Changes what is in the namespace.
    ///
    /// # Errors
    /// As [`Self::add`] and [`Self::remove`].
    pub fn modify(&self, request: &ModifyNamespaceSettingRequest) -> Result<(), Failure> {
        self.modify_json(&request.to_value().to_string()).map(drop)
    }

    /// As [`Self::modify`], from a JSON document.
    ///
    /// # Errors
    /// As [`Self::modify`].
    pub fn modify_json(&self, request: &str) -> Result<Vec<Warning>, Failure> {
        let call = Call::on(Operation::ModifyNamespace, self.id, request);
        self.host.call(&call).map(|answer| answer.warnings)
    }
}
