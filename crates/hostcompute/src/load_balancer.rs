//! Handles of load balancers.

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Document, HostComputeLoadBalancer};

use crate::handle::created;
use crate::transport::Call;
use crate::{Failure, Guid, Host, Warning};

handle! {
    /// Spreads connections to virtual addresses over endpoints.
    ///
    /// ```no_run
    /// use hostcompute::schema::{HostComputeLoadBalancer, LoadBalancerPortMapping, ProtocolType};
    /// use hostcompute::{Endpoint, Host, LoadBalancer, Options};
    ///
    /// # fn main() -> Result<(), hostcompute::Failure> {
    /// let host = Host::embedded(Options::from_env())?;
    /// let port = LoadBalancerPortMapping {
    ///     protocol: Some(ProtocolType::TCP),
    ///     external_port: Some(80),
    ///     internal_port: Some(8080),
    ///     ..Default::default()
    /// };
    /// let balancer = LoadBalancer::create(&host, &HostComputeLoadBalancer {
    ///     host_compute_endpoints: vec![Endpoint::find(&host, "back-1")?.id().to_string()],
    ///     frontend_vips: vec!["10.96.0.10".into()],
    ///     port_mappings: vec![port],
    ///     ..Default::default()
    /// })?;
    /// balancer.delete()?;
    /// # Ok(())
    /// # }
    /// ```
    LoadBalancer, HostComputeLoadBalancer, LoadBalancer,
    open OpenLoadBalancer, enumerate EnumerateLoadBalancers, query QueryLoadBalancerProperties,
    delete DeleteLoadBalancer
}

impl LoadBalancer {
    /// Makes a load balancer.
    ///
    /// # Errors
    /// ERROR_ALREADY_EXISTS when a frontend is taken, or what is wrong with the settings.
    pub fn create(host: &Host, settings: &HostComputeLoadBalancer) -> Result<Self, Failure> {
        Self::create_json(host, None, &settings.to_value().to_string())
            .map(|(balancer, _)| balancer)
    }

    /// Makes a load balancer from a JSON document, under the given id if there is one; also tells what was tolerated.
    ///
    /// # Errors
    /// As [`Self::create`], with the place in the text.
    pub fn create_json(
        host: &Host,
        id: Option<Guid>,
        settings: &str,
    ) -> Result<(Self, Vec<Warning>), Failure> {
        let call = Call {
            operation: Operation::CreateLoadBalancer,
            id,
            network: None,
            document: settings,
        };
        let answer = host.call(&call)?;
        Ok((Self { host: host.clone(), id: created(&answer.body)? }, answer.warnings))
    }

    /// Puts a whole document in the place of this one; established connections stay.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn modify(&self, settings: &HostComputeLoadBalancer) -> Result<(), Failure> {
        self.modify_json(&settings.to_value().to_string()).map(drop)
    }

    /// As [`Self::modify`], from a JSON document.
    ///
    /// # Errors
    /// As [`Self::modify`].
    pub fn modify_json(&self, settings: &str) -> Result<Vec<Warning>, Failure> {
        let call = Call::on(Operation::ModifyLoadBalancer, self.id, settings);
        self.host.call(&call).map(|answer| answer.warnings)
    }
}
