//! Bridged networks: endpoints as machines on the adapter's own network, and an adapter that does not notice.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::time::Duration;

use hostcompute_engine::host::Host;
use hostcompute_schema::HResult;
use hostcompute_schema::operation::Operation;
use serde_json::{Value, json};

use lab::Netns;
use lab::node::{Node, Wire, seclude};
use lab::traffic::{Connection, tcp, tcp_refused, tcp_server};

const ELSEWHERE: &str = "203.0.113.1";

fn network(kind: &str, policies: &Value) -> Value {
    json!({
        "Name": "wire",
        "Type": kind,
        "Policies": policies,
        "Ipams": [{"Subnets": [{
            "IpAddressPrefix": "192.0.2.0/24",
            "Routes": [{"NextHop": "192.0.2.254", "DestinationPrefix": "0.0.0.0/0"}],
        }]}],
    })
}

fn set(netns: &Netns, setting: &str, value: &str) {
    netns.run(|| std::fs::write(format!("/proc/sys/net/ipv4/{setting}"), value).unwrap());
}

/// The gateway of the wire, which also is a machine elsewhere.
fn router(wire: &Wire) -> Node {
    let node = wire.node(254);
    node.host.exec("ip route del default");
    node.host.exec(&format!("ip addr add {ELSEWHERE}/32 dev lo"));
    set(&node.host, "ip_forward", "1");
    for device in ["all", "up0"] {
        set(&node.host, &format!("conf/{device}/send_redirects"), "0");
        set(&node.host, &format!("conf/{device}/rp_filter"), "0");
    }
    node
}

fn mac_of(node: &Node) -> String {
    let links = node.host.json("ip -j link show up0");
    links[0]["address"].as_str().unwrap().to_owned()
}

#[test]
fn endpoints_are_machines_on_the_wire_under_the_adapters_mac() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine, gateway) = (wire.node(1), wire.node(9), router(&wire));
    let network = host.create(Operation::CreateNetwork, &network("L2Bridge", &json!([])));
    assert_eq!(host.policy(network, "ProviderAddress")["ProviderAddress"], "192.0.2.1");
    let a = host.container(network, "192.0.2.50", &json!({}));
    let b = host.container(network, "192.0.2.51", &json!({}));
    let _servers = [
        tcp_server(&a, "a", "192.0.2.50:80"),
        tcp_server(&machine.host, "machine", "192.0.2.9:80"),
        tcp_server(&gateway.host, "elsewhere", "203.0.113.1:80"),
        tcp_server(&host.host, "host", "192.0.2.1:80"),
    ];
    let seen = |from: &Netns, to: &str| tcp(from, to).unwrap().client.to_string();
    assert_eq!(seen(&machine.host, "192.0.2.50:80"), "192.0.2.9");
    assert_eq!(machine.host.known_as("192.0.2.50"), mac_of(&host));
    assert_eq!(seen(&a, "192.0.2.9:80"), "192.0.2.50");
    assert_eq!(seen(&a, "203.0.113.1:80"), "192.0.2.50");
    assert_eq!(seen(&b, "192.0.2.50:80"), "192.0.2.51");
    assert_eq!(seen(&b, "192.0.2.1:80"), "192.0.2.51");
    assert!(tcp(&host.host, "192.0.2.50:80").is_some());
    // An address that no endpoint has is not the host's to answer for.
    assert!(tcp_refused(&machine.host, "192.0.2.60:80"));
    assert_ne!(machine.host.known_as("192.0.2.60"), mac_of(&host));
    // Of the addresses that the service gives, none is the host's.
    let taken = json!({
        "HostComputeNetwork": network.to_string(),
        "IpConfigurations": [{"IpAddress": "192.0.2.1"}],
    });
    let refused = host.call(Operation::CreateEndpoint, None, &taken).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_ADDR_INVALID_OR_RESERVED);
    host.check();
    host.restart();
    host.check();
}

