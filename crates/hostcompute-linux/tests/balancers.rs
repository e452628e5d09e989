//! Load balancers by their documents: what each flag promises, with packets.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Guid, HResult};
use serde_json::{Value, json};

use lab::Netns;
use lab::node::{Node, Wire, seclude};
use lab::traffic::{Connection, Server, tcp, tcp_from, tcp_refused, tcp_server, udp, udp_server};

const VIP: &str = "10.96.0.10";
const VIP6: &str = "fd00:96::a";
const SOURCE: &str = "10.5.0.250";

/// A host with a NAT network of both families, a client and two backends, and a machine on the host's wire that knows the way to the
/// virtual IPs.
struct Site {
    host: Node,
    outside: Node,
    network: Guid,
    client: Netns,
    backends: Vec<(Netns, Guid)>,
    _servers: Vec<Server>,
    _wire: Wire,
}

impl Site {
    fn new() -> Option<Self> {
        if !seclude() {
            return None;
        }
        let wire = Wire::new();
        let (mut host, outside) = (wire.node(1), wire.node(9));
        outside.host.exec(&format!("ip route add {VIP}/32 via 192.0.2.1"));
        let document = json!({"Name": "lan", "Ipams": [{"Subnets": [
            {"IpAddressPrefix": "10.5.0.0/24"},
            {"IpAddressPrefix": "fd00:5::/64"},
        ]}]});
        let network = host.create(Operation::CreateNetwork, &document);
        let (client, _) = host.container_and_endpoint(network, "", &addresses(12));
        let backends: Vec<_> =
            [13, 14].map(|n| host.container_and_endpoint(network, "", &addresses(n))).into();
        let servers = (13..).zip(&backends).flat_map(|(n, (netns, _))| {
            [
                tcp_server(netns, &format!("b{n}"), &format!("10.5.0.{n}:80")),
                tcp_server(netns, &format!("b{n}"), &format!("[fd00:5::{n}]:80")),
                udp_server(netns, &format!("b{n}"), &format!("10.5.0.{n}:53")),
            ]
        });
        let servers = servers.collect();
        Some(Self { host, outside, network, client, backends, _servers: servers, _wire: wire })
    }

    fn ids(&self) -> Vec<String> {
        self.backends.iter().map(|(_, id)| id.to_string()).collect()
    }

    /// A load balancer of the backends: its flags, those of its port, and more members.
    fn document(&self, flags: u32, of_port: u32, more: &Value) -> Value {
        let port = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": 80, "Flags": of_port});
        let mut document = json!({
            "HostComputeEndpoints": self.ids(),
            "FrontendVIPs": [VIP],
            "PortMappings": [port],
            "Flags": flags,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            document[name] = value.clone();
        }
        document
    }

    fn balance(&mut self, flags: u32, of_port: u32, more: &Value) -> Guid {
        let document = self.document(flags, of_port, more);
        let id = self.host.create(Operation::CreateLoadBalancer, &document);
        self.host.check();
        id
    }

    fn refused(&mut self, document: &Value) -> HResult {
        let refused = self.host.call(Operation::CreateLoadBalancer, None, document);
        refused.unwrap_err().hresult
    }
}

fn addresses(n: u8) -> Value {
    json!({"IpConfigurations": [
        {"IpAddress": format!("10.5.0.{n}")},
        {"IpAddress": format!("fd00:5::{n}")},
    ]})
}

/// Who answered how often.
fn tally(netns: &Netns, to: &str, times: usize) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for _ in 0..times {
        *tally.entry(tcp(netns, to).expect("an answer").server).or_default() += 1;
    }
    tally
}

fn seen(netns: &Netns, to: &str) -> String {
    tcp(netns, to).expect("an answer").client.to_string()
}

