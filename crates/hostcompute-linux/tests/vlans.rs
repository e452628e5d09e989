//! VLANs on Transparent networks: whose frames are tagged on the wire, and who is out of reach.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::process::Command;
use std::time::{Duration, Instant};

use hostcompute_engine::host::Host;
use hostcompute_schema::HResult;
use hostcompute_schema::operation::Operation;
use serde_json::{Value, json};

use lab::Netns;
use lab::node::{Node, Wire, seclude};
use lab::traffic::{tcp, tcp_refused, tcp_server};

fn tagged(vlan: u32) -> Value {
    json!({"Type": "VLAN", "Settings": {"IsolationId": vlan}})
}

fn network(policies: &Value) -> Value {
    json!({
        "Name": "wire",
        "Type": "Transparent",
        "Ipams": [{"Subnets": [{
            "IpAddressPrefix": "192.0.2.0/24",
            "Policies": policies,
            "Routes": [{"NextHop": "192.0.2.254", "DestinationPrefix": "0.0.0.0/0"}],
        }]}],
    })
}

fn own(vlan: u32) -> Value {
    json!({"Policies": [tagged(vlan)]})
}

/// Frames from a MAC at a machine's adapter: tagged with VLAN 5, and any others.
fn counted(machine: &Node) -> (u64, u64) {
    let listed = machine.host.json("nft -j list chain netdev sight in");
    let rules = listed["nftables"].as_array().unwrap().iter();
    let counter = |rule: &Value| {
        let parts = rule["rule"]["expr"].as_array().cloned().unwrap_or_default();
        parts.iter().find_map(|part| part["counter"]["packets"].as_u64())
    };
    let found: Vec<u64> = rules.filter_map(counter).collect();
    (found[0], found[1])
}

fn watch(machine: &Node, mac: &str) {
    for line in [
        "nft add table netdev sight".to_owned(),
        "nft add chain netdev sight in { type filter hook ingress device up0 priority 0 ; }".into(),
        format!("nft add rule netdev sight in ether saddr {mac} vlan id 5 counter return"),
        format!("nft add rule netdev sight in ether saddr {mac} counter"),
    ] {
        machine.host.exec(&line);
    }
}

/// Also who knows the MAC, and need not ask, gets nothing through.
fn is_out_of_reach(from: &Netns, device: &str, to: &Netns, address: &str) -> bool {
    from.exec(&format!(
        "ip neigh replace {address} lladdr {} dev {device} nud permanent",
        to.mac("eth0")
    ));
    tcp_refused(from, &format!("{address}:80"))
}

