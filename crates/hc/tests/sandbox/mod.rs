//! A host of a test's own: fresh network and mount namespaces that vanish with the value, and `hc` run inside them.
//!
//! `private` is the machine, `daemon` the service on it, where a test wants one.

#![allow(dead_code, reason = "compiled into several test programs, none of which needs everything")]

mod daemon;
pub mod holders;
mod private;

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Each scenario is two tests, one for each way to run: `hc` carries the service, or asks a running one. Both ways are functions that make
/// a host, or none where the test may not.
#[allow(unused_macros, reason = "not every test program has scenarios")]
macro_rules! scenarios {
    ($embedded:path, $served:path; $($name:ident),* $(,)?) => {
        mod embedded {
            $(#[test] fn $name() {
                if let Some(host) = $embedded() { crate::$name(&host) }
            })*
        }

        mod served {
            $(#[test] fn $name() {
                if let Some(host) = $served() { crate::$name(&host) }
            })*
        }
    };
}

/// The host documents among the examples.
pub fn examples() -> Vec<String> {
    let entries = std::fs::read_dir(repository().join("examples")).expect("examples");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let documents = paths.filter(|path| path.extension().is_some_and(|kind| kind == "json"));
    let mut names: Vec<String> =
        documents.map(|path| path.to_str().expect("text").to_owned()).collect();
    names.sort();
    names
}

/// The directory of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `hc` without a host.
pub fn hc(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hc"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub out: String,
    pub err: String,
    /// `None`: ended by a signal.
    pub status: Option<i32>,
}

impl Said {
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.output().expect("the program can be started"))
    }

    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.out
    }

    /// The error text of a command that ended with this status, in one line that names the HRESULT.
    #[track_caller]
    pub fn refused(self, status: i32) -> String {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self.err
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
            status: output.status.code(),
        }
    }
}

use daemon::Daemon;
use private::Private;

/// The interface group of attached ports.
const PORTS: &str = "1751318528";

/// A private host.
pub struct Sandbox {
    private: Private,
    /// The service that `hc` asks; without one, `hc` carries its own.
    daemon: RefCell<Option<Daemon>>,
    is_asked_over_tcp: bool,
}

/// Where a service listens on the loopback of its own host.
const PORT: &str = "127.0.0.1:8643";

impl Sandbox {
    /// A new host; `None`, with a message, where the test may not make one.
    pub fn new() -> Option<Self> {
        let private = Private::new("hc")?;
        Some(Self { private, daemon: RefCell::default(), is_asked_over_tcp: false })
    }

    /// A new host with a service, which `hc` asks over its socket.
    pub fn served() -> Option<Self> {
        Daemon::program()?;
        let host = Self::new()?;
        host.start_daemon();
        Some(host)
    }

    /// As [`Self::new`], where containers can be made.
    pub fn for_containers() -> Option<Self> {
        if supervisor_was_built() { Self::new() } else { None }
    }

    /// As [`Self::served`], where containers can be made.
    pub fn served_for_containers() -> Option<Self> {
        if supervisor_was_built() { Self::served() } else { None }
    }

    /// As [`Self::served`]; `hc` asks over TCP.
    pub fn over_tcp() -> Option<Self> {
        let mut host = Self::served()?;
        host.is_asked_over_tcp = true;
        Some(host)
    }

    /// Starts the service.
    #[track_caller]
    pub fn start_daemon(&self) {
        let Some(program) = Daemon::program() else { panic!("it was built when the test began") };
        let socket = self.socket();
        let socket = socket.to_str().expect("text");
        let arguments =
            ["--foreground", "--socket", socket, "--config", "/dev/null", "--tcp", PORT];
        let mut command = self.inside(program.to_str().expect("text"), &arguments);
        self.own_directories(&mut command).env_remove("HOSTCOMPUTE_SOCKET");
        *self.daemon.borrow_mut() = Some(Daemon::start(command, self.private.directory()));
    }

    /// Stops the service as a service manager does.
    #[track_caller]
    pub fn stop_daemon(&self) {
        self.daemon.take().expect("a service").stop();
    }

    /// Ends the service as by kill -9.
    #[track_caller]
    pub fn kill_daemon(&self) {
        self.daemon.take().expect("a service").kill();
    }

    pub fn socket(&self) -> PathBuf {
        self.private.directory().join("hostcompute.sock")
    }

