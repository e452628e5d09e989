//! The simulator held against what is known of the kernel, with a small web of facts made by hand.

extern crate std;

use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use std::format;

use super::*;
use crate::mac::Mac;
use crate::plan::{
    AclChain, AclRule, Affinity, Anchor, Direction, Diversion, Element, Family, FarEnd,
    HostAddress, Lane, Port, PortRoute, Resolver, Service, Shaper, Verdict, VipRoute, difference,
    undo,
};

const TCP: u8 = 6;
const OUTSIDE: &str = "203.0.113.9";
const HOST: &str = "198.51.100.1";
const VIP: &str = "10.96.0.1";

fn guid(last: u8) -> Guid {
    let mut bytes = [0; 16];
    bytes[15] = last;
    Guid::from_bytes(bytes)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn anchor(number: u8) -> Anchor {
    let subnet: IpNet = format!("10.0.{number}.0/24").parse().unwrap();
    Anchor {
        network: guid(number),
        name: format!("hb{number}"),
        index: 10 + u32::from(number),
        mac: Mac([2, 0, 0, 0, 0, number]),
        gateways: vec![format!("10.0.{number}.1/24").parse().unwrap()],
        subnets: vec![subnet],
    }
}

fn port(network: u8, host: u8) -> Port {
    let gateway = ip(&format!("10.0.{network}.1"));
    Port {
        endpoint: guid(100 + host),
        netns: guid(200 + host),
        name: format!("he{host}"),
        index: 100 + u32::from(host),
        alias: String::new(),
        far: FarEnd::Namespace,
        inner_name: "eth0".into(),
        inner_index: 2,
        mac: Mac([2, 1, 0, 0, 0, host]),
        mtu: None,
        addresses: vec![format!("10.0.{network}.{host}/24").parse().unwrap()],
        gateways: vec![gateway],
        routes: vec![PortRoute {
            destination: "0.0.0.0/0".parse().unwrap(),
            next_hop: Some(gateway),
            metric: 0,
        }],
        prefer: vec![gateway],
    }
}

fn attached(network: u8, host: u8) -> Vec<Fact> {
    let port = port(network, host);
    let source = Element::Source {
        port: port.name.clone(),
        mac: port.mac,
        address: port.addresses[0].addr(),
    };
    let hairpin = Element::Loop { address: port.addresses[0].addr() };
    vec![Fact::Netns(port.netns), Fact::Port(port), Fact::Element(source), Fact::Element(hairpin)]
}

fn network(number: u8) -> Vec<Fact> {
    let anchor = anchor(number);
    let subnet = anchor.subnets[0];
    vec![
        Fact::Anchor(anchor),
        Fact::Element(Element::Intra { from: subnet, to: subnet }),
        Fact::Element(Element::Outbound { subnet }),
    ]
}

/// Two networks; endpoints 2 and 3 on the first, 4 on the second; a mapping, a service, access rules on 3, a cap on 2.
fn web() -> Vec<Fact> {
    let mut facts = vec![Fact::Table, Fact::Forwarding(Family::V4)];
    facts.extend(network(1));
    facts.extend(network(2));
    facts.extend([(1, 2), (1, 3), (2, 4)].into_iter().flat_map(|(n, h)| attached(n, h)));
    let rule = AclRule {
        family: None,
        sets: Vec::new(),
        protocols: vec![TCP],
        local: vec![],
        remote: vec!["10.0.1.2/32".parse().unwrap()],
        local_ports: vec![(80..=90).into()],
        remote_ports: vec![],
        verdict: Verdict::Allow,
    };
    let chain = AclChain {
        name: "in3".into(),
        direction: Direction::In,
        rules: vec![rule],
        otherwise: Verdict::Block,
    };
    let backends = ["10.0.1.2:80", "10.0.1.3:80"].map(|to| to.parse().unwrap());
    facts.extend([
        Fact::AclChain(chain),
        Fact::Element(Element::Listed { family: Family::V4, chain: "in3".into() }),
        Fact::Element(Element::AclIn { address: ip("10.0.1.3"), chain: "in3".into() }),
        Fact::Element(Element::PortMapping {
            vip: None,
            protocol: TCP,
            port: 8080,
            to: "10.0.1.2:80".parse().unwrap(),
        }),
        Fact::Service(Service {
            vip: Some(ip(VIP)),
            family: Family::V4,
            protocol: TCP,
            port: 80,
            affinity: Affinity::None,
            slots: backends.to_vec(),
            audience: crate::plan::Audience::Everybody,
            shown: None,
            kept: Vec::new(),
        }),
        Fact::VipRoute(VipRoute { address: ip(VIP), device: "hb1".into(), index: 11 }),
        Fact::Shaper(Shaper {
            port: "he2".into(),
            name: "hv2".into(),
            index: 302,
            bytes_per_second: 1_000_000,
        }),
        Fact::Diversion(Diversion {
            port: "he2".into(),
            index: 102,
            lanes: vec![Lane { place: 0, sources: Vec::new(), shaper: 302 }],
        }),
        Fact::Resolver(Resolver { netns: guid(202), content: "nameserver 10.0.1.1\n".into() }),
    ]);
    facts.sort();
    facts
}

fn machine() -> Simulator {
    let addresses = vec![ip(HOST)];
    Simulator::new(Surroundings { addresses, ..Surroundings::default() })
}

fn with(facts: &[Fact]) -> Simulator {
    let mut machine = machine();
    machine.perform(&difference(&[], facts)).unwrap();
    machine
}

fn refusal(facts: &[Fact], fact: Fact) -> Option<String> {
    let result = with(facts).perform(&[Step::Add(fact)]);
    result.err().map(|fault| fault.failure.message)
}

#[test]
fn a_plan_makes_its_facts_and_the_way_back_leaves_nothing() {
    let mut machine = machine();
    let empty = machine.picture();
    let there = difference(&[], &web());
    for _ in 0..2 {
        machine.perform(&there).unwrap();
        assert_eq!(machine.facts(), web());
        assert_eq!(machine.compare(&web()).unwrap(), []);
        assert!(machine.forwards(Family::V4));
    }
    let back = difference(&web(), &[]);
    for _ in 0..2 {
        machine.perform(&back).unwrap();
        assert_eq!(machine.picture(), empty);
    }
    assert_eq!(machine.unsettled(), 3);
    machine.settle().unwrap();
    assert_eq!(machine.unsettled(), 0);
}

#[test]
fn whatever_fails_and_however_undoing_restores_the_picture() {
    let mut other = web();
    for fact in &mut other {
        match fact {
            Fact::Service(service) => service.slots.reverse(),
            Fact::Port(port) => port.mtu = Some(1400),
            Fact::Resolver(resolver) => resolver.content.clear(),
            _ => {}
        }
    }
    let (nothing, web) = (vec![], web());
    for (from, to) in [(&nothing, &web), (&web, &nothing), (&web, &other), (&nothing, &nothing)] {
        let plan = difference(from, to);
        for after in 0..plan.len() {
            for moment in [Moment::Before, Moment::Halfway, Moment::After] {
                let mut machine = with(from);
                let before = machine.picture();
                machine.order(Fault { after, moment });
                let fault = machine.perform(&plan).unwrap_err();
                assert!(fault.step < plan.len());
                machine.perform(&undo(&plan)).unwrap();
                assert_eq!(machine.picture(), before, "{moment:?} after {after} steps");
                machine.perform(&plan).unwrap();
                assert_eq!(machine.compare(to).unwrap(), []);
            }
        }
    }
}

#[test]
fn death_leaves_the_steps_before_it_and_refuses_everything_after() {
    let plan = difference(&[], &web());
    let mut machine = machine();
    machine.order(Fault { after: 4, moment: Moment::Death });
    assert!(machine.perform(&plan).is_err());
    assert!(!machine.facts().is_empty());
    assert!(machine.perform(&[]).is_err() && machine.compare(&[]).is_err());
    machine.revive();
    machine.perform(&plan).unwrap();
    assert_eq!(machine.compare(&web()).unwrap(), []);
}

#[test]
fn comparing_names_what_is_missing_different_and_stray() {
    let mut machine = with(&web());
    let lost = Fact::Element(Element::Loop { address: ip("10.0.1.3") });
    let stray = Fact::Element(Element::Isolated { address: ip("10.0.1.3") });
    let Some(Fact::Service(service)) = web().into_iter().find(|f| matches!(f, Fact::Service(_)))
    else {
        panic!("the web has a service");
    };
    let mut edited = service.clone();
    edited.slots.reverse();
    machine.tamper(Tamper::Lose(lost.clone()));
    machine.tamper(Tamper::Put(stray.clone()));
    machine.tamper(Tamper::Put(Fact::Service(edited)));
    let differences = machine.compare(&web()).unwrap();
    assert_eq!(differences.len(), 3);
    assert!(differences.contains(&Difference::Missing(lost)));
    assert!(differences.iter().any(
        |d| matches!(d, Difference::Different { wanted, .. } if *wanted == Fact::Service(service.clone()))
    ));
    let Some(Difference::Stray(found)) = differences.last() else { panic!("the stray is last") };
    machine.perform(&[Step::Sweep(found.clone())]).unwrap();
    assert!(!machine.facts().contains(&stray));
}

#[test]
fn the_kernel_refuses_what_linux_refuses() {
    let web = web();
    let mut inside = port(1, 2);
    (inside.name, inside.index, inside.endpoint) = ("he9".into(), 109, guid(109));
    inside.addresses = vec!["10.0.1.9/24".parse().unwrap()];
    let mut elsewhere = Port { inner_name: "eth1".into(), inner_index: 3, ..inside.clone() };
    let same_metric = elsewhere.clone();
    elsewhere.routes[0].metric = 1;
    let other = |change: &dyn Fn(&mut Port)| {
        let mut port = elsewhere.clone();
        change(&mut port);
        Fact::Port(port)
    };
    let subnet = |text: &str| text.parse().unwrap();
    let cases = [
        ("eth0 in", Fact::Port(inside)),
        ("route to 0.0.0.0/0 inside", Fact::Port(same_metric)),
        ("interface index 103", other(&|port| port.index = 103)),
        ("exists as", other(&|port| port.name = "he3".into())),
        ("cannot name an interface", other(&|port| port.name = "he34567890123456".into())),
        ("namespace", other(&|port| port.netns = guid(1))),
        ("preferred source", other(&|port| port.prefer = vec![ip("10.0.1.7")])),
        ("10.0.1.3/32", other(&|port| port.addresses = vec![subnet("10.0.1.3/24")])),
        ("10.0.1.1 is taken", other(&|port| port.addresses = vec![subnet("10.0.1.1/24")])),
        ("not a neighbour", other(&|port| port.gateways.clear())),
        ("MTU", other(&|port| port.mtu = Some(67))),
        ("index 0", other(&|port| port.index = 0)),
        ("overlaps", Fact::Element(Element::Outbound { subnet: subnet("10.0.0.0/16") })),
        ("jumped to", Fact::Element(Element::AclOut { address: ip(VIP), chain: "none".into() })),
        ("exists as", Fact::Element(Element::AclIn { address: ip("10.0.1.3"), chain: "x".into() })),
        ("10.0.1.1", {
            let address = ip("10.0.1.1");
            Fact::HostAddress(HostAddress {
                endpoint: guid(5),
                device: "hb1".into(),
                index: 11,
                address,
            })
        }),
        ("with index 12", {
            let address = ip("10.0.1.9");
            Fact::VipRoute(VipRoute { address, device: "hb1".into(), index: 12 })
        }),
    ];
    assert_eq!(refusal(&web, Fact::Port(elsewhere.clone())), None);
    for (why, fact) in cases {
        let text = format!("{fact:?}");
        let said = refusal(&web, fact).unwrap_or_else(|| panic!("accepted: {text}"));
        let why = if why == "overlaps" { "the place of" } else { why };
        assert!(said.contains(why), "'{said}' does not say '{why}' of {text}");
    }
    let nowhere = refusal(&[], Fact::Element(Element::Loop { address: ip(VIP) }));
    assert_eq!(nowhere.unwrap(), "table hostcompute is not there");
}

#[test]
fn a_chain_in_use_stays_and_a_plan_may_bring_chain_and_use_in_any_order() {
    let mut machine = with(&web());
    let chain = |fact: &&Fact| matches!(fact, Fact::AclChain(_));
    let chain = web().iter().find(chain).cloned().unwrap();
    assert!(machine.perform(&[Step::Remove(chain.clone())]).is_err());
    assert_eq!(machine.facts(), web());
    let element = Fact::Element(Element::AclIn { address: ip("10.0.1.3"), chain: "in3".into() });
    let listed = Fact::Element(Element::Listed { family: Family::V4, chain: "in3".into() });
    let steps = |step: fn(Fact) -> Step| [&chain, &element, &listed].map(|fact| step(fact.clone()));
    machine.perform(&steps(Step::Remove)).unwrap();
    machine.perform(&steps(Step::Add)).unwrap();
    assert_eq!(machine.facts(), web());
}

#[test]
fn removal_takes_along_what_depends_on_it() {
    let mut machine = with(&web());
    machine.perform(&[Step::Remove(Fact::Netns(guid(202)))]).unwrap();
    let gone = |fact: &&Fact| !machine.facts().contains(*fact);
    let lost: Vec<Fact> = web().iter().filter(gone).cloned().collect();
    assert_eq!(lost.len(), 3, "namespace, port and its redirection: {lost:?}");

    let mut machine = with(&web());
    machine.perform(&[Step::Remove(Fact::Table)]).unwrap();
    assert!(
        !machine.facts().iter().any(|fact| matches!(fact, Fact::Element(_) | Fact::Service(_)))
    );

    let mut machine = with(&web());
    machine
        .perform(&[Step::Remove(Fact::Anchor(anchor(1))), Step::Add(Fact::Anchor(anchor(1)))])
        .unwrap();
    let differences = machine.compare(&web()).unwrap();
    assert_eq!(
        differences.len(),
        3,
        "two ports' host routes and the virtual IP's: {differences:?}"
    );
}

#[test]
fn claims_meet_the_sockets_of_others() {
    let mut machine = machine();
    let claim = |address: Option<&str>, family, port| {
        [Step::Claim(Claim { address: address.map(ip), family, protocol: TCP, port })]
    };
    let listener =
        Listener { address: None, family: Family::V6, dual: true, protocol: TCP, port: 80 };
    machine.listen(listener);
    machine.listen(Listener {
        address: Some(ip(HOST)),
        family: Family::V4,
        dual: false,
        protocol: TCP,
        port: 81,
    });
    let taken = |result: Result<(), HostFault>| {
        result.err().map(|fault| fault.failure.hresult) == Some(HResult::HCN_E_PORT_ALREADY_EXISTS)
    };
    assert!(taken(machine.perform(&claim(None, Family::V4, 80))));
    assert!(taken(machine.perform(&claim(None, Family::V4, 81))));
    assert!(taken(machine.perform(&claim(Some(HOST), Family::V4, 81))));
    assert!(!taken(machine.perform(&claim(Some("127.0.0.1"), Family::V4, 81))));
    assert!(!taken(machine.perform(&claim(None, Family::V6, 81))));
    machine.stop_listening();
    assert!(!taken(machine.perform(&claim(None, Family::V4, 80))));
}

fn outcome(origin: Origin, to: &str, port: u16) -> Outcome {
    let surroundings = Surroundings { addresses: vec![ip(HOST)], ..Surroundings::default() };
    let connection =
        Connection { origin, to: ip(to), protocol: TCP, source_port: 40000, port, draw: 0 };
    Reach::of(&web(), &surroundings).connect(&connection)
}

#[test]
fn packets_go_where_the_facts_send_them() {
    let [two, three, four] = [102, 103, 104].map(|id| Origin::Endpoint(guid(id)));
    let to = |host: u8| Receiver::Endpoint(guid(100 + host));
    let got = |outcome: Outcome| outcome.map(|delivery| delivery.receiver);

    assert_eq!(got(outcome(two, "10.0.1.3", 80)), Ok(to(3)));
    assert_eq!(got(outcome(two, "10.0.1.3", 22)), Err(Lost::AccessRule(Direction::In)));
    assert_eq!(got(outcome(three, "10.0.1.2", 22)), Ok(to(2)));
    assert_eq!(got(outcome(four, "10.0.1.2", 80)), Err(Lost::Filtered));
    assert_eq!(got(outcome(two, "10.0.1.77", 80)), Err(Lost::Unreachable));
    assert_eq!(got(outcome(two, "10.0.1.1", 80)), Ok(Receiver::Host));
    let outside = outcome(two, OUTSIDE, 443).unwrap();
    assert_eq!((outside.receiver, outside.source), (Receiver::Outside, ip(HOST)));

    let client = Origin::Outside(ip(OUTSIDE));
    assert_eq!(got(outcome(client, "10.0.1.2", 80)), Err(Lost::Filtered));
    let mapped = outcome(client, HOST, 8080).unwrap();
    assert_eq!((mapped.receiver, mapped.source), (to(2), ip(OUTSIDE)));
    assert_eq!(got(outcome(client, HOST, 22)), Ok(Receiver::Host));
    for local in [HOST, "127.0.0.1", "10.0.1.1"] {
        assert_eq!(got(outcome(Origin::Host, local, 8080)), Ok(to(2)), "{local}");
    }
    let hairpin = outcome(two, HOST, 8080).unwrap();
    assert_eq!((hairpin.receiver, hairpin.source), (to(2), ip("10.0.1.1")));
}

#[test]
fn services_spread_over_their_backends() {
    let facts = web();
    let surroundings = Surroundings::default();
    let reach = Reach::of(&facts, &surroundings);
    let connection = |origin| Connection {
        origin,
        to: ip(VIP),
        protocol: TCP,
        source_port: 40000,
        port: 80,
        draw: 0,
    };
    let all = reach.receivers(&connection(Origin::Endpoint(guid(102))));
    assert_eq!(all, [102, 103].map(|id| Receiver::Endpoint(guid(id))));
    let from_host = reach.receivers(&connection(Origin::Host));
    assert_eq!(from_host, [Receiver::Endpoint(guid(102))], "endpoint 3 admits endpoint 2 only");
}

#[test]
fn an_observer_sees_the_machine_as_it_was_when_it_came() {
    let mut machine = Simulator::default();
    let (anchor, port) = (anchor(1), port(1, 2));
    let plan =
        [Fact::Table, Fact::Anchor(anchor), Fact::Netns(port.netns), Fact::Port(port.clone())];
    machine.perform(&plan.map(Step::Add)).unwrap();
    let counters = Counters { bytes_sent: 7, ..Counters::default() };
    machine.set_counters(port.endpoint, counters);
    let flow = Flow {
        protocol: TCP,
        source: "203.0.113.9:4000".parse().unwrap(),
        destination: "198.51.100.1:80".parse().unwrap(),
        translated_to: None,
        bytes: None,
        state: crate::host::FlowState::Established,
    };
    machine.set_flows(vec![flow.clone(), flow.clone()]);
    let mut observer = machine.observer().unwrap();
    machine.perform(&[Step::Remove(Fact::Port(port.clone()))]).unwrap();
    assert_eq!(observer.counters(&port.meter()), Ok(counters));
    assert_eq!(observer.all_counters(), Ok(vec![(port.index, counters)]));
    assert_eq!(observer.flows(1), Ok(vec![flow]));
    assert!(!machine.prepare());
}
