//! Namespaces of guests: endpoints as taps that virtual machines are plugged into, under the same rules as everybody's.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use hostcompute_engine::host::Host;
use hostcompute_engine::network::attach;
use hostcompute_schema::HResult;
use hostcompute_schema::operation::Operation;
use serde_json::{Value, json};

use lab::Netns;
use lab::machine::Machine;
use lab::node::{Wire, seclude};
use lab::traffic::{tcp, tcp_refused, tcp_server};

const MAC: &str = "02:11:22:33:44:55";

fn network(kind: &str) -> Value {
    json!({"Name": "machines", "Type": kind, "Ipams": [{"Subnets": [
        {"IpAddressPrefix": "10.8.0.0/24"}, {"IpAddressPrefix": "fd08::/64"},
    ]}]})
}

fn rule(action: &str, remote: &str, priority: u16) -> Value {
    json!({"Type": "ACL", "Settings": {
        "Action": action, "Direction": "Out", "RemoteAddresses": remote,
        "RuleType": "Switch", "Priority": priority,
    }})
}

/// What whoever runs the machine tells it of its network.
fn configure(machine: &Netns) {
    for line in [
        "ip addr add 10.8.0.7/24 dev eth0",
        "ip route add default via 10.8.0.1",
        "ip -6 addr add fd08::7/128 dev eth0 nodad",
        "ip -6 route add fd08::1/128 dev eth0",
        "ip -6 route add default via fd08::1",
    ] {
        machine.exec(line);
    }
}

#[test]
fn a_machine_is_an_endpoint_like_others() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, outside) = (wire.node(1), wire.node(9));
    let network = host.create(Operation::CreateNetwork, &network("NAT"));
    let both = |last: &str| json!([{"IpAddress": format!("10.8.0.{last}")}, {"IpAddress": format!("fd08::{last}")}]);
    let b = host.container(network, "", &json!({"IpConfigurations": both("9")}));
    let c = host.container(network, "", &json!({"IpConfigurations": both("10")}));
    let (namespace, endpoint, tap) = host.socket(
        network,
        &json!({
            "MacAddress": MAC,
            "IpConfigurations": both("7"),
            "Policies": [
                rule("Block", "10.8.0.10/32,fd08::10/128", 100),
                rule("Allow", "", 200),
                {"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": 10_000_000}},
                {"Type": "InterfaceParameters", "Settings": {"Mtu": 1400}},
                {"Type": "PortMapping", "Settings": {
                    "Protocol": 6, "InternalPort": 80, "ExternalPort": 8080,
                }},
            ],
        }),
    );
    host.check();
    // It waits for whoever opens it, also over a restart of the service.
    host.restart();
    host.check();
    let shown = host.host.exec(&format!("ip -d link show {tap}"));
    assert!(shown.contains("tun type tap") && shown.contains("mtu 1400"), "{shown}");
    assert!(host.host.exec("tc qdisc").contains("tbf"));
    let machine = Machine::boot(&host.host, &tap, MAC);
    configure(&machine.netns);
    let _servers = [
        tcp_server(&b, "b", "10.8.0.9:80"),
        tcp_server(&b, "b6", "[fd08::9]:80"),
        tcp_server(&c, "c", "10.8.0.10:80"),
        tcp_server(&machine.netns, "machine", "0.0.0.0:80"),
        tcp_server(&outside.host, "outside", "192.0.2.9:80"),
        tcp_server(&host.host, "host", "10.8.0.1:22"),
    ];
    let seen = |from: &Netns, to: &str| tcp(from, to).unwrap().client.to_string();
    assert_eq!(seen(&machine.netns, "10.8.0.9:80"), "10.8.0.7");
    assert_eq!(seen(&machine.netns, "[fd08::9]:80"), "fd08::7");
    assert_eq!(seen(&machine.netns, "10.8.0.1:22"), "10.8.0.7");
    assert_eq!(seen(&machine.netns, "192.0.2.9:80"), "192.0.2.1");
    assert_eq!(seen(&b, "10.8.0.7:80"), "10.8.0.9");
    assert_eq!(tcp(&outside.host, "192.0.2.1:8080").unwrap().server, "machine");
    assert!(tcp_refused(&machine.netns, "10.8.0.10:80"), "its rules hold");
    let endpoint_now = host.state.endpoint(endpoint).unwrap().clone();
    let meter = attach::meter(&host.state, &endpoint_now).unwrap();
    assert!(host.linux.counters(&meter).unwrap().packets_sent > 0);
    // It cannot pretend to be another.
    machine.netns.exec("ip addr add 10.8.0.77/24 dev eth0");
    machine.netns.exec("ip route replace 10.8.0.9/32 via 10.8.0.1 src 10.8.0.77");
    assert!(tcp_refused(&machine.netns, "10.8.0.9:80"));
    machine.netns.exec("ip route del 10.8.0.9/32");
    machine.netns.exec("ip link set eth0 down");
    machine.netns.exec("ip link set eth0 address 02:11:22:33:44:66");
    machine.netns.exec("ip link set eth0 up");
    machine.netns.exec("ip route add default via 10.8.0.1");
    assert!(tcp_refused(&machine.netns, "10.8.0.9:80"));
    drop(machine);
    host.check();
    host.host.exec(&format!("ip link del {tap}"));
    host.repair();
    host.check();
    let request = json!({
        "ResourceType": "Endpoint", "RequestType": "Remove",
        "Settings": {"EndpointId": endpoint.to_string()},
    });
    host.modify(Operation::ModifyNamespace, namespace, &request);
    host.check();
    host.linux.settle().unwrap();
    assert!(!host.host.exec("ip -o link").contains(&tap));
    host.attach(namespace, endpoint);
    host.check();
    host.delete(Operation::DeleteNamespace, namespace);
    host.check();
}

