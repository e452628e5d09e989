//! The builtin runtime, from the inside: the first process of a container makes its root the root, and mounts what belongs below.
//!
//! All paths here are the container's own. What came from outside came as descriptors.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use hostcompute_supervisor::kill::{Who, point};
use hostcompute_supervisor::message::Refusal;
use rustix::fs::{FileType, Mode, OFlags, makedev};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, UnmountFlags,
};
use rustix::thread::UnshareFlags;

use crate::devices::Node;
use crate::mounts::{self, Mapped};
use crate::refusal::Context;
use crate::root;
use crate::sys::{self, MountAttributes};

/// What shows of the host more than a container needs.
pub const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What would change the host.
pub const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Everything that was opened outside.
#[derive(Debug)]
pub struct Inside {
    pub root: OwnedFd,
    pub read_only: bool,
    pub host_name: Option<String>,
    pub raise_loopback: bool,
    /// Whether the one hierarchy of control groups is to be seen.
    pub shows_cgroup: bool,
    pub has_group: bool,
    pub has_users: bool,
    /// The host's, where the container may not mount one of its own: it shows a network that is not the container's user's.
    pub sys: Option<OwnedFd>,
    pub mapped: Vec<Mapped>,
    pub devices: Vec<(PathBuf, Node, Option<OwnedFd>)>,
}

impl Inside {
    /// Makes this process, alone in its namespaces, one of the container's.
    pub fn enter(&self) -> Result<(), Refusal> {
        rustix::process::setsid().context(|| "make a session")?;
        if self.has_users {
            become_root_of_namespace().context(|| "become root inside")?;
        }
        if self.has_group {
            // Only now, from within the group: it is the top of what is seen.
            sys::unshare(UnshareFlags::NEWCGROUP).context(|| "hide the control groups")?;
        }
        if let Some(name) = &self.host_name {
            rustix::system::sethostname(name.as_bytes()).context(|| "set the host name")?;
        }
        if self.raise_loopback {
            sys::raise_loopback().context(|| "bring the loopback interface up")?;
        }
        point(Who::First);
        let old = self.change_root().context(|| "change the root")?;
        if self.read_only {
            self.close_root().context(|| "make the root read-only")?;
        }
        self.mount_standard()?;
        let before = rustix::process::umask(Mode::empty());
        self.make_devices().context(|| "make the devices")?;
        rustix::process::umask(before);
        for mapped in &self.mapped {
            mapped.attach()?;
        }
        point(Who::First);
        cover().context(|| "cover what is the host's")?;
        drop_old_root(&old).context(|| "leave the old root")
    }

    /// Makes the root the root. The old one lies above it, out of sight, until [`drop_old_root`]: in a user namespace, the kernel wants
    /// to see a whole `/proc` before it gives another.
    fn change_root(&self) -> io::Result<OwnedFd> {
        let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", downstream)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let old = rustix::fs::open("/", flags, Mode::empty())?;
        // Above the old root: whose users a container has, they may not go to a directory of the supervisor's.
        root::attach(self.root.as_fd(), Path::new("/"))?;
        rustix::process::fchdir(&self.root)?;
        // No directory has to be there for the old root.
        rustix::process::pivot_root(".", ".")?;
        rustix::process::chdir("/")?;
        Ok(old)
    }

    /// Makes the root read-only, with all that it is made of. What is mounted on it afterwards finds its place.
    fn close_root(&self) -> io::Result<()> {
        for place in ["/proc", "/dev", "/sys"] {
            fs::create_dir_all(place)?;
        }
        // A place that lies in what is mapped elsewhere is made there, later.
        self.mapped.iter().try_for_each(Mapped::make_place)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open("/", flags, Mode::empty())?;
        let set = sys::MOUNT_ATTR_RDONLY;
        sys::set_mount_attributes(&root, MountAttributes { set, ..Default::default() })
    }

    fn mount_standard(&self) -> Result<(), Refusal> {
        let nothing = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
        mount("proc", "/proc", nothing, "")?;
        mount(
            "tmpfs",
            "/dev",
            MountFlags::NOSUID | MountFlags::STRICTATIME,
            "mode=755,size=65536k",
        )?;
        let mut terminals = String::from("newinstance,ptmxmode=0666,mode=0620");
        if has_group_5() {
            terminals.push_str(",gid=5");
        }
        let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
        mount("devpts", "/dev/pts", quiet, &terminals)?;
        mount("tmpfs", "/dev/shm", nothing, "mode=1777,size=65536k")?;
        mount("mqueue", "/dev/mqueue", nothing, "")?;
        match &self.sys {
            None => mount("sysfs", "/sys", nothing | MountFlags::RDONLY, "")?,
            Some(sys) => fs::create_dir_all("/sys")
                .and_then(|()| root::attach(sys.as_fd(), Path::new("/sys")))
                .context(|| "mount /sys")?,
        }
        if self.shows_cgroup {
            mount("cgroup2", "/sys/fs/cgroup", nothing | MountFlags::RDONLY, "")?;
        }
        Ok(())
    }

