//! Overlay networks between hosts: two or three hosts on one wire, each with an engine of its own, and packets between their
//! containers.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::time::Duration;

use hostcompute_engine::Reply;
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Guid, HResult};
use serde_json::{Value, json};

use lab::node::{Node, Wire, address, seclude};
use lab::traffic::{Connection, ping, ping_refused, tcp, tcp_refused, tcp_server, udp, udp_server};

const VSID: u32 = 4096;

/// Host `n` has 10.244.n.0/24 and fd00:244:n::/64.
fn network(name: &str, n: u8, vsid: u32) -> Value {
    let subnet = |prefix: String, gateway: String, all: &str| {
        json!({
            "IpAddressPrefix": prefix,
            "Routes": [{"NextHop": gateway, "DestinationPrefix": all}],
            "Policies": [{"Type": "VSID", "Settings": {"IsolationId": vsid}}],
        })
    };
    json!({
        "Name": name,
        "Type": "Overlay",
        "Flags": 8,
        "Ipams": [{"Type": "Static", "Subnets": [
            subnet(format!("10.244.{n}.0/24"), format!("10.244.{n}.1"), "0.0.0.0/0"),
            subnet(format!("fd00:244:{n}::/64"), format!("fd00:244:{n}::1"), "::/0"),
        ]}],
    })
}

/// The way from a host to the subnets of another (flannel's step 8).
fn routes(to: u8, vsid: u32, router: &str) -> Value {
    let route = |prefix: String| {
        json!({"Type": "RemoteSubnetRoute", "Settings": {
            "DestinationPrefix": prefix,
            "IsolationId": vsid,
            "ProviderAddress": address(to),
            "DistributedRouterMacAddress": router,
        }})
    };
    json!([route(format!("10.244.{to}.0/24")), route(format!("fd00:244:{to}::/64"))])
}

fn router(node: &mut Node, network: Guid) -> String {
    // Consumers write it in lower case with colons.
    let text = node.policy(network, "DrMacAddress")["Address"].as_str().unwrap().to_owned();
    text.to_lowercase().replace('-', ":")
}

/// Hosts on a wire, numbered from 1; none where the test may not make them.
fn hosts<const COUNT: usize>() -> Option<(Wire, [Node; COUNT])> {
    if !seclude() {
        return None;
    }
    let wire = Wire::new();
    let nodes = core::array::from_fn(|place| wire.node(u8::try_from(place + 1).unwrap()));
    Some((wire, nodes))
}

/// Makes the network on each host, and tells each of the others.
fn mesh(nodes: &mut [Node]) -> Vec<Guid> {
    let networks: Vec<Guid> = nodes
        .iter_mut()
        .map(|node| {
            let n = node.number;
            node.create(Operation::CreateNetwork, &network("flannel.4096", n, VSID))
        })
        .collect();
    let routers: Vec<(u8, String)> = nodes
        .iter_mut()
        .zip(&networks)
        .map(|(node, network)| (node.number, router(node, *network)))
        .collect();
    for (node, network) in nodes.iter_mut().zip(&networks) {
        let own = node.number;
        for (number, router) in routers.iter().filter(|(number, _)| *number != own) {
            node.change_policies(*network, "Add", &routes(*number, VSID, router));
        }
    }
    networks
}