#[test]
fn a_source_vip_is_what_backends_see_unless_they_answer_directly() {
    let Some(mut site) = Site::new() else { return };
    let to = format!("{VIP}:80");
    let source = json!({"SourceVIP": SOURCE});
    let id = site.balance(0, 0, &source);
    assert_eq!(seen(&site.client, &to), SOURCE);
    assert_eq!(seen(&site.host.host, &to), SOURCE, "from the host");
    assert_eq!(seen(&site.outside.host, &to), SOURCE, "from outside");
    assert_eq!(tally(&site.client, &to, 40).len(), 2);
    // A backend reaches the service, itself included.
    assert_eq!(tally(&site.backends[0].0, &to, 40).len(), 2, "hairpin");
    // The same port of the host is another frontend, with its own source.
    let node = json!({"FrontendVIPs": [], "SourceVIP": "10.5.0.251"});
    site.balance(0, 2 + 16, &node);
    assert_eq!(seen(&site.outside.host, "192.0.2.1:80"), "10.5.0.251");
    assert_eq!(seen(&site.client, &to), SOURCE);
    // Modified in place: direct server return shows the client.
    let mut old = Connection::open(&site.client, &to, Duration::from_secs(2)).unwrap();
    assert_eq!(old.ask().unwrap().client.to_string(), SOURCE);
    let direct = site.document(1, 0, &source);
    site.host.modify(Operation::ModifyLoadBalancer, id, &direct);
    site.host.check();
    assert_eq!(seen(&site.client, &to), "10.5.0.12");
    assert_eq!(old.ask().expect("it lives").client.to_string(), SOURCE);
    site.host.restart();
    site.host.check();
    let other = site.document(0, 0, &json!({"FrontendVIPs": [VIP6], "SourceVIP": SOURCE}));
    assert_eq!(site.refused(&other), HResult::HCN_E_INVALID_IP);
}

#[test]
fn ipv6_is_balanced_as_ipv4_is() {
    let Some(mut site) = Site::new() else { return };
    let to = format!("[{VIP6}]:80");
    site.balance(2, 0, &json!({"FrontendVIPs": [VIP6], "SourceVIP": "fd00:5::fa"}));
    assert_eq!(tally(&site.client, &to, 40).len(), 2);
    assert_eq!(seen(&site.client, &to), "fd00:5::fa");
    assert_eq!(seen(&site.host.host, &to), "fd00:5::fa");
    site.balance(2, 0, &json!({"FrontendVIPs": []}));
    let node = site.document(2, 0, &json!({"FrontendVIPs": []}));
    assert_eq!(site.refused(&node), HResult::ERROR_ALREADY_EXISTS);
}

#[test]
fn an_internal_balancer_is_for_the_inside() {
    let Some(mut site) = Site::new() else { return };
    let to = format!("{VIP}:80");
    let id = site.balance(1, 1, &json!({}));
    assert_eq!(tally(&site.client, &to, 40).len(), 2);
    assert!(tcp_refused(&site.outside.host, &to));
    assert!(tcp_refused(&site.host.host, &to), "not for the host's own programs");
    let local = site.document(1, 1 + 2, &json!({}));
    site.host.modify(Operation::ModifyLoadBalancer, id, &local);
    site.host.check();
    assert_eq!(tally(&site.host.host, &to, 40).len(), 2);
    assert!(tcp_refused(&site.outside.host, &to));
    let open = site.document(1, 0, &json!({}));
    site.host.modify(Operation::ModifyLoadBalancer, id, &open);
    assert!(tcp(&site.outside.host, &to).is_some());
    // A node port for the inside only, beside a virtual IP of the same port for everybody.
    let node = json!({"FrontendVIPs": []});
    site.balance(1, 1, &node);
    assert!(tcp(&site.client, "10.5.0.1:80").is_some());
    assert!(tcp_refused(&site.outside.host, "192.0.2.1:80"));
    assert!(tcp_refused(&site.host.host, "127.0.0.1:80"));
    assert!(tcp(&site.host.host, &to).is_some());
}

