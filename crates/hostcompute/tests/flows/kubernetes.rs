//! A cluster: flannel, containerd, win-overlay and kube-proxy together, on hosts that share a wire.

use std::collections::BTreeMap;
use std::time::Duration;

use hostcompute::schema::operation::Kind;
use serde_json::json;

use crate::cluster::{FEW, MANY, Running, all_reach_each_other, answers, clients, leave, names};
use crate::containerd;
use crate::containernetworking::{self as cni, Pod};
use crate::flannel::{self, Lease, NETWORK};
use crate::kube_proxy::{KubeProxy, Service, Settings, UDP};
use crate::lab::traffic::{Connection, ping, tcp, tcp_refused, tcp_server, udp};
use crate::shim::{self, by_name};
use crate::trial::Flow;
use crate::windows_container_networking::Plugin;
use crate::world::{Machine, play, stranger};

/// A pod on the overlay.
#[track_caller]
fn run(node: &Machine, last: u8) -> Running {
    let (address, gateway) = (flannel::pod(node.number, last), flannel::pod(node.number, 1));
    let container = format!("c{last}");
    let pod = Pod {
        container: &container,
        network: NETWORK,
        address: &address,
        gateway: &gateway,
        ip_masq: true,
        ..Pod::default()
    };
    let sandbox = containerd::sandbox(node);
    cni::add_overlay(&node.host, sandbox, &pod).unwrap();
    Running::begin(node, sandbox, &pod)
}

fn proxy(node: &Machine, direct_return: bool) -> KubeProxy {
    KubeProxy::begin(
        node,
        Settings {
            network: NETWORK,
            subnet: flannel::subnet(node.number),
            source_vip: flannel::pod(node.number, 2),
            direct_return,
        },
    )
}

#[test]
fn pods_of_three_nodes_reach_each_other() {
    play(|wire, nodes: &mut [Machine; 3]| {
        let outside = stranger(wire, 9);
        let _server = tcp_server(&outside, "outside", "192.0.2.9:80");
        let leases = flannel::mesh(nodes);
        let pods = nodes.each_ref().map(|node| run(node, 7));
        let near = run(&nodes[0], 8);
        all_reach_each_other(&[&pods[0], &pods[1], &pods[2], &near]);
        for (node, pod) in nodes.iter().zip(&pods) {
            // The host reaches its pods, and those of others; what is outside sees the node.
            assert!(ping(&node.netns, &pod.address));
            assert!(tcp(&node.netns, &format!("{}:8080", pods[0].address)).is_some());
            let seen = tcp(&pod.netns, "192.0.2.9:80").unwrap().client.to_string();
            assert_eq!(seen, node.address());
        }
        // flannel starts anew: it finds its network, and leases that come again change nothing.
        let network =
            |node: &Machine| shim::id(&by_name(&node.host, Kind::Network, NETWORK).unwrap());
        let before = nodes.each_ref().map(network);
        let mut talk = Connection::open(&pods[0].netns, "10.244.2.7:8080", Duration::from_secs(5));
        let talk = talk.as_mut().unwrap();
        assert!(talk.ask().is_some());
        flannel::mesh(nodes);
        assert_eq!(nodes.each_ref().map(network), before);
        assert!(talk.ask().is_some(), "who talks does not notice");
        // A node leaves.
        leases[1].removed(&nodes[0]);
        assert!(tcp_refused(&pods[0].netns, "10.244.2.7:8080"));
        assert!(tcp(&pods[0].netns, "10.244.3.7:8080").is_some());
        leases[1].added(&nodes[0]);
        assert!(tcp(&pods[0].netns, "10.244.2.7:8080").is_some());
        nodes.iter().for_each(Machine::check);
        let [one, two, three] = nodes;
        let [first, second, third] = pods;
        leave(one, NETWORK, vec![first, near]);
        leave(two, NETWORK, vec![second]);
        leave(three, NETWORK, vec![third]);
    });
}

/// Service, backends on each node, seen from a pod of each node.
fn services(pods: &[&Running]) -> Vec<Service> {
    let backends: Vec<String> = pods.iter().map(|pod| pod.address.clone()).collect();
    let name_service =
        Service { protocol: UDP, ..Service::internal("10.96.0.10", 53, 5353, &backends) };
    let sticky = Service { affinity: true, ..Service::internal("10.96.0.3", 80, 8080, &backends) };
    vec![Service::internal("10.96.0.1", 80, 8080, &backends), name_service, sticky]
}