/// Under the MAC that the document names, and the adapter itself under its own.
#[test]
fn a_source_mac_is_what_others_see_of_endpoints() {
    if !seclude() {
        return;
    }
    const MAC: &str = "02:00:5e:10:00:01";
    let wire = Wire::new();
    let (mut host, machine, gateway) = (wire.node(1), wire.node(9), router(&wire));
    for (node, number) in [(&host, 1), (&machine, 9)] {
        node.host.exec(&format!("ip -6 addr add fe80::{number}/64 dev up0 nodad"));
        node.host.exec(&format!("ip -6 addr add 2001:db8:2::{number}/64 dev up0 nodad"));
    }
    host.await_route_to("2001:db8:2::1");
    let before = host.uplink();
    // New links would take only what the adapter's own routes lead back to.
    set(&host.host, "conf/default/rp_filter", "1");
    let policies = json!([
        {"Type": "SourceMacAddress", "Settings": {"SourceMacAddress": "02-00-5E-10-00-01"}},
    ]);
    let mut document = network("L2Bridge", &policies);
    let subnets = document["Ipams"][0]["Subnets"].as_array_mut().unwrap();
    subnets.push(json!({
        "IpAddressPrefix": "2001:db8:2::/64",
        "Routes": [{"NextHop": "2001:db8:2::254", "DestinationPrefix": "::/0"}],
    }));
    let network = host.create(Operation::CreateNetwork, &document);
    let both = json!({
        "IpConfigurations": [{"IpAddress": "192.0.2.50"}, {"IpAddress": "2001:db8:2::50"}],
    });
    let (a, id) = host.container_and_endpoint(network, "", &both);
    let translated = json!({"Policies": [{"Type": "OutBoundNAT"}]});
    let b = host.container(network, "192.0.2.51", &translated);
    host.check();
    machine.insist("ip", "192.0.2.50", MAC);
    machine.insist("ip6", "2001:db8:2::50", MAC);
    gateway.insist("ip", "192.0.2.50", MAC);
    let _servers = [
        tcp_server(&a, "a", "192.0.2.50:80"),
        tcp_server(&a, "a6", "[2001:db8:2::50]:80"),
        tcp_server(&machine.host, "machine", "192.0.2.9:80"),
        tcp_server(&machine.host, "machine6", "[2001:db8:2::9]:80"),
        tcp_server(&gateway.host, "elsewhere", "203.0.113.1:80"),
        tcp_server(&host.host, "host", "192.0.2.1:80"),
    ];
    let seen = |from: &Netns, to: &str| tcp(from, to).unwrap().client.to_string();
    let own = mac_of(&host);
    for _ in 0..2 {
        assert_eq!(seen(&machine.host, "192.0.2.50:80"), "192.0.2.9");
        assert_eq!(machine.host.known_as("192.0.2.50"), MAC);
        assert_eq!(seen(&machine.host, "[2001:db8:2::50]:80"), "2001:db8:2::9");
        assert_eq!(machine.host.known_as("2001:db8:2::50"), MAC);
        assert_eq!(seen(&a, "192.0.2.9:80"), "192.0.2.50");
        assert_eq!(seen(&a, "[2001:db8:2::9]:80"), "2001:db8:2::50");
        assert_eq!(seen(&a, "203.0.113.1:80"), "192.0.2.50");
        assert_eq!(seen(&b, "192.0.2.9:80"), "192.0.2.1");
        assert_eq!(seen(&b, "192.0.2.50:80"), "192.0.2.51");
        assert_eq!(seen(&a, "192.0.2.1:80"), "192.0.2.50");
        assert!(tcp(&host.host, "192.0.2.50:80").is_some());
        // The adapter answers for the host, under its own MAC.
        machine.host.exec("ip neigh flush dev up0");
        assert_eq!(seen(&machine.host, "192.0.2.1:80"), "192.0.2.9");
        assert_eq!(machine.host.known_as("192.0.2.1"), own);
        assert!(tcp_refused(&machine.host, "192.0.2.60:80"));
        let link = host.host.exec("ip -o link show type macvlan");
        host.host.exec(&format!("ip link del {}", link.split([' ', '@']).nth(1).unwrap()));
        assert!(!host.linux.compare(&host.state.facts()).unwrap().is_empty());
        host.restart();
        host.repair();
        host.check();
    }
    host.delete(Operation::DeleteEndpoint, id);
    host.check();
    host.delete(Operation::DeleteNetwork, network);
    host.check();
    assert_eq!(host.uplink(), before);
    assert!(!host.host.exec("nft list tables").contains("netdev"));
}

