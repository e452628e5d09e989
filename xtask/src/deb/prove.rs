//! The package on a booted machine: systemd runs it, as it would run a user's.
//!
//! The machine is this one once more: its root file system below an overlay in memory, started by systemd-nspawn with namespaces of
//! its own. What happens there is `packaging/prove.sh`; nothing of it reaches this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Profile, build};
use crate::check::{Counts, Outcome};
use crate::lab::{self, Folders};
use crate::{packages, process, root};

/// The section of `cargo xtask test`.
///
/// # Errors
/// The package cannot be built, or does not do what it should.
pub fn check(_: &mut Counts) -> Result<Outcome> {
    if !process::is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    packages::provide(packages::LIBRARY, false)?;
    let folder = root::target().join("debian-test");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let version = env!("CARGO_PKG_VERSION");
    let package = build(&folder, Profile::Dev, version)?;
    let newer = build(&folder, Profile::Dev, &format!("{version}+newer"))?;
    let words = ["inside", "machine"].map(str::to_owned).into_iter();
    let packages = [package, newer].map(|package| package.to_string_lossy().into_owned());
    lab::run_inside(&words.chain(packages).collect::<Vec<_>>(), &[])?;
    Ok(Outcome::Passed)
}

/// `xtask inside machine PACKAGE NEWER`: in a mount namespace of our own, boots the machine and waits for it to end.
///
/// # Errors
/// It does not boot, or what was to be shown is not so.
pub fn inside(packages: &[String]) -> Result<()> {
    let [package, newer] = packages else { bail!("two packages") };
    let folders = Folders::new("machine")?;
    let machine = Machine::prepare(&folders)?;
    machine.put("package.deb", &fs::read(package).context("reading the package")?)?;
    machine.put("newer.deb", &fs::read(newer).context("reading the newer package")?)?;
    let script = root::path().join("packaging/prove.sh");
    machine.put("prove.sh", &fs::read(script).context("reading packaging/prove.sh")?)?;
    machine.put("etc/systemd/system/prove.service", SERVICE.as_bytes())?;
    let booted = machine.boot();
    let said = fs::read_to_string(machine.root.join("prove.log")).unwrap_or_default();
    print!("{said}");
    booted?;
    match fs::read_to_string(machine.root.join("prove.status")).as_deref().map(str::trim) {
        Ok("0") => Ok(()),
        Ok(status) => bail!("packaging/prove.sh failed ({status})"),
        Err(_) => bail!("the machine ended before packaging/prove.sh did"),
    }
}

/// Runs the script when the machine is up, and turns it off.
const SERVICE: &str = "\
[Unit]
Requires=basic.target dbus.socket
After=basic.target dbus.socket
[Service]
Type=oneshot
TimeoutStartSec=300
ExecStart=/bin/sh -c '/bin/bash /prove.sh /package.deb /newer.deb >/prove.log 2>&1; echo $? >/prove.status'
ExecStopPost=/bin/systemctl --no-block poweroff
";

/// The root file system of a machine, and the control groups that it may use.
struct Machine {
    memory: PathBuf,
    root: PathBuf,
    groups: Groups,
}

impl Drop for Machine {
    /// So that the folder can be removed; the mounts themselves would go with our mount namespace.
    fn drop(&mut self) {
        for place in [&self.root, &self.memory] {
            let _ = process::output(Command::new("umount").arg(place));
        }
    }
}

impl Machine {
    fn prepare(folders: &Folders) -> Result<Machine> {
        // What systemd-nspawn writes below /run is its own business, and gone with our mount namespace.
        mount(&["-t", "tmpfs", "tmpfs", "/run"])?;
        let memory = folders.join("memory");
        fs::create_dir_all(&memory).context("making a mount point")?;
        mount(&["-t", "tmpfs", "tmpfs", path(&memory)?])?;
        let [upper, work, root] = ["upper", "work", "root"].map(|name| memory.join(name));
        for folder in [&upper, &work, &root] {
            fs::create_dir(folder).context("making a folder of the overlay")?;
        }
        let layers = format!("lowerdir=/,upperdir={},workdir={}", path(&upper)?, path(&work)?);
        mount(&["-t", "overlay", "overlay", "-o", &layers, path(&root)?])?;
        Ok(Machine { memory, root, groups: Groups::make()? })
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<()> {
        let file = self.root.join(name);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(&file, content).with_context(|| format!("writing {}", file.display()))
    }

    /// Boots and waits until the machine is off.
    fn boot(&self) -> Result<()> {
        let mut shell = Command::new("timeout");
        shell.args([
            "--kill-after=20",
            "400",
            "sh",
            "-c",
            &self.groups.enter("systemd-nspawn \"$@\""),
            "sh",
        ]);
        shell.arg("--directory").arg(&self.root).args([
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--link-journal=no",
            "--boot",
            "--console=pipe",
            "systemd.unit=prove.service",
        ]);
        process::output(&mut shell).map(drop)
    }
}

/// Control groups for the machine: one in each hierarchy that systemd keeps its services in.
struct Groups {
    folders: Vec<PathBuf>,
}

impl Groups {
    fn make() -> Result<Groups> {
        let top = Path::new("/sys/fs/cgroup");
        let hierarchies = if top.join("cgroup.procs").exists() {
            vec![top.to_owned()]
        } else {
            ["systemd", "unified"].map(|name| top.join(name)).to_vec()
        };
        let mut groups = Groups { folders: Vec::new() };
        for hierarchy in
            hierarchies.into_iter().filter(|folder| folder.join("cgroup.procs").exists())
        {
            let folder = hierarchy.join(format!("hostcompute-machine-{}", std::process::id()));
            fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
            groups.folders.push(folder);
        }
        Ok(groups)
    }

    /// A shell script that enters the groups and becomes `command`.
    fn enter(&self, command: &str) -> String {
        let lines = self
            .folders
            .iter()
            .map(|folder| format!("echo $$ >{}/cgroup.procs; ", folder.display()));
        lines.chain([format!("exec {command}")]).collect()
    }
}

impl Drop for Groups {
    /// The machine leaves the groups of its services behind, empty.
    fn drop(&mut self) {
        for folder in &self.folders {
            remove_group(folder);
        }
    }
}

/// What is not empty stays; the comparison of the machine before and after then tells.
fn remove_group(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

fn mount(arguments: &[&str]) -> Result<()> {
    process::output(Command::new("mount").args(arguments)).map(drop)
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}
