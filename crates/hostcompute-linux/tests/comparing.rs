//! Comparing finds what is missing, different or stray, and the engine's repair makes it good; undoing leaves nothing.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::time::{Duration, Instant};

use hostcompute_engine::host::{Difference, Host};
use hostcompute_engine::plan::{
    AclChain, AclRule, Affinity, Audience, Direction, Diversion, Element, Fact, Family,
    HostAddress, Lane, PortRange, Resolver, Service, Shaper, Step, Verdict, VipRoute, difference,
    undo,
};
use hostcompute_engine::reconcile;
use lab::facts::{anchor, guid, ip, mapping, nat, net, port};
use lab::traffic::ping;
use lab::{Lab, exec};

/// At least one fact of every kind.
fn everything() -> Vec<Fact> {
    let mut facts = nat(2);
    let element = Fact::Element;
    let (device, index) = (anchor(1).name, anchor(1).index);
    let (two, three) = (ip("10.1.0.2"), ip("10.1.0.3"));
    let rule = AclRule {
        family: None,
        sets: Vec::new(),
        protocols: vec![6, 17],
        local: Vec::new(),
        remote: vec![net("10.0.0.0/8"), net("192.168.0.0/16")],
        local_ports: vec![PortRange { first: 80, last: 90 }],
        remote_ports: Vec::new(),
        verdict: Verdict::Allow,
    };
    let chain = AclChain {
        name: "in_2".to_owned(),
        direction: Direction::In,
        rules: vec![rule],
        otherwise: Verdict::Allow,
    };
    facts.extend([
        Fact::HostAddress(HostAddress {
            endpoint: guid(9),
            device: device.clone(),
            index,
            address: ip("10.1.0.9"),
        }),
        Fact::VipRoute(VipRoute { address: ip("10.99.0.1"), device, index }),
        Fact::Shaper(Shaper {
            port: port(1, 2).name,
            name: "hv1x2".to_owned(),
            index: 3_001_002,
            bytes_per_second: 1_000_000,
        }),
        Fact::Diversion(Diversion {
            port: port(1, 2).name,
            index: port(1, 2).index,
            lanes: vec![Lane { place: 0, sources: Vec::new(), shaper: 3_001_002 }],
        }),
        Fact::AclChain(chain),
        element(Element::Listed { family: Family::V4, chain: "in_2".to_owned() }),
        element(Element::AclIn { address: two, chain: "in_2".to_owned() }),
        element(Element::AclOut { address: three, chain: "in_2".to_owned() }),
        element(Element::Isolated { address: three }),
        element(Element::Hidden { subnet: net("10.7.0.0/16") }),
        element(Element::NatExempt { source: two, destination: net("172.16.0.0/12") }),
        element(Element::NatLimited { source: three }),
        element(Element::NatLimit { source: three, destination: net("0.0.0.0/0") }),
        element(Element::NatAs { source: three, address: ip("203.0.113.9") }),
        mapping(6, 8080, "10.1.0.2:80"),
        mapping(132, 8080, "[fd00:1::2]:80"),
        element(Element::PortMapping {
            vip: Some(ip("203.0.113.1")),
            protocol: 17,
            port: 53,
            to: "10.1.0.2:53".parse().unwrap(),
        }),
        Fact::Service(Service {
            vip: Some(ip("10.99.0.1")),
            family: Family::V4,
            protocol: 6,
            port: 80,
            affinity: Affinity::Client,
            slots: vec!["10.1.0.2:80".parse().unwrap(); 12],
            audience: Audience::Everybody,
            shown: None,
            kept: Vec::new(),
        }),
        Fact::Resolver(Resolver { netns: guid(102), content: "nameserver ::1\n".to_owned() }),
    ]);
    facts
}

/// What a difference is about, in short.
fn short(difference: &Difference) -> String {
    use hostcompute_linux::describe::fact;
    match difference {
        Difference::Missing(missing) => format!("missing: {}", fact(missing)),
        Difference::Different { wanted, found } => format!("different: {}: {found}", fact(wanted)),
        Difference::Stray(stray) => format!("stray: {}", stray.what),
    }
}