#[test]
fn machines_on_a_wire_have_their_own_macs_there() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, other) = (wire.node(1), wire.node(9));
    let document = json!({"Name": "wire", "Type": "Transparent", "Ipams": [{"Subnets": [{
        "IpAddressPrefix": "192.0.2.0/24",
        "Routes": [{"NextHop": "192.0.2.254", "DestinationPrefix": "0.0.0.0/0"}],
    }]}]});
    let network = host.create(Operation::CreateNetwork, &document);
    let endpoint = json!({"MacAddress": MAC, "IpConfigurations": [{"IpAddress": "192.0.2.50"}]});
    let (namespace, _, tap) = host.socket(network, &endpoint);
    host.check();
    let machine = Machine::boot(&host.host, &tap, MAC);
    machine.netns.exec("ip addr add 192.0.2.50/24 dev eth0");
    let _servers = [
        tcp_server(&machine.netns, "machine", "192.0.2.50:80"),
        tcp_server(&other.host, "other", "192.0.2.9:80"),
    ];
    assert_eq!(tcp(&other.host, "192.0.2.50:80").unwrap().client.to_string(), "192.0.2.9");
    assert_eq!(tcp(&machine.netns, "192.0.2.9:80").unwrap().client.to_string(), "192.0.2.50");
    assert!(other.host.exec("ip neigh show 192.0.2.50").contains(MAC));
    host.delete(Operation::DeleteNamespace, namespace);
    host.check();
    assert!(!host.host.exec("nft list tables").contains("netdev"));
}

#[test]
fn what_only_the_inside_could_do_is_refused() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let mut host = wire.node(1);
    let network = host.create(Operation::CreateNetwork, &network("NAT"));
    let guest = host.create(Operation::CreateNamespace, &json!({"Type": "GuestDefault"}));
    for more in [
        json!({"Flags": 8}),
        json!({"Policies": [{"Type": "L4WFPPROXY", "Settings": {
            "OutboundProxyPort": "15001", "UserSID": "S-1-22-1-1337",
            "FilterTuple": {"Protocols": "6"},
        }}]}),
    ] {
        let mut document = more;
        document["HostComputeNetwork"] = network.to_string().into();
        let endpoint = host.create(Operation::CreateEndpoint, &document);
        let request = json!({
            "ResourceType": "Endpoint", "RequestType": "Add",
            "Settings": {"EndpointId": endpoint.to_string()},
        });
        let refused = host.call(Operation::ModifyNamespace, Some(guest), &request).unwrap_err();
        assert_eq!(refused.hresult, HResult::HCN_E_REQUEST_UNSUPPORTED);
    }
    host.check();
}
