//! Load-balanced services and node ports.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::collections::BTreeMap;
use std::time::Duration;

use hostcompute_engine::plan::{Affinity, Audience, Fact, Family, Service, VipRoute};
use lab::facts::{anchor, guid, ip, nat};
use lab::traffic::{Connection, Server, tcp, tcp_refused, tcp_server, udp, udp_server};
use lab::{HOST4, HOST6, Lab, Netns, OUTSIDE4};

const VIP: &str = "10.1.0.200";
const VIP6: &str = "fd00:1::c8";

fn service(vip: Option<&str>, protocol: u8, port: u16, backends: &[&str], slots: usize) -> Service {
    let backends: Vec<_> = backends.iter().map(|text| text.parse().unwrap()).collect();
    Service {
        vip: vip.map(ip),
        family: Family::of(&std::net::SocketAddr::ip(&backends[0])),
        protocol,
        port,
        affinity: Affinity::None,
        slots: (0..slots).map(|slot| backends[slot % backends.len()]).collect(),
        audience: Audience::Everybody,
        shown: None,
        kept: Vec::new(),
    }
}

fn vip_route(address: &str) -> Fact {
    let anchor = anchor(1);
    Fact::VipRoute(VipRoute { address: ip(address), device: anchor.name, index: anchor.index })
}

/// TCP servers a, b, c at port 80 of endpoints 3, 4, 5, in both families; endpoint 2 is a client.
fn backends(lab: &Lab) -> Vec<Server> {
    (3..6_u8)
        .zip(["a", "b", "c"])
        .flat_map(|(endpoint, name)| {
            let netns = lab.netns(guid(100 + endpoint));
            [
                tcp_server(&netns, name, &format!("10.1.0.{endpoint}:80")),
                tcp_server(&netns, name, &format!("[fd00:1::{endpoint}]:80")),
                udp_server(&netns, name, &format!("10.1.0.{endpoint}:53")),
            ]
        })
        .collect()
}

/// Who answered how often.
fn tally(netns: &Netns, to: &str, times: usize) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for _ in 0..times {
        *tally.entry(tcp(netns, to).expect("an answer").server).or_default() += 1;
    }
    tally
}

#[test]
fn connections_spread_over_the_backends() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(4);
    let all = ["10.1.0.3:80", "10.1.0.4:80", "10.1.0.5:80"];
    let all6 = ["[fd00:1::3]:80", "[fd00:1::4]:80", "[fd00:1::5]:80"];
    facts.extend([
        Fact::Service(service(Some(VIP), 6, 80, &all, 12)),
        Fact::Service(service(Some(VIP6), 6, 80, &all6, 840)),
        Fact::Service(service(Some(VIP), 17, 53, &["10.1.0.4:53"], 2)),
        vip_route(VIP),
        vip_route(VIP6),
    ]);
    lab.bring(&facts);
    lab.check();
    let _servers = backends(&lab);
    let client = lab.netns(guid(102));
    // Each is missed with a probability of (2/3)^60, less than one in 10^10.
    assert_eq!(tally(&client, &format!("{VIP}:80"), 60).len(), 3);
    assert_eq!(tally(&client, &format!("[{VIP6}]:80"), 60).len(), 3);
    assert_eq!(tally(&lab.host, &format!("{VIP}:80"), 60).len(), 3, "from the host");
    assert_eq!(udp(&client, &format!("{VIP}:53")).unwrap().server, "b");
    assert_eq!(tcp(&client, &format!("{VIP}:80")).unwrap().client, ip("10.1.0.2"), "no masquerade");
    // A backend reaches the service that it is part of, itself included.
    assert_eq!(tally(&lab.netns(guid(103)), &format!("{VIP}:80"), 60).len(), 3, "hairpin");
    assert!(tcp_refused(&client, &format!("{VIP}:81")));
    lab.outside.exec(&format!("ip route add {VIP}/32 via {HOST4}"));
    assert_eq!(tally(&lab.outside, &format!("{VIP}:80"), 60).len(), 3, "from outside");
}

#[test]
fn node_ports_answer_at_every_address_of_the_host() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(4);
    facts.extend([
        Fact::Service(service(None, 6, 30080, &["10.1.0.3:80", "10.1.0.4:80"], 2)),
        Fact::Service(service(None, 6, 30080, &["[fd00:1::3]:80", "[fd00:1::4]:80"], 2)),
    ]);
    lab.bring(&facts);
    lab.check();
    let _servers = backends(&lab);
    for to in [format!("{HOST4}:30080"), format!("[{HOST6}]:30080")] {
        assert_eq!(tally(&lab.outside, &to, 40).len(), 2, "{to}");
    }
    assert_eq!(tally(&lab.host, "127.0.0.1:30080", 40).len(), 2);
    assert_eq!(tally(&lab.netns(guid(102)), "10.1.0.1:30080", 40).len(), 2);
    assert!(tcp_refused(&lab.outside, &format!("{HOST4}:30081")));
}

