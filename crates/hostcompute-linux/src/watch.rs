//! Watching: what others take away of what is ours, told when it happens.
//!
//! Three sockets hear of links that go, of addresses, and of every change to the packet filter. A filter program in the kernel keeps from them what
//! we do ourselves, told by the number of the socket that asked for it ([`Socket::sign`]): while nobody interferes the thread
//! sleeps, and our own changes cost nothing more.
//!
//! Heard: links with our marks, our table and whatever is in it; and that the host has other addresses of its own. Not heard: which
//! routes, files and settings are ours; comparing finds those.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;

use hostcompute_engine::host::{Tell, Told};
use hostcompute_engine::plan::DYING_GROUP;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use crate::error::Error;
use crate::netlink::socket::{OURS, OURS_MASK};
use crate::netlink::{Attributes, Message, Protocol, Socket};
use crate::pool::POOL_GROUP;
use crate::route::link::{Link, RTM_DELLINK};
use crate::sys::{self, Instruction};
use crate::{marks, netns, nft};

/// Groups of multicast messages (linux/rtnetlink.h, linux/netfilter/nfnetlink.h).
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV6_IFADDR: u32 = 9;
const NFNLGRP_NFTABLES: u32 = 7;

/// Messages about addresses (linux/rtnetlink.h).
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
/// Messages about the packet filter (linux/netfilter/nf_tables.h).
const DELTABLE: u16 = nft::kind(2);
const NEWGEN: u16 = nft::kind(15);
const GEN_PROC_PID: u16 = 2;
const GEN_PROC_NAME: u16 = 3;
/// The table, in messages about anything in it, and about itself.
const IN_TABLE: u16 = 1;

