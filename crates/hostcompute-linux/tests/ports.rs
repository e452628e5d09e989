//! Ports as foreign programs see them, what may leave them, and what happens when things are there or gone already.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use hostcompute_engine::host::Host;
use hostcompute_engine::plan::{Fact, HostAddress, Port, PortRoute, Resolver, Step, VipRoute};
use lab::facts::{anchor, base, endpoint, guid, ip, nat, net, network, of_port, port};
use lab::traffic::{ping, ping_refused, tcp, tcp_server};
use lab::{Lab, Netns};
use serde_json::Value;

fn only<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    let found: Vec<_> =
        list.as_array().unwrap().iter().filter(|entry| entry[key] == value).collect();
    assert_eq!(found.len(), 1, "{key} {value} in {list:#}");
    found[0]
}

#[test]
fn the_host_end_is_as_the_fact_says() {
    let Some(mut lab) = Lab::new() else { return };
    let mut wanted = port(1, 2);
    wanted.alias = "the web server".to_owned();
    wanted.mtu = Some(1400);
    let mut facts = nat(0);
    facts.extend(of_port(wanted.clone()));
    lab.bring(&facts);
    // The kernel notices a moment later that both ends are up.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !lab.host.exec("ip -o link show he1x2").contains("state UP") {
        assert!(Instant::now() < deadline, "it does not come up");
    }
    let links = lab.host.json("ip -j -d link show");
    let link = only(&links, "ifname", "he1x2");
    assert_eq!(link["ifindex"], wanted.index);
    assert_eq!(link["address"], "02:68:63:00:00:01");
    assert_eq!(link["mtu"], 1400);
    assert_eq!(link["ifalias"], "the web server");
    assert_eq!(link["group"], "1751318528");
    assert_eq!(link["inet6_addr_gen_mode"], "none");
    assert_eq!(link["num_tx_queues"], 1);
    assert_eq!(link["linkinfo"]["info_kind"], "veth");
    assert_eq!(link["operstate"], "UP");
    assert!(link.get("master").is_none(), "in no bridge");
    assert_eq!(lab.host.exec("ip -o addr show he1x2"), "", "no addresses, not even link-local");
    let routes = lab.host.json("ip -j route show dev he1x2");
    let route = only(&routes, "dst", "10.1.0.2");
    assert_eq!(route["prefsrc"], "10.1.0.1");
    assert_eq!(route["scope"], "link");
    let routes = lab.host.json("ip -6 -j route show dev he1x2");
    assert_eq!(only(&routes, "dst", "fd00:1::2")["prefsrc"], "fd00:1::1");
    let neighbours = lab.host.json("ip -j neigh show dev he1x2 nud permanent");
    assert_eq!(only(&neighbours, "dst", "10.1.0.2")["lladdr"], "02:15:5d:01:01:02");
    assert_eq!(only(&neighbours, "dst", "fd00:1::2")["lladdr"], "02:15:5d:01:01:02");
}

#[test]
fn the_inner_end_is_as_the_fact_says() {
    let Some(mut lab) = Lab::new() else { return };
    let mut wanted = port(1, 2);
    wanted.mtu = Some(1400);
    wanted.routes.push(PortRoute {
        destination: net("172.16.5.0/24"),
        next_hop: Some(ip("10.1.0.1")),
        metric: 77,
    });
    let mut facts = nat(0);
    facts.extend(of_port(wanted));
    lab.bring(&facts);
    lab.check();
    let inside = lab.netns(guid(102));
    let links = inside.json("ip -j -d link show");
    assert_eq!(only(&links, "ifname", "lo")["operstate"], "UNKNOWN");
    let link = only(&links, "ifname", "eth0");
    assert_eq!((&link["ifindex"], &link["mtu"]), (&2.into(), &1400.into()));
    assert_eq!(link["address"], "02:15:5d:01:01:02");
    assert_eq!(link["inet6_addr_gen_mode"], "none");
    let addresses = inside.exec("ip -o addr show dev eth0");
    assert!(addresses.contains("inet 10.1.0.2/24"), "{addresses}");
    assert!(addresses.contains("inet6 fd00:1::2/64"), "{addresses}");
    assert!(!addresses.contains("fe80"), "{addresses}");
    let routes = inside.json("ip -j route");
    assert_eq!(only(&routes, "dst", "default")["gateway"], "10.1.0.1");
    assert_eq!(only(&routes, "dst", "172.16.5.0/24")["metric"], 77);
    assert_eq!(routes.as_array().unwrap().len(), 2, "no prefix route: {routes}");
    let neighbours = inside.json("ip -j neigh show nud permanent");
    assert_eq!(only(&neighbours, "dst", "10.1.0.1")["lladdr"], "02:68:63:00:00:01");
}

