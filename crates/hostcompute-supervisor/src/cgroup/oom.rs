//! Hearing when the memory limit makes the kernel end a process.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::{EventfdFlags, PollFlags};

use super::{Group, numbers, value};

/// Waits for the kernel's word. Poll [`OomWatch::as_fd`] for [`OomWatch::EVENTS`], then ask [`OomWatch::kills`].
#[derive(Debug)]
pub struct OomWatch {
    directory: PathBuf,
    file: &'static str,
    /// Version 1: an event counter that the kernel adds to. Version 2: the file itself.
    wake: OwnedFd,
    counts: bool,
    seen: u64,
}

impl OomWatch {
    pub const EVENTS: PollFlags = PollFlags::IN.union(PollFlags::PRI);

    /// How many processes the limit ended since the last call.
    ///
    /// # Errors
    /// The group is gone.
    pub fn kills(&mut self) -> io::Result<u64> {
        // What was announced is taken, so that the next poll waits.
        let mut word = [0; 8];
        if self.counts {
            let _ = rustix::io::read(&self.wake, &mut word);
        } else {
            let _ = rustix::io::pread(&self.wake, &mut [0; 512], 0);
        }
        let now = value(&numbers(&self.directory, self.file)?, "oom_kill");
        let fresh = now.saturating_sub(self.seen);
        self.seen = now;
        Ok(fresh)
    }

    /// What poll is to wait for: the file of version 2 is always readable.
    pub fn events(&self) -> PollFlags {
        if self.counts { PollFlags::IN } else { PollFlags::PRI }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Group {
    /// Begins to listen; `None` where memory is not counted.
    ///
    /// # Errors
    /// The group does not exist.
    pub fn watch_memory(&self) -> io::Result<Option<OomWatch>> {
        let Some(directory) = self.governing("memory") else { return Ok(None) };
        let directory = directory.to_owned();
        if self.is_unified() {
            let wake = OwnedFd::from(File::open(directory.join("memory.events"))?);
            let file = "memory.events";
            return Ok(Some(OomWatch { directory, file, wake, counts: false, seen: 0 }));
        }
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let control = File::open(directory.join("memory.oom_control"))?;
        let registration = format!("{} {}", wake.as_raw_fd(), control.as_raw_fd());
        fs::write(directory.join("cgroup.event_control"), registration)?;
        let file = "memory.oom_control";
        Ok(Some(OomWatch { directory, file, wake, counts: true, seen: 0 }))
    }
}
