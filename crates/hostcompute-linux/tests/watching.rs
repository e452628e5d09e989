//! What is told when others take away or change something of ours, that nothing else is, and that it can be put right.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use hostcompute_engine::host::{Host, Told};
use hostcompute_engine::plan::{Fact, Tunnel};
use hostcompute_engine::reconcile;
use lab::Lab;
use lab::facts::{Kind, endpoint, guid, mapping, nat, network};
use lab::traffic::ping;

const PATIENCE: Duration = Duration::from_secs(10);

/// What is told of the laboratory's host from now on.
fn watch(lab: &mut Lab) -> Receiver<String> {
    let (sender, told) = channel();
    let tell = move |told: Told<'_>| match told {
        Told::Disturbed(words) => drop(sender.send(words.to_owned())),
        Told::Moved => {}
    };
    lab.linux.watch(Box::new(tell)).unwrap_or_else(|fault| panic!("{fault:?}"));
    told
}

/// An address that comes or goes is told of; so may be what the kernel takes away with a link of ours.
#[test]
fn other_addresses_of_the_host_are_told_of() {
    let Some(mut lab) = Lab::new() else { return };
    let (sender, told) = channel();
    let tell = move |told: Told<'_>| {
        drop(sender.send(match told {
            Told::Disturbed(words) => words.to_owned(),
            Told::Moved => "moved".to_owned(),
        }));
    };
    lab.linux.watch(Box::new(tell)).unwrap_or_else(|fault| panic!("{fault:?}"));
    for command in [
        "ip addr add 192.0.2.9/24 dev up0",
        "ip addr del 192.0.2.9/24 dev up0",
        "ip -6 addr add 2001:db8:9::1/64 dev up0 nodad",
    ] {
        lab.host.exec(command);
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "moved", "{command}");
        // The kernel may tell of one address more than once.
        while told.recv_timeout(Duration::from_millis(100)).is_ok() {}
    }
}

/// Removes an interface of others, so that everything told before it is in the channel: nothing.
#[track_caller]
fn check_silent(lab: &Lab, told: &Receiver<String>) {
    lab.host.exec("ip link add last type bridge");
    lab.host.exec("ip link set last group 1751318528");
    lab.host.exec("ip link del last");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "interface last was removed");
}

/// Brings the host to agree again, as a service does.
#[track_caller]
fn repair(lab: &mut Lab) {
    let differences = lab.differences();
    assert!(!differences.is_empty(), "the comparison names it");
    lab.perform(&reconcile(&differences));
    lab.check();
    assert!(ping(&lab.netns(guid(102)), "10.1.0.3"));
}

#[test]
fn a_removed_interface_is_told_of_and_can_be_made_again() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(2));
    let told = watch(&mut lab);
    lab.host.exec("ip link del he1x2");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "interface he1x2 was removed");
    repair(&mut lab);
    // By its other end, by whoever is inside.
    lab.netns(guid(103)).exec("ip link del eth0");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "interface he1x3 was removed");
    repair(&mut lab);
    lab.host.exec("ip link del hb1");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "interface hb1 was removed");
    repair(&mut lab);
    check_silent(&lab, &told);
}

#[test]
fn a_removed_table_is_told_of_with_its_remover_and_can_be_made_again() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(2));
    let told = watch(&mut lab);
    for command in ["nft flush ruleset", "nft delete table inet hostcompute"] {
        lab.host.exec(command);
        let words = told.recv_timeout(PATIENCE).unwrap();
        let start = "the packet filter's table was removed by nft (process ";
        assert!(words.starts_with(start), "{words}");
        repair(&mut lab);
    }
    check_silent(&lab, &told);
}

#[test]
fn a_changed_table_is_told_of() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(2);
    facts.push(mapping(6, 8080, "10.1.0.2:80"));
    lab.bring(&facts);
    let told = watch(&mut lab);
    for command in [
        "nft delete element inet hostcompute portmap4 { tcp . 8080 }",
        "nft flush chain inet hostcompute guard_raw",
        "nft add element inet hostcompute isolated4 { 10.1.0.2 }",
    ] {
        lab.host.exec(command);
        let words = told.recv_timeout(PATIENCE).unwrap();
        assert!(words.starts_with("the packet filter's table was changed by nft ("), "{words}");
        repair(&mut lab);
    }
    check_silent(&lab, &told);
}

#[test]
fn what_we_do_ourselves_is_not_told_of() {
    let Some(mut lab) = Lab::new() else { return };
    let told = watch(&mut lab);
    lab.bring(&nat(2));
    lab.linux.prepare();
    while lab.linux.ready() < 16 {
        std::thread::yield_now();
    }
    lab.add(endpoint(1, 7));
    lab.bring(&nat(1));
    lab.linux.settle().unwrap();
    let mut facts = nat(1);
    facts.extend(network(2, Kind::Internal));
    facts.push(Fact::Tunnel(Tunnel {
        network: guid(2),
        name: "hx77".into(),
        index: 0x77,
        vsid: 5000,
        port: 4789,
        local: "192.0.2.1".parse().unwrap(),
        mac: "02-68-C0-00-02-01".parse().unwrap(),
        mtu: 1450,
    }));
    lab.bring(&facts);
    lab.bring(&[]);
    lab.linux.settle().unwrap();
    check_silent(&lab, &told);
}

#[test]
fn what_is_not_ours_is_not_told_of() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(1));
    let told = watch(&mut lab);
    for command in [
        "ip link add foreign type bridge",
        "ip link del foreign",
        "ip addr add 192.0.2.9/24 dev up0",
        "nft add table inet foreign",
        "nft add chain inet foreign x",
        "nft delete table inet foreign",
    ] {
        lab.host.exec(command);
    }
    check_silent(&lab, &told);
    assert!(lab.facts.contains(&Fact::Table));
}
