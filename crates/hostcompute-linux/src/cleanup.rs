//! Cleanup: what takes the kernel long is done behind the answer, by one thread per host.
//!
//! Deleting a link takes 10 to 25 ms, most of it waiting for other processors; deleting a hundred at once takes hardly longer.
//! While that lasts, every other change of links waits. So the caller only takes a link's elements out of the packet filter,
//! after which nothing passes it, and the thread does the rest: it moves the link to a group of its own, makes the kernel
//! forget the connections of the addresses that went, and deletes the whole group with one message when no further link has
//! come for a moment. [`Cleanup::clear_for`] waits for the first two before such an address is used again.
//!
//! The queue is bounded: when too many links wait, retiring another one waits too. A process that ends lets the thread finish,
//! unless nothing waits but links whose namespaces have been removed, too: the kernel ends those with the namespace, and
//! nobody has to wait for it. If the process is killed, or somebody keeps such a namespace open, the links stay dead: in their
//! group until the next cleanup, otherwise until a comparison finds them or another port needs what they hold.
//!
//! The thread receives: counts and addresses through [`State`], under one lock. It never takes the lock while it talks to the
//! kernel.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hostcompute_engine::plan::DYING_GROUP;
use hostcompute_schema::Guid;

use crate::conntrack;
use crate::error::Error;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient, Socket};
use crate::netns::Inside;
use crate::route::link;

/// More links than this do not wait.
const LIMIT: usize = 256;
/// How long the thread waits for further links before it deletes what there is.
const QUIET: Duration = Duration::from_millis(4);
/// Links do not wait longer than this for the quiet.
const PATIENCE: Duration = Duration::from_millis(60);
/// A deletion is tried this often; the kernel refuses one while it is deleting the same link for another reason.
const ATTEMPTS: u32 = 5;

/// What was asked for and what is done, as growing counts.
#[derive(Debug, Default)]
struct State {
    /// Requests so far.
    asked: u64,
    /// Requests whose addresses are forgotten.
    forgotten: u64,
    /// Requests whose links are gone.
    done: u64,
    /// What goes and is not out of the way yet; and what the thread is taking out of the way now.
    leaving: Leaving,
    forgetting: Leaving,
    links: usize,
    /// The namespaces that stay and have waiting links tied to them.
    tied: HashSet<Guid>,
    /// There are waiting links that end with no namespace.
    untied: bool,
    /// Messages that take links out of their places, not sent yet.
    retiring: Vec<Datagram>,
    /// Namespaces that stay open until their links are gone: the kernel would else clean them one by one, at our expense.
    held: Vec<Inside>,
    /// When the oldest and the newest of the waiting links came.
    first_request: Option<Instant>,
    last_request: Option<Instant>,
    /// Somebody waits for addresses: forget at once.
    awaited: bool,
    /// Somebody waits: do not linger.
    urgent: bool,
    ending: bool,
    failure: Option<String>,
}

/// Addresses whose connections are still to be forgotten, and links about which messages are still to be sent.
#[derive(Debug, Default)]
struct Leaving {
    addresses: HashSet<IpAddr>,
    indexes: HashSet<u32>,
}

impl State {
    /// Every waiting link ends with its namespace.
    fn is_doomed(&self) -> bool {
        self.tied.is_empty() && !self.untied
    }

    /// Namespaces have been removed: what is tied to them ends without us.
    fn untie(&mut self, ended: &[Guid]) {
        self.tied.retain(|netns| !ended.contains(netns));
    }

    fn is_leaving(&self, index: u32, addresses: &[IpAddr]) -> bool {
        [&self.leaving, &self.forgetting].into_iter().any(|leaving| {
            leaving.indexes.contains(&index)
                || addresses.iter().any(|address| leaving.addresses.contains(address))
        })
    }
}

