//! The least that speaks HTTP/1.1 over a unix socket: one connection, one request at a time, no other headers than needed.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

/// One connection to the service.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    /// How many bytes of `answer` the last answer has, and where its body begins.
    length: usize,
    body: usize,
}

impl Client {
    pub fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("connecting to {}", socket.display()))?;
        Ok(Self { stream, request: Vec::new(), answer: Vec::new(), length: 0, body: 0 })
    }

    /// Sends a request and waits for its answer; anything but success is an error.
    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<&[u8]> {
        self.request.clear();
        write!(
            self.request,
            "{method} {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        self.stream.write_all(&self.request)?;
        let status = self.receive().with_context(|| format!("{method} {path}"))?;
        let body = self.answer.get(self.body..self.length).unwrap_or_default();
        if !(200..300).contains(&status) {
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(body));
        }
        Ok(body)
    }

    /// As [`Self::ask`], for answers that are JSON.
    pub fn ask_json(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let answer = self.ask(method, path, body)?;
        serde_json::from_slice(answer).with_context(|| format!("{method} {path}"))
    }

    /// Creates an object; the answer is its id.
    pub fn create(&mut self, path: &str, body: &str) -> anyhow::Result<String> {
        let id = self.ask_json("POST", path, body)?;
        Ok(id.as_str().with_context(|| format!("POST {path}: no id"))?.to_owned())
    }

    /// The sizes of the last request and of its answer.
    pub fn sizes(&self) -> (usize, usize) {
        (self.request.len(), self.length)
    }

    /// Reads one answer; returns its status.
    fn receive(&mut self) -> anyhow::Result<u16> {
        let mut have = 0;
        loop {
            if let Some(head) = head(self.answer.get(..have).unwrap_or_default())? {
                self.body = head.length;
                self.length = head.length + head.body;
                while have < self.length {
                    have += self.read_more(have)?;
                }
                return Ok(head.status);
            }
            have += self.read_more(have)?;
        }
    }

    fn read_more(&mut self, have: usize) -> anyhow::Result<usize> {
        let room = (have + 4096).max(self.length);
        if self.answer.len() < room {
            self.answer.resize(room, 0);
        }
        match self.stream.read(self.answer.get_mut(have..).unwrap_or_default())? {
            0 => bail!("the service has closed the connection"),
            read => Ok(read),
        }
    }
}

/// What the head of an answer says.
struct Head {
    status: u16,
    /// Of the head itself.
    length: usize,
    /// Of what follows it.
    body: usize,
}

/// The head, once it is complete.
fn head(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?;
    let status: u16 = status.parse().context("reading the status")?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse())
    });
    let body = match length {
        Some(length) => length.context("reading the length")?,
        None if status == 204 => 0,
        None => bail!("an answer without length: {text}"),
    };
    Ok(Some(Head { status, length: end + 4, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(u16, usize, usize)> {
        head(text.as_bytes())
            .expect("well formed")
            .map(|head| (head.status, head.length, head.body))
    }

    #[test]
    fn heads_are_read_when_they_are_complete() {
        assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"), None);
        assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), Some((200, 38, 3)));
        assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n"), Some((204, 27, 0)));
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(head(b"nonsense\r\n\r\n").is_err());
    }
}
