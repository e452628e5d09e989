//! What an observer sees of a host at work: counters of ports, and connections to our addresses.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::time::Duration;

use hostcompute_engine::host::{Counters, Flow, FlowState, Host, Observer};
use lab::facts::{guid, mapping, nat, port};
use lab::traffic::{Connection, ping, tcp_server};
use lab::{HOST4, Lab, OUTSIDE4, exec};

const TCP: u8 = 6;

fn observer(lab: &mut Lab) -> Box<dyn Observer + Send> {
    lab.linux.observer().unwrap_or_else(|fault| panic!("{fault:?}"))
}

#[test]
fn counters_are_seen_from_the_endpoint_one_by_one_and_all_together() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(2));
    let mut observer = observer(&mut lab);
    assert!(ping(&lab.netns(guid(102)), "10.1.0.1"));
    let (busy, idle) = (port(1, 2), port(1, 3));
    // The kernel says a word of its own now and then (IPv6), so numbers only grow.
    for port in [&busy, &idle] {
        let before = observer.counters(&port.meter()).unwrap();
        let all = observer.all_counters().unwrap();
        let after = lab.linux.counters(&port.meter()).unwrap();
        let (_, seen) = all.iter().find(|(index, _)| *index == port.index).expect("it is there");
        let numbers =
            |c: &Counters| [c.packets_sent, c.bytes_sent, c.packets_received, c.bytes_received];
        let grows = |a, b| numbers(a).into_iter().zip(numbers(b)).all(|(a, b)| a <= b);
        assert!(grows(&before, seen) && grows(seen, &after), "{before:?} {seen:?} {after:?}");
    }
    let seen = observer.counters(&busy.meter()).unwrap();
    assert!(seen.packets_sent >= 1 && seen.bytes_sent >= 98, "{seen:?}");
}

#[test]
fn an_observer_finds_ports_that_are_made_after_it() {
    let Some(mut lab) = Lab::new() else { return };
    let mut observer = observer(&mut lab);
    assert!(observer.counters(&port(1, 2).meter()).is_err());
    lab.bring(&nat(1));
    assert!(observer.counters(&port(1, 2).meter()).is_ok());
}

#[test]
fn flows_name_both_ends_and_who_answers_in_fact() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(1);
    facts.push(mapping(TCP, 8080, "10.1.0.2:80"));
    lab.bring(&facts);
    let _server = tcp_server(&lab.netns(guid(102)), "a", "10.1.0.2:80");
    let mut observer = observer(&mut lab);
    let mut connection =
        Connection::open(&lab.outside, &format!("{HOST4}:8080"), Duration::from_secs(2)).unwrap();
    assert!(connection.ask().is_some());
    let flows = observer.flows(10).unwrap();
    let flow =
        flows.iter().find(|flow| flow.protocol == TCP).unwrap_or_else(|| panic!("{flows:?}"));
    assert_eq!(flow.state, FlowState::Established);
    assert_eq!(flow.source.ip(), OUTSIDE4.parse::<std::net::IpAddr>().unwrap());
    assert_eq!(flow.destination, format!("{HOST4}:8080").parse().unwrap());
    assert_eq!(flow.translated_to, Some("10.1.0.2:80".parse().unwrap()));
    assert_eq!(flow.bytes, None, "this host does not count");
    assert_eq!(observer.flows(0).unwrap(), []);
}

#[test]
fn flows_of_others_are_not_shown_and_there_are_no_more_than_asked_for() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(2));
    // Somebody else's connections: to the host itself, tracked because of our table.
    let _theirs = tcp_server(&lab.host, "host", &format!("{HOST4}:90"));
    let _server = tcp_server(&lab.netns(guid(103)), "b", "10.1.0.3:80");
    exec("sysctl -q -w net.netfilter.nf_conntrack_acct=1");
    let mut foreign =
        Connection::open(&lab.outside, &format!("{HOST4}:90"), Duration::from_secs(2)).unwrap();
    assert!(foreign.ask().is_some());
    let mut ours: Vec<Connection> = (0..5)
        .filter_map(|_| {
            Connection::open(&lab.netns(guid(102)), "10.1.0.3:80", Duration::from_secs(2))
        })
        .collect();
    assert!(ours.iter_mut().all(|connection| connection.ask().is_some()));
    let mut observer = observer(&mut lab);
    // Besides, the gateway's device tells of the groups it is in.
    let mut of_tcp = || {
        let mut flows = observer.flows(100).unwrap();
        flows.retain(|flow| flow.protocol == TCP);
        flows
    };
    let flows = of_tcp();
    assert_eq!(flows.len(), 5, "{flows:?}");
    let plain = |flow: &Flow| flow.translated_to.is_none() && flow.bytes.is_some_and(|n| n > 100);
    assert!(flows.iter().all(plain), "{flows:?}");
    assert_eq!(observer.flows(3).unwrap().len(), 3);
    assert_eq!(observer.flows(4).unwrap().len(), 4, "a cut table spoils nothing");
}

#[test]
fn a_host_without_anything_of_ours_has_no_flows() {
    let Some(mut lab) = Lab::new() else { return };
    assert_eq!(observer(&mut lab).flows(10).unwrap(), []);
    lab.bring(&nat(0));
    let flows = observer(&mut lab).flows(10).unwrap();
    assert!(flows.iter().all(|flow| flow.protocol != TCP), "{flows:?}");
}

/// Every detach looks through the table of connections, unless it is empty.
#[test]
fn a_network_by_itself_makes_no_connections() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(0));
    let links = lab.host.json("ip -j -d link show type bridge");
    let snooping: Vec<_> = links
        .as_array()
        .into_iter()
        .flatten()
        .map(|link| link["linkinfo"]["info_data"]["mcast_snooping"].clone())
        .collect();
    assert_eq!(snooping, [0], "{links}");
}