/// An adapter carries each MAC once, and what is the adapter's own says nothing new.
#[test]
fn a_source_mac_is_for_one_network_and_for_bridged_ones() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let mut host = wire.node(1);
    let with = |kind: &str, name: &str, prefix: &str, mac: &str| {
        let policy = json!([{"Type": "SourceMacAddress", "Settings": {"SourceMacAddress": mac}}]);
        let mut document = network(kind, &policy);
        document["Name"] = name.into();
        document["Ipams"][0]["Subnets"][0] = json!({
            "IpAddressPrefix": prefix,
            "Routes": [{"NextHop": prefix.replace("0/24", "254"), "DestinationPrefix": "0.0.0.0/0"}],
        });
        document
    };
    host.create(
        Operation::CreateNetwork,
        &with("L2Bridge", "a", "192.0.2.0/24", "02-00-5E-10-00-01"),
    );
    let own = mac_of(&host);
    host.create(Operation::CreateNetwork, &with("L2Bridge", "b", "198.18.1.0/24", &own));
    assert_eq!(host.host.exec("ip -o link show type macvlan").lines().count(), 1);
    let refused = |host: &mut Node, document: &Value| {
        host.call(Operation::CreateNetwork, None, document).unwrap_err().hresult
    };
    let again = with("L2Tunnel", "c", "198.18.2.0/24", "02-00-5e-10-00-01");
    assert_eq!(refused(&mut host, &again), HResult::HCN_E_INVALID_POLICY);
    let many = with("L2Bridge", "c", "198.18.2.0/24", "01-00-5E-10-00-01");
    assert_eq!(refused(&mut host, &many), HResult::HCN_E_INVALID_POLICY);
    let transparent = with("Transparent", "c", "198.18.2.0/24", "02-00-5E-10-00-02");
    assert_eq!(refused(&mut host, &transparent), HResult::HCN_E_REQUEST_UNSUPPORTED);
    host.check();
}

#[test]
fn a_session_over_the_adapter_outlives_networks() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, admin) = (wire.node(1), wire.node(9));
    let _server = tcp_server(&host.host, "shell", "192.0.2.1:22");
    let mut session =
        Connection::open(&admin.host, "192.0.2.1:22", Duration::from_secs(5)).unwrap();
    let before = host.uplink();
    for kind in ["L2Bridge", "L2Tunnel", "Overlay"] {
        let mut document = network(kind, &json!([]));
        if kind == "Overlay" {
            document["Ipams"][0]["Subnets"][0] = json!({
                "IpAddressPrefix": "10.77.0.0/24",
                "Policies": [{"Type": "VSID", "Settings": {"IsolationId": 4097}}],
            });
        }
        let address = if kind == "Overlay" { "10.77.0.50" } else { "192.0.2.50" };
        let network = host.create(Operation::CreateNetwork, &document);
        assert!(session.ask().is_some(), "{kind} made");
        let _inside = host.container(network, address, &json!({}));
        assert!(session.ask().is_some(), "{kind} used");
        host.check();
        host.delete(Operation::DeleteNetwork, network);
        assert!(session.ask().is_some(), "{kind} removed");
        host.check();
        assert_eq!(host.uplink(), before, "{kind}");
    }
}

