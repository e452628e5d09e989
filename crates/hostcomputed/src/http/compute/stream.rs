//! Answers that go on: what happens to a system, what its processes write.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use axum::body::Bytes;
use axum::response::Response;
use hostcompute::local::compute as local;
use hostcompute_engine::compute::event::EventType;
use hostcompute_schema::Document;
use hostcompute_schema::hcs::ComputeEvent;
use hostcompute_service::compute::{Notice, Subscription};
use hostcompute_service::server::Lease;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use serde_json::json;
use tokio::sync::mpsc;

use crate::http::{Edge, answer, events};

/// How often a log that says nothing is given up when its client has gone.
const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What is read of a log at once.
const PIECE: usize = 64 << 10;

/// Pieces that wait for the client; the log waits then.
const PIECES: usize = 4;

/// The stream of a subscription, which has a place among its user's.
pub fn events(subscription: Subscription, place: Lease) -> Response {
    events::of(Told(subscription, place))
}

/// The notices of one system.
#[derive(Debug)]
struct Told(Subscription, #[expect(dead_code, reason = "kept for its end")] Lease);

impl events::Source for Told {
    fn next(&self) -> Option<String> {
        self.0.take().map(|notice| written(&notice))
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }

    fn on_ready(&self, ring: Box<dyn Fn() + Send + Sync>) {
        self.0.on_ready(ring);
    }
}

fn written(notice: &Notice) -> String {
    let (name, event) = match notice {
        Notice::Event(event) => (event.kind().name(), local::event(event)),
        Notice::Disconnected(why) => {
            let kind = EventType::ServiceDisconnect;
            let event = ComputeEvent {
                kind: Some(kind as u32),
                data: Some(json!({ "Reason": format!("{why:?}") })),
                ..ComputeEvent::default()
            };
            (kind.name(), event)
        }
    };
    format!("event: {name}\ndata: {}\n\n", event.to_value())
}

/// The text of a log, as long as there is some. It has a place among its user's subscriptions: it takes a thread.
pub fn log(edge: &Edge, log: OwnedFd, place: Lease) -> Response {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(PIECES);
    edge.background().spawn_blocking(move || {
        let _place = place;
        let mut log = File::from(log);
        let mut piece = vec![0; PIECE];
        loop {
            let mut readable = [PollFd::new(&log, PollFlags::IN)];
            match poll(&mut readable, Some(&LOOK)) {
                // Nothing yet: is there still somebody to tell?
                Ok(0) if !sender.is_closed() => continue,
                Ok(0) => return,
                _ => {}
            }
            let Ok(read @ 1..) = log.read(&mut piece) else { return };
            let text = Bytes::copy_from_slice(piece.get(..read).unwrap_or_default());
            if sender.blocking_send(text).is_err() {
                return;
            }
        }
    });
    answer::as_they_come("application/octet-stream", move |context| receiver.poll_recv(context))
}
