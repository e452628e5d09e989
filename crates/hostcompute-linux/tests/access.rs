//! Access rules: what they let through, in which order, and that they know connections.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::time::Duration;

use hostcompute_engine::plan::{AclChain, AclRule, Direction, Element, Fact, PortRange, Verdict};
use lab::facts::{guid, ip, listed, mapping, nat, net};
use lab::traffic::{
    Connection, ping, ping_refused, tcp, tcp_refused, tcp_server, udp, udp_refused, udp_server,
};
use lab::{HOST4, Lab};

fn rule(verdict: Verdict) -> AclRule {
    AclRule {
        family: None,
        sets: Vec::new(),
        protocols: Vec::new(),
        local: Vec::new(),
        remote: Vec::new(),
        local_ports: Vec::new(),
        remote_ports: Vec::new(),
        verdict,
    }
}

fn chain(name: &str, direction: Direction, rules: Vec<AclRule>, otherwise: Verdict) -> Fact {
    Fact::AclChain(AclChain { name: name.to_owned(), direction, rules, otherwise })
}

fn incoming(address: &str, chain: &str) -> Fact {
    Fact::Element(Element::AclIn { address: ip(address), chain: chain.to_owned() })
}

fn outgoing(address: &str, chain: &str) -> Fact {
    Fact::Element(Element::AclOut { address: ip(address), chain: chain.to_owned() })
}

fn ports(first: u16, last: u16) -> PortRange {
    PortRange { first, last }
}

#[test]
fn incoming_rules_let_in_what_they_name_and_the_answers_to_what_went_out() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(3);
    facts.extend([
        chain(
            "in_2",
            Direction::In,
            vec![AclRule {
                family: None,
                sets: Vec::new(),
                protocols: vec![6],
                local_ports: vec![ports(80, 80), ports(8000, 8010)],
                remote: vec![net("10.1.0.3/32"), net("10.1.0.128/25")],
                ..rule(Verdict::Allow)
            }],
            Verdict::Block,
        ),
        incoming("10.1.0.2", "in_2"),
        incoming("fd00:1::2", "in_2"),
    ]);
    lab.bring(&listed(&facts));
    lab.check();
    let (a, b, c) = (lab.netns(guid(102)), lab.netns(guid(103)), lab.netns(guid(104)));
    let _servers = [
        tcp_server(&a, "a", "0.0.0.0:80"),
        tcp_server(&a, "a", "0.0.0.0:8010"),
        tcp_server(&a, "a", "0.0.0.0:8011"),
        tcp_server(&a, "a6", "[::]:81"),
        udp_server(&a, "a", "0.0.0.0:80"),
        tcp_server(&b, "b", "10.1.0.3:80"),
    ];
    assert!(tcp(&b, "10.1.0.2:80").is_some());
    assert!(tcp(&b, "10.1.0.2:8010").is_some());
    assert!(tcp_refused(&b, "10.1.0.2:8011"), "another port");
    assert!(udp_refused(&b, "10.1.0.2:80"), "another protocol");
    assert!(tcp_refused(&c, "10.1.0.2:80"), "another peer");
    assert!(tcp_refused(&b, "[fd00:1::2]:81"), "the other family");
    assert!(ping_refused(&b, "10.1.0.2"));
    assert!(tcp_refused(&lab.host, "10.1.0.2:80"), "the host is a peer, too");
    // Stateful: what the endpoint opens itself is answered.
    assert!(tcp(&a, "10.1.0.3:80").is_some());
    assert!(ping(&a, "10.1.0.3"));
}

#[test]
fn outgoing_rules_are_evaluated_in_order() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(3);
    facts.extend([
        chain(
            "out_3",
            Direction::Out,
            vec![
                AclRule { remote: vec![net("10.1.0.4/32")], ..rule(Verdict::Allow) },
                AclRule { remote: vec![net("10.1.0.0/24")], ..rule(Verdict::Block) },
                AclRule {
                    family: None,
                    sets: Vec::new(),
                    protocols: vec![17],
                    remote_ports: vec![ports(53, 53)],
                    ..rule(Verdict::Allow)
                },
            ],
            Verdict::Block,
        ),
        outgoing("10.1.0.2", "out_3"),
    ]);
    lab.bring(&listed(&facts));
    lab.check();
    let (a, b, c) = (lab.netns(guid(102)), lab.netns(guid(103)), lab.netns(guid(104)));
    let _servers = [
        tcp_server(&a, "a", "10.1.0.2:80"),
        udp_server(&lab.host, "host", &format!("{HOST4}:53")),
        udp_server(&lab.host, "host", &format!("{HOST4}:54")),
        udp_server(&lab.outside, "out", "198.51.100.2:53"),
        udp_server(&lab.outside, "out", "198.51.100.2:54"),
    ];
    assert!(ping(&a, "10.1.0.4"));
    assert!(ping_refused(&a, "10.1.0.3"));
    assert!(udp(&a, "198.51.100.2:53").is_some());
    assert!(udp_refused(&a, "198.51.100.2:54"));
    assert!(udp(&a, &format!("{HOST4}:53")).is_some(), "the host is a peer, too");
    assert!(udp_refused(&a, &format!("{HOST4}:54")));
    assert!(tcp(&b, "10.1.0.2:80").is_some(), "answers are no new connections");
    assert!(tcp(&c, "10.1.0.2:80").is_some());
}

