//! Probes: what the kernel tells of one packet, that it agrees with what becomes of it, and that nothing stays behind.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use hostcompute_engine::plan::{AclChain, AclRule, Direction, Element, Fact, Verdict};
use hostcompute_engine::trace::Probe;
use hostcompute_linux::prober::Seen;
use lab::Lab;
use lab::facts::{guid, ip, listed, nat};
use lab::traffic::tcp_server;

fn blocked(address: &str, protocol: u8) -> [Fact; 2] {
    let rule = AclRule {
        family: None,
        sets: Vec::new(),
        protocols: vec![protocol],
        local: Vec::new(),
        remote: Vec::new(),
        local_ports: Vec::new(),
        remote_ports: Vec::new(),
        verdict: Verdict::Block,
    };
    let chain = AclChain {
        name: "closed_5".to_owned(),
        direction: Direction::In,
        rules: vec![rule],
        otherwise: Verdict::Allow,
    };
    let element = Element::AclIn { address: ip(address), chain: "closed_5".to_owned() };
    [Fact::AclChain(chain), Fact::Element(element)]
}

fn probe(lab: &Lab, from: Option<u8>, source: &str, destination: &str) -> Seen {
    send(lab, from, (source, destination), (6, 80))
}

fn send(lab: &Lab, from: Option<u8>, ends: (&str, &str), (protocol, port): (u8, u16)) -> Seen {
    let (source, destination) = (ip(ends.0), ip(ends.1));
    let probe = Probe { netns: from.map(guid), source, destination, protocol, port };
    lab.linux.prober(probe).unwrap().run().unwrap()
}

fn drops(seen: &Seen) -> Vec<&str> {
    let dropped = seen.steps.iter().filter(|step| step.verdict == "drop");
    dropped.map(|step| step.chain.as_str()).collect()
}

#[test]
fn a_probe_tells_which_chain_drops_it_and_leaves_nothing() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(3);
    facts.extend(blocked("10.1.0.4", 6));
    lab.bring(&listed(&facts));
    let inside = lab.netns(guid(103));
    let _server = tcp_server(&inside, "second", "10.1.0.3:80");
    let before = lab.host.exec("nft list ruleset");

    let open = probe(&lab, Some(102), "10.1.0.2", "10.1.0.3");
    assert_eq!((open.answered, drops(&open)), (Some(true), vec![]), "{open:#?}");
    let chains: Vec<&str> = open.steps.iter().map(|step| step.chain.as_str()).collect();
    assert!(chains.contains(&"guard_raw") && chains.contains(&"forward"), "{chains:?}");
    let ends = open.steps[0].ends.unwrap();
    assert_eq!((ends.0.ip(), ends.1), (ip("10.1.0.2"), "10.1.0.3:80".parse().unwrap()));

    let closed = probe(&lab, Some(102), "10.1.0.2", "10.1.0.4");
    assert_eq!((closed.answered, drops(&closed)[0]), (Some(false), "closed_5"), "{closed:#?}");
    // From the host; and nobody listens on the first.
    let refused = probe(&lab, None, "10.1.0.1", "10.1.0.2");
    assert_eq!((refused.answered, drops(&refused)), (Some(true), vec![]), "{refused:#?}");

    assert_eq!(lab.host.exec("nft list ruleset"), before, "no rule stays behind");
    lab.check();
}

#[test]
fn an_echo_comes_back_or_is_dropped() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(3);
    facts.extend(blocked("10.1.0.4", 1));
    lab.bring(&listed(&facts));

    let open = send(&lab, Some(102), ("10.1.0.2", "10.1.0.3"), (1, 0));
    assert_eq!((open.answered, drops(&open)), (Some(true), vec![]), "{open:#?}");
    let closed = send(&lab, Some(102), ("10.1.0.2", "10.1.0.4"), (1, 0));
    assert_eq!((closed.answered, drops(&closed)[0]), (Some(false), "closed_5"), "{closed:#?}");
    let inside = send(&lab, Some(103), ("::1", "::1"), (58, 0));
    assert_eq!(inside.answered, Some(true), "{inside:#?}");
    lab.check();
}
