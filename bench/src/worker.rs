//! A process that holds one side in namespaces of its own and does what it is asked, one line of JSON each way.
//!
//! The clock runs here, around the verb alone; the pipe and the runner are never in a sample.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};

use crate::command;
use crate::crowd::Crowd;
use crate::daemon::End;
use crate::echo::Echo;
use crate::floor::message;
use crate::measure::Connections;
use crate::namespace;
use crate::netlink::{Datagram, Socket};
use crate::side::scale::{Deed, Large, Matter};
use crate::side::{Balancing, Kind, Queries, Service, Side};
use crate::statistics::{Cost, Samples};

/// What a worker is started with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setup {
    pub name: String,
    pub task: Task,
    /// A directory on the disk for the side's state; the runner makes and removes it.
    pub directory: PathBuf,
}

/// What the worker is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    Attach(Kind),
    Balance(Kind),
    /// Hold a service, by its program.
    Service(PathBuf),
    /// Hold a service on a host with much of everything, by its program.
    Scale(PathBuf),
    /// Run commands.
    Run,
}

/// Consecutive endpoints or services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    pub first: u32,
    pub count: u32,
}

impl Batch {
    fn numbers(self) -> std::ops::Range<u32> {
        self.first..self.first + self.count
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Ask {
    Attach(Batch),
    Detach(Batch),
    /// How many links there are in the host namespace.
    Links,
    /// Wait until there are no more links than this; the answer is how long it took since the last detach.
    Gone(usize),
    /// Attach and detach from so many threads, each so often; the answer is how long that took until the last link was gone.
    Churn {
        threads: u32,
        cycles: u32,
    },
    /// Query the service so many times.
    Query(usize),
    /// The same number of bare echoes, with questions and answers as long as the last query's.
    Echo(usize),
    /// End the service and start it anew; the answer is how long the start took.
    Restart(End),
    /// Compare the service's state with the kernel.
    Check,
    /// Resident memory of the service, in KiB.
    Resident,
    /// Do something to what is numbered so, on a large host.
    Perform {
        matter: Matter,
        deed: Deed,
        batch: Batch,
    },
    /// Wait until what was removed is gone.
    Settle,
    AddServices(Batch),
    RemoveServices(Batch),
    /// Connect to the service with this number so many times.
    Connect {
        service: u32,
        count: usize,
    },
    /// Many containers at once over this root, in the service.
    Crowd {
        containers: u32,
        root: PathBuf,
    },
    /// Run a command with this on its standard input; the time is that of the whole process.
    Run {
        words: Vec<String>,
        input: String,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Answer {
    Ready,
    Times(Cost),
    Waited(Samples),
    Count(usize),
    Queried(Queries),
    Connected(Connections),
    Crowd(Crowd),
    Failed(String),
}

/// Serves until standard input ends.
///
/// # Errors
///
/// When the process cannot be secluded or the pipe breaks. A verb that fails is an answer, not an error.
pub fn serve(setup: &Setup) -> anyhow::Result<()> {
    allow_many_files()?;
    namespace::seclude().context("making namespaces of one's own (this needs root)")?;
    let mut worker = match Worker::open(setup) {
        Ok(worker) => worker,
        Err(error) => return answer(&Answer::Failed(format!("{error:#}"))),
    };
    answer(&Answer::Ready)?;
    for line in std::io::stdin().lock().lines() {
        let ask = serde_json::from_str(&line?).context("reading what is asked")?;
        answer(&worker.perform(&ask).unwrap_or_else(|error| Answer::Failed(format!("{error:#}"))))?;
    }
    Ok(())
}

/// Two descriptors per endpoint, thousands of endpoints.
fn allow_many_files() -> anyhow::Result<()> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let limit = Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(Resource::Nofile, limit).context("raising the limit of open files")
}

fn answer(answer: &Answer) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(answer)?;
    line.push('\n');
    let mut output = std::io::stdout().lock();
    output.write_all(line.as_bytes())?;
    Ok(output.flush()?)
}

enum Held {
    Attach(Box<dyn Side>),
    Balance(Box<dyn Balancing>),
    Service(Box<Service>),
    Scale(Box<Large>),
    Nothing,
}

struct Worker {
    held: Held,
    route: Socket,
    last_detach: Instant,
    echoing: bool,
    echo: Option<Echo>,
    directory: PathBuf,
}

impl Worker {
    fn open(setup: &Setup) -> anyhow::Result<Self> {
        let held = match &setup.task {
            Task::Attach(side) => Held::Attach(side.open(&setup.directory)?),
            Task::Balance(side) => Held::Balance(side.open_balancer(&setup.directory)?),
            Task::Service(program) => {
                Held::Service(Service::open(program, &setup.directory)?.into())
            }
            Task::Scale(program) => Held::Scale(Large::open(program, &setup.directory)?.into()),
            Task::Run => Held::Nothing,
        };
        Ok(Self {
            held,
            route: Socket::route()?,
            last_detach: Instant::now(),
            echoing: false,
            echo: None,
            directory: setup.directory.clone(),
        })
    }

    fn perform(&mut self, ask: &Ask) -> anyhow::Result<Answer> {
        match ask {
            Ask::Attach(batch) => {
                let side = self.side()?;
                side.prepare(batch.count)?;
                timed(*batch, |number| side.attach(number))
            }
            Ask::Detach(batch) => {
                let side = self.side()?;
                let times = timed(*batch, |number| side.detach(number))?;
                self.last_detach = Instant::now();
                Ok(times)
            }
            Ask::Links => Ok(Answer::Count(self.links()?)),
            Ask::Gone(most) => self.gone(*most),
            Ask::Churn { threads, cycles } => self.churn(*threads, *cycles),
            Ask::Query(count) => Ok(Answer::Queried(self.service()?.query(*count)?)),
            Ask::Echo(count) => self.ask_echo(*count),
            Ask::Restart(end) => waited(self.restart(*end)?),
            Ask::Check => waited(self.check()?),
            Ask::Resident => Ok(Answer::Count(self.resident()?.try_into()?)),
            Ask::Perform { matter, deed, batch } => {
                let large = self.large()?;
                timed(*batch, |number| large.perform(*matter, *deed, number))
            }
            Ask::Settle => {
                let start = Instant::now();
                self.large()?.settle()?;
                waited(start.elapsed())
            }
            Ask::AddServices(batch) => {
                let balancer = self.balancer()?;
                timed(*batch, |number| balancer.add(number))
            }
            Ask::RemoveServices(batch) => {
                let balancer = self.balancer()?;
                timed(*batch, |number| balancer.remove(number))
            }
            Ask::Connect { service, count } => self.connect(*service, *count),
            Ask::Crowd { containers, root } => {
                Ok(Answer::Crowd(self.service()?.crowd(root, *containers)?))
            }
            Ask::Run { words, input } => run(words, input),
        }
    }

    fn side(&mut self) -> anyhow::Result<&mut dyn Side> {
        match &mut self.held {
            Held::Attach(side) => Ok(side.as_mut()),
            Held::Service(service) => Ok(service.as_mut()),
            _ => anyhow::bail!("this worker attaches nothing"),
        }
    }

    fn service(&mut self) -> anyhow::Result<&mut Service> {
        match &mut self.held {
            Held::Service(service) => Ok(service),
            _ => anyhow::bail!("this worker holds no service"),
        }
    }

    fn large(&mut self) -> anyhow::Result<&mut Large> {
        match &mut self.held {
            Held::Scale(large) => Ok(large),
            _ => anyhow::bail!("this worker holds no large host"),
        }
    }

    fn restart(&mut self, end: End) -> anyhow::Result<Duration> {
        match &mut self.held {
            Held::Scale(large) => large.restart(end),
            _ => self.service()?.restart(end),
        }
    }

    fn check(&mut self) -> anyhow::Result<Duration> {
        match &mut self.held {
            Held::Scale(large) => large.check(),
            _ => self.service()?.check(),
        }
    }

    fn resident(&mut self) -> anyhow::Result<u64> {
        match &mut self.held {
            Held::Scale(large) => large.resident(),
            _ => self.service()?.resident(),
        }
    }

    fn churn(&mut self, threads: u32, cycles: u32) -> anyhow::Result<Answer> {
        let links = self.links()?;
        let start = Instant::now();
        let side = self.side()?;
        side.churn(threads, cycles)?;
        let spare = side.spare();
        self.gone(links + spare)?;
        waited(start.elapsed())
    }

    fn ask_echo(&mut self, count: usize) -> anyhow::Result<Answer> {
        if self.echo.is_none() {
            let Queries { request, answer, .. } = self.service()?.query(1)?;
            self.echo = Some(Echo::start(&self.directory.join("echo"), request, answer)?);
        }
        let echo = self.echo.as_mut().context("it was made just now")?;
        Ok(Answer::Waited(echo.ask(count)?))
    }

    fn balancer(&mut self) -> anyhow::Result<&mut dyn Balancing> {
        match &mut self.held {
            Held::Balance(balancer) => Ok(balancer.as_mut()),
            _ => anyhow::bail!("this worker balances no load"),
        }
    }

    fn links(&mut self) -> anyhow::Result<usize> {
        let mut datagram = Datagram::default();
        message::all_links(&mut datagram);
        Ok(self.route.count(&mut datagram)?)
    }

    fn gone(&mut self, most: usize) -> anyhow::Result<Answer> {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let start = Instant::now();
            if self.links()? <= most {
                break;
            }
            anyhow::ensure!(start < deadline, "links are still there after two minutes");
            // Counting takes the lock that removal needs, so it is not done all the time.
            std::thread::sleep(Duration::from_millis(1).max(start.elapsed() * 4));
        }
        waited(self.last_detach.elapsed())
    }

    fn connect(&mut self, service: u32, count: usize) -> anyhow::Result<Answer> {
        let start = !std::mem::replace(&mut self.echoing, true);
        let balancer = self.balancer()?;
        if start {
            for backend in balancer.backends()? {
                Connections::answer_in(&backend)?;
            }
        }
        let (client, frontend) = (balancer.client()?, balancer.frontend(service));
        Ok(Answer::Connected(Connections::make(&client, frontend, count)?))
    }
}

fn waited(time: Duration) -> anyhow::Result<Answer> {
    Ok(Answer::Waited([time].into_iter().collect()))
}

fn run(words: &[String], input: &str) -> anyhow::Result<Answer> {
    let (program, arguments) = words.split_first().context("no command")?;
    let mut cost = Cost::default();
    cost.time(|| command::run(program, arguments, input))?;
    Ok(Answer::Times(cost))
}

fn timed(batch: Batch, mut verb: impl FnMut(u32) -> anyhow::Result<()>) -> anyhow::Result<Answer> {
    let mut cost = Cost::default();
    for number in batch.numbers() {
        cost.time(|| verb(number))?;
    }
    Ok(Answer::Times(cost))
}
