//! The processes that were asked for: their streams, and their ends.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hostcompute_supervisor::message::{
    ProcessState, Refusal, RefusalKind, Status, Stream, Streams,
};

use rustix::process::Pid;

use super::relay::{Input, Output, Pipe};
use crate::refusal::{Context, refuse};

/// How long readers have to take what a process that has ended wrote.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many that have ended are remembered.
const REMEMBERED: usize = 128;

/// A process that was asked for.
#[derive(Debug)]
pub struct Process {
    /// Inside the system.
    pub pid: u32,
    /// The host's number, where it is the supervisor's child.
    pub child: Option<Pid>,
    pub descriptor: OwnedFd,
    pub terminal: Option<OwnedFd>,
    pub input: Input,
    pub output: Output,
    pub error: Output,
    pub status: Option<Status>,
    /// Its end was told.
    told: bool,
    /// When its end is told at the latest.
    until: Option<Instant>,
}

/// A process that was just made.
#[derive(Debug)]
pub struct Newcomer {
    /// Inside the system.
    pub pid: u32,
    /// The host's number, where it is the supervisor's child.
    pub child: Option<Pid>,
    pub descriptor: OwnedFd,
    pub terminal: Option<OwnedFd>,
}

/// The ends of streams that others get, in the order of [`Streams`].
#[derive(Debug, Default)]
pub struct Ends {
    pub descriptors: Vec<OwnedFd>,
    pub streams: Streams,
}

impl Ends {
    pub fn borrow(&self) -> Vec<BorrowedFd<'_>> {
        self.descriptors.iter().map(AsFd::as_fd).collect()
    }
}

/// The supervisor's ends of the streams of a process that is being made.
#[derive(Debug)]
pub struct Streaming {
    input: Input,
    output: Output,
    error: Output,
    is_terminal: bool,
    /// What the client gets.
    pub client: Ends,
    /// What the process gets.
    pub process: Ends,
}

impl Streaming {
    /// Makes the pipes of a process: those between it and us, and those between us and the client.
    pub fn new(wanted: Streams, is_terminal: bool) -> Result<Self, Refusal> {
        let mut streaming = Self {
            input: Input::new(None, is_terminal),
            output: Output::default(),
            error: Output::default(),
            is_terminal,
            client: Ends::default(),
            process: Ends::default(),
        };
        let Self { input, output, error, client, process, .. } = &mut streaming;
        if wanted.input {
            if !is_terminal {
                let pipe = Pipe::from_us()?;
                *input = Input::new(Some(pipe.ours), false);
                process.descriptors.push(pipe.theirs);
                process.streams.input = true;
            }
            let pipe = Pipe::to_us()?;
            input.add(pipe.ours);
            client.descriptors.push(pipe.theirs);
            client.streams.input = true;
        }
        // Every output is heard, for the log and those who come later.
        for (kept, place, wanted) in
            [(output, Stream::Output, wanted.output), (error, Stream::Error, wanted.error)]
        {
            if is_terminal && place == Stream::Error {
                continue;
            }
            if !is_terminal {
                let pipe = Pipe::to_us()?;
                *kept = Output::new(Some(pipe.ours));
                process.descriptors.push(pipe.theirs);
                match place {
                    Stream::Output => process.streams.output = true,
                    Stream::Error => process.streams.error = true,
                }
            }
            if wanted {
                let pipe = Pipe::from_us()?;
                kept.add_first(pipe.ours);
                client.descriptors.push(pipe.theirs);
                match place {
                    Stream::Output => client.streams.output = true,
                    Stream::Error => client.streams.error = true,
                }
            }
        }
        Ok(streaming)
    }

    /// The process is there.
    pub fn into_process(self, newcomer: Newcomer) -> Result<(Process, Ends), Refusal> {
        let Newcomer { pid, child, descriptor, terminal } = newcomer;
        let Self { mut input, mut output, error, client, is_terminal, .. } = self;
        if is_terminal {
            let terminal = terminal
                .as_ref()
                .ok_or_else(|| refuse(RefusalKind::Failed, "the terminal is missing"))?;
            rustix::io::ioctl_fionbio(terminal, true).context(|| "set up the terminal")?;
            let another = || terminal.try_clone().context(|| "set up the terminal");
            input.set_sink(another()?);
            output.set_source(another()?);
        }
        let process = Process {
            pid,
            child,
            descriptor,
            terminal,
            input,
            output,
            error,
            status: None,
            told: false,
            until: None,
        };
        Ok((process, client))
    }
}

impl Process {
    pub fn state(&self) -> ProcessState {
        ProcessState { pid: self.pid, terminal: self.terminal.is_some(), status: self.status }
    }

    pub fn stream(&mut self, stream: Stream) -> &mut Output {
        match stream {
            Stream::Output => &mut self.output,
            Stream::Error => &mut self.error,
        }
    }

    /// Ends of its streams for one more client; of those that are closed there is none.
    pub fn attach(&mut self, wanted: Streams) -> Result<Ends, Refusal> {
        let mut ends = Ends::default();
        if wanted.input && self.input.is_open() {
            let pipe = Pipe::to_us()?;
            self.input.add(pipe.ours);
            ends.descriptors.push(pipe.theirs);
            ends.streams.input = true;
        }
        if wanted.output && self.output.is_open() {
            let pipe = Pipe::from_us()?;
            self.output.add(pipe.ours);
            ends.descriptors.push(pipe.theirs);
            ends.streams.output = true;
        }
        if wanted.error && self.error.is_open() {
            let pipe = Pipe::from_us()?;
            self.error.add(pipe.ours);
            ends.descriptors.push(pipe.theirs);
            ends.streams.error = true;
        }
        Ok(ends)
    }

    /// It has ended; what it wrote is still on its way.
    pub fn end(&mut self, status: Status) {
        if self.status.is_none() {
            self.status = Some(status);
            self.until = Some(Instant::now() + PATIENCE);
            self.input.drop_sink();
            self.output.drained = !self.output.is_open();
            self.error.drained = !self.error.is_open();
        }
    }

    /// Its status, once, when everything that it wrote has been passed on or its readers had their time.
    pub fn tell(&mut self, now: Instant) -> Option<Status> {
        let status = self.status.filter(|_| !self.told)?;
        let settled = self.output.is_settled() && self.error.is_settled();
        if !settled && self.until.is_some_and(|until| until > now) {
            return None;
        }
        self.told = true;
        Some(status)
    }

    /// When [`Self::tell`] says something at the latest.
    pub fn until(&self) -> Option<Instant> {
        self.until.filter(|_| !self.told)
    }

    /// Nothing of it is of use any more but its status.
    fn is_over(&self) -> bool {
        self.told && !self.output.is_open() && !self.error.is_open()
    }
}

/// Forgets the oldest of those that are over.
pub fn forget(processes: &mut Vec<Process>) {
    let over = processes.iter().filter(|process| process.is_over()).count();
    let mut surplus = over.saturating_sub(REMEMBERED);
    processes.retain(|process| {
        let goes = surplus > 0 && process.is_over();
        surplus -= usize::from(goes);
        !goes
    });
}
