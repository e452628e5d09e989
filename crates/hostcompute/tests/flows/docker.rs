//! docker (hcn.md 5.10): moby's `libnetwork/drivers/windows`, all by the older interface. Networks are known by the id that comes back, what
//! was chosen is read from the answer, and a container gets its endpoints from the shim.

use std::net::{IpAddr, TcpListener};

use hostcompute::Host;
use hostcompute::schema::Guid;
use serde_json::{Value, json};

use crate::hcsshim;
use crate::hns;
use crate::lab::Netns;
use crate::lab::traffic::{
    Server, ping, ping_refused, tcp, tcp_refused, tcp_server, udp, udp_server,
};
use crate::world::{Machine, play, router, stranger};

/// The whole text with which an answer is compared, when something is deleted that may be gone.
const GONE: &str = "The object identifier does not represent a valid object. ";

/// A network of docker's. What is empty docker does not send.
#[track_caller]
fn network(host: &Host, kind: &str, subnets: Value, more: &Value) -> Value {
    let mut document = json!({"Name": format!("docker-{kind}"), "Type": kind, "Subnets": subnets});
    add(&mut document, more);
    let made = hns::create(host, "networks", document);
    for subnet in made["Subnets"].as_array().into_iter().flatten() {
        let gateway = subnet["GatewayAddress"].as_str().unwrap_or_default();
        assert!(gateway.is_empty() || gateway.parse::<IpAddr>().is_ok(), "{made}");
    }
    made
}

fn add(document: &mut Value, more: &Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        document[name] = value.clone();
    }
}

/// A container's endpoint, and what docker reads from the answer.
struct Container {
    endpoint: Value,
    address: String,
    /// Ports of the host, in the order of the bindings.
    ports: Vec<u16>,
    network: hcsshim::Network,
}

impl Container {
    #[track_caller]
    fn run(node: &Machine, network: &Value, more: &Value) -> Self {
        let mut document = json!({"VirtualNetwork": network["ID"]});
        add(&mut document, more);
        let endpoint = hns::create(&node.host, "endpoints", document);
        let mac = endpoint["MacAddress"].as_str().unwrap();
        assert_eq!(mac.replace('-', ":").split(':').count(), 6);
        let policies = endpoint["Policies"].as_array().into_iter().flatten();
        let bound = policies.filter(|policy| policy["Type"] == "NAT");
        let ports = bound.map(|policy| {
            assert!(matches!(policy["Protocol"].as_str(), Some("tcp" | "udp" | "TCP" | "UDP")));
            u16::try_from(policy["ExternalPort"].as_u64().unwrap()).unwrap()
        });
        let ports = ports.collect();
        let address = endpoint["IPAddress"].as_str().unwrap_or_default().to_owned();
        let id: Guid = hns::id(&endpoint).parse().unwrap();
        Self { network: hcsshim::Network::of(node, &[id]), endpoint, address, ports }
    }

    fn netns(&self) -> &Netns {
        &self.network.netns
    }

    fn serve(&self, name: &str) -> Server {
        tcp_server(self.netns(), name, "0.0.0.0:80")
    }

    /// The container ends, and is removed; docker may ask twice.
    #[track_caller]
    fn remove(self, node: &Machine) {
        self.network.release(node);
        hns::delete(&node.host, "endpoints", &self.endpoint);
        is_gone(&node.host, "endpoints", &self.endpoint);
    }
}

/// What was deleted is deleted again.
#[track_caller]
fn is_gone(host: &Host, collection: &str, object: &Value) {
    let path = format!("/{collection}/{}", hns::id(object));
    assert_eq!(hns::call(host, "DELETE", &path, &Value::Null).unwrap_err(), GONE);
}

#[track_caller]
fn remove_network(host: &Host, network: &Value) {
    hns::delete(host, "networks", network);
    is_gone(host, "networks", network);
}

/// A binding of a port, as docker sends it wherever it is: it holds the port itself, or nobody does.
fn publish(protocol: &str, inside: u16, outside: u16) -> Value {
    let mut policy = json!({
        "Type": "NAT", "Protocol": protocol, "InternalPort": inside, "ExternalPortReserved": true,
    });
    if outside != 0 {
        policy["ExternalPort"] = outside.into();
    }
    policy
}

/// docker starts anew: it adopts the networks that it finds, but for those that are nobody else's business, and removes their endpoints,
/// which no container uses any more.
#[track_caller]
fn restart(host: &Host) -> Vec<String> {
    let all = hns::done(host, "GET", "/networks/", Value::Null);
    let kinds = |network: &&Value| {
        let kind = network["Type"].as_str().unwrap().to_lowercase();
        !["internal", "private", "mirrored"].contains(&&*kind)
    };
    let adopted: Vec<&Value> = all.as_array().unwrap().iter().filter(kinds).collect();
    let endpoints = hns::done(host, "GET", "/endpoints/", Value::Null);
    for endpoint in endpoints.as_array().unwrap() {
        if adopted.iter().any(|network| network["ID"] == endpoint["VirtualNetwork"]) {
            hns::delete(host, "endpoints", endpoint);
        }
    }
    adopted.iter().map(|network| network["Name"].as_str().unwrap().to_owned()).collect()
}