#[test]
fn mtu_and_alias_change_in_place() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(1));
    let from = port(1, 2);
    let to = Port { mtu: Some(1280), alias: "renamed".to_owned(), ..from.clone() };
    let mut facts = lab.facts.clone();
    facts.retain(|fact| !matches!(fact, Fact::Port(_)));
    facts.push(Fact::Port(to.clone()));
    lab.bring(&facts);
    lab.check();
    let inside = lab.netns(guid(102));
    assert_eq!(only(&inside.json("ip -j link"), "ifname", "eth0")["mtu"], 1280);
    assert!(ping(&inside, "10.1.0.1"));
    lab.perform(&[Step::Change { from: Fact::Port(to), to: Fact::Port(from.clone()) }]);
    facts.retain(|fact| !matches!(fact, Fact::Port(_)));
    facts.push(Fact::Port(from));
    lab.facts = facts;
    lab.check();
}

/// A socket in a namespace; a fresh IPv6 address takes a moment to be usable.
fn socket(netns: &Netns, address: &str) -> UdpSocket {
    netns.run(|| {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match UdpSocket::bind(address) {
                Ok(socket) => break socket,
                Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
            }
        }
    })
}

/// Sends false packets from `false_sender`, then true ones; the first that arrives must be a true one.
#[track_caller]
fn check_dropped(a: &Netns, receiver: &UdpSocket, false_sender: &str, true_sender: &str) {
    let to = receiver.local_addr().unwrap();
    let liar = socket(a, false_sender);
    for _ in 0..5 {
        let _ = liar.send_to(b"false", to);
    }
    let honest = socket(a, true_sender);
    receiver.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut buffer = [0; 16];
    for _ in 0..10 {
        honest.send_to(b"true", to).unwrap();
        if let Ok(length) = receiver.recv(&mut buffer) {
            assert_eq!(&buffer[..length], b"true", "from {false_sender}");
            break;
        }
    }
    receiver.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    while receiver.recv(&mut buffer).is_ok() {}
}

#[test]
fn nothing_leaves_a_port_under_a_false_address() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(2));
    let (a, b) = (lab.netns(guid(102)), lab.netns(guid(103)));
    let receiver = socket(&b, "10.1.0.3:53");
    let receiver6 = socket(&b, "[fd00:1::3]:53");
    // Another address of the subnet, then one of nobody's.
    for address in ["10.1.0.77", "192.0.2.7"] {
        a.exec(&format!("ip addr add {address}/32 dev eth0"));
        check_dropped(&a, &receiver, &format!("{address}:0"), "10.1.0.2:0");
    }
    a.exec("ip addr add fd00:1::77/128 dev eth0");
    check_dropped(&a, &receiver6, "[fd00:1::77]:0", "[fd00:1::2]:0");
}

#[test]
fn nothing_leaves_a_port_under_a_false_mac() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(2));
    let (a, b) = (lab.netns(guid(102)), lab.netns(guid(103)));
    let receiver = socket(&b, "10.1.0.3:53");
    let to = receiver.local_addr().unwrap();
    let sender = socket(&a, "10.1.0.2:0");
    a.exec("ip link set eth0 address 02:00:00:00:00:99");
    for _ in 0..5 {
        let _ = sender.send_to(b"false", to);
    }
    a.exec("ip link set eth0 address 02:15:5d:01:01:02");
    receiver.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut buffer = [0; 16];
    let heard = (0..10).find_map(|_| {
        let _ = sender.send_to(b"true", to);
        receiver.recv(&mut buffer).ok()
    });
    assert_eq!(heard.map(|length| &buffer[..length]), Some(&b"true"[..]));
}

#[test]
fn a_port_does_not_reach_the_loopback_addresses_of_the_host() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(1));
    let a = lab.netns(guid(102));
    let receiver = socket(&lab.host, "127.0.0.1:53");
    // The workload is root in its namespace and sends what it likes.
    a.exec("ip addr del 127.0.0.1/8 dev lo");
    a.exec("ip route flush table local 127.0.0.0/8");
    a.exec("ip route add 127.0.0.0/8 via 10.1.0.1 dev eth0 onlink");
    a.run(|| std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap());
    let sender = socket(&a, "10.1.0.2:0");
    for _ in 0..5 {
        sender.send_to(b"false", "127.0.0.1:53").unwrap();
    }
    receiver.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(receiver.recv(&mut [0; 16]).is_err());
    assert!(ping(&a, "10.1.0.1"), "while others pass");
}