/// The watch over one host; ends when dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    end: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn begin(netns: Option<BorrowedFd<'_>>, tell: Tell) -> Result<Self, Error> {
        let failed = |source| Error::system("watch the host", source);
        let [links, addresses, filter] = netns::within(netns, sockets).map_err(failed)?;
        let ears = Ears { links, addresses, filter };
        let end = eventfd(0, EventfdFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
        let ending = end.try_clone().map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name("hostcompute-watch".into())
            .spawn(move || listen(ears, &ending, &tell))
            .map_err(failed)?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let told = rustix::io::write(&self.end, &1_u64.to_ne_bytes()).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| told) {
            // A panic in the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// What is listened with.
struct Ears {
    links: Socket,
    addresses: Socket,
    filter: Socket,
}

fn sockets() -> io::Result<[Socket; 3]> {
    let open = |protocol, groups: &[u32], program: &[Instruction]| -> io::Result<Socket> {
        let mut socket = Socket::open(protocol)?;
        // A socket without a number hears nothing.
        socket.sign();
        sys::filter(&socket, program)?;
        groups.iter().try_for_each(|group| sys::join(&socket, *group))?;
        socket.widen()?;
        Ok(socket)
    };
    Ok([
        open(Protocol::Route, &[RTNLGRP_LINK], &foreign_only(Some(RTM_DELLINK)))?,
        open(Protocol::Route, &[RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR], &foreign_only(None))?,
        open(Protocol::Netfilter, &[NFNLGRP_NFTABLES], &foreign_only(None))?,
    ])
}

/// Lets through datagrams whose first message others asked for; if a kind is given, only of this kind.
///
/// A program sees numbers in network order, wherever they are from.
fn foreign_only(kind: Option<u16>) -> Vec<Instruction> {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_WORD: u16 = 0x20;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const KIND: u32 = 4;
    const ASKER: u32 = 12;
    let plain = |code, value| Instruction { code, if_true: 0, if_false: 0, value };
    let word = |value: u32| u32::from_be_bytes(value.to_ne_bytes());
    let mut program = Vec::new();
    if let Some(kind) = kind {
        let value = u32::from(u16::from_be_bytes(kind.to_ne_bytes()));
        program.push(plain(LOAD_HALF, KIND));
        // To the refusal at the end.
        program.push(Instruction { if_false: 4, ..plain(JUMP_IF_EQUAL, value) });
    }
    program.push(plain(LOAD_WORD, ASKER));
    program.push(plain(AND, word(OURS_MASK)));
    program.push(Instruction { if_true: 1, ..plain(JUMP_IF_EQUAL, word(OURS)) });
    program.push(plain(RETURN, u32::MAX));
    program.push(plain(RETURN, 0));
    program
}

/// The thread.
fn listen(mut ears: Ears, ending: &OwnedFd, tell: &Tell) {
    loop {
        let heard = {
            let mut waiting =
                [ears.links.as_fd(), ears.addresses.as_fd(), ears.filter.as_fd(), ending.as_fd()]
                    .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match poll(&mut waiting, None) {
                Ok(_) => waiting.map(|one| !one.revents().is_empty()),
                Err(Errno::INTR) => continue,
                Err(error) => {
                    tracing::error!(%error, "the host is watched no more");
                    return;
                }
            }
        };
        let [links, addresses, filter, end] = heard;
        if end {
            return;
        }
        let mut news = News::default();
        if links {
            overhear(&mut ears.links, &mut news, News::of_links);
        }
        if addresses {
            overhear(&mut ears.addresses, &mut news, News::of_addresses);
        }
        if filter {
            overhear(&mut ears.filter, &mut news, News::of_filter);
        }
        if news.moved {
            tell(Told::Moved);
        }
        news.words().iter().for_each(|words| tell(Told::Disturbed(words)));
    }
}

/// Hears all that is there.
fn overhear(socket: &mut Socket, news: &mut News, note: fn(&mut News, &Message<'_>)) {
    loop {
        match socket.overhear(|message| note(news, message)) {
            Ok(()) => {}
            Err(Errno::NOBUFS) => (news.missed, news.moved) = (true, true),
            Err(Errno::AGAIN) => return,
            Err(error) => {
                tracing::warn!(%error, "a change of the host was not understood");
                return;
            }
        }
    }
}

/// Understands any bytes as what is told.
#[cfg(feature = "fuzzing")]
pub(crate) fn understand(bytes: &[u8]) -> usize {
    let mut news = News::default();
    for message in crate::netlink::messages(bytes) {
        news.of_links(&message);
        news.of_addresses(&message);
        news.of_filter(&message);
    }
    news.words().len()
}

/// What was heard at once.
#[derive(Debug, Default, PartialEq, Eq)]
struct News {
    links: BTreeSet<String>,
    table_gone: bool,
    table_changed: bool,
    culprit: Option<String>,
    moved: bool,
    /// More than could be heard.
    missed: bool,
}

impl News {
    fn of_links(&mut self, message: &Message<'_>) {
        // Bridges tell of their ports in the same way, with a family of their own.
        let of_link = message.kind == RTM_DELLINK && message.body.first() == Some(&0);
        let Some(link) = Some(message).filter(|_| of_link).and_then(Link::read_any) else { return };
        if marks::is_ours(&link) && ![DYING_GROUP, POOL_GROUP].contains(&link.group) {
            self.links.insert(link.name);
        }
    }

    fn of_addresses(&mut self, message: &Message<'_>) {
        self.moved |= [RTM_NEWADDR, RTM_DELADDR].contains(&message.kind);
    }

    fn of_filter(&mut self, message: &Message<'_>) {
        let Some((header, attributes)) = message.body.split_at_checked(4) else { return };
        let attributes = Attributes::new(attributes);
        if message.kind == NEWGEN {
            let process = attributes.get_be32(GEN_PROC_PID);
            let name = attributes.get_text(GEN_PROC_NAME);
            self.culprit =
                name.zip(process).map(|(name, process)| format!("{name} (process {process})"));
            return;
        }
        let ours =
            header.first() == Some(&nft::INET) && attributes.get_text(IN_TABLE) == Some(nft::TABLE);
        self.table_gone |= ours && message.kind == DELTABLE;
        self.table_changed |= ours;
    }

    fn words(self) -> Vec<String> {
        let mut words: Vec<String> =
            self.links.iter().map(|name| format!("interface {name} was removed")).collect();
        let by = self.culprit.map_or_else(String::new, |culprit| format!(" by {culprit}"));
        if self.table_gone {
            words.push(format!("the packet filter's table was removed{by}"));
        } else if self.table_changed {
            words.push(format!("the packet filter's table was changed{by}"));
        }
        if self.missed {
            words.push("more was changed at once than could be heard".to_owned());
        }
        words
    }
}
