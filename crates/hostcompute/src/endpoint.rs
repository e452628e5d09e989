//! Handles of endpoints: ports on networks, their policies and statistics.

use std::net::IpAddr;

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{
    Document, EndpointPolicy, EndpointResourceType, EndpointStats, HostComputeEndpoint,
    ModifyEndpointSettingRequest, ModifyRequestType, PolicyEndpointRequest,
};

use crate::handle::created;
use crate::transport::Call;
use crate::{Failure, Guid, HResult, Host, Network, Warning};

handle! {
    /// A port on a network: addresses, routes and policies of one interface.
    ///
    /// ```no_run
    /// use hostcompute::schema::{
    ///     EndpointPolicy, EndpointPolicyType, HostComputeEndpoint, PortMappingPolicySetting, ProtocolType,
    /// };
    /// use hostcompute::{Endpoint, Host, Network, Options};
    ///
    /// # fn main() -> Result<(), hostcompute::Error> {
    /// let host = Host::embedded(Options::from_env())?;
    /// let network = Network::find(&host, "web")?;
    /// let mapping = PortMappingPolicySetting {
    ///     protocol: Some(ProtocolType::TCP),
    ///     internal_port: Some(80),
    ///     external_port: Some(8080),
    ///     ..Default::default()
    /// };
    /// let policies = vec![EndpointPolicy::new(EndpointPolicyType::PortMapping, &mapping)];
    /// let endpoint = Endpoint::create(&network, &HostComputeEndpoint { policies, ..Default::default() })?;
    /// println!("{:?}", endpoint.statistics()?.bytes_received);
    /// # Ok(())
    /// # }
    /// ```
    Endpoint, HostComputeEndpoint, Endpoint,
    open OpenEndpoint, enumerate EnumerateEndpoints, query QueryEndpointProperties, delete DeleteEndpoint,
    modify ModifyEndpoint by ModifyEndpointSettingRequest
}

impl Endpoint {
    /// Makes an endpoint on a network.
    ///
    /// # Errors
    /// What is wrong with the settings, or taken already.
    pub fn create(network: &Network, settings: &HostComputeEndpoint) -> Result<Self, Failure> {
        let text = settings.to_value().to_string();
        Self::create_json(network.host(), Some(network.id()), None, &text)
            .map(|(endpoint, _)| endpoint)
    }

    /// Makes an endpoint from a JSON document, on the given network or on the one that the document names; also tells what was
    /// tolerated.
    ///
    /// # Errors
    /// As [`Self::create`], with the place in the text.
    pub fn create_json(
        host: &Host,
        network: Option<Guid>,
        id: Option<Guid>,
        settings: &str,
    ) -> Result<(Self, Vec<Warning>), Failure> {
        let call = Call { operation: Operation::CreateEndpoint, id, network, document: settings };
        let answer = host.call(&call)?;
        Ok((Self { host: host.clone(), id: created(&answer.body)? }, answer.warnings))
    }

    /// Its first address of IPv4, else of IPv6.
    ///
    /// # Errors
    /// The not-found code when the endpoint was deleted; HCN_E_ADDR_INVALID_OR_RESERVED for one without an address.
    pub fn primary_ip(&self) -> Result<IpAddr, Failure> {
        let document = self.query()?;
        let told = document.ip_configurations.iter().filter_map(|one| one.ip_address.as_deref());
        let addresses: Vec<IpAddr> = told.filter_map(|text| text.parse().ok()).collect();
        let first = addresses.iter().find(|one| one.is_ipv4()).or_else(|| addresses.first());
        first.copied().ok_or_else(|| {
            let why = format!("the endpoint {} has no address", self.id);
            Failure::new(HResult::HCN_E_ADDR_INVALID_OR_RESERVED, why)
        })
    }

    /// Adds, replaces (by type) or removes (by value) policies, all or none.
    ///
    /// # Errors
    /// As [`Self::modify`].
    pub fn change_policies(
        &self,
        kind: ModifyRequestType,
        policies: Vec<EndpointPolicy>,
    ) -> Result<(), Failure> {
        let settings = PolicyEndpointRequest { policies, ..PolicyEndpointRequest::default() };
        self.modify(&ModifyEndpointSettingRequest {
            request_type: Some(kind),
            resource_type: Some(EndpointResourceType::Policy),
            settings: Some(settings.to_value()),
            ..ModifyEndpointSettingRequest::default()
        })
    }

    /// What went through the endpoint; zeros while it is in no namespace.
    ///
    /// # Errors
    /// The not-found code when the endpoint was deleted.
    pub fn statistics(&self) -> Result<EndpointStats, Failure> {
        Ok(hostcompute_schema::parse::<EndpointStats>(&self.statistics_json()?)?.document)
    }

    /// As [`Self::statistics`], as JSON text.
    ///
    /// # Errors
    /// As [`Self::statistics`].
    pub fn statistics_json(&self) -> Result<String, Failure> {
        self.host
            .call(&Call::on(Operation::QueryEndpointStats, self.id, ""))
            .map(|answer| answer.body)
    }
}
