//! How long a container takes that does nothing: the whole life of the command, from nothing to nothing, beside OCI runtimes.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::{ListRow, Plan, progress, turns};
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
    symlink("busybox", root.join("bin/true"))?;
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
