//! Closing a socket without waiting for what the kernel does then.
//!
//! Whoever closes a socket of nftables waits for the grace periods of all that was deleted shortly before, 10 ms and more, whichever
//! socket deleted it; for a command that is a large part of its life. A descriptor that is on its way in a socket that nobody can
//! read any more is closed by the kernel's own collector (unix(7), SCM_RIGHTS), and that one waits instead. Kernels before 6.10 collect
//! in the process that closes, so there nothing is won.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};

/// Once this is dropped, the kernel closes what was left to it.
#[derive(Debug)]
pub(super) struct Parting(
    #[expect(dead_code, reason = "held until the descriptor itself is closed")] OwnedFd,
);

/// Leaves the closing to the kernel. The result must be dropped after the descriptor. `None` where that cannot be, and whoever closes
/// waits as ever.
pub(super) fn leave_to_kernel(fd: BorrowedFd<'_>) -> Option<Parting> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    // A socket that waits in itself is nobody's.
    let both = [fd, theirs.as_fd()];
    if !beside.push(SendAncillaryMessage::ScmRights(&both)) {
        return None;
    }
    sendmsg(&ours, &[IoSlice::new(b"-")], &mut beside, SendFlags::NOSIGNAL).ok()?;
    Some(Parting(ours))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_left_to_the_kernel_is_closed() {
        let (mut reader, writer) = std::io::pipe().expect("room");
        let writer = OwnedFd::from(writer);
        let parting = leave_to_kernel(writer.as_fd()).expect("sockets");
        drop(writer);
        drop(parting);
        // The end comes when nobody is left to write.
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("an end");
        assert_eq!(rest, b"");
    }

    #[test]
    fn what_is_open_elsewhere_stays_open() {
        let (mut reader, writer) = std::io::pipe().expect("room");
        let mut elsewhere = File::from(OwnedFd::from(writer.try_clone().expect("room")));
        let writer = OwnedFd::from(writer);
        let parting = leave_to_kernel(writer.as_fd());
        drop(writer);
        drop(parting);
        std::io::Write::write_all(&mut elsewhere, b"x").expect("it is open");
        let mut read = [0];
        reader.read_exact(&mut read).expect("what was written");
    }
}
