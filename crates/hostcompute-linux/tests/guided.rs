//! Transparent networks whose endpoints have policies: machines of their own on the wire, with the host in between.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use hostcompute_engine::host::Host;
use hostcompute_engine::network::attach;
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Guid, HResult};
use serde_json::{Value, json};

use lab::Netns;
use lab::node::{Node, Wire, seclude};
use lab::traffic::{tcp, tcp_refused, tcp_server};

fn network(policies: &Value) -> Value {
    json!({
        "Name": "wire",
        "Type": "Transparent",
        "Policies": policies,
        "Ipams": [{"Subnets": [
            {
                "IpAddressPrefix": "192.0.2.0/24",
                "Routes": [{"NextHop": "192.0.2.254", "DestinationPrefix": "0.0.0.0/0"}],
            },
            {
                "IpAddressPrefix": "2001:db8:2::/64",
                "Routes": [{"NextHop": "2001:db8:2::254", "DestinationPrefix": "::/0"}],
            },
        ]}],
    })
}

fn rule(action: &str, direction: &str, remote: &str, priority: u16) -> Value {
    json!({"Type": "ACL", "Settings": {
        "Action": action, "Direction": direction, "RemoteAddresses": remote,
        "RuleType": "Switch", "Priority": priority,
    }})
}

fn out_bound(exceptions: &[&str]) -> Value {
    json!({"Type": "OutBoundNAT", "Settings": {"Exceptions": exceptions}})
}

fn change(host: &mut Node, endpoint: Guid, how: &str, policies: &Value) {
    let request = json!({
        "ResourceType": "Policy", "RequestType": how, "Settings": {"Policies": policies},
    });
    host.modify(Operation::ModifyEndpoint, endpoint, &request);
}

fn seen(from: &Netns, to: &str) -> String {
    tcp(from, to).unwrap_or_else(|| panic!("{to} does not answer")).client.to_string()
}

#[test]
fn guided_endpoints_are_machines_under_their_own_macs() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine, gateway) = (wire.node(1), wire.node(9), wire.node(254));
    gateway.host.exec("ip route del default");
    gateway.host.exec("ip addr add 203.0.113.1/32 dev lo");
    for (node, number) in [(&host, 1), (&machine, 9)] {
        node.host.exec(&format!("ip -6 addr add fe80::{number}/64 dev up0 nodad"));
        node.host.exec(&format!("ip -6 addr add 2001:db8:2::{number}/64 dev up0 nodad"));
    }
    host.await_route_to("2001:db8:2::1");
    let before = host.uplink();
    let network = host.create(Operation::CreateNetwork, &network(&json!([])));
    let open = json!([rule("Allow", "In", "", 100), rule("Allow", "Out", "", 100)]);
    let both = json!({
        "IpConfigurations": [{"IpAddress": "192.0.2.50"}, {"IpAddress": "2001:db8:2::50"}],
        "Policies": open,
    });
    let (a, id) = host.container_and_endpoint(network, "", &both);
    let b = host.container(network, "192.0.2.51", &json!({"Policies": open}));
    // A station of the same network.
    let c = host.container(network, "192.0.2.52", &json!({}));
    host.check();
    for (family, address) in [("ip", "192.0.2.50"), ("ip6", "2001:db8:2::50")] {
        machine.insist(family, address, &a.mac("eth0"));
    }
    let _servers = [
        tcp_server(&a, "a", "192.0.2.50:80"),
        tcp_server(&a, "a6", "[2001:db8:2::50]:80"),
        tcp_server(&c, "c", "192.0.2.52:80"),
        tcp_server(&machine.host, "machine", "192.0.2.9:80"),
        tcp_server(&machine.host, "machine6", "[2001:db8:2::9]:80"),
        tcp_server(&host.host, "host", "192.0.2.1:80"),
        tcp_server(&gateway.host, "elsewhere", "203.0.113.1:80"),
    ];
    assert_eq!(seen(&machine.host, "192.0.2.50:80"), "192.0.2.9");
    assert_eq!(machine.host.known_as("192.0.2.50"), a.mac("eth0"));
    assert_eq!(seen(&machine.host, "[2001:db8:2::50]:80"), "2001:db8:2::9");
    assert_eq!(machine.host.known_as("2001:db8:2::50"), a.mac("eth0"));
    assert_eq!(seen(&a, "192.0.2.9:80"), "192.0.2.50");
    assert_eq!(seen(&a, "[2001:db8:2::9]:80"), "2001:db8:2::50");
    assert_eq!(seen(&a, "203.0.113.1:80"), "192.0.2.50");
    assert_eq!(seen(&b, "192.0.2.50:80"), "192.0.2.51");
    assert_eq!(seen(&a, "192.0.2.52:80"), "192.0.2.50");
    assert_eq!(seen(&c, "192.0.2.50:80"), "192.0.2.52");
    assert_eq!(seen(&a, "192.0.2.1:80"), "192.0.2.50");
    assert!(tcp(&host.host, "192.0.2.50:80").is_some());
    // The host is still known under its own MAC, and answers for nobody else.
    machine.host.exec("ip neigh flush dev up0");
    assert_eq!(seen(&machine.host, "192.0.2.1:80"), "192.0.2.9");
    let adapter = host.host.json("ip -j link show up0")[0]["address"].clone();
    assert_eq!(machine.host.known_as("192.0.2.1"), adapter);
    assert!(tcp_refused(&machine.host, "192.0.2.60:80"));
    let endpoint = host.state.endpoint(id).unwrap().clone();
    let counted = host.linux.counters(&attach::meter(&host.state, &endpoint).unwrap()).unwrap();
    assert!(counted.packets_received > 0 && counted.packets_sent > 0, "{counted:?}");
    host.restart();
    host.check();
    host.delete(Operation::DeleteNetwork, network);
    host.check();
    assert_eq!(host.uplink(), before);
}

