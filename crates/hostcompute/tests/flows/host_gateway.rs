//! flannel without tunnels (hcn.md 5.3): `pkg/backend/hostgw`, Windows, by calls of the older interface; with the plugin win-bridge (hcn.md
//! 5.5) and kube-proxy.
//!
//! Each node has a network for its own pods, with an address of the host's in it, by which the pods leave; the other nodes' subnets are
//! routes of the host, which are flannel's own.

use std::collections::BTreeSet;

use hostcompute::schema::Guid;
use hostcompute::schema::operation::Kind;
use serde_json::{Value, json};

use crate::cluster::{MANY, Running, all_reach_each_other, answers, clients, leave, names};
use crate::containerd;
use crate::containernetworking::{self as cni, Pod};
use crate::flannel::{pod, subnet};
use crate::hns;
use crate::kube_proxy::{KubeProxy, Service, Settings};
use crate::lab::Netns;
use crate::lab::traffic::{ping, tcp, tcp_refused, tcp_server};
use crate::shim;
use crate::trial::Flow;
use crate::windows_container_networking::Plugin;
use crate::world::{Machine, play, stranger};

const NETWORK: &str = "cbr0";
const CLUSTER: &str = "10.244.0.0/16";

/// Makes the network of a node and the host's address in it, unless they are there as they should be.
#[track_caller]
fn begin(node: &Machine) {
    let (host, n) = (&node.host, node.number);
    let management = ensure_network(node);
    let device = interface(node, &management);
    let name = format!("{NETWORK}_ep");
    let known = hns::by_name(host, "endpoints", &name);
    let endpoint = match known {
        Some(endpoint) if endpoint["IPAddress"] == pod(n, 2) => endpoint,
        other => {
            other.iter().for_each(|stale| hns::delete(host, "endpoints", stale));
            let network = hns::by_name(host, "networks", NETWORK).unwrap();
            hns::create(
                host,
                "endpoints",
                json!({"Name": name, "IPAddress": pod(n, 2), "VirtualNetwork": network["ID"]}),
            )
        }
    };
    let request = json!({"SystemType": "Host", "CompartmentId": 1});
    if let Err(why) = hns::tell(host, &endpoint, "attach", &request) {
        // flannel knows that it was attached by this sentence, and by no code.
        assert!(why.contains("This endpoint is already attached to the switch."), "{why}");
    }
    for device in [device, interface(node, &pod(n, 2))] {
        let setting = format!("/proc/sys/net/ipv4/conf/{device}/forwarding");
        node.netns.run(|| std::fs::write(setting, "1").unwrap());
    }
}

/// Tells the address under which the other nodes know this one.
#[track_caller]
fn ensure_network(node: &Machine) -> String {
    let (host, n) = (&node.host, node.number);
    let fits = |network: &Value| {
        let mut subnets = network["Subnets"].as_array().into_iter().flatten();
        subnets.any(|one| one["AddressPrefix"] == subnet(n) && one["GatewayAddress"] == pod(n, 1))
    };
    let known = hns::by_name(host, "networks", NETWORK);
    let network = match known {
        Some(network) if fits(&network) => network,
        other => {
            other.iter().for_each(|stale| hns::delete(host, "networks", stale));
            let made = hns::create(
                host,
                "networks",
                json!({"Name": NETWORK, "Type": "L2Bridge", "Subnets": [
                    {"AddressPrefix": subnet(n), "GatewayAddress": pod(n, 1)},
                ]}),
            );
            hns::done(host, "GET", &format!("/networks/{}", hns::id(&made)), Value::Null)
        }
    };
    network["ManagementIP"].as_str().expect("an address").to_owned()
}

/// The host's device with an address.
#[track_caller]
fn interface(node: &Machine, address: &str) -> String {
    let shown = node.netns.exec("ip -o -4 addr show");
    let line = shown.lines().find(|line| line.contains(&format!(" {address}/")));
    let line = line.unwrap_or_else(|| panic!("nobody has {address}: {shown}"));
    line.split_whitespace().nth(1).unwrap().to_owned()
}