#[test]
fn the_adapter_that_is_named_carries_the_traffic() {
    if !seclude() {
        return;
    }
    let (wire, second) = (Wire::new(), Wire::new());
    let (mut host, gateway) = (wire.node(1), router(&wire));
    second.plug(&host.host, "up1", "198.51.100.1/24", 1);
    set(&host.host, "conf/up1/rp_filter", "0");
    set(&host.host, "conf/all/rp_filter", "0");
    let other = second.node(254);
    other.host.exec("ip addr add 198.51.100.254/24 dev up0");
    other.host.exec(&format!("ip addr add {ELSEWHERE}/32 dev lo"));
    let _servers = [
        tcp_server(&gateway.host, "first", "203.0.113.1:80"),
        tcp_server(&other.host, "second", "203.0.113.1:80"),
    ];
    let mut document = network(
        "L2Bridge",
        &json!([{
            "Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "up1"},
        }]),
    );
    document["Ipams"][0]["Subnets"] = json!([{
        "IpAddressPrefix": "198.51.100.0/24",
        "Routes": [{"NextHop": "198.51.100.254", "DestinationPrefix": "0.0.0.0/0"}],
    }]);
    let network = host.create(Operation::CreateNetwork, &document);
    let inside = host.container(network, "198.51.100.50", &json!({}));
    let answer = tcp(&inside, "203.0.113.1:80").unwrap();
    assert_eq!(
        (answer.server.as_str(), answer.client.to_string().as_str()),
        ("second", "198.51.100.50")
    );
    // The host itself goes where it always went, also under its address there.
    assert_eq!(tcp(&host.host, "203.0.113.1:80").unwrap().server, "first");
    for (policy, code) in [
        (json!({"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "up7"}}), 0x803b_0006),
        (
            json!({"Type": "ProviderAddress", "Settings": {"ProviderAddress": "192.0.2.77"}}),
            0x803b_0006,
        ),
        (
            json!({"Type": "InterfaceConstraint", "Settings": {"InterfaceAlias": "up7"}}),
            0x803b_0006,
        ),
        (
            json!({"Type": "LayerConstraint", "Settings": {
                "LayerId": "6f1f6d5c-0000-4000-8000-000000000001",
            }}),
            0x803b_0003,
        ),
    ] {
        let mut document = document.clone();
        document["Name"] = json!("nowhere");
        document["Policies"] = json!([policy]);
        document["Ipams"][0]["Subnets"][0]["IpAddressPrefix"] = json!("10.8.0.0/24");
        document["Ipams"][0]["Subnets"][0]["Routes"][0]["NextHop"] = json!("10.8.0.1");
        let refused = host.call(Operation::CreateNetwork, None, &document).unwrap_err();
        assert_eq!(refused.hresult, HResult(code), "{refused}");
    }
    host.check();
}

#[test]
fn a_tunnelled_network_shows_every_packet_to_the_gateway() {
    if !seclude() {
        return;
    }
    let hops = |from: &Netns, to: &str| {
        // The kernel takes its time, at random, before it answers for another.
        let shown = from.exec(&format!("ping -n -c 5 -W 5 {to}"));
        let at = shown.find("ttl=").unwrap() + 4;
        let digits: String = shown[at..].chars().take_while(char::is_ascii_digit).collect();
        64 - digits.parse::<u32>().unwrap()
    };
    for (kind, wanted) in [("L2Bridge", 1), ("L2Tunnel", 3)] {
        let wire = Wire::new();
        let (mut host, _gateway) = (wire.node(if wanted == 1 { 1 } else { 2 }), router(&wire));
        for device in ["all", "up0"] {
            set(&host.host, &format!("conf/{device}/rp_filter"), "0");
        }
        let network = host.create(Operation::CreateNetwork, &network(kind, &json!([])));
        let a = host.container(network, "192.0.2.50", &json!({}));
        let _b = host.container(network, "192.0.2.51", &json!({}));
        assert_eq!(hops(&a, "192.0.2.51"), wanted, "{kind}");
        host.check();
    }
}

/// Whoever pulls the cable and plugs it in again finds everything in its place.
#[test]
fn the_adapter_answers_after_its_carrier_was_lost() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine) = (wire.node(1), wire.node(9));
    let network = host.create(Operation::CreateNetwork, &network("L2Bridge", &json!([])));
    let a = host.container(network, "192.0.2.50", &json!({}));
    let carrier = |is: &str| {
        wire.netns.exec(&format!("ip link set p1 {is}"));
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        let shown = if is == "up" { "LOWER_UP" } else { "NO-CARRIER" };
        while !host.host.exec("ip -o link show up0").contains(shown) {
            assert!(std::time::Instant::now() < deadline, "the adapter does not notice");
            std::thread::yield_now();
        }
    };
    carrier("down");
    carrier("up");
    host.check();
    let _server = tcp_server(&a, "a", "192.0.2.50:80");
    assert!(tcp(&machine.host, "192.0.2.50:80").is_some());
}

#[test]
fn what_others_take_away_comes_back_and_what_is_too_much_goes() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let mut host = wire.node(1);
    let before = host.uplink();
    let network = host.create(Operation::CreateNetwork, &network("L2Bridge", &json!([])));
    let _inside = host.container(network, "192.0.2.50", &json!({}));
    let rules = host.host.exec("ip rule show prio 32102");
    host.host.exec("ip rule del prio 32102");
    host.host.exec("ip neigh del proxy 192.0.2.50 dev up0");
    host.host.exec("ip rule add from 192.0.2.7 prio 32102 table 16777777 proto 104");
    host.host.exec("ip route add 192.0.2.7/32 dev up0 table 16777777 proto 104");
    host.repair();
    host.check();
    assert_eq!(host.host.exec("ip rule show prio 32102"), rules);
    host.delete(Operation::DeleteNetwork, network);
    host.check();
    assert_eq!(host.uplink(), before);
}

