//! Server-Sent Events: what happens, as it happens, until the client goes or falls too far behind.
//!
//! The subscription's queue is bounded by the service, and this side takes from it only what the connection can carry: a client that
//! does not read is cut off by the service, with `ServiceDisconnect` as the last event, and delays nobody.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use hostcompute_schema::{Failure, HResult};
use hostcompute_service::server::Following;
use hostcompute_service::{Notice, Subscription};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::{Instant, Interval};

use super::bell::Bell;
use super::long;

/// The event that ends every stream that the service ends (HCN_NOTIFICATIONS).
const SERVICE_DISCONNECT: u32 = 0x0100_0000;

/// Proxies and browsers take a silent connection for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Events that travel in one piece.
const AT_ONCE: usize = 64;

/// The number of the last event that the client has, when it comes back.
///
/// # Errors
/// E_INVALIDARG for something that is no number.
pub fn last_event(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| {
        Failure::new(HResult::E_INVALIDARG, "Last-Event-ID is not the number of an event")
    })
}

/// The stream of a subscription.
pub fn stream(subscription: Subscription) -> Response {
    of(subscription)
}

/// The stream of an operation that nobody waits for.
pub fn progress(following: Following) -> Response {
    of(following)
}

/// The stream of whatever has events.
pub fn of(source: impl Source) -> Response {
    let bell = Bell::default();
    let rung = bell.clone();
    source.on_ready(Box::new(move || rung.ring()));
    let pulse = tokio::time::interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    let stream = Stream { source, bell, pulse, greeted: false };
    let mut response = Response::new(Body::new(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Where events come from.
pub trait Source: Send + Unpin + 'static {
    /// The next event as it travels, if there is one.
    fn next(&self) -> Option<String>;

    /// Whether nothing comes any more.
    fn is_over(&self) -> bool;

    /// From now on `ring` is called when something has come.
    fn on_ready(&self, ring: Box<dyn Fn() + Send + Sync>);
}

impl Source for Subscription {
    fn next(&self) -> Option<String> {
        self.try_next().map(|notice| written(&notice))
    }

    fn is_over(&self) -> bool {
        Self::is_over(self)
    }

    fn on_ready(&self, ring: Box<dyn Fn() + Send + Sync>) {
        Self::on_ready(self, ring);
    }
}

impl Source for Following {
    fn next(&self) -> Option<String> {
        self.try_next().map(|update| long::written(&update))
    }

    fn is_over(&self) -> bool {
        Self::is_over(self)
    }

    fn on_ready(&self, ring: Box<dyn Fn() + Send + Sync>) {
        Self::on_ready(self, ring);
    }
}

/// The body of the answer.
#[derive(Debug)]
struct Stream<S> {
    source: S,
    bell: Bell,
    pulse: Interval,
    greeted: bool,
}

impl<S: Source> hyper::body::Body for Stream<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.bell.listen(context);
        let mut text = String::new();
        while self.pulse.poll_tick(context).is_ready() || !self.greeted {
            // The first beat comes at once, and tells the client that it is heard from now on.
            self.greeted = true;
            text.push_str(": still here\n\n");
        }
        text.extend(std::iter::from_fn(|| self.source.next()).take(AT_ONCE));
        match (text.is_empty(), self.source.is_over()) {
            (false, _) => Poll::Ready(Some(Ok(Frame::data(text.into())))),
            (true, true) => Poll::Ready(None),
            (true, false) => Poll::Pending,
        }
    }
}

/// A notification as it travels.
fn written(notice: &Notice) -> String {
    match notice {
        Notice::Event { number, event } => {
            let name = event.kind.name();
            let data = notification(event.kind as u32, name, event.data());
            format!("id: {number}\nevent: {name}\ndata: {data}\n\n")
        }
        Notice::Missed(count) => format!("event: Missed\ndata: {}\n\n", json!({ "Count": count })),
        Notice::Disconnected(why) => {
            let data = json!({ "Reason": why.reason() });
            let data = notification(SERVICE_DISCONNECT, "ServiceDisconnect", data);
            format!("event: ServiceDisconnect\ndata: {data}\n\n")
        }
    }
}

fn notification(number: u32, name: &str, data: Value) -> Value {
    json!({ "Type": number, "Name": name, "Data": data })
}
