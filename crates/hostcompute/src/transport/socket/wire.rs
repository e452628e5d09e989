//! HTTP/1.1 on a stream, the client's side, blocking: requests out, answers in, one after the other on one connection.
//!
//! Only what a service of ours sends is understood: lengths, chunks, no compression. `httparse` reads the syntax. Upgraded connections
//! are read in `streams.rs`.

use std::io::{self, Read, Write};

use super::stream::Stream;
use crate::Address;
use crate::transport::eager::{self, Eager};

/// A connection and what was read from it beyond the last answer.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// What every request carries where the stream itself does not say who asks.
    token: Option<String>,
    /// Read and not used yet: from `start` on.
    buffer: Vec<u8>,
    start: usize,
    eager: Eager,
}

/// A request.
#[derive(Debug)]
pub struct Request<'a> {
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    /// Empty for none.
    pub body: &'a str,
}

/// What stands before the body of an answer.
#[derive(Debug, Default)]
pub struct Head {
    pub status: u16,
    /// Those that anybody here asks for, in lower case.
    headers: Vec<(String, String)>,
    framing: Framing,
    /// The other side ends the connection after this answer.
    last: bool,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Framing {
    #[default]
    Nothing,
    Length(u64),
    Chunks,
    UntilTheEnd,
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub struct Incoming {
    pub head: Head,
    connection: Connection,
    /// Of the body or of the current chunk.
    left: u64,
    /// A chunk has been read, and its line end has not.
    within: bool,
    over: bool,
}

/// Longer heads are no answers of a service of ours.
const LONGEST_HEAD: usize = 64 * 1024;

/// How many headers an answer may have.
const HEADERS: usize = 64;

/// What is read at once.
const PIECE: usize = 16 * 1024;

/// What is sent at once of a body that has no known length.
#[cfg(images)]
const CHUNK: usize = 128 * 1024;

impl Connection {
    /// Connects to a service.
    ///
    /// # Errors
    /// Nothing listens, or the caller may not.
    pub fn open(address: &Address) -> io::Result<Self> {
        let (stream, token) = Stream::open(address)?;
        Ok(Self { token, ..Self::of(stream) })
    }

    pub(super) fn of(stream: impl Into<Stream>) -> Self {
        let eager = Eager::for_at_most(eager::CHANGE);
        Self { stream: stream.into(), token: None, buffer: Vec::new(), start: 0, eager }
    }

    /// Whether the other side has ended a connection that waits for nothing.
    pub fn is_dead(&mut self) -> bool {
        // Unasked bytes are as bad as an end.
        !self.stream.is_quiet()
    }

    /// Sends a request; whoever has the stream reads the answer.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) fn send(mut self, request: &Request<'_>) -> io::Result<Stream> {
        self.stream.write_all(&self.written(request))?;
        Ok(self.stream)
    }

    /// Sends a request whose body is what a file or pipe holds, and reads the head of the answer.
    ///
    /// # Errors
    /// The file cannot be read (the request is then left unfinished), the connection broke, or the answer is none.
    #[cfg(images)]
    pub(super) fn pour(
        mut self,
        request: &Request<'_>,
        mut from: std::fs::File,
    ) -> io::Result<Incoming> {
        let mut sent = self.stream.write_all(self.head_of_chunks(request).as_bytes());
        let mut piece = vec![0; CHUNK];
        while sent.is_ok() {
            let read = match from.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let chunk = piece.get(..read).unwrap_or_default();
            // One of no bytes is the last.
            sent = self.stream.write_all(format!("{read:x}\r\n").as_bytes());
            sent = sent.and_then(|()| self.stream.write_all(chunk));
            sent = sent.and_then(|()| self.stream.write_all(b"\r\n"));
            if read == 0 {
                break;
            }
        }
        self.answered(request, sent)
    }

    /// Sends a request and reads the head of the answer.
    ///
    /// # Errors
    /// The connection broke, or the answer is none.
    pub fn ask(mut self, request: &Request<'_>) -> io::Result<Incoming> {
        let sent = self.stream.write_all(&self.written(request));
        self.answered(request, sent)
    }

    /// The head of the answer to what was sent, as far as it could be.
    fn answered(mut self, request: &Request<'_>, sent: io::Result<()>) -> io::Result<Incoming> {
        self.eager.spoken();
        // Whoever refuses a long request may answer and close before it was sent: that answer counts.
        let head = match (self.head(request.method), sent) {
            (Ok(head), _) => head,
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(error),
        };
        let Self { stream, buffer, start, eager, token } = self;
        let mut incoming = Incoming::begun(stream, buffer, start, head);
        (incoming.connection.eager, incoming.connection.token) = (eager, token);
        Ok(incoming)
    }

    /// What stands before every body.
    fn head_of(&self, request: &Request<'_>) -> String {
        let mut text =
            format!("{} {} HTTP/1.1\r\nhost: localhost\r\n", request.method, request.target);
        if let Some(token) = &self.token {
            text.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        for (name, value) in &request.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text
    }

    /// What stands before a body of unknown length.
    #[cfg(images)]
    fn head_of_chunks(&self, request: &Request<'_>) -> String {
        let kind = "content-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        self.head_of(request) + kind
    }

    fn written(&self, request: &Request<'_>) -> Vec<u8> {
        let mut text = self.head_of(request);
        if !request.body.is_empty() {
            let length = request.body.len();
            text.push_str(&format!(
                "content-type: application/json\r\ncontent-length: {length}\r\n"
            ));
        } else if !matches!(request.method, "GET" | "HEAD" | "DELETE") {
            text.push_str("content-length: 0\r\n");
        }
        text.push_str("\r\n");
        text.push_str(request.body);
        text.into_bytes()
    }

    fn head(&mut self, method: &str) -> io::Result<Head> {
        loop {
            if let Some((length, head)) = Head::parse(self.unread(), method)? {
                self.start += length;
                // A service may say that it goes on, before the answer.
                if head.status >= 200 {
                    return Ok(head);
                }
                continue;
            }
            if self.unread().len() > LONGEST_HEAD {
                return Err(garbled("the head of an answer does not end"));
            }
            self.fill()?;
        }
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Reads more.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + PIECE, 0);
        let room = self.buffer.get_mut(length..).unwrap_or_default();
        let read = loop {
            if let Some(read) = self.stream.listen(&mut self.eager, room) {
                break Ok(read);
            }
            match self.stream.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.eager.heard();
        self.buffer.truncate(length + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            other => other.map(drop),
        }
    }
}

impl Head {
    /// The head of an answer and its length; `None` when it has not arrived whole.
    pub(super) fn parse(bytes: &[u8], method: &str) -> io::Result<Option<(usize, Head)>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let length = match answer.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(garbled(&error.to_string())),
        };
        let mut head = Head { status: answer.code.unwrap_or_default(), ..Head::default() };
        head.headers = answer
            .headers
            .iter()
            .map(|header| {
                let value = String::from_utf8_lossy(header.value).into_owned();
                (header.name.to_ascii_lowercase(), value)
            })
            .collect();
        let says = |name: &str, word: &str| {
            head.header(name).is_some_and(|value| {
                value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
            })
        };
        let chunks = says("transfer-encoding", "chunked");
        let last = says("connection", "close");
        let announced = head.header("content-length").map(|length| {
            length.trim().parse().map_err(|_| garbled("the length of an answer is no number"))
        });
        let announced: Option<u64> = announced.transpose()?;
        head.last = last;
        head.framing = match announced {
            _ if method == "HEAD" || matches!(head.status, 100..200 | 204 | 304) => {
                Framing::Nothing
            }
            _ if chunks => Framing::Chunks,
            Some(length) => Framing::Length(length),
            None => Framing::UntilTheEnd,
        };
        Ok(Some((length, head)))
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the body is of this media type.
    pub fn is(&self, media: &str) -> bool {
        self.header("content-type").is_some_and(|given| given.starts_with(media))
    }
}

impl Incoming {
    /// The connection, for another thread to end it.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn stream(&self) -> io::Result<Stream> {
        self.connection.stream.try_clone()
    }