#[derive(Debug)]
pub(crate) struct Cleanup {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is counts and lists, valid after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was taken out of service and is left to the cleanup.
#[derive(Debug, Default)]
pub(crate) struct Retired {
    /// Interface indexes.
    pub indexes: Vec<u32>,
    /// Addresses that go with the links.
    pub addresses: Vec<IpAddr>,
    /// For the host namespace; what is gone already is forgiven.
    messages: Vec<Datagram>,
    /// The namespaces that links among them are tied to, one for each such link.
    pub ties: Vec<Guid>,
    /// Namespaces that have been removed.
    pub ended: Vec<Guid>,
    /// Namespaces that must stay open until the links are gone.
    pub held: Vec<Inside>,
}

impl Retired {
    /// The datagram for further messages.
    pub(crate) fn messages(&mut self) -> &mut Datagram {
        if self.messages.last().is_none_or(Datagram::is_full) {
            self.messages.push(Datagram::default());
        }
        self.messages.last_mut().expect("one was pushed if there was none")
    }
}

/// The sockets of the thread, both in the host namespace.
#[derive(Debug)]
pub(crate) struct Tools {
    pub route: Socket,
    pub netfilter: Socket,
}

/// Sees whether the cleanup has something to do.
#[derive(Debug)]
pub(crate) struct Watch(Arc<Shared>);

impl Watch {
    pub(crate) fn is_busy(&self) -> bool {
        let state = self.0.lock();
        state.done < state.asked
    }
}

impl Cleanup {
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default(), thread: None }
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.shared))
    }

    /// Hands over links, by the messages that move them to [`DYING_GROUP`].
    pub(crate) fn retire(
        &mut self,
        retired: Retired,
        tools: impl FnOnce() -> Result<Tools, Error>,
    ) -> Result<(), Error> {
        if self.thread.is_none() {
            let (shared, tools) = (Arc::clone(&self.shared), tools()?);
            let thread = std::thread::Builder::new()
                .name("hostcompute-cleanup".into())
                .spawn(move || run(&shared, tools))
                .map_err(|source| Error::system("start the cleanup thread", source))?;
            self.thread = Some(thread);
        }
        let mut state = self.shared.lock();
        while state.links > LIMIT {
            state.urgent = true;
            self.shared.changed.notify_all();
            state = self.shared.wait(state);
        }
        state.asked += 1;
        state.links += retired.indexes.len();
        state.untied |= retired.indexes.len() > retired.ties.len();
        state.tied.extend(retired.ties);
        state.untie(&retired.ended);
        state.leaving.addresses.extend(retired.addresses);
        state.leaving.indexes.extend(retired.indexes);
        state.retiring.extend(retired.messages);
        state.held.extend(retired.held);
        let now = Instant::now();
        state.first_request.get_or_insert(now);
        state.last_request = Some(now);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Says that namespaces have been removed: links that are tied to them need nobody any more, though deleting many at once
    /// takes the kernel less than ending the namespaces one by one.
    pub(crate) fn ended(&self, namespaces: &[Guid], held: Vec<Inside>) {
        let mut state = self.shared.lock();
        state.untie(namespaces);
        if state.done < state.asked {
            state.held.extend(held);
        }
    }

    /// Waits until nothing that is still to be said about an earlier life of a link, or of its addresses, can hit the new one.
    pub(crate) fn clear_for(&self, index: u32, addresses: &[IpAddr]) {
        if self.thread.is_none() {
            return;
        }
        let mut state = self.shared.lock();
        if state.is_leaving(index, addresses) {
            state.awaited = true;
            self.shared.changed.notify_all();
            drop(self.wait_for(state, |state| state.forgotten));
        }
    }

    /// Waits until `progress` reaches what was asked so far.
    fn wait_for<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        mut progress: impl FnMut(&mut State) -> u64,
    ) -> MutexGuard<'a, State> {
        let target = state.asked;
        while progress(&mut state) < target {
            state = self.shared.wait(state);
        }
        state
    }

    /// Waits until everything handed over is gone.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        if self.thread.is_none() {
            return Ok(());
        }
        let state = self.shared.lock();
        let mut state = self.wait_for(state, |state| {
            state.urgent = true;
            self.shared.changed.notify_all();
            state.done
        });
        match state.failure.take() {
            None => Ok(()),
            Some(text) => {
                Err(Error::system("remove retired interfaces", std::io::Error::other(text)))
            }
        }
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        self.shared.lock().ending = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was reported when it happened; the links it left are swept at the next start.
            let _ = thread.join();
        }
    }
}

/// The thread.
fn run(shared: &Shared, mut tools: Tools) {
    let mut state = shared.lock();
    loop {
        // Asked once: links must be in their group before the group is deleted.
        let rest = linger(&state);
        if state.forgotten < state.asked && (state.awaited || rest.is_none()) {
            let target = state.asked;
            let retiring = std::mem::take(&mut state.retiring);
            state.forgetting = std::mem::take(&mut state.leaving);
            let addresses = state.forgetting.addresses.clone();
            drop(state);
            let mut results: Vec<_> = retiring
                .into_iter()
                .map(|mut messages| tools.route.exchange(&mut messages))
                .collect();
            results.push(conntrack::forget(&mut tools.netfilter, &addresses));
            state = shared.lock();
            state.forgetting = Leaving::default();
            state.forgotten = target;
            state.awaited = false;
            results.into_iter().for_each(|result| note_failure(&mut state, result));
            shared.changed.notify_all();
        } else if state.done < state.asked {
            if let Some(time) = rest {
                state = shared
                    .changed
                    .wait_timeout(state, time)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                continue;
            }
            let (target, held) = (state.asked, std::mem::take(&mut state.held));
            let leave = state.ending && !state.urgent && state.is_doomed();
            state.links = 0;
            state.tied.clear();
            state.untied = false;
            state.urgent = false;
            state.first_request = None;
            drop(state);
            let result = if leave { Ok(()) } else { delete_group(&mut tools.route) };
            drop(held);
            state = shared.lock();
            state.done = target;
            note_failure(&mut state, result);
            shared.changed.notify_all();
        } else if state.ending {
            return;
        } else {
            state = shared.wait(state);
        }
    }
}

/// How much longer to wait for further links; `None` to begin. What nobody has to delete can wait longest.
fn linger(state: &State) -> Option<Duration> {
    if state.urgent || state.ending || state.links > LIMIT / 2 {
        return None;
    }
    let quiet = if state.is_doomed() { PATIENCE } else { QUIET };
    let quiet = quiet.checked_sub(state.last_request?.elapsed())?;
    let patience = PATIENCE.checked_sub(state.first_request?.elapsed())?;
    Some(quiet.min(patience)).filter(|rest| !rest.is_zero())
}

fn note_failure(state: &mut State, result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::warn!(%error, "cleanup");
        state.failure = Some(error.to_string());
    }
}

/// Deletes the links that wait.
pub(crate) fn delete_group(socket: &mut Socket) -> Result<(), Error> {
    let note = Note { step: 0, aim: "remove retired interfaces", lenient: Lenient::Absent };
    for attempt in 1.. {
        let mut datagram = Datagram::default();
        link::push_delete_group(&mut datagram, note, DYING_GROUP);
        match socket.exchange(&mut datagram) {
            Err(error) if attempt < ATTEMPTS => {
                tracing::debug!(%error, attempt, "removing retired interfaces");
                std::thread::sleep(QUIET);
            }
            result => return result,
        }
    }
    Ok(())
}
