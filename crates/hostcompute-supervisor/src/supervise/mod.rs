//! The supervisor: one loop, one thread, everything that can happen to one system.
//!
//! ```text
//!             Launch        Start          Shutdown, Terminate, the last leash,
//!   (nothing) ─────► Created ────► Running ──────────────────────────────────────► ending ──► exit.json, Exited, gone
//!                       │            │ ▲       the first process's end
//!                       │      Pause ▼ │ Resume
//!                       │          Paused
//!                       └──────────────┴────────────────────────────────────────► ending
//! ```

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hostcompute_supervisor::cgroup::{Group, OomWatch};
use hostcompute_supervisor::launch::{Launch, Limits};
use hostcompute_supervisor::log;
use hostcompute_supervisor::message::{
    Answer, Cause, Moment, Notice, Refusal, State, Status, Stream,
};
use hostcompute_supervisor::wire;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::SocketFlags;
use rustix::process::WaitOptions;

mod client;
mod ending;
mod launching;
mod process;
mod relay;
mod requests;

pub use launching::launch;

use client::Client;
pub use process::Newcomer;
use process::{Process, Streaming};

use crate::agent::message::{FromAgent, ToAgent};
use crate::builtin::{Made, Maker, Prepared};
use crate::root::{Holds, Host};

/// How often, and how long, it is looked whether the memory limit ended somebody, after memory was short.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: Duration = Duration::from_secs(2);

/// One system and those who speak to us about it.
#[derive(Debug)]
pub struct Supervisor {
    launch: Launch,
    /// Held for as long as we live.
    _lock: OwnedFd,
    listener: OwnedFd,
    clients: Vec<Client>,
    next: u64,
    state: State,
    started: Option<(Moment, Instant)>,
    /// What waits for the start.
    prepared: Option<Prepared>,
    /// Layers and scratch, in use until the end.
    holds: Holds,
    /// The first process, from the start on.
    made: Option<Made>,
    /// How it ended, where that is known.
    init_status: Option<Status>,
    host: Host,
    /// Whether the agent has not hung up.
    agent_is_there: bool,
    group: Option<Group>,
    limits: Limits,
    memory: Option<OomWatch>,
    out_of_memory: bool,
    /// When it is looked next, and last, whether the memory limit ended somebody.
    look: Option<(Instant, Instant)>,
    processes: Vec<Process>,
    /// The first that was made.
    first: Option<u32>,
    /// Of those that were asked for and are being made.
    being_made: BTreeMap<u64, BeingMade>,
    log: log::Writer,
    cut: u64,
    ending: Option<Ending>,
    block: Vec<u8>,
}

/// A process that the agent was told to make.
#[derive(Debug)]
struct BeingMade {
    client: u64,
    number: u64,
    streaming: Streaming,
}

/// How the system is being ended.
#[derive(Debug)]
struct Ending {
    cause: Cause,
    /// Those who wait for it, client and number.
    waiting: Vec<(u64, u64)>,
    /// When whoever is left is killed.
    force: Option<Instant>,
    /// Killed already.
    forced: bool,
    /// When it is looked whether anybody is left, where nobody tells.
    look: Option<Instant>,
}

/// What poll is asked about.
#[derive(Debug, Clone, Copy)]
enum Source {
    Listener,
    Client(u64),
    Agent,
    Init,
    /// One of another runtime's processes, which is ours now.
    Child,
    Memory,
    Input(u32),
    Output(u32, Stream),
}

