//! The few system calls that neither the standard library nor `rustix` wraps: socket options of netlink, the cookie of a
//! network namespace, packet sockets, tap devices, `unshare` and `fork`.
//!
//! With [`crate::peer`], [`crate::activation`] and [`crate::program`] the crate's only module with `unsafe` code. Everything here returns plain data or owned descriptors.
#![expect(unsafe_code, reason = "raw system calls; each block says why it is sound")]

use std::ffi::{c_int, c_ulong, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::thread::UnshareFlags;

unsafe extern "C" {
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, length: u32)
    -> c_int;
    fn getsockopt(
        fd: c_int,
        level: c_int,
        name: c_int,
        value: *mut c_void,
        length: *mut u32,
    ) -> c_int;
    #[cfg(target_env = "gnu")]
    fn malloc_trim(pad: usize) -> c_int;
    fn bind(fd: c_int, address: *const c_void, length: u32) -> c_int;
    fn recvfrom(
        fd: c_int,
        buffer: *mut c_void,
        size: usize,
        flags: c_int,
        from: *mut c_void,
        length: *mut u32,
    ) -> isize;
    fn sendto(
        fd: c_int,
        buffer: *const c_void,
        size: usize,
        flags: c_int,
        to: *const c_void,
        length: u32,
    ) -> isize;
    fn ioctl(fd: c_int, request: c_ulong, argument: *const c_void) -> c_int;
    fn fork() -> c_int;
    fn _exit(status: c_int) -> !;
}

const SOL_SOCKET: c_int = 1;
const SO_ATTACH_FILTER: c_int = 26;
const SO_NETNS_COOKIE: c_int = 71;
const SOL_NETLINK: c_int = 270;
const NETLINK_ADD_MEMBERSHIP: c_int = 1;

/// Boolean options of a netlink socket (linux/netlink.h).
#[derive(Debug, Clone, Copy)]
pub(crate) enum NetlinkOption {
    /// Acknowledgements do not repeat the request.
    CapAck = 10,
    /// Refusals carry a text and the place of the mistake.
    ExtAck = 11,
}

/// Switches a netlink option on.
pub(crate) fn enable(socket: impl AsFd, option: NetlinkOption) -> io::Result<()> {
    set(socket, SOL_NETLINK, option as c_int, &(1 as c_int))
}

/// Lets a netlink socket hear what is told to a group.
pub(crate) fn join(socket: impl AsFd, group: u32) -> io::Result<()> {
    set(socket, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group)
}

/// One instruction of a socket filter (struct sock_filter, linux/filter.h).
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Instruction {
    pub code: u16,
    pub if_true: u8,
    pub if_false: u8,
    pub value: u32,
}

/// Lets through to a socket only what a classic filter program accepts.
pub(crate) fn filter(socket: impl AsFd, program: &[Instruction]) -> io::Result<()> {
    /// struct sock_fprog.
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const Instruction,
    }
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // The kernel copies the instructions during the call, while `program` is borrowed.
    set(socket, SOL_SOCKET, SO_ATTACH_FILTER, &Program { length, instructions: program.as_ptr() })
}

fn set<T>(socket: impl AsFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which outlives the call, as does what it points to; the descriptor is
    // borrowed.
    let result = unsafe {
        setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const *value).cast(),
            size_of::<T>() as u32,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The number that identifies the network namespace of a socket until the next boot (Linux 5.14).
pub(crate) fn netns_cookie(socket: impl AsFd) -> io::Result<u64> {
    let mut cookie: u64 = 0;
    let mut length = size_of::<u64>() as u32;
    // SAFETY: the pointers describe `cookie` and its size, both outlive the call; the descriptor is borrowed.
    let result = unsafe {
        getsockopt(
            socket.as_fd().as_raw_fd(),
            SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

/// Gives back to the system what was allocated and freed. The allocator of the GNU library keeps it else, for as long as something
/// that was allocated later lives.
pub(crate) fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it only looks for whole pages among what is free, under the allocator's own locks.
    unsafe {
        malloc_trim(0);
    }
}

/// Moves the calling thread (for user namespaces: the single-threaded process) into new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    assert!(!flags.contains(UnshareFlags::FILES), "the table of descriptors stays shared");
    // SAFETY: only `CLONE_FILES` can invalidate what other threads hold, and it was refused above.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// Which side of a [`split`] the caller is.
#[derive(Debug)]
pub(crate) enum Side {
    Parent,
    Child,
}

/// Splits the process in two.
///
/// # Errors
/// The process has more than one thread: the child would inherit the locks of the others for ever.
pub(crate) fn split() -> io::Result<Side> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("this takes a single thread; there are {threads}")));
    }
    // SAFETY: the process has one thread, so the child is a complete copy in which no absent thread holds a lock.
    match unsafe { fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        _ => Ok(Side::Parent),
    }
}