#[test]
fn containers_of_three_hosts_reach_each_other() {
    let Some((_wire, mut nodes)) = hosts::<3>() else { return };
    let networks = mesh(&mut nodes);
    assert_eq!(nodes[0].policy(networks[0], "ProviderAddress")["ProviderAddress"], "192.0.2.1");
    let inside: Vec<_> = nodes
        .iter_mut()
        .zip(&networks)
        .map(|(node, network)| {
            let n = node.number;
            let both = json!({"IpConfigurations": [
                {"IpAddress": format!("10.244.{n}.7")},
                {"IpAddress": format!("fd00:244:{n}::7")},
            ]});
            node.container(*network, "", &both)
        })
        .collect();
    let _servers: Vec<_> = inside
        .iter()
        .zip(&nodes)
        .flat_map(|(netns, node)| {
            let n = node.number;
            [
                tcp_server(netns, &format!("t{n}"), &format!("10.244.{n}.7:80")),
                udp_server(netns, &format!("u{n}"), &format!("[fd00:244:{n}::7]:53")),
            ]
        })
        .collect();
    for (from, node) in inside.iter().zip(&nodes) {
        for to in [1, 2, 3].into_iter().filter(|to| *to != node.number) {
            let answer = tcp(from, &format!("10.244.{to}.7:80")).unwrap();
            assert_eq!(answer.server, format!("t{to}"));
            assert_eq!(answer.client.to_string(), format!("10.244.{}.7", node.number));
            let answer = udp(from, &format!("[fd00:244:{to}::7]:53")).unwrap();
            assert_eq!(answer.server, format!("u{to}"));
            // Full packets fit: the ports know what the tunnel takes.
            from.exec(&format!("ping -n -q -c 1 -W 2 -M do -s 1422 10.244.{to}.7"));
        }
    }
    // A service that starts anew, and repairs what it finds, is not noticed by those who talk.
    let mut talk = Connection::open(&inside[0], "10.244.2.7:80", Duration::from_secs(5)).unwrap();
    assert!(talk.ask().is_some());
    for node in &mut nodes {
        node.check();
        node.restart();
        node.check();
        node.repair();
        assert_eq!(talk.ask().unwrap().server, "t2");
    }
    // A host that leaves is forgotten by the others, and its addresses are nowhere.
    let router = router(&mut nodes[1], networks[1]);
    nodes[0].change_policies(networks[0], "Remove", &routes(2, VSID, &router));
    assert!(tcp_refused(&inside[0], "10.244.2.7:80"));
    assert!(tcp(&inside[0], "10.244.3.7:80").is_some());
    nodes[0].check();
}

#[test]
fn the_host_takes_part_with_host_route_only() {
    let Some((_wire, mut nodes)) = hosts::<2>() else { return };
    let networks = mesh(&mut nodes);
    let near = nodes[0].container(networks[0], "10.244.1.7", &json!({}));
    let far = nodes[1].container(networks[1], "10.244.2.7", &json!({}));
    let _servers = [
        tcp_server(&near, "near", "10.244.1.7:80"),
        tcp_server(&far, "far", "10.244.2.7:80"),
        tcp_server(&nodes[0].host, "host", "0.0.0.0:8080"),
    ];
    let (host, other) = (&nodes[0].host, &nodes[1].host);
    assert!(tcp_refused(host, "10.244.1.7:80"));
    assert!(tcp_refused(host, "10.244.2.7:80"));
    assert!(tcp_refused(&near, "10.244.1.1:8080"));
    assert!(tcp_refused(&far, "10.244.1.1:8080"));
    assert!(tcp(&near, "10.244.2.7:80").is_some());
    let _ = other;
    for (node, network) in nodes.iter_mut().zip(&networks) {
        node.change_policies(*network, "Add", &json!([{"Type": "HostRoute", "Settings": {}}]));
        node.check();
    }
    let host = &nodes[0].host;
    assert_eq!(tcp(host, "10.244.1.7:80").unwrap().client.to_string(), "10.244.1.1");
    assert_eq!(tcp(host, "10.244.2.7:80").unwrap().client.to_string(), "10.244.1.1");
    assert!(tcp(&near, "10.244.1.1:8080").is_some());
    assert!(tcp(&far, "10.244.1.1:8080").is_some());
    let policy = json!([{"Type": "HostRoute", "Settings": {}}]);
    nodes[0].change_policies(networks[0], "Remove", &policy);
    assert!(tcp_refused(&nodes[0].host, "10.244.1.7:80"));
    nodes[0].check();
}

