//! Namespaces and links from the pool: a user must not be able to tell them from fresh ones, and nothing of them may be left.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use hostcompute_engine::host::Host;
use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::{Fact, INNER_INDEX, Port, Station, host_end};
use lab::facts::{guid, nat, of_port, port};
use lab::traffic::ping;
use lab::{Lab, Netns};

/// Fills the pool; the thread needs some tens of milliseconds.
#[track_caller]
fn fill(lab: &mut Lab, rooms: usize) {
    lab.linux.prepare();
    await_that("the pool is filled", || lab.linux.ready() >= rooms);
}

#[track_caller]
fn await_that(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// The port `e` of network 1 on the pair that is ready in its namespace.
#[track_caller]
fn on_prepared(lab: &Lab, e: u8) -> Port {
    let plain = port(1, e);
    let index = lab.linux.prepared(plain.netns).expect("a pair is ready");
    Port { index, name: host_end(index), inner_index: INNER_INDEX, ..plain }
}

/// A namespace of the pool, then its port.
#[track_caller]
fn attach(lab: &mut Lab, e: u8) -> Port {
    lab.add([Fact::Netns(guid(100 + e))]);
    let port = on_prepared(lab, e);
    let facts = of_port(port.clone());
    lab.add(facts.into_iter().filter(|fact| !matches!(fact, Fact::Netns(_))));
    port
}

fn pool_links(host: &Netns) -> usize {
    host.exec("ip -o link show group 1751318531").lines().count()
}

/// Everything a user sees of a namespace, but for what tells any two apart.
fn portrait(netns: &Netns) -> Vec<String> {
    let mut lines = Vec::new();
    for program in [
        "ip -d -o link",
        "ip -o addr",
        "ip route show table all",
        "ip -6 route show table all",
        "ip neigh show nud permanent",
        "ip rule",
        "ip netconf",
        "ip netns list-id",
        "tc qdisc",
        "nft list ruleset",
    ] {
        lines.extend(netns.exec(program).lines().map(|line| format!("{program}: {line}")));
    }
    netns.run(|| settings(Path::new("/proc/sys/net"), &mut lines));
    lines.sort();
    lines
}

fn settings(directory: &Path, lines: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            settings(&path, lines);
        } else if let Ok(value) = std::fs::read_to_string(&path) {
            lines.push(format!("{} = {}", path.display(), value.trim()));
        }
    }
}

/// Lines without the numbers that differ between any two pairs.
fn plain(lines: Vec<String>) -> BTreeSet<String> {
    let host_specific = |line: &str| {
        ["stable_secret", "random", "route/flush", "nf_conntrack_count", "fib_multipath_hash_seed"]
            .into_iter()
            .any(|part| line.contains(part))
    };
    lines
        .into_iter()
        .filter(|line| !host_specific(line))
        .map(|line| {
            let words = line.split_whitespace().map(|word| match word {
                // The other end's index, and the number of its namespace.
                word if word.starts_with("eth0@if") => "eth0@other".to_owned(),
                word => word.to_owned(),
            });
            words.collect::<Vec<_>>().join(" ")
        })
        .collect()
}

/// What only one of the two shows.
fn differences(fresh: BTreeSet<String>, pooled: BTreeSet<String>) -> (Vec<String>, Vec<String>) {
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect();
    (only(&fresh, &pooled), only(&pooled, &fresh))
}

