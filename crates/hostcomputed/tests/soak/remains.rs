//! What is left, as files and processes of this machine tell it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hostcompute::{Endpoint, Host, Namespace, Network};
use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::site::Site;

/// Longer than the kernel takes for anything.
const LONG: Duration = Duration::from_secs(60);

/// So many systems that have ended are remembered; and a few more for a while, where somebody was killed who was about to forget one.
const KEPT: usize = 64 + 2;

/// The control groups of systems whose names begin so, by their ids: who is in them.
pub fn groups(prefix: &str) -> BTreeMap<String, Vec<i32>> {
    let mut found = BTreeMap::new();
    for place in group_directories(prefix) {
        let name = place.file_name().expect("a name").to_string_lossy();
        let Some(start) = name.find(prefix) else { continue };
        let members: &mut Vec<i32> = found.entry(name[start..].to_owned()).or_default();
        let text = fs::read_to_string(place.join("cgroup.procs")).unwrap_or_default();
        members.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        members.sort_unstable();
        members.dedup();
    }
    found
}

fn group_directories(prefix: &str) -> Vec<PathBuf> {
    let tops = ["/sys/fs/cgroup".to_owned()].into_iter().chain(entries("/sys/fs/cgroup"));
    tops.flat_map(|top| {
        entries(&top).into_iter().filter_map(|path| {
            let name = path.rsplit('/').next().unwrap_or_default();
            let is_ours = name.starts_with("hostcompute.") && name.contains(prefix);
            is_ours.then(|| PathBuf::from(&path))
        })
    })
    .collect()
}

fn entries(directory: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().display().to_string()).collect()
}

/// All clients took back what was theirs.
pub fn no_objects(host: &Host) {
    assert!(Endpoint::list(host).expect("listed").is_empty(), "endpoints are left");
    let namespaces = Namespace::list(host).expect("listed");
    assert_eq!(namespaces.len(), 1, "beside the host's own, namespaces are left");
    assert_eq!(Network::list(host).expect("listed").len(), 1, "networks are left");
}

/// Nothing is left on the machine, once the kernel is done with what it was told.
pub fn nothing(site: &Site) {
    let until = Instant::now() + LONG;
    loop {
        let left = left(site);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "left:\n{}", left.join("\n"));
        std::thread::yield_now();
    }
}

fn left(site: &Site) -> Vec<String> {
    let mut left = Vec::new();
    for prefix in [&site.prefix, &site.residents] {
        left.extend(group_directories(prefix).iter().map(|path| path.display().to_string()));
    }
    left.extend(processes(site));
    left.extend(runtime(&site.runtime()));
    for layer in site.layers() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let opened = rustix::fs::open(&layer, flags, Mode::empty()).expect("a layer");
        if rustix::fs::flock(opened, FlockOperation::NonBlockingLockExclusive).is_err() {
            left.push(format!("{} is held", layer.display()));
        }
    }
    left
}

/// Who has something of the site's mounted or open. The test itself is among them: its own logs are not the service's.
fn processes(site: &Site) -> Vec<String> {
    let runtime = site.runtime().display().to_string();
    let [base, top] = site.layers().map(|path| path.display().to_string());
    let is_ours = |text: &str| [&runtime, &base, &top].iter().any(|path| text.contains(*path));
    let mut found = Vec::new();
    for process in entries("/proc") {
        let Some(pid) = process.strip_prefix("/proc/").filter(|pid| pid.parse::<u32>().is_ok())
        else {
            continue;
        };
        let mounts = fs::read_to_string(format!("{process}/mountinfo")).unwrap_or_default();
        found.extend(
            mounts
                .lines()
                .filter(|line| is_ours(line))
                .map(|line| format!("process {pid} has mounted {line}")),
        );
        let open = entries(format!("{process}/fd")).into_iter().filter_map(|descriptor| {
            let target = fs::read_link(descriptor).ok()?.display().to_string();
            is_ours(&target).then(|| format!("process {pid} has open {target}"))
        });
        found.extend(open.filter(|_| *pid != *std::process::id().to_string()));
    }
    found
}

/// What is in the runtime directory beyond what is kept on purpose.
fn runtime(runtime: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for path in entries(runtime) {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        match name.as_str() {
            "exited" => left.extend(kept(&path)),
            // Places for what is made; they stay, empty.
            "systems" | "making" | "netns" | "pipes" => {
                left.extend(
                    entries(&path).iter().map(|path| format!("{path}: {:?}", entries(path))),
                );
            }
            "kept" | "kept.lock" => {}
            _ => left.push(path),
        }
    }
    left
}

/// What is remembered of systems that have ended: their record, their end and their log, nothing else.
fn kept(exited: &str) -> Vec<String> {
    let all = entries(exited);
    let mut left: Vec<String> = all
        .iter()
        .flat_map(entries)
        .filter(|path| {
            let name = path.rsplit('/').next().unwrap_or_default();
            // Who is killed while it moves a system away leaves the lock.
            !matches!(name, "system.json" | "exit.json" | "log" | "log.1" | "lock")
        })
        .collect();
    if all.len() > KEPT {
        left.push(format!("{} systems are remembered", all.len()));
    }
    left
}

/// What is told of a system that ended.
pub fn told(site: &Site, id: &str) -> Vec<String> {
    let exited = entries(site.runtime().join("exited"));
    let of = exited.into_iter().filter(|path| path.contains(id));
    of.map(|path| fs::read_to_string(format!("{path}/exit.json")).unwrap_or(path)).collect()
}
