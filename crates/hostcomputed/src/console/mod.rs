//! The console: a page over TCP that shows what the service keeps, for people who would rather look than read.
//!
//! ```text
//!   TCP ──► door: Host header, origin, token ──► page (embedded files)
//!                                            └─► read operations and events (http)
//! ```
//!
//! It looks and nothing else: its session has the right to read, and no route of it changes anything. The door (`crate::door`) says who is let
//! in, `page` holds the files (made by hand, no build step).

mod connection;
mod page;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::door::{Door, Guests, Token};
use crate::http::{Client, Edge, Phase, reading};

/// Browsers open six connections each; so many may be open at a time.
const CONNECTIONS: usize = 256;

/// How long to wait when there is no room for another connection.
const BREATH: Duration = Duration::from_millis(20);

/// Whether there is a console, and for whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens; `None` for no console.
    pub listen: Option<SocketAddr>,
    /// Where its token is kept; without it each start has another.
    pub token_file: Option<PathBuf>,
    /// Other machines may reach it.
    pub remote: bool,
    /// Further names under which browsers reach it.
    pub hosts: String,
}

/// A console that listens.
#[derive(Debug)]
pub struct Console {
    listener: TcpListener,
    door: Door,
}

/// What every connection needs.
struct Shared {
    edge: Arc<Edge>,
    /// All browsers are one client: what they are is told by the token alone.
    client: Arc<Client>,
    door: Door,
}

impl Console {
    /// Listens, if the settings want a console, and tells where.
    ///
    /// # Errors
    /// The address is not free, or others could reach it and that is not wanted; the token cannot be kept.
    pub fn open(settings: &Settings) -> Result<Option<Self>> {
        let Some(address) = settings.listen else { return Ok(None) };
        if !address.ip().is_loopback() && !settings.remote {
            bail!(
                "other machines reach the console at {address}, and what it sends is not encrypted: choose an address of \
                 this machine only (127.0.0.1), or set console.remote = true"
            );
        }
        let token = match &settings.token_file {
            Some(path) => Token::kept_in(path)?,
            None => Token::random()?,
        };
        let listen = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let place = listener.local_addr()?;
            io::Result::Ok((listener, place))
        };
        let (listener, place) =
            listen().with_context(|| format!("the console cannot listen on {address}"))?;
        match &settings.token_file {
            Some(path) => {
                tracing::info!(
                    "console: http://{place}/#token=… with the token in {}",
                    path.display()
                );
            }
            None => tracing::info!("console: http://{place}/#token={}", token.text()),
        }
        Ok(Some(Self { listener, door: Door::new(Guests::Page, place, &settings.hosts, token) }))
    }

    /// Serves until the phase is [`Phase::Closing`], and answers when every connection has ended.
    ///
    /// # Errors
    /// The socket cannot be listened on.
    pub async fn serve(self, edge: Arc<Edge>, mut phase: watch::Receiver<Phase>) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let client = Arc::new(Client::reader(&edge));
        let shared = Arc::new(Shared { edge, client, door: self.door });
        let router = reading();
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let (held, mut all_gone) = mpsc::channel::<()>(1);
        loop {
            let accepted = tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase >= Phase::Closing) => break,
                accepted = listener.accept() => accepted,
            };
            let place = room.clone().try_acquire_owned();
            match (accepted, place) {
                (Ok((stream, _)), Ok(place)) => {
                    let held = (held.clone(), place);
                    let visit =
                        connection::serve(shared.clone(), stream, router.clone(), phase.clone());
                    tokio::spawn(async move {
                        visit.await;
                        drop(held);
                    });
                }
                // Too many already: this one is closed at once.
                (Ok(_), Err(_)) => {}
                (Err(error), _) => {
                    tracing::warn!(%error, "a connection to the console cannot be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop((listener, held));
        all_gone.recv().await;
        Ok(())
    }
}