/// Who answers there, and whom they saw.
#[track_caller]
fn asked(from: &Netns, to: &str) -> (String, String) {
    let answer = tcp(from, to).unwrap_or_else(|| panic!("{to}: silence"));
    (answer.server, answer.client.to_string())
}

fn pair(server: &str, client: &str) -> (String, String) {
    (server.to_owned(), client.to_owned())
}

/// Docker's address plugin knows nothing: any subnet will do.
fn any_subnet() -> Value {
    json!([{"AddressPrefix": "0.0.0.0/0"}])
}

#[test]
fn nat() {
    play(|wire, [node]| {
        let outside = stranger(wire, 9);
        let nat = network(&node.host, "nat", any_subnet(), &json!({}));
        let gateway = nat["Subnets"][0]["GatewayAddress"].as_str().unwrap().to_owned();
        let web = Container::run(
            node,
            &nat,
            &json!({
                "Policies": [
                    publish("tcp", 80, 8080),
                    publish("udp", 5353, 0),
                    {"Type": "QOS", "MaximumOutgoingBandwidthInBytes": 10_000_000},
                ],
                "DNSServerList": "192.0.2.9",
                "EnableInternalDNS": true,
            }),
        );
        assert_eq!(web.ports[0], 8080);
        assert!(web.ports[1] >= 1024, "one was chosen: {:?}", web.ports);
        let other = Container::run(node, &nat, &json!({"EnableInternalDNS": true}));
        let alone = Container::run(node, &nat, &json!({"DisableICC": true}));
        let _servers = [
            web.serve("web"),
            udp_server(web.netns(), "web", "0.0.0.0:5353"),
            tcp_server(&outside, "outside", "0.0.0.0:80"),
            // docker answers questions for names itself, at the gateway.
            udp_server(&node.netns, "names", &format!("{gateway}:53")),
        ];
        let told = hns::by_name(&node.host, "networks", "docker-nat").unwrap();
        assert_eq!(told["ID"], nat["ID"]);
        assert_eq!(asked(&outside, "192.0.2.1:8080"), pair("web", "192.0.2.9"));
        assert_eq!(asked(&node.netns, "127.0.0.1:8080").0, "web");
        assert!(udp(&outside, &format!("192.0.2.1:{}", web.ports[1])).is_some());
        assert_eq!(
            asked(other.netns(), &format!("{}:80", web.address)),
            pair("web", &other.address)
        );
        assert_eq!(asked(other.netns(), "192.0.2.9:80"), pair("outside", "192.0.2.1"));
        for container in [&web, &other, &alone] {
            assert_eq!(udp(container.netns(), &format!("{gateway}:53")).unwrap().server, "names");
        }
        assert!(tcp_refused(alone.netns(), &format!("{}:80", web.address)));
        assert_eq!(asked(alone.netns(), "192.0.2.9:80"), pair("outside", "192.0.2.1"));
        // A port that is published already.
        let twin = json!({"VirtualNetwork": nat["ID"], "Policies": [publish("tcp", 80, 8080)]});
        assert!(hns::call(&node.host, "POST", "/endpoints/", &twin).is_err());
        node.kill();
        assert_eq!(asked(&outside, "192.0.2.1:8080"), pair("web", "192.0.2.9"));
        node.start();
        other.remove(node);
        // docker is killed, and its containers with it.
        assert_eq!(restart(&node.host), ["docker-nat"]);
        assert!(tcp_refused(&outside, "192.0.2.1:8080"));
        for container in [web, alone] {
            container.network.release(node);
            is_gone(&node.host, "endpoints", &container.endpoint);
        }
        remove_network(&node.host, &nat);
    });
}

