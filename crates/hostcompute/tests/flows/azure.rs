//! Azure's plugin, its network policy manager and its network service (hcn.md 5.6): azure-container-networking, `network`, `npm` and `cns`.

use hostcompute::schema::Guid;
use hostcompute::schema::operation::Kind;
use hostcompute::{Failure, HResult};
use serde_json::{Value, json};

use crate::containerd;
use crate::lab::Netns;
use crate::lab::traffic::{Server, tcp, tcp_refused, tcp_server};
use crate::shim::{self, by_id, by_name, change_namespace, change_policies, create, list_where};
use crate::world::{Machine, play, router, stranger};

const NETWORK: &str = "azure";

/// The plugin's network, on the node's own subnet.
fn network() -> Value {
    json!({
        "Name": NETWORK,
        "Type": "L2Bridge",
        "Ipams": [{"Type": "Static", "Subnets": [{
            "IpAddressPrefix": "192.0.2.0/24",
            "Routes": [{"NextHop": "192.0.2.254", "DestinationPrefix": "0.0.0.0/0"}],
        }]}],
        "Policies": [{"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "up0"}}],
        "Flags": 8,
    })
}

struct Pod {
    endpoint: Guid,
    namespace: Guid,
    netns: Netns,
    address: String,
    _server: Server,
}

/// The plugin, ADD: the search list of nobody is one empty name, and there is a route to nowhere beside the default.
#[track_caller]
fn add(node: &Machine, last: u8) -> Pod {
    if by_name(&node.host, Kind::Network, NETWORK).is_none() {
        create(&node.host, Kind::Network, &network());
    }
    let network = by_name(&node.host, Kind::Network, NETWORK).unwrap();
    let (namespace, address) = (containerd::sandbox(node), format!("192.0.2.{last}"));
    let endpoint = create(
        &node.host,
        Kind::Endpoint,
        &json!({
            "Name": format!("{last:08}-eth0"),
            "HostComputeNetwork": network["ID"],
            "Dns": {"Search": [""], "ServerList": ["168.63.129.16"]},
            "MacAddress": format!("12-34-56-78-9a-{last:02x}"),
            "Policies": [{"Type": "OutBoundNAT", "Settings": {"Exceptions": ["192.0.2.0/24"]}}],
            "Routes": [{"NextHop": "192.0.2.254", "DestinationPrefix": "0.0.0.0/0"}],
            "IpConfigurations": [{"IpAddress": address, "PrefixLength": 24}],
        }),
    );
    let endpoint = shim::id(&endpoint);
    assert!(by_id(&node.host, Kind::Namespace, namespace).is_some());
    change_namespace(&node.host, namespace, "Add", endpoint);
    let netns = node.inside(namespace);
    let server = tcp_server(&netns, &address, "0.0.0.0:80");
    Pod { endpoint, namespace, netns, address, _server: server }
}

/// The plugin, DEL.
#[track_caller]
fn del(node: &Machine, pod: Pod) {
    let endpoint = by_id(&node.host, Kind::Endpoint, pod.endpoint).unwrap();
    let namespace = endpoint["HostComputeNamespace"].as_str().unwrap().parse().unwrap();
    change_namespace(&node.host, namespace, "Remove", pod.endpoint);
    shim::delete(&node.host, Kind::Endpoint, pod.endpoint);
    containerd::remove(node, pod.namespace);
}

fn set(name: &str, values: &str) -> Value {
    json!({"Type": "SetPolicy", "Settings": {
        "Id": name, "Name": name, "PolicyType": "IPSET", "Values": values,
    }})
}

fn nested(name: &str, parts: &str) -> Value {
    json!({"Type": "SetPolicy", "Settings": {
        "Id": name, "Name": name, "PolicyType": "NESTEDIPSET", "Values": parts,
    }})
}

/// A rule as the manager writes it: protocols "" for any, 222 allows and 3000 blocks.
fn rule(id: &str, direction: &str, allow: bool, more: &Value) -> Value {
    let (action, priority) = if allow { ("Allow", 222) } else { ("Block", 3000) };
    let mut settings = json!({
        "Id": id, "Protocols": "", "Action": action, "Direction": direction,
        "RuleType": "Switch", "Priority": priority,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    json!({"Type": "ACL", "Settings": settings})
}

/// The manager's view of a node: endpoints that are attached, or share what they are attached to.
fn attached(node: &Machine) -> usize {
    [2, 3]
        .map(|state| list_where(&node.host, Kind::Endpoint, &json!({"State": state})).len())
        .iter()
        .sum()
}

fn try_sets(node: &Machine, how: &str, sets: &Value) -> Result<Value, Failure> {
    let network = by_name(&node.host, Kind::Network, NETWORK).unwrap();
    let settings = json!({"Policies": sets});
    let request = json!({"ResourceType": "Policy", "RequestType": how, "Settings": settings});
    shim::try_modify(&node.host, Kind::Network, shim::id(&network), &request)
}

#[track_caller]
fn sets(node: &Machine, how: &str, sets: &Value) {
    try_sets(node, how, sets).unwrap_or_else(|failure| panic!("{sets}: {failure}"));
}

/// Takes one rule away: everything that remains is written again.
#[track_caller]
fn without(node: &Machine, pod: &Pod, id: &str) {
    let endpoint = by_id(&node.host, Kind::Endpoint, pod.endpoint).unwrap();
    let mut kept = endpoint["Policies"].as_array().unwrap().clone();
    kept.retain(|policy| policy["Settings"]["Id"] != id);
    change_policies(&node.host, Kind::Endpoint, pod.endpoint, "Update", &kept.into());
}

#[test]
fn pods_are_on_the_nodes_subnet() {
    play(|wire, [node]| {
        let (outside, gateway) = (stranger(wire, 9), router(wire));
        let _servers = [
            tcp_server(&outside, "outside", "0.0.0.0:80"),
            tcp_server(&gateway, "internet", "203.0.113.1:80"),
        ];
        let (one, two) = (add(node, 50), add(node, 51));
        let seen = |from: &Netns, to: &str| tcp(from, to).unwrap().client.to_string();
        assert_eq!(seen(&one.netns, "192.0.2.51:80"), one.address);
        assert_eq!(seen(&one.netns, "192.0.2.9:80"), one.address);
        assert_eq!(seen(&one.netns, "203.0.113.1:80"), "192.0.2.1");
        assert_eq!(seen(&outside, "192.0.2.50:80"), "192.0.2.9");
        assert_eq!(attached(node), 2);
        node.kill();
        assert_eq!(seen(&outside, "192.0.2.50:80"), "192.0.2.9");
        node.start();
        del(node, one);
        assert_eq!(attached(node), 1);
        assert!(tcp_refused(&outside, "192.0.2.50:80"));
        del(node, two);
        shim::delete_named(&node.host, Kind::Network, NETWORK);
    });
}

#[test]
fn the_policy_manager_programs_sets_and_rules() {
    play(|wire, [node]| {
        let outside = stranger(wire, 9);
        let (web, client, other) = (add(node, 50), add(node, 51), add(node, 52));
        sets(
            node,
            "Add",
            &json!([
                set("azure-npm-1", "192.0.2.50"),
                set("azure-npm-2", "192.0.2.51"),
                set("azure-npm-3", ""),
            ]),
        );
        sets(node, "Add", &json!([nested("azure-npm-4", "azure-npm-2,azure-npm-3")]));
        let rules = json!([
            rule(
                "azure-acl-allow",
                "In",
                true,
                &json!({
                    "Protocols": "6", "LocalPorts": "80",
                    "LocalAddresses": "azure-npm-4", "RemoteAddresses": "azure-npm-1",
                })
            ),
            rule("azure-acl-block", "In", false, &json!({"RemoteAddresses": "azure-npm-1"})),
        ]);
        change_policies(&node.host, Kind::Endpoint, web.endpoint, "Add", &rules);
        let to = "192.0.2.50:80";
        assert!(tcp(&client.netns, to).is_some());
        assert!(tcp_refused(&other.netns, to) && tcp_refused(&outside, to));
        // Another pod gets the label: its address comes into a part of the nested set.
        sets(node, "Update", &json!([set("azure-npm-3", "192.0.2.52,192.0.2.9")]));
        assert!(tcp(&other.netns, to).is_some() && tcp(&outside, to).is_some());
        // What others name cannot go; what names it goes first.
        let held = try_sets(node, "Remove", &json!([set("azure-npm-3", "")])).unwrap_err();
        assert_eq!(held.hresult, HResult::HCN_E_ENTITY_HAS_REFERENCES);
        node.kill();
        node.start();
        sets(node, "Update", &json!([set("azure-npm-3", "192.0.2.9")]));
        assert!(tcp_refused(&other.netns, to) && tcp(&outside, to).is_some());
        node.check();
        without(node, &web, "azure-acl-block");
        without(node, &web, "azure-acl-allow");
        assert!(tcp(&other.netns, to).is_some(), "no rule, no wall");
        sets(node, "Remove", &json!([nested("azure-npm-4", "")]));
        sets(
            node,
            "Remove",
            &json!([set("azure-npm-1", ""), set("azure-npm-2", ""), set("azure-npm-3", ""),]),
        );
        for pod in [web, client, other] {
            del(node, pod);
        }
        shim::delete_named(&node.host, Kind::Network, NETWORK);
    });
}

/// The adapter that only the host and its containers are on.
const LOOPBACK: &str = "vlo0";
const APIPA: &str = "HostNCApipaNetwork";

/// The network by which containers and the host talk. Its gateway is nobody: were it the adapter's own address, it would not come back.
fn apipa_network() -> Value {
    json!({
        "Name": APIPA,
        "Type": "L2Bridge",
        "Ipams": [{"Type": "Static", "Subnets": [{
            "IpAddressPrefix": "169.254.128.0/17",
            "Routes": [{"NextHop": "169.254.128.2", "DestinationPrefix": "0.0.0.0/0"}],
        }]}],
        "Policies": [{"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": LOOPBACK}}],
        "Flags": 8,
    })
}

/// The endpoint of a container there: with the host, and with nobody else.
#[track_caller]
fn add_apipa(node: &Machine, pod: &Pod, last: u8) -> Guid {
    if by_name(&node.host, Kind::Network, APIPA).is_none() {
        create(&node.host, Kind::Network, &apipa_network());
    }
    let network = by_name(&node.host, Kind::Network, APIPA).unwrap();
    let (address, host) = (format!("169.254.128.{last}"), "169.254.128.1");
    let acl = |protocol: u8, action: &str, direction: &str, priority: u16| {
        let mut settings = json!({
            "Protocols": protocol.to_string(), "Action": action, "Direction": direction,
            "LocalAddresses": address, "RuleType": "Switch", "Priority": priority,
        });
        if action == "Allow" {
            settings["RemoteAddresses"] = host.into();
        }
        json!({"Type": "ACL", "Settings": settings})
    };
    let rules: Vec<Value> = [1, 6, 17]
        .into_iter()
        .flat_map(|protocol| {
            ["Out", "In"].map(|direction| {
                [acl(protocol, "Block", direction, 2000), acl(protocol, "Allow", direction, 1000)]
            })
        })
        .flatten()
        .collect();
    let endpoint = create(
        &node.host,
        Kind::Endpoint,
        &json!({
            "Name": format!("HostNCApipaEndpoint-{last}"),
            "HostComputeNetwork": network["ID"],
            "IpConfigurations": [{"IpAddress": address, "PrefixLength": 17}],
            "Routes": [{"NextHop": host, "DestinationPrefix": "0.0.0.0/0"}],
            "Policies": rules,
        }),
    );
    change_namespace(&node.host, pod.namespace, "Add", shim::id(&endpoint));
    shim::id(&endpoint)
}

#[test]
fn containers_and_their_host_talk_by_an_adapter_of_their_own() {
    play(|wire, [node]| {
        let outside = stranger(wire, 9);
        for line in [
            // Not every kernel has dummies: a cable whose other end nobody holds.
            format!("ip link add {LOOPBACK} type veth peer name vlo1"),
            "ip link set vlo1 addrgenmode none up".to_owned(),
            format!("ip link set {LOOPBACK} addrgenmode none"),
            format!("ip addr add 169.254.128.1/17 dev {LOOPBACK}"),
            format!("ip link set {LOOPBACK} up"),
        ] {
            node.netns.exec(&line);
        }
        let (one, two) = (add(node, 50), add(node, 51));
        let endpoints = [add_apipa(node, &one, 3), add_apipa(node, &two, 4)];
        let _servers = [
            tcp_server(&node.netns, "host", "169.254.128.1:10090"),
            tcp_server(&outside, "outside", "0.0.0.0:80"),
        ];
        let talk = |node: &Machine| {
            let seen = tcp(&one.netns, "169.254.128.1:10090").unwrap();
            assert_eq!((&*seen.server, seen.client.to_string()), ("host", "169.254.128.3".into()));
            // A program of the host that speaks as the adapter; under its other addresses it is not let in.
            node.netns.exec("ping -n -c 1 -W 5 -I 169.254.128.1 169.254.128.3");
            assert!(tcp_refused(&node.netns, "169.254.128.3:80"));
            // The rest goes the usual way, and containers do not see each other here.
            assert_eq!(tcp(&one.netns, "192.0.2.9:80").unwrap().client.to_string(), one.address);
            assert!(tcp_refused(&two.netns, "169.254.128.3:80"));
            assert!(tcp(&two.netns, "192.0.2.50:80").is_some());
        };
        talk(node);
        node.check();
        node.kill();
        node.start();
        talk(node);
        for (pod, endpoint) in [(one, endpoints[0]), (two, endpoints[1])] {
            change_namespace(&node.host, pod.namespace, "Remove", endpoint);
            shim::delete(&node.host, Kind::Endpoint, endpoint);
            del(node, pod);
        }
        for name in [APIPA, NETWORK] {
            shim::delete_named(&node.host, Kind::Network, name);
        }
        node.netns.exec(&format!("ip link delete {LOOPBACK}"));
    });
}
