//! Rate limits.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use hostcompute_engine::plan::{Diversion, Fact, Lane, Shaper};
use hostcompute_schema::Guid;
use hostcompute_schema::operation::Operation;
use lab::facts::{guid, nat, port};
use lab::node::{Node, Wire, seclude};
use lab::traffic::{ping, tcp, tcp_server};
use lab::{Lab, Netns};
use serde_json::{Value, json};

fn capped(rate: u64) -> [Fact; 2] {
    let port = port(1, 2);
    let shaper = Shaper {
        port: port.name.clone(),
        name: "hv1x2".to_owned(),
        index: 3_001_002,
        bytes_per_second: rate,
    };
    let lanes = vec![Lane { place: 0, sources: Vec::new(), shaper: shaper.index }];
    let diversion = Diversion { port: port.name, index: port.index, lanes };
    [Fact::Shaper(shaper), Fact::Diversion(diversion)]
}

fn bucket(lab: &Lab) -> Value {
    let queues = lab.host.json("tc -j -s qdisc show dev hv1x2");
    queues.as_array().unwrap().iter().find(|queue| queue["kind"] == "tbf").cloned().unwrap()
}

#[test]
fn what_a_port_sends_is_capped_and_what_it_receives_is_not() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(2);
    facts.extend(capped(250_000));
    lab.bring(&facts);
    lab.check();
    assert_eq!(bucket(&lab)["options"]["rate"], 250_000);
    let a = lab.netns(guid(102));
    let _server = tcp_server(&lab.netns(guid(103)), "b", "10.1.0.3:80");
    assert!(tcp(&a, "10.1.0.3:80").is_some(), "it still works");
    assert!(ping(&a, "fd00:1::3"));
    // Much more than the bucket and its queue hold: some of it must have been held back or lost.
    a.run(|| {
        let socket = std::net::UdpSocket::bind("10.1.0.2:0").unwrap();
        for _ in 0..1000 {
            let _ = socket.send_to(&[0; 1400], "10.1.0.3:9");
        }
    });
    let queue = bucket(&lab);
    assert!(queue["overlimits"].as_u64().unwrap() > 0, "{queue}");
    assert!(queue["drops"].as_u64().unwrap() > 0, "{queue}");
    let through = queue["bytes"].as_u64().unwrap();
    let b = lab.netns(guid(103));
    b.run(|| {
        let socket = std::net::UdpSocket::bind("10.1.0.3:0").unwrap();
        for _ in 0..200 {
            let _ = socket.send_to(&[0; 1400], "10.1.0.2:9");
        }
    });
    // Only the few answers of the endpoint ("port unreachable") went through the bucket.
    assert!(bucket(&lab)["bytes"].as_u64().unwrap() < through + 100_000);
}

#[test]
fn the_rate_changes_in_place_and_goes_without_the_port() {
    let Some(mut lab) = Lab::new() else { return };
    let without = nat(2);
    let with = |rate| {
        let mut facts = without.clone();
        facts.extend(capped(rate));
        facts
    };
    lab.bring(&with(250_000));
    lab.bring(&with(5_000_000_000));
    lab.check();
    assert_eq!(bucket(&lab)["options"]["rate"], 5_000_000_000_u64);
    lab.bring(&without);
    lab.check();
    assert!(ping(&lab.netns(guid(102)), "10.1.0.3"));
    lab.bring(&with(1_000_000));
    lab.check();
    assert!(ping(&lab.netns(guid(102)), "10.1.0.3"));
    lab.bring(&[]);
    lab.check();
}

/// Bytes that went through the bucket of a device.
fn through(node: &Node, device: &str) -> u64 {
    let queues = node.host.json(&format!("tc -j -s qdisc show dev {device}"));
    let buckets = queues.as_array().unwrap().iter().filter(|queue| queue["kind"] == "tbf");
    buckets.map(|queue| queue["bytes"].as_u64().unwrap()).sum()
}

/// The endpoint of an address in a namespace, capped or not; returns it with the name of the device that caps it.
fn resident(
    node: &mut Node,
    network: Guid,
    namespace: Guid,
    number: u8,
    cap: Option<u64>,
) -> (Guid, String) {
    let qos = |rate| json!({"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": rate}});
    let policies: Vec<Value> = cap.map(qos).into_iter().collect();
    let endpoint = node.create(
        Operation::CreateEndpoint,
        &json!({"HostComputeNetwork": network.to_string(), "Policies": policies,
            "IpConfigurations": [{"IpAddress": format!("10.78.0.{number}")},
                {"IpAddress": format!("fd78::{number}")}]}),
    );
    node.attach(namespace, endpoint);
    let facts = node.state.facts();
    let port = facts.iter().find_map(|fact| match fact {
        Fact::Port(port) if port.endpoint == endpoint => Some(port.name.replacen("he", "hv", 1)),
        _ => None,
    });
    (endpoint, port.unwrap())
}

