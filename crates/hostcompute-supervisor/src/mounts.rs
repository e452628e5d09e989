//! Mapped directories and devices: made ready before the start, added and taken away while the system runs.
//!
//! A directory that is mapped read-only is so with everything below it. While the system runs, what is to be added is prepared out here
//! as a mount that is nowhere yet; a child of the supervisor takes it into the container's namespaces, where its path cannot lead out of
//! the root any more, and ends.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use hostcompute_supervisor::launch::{Device, Mount};
use hostcompute_supervisor::message::{Refusal, RefusalKind};
use rustix::fs::FileType;
use rustix::fs::{CWD, Mode};
use rustix::mount::UnmountFlags;
use rustix::process::{Pid, WaitOptions};
use rustix::thread::LinkNameSpaceType;

use crate::devices::{self, Node};
use crate::refusal::{Context, refuse};
use crate::root;
use crate::sys::{self, MountAttributes, Side};

/// A mapped directory or file that is mounted nowhere yet.
#[derive(Debug)]
pub struct Mapped {
    tree: OwnedFd,
    target: PathBuf,
    is_directory: bool,
}

/// Opens what is to be mapped.
pub fn open(mount: &Mount) -> Result<Mapped, Refusal> {
    let open = || {
        let tree = root::clone(&mount.source)?;
        let found = rustix::fs::fstat(&tree)?;
        root::check(mount.identity, &tree)?;
        let set = if mount.read_only { sys::MOUNT_ATTR_RDONLY } else { 0 };
        // What is mounted below on the host later comes in; nothing goes out.
        let propagation = sys::PROPAGATE_IN;
        sys::set_mount_attributes(&tree, MountAttributes { set, propagation, users: None })?;
        let is_directory = FileType::from_raw_mode(found.st_mode).is_dir();
        Ok::<_, io::Error>(Mapped { tree, target: mount.target.clone(), is_directory })
    };
    open().context(|| format!("map {}", mount.source.display()))
}

/// Mounts it out here, for a runtime that takes it from there.
pub fn stage(mount: &Mount, place: &Path) -> Result<Mount, Refusal> {
    let mapped = Mapped { target: place.to_owned(), ..open(mount)? };
    mapped.attach()?;
    Ok(Mount { source: place.to_owned(), identity: None, ..mount.clone() })
}

impl Mapped {
    /// Mounts it, in the container's namespace.
    pub fn attach(&self) -> Result<(), Refusal> {
        self.try_attach().context(|| format!("mount {}", self.target.display()))
    }

    /// Makes what it is mounted on, where it is missing.
    pub fn make_place(&self) -> io::Result<()> {
        make_place(&self.target, self.is_directory)
    }

    fn try_attach(&self) -> io::Result<()> {
        self.make_place()?;
        root::attach(self.tree.as_fd(), &self.target)
    }
}

/// Puts one more into a running container.
pub fn add(init: Pid, mount: &Mount) -> Result<(), Refusal> {
    let mapped = open(mount)?;
    inside(init, || mapped.try_attach()).context(|| format!("map {}", mount.source.display()))
}

/// Takes one away from a running container.
pub fn remove(init: Pid, target: &Path) -> Result<(), Refusal> {
    inside(init, || {
        let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
        rustix::mount::unmount(target, flags).map_err(Into::into)
    })
    .context(|| format!("unmap {}", target.display()))
}

/// Makes device nodes in a running container.
pub fn add_devices(init: Pid, bound: bool, found: &[Device]) -> Result<(), Refusal> {
    let mut nodes: Vec<(PathBuf, Node, Option<OwnedFd>)> = Vec::new();
    for device in found {
        let Some(node) = devices::look(device) else {
            let message = format!("{} is no device", device.source.display());
            return Err(refuse(RefusalKind::NotFound, message));
        };
        // A user namespace lets nobody make device nodes that work: there the host's own is mapped.
        let tree = bound.then(|| root::clone(&device.source)).transpose();
        let tree = tree.context(|| format!("map {}", device.source.display()))?;
        nodes.push((device.target.clone(), node, tree));
    }
    inside(init, || {
        let before = rustix::process::umask(Mode::empty());
        let made = nodes.iter().try_for_each(|(target, node, tree)| {
            make_device(target, *node, tree.as_ref().map(AsFd::as_fd))
        });
        rustix::process::umask(before);
        made
    })
    .context(|| "make device nodes")
}

/// Removes device nodes from a running container.
pub fn remove_devices(init: Pid, targets: &[PathBuf]) -> Result<(), Refusal> {
    inside(init, || {
        for target in targets {
            let _ = rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
            match fs::remove_file(target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    })
    .context(|| "remove device nodes")
}

/// Makes a device node, or maps the host's own where nobody may make one that works.
pub fn make_device(target: &Path, node: Node, host: Option<BorrowedFd<'_>>) -> io::Result<()> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    if let Some(host) = host {
        make_place(target, false)?;
        return root::attach(host, target);
    }
    let mode = Mode::from_raw_mode(node.mode);
    rustix::fs::mknodat(CWD, target, node.kind, mode, node.number)?;
    std::os::unix::fs::chown(target, Some(node.uid), Some(node.gid))
}

/// Something to mount on.
fn make_place(path: &Path, directory: bool) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if directory {
        return fs::create_dir_all(path);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::File::create(path).map(drop)
}

/// Does something in the mount namespace of the container, as its root, and waits until it is done.
fn inside(init: Pid, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let number = init.as_raw_nonzero();
    let users = fs::File::open(format!("/proc/{number}/ns/user"))?;
    let mounts = fs::File::open(format!("/proc/{number}/ns/mnt"))?;
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    match sys::split()? {
        Side::Child => {
            let done = (|| {
                let _ = rustix::thread::move_into_link_name_space(
                    users.as_fd(),
                    Some(LinkNameSpaceType::User),
                );
                rustix::thread::move_into_link_name_space(
                    mounts.as_fd(),
                    Some(LinkNameSpaceType::Mount),
                )?;
                work()
            })();
            let errno = done.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1));
            let _ = rustix::io::write(&writer, &errno.to_le_bytes());
            sys::leave(0)
        }
        Side::Parent(child) => {
            drop(writer);
            let mut errno = [0; 4];
            let read = rustix::io::read(&reader, &mut errno);
            rustix::process::waitpid(Some(child), WaitOptions::empty())?;
            match (read?, i32::from_le_bytes(errno)) {
                (4, 0) => Ok(()),
                (4, errno) if errno > 0 => Err(io::Error::from_raw_os_error(errno)),
                _ => Err(io::Error::other("it could not be done inside")),
            }
        }
    }
}
