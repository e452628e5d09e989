//! Who reaches whom, and under which address: published ports, the way out, the types of networks, isolation.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use hostcompute_engine::host::Host;
use hostcompute_engine::plan::{Claim, Element, Fact, Family, Port, Step, VipRoute};
use hostcompute_schema::HResult;
use lab::facts::{
    Kind, anchor, base, endpoint, guid, ip, mapping, nat, net, network, of_port, port,
};
use lab::traffic::{
    ping, ping_refused, tcp, tcp_refused, tcp_server, udp, udp_refused, udp_server,
};
use lab::{HOST4, HOST6, Lab, OUTSIDE4, OUTSIDE6};

const TCP: u8 = 6;
const UDP: u8 = 17;

#[track_caller]
fn check(seen: Option<lab::traffic::Answer>, server: &str, client: &str) {
    let seen = seen.expect("an answer");
    assert_eq!((seen.server.as_str(), seen.client), (server, ip(client)));
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(2);
    facts.extend([
        mapping(TCP, 8080, "10.1.0.2:80"),
        mapping(UDP, 8053, "10.1.0.2:53"),
        mapping(TCP, 8080, "[fd00:1::2]:80"),
        mapping(UDP, 8053, "[fd00:1::2]:53"),
    ]);
    lab.bring(&facts);
    lab.check();
    let (a, b) = (lab.netns(guid(102)), lab.netns(guid(103)));
    let _servers = [
        tcp_server(&a, "a", "10.1.0.2:80"),
        udp_server(&a, "a", "10.1.0.2:53"),
        tcp_server(&a, "a6", "[fd00:1::2]:80"),
        udp_server(&a, "a6", "[fd00:1::2]:53"),
    ];
    // From outside: the client keeps its address.
    check(tcp(&lab.outside, &format!("{HOST4}:8080")), "a", OUTSIDE4);
    check(udp(&lab.outside, &format!("{HOST4}:8053")), "a", OUTSIDE4);
    check(tcp(&lab.outside, &format!("[{HOST6}]:8080")), "a6", OUTSIDE6);
    check(udp(&lab.outside, &format!("[{HOST6}]:8053")), "a6", OUTSIDE6);
    // From another endpoint, through the host's address.
    check(tcp(&b, &format!("{HOST4}:8080")), "a", "10.1.0.3");
    check(udp(&b, &format!("[{HOST6}]:8053")), "a6", "fd00:1::3");
    // From the host itself, by its address and by the loopback address.
    assert!(tcp(&lab.host, &format!("{HOST4}:8080")).is_some());
    assert!(udp(&lab.host, &format!("{HOST4}:8053")).is_some());
    assert!(tcp(&lab.host, "127.0.0.1:8080").is_some());
    assert!(udp(&lab.host, "127.0.0.1:8053").is_some());
    assert!(tcp(&lab.host, &format!("[{HOST6}]:8080")).is_some());
    // By the IPv6 loopback address it is refused at once, not lost.
    let refused = lab.host.run(|| std::net::TcpStream::connect("[::1]:8080")).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    // Hairpin: the endpoint itself, which must not see itself as the client.
    assert_ne!(tcp(&a, &format!("{HOST4}:8080")).unwrap().client, ip("10.1.0.2"));
    assert_ne!(udp(&a, &format!("{HOST4}:8053")).unwrap().client, ip("10.1.0.2"));
    assert_ne!(tcp(&a, &format!("[{HOST6}]:8080")).unwrap().client, ip("fd00:1::2"));
    // Directly, without translation, the outside reaches nothing.
    lab.outside.exec(&format!("ip route add 10.1.0.0/24 via {HOST4}"));
    assert!(tcp_refused(&lab.outside, "10.1.0.2:80"));
}

