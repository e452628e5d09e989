//! This project, through the crate that programs use: with the service inside the process, or with another process as the service.

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use anyhow::Context;
use hostcompute::schema::{
    EndpointPolicy, EndpointPolicyType, HostComputeEndpoint, HostComputeLoadBalancer,
    HostComputeNamespace, LoadBalancerPortMapping, PortMappingPolicySetting, ProtocolType,
};
use hostcompute::{Endpoint, Host, LoadBalancer, Namespace, Network, Options};

use super::{Balancing, Side};

/// One NAT network and what is attached to it.
#[derive(Debug)]
pub struct Ours {
    host: Host,
    network: Network,
    attached: HashMap<u32, (Namespace, Endpoint)>,
}

impl Ours {
    /// Opens a service on a state directory on the disk; the calling thread's network namespace is its host.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let options = Options::at(directory.join("state"), "/run/hostcompute".into());
        Self::on(Host::embedded(options)?)
    }

    /// Makes the network on a host.
    pub fn on(host: Host) -> anyhow::Result<Self> {
        let (network, _) = Network::create_json(&host, None, super::NETWORK)?;
        Ok(Self { host, network, attached: HashMap::new() })
    }

    /// The network's id.
    pub fn network(&self) -> String {
        self.network.id().to_string()
    }

    /// An endpoint that is attached.
    pub fn any_endpoint(&self) -> Option<String> {
        self.attached.values().next().map(|(_, endpoint)| endpoint.id().to_string())
    }
}

impl Side for Ours {
    fn attach(&mut self, number: u32) -> anyhow::Result<()> {
        let mapping = PortMappingPolicySetting {
            protocol: Some(ProtocolType::TCP),
            internal_port: Some(crate::INNER_PORT),
            external_port: Some(crate::host_port(number)),
            ..PortMappingPolicySetting::default()
        };
        let policies = vec![EndpointPolicy::new(EndpointPolicyType::PortMapping, &mapping)];
        let settings = HostComputeEndpoint { policies, ..HostComputeEndpoint::default() };
        let namespace = Namespace::create(&self.host, &HostComputeNamespace::default())?;
        let endpoint = Endpoint::create(&self.network, &settings)?;
        namespace.add(&endpoint)?;
        self.attached.insert(number, (namespace, endpoint));
        Ok(())
    }

    fn detach(&mut self, number: u32) -> anyhow::Result<()> {
        let (namespace, endpoint) =
            self.attached.remove(&number).context("the endpoint is not attached")?;
        endpoint.delete()?;
        Ok(namespace.delete()?)
    }
}

/// Services over two endpoints, and a third that connects to them.
#[derive(Debug)]
pub struct OurBalancer {
    host: Host,
    client: Namespace,
    backends: [(Namespace, Endpoint); 2],
    services: HashMap<u32, LoadBalancer>,
}

impl OurBalancer {
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let Ours { host, network, .. } = Ours::open(directory)?;
        let room = || -> anyhow::Result<_> {
            let namespace = Namespace::create(&host, &HostComputeNamespace::default())?;
            let endpoint = Endpoint::create(&network, &HostComputeEndpoint::default())?;
            namespace.add(&endpoint)?;
            Ok((namespace, endpoint))
        };
        let (client, backends) = (room()?.0, [room()?, room()?]);
        Ok(Self { host, client, backends, services: HashMap::new() })
    }

    fn path(&self, namespace: &Namespace) -> anyhow::Result<PathBuf> {
        Ok(self.host.netns_path(namespace.id())?)
    }
}

impl Balancing for OurBalancer {
    fn add(&mut self, number: u32) -> anyhow::Result<()> {
        let frontend = crate::vip(number);
        let port = LoadBalancerPortMapping {
            protocol: Some(ProtocolType::TCP),
            external_port: Some(frontend.port()),
            internal_port: Some(crate::BACKEND_PORT),
            ..LoadBalancerPortMapping::default()
        };
        let settings = HostComputeLoadBalancer {
            host_compute_endpoints: self
                .backends
                .iter()
                .map(|(_, endpoint)| endpoint.id().to_string())
                .collect(),
            frontend_vips: vec![frontend.ip().to_string()],
            port_mappings: vec![port],
            ..HostComputeLoadBalancer::default()
        };
        self.services.insert(number, LoadBalancer::create(&self.host, &settings)?);
        Ok(())
    }

    fn remove(&mut self, number: u32) -> anyhow::Result<()> {
        let service = self.services.remove(&number).context("there is no such service")?;
        Ok(service.delete()?)
    }

    fn frontend(&self, number: u32) -> SocketAddrV4 {
        crate::vip(number)
    }

    fn client(&self) -> anyhow::Result<PathBuf> {
        self.path(&self.client)
    }

    fn backends(&self) -> anyhow::Result<Vec<PathBuf>> {
        self.backends.iter().map(|(namespace, _)| self.path(namespace)).collect()
    }
}
