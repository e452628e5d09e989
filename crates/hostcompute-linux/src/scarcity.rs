//! Tests: what happens when the kernel's answers are lost for want of room (ENOBUFS).
//!
//! Each runs in a network namespace of its own, on the test's thread.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use hostcompute_engine::host::Host;
use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::{Anchor, Fact, Step, VipRoute};
use hostcompute_schema::{Guid, HResult};
use rustix::io::Errno;

use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient, Protocol, Socket};
use crate::netns::Excursion;
use crate::route::link::{self, NewLink};
use crate::{Linux, Options};

/// A namespace of the test's own; `None` without privilege.
fn seclude() -> Option<Excursion> {
    if rustix::process::geteuid().is_root() {
        return Some(Excursion::to_new().expect("root may have a network namespace"));
    }
    let required = std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_some();
    assert!(!required, "HOSTCOMPUTE_REQUIRE_ROOT is set, and this is not root");
    eprintln!("skipped: needs root");
    None
}

fn removals(count: u32, lenient: Lenient) -> Datagram {
    let mut datagram = Datagram::default();
    for index in 0..count {
        let note = Note { step: 0, aim: "remove the interface", lenient };
        link::push_delete(&mut datagram, note, 5_000_000 + index);
    }
    datagram
}

#[test]
fn lost_answers_are_a_failure_and_the_next_request_is_not_confused() {
    let Some(_stay) = seclude() else { return };
    let mut socket = Socket::open(Protocol::Route).expect("a socket");
    socket.narrow();
    for _ in 0..3 {
        let error = socket.exchange(&mut removals(100, Lenient::Absent)).expect_err("no room");
        assert_eq!(error.errno(), Some(Errno::NOBUFS));
        let failure = error.into_failure("interface he1");
        assert_eq!(failure.hresult, HResult::E_OUTOFMEMORY, "{failure}");
        let refused = socket.exchange(&mut removals(1, Lenient::Not)).expect_err("not there");
        assert_eq!(refused.errno(), Some(Errno::NODEV));
        socket.exchange(&mut removals(1, Lenient::Absent)).expect("not there, as wanted");
    }
}

#[test]
fn tables_are_read_whole_with_hardly_any_room() {
    let Some(_stay) = seclude() else { return };
    let mut socket = Socket::open(Protocol::Route).expect("a socket");
    let mut datagram = Datagram::default();
    for number in 0..100 {
        let name = format!("br{number}");
        let new = NewLink { name: &name, index: 1000 + number, mac: None, group: 7, mtu: None };
        let note = Note { step: 0, aim: "make the interface", lenient: Lenient::Not };
        link::push_bridge(&mut datagram, note, new);
    }
    socket.exchange(&mut datagram).expect("a hundred bridges");
    let whole = link::dump(&mut socket).expect("a table");
    socket.narrow();
    assert_eq!(link::dump(&mut socket).expect("a table"), whole);
    assert!(whole.len() > 100);
}

/// A directory of the test's own.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hostcompute-scarcity-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_plan_whose_answers_are_lost_fails_and_can_be_made_good() {
    let Some(_stay) = seclude() else { return };
    let scratch = Scratch::new();
    let mut linux = Linux::open(Options {
        host_netns: None,
        netns_dir: scratch.0.join("netns"),
        resolver_dir: scratch.0.join("resolv"),
        saved: scratch.0.join("saved.json"),
        resolv_conf: "/etc/resolv.conf".into(),
    })
    .expect("this host");
    let anchor = Anchor {
        network: Guid::from_bytes([1; 16]),
        name: "hb1".to_owned(),
        index: 1_000_001,
        mac: Mac([2, 0, 0, 0, 0, 1]),
        gateways: vec!["10.1.0.1/24".parse().expect("an address")],
        subnets: vec!["10.1.0.0/24".parse().expect("a prefix")],
    };
    let vip = |number: u8| VipRoute {
        address: [10, 99, 0, number].into(),
        device: anchor.name.clone(),
        index: anchor.index,
    };
    let mut facts: Vec<Fact> = (1..=100).map(|number| Fact::VipRoute(vip(number))).collect();
    facts.insert(0, Fact::Anchor(anchor.clone()));
    let add: Vec<Step> = facts.iter().cloned().map(Step::Add).collect();
    linux.perform(&add).expect("there is room");

    // Everything is there already, and the kernel says so for each.
    linux.route.narrow();
    let fault = linux.perform(&add).expect_err("there is no room for so many refusals");
    assert_eq!(fault.failure.hresult, HResult::E_OUTOFMEMORY, "{fault:?}");
    // What would put things right by comparing still can.
    assert_eq!(linux.compare(&facts).expect("readable"), []);
    linux.route.widen().expect("room");
    linux.perform(&add).expect("there is room again");
    let remove: Vec<Step> = facts.iter().rev().cloned().map(Step::Remove).collect();
    linux.perform(&remove).expect("there is room");
    assert_eq!(linux.compare(&[]).expect("readable"), []);
}
