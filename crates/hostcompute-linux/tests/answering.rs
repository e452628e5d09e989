//! ICS networks: an ordinary DHCP client gets its endpoint's address, names resolve at the gateway, and a fence keeps what it promises.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use hostcompute_schema::HResult;
use hostcompute_schema::operation::Operation;
use serde_json::{Value, json};

use lab::Netns;
use lab::lease::{Client, wait_for};
use lab::machine::Machine;
use lab::node::{Node, Wire, seclude};
use lab::resolver::{EVERYBODY, Resolver};
use lab::traffic::{tcp, tcp_refused, tcp_server};

const GATEWAY: &str = "10.8.0.1";

fn network(kind: &str, flags: u32, policies: &Value) -> Value {
    json!({
        "Name": "shared",
        "Type": kind,
        "Flags": flags,
        "Policies": policies,
        "Dns": {"Domain": "lab.test", "Search": ["more.test"]},
        "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.8.0.0/24"}]}],
    })
}

fn named(name: &str) -> Value {
    json!({"Name": name})
}

/// What a foreign resolver library makes of a name at the gateway.
fn look_up(netns: &Netns, kind: &str, name: &str) -> String {
    netns.run(|| {
        let output = Command::new("busybox")
            .args(["nslookup", &format!("-type={kind}"), name, GATEWAY])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}

fn modify_dns(node: &mut Node, network: hostcompute_schema::Guid) {
    let request = json!({
        "ResourceType": "DNS", "RequestType": "Update", "Settings": {"Domain": "other.test"},
    });
    node.modify(Operation::ModifyNetwork, network, &request);
}

#[test]
fn a_dhcp_client_gets_its_endpoints_address() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, outside) = (wire.node(1), wire.node(9));
    let network = host.create(Operation::CreateNetwork, &network("ICS", 3, &json!([])));
    let policies = json!([{"Type": "InterfaceParameters", "Settings": {"Mtu": 1400}}]);
    let a = host.container(network, "10.8.0.7", &json!({"Policies": policies}));
    let b = host.container(network, "10.8.0.9", &json!({}));
    host.check();
    let client = Client::begin(&a, "a");
    client.hears("ready");
    let told = client.told();
    for word in [
        "ip=10.8.0.7 ",
        "subnet=255.255.255.0 ",
        "router=10.8.0.1 ",
        "dns=10.8.0.1 ",
        "domain=lab.test ",
        "search=more.test ",
        "mtu=1400 ",
        "server=10.8.0.1",
    ] {
        assert!(told.contains(word), "{word} in {told}");
    }
    // The subnet is its link now, and the host answers for who is on it.
    let _servers = [
        tcp_server(&b, "b", "10.8.0.9:80"),
        tcp_server(&outside.host, "outside", "192.0.2.9:80"),
        tcp_server(&a, "a", "10.8.0.7:80"),
    ];
    assert_eq!(tcp(&a, "10.8.0.9:80").unwrap().client.to_string(), "10.8.0.7");
    assert_eq!(tcp(&a, "192.0.2.9:80").unwrap().client.to_string(), "192.0.2.1");
    assert!(tcp(&b, "10.8.0.7:80").is_some());
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&client.process),
        rustix::process::Signal::USR1,
    )
    .unwrap();
    client.hears("renew");
    // A new process answers as well.
    host.restart();
    host.check();
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&client.process),
        rustix::process::Signal::USR1,
    )
    .unwrap();
    wait_for("a second renewal", || client.told().matches("renew").count() >= 2);
    host.delete(Operation::DeleteNetwork, network);
    host.check();
}

