//! Handles of load balancers.

use hostcompute_schema::HostComputeLoadBalancer;
use hostcompute_schema::operation::Operation;

handle! {
    /// Spreads connections to virtual addresses over endpoints.
    ///
    /// ```no_run
    /// use hostcompute::schema::{HostComputeLoadBalancer, LoadBalancerPortMapping, ProtocolType};
    /// use hostcompute::{Endpoint, Host, LoadBalancer, Options};
    ///
    /// # fn main() -> Result<(), hostcompute::Error> {
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
    delete DeleteLoadBalancer,
    modify ModifyLoadBalancer by HostComputeLoadBalancer
}

creation! { LoadBalancer, HostComputeLoadBalancer, CreateLoadBalancer }