#[test]
fn a_preserved_destination_reaches_who_owns_it() {
    let Some(mut site) = Site::new() else { return };
    for (netns, _) in &site.backends {
        for vip in [format!("{VIP}/32"), format!("{VIP6}/128")] {
            netns.exec(&format!("ip addr add {vip} dev lo"));
        }
    }
    // They listen on the virtual IP alone, on their own port.
    let _owners: Vec<Server> = (13..)
        .zip(&site.backends)
        .flat_map(|(n, (netns, _))| {
            [
                tcp_server(netns, &format!("own{n}"), &format!("{VIP}:8080")),
                tcp_server(netns, &format!("own{n}"), &format!("[{VIP6}]:8080")),
                udp_server(netns, &format!("own{n}"), &format!("{VIP}:8053")),
            ]
        })
        .collect();
    let ports = json!([
        {"Protocol": 6, "InternalPort": 8080, "ExternalPort": 80, "Flags": 4 + 8 + 16},
        {"Protocol": 17, "InternalPort": 8053, "ExternalPort": 53, "Flags": 4 + 8 + 16},
    ]);
    let id = site.balance(1, 0, &json!({"PortMappings": ports}));
    let to = format!("{VIP}:80");
    assert_eq!(tally(&site.outside.host, &to, 40).len(), 2);
    assert_eq!(seen(&site.outside.host, &to), "192.0.2.9");
    assert_eq!(tally(&site.client, &to, 40).len(), 2);
    assert!(tcp(&site.host.host, &to).unwrap().server.starts_with("own"));
    assert!(udp(&site.client, &format!("{VIP}:53")).unwrap().server.starts_with("own"));
    site.balance(1 + 2, 0, &json!({"FrontendVIPs": [VIP6], "PortMappings": [ports[0]]}));
    assert_eq!(tally(&site.client, &format!("[{VIP6}]:80"), 40).len(), 2);
    // Nobody may speak as the virtual IP otherwise.
    let stranger = Connection::open(&site.backends[0].0, "192.0.2.9:1", Duration::from_millis(100));
    assert!(stranger.is_none());
    site.host.delete(Operation::DeleteLoadBalancer, id);
    site.host.check();
    assert!(tcp_refused(&site.client, &to));
    let node = site.document(1, 8, &json!({"FrontendVIPs": []}));
    assert_eq!(site.refused(&node), HResult::HCN_E_REQUEST_UNSUPPORTED);
    let unknown = site.document(0, 32, &json!({}));
    assert_eq!(site.refused(&unknown), HResult::HCN_E_REQUEST_UNSUPPORTED);
}

#[test]
fn only_who_is_plugged_in_gets_connections() {
    let Some(mut site) = Site::new() else { return };
    let mut unplugged = addresses(15);
    unplugged["HostComputeNetwork"] = site.network.to_string().into();
    let waiting = site.host.create(Operation::CreateEndpoint, &unplugged);
    let mut all = site.ids();
    all.push(waiting.to_string());
    let to = format!("{VIP}:80");
    site.balance(1, 0, &json!({"HostComputeEndpoints": all}));
    assert_eq!(tally(&site.client, &to, 60).len(), 2, "nothing is sent to who is not there");
    let namespace = site.host.create(Operation::CreateNamespace, &json!({}));
    site.host.attach(namespace, waiting);
    site.host.check();
    let inside = Netns::open(&site.host.linux.netns_path(namespace));
    let _server = tcp_server(&inside, "late", "10.5.0.15:80");
    assert_eq!(tally(&site.client, &to, 90).len(), 3);
    let unplug = json!({
        "ResourceType": "Endpoint",
        "RequestType": "Remove",
        "Settings": {"EndpointId": waiting.to_string()},
    });
    site.host.modify(Operation::ModifyNamespace, namespace, &unplug);
    site.host.check();
    assert_eq!(tally(&site.client, &to, 60).len(), 2);
}

