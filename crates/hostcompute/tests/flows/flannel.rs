//! flannel on an overlay (hcn.md 5.3): `pkg/backend/vxlan`, Windows.
//!
//! Each node owns a subnet and makes the network for it; leases tell of the other nodes, and become routes to their subnets.

use hostcompute::schema::Guid;
use hostcompute::schema::operation::Kind;
use hostcompute::{Failure, Host};
use serde_json::{Value, json};

use crate::shim::{self, by_id, by_name, change_policies, policies};
use crate::world::Machine;

/// The smallest VNI that flannel takes on Windows.
pub const VNI: u32 = 4096;

/// The name of the network, made of its VNI.
pub const NETWORK: &str = "flannel.4096";

/// What a node tells the others.
#[derive(Debug, Clone)]
pub struct Lease {
    subnet: String,
    public: String,
    /// The MAC of its router.
    mac: String,
}

/// The subnet of a node.
pub fn subnet(node: u8) -> String {
    format!("10.244.{node}.0/24")
}

/// The address of a pod.
pub fn pod(node: u8, last: u8) -> String {
    format!("10.244.{node}.{last}")
}

/// Makes the network of a node, unless it is there as it should be, and tells what others must know.
#[track_caller]
pub fn begin(node: &Machine) -> Lease {
    let network = ensure(&node.host, node.number).unwrap();
    // The MAC is read by name when all is done.
    let network = by_name(&node.host, Kind::Network, network["Name"].as_str().unwrap()).unwrap();
    let mac = policies(&network, "DrMacAddress").next().unwrap()["Address"].as_str().unwrap();
    let provider = provider(&network).unwrap();
    assert!(node.netns.exec("ip -o -4 addr show").contains(&format!(" {provider}/")));
    Lease {
        subnet: subnet(node.number),
        public: provider,
        mac: mac.to_lowercase().replace('-', ":"),
    }
}

fn ensure(host: &Host, node: u8) -> Result<Value, Failure> {
    let prefix = subnet(node);
    let existing = by_name(host, Kind::Network, NETWORK);
    let fits = |network: &Value| {
        network["Type"] == "Overlay"
            && network["Ipams"][0]["Subnets"][0]["IpAddressPrefix"] == prefix
    };
    let network = match existing {
        Some(network) if fits(&network) => network,
        existing => {
            if let Some(stale) = existing {
                shim::try_delete(host, Kind::Network, shim::id(&stale))?;
            }
            let made = shim::try_create(host, Kind::Network, &document(node))?;
            // The address may come late elsewhere; here it is there at once.
            let network = by_id(host, Kind::Network, shim::id(&made)).unwrap();
            assert!(provider(&network).is_some());
            network
        }
    };
    if policies(&network, "HostRoute").next().is_none() {
        let policy = json!([{"Type": "HostRoute", "Settings": {}}]);
        change_policies(host, Kind::Network, shim::id(&network), "Add", &policy);
    }
    Ok(network)
}

fn document(node: u8) -> Value {
    json!({
        "Name": NETWORK,
        "Type": "Overlay",
        "Ipams": [{"Type": "Static", "Subnets": [{
            "IpAddressPrefix": subnet(node),
            "Policies": [{"Type": "VSID", "Settings": {"IsolationId": VNI}}],
            "Routes": [{"NextHop": pod(node, 1), "DestinationPrefix": "0.0.0.0/0"}],
        }]}],
        "Policies": [{"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "up0"}}],
        "Flags": 8,
    })
}

fn provider(network: &Value) -> Option<String> {
    let settings = policies(network, "ProviderAddress").next()?;
    Some(settings["ProviderAddress"].as_str()?.to_owned()).filter(|address| !address.is_empty())
}

impl Lease {
    fn settings(&self) -> Value {
        json!({
            "DestinationPrefix": self.subnet,
            "IsolationId": VNI,
            "ProviderAddress": self.public,
            "DistributedRouterMacAddress": self.mac,
        })
    }

    /// A lease came, or came again: what was known of its subnet is forgotten first.
    #[track_caller]
    pub fn added(&self, node: &Machine) {
        let network = by_name(&node.host, Kind::Network, NETWORK).unwrap();
        let id = shim::id(&network);
        for known in policies(&network, "RemoteSubnetRoute") {
            if known["DestinationPrefix"] == *self.subnet {
                change(node, id, "Remove", known);
            }
        }
        change(node, id, "Add", &self.settings());
    }

    /// A lease ended.
    #[track_caller]
    pub fn removed(&self, node: &Machine) {
        let network = by_name(&node.host, Kind::Network, NETWORK).unwrap();
        change(node, shim::id(&network), "Remove", &self.settings());
    }
}

#[track_caller]
fn change(node: &Machine, network: Guid, how: &str, route: &Value) {
    let policies = json!([{"Type": "RemoteSubnetRoute", "Settings": route}]);
    change_policies(&node.host, Kind::Network, network, how, &policies);
}

/// All nodes know each other.
#[track_caller]
pub fn mesh(nodes: &[Machine]) -> Vec<Lease> {
    let leases: Vec<Lease> = nodes.iter().map(begin).collect();
    for node in nodes {
        for lease in leases.iter().filter(|lease| lease.public != node.address()) {
            lease.added(node);
        }
    }
    leases
}
