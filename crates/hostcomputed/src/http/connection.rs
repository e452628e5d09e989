//! One connection: its client, its requests one after the other, its end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use super::client::Client;
use super::hangup::Hangup;
use super::patient::Patient;
use super::{Edge, Phase};

/// How long a refused client has to send its request and read why.
const REFUSAL: Duration = Duration::from_secs(2);

/// Bytes that are held for a connection: of a request's head, and of answers that wait to be read.
const BUFFER: usize = 128 << 10;

/// How long a connection without a request may take for its first one when the service stops.
pub const FIRST_WORD: Duration = Duration::from_millis(100);

/// What a connection's thread has for its stack, in bytes; documents are read without recursion into the deep.
const STACK: usize = 1 << 20;

/// Gives a connection a thread of its own.
///
/// # Errors
/// There are too many threads or descriptors.
pub fn begin(
    edge: Arc<Edge>,
    stream: std::os::unix::net::UnixStream,
    router: Router,
    phase: watch::Receiver<Phase>,
    held: mpsc::Sender<()>,
) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("connection".to_owned()).stack_size(STACK);
    thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let served = runtime.and_then(|runtime| {
            runtime.block_on(async {
                serve(edge, UnixStream::from_std(stream)?, router, phase, held).await;
                Ok(())
            })
        });
        if let Err(error) = served {
            tracing::warn!(%error, "a connection cannot be served");
        }
    })?;
    Ok(())
}

/// Serves a connection until the client goes, or the phase ends it. `_held` tells by its end that this one is over.
async fn serve(
    edge: Arc<Edge>,
    stream: UnixStream,
    router: Router,
    phase: watch::Receiver<Phase>,
    _held: mpsc::Sender<()>,
) {
    let Ok(hangup) = Hangup::of(&stream) else { return };
    let client = Arc::new(Client::of(&edge, &stream));
    if !client.is_refused() {
        return converse(&edge, stream, hangup, client, router, phase).await;
    }
    // A crowd of refused clients gets no answer at all.
    if let Ok(_place) = edge.refused.clone().try_acquire_owned() {
        let told = converse(&edge, stream, hangup, client, router, phase);
        let _ = tokio::time::timeout(REFUSAL, told).await;
    }
}

async fn converse(
    edge: &Arc<Edge>,
    stream: UnixStream,
    hangup: Hangup,
    client: Arc<Client>,
    router: Router,
    mut phase: watch::Receiver<Phase>,
) {
    let io = TokioIo::new(
        Patient::new(stream, edge.settings.write_patience).alone(edge.changing.clone()),
    );
    let begun = Arc::new(AtomicBool::new(false));
    let router = TowerToHyperService::new(router);
    let service = Conversation { router, client, begun: begun.clone() };
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .keep_alive(!service.client.is_refused())
            // A client may close its side and still wait for the answer; one that is gone is noticed otherwise.
            .half_close(true)
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
        while !begun.load(Ordering::Relaxed) && since.elapsed() < FIRST_WORD {
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
    type Response = axum::response::Response;
    type Error = std::convert::Infallible;
    type Future = <TowerToHyperService<Router> as Service<hyper::Request<Incoming>>>::Future;

    fn call(&self, mut request: hyper::Request<Incoming>) -> Self::Future {
        self.begun.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(self.client.clone());
        self.router.call(request)
    }
}

/// The client whose request this is.
pub fn client(request: &Request) -> Option<Arc<Client>> {
    request.extensions().get::<Arc<Client>>().cloned()
}
