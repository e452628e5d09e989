//! Many containers that do nothing at once, each with a NAT endpoint: how fast they start, what each weighs, and what the service does
//! while they idle.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use hostcompute::{Host, Network, System};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// So many start at once.
const THREADS: u32 = 4;

/// How long the service is watched while nothing is asked of it.
const WATCHED: Duration = Duration::from_secs(5);

/// The unit of times in `/proc`, which has been the same on every machine for decades (proc(5), `sysconf(_SC_CLK_TCK)`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What was found out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Crowd {
    pub containers: u32,
    /// Containers per second, each from nothing to a process that runs.
    pub rate: f64,
    /// Memory that is shared with nobody, of a supervisor and of a first process, in KiB: in the middle.
    pub supervisor: u64,
    pub first: u64,
    /// Percent of one processor's time that the service takes while nobody asks.
    pub load: f64,
}

/// Starts them on a network of the service, looks at them, and ends them.
///
/// # Errors
/// The service refuses, or `/proc` is not as it should be.
pub fn gather(host: &Host, service: u32, root: &Path, containers: u32) -> anyhow::Result<Crowd> {
    let network = Network::list(host)?.into_iter().next().context("a network")?.id();
    let document = json!({
        "Owner": "bench", "SchemaVersion": { "Major": 2, "Minor": 1 },
        "Container": {
            "Storage": { "Layers": [{ "Path": root }] },
            "Networking": { "NetworkAdapters": [network.to_string()] },
        },
    })
    .to_string();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let mut numbers = (thread..containers).step_by(THREADS as usize);
                let document = &document;
                scope.spawn(move || numbers.try_for_each(|number| begin(host, number, document)))
            })
            .collect();
        let mut all = threads.into_iter().map(|thread| thread.join());
        all.try_for_each(|joined| joined.unwrap_or_else(|_| anyhow::bail!("a thread panicked")))
    })?;
    let rate = f64::from(containers) / began.elapsed().as_secs_f64();
    let (mut supervisors, mut firsts) = weights()?;
    let before = processor_time(service)?;
    std::thread::sleep(WATCHED);
    let load = (processor_time(service)? - before) / WATCHED.as_secs_f64() * 100.0;
    for number in 0..containers {
        System::open(host, &name(number))?.terminate()?;
    }
    let crowd = Crowd {
        containers,
        rate,
        supervisor: middle(&mut supervisors)?,
        first: middle(&mut firsts)?,
        load,
    };
    Ok(crowd)
}

fn name(number: u32) -> String {
    format!("crowd-{}-{number}", std::process::id())
}

fn begin(host: &Host, number: u32, document: &str) -> anyhow::Result<()> {
    let (system, _) = System::create_json(host, &name(number), document)?;
    system.start()?;
    system.run_json(&json!({ "CommandArgs": ["/bin/sleep", "1000000"] }).to_string())?;
    Ok(())
}

/// Private memory of supervisors and of first processes, in KiB: those of this crowd, told by their control groups.
fn weights() -> anyhow::Result<(Vec<u64>, Vec<u64>)> {
    let ours = format!("crowd-{}-", std::process::id());
    let (mut supervisors, mut firsts) = (Vec::new(), Vec::new());
    for entry in fs::read_dir("/proc")?.flatten() {
        let process = entry.path();
        let word = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let groups = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        if word.trim() != "hc-init" || !groups.contains(&ours) {
            continue;
        }
        firsts.push(private(&process)?);
        let status = fs::read_to_string(process.join("status"))?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        let parent = parent.context("a process has a parent")?.trim();
        supervisors.push(private(&Path::new("/proc").join(parent))?);
    }
    Ok((supervisors, firsts))
}

fn private(process: &Path) -> anyhow::Result<u64> {
    let text = fs::read_to_string(process.join("smaps_rollup"))?;
    let lines = text.lines().filter(|line| line.starts_with("Private_"));
    Ok(lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum())
}

/// In seconds.
fn processor_time(process: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, rest) = text.rsplit_once(')').context("a name in brackets")?;
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

fn middle(values: &mut [u64]) -> anyhow::Result<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied().context("no container was found in /proc")
}
