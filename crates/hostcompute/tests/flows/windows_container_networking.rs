//! The plugins nat, sdnbridge and sdnoverlay of Microsoft's windows-container-networking (hcn.md 5.4), and the checks of their own tests.

use std::net::Ipv4Addr;

use hostcompute::schema::Guid;
use hostcompute::schema::operation::Kind;
use serde_json::{Value, json};

use crate::cluster::Running;
use crate::containerd;
use crate::lab::Netns;
use crate::lab::traffic::{tcp, tcp_refused, tcp_server};
use crate::shim::{self, by_id, by_name, change_namespace, create};
use crate::world::{Machine, play, router, stranger};

/// A plugin's configuration.
pub struct Plugin<'a> {
    /// Of the network, which the plugin is named after.
    pub kind: &'a str,
    pub network: &'a str,
    pub subnet: &'a str,
    pub gateway: &'a str,
    /// Policies of the network.
    pub of_network: Value,
    /// AdditionalArgs, word for word.
    pub additional: Value,
    pub local_routed: bool,
    /// Mapped ports are to be let in.
    pub allow_mapped: bool,
}

/// What the runtime says of a port: protocol, in the container, on the host.
type Mapping = (&'static str, u16, u16);

impl Plugin<'_> {
    /// ADD for a pod on a network that is there, and DEL at its end.
    #[track_caller]
    pub fn run(&self, node: &Machine, last: u8) -> Running {
        let container = format!("c{last}");
        let namespace = containerd::sandbox(node);
        let endpoint = self.add(node, &container, namespace, &[]);
        self.verify(node, &endpoint, namespace);
        let name = format!("{container}_{}", self.network);
        let address = address(self.gateway, &container);
        Running::serve(node, node.inside(namespace), &address, move |node| {
            del(node, &name);
            containerd::remove(node, namespace);
        })
    }

    fn document(&self) -> Value {
        let mut subnet = json!({
            "IpAddressPrefix": self.subnet,
            "Routes": [{"NextHop": self.gateway, "DestinationPrefix": "0.0.0.0/0"}],
        });
        if self.kind == "Overlay" {
            subnet["Policies"] = json!([{"Type": "VSID", "Settings": {"IsolationId": 9000}}]);
        }
        json!({
            "Name": self.network,
            "Type": self.kind,
            "Ipams": [{"Type": "Static", "Subnets": [subnet]}],
            "Dns": {"Domain": "example.org", "Search": [""], "ServerList": ["10.96.0.10"]},
            "Policies": self.of_network,
        })
    }

    /// ADD: the network is made where it is absent, but for sdnoverlay, which wants it.
    #[track_caller]
    fn add(&self, node: &Machine, container: &str, namespace: Guid, ports: &[Mapping]) -> Value {
        let host = &node.host;
        let found = by_name(host, Kind::Network, self.network);
        let network = match found {
            Some(network) => network,
            None => {
                assert_ne!(self.kind, "Overlay");
                create(host, Kind::Network, &self.document())
            }
        };
        let network = shim::id(&network);
        let name = format!("{container}_{}", self.network);
        if let Some(endpoint) = by_name(host, Kind::Endpoint, &name) {
            assert_eq!(endpoint["HostComputeNetwork"], network.to_string());
            return endpoint;
        }
        let mut policies: Vec<Value> = ports.iter().map(|port| self.mapping(port)).collect();
        if self.allow_mapped {
            policies.extend((1000..).zip(ports).map(let_in));
        }
        policies.extend(self.additional.as_array().into_iter().flatten().cloned());
        let endpoint = create(
            host,
            Kind::Endpoint,
            &json!({
                "Name": name,
                "HostComputeNetwork": network.to_string(),
                "Dns": {"Domain": "example.org", "Search": [""], "ServerList": ["10.96.0.10"]},
                "Routes": [{"NextHop": self.gateway, "DestinationPrefix": "0.0.0.0/0"}],
                "IpConfigurations": [{"IpAddress": address(self.gateway, container)}],
                "Policies": policies,
            }),
        );
        change_namespace(host, namespace, "Add", shim::id(&endpoint));
        by_id(host, Kind::Endpoint, shim::id(&endpoint)).unwrap()
    }

    fn mapping(&self, (protocol, inside, outside): &Mapping) -> Value {
        let protocol = if *protocol == "tcp" { 6 } else { 17 };
        let mut settings =
            json!({"Protocol": protocol, "InternalPort": inside, "ExternalPort": outside});
        if self.local_routed {
            settings["Flags"] = 1.into();
        }
        json!({"Type": "PortMapping", "Settings": settings})
    }

    /// What the plugins' own tests check after ADD.
    #[track_caller]
    fn verify(&self, node: &Machine, endpoint: &Value, namespace: Guid) {
        let network = by_name(&node.host, Kind::Network, self.network).unwrap();
        assert_eq!(endpoint["HostComputeNetwork"], network["ID"]);
        let within = endpoint["HostComputeNamespace"].as_str().unwrap();
        assert!(within.eq_ignore_ascii_case(&namespace.to_string()));
        let all = endpoint["Policies"].as_array().into_iter().flatten();
        let all: Vec<String> = all.map(Value::to_string).collect();
        for wanted in self.additional.as_array().into_iter().flatten() {
            assert!(all.contains(&wanted.to_string()), "{wanted} is not in {all:?}");
        }
        let namespace = by_id(&node.host, Kind::Namespace, namespace).unwrap();
        let told = namespace["Resources"][0]["Data"].to_string();
        let id = endpoint["ID"].as_str().unwrap().to_uppercase();
        assert!(told.contains(&id), "{told}");
    }
}

