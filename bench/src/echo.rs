//! The least that a question over a unix socket can cost: a thread that answers so many bytes with so many bytes.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Instant;

use crate::statistics::Samples;

/// A connection to an echoing thread.
#[derive(Debug)]
pub struct Echo {
    stream: UnixStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Echo {
    /// Listens at `path` and connects to it.
    pub fn start(path: &Path, request: usize, answer: usize) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        std::thread::Builder::new().name("echo".to_owned()).spawn(move || {
            // The end of the connection is the end of the thread.
            listener.accept().and_then(|(stream, _)| serve(stream, request, answer))
        })?;
        let stream = UnixStream::connect(path)?;
        std::fs::remove_file(path)?;
        Ok(Self { stream, request: vec![b'?'; request], answer: vec![0; answer] })
    }

    /// Asks so many times.
    pub fn ask(&mut self, count: usize) -> io::Result<Samples> {
        let mut samples = Samples::default();
        for _ in 0..count {
            let start = Instant::now();
            self.stream.write_all(&self.request)?;
            self.stream.read_exact(&mut self.answer)?;
            samples.push(start.elapsed());
        }
        Ok(samples)
    }
}

fn serve(mut stream: UnixStream, request: usize, answer: usize) -> io::Result<()> {
    let (mut question, answer) = (vec![0; request], vec![b'!'; answer]);
    loop {
        stream.read_exact(&mut question)?;
        stream.write_all(&answer)?;
    }
}
