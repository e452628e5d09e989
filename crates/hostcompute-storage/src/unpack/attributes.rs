//! Owners, permissions, extended attributes and times of unpacked entries; what cannot be kept is noted.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::beneath;
use crate::error::{Error, Result};
use crate::overlay::Marks;
use crate::tar::{Entry, Kind, Time, shown};

/// The kernel's marks of union file systems: never taken from a layer, which could point them anywhere.
const OF_OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// What could not be kept, for the caller to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    /// Entries whose owner is another one.
    pub owners: u64,
    /// Extended attributes that the file system, or the rights, do not allow.
    pub attributes: u64,
    /// Device nodes, which only root of the machine makes.
    pub devices: u64,
    /// The first few names.
    pub examples: Vec<String>,
}

/// Names in a list of examples.
const EXAMPLES: usize = 5;

impl Lost {
    pub(crate) fn example(&mut self, name: &[u8], what: &str) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{}: {what}", shown(name)));
        }
    }

    /// One line for people; none when nothing was lost.
    pub fn told(&self) -> Option<String> {
        let counts = [
            (self.owners, "owners"),
            (self.attributes, "extended attributes"),
            (self.devices, "device nodes"),
        ];
        let parts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if parts.is_empty() {
            return None;
        }
        Some(format!("not kept here: {} ({})", parts.join(", "), self.examples.join("; ")))
    }
}

/// Where the attributes of an entry go.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// An entry that cannot be opened: a link, a pipe, a device.
    Named(BorrowedFd<'a>, &'a [u8]),
}

/// Gives an entry its owner, permissions, attributes and time, in the order in which none undoes another.
pub(crate) fn give(subject: Subject<'_>, entry: &Entry, lost: &mut Lost) -> Result<()> {
    let failed = |doing: &str, errno: Errno| {
        Error::caused(format!("cannot set the {doing} of {}", entry.shown()), errno.into())
    };
    own(subject, entry, lost).map_err(|errno| failed("owner", errno))?;
    let mode = Mode::from_raw_mode(entry.mode & 0o7777);
    // Links have no permissions of their own.
    if entry.kind != Kind::SymbolicLink {
        match subject {
            Subject::Open(open) => rustix::fs::fchmod(open, mode),
            Subject::Named(parent, name) => {
                rustix::fs::chmodat(parent, name, mode, AtFlags::empty())
            }
        }
        .map_err(|errno| failed("permissions", errno))?;
    }
    for (name, value) in &entry.attributes {
        if OF_OVERLAY.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        match set(subject, name, value) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ACCESS | Errno::INVAL) => {
                lost.attributes += 1;
                lost.example(&entry.name, &shown(name));
            }
            Err(errno) => return Err(failed("extended attributes", errno)),
        }
    }
    let times = times(entry.modified);
    match subject {
        Subject::Open(open) => rustix::fs::futimens(open, &times),
        Subject::Named(parent, name) => {
            rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
        }
    }
    .map_err(|errno| failed("time", errno))
}

fn own(subject: Subject<'_>, entry: &Entry, lost: &mut Lost) -> rustix::io::Result<()> {
    let (user, group) = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
    let result = match subject {
        Subject::Open(open) => rustix::fs::fchown(open, user, group),
        Subject::Named(parent, name) => {
            rustix::fs::chownat(parent, name, user, group, AtFlags::SYMLINK_NOFOLLOW)
        }
    };
    match result {
        // An ordinary user is what root is inside: nothing is lost.
        Err(Errno::PERM) if (entry.uid, entry.gid) == (0, 0) => Ok(()),
        // In a user namespace only those who are mapped can own something.
        Err(Errno::PERM | Errno::INVAL) => {
            lost.owners += 1;
            lost.example(&entry.name, &format!("{}:{}", entry.uid, entry.gid));
            Ok(())
        }
        other => other,
    }
}

fn set(subject: Subject<'_>, name: &[u8], value: &[u8]) -> rustix::io::Result<()> {
    match subject {
        Subject::Open(open) => rustix::fs::fsetxattr(open, name, value, XattrFlags::empty()),
        Subject::Named(parent, entry) => {
            let path = beneath::by_path(parent, entry);
            rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())
        }
    }
}

/// Hides what lower layers have in a directory.
pub(crate) fn make_opaque(directory: impl AsFd, marks: Marks) -> rustix::io::Result<()> {
    rustix::fs::fsetxattr(directory, opaque(marks), b"y", XattrFlags::empty())
}

/// The mark of an opaque directory.
pub(crate) fn opaque(marks: Marks) -> &'static str {
    match marks {
        Marks::Trusted => "trusted.overlay.opaque",
        Marks::User => "user.overlay.opaque",
    }
}

fn times(modified: Time) -> Timestamps {
    let time = Timespec { tv_sec: modified.seconds, tv_nsec: modified.nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}