#[test]
fn a_port_of_one_address_only() {
    let Some(mut lab) = Lab::new() else { return };
    let published = |vip: &str, to: &str| {
        Fact::Element(Element::PortMapping {
            vip: Some(ip(vip)),
            protocol: TCP,
            port: 80,
            to: to.parse().unwrap(),
        })
    };
    let mut facts = nat(2);
    facts.push(published(HOST4, "10.1.0.2:80"));
    facts.push(published("203.0.113.80", "10.1.0.3:80"));
    let anchor = anchor(1);
    facts.push(Fact::VipRoute(VipRoute {
        address: ip("203.0.113.80"),
        device: anchor.name,
        index: anchor.index,
    }));
    lab.bring(&facts);
    lab.check();
    let _servers = [
        tcp_server(&lab.netns(guid(102)), "a", "10.1.0.2:80"),
        tcp_server(&lab.netns(guid(103)), "b", "10.1.0.3:80"),
    ];
    check(tcp(&lab.outside, &format!("{HOST4}:80")), "a", OUTSIDE4);
    assert!(tcp_refused(&lab.host, "10.1.0.1:80"), "another address of the host");
    lab.outside.exec(&format!("ip route add 203.0.113.80 via {HOST4}"));
    check(tcp(&lab.outside, "203.0.113.80:80"), "b", OUTSIDE4);
    assert!(tcp(&lab.host, "203.0.113.80:80").is_some(), "the host finds its way, too");
}

#[test]
fn a_published_port_changes_its_target() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(2);
    facts.push(mapping(TCP, 8080, "10.1.0.2:80"));
    lab.bring(&facts);
    let _servers = [
        tcp_server(&lab.netns(guid(102)), "a", "10.1.0.2:80"),
        tcp_server(&lab.netns(guid(103)), "b", "10.1.0.3:80"),
    ];
    let to = format!("{HOST4}:8080");
    check(tcp(&lab.outside, &to), "a", OUTSIDE4);
    facts.pop();
    facts.push(mapping(TCP, 8080, "10.1.0.3:80"));
    lab.bring(&facts);
    lab.check();
    check(tcp(&lab.outside, &to), "b", OUTSIDE4);
    facts.pop();
    lab.bring(&facts);
    lab.check();
    assert!(tcp_refused(&lab.outside, &to));
}

#[test]
fn a_host_port_in_use_is_no_longer_free() {
    let Some(mut lab) = Lab::new() else { return };
    let claim = |family, protocol, port, address: Option<&str>| {
        Step::Claim(Claim { address: address.map(ip), family, protocol, port })
    };
    let tcp = std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
    let udp = std::net::UdpSocket::bind("[::1]:8053").unwrap();
    let free = [
        claim(Family::V4, TCP, 8081, None),
        claim(Family::V4, UDP, 8080, None),
        claim(Family::V6, TCP, 8080, None),
        claim(Family::V4, UDP, 8053, None),
        claim(Family::V6, UDP, 8053, Some(HOST6)),
        // No address of this host, hence nobody listens there.
        claim(Family::V4, UDP, 8053, Some("203.0.113.1")),
        claim(Family::V4, 132, 8080, None),
    ];
    lab.perform(&free);
    for taken in [
        claim(Family::V4, TCP, 8080, None),
        claim(Family::V4, TCP, 8080, Some(HOST4)),
        claim(Family::V6, UDP, 8053, None),
        claim(Family::V6, UDP, 8053, Some("::1")),
    ] {
        let plan = [free[0].clone(), Step::Add(Fact::Table), taken];
        let fault = lab.linux.perform(&plan).unwrap_err();
        assert_eq!(fault.failure.hresult, HResult::HCN_E_PORT_ALREADY_EXISTS, "{fault:?}");
        assert_eq!(fault.step, 2);
        // Claims come before anything that changes the host.
        lab.check();
    }
    drop((tcp, udp));
    lab.perform(&[claim(Family::V4, TCP, 8080, None)]);
}