#[test]
fn ports_are_published_and_neighbours_can_be_kept_apart() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine) = (wire.node(1), wire.node(9));
    let network = host.create(Operation::CreateNetwork, &network("L2Bridge", &json!([])));
    let policies = json!({"Flags": 2, "Policies": [
        {"Type": "PortMapping", "Settings": {
            "Protocol": 6, "InternalPort": 80, "ExternalPort": 8081,
        }},
        {"Type": "OutBoundNAT", "Settings": {"Exceptions": ["192.0.2.9/32"]}},
        {"Type": "ACL", "Settings": {
            "Action": "Allow", "Direction": "In", "Protocols": "6", "LocalPorts": "80",
            "Priority": 200, "RuleType": "Switch",
        }},
    ]});
    let a = host.container(network, "192.0.2.50", &policies);
    let b = host.container(network, "192.0.2.51", &json!({}));
    let other = wire.node(10);
    let _servers = [
        tcp_server(&a, "a", "192.0.2.50:80"),
        tcp_server(&a, "closed", "192.0.2.50:81"),
        tcp_server(&machine.host, "machine", "192.0.2.9:80"),
        tcp_server(&other.host, "other", "192.0.2.10:80"),
    ];
    assert_eq!(tcp(&machine.host, "192.0.2.1:8081").unwrap().server, "a");
    assert!(tcp_refused(&machine.host, "192.0.2.50:81"));
    assert!(tcp_refused(&b, "192.0.2.50:80"));
    assert_eq!(tcp(&a, "192.0.2.9:80").unwrap().client.to_string(), "192.0.2.50");
    assert_eq!(tcp(&a, "192.0.2.10:80").unwrap().client.to_string(), "192.0.2.1");
    host.check();
}

/// A host with what a real adapter has by itself: a link-local address, from which it asks for its neighbours.
fn with_link_local(node: &Node, number: u8) {
    node.host.exec(&format!("ip -6 addr add fe80::{number}/64 dev up0 nodad"));
    node.host.exec(&format!("ip -6 addr add 2001:db8:2::{number}/64 dev up0 nodad"));
    node.await_route_to(&format!("2001:db8:2::{number}"));
}

