//! ZLayer's EndpointAttachment (hcn.md 5.8): ids of its own in the parameters, documents and queries of version 2 without a version.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use hostcompute::attach::{self, EndpointAttachment, Wish};
use hostcompute::schema::Guid;
use hostcompute::schema::operation::Operation;
use hostcompute::transport::Call;
use hostcompute::{Failure, HResult, Host, Network};
use serde_json::{Value, json};

use crate::lab::Netns;
use crate::lab::traffic::{Connection, tcp, tcp_refused, tcp_server};
use crate::world::{Machine, play, stranger};

/// A container's place on a network.
struct Attachment {
    namespace: Guid,
    endpoint: Guid,
}

fn call(
    host: &Host,
    operation: Operation,
    id: Option<Guid>,
    document: &Value,
) -> Result<Value, Failure> {
    let document = document.to_string();
    let body = host.call(&Call { operation, id, network: None, document: &document })?.body;
    Ok(serde_json::from_str(&body).unwrap_or_default())
}

/// The id of the network.
const NETWORK: &str = "5a1a7e50-0000-4000-8000-000000000000";

/// An id that nothing has yet.
fn drawn() -> Guid {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("5a1a7e50-0000-4000-8000-00000000{number:04x}").parse().unwrap()
}

/// The network of all containers, under an id that stays the same.
fn network(host: &Host) -> Result<Guid, Failure> {
    let document = json!({
        "Name": "zlayer",
        "Type": "Internal",
        "SchemaVersion": {"Major": 2, "Minor": 0},
        "Ipams": [{"Type": "Static", "Subnets": [{
            "IpAddressPrefix": "10.200.4.0/28",
            "Routes": [{"NextHop": "10.200.4.1", "DestinationPrefix": "0.0.0.0/0"}],
        }]}],
        "Flags": 0,
    });
    let id: Guid = NETWORK.parse().unwrap();
    let made = call(host, Operation::CreateNetwork, Some(id), &document)?;
    assert_eq!(made, id.to_string());
    Ok(id)
}

/// Attaches a container: on a failure nothing of it is left.
fn attach_step_by_step(
    host: &Host,
    network: Guid,
    number: u8,
    policies: &Value,
) -> Result<Attachment, Failure> {
    let version = json!({"Major": 2, "Minor": 0});
    let document = json!({"NamespaceId": 0, "Type": "Host", "SchemaVersion": version});
    let namespace = call(host, Operation::CreateNamespace, Some(drawn()), &document)?;
    let namespace: Guid = namespace.as_str().unwrap().parse().unwrap();
    let told = call(host, Operation::QueryNamespaceProperties, Some(namespace), &json!({}))?;
    assert_eq!(told["ID"].as_str().unwrap().to_lowercase(), namespace.to_string());
    let attached = endpoint(host, network, number, policies).and_then(|endpoint| {
        let request = json!({
            "ResourceType": "Endpoint",
            "RequestType": "Add",
            "Settings": {"EndpointId": endpoint.to_string()},
        });
        match call(host, Operation::ModifyNamespace, Some(namespace), &request) {
            Ok(_) => Ok(Attachment { namespace, endpoint }),
            Err(failure) => {
                call(host, Operation::DeleteEndpoint, Some(endpoint), &json!({}))?;
                Err(failure)
            }
        }
    });
    if attached.is_err() {
        call(host, Operation::DeleteNamespace, Some(namespace), &json!({}))?;
    }
    attached
}

fn endpoint(host: &Host, network: Guid, number: u8, policies: &Value) -> Result<Guid, Failure> {
    call(host, Operation::OpenNetwork, Some(network), &json!({}))?;
    let document = json!({
        "Name": format!("owner-{number}"),
        "HostComputeNetwork": network.to_string(),
        "SchemaVersion": {"Major": 2, "Minor": 0},
        "IPConfigurations": [{"IpAddress": format!("10.200.4.{number}"), "PrefixLength": 28}],
        "Policies": policies,
        "Routes": [{"NextHop": "10.200.4.1", "DestinationPrefix": "0.0.0.0/0"}],
        "Flags": 0,
    });
    let id = call(host, Operation::CreateEndpoint, Some(drawn()), &document)?;
    Ok(id.as_str().unwrap().parse().unwrap())
}

/// The rule that lets the cluster in, and so closes everything else.
fn from_cluster() -> Value {
    json!([{"Type": "ACL", "Settings": {
        "Action": "Allow",
        "Direction": "In",
        "RemoteAddresses": "10.200.4.0/24",
        "RuleType": "Switch",
        "Priority": 65500,
    }}])
}

