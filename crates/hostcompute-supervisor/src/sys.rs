//! The system calls that neither the standard library nor `rustix` wraps: `fork`, `signalfd`, `close_range`, `clone3`, `mount_setattr`,
//! `seccomp`, and the loopback interface's flags.
//!
//! The crate's only module with `unsafe` code. Everything here returns plain data or owned descriptors.
#![expect(unsafe_code, reason = "raw system calls; each block says why it is sound")]

use std::ffi::{CStr, c_int, c_long, c_uint};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Which side of a [`split`] the caller is.
#[derive(Debug)]
pub enum Side {
    Parent(Pid),
    Child,
}

/// Splits the process in two.
///
/// # Errors
/// There may be no more processes.
pub fn split() -> io::Result<Side> {
    // SAFETY: a supervisor has one thread all its life (nothing here starts one), so the child is a complete copy in which no absent
    // thread holds a lock.
    match unsafe { libc::fork() } {
        0 => Ok(Side::Child),
        pid => match Pid::from_raw(pid).filter(|_| pid > 0) {
            Some(pid) => Ok(Side::Parent(pid)),
            None => Err(io::Error::last_os_error()),
        },
    }
}

/// Splits the process in two, the child being in new namespaces of these kinds, and in a control group of version 2.
///
/// # Errors
/// The kernel has no such namespaces, or the caller may not make them.
pub fn split_into(namespaces: UnshareFlags, group: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    /// `CLONE_INTO_CGROUP`.
    const INTO_GROUP: u64 = 1 << 33;
    // SAFETY: plain numbers, all zero but what is set below: without a stack of its own the child goes on with a copy of ours, as
    // after `fork`. What the C library does besides is for threads and for handlers of `fork`, and a supervisor has neither.
    let pid = unsafe {
        let mut arguments: libc::clone_args = std::mem::zeroed();
        arguments.flags = u64::from(namespaces.bits());
        if let Some(group) = group {
            arguments.flags |= INTO_GROUP;
            arguments.cgroup = u64::from(group.as_raw_fd().unsigned_abs());
        }
        arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
        libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>())
    };
    match i32::try_from(pid) {
        Ok(0) => Ok(Side::Child),
        Ok(pid) if pid > 0 => {
            Pid::from_raw(pid).map(Side::Parent).ok_or(io::ErrorKind::Other.into())
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends the process at once, without destructors: what they would clean up belongs to the other side of a [`split`].
pub fn leave(status: i32) -> ! {
    // SAFETY: `_exit` takes any status and does not return.
    unsafe { libc::_exit(status) }
}

/// Closes every descriptor from `first` on. For the child side of a [`split`] that goes its own way: the owners of the descriptors are
/// values of the other side's life, which this side neither uses nor drops any more.
pub fn close_from(first: RawFd) -> io::Result<()> {
    close_from_to(first, RawFd::MAX)
}

/// The same, up to and with `last`.
pub fn close_from_to(first: RawFd, last: RawFd) -> io::Result<()> {
    let [first, last] = [first, last].map(RawFd::unsigned_abs);
    // SAFETY: it takes plain numbers; see above for the owners of what is closed.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0 as c_uint) })
}

/// Keeps a signal from interrupting, and gives a descriptor that is readable when it comes.
pub fn hear(signal: c_int) -> io::Result<OwnedFd> {
    // SAFETY: the set is plain data that these calls initialise and read; the descriptor that is returned is new and ours.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())?;
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        check(fd.into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Sends a signal to every process that the caller may signal: for the first process of a pid namespace, to all others in it.
pub fn signal_all(signal: c_int) -> io::Result<()> {
    // SAFETY: it takes plain numbers.
    check(unsafe { libc::kill(-1, signal) }.into())
}

/// Sends any signal, real-time ones included, by a process's descriptor.
pub fn signal(pidfd: impl AsFd, signal: c_int) -> io::Result<()> {
    let fd = pidfd.as_fd().as_raw_fd();
    let nothing = std::ptr::null_mut::<libc::siginfo_t>();
    // SAFETY: the descriptor is borrowed for the call, and no information is passed.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, nothing, 0 as c_uint) })
}

/// Attributes of mounts (linux/mount.h).
#[derive(Debug, Clone, Copy, Default)]
pub struct MountAttributes<'u> {
    pub set: u64,
    pub propagation: u64,
    /// The user namespace of [`MOUNT_ATTR_IDMAP`].
    pub users: Option<BorrowedFd<'u>>,
}

pub const MOUNT_ATTR_RDONLY: u64 = 1;
pub const MOUNT_ATTR_NODEV: u64 = 4;

/// Owners are those of a user namespace.
pub const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// `MS_SLAVE`: what is mounted at the source is mounted here.
pub const PROPAGATE_IN: u64 = 1 << 19;

/// Changes a mount and all below it.
pub fn set_mount_attributes(mount: impl AsFd, wanted: MountAttributes<'_>) -> io::Result<()> {
    /// struct mount_attr.
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        users: u64,
    }
    let MountAttributes { set, propagation, users } = wanted;
    let users = users.map_or(0, |users| u64::from(users.as_raw_fd().unsigned_abs()));
    let attributes = Attributes { set, clear: 0, propagation, users };
    let empty: &CStr = c"";
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the path and the attributes outlive the call, which reads as many bytes as it is told there are.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            empty.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    })
}

/// One instruction of a filter (struct sock_filter, linux/filter.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    pub code: u16,
    pub if_true: u8,
    pub if_false: u8,
    pub value: u32,
}

/// Puts a filter before every system call of this process and of those that it makes.
pub fn filter_calls(program: &[Instruction]) -> io::Result<()> {
    /// struct sock_fprog.
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const Instruction,
    }
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = Program { length, instructions: program.as_ptr() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel copies the instructions during the call, while they are borrowed.
    check(unsafe { libc::syscall(libc::SYS_seccomp, mode, 0 as c_uint, &raw const program) })
}

/// Brings the loopback interface of this network namespace up.
pub fn raise_loopback() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: the request is plain data, names an interface by a text with an end, and outlives the call.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (place, byte) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
            *place = libc::c_char::from_ne_bytes([*byte]);
        }
        request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).unwrap_or(1);
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request).into())
    }
}

/// Moves the process into new namespaces.
pub fn unshare(flags: UnshareFlags) -> io::Result<()> {
    assert!(!flags.contains(UnshareFlags::FILES), "the table of descriptors stays shared");
    // SAFETY: only `CLONE_FILES` can invalidate what other threads hold, and it was refused above.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

fn check(result: c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
