//! A stream of a process on a connection of its own, for clients to whom no descriptors can be handed: the connection is upgraded, and
//! from there on its bytes are the stream's.
//!
//! Each has a thread, which sleeps until one of its two sides can go on: a side that does not read holds up the other, as a pipe would.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use axum::body::Bytes;
use axum::response::Response;
use hostcompute_schema::compute::StreamUpgrade;
use hostcompute_service::server::Lease;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown, recv};
use rustix::time::Timespec;
use tokio::net::{TcpStream, UnixStream};

use super::stdio::switching;
use crate::http::{Edge, Patient};

/// What is read at once of what a process writes.
const PIECE: usize = 64 << 10;

/// What is written at once for a process: where a pipe has room at all, it has room for this (PIPE_BUF).
const MORSEL: usize = 4096;

/// How long a client that has not ended its side is listened to before its stream is closed.
const LAST_WORD: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The client's side, and what it sent before it was upgraded.
struct Connection {
    stream: OwnedFd,
    early: Bytes,
}

/// Our side of a stream.
#[derive(Debug)]
pub enum End {
    /// Its bytes go to the process.
    Input(Arc<Input>),
    /// Its bytes come from the process.
    Output(OwnedFd),
}

/// The answer, after which the connection is the stream. `place` is the client's among its subscriptions.
pub fn begin(
    edge: &Edge,
    wanted: &'static StreamUpgrade,
    (end, place): (End, Lease),
    upgrade: OnUpgrade,
) -> Response {
    let input = match &end {
        End::Input(input) => Some(input.clone()),
        End::Output(_) => None,
    };
    // Nobody need wait for it.
    let give_up = move || drop(input.map(|input| input.client.set(None)));
    edge.background().spawn(async move {
        let connection = match upgrade.await.map_err(io::Error::other).and_then(taken) {
            Ok(connection) => connection,
            Err(error) => {
                give_up();
                return tracing::debug!(%error, "a client did not wait for a stream");
            }
        };
        let carry = move || {
            let carried = match end {
                End::Input(input) => input.carry(connection),
                End::Output(process) => outwards(&connection.stream, &process),
            };
            if let Err(error) = carried {
                tracing::debug!(%error, stream = wanted.name, "a stream broke off");
            }
            drop(place);
        };
        let thread = std::thread::Builder::new().name("stream".to_owned());
        if let Err(error) = thread.spawn(carry) {
            give_up();
            tracing::warn!(%error, "there is no thread for a stream");
        }
    });
    switching(wanted.name)
}

/// The connection, away from the event loop.
fn taken(upgraded: Upgraded) -> io::Result<Connection> {
    let copied = |stream: BorrowedFd<'_>, early: Bytes| {
        let stream = stream.try_clone_to_owned()?;
        rustix::io::ioctl_fionbio(&stream, false)?;
        Ok(Connection { stream, early })
    };
    match upgraded.downcast::<TokioIo<Patient<TcpStream>>>() {
        Ok(parts) => copied(parts.io.inner().inner().as_fd(), parts.read_buf),
        Err(upgraded) => match upgraded.downcast::<TokioIo<Patient<UnixStream>>>() {
            Ok(parts) => copied(parts.io.inner().inner().as_fd(), parts.read_buf),
            Err(_) => Err(io::Error::other("a connection is not what it was made as")),
        },
    }
}

/// A stream on its way to a process.
#[derive(Debug)]
pub struct Input {
    process: OwnedFd,
    /// Once the connection has been upgraded; `None` for a client that did not wait for that.
    client: OnceLock<Option<OwnedFd>>,
    /// Whoever moves bytes holds it, so that they keep their order.
    turn: Mutex<()>,
}

/// All connections that are inputs of processes, whoever's they are: whoever closes the input of a process may have another session.
#[derive(Debug, Default)]
pub struct Inputs(Mutex<Vec<(String, u32, Weak<Input>)>>);

impl Inputs {
    /// Remembers one, of a process of this system.
    pub fn add(&self, system: &str, pid: u32, input: &Arc<Input>) {
        let mut inputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inputs.retain(|(_, _, input)| input.strong_count() > 0);
        inputs.push((system.to_lowercase(), pid, Arc::downgrade(input)));
    }