    fn make_devices(&self) -> io::Result<()> {
        for (target, node, tree) in &self.devices {
            mounts::make_device(target, *node, tree.as_ref().map(AsFd::as_fd))?;
        }
        for (name, target) in [
            ("/dev/fd", "/proc/self/fd"),
            ("/dev/stdin", "/proc/self/fd/0"),
            ("/dev/stdout", "/proc/self/fd/1"),
            ("/dev/stderr", "/proc/self/fd/2"),
            ("/dev/core", "/proc/kcore"),
            ("/dev/ptmx", "pts/ptmx"),
        ] {
            symlink(target, name)?;
        }
        Ok(())
    }
}

fn drop_old_root(old: &OwnedFd) -> io::Result<()> {
    rustix::process::fchdir(old)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// What every container has.
pub fn standard_devices() -> impl Iterator<Item = (PathBuf, Node)> {
    let devices = [
        ("/dev/null", 1, 3),
        ("/dev/zero", 1, 5),
        ("/dev/full", 1, 7),
        ("/dev/random", 1, 8),
        ("/dev/urandom", 1, 9),
        ("/dev/tty", 5, 0),
    ];
    devices.into_iter().map(|(path, major, minor)| {
        let number = makedev(major, minor);
        let kind = FileType::CharacterDevice;
        (PathBuf::from(path), Node { kind, number, mode: 0o666, uid: 0, gid: 0 })
    })
}

/// Its ids are those of nobody until somebody says which of the namespace's it has.
fn become_root_of_namespace() -> Result<(), Errno> {
    let (uid, gid) = (rustix::fs::Uid::ROOT, rustix::fs::Gid::ROOT);
    match rustix::thread::set_thread_groups(&[]) {
        // Who could not map more than itself may not drop groups.
        Ok(()) | Err(Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

/// An ordinary user's own namespace has but one group.
fn has_group_5() -> bool {
    let map = fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
    map.lines().any(|line| {
        let numbers: Vec<u64> =
            line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        matches!(numbers.as_slice(), [first, _, count] if (*first..first + count).contains(&5))
    })
}

fn mount(kind: &str, target: &str, flags: MountFlags, data: &str) -> Result<(), Refusal> {
    let mount = || {
        fs::create_dir_all(target)?;
        let data = std::ffi::CString::new(data).map_err(io::Error::other)?;
        rustix::mount::mount(kind, target, kind, flags, Some(data.as_c_str()))?;
        Ok::<_, io::Error>(())
    };
    mount().context(|| format!("mount {target}"))
}

/// Covers [`MASKED`] with nothing, and makes [`READ_ONLY`] so.
fn cover() -> io::Result<()> {
    let mut nothing = None;
    for path in MASKED.map(Path::new) {
        let Ok(found) = fs::symlink_metadata(path) else { continue };
        let cover = if found.is_dir() {
            let directory = match &nothing {
                Some(directory) => directory,
                None => nothing.insert(empty_directory()?),
            };
            clone_of(directory)?
        } else {
            root::clone(Path::new("/dev/null"))?
        };
        root::attach(cover.as_fd(), path)?;
    }
    for path in READ_ONLY.map(Path::new).into_iter().filter(|path| path.exists()) {
        let tree = root::clone(path)?;
        let set = sys::MOUNT_ATTR_RDONLY;
        sys::set_mount_attributes(&tree, MountAttributes { set, ..Default::default() })?;
        root::attach(tree.as_fd(), path)?;
    }
    Ok(())
}

/// An empty directory that cannot be written to, mounted nowhere.
fn empty_directory() -> io::Result<OwnedFd> {
    let file_system = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(file_system.as_fd(), "size", "0k")?;
    rustix::mount::fsconfig_create(file_system.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    Ok(rustix::mount::fsmount(file_system.as_fd(), flags, attributes)?)
}

/// One more mount of what is mounted nowhere yet. Before Linux 6.15 that cannot be cloned, so it is made anew.
fn clone_of(mount: &OwnedFd) -> io::Result<OwnedFd> {
    use rustix::mount::OpenTreeFlags;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    match rustix::mount::open_tree(mount, "", flags) {
        Ok(clone) => Ok(clone),
        Err(Errno::INVAL) => empty_directory(),
        Err(error) => Err(error.into()),
    }
}
