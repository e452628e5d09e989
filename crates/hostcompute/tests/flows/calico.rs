//! Calico for Windows (hcn.md 5.7): its plugin makes the network by documents of version 1, felix writes access lists and routes.

use std::collections::BTreeMap;

use hostcompute::schema::Guid;
use hostcompute::schema::operation::{Kind, Operation};
use hostcompute::transport::Call;
use serde_json::{Value, json};

use crate::cluster::{Running, leave};
use crate::containerd;
use crate::lab::Netns;
use crate::lab::traffic::{Connection, Server, tcp, tcp_refused, tcp_server};
use crate::shim::{self, by_id, by_name, change_namespace, change_policies, create, policies};
use crate::trial::Flow;
use crate::world::{Machine, play};

const NETWORK: &str = "Calico";

/// Makes the network of a node: version 1, the VSID among the policies.
fn network(node: &Machine) -> Guid {
    let n = node.number;
    let document = json!({
        "Name": NETWORK,
        "Type": "Overlay",
        "NetworkAdapterName": "up0",
        "Subnets": [{
            "AddressPrefix": format!("10.48.{n}.0/26"),
            "GatewayAddress": format!("10.48.{n}.1"),
            "Policies": [{"Type": "VSID", "VSID": 4096}],
        }],
    });
    let document = document.to_string();
    let operation = Operation::CreateNetwork;
    let call = Call { operation, id: None, network: None, document: &document };
    let id: Guid = node.host.call(&call).unwrap().body.trim_matches('"').parse().unwrap();
    change_policies(&node.host, Kind::Network, id, "Add", &json!([host_route()]));
    id
}

fn host_route() -> Value {
    json!({"Type": "HostRoute", "Settings": {}})
}

/// A workload, which nobody reaches before felix has said who may.
struct Workload {
    namespace: Guid,
    endpoint: Guid,
    netns: Netns,
    address: String,
    _server: Server,
}

/// What the plugin makes for a workload: a namespace with an endpoint, which is closed.
#[track_caller]
fn plug(node: &Machine, last: u8) -> (Guid, Guid, String) {
    let namespace = containerd::sandbox(node);
    let network = by_name(&node.host, Kind::Network, NETWORK).unwrap();
    let address = format!("10.48.{}.{last}", node.number);
    let endpoint = create(
        &node.host,
        Kind::Endpoint,
        &json!({
            "Name": format!("c{last}_{NETWORK}"),
            "HostComputeNetwork": network["ID"],
            "IpConfigurations": [{"IpAddress": address}],
            "Routes": [{"NextHop": format!("10.48.{}.1", node.number), "DestinationPrefix": "0.0.0.0/0"}],
            "Policies": [
                {"Type": "OutBoundNAT", "Settings": {"Exceptions": ["10.96.0.0/12", "10.48.0.0/16"]}},
                {"Type": "PortMapping", "Settings": {
                    "Protocol": 6, "InternalPort": 80, "ExternalPort": 9000 + u32::from(last),
                }},
            ],
        }),
    );
    let endpoint = shim::id(&endpoint);
    change_namespace(&node.host, namespace, "Add", endpoint);
    let block = acl(("Block", "In"), 65500, &json!({"Protocols": "256"}));
    change_policies(&node.host, Kind::Endpoint, endpoint, "Update", &json!([block]));
    (namespace, endpoint, address)
}

#[track_caller]
fn workload(node: &Machine, last: u8) -> Workload {
    let (namespace, endpoint, address) = plug(node, last);
    let netns = node.inside(namespace);
    let server = tcp_server(&netns, &address, "0.0.0.0:80");
    Workload { namespace, endpoint, netns, address, _server: server }
}