/// After `sabotage` the comparison says `expected` (in any order), and one repair makes everything good again.
#[track_caller]
fn check(lab: &mut Lab, sabotage: &[&str], expected: &[&str]) {
    for line in sabotage {
        lab.host.exec(line);
    }
    check_found(lab, &format!("{sabotage:?}"), expected);
}

#[track_caller]
fn check_found(lab: &mut Lab, what: &str, expected: &[&str]) {
    let differences = lab.differences();
    let mut found: Vec<String> = differences.iter().map(short).collect();
    found.sort();
    let mut expected: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
    expected.sort();
    let matches = found.len() == expected.len()
        && found.iter().zip(&expected).all(|(found, expected)| found.contains(expected.as_str()));
    assert!(matches, "after {what}: {found:#?}, expected {expected:#?}");
    let repair = reconcile(&differences);
    lab.perform(&repair);
    let left: Vec<String> = lab.differences().iter().map(short).collect();
    assert_eq!(left, Vec::<String>::new(), "after the repair of {what}");
}

#[test]
fn links_and_what_hangs_on_them() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&everything());
    lab.check();
    let lab = &mut lab;
    let shaper = "missing: rate limit of interface he1x2";
    let diversion = "missing: rate limits of what interface he1x2 sends";
    check(lab, &["ip link del he1x3"], &["missing: interface he1x3"]);
    check(lab, &["ip link del he1x2"], &["missing: interface he1x2", diversion]);
    check(lab, &["ip link set he1x3 down"], &["different: interface he1x3"]);
    check(lab, &["ip link set he1x2 mtu 1300"], &["different: interface he1x2", diversion]);
    check(lab, &["ip link set he1x3 alias strange"], &["different: interface he1x3"]);
    check(lab, &["ip link set he1x3 address 02:00:00:00:00:07"], &["different: interface he1x3"]);
    check(lab, &["ip link set he1x3 addrgenmode eui64"], &["different: interface he1x3"]);
    check(
        lab,
        &["sysctl -qw net.ipv4.conf.he1x3.route_localnet=0"],
        &["different: interface he1x3"],
    );
    check(lab, &["ip route del 10.1.0.3"], &["different: interface he1x3"]);
    check(lab, &["ip -6 route del fd00:1::3"], &["different: interface he1x3"]);
    check(lab, &["ip neigh del 10.1.0.3 dev he1x3"], &["different: interface he1x3"]);
    check(lab, &["ip addr add 10.1.0.50/32 dev hb1"], &["stray: address 10.1.0.50/32"]);
    check(lab, &["ip addr del 10.1.0.9/32 dev hb1"], &["missing: address 10.1.0.9"]);
    check(lab, &["ip route del 10.99.0.1"], &["missing: route to virtual address"]);
    check(lab, &["ip route add 10.98.0.0/16 dev hb1 proto 104"], &["stray: route to 10.98.0.0/16"]);
    check(lab, &["ip route add unreachable 10.97.0.0/16 proto 104"], &["stray: route to 10.97"]);
    let below = ["missing: address 10.1.0.9", "missing: route to virtual address 10.99.0.1"];
    for sabotage in [
        "ip addr del 10.1.0.1/24 dev hb1",
        "ip route del unreachable 10.1.0.0/24",
        "ip link set hb1 down",
    ] {
        let mut lines: Vec<&str> = below.to_vec();
        lines.push("different: device hb1 of network");
        // Addresses that the host's routes prefer, and IPv6 addresses of a device that goes down, go along.
        let differences = {
            lab.host.exec(sabotage);
            lab.differences()
        };
        let found: Vec<String> = differences.iter().map(short).collect();
        for line in lines {
            assert!(found.iter().any(|text| text.contains(line)), "{sabotage}: {found:#?}");
        }
        lab.perform(&reconcile(&differences));
        // What the repair of the device took along is found by the next comparison.
        let rest = lab.differences();
        lab.perform(&reconcile(&rest));
        lab.check();
    }
    check(lab, &["ip link del hv1x2"], &[shaper, diversion]);
    check(
        lab,
        &["tc qdisc replace dev hv1x2 root tbf rate 1mbit burst 20k latency 50ms"],
        &["different: rate limit", diversion],
    );
    check(lab, &["tc qdisc del dev he1x2 ingress"], &[diversion]);
    check(lab, &["tc filter del dev he1x2 ingress prio 65520"], &[diversion]);
    check(lab, &["ip link add he9x9 group 1751318528 type bridge"], &["stray: interface he9x9"]);
    // What an earlier process left on its way out goes unsaid.
    check(lab, &["ip link add he9x9 group 1751318529 type bridge"], &[]);
    assert!(!lab.host.exec("ip -o link").contains("he9x9"));
    assert!(ping(&lab.netns(guid(102)), "10.1.0.1"));
}

