//! One connection: its client, its requests one after the other, its end.

use std::io;
use std::net;
use std::os::fd::AsFd;
use std::os::unix::net as unix;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::client::Client;
use super::hangup::Hangup;
use super::patient::Patient;
use super::{Edge, Phase};
use crate::door::Refused;
use crate::tcp::Gate;

/// How long a refused client has to send its request and read why.
const REFUSAL: Duration = Duration::from_secs(2);

/// How long a program that comes over TCP has until the first request with the token is there.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// Bytes that are held for a connection: of a request's head, and of answers that wait to be read.
const BUFFER: usize = 128 << 10;

/// How long a connection without a request may take for its first one when the service stops.
pub const FIRST_WORD: Duration = Duration::from_millis(100);

/// What a connection's thread has for its stack, in bytes; documents are read without recursion into the deep.
const STACK: usize = 1 << 20;

/// Somebody who has connected.
#[derive(Debug)]
pub enum Arrived {
    /// On the unix socket: the kernel says who it is.
    Local(unix::UnixStream),
    /// Over TCP: the gate finds out, at the first request. Until then it takes one of the places for strangers.
    Guest(net::TcpStream, Arc<Gate>, OwnedSemaphorePermit),
}

/// Gives a connection a thread of its own.
///
/// # Errors
/// There are too many threads or descriptors.
pub fn begin(
    edge: Arc<Edge>,
    arrived: Arrived,
    router: Router,
    phase: watch::Receiver<Phase>,
    held: mpsc::Sender<()>,
) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("connection".to_owned()).stack_size(STACK);
    thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let served = runtime.and_then(|runtime| {
            runtime.block_on(async {
                match arrived {
                    Arrived::Local(stream) => {
                        serve(edge, UnixStream::from_std(stream)?, router, phase).await;
                    }
                    Arrived::Guest(stream, gate, place) => {
                        let stream = TcpStream::from_std(stream)?;
                        receive(edge, stream, (gate, place), router, phase).await;
                    }
                }
                Ok(())
            })
        });
        if let Err(error) = served {
            tracing::warn!(%error, "a connection cannot be served");
        }
        // Tells by its end that this connection is over.
        drop(held);
    })?;
    Ok(())
}

/// Serves a connection until the client goes, or the phase ends it.
async fn serve(edge: Arc<Edge>, stream: UnixStream, router: Router, phase: watch::Receiver<Phase>) {
    let Ok(hangup) = Hangup::of(&stream) else { return };
    let client = Arc::new(Client::of(&edge, &stream));
    let is_refused = client.is_refused();
    let router = TowerToHyperService::new(router);
    let talk = Talk { begun: Arc::default(), keep_alive: !is_refused, half_close: true };
    let service = Conversation { router, client, begun: talk.begun.clone() };
    let told = converse(&edge, stream, (hangup, talk), service, phase);
    if !is_refused {
        return told.await;
    }
    // A crowd of refused clients gets no answer at all.
    if let Ok(_place) = edge.refused.clone().try_acquire_owned() {
        let _ = tokio::time::timeout(REFUSAL, told).await;
    }
}

/// As [`serve`], for a program that has to say the token first.
async fn receive(
    edge: Arc<Edge>,
    stream: TcpStream,
    (gate, place): (Arc<Gate>, OwnedSemaphorePermit),
    router: Router,
    phase: watch::Receiver<Phase>,
) {
    // Answers and events are small, and are to be seen at once.
    let _ = stream.set_nodelay(true);
    let Ok(hangup) = Hangup::of(&stream) else { return };
    let router = TowerToHyperService::new(router);
    // A side that is closed cannot be told from a client that is gone: nobody closes one and waits for answers.
    let talk = Talk { begun: Arc::default(), keep_alive: true, half_close: false };
    let known = Arc::new(OnceLock::new());
    let service = Reception {
        edge: edge.clone(),
        gate,
        router,
        known: known.clone(),
        begun: talk.begun.clone(),
        place: Mutex::new(Some(place)),
    };
    let mut told = std::pin::pin!(converse(&edge, stream, (hangup, talk), service, phase));
    tokio::select! {
        biased;
        () = told.as_mut() => return,
        () = tokio::time::sleep(INTRODUCTION) => {}
    }
    if known.get().is_some() {
        told.await;
    }
}

