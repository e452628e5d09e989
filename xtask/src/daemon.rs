//! A running service for the checks that need one, on folders of their own, in whatever sandbox they run in.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{lab, process, product};

/// How long a service may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service; stopped with this value.
pub struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    /// Starts a service and waits until it listens.
    ///
    /// # Errors
    /// It does not build, or does not start.
    pub fn start(folders: &lab::Folders) -> Result<Daemon> {
        Self::start_with(folders, &[])
    }

    /// The same, with further words on its command line.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(folders: &lab::Folders, words: &[&str]) -> Result<Daemon> {
        let socket = folders.join("hostcompute.sock");
        let mut command = Command::new(product::daemon()?);
        folders.apply(&mut command).arg("--foreground").arg("--socket").arg(&socket);
        command.args(["--log", "warn"]).args(words).stdin(Stdio::null());
        let child = command.spawn().context("starting hostcomputed")?;
        let mut daemon = Daemon { child, socket };
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(&daemon.socket).is_err() {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("hostcomputed ended as soon as it was started ({status})");
            }
            if Instant::now() > deadline {
                bail!("hostcomputed does not listen on {}", daemon.socket.display());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(daemon)
    }

    /// Where it listens.
    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Stops it as a service manager does.
    ///
    /// # Errors
    /// It does not end well.
    pub fn stop(mut self) -> Result<()> {
        process::run(Command::new("kill").arg(self.child.id().to_string()))?;
        let status = self.child.wait().context("waiting for hostcomputed")?;
        match status.success() {
            true => Ok(()),
            false => bail!("hostcomputed did not stop well ({status})"),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // After a failure, or once it has been stopped, when there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
