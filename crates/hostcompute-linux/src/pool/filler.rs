//! Filling the pool: how a room is made, and when.

use std::collections::VecDeque;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::PoisonError;
use std::time::Duration;

use hostcompute_engine::plan::{
    DYING_GROUP, HOST_END_MAC, INNER_INDEX, PREPARED_INTERFACES, host_end,
};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::time::ClockId;

use super::{INNER_NAME, Inherited, MOST, POOL_GROUP, QUIET, Room, Shared, State};
use crate::cleanup::{self, Watch};
use crate::error::Error;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient, Protocol, Socket};
use crate::netns::{self, Excursion, Inside};
use crate::port::{self, HOST_SETTINGS, LOOPBACK};
use crate::route::link::{self, NewLink, Peer};
use crate::route::numbering::Numbering;

/// After a failure nothing is tried for so long: what is lacking (memory, descriptors, a right) does not come at once.
const REST: Duration = Duration::from_secs(10);
/// How long the cleanup is waited for before it is looked at again.
const PATIENCE: Duration = Duration::from_millis(5);
/// Pairs whose index is taken are tried with another so often.
const ATTEMPTS: usize = 8;

/// Settings of a namespace that come from the machine and are not told of by the loopback interface.
const INHERITED: [&str; 5] = [
    "/proc/sys/net/ipv4/conf/all/forwarding",
    "/proc/sys/net/ipv4/conf/all/rp_filter",
    "/proc/sys/net/ipv4/tcp_congestion_control",
    "/proc/sys/net/ipv4/tcp_rmem",
    "/proc/sys/net/ipv4/tcp_wmem",
];

/// What the thread works with.
#[derive(Debug)]
pub(super) struct Filler {
    /// The host namespace, when it is not the one this process runs in.
    netns: Option<OwnedFd>,
    route: Socket,
    numbering: Numbering,
    next: u32,
}