impl Supervisor {
    /// Serves until the system has ended.
    ///
    /// # Errors
    /// The loop itself failed; the system ends with us.
    pub fn serve(mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            let mut init_ended = false;
            for source in ready {
                match source {
                    Source::Listener => self.accept(),
                    Source::Client(id) => self.hear(id),
                    Source::Agent => self.hear_agent(),
                    Source::Init => init_ended = true,
                    Source::Child => {}
                    Source::Memory => self.hear_memory(),
                    Source::Input(pid) => self.pass_input(pid),
                    Source::Output(pid, stream) => self.pass_output(pid, stream),
                }
            }
            if self.look.is_some_and(|(next, _)| next <= Instant::now()) {
                self.hear_memory();
            }
            self.collect();
            self.tell_ends();
            self.drop_gone();
            self.force_if_due();
            self.end_if_empty();
            let never_began = self.made.is_none() && self.is_forced();
            if init_ended || never_began {
                return self.finish();
            }
        }
    }

    /// Waits until something happens; says what.
    fn wait(&self) -> io::Result<Vec<Source>> {
        let mut sources = vec![Source::Listener];
        let mut wait = vec![PollFd::new(&self.listener, PollFlags::IN)];
        let mut add = |source, entry| {
            sources.push(source);
            wait.push(entry);
        };
        if let Some(made) = &self.made {
            add(Source::Init, PollFd::new(&made.init_descriptor, PollFlags::IN));
            match &made.maker {
                Maker::Agent(agent) if self.agent_is_there => {
                    add(Source::Agent, PollFd::new(agent, PollFlags::IN));
                }
                Maker::Agent(_) => {}
                Maker::External(_) => {
                    for process in self.processes.iter().filter(|one| one.status.is_none()) {
                        add(Source::Child, PollFd::new(&process.descriptor, PollFlags::IN));
                    }
                }
            }
        }
        for client in &self.clients {
            add(Source::Client(client.id), PollFd::new(&client.socket, PollFlags::IN));
        }
        if let Some(memory) = &self.memory {
            add(Source::Memory, PollFd::new(memory, memory.events()));
        }
        for process in &self.processes {
            let input = Source::Input(process.pid);
            for source in process.input.sources() {
                add(input, PollFd::from_borrowed_fd(source, PollFlags::IN));
            }
            if let Some(sink) = process.input.blocked() {
                add(input, PollFd::from_borrowed_fd(sink, PollFlags::OUT));
            }
            for (stream, output) in
                [(Stream::Output, &process.output), (Stream::Error, &process.error)]
            {
                let place = Source::Output(process.pid, stream);
                if let Some(source) = output.source() {
                    add(place, PollFd::from_borrowed_fd(source, PollFlags::IN));
                }
                for sink in output.blocked() {
                    add(place, PollFd::from_borrowed_fd(sink, PollFlags::OUT));
                }
            }
        }
        let timeout = self.timeout();
        match rustix::event::poll(&mut wait, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = sources.into_iter().zip(&wait);
        Ok(ready
            .filter(|(_, entry)| !entry.revents().is_empty())
            .map(|(source, _)| source)
            .collect())
    }

    /// Until the first moment at which something is due.
    fn timeout(&self) -> Option<Timespec> {
        let ends = self.processes.iter().filter_map(Process::until);
        let force = self.ending.as_ref().and_then(|ending| ending.force);
        let empty = self.ending.as_ref().and_then(|ending| ending.look);
        let look = self.look.map(|(next, _)| next);
        let first = ends.chain(force).chain(empty).chain(look).min()?;
        let left = first.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        Timespec::try_from(left).ok()
    }

    fn accept(&mut self) {
        // Nobody there any more, or no descriptors left: who connects sees it.
        if let Ok(socket) = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC) {
            let id = self.number();
            self.clients.extend(Client::new(id, socket));
        }
    }

    /// A number that was not used before.
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn hear(&mut self, id: u64) {
        loop {
            let Some(client) = self.clients.iter_mut().find(|client| client.id == id) else {
                return;
            };
            let Some(received) = client.receive() else { return };
            let number = received.message.number;
            match self.perform(id, number, received.message.request) {
                Ok(requests::Outcome::Answered(answer)) => self.answer(id, number, Ok(answer)),
                Ok(requests::Outcome::Later) => {}
                Err(refusal) => self.answer(id, number, Err(refusal)),
            }
        }
    }

    fn answer(&mut self, client: u64, number: u64, answer: Result<Answer, Refusal>) {
        if let Some(client) = self.clients.iter_mut().find(|found| found.id == client) {
            client.answer(number, answer, &[]);
        }
    }

    fn notice(&mut self, notice: &Notice) {
        for client in &mut self.clients {
            client.notice(notice);
        }
    }

    fn set_state(&mut self, state: State) {
        self.state = state;
        self.notice(&Notice::State(state));
    }

    fn hear_agent(&mut self) {
        while let Some(Made { maker: Maker::Agent(agent), .. }) =
            self.made.as_ref().filter(|_| self.agent_is_there)
        {
            match wire::receive::<FromAgent>(agent) {
                Ok(Some(received)) => self.hear_from_agent(received.message, received.descriptors),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It has ended, as its descriptor will tell, or talks nonsense.
                Ok(None) | Err(_) => {
                    self.agent_is_there = false;
                    self.kill_init();
                }
            }
        }
    }

    fn hear_from_agent(&mut self, message: FromAgent, descriptors: Vec<OwnedFd>) {
        match message {
            // Said before there was a supervisor to hear it.
            FromAgent::Ready | FromAgent::Failed(_) => {}
            FromAgent::Spawned { number, pid } => self.spawned(number, pid, descriptors),
            FromAgent::Refused { number, refusal } => {
                if let Some(made) = self.being_made.remove(&number) {
                    self.answer(made.client, made.number, Err(refusal));
                }
            }
            FromAgent::Exited { pid, status } => {
                let process = self
                    .processes
                    .iter_mut()
                    .find(|process| process.pid == pid && process.status.is_none());
                if let Some(process) = process {
                    process.end(status);
                    self.drain(pid);
                }
            }
        }
    }

    /// The agent made a process.
    fn spawned(&mut self, number: u64, pid: u32, descriptors: Vec<OwnedFd>) {
        let Some(BeingMade { client, number, streaming }) = self.being_made.remove(&number) else {
            return;
        };
        let mut descriptors = descriptors.into_iter();
        let Some(descriptor) = descriptors.next() else {
            // Nonsense.
            self.agent_is_there = false;
            return self.kill_init();
        };
        let terminal = descriptors.next();
        self.welcome(
            (client, number),
            streaming,
            Newcomer { pid, child: None, descriptor, terminal },
        );
    }

    /// There is a new process: tells everybody, and gives whoever asked for it its ends of the streams.
    fn welcome(&mut self, (client, number): (u64, u64), streaming: Streaming, newcomer: Newcomer) {
        let pid = newcomer.pid;
        match streaming.into_process(newcomer) {
            Ok((process, ends)) => {
                // The number is free again when the kernel gives it a second time.
                self.processes.retain(|old| old.pid != pid);
                self.processes.push(process);
                self.first.get_or_insert(pid);
                process::forget(&mut self.processes);
                self.notice(&Notice::ProcessCreated { pid });
                let answer = Ok(Answer::Process { pid, streams: ends.streams });
                if let Some(client) = self.clients.iter_mut().find(|found| found.id == client) {
                    client.answer(number, answer, &ends.borrow());
                }
            }
            Err(refusal) => self.answer(client, number, Err(refusal)),
        }
    }

    /// Version 1 tells that memory is short before it ends somebody: whoever was told looks again until it has.
    fn hear_memory(&mut self) {
        let Some(memory) = &mut self.memory else { return };
        match memory.kills() {
            Ok(0) => {
                let now = Instant::now();
                let last = self.look.map_or(now + LOOKS, |(_, last)| last);
                self.look = (now < last).then_some((now + LOOK, last));
            }
            Ok(_) => {
                self.look = None;
                self.out_of_memory = true;
                self.notice(&Notice::OutOfMemory);
            }
            Err(_) => self.memory = None,
        }
    }

    fn pass_input(&mut self, pid: u32) {
        if let Some(process) = self.processes.iter_mut().find(|process| process.pid == pid) {
            process.input.pass(&mut self.block);
        }
    }

    fn pass_output(&mut self, pid: u32, stream: Stream) {
        let Some(process) = self.processes.iter_mut().find(|process| process.pid == pid) else {
            return;
        };
        let log = relay::log_to(&mut self.log, pid, stream);
        let cut = process.stream(stream).pass(&mut self.block, log);
        for _ in 0..cut {
            self.cut += 1;
            self.notice(&Notice::ReaderCut { pid, stream });
        }
    }

    /// Collects those that another runtime left to us: processes that were asked for, its first, and what it could not make, which would
    /// keep the first from ending.
    fn collect(&mut self) {
        if !matches!(&self.made, Some(Made { maker: Maker::External(_), .. })) {
            return;
        }
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let status = crate::status::of(status);
            if self.made.as_ref().is_some_and(|made| made.init == pid) {
                self.init_status = Some(status);
            }
            let known = |process: &&mut Process| process.child == Some(pid);
            if let Some(process) = self.processes.iter_mut().find(known) {
                process.end(status);
                let pid = process.pid;
                self.drain(pid);
            }
        }
    }

    /// Reads what a process that has ended left in its pipes.
    fn drain(&mut self, pid: u32) {
        self.pass_output(pid, Stream::Output);
        self.pass_output(pid, Stream::Error);
    }

    fn tell_ends(&mut self) {
        let now = Instant::now();
        let told: Vec<_> = self
            .processes
            .iter_mut()
            .filter_map(|process| Some((process.pid, process.tell(now)?)))
            .collect();
        for (pid, status) in told {
            self.notice(&Notice::ProcessExited { pid, status });
            if self.first == Some(pid) {
                self.first_ended();
            }
        }
    }

    fn drop_gone(&mut self) {
        let held = self.clients.iter().any(|client| client.leash);
        self.clients.retain(|client| !client.gone);
        if held && !self.clients.iter().any(|client| client.leash) {
            self.end(Cause::LastHandleClosed);
        }
    }

    /// Says something to the agent.
    fn tell_agent(&self, message: &ToAgent, ends: &[BorrowedFd<'_>]) -> io::Result<()> {
        match &self.made {
            Some(Made { maker: Maker::Agent(agent), .. }) => wire::send(agent, message, ends),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