#[test]
fn a_port_that_is_not_listed_yet_is_dead() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(2);
    facts.retain(|fact| {
        !matches!(fact, Fact::Element(hostcompute_engine::plan::Element::Source { address, .. })
            if *address == ip("10.1.0.2"))
    });
    lab.bring(&facts);
    let a = lab.netns(guid(102));
    assert!(ping_refused(&a, "10.1.0.1"));
    assert!(ping_refused(&a, "10.1.0.3"));
    assert!(ping(&a, "fd00:1::3"), "the other family is listed");
}

#[test]
fn two_ports_share_a_namespace() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(1);
    facts.extend(network(2, lab::facts::Kind::Internal));
    let second = Port {
        netns: guid(102),
        inner_name: "eth1".to_owned(),
        inner_index: 3,
        routes: vec![PortRoute {
            destination: net("10.2.0.0/24"),
            next_hop: Some(ip("10.2.0.1")),
            metric: 0,
        }],
        ..port(2, 2)
    };
    facts.extend(of_port(second).into_iter().filter(|fact| !matches!(fact, Fact::Netns(_))));
    facts.extend(endpoint(2, 3));
    lab.bring(&facts);
    lab.check();
    let a = lab.netns(guid(102));
    assert!(ping(&a, "10.1.0.1"));
    assert!(ping(&a, "10.2.0.3"));
}

#[test]
fn an_endpoint_comes_back_at_once_to_the_place_it_left() {
    let Some(mut lab) = Lab::new() else { return };
    let with = nat(2);
    let without: Vec<Fact> = nat(1);
    for _ in 0..3 {
        lab.bring(&with);
        lab.bring(&without);
    }
    lab.bring(&with);
    lab.check();
    assert!(ping(&lab.netns(guid(102)), "10.1.0.3"));
}

fn is_netns(fact: &Fact) -> bool {
    matches!(fact, Fact::Netns(_))
}

#[test]
fn a_port_leaves_and_enters_a_namespace_that_stays() {
    let Some(mut lab) = Lab::new() else { return };
    let with = nat(1);
    let without: Vec<Fact> = with
        .iter()
        .filter(|fact| !endpoint(1, 2).contains(fact) || is_netns(fact))
        .cloned()
        .collect();
    lab.bring(&with);
    let inside = lab.netns(guid(102));
    lab.bring(&without);
    assert!(ping_refused(&inside, "10.1.0.1"), "dead at once");
    lab.bring(&with);
    lab.check();
    assert!(ping(&inside, "10.1.0.1"));
}

#[test]
fn what_is_there_is_added_and_what_is_gone_is_removed_without_complaint() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(2);
    facts.push(Fact::Resolver(Resolver { netns: guid(102), content: "nameserver ::1\n".into() }));
    let anchor = anchor(1);
    let (device, index) = (anchor.name, anchor.index);
    facts.push(Fact::HostAddress(HostAddress {
        endpoint: guid(9),
        device: device.clone(),
        index,
        address: ip("10.1.0.9"),
    }));
    facts.push(Fact::VipRoute(VipRoute { address: ip("10.99.0.1"), device, index }));
    lab.bring(&facts);
    let before = lab.fingerprint();
    let a = lab.netns(guid(102));
    let server = tcp_server(&lab.netns(guid(103)), "b", "10.1.0.3:80");
    let mut connection =
        lab::traffic::Connection::open(&a, "10.1.0.3:80", Duration::from_secs(2)).unwrap();
    let mut sorted = facts.clone();
    sorted.sort();
    let again: Vec<Step> = sorted.iter().cloned().map(Step::Add).collect();
    lab.perform(&again);
    lab.check();
    assert!(connection.ask().is_some(), "nothing was disturbed");
    drop(server);
    lab.check_unchanged(&before);
    let away: Vec<Step> = sorted.iter().rev().cloned().map(Step::Remove).collect();
    lab.perform(&away);
    lab.perform(&away);
    lab.facts.clear();
    lab.check();
}

