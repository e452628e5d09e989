//! The root file system: a mount in no other namespace than the container's and the supervisor's own, with which it vanishes.
//!
//! Unions are made by `fsopen`, a layer at a time, so their number is not bounded by the length of one page; kernels before 6.7 get
//! the layers as one text. Everything is mounted without device nodes: those of `/dev` are made apart.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hostcompute_supervisor::directory;
use hostcompute_supervisor::launch::{Root, Scratch};
use hostcompute_supervisor::message::{Refusal, RefusalKind};
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};
use rustix::thread::UnshareFlags;

use crate::refusal::{Context, refuse};
use crate::sys::{self, MountAttributes};

/// Moves into a mount namespace of its own: nothing goes out of it, what is mounted on the host comes in.
pub fn enter_own_namespace() -> Result<(), Refusal> {
    sys::unshare(UnshareFlags::NEWNS).context(|| "make a mount namespace")?;
    let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", downstream).context(|| "keep mounts from the host")
}

/// Whose the files are.
#[derive(Debug, Clone, Copy)]
pub struct Mapping<'n> {
    pub namespace: BorrowedFd<'n>,
    /// Who the container's root is on the host.
    pub root: (u32, u32),
}

/// The root, mounted nowhere yet.
pub fn open(root: &Root, system: &Path, users: Option<Mapping<'_>>) -> Result<OwnedFd, Refusal> {
    match root {
        Root::Layers { layers, scratch } => union(layers, scratch, system, users),
        Root::Host { scratch } => union(&[PathBuf::from("/")], scratch, system, users),
        Root::Directory { path, read_only } => {
            let doing = || format!("use {} as the root", path.display());
            let mount = map_users(path, users.map(|users| users.namespace)).context(doing)?;
            let set = sys::MOUNT_ATTR_NODEV | if *read_only { sys::MOUNT_ATTR_RDONLY } else { 0 };
            sys::set_mount_attributes(&mount, MountAttributes { set, ..Default::default() })
                .context(doing)?;
            Ok(mount)
        }
        Root::Shared => Err(refuse(RefusalKind::Invalid, "a container takes a root")),
    }
}

/// Shows a root to host processes, in the supervisor's own mount namespace.
pub fn show(root: &Root, system: &Path, at: Option<&Path>) -> Result<(), Refusal> {
    let own = system.join(directory::ROOT);
    let place = at.unwrap_or(&own);
    if at.is_none() {
        make(&own, 0o755).context(|| "make the root's directory")?;
    }
    let mount = open(root, system, None)?;
    attach(mount.as_fd(), place).context(|| format!("show the root at {}", place.display()))
}

/// Takes back [`show`].
pub fn hide(system: &Path, at: Option<&Path>) -> io::Result<()> {
    let own = system.join(directory::ROOT);
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    Ok(rustix::mount::unmount(at.unwrap_or(&own), flags)?)
}

/// A copy of what is seen at a path, mounts below it included, that is mounted nowhere.
pub fn clone(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, path, flags).map_err(Into::into)
}

/// Mounts what is mounted nowhere.
pub fn attach(mount: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", CWD, target, flags).map_err(Into::into)
}

/// A copy whose files belong to those users of the namespace that have the numbers of their owners.
fn map_users(path: &Path, users: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    let mount = clone(path)?;
    if let Some(users) = users {
        let set = sys::MOUNT_ATTR_IDMAP;
        let users = Some(users);
        sys::set_mount_attributes(&mount, MountAttributes { set, users, ..Default::default() })?;
    }
    Ok(mount)
}

/// A descriptor as a path.
fn path_of(descriptor: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}

fn union(
    layers: &[PathBuf],
    scratch: &Scratch,
    system: &Path,
    users: Option<Mapping<'_>>,
) -> Result<OwnedFd, Refusal> {
    if layers.is_empty() {
        return Err(refuse(RefusalKind::Invalid, "a root needs a layer"));
    }
    let place = match scratch {
        Scratch::None => None,
        Scratch::Own => Some(system.join(directory::SCRATCH)),
        Scratch::Directory(path) => Some(path.clone()),
    };
    if let Some(place) = &place {
        for directory in [place, &place.join("upper"), &place.join("work")] {
            make(directory, 0o755).context(|| format!("use {} as scratch", directory.display()))?;
        }
    }
    // Held until the union is made, which then has its own hold.
    let mut held = Vec::new();
    let mut layers = layers.to_vec();
    if let Some(users) = users {
        for path in &mut layers {
            let mapped = map_users(path, Some(users.namespace))
                .context(|| format!("map the users of {}", path.display()))?;
            *path = path_of(&mapped);
            held.push(mapped);
        }
    }
    let writable = place.map(|place| (place.join("upper"), place.join("work")));
    if let (Some((upper, _)), Some(users)) = (&writable, users) {
        // The union itself cannot be mapped: what is written is the host's users' whom the container's are.
        let (uid, gid) = users.root;
        std::os::unix::fs::chown(upper, Some(uid), Some(gid))
            .context(|| format!("use {} as scratch", upper.display()))?;
    }
    let writable = writable.as_ref().map(|(upper, work)| (upper.as_path(), work.as_path()));
    let gone_anyway = matches!(scratch, Scratch::Own);
    overlay(&layers, writable, gone_anyway).context(|| "mount the layers")
}

fn overlay(
    layers: &[PathBuf],
    writable: Option<(&Path, &Path)>,
    gone_anyway: bool,
) -> io::Result<OwnedFd> {
    let union = open_union(writable, gone_anyway)?;
    let one_by_one = layers.iter().try_for_each(|layer| {
        rustix::mount::fsconfig_set_string(union.as_fd(), "lowerdir+", layer)
    });
    let union = match one_by_one {
        Ok(()) => union,
        // An older kernel does not know that name.
        Err(rustix::io::Errno::INVAL) => {
            let union = open_union(writable, gone_anyway)?;
            let names: Vec<String> = layers.iter().map(|layer| escape(layer)).collect();
            rustix::mount::fsconfig_set_string(union.as_fd(), "lowerdir", names.join(":"))?;
            union
        }
        Err(error) => return Err(error.into()),
    };
    rustix::mount::fsconfig_create(union.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(rustix::mount::fsmount(union.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

fn open_union(writable: Option<(&Path, &Path)>, gone_anyway: bool) -> io::Result<OwnedFd> {
    let union = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(union.as_fd(), "source", "hostcompute")?;
    if let Some((upper, work)) = writable {
        rustix::mount::fsconfig_set_string(union.as_fd(), "upperdir", upper)?;
        rustix::mount::fsconfig_set_string(union.as_fd(), "workdir", work)?;
        if gone_anyway {
            // Nobody waits at the end until what is thrown away is on the disk.
            rustix::mount::fsconfig_set_flag(union.as_fd(), "volatile")?;
        }
    }
    if in_user_namespace() {
        rustix::mount::fsconfig_set_flag(union.as_fd(), "userxattr")?;
    }
    Ok(union)
}

/// In the one text, `:` parts the layers.
fn escape(layer: &Path) -> String {
    layer.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:")
}

/// Whether root here is an ordinary user of the host.
pub fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

/// Makes a directory unless there is one.
pub fn make(path: &Path, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}