/// Who answers each of some clients outside at a port of a virtual IP, three times the same.
fn chosen(site: &Site, to: &str) -> BTreeMap<String, String> {
    let client = |number: u8| match to.starts_with('[') {
        true => format!("fd00:c::{number}"),
        false => format!("192.0.2.{number}"),
    };
    let mut chosen = BTreeMap::new();
    for number in 100..130 {
        let from = client(number);
        let servers =
            [0; 3].map(|_| tcp_from(&site.outside.host, &from, to).expect("an answer").server);
        assert!(servers.iter().all(|server| *server == servers[0]), "{from}: {servers:?}");
        chosen.insert(from, servers[0].clone());
    }
    chosen
}

#[test]
fn affinity_binds_a_client_to_one_backend_on_all_ports_and_only_who_loses_it_moves() {
    let Some(mut site) = Site::new() else { return };
    // A third backend, a second port with servers of its own, and clients of both families outside.
    let third = site.host.container_and_endpoint(site.network, "", &addresses(15));
    site.backends.push(third);
    let mut servers = Vec::new();
    for (n, (netns, _)) in (13..).zip(&site.backends) {
        servers.push(tcp_server(netns, &format!("b{n}"), "[::]:8443"));
        if n == 15 {
            servers.push(tcp_server(netns, "b15", "[::]:80"));
        }
    }
    // Without a link-local address a router asks for no neighbour of others.
    for address in ["fe80::1", "fd00:c::1"] {
        site.host.host.exec(&format!("ip -6 addr add {address}/64 dev up0 nodad"));
    }
    let outside = &site.outside.host;
    for number in 100..130 {
        outside.exec(&format!("ip addr add 192.0.2.{number}/32 dev up0"));
        outside.exec(&format!("ip -6 addr add fd00:c::{number}/64 dev up0 nodad"));
    }
    outside.exec(&format!("ip -6 route add {VIP6}/128 via fd00:c::1"));
    for (vip, flags, source) in [(VIP, 0, ""), (VIP6, 2, ""), (VIP, 0, SOURCE), (VIP, 1, SOURCE)] {
        for affinity in [1, 2] {
            let ports = [(80, 80), (443, 8443)].map(|(external, internal)| {
                json!({
                    "Protocol": 6, "InternalPort": internal, "ExternalPort": external,
                    "DistributionType": affinity,
                })
            });
            let more = json!({"FrontendVIPs": [vip], "PortMappings": ports, "SourceVIP": source});
            let id = site.balance(flags, 0, &more);
            let to = |port: u16| std::net::SocketAddr::new(vip.parse().unwrap(), port).to_string();
            let before = chosen(&site, &to(80));
            assert_eq!(before, chosen(&site, &to(443)), "{vip} {affinity}");
            let all: BTreeSet<&String> = before.values().collect();
            assert_eq!(all.len(), 3, "{before:?}");
            // One of them goes.
            let mut document = site.document(flags, 0, &more);
            document["HostComputeEndpoints"].as_array_mut().unwrap().remove(1);
            site.host.modify(Operation::ModifyLoadBalancer, id, &document);
            site.host.check();
            let after = chosen(&site, &to(80));
            assert_eq!(after, chosen(&site, &to(443)), "{vip} {affinity}");
            for (client, server) in &before {
                match server.as_str() {
                    "b14" => assert_ne!(after[client], "b14"),
                    kept => assert_eq!(after[client], kept, "{client} moved"),
                }
            }
            site.host.delete(Operation::DeleteLoadBalancer, id);
        }
    }
}

#[test]
fn a_node_port_is_not_taken_from_a_program() {
    let Some(mut site) = Site::new() else { return };
    let _program = tcp_server(&site.host.host, "program", "0.0.0.0:80");
    let node = site.document(1, 2 + 16, &json!({"FrontendVIPs": []}));
    assert_eq!(site.refused(&node), HResult::HCN_E_PORT_ALREADY_EXISTS);
    assert_eq!(tcp(&site.outside.host, "192.0.2.1:80").unwrap().server, "program");
    site.host.check();
}