#[test]
fn a_link_of_somebody_else_is_left_alone() {
    let Some(mut lab) = Lab::new() else { return };
    lab.host.exec("ip link add he1x2 type bridge");
    lab.bring(&nat(0));
    let plan: Vec<Step> = endpoint(1, 2).into_iter().map(Step::Add).collect();
    let fault = lab.linux.perform(&plan).unwrap_err();
    assert_eq!(fault.failure.hresult, hostcompute_schema::HResult::ERROR_ALREADY_EXISTS);
    assert!(fault.failure.message.contains("he1x2"), "{}", fault.failure.message);
    assert!(matches!(plan[fault.step], Step::Add(Fact::Port(_))), "{fault:?}");
    lab.perform(&hostcompute_engine::plan::undo(&plan));
    lab.check();
    assert_eq!(only(&lab.host.json("ip -j -d link"), "ifname", "he1x2")["group"], "default");
}

#[test]
fn a_port_takes_its_address_from_what_a_killed_process_left() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(1));
    // A process that was killed after its answer has taken the elements out of the packet filter, and no more.
    let old = endpoint(1, 2);
    let gone: Vec<Step> = old
        .iter()
        .filter(|fact| matches!(fact, Fact::Element(_)))
        .cloned()
        .map(Step::Remove)
        .collect();
    lab.perform(&gone);
    let new = Port { netns: guid(150), name: "he1new".to_owned(), index: 2_900_000, ..port(1, 2) };
    let mut facts: Vec<Fact> =
        lab.facts.iter().filter(|fact| !old.contains(fact)).cloned().collect();
    facts.extend(of_port(new));
    lab.perform(&hostcompute_engine::plan::difference(&[], &facts));
    lab.facts = facts;
    assert!(ping(&lab.netns(guid(150)), "10.1.0.1"));
    let left = lab.differences();
    assert_eq!(left.len(), 1, "the old namespace's name is a stray: {left:?}");
}

#[test]
fn an_endpoint_of_the_host_itself_talks_to_the_others() {
    let Some(mut lab) = Lab::new() else { return };
    let anchor = anchor(1);
    let host = HostAddress {
        endpoint: guid(9),
        device: anchor.name.clone(),
        index: anchor.index,
        address: ip("10.1.0.9"),
    };
    let mut facts = nat(1);
    facts.push(Fact::HostAddress(host));
    lab.bring(&facts);
    lab.check();
    let _server = tcp_server(&lab.host, "host", "10.1.0.9:80");
    let seen = tcp(&lab.netns(guid(102)), "10.1.0.9:80").unwrap();
    assert_eq!(seen.client, ip("10.1.0.2"));
}

#[test]
fn an_address_that_nobody_has_is_sought_nowhere_else() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = base();
    facts.extend(network(1, lab::facts::Kind::Nat));
    facts.extend(endpoint(1, 2));
    lab.bring(&facts);
    let error = lab.host.run(|| {
        std::process::Command::new("ip").args(["route", "get", "10.1.0.200"]).output().unwrap()
    });
    assert!(!error.status.success());
    let text = String::from_utf8_lossy(&error.stderr).into_owned();
    assert!(text.contains("unreachable") || text.contains("No route"), "{text}");
}

#[test]
fn counters_are_seen_from_the_endpoint() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(1));
    let a = lab.netns(guid(102));
    let before = lab.linux.counters(&port(1, 2).meter()).unwrap();
    a.run(|| {
        let socket = UdpSocket::bind("10.1.0.2:0").unwrap();
        for _ in 0..10 {
            socket.send_to(&[0; 1000], "10.1.0.1:9").unwrap();
        }
    });
    let after = lab.linux.counters(&port(1, 2).meter()).unwrap();
    let sent = after.bytes_sent - before.bytes_sent;
    assert!((10_000..12_000).contains(&sent), "{sent}");
    let packets = after.packets_sent - before.packets_sent;
    assert!((10..15).contains(&packets), "{packets}: group reports may come in between");
    // The host answers each with "port unreachable", up to its limit of such answers.
    assert!(after.packets_received > before.packets_received);
    let inside = a.json("ip -j -s link show eth0");
    let count = |way: &str| inside[0]["stats64"][way]["packets"].as_u64().unwrap();
    assert!((after.packets_sent..after.packets_sent + 5).contains(&count("tx")));
    assert!((after.packets_received..after.packets_received + 5).contains(&count("rx")));
}

