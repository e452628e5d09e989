//! A blocking netlink socket. It belongs to the network namespace in which it was opened, whichever thread uses it.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

use super::attribute::{Attributes, Body, array_of};
use super::message::{Datagram, Lenient, Message, messages};
use super::parting::{self, Parting};
use super::{flag, message};
use crate::error::{Error, NO_STEP, Refusal};
use crate::sys::{self, NetlinkOption};

/// Types that every protocol shares (linux/netlink.h).
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Attributes of an acknowledgement.
const NLMSGERR_ATTR_MSG: u16 = 1;

/// Buffers of a privileged socket: enough for the refusals of a full datagram. Without privilege the system's limit applies.
const BUFFER: usize = 2 << 20;
/// The kernel fills at most 32 KiB per datagram of a dump unless a single message is longer.
const RECEIVE: usize = 64 << 10;
/// How often a dump starts anew when the tables changed under it.
const DUMP_ATTEMPTS: usize = 20;

/// Numbers of our sockets begin with these bits. The kernel's own choice is the process id, or a number from the top.
pub(crate) const OURS: u32 = 0x6863_0000;
pub(crate) const OURS_MASK: u32 = 0xffff_0000;
const NUMBER_ATTEMPTS: usize = 64;

/// The protocols we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Links, addresses, routes, neighbours, queueing.
    Route,
    /// nftables and connection tracking.
    Netfilter,
}

