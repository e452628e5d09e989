//! One thread that hears all supervisors.
//!
//! It holds no connection: who drops the last handle to a system closes it. It ends with the last value that needs it.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use super::link::Link;

/// The number by which the thread is told to end.
const END: u64 = 0;

/// So many messages of one supervisor before others have their turn.
const TURN: usize = 32;

#[derive(Debug)]
pub(super) struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    epoll: OwnedFd,
    end: OwnedFd,
    links: Mutex<Links>,
}

#[derive(Debug, Default)]
struct Links {
    next: u64,
    by_number: HashMap<u64, Weak<Link>>,
    /// Whether the thread was started.
    is_heard: bool,
}

impl Hub {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let end = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &end, EventData::new_u64(END), EventFlags::IN)?;
        let links = Mutex::default();
        Ok(Self { shared: Arc::new(Shared { epoll, end, links }) })
    }

    /// Hears this one, too, from now on.
    pub(super) fn add(&self, link: &Arc<Link>) -> io::Result<()> {
        let mut links = self.shared.links.lock().unwrap_or_else(PoisonError::into_inner);
        if !links.is_heard {
            let shared = Arc::clone(&self.shared);
            std::thread::Builder::new()
                .name("supervisors".into())
                .stack_size(256 << 10)
                .spawn(move || shared.serve())?;
            links.is_heard = true;
        }
        links.next += 1;
        let number = links.next;
        links.by_number.retain(|_, link| link.strong_count() > 0);
        links.by_number.insert(number, Arc::downgrade(link));
        drop(links);
        Ok(epoll::add(&self.shared.epoll, link, EventData::new_u64(number), EventFlags::IN)?)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.shared.end, &1_u64.to_ne_bytes());
    }
}

impl Shared {
    fn serve(&self) {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "supervisors are not heard any more");
                    return;
                }
            }
            for event in &events {
                match event.data.u64() {
                    END => return,
                    number => self.hear(number),
                }
            }
        }
    }

    fn hear(&self, number: u64) {
        let link = {
            let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            links.by_number.get(&number).and_then(Weak::upgrade)
        };
        // Dropped meanwhile: its descriptor is closed, and with that out of the set.
        let Some(link) = link else { return };
        for _ in 0..TURN {
            if !link.hear() {
                let _ = epoll::delete(&self.epoll, &*link);
                self.links.lock().unwrap_or_else(PoisonError::into_inner).by_number.remove(&number);
                return;
            }
            if !has_more(&link) {
                return;
            }
        }
    }
}

/// Whether a message is there already.
fn has_more(link: &Link) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut wait = [PollFd::new(link, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut wait, Some(&now)).is_ok_and(|ready| ready > 0)
}
