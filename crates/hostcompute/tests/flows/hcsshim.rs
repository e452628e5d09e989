//! hcsshim's own side of a container's network (hcn.md 5.9): containerd-shim-runhcs, of a container whose specification lists endpoints
//! and names no namespace. It makes one by the newer interface and takes it away by the older one. And ncproxy, which makes networks and
//! endpoints for others.

use std::io::Read;
use std::path::Path;

use hostcompute::schema::Guid;
use hostcompute::schema::operation::Kind;
use hostcompute::{HResult, Host, System};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::hns;
use crate::lab::Netns;
use crate::lab::traffic::{tcp, tcp_refused, tcp_server};
use crate::shim::{self, by_name, change_namespace, change_policies, create, policies};
use crate::world::{Machine, play, stranger};

/// A container's namespace, with what was put into it.
pub struct Network {
    pub namespace: Guid,
    pub netns: Netns,
    endpoints: Vec<Guid>,
}

impl Network {
    /// Before the container starts.
    #[track_caller]
    pub fn of(node: &Machine, endpoints: &[Guid]) -> Self {
        let namespace = create(&node.host, Kind::Namespace, &json!({"Type": ""}));
        let namespace = shim::id(&namespace);
        for endpoint in endpoints {
            change_namespace(&node.host, namespace, "Add", *endpoint);
        }
        Self { namespace, netns: node.inside(namespace), endpoints: endpoints.to_vec() }
    }

    /// After its end. What is gone already is known by these words, and by no code.
    #[track_caller]
    pub fn release(self, node: &Machine) {
        let path = format!("/namespaces/{}", self.namespace);
        for endpoint in &self.endpoints {
            let resource = json!({"Type": "Endpoint", "Data": {"Id": endpoint.to_string()}});
            let removed =
                hns::call(&node.host, "POST", &format!("{path}/removeresource"), &resource);
            is_done_or_gone(removed);
        }
        for _ in 0..2 {
            is_done_or_gone(hns::call(&node.host, "DELETE", &path, &Value::Null));
        }
    }
}

#[track_caller]
fn is_done_or_gone(answer: Result<Value, String>) {
    if let Err(why) = answer {
        assert!(why.contains("Element not found."), "{why}");
    }
}

/// An endpoint with nothing but its network, as docker and ctr have made it before.
#[track_caller]
fn endpoint(host: &Host, network: &Value, more: &Value) -> Guid {
    let mut document = json!({"HostComputeNetwork": network["ID"]});
    for (name, value) in more.as_object().into_iter().flatten() {
        document[name] = value.clone();
    }
    shim::id(&create(host, Kind::Endpoint, &document))
}

fn nat(name: &str, prefix: &str) -> Value {
    json!({"Name": name, "Type": "NAT",
        "Ipams": [{"Type": "Static", "Subnets": [{"IpAddressPrefix": prefix}]}]})
}

#[test]
fn a_container_of_its_own() {
    let built = Daemon::program().is_some_and(|daemon| {
        let supervisor = daemon.with_file_name("hostcompute-supervisor");
        supervisor.is_file() || skipped(&supervisor)
    });
    if !built {
        return;
    }
    play(|wire, [node]| {
        let outside = stranger(wire, 9);
        let _outside = tcp_server(&outside, "outside", "0.0.0.0:80");
        let host = &node.host;
        let [front, back] = [("front", "10.1.0.0/24"), ("back", "10.2.0.0/24")]
            .map(|(name, prefix)| create(host, Kind::Network, &nat(name, prefix)));
        let published = json!({"Policies": [{"Type": "PortMapping", "Settings": {
            "Protocol": 6, "InternalPort": 80, "ExternalPort": 8080,
        }}]});
        let endpoints = [endpoint(host, &front, &published), endpoint(host, &back, &json!({}))];
        let network = Network::of(node, &endpoints);
        let document = json!({
            "SchemaVersion": {"Major": 2, "Minor": 1},
            "Owner": "containerd-shim-runhcs-v1.exe",
            "ShouldTerminateOnLastHandleClosed": true,
            "Container": {
                "Storage": {"Layers": [{"Path": "/"}]},
                "Networking": {"Namespace": network.namespace.to_string()},
            },
        });
        let (system, _) = System::create_json(host, "c1", &document.to_string()).unwrap();
        system.start().unwrap();
        let parameters = json!({
            "CommandLine": "ip -o -4 addr show scope global",
            "CreateStdOutPipe": true,
        });
        let (mut process, _) = system.run_json(&parameters.to_string()).unwrap();
        let mut shown = String::new();
        process.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
        process.wait(None).unwrap();
        assert!(
            shown.contains("eth0    inet 10.1.0.") && shown.contains("eth1    inet 10.2.0."),
            "{shown}"
        );
        let _web = tcp_server(&network.netns, "web", "0.0.0.0:80");
        assert_eq!(tcp(&outside, "192.0.2.1:8080").unwrap().client.to_string(), "192.0.2.9");
        assert_eq!(tcp(&network.netns, "192.0.2.9:80").unwrap().client.to_string(), "192.0.2.1");
        // The clients of resources look for the endpoint's id in upper case.
        let namespace = shim::by_id(host, Kind::Namespace, network.namespace).unwrap();
        let told = namespace["Resources"].to_string();
        for endpoint in &endpoints {
            assert!(told.contains(&endpoint.to_string().to_uppercase()), "{told}");
        }
        system.terminate().unwrap();
        system.wait(None).unwrap();
        drop(system);
        // Somebody has deleted one of them meanwhile.
        shim::delete(host, Kind::Endpoint, endpoints[1]);
        network.release(node);
        assert!(tcp_refused(&outside, "192.0.2.1:8080"));
        shim::delete(host, Kind::Endpoint, endpoints[0]);
        for name in ["front", "back"] {
            shim::delete_named(host, Kind::Network, name);
        }
    });
}

