//! The runner's end of a worker process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

use crate::crowd::Crowd;
use crate::daemon::End;
use crate::measure::Connections;
use crate::side::Queries;
use crate::side::scale::{Deed, Matter};
use crate::statistics::{Cost, Samples};
use crate::worker::{Answer, Ask, Batch, Setup};

/// A running worker; dropping it ends the process, and the kernel takes its namespaces apart.
#[derive(Debug)]
pub struct Remote {
    pub name: String,
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Remote {
    /// Starts this same program as a worker and waits until its side is ready.
    pub fn start(setup: &Setup) -> anyhow::Result<Self> {
        let name = setup.name.clone();
        std::fs::create_dir_all(&setup.directory)
            .with_context(|| format!("making {}", setup.directory.display()))?;
        let mut process = Command::new("/proc/self/exe")
            .arg("worker")
            .arg(serde_json::to_string(setup)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting the worker for {name}"))?;
        let input = process.stdin.take();
        let output = process.stdout.take().context("the pipe asked for above")?;
        let mut remote = Self { name, process, input, output: BufReader::new(output) };
        match remote.answer()? {
            Answer::Ready => Ok(remote),
            other => bail!("{}: an answer out of turn: {other:?}", remote.name),
        }
    }

    pub fn attach(&mut self, batch: Batch) -> anyhow::Result<Cost> {
        self.times(&Ask::Attach(batch))
    }

    pub fn detach(&mut self, batch: Batch) -> anyhow::Result<Cost> {
        self.times(&Ask::Detach(batch))
    }

    /// Waits for the kernel's clean-up; one sample, counted from the last detach.
    pub fn gone(&mut self, links: usize) -> anyhow::Result<Samples> {
        self.waited(&Ask::Gone(links))
    }

    /// Attaches and detaches from so many threads, each so often; one sample.
    pub fn churn(&mut self, threads: u32, cycles: u32) -> anyhow::Result<Samples> {
        self.waited(&Ask::Churn { threads, cycles })
    }

    /// Queries the service.
    pub fn query(&mut self, count: usize) -> anyhow::Result<Queries> {
        match self.ask(&Ask::Query(count))? {
            Answer::Queried(queries) => Ok(queries),
            other => bail!("{}: an answer out of turn: {other:?}", self.name),
        }
    }

    pub fn echo(&mut self, count: usize) -> anyhow::Result<Samples> {
        self.waited(&Ask::Echo(count))
    }

    /// Restarts the service; one sample.
    pub fn restart(&mut self, end: End) -> anyhow::Result<Samples> {
        self.waited(&Ask::Restart(end))
    }

    /// Lets the service compare everything with the kernel; one sample.
    pub fn check(&mut self) -> anyhow::Result<Samples> {
        self.waited(&Ask::Check)
    }

    /// Resident memory of the service, in KiB.
    pub fn service_resident(&mut self) -> anyhow::Result<usize> {
        self.count(&Ask::Resident)
    }

    /// Does something to what is numbered so, on a large host.
    pub fn perform(&mut self, matter: Matter, deed: Deed, batch: Batch) -> anyhow::Result<Cost> {
        self.times(&Ask::Perform { matter, deed, batch })
    }

    /// Waits until what was removed is gone; one sample.
    pub fn settle(&mut self) -> anyhow::Result<Samples> {
        self.waited(&Ask::Settle)
    }

    pub fn add_services(&mut self, batch: Batch) -> anyhow::Result<Cost> {
        self.times(&Ask::AddServices(batch))
    }

    pub fn remove_services(&mut self, batch: Batch) -> anyhow::Result<Cost> {
        self.times(&Ask::RemoveServices(batch))
    }

    pub fn links(&mut self) -> anyhow::Result<usize> {
        self.count(&Ask::Links)
    }

    pub fn connect(&mut self, service: u32, count: usize) -> anyhow::Result<Connections> {
        match self.ask(&Ask::Connect { service, count })? {
            Answer::Connected(connections) => Ok(connections),
            other => bail!("{}: an answer out of turn: {other:?}", self.name),
        }
    }

    /// Many containers at once.
    pub fn crowd(&mut self, root: &Path, containers: u32) -> anyhow::Result<Crowd> {
        match self.ask(&Ask::Crowd { containers, root: root.to_owned() })? {
            Answer::Crowd(crowd) => Ok(crowd),
            other => bail!("{}: an answer out of turn: {other:?}", self.name),
        }
    }

    /// Runs a command once; one sample.
    pub fn run(&mut self, words: &[String], input: &str) -> anyhow::Result<Cost> {
        self.times(&Ask::Run { words: words.to_vec(), input: input.to_owned() })
    }

    /// Resident memory of the process, in KiB.
    pub fn resident(&self) -> anyhow::Result<u64> {
        crate::machine::resident(self.process.id())
    }

    fn waited(&mut self, ask: &Ask) -> anyhow::Result<Samples> {
        match self.ask(ask)? {
            Answer::Waited(samples) => Ok(samples),
            other => bail!("{}: an answer out of turn: {other:?}", self.name),
        }
    }

    fn count(&mut self, ask: &Ask) -> anyhow::Result<usize> {
        match self.ask(ask)? {
            Answer::Count(count) => Ok(count),
            other => bail!("{}: an answer out of turn: {other:?}", self.name),
        }
    }

    fn times(&mut self, ask: &Ask) -> anyhow::Result<Cost> {
        match self.ask(ask)? {
            Answer::Times(cost) => Ok(cost),
            other => bail!("{}: an answer out of turn: {other:?}", self.name),
        }
    }

    fn ask(&mut self, ask: &Ask) -> anyhow::Result<Answer> {
        let mut line = serde_json::to_string(ask)?;
        line.push('\n');
        let input = self.input.as_mut().context("the pipe is open until the worker is dropped")?;
        input.write_all(line.as_bytes()).with_context(|| format!("asking {}", self.name))?;
        self.answer()
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("{}: the worker has ended", self.name);
        }
        match serde_json::from_str(&line)? {
            Answer::Failed(reason) => bail!("{}: {reason}", self.name),
            answer => Ok(answer),
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.input = None;
        // Whatever it answers now, there is nobody left to tell.
        let _ = self.process.wait();
    }
}