#[test]
fn endpoints_have_addresses_of_both_families() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine, gateway) = (wire.node(1), wire.node(9), router(&wire));
    for (node, number) in [(&host, 1), (&machine, 9), (&gateway, 254)] {
        with_link_local(node, number);
    }
    gateway.host.exec("ip -6 addr add 2001:db8:99::1/128 dev lo nodad");
    let setting = |node: &Node| {
        node.host.run(|| std::fs::read_to_string("/proc/sys/net/ipv6/conf/up0/proxy_ndp").unwrap())
    };
    let before = host.uplink();
    let mut document = network("L2Bridge", &json!([]));
    document["Ipams"][0]["Subnets"].as_array_mut().unwrap().push(json!({
        "IpAddressPrefix": "2001:db8:2::/64",
        "Routes": [{"NextHop": "2001:db8:2::254", "DestinationPrefix": "::/0"}],
    }));
    let network = host.create(Operation::CreateNetwork, &document);
    let both = json!({"IpConfigurations": [
        {"IpAddress": "192.0.2.50"}, {"IpAddress": "2001:db8:2::50"},
    ]});
    let a = host.container(network, "", &both);
    let b = host.container(network, "2001:db8:2::51", &json!({}));
    host.check();
    let _servers = [
        tcp_server(&a, "a", "[2001:db8:2::50]:80"),
        tcp_server(&machine.host, "machine", "[2001:db8:2::9]:80"),
        tcp_server(&gateway.host, "elsewhere", "[2001:db8:99::1]:80"),
    ];
    let seen = |from: &Netns, to: &str| tcp(from, to).unwrap().client.to_string();
    assert_eq!(seen(&machine.host, "[2001:db8:2::50]:80"), "2001:db8:2::9");
    assert_eq!(machine.host.known_as("2001:db8:2::50"), mac_of(&host));
    assert_eq!(seen(&a, "[2001:db8:2::9]:80"), "2001:db8:2::50");
    assert_eq!(seen(&a, "[2001:db8:99::1]:80"), "2001:db8:2::50");
    assert_eq!(seen(&b, "[2001:db8:2::50]:80"), "2001:db8:2::51");
    assert!(tcp_refused(&machine.host, "[2001:db8:2::60]:80"));
    assert_eq!(setting(&host).trim(), "1");
    host.restart();
    host.check();
    host.delete(Operation::DeleteNetwork, network);
    host.check();
    assert_eq!(setting(&host).trim(), "0", "as it was");
    assert_eq!(host.uplink(), before);
}

#[test]
fn ranges_behind_other_machines_are_reached_by_them() {
    if !seclude() {
        return;
    }
    // Two hosts with a range of addresses each, of which the other knows who routes for it.
    let wire = Wire::new();
    let (mut one, mut two) = (wire.node(1), wire.node(2));
    let document = |own: &str, other: &str, hop: &str| {
        json!({"Name": "cbr0", "Type": "L2Bridge", "Ipams": [{"Subnets": [{
            "IpAddressPrefix": format!("{own}.0/24"),
            "Routes": [
                {"NextHop": format!("{own}.1"), "DestinationPrefix": "0.0.0.0/0"},
                {"NextHop": hop, "DestinationPrefix": format!("{other}.0/24")},
            ],
        }]}]})
    };
    let strange = document("10.244.1", "10.244.2", "203.0.113.7");
    let refused = one.call(Operation::CreateNetwork, None, &strange).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_INVALID_SUBNET);
    let first = document("10.244.1", "10.244.2", "192.0.2.2");
    let first = one.create(Operation::CreateNetwork, &first);
    let second = document("10.244.2", "10.244.1", "192.0.2.1");
    let second = two.create(Operation::CreateNetwork, &second);
    let a = one.container(first, "10.244.1.5", &json!({}));
    let b = two.container(second, "10.244.2.5", &json!({}));
    let _servers = [tcp_server(&a, "a", "10.244.1.5:80"), tcp_server(&b, "b", "10.244.2.5:80")];
    let seen = |from: &Netns, to: &str| tcp(from, to).unwrap().client.to_string();
    assert_eq!(seen(&a, "10.244.2.5:80"), "10.244.1.5");
    assert_eq!(seen(&b, "10.244.1.5:80"), "10.244.2.5");
    for node in [&mut one, &mut two] {
        node.check();
        node.restart();
        node.check();
    }
}