fn skipped(program: &Path) -> bool {
    let required = std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_some();
    assert!(
        !required,
        "{} was not built: cargo build --package hostcompute-supervisor",
        program.display()
    );
    eprintln!("skipped: hostcompute-supervisor was not built");
    false
}

/// ncproxy, CreateNetwork: on the switch of another network, or by itself.
#[track_caller]
fn create_network(
    host: &Host,
    name: &str,
    mode: &str,
    switch: Option<&str>,
    subnets: &[(&str, &str)],
) -> Value {
    assert_eq!(by_name(host, Kind::Network, name), None);
    let layer = switch.map(|switch| {
        let switch = by_name(host, Kind::Network, switch).expect("a switch");
        let layer = switch["Health"]["Extra"]["LayeredOn"].as_str().unwrap_or_default();
        assert!(!layer.is_empty(), "no layer: {switch}");
        json!({"Type": "LayerConstraint", "Settings": {"LayerId": layer}})
    });
    let subnet = |(prefix, gateway): &(&str, &str)| {
        let all = if gateway.contains(':') { "::/0" } else { "0.0.0.0/0" };
        json!({"IpAddressPrefix": prefix, "Routes": [{"NextHop": gateway, "DestinationPrefix": all}]})
    };
    create(
        host,
        Kind::Network,
        &json!({
            "SchemaVersion": {"Major": 2, "Minor": 2},
            "Name": name,
            "Type": mode,
            "Policies": layer.into_iter().collect::<Vec<_>>(),
            "Ipams": [{"Type": "Static", "Subnets": subnets.iter().map(subnet).collect::<Vec<_>>()}],
        }),
    );
    get_network(host, name)
}

/// ncproxy, GetNetwork: what it cannot do without.
#[track_caller]
fn get_network(host: &Host, name: &str) -> Value {
    let network = by_name(host, Kind::Network, name).expect("the network");
    let range = &network["MacPool"]["Ranges"][0];
    assert!(
        range["StartMacAddress"].is_string() && range["EndMacAddress"].is_string(),
        "{network}"
    );
    if let Some(switch) = network["Health"]["Extra"]["SwitchGuid"].as_str() {
        assert!(shim::by_id(host, Kind::Network, switch.parse().unwrap()).is_some(), "{network}");
    }
    network
}

/// ncproxy, GetEndpoint: one address of a family or of both.
#[track_caller]
fn get_endpoint(host: &Host, name: &str) -> Value {
    let endpoint = by_name(host, Kind::Endpoint, name).expect("the endpoint");
    let configurations = endpoint["IpConfigurations"].as_array().unwrap();
    assert!(matches!(configurations.len(), 1 | 2), "{endpoint}");
    for configuration in configurations {
        let address: Result<std::net::IpAddr, _> =
            configuration["IpAddress"].as_str().unwrap().parse();
        assert!(address.is_ok() && configuration["PrefixLength"].is_u64(), "{endpoint}");
    }
    endpoint
}

/// ncproxy, AddEndpoint: into a namespace, or the host's own.
#[track_caller]
fn add_endpoint(host: &Host, name: &str, namespace: Option<Guid>) {
    let endpoint = get_endpoint(host, name);
    let namespace = namespace.unwrap_or_else(|| {
        let all = shim::list(host, Kind::Namespace);
        let of_host = all.iter().find(|namespace| namespace["Type"] == "HostDefault");
        shim::id(of_host.expect("the host's own is listed, whether anybody made it or not"))
    });
    change_namespace(host, namespace, "Add", shim::id(&endpoint));
}

