//! Network namespaces: making them, naming them, and standing in them.
//!
//! The only module of this package with `unsafe`: `unshare` needs it.
#![expect(
    unsafe_code,
    reason = "unshare(2) is unsafe in rustix because of CLONE_FILES, which is not used here"
)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace, kept alive by a descriptor and, when named, by a bind mount.
#[derive(Debug)]
pub struct Namespace {
    descriptor: OwnedFd,
    name: Name,
}

/// How a namespace is found by path.
#[derive(Debug)]
enum Name {
    None,
    /// A bind mount: lives on without us.
    Mount(PathBuf),
    /// A symbolic link to our descriptor: as good as we are alive.
    Link(PathBuf),
}

impl Namespace {
    /// The one the calling thread is in.
    pub fn current() -> io::Result<Self> {
        Ok(Self { descriptor: File::open(OWN)?.into(), name: Name::None })
    }

    /// One that has a path already.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { descriptor: File::open(path)?.into(), name: Name::None })
    }

    /// Makes one, runs `inside` in it and comes back to `home`. The calling thread itself goes there and returns.
    pub fn create<T>(
        home: &Self,
        path: Option<&Path>,
        inside: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<(Self, T)> {
        if let Some(path) = path {
            OpenOptions::new().write(true).create_new(true).open(path)?;
        }
        unshare(UnshareFlags::NEWNET)?;
        let made: io::Result<_> = (|| {
            if let Some(path) = path {
                rustix::mount::mount_bind(OWN, path)?;
            }
            Ok((Self::current()?, inside()?))
        })();
        home.enter()?;
        let (mut namespace, value) = made?;
        if let Some(path) = path {
            namespace.name = Name::Mount(path.to_owned());
        }
        Ok((namespace, value))
    }

    /// Moves the calling thread there.
    pub fn enter(&self) -> io::Result<()> {
        rustix::thread::move_into_link_name_space(self.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    }

    /// Gives a nameless namespace a name by way of its descriptor: half the price of a bind mount.
    pub fn link_to(&mut self, path: &Path) -> io::Result<()> {
        let number = self.descriptor.as_raw_fd();
        std::os::unix::fs::symlink(format!("/proc/{}/fd/{number}", std::process::id()), path)?;
        self.name = Name::Link(path.to_owned());
        Ok(())
    }

    /// Takes the name away and lets go; the kernel destroys what nobody else holds.
    pub fn release(self) -> io::Result<()> {
        drop(self.descriptor);
        match self.name {
            Name::None => Ok(()),
            Name::Mount(path) => {
                rustix::mount::unmount(&path, UnmountFlags::DETACH)?;
                std::fs::remove_file(&path)
            }
            Name::Link(path) => std::fs::remove_file(&path),
        }
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Puts the process (still single-threaded) into a network and a mount namespace of its own.
///
/// `/run` is a fresh tmpfs: names of namespaces, locks and caches of the programs under test go there and die with it.
pub fn seclude() -> io::Result<()> {
    unshare(UnshareFlags::NEWNET | UnshareFlags::NEWNS)?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    rustix::mount::mount("hostcompute-bench", "/run", "tmpfs", MountFlags::empty(), None)?;
    std::fs::create_dir("/run/netns")?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the table of file descriptors stays shared (no CLONE_FILES), which is what the call's contract is about.
    unsafe { rustix::thread::unshare_unsafe(flags) }?;
    Ok(())
}
