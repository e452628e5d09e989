//! Notifications as Server-Sent Events: read from a connection of their own, taken up again where they broke off.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use hostcompute_schema::{Failure, HResult};
use serde_json::Value;

use super::letter::Letter;
use super::stream::Stream;
use super::wire::Incoming;
use super::{LONGEST_PAUSE, Reply, Socket, Trouble, locked};
use crate::transport::{Event, Events, Notice, Source, Topic};

/// A subscription over the socket.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    to: Topic,
    stream: Option<Incoming>,
    lines: Lines,
    ready: VecDeque<Notice>,
    /// The number of the last notification: after it things go on.
    last: Option<u64>,
    /// The stream has brought nothing yet.
    fruitless: bool,
    line: Arc<Mutex<Line>>,
}

/// How another thread reaches one that listens.
#[derive(Debug, Default)]
struct Line {
    /// The connection that is being listened to.
    stream: Option<Stream>,
    interrupted: bool,
}

impl Listener {
    /// Subscribes.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    pub fn open(socket: &Socket, to: Topic, after: Option<u64>) -> Result<Self, Failure> {
        let mut listener = Self {
            socket: socket.clone(),
            to,
            stream: None,
            lines: Lines::default(),
            ready: VecDeque::new(),
            last: after,
            fruitless: true,
            line: Arc::default(),
        };
        listener.connect()?;
        Ok(listener)
    }

    /// Everything up to the notification before number `next`.
    ///
    /// # Errors
    /// The service cannot be reached.
    pub fn until(mut self, next: u64) -> Result<Events, Failure> {
        let mut events = Events { next, ..Events::default() };
        let mut reached = self.last.unwrap_or_default();
        while reached.saturating_add(1) < next {
            match self.wait()? {
                Notice::Event(event) => {
                    reached = event.number;
                    events.events.push(event);
                }
                // The numbers are those of another history: what was asked for is gone.
                Notice::Missed(0) => break,
                Notice::Missed(count) => {
                    events.missed += count;
                    reached = reached.saturating_add(count);
                }
            }
        }
        Ok(events)
    }

    fn connect(&mut self) -> Result<(), Failure> {
        let letter = Letter::of_topic(self.to, self.last);
        let line = self.line.clone();
        let begun = self.socket.patiently(&letter, || {
            if locked(&line).interrupted {
                // Nobody waits for a service to come back any more.
                return Err(Trouble::Unreachable(io::ErrorKind::Interrupted.into()));
            }
            let connection = self.socket.open()?;
            connection.ask(&letter.request).map_err(Trouble::Broken)
        });
        let incoming = begun?;
        if incoming.head.is("text/event-stream") {
            self.lines = Lines::default();
            locked(&self.line).stream = incoming.stream().ok();
            self.stream = Some(incoming);
            self.fruitless = true;
            return Ok(());
        }
        let broken = |error| Trouble::Broken(error).failure(self.socket.address(), &letter.line());
        let (head, body, _) = incoming.whole().map_err(broken)?;
        Reply { head, body }.succeeded()?;
        let not_ours = io::Error::new(io::ErrorKind::InvalidData, "no stream of events");
        Err(broken(not_ours))
    }

    /// Reads what has come; whether the stream goes on.
    fn read(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut piece = Vec::new();
        if !matches!(stream.more(&mut piece), Ok(true)) {
            return false;
        }
        for told in self.lines.take(&piece) {
            // The service says why, and there is nothing to do about it but to come back.
            if told.name == "ServiceDisconnect" {
                return false;
            }
            self.fruitless = false;
            match told.name.as_str() {
                "Missed" => {
                    let count = told.data.get("Count").and_then(Value::as_u64);
                    self.ready.push_back(Notice::Missed(count.unwrap_or_default()));
                }
                _ => {
                    let Some(event) = told.event() else { continue };
                    self.last = Some(event.number);
                    self.ready.push_back(Notice::Event(event));
                }
            }
        }
        true
    }
}

impl Source for Listener {
    fn wait(&mut self) -> Result<Notice, Failure> {
        loop {
            if let Some(notice) = self.ready.pop_front() {
                return Ok(notice);
            }
            if locked(&self.line).interrupted {
                return Err(Failure::new(HResult::E_ABORT, "the subscription was ended"));
            }
            if self.stream.is_none() {
                self.connect()?;
                if locked(&self.line).interrupted {
                    continue;
                }
                if self.last.is_none() {
                    // Nothing was heard yet, so nobody can say what was missed.
                    return Ok(Notice::Missed(0));
                }
            }
            if !self.read() {
                self.stream = None;
                if self.fruitless {
                    // A service that is about to end: asking again at once would only keep it from that.
                    std::thread::sleep(LONGEST_PAUSE);
                }
            }
        }
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync> {
        let line = self.line.clone();
        Box::new(move || {
            let mut line = locked(&line);
            line.interrupted = true;
            if let Some(stream) = line.stream.take() {
                stream.end();
            }
        })
    }
}

/// Server-Sent Events, put together from pieces.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// A line that has not ended.
    line: Vec<u8>,
    number: Option<u64>,
    name: String,
    data: String,
}

/// One event as it was written.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    number: Option<u64>,
    pub name: String,
    pub data: Value,
}

impl Told {
    fn event(self) -> Option<Event> {
        Some(Event {
            number: self.number?,
            code: self.data.get("Type").and_then(Value::as_u64)?.try_into().ok()?,
            name: self.name,
            data: self.data.get("Data").cloned().unwrap_or_default(),
        })
    }
}

impl Lines {
    /// The events that this piece brings to an end.
    pub fn take(&mut self, piece: &[u8]) -> Vec<Told> {
        let mut told = Vec::new();
        for byte in piece {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(&line);
            told.extend(self.take_line(line.trim_end_matches('\r')));
        }
        told
    }

    fn take_line(&mut self, line: &str) -> Option<Told> {
        if line.is_empty() {
            let Self { number, name, data, .. } = std::mem::take(self);
            let data = serde_json::from_str(&data).unwrap_or_default();
            return (!name.is_empty()).then_some(Told { number, name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.number = value.parse().ok(),
            "event" => self.name = value.to_owned(),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // A comment, by which the service shows that it is alive.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_put_together_from_any_pieces() {
        let text = ": still here\n\nid: 7\r\nevent: NetworkCreate\ndata: {\"Type\":2,\n\
                    data: \"Data\":{\"ID\":\"x\"}}\n\nevent: Missed\ndata: {\"Count\":3}\n\nid: 8\n";
        for size in [1, 2, 7, text.len()] {
            let mut lines = Lines::default();
            let told: Vec<Told> =
                text.as_bytes().chunks(size).flat_map(|piece| lines.take(piece)).collect();
            assert_eq!(told.len(), 2, "pieces of {size}");
            assert_eq!((told[1].name.as_str(), &told[1].data), ("Missed", &json!({ "Count": 3 })));
            let mut told = told;
            let event = told.remove(0).event().expect("an event");
            assert_eq!((event.number, event.code, &*event.name), (7, 2, "NetworkCreate"));
            assert_eq!(event.data, json!({ "ID": "x" }));
        }
    }
}
