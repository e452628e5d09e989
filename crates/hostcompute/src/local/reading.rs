//! Reading a pipe until its end, or until another thread says that nobody wants more.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use hostcompute_schema::{Failure, HResult};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use crate::transport::Log;

/// The log that a pipe brings.
///
/// # Errors
/// E_OUTOFMEMORY when there are no descriptors left.
pub fn log(pipe: OwnedFd) -> Result<Log, Failure> {
    let end = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|error| {
        let why = "there is no descriptor to end a log with";
        Failure::new(HResult::E_OUTOFMEMORY, why).because(&io::Error::from(error))
    })?;
    let end = Arc::new(end);
    let ender = end.clone();
    let interrupt = move || {
        // It fails only when it has been said too often: said it is.
        let _ = rustix::io::write(&*ender, &1_u64.to_ne_bytes());
    };
    Ok(Log::stoppable(Box::new(Pipe { pipe: pipe.into(), end }), Box::new(interrupt)))
}

struct Pipe {
    pipe: File,
    /// Readable from when nobody wants more.
    end: Arc<OwnedFd>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut both =
                [PollFd::new(&self.pipe, PollFlags::IN), PollFd::new(&*self.end, PollFlags::IN)];
            match poll(&mut both, None) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) if !both[1].revents().is_empty() => return Ok(0),
                Ok(_) => return self.pipe.read(buffer),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_pipe_is_read_to_its_end() {
        let (from, mut to) = io::pipe().expect("a pipe");
        let mut log = log(from.into()).expect("a log");
        to.write_all(b"hello").expect("written");
        drop(to);
        let mut read = String::new();
        log.read_to_string(&mut read).expect("read");
        assert_eq!(read, "hello");
    }

    #[test]
    fn one_that_waits_is_ended_by_another_thread() {
        let (from, to) = io::pipe().expect("a pipe");
        let mut log = log(from.into()).expect("a log");
        let stopper = log.stopper();
        let reader = std::thread::spawn(move || log.read(&mut [0; 8]).expect("an end"));
        stopper.stop();
        assert_eq!(reader.join().expect("no panic"), 0);
        // Nobody had ended it.
        drop(to);
    }
}
