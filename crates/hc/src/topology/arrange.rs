//! From the documents that queries return to what a picture shows.

use std::collections::{BTreeMap, BTreeSet};

use hostcompute::schema::{
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork,
};
use hostcompute::{Endpoint, Failure, Guid, Host, LoadBalancer, Namespace, Network};

use super::model::{self, Topology};
use super::words;

/// The documents of everything there is.
#[derive(Debug, Default)]
pub struct Documents {
    pub networks: Vec<HostComputeNetwork>,
    pub namespaces: Vec<HostComputeNamespace>,
    pub endpoints: Vec<HostComputeEndpoint>,
    pub load_balancers: Vec<HostComputeLoadBalancer>,
}

impl Documents {
    /// Asks the service for all of them.
    ///
    /// # Errors
    /// What the service refuses.
    pub fn of(host: &Host) -> Result<Self, Failure> {
        Ok(Self {
            networks: Network::list(host)?.iter().map(Network::query).collect::<Result<_, _>>()?,
            namespaces: Namespace::list(host)?
                .iter()
                .map(Namespace::query)
                .collect::<Result<_, _>>()?,
            endpoints: Endpoint::list(host)?
                .iter()
                .map(Endpoint::query)
                .collect::<Result<_, _>>()?,
            load_balancers: LoadBalancer::list(host)?
                .iter()
                .map(LoadBalancer::query)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Topology {
    /// Arranges the documents.
    pub fn new(documents: &Documents) -> Self {
        let namespaces: BTreeMap<Guid, String> = documents
            .namespaces
            .iter()
            .map(|namespace| {
                (namespace.base.id.unwrap_or_default(), words::namespace_label(namespace))
            })
            .collect();
        let mut topology = Self {
            networks: documents.networks.iter().map(network).collect(),
            balancers: Vec::new(),
            idle: idle(documents),
        };
        let places: BTreeMap<Guid, usize> = documents
            .networks
            .iter()
            .enumerate()
            .map(|(place, network)| (network.base.id.unwrap_or_default(), place))
            .collect();
        // Where each endpoint is drawn: the place of its network, and its own in there.
        let mut drawn: BTreeMap<Guid, (usize, usize)> = BTreeMap::new();
        for document in &documents.endpoints {
            let Some(place) = places.get(&document.host_compute_network.unwrap_or_default()) else {
                continue;
            };
            if let Some(network) = topology.networks.get_mut(*place) {
                drawn.insert(
                    document.base.id.unwrap_or_default(),
                    (*place, network.endpoints.len()),
                );
                network.endpoints.push(endpoint(document, &namespaces));
            }
        }
        for document in &documents.load_balancers {
            topology.add_balancer(document, &drawn);
        }
        topology
    }

    fn add_balancer(
        &mut self,
        document: &HostComputeLoadBalancer,
        drawn: &BTreeMap<Guid, (usize, usize)>,
    ) {
        let number = self.balancers.len();
        let mut backends = Vec::new();
        for id in document.host_compute_endpoints.iter().filter_map(|id| id.parse::<Guid>().ok()) {
            let Some((network, place)) = drawn.get(&id) else { continue };
            let endpoint = self
                .networks
                .get_mut(*network)
                .and_then(|network| network.endpoints.get_mut(*place));
            if let Some(endpoint) = endpoint {
                endpoint.balancers.push(number);
                backends.push(endpoint.name.clone());
            }
        }
        self.balancers.push(model::Balancer {
            name: words::label(&document.base),
            frontends: words::frontends(document),
            backends,
        });
    }
}

fn network(document: &HostComputeNetwork) -> model::Network {
    model::Network {
        name: words::label(&document.base),
        kind: words::network_kind(document),
        subnets: words::subnets(document),
        gateways: words::gateways(document),
        endpoints: Vec::new(),
    }
}

fn endpoint(
    document: &HostComputeEndpoint,
    namespaces: &BTreeMap<Guid, String>,
) -> model::Endpoint {
    let namespace = document.host_compute_namespace.filter(|id| !id.is_zero());
    model::Endpoint {
        name: words::label(&document.base),
        addresses: words::addresses(document),
        namespace: namespace
            .map(|id| namespaces.get(&id).cloned().unwrap_or_else(|| words::short(id))),
        ports: words::ports(document),
        policies: words::policies(document),
        balancers: Vec::new(),
    }
}

/// Namespaces that no endpoint is in; the host's own is no news.
fn idle(documents: &Documents) -> Vec<String> {
    let used: BTreeSet<Guid> =
        documents.endpoints.iter().filter_map(|endpoint| endpoint.host_compute_namespace).collect();
    documents
        .namespaces
        .iter()
        .filter(|namespace| words::namespace_kind(namespace) != "HostDefault")
        .filter(|namespace| !used.contains(&namespace.base.id.unwrap_or_default()))
        .map(words::namespace_label)
        .collect()
}