#[test]
fn the_inside_of_ports() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(2));
    let inside = lab.netns(guid(103));
    for sabotage in [
        "ip link set eth0 down",
        "ip link set eth0 address 02:00:00:00:00:07",
        "ip addr del 10.1.0.3/24 dev eth0",
        "ip addr del fd00:1::3/64 dev eth0",
        "ip route del default",
        "ip -6 route del default",
        "ip neigh del 10.1.0.1 dev eth0",
        "ip link set eth0 mtu 1300",
    ] {
        inside.exec(sabotage);
        check_found(&mut lab, sabotage, &["different: interface he1x3"]);
        assert!(ping(&inside, "10.1.0.1"), "after {sabotage}");
    }
    inside.exec("ip link del eth0");
    check_found(&mut lab, "deletion of the inner end", &["missing: interface he1x3"]);
    // What a workload does beside our facts is its own business.
    inside.exec("ip addr add 192.0.2.1/32 dev lo");
    inside.exec("ip route add 192.0.2.0/24 via 10.1.0.1 dev eth0 onlink");
    inside.exec("ip link add own0 type bridge");
    lab.check();
}

#[test]
fn the_packet_filter() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&everything());
    let lab = &mut lab;
    let table = "inet hostcompute";
    let add = |element: &str| format!("nft add element {table} {element}");
    let delete = |element: &str| format!("nft delete element {table} {element}");
    check(
        lab,
        &[&delete("portmap4 { tcp . 8080 }")],
        &["missing: mapping of port 8080 to 10.1.0.2:80"],
    );
    check(
        lab,
        &[&delete("portmap4 { tcp . 8080 }"), &add("portmap4 { tcp . 8080 : 10.1.0.3 . 80 }")],
        &["different: mapping of port 8080 to 10.1.0.2:80"],
    );
    check(lab, &[&add("portmap4 { tcp . 9090 : 10.1.0.3 . 80 }")], &["stray: element of portmap4"]);
    check(
        lab,
        &[&delete("source4 { \"he1x2\" . 02:15:5d:01:01:02 . 10.1.0.2 }")],
        &["missing: source 10.1.0.2"],
    );
    check(lab, &[&add("outbound4 { 10.50.0.0/16 }")], &["stray: element of outbound4"]);
    check(
        lab,
        &[&delete("outbound4 { 10.1.0.0/24 }")],
        &["missing: outbound traffic of 10.1.0.0/24"],
    );
    check(
        lab,
        &[&delete("intra4 { 10.1.0.0/24 . 10.1.0.0/24 }")],
        &["missing: traffic from 10.1.0.0/24"],
    );
    check(
        lab,
        &[&add("nat_exempt4 { 10.1.0.3 . 10.0.0.0/8 }")],
        &["stray: element of nat_exempt4"],
    );
    check(lab, &[&delete("acl_in4 { 10.1.0.2 }")], &["missing: incoming access rules of 10.1.0.2"]);
    check(
        lab,
        &[&delete("slot12_4 { 10.99.0.1 . tcp . 80 . 0x00000003 }")],
        &["different: service 10.99.0.1 port 80"],
    );
    check(
        lab,
        &[&delete("service_client4 { 10.99.0.1 . tcp . 80 }")],
        &["different: service 10.99.0.1 port 80"],
    );
    check(
        lab,
        &[&format!("nft add rule {table} in_2 tcp dport 7 drop")],
        &["different: access rules in_2"],
    );
    check(lab, &[&format!("nft flush chain {table} in_2")], &["different: access rules in_2"]);
    check(lab, &[&format!("nft add chain {table} strange")], &["stray: chain strange"]);
    // The fixed part is made anew with everything in it.
    let elements = lab.facts.iter().filter(|fact| {
        matches!(fact, Fact::Table | Fact::Element(_) | Fact::Service(_) | Fact::AclChain(_))
    });
    let elements = elements.count();
    for sabotage in [
        format!("nft flush chain {table} spoof4"),
        format!("nft insert rule {table} pass4 accept"),
        format!("nft delete table {table}"),
        "nft flush ruleset".to_owned(),
    ] {
        lab.host.exec(&sabotage);
        let differences = lab.differences();
        assert_eq!(differences.len(), elements, "{sabotage}: {differences:#?}");
        lab.perform(&reconcile(&differences));
        lab.check();
    }
}

