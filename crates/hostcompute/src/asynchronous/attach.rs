//! A container's place on an overlay in one call that is whole or not there, whether it is awaited to the end or not.

use std::net::IpAddr;
use std::sync::Arc;

use hostcompute_schema::{Failure, Guid};

use super::pool::{make, run};
use super::{Endpoint, Host, Namespace, Network, Object};
use crate::attach::{self, Wish};

/// A namespace with one endpoint on an overlay in it: [`attach::EndpointAttachment`] for programs on tokio.
///
/// ```no_run
/// use hostcompute::asynchronous::{EndpointAttachment, Network};
/// use hostcompute::attach::Wish;
///
/// # async fn example(network: Network) -> Result<(), hostcompute::Error> {
/// let wish = Wish { owner: "agent".into(), container: "c1".into(), ..Wish::default() };
/// let attachment = EndpointAttachment::create_overlay(&network, wish).await?;
/// println!("{} in {}", attachment.ip().await?, attachment.namespace_id());
/// attachment.teardown().await
/// # }
/// ```
#[derive(Debug)]
pub struct EndpointAttachment {
    inner: Arc<attach::EndpointAttachment>,
    host: Host,
}

impl EndpointAttachment {
    /// [`attach::EndpointAttachment::create_overlay`], awaited. What was attached for nobody is torn down.
    ///
    /// # Errors
    /// As that.
    pub async fn create_overlay(network: &Network, wish: Wish) -> Result<Self, Failure> {
        let on = network.blocking().clone();
        let tear_down = |made: Result<attach::EndpointAttachment, Failure>| {
            if let Ok(made) = made {
                // Whoever would be told why it stays is gone; it is found again by its owner.
                let _ = made.teardown();
            }
        };
        let call = move || attach::EndpointAttachment::create_overlay(&on, &wish);
        let inner = Arc::new(make(call, tear_down).await??);
        Ok(Self { inner, host: network.host().clone() })
    }

    /// [`attach::EndpointAttachment::teardown`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn teardown(self) -> Result<(), Failure> {
        Self::delete(&self.host, self.endpoint_id(), Some(self.namespace_id())).await
    }

    /// The id of the endpoint.
    pub fn endpoint_id(&self) -> Guid {
        self.inner.endpoint_id()
    }

    /// The id of the namespace, for `Networking.Namespace` of a container.
    pub fn namespace_id(&self) -> Guid {
        self.inner.namespace_id()
    }

    /// The endpoint.
    pub fn endpoint(&self) -> Endpoint {
        Object::new(self.inner.endpoint().clone(), &self.host)
    }

    /// The namespace.
    pub fn namespace(&self) -> Namespace {
        Object::new(self.inner.namespace().clone(), &self.host)
    }

    /// The container's address.
    ///
    /// # Errors
    /// As [`Endpoint::primary_ip`].
    pub async fn ip(&self) -> Result<IpAddr, Failure> {
        let inner = self.inner.clone();
        run(move || inner.ip()).await?
    }

    /// What an owner has on a host: [`attach::list_owned`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn list_owned(
        host: &Host,
        owner: &str,
    ) -> Result<Vec<(Endpoint, Option<Guid>)>, Failure> {
        let owner = owner.to_owned();
        let found = host.run(move |host| attach::list_owned(host, &owner)).await?;
        let ours = |(endpoint, inside)| (Object::new(endpoint, host), inside);
        Ok(found.into_iter().map(ours).collect())
    }

    /// Deletes what [`Self::list_owned`] found: [`attach::delete_endpoint_and_namespace`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn delete(
        host: &Host,
        endpoint: Guid,
        namespace: Option<Guid>,
    ) -> Result<(), Failure> {
        host.run(move |host| attach::delete_endpoint_and_namespace(host, endpoint, namespace)).await
    }
}