#[test]
fn cluster_addresses_lead_to_pods_of_all_nodes() {
    play(|_wire, nodes: &mut [Machine; 3]| {
        flannel::mesh(nodes);
        let pods = nodes.each_ref().map(|node| run(node, 7));
        let client = run(&nodes[0], 8);
        let mut proxies = nodes.each_ref().map(|node| proxy(node, true));
        let all = services(&[&pods[0], &pods[1], &pods[2]]);
        for (proxy, node) in proxies.iter_mut().zip(nodes.iter()) {
            proxy.sync(node, &all);
            proxy.refuses_twins(node);
            node.check();
        }
        for from in [&client.netns, &pods[1].netns] {
            let seen = answers(from, "10.96.0.1:80", MANY);
            assert_eq!(names(&seen), ["1-7", "2-7", "3-7"]);
        }
        // The answer comes from the service's address, and with direct return the pods see who asks.
        let seen = answers(&client.netns, "10.96.0.1:80", MANY);
        assert!(seen.values().flatten().all(|client| client == "10.244.1.8"), "{seen:?}");
        assert!(udp(&client.netns, "10.96.0.10:53").is_some());
        assert_eq!(answers(&client.netns, "10.96.0.3:80", MANY).len(), 1, "affinity");
        // A pod ends; its service goes on with the others, and so do those who talk to them.
        let mut talk =
            Connection::open(&client.netns, "10.96.0.3:80", Duration::from_secs(5)).unwrap();
        let partner = talk.ask().unwrap().server;
        let rest: Vec<&Running> = pods.iter().filter(|pod| pod.address != "10.244.3.7").collect();
        let fewer = services(&rest);
        for (proxy, node) in proxies.iter_mut().zip(nodes.iter()) {
            proxy.sync(node, &fewer);
        }
        if partner != "3-7" {
            assert_eq!(talk.ask().unwrap().server, partner);
        }
        assert_eq!(names(&answers(&client.netns, "10.96.0.1:80", MANY)), ["1-7", "2-7"]);
        // The services of the hosts are killed and come back: what works goes on, and the load balancers are known.
        let known = shim::list(&nodes[0].host, Kind::LoadBalancer);
        nodes.iter_mut().for_each(Machine::kill);
        assert_eq!(names(&answers(&client.netns, "10.96.0.1:80", MANY)), ["1-7", "2-7"]);
        nodes.iter_mut().for_each(Machine::start);
        assert_eq!(shim::list(&nodes[0].host, Kind::LoadBalancer), known);
        // kube-proxy starts anew: it removes what it finds, and makes it again.
        proxies[0] = proxy(&nodes[0], true);
        assert!(tcp_refused(&client.netns, "10.96.0.1:80"));
        proxies[0].sync(&nodes[0], &all);
        assert_eq!(names(&answers(&client.netns, "10.96.0.1:80", MANY)), ["1-7", "2-7", "3-7"]);
        // The cluster has no services any more.
        for (proxy, node) in proxies.iter_mut().zip(nodes.iter()) {
            proxy.sync(node, &[]);
            assert!(shim::list(&node.host, Kind::LoadBalancer).is_empty());
            node.check();
        }
        let [one, two, three] = nodes;
        let [first, second, third] = pods;
        leave(one, NETWORK, vec![first, client]);
        leave(two, NETWORK, vec![second]);
        leave(three, NETWORK, vec![third]);
    });
}

/// flannel's network with one of the two plugins for it, and kube-proxy where the plugin is the cluster's own.
pub struct Cluster {
    is_sdnoverlay: bool,
    leases: BTreeMap<u8, Lease>,
}

impl Cluster {
    pub fn of_win_overlay() -> Self {
        Self { is_sdnoverlay: false, leases: BTreeMap::new() }
    }

    pub fn of_sdnoverlay() -> Self {
        Self { is_sdnoverlay: true, ..Self::of_win_overlay() }
    }
}

impl Flow for Cluster {
    fn begin(&mut self, node: &Machine) {
        self.leases.insert(node.number, flannel::begin(node));
    }

    fn meet(&mut self, nodes: &[Machine]) {
        for node in nodes {
            let others = self.leases.iter().filter(|(number, _)| **number != node.number);
            others.for_each(|(_, lease)| lease.added(node));
        }
    }