#[test]
fn rules_of_an_access_chain_are_compared_one_by_one() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&everything());
    let with = |change: &dyn Fn(&mut AclChain)| {
        let mut facts = everything();
        for fact in &mut facts {
            if let Fact::AclChain(chain) = fact {
                change(chain);
            }
        }
        facts
    };
    type Edit = fn(&mut AclChain);
    let edits: [Edit; 7] = [
        |chain| chain.otherwise = Verdict::Block,
        |chain| chain.rules[0].verdict = Verdict::Block,
        |chain| chain.rules[0].protocols = vec![6, 132],
        |chain| chain.rules[0].protocols = vec![6],
        |chain| chain.rules[0].remote = vec![net("10.0.0.0/8"), net("192.168.0.0/17")],
        |chain| chain.rules[0].local_ports = vec![PortRange { first: 80, last: 91 }],
        |chain| chain.direction = Direction::Out,
    ];
    for edit in edits {
        let differences = lab.linux.compare(&with(&edit)).unwrap();
        assert_eq!(differences.len(), 1, "{differences:?}");
    }
    lab.check();
}

#[test]
fn files_and_settings() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&everything());
    let lab = &mut lab;
    let (netns, stray) = (lab.linux.netns_path(guid(103)), lab.linux.netns_path(guid(55)));
    let resolver = lab.linux.resolver_path(guid(102));
    check(lab, &[&format!("rm {}", resolver.display())], &["missing: resolver of namespace"]);
    std::fs::write(&resolver, "nameserver 192.0.2.53\n").unwrap();
    check_found(lab, "another resolver", &["different: resolver of namespace"]);
    std::fs::write(lab.linux.resolver_path(guid(56)), "").unwrap();
    check_found(lab, "a strange resolver file", &["stray: resolver file of namespace"]);
    // A file of the first moment of a namespace's life, and a whole namespace.
    std::fs::write(&stray, "").unwrap();
    check_found(lab, "an empty file", &["stray: namespace"]);
    std::fs::write(&stray, "").unwrap();
    exec(&format!("unshare --net mount --bind /proc/self/ns/net {}", stray.display()));
    check_found(lab, "a strange namespace", &["stray: namespace"]);
    std::fs::write(lab.directory.join("netns/README"), "not ours").unwrap();
    lab.check();
    lab.host.exec(&format!("umount -l {}", netns.display()));
    // A comparison lets go of the namespace, which the kernel then takes apart in its own time.
    lab.differences();
    let deadline = Instant::now() + Duration::from_secs(30);
    while lab.host.exec("ip -o link").contains(" he1x3@") && Instant::now() < deadline {
        std::thread::yield_now();
    }
    check(lab, &[], &["missing: namespace", "missing: interface he1x3"]);
    check(
        lab,
        &["sysctl -qw net.ipv4.conf.all.forwarding=0"],
        &[
            "different: forwarding of ipv4",
            "different: interface he1x2",
            "different: interface he1x3",
            "missing: rate limits of what interface he1x2 sends",
        ],
    );
    check(lab, &["sysctl -qw net.ipv6.conf.all.forwarding=0"], &["different: forwarding of ipv6"]);
}