#[test]
fn l2bridge() {
    play(|wire, [node]| {
        let (outside, gateway) = (stranger(wire, 9), router(wire));
        let subnet = json!([{"AddressPrefix": "192.0.2.0/24", "GatewayAddress": "192.0.2.254"}]);
        let adapter = json!({"NetworkAdapterName": "up0", "DNSServerList": "192.0.2.53"});
        let bridge = network(&node.host, "l2bridge", subnet, &adapter);
        // docker holds the port that it publishes.
        let held = node.netns.run(|| TcpListener::bind("0.0.0.0:8081").unwrap());
        let nat = json!({"Type": "OutBoundNAT", "ExceptionList": ["192.0.2.0/24"]});
        let policies = json!([publish("tcp", 80, 8081), nat]);
        let wish = json!({"IPAddress": "192.0.2.60", "MacAddress": "02-42-c0-00-02-3c", "Policies": policies});
        let web = Container::run(node, &bridge, &wish);
        assert_eq!(web.address, "192.0.2.60");
        let other = Container::run(node, &bridge, &json!({"Policies": [nat]}));
        let _servers = [
            web.serve("web"),
            tcp_server(&outside, "outside", "0.0.0.0:80"),
            tcp_server(&gateway, "internet", "203.0.113.1:80"),
        ];
        assert_eq!(asked(&outside, "192.0.2.60:80"), pair("web", "192.0.2.9"));
        assert_eq!(asked(&outside, "192.0.2.1:8081"), pair("web", "192.0.2.9"));
        assert_eq!(asked(other.netns(), "192.0.2.60:80"), pair("web", &other.address));
        assert_eq!(asked(other.netns(), "192.0.2.9:80"), pair("outside", &other.address));
        assert_eq!(asked(other.netns(), "203.0.113.1:80"), pair("internet", "192.0.2.1"));
        drop(held);
        node.kill();
        node.start();
        assert_eq!(asked(&outside, "192.0.2.1:8081"), pair("web", "192.0.2.9"));
        for container in [web, other] {
            container.remove(node);
        }
        assert_eq!(restart(&node.host), ["docker-l2bridge"]);
        remove_network(&node.host, &bridge);
    });
}

#[test]
fn transparent() {
    play(|wire, [node]| {
        let (outside, gateway) = (stranger(wire, 9), router(wire));
        let subnet = json!([{"AddressPrefix": "192.0.2.0/24", "GatewayAddress": "192.0.2.254"}]);
        let adapter = json!({"NetworkAdapterName": "up0"});
        let fixed = network(&node.host, "transparent", subnet, &adapter);
        let wish = json!({"IPAddress": "192.0.2.70", "MacAddress": "02-42-c0-00-02-46"});
        let web = Container::run(node, &fixed, &wish);
        let _servers = [
            web.serve("web"),
            tcp_server(&outside, "outside", "0.0.0.0:80"),
            tcp_server(&gateway, "internet", "203.0.113.1:80"),
        ];
        assert_eq!(asked(&outside, "192.0.2.70:80"), pair("web", "192.0.2.9"));
        assert!(outside.exec("ip neigh show 192.0.2.70").contains("02:42:c0:00:02:46"));
        // Nothing is translated on its way.
        assert_eq!(asked(web.netns(), "203.0.113.1:80"), pair("internet", "192.0.2.70"));
        assert_eq!(asked(web.netns(), "192.0.2.9:80"), pair("outside", "192.0.2.70"));
        let mapped = json!({"VirtualNetwork": fixed["ID"], "Policies": [publish("tcp", 80, 8080)]});
        assert!(hns::call(&node.host, "POST", "/endpoints/", &mapped).is_err(), "nobody maps it");
        node.kill();
        node.start();
        assert_eq!(asked(&outside, "192.0.2.70:80"), pair("web", "192.0.2.9"));
        web.remove(node);
        remove_network(&node.host, &fixed);
        // Where docker names no subnet, the container's own DHCP client finds what is on the wire.
        let dhcp = network(&node.host, "transparent", any_subnet(), &adapter);
        let guest = Container::run(node, &dhcp, &json!({}));
        assert_eq!(guest.address, "");
        guest.netns().exec("ip addr add 192.0.2.71/24 dev eth0");
        assert!(ping(guest.netns(), "192.0.2.9"));
        guest.remove(node);
        remove_network(&node.host, &dhcp);
    });
}

#[test]
fn internal() {
    play(|wire, [node]| {
        let outside = stranger(wire, 9);
        let subnet = json!([{"AddressPrefix": "10.7.0.0/24", "GatewayAddress": "10.7.0.1"}]);
        let inner = network(&node.host, "internal", subnet, &json!({}));
        let [one, two] = [1, 2].map(|_| Container::run(node, &inner, &json!({})));
        let _server = one.serve("one");
        assert_eq!(asked(two.netns(), &format!("{}:80", one.address)), pair("one", &two.address));
        assert!(ping(&node.netns, &one.address));
        assert!(ping_refused(two.netns(), "192.0.2.9") && ping_refused(&outside, &one.address));
        // docker does not adopt it, and leaves its endpoints alone.
        assert!(restart(&node.host).is_empty());
        assert_eq!(asked(two.netns(), &format!("{}:80", one.address)), pair("one", &two.address));
        for container in [one, two] {
            container.remove(node);
        }
        remove_network(&node.host, &inner);
    });
}
