//! Who is at the other end of a unix socket: user, groups, process, and whether it lives in another user namespace.
//!
//! The kernel notes all of it when the client connects, in terms of our own user namespace: a client cannot lie about it, and what
//! it becomes later does not matter. Users of other user namespaces are told apart because a user there may be anybody here: what is
//! root of a container may show up as the user who started the container, with none of that user's intentions.
#![expect(
    unsafe_code,
    reason = "socket options that rustix does not wrap; each block says why it is sound"
)]

use std::ffi::{c_int, c_ulong, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

unsafe extern "C" {
    fn getsockopt(
        fd: c_int,
        level: c_int,
        name: c_int,
        value: *mut c_void,
        length: *mut u32,
    ) -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, argument: *const c_void) -> c_int;
}

const SOL_SOCKET: c_int = 1;
const SO_PEERGROUPS: c_int = 59;
/// Since Linux 6.5.
const SO_PEERPIDFD: c_int = 77;
/// `_IO(0xff, 9)` of linux/pidfd.h, since Linux 6.11.
const PIDFD_GET_USER_NAMESPACE: c_ulong = 0xff09;

/// The other end of a connected unix socket, as it was when it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// `None` for a process that our process namespace does not show.
    pub pid: Option<u32>,
    pub user_namespace: Whereabouts,
}

/// The user namespace of a peer, compared with one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// The same.
    Ours,
    /// Another one.
    Foreign,
    /// The process had ended before it could be looked at, or cannot be seen from here.
    Unknown,
}

/// What tells a user namespace from any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserNamespace {
    device: u64,
    inode: u64,
}

impl UserNamespace {
    /// The user namespace of this process.
    ///
    /// # Errors
    /// /proc is not there.
    pub fn own() -> io::Result<Self> {
        Self::at("/proc/self/ns/user")
    }

    fn at(path: &str) -> io::Result<Self> {
        let seen = rustix::fs::stat(path)?;
        Ok(Self { device: seen.st_dev, inode: seen.st_ino })
    }

    fn of(descriptor: impl AsFd) -> io::Result<Self> {
        let seen = rustix::fs::fstat(descriptor)?;
        Ok(Self { device: seen.st_dev, inode: seen.st_ino })
    }
}

/// Looks at the other end of `socket`; its user namespace is compared with `ours`.
///
/// # Errors
/// The socket is no connected unix socket.
pub fn peer(socket: impl AsFd, ours: UserNamespace) -> io::Result<Peer> {
    let socket = socket.as_fd();
    let (uid, gid, pid) = credentials(socket)?;
    let theirs = user_namespace(socket, pid);
    let user_namespace = match theirs {
        Some(theirs) if theirs == ours => Whereabouts::Ours,
        Some(_) => Whereabouts::Foreign,
        None => Whereabouts::Unknown,
    };
    Ok(Peer { uid, gid, groups: groups(socket)?, pid, user_namespace })
}

/// User, group and process. Not rustix's, which takes the process for one that always has a number here.
fn credentials(socket: BorrowedFd<'_>) -> io::Result<(u32, u32, Option<u32>)> {
    const SO_PEERCRED: c_int = 17;
    // struct ucred: pid, uid, gid.
    let mut words = [0_u32; 3];
    let length = option(socket, SO_PEERCRED, &mut words)?;
    if length != size_of_val(&words) {
        return Err(io::Error::other("the kernel tells the peer's credentials in another form"));
    }
    let [pid, uid, gid] = words;
    Ok((uid, gid, (pid != 0).then_some(pid)))
}

/// Supplementary groups; the kernel says how many there are when there is not enough room.
fn groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut few = [0_u32; 32];
    match option(socket, SO_PEERGROUPS, &mut few) {
        Ok(length) => Ok(few.iter().take(length / size_of::<u32>()).copied().collect()),
        Err(error) if error.raw_os_error() == Some(Errno::RANGE.raw_os_error()) => {
            // NGROUPS_MAX of linux/limits.h.
            let mut all = vec![0_u32; 65536];
            let length = option(socket, SO_PEERGROUPS, &mut all)?;
            all.truncate(length / size_of::<u32>());
            Ok(all)
        }
        Err(error) => Err(error),
    }
}