/// A lease came or ended: flannel's routes are its own.
fn route(node: &Machine, change: &str, other: u8) {
    let via = crate::lab::node::address(other);
    node.netns.exec(&format!("ip route {change} {} via {via}", subnet(other)));
}

/// All nodes know each other.
#[track_caller]
fn mesh(nodes: &[Machine]) {
    for node in nodes {
        begin(node);
        for other in nodes.iter().filter(|other| other.number != node.number) {
            route(node, "replace", other.number);
        }
    }
}

/// A pod, whose gateway is the host's address on its network.
#[track_caller]
fn run(node: &Machine, last: u8, ports: &[(u16, u16)]) -> Running {
    let (address, gateway) = (pod(node.number, last), pod(node.number, 2));
    let container = format!("c{last}");
    let pod = Pod {
        container: &container,
        network: NETWORK,
        address: &address,
        gateway: &gateway,
        port_mappings: ports,
        ..Pod::default()
    };
    let sandbox = containerd::sandbox(node);
    let endpoint = cni::add_bridge(&node.host, sandbox, &pod, Some(CLUSTER)).unwrap();
    assert_eq!(endpoint["Routes"][0]["NextHop"], gateway);
    Running::begin(node, sandbox, &pod)
}

fn proxy(node: &Machine) -> KubeProxy {
    let settings = Settings {
        network: NETWORK,
        subnet: subnet(node.number),
        // Only overlays have one.
        source_vip: String::new(),
        direct_return: false,
    };
    KubeProxy::begin(node, settings)
}

/// The end on a node, but for what flannel leaves when it is stopped.
#[track_caller]
fn end(node: &Machine, others: &[u8], pods: Vec<Running>) {
    others.iter().for_each(|other| route(node, "del", *other));
    leave(node, NETWORK, pods);
}

#[test]
fn pods_of_three_nodes_reach_each_other_by_routes() {
    play(|wire, nodes: &mut [Machine; 3]| {
        let outside = stranger(wire, 9);
        let _server = tcp_server(&outside, "outside", "192.0.2.9:80");
        mesh(nodes);
        let pods = nodes.each_ref().map(|node| run(node, 7, &[]));
        let near = run(&nodes[0], 8, &[(8080, 8088)]);
        all_reach_each_other(&[&pods[0], &pods[1], &pods[2], &near]);
        for (node, pod) in nodes.iter().zip(&pods) {
            assert!(ping(&node.netns, &pod.address) && ping(&pod.netns, &node.address()));
            assert!(tcp(&node.netns, &format!("{}:8080", pods[0].address)).is_some());
            let seen = tcp(&pod.netns, "192.0.2.9:80").unwrap().client.to_string();
            assert_eq!(seen, node.address());
        }
        let seen = tcp(&outside, "192.0.2.1:8088").unwrap();
        assert_eq!((seen.server.as_str(), seen.client.to_string()), ("1-8", "192.0.2.9".into()));
        health_check(&nodes[0], &outside);
        // flannel starts anew, and finds what it wants; the services of the hosts do, too.
        let before = shim::list(&nodes[0].host, Kind::Network);
        mesh(nodes);
        assert_eq!(shim::list(&nodes[0].host, Kind::Network), before);
        nodes.iter_mut().for_each(Machine::kill);
        all_reach_each_other(&[&pods[0], &pods[1], &pods[2], &near]);
        nodes.iter_mut().for_each(Machine::start);
        mesh(nodes);
        all_reach_each_other(&[&pods[0], &pods[1], &pods[2], &near]);
        // A node leaves the cluster.
        route(&nodes[0], "del", 2);
        assert!(tcp_refused(&pods[0].netns, "10.244.2.7:8080"));
        assert!(tcp(&pods[0].netns, "10.244.3.7:8080").is_some());
        route(&nodes[0], "add", 2);
        let [one, two, three] = nodes;
        let [first, second, third] = pods;
        end(one, &[2, 3], vec![first, near]);
        end(two, &[1, 3], vec![second]);
        end(three, &[1, 2], vec![third]);
    });
}