/// The endpoints that are ours, found by the beginning of their names.
fn ours(host: &Host) -> Vec<String> {
    let ids = call(host, Operation::EnumerateEndpoints, None, &json!({})).unwrap();
    let names = ids.as_array().unwrap().iter().map(|id| {
        let id = id.as_str().unwrap().parse().unwrap();
        call(host, Operation::OpenEndpoint, Some(id), &json!({})).unwrap();
        let told = call(host, Operation::QueryEndpointProperties, Some(id), &json!({})).unwrap();
        told["Name"].as_str().unwrap().to_owned()
    });
    names.filter(|name| name.starts_with("owner-")).collect()
}

/// Teardown: the endpoint goes without having been detached.
fn detach(host: &Host, attachment: &Attachment) {
    for (operation, id) in [
        (Operation::DeleteEndpoint, attachment.endpoint),
        (Operation::DeleteNamespace, attachment.namespace),
    ] {
        call(host, operation, Some(id), &json!({})).unwrap();
    }
}

fn inside(node: &Machine, attachment: &Attachment) -> Netns {
    node.inside(attachment.namespace)
}

#[test]
fn attachments_come_and_go() {
    play(|_wire, [node]| {
        let id = network(&node.host).unwrap();
        assert_eq!(network(&node.host).unwrap_err().hresult, HResult::HCN_E_NETWORK_ALREADY_EXISTS);
        let web = attach_step_by_step(&node.host, id, 5, &from_cluster()).unwrap();
        let client = attach_step_by_step(&node.host, id, 6, &json!([])).unwrap();
        let _server = tcp_server(&inside(node, &web), "web", "0.0.0.0:80");
        let answer = tcp(&inside(node, &client), "10.200.4.5:80").unwrap();
        assert_eq!(answer.client.to_string(), "10.200.4.6");
        let stats = call(&node.host, Operation::QueryEndpointStats, Some(web.endpoint), &json!({}))
            .unwrap();
        assert!(
            stats["BytesReceived"].as_u64().unwrap() > 0
                && stats["PacketsSent"].as_u64().unwrap() > 0
        );
        assert_eq!(ours(&node.host), ["owner-5", "owner-6"]);
        // Each step fails once; nothing is left of what went before it.
        let before = (ours(&node.host), namespaces(&node.host));
        for (number, policies, expected) in [
            (5, from_cluster(), HResult::HCN_E_ADDR_INVALID_OR_RESERVED),
            (1, json!([]), HResult::HCN_E_ADDR_INVALID_OR_RESERVED),
            (
                7,
                json!([{"Type": "ACL", "Settings": {"Action": "Perhaps"}}]),
                HResult::HCN_E_INVALID_POLICY,
            ),
            (7, json!([{"Type": "Unheard", "Settings": {}}]), HResult::HCN_E_INVALID_POLICY_TYPE),
        ] {
            let failure = attach_step_by_step(&node.host, id, number, &policies).err().unwrap();
            assert_eq!(failure.hresult, expected, "{failure}");
            assert_eq!((ours(&node.host), namespaces(&node.host)), before);
            node.check();
        }
        let gone = attach_step_by_step(&node.host, drawn(), 7, &json!([])).err().unwrap();
        assert_eq!(gone.hresult, HResult::HCN_E_NETWORK_NOT_FOUND);
        assert_eq!((ours(&node.host), namespaces(&node.host)), before);
        // The service is killed: what runs goes on, and reconciliation finds what there was.
        let netns = inside(node, &client);
        let mut talk = Connection::open(&netns, "10.200.4.5:80", Duration::from_secs(5)).unwrap();
        node.kill();
        assert_eq!(talk.ask().unwrap().server, "web");
        node.start();
        assert_eq!(ours(&node.host), ["owner-5", "owner-6"]);
        assert_eq!(talk.ask().unwrap().server, "web");
        detach(&node.host, &web);
        assert!(tcp_refused(&netns, "10.200.4.5:80"));
        detach(&node.host, &client);
        assert!(ours(&node.host).is_empty());
        call(&node.host, Operation::DeleteNetwork, Some(id), &json!({})).unwrap();
    });
}

fn namespaces(host: &Host) -> usize {
    let ids = call(host, Operation::EnumerateNamespaces, None, &json!({})).unwrap();
    ids.as_array().unwrap().len()
}