#[test]
fn nat_hides_endpoints_behind_the_host() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(1));
    let a = lab.netns(guid(102));
    let _servers = [
        tcp_server(&lab.outside, "out", &format!("{OUTSIDE4}:80")),
        udp_server(&lab.outside, "out", &format!("{OUTSIDE4}:53")),
        tcp_server(&lab.outside, "out6", &format!("[{OUTSIDE6}]:80")),
        tcp_server(&lab.host, "host", &format!("{HOST4}:81")),
        tcp_server(&lab.host, "gateway", "10.1.0.1:82"),
    ];
    check(tcp(&a, &format!("{OUTSIDE4}:80")), "out", HOST4);
    check(udp(&a, &format!("{OUTSIDE4}:53")), "out", HOST4);
    check(tcp(&a, &format!("[{OUTSIDE6}]:80")), "out6", HOST6);
    // The host sees the endpoint itself.
    check(tcp(&a, &format!("{HOST4}:81")), "host", "10.1.0.2");
    check(tcp(&a, "10.1.0.1:82"), "gateway", "10.1.0.2");
    // The host talking to its own gateway address is no outbound traffic.
    check(tcp(&lab.host, "10.1.0.1:82"), "gateway", "10.1.0.1");
}

#[test]
fn outbound_translation_has_exceptions_limits_and_other_addresses() {
    let Some(mut lab) = Lab::new() else { return };
    let element = Fact::Element;
    let (two, three, four) = (ip("10.1.0.2"), ip("10.1.0.3"), ip("10.1.0.4"));
    let mut facts = nat(3);
    facts.extend([
        element(Element::NatExempt { source: two, destination: net("198.51.100.0/25") }),
        element(Element::NatLimited { source: three }),
        element(Element::NatLimit { source: three, destination: net("198.51.100.3/32") }),
        element(Element::NatAs { source: four, address: ip("203.0.113.9") }),
    ]);
    lab.bring(&facts);
    lab.check();
    lab.outside.exec("ip addr add 198.51.100.3/32 dev out0");
    lab.outside.exec("ip addr add 198.51.100.200/32 dev out0");
    for nets in ["10.1.0.0/24", "203.0.113.9/32"] {
        lab.outside.exec(&format!("ip route add {nets} via {HOST4}"));
    }
    let _server = tcp_server(&lab.outside, "out", "0.0.0.0:80");
    let (a, b, c) = (lab.netns(guid(102)), lab.netns(guid(103)), lab.netns(guid(104)));
    check(tcp(&a, "198.51.100.2:80"), "out", "10.1.0.2");
    check(tcp(&a, "198.51.100.200:80"), "out", HOST4);
    check(tcp(&b, "198.51.100.2:80"), "out", "10.1.0.3");
    check(tcp(&b, "198.51.100.3:80"), "out", HOST4);
    check(tcp(&c, "198.51.100.2:80"), "out", "203.0.113.9");
}

#[test]
fn internal_networks_end_at_the_host() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = base();
    facts.extend(network(1, Kind::Internal));
    facts.extend(endpoint(1, 2));
    facts.extend(endpoint(1, 3));
    lab.bring(&facts);
    let a = lab.netns(guid(102));
    assert!(ping(&a, "10.1.0.3"));
    assert!(ping(&a, "10.1.0.1"));
    assert!(ping(&lab.host, "10.1.0.2"));
    assert!(ping(&lab.host, "fd00:1::2"));
    lab.outside.exec(&format!("ip route add 10.1.0.0/24 via {HOST4}"));
    assert!(ping_refused(&a, OUTSIDE4));
    assert!(ping_refused(&lab.outside, "10.1.0.2"));
    assert!(ping_refused(&a, OUTSIDE6));
}

#[test]
fn private_networks_do_not_even_reach_the_host() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(0);
    facts.extend(endpoint(1, 9));
    facts.push(mapping(TCP, 8080, "10.1.0.9:80"));
    facts.extend(network(2, Kind::Private));
    for e in [2, 3] {
        // The host has no address in the subnet to prefer.
        facts.extend(of_port(Port { prefer: Vec::new(), ..port(2, e) }));
    }
    lab.bring(&facts);
    lab.check();
    let a = lab.netns(guid(102));
    assert!(ping(&a, "10.2.0.3"));
    assert!(ping(&a, "fd00:2::3"));
    assert!(ping_refused(&a, HOST4));
    assert!(ping_refused(&lab.host, "10.2.0.2"));
    assert!(ping_refused(&a, OUTSIDE4));
    let _servers = [
        tcp_server(&lab.netns(guid(109)), "nat", "10.1.0.9:80"),
        tcp_server(&lab.host, "host", &format!("{HOST4}:81")),
        tcp_server(&a, "private", "10.2.0.2:80"),
    ];
    // Not by way of a published port either, which the outside does reach.
    assert!(tcp_refused(&a, &format!("{HOST4}:8080")));
    assert!(tcp_refused(&a, &format!("{HOST4}:81")));
    assert!(tcp(&lab.outside, &format!("{HOST4}:8080")).is_some());
    assert!(tcp_refused(&lab.host, "10.2.0.2:80"));
    assert!(tcp_refused(&lab.netns(guid(109)), "10.2.0.2:80"));
}

