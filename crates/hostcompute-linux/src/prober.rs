//! Sends one packet (TCP, UDP, or an echo request of ICMP) for `hc trace --live`, and tells what the packet filter did with it and whether an answer came.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use hostcompute_engine::host::Fault;
use hostcompute_engine::trace::Probe;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use crate::error::Error;
use crate::nft::sight::Sight;
pub use crate::nft::sight::Step;
use crate::{fault, netns};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// The types of an echo's request and reply (RFC 792, RFC 4443).
const ECHO: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// A probe that is ready to be sent, wherever: nothing of the host is needed any more.
#[derive(Debug)]
pub struct Prober {
    host: Option<OwnedFd>,
    sender: Option<OwnedFd>,
    probe: Probe,
}

/// What became of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub steps: Vec<Step>,
    /// Whether something came back; `None` where the protocol demands no answer.
    pub answered: Option<bool>,
    /// What came back, in words.
    pub answer: String,
}

impl Prober {
    pub(crate) fn new(
        host: Option<BorrowedFd<'_>>,
        namespace: Option<&Path>,
        probe: Probe,
    ) -> Result<Self, Error> {
        let open = |error| Error::system("open a namespace", error);
        let host = host.map(|host| host.try_clone_to_owned()).transpose().map_err(open)?;
        let sender = namespace.map(netns::open).transpose().map_err(open)?;
        Ok(Self { host, sender, probe })
    }

    /// Sends it and waits for the answer, a second at most.
    ///
    /// # Errors
    /// HCN_E_REQUEST_UNSUPPORTED for protocols other than TCP, UDP and ICMP; what the kernel refuses.
    pub fn run(&self) -> Result<Seen, Fault> {
        self.look().map_err(fault)
    }

    fn look(&self) -> Result<Seen, Error> {
        let Probe { source, destination, protocol, port, .. } = self.probe;
        let host = self.host.as_ref().map(AsFd::as_fd);
        let mut sight =
            netns::within(host, || Ok(Sight::open(source, destination, protocol, port)))
                .map_err(|error| Error::system("enter the host namespace", error))??;
        let sender = self.sender.as_ref().map(AsFd::as_fd).or(host);
        let sent = netns::within(sender, || Ok(send(&self.probe)))
            .map_err(|error| Error::system("enter the sender's namespace", error))?;
        let (answered, answer) = match sent {
            Ok(answered) => answered,
            Err(error) => (Some(false), format!("it could not be sent: {error}")),
        };
        Ok(Seen { steps: sight.take()?, answered, answer })
    }
}

fn send(probe: &Probe) -> Result<(Option<bool>, String), Errno> {
    let family = match probe.source {
        std::net::IpAddr::V4(_) => AddressFamily::INET,
        std::net::IpAddr::V6(_) => AddressFamily::INET6,
    };
    let (kind, protocol) = match probe.protocol {
        TCP => (SocketType::STREAM, ipproto::TCP),
        UDP => (SocketType::DGRAM, ipproto::UDP),
        ICMP => (SocketType::RAW, ipproto::ICMP),
        ICMPV6 => (SocketType::RAW, ipproto::ICMPV6),
        _ => return Err(Errno::PROTONOSUPPORT),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, Some(protocol))?;
    rustix::net::bind(&socket, &SocketAddr::new(probe.source, 0))?;
    let to = SocketAddr::new(probe.destination, probe.port);
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(Errno::CONNREFUSED) => return Ok(refused()),
        Err(error) => return Err(error),
    }
    if matches!(probe.protocol, ICMP | ICMPV6) {
        return echo(&socket, probe.protocol);
    }
    let patience = Timespec::try_from(PATIENCE).map_err(|_| Errno::INVAL)?;
    let wait = |flags: PollFlags| poll(&mut [PollFd::new(&socket, flags)], Some(&patience));
    if probe.protocol == UDP {
        rustix::net::send(&socket, b"hostcompute", SendFlags::empty())?;
        return Ok(match wait(PollFlags::IN)? {
            0 => (None, "nothing came back, which may be right".to_owned()),
            _ if sockopt::socket_error(&socket)?.is_err() => refused(),
            _ => (Some(true), "an answer came".to_owned()),
        });
    }
    if wait(PollFlags::OUT)? == 0 {
        return Ok((Some(false), "no answer came".to_owned()));
    }
    Ok(match sockopt::socket_error(&socket)? {
        Ok(()) => (Some(true), "a connection was made, and closed again".to_owned()),
        Err(Errno::CONNREFUSED) => refused(),
        Err(error) => (Some(false), format!("the answer is: {error}")),
    })
}

/// Asks for an echo on a connected raw socket.
fn echo(socket: &OwnedFd, protocol: u8) -> Result<(Option<bool>, String), Errno> {
    let (request, reply) = if protocol == ICMP { ECHO } else { ECHO_V6 };
    let mark = std::process::id().to_be_bytes();
    let mut packet = [request, 0, 0, 0, mark[2], mark[3], 0, 1, b'h', b'o', b's', b't'];
    // The kernel does it for ICMPv6, whose sum is over addresses too.
    if protocol == ICMP {
        let sum = checksum(&packet).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
    }
    rustix::net::send(socket, &packet, SendFlags::empty())?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now()));
        let left = left.map_err(|_| Errno::INVAL)?;
        if poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&left))? == 0 {
            return Ok((Some(false), "no echo came back".to_owned()));
        }
        let mut heard = [0; 256];
        let (length, _) = match rustix::net::recv(socket, &mut heard[..], RecvFlags::empty()) {
            Err(Errno::AGAIN | Errno::INTR) => continue,
            Err(error) => return Ok((Some(false), format!("the answer is: {error}"))),
            Ok(received) => received,
        };
        let heard = heard.get(..length).unwrap_or(&heard);
        // A raw socket of IPv4 shows the header of IP too.
        let header =
            if protocol == ICMP { usize::from(heard.first().unwrap_or(&0) & 15) * 4 } else { 0 };
        if let Some(&[kind, _, _, _, high, low, ..]) = heard.get(header..)
            && (kind, [high, low]) == (reply, [mark[2], mark[3]])
        {
            return Ok((Some(true), "an echo came back".to_owned()));
        }
    }
}

/// RFC 1071.
fn checksum(packet: &[u8; 12]) -> u16 {
    let words = packet.as_chunks().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum: u32 = words.sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// Whoever refuses has got the packet.
fn refused() -> (Option<bool>, String) {
    (Some(true), "it was refused: nobody listens there".to_owned())
}
