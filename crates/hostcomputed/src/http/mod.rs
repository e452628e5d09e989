//! The HTTP edge: the only part of hostcomputed that is async, and the only one that knows axum.
//!
//! ```text
//!   accept ──► Client (a session, or why there is none) ──► connection ──► routes ──► call, service, events
//!                    │ dropped with the connection
//!                    └──► handles, subscriptions and reservations are run down
//! ```
//!
//! Every connection has a thread of its own, with an event loop of its own: a question is read, answered and written by a thread that
//! nobody else needs, and a change is carried out by it, unless another one is at it. What outlives a connection, and what blocks for
//! long, runs on the threads of the runtime that accepts ([`Edge::background`]).

mod answer;
mod bell;
mod call;
mod changes;
mod client;
mod compute;
mod connection;
mod events;
mod files;
mod hangup;
mod held;
mod inspection;
mod long;
mod look;
mod metrics;
mod older;
mod patient;
mod refusals;
mod request;
mod routes;
mod service;
mod store;
mod traffic;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use hostcompute::Options;
use hostcompute_linux::Linux;
use hostcompute_linux::peer::UserNamespace;
use hostcompute_schema::openapi;
use hostcompute_service::server::{Limits, Server};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};

pub use answer::problem_with;
pub use client::{Client, SESSION};
pub use compute::Compute;
pub use patient::Patient;
pub use refusals::Refusals;
pub use routes::reading;

use crate::tcp::{Gate, Port};
use changes::Changes;
use client::Sessions;
use connection::Arrived;

/// Refused connections that may wait for their answer at a time.
const REFUSED: usize = 64;

/// Connections over TCP that may be open without having said the token.
const STRANGERS: usize = 128;

/// How long to wait when there is no room for another connection.
const BREATH: Duration = Duration::from_millis(20);

/// What every connection needs.
#[derive(Debug)]
pub struct Edge {
    server: Server<Linux>,
    sessions: Sessions,
    ours: UserNamespace,
    settings: Settings,
    /// The OpenAPI document.
    description: Bytes,
    refused: Arc<Semaphore>,
    refusals: Refusals,
    background: Handle,
    /// Changes that are under way.
    changing: Arc<AtomicUsize>,
    /// What changed, for those who look again and again.
    changes: Changes,
    started: Instant,
    compute: Compute,
    /// Connections that are inputs of processes.
    inputs: compute::carried::Inputs,
    /// Whether long work on images and layers is to end where it is: the next service goes on with it, when it is asked to.
    ending: Arc<AtomicBool>,
}

/// How the edge behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What each user may have.
    pub limits: Limits,
    /// Where the service keeps its things.
    pub options: Options,
    /// How long a client may leave an answer unread.
    pub write_patience: Duration,
}

/// Where the edge is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Serving,
    /// No new connections; those that are idle end, the others after what they are at.
    Closing,
}

impl Edge {
    /// An edge for this server; `ours` is the user namespace that clients must live in, `background` accepts connections.
    pub fn new(
        server: Server<Linux>,
        ours: UserNamespace,
        settings: Settings,
        background: Handle,
        compute: Compute,
    ) -> Arc<Self> {
        let refused = Arc::new(Semaphore::new(REFUSED));
        let description = openapi::to_text(&openapi::service()).into();
        Arc::new(Self {
            server,
            refusals: Refusals::default(),
            sessions: Sessions::default(),
            ours,
            settings,
            description,
            refused,
            background,
            changing: Arc::default(),
            changes: Changes::new(RandomState::new().hash_one(std::process::id()) as u32),
            started: Instant::now(),
            compute,
            inputs: Default::default(),
            ending: Arc::default(),
        })
    }

    /// Where tasks live that no connection ends.
    pub fn background(&self) -> &Handle {
        &self.background
    }

    /// Ends work that could outlast the service's patience and is as well begun again.
    pub fn end_work(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// How long a client may leave an answer unread.
    pub fn write_patience(&self) -> Duration {
        self.settings.write_patience
    }

    /// Serves until the phase is [`Phase::Closing`]; then no listener is left. Answers when every connection has ended.
    ///
    /// # Errors
    /// A socket cannot be listened on.
    pub async fn serve(
        self: Arc<Self>,
        listeners: Vec<UnixListener>,
        port: Option<Port>,
        phase: watch::Receiver<Phase>,
    ) -> io::Result<()> {
        let router = routes::router();
        // Every connection holds a sender; when the last is gone, so are they.
        let (held, mut all_gone) = mpsc::channel::<()>(1);
        let mut entrances = Vec::new();
        for listener in listeners {
            entrances.push(Entrance::Socket(tokio::net::UnixListener::from_std(listener)?));
        }
        if let Some(Port { listener, gate }) = port {
            let strangers = Arc::new(Semaphore::new(STRANGERS));
            let listener = tokio::net::TcpListener::from_std(listener)?;
            entrances.push(Entrance::Port(listener, gate, strangers));
        }
        let accept = |entrance| {
            let (edge, router) = (self.clone(), router.clone());
            tokio::spawn(edge.accept(entrance, router, phase.clone(), held.clone()))
        };
        let accepting: Vec<_> = entrances.into_iter().map(accept).collect();
        drop(held);
        for task in accepting {
            // It ends with the phase; a panic in it has been told on standard error.
            let _ = task.await;
        }
        all_gone.recv().await;
        Ok(())
    }

    async fn accept(
        self: Arc<Self>,
        entrance: Entrance,
        router: axum::Router,
        mut phase: watch::Receiver<Phase>,
        held: mpsc::Sender<()>,
    ) {
        loop {
            let accepted = tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase >= Phase::Closing) => return,
                accepted = entrance.next() => accepted,
            };
            match accepted {
                Ok(None) => {}
                Ok(Some(arrived)) => {
                    let (edge, router) = (self.clone(), router.clone());
                    let begun =
                        connection::begin(edge, arrived, router, phase.clone(), held.clone());
                    if let Err(error) = begun {
                        tracing::warn!(%error, "a connection cannot be served");
                    }
                }
                // Out of descriptors or memory: connections wait in the kernel's queue meanwhile.
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

/// Where clients come from.
enum Entrance {
    Socket(tokio::net::UnixListener),
    /// With the places for those who have not said the token.
    Port(tokio::net::TcpListener, Arc<Gate>, Arc<Semaphore>),
}

impl Entrance {
    /// Who comes next; `None` for one more in a crowd of strangers, which gets no answer at all.
    async fn next(&self) -> io::Result<Option<Arrived>> {
        match self {
            Self::Socket(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Some(Arrived::Local(stream.into_std()?)))
            }
            Self::Port(listener, gate, strangers) => {
                let (stream, _) = listener.accept().await?;
                let Ok(place) = strangers.clone().try_acquire_owned() else { return Ok(None) };
                Ok(Some(Arrived::Guest(stream.into_std()?, gate.clone(), place)))
            }
        }
    }
}