/// Makes the port twice, fresh and from the pool, and compares all that a user can see of it.
#[track_caller]
fn check_alike(lab: &mut Lab, wanted: &Port) {
    let facts = |port: &Port| {
        let mut facts = nat(0);
        facts.extend(of_port(port.clone()));
        facts
    };
    lab.bring(&facts(wanted));
    let look = |lab: &Lab, port: &Port| {
        // What the kernel does some time after a link has come up (its state, IPv6 routes) it does at once when one asks for the link.
        lab.netns(port.netns).exec(&format!("ip link show {}", port.inner_name));
        lab.host.exec(&format!("ip link show {}", port.name));
        // An IPv6 address begins to work a moment later, when the kernel's own work queue comes to it.
        let inside = lab.netns(port.netns);
        let known = || inside.exec("ip -6 route show table local");
        for address in port.addresses.iter().filter(|address| address.addr().is_ipv6()) {
            let route = format!("local {} ", address.addr());
            await_that("an IPv6 address works", || known().contains(&route));
        }
        (plain(portrait(&lab.netns(port.netns))), host_side(lab, &port.name))
    };
    let fresh = look(lab, wanted);
    lab.bring(&nat(0));
    lab.linux.settle().unwrap();

    fill(lab, 1);
    lab.add([Fact::Netns(wanted.netns)]);
    let index = lab.linux.prepared(wanted.netns).expect("a pair is ready");
    let pooled = Port { index, name: host_end(index), ..wanted.clone() };
    lab.bring(&facts(&pooled));
    lab.check();
    let seen = look(lab, &pooled);
    assert_eq!(differences(fresh.0, seen.0), (vec![], vec![]), "inside: fresh, pooled");
    assert_eq!(differences(fresh.1, seen.1), (vec![], vec![]), "outside: fresh, pooled");
    assert_eq!(lab.linux.prepared(pooled.netns), None, "a pair is given once");
    assert!(ping(&lab.netns(pooled.netns), "10.1.0.1"));
}

/// An endpoint on an adapter's own wire takes the place of the pair that waits.
#[test]
fn a_station_can_be_the_first_in_a_namespace_of_the_pool() {
    let Some(mut lab) = Lab::new() else { return };
    fill(&mut lab, 1);
    let netns = guid(101);
    lab.add([Fact::Netns(netns)]);
    assert!(lab.linux.prepared(netns).is_some());
    lab.add([Fact::Station(Station {
        endpoint: guid(1),
        netns,
        uplink: "up0".to_owned(),
        name: "eth0".to_owned(),
        index: INNER_INDEX,
        alias: String::new(),
        mac: Mac([2, 0, 0, 0, 9, 1]),
        mtu: None,
        addresses: Vec::new(),
        routes: Vec::new(),
        isolated: false,
        trunk: None,
    })]);
    assert_eq!(lab.linux.prepared(netns), None);
    assert!(lab.netns(netns).exec("ip -d link show eth0").contains("macvlan"));
    lab.check();
    lab.bring(&[]);
    lab.linux.settle().unwrap();
}

#[test]
fn a_port_from_the_pool_is_like_any_other() {
    let Some(mut lab) = Lab::new() else { return };
    check_alike(&mut lab, &Port { inner_index: INNER_INDEX, ..port(1, 2) });
}

#[test]
fn so_is_one_with_a_name_an_mtu_and_only_ipv4() {
    let Some(mut lab) = Lab::new() else { return };
    let mut wanted = Port {
        inner_index: INNER_INDEX,
        alias: "the web server".to_owned(),
        mtu: Some(1400),
        ..port(1, 2)
    };
    wanted.addresses.truncate(1);
    wanted.gateways.truncate(1);
    wanted.routes.truncate(1);
    wanted.prefer.truncate(1);
    check_alike(&mut lab, &wanted);
}

#[test]
fn a_namespace_from_the_pool_has_nothing_more_than_a_dead_interface() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(0));
    lab.add([Fact::Netns(guid(102))]);
    fill(&mut lab, 1);
    lab.add([Fact::Netns(guid(103))]);
    assert_eq!(
        (lab.linux.prepared(guid(102)), lab.linux.prepared(guid(103)).is_some()),
        (None, true)
    );
    let (fresh, pooled) = (lab.netns(guid(102)), lab.netns(guid(103)));
    let mut seen = plain(portrait(&pooled));
    seen.retain(|line| !line.contains("eth0") && !line.contains("nsid"));
    assert_eq!(differences(plain(portrait(&fresh)), seen), (vec![], vec![]), "fresh, pooled");
    let link = pooled.exec("ip -o link show eth0");
    assert!(link.contains("state DOWN") && link.starts_with("1000:"), "{link}");
    assert_eq!(lab.host.exec("ip -o link show group 1751318531 up"), "", "its host end is down");
}

