//! Containers made and ended again and again by several clients at once, each with a NAT endpoint, while supervisors, first processes and
//! the daemon are killed: what was acknowledged is true, and at the end nothing is left.
//!
//! Ignored by default, for it takes its time: `cargo xtask test soak`.
//! `HOSTCOMPUTE_SOAK=CYCLES,CLIENTS,SEED` repeats one.

mod client;
#[path = "../lab/mod.rs"]
mod lab;
mod ledger;
#[path = "../storm/random.rs"]
mod random;
mod remains;
mod residents;
mod site;
mod striker;

use std::time::Instant;

use hostcompute::Host;

use client::Client;
use ledger::Ledger;
use residents::Residents;
use site::Site;

/// How much is done.
struct Plan {
    cycles: usize,
    clients: usize,
    seed: u64,
}

impl Plan {
    fn read() -> Self {
        let given = std::env::var("HOSTCOMPUTE_SOAK").unwrap_or_default();
        let mut numbers = given.split(',').map(|number| number.trim().parse::<u64>().ok());
        let mut next = |default: u64| numbers.next().flatten().unwrap_or(default);
        let mut count = |default| usize::try_from(next(default)).unwrap_or(usize::MAX);
        Self { cycles: count(1000), clients: count(8), seed: count(1) as u64 }
    }
}

#[test]
#[ignore = "takes a minute, or many"]
fn a_thousand_containers_leave_nothing() {
    let plan = Plan::read();
    let Some(site) = Site::new() else { return };
    let daemon = site.daemon();
    let network = site.make_network();
    let ledger = Ledger::new(plan.cycles);
    let mut residents = Residents::settle(&site, network);
    let began = Instant::now();
    let strikes = std::thread::scope(|threads| {
        for number in 0..plan.clients {
            let (site, ledger) = (&site, &ledger);
            threads.spawn(move || Client::new(site, ledger, network, number, plan.seed).run());
        }
        striker::strike(&site, &ledger, &mut residents, daemon, plan.seed)
    });
    let took = began.elapsed().as_secs_f32();
    println!("{} in {took:.1} s; {strikes}", ledger.summary());
    assert!(ledger.proved() > plan.cycles / 4, "hardly anything was done: no proof");
    clear(&site, residents, strikes.daemon);
}

/// What is left when all clients have taken back what was theirs.
fn clear(site: &Site, residents: Residents, daemon: lab::Daemon) {
    let host = Host::connect(&daemon.socket).expect("the daemon answers");
    residents.leave(&host);
    let all = Default::default();
    assert_eq!(host.systems(&all).expect("listed"), [], "systems are left");
    remains::no_objects(&host);
    assert_eq!(host.check().expect("checked"), [], "documents, journal and kernel differ");
    site.delete_network(&host);
    host.settle().expect("settled");
    assert_eq!(host.check().expect("checked"), [], "after everything was deleted");
    drop(host);
    striker::complained_of_nothing(&daemon);
    daemon.stop();
    site.machine.is_clean();
    remains::nothing(site);
}
