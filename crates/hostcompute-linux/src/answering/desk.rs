//! The desk at which everything is answered: what plans change, and the thread that waits for questions.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use hostcompute_engine::plan::{Fact, Responder};
use hostcompute_schema::Guid;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::book::Book;
use super::dns::{self, Over};
use super::posts::Post;
use super::relay::{Asked, Relay};
use super::upstream::Upstream;
use super::{dhcp, frame, stream};
use crate::error::Error;
use crate::{netns, sys};

/// So many questions of one socket are answered before others have their turn.
const TURN: usize = 32;

/// Answers as long as it lives.
#[derive(Debug)]
pub(crate) struct Desk {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What plans and threads share.
#[derive(Debug)]
pub(super) struct Shared {
    book: Mutex<Book>,
    upstream: Mutex<Upstream>,
    posts: Mutex<Posts>,
    /// The thread has let go of posts that were taken away.
    seen: Condvar,
    wake: OwnedFd,
}

#[derive(Debug, Default)]
struct Posts {
    by_network: HashMap<Guid, Arc<Post>>,
    /// Packets of all links that may be questions of DHCP clients.
    packets: Option<Arc<OwnedFd>>,
    /// Changes so far, and how many of them the thread has taken over.
    changes: u64,
    taken: u64,
    end: bool,
}

/// A thread that panicked has said so; what it left is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    /// The host's resolvers, but for ourselves.
    pub fn servers(&self) -> Vec<IpAddr> {
        let servers = lock(&self.upstream).servers().to_vec();
        let book = self.book();
        servers.into_iter().filter(|server| !book.is_ours(*server)).collect()
    }