#[test]
fn another_host_namespace_by_its_path() {
    let Some(lab) = Lab::new() else { return };
    // The outside plays the host here, and the lab's own host must not notice.
    let before = lab.fingerprint();
    let mut linux = hostcompute_linux::Linux::open(hostcompute_linux::Options {
        host_netns: Some(lab.outside.path()),
        netns_dir: lab.directory.join("other/netns"),
        resolver_dir: lab.directory.join("other/resolv"),
        saved: lab.directory.join("other/saved.json"),
        resolv_conf: "/etc/resolv.conf".into(),
    })
    .unwrap();
    assert_ne!(linux.identity().netns_cookie, lab.linux.identity().netns_cookie);
    assert_eq!(linux.identity().boot_id, lab.linux.identity().boot_id);
    let facts = nat(2);
    let plan: Vec<Step> = hostcompute_engine::plan::difference(&[], &facts);
    linux.perform(&plan).unwrap();
    assert_eq!(linux.compare(&facts).unwrap(), []);
    assert!(lab.outside.exec("ip -o link").contains("he1x2"));
    let inside = Netns::open(&linux.netns_path(guid(102)));
    assert!(ping(&inside, "10.1.0.3"));
    linux.perform(&hostcompute_engine::plan::difference(&facts, &[])).unwrap();
    linux.settle().unwrap();
    assert_eq!(linux.compare(&[]).unwrap(), []);
    drop(linux);
    std::fs::remove_dir_all(lab.directory.join("other")).unwrap();
    lab.check_unchanged(&before);
}

#[test]
fn hundreds_of_ports_come_and_go_in_one_plan() {
    let Some(mut lab) = Lab::new() else { return };
    let before = lab.fingerprint();
    let mut facts = nat(0);
    for number in 0..600_u32 {
        let address = std::net::Ipv4Addr::from(0x0a01_0002 + number).into();
        let mut bytes = [7; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        facts.extend(of_port(Port {
            netns: hostcompute_schema::Guid::from_bytes(bytes),
            name: format!("he1y{number}"),
            index: 4_000_000 + number,
            mac: hostcompute_engine::mac::Mac::from_u64(0x0215_5d02_0000 + u64::from(number)),
            addresses: vec![ipnet::IpNet::new(address, 22).unwrap()],
            routes: Vec::new(),
            ..port(1, 2)
        }));
    }
    lab.bring(&facts);
    lab.check();
    lab.bring(&[]);
    // What is gone already is removed once more: as many refusals as there were messages.
    let again: Vec<Step> = facts.iter().rev().cloned().map(Step::Remove).collect();
    lab.perform(&again);
    lab.linux.settle().unwrap();
    lab.check_unchanged(&before);
}

#[test]
fn a_port_ends_with_its_namespace_and_nobody_waits_for_it() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(2));
    let (ends, stays) = (port(1, 2), port(1, 3));
    // It has the namespaces open.
    lab.linux = lab.reopen();
    // As a process would that is still in there.
    let held = lab.netns(ends.netns);
    let is_there = |lab: &Lab, port: &Port| lab.host.exec("ip -o link").contains(&port.name);
    let mut another = lab.reopen();
    another.perform(&[Step::Remove(Fact::Port(stays.clone()))]).unwrap();
    drop(another);
    assert!(!is_there(&lab, &stays), "its namespace stays, so it is waited for");
    let mut another = lab.reopen();
    let both = [Fact::Port(ends.clone()), Fact::Netns(ends.netns)];
    another.perform(&both.map(Step::Remove)).unwrap();
    drop(another);
    assert!(is_there(&lab, &ends), "nobody waited");
    assert!(!ping(&lab.host, "10.1.0.2"), "it is dead");
    drop(held);
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_there(&lab, &ends) {
        assert!(Instant::now() < deadline, "the kernel does not end it");
        std::thread::yield_now();
    }
}

#[test]
fn ports_may_come_in_another_order_than_their_namespaces() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(0));
    // More namespaces than are kept open; the first port is for the one that was opened longest ago.
    let mut plan: Vec<Step> = (2..90).map(|e| Step::Add(Fact::Netns(guid(100 + e)))).collect();
    let oldest_open = 90 - 64;
    for e in (oldest_open..oldest_open + 12).chain(2..14) {
        let facts = of_port(port(1, e)).into_iter().filter(|fact| !is_netns(fact));
        plan.extend(facts.map(Step::Add));
    }
    lab.perform(&plan);
    lab.facts.extend(plan.into_iter().filter_map(|step| match step {
        Step::Add(fact) => Some(fact),
        _ => None,
    }));
    lab.check();
    let facts = nat(0);
    lab.bring(&facts);
}
