//! The service as a process: started in the namespaces of whoever starts it, asked through its socket, ended in two ways.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hostcompute::Host;
use rustix::process::{Pid, Signal};

use crate::client::Client;
use crate::machine;

/// A running service. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    program: PathBuf,
    state: PathBuf,
    process: Child,
}

/// How a service ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum End {
    /// Told to stop.
    Stopped,
    /// Killed between two changes: the journal does not say that the last one is through.
    Killed,
}

const RUNTIME: &str = "/run/hostcompute";
const SOCKET: &str = "/run/hostcompute/bench.sock";
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl Daemon {
    /// Starts the program on a state directory and waits until it answers.
    pub fn start(program: &Path, state: &Path) -> anyhow::Result<Self> {
        let process = spawn(program, state)?;
        let mut daemon = Self { program: program.to_owned(), state: state.to_owned(), process };
        daemon.await_answer()?;
        Ok(daemon)
    }

    pub fn connect(&self) -> anyhow::Result<Client> {
        Client::connect(Path::new(SOCKET))
    }

    /// The service as programs see it.
    pub fn host(&self) -> anyhow::Result<Host> {
        Ok(Host::connect(SOCKET)?)
    }

    /// Ends the process and starts another; returns how long that one took until it answered.
    pub fn restart(&mut self, end: End) -> anyhow::Result<Duration> {
        self.end(end)?;
        let start = Instant::now();
        self.process = spawn(&self.program, &self.state)?;
        self.await_answer()?;
        Ok(start.elapsed())
    }

    /// The number of the process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// Resident memory, in KiB.
    pub fn resident(&self) -> anyhow::Result<u64> {
        machine::resident(self.process.id())
    }

    fn end(&mut self, end: End) -> anyhow::Result<()> {
        let signal = match end {
            End::Stopped => Signal::TERM,
            End::Killed => Signal::KILL,
        };
        let process = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        rustix::process::kill_process(process.context("no process")?, signal)?;
        self.process.wait()?;
        // What a killed one leaves would let a client wait for nobody.
        match std::fs::remove_file(SOCKET) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn await_answer(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let asked = self.connect().and_then(|mut client| {
                client.ask("GET", "/healthz", "")?;
                Ok(())
            });
            let Err(error) = asked else { return Ok(()) };
            if let Some(status) = self.process.try_wait()? {
                bail!("{} has ended: {status}", self.program.display());
            }
            if start.elapsed() > PATIENCE {
                return Err(error.context("the service does not answer"));
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself; whoever waits for its answer finds out.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(program: &Path, state: &Path) -> anyhow::Result<Child> {
    std::fs::create_dir_all(RUNTIME)?;
    Command::new(program)
        .args(["--foreground", "--socket", SOCKET, "--runtime-dir", RUNTIME, "--log", "error"])
        .arg("--state-dir")
        .arg(state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))
}
