//! The guest's files: an archive that the kernel unpacks into memory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Kernel;
use crate::process;

/// How the guest says that a test program ended as it should.
pub const WELL: &str = "ended well";

/// What tests call beside busybox, which does not know all that these can.
const TOOLS: [&str; 7] = ["unshare", "nsenter", "ip", "setpriv", "mount", "umount", "bash"];

/// What the kernel starts: everything moves to a file system that can be left behind, as containers do with theirs.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t tmpfs -o size=1500m tmpfs /new
for name in /*; do case $name in /new|/proc|/sys|/dev) ;; *) cp -a $name /new/ ;; esac; done
mkdir -p /new/proc /new/sys /new/dev /new/tmp /new/run /new/var/tmp
exec switch_root /new /begin
";

/// What runs then, before the test programs.
const BEGIN: &str = "#!/bin/sh
export PATH=/usr/bin:/usr/sbin:/bin:/sbin HOME=/root HOSTCOMPUTE_REQUIRE_ROOT=1
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts pts /dev/pts; mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run; chmod 1777 /tmp
ln -s /proc/self/fd /dev/fd; ln -s fd/0 /dev/stdin; ln -s fd/1 /dev/stdout; ln -s fd/2 /dev/stderr
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
insmod /overlay.ko; ip link set lo up; cd /tmp
echo \"Linux $(uname -r), control groups: $(cat /sys/fs/cgroup/cgroup.controllers)\"
";

/// Makes the archive.
///
/// # Errors
/// A program or library is missing, or the disk is full.
pub fn make(
    place: &Path,
    kernel: &Kernel,
    supervisor: &Path,
    tests: &[PathBuf],
) -> Result<PathBuf> {
    let files = place.join("files");
    if files.exists() {
        fs::remove_dir_all(&files)?;
    }
    for name in ["bin", "new", "proc", "sys", "dev", "etc", "root"] {
        fs::create_dir_all(files.join(name))?;
    }
    let busybox = which("busybox").context("busybox is missing")?;
    fs::copy(busybox, files.join("bin/busybox"))?;
    TOOLS
        .iter()
        .filter_map(|tool| which(tool))
        .try_for_each(|tool| with_libraries(&files, &tool))?;
    let mut begin = BEGIN.to_owned();
    for program in std::iter::once(supervisor).chain(tests.iter().map(PathBuf::as_path)) {
        with_libraries(&files, program)?;
        // Nobody looks for causes in there.
        process::run(Command::new("strip").arg(inside(&files, program)))?;
    }
    for test in tests {
        let test = test.display();
        begin += &format!("{test} --test-threads 2 && echo {test} {WELL}\n");
    }
    begin += "echo \"left: $(ls -d /sys/fs/cgroup/hostcompute* 2>/dev/null)\"\npoweroff -f\n";
    fs::write(files.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n")?;
    fs::write(files.join("etc/group"), "root:x:0:\n")?;
    for (name, text) in [("init", INIT), ("begin", &begin)] {
        fs::write(files.join(name), text)?;
        fs::set_permissions(files.join(name), fs::Permissions::from_mode(0o755))?;
    }
    overlay(kernel, &files)?;
    let archive = place.join("archive.gz");
    let line = format!(
        "cd {} && find . | cpio --create --format newc --quiet | gzip -1 > {}",
        files.display(),
        archive.display()
    );
    process::run(Command::new("sh").args(["-c", &line]))?;
    Ok(archive)
}

/// The one module that containers need.
fn overlay(kernel: &Kernel, files: &Path) -> Result<()> {
    let line = format!(
        "m=$(find {} -name 'overlay.ko*' | head -1); case $m in *.xz) xz -dc $m;; *) cat $m;; esac > {}",
        kernel.modules.display(),
        files.join("overlay.ko").display()
    );
    process::run(Command::new("sh").args(["-c", &line]))
}

/// Copies a program and the libraries that it names to their own paths.
fn with_libraries(files: &Path, program: &Path) -> Result<()> {
    copy(files, program)?;
    // A program without libraries is no program for `ldd`.
    let told = process::output(Command::new("ldd").arg(program)).unwrap_or_default();
    let libraries = told.split_whitespace().filter(|word| word.starts_with('/'));
    libraries.map(Path::new).try_for_each(|library| copy(files, library))
}

fn copy(files: &Path, file: &Path) -> Result<()> {
    let target = inside(files, file);
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(file, &target).with_context(|| format!("copying {}", file.display()))?;
    Ok(())
}

fn inside(files: &Path, path: &Path) -> PathBuf {
    files.join(path.strip_prefix("/").unwrap_or(path))
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}