/// How a connection is spoken on.
struct Talk {
    /// Whether there was a request.
    begun: Arc<AtomicBool>,
    keep_alive: bool,
    /// Whether a client may close its side and still wait for the answer; one that is gone is noticed otherwise.
    half_close: bool,
}

async fn converse<S, V>(
    edge: &Arc<Edge>,
    stream: S,
    (hangup, talk): (Hangup, Talk),
    service: V,
    mut phase: watch::Receiver<Phase>,
) where
    S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static,
    V: Service<hyper::Request<Incoming>, Response = Response, Error = std::convert::Infallible>,
{
    let io = TokioIo::new(
        Patient::new(stream, edge.settings.write_patience).alone(edge.changing.clone()),
    );
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .keep_alive(talk.keep_alive)
            .half_close(talk.half_close)
            .max_buf_size(BUFFER)
            .auto_date_header(false)
            .serve_connection(io, service)
            .with_upgrades()
    );
    let mut closing = false;
    let ends = async {
        // Nobody else ends the phase: an error means the same.
        let _ = phase.wait_for(|phase| *phase >= Phase::Closing).await;
        let since = Instant::now();
        // A connection that has just come may have its first request on the way: it would be cut together with the connection.
        while !talk.begun.load(Ordering::Relaxed) && since.elapsed() < FIRST_WORD {
            tokio::time::sleep(FIRST_WORD / 10).await;
        }
    };
    let mut ends = std::pin::pin!(ends);
    loop {
        tokio::select! {
            biased;
            // What clients send and how they leave is their affair.
            _ = connection.as_mut() => return,
            () = hangup.wait() => return,
            () = ends.as_mut(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The router, for requests that know their client.
struct Conversation {
    router: TowerToHyperService<Router>,
    client: Arc<Client>,
    /// Whether there was a request.
    begun: Arc<AtomicBool>,
}

impl Service<hyper::Request<Incoming>> for Conversation {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = <TowerToHyperService<Router> as Service<hyper::Request<Incoming>>>::Future;

    fn call(&self, mut request: hyper::Request<Incoming>) -> Self::Future {
        self.begun.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(self.client.clone());
        self.router.call(request)
    }
}

/// The router behind a gate, which every request passes; the first that does makes the connection's client.
struct Reception {
    edge: Arc<Edge>,
    gate: Arc<Gate>,
    router: TowerToHyperService<Router>,
    known: Arc<OnceLock<Arc<Client>>>,
    begun: Arc<AtomicBool>,
    /// Among the strangers.
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Reception {
    /// Whose request this is; or why it goes no further.
    fn admit(&self, request: &hyper::Request<Incoming>) -> Result<Arc<Client>, Refused> {
        let door = &self.gate.door;
        door.meant(request.headers())?;
        door.admit(request.headers())?;
        let client = self.known.get_or_init(|| {
            *self.place.lock().unwrap_or_else(PoisonError::into_inner) = None;
            Arc::new(Client::guest(&self.edge, self.gate.caller()))
        });
        Ok(client.clone())
    }
}

impl Service<hyper::Request<Incoming>> for Reception {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response, std::convert::Infallible>> + Send>>;

    fn call(&self, mut request: hyper::Request<Incoming>) -> Self::Future {
        self.begun.store(true, Ordering::Relaxed);
        let admitted = self.admit(&request).map_err(|refused| self.gate.door.refusal(refused));
        let router = self.router.clone();
        Box::pin(async move {
            let (mut response, stays) = match admitted {
                Ok(client) => {
                    let stays = !client.is_refused();
                    request.extensions_mut().insert(client);
                    (router.call(request).await?, stays)
                }
                Err(refusal) => (refusal, false),
            };
            if !stays {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}

/// The client whose request this is.
pub fn client(request: &Request) -> Option<Arc<Client>> {
    request.extensions().get::<Arc<Client>>().cloned()
}