/// hcn.md 5.8: what ZLayer gives each of its endpoints.
#[test]
fn the_way_out_is_translated_but_for_the_cluster() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine, other) = (wire.node(1), wire.node(9), wire.node(10));
    let network = host.create(Operation::CreateNetwork, &network(&json!([])));
    let policies = json!([
        out_bound(&["192.0.2.9/32"]),
        {"Type": "SDNRoute", "Settings": {"DestinationPrefix": "192.0.2.10/32", "NeedEncap": false}},
        rule("Allow", "In", "192.0.2.9/32", 65500),
    ]);
    let (a, id) =
        host.container_and_endpoint(network, "192.0.2.50", &json!({"Policies": policies}));
    let third = wire.node(11);
    host.check();
    let _servers = [
        tcp_server(&a, "a", "192.0.2.50:80"),
        tcp_server(&machine.host, "machine", "192.0.2.9:80"),
        tcp_server(&other.host, "other", "192.0.2.10:80"),
        tcp_server(&third.host, "third", "192.0.2.11:80"),
    ];
    assert_eq!(seen(&a, "192.0.2.9:80"), "192.0.2.50");
    assert_eq!(seen(&a, "192.0.2.10:80"), "192.0.2.50");
    assert_eq!(seen(&a, "192.0.2.11:80"), "192.0.2.1");
    assert_eq!(seen(&machine.host, "192.0.2.50:80"), "192.0.2.9");
    assert!(tcp_refused(&other.host, "192.0.2.50:80"), "only the cluster comes in");
    change(&mut host, id, "Update", &json!([rule("Allow", "In", "192.0.2.10/32", 65500)]));
    assert!(tcp_refused(&machine.host, "192.0.2.50:80"));
    assert_eq!(seen(&other.host, "192.0.2.50:80"), "192.0.2.10");
    host.check();
}

/// The network's gateway is not this host: what a route sends there goes there, and any machine on the wire can be a next hop.
#[test]
fn machines_on_the_wire_are_next_hops() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, router) = (wire.node(1), wire.node(9));
    router.host.exec("ip addr add 203.0.113.5/32 dev lo");
    let network = host.create(Operation::CreateNetwork, &network(&json!([])));
    let way = json!({"Type": "SDNRoute", "Settings": {
        "DestinationPrefix": "203.0.113.0/24", "NextHop": "192.0.2.9", "NeedEncap": false,
    }});
    let (a, _) = host.container_and_endpoint(network, "192.0.2.50", &json!({"Policies": [way]}));
    host.check();
    let _server = tcp_server(&router.host, "router", "203.0.113.5:80");
    assert_eq!(seen(&a, "203.0.113.5:80"), "192.0.2.50");
    host.check();
}

