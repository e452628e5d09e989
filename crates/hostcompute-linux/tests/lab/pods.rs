//! A host whose endpoints have servers: where policies are tried with packets.

use hostcompute_schema::Guid;
use hostcompute_schema::operation::Operation;
use serde_json::{Value, json};

use super::Netns;
use super::node::{Node, Wire, seclude};
use super::traffic::{Server, tcp_server, udp_server};

/// One host with a dual-stack network and three endpoints on it, 10.77.0.11 and so on, each with servers on TCP ports 80 and 81 and
/// UDP port 53 that answer with the name "pod11" and so on.
#[derive(Debug)]
pub struct Pods {
    pub node: Node,
    pub network: Guid,
    pub pods: Vec<(Netns, Guid)>,
    _servers: Vec<Server>,
}

impl Pods {
    pub fn new() -> Option<Self> {
        if !seclude() {
            return None;
        }
        let mut node = Wire::new().node(1);
        let network = node.create(
            Operation::CreateNetwork,
            &json!({"Name": "azure", "Ipams": [{"Type": "Static", "Subnets": [
                {"IpAddressPrefix": "10.77.0.0/24", "Routes": [
                    {"NextHop": "10.77.0.1", "DestinationPrefix": "0.0.0.0/0"}]},
                {"IpAddressPrefix": "fd77::/64"},
            ]}]}),
        );
        let mut pods = Vec::new();
        let mut servers = Vec::new();
        for number in [11, 12, 13] {
            let more = json!({"IpConfigurations": [
                {"IpAddress": format!("10.77.0.{number}")},
                {"IpAddress": format!("fd77::{number}")},
            ]});
            let (netns, endpoint) = node.container_and_endpoint(network, "", &more);
            for port in [80, 81] {
                servers.push(tcp_server(&netns, &format!("pod{number}"), &format!("[::]:{port}")));
            }
            servers.push(udp_server(&netns, &format!("pod{number}"), "0.0.0.0:53"));
            pods.push((netns, endpoint));
        }
        Some(Self { node, network, pods, _servers: servers })
    }

    /// The namespace of an endpoint.
    pub fn pod(&self, place: usize) -> &Netns {
        &self.pods[place].0
    }

    /// Changes the policies of an endpoint.
    #[track_caller]
    pub fn rules(&mut self, place: usize, how: &str, policies: &Value) {
        let request = json!({"ResourceType": "Policy", "RequestType": how,
            "Settings": {"Policies": policies}});
        self.node.modify(Operation::ModifyEndpoint, self.pods[place].1, &request);
    }
}