/// kube-proxy's answer to who balances loads outside: the port of a service's health, at its ingress address, is the node's own program
/// behind the host's endpoint.
#[track_caller]
fn health_check(node: &Machine, outside: &Netns) {
    let gateway = shim::by_name(&node.host, Kind::Endpoint, &format!("{NETWORK}_ep")).unwrap();
    let balancer = json!({
        "HostComputeEndpoints": [gateway["ID"]],
        "SourceVIP": "",
        "FrontendVIPs": ["198.51.100.90"],
        "PortMappings": [
            {"Protocol": 6, "InternalPort": 31000, "ExternalPort": 31000, "Flags": 16},
        ],
        "Flags": 0,
    });
    let made = shim::create(&node.host, Kind::LoadBalancer, &balancer);
    outside.exec(&format!("ip route add 198.51.100.90/32 via {}", node.address()));
    let _healthy = tcp_server(&node.netns, "healthy", &format!("{}:31000", pod(node.number, 2)));
    assert_eq!(tcp(outside, "198.51.100.90:31000").unwrap().server, "healthy");
    shim::delete(&node.host, Kind::LoadBalancer, shim::id(&made));
    assert!(tcp_refused(outside, "198.51.100.90:31000"));
}

/// A service of these pods, which is reached from outside, too.
fn service(pods: &[&Running]) -> Service {
    let backends: Vec<String> = pods.iter().map(|pod| pod.address.clone()).collect();
    let node_port = Some(30080);
    Service { node_port, ..Service::internal("10.96.0.1", 80, 8080, &backends) }
}

#[test]
fn services_show_the_node_to_pods_of_others() {
    play(|wire, nodes: &mut [Machine; 3]| {
        let outside = stranger(wire, 9);
        mesh(nodes);
        let pods = nodes.each_ref().map(|node| run(node, 7, &[]));
        let client = run(&nodes[0], 8, &[]);
        let mut proxies = nodes.each_ref().map(proxy);
        let all = [service(&[&pods[0], &pods[1], &pods[2]])];
        for (proxy, node) in proxies.iter_mut().zip(nodes.iter()) {
            proxy.sync(node, &all);
            node.check();
        }
        let everybody = ["1-7", "2-7", "3-7"];
        // Pods of the node see who asks; those of others see the node, so that answers return by it.
        let seen = answers(&client.netns, "10.96.0.1:80", MANY);
        assert_eq!(names(&seen), everybody);
        assert_eq!(clients(&seen), ["10.244.1.8", "192.0.2.1"]);
        for node in nodes.iter() {
            let mut seen = answers(&outside, &format!("{}:30080", node.address()), MANY);
            assert_eq!(names(&seen), everybody);
            let own = seen.remove(&format!("{}-7", node.number)).unwrap();
            assert!(own.iter().eq(["192.0.2.9"]), "{own:?}");
            assert_eq!(clients(&seen), [node.address()]);
        }
        let [one, two, three] = nodes;
        let [first, second, third] = pods;
        end(one, &[2, 3], vec![first, client]);
        end(two, &[1, 3], vec![second]);
        end(three, &[1, 2], vec![third]);
    });
}

/// flannel's network with one of the two plugins for it, and kube-proxy where the plugin is the cluster's own.
pub struct Cluster {
    is_sdnbridge: bool,
    /// Nodes that there are.
    nodes: BTreeSet<u8>,
}

impl Cluster {
    pub fn of_win_bridge() -> Self {
        Self { is_sdnbridge: false, nodes: BTreeSet::new() }
    }

    pub fn of_sdnbridge() -> Self {
        Self { is_sdnbridge: true, ..Self::of_win_bridge() }
    }
}

impl Flow for Cluster {
    fn begin(&mut self, node: &Machine) {
        self.nodes.insert(node.number);
        begin(node);
    }

    fn meet(&mut self, nodes: &[Machine]) {
        mesh(nodes);
    }

    fn run(&mut self, node: &Machine, last: u8) -> Running {
        if !self.is_sdnbridge {
            return run(node, last, &[]);
        }
        let (subnet, gateway) = (subnet(node.number), pod(node.number, 2));
        Plugin {
            kind: "L2Bridge",
            network: NETWORK,
            subnet: &subnet,
            gateway: &gateway,
            of_network: json!([]),
            additional: json!([
                {"Type": "OutBoundNAT", "Settings": {"Exceptions": [CLUSTER, "10.96.0.0/12"]}},
            ]),
            local_routed: false,
            allow_mapped: false,
        }
        .run(node, last)
    }

