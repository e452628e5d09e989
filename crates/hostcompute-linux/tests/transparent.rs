//! Transparent networks: endpoints are machines of their own on the adapter's wire, and the host does not notice.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::time::Duration;

use hostcompute_engine::host::Host;
use hostcompute_engine::network::attach;
use hostcompute_schema::HResult;
use hostcompute_schema::operation::Operation;
use serde_json::{Value, json};

use lab::Netns;
use lab::lease::{Client, Server};
use lab::node::{Node, Wire, seclude};
use lab::traffic::{Connection, tcp, tcp_refused, tcp_server};

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
            {"IpAddressPrefix": "2001:db8:2::/64"},
        ]}],
    })
}

fn both(address: &str, address6: &str) -> Value {
    json!({"IpConfigurations": [{"IpAddress": address}, {"IpAddress": address6}]})
}

fn router(wire: &Wire) -> Node {
    let node = wire.node(254);
    node.host.exec("ip route del default");
    node.host.exec("ip addr add 203.0.113.1/32 dev lo");
    node
}

#[test]
fn endpoints_are_machines_under_their_own_macs() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine, gateway) = (wire.node(1), wire.node(9), router(&wire));
    machine.host.exec("ip -6 addr add 2001:db8:2::9/64 dev up0 nodad");
    let before = host.uplink();
    let network = host.create(Operation::CreateNetwork, &network(&json!([])));
    let (a, id) = host.container_and_endpoint(network, "", &both("192.0.2.50", "2001:db8:2::50"));
    let b = host.container(network, "192.0.2.51", &json!({}));
    host.check();
    // An adapter that cannot be told several MACs listens to all; nothing else of it has changed.
    assert_eq!(host.uplink().replace("promiscuity 1", "promiscuity 0"), before);
    let _servers = [
        tcp_server(&a, "a", "192.0.2.50:80"),
        tcp_server(&a, "a6", "[2001:db8:2::50]:80"),
        tcp_server(&machine.host, "machine", "192.0.2.9:80"),
        tcp_server(&gateway.host, "elsewhere", "203.0.113.1:80"),
    ];
    let seen = |from: &Netns, to: &str| tcp(from, to).unwrap().client.to_string();
    assert_eq!(seen(&machine.host, "192.0.2.50:80"), "192.0.2.9");
    assert_eq!(machine.host.known_as("192.0.2.50"), a.mac("eth0"));
    assert_eq!(seen(&machine.host, "[2001:db8:2::50]:80"), "2001:db8:2::9");
    assert_eq!(seen(&a, "192.0.2.9:80"), "192.0.2.50");
    assert_eq!(seen(&a, "203.0.113.1:80"), "192.0.2.50");
    assert_eq!(seen(&b, "192.0.2.50:80"), "192.0.2.51");
    // An adapter does not speak to the machines that it carries.
    assert!(tcp_refused(&host.host, "192.0.2.50:80"));
    let endpoint = host.state.endpoint(id).unwrap().clone();
    let meter = attach::meter(&host.state, &endpoint).unwrap();
    let counted = host.linux.counters(&meter).unwrap();
    assert!(counted.packets_received > 0 && counted.packets_sent > 0, "{counted:?}");
    assert_eq!(
        host.linux.observer().unwrap().counters(&meter).map(|c| c.packets_sent > 0),
        Ok(true)
    );
    host.restart();
    host.check();
    a.exec("ip link del eth0");
    assert_eq!(host.linux.compare(&host.state.facts()).unwrap().len(), 1);
    host.repair();
    host.check();
    let taken = json!({
        "HostComputeNetwork": network.to_string(),
        "IpConfigurations": [{"IpAddress": "192.0.2.1"}],
    });
    let refused = host.call(Operation::CreateEndpoint, None, &taken).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_ADDR_INVALID_OR_RESERVED);
    host.delete(Operation::DeleteNetwork, network);
    host.check();
    assert_eq!(host.uplink(), before);
}

#[test]
fn a_session_over_the_adapter_goes_on() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, admin) = (wire.node(1), wire.node(9));
    let _server = tcp_server(&host.host, "shell", "192.0.2.1:22");
    let mut session =
        Connection::open(&admin.host, "192.0.2.1:22", Duration::from_secs(5)).unwrap();
    let network = host.create(Operation::CreateNetwork, &network(&json!([])));
    assert!(session.ask().is_some(), "made");
    let _inside = host.container(network, "192.0.2.50", &json!({}));
    assert!(session.ask().is_some(), "used");
    host.delete(Operation::DeleteNetwork, network);
    assert!(session.ask().is_some(), "removed");
    host.check();
}