    /// An answer of which this has been read: the head is so long, what follows belongs to the body.
    pub(super) fn begun(stream: Stream, buffer: Vec<u8>, start: usize, head: Head) -> Self {
        let left = if let Framing::Length(length) = head.framing { length } else { 0 };
        let over = matches!(head.framing, Framing::Nothing | Framing::Length(0));
        let connection = Connection { buffer, start, ..Connection::of(stream) };
        Self { head, connection, left, within: false, over }
    }

    /// Appends the next piece of the body, waiting for it; false at the end.
    ///
    /// # Errors
    /// The connection broke in the middle.
    pub fn more(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        if !self.over && self.left == 0 && self.head.framing == Framing::Chunks {
            self.next_chunk()?;
        }
        if self.over {
            return Ok(false);
        }
        if self.connection.unread().is_empty() {
            match self.connection.fill() {
                Err(error)
                    if error.kind() == io::ErrorKind::UnexpectedEof
                        && self.head.framing == Framing::UntilTheEnd =>
                {
                    self.over = true;
                    return Ok(false);
                }
                filled => filled?,
            }
        }
        let unread = self.connection.unread();
        let here = match self.head.framing {
            Framing::UntilTheEnd => unread.len(),
            _ => unread.len().min(usize::try_from(self.left).unwrap_or(usize::MAX)),
        };
        into.extend_from_slice(unread.get(..here).unwrap_or_default());
        self.connection.start += here;
        if self.head.framing != Framing::UntilTheEnd {
            self.left -= here as u64;
            self.over = self.left == 0 && self.head.framing != Framing::Chunks;
        }
        Ok(true)
    }