    fn call(&self) {
        // The counter is full only while the thread has something to wake up for.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Desk {
    /// A desk in a host namespace, for which this file names the resolvers.
    pub fn open(netns: Option<BorrowedFd<'_>>, resolv_conf: PathBuf) -> Result<Self, Error> {
        let failed = |source: io::Error| Error::system("answer for networks", source);
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let shared = Arc::new(Shared {
            book: Mutex::default(),
            upstream: Mutex::new(Upstream::new(resolv_conf)),
            posts: Mutex::default(),
            seen: Condvar::new(),
            wake: eventfd(0, flags).map_err(|errno| failed(errno.into()))?,
        });
        let of_thread = shared.clone();
        // Threads begin where who starts them is.
        let thread = netns::within(netns, || {
            let builder = std::thread::Builder::new().name("hostcompute-answer".into());
            builder.spawn(move || listen(&of_thread))
        });
        Ok(Self { shared, thread: Some(thread.map_err(failed)?) })
    }

    /// Makes a fact hold that is about answers; the calling thread is in the host namespace.
    pub fn add(&self, fact: &Fact) -> Result<(), Error> {
        match fact {
            Fact::Responder(responder) => self.add_responder(responder)?,
            Fact::Lease(lease) => self.shared.book().add_lease(lease),
            Fact::Name(name) => self.shared.book().add_name(name),
            _ => {}
        }
        Ok(())
    }

    pub fn remove(&self, fact: &Fact) {
        match fact {
            Fact::Responder(responder) => self.remove_responder(responder),
            Fact::Lease(lease) => self.shared.book().remove_lease(lease),
            Fact::Name(name) => self.shared.book().remove_name(name),
            _ => {}
        }
    }

    /// Whether a fact that is about answers holds.
    pub fn holds(&self, fact: &Fact) -> bool {
        let book = self.shared.book();
        match fact {
            Fact::Responder(wanted) => book.responders.get(&wanted.network) == Some(wanted),
            Fact::Lease(lease) => book.has_lease(lease),
            Fact::Name(name) => book.has_name(name),
            _ => true,
        }
    }

    fn add_responder(&self, responder: &Responder) -> Result<(), Error> {
        if self.shared.book().responders.get(&responder.network) == Some(responder) {
            return Ok(());
        }
        let post = Arc::new(Post::open(responder)?);
        let mut posts = lock(&self.shared.posts);
        if responder.dhcp && posts.packets.is_none() {
            let opened = sys::packets(&frame::only_questions())
                .map_err(|source| Error::system("listen for DHCP clients", source))?;
            posts.packets = Some(Arc::new(opened));
        }
        self.shared.book().responders.insert(responder.network, responder.clone());
        posts.by_network.insert(responder.network, post);
        posts.changes += 1;
        drop(posts);
        self.shared.call();
        Ok(())
    }

    /// When this returns the sockets are closed.
    fn remove_responder(&self, responder: &Responder) {
        let mut posts = lock(&self.shared.posts);
        self.shared.book().responders.remove(&responder.network);
        if posts.by_network.remove(&responder.network).is_none() {
            return;
        }
        if !self.shared.book().wants_dhcp() {
            posts.packets = None;
        }
        posts.changes += 1;
        let until = posts.changes;
        self.shared.call();
        while posts.taken < until
            && self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
        {
            posts = self.shared.seen.wait(posts).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        lock(&self.shared.posts).end = true;
        self.shared.call();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// What the thread listens to.
#[derive(Debug, Default)]
struct Round {
    posts: Vec<Arc<Post>>,
    packets: Option<Arc<OwnedFd>>,
}

/// Which of a round's sockets have something.
#[derive(Debug, Default)]
struct Ready {
    wake: bool,
    packets: bool,
    datagrams: Vec<(usize, usize)>,
    listeners: Vec<(usize, usize)>,
    flights: Vec<bool>,
}

/// The thread.
fn listen(shared: &Arc<Shared>) {
    let mut round = Round::default();
    let mut relay = Relay::default();
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let ready = match wait(shared, &round, &relay) {
            Ok(ready) => ready,
            Err(Errno::INTR) => continue,
            Err(error) => {
                tracing::error!(%error, "networks are answered no more");
                return;
            }
        };
        relay.hear(&ready.flights, &mut buffer);
        relay.go_on(Instant::now());
        for (post, listener) in ready.datagrams {
            if let Some(post) = round.posts.get(post) {
                questions(shared, post, listener, &mut relay, &mut buffer);
            }
        }
        for (post, listener) in ready.listeners {
            if let Some(post) = round.posts.get(post) {
                connections(shared, post, listener);
            }
        }
        if let Some(packets) = round.packets.as_ref().filter(|_| ready.packets) {
            clients(shared, packets.as_fd(), &mut buffer);
        }
        if ready.wake && !take_over(shared, &mut round, &mut relay) {
            return;
        }
    }
}

fn wait(shared: &Shared, round: &Round, relay: &Relay) -> Result<Ready, Errno> {
    let listen = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
    let mut ears = vec![listen(shared.wake.as_fd())];
    ears.extend(round.packets.iter().map(|packets| listen(packets.as_fd())));
    let (mut datagrams, mut listeners) = (Vec::new(), Vec::new());
    for (place, post) in round.posts.iter().enumerate() {
        datagrams.extend((0..post.datagrams.len()).map(|listener| (place, listener)));
        listeners.extend((0..post.listeners.len()).map(|listener| (place, listener)));
    }
    ears.extend(round.posts.iter().flat_map(|post| &post.datagrams).map(|s| listen(s.as_fd())));
    ears.extend(round.posts.iter().flat_map(|post| &post.listeners).map(|s| listen(s.as_fd())));
    ears.extend(relay.ears().map(listen));
    let left = relay.deadline().map(|deadline| deadline.duration_since(Instant::now()));
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    poll(&mut ears, left.as_ref())?;
    let mut heard = ears.iter().map(|ear| !ear.revents().is_empty());
    let mut next = || heard.next().unwrap_or(false);
    let wake = next();
    let packets = round.packets.is_some() && next();
    datagrams.retain(|_| next());
    listeners.retain(|_| next());
    Ok(Ready { wake, packets, datagrams, listeners, flights: heard.collect() })
}

/// Takes over what has changed; false at the end.
fn take_over(shared: &Shared, round: &mut Round, relay: &mut Relay) -> bool {
    // What is told meanwhile is told again.
    let _ = rustix::io::read(&shared.wake, &mut [0; 8]);
    let mut posts = lock(&shared.posts);
    let stays = |post: &Arc<Post>| {
        posts.by_network.get(&post.network).is_some_and(|p| Arc::ptr_eq(p, post))
    };
    relay.forget(|post| !stays(post));
    round.posts = posts.by_network.values().cloned().collect();
    round.packets.clone_from(&posts.packets);
    posts.taken = posts.changes;
    let goes_on = !posts.end;
    drop(posts);
    shared.seen.notify_all();
    goes_on
}

/// Questions over UDP.
fn questions(
    shared: &Shared,
    post: &Arc<Post>,
    listener: usize,
    relay: &mut Relay,
    buffer: &mut [u8],
) {
    let Some(socket) = post.datagrams.get(listener) else { return };
    for _ in 0..TURN {
        // Whatever the error is, the next round says it again or it is over.
        let Ok((length, client)) = socket.recv_from(buffer) else { return };
        let message = buffer.get(..length).unwrap_or_default();
        let Some(query) = dns::read(message) else { continue };
        let book = shared.book();
        if !book.may_ask(post.network, client.ip()) {
            continue;
        }
        let known = book.find(post.network, &query).filter(|_| query.is_of_internet());
        drop(book);
        match known {
            Some((code, records)) => {
                post.say(listener, &query.answer(code, &records, Over::Udp), client);
            }
            None => {
                let servers = shared.servers();
                relay.send(
                    Asked { post, listener, client, query, message },
                    &servers,
                    Instant::now(),
                );
            }
        }
    }
}

/// Connections over TCP.
fn connections(shared: &Arc<Shared>, post: &Arc<Post>, listener: usize) {
    let Some(socket) = post.listeners.get(listener) else { return };
    for _ in 0..TURN {
        let Ok((client, from)) = socket.accept() else { return };
        if !shared.book().may_ask(post.network, from.ip()) {
            continue;
        }
        // Who finds no place is hung up on, and asks again.
        let Some(admission) = post.admit() else { continue };
        let shared = shared.clone();
        let thread = std::thread::Builder::new().name("hostcompute-stream".into());
        let served = thread.spawn(move || stream::serve(&shared, &admission, client));
        if let Err(error) = served {
            tracing::warn!(%error, "a question over TCP is not answered");
        }
    }
}

/// Questions of DHCP clients, from whatever link.
fn clients(shared: &Shared, packets: BorrowedFd<'_>, buffer: &mut [u8]) {
    for _ in 0..TURN {
        let Ok((length, link)) = sys::receive_packet(packets, buffer) else { return };
        let Some((sender, message)) = buffer.get(..length).and_then(frame::open) else { continue };
        let mut book = shared.book();
        let Some(lease) = book.lease(link, Instant::now()).filter(|lease| lease.mac == sender)
        else {
            continue;
        };
        let Some((to, answer)) = dhcp::answer(message, lease) else { continue };
        let to = match to {
            dhcp::To::All => None,
            dhcp::To::One(address) => Some((lease.mac, address)),
        };
        let frame = frame::close(lease.gateway, to, &answer);
        drop(book);
        if let Some(frame) = frame
            && let Err(error) = sys::send_packet(packets, link, &frame)
        {
            tracing::debug!(link, %error, "a lease was not told");
        }
    }
}
