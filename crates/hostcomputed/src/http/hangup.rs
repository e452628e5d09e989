//! Notices at once that a client has gone, whatever the connection is busy with.
//!
//! Reading finds the end of a connection only when everything sent before has been read, and a client that only ends its own side
//! (`shutdown`) still waits for its answer. The kernel tells the two apart: both directions closed is EPOLLHUP, which is reported
//! even to those who ask for nothing else. Over TCP only a connection that was broken off is seen here; one that ends is read to its end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The end of a connection.
#[derive(Debug)]
pub struct Hangup(AsyncFd<OwnedFd>);

impl Hangup {
    /// Watches this connection.
    ///
    /// # Errors
    /// There are too many descriptors.
    pub fn of(stream: &impl AsFd) -> io::Result<Self> {
        // The event loop has the stream's own descriptor already; it knows each only once.
        let own = stream.as_fd().try_clone_to_owned()?;
        #[expect(deprecated, reason = "unsound for what does not own its descriptor; this does")]
        AsyncFd::with_interest(own, Interest::PRIORITY).map(Self)
    }

    /// Waits until the client is gone.
    pub async fn wait(&self) {
        // An error means that the event loop ends, and with it everything else.
        while let Ok(mut ready) = self.0.ready(Interest::PRIORITY).await {
            if is_gone(self.0.get_ref()) {
                return;
            }
            // Urgent data (MSG_OOB) wakes as well, and means nothing here.
            ready.clear_ready();
        }
    }
}

fn is_gone(descriptor: &OwnedFd) -> bool {
    let mut asked = [PollFd::new(descriptor, PollFlags::empty())];
    match poll(&mut asked, Some(&Timespec::default())) {
        Ok(_) => asked[0].revents().intersects(PollFlags::HUP | PollFlags::ERR),
        Err(_) => false,
    }
}
