//! Network namespaces: making them, naming them by bind mounts, entering them for a moment.
//!
//! A namespace is made by the calling thread itself: it steps into a new one, gives it its name, opens a socket there and
//! steps back. A throw-away thread would do the same at the price of a thread (30-50 us of about 600). The danger of the
//! cheaper way is a thread that stays in the wrong namespace; [`Excursion`] rules it out: it returns on every path, and if
//! the kernel refuses the way back the process ends, since any further step would hit the wrong network.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hostcompute_schema::Guid;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::error::Error;
use crate::netlink::{Protocol, Socket};
use crate::pool::{Pool, Room};
use crate::sys;

/// The calling thread's own network namespace.
const OWN: &str = "/proc/thread-self/ns/net";
/// How many namespaces stay open between plans; each costs two descriptors.
const KEPT: usize = 64;

/// Opens the calling thread's network namespace.
pub(crate) fn own() -> io::Result<OwnedFd> {
    open(Path::new(OWN))
}

/// Opens a namespace by its path.
pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// A stay of the calling thread in another namespace. Dropping it brings the thread home.
#[derive(Debug)]
pub(crate) struct Excursion {
    home: OwnedFd,
}

impl Excursion {
    /// Moves the calling thread into `netns`.
    pub(crate) fn to(netns: BorrowedFd<'_>) -> io::Result<Self> {
        let home = own()?;
        rustix::thread::move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?;
        Ok(Self { home })
    }

    /// Moves the calling thread into a new namespace.
    pub(crate) fn to_new() -> io::Result<Self> {
        let home = own()?;
        sys::unshare(UnshareFlags::NEWNET)?;
        Ok(Self { home })
    }
}

impl Drop for Excursion {
    fn drop(&mut self) {
        let home = self.home.as_fd();
        if rustix::thread::move_into_link_name_space(home, Some(LinkNameSpaceType::Network))
            .is_err()
        {
            // Documented in the head of the file: going on would configure the wrong network.
            std::process::abort();
        }
    }
}

/// Runs `work` inside `netns`, or right here when that is `None`.
pub(crate) fn within<R>(
    netns: Option<BorrowedFd<'_>>,
    work: impl FnOnce() -> io::Result<R>,
) -> io::Result<R> {
    match netns {
        None => work(),
        Some(netns) => {
            let _stay = Excursion::to(netns)?;
            work()
        }
    }
}

/// An open namespace with a socket inside.
#[derive(Debug)]
pub(crate) struct Inside {
    pub fd: OwnedFd,
    pub socket: Socket,
}

/// The named namespaces of one service, and the ones it has open.
#[derive(Debug)]
pub(crate) struct Namespaces {
    directory: PathBuf,
    open: HashMap<Guid, Inside>,
    /// Those that are open, in the order in which they were last spoken of.
    order: std::collections::VecDeque<Guid>,
}