#[test]
fn names_resolve_at_the_gateway() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, outside) = (wire.node(1), wire.node(9));
    let _resolver = Resolver::new(&outside.host, "192.0.2.9");
    host.resolve_at("192.0.2.9");
    let automatic = json!([{"Type": "AutomaticDNS", "Settings": {"Enable": true}}]);
    let network = host.create(Operation::CreateNetwork, &network("NAT", 0, &automatic));
    let (a, _) = host.container_and_endpoint(network, "10.8.0.7", &named("Web"));
    assert!(look_up(&a, "a", "www.example.org").contains(EVERYBODY));
    assert!(look_up(&a, "a", "web").contains("Address: 10.8.0.7"));
    assert!(look_up(&a, "a", "WEB.lab.test").contains("Address: 10.8.0.7"));
    assert!(look_up(&a, "ptr", "7.0.8.10.in-addr.arpa").contains("name = web.lab.test"));
    assert!(look_up(&a, "a", "later").contains(EVERYBODY), "the outside is asked");
    let (b, endpoint) = host.container_and_endpoint(network, "10.8.0.9", &named("later"));
    assert!(look_up(&a, "a", "later").contains("Address: 10.8.0.9"));
    assert!(look_up(&b, "a", "web").contains("Address: 10.8.0.7"));
    // Longer than a datagram: asked again over TCP, which is passed on as well.
    assert!(UdpQuestion::send(&a, "long.example.org").is_cut());
    let whole = ask_over_tcp(&a, "long.example.org");
    assert_eq!(whole[7], 60, "answers");
    assert_eq!(ask_over_tcp(&a, "web")[7], 1);
    host.delete(Operation::DeleteEndpoint, endpoint);
    assert!(look_up(&a, "a", "later").contains(EVERYBODY));
    assert!(look_up(&a, "ptr", "9.0.8.10.in-addr.arpa").contains("NXDOMAIN"));
    modify_dns(&mut host, network);
    host.check();
    host.restart();
    host.check();
    assert!(look_up(&a, "a", "web").contains("Address: 10.8.0.7"));
    // What nobody answers fails in the end; who asks meanwhile does not wait for it.
    let silent = UdpQuestion::send(&a, "silent.example.org");
    assert!(look_up(&a, "a", "web").contains("Address: 10.8.0.7"));
    assert_eq!(silent.code(), 2);
    host.delete(Operation::DeleteNetwork, network);
    host.check();
    let free = host.host.run(|| UdpSocket::bind("0.0.0.0:53").is_ok());
    assert!(free, "nobody listens any more");
}

/// A question in flight.
struct UdpQuestion(UdpSocket);

fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x77, 0x77, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

fn gateway() -> SocketAddr {
    format!("{GATEWAY}:53").parse().unwrap()
}

impl UdpQuestion {
    fn send(netns: &Netns, name: &str) -> Self {
        let socket = netns.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.send_to(&question(name), gateway()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(socket)
    }

    fn flags(&self) -> [u8; 2] {
        let mut buffer = [0; 512];
        let length = self.0.recv(&mut buffer).unwrap();
        assert!(length >= 12 && buffer[..2] == [0x77, 0x77]);
        [buffer[2], buffer[3]]
    }

    /// How the answer ends.
    fn code(&self) -> u8 {
        self.flags()[1] & 0x0f
    }

    fn is_cut(&self) -> bool {
        self.flags()[0] & 2 != 0
    }
}

fn ask_over_tcp(netns: &Netns, name: &str) -> Vec<u8> {
    let message = question(name);
    netns.run(|| {
        let mut stream = TcpStream::connect(gateway()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&(message.len() as u16).to_be_bytes()).unwrap();
        stream.write_all(&message).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        answer
    })
}

/// A virtual machine gets its endpoint's address over its tap, finds names, and what its document says.
#[test]
fn a_machine_is_served_as_a_container_is() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let mut host = wire.node(1);
    let names = json!([{"Type": "AutomaticDNS", "Settings": {"Enable": true}}]);
    let network = host.create(Operation::CreateNetwork, &network("ICS", 3, &names));
    let _web = host.container(network, "10.8.0.9", &named("web"));
    let endpoint = json!({
        "Name": "vm", "MacAddress": "02-11-22-33-44-55",
        "IpConfigurations": [{"IpAddress": "10.8.0.7"}],
    });
    let (_, _, tap) = host.socket(network, &endpoint);
    host.check();
    let machine = Machine::boot(&host.host, &tap, "02:11:22:33:44:55");
    let client = Client::begin(&machine.netns, "vm");
    client.hears("ready");
    let told = client.told();
    assert!(told.contains("bound ip=10.8.0.7 ") && told.contains("router=10.8.0.1"), "{told}");
    assert!(look_up(&machine.netns, "a", "web").contains("Address: 10.8.0.9"));
    host.check();
}