#[test]
fn networks_do_not_reach_each_other() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(1);
    facts.extend(network(2, Kind::Nat));
    facts.extend(endpoint(2, 3));
    lab.bring(&facts);
    let (a, b) = (lab.netns(guid(102)), lab.netns(guid(103)));
    assert!(ping_refused(&a, "10.2.0.3"));
    assert!(ping_refused(&b, "10.1.0.2"));
    assert!(ping_refused(&a, "fd00:2::3"));
    assert!(ping(&a, "10.1.0.1") && ping(&b, "10.2.0.1"));
}

#[test]
fn isolated_endpoints_do_not_reach_their_neighbours() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(3);
    facts.push(Fact::Element(Element::Isolated { address: ip("10.1.0.2") }));
    facts.push(mapping(TCP, 8080, "10.1.0.2:80"));
    lab.bring(&facts);
    lab.check();
    let (a, b) = (lab.netns(guid(102)), lab.netns(guid(103)));
    assert!(ping_refused(&a, "10.1.0.3"));
    assert!(ping_refused(&b, "10.1.0.2"));
    assert!(ping(&b, "10.1.0.4"), "the others do");
    assert!(ping(&a, "10.1.0.1"), "the host");
    assert!(ping(&a, OUTSIDE4), "the outside");
    let _server = tcp_server(&a, "a", "10.1.0.2:80");
    assert!(tcp(&b, &format!("{HOST4}:8080")).is_some(), "what it publishes");
}

#[test]
fn connections_of_a_former_owner_of_an_address_are_forgotten() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(1);
    facts.push(mapping(UDP, 8053, "10.1.0.2:53"));
    lab.bring(&facts);
    let server = udp_server(&lab.netns(guid(102)), "first", "10.1.0.2:53");
    let client = lab.outside.run(|| std::net::UdpSocket::bind(format!("{OUTSIDE4}:4000")).unwrap());
    client.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    let to = format!("{HOST4}:8053");
    client.send_to(b"?", &to).unwrap();
    assert!(client.recv(&mut [0; 64]).is_ok());
    drop(server);
    // The address goes to another endpoint that publishes nothing.
    lab.bring(&nat(0));
    lab.bring(&nat(1));
    let _server = udp_server(&lab.netns(guid(102)), "second", "10.1.0.2:53");
    client.send_to(b"?", &to).unwrap();
    client.set_read_timeout(Some(std::time::Duration::from_millis(400))).unwrap();
    assert!(client.recv(&mut [0; 64]).is_err(), "the old connection leads nowhere");
    assert!(udp_refused(&lab.outside, &to));
}

#[test]
fn the_surroundings_are_what_is_not_ours() {
    let Some(mut lab) = Lab::new() else { return };
    lab.host.exec("ip link set up0 mtu 1460");
    let before = lab.linux.surroundings().unwrap();
    assert!(before.prefixes.contains(&net("198.51.100.0/24")));
    assert!(before.addresses.contains(&ip(HOST6)));
    assert_eq!(before.uplink_mtu, Some(1460));
    lab.bring(&nat(1));
    lab.host.exec(&format!("ip route add 10.200.0.0/16 via {OUTSIDE4} proto static"));
    let after = lab.linux.surroundings().unwrap();
    assert!(after.prefixes.contains(&net("10.200.0.0/16")));
    assert!(!after.prefixes.iter().any(|prefix| prefix.contains(&ip("10.1.0.1"))), "{after:?}");
    assert!(!after.addresses.contains(&ip("10.1.0.1")));
}
