//! What the pods of a cluster are asked, whatever network they are on.

use std::collections::{BTreeMap, BTreeSet};

use hostcompute::schema::Guid;
use hostcompute::schema::operation::Kind;

use crate::containerd;
use crate::containernetworking::{self as cni, Pod};
use crate::lab::Netns;
use crate::lab::traffic::{Answer, Server, tcp, tcp_server, udp, udp_server};
use crate::shim;
use crate::world::Machine;

/// A pod that runs a server on ports 8080 (TCP) and 5353 (UDP), which answers with its name.
pub struct Running {
    pub address: String,
    /// What its servers answer.
    pub name: String,
    pub netns: Netns,
    end: Box<dyn FnOnce(&Machine)>,
    _servers: [Server; 2],
}

impl Running {
    /// What runs in a sandbox that has its place on the network: named by the node and the end of its address.
    #[track_caller]
    pub fn begin(node: &Machine, sandbox: Guid, pod: &Pod<'_>) -> Self {
        let [container, network] = [pod.container, pod.network].map(str::to_owned);
        // The end is told twice.
        Self::serve(node, node.inside(sandbox), pod.address, move |node| {
            for _ in 0..2 {
                cni::del(&node.host, &container, &network);
            }
            for _ in 0..2 {
                containerd::remove(node, sandbox);
            }
        })
    }

    /// What runs in a network stack that has this address, and how that ends.
    #[track_caller]
    pub fn serve(
        node: &Machine,
        netns: Netns,
        address: &str,
        end: impl FnOnce(&Machine) + 'static,
    ) -> Self {
        let last = address.rsplit('.').next().unwrap();
        let name = format!("{}-{last}", node.number);
        let servers = [
            tcp_server(&netns, &name, "0.0.0.0:8080"),
            udp_server(&netns, &name, &format!("{address}:5353")),
        ];
        Self { address: address.to_owned(), name, netns, end: Box::new(end), _servers: servers }
    }

    /// The end of a pod.
    #[track_caller]
    pub fn end(self, node: &Machine) {
        drop(self._servers);
        (self.end)(node);
    }
}

/// Enough connections that each of a few backends has had its turn.
pub const MANY: usize = 48;

/// Enough for two.
pub const FEW: usize = 24;

/// Who answers at an address, and whom they saw, over so many connections.
pub fn answers(from: &Netns, to: &str, connections: usize) -> BTreeMap<String, BTreeSet<String>> {
    let mut seen = BTreeMap::<String, BTreeSet<String>>::new();
    for _ in 0..connections {
        let Answer { server, client } = tcp(from, to).unwrap_or_else(|| panic!("{to}: silence"));
        seen.entry(server).or_default().insert(client.to_string());
    }
    seen
}

/// Who has answered.
pub fn names(answers: &BTreeMap<String, BTreeSet<String>>) -> Vec<&str> {
    answers.keys().map(String::as_str).collect()
}

/// What backends see of everybody.
pub fn clients(answers: &BTreeMap<String, BTreeSet<String>>) -> Vec<&str> {
    let all: BTreeSet<&str> = answers.values().flatten().map(String::as_str).collect();
    all.into_iter().collect()
}

/// All pods reach each other under their own addresses.
#[track_caller]
pub fn all_reach_each_other(pods: &[&Running]) {
    for from in pods {
        for to in pods.iter().filter(|to| to.address != from.address) {
            let answer = tcp(&from.netns, &format!("{}:8080", to.address));
            let answer = answer.unwrap_or_else(|| panic!("{} to {}", from.address, to.address));
            assert_eq!(answer.client.to_string(), from.address);
            assert!(udp(&from.netns, &format!("{}:5353", to.address)).is_some());
        }
    }
}

/// Everything of a cluster ends on a node, which is then as before.
#[track_caller]
pub fn leave(node: &Machine, network: &str, pods: Vec<Running>) {
    for pod in pods {
        pod.end(node);
    }
    for balancer in shim::list(&node.host, Kind::LoadBalancer) {
        shim::delete(&node.host, Kind::LoadBalancer, shim::id(&balancer));
    }
    shim::delete_named(&node.host, Kind::Network, network);
    assert!(shim::list(&node.host, Kind::Endpoint).is_empty());
}