#[test]
fn an_endpoint_of_the_hosts_own_namespace_takes_part_in_its_virtual_subnet() {
    let Some((_wire, mut nodes)) = hosts::<2>() else { return };
    let networks = mesh(&mut nodes);
    let far = nodes[1].container(networks[1], "10.244.2.7", &json!({}));
    let tenant = json!({"Name": "green", "Type": "Overlay", "Ipams": [{"Subnets": [{
        "IpAddressPrefix": "10.99.1.0/24",
        "Policies": [{"Type": "VSID", "Settings": {"IsolationId": 5001}}],
    }]}]});
    let green = nodes[0].create(Operation::CreateNetwork, &tenant);
    let namespace = nodes[0].create(Operation::CreateNamespace, &json!({"Type": "HostDefault"}));
    for (network, address) in [(networks[0], "10.244.1.9"), (green, "10.99.1.9")] {
        let endpoint = nodes[0].create(
            Operation::CreateEndpoint,
            &json!({
                "HostComputeNetwork": network.to_string(),
                "IpConfigurations": [{"IpAddress": address}],
            }),
        );
        nodes[0].attach(namespace, endpoint);
    }
    let _servers = [
        tcp_server(&nodes[0].host, "host", "0.0.0.0:8080"),
        tcp_server(&far, "far", "10.244.2.7:80"),
    ];
    assert_eq!(tcp(&far, "10.244.1.9:8080").unwrap().client.to_string(), "10.244.2.7");
    // Neither what else the host has, nor its endpoint of another virtual subnet.
    for closed in ["10.244.1.1:8080", "192.0.2.1:8080", "10.99.1.9:8080"] {
        assert!(tcp_refused(&far, closed), "{closed}");
    }
    nodes[0].host.exec("ping -n -q -c 1 -W 2 -I 10.244.1.9 10.244.2.7");
    assert!(tcp_refused(&nodes[0].host, "10.244.2.7:80"));
    nodes.iter_mut().for_each(Node::check);
}