/// The peer's user namespace; `None` where it cannot be known any more.
///
/// A process number says little: it may belong to somebody else by now. A pidfd of the connection cannot; where the kernel has none,
/// or cannot lead from it to the namespace, the process that has the number is looked at, and must outlive the look.
fn user_namespace(socket: BorrowedFd<'_>, pid: Option<u32>) -> Option<UserNamespace> {
    let process = match process_of(socket) {
        Ok(process) => process,
        Err(Errno::NOPROTOOPT) => {
            let pid = Pid::from_raw(i32::try_from(pid?).ok()?)?;
            rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?
        }
        Err(_) => return None,
    };
    match namespace_of(&process) {
        Ok(namespace) => UserNamespace::of(namespace).ok(),
        Err(Errno::NOTTY | Errno::INVAL) => {
            let seen = UserNamespace::at(&format!("/proc/{}/ns/user", pid?)).ok()?;
            is_alive(&process).then_some(seen)
        }
        Err(_) => None,
    }
}

/// A pidfd of the process that connected.
fn process_of(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut descriptor = [u32::MAX];
    option(socket, SO_PEERPIDFD, &mut descriptor).map_err(|error| errno(&error))?;
    owned(descriptor[0].cast_signed())
}

fn namespace_of(process: &OwnedFd) -> Result<OwnedFd, Errno> {
    // SAFETY: this request takes no argument; it answers with a new descriptor or fails. The descriptor given is borrowed.
    let result = unsafe { ioctl(process.as_raw_fd(), PIDFD_GET_USER_NAMESPACE, std::ptr::null()) };
    owned(result)
}

/// What a call gave that makes a descriptor.
fn owned(result: c_int) -> Result<OwnedFd, Errno> {
    if result < 0 {
        return Err(errno(&io::Error::last_os_error()));
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

/// A pidfd becomes readable when its process ends.
fn is_alive(process: &OwnedFd) -> bool {
    let mut waited = [rustix::event::PollFd::new(process, rustix::event::PollFlags::IN)];
    matches!(rustix::event::poll(&mut waited, Some(&rustix::time::Timespec::default())), Ok(0))
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Reads a socket option made of 32-bit words; tells its length in bytes.
fn option(socket: BorrowedFd<'_>, name: c_int, words: &mut [u32]) -> io::Result<usize> {
    let mut length = u32::try_from(size_of_val(words)).map_err(io::Error::other)?;
    // SAFETY: pointer and length describe `words`, which outlives the call; the kernel writes no more than `length` bytes, and any
    // bits are valid words. The descriptor is borrowed.
    let result = unsafe {
        getsockopt(socket.as_raw_fd(), SOL_SOCKET, name, words.as_mut_ptr().cast(), &raw mut length)
    };
    if result == 0 { Ok(length as usize) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_other_end_of_a_pair_is_ourselves() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        let peer = peer(&one, UserNamespace::own().expect("/proc")).expect("a peer");
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert_eq!(peer.gid, rustix::process::getegid().as_raw());
        assert_eq!(peer.pid, Some(std::process::id()));
        assert_eq!(peer.user_namespace, Whereabouts::Ours);
        let groups: Vec<u32> = rustix::process::getgroups()
            .expect("groups")
            .into_iter()
            .map(rustix::process::Gid::as_raw)
            .collect();
        assert_eq!(peer.groups, groups);
    }

    #[test]
    fn another_namespace_is_foreign() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        let elsewhere = UserNamespace { device: 0, inode: 1 };
        assert_eq!(peer(&one, elsewhere).expect("a peer").user_namespace, Whereabouts::Foreign);
    }

    #[test]
    fn what_is_no_unix_socket_is_an_error() {
        let file = std::fs::File::open("/dev/null").expect("opened");
        assert!(peer(&file, UserNamespace::own().expect("/proc")).is_err());
    }
}
