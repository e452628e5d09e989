//! Logs, as a pipe that one reads from: what is there, and on demand what follows, until the system ends.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use hostcompute_engine::compute::LogRequest;
use hostcompute_supervisor::directory;
use hostcompute_supervisor::log::{Reader, Record};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::pipe::PipeFlags;

/// Opens the log of the system in this directory.
pub(super) fn open(directory: &Path, request: LogRequest) -> io::Result<OwnedFd> {
    // By the descriptor: the directory moves when the system ends.
    let held = File::open(directory)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    let follow = if request.follow { Following::new(directory)? } else { None };
    let mut reader = Reader::open(path.join(directory::LOG))?;
    let (output, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let mut writer = File::from(writer);
    std::thread::Builder::new().name("log".into()).stack_size(256 << 10).spawn(move || {
        // Whoever reads may go; a log that cannot be read on ends there.
        let _ = pass(&mut reader, request, follow, &mut writer);
        drop(held);
    })?;
    Ok(output)
}

fn pass(
    reader: &mut Reader,
    request: LogRequest,
    follow: Option<Following>,
    writer: &mut File,
) -> io::Result<()> {
    let wanted = |record: &Record| request.pid.is_none_or(|pid| pid == record.pid);
    if let Some(lines) = request.tail {
        let mut all = Vec::new();
        while let Some(record) = reader.read()? {
            if wanted(&record) {
                all.extend(record.bytes);
            }
        }
        writer.write_all(tail(&all, lines))?;
    }
    let mut pass_what_is_there = |reader: &mut Reader| -> io::Result<()> {
        while let Some(record) = reader.read()? {
            if wanted(&record) {
                writer.write_all(&record.bytes)?;
            }
        }
        Ok(())
    };
    pass_what_is_there(reader)?;
    let Some(mut follow) = follow else { return Ok(()) };
    while follow.wait()? {
        pass_what_is_there(reader)?;
    }
    pass_what_is_there(reader)
}

/// The last lines; one without an end counts.
fn tail(text: &[u8], lines: u64) -> &[u8] {
    let Ok(lines) = usize::try_from(lines) else { return text };
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let breaks = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    match lines.checked_sub(1) {
        None => &[],
        Some(before) => {
            let start = breaks.map(|(place, _)| place + 1).nth(before).unwrap_or(0);
            text.get(start..).unwrap_or_default()
        }
    }
}

/// Waits for more.
struct Following {
    changes: OwnedFd,
    /// Closed when the supervisor ends.
    supervisor: OwnedFd,
}

impl Following {
    /// `None` when the system has ended: there is nothing to wait for.
    fn new(directory: &Path) -> io::Result<Option<Self>> {
        let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        inotify::add_watch(&changes, directory, flags)?;
        Ok(directory::connect(directory).ok().map(|supervisor| Self { changes, supervisor }))
    }

    /// Waits until there may be more; `false` when there is never more than now.
    fn wait(&mut self) -> io::Result<bool> {
        loop {
            let mut wait = [
                PollFd::new(&self.changes, PollFlags::IN),
                PollFd::new(&self.supervisor, PollFlags::IN),
            ];
            match rustix::event::poll(&mut wait, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [changed, told] = wait.map(|entry| entry.revents());
            if told.contains(PollFlags::IN) {
                // Notices are for others; the end of the connection is what is waited for.
                if rustix::io::read(&self.supervisor, &mut [0; 64]) == Ok(0) {
                    return Ok(false);
                }
            } else if !told.is_empty() {
                return Ok(false);
            }
            if !changed.is_empty() {
                while rustix::io::read(&self.changes, &mut [0; 4096]).is_ok_and(|read| read > 0) {}
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn the_last_lines_are_found() {
        let text = b"one\ntwo\nthree\n";
        assert_eq!(tail(text, 0), b"");
        assert_eq!(tail(text, 1), b"three\n");
        assert_eq!(tail(text, 2), b"two\nthree\n");
        assert_eq!(tail(text, 9), text);
        assert_eq!(tail(b"one\nhalf", 1), b"half");
    }
}
