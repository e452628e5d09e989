//! Stopping everybody in a group where they are.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::Group;

/// How long the kernel may take to stop all processes: those in a system call that cannot be interrupted are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

impl Group {
    /// Stops everybody; returns when they stand.
    ///
    /// # Errors
    /// There is no freezer (`Unsupported`), or somebody cannot be stopped: all go on then.
    pub fn freeze(&self) -> io::Result<()> {
        let frozen = self.set("FROZEN", "1", |directory, unified| {
            if unified {
                let events = super::numbers(directory, "cgroup.events")?;
                return Ok(super::value(&events, "frozen") == 1);
            }
            // Asking again carries a freeze on that met a process which was just being made.
            fs::write(directory.join("freezer.state"), "FROZEN")?;
            Ok(fs::read_to_string(directory.join("freezer.state"))?.trim() == "FROZEN")
        });
        if frozen.is_err() {
            let _ = self.thaw();
        }
        frozen
    }

    /// Lets everybody go on.
    ///
    /// # Errors
    /// There is no freezer (`Unsupported`) or no such group.
    pub fn thaw(&self) -> io::Result<()> {
        self.set("THAWED", "0", |_, _| Ok(true))
    }

    fn set(
        &self,
        split: &str,
        unified: &str,
        is_done: impl Fn(&Path, bool) -> io::Result<bool>,
    ) -> io::Result<()> {
        let in_one = self.is_unified();
        let directory = if in_one {
            self.directories.first().map(|(_, directory)| directory.as_path())
        } else {
            self.governing("freezer")
        };
        let directory = directory.ok_or(io::ErrorKind::Unsupported)?;
        let (file, text) =
            if in_one { ("cgroup.freeze", unified) } else { ("freezer.state", split) };
        fs::write(directory.join(file), text)?;
        let until = Instant::now() + PATIENCE;
        while !is_done(directory, in_one)? {
            if Instant::now() > until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }
}