    fn run(&mut self, node: &Machine, last: u8) -> Running {
        if !self.is_sdnoverlay {
            return run(node, last);
        }
        let (subnet, gateway) = (flannel::subnet(node.number), flannel::pod(node.number, 1));
        Plugin {
            kind: "Overlay",
            network: NETWORK,
            subnet: &subnet,
            gateway: &gateway,
            of_network: json!([]),
            additional: json!([
                {"Type": "OutBoundNAT", "Settings": {"Exceptions": ["10.244.0.0/16", "10.96.0.0/12"]}},
                {"Type": "ProviderAddress", "Settings": {"ProviderAddress": node.address()}},
            ]),
            local_routed: false,
            allow_mapped: false,
        }
        .run(node, last)
    }

    fn proxy(&self, node: &Machine) -> Option<KubeProxy> {
        (!self.is_sdnoverlay).then(|| proxy(node, true))
    }

    /// The network was not to outlive the power failure.
    fn look_around(&self, node: &Machine) {
        assert_eq!(by_name(&node.host, Kind::Network, NETWORK), None);
        assert!(shim::list(&node.host, Kind::Namespace).len() <= 1);
    }

    fn leave(&mut self, node: &Machine, pods: Vec<Running>) {
        leave(node, NETWORK, pods);
    }
}

/// A service for the outside, in every way that there is.
fn published(pods: &[&Running], local: bool) -> Service {
    let backends: Vec<String> = pods.iter().map(|pod| pod.address.clone()).collect();
    let (cluster, port, external, ingress) = match local {
        false => ("10.96.0.20", 30080, "198.51.100.80", "198.51.100.81"),
        true => ("10.96.0.21", 30081, "198.51.100.82", "198.51.100.83"),
    };
    Service {
        node_port: Some(port),
        external: vec![external],
        ingress: vec![ingress],
        local,
        ..Service::internal(cluster, 80, 8080, &backends)
    }
}

#[test]
fn services_are_reached_from_outside() {
    play(|wire, nodes: &mut [Machine; 2]| {
        let outside = stranger(wire, 9);
        // Whoever runs the cluster leads these addresses to a node.
        outside.exec("ip route add 198.51.100.0/24 via 192.0.2.1");
        flannel::mesh(nodes);
        let pods = nodes.each_ref().map(|node| run(node, 7));
        let mut proxies = nodes.each_ref().map(|node| proxy(node, false));
        let targets = [&pods[0], &pods[1]];
        let marked = Service {
            preserve_destination: true,
            ingress: vec!["198.51.100.84"],
            ..Service::internal("10.96.0.22", 80, 8080, &[pods[0].address.clone()])
        };
        let all = [published(&targets, false), published(&targets, true), marked];
        for (proxy, node) in proxies.iter_mut().zip(nodes.iter()) {
            proxy.sync(node, &all);
            proxy.refuses_twins(node);
            node.check();
        }
        pods[0].netns.exec("ip addr add 198.51.100.84/32 dev lo");
        let everywhere = |nodes: &[Machine; 2]| {
            // Inside, and from outside on each node: all pods, under the node's source address.
            let source = [0, 1].map(|place: usize| flannel::pod(nodes[place].number, 2));
            let seen = answers(&pods[0].netns, "10.96.0.20:80", MANY);
            assert_eq!((names(&seen), clients(&seen)), (vec!["1-7", "2-7"], vec![&*source[0]]));
            for (node, source) in nodes.iter().zip(&source) {
                let seen = answers(&outside, &format!("{}:30080", node.address()), MANY);
                assert_eq!((names(&seen), clients(&seen)), (vec!["1-7", "2-7"], vec![&**source]));
            }
            for vip in ["198.51.100.80:80", "198.51.100.81:80"] {
                let seen = answers(&outside, vip, MANY);
                assert_eq!((names(&seen), clients(&seen)), (vec!["1-7", "2-7"], vec![&*source[0]]));
            }
            // Where only the node's own pods serve, they see who asks.
            for (node, pod) in nodes.iter().zip(["1-7", "2-7"]) {
                let seen = answers(&outside, &format!("{}:30081", node.address()), 8);
                assert_eq!((names(&seen), clients(&seen)), (vec![pod], vec!["192.0.2.9"]));
            }
            for vip in ["198.51.100.82:80", "198.51.100.83:80"] {
                let seen = answers(&outside, vip, 8);
                assert_eq!((names(&seen), clients(&seen)), (vec!["1-7"], vec!["192.0.2.9"]));
            }
            // The pod is spoken to by the address that was asked for.
            assert_eq!(names(&answers(&outside, "198.51.100.84:80", 4)), ["1-7"]);
        };
        everywhere(nodes);
        nodes.iter_mut().for_each(Machine::kill);
        nodes.iter_mut().for_each(Machine::start);
        everywhere(nodes);
        for (proxy, node) in proxies.iter_mut().zip(nodes.iter()) {
            proxy.sync(node, &[]);
            node.check();
        }
        assert!(
            tcp_refused(&outside, "192.0.2.1:30080") && tcp_refused(&outside, "198.51.100.80:80")
        );
        let [one, two] = nodes;
        let [first, second] = pods;
        leave(one, NETWORK, vec![first]);
        leave(two, NETWORK, vec![second]);
    });
}

