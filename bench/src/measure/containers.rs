//! How long a container takes that does nothing: the whole life of the command, from nothing to nothing, beside OCI runtimes.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::{ListRow, Plan, progress, turns};
use crate::crowd::Crowd;
use crate::remote::Remote;
use crate::statistics::Samples;
use crate::worker::{Setup, Task};

/// Our own row, by which a promise finds it.
pub const OURS: &str = "hc run true, with a NAT endpoint";
/// The runtime that it is compared with.
pub const CRUN: &str = "crun run true, without a network";

const NETWORK: &str = r#"{
    "Name": "bench", "Type": "NAT", "SchemaVersion": { "Major": 2, "Minor": 0 },
    "Ipams": [{ "Type": "Static", "Subnets": [{ "IpAddressPrefix": "10.94.0.0/16" }] }]
}"#;

/// The engine that most people know, with its default network.
pub const PODMAN: &str = "podman run true, with its default network";

/// Runs `true` in a container of the same root by `hc` and by the runtimes that are installed.
///
/// # Errors
/// Busybox is missing, or a command fails.
pub fn containers(
    plan: &Plan,
    hc: &Path,
    count: u32,
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<ListRow>> {
    progress(&format!("containers that do nothing, {count} times"));
    let directory = plan.directory.join("containers");
    let mut remote = Remote::start(&Setup {
        name: "containers".to_owned(),
        task: Task::Run,
        directory: directory.clone(),
    })?;
    let root = root(&directory)?;
    let ours = |verb: &[&str]| {
        let mut words = vec![hc.display().to_string(), "--embedded".to_owned()];
        words.extend(["--state-dir".to_owned(), directory.join("state").display().to_string()]);
        words.extend(["--runtime-dir".to_owned(), "/run/hostcompute".to_owned()]);
        words.extend(verb.iter().map(|word| (*word).to_owned()));
        words
    };
    remote.run(&ours(&["network", "create", "-"]), NETWORK)?;
    let rootfs = root.display().to_string();
    let run = ours(&["run", "--network", "bench", "--rootfs", &rootfs, "--", "/bin/true"]);
    let mut rows = vec![(run, row(OURS))];
    for (name, runtime) in [(CRUN, "crun"), ("runc run true, without a network", "runc")] {
        match bundle(&directory, &root, runtime) {
            Ok(bundle) => {
                // crun refuses a machine that has groups of both versions, unless it does not see it; nobody else does here, either.
                let words = |line: &str| vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()];
                let _ = remote.run(&words("umount /sys/fs/cgroup/unified 2>/dev/null || :"), "");
                let store = directory.join(format!("{runtime}-state"));
                let words = [runtime, "--root", &store.display().to_string(), "run", "--bundle"];
                let mut words: Vec<String> = words.map(str::to_owned).into();
                words.extend([bundle.display().to_string(), format!("bench-{runtime}")]);
                rows.push((words, row(name)));
            }
            Err(error) => notes.push(format!("{runtime} is left out: {error:#}")),
        }
    }
    // Once for nothing: it makes its storage and its network then.
    let words = podman(&directory, &rootfs);
    match remote.run(&words, "") {
        Ok(_) => rows.push((words, row(PODMAN))),
        Err(error) => {
            notes.push(format!("podman is left out (Debian: podman, netavark): {error:#}"))
        }
    }
    for round in 0..=count {
        for turn in turns(round, rows.len()) {
            let (words, row) = &mut rows[turn];
            let wall = remote.run(words, "")?;
            if round > 0 {
                row.wall.append(wall.wall);
            }
        }
    }
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// Many containers at once, by the service.
///
/// # Errors
/// The service refuses.
pub fn crowd(plan: &Plan, service: &Path, containers: u32) -> anyhow::Result<Crowd> {
    progress(&format!("{containers} containers at once"));
    let directory = plan.directory.join("crowd");
    let task = Task::Service(service.to_owned());
    let setup = Setup { name: "crowd".to_owned(), task, directory: directory.clone() };
    let mut remote = Remote::start(&setup)?;
    remote.crowd(&root(&directory)?, containers)
}

/// With storage of its own, and without the manager of groups that this place does not have.
fn podman(directory: &Path, rootfs: &str) -> Vec<String> {
    let place = |name: &str| directory.join(name).display().to_string();
    let (store, run) = (place("podman"), place("podman-run"));
    let words = ["podman", "--root", &store, "--runroot", &run, "--cgroup-manager", "cgroupfs"];
    // It would raise limits, which not everybody may.
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    let command = ["--rootfs", rootfs, "/bin/true"];
    words
        .into_iter()
        .chain(["run", "--rm"])
        .chain(limits)
        .chain(command)
        .map(str::to_owned)
        .collect()
}

fn row(name: &str) -> ListRow {
    ListRow { command: name.to_owned(), wall: Samples::default() }
}

/// A root of one program.
fn root(directory: &Path) -> anyhow::Result<PathBuf> {
    let root = directory.join("root");
    for folder in ["bin", "dev", "proc", "sys", "tmp", "etc"] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    let busybox = crate::command::run("sh", ["-c", "command -v busybox"], "")
        .context("busybox is missing (Debian: busybox-static)")?;
    std::fs::copy(busybox.trim(), root.join("bin/busybox"))?;
    for name in ["true", "sleep"] {
        symlink("busybox", root.join("bin").join(name))?;
    }
    Ok(root)
}

/// What an OCI runtime is told: its own example, with another program.
fn bundle(directory: &Path, root: &Path, runtime: &str) -> anyhow::Result<PathBuf> {
    let bundle = directory.join(format!("{runtime}-bundle"));
    std::fs::create_dir_all(&bundle)?;
    let line = format!("cd {} && {runtime} spec", bundle.display());
    crate::command::run("sh", ["-c", &line], "")?;
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["/bin/true"]);
    config["root"]["path"] = json!(root);
    std::fs::write(&file, config.to_string())?;
    Ok(bundle)
}