impl Namespaces {
    /// `directory` is made with the first namespace: who only looks leaves nothing behind.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, open: HashMap::new(), order: std::collections::VecDeque::new() }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn path(&self, netns: Guid) -> PathBuf {
        self.directory.join(netns.to_string())
    }

    /// Makes the namespace, of a room of the pool if one is ready, or finds it made.
    pub(crate) fn create(&mut self, netns: Guid, pool: &mut Pool) -> Result<(), Error> {
        let path = self.path(netns);
        let new = || OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path);
        let new = match new() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.directory).and_then(|()| new())
            }
            made => made,
        };
        match new {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if is_namespace(&path) {
                    return Ok(());
                }
                // Left behind between its creation and the mount; the name is ours.
            }
            Err(source) => return Err(Error::file("make the namespace", path, source)),
        }
        let made = match pool.take(netns) {
            Some(room) => move_in(room, &path),
            None => self.make(&path),
        };
        match made {
            Ok(inside) => {
                self.keep(netns, inside);
                Ok(())
            }
            Err(error) => {
                pool.forget(netns);
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    fn make(&self, path: &Path) -> Result<Inside, Error> {
        let _stay = Excursion::to_new()
            .map_err(|source| Error::system("make a network namespace", source))?;
        rustix::mount::mount_bind(OWN, path)
            .map_err(|error| Error::file("mount the namespace at", path, error.into()))?;
        let opened = own().and_then(|fd| Ok(Inside { fd, socket: Socket::open(Protocol::Route)? }));
        opened.map_err(|source| {
            let _ = rustix::mount::unmount(path, UnmountFlags::DETACH);
            Error::system("open the new network namespace", source)
        })
    }

    /// The open namespace; opened now if need be.
    pub(crate) fn inside(&mut self, netns: Guid) -> Result<&mut Inside, Error> {
        if self.open.contains_key(&netns) {
            // Who is spoken of is kept longest.
            self.order.retain(|other| *other != netns);
            self.order.push_back(netns);
        } else {
            let inside = self.enter(netns)?;
            self.keep(netns, inside);
        }
        self.open
            .get_mut(&netns)
            .ok_or_else(|| Error::NamespaceGone { path: self.directory.clone() })
    }

    /// A socket for the packet filter of the namespace.
    pub(crate) fn filter(&mut self, netns: Guid) -> Result<Socket, Error> {
        let inside = self.inside(netns)?;
        within(Some(inside.fd.as_fd()), || Socket::open(Protocol::Netfilter))
            .map_err(|source| Error::file("enter the namespace", self.path(netns), source))
    }

    fn enter(&self, netns: Guid) -> Result<Inside, Error> {
        let path = self.path(netns);
        if !is_namespace(&path) {
            return Err(Error::NamespaceGone { path });
        }
        let opened = open(&path).and_then(|fd| {
            let stay = Excursion::to(fd.as_fd())?;
            let socket = Socket::open(Protocol::Route)?;
            drop(stay);
            Ok(Inside { fd, socket })
        });
        opened.map_err(|source| Error::file("enter the namespace", path, source))
    }

    fn keep(&mut self, netns: Guid, inside: Inside) {
        while self.order.len() >= KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.open.remove(&oldest);
            }
        }
        self.order.push_back(netns);
        self.open.insert(netns, inside);
    }

    /// Lets go of every open namespace, so that what is gone is seen to be gone.
    pub(crate) fn close(&mut self) {
        self.open.clear();
        self.order.clear();
    }

    /// Takes the name away. The kernel ends the namespace when no process is left in it and what is returned is dropped.
    pub(crate) fn remove(&mut self, netns: Guid) -> Result<Option<Inside>, Error> {
        let open = self.open.remove(&netns);
        if open.is_some() {
            self.order.retain(|other| *other != netns);
        }
        remove_name(&self.path(netns)).map(|()| open)
    }

    /// The namespaces that have a name here, and files that look like one.
    pub(crate) fn list(&self) -> Result<Vec<(String, bool)>, Error> {
        let listed = fs::read_dir(&self.directory).and_then(|entries| {
            entries
                .map(|entry| {
                    let name = entry?.file_name().to_string_lossy().into_owned();
                    let is_namespace = is_namespace(&self.directory.join(&name));
                    Ok((name, is_namespace))
                })
                .collect::<io::Result<Vec<_>>>()
        });
        match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(|source| Error::file("list", &self.directory, source)),
        }
    }

    /// Whether the namespace has its name.
    pub(crate) fn exists(&self, netns: Guid) -> bool {
        is_namespace(&self.path(netns))
    }
}

/// Gives a room of the pool its name.
fn move_in(room: Room, path: &Path) -> Result<Inside, Error> {
    let moved = room.handle.as_ref().is_some_and(|handle| {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(handle, "", CWD, path, flags).is_ok()
    });
    if !moved {
        let handle = format!("/proc/self/fd/{}", room.inside.fd.as_raw_fd());
        rustix::mount::mount_bind(handle, path)
            .map_err(|error| Error::file("mount the namespace at", path, error.into()))?;
    }
    Ok(room.inside)
}

/// Unmounts and unlinks a namespace's name.
pub(crate) fn remove_name(path: &Path) -> Result<(), Error> {
    match rustix::mount::unmount(path, UnmountFlags::DETACH) {
        // EINVAL: not a mount point. ENOENT: gone.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
        Err(error) => return Err(Error::file("unmount", path, error.into())),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Whether the file is the handle of a namespace and not an empty file waiting for its mount.
pub(crate) fn is_namespace(path: &Path) -> bool {
    /// The file system of namespace handles (linux/magic.h, NSFS_MAGIC).
    const NSFS: u64 = 0x6e73_6673;
    File::open(path)
        .ok()
        .and_then(|file| rustix::fs::fstatfs(&file).ok())
        .is_some_and(|about| about.f_type as u64 == NSFS)
}