    /// The whole body, and the connection when it can be used again.
    ///
    /// # Errors
    /// The connection broke in the middle.
    pub fn whole(mut self) -> io::Result<(Head, Vec<u8>, Option<Connection>)> {
        let mut body = Vec::new();
        while self.more(&mut body)? {}
        let reusable = !self.head.last && self.head.framing != Framing::UntilTheEnd;
        Ok((self.head, body, reusable.then_some(self.connection)))
    }

    /// Reads the line that says how long the next chunk is; after the last one, up to the end of the answer.
    fn next_chunk(&mut self) -> io::Result<()> {
        if self.within {
            self.line_end()?;
        }
        let length = loop {
            match httparse::parse_chunk_size(self.connection.unread()) {
                Ok(httparse::Status::Complete((index, length))) => {
                    self.connection.start += index;
                    break length;
                }
                Ok(httparse::Status::Partial) => self.connection.fill()?,
                Err(_) => return Err(garbled("the length of a chunk cannot be read")),
            }
        };
        (self.left, self.within) = (length, true);
        if length == 0 {
            // Trailers are not sent by a service of ours.
            self.line_end()?;
            self.over = true;
        }
        Ok(())
    }

    fn line_end(&mut self) -> io::Result<()> {
        while self.connection.unread().len() < 2 {
            self.connection.fill()?;
        }
        if !self.connection.unread().starts_with(b"\r\n") {
            return Err(garbled("a chunk does not end where it said"));
        }
        self.connection.start += 2;
        Ok(())
    }
}

fn garbled(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

// Their peers are the other ends of unix sockets.
#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// What a client reads when a service sends `pieces`, each in its own write.
    fn answered(method: &'static str, pieces: &[&str]) -> io::Result<(Head, String, bool)> {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let connection = Connection::of(ours);
        let request = Request { method, target: "/".to_owned(), headers: Vec::new(), body: "" };
        for piece in pieces {
            theirs.write_all(piece.as_bytes()).expect("room");
        }
        theirs.shutdown(std::net::Shutdown::Write).expect("open");
        let (head, body, connection) = connection.ask(&request)?.whole()?;
        Ok((head, String::from_utf8(body).expect("text"), connection.is_some()))
    }

    #[test]
    fn bodies_end_where_they_say() {
        let (head, body, reusable) =
            answered("GET", &["HTTP/1.1 200 OK\r\nA: b\r\ncontent-le", "ngth: 5\r\n\r\nhe", "llo"])
                .expect("whole");
        assert_eq!(
            (head.status, head.header("a"), &*body, reusable),
            (200, Some("b"), "hello", true)
        );
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let (_, body, reusable) =
            answered("GET", &[chunked, "3\r\nhel\r", "\n2\r\nlo\r\n0\r\n", "\r\n"]).expect("whole");
        assert_eq!((&*body, reusable), ("hello", true));
        let (_, body, reusable) =
            answered("GET", &["HTTP/1.1 200 OK\r\n\r\nhello"]).expect("whole");
        assert_eq!((&*body, reusable), ("hello", false));
        let closing = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        let (head, body, reusable) = answered("POST", &[closing]).expect("whole");
        assert_eq!((head.status, &*body, reusable), (204, "", false));
        let (_, body, reusable) =
            answered("HEAD", &["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"]).expect("whole");
        assert_eq!((&*body, reusable), ("", true));
        let (head, ..) =
            answered("POST", &["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"])
                .expect("whole");
        assert_eq!(head.status, 204);
    }

    #[test]
    fn answers_that_break_off_or_are_none_are_errors() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for (pieces, kind) in [
            (&[""][..], io::ErrorKind::UnexpectedEof),
            (&["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhe"], io::ErrorKind::UnexpectedEof),
            (&[chunked, "3\r\nhe"], io::ErrorKind::UnexpectedEof),
            (&[chunked, "3\r\nhello\r\n"], io::ErrorKind::InvalidData),
            (&[chunked, "zz\r\n"], io::ErrorKind::InvalidData),
            (&["SSH-2.0\r\n\r\n"], io::ErrorKind::InvalidData),
            (&["HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"], io::ErrorKind::InvalidData),
        ] {
            let error = answered("GET", pieces).expect_err(pieces[0]);
            assert_eq!(error.kind(), kind, "{pieces:?}");
        }
    }

    #[test]
    fn a_connection_that_was_ended_is_noticed() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let mut connection = Connection::of(ours);
        assert!(!connection.is_dead());
        drop(theirs);
        assert!(connection.is_dead());
    }
}
