//! The plugins win-overlay and win-bridge of containernetworking (hcn.md 5.5): `pkg/hns`, with `apiVersion` 2.

use hostcompute::schema::Guid;
use hostcompute::schema::operation::Kind;
use hostcompute::{Failure, Host};
use serde_json::{Value, json};

use crate::shim::{self, by_id, by_name, change_namespace, policies, try_create};

/// What a plugin is told: its configuration, and what the runtime and the address plugin say of the pod.
#[derive(Debug, Clone, Default)]
pub struct Pod<'a> {
    pub container: &'a str,
    pub network: &'a str,
    pub address: &'a str,
    /// Empty for a configuration without one.
    pub gateway: &'a str,
    pub ip_masq: bool,
    /// Of the runtime: (container, host), TCP.
    pub port_mappings: &'a [(u16, u16)],
    /// From the configuration, as they stand there.
    pub policies: Vec<Value>,
}

impl Pod<'_> {
    fn name(&self) -> String {
        format!("{}_{}", self.container, self.network)
    }

    fn of_runtime(&self) -> impl Iterator<Item = Value> {
        self.port_mappings.iter().map(|(inside, outside)| {
            json!({"Type": "PortMapping", "Settings": {
                "InternalPort": inside, "ExternalPort": outside, "Protocol": 6, "VIP": "",
            }})
        })
    }
}

/// win-overlay, ADD.
///
/// # Errors
/// What the service refuses; nothing is left then.
pub fn add_overlay(host: &Host, namespace: Guid, pod: &Pod<'_>) -> Result<Value, Failure> {
    let network = by_name(host, Kind::Network, pod.network).expect("a network");
    assert!(network["Type"].as_str().unwrap().eq_ignore_ascii_case("overlay"));
    let prefix = network["Ipams"][0]["Subnets"][0]["IpAddressPrefix"].clone();
    // The plugin reads the host's address from the network's document of version 1.
    let management = policies(&network, "ProviderAddress").next().unwrap();
    let mut all = pod.policies.clone();
    if pod.ip_masq {
        let settings = json!({"Exceptions": [prefix]});
        all.push(json!({"Type": "OutBoundNAT", "Settings": settings}));
    }
    all.push(json!({"Type": "ProviderAddress", "Settings": management}));
    all.extend(pod.of_runtime());
    let octets: std::net::Ipv4Addr = pod.address.parse().unwrap();
    let [a, b, c, d] = octets.octets();
    let document = json!({
        "Name": pod.name(),
        "HostComputeNetwork": shim::id(&network).to_string(),
        "MacAddress": format!("0E-2A-{a:02x}-{b:02x}-{c:02x}-{d:02x}"),
        "Policies": all,
        "IpConfigurations": [{"IpAddress": pod.address}],
        "Routes": [{"NextHop": pod.gateway, "DestinationPrefix": "0.0.0.0/0"}],
    });
    attach(host, namespace, pod, &document)
}

/// win-bridge, ADD. `ip_masq` is its `ipMasqNetwork`: without one there is no translation.
///
/// # Errors
/// What the service refuses; nothing is left then.
pub fn add_bridge(
    host: &Host,
    namespace: Guid,
    pod: &Pod<'_>,
    masquerade: Option<&str>,
) -> Result<Value, Failure> {
    let network = by_name(host, Kind::Network, pod.network).expect("a network");
    assert!(matches!(network["Type"].as_str(), Some("L2Bridge" | "L2Tunnel")), "{network}");
    let mut all = pod.policies.clone();
    all.extend(
        masquerade
            .map(|prefix| json!({"Type": "OutBoundNAT", "Settings": {"Exceptions": [prefix]}})),
    );
    all.extend(pod.of_runtime());
    // Without an address plugin there is no gateway, and the route is of the other family.
    let route = match pod.gateway {
        "" => json!({"DestinationPrefix": "::/0"}),
        gateway => json!({"NextHop": gateway, "DestinationPrefix": "0.0.0.0/0"}),
    };
    let address = match pod.address {
        "" => json!({}),
        address => json!({"IpAddress": address}),
    };
    let document = json!({
        "Name": pod.name(),
        "HostComputeNetwork": shim::id(&network).to_string(),
        "Policies": all,
        "IpConfigurations": [address],
        "Routes": [route],
    });
    let endpoint = attach(host, namespace, pod, &document)?;
    // The result is made of what came back, unchecked.
    assert!(endpoint["IpConfigurations"][0]["IpAddress"].is_string(), "{endpoint}");
    assert!(endpoint["Routes"][0].is_object() && endpoint["MacAddress"].is_string(), "{endpoint}");
    Ok(endpoint)
}

fn attach(host: &Host, namespace: Guid, pod: &Pod<'_>, document: &Value) -> Result<Value, Failure> {
    let name = pod.name();
    assert_eq!(by_name(host, Kind::Endpoint, &name), None, "{name} is there already");
    let endpoint = shim::id(&try_create(host, Kind::Endpoint, document)?);
    let settings = json!({"EndpointId": endpoint.to_string()});
    let request = json!({"ResourceType": "Endpoint", "RequestType": "Add", "Settings": settings});
    if let Err(failure) = shim::try_modify(host, Kind::Namespace, namespace, &request) {
        shim::delete(host, Kind::Endpoint, endpoint);
        return Err(failure);
    }
    Ok(by_id(host, Kind::Endpoint, endpoint).expect("it was just made"))
}

/// DEL, of both: what is not there need not be removed.
#[track_caller]
pub fn del(host: &Host, container: &str, network: &str) {
    let name = format!("{container}_{network}");
    let Some(endpoint) = by_name(host, Kind::Endpoint, &name) else { return };
    let id = shim::id(&endpoint);
    let namespace = endpoint["HostComputeNamespace"].as_str().and_then(|id| id.parse().ok());
    if let Some(namespace) = namespace.filter(|id| by_id(host, Kind::Namespace, *id).is_some()) {
        change_namespace(host, namespace, "Remove", id);
    }
    shim::delete(host, Kind::Endpoint, id);
}
