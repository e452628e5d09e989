//! Those who speak to the supervisor.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use hostcompute_supervisor::message::{Answer, Call, Notice, Refusal, Said};
use hostcompute_supervisor::wire::{self, Received};

/// A connection.
#[derive(Debug)]
pub struct Client {
    pub id: u64,
    pub socket: OwnedFd,
    /// The system ends with the last of these.
    pub leash: bool,
    /// It closed, or does not read what it is told.
    pub gone: bool,
}

impl Client {
    pub fn new(id: u64, socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self { id, socket, leash: false, gone: false })
    }

    /// The next request; `None` when there is none for now.
    pub fn receive(&mut self) -> Option<Received<Call>> {
        match wire::receive(&self.socket) {
            Ok(Some(received)) => return Some(received),
            Ok(None) => self.gone = true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.gone = true,
        }
        None
    }

    pub fn answer(
        &mut self,
        number: u64,
        answer: Result<Answer, Refusal>,
        descriptors: &[BorrowedFd<'_>],
    ) {
        self.say(&Said::Answer { number, answer }, descriptors);
    }

    pub fn notice(&mut self, notice: &Notice) {
        self.say(&Said::Notice(notice.clone()), &[]);
    }

    fn say(&mut self, said: &Said, descriptors: &[BorrowedFd<'_>]) {
        // Whoever does not read its answers is cut off: nobody waits for it.
        self.gone |= wire::send(&self.socket, said, descriptors).is_err();
    }
}
