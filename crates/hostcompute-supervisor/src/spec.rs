//! The OCI description of a container (`config.json`), for runtimes that are programs.

use std::fs;
use std::path::Path;

use hostcompute_supervisor::launch::{
    DEFAULT_CAPABILITIES, Device, Filter, IdRange, Launch, Mount, Network,
};
use hostcompute_supervisor::message::{ProcessLaunch, Refusal};
use rustix::fs::{FileType, major, minor};
use serde_json::{Value, json};

use crate::agent::open_files;
use crate::agent::user::User;
use crate::inside::{MASKED, READ_ONLY};
use crate::refusal::Context;
use crate::{devices, seccomp};

/// What a description is made from.
#[derive(Debug)]
pub struct Bundle<'b> {
    pub launch: &'b Launch,
    /// Mounted in the supervisor's own mount namespace.
    pub root: &'b Path,
    /// What is mapped, its first process's program included.
    pub mounts: &'b [Mount],
    /// The first process.
    pub first: &'b ProcessLaunch,
    /// The network namespace's file; none for a new one.
    pub network: Option<&'b Path>,
}

/// Writes the description into the bundle's directory.
pub fn write(bundle: &Bundle<'_>, directory: &Path) -> Result<(), Refusal> {
    let launch = bundle.launch;
    let root = User { uid: 0, gid: 0, groups: None, home: "/".into() };
    let mut mounts = standard_mounts();
    mounts.extend(bundle.mounts.iter().map(bind));
    let mut linux = json!({
        "namespaces": namespaces(launch, bundle.network),
        "maskedPaths": MASKED,
        "readonlyPaths": READ_ONLY,
        "rootfsPropagation": "slave",
        "devices": launch.devices.iter().filter_map(device).collect::<Vec<_>>(),
        "resources": { "devices": rules(&launch.devices) },
    });
    if let Some(group) = &launch.cgroup {
        linux["cgroupsPath"] = json!(format!("/{group}"));
    }
    if let Some(users) = &launch.users {
        linux["uidMappings"] = json!(ranges(&users.uids));
        linux["gidMappings"] = json!(ranges(&users.gids));
    }
    if launch.security.filter == Filter::Default {
        linux["seccomp"] = seccomp::for_runtimes();
    }
    let spec = json!({
        "ociVersion": "1.0.2",
        "process": process(bundle.first, launch, &root),
        "root": { "path": bundle.root, "readonly": launch.read_only },
        "hostname": launch.host_name,
        "mounts": mounts,
        "linux": linux,
    });
    fs::write(directory.join("config.json"), spec.to_string()).context(|| "write the bundle")
}

/// The `process` of a description, also for `exec`.
pub fn process(process: &ProcessLaunch, launch: &Launch, user: &User) -> Value {
    let capabilities: Vec<String> = match &launch.security.capabilities {
        _ if process.restricted => Vec::new(),
        Some(names) => names.iter().map(|name| format!("CAP_{name}")).collect(),
        None => DEFAULT_CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect(),
    };
    // As with the builtin runtime: who is not root has what the kernel leaves it, nothing.
    let effective: &[String] = if user.uid == 0 { &capabilities } else { &[] };
    let mut environment: Vec<String> =
        process.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !process.environment.iter().any(|(name, _)| name == "HOME") {
        environment.push(format!("HOME={}", user.home));
    }
    let mut arguments = process.arguments.clone();
    if let (Some(program), Some(first)) = (&process.program, arguments.first_mut()) {
        // A description knows no other name than the program's.
        first.clone_from(program);
    }
    let (soft, hard) = open_files();
    let mut value = json!({
        "terminal": process.terminal.is_some(),
        "user": { "uid": user.uid, "gid": user.gid, "additionalGids": user.groups },
        "args": arguments,
        "env": environment,
        "cwd": if process.directory.is_empty() { "/" } else { &process.directory },
        "capabilities": {
            "bounding": capabilities, "effective": effective, "permitted": effective,
            "inheritable": [], "ambient": [],
        },
        "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": soft, "hard": hard }],
        "noNewPrivileges": launch.security.no_new_privileges || process.restricted,
    });
    if let Some(size) = process.terminal {
        value["consoleSize"] = json!({ "height": size.rows, "width": size.columns });
    }
    value
}

fn namespaces(launch: &Launch, network: Option<&Path>) -> Vec<Value> {
    let mut kinds = vec!["pid", "mount", "ipc", "uts"];
    if launch.cgroup.is_some() {
        kinds.push("cgroup");
    }
    if launch.users.is_some() {
        kinds.push("user");
    }
    let mut found: Vec<Value> = kinds.into_iter().map(|kind| json!({ "type": kind })).collect();
    match (&launch.network, network) {
        (Network::Host, _) => {}
        (_, Some(path)) => found.push(json!({ "type": "network", "path": path })),
        (_, None) => found.push(json!({ "type": "network" })),
    }
    found
}

fn standard_mounts() -> Vec<Value> {
    let quiet = ["nosuid", "noexec", "nodev"];
    let mount = |target: &str, kind: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": kind, "options": options });
    let with = |more: &[&'static str]| [&quiet[..], more].concat();
    vec![
        mount("/proc", "proc", &quiet),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", &with(&["mode=1777", "size=65536k"])),
        mount("/dev/mqueue", "mqueue", &quiet),
        mount("/sys", "sysfs", &with(&["ro"])),
    ]
}

/// What is read-only has been made so at its source: not every runtime can do it to all that is below, and not every one keeps it.
fn bind(mount: &Mount) -> Value {
    let access = if mount.read_only { "ro" } else { "rw" };
    let options = ["rbind", "rslave", access];
    json!({ "destination": mount.target, "type": "bind", "source": mount.source, "options": options })
}

fn ranges(ranges: &[IdRange]) -> Vec<Value> {
    let one = |range: &IdRange| json!({ "containerID": range.inside, "hostID": range.host, "size": range.count });
    ranges.iter().map(one).collect()
}

fn device(device: &Device) -> Option<Value> {
    let node = devices::look(device)?;
    Some(json!({
        "path": device.target, "type": letter(node.kind),
        "major": major(node.number), "minor": minor(node.number),
        "fileMode": node.mode, "uid": node.uid, "gid": node.gid,
    }))
}

/// Nothing but the standard devices, which runtimes add, and these.
fn rules(devices: &[Device]) -> Vec<Value> {
    let allowed = devices.iter().filter_map(|device| {
        let node = devices::look(device)?;
        Some(json!({
            "allow": true, "type": letter(node.kind), "access": device.access,
            "major": major(node.number), "minor": minor(node.number),
        }))
    });
    std::iter::once(json!({ "allow": false, "access": "rwm" })).chain(allowed).collect()
}

fn letter(kind: FileType) -> &'static str {
    if kind == FileType::BlockDevice { "b" } else { "c" }
}