/// Answers go to endpoints alone: a machine near by can name an endpoint as the sender, but it cannot send from its port.
#[test]
fn questions_come_from_the_ports_of_those_who_ask() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, near) = (wire.node(1), wire.node(9));
    let document =
        network("ICS", 1, &json!([{"Type": "AutomaticDNS", "Settings": {"Enable": true}}]));
    let network = host.create(Operation::CreateNetwork, &document);
    let a = host.container(network, "10.8.0.7", &named("web"));
    near.host.exec("ip route add 10.8.0.1/32 via 192.0.2.1");
    near.host.exec("ip addr add 10.8.0.7/32 dev lo");
    let socket = a.run(|| UdpSocket::bind("10.8.0.7:5353").unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let ask = |netns: &Netns, id: u8| {
        let mut message = question("web");
        message[1] = id;
        netns.run(|| UdpSocket::bind("10.8.0.7:5353").map(|s| s.send_to(&message, gateway())))
    };
    ask(&near.host, 1).unwrap().unwrap();
    let mut message = question("web");
    message[1] = 2;
    socket.send_to(&message, gateway()).unwrap();
    let mut buffer = [0; 512];
    socket.recv(&mut buffer).unwrap();
    assert_eq!(buffer[1], 2, "the one that was answered");
    let refused = near.host.run(|| {
        let target = gateway();
        TcpStream::connect_timeout(&target, Duration::from_millis(400)).is_err()
    });
    assert!(refused, "nobody outside is answered");
    host.check();
}

#[test]
fn names_resolve_on_overlay_networks() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let mut host = wire.node(1);
    let mut document =
        network("Overlay", 0, &json!([{"Type": "AutomaticDNS", "Settings": {"Enable": true}}]));
    document["Ipams"] = json!([{"Subnets": [{
        "IpAddressPrefix": "10.8.0.0/24",
        "Routes": [{"NextHop": GATEWAY, "DestinationPrefix": "0.0.0.0/0"}],
        "Policies": [{"Type": "VSID", "Settings": {"IsolationId": 4097}}],
    }]}]);
    let network = host.create(Operation::CreateNetwork, &document);
    let a = host.container(network, "10.8.0.7", &named("web"));
    let _b = host.container(network, "10.8.0.9", &named("db"));
    let remote = json!({
        "HostComputeNetwork": network.to_string(),
        "Name": "far",
        "Flags": 1,
        "IpConfigurations": [{"IpAddress": "10.8.0.77"}],
        "MacAddress": "02-11-00-00-00-77",
        "Policies": [{"Type": "ProviderAddress", "Settings": {"ProviderAddress": "192.0.2.2"}}],
    });
    let far = host.create(Operation::CreateEndpoint, &remote);
    for (name, address) in [("db", "10.8.0.9"), ("web.lab.test", "10.8.0.7"), ("far", "10.8.0.77")]
    {
        assert!(look_up(&a, "a", name).contains(&format!("Address: {address}")), "{name}");
    }
    assert!(look_up(&a, "ptr", "9.0.8.10.in-addr.arpa").contains("db"));
    host.check();
    host.restart();
    host.check();
    assert!(look_up(&a, "a", "db").contains("Address: 10.8.0.9"));
    host.delete(Operation::DeleteEndpoint, far);
    assert!(!look_up(&a, "a", "far").contains("10.8.0.77"));
    let mut flags = document.clone();
    flags["Name"] = "flags".into();
    flags["Flags"] = 2.into();
    let refused = host.call(Operation::CreateNetwork, None, &flags).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_REQUEST_UNSUPPORTED);
}

/// The fence is around what is near now, not around what was near when it was drawn.
#[test]
fn a_fence_follows_the_host() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let mut host = wire.node(1);
    let router = wire.node(254);
    router.host.exec("ip addr add 203.0.113.1/32 dev lo");
    router.host.exec("ip route del default");
    let network = host.create(Operation::CreateNetwork, &network("ConstrainedICS", 0, &json!([])));
    let a = host.container(network, "10.8.0.7", &json!({}));
    let _far = tcp_server(&router.host, "far", "203.0.113.1:80");
    assert!(tcp(&a, "203.0.113.1:80").is_some());
    assert!(!host.follow(), "nothing has changed");
    host.host.exec("ip addr add 203.0.113.9/24 dev up0");
    assert!(host.follow());
    assert!(tcp_refused(&a, "203.0.113.1:80"), "it is a neighbour now");
    host.check();
    host.restart();
    host.check();
    host.host.exec("ip addr del 203.0.113.9/24 dev up0");
    assert!(host.follow());
    assert!(tcp(&a, "203.0.113.1:80").is_some());
    host.check();
}

