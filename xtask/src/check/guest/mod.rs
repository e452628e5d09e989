//! Control groups of version 2 alone, whatever this machine has: tests of containers in a small guest, whose kernel is told to know no
//! version 1.
//!
//! The guest is QEMU with a kernel of Debian's and an archive of files that is made here: busybox, the supervisor and the test programs at
//! their own paths, with the libraries that they need. Without hardware to help it takes half a minute.

mod archive;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Counts, Outcome, cargo};
use crate::{packages, process, product, root};

/// Debian's name for the newest kernel for machines that are none, and for the one that every release has.
const KERNELS: [&str; 2] = ["linux-image-6.12-cloud-amd64", "linux-image-cloud-amd64"];

/// Test programs of these packages.
const TESTS: [(&str, &str); 2] =
    [("hostcompute-supervisor", "container"), ("hostcompute-linux", "compute")];

/// How long a guest may take without hardware to help, on a busy machine.
const PATIENCE: &str = "600";

/// Runs the tests in a guest.
///
/// # Errors
/// One fails, or the guest does not come to its end.
pub fn check(counts: &mut Counts) -> Result<Outcome> {
    if !process::is_root() {
        return Ok(Outcome::Skipped(
            "only root installs packages and makes device nodes".to_owned(),
        ));
    }
    packages::provide(packages::GUEST, false)?;
    let place = root::target().join("guest");
    fs::create_dir_all(&place)?;
    let kernel = match kernel(&place) {
        Ok(kernel) => kernel,
        Err(error) => {
            return Ok(Outcome::Skipped(format!("no kernel of Debian's is to be had: {error:#}")));
        }
    };
    let tests = build()?;
    let archive = archive::make(&place, &kernel, &product::supervisor()?, &tests)?;
    let kvm = helps();
    let mut told = run(guest(&kernel.image, &archive, kvm), counts)?;
    if told.panicked && !kvm {
        println!(
            "the interpreted guest's own kernel panicked, which says nothing of us: once more"
        );
        told = run(guest(&kernel.image, &archive, kvm), counts)?;
    }
    if told.ended != tests.len() {
        bail!("of {} test programs in the guest {} ended well", tests.len(), told.ended);
    }
    Ok(Outcome::Passed)
}

/// What a guest told of itself.
#[derive(Default)]
struct Told {
    /// Test programs that ended well.
    ended: usize,
    /// Its kernel gave up.
    panicked: bool,
}

fn run(mut guest: Command, counts: &mut Counts) -> Result<Told> {
    let mut told = Told::default();
    process::watch(&mut guest, |line| {
        let line = line.trim_end();
        counts.heed(line);
        told.ended += usize::from(line.ends_with(archive::WELL));
        told.panicked |= line.contains("Kernel panic - not syncing");
    })?;
    Ok(told)
}

/// A kernel, and where its modules are.
struct Kernel {
    image: PathBuf,
    modules: PathBuf,
}

/// Fetches the package and unpacks it, unless that was done before; it is not installed.
fn kernel(place: &Path) -> Result<Kernel> {
    let unpacked = place.join("kernel");
    if let Some(found) = find(&unpacked) {
        return Ok(found);
    }
    let package = KERNELS.iter().find_map(|name| depends(name)).context("apt knows none")?;
    let download = ["download", "-o", "APT::Sandbox::User=root", &package];
    process::run(Command::new("apt-get").args(download).current_dir(place))?;
    let files = fs::read_dir(place)?.flatten().map(|entry| entry.path());
    let fetched = files
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get left no package")?;
    process::run(Command::new("dpkg-deb").arg("-x").arg(&fetched).arg(&unpacked))?;
    fs::remove_file(fetched)?;
    find(&unpacked).context("the package has no kernel")
}

/// The package that stands behind a name which only points to the newest.
fn depends(name: &str) -> Option<String> {
    let told = process::output(Command::new("apt-cache").args(["depends", name])).ok()?;
    let behind = told.lines().find_map(|line| line.trim().strip_prefix("Depends: "))?;
    Some(behind.to_owned())
}

fn find(unpacked: &Path) -> Option<Kernel> {
    let mut files = fs::read_dir(unpacked.join("boot")).ok()?.flatten().map(|entry| entry.path());
    let image = files.find(|path| path.to_string_lossy().contains("/vmlinuz-"))?;
    Some(Kernel { image, modules: unpacked.to_owned() })
}

/// Builds the test programs; where they are.
fn build() -> Result<Vec<PathBuf>> {
    let mut build = cargo(&["test", "--no-run", "--locked", "--message-format", "json"]);
    for (package, test) in TESTS {
        build.args(["--package", package, "--test", test]);
    }
    let told = process::output(&mut build)?;
    let messages = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built: Vec<PathBuf> = messages
        .filter(|message| {
            let name = message["target"]["name"].as_str().unwrap_or_default();
            let package = message["package_id"].as_str().unwrap_or_default();
            TESTS.iter().any(|(of, test)| *test == name && package.contains(of))
        })
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect();
    if built.len() != TESTS.len() {
        bail!("cargo built {} of {} test programs", built.len(), TESTS.len());
    }
    Ok(built)
}

/// Whether the hardware runs guests.
fn helps() -> bool {
    // The device alone proves nothing: it may be there and not work.
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let helps = ["vmx", "svm"].iter().any(|flag| processors.split_whitespace().any(|w| w == *flag));
    let kvm = helps && Path::new("/dev/kvm").exists();
    if !kvm {
        println!("NO HARDWARE HELPS (/dev/kvm, vmx or svm): the guest is interpreted, and slow");
    }
    kvm
}

fn guest(kernel: &Path, archive: &Path, kvm: bool) -> Command {
    let mut command = Command::new("timeout");
    command.args([PATIENCE, "qemu-system-x86_64", "-M", "q35", "-m", "2G", "-smp", "2"]);
    // Two interpreting threads race while the kernel patches its own code: it then trips over a breakpoint that is gone already.
    command.args(if kvm { ["-accel", "kvm"] } else { ["-accel", "tcg,thread=single"] });
    command.args(["-cpu", "max", "-nographic", "-no-reboot", "-nic", "none"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(archive);
    command.args(["-append", "console=ttyS0 quiet cgroup_no_v1=all panic=-1 swiotlb=noforce"]);
    command
}
