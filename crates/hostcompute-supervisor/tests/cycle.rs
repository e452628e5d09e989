//! How long a container takes, from nothing to nothing: a measurement, run on demand
//! (`cargo test --release -p hostcompute-supervisor --test cycle -- --ignored --nocapture`).

mod lab;

use std::time::{Duration, Instant};

use hostcompute_supervisor::message::{Answer, Cause, Request, Status};
use lab::{Lab, is_possible, process};

/// Name of each part, and how long it took in each round.
type Parts = Vec<(&'static str, Vec<Duration>)>;

#[test]
#[ignore = "a measurement"]
fn from_nothing_to_nothing() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new();
    let mut parts: Parts =
        ["create", "start", "process", "exit", "end", "all"].map(|name| (name, Vec::new())).into();
    for round in 0..40 {
        let begin = Instant::now();
        let mut times = vec![begin];
        let mut system = lab.create(lab.launch(&format!("one-{round}"))).expect("created");
        times.push(Instant::now());
        system.ask(Request::Start).expect("started");
        times.push(Instant::now());
        let running = system.run(process(&["true"])).expect("a process");
        times.push(Instant::now());
        assert_eq!(system.status(running.pid), Status::Exited(0));
        times.push(Instant::now());
        system.ask(Request::Terminate(Cause::Terminated)).expect("ended");
        system.exit();
        times.push(Instant::now());
        let pairs = times.iter().zip(times.iter().skip(1));
        let spans = pairs.map(|(from, to)| *to - *from).chain([begin.elapsed()]);
        for ((_, spent), span) in parts.iter_mut().zip(spans) {
            spent.push(span);
        }
        system.assert_gone();
    }
    for (name, mut spent) in parts {
        spent.sort();
        println!("{name:<8} least {:>8.3?}  middle {:>8.3?}", spent[0], spent[spent.len() / 2]);
    }
}

#[test]
#[ignore = "a measurement"]
fn what_two_hundred_weigh() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new();
    let begin = Instant::now();
    let mut systems: Vec<_> = (0..200)
        .map(|number| {
            let mut system = lab.start(lab.launch(&format!("one-{number}")));
            system.run(process(&["sleep", "1000"])).expect("a process");
            system
        })
        .collect();
    println!("200 systems in {:?}", begin.elapsed());
    let (mut supervisors, mut firsts) = (Vec::new(), Vec::new());
    for system in &mut systems {
        let Ok((Answer::Inspection(inspection), _)) = system.ask(Request::Inspect) else {
            panic!("an inspection")
        };
        supervisors.push(private(inspection.supervisor));
        firsts.extend(inspection.init.map(private));
    }
    for (name, mut weights) in [("supervisor", supervisors), ("first process", firsts)] {
        weights.sort_unstable();
        println!(
            "{name:<14} private {} KiB in the middle, {} KiB at most",
            weights[100], weights[199]
        );
    }
}

/// Memory of a process that it shares with nobody, in KiB.
fn private(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("readable");
    let lines = text.lines().filter(|line| line.starts_with("Private_"));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}
