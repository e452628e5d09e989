//! Who kills: supervisors, first processes, and the daemon, which is started again and must know everything then.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::time::Duration;

use hostcompute::schema::hcs::{State, SystemPropertyQuery};
use hostcompute::{Host, System};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::json;

use crate::client::is_away;
use crate::lab::Daemon;
use crate::ledger::Ledger;
use crate::random::Random;
use crate::remains;
use crate::residents::Residents;
use crate::site::Site;

/// How often it strikes, in milliseconds.
const PAUSE: u64 = 150;

/// Of so many strikes one is the daemon's.
const TO_A_DAEMON: u64 = 6;

/// What it did.
pub struct Strikes {
    pub daemon: Daemon,
    supervisors: usize,
    firsts: usize,
    daemons: usize,
    /// How many systems were found to run when the daemon was back.
    kept: usize,
}

impl fmt::Display for Strikes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { supervisors, firsts, daemons, kept, .. } = self;
        write!(
            f,
            "killed {supervisors} supervisors, {firsts} first processes and the daemon {daemons} times; {kept} times a \
             container was found running afterwards"
        )
    }
}

/// Until the ledger says that it is over.
pub fn strike(
    site: &Site,
    ledger: &Ledger,
    residents: &mut Residents,
    daemon: Daemon,
    seed: u64,
) -> Strikes {
    let mut random = Random::new(seed);
    let mut strikes = Strikes { daemon, supervisors: 0, firsts: 0, daemons: 0, kept: 0 };
    while !ledger.is_over() {
        std::thread::sleep(Duration::from_millis(random.below(PAUSE)));
        match random.below(TO_A_DAEMON) {
            0 => {
                ledger.strike_daemon();
                complained_of_nothing(&strikes.daemon);
                residents.tell();
                strikes.daemon.kill();
                ledger.strike_daemon();
                strikes.daemon = site.daemon();
                strikes.daemons += 1;
                strikes.kept += those_that_ran_run(site, ledger, residents);
            }
            turn => {
                let (supervisors, firsts) = one_system(site, ledger, &mut random, turn % 2 == 0);
                strikes.supervisors += supervisors;
                strikes.firsts += firsts;
            }
        }
    }
    strikes
}

/// Nothing that the daemon wanted to do was impossible, whatever was killed.
pub fn complained_of_nothing(daemon: &Daemon) {
    let log = daemon.log();
    let complaints: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
    assert!(complaints.is_empty(), "the daemon complains: {}", complaints.join("\n"));
}

/// Kills one process of some system; how many supervisors and first processes that were.
fn one_system(
    site: &Site,
    ledger: &Ledger,
    random: &mut Random,
    wants_supervisor: bool,
) -> (usize, usize) {
    let systems: BTreeMap<String, Vec<i32>> = remains::groups(&site.prefix);
    let Some((id, members)) =
        systems.iter().nth(random.below(systems.len().max(1) as u64) as usize)
    else {
        return (0, 0);
    };
    // Who carries it is the parent of who came first, outside of the group.
    let found = members.iter().find_map(|pid| {
        let parent = parent(*pid)?;
        (!members.contains(&parent)).then_some((*pid, parent))
    });
    let Some((first, supervisor)) = found else { return (0, 0) };
    ledger.strike(id);
    if wants_supervisor { (kill(supervisor), 0) } else { (0, kill(first)) }
}

fn parent(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

/// Kills a process that is a supervisor, or its copy; a number that has another owner by now is left alone.
fn kill(pid: i32) -> usize {
    let killed = Pid::from_raw(pid).and_then(|raw| {
        let held = rustix::process::pidfd_open(raw, PidfdFlags::empty()).ok()?;
        let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let is_ours = program.ends_with("hostcompute-supervisor");
        is_ours.then(|| rustix::process::pidfd_send_signal(&held, Signal::KILL).ok()).flatten()
    });
    usize::from(killed.is_some())
}

/// What ran before the daemon was killed is told to run, and runs; how many those were.
fn those_that_ran_run(site: &Site, ledger: &Ledger, residents: &mut Residents) -> usize {
    let host = Host::connect(site.socket()).expect("the daemon answers");
    let mut kept = residents.are_well(&host);
    for id in ledger.running() {
        let looked = System::open(&host, &id).and_then(|system| {
            let told = system.properties(&SystemPropertyQuery::default())?;
            let command = json!({ "CommandArgs": ["true"] }).to_string();
            let (process, _) = system.run_json(&command)?;
            Ok((told.state, process.wait(Some(Duration::from_secs(60)))?.exit_code))
        });
        match looked {
            Ok((Some(State::Running), Some(0))) => kept += 1,
            // Whoever has it may just have begun to end it.
            told => match told {
                Err(failure) if is_away(&failure) => {}
                told if ledger.must_run(&id) => panic!("{id} is lost: {told:?}"),
                _ => {}
            },
        }
    }
    kept
}
