//! Where not every program can read and write a socket as it does a file: the stream is a pipe, and a thread carries its bytes.

use std::io::{self, Write};
use std::thread::{self, JoinHandle};

use super::Carried;
use crate::platform::pipe::{self, End, Inlet};
use crate::transport::StreamEnd;
use crate::transport::socket::stream::Stream;

/// What is carried at once.
const PIECE: usize = 64 * 1024;

/// What ends the pipe, and who carries.
#[derive(Debug)]
pub struct Hold {
    end: End,
    thread: JoinHandle<()>,
}

/// What a process writes.
///
/// # Errors
/// There is no pipe, or no thread.
pub fn output(mut stream: Stream) -> io::Result<StreamEnd> {
    let (mut writer, theirs) = pipe::outgoing()?;
    // Whoever ends it first ends it for both. What was written stays to be read when this end is closed.
    carrier(move || drop(io::copy(&mut stream, &mut writer)))?;
    Ok(theirs)
}

/// What a process reads.
///
/// # Errors
/// There is no pipe, or no thread.
pub fn input(stream: Stream) -> io::Result<Carried> {
    let (inlet, theirs) = pipe::incoming()?;
    let end = inlet.end();
    let thread = carrier(move || carry(inlet, stream))?;
    Ok(Carried { end: theirs, hold: Some(Hold { end, thread }) })
}

fn carrier(work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("hostcompute-stream".to_owned()).spawn(work)
}

fn carry(mut inlet: Inlet, mut stream: Stream) {
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = inlet.read(&mut piece) {
        if stream.write_all(piece.get(..read).unwrap_or_default()).is_err() {
            break;
        }
    }
    stream.finish();
}

impl Hold {
    /// The end comes after everything that was written; waits until it is on its way.
    pub fn finish(self) {
        self.end.tell();
        // A thread that panicked has ended as well.
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    /// Both ends of a connection.
    fn connection() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let ours = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        (Stream::Tcp(ours), listener.accept().expect("accepted").0)
    }

    #[test]
    fn much_output_comes_whole_to_a_slow_reader_and_ends() {
        let (stream, mut process) = connection();
        let written: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
        let mut reader = File::from(output(stream).expect("a pipe"));
        let expected = written.clone();
        let writer = thread::spawn(move || process.write_all(&written).expect("taken"));
        let (mut read, mut piece) = (Vec::new(), [0; 997]);
        loop {
            match reader.read(&mut piece).expect("open") {
                0 => break,
                length => read.extend_from_slice(&piece[..length]),
            }
        }
        writer.join().expect("written");
        assert!(read == expected, "{} of {} bytes", read.len(), expected.len());
    }

    #[test]
    fn what_was_written_is_read_after_the_process_has_gone() {
        let (stream, mut process) = connection();
        let mut reader = File::from(output(stream).expect("a pipe"));
        process.write_all(b"last words").expect("taken");
        drop(process);
        let mut read = String::new();
        reader.read_to_string(&mut read).expect("text");
        assert_eq!(read, "last words");
    }

    #[test]
    fn an_input_ends_after_everything_that_was_written_and_takes_nothing_more() {
        let (stream, mut process) = connection();
        let Carried { end, hold } = input(stream).expect("a pipe");
        let mut writer = File::from(end);
        let reader = thread::spawn(move || {
            let mut read = Vec::new();
            process.read_to_end(&mut read).expect("open");
            read
        });
        for piece in 0..200_u8 {
            writer.write_all(&[piece; 5000]).expect("taken");
        }
        hold.expect("an input").finish();
        let read = reader.join().expect("read");
        assert_eq!(read.len(), 200 * 5000);
        assert!(read.chunks(5000).zip(0..).all(|(piece, number)| piece == [number; 5000]));
        assert!(writer.write_all(b"late").is_err());
    }

    #[test]
    fn an_input_ends_when_the_program_closes_it() {
        let (stream, mut process) = connection();
        let Carried { end, hold } = input(stream).expect("a pipe");
        let mut writer = File::from(end);
        writer.write_all(b"word").expect("taken");
        drop(writer);
        let mut read = String::new();
        process.read_to_string(&mut read).expect("text");
        assert_eq!(read, "word");
        // There is nothing left to end.
        hold.expect("an input").finish();
    }
}