/// An open socket, its sequence counter and its receive buffer.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    protocol: Protocol,
    sequence: u32,
    received: Vec<u8>,
    /// What fits into one `sendmsg`.
    room: usize,
    /// Only when it is dropped; it goes last.
    parting: Option<Parting>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.protocol == Protocol::Netfilter {
            self.parting = parting::leave_to_kernel(self.fd.as_fd());
        }
    }
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    pub(crate) fn open(protocol: Protocol) -> io::Result<Self> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            match protocol {
                // NETLINK_ROUTE is protocol 0.
                Protocol::Route => None,
                Protocol::Netfilter => Some(netlink::NETFILTER),
            },
        )?;
        sys::enable(&fd, NetlinkOption::CapAck)?;
        sys::enable(&fd, NetlinkOption::ExtAck)?;
        let room = sockopt::socket_send_buffer_size(&fd)?;
        Ok(Self { fd, protocol, sequence: 1, received: Vec::new(), room, parting: None })
    }

    /// Gives the socket a number by which [`crate::watch`] tells what we do ourselves from what others do. Without a free one it
    /// keeps any, and what it does looks foreign.
    pub(crate) fn sign(&self) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        for _ in 0..NUMBER_ATTEMPTS {
            let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id());
            let address = netlink::SocketAddrNetlink::new(OURS | number & !OURS_MASK, 0);
            if rustix::net::bind(&self.fd, &address) != Err(Errno::ADDRINUSE) {
                return;
            }
        }
    }

    /// Waits for what is told to the groups that the socket has joined; shows each message.
    ///
    /// # Errors
    /// ENOBUFS: more was told than there was room for. EAGAIN: nothing is there.
    pub(crate) fn overhear(&mut self, mut show: impl FnMut(&Message<'_>)) -> Result<(), Errno> {
        let length = self.receive(RecvFlags::DONTWAIT)?;
        messages(self.received.get(..length).unwrap_or(&[])).for_each(|message| show(&message));
        Ok(())
    }

    /// Makes room for large requests and for many answers; as far as the system lets us.
    pub(crate) fn widen(&mut self) -> io::Result<()> {
        if sockopt::set_socket_recv_buffer_size_force(&self.fd, BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&self.fd, BUFFER)?;
        }
        Ok(())
    }

    /// Makes `wanted` bytes fit into one datagram if the system allows it; returns what does fit.
    pub(crate) fn room(&mut self, wanted: usize) -> usize {
        // netlink keeps 32 bytes of the buffer for itself, and the kernel doubles what it is asked for.
        let usable = |buffer: usize| buffer.saturating_sub(64);
        if usable(self.room) < wanted {
            let size = wanted.saturating_add(128);
            // SOL_SOCKET options beyond the administrator's limit need privilege in the first user namespace.
            if sockopt::set_socket_send_buffer_size_force(&self.fd, size).is_err() {
                let _ = sockopt::set_socket_send_buffer_size(&self.fd, size);
            }
            self.room = sockopt::socket_send_buffer_size(&self.fd).unwrap_or(self.room);
        }
        usable(self.room)
    }

    /// Sends the datagram and reads its answers up to the acknowledgement of the last message.
    ///
    /// # Errors
    /// Every refusal that its message's [`Lenient`] does not forgive, the first one foremost.
    pub(crate) fn exchange(&mut self, datagram: &mut Datagram) -> Result<(), Error> {
        let refusals = self.refusals(datagram)?;
        let mut serious = refusals.into_iter().filter(|refusal| !forgiven(refusal));
        match serious.next() {
            None => Ok(()),
            Some(first) => Err(Error::Refused(first)),
        }
    }

    /// Sends the datagram; returns the refusals in the order of the messages.
    pub(crate) fn refusals(&mut self, datagram: &mut Datagram) -> Result<Vec<Refusal>, Error> {
        let Some(last) = datagram.count().checked_sub(1) else { return Ok(Vec::new()) };
        self.talk(datagram, last)
    }

    /// Sends the datagram and reads answers until the message `asked` is acknowledged or message 0 is refused: a batch of
    /// nftables is acknowledged at its last change, or refused at its beginning.
    pub(crate) fn talk(
        &mut self,
        datagram: &mut Datagram,
        asked: usize,
    ) -> Result<Vec<Refusal>, Error> {
        let first = self.sequence;
        self.sequence = self.sequence.wrapping_add(datagram.count() as u32);
        self.send(datagram.seal(first, asked))?;
        let mut refusals = Vec::new();
        loop {
            let length = self.await_answer(RecvFlags::DONTWAIT).map_err(|error| match error {
                // The kernel answers before `send` returns: nothing queued means nothing will come.
                Errno::AGAIN => Error::Silent,
                other => Error::Netlink(other.into()),
            })?;
            for message in messages(self.received.get(..length).unwrap_or(&[])) {
                let place = message.sequence.wrapping_sub(first) as usize;
                let (NLMSG_ERROR, Some(note)) = (message.kind, datagram.note(place)) else {
                    continue;
                };
                if let Some(refusal) = refusal(&message, place, note) {
                    refusals.push(refusal);
                    if place == 0 && datagram.is_batch() {
                        return Ok(refusals);
                    }
                }
                if place == asked {
                    return Ok(refusals);
                }
            }
        }
    }

    /// Reads a whole table. The messages come back to back; iterate with [`messages`].
    ///
    /// # Errors
    /// The kernel's refusal, or the table kept changing.
    pub(crate) fn dump(
        &mut self,
        kind: u16,
        aim: &'static str,
        body: impl Fn(&mut Body<'_>),
    ) -> Result<Vec<u8>, Error> {
        let mut lost = None;
        for _ in 0..DUMP_ATTEMPTS {
            match self.dump_once(kind, aim, &body) {
                Ok(Some(table)) => return Ok(table),
                Ok(None) => {}
                // The kernel ran out of memory for an answer; what it had said is thrown away.
                Err(error) if error.errno() == Some(Errno::NOBUFS) => lost = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(lost.unwrap_or(Error::Unsteady { aim }))
    }

    fn dump_once(
        &mut self,
        kind: u16,
        aim: &'static str,
        body: &impl Fn(&mut Body<'_>),
    ) -> Result<Option<Vec<u8>>, Error> {
        let note = message::Note { step: NO_STEP, aim, lenient: Lenient::Not };
        let mut request = Datagram::default();
        request.push(kind, flag::DUMP, note, |b| body(b));
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        self.send(request.seal(sequence, usize::MAX))?;
        let (mut table, mut steady) = (Vec::new(), true);
        loop {
            let length = self
                .await_answer(RecvFlags::empty())
                .map_err(|error| Error::Netlink(error.into()))?;
            let received = self.received.get(..length).unwrap_or(&[]);
            let mut done = false;
            for message in messages(received).filter(|message| message.sequence == sequence) {
                steady &= message.flags & flag::DUMP_INTERRUPTED == 0;
                if message.kind == NLMSG_ERROR || message.kind == NLMSG_DONE {
                    if let Some(refusal) = refusal(&message, 0, note) {
                        if refusal.errno == Errno::INTR || refusal.errno == Errno::BUSY {
                            return Ok(None);
                        }
                        return Err(Error::Refused(refusal));
                    }
                    done = true;
                }
            }
            if !done {
                table.extend_from_slice(received);
                continue;
            }
            // The last datagram may hold messages before the end mark.
            table.extend_from_slice(received);
            return Ok(steady.then_some(table));
        }
    }

    /// Shows the messages of a table one by one, for tables too long to be kept. Where `show` breaks off, the rest stays in the
    /// socket, which is of no use for another table then.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(crate) fn stream(
        &mut self,
        kind: u16,
        aim: &'static str,
        body: impl FnOnce(&mut Body<'_>),
        mut show: impl FnMut(&Message<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (sequence, note) = self.put(kind, flag::DUMP, aim, body)?;
        loop {
            let received = self.next_answer()?;
            for message in messages(received).filter(|message| message.sequence == sequence) {
                if let Some(refusal) = refusal(&message, 0, note) {
                    return Err(Error::Refused(refusal));
                }
                if matches!(message.kind, NLMSG_ERROR | NLMSG_DONE) || show(&message).is_break() {
                    return Ok(());
                }
            }
        }
    }

    /// Sends a question; its number, and what to say of a refusal.
    fn put(
        &mut self,
        kind: u16,
        flags: u16,
        aim: &'static str,
        body: impl FnOnce(&mut Body<'_>),
    ) -> Result<(u32, message::Note), Error> {
        let note = message::Note { step: NO_STEP, aim, lenient: Lenient::Not };
        let mut request = Datagram::default();
        request.push(kind, flags, note, body);
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        self.send(request.seal(sequence, usize::MAX))?;
        Ok((sequence, note))
    }

    /// The messages of the next datagram, waiting for it.
    fn next_answer(&mut self) -> Result<&[u8], Error> {
        let length =
            self.await_answer(RecvFlags::empty()).map_err(|error| Error::Netlink(error.into()))?;
        Ok(self.received.get(..length).unwrap_or(&[]))
    }

    /// Asks one question that has one answer, such as "this link".
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(crate) fn ask(
        &mut self,
        kind: u16,
        aim: &'static str,
        body: impl FnOnce(&mut Body<'_>),
    ) -> Result<Vec<u8>, Error> {
        let (sequence, note) = self.put(kind, 0, aim, body)?;
        loop {
            let received = self.next_answer()?;
            // Anything else is the late answer to an earlier request.
            let Some(message) = messages(received).find(|message| message.sequence == sequence)
            else {
                continue;
            };
            return match refusal(&message, 0, note) {
                Some(refusal) => Err(Error::Refused(refusal)),
                None => Ok(received.to_vec()),
            };
        }
    }

    /// Makes room for the refusals of this many messages, as far as the system lets us.
    pub(crate) fn expect_refusals(&self, messages: usize) {
        const REFUSAL: usize = 1280;
        let _ =
            sockopt::set_socket_recv_buffer_size_force(&self.fd, (messages * REFUSAL).max(BUFFER));
    }

    /// Receives an answer. When some were lost, for want of room, those that were not are of no use: the next request begins
    /// with an empty socket.
    fn await_answer(&mut self, flags: RecvFlags) -> Result<usize, Errno> {
        let received = self.receive(flags);
        if received == Err(Errno::NOBUFS) {
            self.drain();
        }
        received
    }

    /// Throws away what is queued, after some answers were lost.
    fn drain(&mut self) {
        let mut losses = 0;
        while losses < DUMP_ATTEMPTS {
            match self.receive(RecvFlags::DONTWAIT) {
                Ok(_) => {}
                Err(Errno::NOBUFS) => losses += 1,
                Err(_) => return,
            }
        }
    }

    /// Leaves room for one answer or two.
    #[cfg(test)]
    pub(crate) fn narrow(&self) {
        sockopt::set_socket_recv_buffer_size(&self.fd, 1).expect("any buffer may be smaller");
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        loop {
            match rustix::net::send(&self.fd, bytes, SendFlags::empty()) {
                Ok(sent) if sent == bytes.len() => return Ok(()),
                Ok(_) => return Err(Error::Silent),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::Netlink(error.into())),
            }
        }
    }

    fn receive(&mut self, flags: RecvFlags) -> Result<usize, Errno> {
        // Never written to: of the many sockets that hear short answers only, most of it never becomes memory.
        self.received.clear();
        self.received.reserve_exact(RECEIVE);
        loop {
            let free = spare_capacity(&mut self.received);
            match rustix::net::recv(&self.fd, free, flags | RecvFlags::TRUNC) {
                // With MSG_TRUNC the second number is the datagram's true length.
                Ok((_, length)) if length > self.received.len() => return Err(Errno::MSGSIZE),
                Ok((_, length)) => return Ok(length),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(feature = "fuzzing")]
impl Socket {
    /// A socket whose other end plays the kernel.
    pub(crate) fn played(fd: OwnedFd) -> Self {
        let (protocol, received) = (Protocol::Route, Vec::new());
        Self { fd, protocol, sequence: 1, received, room: RECEIVE, parting: None }
    }

    /// The number of the next question.
    pub(crate) fn next_sequence(&self) -> u32 {
        self.sequence
    }

    /// Throws away what was answered and not read.
    pub(crate) fn forget(&mut self) {
        while self.receive(RecvFlags::DONTWAIT).is_ok_and(|length| length > 0) {}
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The refusal that an NLMSG_ERROR or NLMSG_DONE reports, if it is not a plain acknowledgement.
fn refusal(message: &Message<'_>, place: usize, note: message::Note) -> Option<Refusal> {
    if !matches!(message.kind, NLMSG_ERROR | NLMSG_DONE) {
        return None;
    }
    let code = i32::from_ne_bytes(array_of(message.body, 0)?);
    if code >= 0 {
        return None;
    }
    // After the code comes the request's header, then (capped) attributes. NLMSG_DONE has no header.
    let skipped = if message.kind == NLMSG_DONE { 4 } else { 20 };
    let text = (message.flags & flag::ACK_ATTRIBUTES != 0)
        .then(|| Attributes::new(message.body.get(skipped..).unwrap_or(&[])))
        .and_then(|attributes| attributes.get_text(NLMSGERR_ATTR_MSG))
        .map(str::to_owned);
    Some(Refusal {
        place,
        step: note.step,
        aim: note.aim,
        lenient: note.lenient,
        // No kernel has error numbers beyond 4095, and the type refuses them.
        errno: Errno::from_raw_os_error(code.saturating_neg().min(4095)),
        text,
    })
}

/// Whether a refusal only says that the step's aim was reached before.
pub(crate) fn forgiven(refusal: &Refusal) -> bool {
    match refusal.lenient {
        Lenient::Not => false,
        Lenient::Present => refusal.errno == Errno::EXIST,
        Lenient::Absent => absent(refusal.errno),
        Lenient::NoQueue => absent(refusal.errno) || refusal.errno == Errno::INVAL,
    }
}

fn absent(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::SRCH | Errno::NODEV | Errno::ADDRNOTAVAIL)
}