    /// Makes a command use the state of this host.
    pub fn own_directories<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("HOSTCOMPUTE_STATE_DIR", self.private.directory().join("state"))
            .env("HOSTCOMPUTE_RUNTIME_DIR", self.private.directory().join("run"))
    }

    /// A file of the test's own.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.private.directory().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.private.directory().join(name)
    }

    /// A command inside.
    pub fn inside(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.private.enter();
        // Entering a mount namespace leads to its root; examples are named from the repository.
        command
            .args(["sh", "-c", "cd \"$0\" && exec \"$@\""])
            .arg(repository())
            .arg(program)
            .args(arguments);
        if self.daemon.borrow().is_some() {
            command.env_remove("HOSTCOMPUTE_STATE_DIR").env_remove("HOSTCOMPUTE_SOCKET");
            if self.is_asked_over_tcp {
                command.env("HOSTCOMPUTE_ADDRESS", format!("tcp://{PORT}"));
                command.env("HOSTCOMPUTE_TOKEN_FILE", self.path("run/tcp.token"));
            } else {
                command.env("HOSTCOMPUTE_SOCKET", self.socket());
            }
        } else {
            self.own_directories(&mut command).env_remove("HOSTCOMPUTE_SOCKET");
        }
        command
            .stdin(Stdio::null())
            .env_remove("HOSTCOMPUTE_HOST_NETNS")
            .env_remove("HOSTCOMPUTE_STRICT")
            .env_remove("HOSTCOMPUTE_KILL_AT");
        command
    }

    /// `hc` inside.
    pub fn hc(&self, arguments: &[&str]) -> Said {
        Said::of(&mut self.inside(env!("CARGO_BIN_EXE_hc"), arguments))
    }

    /// `hc` inside, with text on its standard input.
    pub fn hc_reading(&self, arguments: &[&str], text: &str) -> Said {
        let mut command = self.inside(env!("CARGO_BIN_EXE_hc"), arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
        Said::from(child.wait_with_output().expect("ended"))
    }

    /// `hc` inside, ended as by kill -9 at a point of its work; false when it got through before.
    pub fn hc_killed(&self, point: usize, arguments: &[&str]) -> bool {
        let mut command = self.inside(env!("CARGO_BIN_EXE_hc"), arguments);
        let said = Said::of(command.env("HOSTCOMPUTE_KILL_AT", point.to_string()));
        // nsenter replaces itself by the program, so a signal shows as no status.
        assert!(matches!(said.status, None | Some(0)), "{said:?}");
        said.status.is_none()
    }

    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.hc(&[arguments, &["-o", "json"]].concat()).ok();
        serde_json::from_str(&text).expect("JSON")
    }

    /// The host's end of an attached port; a service has others in reserve.
    pub fn port(&self) -> String {
        let links = Said::of(&mut self.inside("ip", &["-j", "link", "show", "group", PORTS])).ok();
        let links: Value = serde_json::from_str(&links).expect("JSON");
        // `ip` leaves an empty object where a link is not of the group.
        let mut links = links.as_array().expect("a list").iter();
        links.find_map(|link| link["ifname"].as_str()).expect("a port").to_owned()
    }

    /// What the kernel has beyond a fresh host, as foreign tools tell it; with a service, once that has been stopped: it keeps things
    /// ready, which the kernel takes away after it, on its own time.
    pub fn remains(&self) -> String {
        if self.daemon.borrow().is_none() {
            return self.found();
        }
        self.stop_daemon();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let found = self.found();
            if found.is_empty() || Instant::now() > deadline {
                return found;
            }
            std::thread::yield_now();
        }
    }

    fn found(&self) -> String {
        let tool =
            |program: &str, arguments: &[&str]| Said::of(&mut self.inside(program, arguments)).ok();
        let links: Value = serde_json::from_str(&tool("ip", &["-j", "link"])).expect("JSON");
        let links: Vec<&str> = links
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|link| link.get("ifname")?.as_str())
            .filter(|name| *name != "lo")
            .collect();
        let namespaces = std::fs::read_dir(self.private.directory().join("run/netns"))
            .map_or(0, Iterator::count);
        let rules = tool("nft", &["list", "ruleset"]);
        let mut remains = links.join(" ");
        if namespaces > 0 {
            remains.push_str(&format!(" {namespaces} namespace files"));
        }
        remains + &rules
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.daemon.take());
    }
}

/// Whether the program that carries containers is beside `hc`, where it is looked for.
pub fn supervisor_was_built() -> bool {
    let hc = Path::new(env!("CARGO_BIN_EXE_hc"));
    let program = hc.with_file_name("hostcompute-supervisor");
    if program.is_file() {
        return true;
    }
    assert!(
        std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_none(),
        "{} was not built: cargo build --package hostcompute-supervisor",
        program.display()
    );
    eprintln!("skipped: hostcompute-supervisor was not built");
    false
}
