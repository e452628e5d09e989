//! Where the storm is: a private host, the daemon on it, and the clients' processes.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hostcompute::schema::operation::Operation;
use hostcompute::transport::Call;
use hostcompute::{Guid, Host};

use crate::client;
use crate::private::Private;

/// A private host with a daemon.
pub struct Ground {
    machine: Private,
    daemon: Option<Child>,
}

impl Ground {
    /// A new machine; `None`, with a message, where it may not be made.
    pub fn new() -> Option<Self> {
        let machine = Private::new("hostcomputed-storm")?;
        std::fs::create_dir(machine.directory().join("records")).expect("a folder for the records");
        Some(Self { machine, daemon: None })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.machine.directory().join(name)
    }

    fn inside(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.machine.enter();
        command.arg(program);
        command
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run/hostcompute.sock")
    }

    pub fn records(&self) -> PathBuf {
        self.path("records")
    }

    /// Starts the daemon and waits until it answers.
    pub fn start_daemon(&mut self) {
        let mut command = self.inside(env!("CARGO_BIN_EXE_hostcomputed"));
        command
            .arg("--foreground")
            .arg("--state-dir")
            .arg(self.path("state"))
            .arg("--runtime-dir")
            .arg(self.path("run"))
            .arg("--socket")
            .arg(self.socket())
            .args(["--log", "warn"]);
        self.daemon = Some(command.spawn().expect("the daemon starts"));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            assert!(std::time::Instant::now() < deadline, "the daemon does not open its socket");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    pub fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon");
        daemon.kill().expect("a child of ours");
        daemon.wait().expect("a child of ours");
    }

    /// Asks it to stop and waits.
    pub fn stop_daemon(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon");
        let id = daemon.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
        let status = daemon.wait().expect("a child of ours");
        assert!(status.success(), "the daemon did not stop well: {status}");
    }

    pub fn host(&self) -> Host {
        Host::connect(self.socket()).expect("the daemon answers")
    }

    /// The network on which all clients have their endpoints.
    pub fn make_network(&self) -> Guid {
        let document = r#"{"Name":"storm","Type":"NAT","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.64.0.0/12"}]}]}"#;
        let call = Call { operation: Operation::CreateNetwork, id: None, network: None, document };
        let answer = self.host().call(&call).expect("a network");
        answer.body.trim_matches('"').parse().expect("an id")
    }

    pub fn start_client(&self, number: u64, seed: u64, network: Guid) -> Child {
        let program = std::env::current_exe().expect("this program");
        let task = client::Task {
            number,
            seed,
            network,
            socket: self.socket(),
            record: self.records().join(number.to_string()),
            end: self.path("end"),
        };
        let mut command = Command::new(program);
        command.args(["--exact", "client_process", "--ignored", "--quiet"]).stdout(Stdio::null());
        task.to_env(&mut command);
        command.stdin(Stdio::null()).spawn().expect("this program once more")
    }

    /// Tells all clients to end after what they are doing.
    pub fn call_in(&self) {
        std::fs::write(self.path("end"), "").expect("written");
    }

    /// What the daemon had ready for its next clients goes with it; the kernel takes a moment to take it apart.
    pub fn wait_until_nothing_remains(&self) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let remains = self.remains();
            if remains.is_empty() {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "left: {remains}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// What the kernel has beyond a fresh host, as foreign tools tell it.
    fn remains(&self) -> String {
        let said = |program: &str, arguments: &[&str]| {
            let output = self.inside(program).args(arguments).output().expect("a tool");
            String::from_utf8(output.stdout).expect("text")
        };
        let links = said("ip", &["-brief", "link"]);
        let links: Vec<&str> = links.lines().filter(|line| !line.starts_with("lo ")).collect();
        let names = std::fs::read_dir(self.path("run/netns")).map_or(0, Iterator::count);
        let names = if names > 0 { format!("{names} namespace files") } else { String::new() };
        links.join("\n") + &names + &said("nft", &["list", "ruleset"])
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = std::fs::write(self.path("end"), "");
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