#[test]
fn what_else_services_promise() {
    play(|wire, nodes: &mut [Machine; 2]| {
        let outside = stranger(wire, 9);
        flannel::mesh(nodes);
        let pods = nodes.each_ref().map(|node| run(node, 7));
        let client = run(&nodes[0], 8);
        let both = pods.each_ref().map(|pod| pod.address.clone());
        let names_service = Service {
            protocol: UDP,
            node_port: Some(30053),
            ..Service::internal("10.96.0.30", 53, 5353, &both)
        };
        let alone = Service::internal("10.96.0.31", 80, 8080, &both[..1]);
        let sticky = Service {
            affinity: true,
            node_port: Some(30032),
            ..Service::internal("10.96.0.32", 80, 8080, &both)
        };
        let of_one_node = Service {
            local: true,
            node_port: Some(30033),
            ..Service::internal("10.96.0.33", 80, 8080, &both[..1])
        };
        let near =
            Service { internal_local: true, ..Service::internal("10.96.0.34", 80, 8080, &both) };
        let all = [names_service, alone, sticky, of_one_node, near];
        let mut proxies = nodes.each_ref().map(|node| proxy(node, false));
        for (proxy, node) in proxies.iter_mut().zip(nodes.iter()) {
            proxy.sync(node, &all);
            node.check();
        }
        // A pod that is the only one of its service asks itself; the node asks, too.
        assert_eq!(tcp(&pods[0].netns, "10.96.0.31:80").unwrap().server, "1-7");
        for node in nodes.iter() {
            assert_eq!(tcp(&node.netns, "10.96.0.31:80").unwrap().server, "1-7");
        }
        assert!(udp(&client.netns, "10.96.0.30:53").is_some());
        for node in nodes.iter() {
            assert!(udp(&outside, &format!("{}:30053", node.address())).is_some());
        }
        // Who has an affinity keeps its pod, inside and from outside, also when others of the service go.
        let partner = answers(&outside, "192.0.2.1:30032", FEW);
        assert_eq!(partner.len(), 1, "{partner:?}");
        assert_eq!(answers(&client.netns, "10.96.0.32:80", FEW).len(), 1);
        // A node without pods of a service for its own pods only answers nobody from outside.
        let seen = tcp(&outside, "192.0.2.1:30033").unwrap();
        assert_eq!((&*seen.server, seen.client.to_string()), ("1-7", "192.0.2.9".into()));
        assert!(tcp_refused(&outside, "192.0.2.2:30033"));
        for (from, pod) in [(&client, "1-7"), (&pods[1], "2-7")] {
            assert_eq!(names(&answers(&from.netns, "10.96.0.34:80", FEW)), [pod]);
        }
        // kube-proxy is started anew, and who talks does not notice that it has removed everything.
        let patience = Duration::from_secs(10);
        let mut talk = Connection::open(&client.netns, "10.96.0.32:80", patience).unwrap();
        let partner = talk.ask().unwrap().server;
        proxies[0] = proxy(&nodes[0], false);
        assert!(tcp_refused(&client.netns, "10.96.0.32:80"));
        assert_eq!(talk.ask().unwrap().server, partner);
        proxies[0].sync(&nodes[0], &all);
        assert_eq!(talk.ask().unwrap().server, partner);
        // The services end, and with them every way to them.
        for (proxy, node) in proxies.iter_mut().zip(nodes.iter()) {
            proxy.sync(node, &[]);
            proxy.has_forgotten_backends(node);
        }
        for vip in ["10.96.0.31:80", "10.96.0.32:80", "10.96.0.34:80"] {
            assert!(tcp_refused(&client.netns, vip), "{vip}");
        }
        assert!(
            tcp_refused(&outside, "192.0.2.1:30032") && tcp_refused(&outside, "192.0.2.1:30033")
        );
        let [one, two] = nodes;
        let [first, second] = pods;
        leave(one, NETWORK, vec![first, client]);
        leave(two, NETWORK, vec![second]);
    });
}