#[test]
fn endpoints_see_their_own_vlan_and_nothing_else() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, mut other, machine) = (wire.node(1), wire.node(2), wire.node(9));
    let before = host.uplink();
    let five = host.create(Operation::CreateNetwork, &network(&json!([tagged(5)])));
    let plain = other.create(Operation::CreateNetwork, &network(&json!([])));
    let (a, id) = host.container_and_endpoint(five, "192.0.2.50", &json!({}));
    let near = host.container(five, "192.0.2.51", &json!({}));
    let near_six = host.container(five, "192.0.2.52", &own(6));
    let near_none = host.container(five, "192.0.2.53", &own(0));
    let far = other.container(plain, "192.0.2.60", &own(5));
    let far_six = other.container(plain, "192.0.2.61", &own(6));
    let far_none = other.container(plain, "192.0.2.62", &json!({}));
    host.check();
    other.check();
    watch(&machine, &a.mac("eth0"));
    let _servers = [
        tcp_server(&a, "a", "192.0.2.50:80"),
        tcp_server(&far, "far", "192.0.2.60:80"),
        tcp_server(&far_six, "six", "192.0.2.61:80"),
        tcp_server(&machine.host, "machine", "192.0.2.9:80"),
        tcp_server(&host.host, "host", "192.0.2.1:80"),
    ];
    for _ in 0..2 {
        let seen = |from: &Netns, to: &str| tcp(from, to).unwrap().client.to_string();
        assert_eq!(seen(&a, "192.0.2.60:80"), "192.0.2.50");
        assert_eq!(seen(&far, "192.0.2.50:80"), "192.0.2.60");
        assert_eq!(seen(&near, "192.0.2.50:80"), "192.0.2.51");
        assert_eq!(far.known_as("192.0.2.50"), a.mac("eth0"));
        assert_eq!(seen(&near_six, "192.0.2.61:80"), "192.0.2.52");
        assert_eq!(seen(&near_none, "192.0.2.9:80"), "192.0.2.53");
        for from in [&near_six, &near_none, &far_six, &far_none] {
            assert!(is_out_of_reach(from, "eth0", &a, "192.0.2.50"));
        }
        for from in [&machine, &host] {
            assert!(is_out_of_reach(&from.host, "up0", &a, "192.0.2.50"));
        }
        assert!(tcp_refused(&a, "192.0.2.9:80") && tcp_refused(&a, "192.0.2.1:80"));
        // Questions for everybody are seen by everybody, with the tag.
        let (in_vlan, outside) = counted(&machine);
        assert!(in_vlan > 0 && outside == 0, "{in_vlan} tagged, {outside} not");
        for damage in ["tc qdisc del dev LINK ingress", "ip link set LINK down", "ip link del LINK"]
        {
            for kind in ["macvlan", "veth"] {
                let links = host.host.exec(&format!("ip -o link show type {kind}"));
                let ours = |link: &&str| link.starts_with("hm") || link.starts_with("hv");
                let mut names = links.lines().filter_map(|line| line.split([' ', '@']).nth(1));
                let link = names.find(ours).unwrap();
                host.host.exec(&damage.replace("LINK", link));
                let found = host.linux.compare(&host.state.facts()).unwrap();
                assert!(!found.is_empty(), "{damage} {link}");
                host.restart();
                host.repair();
                host.check();
            }
        }
    }
    host.delete(Operation::DeleteEndpoint, id);
    host.check();
    host.delete(Operation::DeleteNetwork, five);
    host.check();
    assert_eq!(host.uplink(), before);
}

/// Whoever has all rights inside cannot choose the tag: what has one already goes nowhere.
#[test]
fn the_tag_is_out_of_reach_of_the_workload() {
    const SEND: &str = "import socket,sys\ns=socket.socket(17,3)\ns.bind(('eth0',0))\nfor f in sys.argv[1:]: s.send(bytes.fromhex(f))";
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, machine) = (wire.node(1), wire.node(9));
    let five = host.create(Operation::CreateNetwork, &network(&json!([tagged(5)])));
    let a = host.container(five, "192.0.2.50", &json!({}));
    watch(&machine, "02:00:00:00:00:77");
    let frame = |tag: &str| format!("ffffffffffff020000000077{tag}88b5{}", "00".repeat(46));
    let frames = [frame("81000006"), frame("88a80006"), frame("81000005"), frame("")];
    a.run(|| {
        let sent = Command::new("python3").args(["-c", SEND]).args(frames).status().unwrap();
        assert!(sent.success());
    });
    // The last one comes through, and it alone.
    let deadline = Instant::now() + Duration::from_secs(10);
    while counted(&machine).0 == 0 {
        assert!(Instant::now() < deadline, "nothing comes");
        std::thread::yield_now();
    }
    assert_eq!(counted(&machine), (1, 0));
}

