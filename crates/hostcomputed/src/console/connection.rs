//! One browser's connection: every request passes the door, then gets a file of the page or goes on to the routes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::{Shared, page};
use crate::http::{Patient, Phase, SESSION};

/// How long a browser may take to send the head of a request, and to leave a connection unused.
const HEAD: Duration = Duration::from_secs(60);

/// Serves a connection until the browser goes, or the phase ends it.
pub async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    router: Router,
    mut phase: watch::Receiver<Phase>,
) {
    // Events are small, and are to be seen at once.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Patient::new(stream, shared.edge.write_patience()));
    let visit = Visit { shared, router: TowerToHyperService::new(router) };
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .auto_date_header(false)
            .serve_connection(io, visit)
    );
    let mut closing = false;
    loop {
        tokio::select! {
            biased;
            // What browsers send and how they leave is their affair.
            _ = connection.as_mut() => return,
            _ = phase.wait_for(|phase| *phase >= Phase::Closing), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The router behind the door.
struct Visit {
    shared: Arc<Shared>,
    router: TowerToHyperService<Router>,
}

impl Service<Request<Incoming>> for Visit {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let at_once = self.answer_at_once(&request);
        request.extensions_mut().insert(self.shared.client.clone());
        // All browsers are in the console's own session.
        request.headers_mut().remove(SESSION);
        let router = self.router.clone();
        Box::pin(async move {
            let mut response = match at_once {
                Some(response) => response,
                None => router.call(request).await?,
            };
            response.headers_mut().remove(SESSION);
            page::guard(response.headers_mut());
            Ok(response)
        })
    }
}

impl Visit {
    /// A file of the page, or why the request goes no further.
    fn answer_at_once(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        let door = &self.shared.door;
        if let Err(refused) = door.meant(request.headers()) {
            return Some(door.refusal(refused));
        }
        if [Method::GET, Method::HEAD].contains(request.method())
            && let Some(file) = page::file(request.uri().path())
        {
            return Some(file);
        }
        door.admit(request.headers()).err().map(|refused| door.refusal(refused))
    }
}