#[test]
fn virtual_subnets_do_not_meet() {
    let Some((wire, mut nodes)) = hosts::<2>() else { return };
    let blue = mesh(&mut nodes);
    // The same host has another tenant, in a virtual subnet of its own.
    let tenant = json!({
        "Name": "green",
        "Type": "Overlay",
        "Ipams": [{"Subnets": [
            {
                "IpAddressPrefix": "10.99.1.0/24",
                "Policies": [{"Type": "VSID", "Settings": {"IsolationId": 5001}}],
            },
            {
                "IpAddressPrefix": "10.99.2.0/24",
                "Policies": [{"Type": "VSID", "Settings": {"IsolationId": 5002}}],
            },
        ]}],
    });
    let green = nodes[0].create(Operation::CreateNetwork, &tenant);
    let a = nodes[0].container(blue[0], "10.244.1.7", &json!({}));
    let b = nodes[1].container(blue[1], "10.244.2.7", &json!({}));
    let c = nodes[0].container(green, "10.99.1.7", &json!({}));
    let d = nodes[0].container(green, "10.99.2.7", &json!({}));
    let e = nodes[0].container(green, "10.99.1.8", &json!({}));
    let _servers = [
        tcp_server(&a, "a", "10.244.1.7:80"),
        tcp_server(&b, "b", "10.244.2.7:80"),
        tcp_server(&c, "c", "10.99.1.7:80"),
        tcp_server(&d, "d", "10.99.2.7:80"),
    ];
    assert!(tcp(&e, "10.99.1.7:80").is_some());
    // Neither on the host, nor over the wire, nor between the virtual subnets of one network.
    for (from, to) in [
        (&c, "10.244.1.7:80"),
        (&c, "10.244.2.7:80"),
        (&c, "10.99.2.7:80"),
        (&d, "10.99.1.7:80"),
        (&a, "10.99.1.7:80"),
        (&b, "10.99.1.7:80"),
    ] {
        assert!(tcp_refused(from, to), "{to}");
    }
    // What comes out of a tunnel with a source that nobody told of does not get through: another host claims to be the tenant.
    let arrived = || {
        let shown = a.exec("cat /proc/net/snmp");
        let mut lines = shown.lines().filter(|line| line.starts_with("Icmp:"));
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        let place = names.split(' ').position(|name| name == "InEchos").unwrap();
        values.split(' ').nth(place).unwrap().parse::<u32>().unwrap()
    };
    let policy = json!([{"Type": "HostRoute", "Settings": {}}]);
    nodes[1].change_policies(blue[1], "Add", &policy);
    // Addresses of the tenant here, of what it has behind its own tunnel, of a neighbour of the receiver, and of nobody.
    let elsewhere = json!([{"Type": "RemoteSubnetRoute", "Settings": {
        "DestinationPrefix": "10.99.9.0/24",
        "IsolationId": 5001,
        "ProviderAddress": address(2),
        "DistributedRouterMacAddress": "02:00:00:00:00:99",
    }}]);
    nodes[0].change_policies(green, "Add", &elsewhere);
    let _neighbour = nodes[0].container(blue[0], "10.244.1.8", &json!({}));
    let forged = ["10.99.1.99", "10.99.9.9", "10.244.1.8", "10.244.1.200", "203.0.113.7"];
    let forger = &nodes[1].host;
    for source in forged {
        forger.exec(&format!("ip addr add {source}/32 dev lo"));
    }
    let echo = |source: &str| {
        forger.run(|| {
            let mut ping = std::process::Command::new("ping");
            let ping = ping.args(["-n", "-q", "-c", "1", "-W", "1", "-I", source, "10.244.1.7"]);
            let _ = ping.output().unwrap();
        });
        arrived()
    };
    let before = arrived();
    assert_eq!(echo("10.244.2.1"), before + 1);
    for source in forged {
        assert_eq!(echo(source), before + 1, "{source}");
    }
    // No machine of the network below can use the host as a way into the virtual subnet.
    let stranger = wire.node(9);
    stranger.host.exec("ip route add 10.244.0.0/16 via 192.0.2.1");
    assert!(tcp_refused(&stranger.host, "10.244.1.7:80"));
    assert!(tcp_refused(&stranger.host, "10.244.2.7:80"));
    nodes.iter_mut().for_each(Node::check);
}

