//! Where not every program can read and write a socket as it does a file: the stream is a pipe, and a thread carries its bytes.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::Carried;
use crate::transport::StreamEnd;
use crate::transport::socket::stream::Stream;

/// What is carried at once.
const PIECE: usize = 64 * 1024;

/// The way into the pipe once more. What a program has written is before whatever is written here.
#[derive(Debug)]
pub struct Hold {
    writer: PipeWriter,
    mark: Vec<u8>,
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What a process writes.
///
/// # Errors
/// There is no pipe, or no thread.
pub fn output(mut stream: Stream) -> io::Result<StreamEnd> {
    let (reader, mut writer) = io::pipe()?;
    // Whoever ends it first ends it for both.
    carrier(move || drop(io::copy(&mut stream, &mut writer)))?;
    Ok(reader.into())
}

/// What a process reads.
///
/// # Errors
/// There is no pipe, or no thread.
pub fn input(stream: Stream) -> io::Result<Carried> {
    let (reader, writer) = io::pipe()?;
    // Nobody else can write the same by accident.
    let mark: Vec<u8> = (0..4).flat_map(|_| crate::random().to_le_bytes()).collect();
    let ends = Arc::new(AtomicBool::new(false));
    let end = writer.try_clone()?.into();
    let (expected, ending) = (mark.clone(), ends.clone());
    let thread = carrier(move || carry(reader, stream, &expected, &ending))?;
    Ok(Carried { end, hold: Some(Hold { writer, mark, ends, thread }) })
}

fn carrier(work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("hostcompute-stream".to_owned()).spawn(work)
}

/// Carries bytes up to the mark, which only counts once the input is to end.
fn carry(mut reader: PipeReader, mut stream: Stream, mark: &[u8], ends: &AtomicBool) {
    let mut piece = vec![0; PIECE];
    let mut waiting = Vec::new();
    while let Ok(read @ 1..) = reader.read(&mut piece) {
        waiting.extend_from_slice(piece.get(..read).unwrap_or_default());
        // What may be the beginning of the mark is kept back only when there may be one.
        let ending = ends.load(Ordering::Acquire);
        let kept = if ending { waiting.len().min(mark.len()) } else { 0 };
        let is_over = ending && waiting.ends_with(mark);
        let rest = waiting.split_off(waiting.len() - kept);
        if stream.write_all(&waiting).is_err() || is_over {
            break;
        }
        waiting = rest;
    }
    stream.finish();
}

impl Hold {
    /// The end comes after everything that was written; waits until it is on its way.
    pub fn finish(mut self) {
        self.ends.store(true, Ordering::Release);
        // A pipe that is broken has ended already, and a thread that panicked as well.
        if self.writer.write_all(&self.mark).is_ok() {
            drop(self.writer);
            let _ = self.thread.join();
        }
    }
}
