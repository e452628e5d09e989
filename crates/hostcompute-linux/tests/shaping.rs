//! Rate limits.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use hostcompute_engine::plan::{Fact, Shaper};
use lab::Lab;
use lab::facts::{guid, nat, port};
use lab::traffic::{ping, tcp, tcp_server};
use serde_json::Value;

fn shaper(rate: u64) -> Fact {
    let port = port(1, 2);
    Fact::Shaper(Shaper {
        port: port.name,
        port_index: port.index,
        name: "hv1x2".to_owned(),
        index: 3_001_002,
        bytes_per_second: rate,
    })
}

fn bucket(lab: &Lab) -> Value {
    let queues = lab.host.json("tc -j -s qdisc show dev hv1x2");
    queues.as_array().unwrap().iter().find(|queue| queue["kind"] == "tbf").cloned().unwrap()
}

#[test]
fn what_a_port_sends_is_capped_and_what_it_receives_is_not() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(2);
    facts.push(shaper(250_000));
    lab.bring(&facts);
    lab.check();
    assert_eq!(bucket(&lab)["options"]["rate"], 250_000);
    let a = lab.netns(guid(102));
    let _server = tcp_server(&lab.netns(guid(103)), "b", "10.1.0.3:80");
    assert!(tcp(&a, "10.1.0.3:80").is_some(), "it still works");
    assert!(ping(&a, "fd00:1::3"));
    // Much more than the bucket and its queue hold: some of it must have been held back or lost.
    a.run(|| {
        let socket = std::net::UdpSocket::bind("10.1.0.2:0").unwrap();
        for _ in 0..1000 {
            let _ = socket.send_to(&[0; 1400], "10.1.0.3:9");
        }
    });
    let queue = bucket(&lab);
    assert!(queue["overlimits"].as_u64().unwrap() > 0, "{queue}");
    assert!(queue["drops"].as_u64().unwrap() > 0, "{queue}");
    let through = queue["bytes"].as_u64().unwrap();
    let b = lab.netns(guid(103));
    b.run(|| {
        let socket = std::net::UdpSocket::bind("10.1.0.3:0").unwrap();
        for _ in 0..200 {
            let _ = socket.send_to(&[0; 1400], "10.1.0.2:9");
        }
    });
    // Only the few answers of the endpoint ("port unreachable") went through the bucket.
    assert!(bucket(&lab)["bytes"].as_u64().unwrap() < through + 100_000);
}

#[test]
fn the_rate_changes_in_place_and_goes_without_the_port() {
    let Some(mut lab) = Lab::new() else { return };
    let without = nat(2);
    let with = |rate| {
        let mut facts = without.clone();
        facts.push(shaper(rate));
        facts
    };
    lab.bring(&with(250_000));
    lab.bring(&with(5_000_000_000));
    lab.check();
    assert_eq!(bucket(&lab)["options"]["rate"], 5_000_000_000_u64);
    lab.bring(&without);
    lab.check();
    assert!(ping(&lab.netns(guid(102)), "10.1.0.3"));
    lab.bring(&with(1_000_000));
    lab.check();
    assert!(ping(&lab.netns(guid(102)), "10.1.0.3"));
    lab.bring(&[]);
    lab.check();
}