/// DEL of what has this name: what is not found is no failure.
#[track_caller]
fn del(node: &Machine, name: &str) {
    let host = &node.host;
    let Some(endpoint) = by_name(host, Kind::Endpoint, name) else { return };
    let namespace = endpoint["HostComputeNamespace"].as_str().and_then(|id| id.parse().ok());
    if let Some(namespace) = namespace.filter(|id| by_id(host, Kind::Namespace, *id).is_some()) {
        change_namespace(host, namespace, "Remove", shim::id(&endpoint));
    }
    shim::delete(host, Kind::Endpoint, shim::id(&endpoint));
}

/// The rule that lets a mapped port's packets in.
fn let_in((priority, (protocol, inside, _)): (u16, &Mapping)) -> Value {
    json!({"Type": "ACL", "Settings": {
        "Protocols": if *protocol == "tcp" { "6" } else { "17" },
        "Action": "Allow",
        "Direction": "In",
        "LocalPorts": inside.to_string(),
        "Priority": priority,
    }})
}

/// What the address plugin gives a container: its number on the gateway's network.
fn address(gateway: &str, container: &str) -> String {
    let number: u8 = container.trim_start_matches('c').parse().unwrap();
    let [a, b, c, _] = gateway.parse::<Ipv4Addr>().unwrap().octets();
    Ipv4Addr::new(a, b, c, number).to_string()
}

/// Containers c50 with a mapped port, and c51 without; where they are.
#[track_caller]
fn two(plugin: &Plugin<'_>, node: &Machine) -> [(Guid, Netns, String); 2] {
    [("c50", &[("tcp", 80, 8088)][..]), ("c51", &[])].map(|(container, ports)| {
        let namespace = containerd::sandbox(node);
        let endpoint = plugin.add(node, container, namespace, ports);
        plugin.verify(node, &endpoint, namespace);
        assert_eq!(plugin.add(node, container, namespace, ports), endpoint, "ADD came again");
        (namespace, node.inside(namespace), address(plugin.gateway, container))
    })
}

