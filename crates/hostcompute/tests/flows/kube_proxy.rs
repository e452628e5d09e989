//! kube-proxy in its mode `winkernel` (hcn.md 5.2): services become load balancers, backends elsewhere become remote endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use hostcompute::schema::Guid;
use hostcompute::schema::operation::Kind;
use hostcompute::{Failure, HResult};
use serde_json::{Value, json};

use crate::shim::{self, by_id, by_name, endpoints_of, policies};
use crate::world::Machine;

pub const TCP: u32 = 6;
pub const UDP: u32 = 17;

/// A service, as the cluster tells of it.
#[derive(Debug, Clone)]
pub struct Service {
    pub cluster_ip: &'static str,
    pub protocol: u32,
    pub port: u16,
    pub target: u16,
    /// Addresses of pods.
    pub backends: Vec<String>,
    /// ClientIP.
    pub affinity: bool,
    pub node_port: Option<u16>,
    pub external: Vec<&'static str>,
    pub ingress: Vec<&'static str>,
    /// externalTrafficPolicy Local: what comes from outside goes to this node's pods, whose clients' addresses they see.
    pub local: bool,
    /// internalTrafficPolicy Local: what comes from inside does, too.
    pub internal_local: bool,
    /// The annotation by which the destination is left as it is.
    pub preserve_destination: bool,
}

impl Service {
    /// One that has no way in from outside.
    pub fn internal(cluster_ip: &'static str, port: u16, target: u16, backends: &[String]) -> Self {
        Self {
            cluster_ip,
            protocol: TCP,
            port,
            target,
            backends: backends.to_vec(),
            affinity: false,
            node_port: None,
            external: Vec::new(),
            ingress: Vec::new(),
            local: false,
            internal_local: false,
            preserve_destination: false,
        }
    }
}

/// How one is run.
#[derive(Debug, Clone)]
pub struct Settings {
    pub network: &'static str,
    /// Pods of this host.
    pub subnet: String,
    pub source_vip: String,
    pub direct_return: bool,
}

/// What a load balancer answers at: none is every address of the host.
type Frontend = (Option<String>, u32, u16);

/// One that runs.
#[derive(Debug)]
pub struct KubeProxy {
    settings: Settings,
    network: Guid,
    is_overlay: bool,
    /// The load balancers, with the backends that they were told.
    applied: BTreeMap<Frontend, (Guid, Vec<String>)>,
    /// Endpoints elsewhere that were made for services.
    remote: BTreeSet<Guid>,
}

/// A backend's endpoint.
#[derive(Debug, Clone)]
struct Backend {
    id: String,
    address: String,
    is_local: bool,
}

impl KubeProxy {
    /// Begins: finds the network, and removes what an earlier run has left.
    #[track_caller]
    pub fn begin(node: &Machine, settings: Settings) -> Self {
        let network = by_name(&node.host, Kind::Network, settings.network).expect("a network");
        for balancer in shim::list(&node.host, Kind::LoadBalancer) {
            assert!(balancer["PortMappings"][0].is_object(), "the first is read unasked");
            shim::delete(&node.host, Kind::LoadBalancer, shim::id(&balancer));
        }
        Self {
            settings,
            network: shim::id(&network),
            is_overlay: network["Type"] == "Overlay",
            applied: BTreeMap::new(),
            remote: BTreeSet::new(),
        }
    }