/// The cluster of both play, and what one of them has.
const CLUSTER: &str = "10.200.0.0/16";

#[test]
fn containers_of_two_hosts_meet_under_their_own_addresses() {
    play(|wire, nodes| {
        let [one, other] = &*nodes;
        let outside = stranger(wire, 9);
        let both = [(one, 4), (other, 5)];
        let networks = both.map(|(node, slice)| {
            Network::create_internal(&node.host, "zlayer", &format!("10.200.{slice}.0/28")).unwrap()
        });
        // As the tunnel's program does: each host has a way to the other one's slice.
        one.netns.exec(&format!("ip route add 10.200.5.0/28 via {}", other.address()));
        other.netns.exec(&format!("ip route add 10.200.4.0/28 via {}", one.address()));
        let attached = networks.each_ref().map(|network| {
            let [owner, container] = ["agent", "c1"].map(str::to_owned);
            let cluster = vec![CLUSTER.to_owned()];
            let wish = Wish { owner, container, cluster, ..Wish::default() };
            EndpointAttachment::create_overlay(network, &wish).unwrap()
        });
        let [web, client] = &attached;
        let [at_web, at_client] =
            [(&one, web), (&other, client)].map(|(node, one)| node.inside(one.namespace_id()));
        let _server = tcp_server(&at_web, "web", "0.0.0.0:80");
        let address = web.ip().unwrap();
        let answer = tcp(&at_client, &format!("{address}:80")).unwrap();
        assert_eq!(answer.client, client.ip().unwrap());
        // What is not of the cluster does not come in, and sees the host when it is asked.
        outside.exec(&format!("ip route add 10.200.0.0/16 via {}", one.address()));
        assert!(tcp_refused(&outside, &format!("{address}:80")));
        let _elsewhere = tcp_server(&outside, "outside", "0.0.0.0:80");
        let answer = tcp(&at_web, "192.0.2.9:80").unwrap();
        assert_eq!(answer.client.to_string(), one.address());
        // Who has crashed finds what it had, and clears up.
        for (node, attachment) in [(&one, web), (&other, client)] {
            let owned = attach::list_owned(&node.host, "agent").unwrap();
            let [(endpoint, namespace)] = owned.as_slice() else { panic!("{owned:?}") };
            assert_eq!(
                (endpoint.id(), *namespace),
                (attachment.endpoint_id(), Some(attachment.namespace_id()))
            );
            assert!(attach::list_owned(&node.host, "agen").unwrap().is_empty());
            node.check();
        }
        let [web, client] = attached;
        let (endpoint, namespace) = (web.endpoint_id(), Some(web.namespace_id()));
        for _ in 0..2 {
            attach::delete_endpoint_and_namespace(&one.host, endpoint, namespace).unwrap();
        }
        client.teardown().unwrap();
        for network in networks {
            network.delete().unwrap();
        }
        for node in [one, other] {
            node.check();
            node.netns.exec("ip route flush root 10.200.0.0/16");
        }
    });
}

#[test]
fn an_attachment_is_whole_or_not_there() {
    play(|_wire, [node]| {
        let network = Network::create_internal(&node.host, "zlayer", "10.200.4.0/28").unwrap();
        let wish = |address: &str, cluster: &str| Wish {
            owner: "agent".to_owned(),
            container: "c1".to_owned(),
            address: address.parse().ok(),
            cluster: vec![cluster.to_owned()],
            ..Wish::default()
        };
        let attached = EndpointAttachment::create_overlay(&network, &wish("10.200.4.7", CLUSTER));
        let attached = attached.unwrap();
        assert_eq!(attached.ip().unwrap().to_string(), "10.200.4.7");
        let before =
            (namespaces(&node.host), attach::list_owned(&node.host, "agent").unwrap().len());
        for (wish, code) in [
            (wish("10.200.4.7", CLUSTER), HResult::HCN_E_ADDR_INVALID_OR_RESERVED),
            (wish("10.200.4.8", "10.200.0.0/33"), HResult::HCN_E_INVALID_POLICY),
        ] {
            let failure = EndpointAttachment::create_overlay(&network, &wish).unwrap_err();
            assert_eq!(failure.hresult, code, "{failure}");
            let after =
                (namespaces(&node.host), attach::list_owned(&node.host, "agent").unwrap().len());
            assert_eq!(after, before);
        }
        attached.teardown().unwrap();
        network.delete().unwrap();
    });
}