#[test]
fn ncproxy() {
    play(|wire, [node]| {
        let outside = stranger(wire, 9);
        let _outside = tcp_server(&outside, "outside", "0.0.0.0:80");
        let host = &node.host;
        let subnets = [("10.1.0.0/24", "10.1.0.1"), ("fd00:1::/64", "fd00:1::1")];
        let network = create_network(host, "pods", "NAT", None, &subnets);
        create(
            host,
            Kind::Endpoint,
            &json!({
                "Name": "pod-eth0",
                "HostComputeNetwork": network["ID"],
                "MacAddress": "00-15-5D-52-C0-00",
                "IpConfigurations": [
                    {"IpAddress": "10.1.0.7", "PrefixLength": 24},
                    {"IpAddress": "fd00:1::7", "PrefixLength": 64},
                ],
                "Policies": [{"Type": "PortName", "Settings": {"Name": "pod-port"}}],
                "Dns": {"ServerList": ["10.1.0.53"], "Domain": "cluster.local", "Search": ["svc.cluster.local"]},
            }),
        );
        // Accelerated networking: nothing here has virtual functions.
        let id = shim::id(&get_endpoint(host, "pod-eth0"));
        let iov = |weight: u32| {
            let settings = json!({"IovOffloadWeight": weight, "QueuePairsRequested": 1});
            json!([{"Type": "Iov", "Settings": settings}])
        };
        let request = |how: &str, weight: u32| {
            let settings = json!({"Policies": iov(weight)});
            json!({"ResourceType": "Policy", "RequestType": how, "Settings": settings})
        };
        let refused = shim::try_modify(host, Kind::Endpoint, id, &request("Update", 100));
        assert_eq!(refused.unwrap_err().hresult, HResult::HCN_E_REQUEST_UNSUPPORTED);
        shim::modify(host, Kind::Endpoint, id, &request("Update", 0));
        let told = change_policies(host, Kind::Endpoint, id, "Remove", &iov(0));
        assert_eq!((policies(&told, "Iov").count(), policies(&told, "PortName").count()), (0, 1));
        let namespace = shim::id(&create(host, Kind::Namespace, &json!({"Type": "Host"})));
        add_endpoint(host, "pod-eth0", Some(namespace));
        let pod = node.inside(namespace);
        assert_eq!(tcp(&pod, "192.0.2.9:80").unwrap().client.to_string(), "192.0.2.1");
        let _web = tcp_server(&pod, "web", "[fd00:1::7]:80");
        assert!(tcp(&node.netns, "[fd00:1::7]:80").is_some());
        // A node's own endpoint.
        let own = json!({"Name": "node-ep", "HostComputeNetwork": network["ID"],
            "IpConfigurations": [{"IpAddress": "10.1.0.8", "PrefixLength": 24}]});
        create(host, Kind::Endpoint, &own);
        add_endpoint(host, "node-ep", None);
        let _node = tcp_server(&node.netns, "node", "10.1.0.8:7070");
        assert_eq!(tcp(&pod, "10.1.0.8:7070").unwrap().server, "node");
        node.kill();
        node.start();
        let host = &node.host;
        assert_eq!(tcp(&pod, "10.1.0.8:7070").unwrap().server, "node");
        for name in ["pod-eth0", "node-ep"] {
            shim::delete_named(host, Kind::Endpoint, name);
        }
        shim::delete(host, Kind::Namespace, namespace);
        shim::delete_named(host, Kind::Network, "pods");
        layered(node, &outside);
    });
}

/// A network on the switch of another one.
#[track_caller]
fn layered(node: &Machine, outside: &Netns) {
    let host = &node.host;
    let adapter = json!([{"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "up0"}}]);
    create(
        host,
        Kind::Network,
        &json!({"Name": "switch", "Type": "Transparent", "Policies": adapter}),
    );
    let subnets = [("192.0.2.0/24", "192.0.2.254")];
    let network = create_network(host, "on-switch", "L2Bridge", Some("switch"), &subnets);
    let own = json!({"Name": "pod-eth0", "HostComputeNetwork": network["ID"],
        "IpConfigurations": [{"IpAddress": "192.0.2.77", "PrefixLength": 24}]});
    create(host, Kind::Endpoint, &own);
    let namespace = shim::id(&create(host, Kind::Namespace, &json!({"Type": "Host"})));
    add_endpoint(host, "pod-eth0", Some(namespace));
    let pod = node.inside(namespace);
    assert_eq!(tcp(&pod, "192.0.2.9:80").unwrap().client.to_string(), "192.0.2.77");
    let _web = tcp_server(&pod, "web", "0.0.0.0:80");
    assert_eq!(tcp(outside, "192.0.2.77:80").unwrap().server, "web");
    shim::delete_named(host, Kind::Endpoint, "pod-eth0");
    shim::delete(host, Kind::Namespace, namespace);
    for name in ["on-switch", "switch"] {
        shim::delete_named(host, Kind::Network, name);
    }
}
