//! A service in a sandbox, started and stopped as a service manager does. The tests of the crate `hostcompute` use this file, too.

#![allow(dead_code, reason = "compiled into several test programs, none of which needs everything")]

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// Longer than anything here takes, also on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A running service; killed with this value.
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// The program, which other packages' tests have built; `None`, with a message, where none has.
    pub fn program() -> Option<PathBuf> {
        // Tests lie in a folder of their own beside the programs.
        let test = std::env::current_exe().expect("a program");
        let program = test.ancestors().nth(2).expect("the programs' folder").join("hostcomputed");
        if program.is_file() {
            return Some(program);
        }
        assert!(
            std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_none(),
            "{} was not built: cargo build --package hostcomputed",
            program.display()
        );
        eprintln!("skipped: hostcomputed was not built");
        None
    }

    /// Starts it by `command`, and waits until it says that it is ready. What it says meanwhile goes to `folder`.
    #[track_caller]
    pub fn start(mut command: Command, folder: &Path) -> Self {
        let told = folder.join("told");
        let _ = std::fs::remove_file(&told);
        let manager = UnixDatagram::bind(&told).expect("a socket for the service manager's part");
        manager.set_read_timeout(Some(LONG)).expect("set");
        let log = std::fs::File::create(folder.join("log")).expect("a file for the log");
        let child = command.env("NOTIFY_SOCKET", &told).stderr(log).spawn().expect("started");
        let daemon = Self { child };
        let mut text = [0; 4096];
        loop {
            let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            let length =
                manager.recv(&mut text).unwrap_or_else(|error| panic!("{error}: {}", log()));
            let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
            if text.lines().any(|line| line == "READY=1") {
                return daemon;
            }
        }
    }

    /// Asks it to end, and waits until it has.
    #[track_caller]
    pub fn stop(mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(asked.expect("kill of procps").success());
        assert!(self.child.wait().expect("ended").success(), "the service ends well");
    }

    /// Ends it as by kill -9.
    pub fn kill(mut self) {
        self.child.kill().expect("alive");
        self.child.wait().expect("ended");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Where it was stopped there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
