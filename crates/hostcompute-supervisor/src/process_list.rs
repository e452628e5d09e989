//! What the kernel tells of processes (`/proc`).

use std::collections::BTreeSet;
use std::fs;

use hostcompute_supervisor::cgroup::Usage;
use hostcompute_supervisor::message::{Moment, ProcessDetails};
use rustix::param::clock_ticks_per_second;
use rustix::process::Pid;

/// One process, by the host's number; `None` when it is gone.
pub fn look(pid: i32) -> Option<ProcessDetails> {
    let stat = Stat::read(pid)?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches(':').trim())
    };
    let kilobytes = |name: &str| -> u64 {
        let word = field(name).and_then(|text| text.split_whitespace().next());
        word.and_then(|word| word.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    // In each pid namespace from the host's inwards; the last is what the process itself sees.
    let inside = field("NSpid").and_then(|text| text.split_whitespace().last()?.parse().ok());
    Some(ProcessDetails {
        pid: inside.unwrap_or(pid.unsigned_abs()),
        name: stat.name,
        created: created(stat.started),
        user_time: ticks(stat.user),
        kernel_time: ticks(stat.kernel),
        memory_commit: kilobytes("VmData") + kilobytes("VmStk"),
        memory_private: kilobytes("RssAnon"),
        memory_shared: kilobytes("RssFile") + kilobytes("RssShmem"),
    })
}

/// All descendants of a process, itself included. Those whose parent has ended are the first process's of their namespace.
pub fn below(root: Pid) -> BTreeSet<i32> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| Some((pid, Stat::read(pid)?.parent)))
        .collect();
    let mut found = BTreeSet::from([root.as_raw_nonzero().get()]);
    loop {
        let before = found.len();
        let children = parents.iter().filter(|(_, parent)| found.contains(parent));
        let children: Vec<i32> = children.map(|(pid, _)| *pid).collect();
        found.extend(children);
        if found.len() == before {
            return found;
        }
    }
}

/// What those that run have used: where there is no control group, nobody remembers those that have ended.
pub fn usage(root: Pid) -> Usage {
    let mut usage = Usage::default();
    for process in below(root).into_iter().filter_map(look) {
        usage.processor_user += process.user_time;
        usage.processor_kernel += process.kernel_time;
        usage.memory += process.memory_private + process.memory_shared;
        usage.memory_anonymous += process.memory_private;
    }
    usage.processor_total = usage.processor_user + usage.processor_kernel;
    usage.memory_peak = usage.memory;
    usage
}

struct Stat {
    name: String,
    parent: i32,
    user: u64,
    kernel: u64,
    started: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything.
        let (head, fields) = text.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        Some(Self {
            name: name.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            user: number(11)?,
            kernel: number(12)?,
            started: number(19)?,
        })
    }
}

/// In units of 100 nanoseconds.
fn ticks(ticks: u64) -> u64 {
    ticks * 10_000_000 / clock_ticks_per_second().max(1)
}

/// From ticks since the boot.
fn created(started: u64) -> Moment {
    let boot = fs::read_to_string("/proc/stat").ok();
    let boot = boot.as_deref().and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok())
    });
    Moment(boot.unwrap_or(0) * 1_000_000_000 + ticks(started) * 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found() {
        let own = rustix::process::getpid();
        let details = look(own.as_raw_nonzero().get()).expect("this process");
        assert!(details.memory_private > 0);
        let now = Moment::now();
        assert!(details.created < now && details.created > Moment(now.0 / 2));
        assert!(below(own).contains(&own.as_raw_nonzero().get()));
        assert!(look(i32::MAX).is_none());
    }
}