#[test]
fn an_endpoint_changes_its_vlan_while_it_is_attached() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, mut other) = (wire.node(1), wire.node(2));
    let plain = json!([]);
    let (here, there) = (
        host.create(Operation::CreateNetwork, &network(&plain)),
        other.create(Operation::CreateNetwork, &network(&plain)),
    );
    let (a, id) = host.container_and_endpoint(here, "192.0.2.50", &json!({}));
    let far = [None, Some(5), Some(6)].map(|vlan: Option<u32>| {
        let address = format!("192.0.2.6{}", vlan.unwrap_or_default());
        let netns = other.container(there, &address, &vlan.map_or(json!({}), own));
        (tcp_server(&netns, "far", &format!("{address}:80")), format!("{address}:80"))
    });
    let change = |host: &mut Node, how: &str, vlan: u32| {
        let request = json!({"ResourceType": "Policy", "RequestType": how, "Settings": {
            "Policies": [tagged(vlan)],
        }});
        host.call(Operation::ModifyEndpoint, Some(id), &request).map(drop)
    };
    for (step, reached) in [None, Some(("Add", 5)), Some(("Update", 6)), Some(("Remove", 6))]
        .into_iter()
        .zip([0, 1, 2, 0])
    {
        if let Some((how, vlan)) = step {
            change(&mut host, how, vlan).unwrap();
        }
        host.check();
        for (place, (_, address)) in far.iter().enumerate() {
            match place == reached {
                true => assert!(tcp(&a, address).is_some(), "{address} after {step:?}"),
                false => assert!(tcp_refused(&a, address), "{address} after {step:?}"),
            }
        }
    }
    let larger = json!({"ResourceType": "Policy", "RequestType": "Add", "Settings": {
        "Policies": [{"Type": "InterfaceParameters", "Settings": {"Mtu": 1400}}],
    }});
    change(&mut host, "Add", 5).unwrap();
    host.modify(Operation::ModifyEndpoint, id, &larger);
    host.check();
    assert!(host.host.exec("ip -o link show type veth").contains(" mtu 1400 "));
    assert!(tcp(&a, &far[1].1).is_some());
    change(&mut host, "Remove", 5).unwrap();
    assert_eq!(change(&mut host, "Add", 4095).unwrap_err().hresult, HResult::HCN_E_INVALID_POLICY);
    change(&mut host, "Add", 5).unwrap();
    let again = change(&mut host, "Add", 6).unwrap_err().hresult;
    assert_eq!(again, HResult::HCN_E_POLICY_ALREADY_EXISTS);
    // The host would be in between, and route.
    let block = json!({"Type": "ACL", "Settings": {
        "Action": "Block", "Direction": "Out", "RuleType": "Switch", "Priority": 100,
    }});
    for (operation, id, policy) in [
        (Operation::ModifyEndpoint, id, block.clone()),
        (
            Operation::ModifyNetwork,
            here,
            json!({"Type": "NetworkACL", "Settings": block["Settings"]}),
        ),
    ] {
        let request = json!({"ResourceType": "Policy", "RequestType": "Add", "Settings": {
            "Policies": [policy],
        }});
        let refused = host.call(operation, Some(id), &request).unwrap_err();
        assert_eq!(refused.hresult, HResult::HCN_E_REQUEST_UNSUPPORTED);
    }
    host.check();
}

#[test]
fn what_cannot_be_kept_apart_is_refused() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let mut host = wire.node(1);
    let refused = |host: &mut Node, document: &Value| {
        host.call(Operation::CreateNetwork, None, document).unwrap_err().hresult
    };
    for kind in ["L2Bridge", "L2Tunnel", "NAT", "Internal"] {
        let mut document = network(&json!([tagged(5)]));
        document["Type"] = kind.into();
        assert_eq!(refused(&mut host, &document), HResult::HCN_E_REQUEST_UNSUPPORTED, "{kind}");
    }
    let mut two = network(&json!([tagged(5)]));
    two["Ipams"][0]["Subnets"].as_array_mut().unwrap().push(json!({
        "IpAddressPrefix": "198.18.0.0/24", "Policies": [tagged(6)],
    }));
    assert_eq!(refused(&mut host, &two), HResult::HCN_E_REQUEST_UNSUPPORTED);
    assert_eq!(refused(&mut host, &network(&json!([tagged(4095)]))), HResult::HCN_E_INVALID_POLICY);
    let mut filtered = network(&json!([tagged(5)]));
    filtered["Policies"] = json!([{"Type": "NetworkACL", "Settings": {
        "Action": "Block", "Direction": "Out", "RuleType": "Switch", "Priority": 100,
    }}]);
    assert_eq!(refused(&mut host, &filtered), HResult::HCN_E_REQUEST_UNSUPPORTED);
    // A server gives the addresses here, but the VLAN holds.
    let mut leased = network(&json!([]));
    leased["Ipams"] = json!([{"Type": "DHCP", "Subnets": [{"Policies": [tagged(5)]}]}]);
    let id = host.create(Operation::CreateNetwork, &leased);
    let inside = host.container_and_endpoint(id, "", &json!({"IpConfigurations": []})).0;
    let machine = wire.node(9);
    inside.exec("ip addr add 192.0.2.77/24 dev eth0");
    let _server = tcp_server(&machine.host, "machine", "192.0.2.9:80");
    assert!(tcp_refused(&inside, "192.0.2.9:80"));
    host.check();
}