/// A rule, with what else it says.
fn acl((action, direction): (&str, &str), priority: u16, more: &Value) -> Value {
    let mut settings = json!({
        "Action": action, "Direction": direction, "RuleType": "Switch", "Priority": priority,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    json!({"Type": "ACL", "Settings": settings})
}

/// felix: the whole list of a workload, which lets these in to port 80, and everything out.
fn rules(from: &[&str]) -> Value {
    let mut all = vec![acl(
        ("Allow", "In"),
        1000,
        &json!({
            "Id": "policy-allow-web-0",
            "Protocols": "6",
            "LocalPorts": "80",
            "RemoteAddresses": from.join(","),
        }),
    )];
    all.push(acl(("Block", "In"), 2000, &json!({"Protocols": "256"})));
    all.push(acl(("Allow", "Out"), 1000, &json!({"Protocols": "256"})));
    all.into()
}

/// felix's VXLAN manager: the routes to other nodes as it wants them. It compares the whole settings; what differs is removed, what
/// is missing added. Tells how much it had to do.
fn routes(node: &Machine, network: Guid, others: &[(&Machine, &str)]) -> usize {
    let wanted: Vec<Value> = others
        .iter()
        .map(|(other, router)| {
            json!({
                "DestinationPrefix": format!("10.48.{}.0/26", other.number),
                "IsolationId": 4096,
                "ProviderAddress": other.address(),
                "DistributedRouterMacAddress": router.to_lowercase(),
            })
        })
        .collect();
    let document = by_name(&node.host, Kind::Network, NETWORK).unwrap();
    let known: Vec<Value> = policies(&document, "RemoteSubnetRoute").cloned().collect();
    let gone: Vec<&Value> = known.iter().filter(|route| !wanted.contains(route)).collect();
    let new: Vec<&Value> = wanted.iter().filter(|route| !known.contains(route)).collect();
    for (how, routes) in [("Remove", &gone), ("Add", &new)] {
        for route in routes {
            let policy = json!([{"Type": "RemoteSubnetRoute", "Settings": route}]);
            change_policies(&node.host, Kind::Network, network, how, &policy);
        }
    }
    gone.len() + new.len()
}

fn router(node: &Machine) -> String {
    let network = by_name(&node.host, Kind::Network, NETWORK).unwrap();
    let settings = policies(&network, "DrMacAddress").next().unwrap();
    settings["Address"].as_str().unwrap().to_owned()
}

#[test]
fn workloads_are_closed_until_felix_has_spoken() {
    play(|_wire, [one, two]| {
        let networks = [network(one), network(two)];
        let routers = [router(one), router(two)];
        assert_eq!(routes(one, networks[0], &[(two, &routers[1])]), 1);
        assert_eq!(routes(two, networks[1], &[(one, &routers[0])]), 1);
        let web = workload(one, 10);
        let [near, far, other] = [workload(one, 11), workload(two, 12), workload(two, 13)];
        let to = format!("{}:80", web.address);
        for from in [&near, &far, &other] {
            assert!(tcp_refused(&from.netns, &to), "{}", from.address);
        }
        assert!(tcp_refused(&two.netns, "192.0.2.1:9010"));
        // A network policy: two of three may.
        let allowed = rules(&[&near.address, &far.address]);
        let told = change_policies(&one.host, Kind::Endpoint, web.endpoint, "Update", &allowed);
        assert_eq!(policies(&told, "ACL").count(), 3);
        assert_eq!(policies(&told, "PortMapping").count(), 1, "what felix does not speak of stays");
        for from in [&near, &far] {
            let answer = tcp(&from.netns, &to).unwrap();
            assert_eq!(
                (answer.server, answer.client.to_string()),
                (web.address.clone(), from.address.clone())
            );
        }
        assert!(tcp_refused(&other.netns, &to));
        // The policy changes, and who is not allowed any more is not let in again.
        let mut talk =
            Connection::open(&near.netns, &to, std::time::Duration::from_secs(5)).unwrap();
        assert!(talk.ask().is_some());
        let allowed = rules(&[&other.address]);
        change_policies(&one.host, Kind::Endpoint, web.endpoint, "Update", &allowed);
        assert!(tcp(&other.netns, &to).is_some());
        assert!(tcp_refused(&near.netns, &to) && tcp_refused(&far.netns, &to));
        // Everything starts anew, and felix finds what it wants: nothing is to be done.
        one.kill();
        one.start();
        assert_eq!(routes(one, networks[0], &[(two, &routers[1])]), 0);
        assert_eq!(routes(two, networks[1], &[(one, &routers[0])]), 0);
        assert!(tcp(&other.netns, &to).is_some());
        assert!(tcp_refused(&far.netns, &to));
        // The other node leaves the cluster.
        assert_eq!(routes(one, networks[0], &[]), 1);
        assert!(tcp_refused(&other.netns, &to));
        for (node, workloads) in [(one, vec![web, near]), (two, vec![far, other])] {
            for workload in workloads {
                shim::delete(&node.host, Kind::Endpoint, workload.endpoint);
                containerd::remove(node, workload.namespace);
            }
            shim::delete_named(&node.host, Kind::Network, NETWORK);
            node.check();
        }
    });
}

/// A cluster whose workloads let in everybody of their own.
#[derive(Default)]
pub struct Cluster {
    /// The MACs of the nodes' routers.
    routers: BTreeMap<u8, String>,
}

impl Flow for Cluster {
    fn begin(&mut self, node: &Machine) {
        // The plugin finds its network by name, or makes it.
        if by_name(&node.host, Kind::Network, NETWORK).is_none() {
            network(node);
        }
        self.routers.insert(node.number, router(node));
    }

    fn meet(&mut self, nodes: &[Machine]) {
        for node in nodes {
            let others = nodes.iter().filter(|other| other.number != node.number);
            let others: Vec<(&Machine, &str)> =
                others.map(|other| (other, self.routers[&other.number].as_str())).collect();
            let network = shim::id(&by_name(&node.host, Kind::Network, NETWORK).unwrap());
            routes(node, network, &others);
            assert_eq!(routes(node, network, &others), 0, "nothing is to be done twice");
        }
    }

    fn run(&mut self, node: &Machine, last: u8) -> Running {
        let (namespace, endpoint, address) = plug(node, last);
        let allowed = [
            acl(
                ("Allow", "In"),
                1000,
                &json!({"Protocols": "256", "RemoteAddresses": "10.48.0.0/16"}),
            ),
            acl(("Block", "In"), 2000, &json!({"Protocols": "256"})),
            acl(("Allow", "Out"), 1000, &json!({"Protocols": "256"})),
        ];
        change_policies(&node.host, Kind::Endpoint, endpoint, "Update", &json!(allowed));
        Running::serve(node, node.inside(namespace), &address, move |node| {
            if by_id(&node.host, Kind::Endpoint, endpoint).is_some() {
                shim::delete(&node.host, Kind::Endpoint, endpoint);
            }
            containerd::remove(node, namespace);
        })
    }

    /// The network outlives a power failure, with the routes that felix had made.
    fn look_around(&self, node: &Machine) {
        let network = by_name(&node.host, Kind::Network, NETWORK).expect("a network");
        assert_eq!(policies(&network, "RemoteSubnetRoute").count(), self.routers.len() - 1);
    }

    fn leave(&mut self, node: &Machine, pods: Vec<Running>) {
        leave(node, NETWORK, pods);
    }
}
