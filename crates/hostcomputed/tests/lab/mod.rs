//! A machine of a test's own (network and mount namespaces that vanish with the value), a daemon on it, and clients that speak HTTP by
//! hand, so that nothing between the test and the socket can be too kind.

#![allow(dead_code, reason = "compiled into several test programs, none of which needs everything")]

mod client;
#[path = "../../../hc/tests/sandbox/private.rs"]
mod private;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

#[allow(unused_imports, reason = "compiled into several test programs, as above")]
pub use client::{Connection, Event, Reply, Stream};
use private::Private;
use serde_json::Value;

/// Longer than anything here takes, also on a busy machine.
pub const LONG: Duration = Duration::from_secs(60);

/// A private machine.
pub struct Machine(Private);

impl Machine {
    /// A new machine; `None`, with a message, where the test may not make one.
    pub fn new() -> Option<Self> {
        Private::new("hostcomputed").map(Self)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.directory().join(name)
    }

    /// A file of the test's own.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// A command on this machine.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.0.enter();
        command.arg(program).current_dir("/");
        command
    }

    /// What a command prints that must succeed.
    #[track_caller]
    pub fn output(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output().expect("started");
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// A request of somebody else by curl, which `words` make that somebody's; its status and document.
    #[track_caller]
    pub fn ask_as(&self, daemon: &Daemon, words: &[&str], request: &[&str]) -> (u16, Value) {
        let (program, words) = words.split_first().expect("a program");
        let output = self
            .command(program)
            .args(words)
            .args(["curl", "--silent", "--show-error", "--unix-socket"])
            .arg(&daemon.socket)
            .args(["--write-out", "\n%{response_code}"])
            .args(request)
            .output()
            .expect("started");
        assert!(output.status.success(), "{words:?}: {output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        let (body, status) = text.rsplit_once('\n').expect("a status");
        let document = serde_json::from_str(body).unwrap_or(Value::Null);
        (status.parse().expect("a number"), document)
    }

    /// A daemon with the usual configuration.
    #[track_caller]
    pub fn daemon(&self) -> Daemon {
        self.daemon_with("")
    }

    /// A daemon with this configuration file beside its directories; answers when it is ready.
    #[track_caller]
    pub fn daemon_with(&self, configuration: &str) -> Daemon {
        let mut command = self.daemon_command(configuration);
        command.arg("--foreground");
        self.start(command)
    }

    /// The command that starts a daemon on this machine.
    pub fn daemon_command(&self, configuration: &str) -> Command {
        let file = self.file("hostcomputed.toml", configuration);
        let mut command = self.command(env!("CARGO_BIN_EXE_hostcomputed"));
        command.arg("--config").arg(file);
        command
            .env("HOSTCOMPUTE_STATE_DIR", self.path("state"))
            .env("HOSTCOMPUTE_RUNTIME_DIR", self.path("run"));
        for variable in [
            "HOSTCOMPUTE_HOST_NETNS",
            "HOSTCOMPUTE_KILL_AT",
            "HOSTCOMPUTE_SOCKET",
            "HOSTCOMPUTE_STRICT",
            "HOSTCOMPUTED_LOG",
            "JOURNAL_STREAM",
            "LISTEN_FDS",
            "WATCHDOG_USEC",
        ] {
            command.env_remove(variable);
        }
        command
    }

    /// Starts a daemon and waits until it says that it is ready.
    #[track_caller]
    pub fn start(&self, mut command: Command) -> Daemon {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let told = self.path(&format!("told-{number}"));
        let manager = UnixDatagram::bind(&told).expect("a socket for the service manager's part");
        manager.set_read_timeout(Some(LONG)).expect("set");
        // The daemon may be another user's.
        let everybody = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&told, everybody).expect("set");
        let log = self.path(&format!("log-{number}"));
        let errors = File::create(&log).expect("a file for the log");
        command.env("NOTIFY_SOCKET", &told).stderr(errors);
        let child = command.spawn().expect("started");
        let mut daemon = Daemon { child, manager, log, socket: self.path("run/hostcompute.sock") };
        daemon.expect("READY=1");
        daemon
    }

    /// Waits until the kernel has nothing beyond a fresh machine, as foreign tools tell it: namespaces that a process held go after it.
    #[track_caller]
    pub fn is_clean(&self) {
        let deadline = Instant::now() + LONG;
        while !self.remains().is_empty() {
            assert!(Instant::now() < deadline, "{}", self.remains());
        }
    }

    fn remains(&self) -> String {
        let links = self.output("ip", &["-o", "link"]);
        let links: String = links.lines().filter(|line| !line.contains(": lo:")).collect();
        links + &self.output("nft", &["list", "ruleset"])
    }
}

/// A daemon that runs.
pub struct Daemon {
    child: Child,
    manager: UnixDatagram,
    log: PathBuf,
    pub socket: PathBuf,
}

impl Daemon {
    /// A new connection.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::to(&self.socket)
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        self.connect().ask(method, path, body)
    }

    /// A connection to a port of the daemon's machine.
    #[track_caller]
    pub fn dial(&self, address: &str) -> TcpStream {
        use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
        let place = File::open(format!("/proc/{}/ns/net", self.pid())).expect("it runs");
        // A thread of its own: a socket stays where it was made, whoever uses it.
        let dialled = std::thread::scope(|scope| {
            let dial = scope.spawn(|| {
                move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("entered");
                TcpStream::connect(address)
            });
            dial.join().expect("no panic")
        });
        dialled.expect("connected")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the daemon tells this to the service manager.
    #[track_caller]
    pub fn expect(&mut self, wanted: &str) {
        let mut buffer = [0; 4096];
        loop {
            match self.manager.recv(&mut buffer) {
                Ok(length) => {
                    let said = String::from_utf8_lossy(&buffer[..length]);
                    if said.lines().any(|line| line == wanted) {
                        return;
                    }
                }
                Err(error) => panic!("waiting for {wanted}: {error}; {}", self.log()),
            }
        }
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([&format!("-{signal}"), &*pid]).status();
        assert!(status.expect("kill of procps").success());
    }

    /// As `kill -9`, and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Asks the daemon to stop and waits for its end, which must be an orderly one.
    #[track_caller]
    pub fn stop(self) {
        self.signal("TERM");
        self.ended();
    }

    /// Waits for the orderly end of a daemon that was told to stop.
    #[track_caller]
    pub fn ended(mut self) {
        let status = self.child.wait().expect("ended");
        assert!(status.success(), "{status}: {}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Ok(log) = std::fs::read_to_string(&self.log)
        {
            eprintln!("the daemon's log:\n{log}");
        }
    }
}

/// The directory of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Waits for what others do on their own time.
#[track_caller]
pub fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come about");
        std::thread::yield_now();
    }
}

/// Waits for a line on a child's output.
#[track_caller]
pub fn wait_for_line(child: &mut Child, wanted: &str) {
    let mut line = String::new();
    let out = child.stdout.as_mut().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("the child speaks");
    assert_eq!(line.trim(), wanted);
}

/// The value of a number without labels.
#[track_caller]
pub fn metric(page: &str, name: &str) -> u64 {
    let found = page.lines().find_map(|line| {
        line.strip_prefix("hostcompute_")?.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()
    });
    found.unwrap_or_else(|| panic!("no {name} in {page}"))
}