    /// Makes the host agree with the cluster.
    #[track_caller]
    pub fn sync(&mut self, node: &Machine, services: &[Service]) {
        self.try_sync(node, services).unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// As [`Self::sync`].
    ///
    /// # Errors
    /// What the service refuses.
    pub fn try_sync(&mut self, node: &Machine, services: &[Service]) -> Result<(), Failure> {
        let network = by_name(&node.host, Kind::Network, self.settings.network).expect("a network");
        if shim::id(&network) != self.network {
            self.applied.clear();
            self.remote.clear();
            self.network = shim::id(&network);
        }
        if self.is_overlay {
            self.ensure_source(node)?;
        }
        let mut wanted = BTreeMap::new();
        let mut used = BTreeSet::new();
        for service in services {
            let backends = self.backends(node, &network, service)?;
            used.extend(backends.iter().map(|backend| backend.id.clone()));
            for (frontend, document) in self.balancers(node, &network, service, &backends) {
                wanted.insert(frontend, document);
            }
        }
        self.remove_unwanted(node, &wanted);
        for (frontend, document) in wanted {
            self.apply(node, frontend, &document)?;
        }
        self.forget_unused(node, &used);
        Ok(())
    }

    /// The endpoint of the address by which backends elsewhere see clients; it is never attached.
    fn ensure_source(&self, node: &Machine) -> Result<(), Failure> {
        let address = &self.settings.source_vip;
        if self.endpoint_with(node, address).is_some() {
            return Ok(());
        }
        shim::try_create(
            &node.host,
            Kind::Endpoint,
            &json!({
                "HostComputeNetwork": self.network.to_string(),
                "IpConfigurations": [{"IpAddress": address}],
                "MacAddress": node.mac(),
            }),
        )
        .map(drop)
    }

    fn endpoint_with(&self, node: &Machine, address: &str) -> Option<Backend> {
        endpoints_of(&node.host, self.network).iter().find_map(|endpoint| {
            let mut addresses = endpoint["IpConfigurations"].as_array()?.iter();
            addresses.find(|config| config["IpAddress"] == address)?;
            Some(Backend {
                id: shim::id(endpoint).to_string(),
                address: address.to_owned(),
                is_local: endpoint["Flags"].as_u64().unwrap_or_default() & 1 == 0,
            })
        })
    }

    /// The endpoints of a service; those elsewhere are made known, this node's own are there or are left out.
    fn backends(
        &mut self,
        node: &Machine,
        network: &Value,
        service: &Service,
    ) -> Result<Vec<Backend>, Failure> {
        if self.is_overlay && self.endpoint_with(node, service.cluster_ip).is_none() {
            let host = node.address();
            self.make_remote(node, service.cluster_ip, &node.mac(), Some(&host))?;
        }
        let mut found = Vec::new();
        for address in &service.backends {
            if let Some(backend) = self.endpoint_with(node, address) {
                // Also those that an earlier run has made.
                if !backend.is_local {
                    self.remote.extend(backend.id.parse::<Guid>());
                }
                found.push(backend);
                continue;
            }
            if is_in(address, &self.settings.subnet) {
                continue;
            }
            let (mac, provider) = if self.is_overlay {
                let host = node.address();
                (conjured(address), Some(provider_of(network, address).unwrap_or(host)))
            } else {
                (String::new(), None)
            };
            let id = self.make_remote(node, address, &mac, provider.as_deref())?;
            found.push(Backend { id: id.to_string(), address: address.clone(), is_local: false });
        }
        Ok(found)
    }

    fn make_remote(
        &mut self,
        node: &Machine,
        address: &str,
        mac: &str,
        provider: Option<&str>,
    ) -> Result<Guid, Failure> {
        let mut document = json!({
            "HostComputeNetwork": self.network.to_string(),
            "IpConfigurations": [{"IpAddress": address}],
            "Flags": 1,
        });
        if !mac.is_empty() {
            document["MacAddress"] = mac.into();
        }
        if let Some(provider) = provider {
            let settings = json!({"ProviderAddress": provider});
            document["Policies"] = json!([{"Type": "ProviderAddress", "Settings": settings}]);
        }
        let id = shim::id(&shim::try_create(&node.host, Kind::Endpoint, &document)?);
        self.remote.insert(id);
        Ok(id)
    }

    /// The load balancers of a service, without their ids.
    fn balancers(
        &self,
        node: &Machine,
        network: &Value,
        service: &Service,
        backends: &[Backend],
    ) -> Vec<(Frontend, Value)> {
        let local: Vec<Backend> = backends.iter().filter(|one| one.is_local).cloned().collect();
        let of_node_only = service.local || service.preserve_destination;
        let outside = if of_node_only { &local[..] } else { backends };
        // Backends that no other node owns are reached from this node's own address.
        let is_foreign = |one: &Backend| {
            self.is_overlay && !one.is_local && provider_of(network, &one.address).is_none()
        };
        let source = match backends.iter().any(is_foreign) {
            true => node.address(),
            false => self.settings.source_vip.clone(),
        };
        let balancer = |vip: Option<&str>, external: u16, flags: (u32, u32), to: &[Backend]| {
            let mut mapping = json!({
                "Protocol": service.protocol,
                "InternalPort": service.target,
                "ExternalPort": external,
                "Flags": flags.1,
            });
            if service.affinity {
                mapping["DistributionType"] = 2.into();
            }
            let mut document = json!({
                "HostComputeEndpoints": to.iter().map(|one| &one.id).collect::<Vec<_>>(),
                "SourceVIP": source,
                "PortMappings": [mapping],
                "Flags": flags.0,
            });
            if let Some(vip) = vip {
                document["FrontendVIPs"] = json!([vip]);
            }
            ((vip.map(str::to_owned), service.protocol, external), document)
        };
        let direct = u32::from(self.settings.direct_return);
        let direct_outside = u32::from(service.local);
        let direct_ingress =
            u32::from(service.preserve_destination || service.local || direct == 1);
        let mut all = Vec::new();
        let inside = if service.internal_local { &local[..] } else { backends };
        if !inside.is_empty() {
            all.push(balancer(Some(service.cluster_ip), service.port, (direct, 0), inside));
        }
        if outside.is_empty() {
            return all;
        }
        if let Some(port) = service.node_port {
            all.push(balancer(None, port, (direct_outside, 2 + 16), outside));
        }
        for vip in &service.external {
            all.push(balancer(Some(vip), service.port, (direct_outside, 16), outside));
        }
        for vip in &service.ingress {
            let kept = if service.preserve_destination { 4 + 8 } else { 0 };
            all.push(balancer(Some(vip), service.port, (direct_ingress, 16 + kept), outside));
        }
        all
    }

    fn apply(
        &mut self,
        node: &Machine,
        frontend: Frontend,
        document: &Value,
    ) -> Result<(), Failure> {
        let backends: Vec<String> =
            serde_json::from_value(document["HostComputeEndpoints"].clone()).unwrap();
        match self.applied.get(&frontend) {
            Some((_, known)) if *known == backends => return Ok(()),
            // The whole new document, without an id; what is there goes on.
            Some((id, _)) => {
                let id = *id;
                shim::try_modify(&node.host, Kind::LoadBalancer, id, document)?;
                self.applied.insert(frontend, (id, backends));
            }
            None => {
                let id = shim::id(&shim::try_create(&node.host, Kind::LoadBalancer, document)?);
                self.applied.insert(frontend, (id, backends));
            }
        }
        Ok(())
    }

    fn remove_unwanted(&mut self, node: &Machine, wanted: &BTreeMap<Frontend, Value>) {
        self.applied.retain(|frontend, (id, _)| {
            let is_wanted = wanted.contains_key(frontend);
            if !is_wanted && by_id(&node.host, Kind::LoadBalancer, *id).is_some() {
                shim::delete(&node.host, Kind::LoadBalancer, *id);
            }
            is_wanted
        });
    }

    /// Remote endpoints that no service has any more. Those of virtual IPs stay with the network.
    fn forget_unused(&mut self, node: &Machine, used: &BTreeSet<String>) {
        self.remote.retain(|id| {
            if used.contains(&id.to_string()) {
                return true;
            }
            let Some(endpoint) = by_id(&node.host, Kind::Endpoint, *id) else { return false };
            let provider = policies(&endpoint, "ProviderAddress").next();
            if provider.is_some_and(|settings| settings["ProviderAddress"] == node.address()) {
                return true;
            }
            shim::delete(&node.host, Kind::Endpoint, *id);
            false
        });
    }

    /// What is left of the endpoints that were made for services: those of virtual IPs, to which nothing leads.
    #[track_caller]
    pub fn has_forgotten_backends(&self, node: &Machine) {
        for endpoint in endpoints_of(&node.host, self.network) {
            let provider = policies(&endpoint, "ProviderAddress").next();
            let is_here = provider.is_none_or(|told| told["ProviderAddress"] == node.address());
            assert!(is_here, "{endpoint}");
        }
    }

    /// A load balancer that answers where another does is refused, and the code says so.
    #[track_caller]
    pub fn refuses_twins(&self, node: &Machine) {
        for (id, _) in self.applied.values() {
            let mut twin = by_id(&node.host, Kind::LoadBalancer, *id).unwrap();
            twin.as_object_mut().unwrap().remove("ID");
            let refused = shim::try_create(&node.host, Kind::LoadBalancer, &twin).unwrap_err();
            assert_eq!(refused.hresult, HResult::ERROR_ALREADY_EXISTS, "{refused}");
        }
    }
}

/// The MAC that kube-proxy gives a pod of which it knows the address only.
fn conjured(address: &str) -> String {
    let address: Ipv4Addr = address.parse().unwrap();
    let [a, b, c, d] = address.octets();
    format!("02-11-{a:02x}-{b:02x}-{c:02x}-{d:02x}")
}

/// The host that a pod is on, by the network's routes to other subnets.
fn provider_of(network: &Value, address: &str) -> Option<String> {
    let mut routes = policies(network, "RemoteSubnetRoute");
    let route =
        routes.find(|route| is_in(address, route["DestinationPrefix"].as_str().unwrap()))?;
    Some(route["ProviderAddress"].as_str()?.to_owned())
}

/// Whether an address is in an IPv4 prefix.
fn is_in(address: &str, prefix: &str) -> bool {
    let (net, length) = prefix.split_once('/').unwrap();
    let (IpAddr::V4(address), IpAddr::V4(net)) = (address.parse().unwrap(), net.parse().unwrap())
    else {
        return false;
    };
    let shift = 32 - length.parse::<u32>().unwrap();
    u32::from(address).checked_shr(shift) == u32::from(net).checked_shr(shift)
}