/// DEL of both and the end of the network, which has nothing that was not removed.
#[track_caller]
fn end(plugin: &Plugin<'_>, node: &Machine, pods: [(Guid, Netns, String); 2]) {
    for (container, (namespace, ..)) in ["c50", "c51"].into_iter().zip(&pods) {
        for _ in 0..2 {
            del(node, &format!("{container}_{}", plugin.network));
        }
        let namespace = by_id(&node.host, Kind::Namespace, *namespace).expect("it stays");
        assert!(namespace["Resources"].as_array().is_none_or(Vec::is_empty));
        containerd::remove(node, shim::id(&namespace));
    }
    node.check();
    shim::delete_named(&node.host, Kind::Network, plugin.network);
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

#[test]
fn nat() {
    play(|wire, [node]| {
        let outside = stranger(wire, 9);
        let plugin = Plugin {
            kind: "NAT",
            network: "nat",
            subnet: "172.21.16.0/24",
            gateway: "172.21.16.1",
            of_network: json!([]),
            additional: json!([]),
            local_routed: true,
            allow_mapped: false,
        };
        let pods = two(&plugin, node);
        let [(_, first, address), (_, second, other)] = &pods;
        let _servers = [
            tcp_server(first, "first", "0.0.0.0:80"),
            tcp_server(&outside, "outside", "0.0.0.0:80"),
            tcp_server(&node.netns, "host", "0.0.0.0:7070"),
        ];
        assert_eq!(asked(second, &format!("{address}:80")), pair("first", other));
        assert_eq!(asked(&node.netns, &format!("{address}:80")).0, "first");
        assert_eq!(asked(second, "172.21.16.1:7070"), pair("host", other));
        assert_eq!(asked(second, "192.0.2.9:80"), pair("outside", "192.0.2.1"));
        assert_eq!(asked(&outside, "192.0.2.1:8088"), pair("first", "192.0.2.9"));
        assert_eq!(asked(&node.netns, "192.0.2.1:8088").0, "first");
        node.kill();
        assert_eq!(asked(&outside, "192.0.2.1:8088"), pair("first", "192.0.2.9"));
        node.start();
        end(&plugin, node, pods);
        assert!(tcp_refused(&outside, "192.0.2.1:8088"));
    });
}

#[test]
fn sdnbridge() {
    play(|wire, [node]| {
        let (outside, gateway) = (stranger(wire, 9), router(wire));
        let plugin = Plugin {
            kind: "L2Bridge",
            network: "bridgeNet",
            subnet: "192.0.2.0/24",
            gateway: "192.0.2.254",
            of_network: json!([{"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "up0"}}]),
            additional: json!([
                {"Type": "OutBoundNAT", "Settings": {"Exceptions": ["192.0.2.0/24", "10.96.0.0/12"]}},
            ]),
            local_routed: false,
            allow_mapped: true,
        };
        let pods = two(&plugin, node);
        let [(_, first, address), (_, second, other)] = &pods;
        let _servers = [
            tcp_server(first, "first", "0.0.0.0:80"),
            tcp_server(first, "closed", "0.0.0.0:81"),
            tcp_server(&outside, "outside", "0.0.0.0:80"),
            tcp_server(&gateway, "internet", "203.0.113.1:80"),
            tcp_server(&node.netns, "host", "0.0.0.0:7070"),
        ];
        // Machines on the wire are in the exceptions: they see the pod; others see the host.
        assert_eq!(asked(second, "192.0.2.9:80"), pair("outside", other));
        assert_eq!(asked(second, "203.0.113.1:80"), pair("internet", "192.0.2.1"));
        assert_eq!(asked(second, &format!("{address}:80")), pair("first", other));
        assert_eq!(asked(second, "192.0.2.1:7070").0, "host");
        assert_eq!(asked(&node.netns, &format!("{address}:80")).0, "first");
        assert_eq!(asked(&outside, &format!("{address}:80")), pair("first", "192.0.2.9"));
        assert_eq!(asked(&outside, "192.0.2.1:8088"), pair("first", "192.0.2.9"));
        // The rule that lets the mapped port in is the first, and so the others are closed.
        assert!(tcp_refused(&outside, &format!("{address}:81")));
        node.kill();
        node.start();
        assert_eq!(asked(&outside, "192.0.2.1:8088"), pair("first", "192.0.2.9"));
        end(&plugin, node, pods);
        assert!(tcp_refused(&outside, &format!("{address}:80", address = "192.0.2.50")));
    });
}

#[test]
fn sdnoverlay() {
    play(|wire, [node]| {
        let outside = stranger(wire, 9);
        let plugin = Plugin {
            kind: "Overlay",
            network: "overlayNet",
            subnet: "192.168.100.0/24",
            gateway: "192.168.100.1",
            of_network: json!([{"Type": "HostRoute", "Settings": {}}]),
            additional: json!([
                {"Type": "OutBoundNAT", "Settings": {"Exceptions": ["192.168.0.0/16", "10.96.0.0/12"]}},
                {"Type": "ProviderAddress", "Settings": {"ProviderAddress": "192.0.2.1"}},
            ]),
            local_routed: false,
            allow_mapped: false,
        };
        create(&node.host, Kind::Network, &plugin.document());
        let pods = two(&plugin, node);
        let [(_, first, address), (_, second, other)] = &pods;
        let _servers = [
            tcp_server(first, "first", "0.0.0.0:80"),
            tcp_server(&outside, "outside", "0.0.0.0:80"),
            tcp_server(&node.netns, "host", "0.0.0.0:7070"),
        ];
        assert_eq!(asked(second, &format!("{address}:80")), pair("first", other));
        assert_eq!(asked(second, "192.168.100.1:7070").0, "host");
        assert_eq!(asked(&node.netns, &format!("{address}:80")).0, "first");
        assert_eq!(asked(second, "192.0.2.9:80"), pair("outside", "192.0.2.1"));
        assert_eq!(asked(&outside, "192.0.2.1:8088"), pair("first", "192.0.2.9"));
        node.kill();
        node.start();
        assert_eq!(asked(&outside, "192.0.2.1:8088"), pair("first", "192.0.2.9"));
        end(&plugin, node, pods);
    });
}