    fn proxy(&self, node: &Machine) -> Option<KubeProxy> {
        (!self.is_sdnbridge).then(|| proxy(node))
    }

    /// The network outlives a power failure.
    fn look_around(&self, node: &Machine) {
        assert!(hns::by_name(&node.host, "networks", NETWORK).is_some());
    }

    fn leave(&mut self, node: &Machine, pods: Vec<Running>) {
        let others: Vec<u8> = self.nodes.iter().copied().filter(|n| *n != node.number).collect();
        end(node, &others, pods);
    }
}

/// The plugin as it is configured for the older interface, ADD into a sandbox.
#[track_caller]
fn add_older(node: &Machine, container: &str, address: &str) -> (Value, Guid) {
    let network = hns::by_name(&node.host, "networks", NETWORK).unwrap();
    assert!(network["Type"].as_str().unwrap().eq_ignore_ascii_case("L2Bridge"));
    let endpoint = hns::create(
        &node.host,
        "endpoints",
        json!({
            "Name": format!("{container}_{NETWORK}"),
            "VirtualNetwork": network["ID"],
            "DNSServerList": "10.96.0.10",
            "DNSSuffix": "default.svc.cluster.local,svc.cluster.local",
            "GatewayAddress": pod(node.number, 2),
            "IPAddress": address,
            "Policies": [
                {"Type": "OutBoundNAT", "ExceptionList": ["10.96.0.0/12", CLUSTER]},
                {"Type": "NAT", "InternalPort": 8080, "ExternalPort": 8090, "Protocol": "tcp"},
            ],
        }),
    );
    let sandbox = containerd::sandbox(node);
    let resource = ("Container", container);
    hns::resource(&node.host, &sandbox.to_string(), "addresource", resource);
    let container = hns::container(container);
    hns::tell(&node.host, &endpoint, "attach", &container).unwrap();
    let told = hns::by_name(&node.host, "endpoints", endpoint["Name"].as_str().unwrap()).unwrap();
    assert_eq!(told["GatewayAddress"], pod(node.number, 2));
    assert_eq!(told["DNSServerList"], "10.96.0.10");
    (told, sandbox)
}

#[test]
fn the_plugin_by_the_older_interface_and_without_addresses() {
    play(|wire, [node]| {
        let outside = stranger(wire, 9);
        begin(node);
        let (endpoint, older) = add_older(node, "c9", "10.244.1.9");
        let at_older = node.inside(older);
        let _server = tcp_server(&at_older, "older", "0.0.0.0:8080");
        let seen = tcp(&outside, "192.0.2.1:8090").unwrap();
        assert_eq!((&*seen.server, seen.client.to_string()), ("older", "192.0.2.9".into()));
        let _outside = tcp_server(&outside, "outside", "0.0.0.0:80");
        assert_eq!(tcp(&at_older, "192.0.2.9:80").unwrap().client.to_string(), "192.0.2.1");
        // Without an address plugin the service chooses the address, and there is no way but to neighbours.
        let sandbox = containerd::sandbox(node);
        let pod = Pod { container: "c10", network: NETWORK, ..Pod::default() };
        let made = cni::add_bridge(&node.host, sandbox, &pod, None).unwrap();
        assert!(
            made["IpConfigurations"][0]["IpAddress"].as_str().unwrap().starts_with("10.244.1.")
        );
        let near = node.inside(sandbox);
        assert!(tcp(&near, "10.244.1.9:8080").is_some());
        assert!(tcp_refused(&near, "192.0.2.9:80"));
        cni::del(&node.host, "c10", NETWORK);
        containerd::remove(node, sandbox);
        hns::tell(&node.host, &endpoint, "detach", &hns::container("c9")).unwrap();
        hns::delete(&node.host, "endpoints", &endpoint);
        let resource = ("Container", "c9");
        hns::resource(&node.host, &older.to_string(), "removeresource", resource);
        containerd::remove(node, older);
        leave(node, NETWORK, Vec::new());
    });
}