#[test]
fn everything_is_a_stray_when_nothing_is_wanted() {
    let Some(mut lab) = Lab::new() else { return };
    let before = lab.fingerprint();
    lab.bring(&everything());
    lab.facts.clear();
    // As after the loss of the state directory: another process finds it all and sweeps it away.
    let mut linux = lab.reopen();
    let differences = linux.compare(&[]).unwrap();
    assert!(differences.iter().all(|difference| matches!(difference, Difference::Stray(_))));
    linux.perform(&reconcile(&differences)).unwrap();
    assert_eq!(linux.compare(&[]).unwrap(), []);
    drop(linux);
    lab.check_unchanged(&before);
}

#[test]
fn another_process_finds_everything_as_it_should_be() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&everything());
    let facts = lab.facts.clone();
    assert_eq!(lab.reopen().compare(&facts).unwrap(), []);
}

/// A fault at any place of a plan, then the undoing, and the host is as before.
#[test]
fn a_plan_that_fails_anywhere_is_undone_without_a_trace() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(1));
    let before = lab.fingerprint();
    let mut all = everything();
    all.sort();
    let plan = difference(&nat(1), &all);
    // The kernel refuses a route through a device that is not there, when everything before it is done; a service that does not
    // fit is noticed before anything is done.
    let route = VipRoute { address: ip("10.98.0.1"), device: "hb9".to_owned(), index: 77_777 };
    let service = Service {
        vip: None,
        family: Family::V6,
        protocol: 6,
        port: 1,
        affinity: Affinity::None,
        slots: vec!["10.0.0.1:1".parse().unwrap(); 2],
        audience: Audience::Everybody,
        shown: None,
        kept: Vec::new(),
    };
    for place in 0..=plan.len() {
        for poison in [Fact::VipRoute(route.clone()), Fact::Service(service.clone())] {
            let fits = !matches!(poison, Fact::Service(_));
            let mut poisoned = plan.clone();
            poisoned.insert(place, Step::Add(poison));
            let fault = lab.linux.perform(&poisoned).unwrap_err();
            assert_eq!(fault.step, place, "{fault:?}");
            lab.perform(&undo(if fits { &poisoned } else { &plan }));
            lab.check();
        }
        // And as if the process had been killed between two steps.
        lab.perform(&plan[..place]);
        lab.perform(&undo(&plan));
        lab.check();
    }
    lab.linux.settle().unwrap();
    lab.check_unchanged(&before);
}

#[test]
fn the_kernel_refuses_in_the_middle_of_a_plan() {
    let Some(mut lab) = Lab::new() else { return };
    lab.bring(&nat(1));
    let before = lab.fingerprint();
    let mut all = everything();
    all.sort();
    let plan = difference(&nat(1), &all);
    // Things of others in the way of a port, a shaping device, a route.
    for (sabotage, repair) in [
        ("ip link add he1x3 type bridge".to_owned(), "ip link del he1x3".to_owned()),
        ("ip link add hv1x2 type bridge".to_owned(), "ip link del hv1x2".to_owned()),
        ("ip route add 10.1.0.3 dev up0".to_owned(), "ip route del 10.1.0.3".to_owned()),
    ] {
        lab.host.exec(&sabotage);
        let fault = lab.linux.perform(&plan).unwrap_err();
        assert!(!fault.failure.message.is_empty());
        lab.perform(&undo(&plan));
        lab.linux.settle().unwrap();
        lab.host.exec(&repair);
        lab.check();
        lab.check_unchanged(&before);
    }
}
