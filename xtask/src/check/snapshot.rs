//! What the machine looks like, so that a run can show that it left nothing behind.
//!
//! Links, addresses, routes, rules, nftables, network sysctls, mounts, named namespaces, our own folders, cgroups: equal before
//! and after. Processes: none that was started by this run is still there. Read by foreign tools (`ip`, `nft`) and from
//! `/proc`, never by our own code.
//!
//! Not compared: what the kernel counts or ages by itself, and sysctls that appear because a kernel module was loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{process, root};

/// Marks every process that a run starts; children inherit it.
pub const MARK: &str = "HOSTCOMPUTE_TEST_RUN";

/// One area of the machine, and what is in it.
pub type Snapshot = BTreeMap<&'static str, BTreeSet<String>>;

/// Makes this process carry the mark, by executing itself once more with it.
///
/// # Errors
/// The program could not be executed again.
pub fn mark() -> Result<()> {
    if std::env::var_os(MARK).is_some() {
        return Ok(());
    }
    let program = std::env::current_exe().context("finding our own program")?;
    let error = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(MARK, std::process::id().to_string())
        .exec();
    Err(error).context("executing ourselves with the mark")
}

/// Reads the machine.
///
/// # Errors
/// A tool is missing or fails.
pub fn take() -> Result<Snapshot> {
    let mut areas = Snapshot::new();
    let ip: [(&'static str, &[&str]); 5] = [
        ("links", &["link"]),
        ("addresses", &["address"]),
        ("routes", &["route", "show", "table", "all"]),
        ("IPv6 routes", &["-6", "route", "show", "table", "all"]),
        ("rules", &["rule"]),
    ];
    for (area, arguments) in ip {
        areas.insert(area, rows(Command::new("ip").arg("-j").args(arguments))?);
    }
    if process::is_root() && process::exists("nft") {
        areas.insert("nftables", rows(Command::new("nft").args(["-j", "list", "ruleset"]))?);
    }
    areas.insert("sysctls", sysctls());
    areas.insert("mounts", mounts()?);
    areas.insert("namespaces and folders", folders());
    areas.insert("cgroups", cgroups());
    areas.insert("processes", processes());
    Ok(areas)
}

/// Compares the machine with an earlier look; says how much was compared.
///
/// # Errors
/// Something differs; the error names each difference.
pub fn unchanged_since(before: &Snapshot) -> Result<String> {
    let after = take()?;
    let mut found = Vec::new();
    for (area, had) in before {
        let has = after.get(area).cloned().unwrap_or_default();
        if *area != "processes" {
            found.extend(had.difference(&has).map(|row| format!("{area}: gone or changed: {row}")));
        }
        // A process that was there before may end when it likes; a module may bring sysctls.
        if *area != "sysctls" {
            found.extend(has.difference(had).map(|row| format!("{area}: left behind: {row}")));
        }
    }
    if found.is_empty() {
        let rows: usize = before.values().map(BTreeSet::len).sum();
        return Ok(format!("{rows} facts compared, nothing is left"));
    }
    bail!("the machine is not as before:\n  {}", found.join("\n  "));
}

/// The rows of a tool's JSON list, without what counts or ages by itself.
fn rows(command: &mut Command) -> Result<BTreeSet<String>> {
    let text = process::output(command)?;
    let value: Value =
        if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text)? };
    let list = match value {
        Value::Array(list) => list,
        Value::Object(mut members) => match members.remove("nftables") {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    Ok(list.into_iter().map(|row| still(row).to_string()).filter(|row| row != "{}").collect())
}

/// The value without members that change while nobody touches anything.
fn still(value: Value) -> Value {
    const MOVING: &[&str] = &[
        "valid_life_time",
        "preferred_life_time",
        "expires",
        "used",
        "packets",
        "bytes",
        "metainfo",
    ];
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(name, _)| !MOVING.contains(&name.as_str()))
            .map(|(name, value)| (name, still(value)))
            .collect(),
        Value::Array(list) => list.into_iter().map(still).collect(),
        other => other,
    }
}

fn sysctls() -> BTreeSet<String> {
    // Counters and keys that the kernel changes by itself.
    const MOVING: &[&str] = &["nf_conntrack_count", "tcp_fastopen_key", "stable_secret"];
    let mut found = BTreeSet::new();
    walk(Path::new("/proc/sys/net"), &mut |file| {
        let moving =
            file.file_name().is_some_and(|name| MOVING.iter().any(|moving| name == *moving));
        if let (false, Ok(text)) = (moving, fs::read_to_string(file)) {
            found.insert(format!("{} = {}", file.display(), text.trim()));
        }
    });
    found
}

fn mounts() -> Result<BTreeSet<String>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
    // The first two columns are numbers that a remount of something unrelated may change.
    Ok(text.lines().map(|line| line.splitn(3, ' ').last().unwrap_or(line).to_owned()).collect())
}

fn folders() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["/run/netns", "/run/hostcompute", "/var/lib/hostcompute"] {
        if Path::new(folder).exists() {
            found.insert(folder.to_owned());
        }
        walk(Path::new(folder), &mut |file| {
            found.insert(file.display().to_string());
        });
    }
    // What our tests and sandboxes make bears one of these names.
    let ours = |name: &str| name.starts_with("hostcompute") || name.starts_with("hc-");
    let temporary = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let names = temporary.map(|entry| entry.path().display().to_string());
    found.extend(names.filter(|name| ours(name.rsplit('/').next().unwrap_or(name))));
    found
}

/// Groups below our own, where children of ours would make theirs, and groups with our name. Others come and go.
fn cgroups() -> BTreeSet<String> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own: Vec<&str> = own.lines().filter_map(|line| line.rsplit(':').next()).collect();
    let is_ours = |path: &str| {
        let below = |group: &str| group != "/" && path.contains(&format!("{group}/"));
        path.contains("hostcompute") || own.iter().any(|group| below(group))
    };
    let mut found = BTreeSet::new();
    let mut open = vec![Path::new("/sys/fs/cgroup").to_path_buf()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        open.extend(
            entries.flatten().map(|entry| entry.path()).filter(|path| is_real_folder(path)),
        );
        found.extend(Some(folder.display().to_string()).filter(|path| is_ours(path)));
    }
    found
}

/// Processes that carry this run's mark or run a program that this checkout built, besides ourselves and our parents.
fn processes() -> BTreeSet<String> {
    let mark = std::env::var(MARK).map(|value| format!("{MARK}={value}")).unwrap_or_default();
    let ours = lineage();
    let target = root::target();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if ours.contains(&id) {
            continue;
        }
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let marked = !mark.is_empty()
            && environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
        let program = fs::read_link(entry.path().join("exe")).unwrap_or_default();
        if marked || program.starts_with(&target) {
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            found.insert(format!("{id} {}", line.replace('\0', " ").trim()));
        }
    }
    found
}

/// Ourselves and all processes above us.
fn lineage() -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut id = std::process::id();
    while id != 0 && found.insert(id) {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        id = parent.and_then(|parent| parent.trim().parse().ok()).unwrap_or(0);
    }
    found
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if is_real_folder(&path) {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}

fn is_real_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_moves_by_itself_is_left_out() {
        let rule =
            json!({"rule": {"chain": "c", "expr": [{"counter": {"packets": 7, "bytes": 9}}]}});
        assert_eq!(still(rule), json!({"rule": {"chain": "c", "expr": [{"counter": {}}]}}));
    }

    #[test]
    fn our_own_process_is_not_left_behind() {
        assert!(lineage().contains(&std::process::id()));
    }
}