#[test]
fn layers_follow_each_other() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(3);
    facts.extend([
        chain(
            "in_2",
            Direction::In,
            vec![
                AclRule { remote: vec![net("10.1.0.4/32")], ..rule(Verdict::Block) },
                AclRule { protocols: vec![6], ..rule(Verdict::Goto("in_2b".to_owned())) },
            ],
            Verdict::Block,
        ),
        chain(
            "in_2b",
            Direction::In,
            vec![AclRule { local_ports: vec![ports(80, 80)], ..rule(Verdict::Allow) }],
            Verdict::Block,
        ),
        incoming("10.1.0.2", "in_2"),
    ]);
    lab.bring(&listed(&facts));
    lab.check();
    let (a, b, c) = (lab.netns(guid(102)), lab.netns(guid(103)), lab.netns(guid(104)));
    let _servers = [tcp_server(&a, "a", "10.1.0.2:80"), tcp_server(&a, "a", "10.1.0.2:81")];
    assert!(tcp(&b, "10.1.0.2:80").is_some());
    assert!(tcp_refused(&b, "10.1.0.2:81"));
    assert!(tcp_refused(&c, "10.1.0.2:80"));
    assert!(ping_refused(&b, "10.1.0.2"));
    // Both layers go in one plan, although their rules name each other.
    lab.bring(&nat(3));
    lab.check();
    assert!(ping(&b, "10.1.0.2"));
}

#[test]
fn rules_see_translated_addresses() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(1);
    facts.push(mapping(6, 8080, "10.1.0.2:80"));
    facts.push(mapping(6, 8081, "10.1.0.2:81"));
    facts.extend([
        chain(
            "in_2",
            Direction::In,
            vec![AclRule {
                family: None,
                sets: Vec::new(),
                protocols: vec![6],
                local: vec![net("10.1.0.2/32")],
                local_ports: vec![ports(80, 80)],
                ..rule(Verdict::Allow)
            }],
            Verdict::Block,
        ),
        incoming("10.1.0.2", "in_2"),
    ]);
    lab.bring(&listed(&facts));
    let a = lab.netns(guid(102));
    let _servers = [tcp_server(&a, "a", "10.1.0.2:80"), tcp_server(&a, "a", "10.1.0.2:81")];
    assert!(tcp(&lab.outside, &format!("{HOST4}:8080")).is_some());
    assert!(tcp_refused(&lab.outside, &format!("{HOST4}:8081")));
}

#[test]
fn rules_change_at_once_for_new_connections_and_leave_old_ones() {
    let Some(mut lab) = Lab::new() else { return };
    let base = nat(2);
    let with = |otherwise: Verdict| {
        let mut facts = base.clone();
        facts.push(chain("in_2", Direction::In, Vec::new(), otherwise));
        facts.push(incoming("10.1.0.2", "in_2"));
        facts
    };
    lab.bring(&listed(&with(Verdict::Allow)));
    let (a, b) = (lab.netns(guid(102)), lab.netns(guid(103)));
    let _server = tcp_server(&a, "a", "10.1.0.2:80");
    let mut old = Connection::open(&b, "10.1.0.2:80", Duration::from_secs(2)).unwrap();
    assert!(old.ask().is_some());
    lab.bring(&listed(&with(Verdict::Block)));
    lab.check();
    assert!(tcp_refused(&b, "10.1.0.2:80"));
    assert!(old.ask().is_some());
    lab.bring(&listed(&with(Verdict::Allow)));
    assert!(tcp(&b, "10.1.0.2:80").is_some());
}

#[test]
fn long_and_overlapping_lists_are_one_rule() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(2);
    // Every other prefix, so that they stay apart.
    let mut remote: Vec<_> =
        (0..4000_u16).map(|n| net(&format!("{}.{}.0.0/16", 100 + n / 128, n % 128 * 2))).collect();
    remote.extend([net("9.0.0.0/8"), net("9.1.0.0/16"), net("9.7.7.7/32"), net("10.1.0.3/32")]);
    let local_ports = vec![ports(1, 100), ports(50, 200), ports(80, 80), ports(65535, 65535)];
    let allow =
        AclRule { protocols: vec![6, 17, 132], remote, local_ports, ..rule(Verdict::Allow) };
    facts.push(chain("in_2", Direction::In, vec![allow], Verdict::Block));
    facts.push(incoming("10.1.0.2", "in_2"));
    lab.bring(&listed(&facts));
    lab.check();
    let a = lab.netns(guid(102));
    let _server = tcp_server(&a, "a", "10.1.0.2:80");
    assert!(tcp(&lab.netns(guid(103)), "10.1.0.2:80").is_some());
    assert!(tcp_refused(&lab.host, "10.1.0.2:80"));
}
