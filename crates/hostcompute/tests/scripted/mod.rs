//! A service that says what a test wants: a unix socket where each request is handed to a closure, which answers in plain bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// One request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Counts the connections from 1.
    pub connection: usize,
    /// Method and target.
    pub line: String,
    /// In lower case, one per line.
    pub headers: String,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// What is sent back.
#[derive(Debug, Clone)]
pub enum Says {
    /// An answer, after which the connection goes on.
    This(String),
    /// These bytes, and the end.
    Last(String),
}

pub fn document(body: &str) -> Says {
    Says::This(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

pub fn problem(failure: &hostcompute::Failure) -> Says {
    let body = failure.problem().to_string();
    Says::This(format!(
        "HTTP/1.1 {} No\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\r\n{body}",
        failure.http_status(),
        body.len()
    ))
}

/// A stream of events that breaks off after these.
pub fn stream(events: &str) -> Says {
    Says::Last(format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{events}"))
}

/// The service; its socket goes with the value.
pub struct Scripted {
    directory: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Scripted {
    /// Answers every request by `script`, but for `GET /version`.
    pub fn new(script: impl Fn(&Seen) -> Says + Send + Sync + 'static) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hostcompute-socket-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a directory for the test");
        let listener = UnixListener::bind(directory.join("hostcompute.sock")).expect("bound");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let told = seen.clone();
        let script = Arc::new(script);
        std::thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                let (told, script) = (told.clone(), script.clone());
                std::thread::spawn(move || converse(stream, index + 1, &told, &*script));
            }
        });
        Self { directory, seen }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("hostcompute.sock")
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What was asked, but for `GET /version`.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn converse(
    mut stream: UnixStream,
    connection: usize,
    told: &Mutex<Vec<Seen>>,
    script: &dyn Fn(&Seen) -> Says,
) {
    let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
    while let Some(seen) = request(&mut reader, connection) {
        let says = if seen.line == "GET /version" {
            document("{}")
        } else {
            told.lock().expect("no panic").push(seen.clone());
            script(&seen)
        };
        match says {
            Says::This(text) => stream.write_all(text.as_bytes()).expect("the client reads"),
            Says::Last(text) => {
                let _ = stream.write_all(text.as_bytes());
                return;
            }
        }
    }
}

fn request(reader: &mut BufReader<UnixStream>, connection: usize) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = String::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim_end().is_empty() {
            break;
        }
        headers.push_str(header.trim_end());
        headers.push('\n');
    }
    let mut seen = Seen { connection, line, headers, body: String::new() };
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    seen.body = String::from_utf8(body).expect("text");
    Some(seen)
}
