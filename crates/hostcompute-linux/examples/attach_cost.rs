//! What attaching and detaching an endpoint costs in this crate alone, in microseconds: namespace, port, source check, masquerade,
//! one port mapping; then the same with namespaces from the pool. Runs in a network namespace and a mount namespace of its own;
//! needs root.
//!
//! `cargo run --release -p hostcompute-linux --example attach_cost -- [ROUNDS [PRESENT]]`

use std::time::{Duration, Instant};

use hostcompute_engine::host::Host;
use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::{
    Anchor, Element, Fact, Family, FarEnd, INNER_INDEX, Port, PortRoute, Step, host_end,
};
use hostcompute_linux::{Linux, Options};
use hostcompute_schema::Guid;
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;

/// Operations without a pause between them.
const BATCH: u32 = 10;

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse::<u32>().ok());
    let rounds = arguments.next().unwrap_or(100);
    let present = arguments.next().unwrap_or(0);
    let mut linux = laboratory();
    let network = network();
    perform(&mut linux, network.iter().cloned().map(Step::Add).collect());
    for number in 0..present {
        perform(&mut linux, endpoint(number).into_iter().map(Step::Add).collect());
    }
    let (mut attach, mut detach) = (Vec::new(), Vec::new());
    for _ in 0..rounds.div_ceil(BATCH) {
        for number in present..present + BATCH {
            let plan: Vec<Step> = endpoint(number).into_iter().map(Step::Add).collect();
            attach.push(perform(&mut linux, plan));
        }
        pause();
        for number in present..present + BATCH {
            let plan = endpoint(number).into_iter().rev().map(Step::Remove).collect();
            detach.push(perform(&mut linux, plan));
        }
        pause();
    }
    print("attach", attach);
    print("detach", detach);
    pooled(&mut linux, rounds, present);
    let facts: Vec<Fact> = network.iter().cloned().chain((0..present).flat_map(endpoint)).collect();
    let started = Instant::now();
    let differences = linux.compare(&facts).unwrap_or_else(|fault| panic!("{fault:?}")).len();
    let time = started.elapsed().as_secs_f64() * 1e3;
    println!("everything compared: {time:.1} ms, {differences} differences");
    let started = Instant::now();
    let mut all: Vec<Step> =
        (0..present).flat_map(|n| endpoint(n).into_iter().rev().map(Step::Remove)).collect();
    all.extend(network.into_iter().rev().map(Step::Remove));
    perform(&mut linux, all);
    linux.settle().expect("cleanup");
    println!("everything removed: {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
}

/// The same through the pool, in two plans as a service makes them: the namespace, then the port.
fn pooled(linux: &mut Linux, rounds: u32, present: u32) {
    linux.prepare();
    let (mut create, mut attach, mut detach) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.div_ceil(BATCH) {
        while linux.ready() < BATCH as usize {
            std::thread::yield_now();
        }
        pause();
        let mut made = Vec::new();
        for number in present..present + BATCH {
            let mut facts = endpoint(number);
            let Some(Fact::Netns(netns)) = facts.first().cloned() else { return };
            create.push(perform(linux, vec![Step::Add(Fact::Netns(netns))]));
            let index = linux.prepared(netns).expect("a room was ready");
            for fact in &mut facts {
                match fact {
                    Fact::Port(port) => {
                        (port.index, port.name) = (index, host_end(index));
                        port.inner_index = INNER_INDEX;
                    }
                    Fact::Element(Element::Source { port, .. }) => *port = host_end(index),
                    _ => {}
                }
            }
            attach.push(perform(linux, facts.iter().skip(1).cloned().map(Step::Add).collect()));
            made.push(facts);
        }
        pause();
        for facts in made {
            detach.push(perform(linux, facts.into_iter().rev().map(Step::Remove).collect()));
        }
        pause();
    }
    print("pool: namespace", create);
    print("pool: attach", attach);
    print("pool: detach", detach);
}

/// The kernel cleans up behind us; the next measurement should not pay for the last.
fn pause() {
    std::thread::sleep(Duration::from_millis(200));
}

fn perform(linux: &mut Linux, plan: Vec<Step>) -> Duration {
    let started = Instant::now();
    linux.perform(&plan).unwrap_or_else(|fault| panic!("{fault:?}"));
    started.elapsed()
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| {
        times.get(times.len() * share / 100).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    println!("{what}: p10 {:.0} us, p50 {:.0} us, p99 {:.0} us", at(10), at(50), at(99));
}

#[expect(unsafe_code, reason = "unshare is unsafe for CLONE_FILES, which is not used")]
fn laboratory() -> Linux {
    // SAFETY: descriptors stay shared; the process has one thread.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWNET) }
        .expect("unshare needs root");
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).expect("private mounts");
    rustix::mount::mount("lab", "/mnt", "tmpfs", MountFlags::empty(), None).expect("a tmpfs");
    Linux::open(Options {
        host_netns: None,
        netns_dir: "/mnt/netns".into(),
        resolver_dir: "/mnt/resolv".into(),
        saved: "/mnt/saved.json".into(),
        resolv_conf: "/etc/resolv.conf".into(),
    })
    .expect("this host")
}

fn network() -> Vec<Fact> {
    let subnet = "10.90.0.0/16".parse().expect("a prefix");
    vec![
        Fact::Table,
        Fact::Forwarding(Family::V4),
        Fact::Anchor(Anchor {
            network: Guid::from_bytes([1; 16]),
            name: "hb0".into(),
            index: 1_000_000,
            mac: Mac([2, 0, 0, 0, 0, 9]),
            gateways: vec!["10.90.0.1/16".parse().expect("an address")],
            subnets: vec![subnet],
        }),
        Fact::Element(Element::Intra { from: subnet, to: subnet }),
        Fact::Element(Element::Outbound { subnet }),
    ]
}

fn endpoint(number: u32) -> Vec<Fact> {
    let [.., high, low] = (number + 10).to_be_bytes();
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes[15] = 1;
    let netns = Guid::from_bytes(bytes);
    let gateway = [10, 90, 0, 1].into();
    let address = [10, 90, high, low].into();
    let mac = Mac([2, 0x15, 10, 90, high, low]);
    let name = format!("he{number}");
    vec![
        Fact::Netns(netns),
        Fact::Port(Port {
            endpoint: netns,
            netns,
            name: name.clone(),
            index: 2_000_000 + number,
            alias: String::new(),
            far: FarEnd::Namespace,
            inner_name: "eth0".into(),
            inner_index: 3_000_000 + number,
            mac,
            mtu: None,
            addresses: vec![ipnet::IpNet::new(address, 16).expect("an address")],
            gateways: vec![gateway],
            routes: vec![PortRoute {
                destination: "0.0.0.0/0".parse().expect("a prefix"),
                next_hop: Some(gateway),
                metric: 0,
            }],
            prefer: vec![gateway],
        }),
        Fact::Element(Element::Source { port: name, mac, address }),
        Fact::Element(Element::Loop { address }),
        Fact::Element(Element::PortMapping {
            vip: None,
            protocol: 6,
            port: 10_000 + number as u16,
            to: (address, 80).into(),
        }),
    ]
}