/// Whoever has all rights inside cannot take the rules away, nor send as somebody else.
#[test]
fn rules_are_out_of_reach_of_the_workload() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine) = (wire.node(1), wire.node(9));
    let network = host.create(Operation::CreateNetwork, &network(&json!([])));
    let policies =
        json!([rule("Block", "Out", "192.0.2.9/32", 100), rule("Allow", "Out", "", 200)]);
    let a = host.container(network, "192.0.2.50", &json!({"Policies": policies}));
    let _servers = [
        tcp_server(&machine.host, "machine", "192.0.2.9:80"),
        tcp_server(&host.host, "host", "192.0.2.1:80"),
    ];
    assert_eq!(seen(&a, "192.0.2.1:80"), "192.0.2.50");
    assert!(tcp_refused(&a, "192.0.2.9:80"));
    a.exec("nft flush ruleset");
    a.exec("ip addr add 192.0.2.77/24 dev eth0");
    a.exec("ip addr del 192.0.2.50/24 dev eth0");
    assert!(tcp_refused(&a, "192.0.2.9:80"));
    assert!(tcp_refused(&a, "192.0.2.1:80"));
}

/// A station becomes guided, and the other way round, while it is attached.
#[test]
fn policies_come_and_go_with_the_interface_in_place() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine) = (wire.node(1), wire.node(9));
    let before = host.uplink();
    let network = host.create(Operation::CreateNetwork, &network(&json!([])));
    let (a, id) = host.container_and_endpoint(network, "192.0.2.50", &json!({}));
    let (b, _) = host.container_and_endpoint(network, "192.0.2.51", &json!({}));
    assert!(!host.host.exec("nft list tables").contains("netdev"));
    assert_eq!(a.json("ip -d -j link show eth0")[0]["linkinfo"]["info_kind"], "macvlan");
    let _server = tcp_server(&machine.host, "machine", "192.0.2.9:80");
    let block = json!([rule("Block", "Out", "192.0.2.9/32", 100)]);
    for _ in 0..2 {
        assert_eq!(seen(&a, "192.0.2.9:80"), "192.0.2.50");
        change(&mut host, id, "Add", &block);
        host.check();
        assert!(tcp_refused(&a, "192.0.2.9:80"));
        assert_eq!(seen(&b, "192.0.2.9:80"), "192.0.2.51");
        change(&mut host, id, "Remove", &block);
        host.check();
    }
    // The network's own rules are for everybody.
    let everybody = json!([{"Type": "NetworkACL", "Settings": {
        "Action": "Block", "Direction": "Out", "RemoteAddresses": "192.0.2.9/32", "Priority": 100,
        "RuleType": "Switch",
    }}]);
    host.change_policies(network, "Add", &everybody);
    host.check();
    assert!(tcp_refused(&a, "192.0.2.9:80") && tcp_refused(&b, "192.0.2.9:80"));
    host.change_policies(network, "Remove", &everybody);
    host.check();
    assert_eq!(seen(&b, "192.0.2.9:80"), "192.0.2.51");
    host.delete(Operation::DeleteNetwork, network);
    host.check();
    assert_eq!(host.uplink(), before);
}

#[test]
fn isolated_machines_do_not_see_each_other() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine) = (wire.node(1), wire.node(9));
    let network = host.create(Operation::CreateNetwork, &network(&json!([])));
    let open = json!([rule("Allow", "In", "", 100), rule("Allow", "Out", "", 100)]);
    let isolated = json!({"Flags": 2, "Policies": open});
    let a = host.container(network, "192.0.2.50", &isolated);
    let b = host.container(network, "192.0.2.51", &json!({"Policies": open}));
    let c = host.container(network, "192.0.2.52", &json!({}));
    host.check();
    let _servers = [
        tcp_server(&a, "a", "192.0.2.50:80"),
        tcp_server(&b, "b", "192.0.2.51:80"),
        tcp_server(&c, "c", "192.0.2.52:80"),
        tcp_server(&machine.host, "machine", "192.0.2.9:80"),
    ];
    for (from, to) in [(&a, 51), (&a, 52), (&b, 50), (&c, 50)] {
        assert!(tcp_refused(from, &format!("192.0.2.{to}:80")), "{to}");
    }
    assert_eq!(seen(&b, "192.0.2.52:80"), "192.0.2.51");
    machine.insist("ip", "192.0.2.50", &a.mac("eth0"));
    assert_eq!(seen(&a, "192.0.2.9:80"), "192.0.2.50");
    assert_eq!(seen(&machine.host, "192.0.2.50:80"), "192.0.2.9");
}