/// Closes every descriptor but the standard ones and `kept`. For the child side of a [`split`] that goes its own way.
pub(crate) fn close_others(kept: impl AsFd) -> io::Result<()> {
    let kept = kept.as_fd().as_raw_fd();
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<c_int>().ok()));
    }
    for fd in open.into_iter().filter(|fd| *fd > 2 && *fd != kept) {
        // The listing's own descriptor is closed by now.
        if std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok() {
            // SAFETY: the descriptor is open. Its owner, if there is one, is a value on the stack of the other side's life, which
            // this side neither uses nor drops any more: it leaves by `leave` or by a signal.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
    Ok(())
}

/// Ends the process at once, without destructors: what they would clean up belongs to the other side of a [`split`].
pub(crate) fn leave(status: i32) -> ! {
    // SAFETY: `_exit` takes any status and does not return.
    unsafe { _exit(status) }
}

/// struct sockaddr_ll (linux/if_packet.h).
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct LinkAddress {
    family: u16,
    protocol: u16,
    link: c_int,
    header: u16,
    kind: u8,
    length: u8,
    address: [u8; 8],
}

const AF_PACKET: u16 = 17;
const ETH_P_IP: u16 = 0x0800;

/// A socket that gets copies of the IPv4 packets that come in by any link, as far as a program accepts them.
pub(crate) fn packets(program: &[Instruction]) -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Without a protocol it gets nothing until it has its program.
    let socket = rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
    filter(&socket, program)?;
    let address =
        LinkAddress { family: AF_PACKET, protocol: ETH_P_IP.to_be(), ..LinkAddress::default() };
    // SAFETY: the pointer and the length describe `address`, which outlives the call.
    let bound = unsafe {
        bind(socket.as_raw_fd(), (&raw const address).cast(), size_of::<LinkAddress>() as u32)
    };
    if bound == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

/// A packet with its Ethernet header, and the index of the link that it came in by.
pub(crate) fn receive_packet(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
    let mut from = LinkAddress::default();
    let mut length = size_of::<LinkAddress>() as u32;
    // SAFETY: the pointers describe `buffer` and `from` with their sizes, both outlive the call; the kernel writes no more than fits.
    let received = unsafe {
        recvfrom(
            socket.as_fd().as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            0,
            (&raw mut from).cast(),
            &raw mut length,
        )
    };
    match (usize::try_from(received), u32::try_from(from.link)) {
        (Ok(received), Ok(link)) => Ok((received.min(buffer.len()), link)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends a packet with its Ethernet header by a link.
pub(crate) fn send_packet(socket: impl AsFd, link: u32, frame: &[u8]) -> io::Result<()> {
    let to = LinkAddress {
        family: AF_PACKET,
        protocol: ETH_P_IP.to_be(),
        link: c_int::try_from(link).map_err(|_| io::ErrorKind::InvalidInput)?,
        ..LinkAddress::default()
    };
    // SAFETY: the pointers describe `frame` and `to` with their sizes, both outlive the call.
    let sent = unsafe {
        sendto(
            socket.as_fd().as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const to).cast(),
            size_of::<LinkAddress>() as u32,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes a tap device of this name and index in the calling thread's network namespace, down, which stays when nobody has it open.
/// EBUSY where a device of the name is there.
pub(crate) fn make_tap(name: &str, index: u32) -> io::Result<()> {
    /// struct ifreq, as far as it is used; the kernel reads 40 bytes.
    #[repr(C)]
    struct Wanted {
        name: [u8; 16],
        flags: u16,
        rest: [u8; 22],
    }
    const TUNSETIFF: c_ulong = 0x4004_54ca;
    const TUNSETPERSIST: c_ulong = 0x4004_54cb;
    const TUNSETIFINDEX: c_ulong = 0x4004_54da;
    const TAP: u16 = 2;
    const WITHOUT_HEADER: u16 = 0x1000;
    const ONLY_NEW: u16 = 0x8000;
    let flags = TAP | WITHOUT_HEADER | ONLY_NEW;
    let mut wanted = Wanted { name: [0; 16], flags, rest: [0; 22] };
    // The last byte stays zero.
    for (place, byte) in wanted.name.iter_mut().take(15).zip(name.bytes()) {
        *place = byte;
    }
    let device = std::fs::File::options().read(true).write(true).open("/dev/net/tun")?;
    let index = c_int::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?;
    let persistent: *const c_void = std::ptr::without_provenance(1);
    let requests: [(c_ulong, *const c_void); 3] = [
        (TUNSETIFINDEX, (&raw const index).cast()),
        (TUNSETIFF, (&raw mut wanted).cast_const().cast()),
        (TUNSETPERSIST, persistent),
    ];
    for (request, argument) in requests {
        // SAFETY: behind the first two are an int, which the kernel reads, and an ifreq of 40 bytes, which it reads and writes; both
        // outlive the call, and the latter is used by nobody else. The third is taken as a number.
        if unsafe { ioctl(device.as_raw_fd(), request, argument) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
