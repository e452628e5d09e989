//! Members of documents whose effect only the kernel can show: each is given in a document, and seen by a foreign eye.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::collections::BTreeSet;
use std::time::Duration;

use hostcompute_schema::Guid;
use hostcompute_schema::operation::Operation;
use serde_json::{Value, json};

use lab::Netns;
use lab::node::{Node, Wire, seclude};
use lab::traffic::{Connection, tcp, tcp_refused, tcp_server, udp, udp_server};

/// Two hosts on a wire; the first has a NAT network.
fn site() -> Option<(Node, Node, Guid, Wire)> {
    if !seclude() {
        return None;
    }
    let wire = Wire::new();
    let (mut host, outside) = (wire.node(1), wire.node(9));
    let network = host.create(
        Operation::CreateNetwork,
        &json!({"Name": "lan", "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.79.0.0/24"}]}]}),
    );
    Some((host, outside, network, wire))
}

fn policies(policies: Value) -> Value {
    json!({ "Policies": policies })
}

#[test]
fn outbound_nat_is_seen_outside_as_its_document_says() {
    let Some((mut host, outside, network, _wire)) = site() else { return };
    host.host.exec("ip addr add 192.0.2.101/32 dev up0");
    for line in [
        "ip addr add 192.0.2.10/32 dev up0",
        "ip addr add 192.0.2.200/32 dev up0",
        "ip route add 10.79.0.0/24 via 192.0.2.1",
    ] {
        outside.host.exec(line);
    }
    let settings = json!({"VirtualIP": "192.0.2.101", "Destinations": ["192.0.2.0/25"],
        "Exceptions": ["192.0.2.10"]});
    let pod = host.container(
        network,
        "10.79.0.11",
        &policies(json!([{"Type": "OutBoundNAT", "Settings": settings}])),
    );
    host.check();
    let _server = tcp_server(&outside.host, "o", "0.0.0.0:80");
    let seen = |to: &str| tcp(&pod, to).expect("an answer").client.to_string();
    assert_eq!(seen("192.0.2.9:80"), "192.0.2.101");
    assert_eq!(seen("192.0.2.10:80"), "10.79.0.11", "an exception");
    assert_eq!(seen("192.0.2.200:80"), "10.79.0.11", "no destination of the policy");
}

/// As many connections to one place as the pool has ports, each from a port of the pool, and not one more.
#[test]
fn translated_connections_use_no_more_ports_than_the_document_says() {
    const POOL: usize = 4;
    let Some((mut host, outside, network, _wire)) = site() else { return };
    host.host.exec("ip addr add 192.0.2.101/32 dev up0");
    let limited = |more: Value| {
        let mut settings = json!({"MaxPortPoolUsage": POOL});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        policies(json!([{"Type": "OutBoundNAT", "Settings": settings}]))
    };
    let (a, id) = host.container_and_endpoint(network, "10.79.0.11", &limited(json!({})));
    let b = host.container(network, "10.79.0.12", &limited(json!({"VirtualIP": "192.0.2.101"})));
    let free = host.container(network, "10.79.0.13", &json!({}));
    host.check();
    let _servers = [
        tcp_server(&outside.host, "o", "192.0.2.9:80"),
        tcp_server(&outside.host, "p", "192.0.2.9:81"),
        udp_server(&outside.host, "u", "192.0.2.9:53"),
    ];
    let open = |from: &Netns, to: &str| Connection::open(from, to, Duration::from_secs(10));
    let mut ports = Vec::new();
    for (pod, seen) in [(&a, "192.0.2.1"), (&b, "192.0.2.101")] {
        let mut held: Vec<_> = (0..POOL).map(|_| open(pod, "192.0.2.9:80").unwrap()).collect();
        for connection in &mut held {
            assert_eq!(connection.ask().unwrap().client.to_string(), seen);
        }
        assert!(tcp_refused(pod, "192.0.2.9:80"), "one more");
        assert!(held.iter_mut().all(|connection| connection.ask().is_some()));
        let listed = outside.host.exec("ss -Htn state established sport = :80");
        let peers =
            listed.lines().filter_map(|line| line.split_whitespace().nth(3)?.rsplit_once(':'));
        let of_pod: BTreeSet<u16> =
            peers.filter(|(at, _)| *at == seen).map(|it| it.1.parse().unwrap()).collect();
        assert_eq!(of_pod.len(), POOL, "{listed}");
        let (first, last) = (of_pod.first().unwrap(), of_pod.last().unwrap());
        assert_eq!(usize::from(last - first), POOL - 1, "{listed}");
        // The same ports lead elsewhere, too.
        assert_eq!(open(pod, "192.0.2.9:81").unwrap().ask().unwrap().client.to_string(), seen);
        assert_eq!(udp(pod, "192.0.2.9:53").unwrap().client.to_string(), seen);
        ports.push(of_pod);
    }
    assert!(ports[0].is_disjoint(&ports[1]), "{ports:?}");
    assert!((0..2 * POOL).all(|_| tcp(&free, "192.0.2.9:80").is_some()), "who has no limit");
    // Without the policy there is no limit for new connections, and its ports are free.
    let nothing = json!({"ResourceType": "Policy", "RequestType": "Update", "Settings": {
        "Policies": [{"Type": "OutBoundNAT", "Settings": {}}],
    }});
    host.modify(Operation::ModifyEndpoint, id, &nothing);
    host.check();
    assert!((0..2 * POOL).all(|_| tcp(&a, "192.0.2.9:80").is_some()));
    let c = host.container(network, "10.79.0.14", &limited(json!({})));
    assert!(tcp(&c, "192.0.2.9:81").is_some());
    host.restart();
    host.check();
    let found = host.host.exec("nft list map inet hostcompute nat_ports4");
    assert!(found.contains("10.79.0.14 : 1024 . 1027"), "{found}");
}