#[test]
fn a_limit_and_a_balancer_work_on_guided_endpoints() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine) = (wire.node(1), wire.node(9));
    let network = host.create(Operation::CreateNetwork, &network(&json!([])));
    let limit = json!([{"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": 100_000}}]);
    let (a, id) = host.container_and_endpoint(network, "192.0.2.50", &json!({"Policies": limit}));
    let (_b, station) = host.container_and_endpoint(network, "192.0.2.51", &json!({}));
    assert!(host.host.exec("tc qdisc").contains("tbf"));
    let balancer = |backend: Guid| {
        json!({
            "HostComputeEndpoints": [backend.to_string()],
            "FrontendVIPs": ["192.0.2.1"],
            "PortMappings": [{"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080}],
        })
    };
    let refused = host.call(Operation::CreateLoadBalancer, None, &balancer(station)).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_REQUEST_UNSUPPORTED);
    host.create(Operation::CreateLoadBalancer, &balancer(id));
    host.check();
    let _server = tcp_server(&a, "a", "192.0.2.50:80");
    assert_eq!(tcp(&machine.host, "192.0.2.1:8080").unwrap().server, "a");
    let request = json!({
        "ResourceType": "Policy", "RequestType": "Remove", "Settings": {"Policies": limit},
    });
    let refused = host.call(Operation::ModifyEndpoint, Some(id), &request).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_REQUEST_UNSUPPORTED, "a backend stays guided");
    host.check();
}

#[test]
fn what_others_take_away_comes_back_and_what_is_too_much_goes() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine) = (wire.node(1), wire.node(9));
    let network = host.create(Operation::CreateNetwork, &network(&json!([])));
    let policies = json!({"Policies": [rule("Allow", "In", "", 100)]});
    let (a, id) = host.container_and_endpoint(network, "192.0.2.50", &policies);
    let _server = tcp_server(&a, "a", "192.0.2.50:80");
    machine.insist("ip", "192.0.2.50", &a.mac("eth0"));
    let interface = host.host.exec("ip -o link show type macvlan");
    let table = host.host.exec("nft list tables netdev");
    let table = table.split_whitespace().nth(2).unwrap().to_owned();
    let names = interface.lines().map(|line| line.split([' ', '@']).nth(1).unwrap());
    let name = names.into_iter().find(|name| !table.ends_with(name)).unwrap().to_owned();
    let guise = table.trim_start_matches("hostcompute_").to_owned();
    for damage in [
        format!("ip link del {guise}"),
        format!("ip link del {name}"),
        format!("ip link set {name} down"),
        format!("ip neigh del proxy 192.0.2.50 dev {name}"),
        format!("nft delete table netdev {table}"),
        format!("nft delete element netdev {table} mac4 {{ 192.0.2.50 }}"),
    ] {
        host.host.exec(&damage);
        let found = host.linux.compare(&host.state.facts()).unwrap();
        assert!(!found.is_empty(), "{damage}");
        host.repair();
        host.check();
        machine.host.exec("ip neigh flush dev up0");
        assert_eq!(seen(&machine.host, "192.0.2.50:80"), "192.0.2.9", "{damage}");
    }
    host.host.exec("nft add table netdev hostcompute_hm77");
    host.host.exec("ip link add hm77 link up0 group 1751318530 type macvlan");
    host.repair();
    host.check();
    assert!(!host.host.exec("nft list tables").contains("hm77"));
    assert!(!host.host.exec("ip -o link").contains("hm77"));
    host.delete(Operation::DeleteEndpoint, id);
    host.check();
    assert!(!host.host.exec("nft list tables").contains("netdev"));
}

#[test]
fn what_cannot_be_guided_is_refused() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let mut host = wire.node(1);
    let with_routes = host.create(Operation::CreateNetwork, &network(&json!([])));
    let document = json!({
        "HostComputeNetwork": with_routes.to_string(),
        "Policies": [rule("Block", "Out", "", 100)],
        "Routes": [{"NextHop": "192.0.2.9", "DestinationPrefix": "203.0.113.0/24"}],
    });
    let refused = host.call(Operation::CreateEndpoint, None, &document).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_REQUEST_UNSUPPORTED);
    host.delete(Operation::DeleteNetwork, with_routes);
    let mut bare = network(&json!([]));
    bare["Ipams"] = json!([]);
    let bare = host.create(Operation::CreateNetwork, &bare);
    let document = json!({
        "HostComputeNetwork": bare.to_string(), "Policies": [rule("Block", "Out", "", 100)],
    });
    let refused = host.call(Operation::CreateEndpoint, None, &document).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_REQUEST_UNSUPPORTED);
    host.check();
}
