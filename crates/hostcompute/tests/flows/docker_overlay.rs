//! docker's overlay driver (hcn.md 5.10): moby's `libnetwork/drivers/windows/overlay`, by the older interface.
//!
//! Every host has the whole subnet. Each tells the others of its containers, one by one: address, MAC, and the address under which the
//! network said it is known below (ManagementIP). A container elsewhere becomes an endpoint that is remote.

use std::collections::{BTreeMap, BTreeSet};

use hostcompute::schema::Guid;
use serde_json::{Value, json};

use crate::cluster::{self, Running};
use crate::hcsshim;
use crate::hns;
use crate::lab::traffic::{Connection, tcp, tcp_refused, tcp_server};
use crate::trial::Flow;
use crate::world::{Machine, play, stranger};

const NETWORK: &str = "swarm-overlay";
const SUBNET: &str = "10.0.9.0/24";
const GATEWAY: &str = "10.0.9.1";
const VSID: u32 = 4097;

/// What hosts tell each other of a container.
#[derive(Debug, Clone)]
struct Peer {
    endpoint: String,
    address: String,
    mac: String,
    /// The host that it is on.
    tunnel: String,
}

/// The containers of several hosts.
#[derive(Default)]
pub struct Swarm {
    peers: Vec<Peer>,
    /// Who knows of which remote endpoint, by the host's own address: the ids that deleting takes.
    told: BTreeMap<String, BTreeMap<String, Value>>,
}

/// The driver's network, as docker asks for it; what it found when it started it uses again.
#[track_caller]
fn ensure(node: &Machine) -> Value {
    if let Some(known) = hns::by_name(&node.host, "networks", NETWORK) {
        return known;
    }
    let document = json!({
        "Name": NETWORK,
        "Type": "overlay",
        "Subnets": [{
            "AddressPrefix": SUBNET,
            "GatewayAddress": GATEWAY,
            "Policies": [{"Type": "VSID", "VSID": VSID}],
        }],
        "NetworkAdapterName": "up0",
        "AutomaticDNS": true,
    });
    let made = hns::create(&node.host, "networks", document);
    hns::done(&node.host, "GET", &format!("/networks/{}", hns::id(&made)), Value::Null)
}

/// The host's address below, as the network tells it.
#[track_caller]
fn provider(network: &Value) -> String {
    network["ManagementIP"].as_str().expect("an address").to_owned()
}

/// A container's endpoint: docker chose the address, the service the MAC.
#[track_caller]
fn endpoint(node: &Machine, last: u8, more: &[Value]) -> (Value, Peer) {
    let network = ensure(node);
    let mut policies =
        vec![json!({"Type": "PA", "PA": provider(&network)}), json!({"Type": "OutBoundNAT"})];
    policies.extend_from_slice(more);
    let name = format!("ep-{}-{last}", node.number);
    let document = json!({
        "Name": name,
        "VirtualNetwork": network["ID"],
        "IPAddress": address(node, last),
        "GatewayAddress": GATEWAY,
        "EnableInternalDNS": true,
        "Policies": policies,
    });
    let made = hns::create(&node.host, "endpoints", document);
    assert_eq!(made["IPAddress"], address(node, last));
    let mac = made["MacAddress"].as_str().expect("a MAC").to_owned();
    let peer =
        Peer { endpoint: name, address: address(node, last), mac, tunnel: provider(&network) };
    (made, peer)
}

fn address(node: &Machine, last: u8) -> String {
    // Unique in the whole subnet, and ending as the tests' names do.
    format!("10.0.9.{}", 100 * (node.number - 1) + last)
}

impl Swarm {
    /// A peer is told to a host, unless it is the host's own.
    #[track_caller]
    fn add(&mut self, node: &Machine, peer: &Peer) {
        let network = ensure(node);
        let own = provider(&network);
        let told = self.told.entry(own.clone()).or_default();
        if peer.tunnel == own || told.contains_key(&peer.endpoint) {
            return;
        }
        let document = json!({
            "Name": peer.endpoint,
            "VirtualNetwork": network["ID"],
            "MacAddress": peer.mac,
            "IPAddress": peer.address,
            "IsRemoteEndpoint": true,
            "Policies": [{"Type": "PA", "PA": peer.tunnel}],
        });
        let made = hns::create(&node.host, "endpoints", document);
        told.insert(peer.endpoint.clone(), made);
    }

    /// The peers of a host are gone, and another host hears of it.
    #[track_caller]
    fn forget(&mut self, node: &Machine, gone: &BTreeSet<String>) {
        let Some(told) = self.told.get_mut(&node.address()) else { return };
        for name in gone {
            if let Some(endpoint) = told.remove(name) {
                hns::delete(&node.host, "endpoints", &endpoint);
            }
        }
    }