#[test]
fn remote_endpoints_lead_to_single_addresses() {
    let Some((_wire, mut nodes)) = hosts::<2>() else { return };
    let networks: Vec<Guid> = nodes
        .iter_mut()
        .map(|node| {
            // As docker: all hosts have the whole subnet, and know of each address.
            let subnet = json!({
                "IpAddressPrefix": "10.50.0.0/16",
                "Policies": [{"Type": "VSID", "Settings": {"IsolationId": 7000}}],
            });
            let document = json!({
                "Name": "whole", "Type": "Overlay", "Ipams": [{"Subnets": [subnet]}],
                "Policies": [{"Type": "VxlanPort", "Settings": {"Port": 4444}}],
            });
            node.create(Operation::CreateNetwork, &document)
        })
        .collect();
    let routers: Vec<String> =
        nodes.iter_mut().zip(&networks).map(|(node, n)| router(node, *n)).collect();
    // Each is known to the other host under its own MAC, not by its host's router.
    let macs = ["02-42-0A-32-01-01", "02-42-0A-32-02-02"];
    let [of_near, of_far] = macs.map(|mac| json!({"MacAddress": mac}));
    let near = nodes[0].container(networks[0], "10.50.1.1", &of_near);
    let far = nodes[1].container(networks[1], "10.50.2.2", &of_far);
    let _server = tcp_server(&far, "far", "10.50.2.2:80");
    assert!(tcp_refused(&near, "10.50.2.2:80"));
    let elsewhere = |node: u8, address: &str, network: Guid, mac: &str| {
        json!({
            "HostComputeNetwork": network.to_string(),
            "Flags": 1,
            "IpConfigurations": [{"IpAddress": address}],
            "MacAddress": mac,
            "Policies": [{"Type": "ProviderAddress", "Settings": {
                "ProviderAddress": lab::node::address(node),
            }}],
        })
    };
    let remote = nodes[0]
        .create(Operation::CreateEndpoint, &elsewhere(2, "10.50.2.2", networks[0], macs[1]));
    nodes[1].create(Operation::CreateEndpoint, &elsewhere(1, "10.50.1.1", networks[1], macs[0]));
    assert_eq!(tcp(&near, "10.50.2.2:80").unwrap().client.to_string(), "10.50.1.1");
    // A second address, behind the router and outside of every subnet; then the first goes, and the second stays.
    nodes[0]
        .create(Operation::CreateEndpoint, &elsewhere(2, "10.60.0.1", networks[0], &routers[1]));
    nodes[0].check();
    nodes[0].delete(Operation::DeleteEndpoint, remote);
    nodes[0].check();
    assert!(tcp_refused(&near, "10.50.2.2:80"));
    // Nothing of a remote endpoint is here.
    let mut document = elsewhere(2, "10.50.2.9", networks[0], "02-00-00-00-00-09");
    let id = nodes[0].create(Operation::CreateEndpoint, &document);
    let stats = nodes[0].call(Operation::QueryEndpointStats, Some(id), &json!({}));
    assert_eq!(stats.unwrap_err().hresult, HResult::HCN_E_ENDPOINT_NOT_LOCAL);
    document["IpConfigurations"] = json!([{"IpAddress": "10.50.2.10"}]);
    document["Policies"] = json!([]);
    let refused = nodes[0].call(Operation::CreateEndpoint, None, &document).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_POLICY_NOT_FOUND);
    nodes.iter_mut().for_each(Node::check);
}

#[test]
fn nothing_is_left_and_the_uplink_is_as_before() {
    let Some((_wire, mut nodes)) = hosts::<2>() else { return };
    let before = nodes.each_ref().map(Node::uplink);
    let networks = mesh(&mut nodes);
    let _near = nodes[0].container(networks[0], "10.244.1.7", &json!({}));
    nodes[0].restart();
    nodes[0].check();
    // Someone takes the tunnel away, and changes who is behind the other.
    let tunnel = |node: &Node| {
        let shown = node.host.exec("ip -br link show type vxlan");
        shown.split_whitespace().next().unwrap().to_owned()
    };
    let name = tunnel(&nodes[0]);
    nodes[0].host.exec(&format!("ip link delete {name}"));
    nodes[0].repair();
    nodes[0].check();
    let name = tunnel(&nodes[1]);
    nodes[1].host.exec(&format!("bridge fdb append 02:aa:00:00:00:01 dev {name} dst 192.0.2.77"));
    nodes[1].host.exec(&format!("ip neigh del 10.244.1.0 dev {name}"));
    nodes[1].host.exec(&format!("nft delete table netdev hostcompute_{name}"));
    nodes[1].repair();
    nodes[1].check();
    for (node, network) in nodes.iter_mut().zip(&networks) {
        node.delete(Operation::DeleteNetwork, *network);
        node.check();
    }
    let remaining = nodes[0].call(Operation::EnumerateEndpoints, None, &json!({})).unwrap();
    assert_eq!(remaining, Reply::Ids(vec![]));
    for (node, before) in nodes.iter().zip(&before) {
        assert_eq!(node.uplink(), *before);
        assert_eq!(node.host.exec("ip -br link show type vxlan"), "");
        assert_eq!(node.host.exec("nft list tables"), "");
    }
}