#[test]
fn a_client_keeps_its_backend_where_that_is_wanted() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(4);
    let all = ["10.1.0.3:80", "10.1.0.4:80", "10.1.0.5:80"];
    let sticky = Service { affinity: Affinity::Client, ..service(Some(VIP), 6, 80, &all, 60) };
    let node = Service { affinity: Affinity::Client, ..service(None, 6, 30080, &all, 60) };
    facts.extend([Fact::Service(sticky), Fact::Service(node), vip_route(VIP)]);
    lab.bring(&facts);
    lab.check();
    let _servers = backends(&lab);
    assert_eq!(tally(&lab.netns(guid(102)), &format!("{VIP}:80"), 20).len(), 1);
    lab.outside.exec(&format!("ip route add {VIP}/32 via {HOST4}"));
    // Different clients have different backends; one client the same at the service and, since keys differ, its own at the
    // node port.
    let mut chosen = BTreeMap::new();
    for last in 10..40 {
        let address = format!("198.51.100.{last}");
        lab.outside.exec(&format!("ip addr add {address}/32 dev out0"));
        lab.outside.exec(&format!("ip route replace {VIP}/32 via {HOST4} src {address}"));
        let tally = tally(&lab.outside, &format!("{VIP}:80"), 3);
        assert_eq!(tally.len(), 1, "{address}: {tally:?}");
        for server in tally.into_keys() {
            *chosen.entry(server).or_insert(0) += 1;
        }
    }
    assert_eq!(chosen.len(), 3, "{chosen:?}");
    assert_eq!(tally(&lab.outside, &format!("{HOST4}:30080"), 10).len(), 1);
}

#[test]
fn a_service_changes_without_breaking_its_connections() {
    let Some(mut lab) = Lab::new() else { return };
    let base = nat(4);
    let with = |backends: &[&str], slots, affinity| {
        let mut facts = base.clone();
        facts.push(Fact::Service(Service {
            affinity,
            ..service(Some(VIP), 6, 80, backends, slots)
        }));
        facts.push(vip_route(VIP));
        facts
    };
    lab.bring(&with(&["10.1.0.3:80"], 2, Affinity::None));
    let _servers = backends(&lab);
    let client = lab.netns(guid(102));
    let to = format!("{VIP}:80");
    let mut old = Connection::open(&client, &to, Duration::from_secs(2)).unwrap();
    assert_eq!(old.ask().unwrap().server, "a");
    // Another backend in the same size class, then more slots, then another way to choose.
    for (facts, expected) in [
        (with(&["10.1.0.4:80"], 2, Affinity::None), "b"),
        (with(&["10.1.0.5:80"], 12, Affinity::None), "c"),
        (with(&["10.1.0.4:80"], 12, Affinity::Client), "b"),
        (with(&["10.1.0.5:80"], 840, Affinity::Client), "c"),
    ] {
        lab.bring(&facts);
        lab.check();
        assert_eq!(tally(&client, &to, 10), [(expected.to_owned(), 10)].into());
        assert_eq!(old.ask().expect("the old connection lives").server, "a");
    }
    lab.bring(&base);
    lab.check();
    assert!(tcp_refused(&client, &to));
    assert_eq!(old.ask().unwrap().server, "a");
}

#[test]
fn a_service_that_does_not_fit_is_refused_before_anything_happens() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(1));
    let before = lab.fingerprint();
    for bad in [
        service(Some(VIP), 6, 80, &["10.1.0.2:80"], 3),
        Service { family: Family::V6, ..service(None, 6, 80, &["10.1.0.2:80"], 2) },
    ] {
        use hostcompute_engine::host::Host;
        use hostcompute_engine::plan::Step;
        let plan = [Step::Add(Fact::Netns(guid(77))), Step::Add(Fact::Service(bad))];
        let fault = lab.linux.perform(&plan).unwrap_err();
        assert_eq!(fault.step, 1, "{fault:?}");
    }
    lab.check_unchanged(&before);
}

#[test]
fn thousands_of_services_go_in_one_batch() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(4);
    let base = facts.clone();
    facts.extend((0..3000_u16).map(|number| {
        let vip = format!("10.99.{}.{}", number / 250, number % 250 + 1);
        Fact::Service(service(Some(&vip), 6, 80, &["10.1.0.3:80", "10.1.0.4:80"], 12))
    }));
    lab.bring(&facts);
    lab.check();
    let _servers = backends(&lab);
    lab.outside.exec(&format!("ip route add 10.99.0.0/16 via {HOST4}"));
    assert_eq!(tally(&lab.outside, "10.99.11.250:80", 40).len(), 2);
    assert_eq!(tcp(&lab.outside, "10.99.0.1:80").unwrap().client, ip(OUTSIDE4));
    lab.bring(&base);
    lab.check();
}