    fn names_of(&self, node: &Machine) -> BTreeSet<String> {
        let own = self.peers.iter().filter(|peer| peer.tunnel == node.address());
        own.map(|peer| peer.endpoint.clone()).collect()
    }

    /// A container that runs.
    #[track_caller]
    fn container(&mut self, node: &Machine, last: u8, more: &[Value]) -> Running {
        let (endpoint, peer) = endpoint(node, last, more);
        let at = peer.address.clone();
        self.peers.push(peer);
        let id: Guid = hns::id(&endpoint).parse().unwrap();
        let network = hcsshim::Network::of(node, &[id]);
        let netns = node.inside(network.namespace);
        Running::serve(node, netns, &at, move |node| {
            network.release(node);
            // docker asks whether it is there by deleting it.
            let path = format!("/endpoints/{}", hns::id(&endpoint));
            if let Err(why) = hns::call(&node.host, "DELETE", &path, &Value::Null) {
                assert!(why.contains("does not represent a valid object"), "{why}");
            }
        })
    }
}

impl Flow for Swarm {
    /// docker begins: endpoints of networks that it finds are nobody's any more.
    fn begin(&mut self, node: &Machine) {
        let network = ensure(node);
        let all = hns::done(&node.host, "GET", "/endpoints/", Value::Null);
        let stale = all.as_array().unwrap().iter();
        stale
            .filter(|endpoint| endpoint["VirtualNetwork"] == network["ID"])
            .for_each(|endpoint| hns::delete(&node.host, "endpoints", endpoint));
        self.told.remove(&node.address());
    }

    fn meet(&mut self, nodes: &[Machine]) {
        for node in nodes {
            for peer in self.peers.clone() {
                self.add(node, &peer);
            }
        }
    }

    fn run(&mut self, node: &Machine, last: u8) -> Running {
        self.container(node, last, &[])
    }

    fn lose(&mut self, others: &[&Machine], gone: &Machine) {
        let names = self.names_of(gone);
        others.iter().for_each(|other| self.forget(other, &names));
        self.peers.retain(|peer| !names.contains(&peer.endpoint));
    }

    fn look_around(&self, node: &Machine) {
        assert!(hns::by_name(&node.host, "networks", NETWORK).is_some(), "docker adopts it");
    }

    fn leave(&mut self, node: &Machine, pods: Vec<Running>) {
        let all = self.peers.iter().map(|peer| peer.endpoint.clone()).collect();
        self.forget(node, &all);
        cluster::leave(node, NETWORK, pods);
    }
}

#[test]
fn containers_of_two_hosts_are_one_network() {
    play(|wire, nodes: &mut [Machine; 2]| {
        let outside = stranger(wire, 9);
        let _server = tcp_server(&outside, "outside", "192.0.2.9:80");
        let mut swarm = Swarm::default();
        nodes.iter().for_each(|node| swarm.begin(node));
        // docker holds the port that it publishes.
        let held = nodes[0].netns.run(|| std::net::TcpListener::bind("192.0.2.1:8081").unwrap());
        let published = json!({
            "Type": "NAT", "Protocol": "tcp", "InternalPort": 8080, "ExternalPort": 8081,
            "ExternalPortReserved": true,
        });
        let web = swarm.container(&nodes[0], 7, &[published]);
        let near = swarm.run(&nodes[0], 8);
        let far = swarm.run(&nodes[1], 7);
        // Who has not been told knows of nobody elsewhere.
        let to_far = format!("{}:8080", far.address);
        assert!(tcp_refused(&near.netns, &to_far));
        swarm.meet(nodes);
        cluster::all_reach_each_other(&[&web, &near, &far]);
        // Out by the host's address; in by the published port.
        for (from, node) in [(&web, 1), (&far, 2)] {
            let seen = tcp(&from.netns, "192.0.2.9:80").unwrap().client.to_string();
            assert_eq!(seen, crate::lab::node::address(node));
        }
        let seen = tcp(&outside, "192.0.2.1:8081").unwrap();
        assert_eq!((seen.server.as_str(), seen.client.to_string()), ("1-7", "192.0.2.9".into()));
        drop(held);
        // The services are killed and come back; who talks does not notice.
        let patience = std::time::Duration::from_secs(10);
        let mut talk = Connection::open(&near.netns, &to_far, patience).unwrap();
        nodes.iter_mut().for_each(Machine::kill);
        assert!(talk.ask().is_some());
        nodes.iter_mut().for_each(Machine::start);
        assert!(talk.ask().is_some());
        cluster::all_reach_each_other(&[&web, &near, &far]);
        // A container ends, and the other host hears of it.
        let name = BTreeSet::from([format!("ep-2-{}", 7)]);
        swarm.forget(&nodes[0], &name);
        assert!(tcp_refused(&near.netns, &to_far));
        nodes.iter().for_each(Machine::check);
        let [one, two] = nodes;
        swarm.leave(one, vec![web, near]);
        swarm.leave(two, vec![far]);
    });
}