#[test]
fn endpoints_leave_the_overlay_by_outbound_nat_only() {
    let Some((wire, mut nodes)) = hosts::<2>() else { return };
    let networks = mesh(&mut nodes);
    let stranger = wire.node(9);
    let policies = json!({"Policies": [
        {"Type": "OutBoundNAT", "Settings": {"Exceptions": ["10.244.0.0/16"]}},
        {"Type": "PortMapping", "Settings": {
            "Protocol": 6, "InternalPort": 80, "ExternalPort": 8081,
        }},
        {"Type": "ProviderAddress", "Settings": {"ProviderAddress": "192.0.2.1"}},
    ]});
    let open = nodes[0].container(networks[0], "10.244.1.7", &policies);
    let closed = nodes[0].container(networks[0], "10.244.1.8", &json!({}));
    let far = nodes[1].container(networks[1], "10.244.2.7", &json!({}));
    let _servers = [
        tcp_server(&open, "open", "10.244.1.7:80"),
        tcp_server(&stranger.host, "stranger", "192.0.2.9:80"),
        tcp_server(&far, "far", "10.244.2.7:80"),
    ];
    assert_eq!(tcp(&open, "192.0.2.9:80").unwrap().client.to_string(), "192.0.2.1");
    assert!(tcp_refused(&closed, "192.0.2.9:80"));
    assert_eq!(tcp(&open, "10.244.2.7:80").unwrap().client.to_string(), "10.244.1.7");
    assert_eq!(tcp(&stranger.host, "192.0.2.1:8081").unwrap().client.to_string(), "192.0.2.9");
    assert!(ping(&closed, "10.244.2.7"));
    assert!(ping_refused(&closed, "192.0.2.9"));
    nodes.iter_mut().for_each(Node::check);
}

#[test]
fn backends_on_other_hosts_answer_clients_from_anywhere() {
    let Some((wire, mut nodes)) = hosts::<2>() else { return };
    let networks = mesh(&mut nodes);
    let stranger = wire.node(9);
    let near = nodes[0].container(networks[0], "10.244.1.7", &json!({}));
    let far = nodes[1].container(networks[1], "10.244.2.7", &json!({}));
    let private = json!({"Name": "nat", "Type": "NAT", "Ipams": [{"Subnets": [{
        "IpAddressPrefix": "10.7.0.0/24",
        "Routes": [{"NextHop": "10.7.0.1", "DestinationPrefix": "0.0.0.0/0"}],
    }]}]});
    let private = nodes[0].create(Operation::CreateNetwork, &private);
    let other = nodes[0].container(private, "10.7.0.7", &json!({}));
    let _server = tcp_server(&far, "far", "10.244.2.7:80");
    let backend = nodes[0].create(
        Operation::CreateEndpoint,
        &json!({
            "HostComputeNetwork": networks[0].to_string(),
            "Flags": 1,
            "IpConfigurations": [{"IpAddress": "10.244.2.7"}],
            "MacAddress": "02-11-0a-f4-02-07",
            "Policies": [{"Type": "ProviderAddress", "Settings": {"ProviderAddress": address(2)}}],
        }),
    );
    let balancer = |vips: Value| {
        json!({
            "HostComputeEndpoints": [backend.to_string()],
            "FrontendVIPs": vips,
            "PortMappings": [{"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080}],
        })
    };
    nodes[0].create(Operation::CreateLoadBalancer, &balancer(json!(["10.96.0.1"])));
    nodes[0].create(Operation::CreateLoadBalancer, &balancer(json!([])));
    let seen = |from: &lab::Netns, to: &str| tcp(from, to).unwrap().client.to_string();
    // Who is of the virtual subnet keeps the address; all others come, and get their answers, by the host's own there.
    assert_eq!(seen(&near, "10.96.0.1:8080"), "10.244.1.7");
    assert_eq!(seen(&other, "10.96.0.1:8080"), "10.244.1.1");
    assert_eq!(seen(&stranger.host, "192.0.2.1:8080"), "10.244.1.1");
    for from_host in ["10.96.0.1:8080", "192.0.2.1:8080", "127.0.0.1:8080"] {
        assert_eq!(seen(&nodes[0].host, from_host), "10.244.1.1", "{from_host}");
    }
    nodes.iter_mut().for_each(Node::check);
}