#[test]
fn a_port_is_published_at_the_address_that_its_document_names() {
    let Some((mut host, outside, network, _wire)) = site() else { return };
    host.host.exec("ip addr add 192.0.2.102/32 dev up0");
    let settings = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080,
        "VIP": "192.0.2.102", "Flags": 0});
    let pod = host.container(
        network,
        "10.79.0.12",
        &policies(json!([{"Type": "PortMapping", "Settings": settings}])),
    );
    host.check();
    let _server = tcp_server(&pod, "web", "0.0.0.0:80");
    assert_eq!(tcp(&outside.host, "192.0.2.102:8080").unwrap().server, "web");
    assert!(tcp_refused(&outside.host, "192.0.2.1:8080"));
}

#[test]
fn mtu_routes_and_resolver_are_inside_as_the_document_says() {
    let Some((mut host, outside, network, _wire)) = site() else { return };
    let route = json!({"NextHop": "10.79.0.1", "DestinationPrefix": "172.20.0.0/16", "Metric": 77});
    let dns = json!({"Domain": "example.org", "Search": ["a.example.org"],
        "ServerList": ["192.0.2.53"], "Options": ["ndots:5"]});
    let endpoint = json!({
        "HostComputeNetwork": network.to_string(),
        "IpConfigurations": [{"IpAddress": "10.79.0.13"}],
        "Routes": [route, {"NextHop": "10.79.0.1", "DestinationPrefix": "0.0.0.0/0"}],
        "Dns": dns,
        "Policies": [
            {"Type": "InterfaceParameters", "Settings": {"Mtu": 1400}},
            {"Type": "EncapOverhead", "Settings": {"Overhead": 50}},
        ],
    });
    let endpoint = host.create(Operation::CreateEndpoint, &endpoint);
    let namespace = host.create(Operation::CreateNamespace, &json!({}));
    host.attach(namespace, endpoint);
    host.check();
    let inside = Netns::open(&host.linux.netns_path(namespace));
    let link = inside.exec("ip -o link show eth0");
    assert!(link.contains("mtu 1350"), "{link}");
    let routes = inside.exec("ip route");
    let told = routes.lines().find(|line| line.starts_with("172.20.0.0/16")).expect("the route");
    assert!(told.contains("via 10.79.0.1") && told.contains("metric 77"), "{routes}");
    let resolver = std::fs::read_to_string(host.linux.resolver_path(namespace)).unwrap();
    for word in ["nameserver 192.0.2.53", "example.org", "a.example.org", "ndots:5"] {
        assert!(resolver.contains(word), "{word}: {resolver}");
    }
    // Packets of that size go out, larger ones do not.
    let ping = |size: u16| format!("ping -n -q -c 1 -W 2 -M do -s {size} 192.0.2.9");
    inside.exec(&ping(1350 - 28));
    let larger = inside.run(|| {
        let words: Vec<String> = ping(1351 - 28).split(' ').map(str::to_owned).collect();
        std::process::Command::new(&words[0]).args(&words[1..]).output().unwrap().status.success()
    });
    assert!(!larger);
    drop(outside);
}