    /// Has everything written that was sent for a process so far.
    pub fn drain(&self, system: &str, pid: u32) {
        let system = system.to_lowercase();
        let of_it = |entry: &(String, u32, Weak<Input>)| {
            (entry.0 == system && entry.1 == pid).then(|| entry.2.upgrade()).flatten()
        };
        let inputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<Arc<Input>> = inputs.iter().filter_map(of_it).collect();
        drop(inputs);
        for input in known {
            input.drain();
        }
    }
}

/// What moving bytes came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    Some,
    /// There is nothing now.
    None,
    /// The client has ended its side.
    End,
}

impl Input {
    /// A stream whose connection is about to be upgraded.
    pub fn new(process: OwnedFd) -> Arc<Self> {
        Arc::new(Self { process, client: OnceLock::new(), turn: Mutex::default() })
    }

    /// From the client to the process, until one of them has enough.
    fn carry(&self, Connection { stream, early }: Connection) -> io::Result<()> {
        let turn = self.turn();
        let Some(client) = self.client.get_or_init(|| Some(stream)) else { return Ok(()) };
        write_all(&self.process, &early)?;
        drop(turn);
        loop {
            // A process that does not read any more shows as an error on our end.
            wait(&[(client, PollFlags::IN), (&self.process, PollFlags::empty())])?;
            if self.step(client)? == Moved::End {
                return Ok(());
            }
        }
    }

    /// Moves what the client has sent so far: somebody is about to close the stream. A client that has ended its side has sent all, and
    /// that is waited for; of one that has not nobody knows, so it has had its say when nothing comes for a while.
    pub fn drain(&self) {
        let Some(client) = self.client.wait() else { return };
        loop {
            match self.step(client) {
                Ok(Moved::Some) => {}
                Ok(Moved::None) => {
                    let mut asked = [PollFd::new(client, PollFlags::IN)];
                    if matches!(poll(&mut asked, Some(&LAST_WORD)), Ok(0) | Err(_)) {
                        return;
                    }
                }
                // One that breaks off is told of by its own thread.
                Ok(Moved::End) | Err(_) => return,
            }
        }
    }

    fn step(&self, client: &OwnedFd) -> io::Result<Moved> {
        let _turn = self.turn();
        let mut piece = [0; MORSEL];
        match recv(client, &mut piece, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Ok(Moved::End),
            Ok((read, _)) => {
                write_all(&self.process, piece.get(..read).unwrap_or_default())?;
                Ok(Moved::Some)
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(Moved::None),
            Err(error) => Err(error.into()),
        }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let morsel = bytes.get(..MORSEL).unwrap_or(bytes);
        wait(&[(to, PollFlags::OUT)])?;
        match rustix::io::write(to, morsel) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// From the process to the client, until one of them has enough.
fn outwards(client: &OwnedFd, process: &OwnedFd) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        // Nothing is expected from the client but its end.
        wait(&[(process, PollFlags::IN), (client, PollFlags::RDHUP)])?;
        match rustix::io::read(process, &mut piece) {
            // A console whose other side has gone says so by an error.
            Ok(0) | Err(Errno::IO) => break,
            Ok(read) => write_all(client, piece.get(..read).unwrap_or_default())?,
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The last of it is on its way: an end, not a break.
    Ok(rustix::net::shutdown(client, Shutdown::Write)?)
}

/// Waits until the first of these is ready.
///
/// # Errors
/// The second has ended, or the kernel refuses.
fn wait(sides: &[(&OwnedFd, PollFlags)]) -> io::Result<()> {
    loop {
        let mut asked: Vec<PollFd<'_>> =
            sides.iter().map(|(side, flags)| PollFd::new(*side, *flags)).collect();
        match poll(&mut asked, None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        match asked.as_slice() {
            [first, ..] if !first.revents().is_empty() => return Ok(()),
            [_, second] if !second.revents().is_empty() => {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            _ => {}
        }
    }
}