#[test]
fn a_fence_keeps_the_host_and_its_neighbours_away() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, near) = (wire.node(1), wire.node(9));
    let router = wire.node(254);
    router.host.exec("ip addr add 203.0.113.1/32 dev lo");
    router.host.exec("ip route del default");
    let _resolver = Resolver::new(&near.host, "192.0.2.9");
    host.resolve_at("192.0.2.9");
    let network = host.create(Operation::CreateNetwork, &network("ConstrainedICS", 3, &json!([])));
    let mut open =
        json!({"Name": "open", "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.9.0.0/24"}]}]});
    open["Type"] = "NAT".into();
    let other = host.create(Operation::CreateNetwork, &open);
    let published = json!([{"Type": "PortMapping",
        "Settings": {"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080}}]);
    let own = json!([{"Type": "PortMapping",
        "Settings": {"Protocol": 6, "InternalPort": 80, "ExternalPort": 8081}}]);
    let a = host.container(network, "10.8.0.7", &json!({"Policies": own}));
    let b = host.container(network, "10.8.0.9", &json!({}));
    let c = host.container(other, "10.9.0.9", &json!({"Policies": published}));
    let _servers = [
        tcp_server(&host.host, "host", "0.0.0.0:22"),
        tcp_server(&near.host, "near", "192.0.2.9:80"),
        tcp_server(&router.host, "far", "203.0.113.1:80"),
        tcp_server(&a, "a", "10.8.0.7:80"),
        tcp_server(&b, "b", "10.8.0.9:80"),
        tcp_server(&c, "c", "10.9.0.9:80"),
    ];
    assert!(tcp(&a, "10.8.0.9:80").is_some(), "each other");
    assert_eq!(tcp(&a, "203.0.113.1:80").unwrap().client.to_string(), "192.0.2.1");
    for address in ["192.0.2.9:80", "192.0.2.1:22", "10.8.0.1:22", "10.9.0.9:80", "192.0.2.1:8080"]
    {
        assert!(tcp_refused(&a, address), "{address}");
    }
    // What is published leads in, also from near by.
    assert!(tcp(&near.host, "192.0.2.1:8081").is_some());
    assert!(tcp(&c, "192.0.2.9:80").is_some(), "others are not fenced in");
    assert!(look_up(&a, "a", "www.example.org").contains(EVERYBODY));
    let client = Client::begin(&b, "b");
    client.hears("ready");
    host.check();
    host.restart();
    host.check();
}

#[test]
fn what_nobody_would_answer_is_refused() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let mut host = wire.node(1);
    let taken = host.host.run(|| UdpSocket::bind("0.0.0.0:53").unwrap());
    let busy = host.call(Operation::CreateNetwork, None, &network("ICS", 1, &json!([])));
    assert_eq!(busy.unwrap_err().hresult, HResult::HCN_E_PORT_ALREADY_EXISTS);
    host.check();
    drop(taken);
    for (kind, flags) in [("ICS", 4), ("Private", 1), ("ICS", 256), ("ICS", 8192)] {
        let refused = host.call(Operation::CreateNetwork, None, &network(kind, flags, &json!([])));
        assert_eq!(
            refused.unwrap_err().hresult,
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "{kind} {flags}"
        );
    }
}

#[test]
fn a_virtual_machines_network_is_taken_as_its_clients_write_it() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, outside) = (wire.node(1), wire.node(9));
    let _resolver = Resolver::new(&outside.host, "192.0.2.9");
    host.resolve_at("192.0.2.9");
    // As WSL does: version 1, a block that is the whole subnet, a constraint that says nothing.
    let document = json!({
        "Name": "WSL",
        "Type": "ICS",
        "IsolateSwitch": true,
        "Flags": 9,
        "Subnets": [{
            "AddressPrefix": "10.8.0.0/20",
            "GatewayAddress": GATEWAY,
            "IpSubnets": [{"IpAddressPrefix": "10.8.0.0/20"}],
        }],
        "InterfaceConstraint": {
            "InterfaceGuid": "00000000-0000-0000-0000-000000000000",
            "InterfaceIndex": 0,
            "InterfaceMediaType": 0,
            "InterfaceAlias": "",
        },
    });
    let network = host.create(Operation::CreateNetwork, &document);
    let more = json!({
        "IpConfigurations": [],
        "SchemaVersion": {"Major": 2, "Minor": 16},
        "Policies": [{"Type": "PortName", "Settings": {"Name": ""}}],
    });
    let guest = host.container(network, "", &more);
    assert!(look_up(&guest, "a", "www.example.org").contains(EVERYBODY));
    host.check();
}