/// Sends much from an address by whichever port the namespace's routes choose: the first one's.
fn send(netns: &Netns, from: &str, to: &str) {
    netns.run(|| {
        let socket = std::net::UdpSocket::bind((from, 0)).unwrap();
        for _ in 0..100 {
            let _ = socket.send_to(&[0; 1000], (to, 9));
        }
    });
}

/// What all of it weighs, less than the headers would make it.
const MUCH: u64 = 100_000;

#[test]
fn the_cap_of_an_endpoint_holds_by_whichever_port_its_namespace_sends() {
    if !seclude() {
        return;
    }
    let mut node = Wire::new().node(1);
    let network = node.create(
        Operation::CreateNetwork,
        &json!({"Name": "capped", "Ipams": [{"Subnets": [
            {"IpAddressPrefix": "10.78.0.0/24"}, {"IpAddressPrefix": "fd78::/64"}]}]}),
    );
    let namespace = node.create(Operation::CreateNamespace, &json!({}));
    // The first is not capped, and what the namespace sends outside leaves by it; the others' buckets are wide enough to lose nothing.
    let wide = Some(100_000_000);
    let (first, _) = resident(&mut node, network, namespace, 10, None);
    let (second, by_second) = resident(&mut node, network, namespace, 11, wide);
    let (_, by_third) = resident(&mut node, network, namespace, 12, wide);
    let target = node.container(
        network,
        "10.78.0.99",
        &json!({"IpConfigurations": [
        {"IpAddress": "10.78.0.99"}, {"IpAddress": "fd78::99"}]}),
    );
    node.check();
    let inside = Netns::open(&node.linux.netns_path(namespace));
    assert!(ping(&inside, "10.78.0.99") && ping(&inside, "fd78::99"));
    let leaves_by =
        |to: &str, link: &str| inside.exec(&format!("ip route get {to}")).contains(link);
    assert!(leaves_by("192.0.2.77", "dev eth0") && leaves_by("fd79::1", "dev eth0"));
    assert!(leaves_by("10.78.0.99", "dev eth1"));

    let counted = |node: &Node| [through(node, &by_second), through(node, &by_third)];
    for (from, to) in [("10.78.0.11", "192.0.2.77"), ("fd78::11", "fd79::1")] {
        let [second, third] = counted(&node);
        send(&inside, from, to);
        let [now, other] = counted(&node);
        assert!(now >= second + MUCH, "{from}: {second} {now}");
        assert!(other < third + MUCH / 10, "{from}: {third} {other}");
    }
    let [second_before, third_before] = counted(&node);
    // By the second's port, which has a cap of its own.
    send(&inside, "10.78.0.12", "10.78.0.99");
    let [second_after, third_after] = counted(&node);
    assert!(third_after >= third_before + MUCH, "{third_before} {third_after}");
    assert!(second_after < second_before + MUCH / 10, "{second_before} {second_after}");
    drop(target);

    // A small bucket loses what it cannot hold, also by the other's port; another process knows it all.
    let qos = |how: &str, rate: u64| {
        json!({"ResourceType": "Policy", "RequestType": how, "Settings": {"Policies": [
            {"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": rate}}]}})
    };
    node.modify(Operation::ModifyEndpoint, second, &qos("Update", 250_000));
    node.restart();
    node.check();
    let queues = |node: &Node| {
        let queues = node.host.json(&format!("tc -j -s qdisc show dev {by_second}"));
        queues.as_array().unwrap().iter().find(|queue| queue["kind"] == "tbf").cloned().unwrap()
    };
    for _ in 0..10 {
        send(&inside, "10.78.0.11", "192.0.2.77");
    }
    assert!(queues(&node)["drops"].as_u64().unwrap() > 0, "{}", queues(&node));

    // Without the policy, and without the port that carried it all, nothing of it is left.
    node.modify(Operation::ModifyEndpoint, second, &qos("Remove", 250_000));
    node.check();
    node.delete(Operation::DeleteEndpoint, first);
    node.check();
    assert!(ping(&inside, "10.78.0.99"));
    node.delete(Operation::DeleteNamespace, namespace);
    node.check();
}
