//! The same hardships for every flow of several hosts: a wire that loses every hundredth frame, and a host whose power fails and comes back
//! while the others go on. What a consumer does there is its [`Flow`], which stands in the consumer's own file.

use std::time::Duration;

use crate::cluster::{FEW, Running, all_reach_each_other, answers, names};
use crate::kube_proxy::{KubeProxy, Service};
use crate::lab::traffic::Connection;
use crate::world::{Machine, lossy, lost, play};

/// How a consumer connects the pods of several nodes.
pub trait Flow {
    /// A node's programs begin: with nothing, or with what their host still knows after its power has failed.
    fn begin(&mut self, node: &Machine);

    /// Nodes are told of each other; also of what they know already.
    fn meet(&mut self, nodes: &[Machine]);

    /// A pod.
    fn run(&mut self, node: &Machine, last: u8) -> Running;

    /// Where services are balanced.
    fn proxy(&self, _node: &Machine) -> Option<KubeProxy> {
        None
    }

    /// The others notice that a node is gone.
    fn lose(&mut self, _others: &[&Machine], _gone: &Machine) {}

    /// What a host knows when its service is back, and nothing else.
    fn look_around(&self, _node: &Machine) {}

    /// Everything ends on a node.
    fn leave(&mut self, node: &Machine, pods: Vec<Running>);
}

const VIP: &str = "10.96.0.1:80";

/// A cluster on so many hosts, at least two, of which the second fails.
pub fn endure<const COUNT: usize>(mut flow: impl Flow) {
    play(|wire, nodes: &mut [Machine; COUNT]| {
        lossy(wire);
        nodes.iter().for_each(|node| flow.begin(node));
        flow.meet(nodes);
        let mut pods: Vec<Running> = nodes.iter().map(|node| flow.run(node, 7)).collect();
        let client = flow.run(&nodes[0], 8);
        flow.meet(nodes);
        let mut proxies: Vec<Option<KubeProxy>> =
            nodes.iter().map(|node| flow.proxy(node)).collect();
        balance(nodes, &mut proxies, &pods.iter().collect::<Vec<_>>());
        reach(&pods, &client, &proxies);
        let last = pods.last().unwrap().address.clone();
        let mut talk =
            Connection::open(&client.netns, &format!("{last}:8080"), Duration::from_secs(10))
                .unwrap();
        let partner = pods.last().unwrap().name.clone();
        while lost(wire) <= 4 {
            for _ in 0..50 {
                assert_eq!(talk.ask().unwrap().server, partner);
            }
        }
        nodes[1].lose_power(wire);
        let others: Vec<&Machine> = nodes.iter().filter(|node| node.number != 2).collect();
        flow.lose(&others, &nodes[1]);
        let goes_on = COUNT > 2;
        if goes_on {
            assert_eq!(talk.ask().unwrap().server, partner, "who talks to others does not notice");
        }
        let mut resting = proxies[1].take();
        let alive: Vec<&Running> =
            pods.iter().enumerate().filter(|(at, _)| *at != 1).map(|(_, pod)| pod).collect();
        balance(nodes, &mut proxies, &alive);
        if resting.is_some() {
            let seen = answers(&client.netns, VIP, FEW);
            assert_eq!(seen.len(), COUNT - 1, "{seen:?}");
        }
        nodes[1].start();
        flow.look_around(&nodes[1]);
        // The pod is nowhere any more; its end is told all the same.
        let again = 7;
        pods.remove(1).end(&nodes[1]);
        flow.begin(&nodes[1]);
        flow.meet(nodes);
        pods.insert(1, flow.run(&nodes[1], again));
        flow.meet(nodes);
        if resting.take().is_some() {
            proxies[1] = flow.proxy(&nodes[1]);
        }
        balance(nodes, &mut proxies, &pods.iter().collect::<Vec<_>>());
        reach(&pods, &client, &proxies);
        if goes_on {
            assert_eq!(talk.ask().unwrap().server, partner);
        }
        nodes.iter().for_each(Machine::check);
        let mut pods: Vec<Vec<Running>> = pods.into_iter().map(|pod| vec![pod]).collect();
        pods[0].push(client);
        for (node, pods) in nodes.iter().zip(pods) {
            flow.leave(node, pods);
        }
    });
}

/// One service of these pods, wherever services are balanced.
#[track_caller]
fn balance(nodes: &[Machine], proxies: &mut [Option<KubeProxy>], pods: &[&Running]) {
    let backends: Vec<String> = pods.iter().map(|pod| pod.address.clone()).collect();
    let service =
        Service { node_port: Some(30080), ..Service::internal("10.96.0.1", 80, 8080, &backends) };
    for (node, proxy) in nodes.iter().zip(proxies) {
        if let Some(proxy) = proxy {
            proxy.sync(node, std::slice::from_ref(&service));
            proxy.refuses_twins(node);
        }
    }
}

/// Pods reach each other, and the service where there is one.
#[track_caller]
fn reach(pods: &[Running], client: &Running, proxies: &[Option<KubeProxy>]) {
    let mut all: Vec<&Running> = pods.iter().collect();
    all.push(client);
    all_reach_each_other(&all);
    if proxies.iter().all(Option::is_some) {
        let everybody: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
        for from in [&client.netns, &pods[1].netns] {
            assert_eq!(names(&answers(from, VIP, crate::cluster::MANY)), everybody);
        }
    }
}

/// Both sizes of cluster, for each flow.
macro_rules! hardships {
    ($($name:ident: $flow:expr;)*) => {$(
        mod $name {
            #[test]
            fn on_two_hosts() {
                super::endure::<2>($flow);
            }

            #[test]
            fn on_three_hosts() {
                super::endure::<3>($flow);
            }
        }
    )*};
}

hardships! {
    flannel_with_tunnels_and_kube_proxy: crate::kubernetes::Cluster::of_win_overlay();
    flannel_with_tunnels_and_sdnoverlay: crate::kubernetes::Cluster::of_sdnoverlay();
    flannel_without_tunnels_and_kube_proxy: crate::host_gateway::Cluster::of_win_bridge();
    flannel_without_tunnels_and_sdnbridge: crate::host_gateway::Cluster::of_sdnbridge();
    calico: crate::calico::Cluster::default();
    docker: crate::docker_overlay::Swarm::default();
}