#[test]
fn isolated_machines_do_not_see_each_other() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine) = (wire.node(1), wire.node(9));
    let network = host.create(Operation::CreateNetwork, &network(&json!([])));
    let a = host.container(network, "192.0.2.50", &json!({"Flags": 2}));
    let b = host.container(network, "192.0.2.51", &json!({}));
    let _servers = [tcp_server(&a, "a", "192.0.2.50:80"), tcp_server(&b, "b", "192.0.2.51:80")];
    assert!(tcp_refused(&b, "192.0.2.50:80"));
    assert!(tcp_refused(&a, "192.0.2.51:80"));
    assert!(tcp(&machine.host, "192.0.2.50:80").is_some());
    host.check();
}

#[test]
fn what_the_host_cannot_carry_out_is_refused() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let mut host = wire.node(1);
    let nowhere = json!([{"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "up7"}}]);
    let refused = host.call(Operation::CreateNetwork, None, &network(&nowhere)).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_ADAPTER_NOT_FOUND);
    let id = host.create(Operation::CreateNetwork, &network(&json!([])));
    let document = json!({
        "HostComputeNetwork": id.to_string(),
        "Policies": [{"Type": "PortMapping", "Settings": {
            "Protocol": 6, "InternalPort": 80, "ExternalPort": 8080,
        }}],
    });
    let refused = host.call(Operation::CreateEndpoint, None, &document).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_MAPPING_NOT_SUPPORTED);
    let mtu = json!([{"Type": "InterfaceParameters", "Settings": {"Mtu": 1400}}]);
    let inside = host.container(id, "192.0.2.50", &json!({"Policies": mtu}));
    assert!(inside.exec("ip link show eth0").contains("mtu 1400"));
    host.check();
}

#[test]
fn without_a_subnet_a_machine_finds_its_own_address() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine) = (wire.node(1), wire.node(9));
    let mut bare = network(&json!([]));
    bare["Ipams"] = json!([]);
    let network = host.create(Operation::CreateNetwork, &bare);
    let (inside, _) = host.container_and_endpoint(
        network,
        "",
        &json!({"IpConfigurations": [], "MacAddress": "02-11-22-33-44-55"}),
    );
    host.check();
    inside.exec("ip addr add 192.0.2.77/24 dev eth0");
    let _server = tcp_server(&inside, "own", "192.0.2.77:80");
    assert!(tcp(&machine.host, "192.0.2.77:80").is_some());
    assert_eq!(machine.host.known_as("192.0.2.77"), "02:11:22:33:44:55");
}

/// As on Windows, the client is the container's own, and the server is wherever the wire leads.
#[test]
fn addresses_are_leased_by_a_server_on_the_wire() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine, server) = (wire.node(1), wire.node(9), wire.node(67));
    let _server = Server::begin(&server.host, "192.0.2.77", "192.0.2.254");
    let mut leased = network(&json!([]));
    leased["Ipams"][0]["Type"] = "DHCP".into();
    let id = host.create(Operation::CreateNetwork, &leased);
    let told = host.network(id);
    assert_eq!(told["Ipams"][0]["Type"], "Dhcp");
    assert_eq!(told["Ipams"][0]["Subnets"][0]["IpAddressPrefix"], "192.0.2.0/24");
    // As hcsshim sends it.
    let (inside, endpoint) = host.container_and_endpoint(
        id,
        "",
        &json!({"IpConfigurations": [{"PrefixLength": 0}], "MacAddress": "02-11-22-33-44-55"}),
    );
    assert!(host.state.endpoint(endpoint).unwrap().addresses.is_empty());
    host.check();
    let client = Client::begin(&inside, "leased");
    client.hears("ready");
    let told = client.told();
    assert!(told.contains("ip=192.0.2.77 ") && told.contains("router=192.0.2.254 "), "{told}");
    let _listening = tcp_server(&inside, "leased", "192.0.2.77:80");
    assert!(tcp(&machine.host, "192.0.2.77:80").is_some());
    assert_eq!(machine.host.known_as("192.0.2.77"), "02:11:22:33:44:55");
    // What the client has made of its interface is its own business.
    host.check();
    host.restart();
    host.check();
    let given = json!({
        "HostComputeNetwork": id.to_string(), "IpConfigurations": [{"IpAddress": "192.0.2.78"}],
    });
    let refused = host.call(Operation::CreateEndpoint, None, &given).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_SUBNET_NOT_FOUND);
    let filtered = json!({
        "HostComputeNetwork": id.to_string(),
        "Policies": [{"Type": "OutBoundNAT", "Settings": {}}],
    });
    let refused = host.call(Operation::CreateEndpoint, None, &filtered).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_REQUEST_UNSUPPORTED);
    host.delete(Operation::DeleteNetwork, id);
    host.check();
}
