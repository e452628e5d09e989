//! HTTP/1.1 as far as the tests need it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::LONG;

/// One connection: one session.
pub struct Connection {
    stream: BufReader<Box<dyn Wire>>,
    /// What every request carries.
    always: String,
}

/// A stream of either kind.
pub trait Wire: Read + Write + Send {
    /// Ends our side.
    fn finish(&self);
}

impl Wire for UnixStream {
    fn finish(&self) {
        // The other side may have closed it already.
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Wire for TcpStream {
    fn finish(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Connection {
    #[track_caller]
    pub fn to(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("connected");
        stream.set_read_timeout(Some(LONG)).expect("set");
        Self { stream: BufReader::new(Box::new(stream)), always: String::new() }
    }

    /// Over TCP, with headers that every request carries.
    #[track_caller]
    pub fn over_tcp(stream: TcpStream, always: &str) -> Self {
        stream.set_read_timeout(Some(LONG)).expect("set");
        Self { stream: BufReader::new(Box::new(stream)), always: always.to_owned() }
    }

    /// A request without headers of its own; the body may be empty.
    #[track_caller]
    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> Reply {
        self.ask_with(method, path, &[], body)
    }

    #[track_caller]
    pub fn ask_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        self.send(method, path, headers, body);
        self.reply(method)
    }

    /// Only the request.
    #[track_caller]
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{}", self.always);
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.write(text.as_bytes());
    }

    /// Any bytes.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("written");
    }

    /// As [`Self::write`], where the other side may have had enough.
    pub fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Ends our side; the other may still speak.
    pub fn finish(&self) {
        self.stream.get_ref().finish();
    }

    /// Only the answer.
    #[track_caller]
    pub fn reply(&mut self, method: &str) -> Reply {
        let (status, headers) = self.head();
        let mut reply = Reply { status, headers, body: String::new() };
        if method == "HEAD" || status == 204 {
            return reply;
        }
        let mut bytes = Vec::new();
        match reply.header("content-length").map(|length| length.parse::<usize>()) {
            Some(length) => {
                bytes.resize(length.expect("a number"), 0);
                self.stream.read_exact(&mut bytes).expect("a whole body");
            }
            None => {
                while let Some(piece) = self.chunk() {
                    bytes.extend(piece)
                }
            }
        }
        reply.body = String::from_utf8(bytes).expect("text");
        reply
    }

    /// The status of an answer after which the connection is something else.
    #[track_caller]
    pub fn switched(&mut self) -> u16 {
        self.head().0
    }

    /// The rest of what the other side says, until it ends.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A connection that is cut has said what it has said.
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    /// Begins to listen.
    #[track_caller]
    pub fn listen(mut self, path: &str, headers: &[(&str, &str)]) -> Stream {
        self.send("GET", path, headers, "");
        let (status, headers) = self.head();
        assert_eq!(status, 200, "{headers:?}");
        let mut stream = Stream { connection: self, text: String::new() };
        // The first beat: from here on nothing is missed.
        assert!(stream.block().expect("a beat").starts_with(':'));
        stream
    }

    #[track_caller]
    fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let first = self.line();
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        (status.unwrap_or_else(|| panic!("no answer: {first:?}")), headers)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// One piece of a body whose length nobody knows.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let length = usize::from_str_radix(&self.line(), 16).ok()?;
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes).ok()?;
        bytes.truncate(length);
        (length > 0).then_some(bytes)
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The id in the answer to a creation.
    #[track_caller]
    pub fn id(self) -> String {
        assert_eq!(self.status, 201, "{self:?}");
        self.json().as_str().expect("an id").to_owned()
    }

    /// The problem document of a failure with this code.
    #[track_caller]
    pub fn refused(self, status: u16, name: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["name"], name, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        problem
    }
}

/// A stream of events.
pub struct Stream {
    connection: Connection,
    text: String,
}

/// One event.
#[derive(Debug, PartialEq)]
pub struct Event {
    pub id: Option<u64>,
    pub name: String,
    pub data: Value,
}

impl Stream {
    /// The next event; `None` when the stream has ended.
    #[track_caller]
    pub fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block()?;
            let field = |name: &str| {
                block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            let Some(name) = field("event") else { continue };
            return Some(Event {
                id: field("id").map(|id| id.parse().expect("a number")),
                name: name.to_owned(),
                data: serde_json::from_str(field("data").expect("data")).expect("JSON"),
            });
        }
    }

    fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let piece = self.connection.chunk()?;
            self.text.push_str(std::str::from_utf8(&piece).expect("text"));
        }
    }
}