/// The thread: makes rooms while fewer than wanted are ready and nothing else is done.
pub(super) fn run(shared: &Shared, mut filler: Filler, cleanup: &Watch) {
    let mut state = shared.lock();
    while !state.ending {
        let pause = match rest(&state) {
            Some(pause) => pause,
            None if cleanup.is_busy() => PATIENCE,
            None => {
                let generation = state.generation;
                drop(state);
                let made = filler.make();
                state = shared.lock();
                match made {
                    Ok(room) => {
                        let late = take_in(&mut state, room, generation);
                        if !late.is_empty() {
                            // Closing a namespace takes the kernel a while.
                            drop(state);
                            drop(late);
                            state = shared.lock();
                        }
                        continue;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no namespace can be made ready; the next attempt is in {REST:?}");
                        REST
                    }
                }
            }
        };
        state.asleep = pause == Duration::MAX;
        state = if state.asleep {
            shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
        } else {
            let waited = shared.changed.wait_timeout(state, pause);
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        state.asleep = false;
    }
    let rooms = std::mem::take(&mut state.ready);
    drop(state);
    if let Err(error) = filler.clear(rooms) {
        tracing::debug!(%error, "what was ready goes when the kernel gets to it");
    }
}

/// How long to wait before the next room; `None` to make it now.
fn rest(state: &State) -> Option<Duration> {
    if state.ready.len() >= MOST {
        return Some(Duration::MAX);
    }
    if state.busy {
        return Some(QUIET);
    }
    let rest = QUIET.checked_sub(state.used?.elapsed())?;
    Some(rest).filter(|rest| !rest.is_zero())
}

/// Adds the room; returns those that are of no use: the new one when it came too late, the others when it was born with other
/// settings than they.
fn take_in(state: &mut State, room: Room, generation: u64) -> Vec<Room> {
    if state.generation != generation {
        return vec![room];
    }
    let stale = state.ready.iter().any(|other| other.inherited != room.inherited);
    let gone = if stale { state.ready.drain(..).collect() } else { Vec::new() };
    state.ready.push_back(room);
    gone
}

impl Filler {
    pub(super) fn new(netns: Option<BorrowedFd<'_>>, numbering: Numbering) -> Result<Self, Error> {
        let look = |source| Error::system("open netlink sockets", source);
        let route = netns::within(netns, || Socket::open(Protocol::Route)).map_err(look)?;
        route.sign();
        let netns = netns.map(|netns| netns.try_clone_to_owned()).transpose().map_err(look)?;
        Ok(Self { netns, route, numbering, next: first_index() })
    }

    fn make(&mut self) -> Result<Room, Error> {
        let failed = |source| Error::system("make a network namespace", source);
        let stay = Excursion::to_new().map_err(failed)?;
        let fd = netns::own().map_err(failed)?;
        let mut socket = Socket::open(Protocol::Route).map_err(failed)?;
        let settings: Vec<String> =
            INHERITED.iter().map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
        drop(stay);
        let index = self.push_pair(fd.as_fd())?;
        self.refuse_ipv6(index);
        let mut datagram = Datagram::default();
        link::push_settings(
            &mut datagram,
            note("set up the inner interface"),
            INNER_INDEX,
            &[],
            "",
        );
        socket.exchange(&mut datagram)?;
        let inherited = inherited(&mut socket, &settings)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        let handle = open_tree(&fd, "", flags).ok();
        Ok(Room { inside: Inside { fd, socket }, handle, index, inherited })
    }

    /// Removes the pairs, so that whoever looks after the end of this process finds none. (One that is killed leaves it to the kernel,
    /// which takes a moment.)
    fn clear(&mut self, rooms: VecDeque<Room>) -> Result<(), Error> {
        if rooms.is_empty() {
            return Ok(());
        }
        let mut datagram = Datagram::default();
        for room in &rooms {
            let gone = Note { lenient: Lenient::Absent, ..note("retire the interface") };
            link::push_group(&mut datagram, gone, room.index, DYING_GROUP);
        }
        self.route.exchange(&mut datagram)?;
        cleanup::delete_group(&mut self.route)
    }

    /// Makes the pair with the next index that is free.
    fn push_pair(&mut self, netns: BorrowedFd<'_>) -> Result<u32, Error> {
        for attempt in 1.. {
            let index = self.next_index();
            let mut datagram = Datagram::default();
            let number = Note { lenient: Lenient::Present, ..note("number the namespace") };
            self.numbering.push(&mut datagram, number, netns);
            let name = host_end(index);
            let host = NewLink {
                name: &name,
                index,
                mac: Some(HOST_END_MAC),
                group: POOL_GROUP,
                mtu: None,
            };
            let peer = Peer { name: INNER_NAME, index: INNER_INDEX, mac: None, mtu: None, netns };
            link::push_veth(&mut datagram, note("make the interface"), host, peer);
            link::push_settings(
                &mut datagram,
                note("set up the interface"),
                index,
                &HOST_SETTINGS,
                "",
            );
            match self.route.exchange(&mut datagram) {
                Err(error)
                    if error.errno() == Some(rustix::io::Errno::EXIST) && attempt < ATTEMPTS => {}
                result => return result.map(|()| index),
            }
        }
        Err(Error::Silent)
    }

    fn next_index(&mut self) -> u32 {
        let index = self.next;
        self.next = if index < *PREPARED_INTERFACES.end() {
            index + 2
        } else {
            *PREPARED_INTERFACES.start()
        };
        index
    }

    /// Most ports have no IPv6 address; see [`port::refuse_ipv6`].
    fn refuse_ipv6(&self, index: u32) {
        let name = host_end(index);
        let refused = netns::within(self.netns.as_ref().map(AsFd::as_fd), || {
            port::set_ipv6(&name, port::Inet6::Off);
            Ok(())
        });
        if let Err(error) = refused {
            tracing::debug!(%error, name, "IPv6 stays on");
        }
    }
}

/// A later process begins higher, by the clock, so that it does not meet what an earlier one gave away.
fn first_index() -> u32 {
    let time = rustix::time::clock_gettime(ClockId::Boottime);
    let milliseconds = time.tv_sec.wrapping_mul(1000).wrapping_add(time.tv_nsec / 1_000_000);
    let room = i64::from((PREPARED_INTERFACES.end() - PREPARED_INTERFACES.start()) / 2);
    PREPARED_INTERFACES.start() + 2 * milliseconds.rem_euclid(room) as u32
}

fn inherited(socket: &mut Socket, settings: &[String]) -> Result<Inherited, Error> {
    let mut bytes = settings.concat().into_bytes();
    if let Some(loopback) = link::get(socket, LOOPBACK)? {
        bytes.extend(loopback.family_settings());
    }
    Ok(bytes)
}

fn note(aim: &'static str) -> Note {
    Note { step: crate::error::NO_STEP, aim, lenient: Lenient::Not }
}