#[test]
fn what_waits_is_no_difference_and_goes_with_the_process() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(0));
    let before = pool_links(&lab.host);
    fill(&mut lab, 16);
    assert_eq!((before, lab.linux.ready()), (0, 16), "and no more");
    lab.add([Fact::Netns(guid(102))]);
    lab.check();
    assert_eq!(lab.reopen().compare(&lab.facts).unwrap(), [], "nor for another process");
    lab.linux = lab.reopen();
    assert_eq!(
        pool_links(&lab.host),
        1,
        "only the owned one stays, from the moment that the host is closed"
    );
    lab.check();
    lab.bring(&[]);
    await_that("it goes with its namespace", || pool_links(&lab.host) == 0);
}

#[test]
fn a_later_process_attaches_where_an_earlier_one_had_a_pair_ready() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(0));
    fill(&mut lab, 1);
    lab.add([Fact::Netns(guid(102))]);
    lab.linux = lab.reopen();
    assert_eq!(lab.linux.prepared(guid(102)), None);
    let wanted = Port { inner_index: INNER_INDEX, ..port(1, 2) };
    lab.add(of_port(wanted).into_iter().filter(|fact| !matches!(fact, Fact::Netns(_))));
    lab.check();
    assert!(ping(&lab.netns(guid(102)), "10.1.0.1"));
    await_that("the rest goes", || pool_links(&lab.host) == 0);
}

#[test]
fn a_pair_that_somebody_took_away_is_made_anew() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(0));
    fill(&mut lab, 2);
    for e in [2, 3] {
        lab.add([Fact::Netns(guid(100 + e))]);
        let index = lab.linux.prepared(guid(100 + e)).unwrap();
        match e {
            2 => lab.host.exec(&format!("ip link del {}", host_end(index))),
            // Named otherwise by whoever was inside.
            _ => lab.netns(guid(103)).exec("ip link set eth0 name uplink"),
        };
        let wanted = on_prepared(&lab, e);
        lab.add(of_port(wanted).into_iter().filter(|fact| !matches!(fact, Fact::Netns(_))));
        lab.check();
        assert!(ping(&lab.netns(guid(100 + e)), "10.1.0.1"));
    }
}

#[test]
fn ports_of_the_pool_come_and_go_like_others() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(0));
    let before = lab.fingerprint();
    fill(&mut lab, 3);
    let first = attach(&mut lab, 2);
    attach(&mut lab, 3);
    lab.check();
    assert!(ping(&lab.netns(guid(102)), "10.1.0.3"));
    // Out of its namespace and in again, on a pair of its own then.
    let with = lab.facts.clone();
    let without: Vec<Fact> = with
        .iter()
        .filter(|fact| !of_port(first.clone()).contains(fact) || is_netns(fact))
        .cloned()
        .collect();
    lab.bring(&without);
    lab.check();
    assert_eq!(lab.linux.prepared(guid(102)), None);
    lab.bring(&with);
    lab.check();
    assert!(ping(&lab.netns(guid(102)), "10.1.0.3"));
    lab.bring(&nat(0));
    lab.linux = lab.reopen();
    lab.linux.settle().unwrap();
    await_that("nothing is left", || pool_links(&lab.host) == 0);
    lab.check_unchanged(&before);
}

fn is_netns(fact: &Fact) -> bool {
    matches!(fact, Fact::Netns(_))
}

/// The host end as others see it, with a common name and index.
fn host_side(lab: &Lab, name: &str) -> BTreeSet<String> {
    let mut lines = Vec::new();
    for program in [
        format!("ip -d -o link show {name}"),
        format!("ip -o addr show {name}"),
        format!("ip route show table all dev {name}"),
        format!("ip -6 route show dev {name}"),
        format!("ip neigh show dev {name} nud permanent"),
        format!("ip netconf show dev {name}"),
    ] {
        lines.extend(lab.host.exec(&program).lines().map(|line| line.replace(name, "he")));
    }
    for family in ["ipv4", "ipv6"] {
        let of_link = format!("/proc/sys/net/{family}/conf/{name}");
        lab.host.run(|| settings(Path::new(&of_link), &mut lines));
    }
    let mut lines = plain(lines.iter().map(|line| line.replace(name, "he")).collect());
    lines = lines
        .into_iter()
        .map(|line| {
            let words = line.split(' ').filter(|word| word.parse::<u32>().is_err());
            let words =
                words.map(|word| if word.ends_with(':') && word.len() > 6 { "N:" } else { word });
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    lines
}
