//! What clients ask for.

use std::time::{Duration, Instant};

use hostcompute_supervisor::launch::{Isolation, Life, Limits, Mount, Runtime};
use hostcompute_supervisor::message::{
    Answer, Cause, Inspection, Moment, ProcessLaunch, Refusal, RefusalKind, Request, State,
    Statistics, Stream, Streams,
};

use super::process::{Process, Streaming};
use super::{BeingMade, Supervisor};
use rustix::process::Pid;

use crate::agent::message::ToAgent;
use crate::builtin::{Made, Maker};
use crate::refusal::{Context, refuse};
use crate::{mounts, process_list, sys};

/// What becomes of a request that is not refused.
#[derive(Debug)]
pub enum Outcome {
    Answered(Answer),
    /// Answered when it is done.
    Later,
}

type Performed = Result<Outcome, Refusal>;

const DONE: Performed = Ok(Outcome::Answered(Answer::Done));

impl Supervisor {
    pub(super) fn perform(&mut self, client: u64, number: u64, request: Request) -> Performed {
        if self.is_forced() {
            return self.perform_at_the_end(client, number, request);
        }
        match request {
            Request::Launch(_) => Err(refuse(RefusalKind::State, "it is made already")),
            Request::Start => self.start(client, number),
            Request::Process(launch) => self.make_process(client, number, *launch),
            Request::Attach { pid, streams } => self.attach(client, number, pid, streams),
            Request::Signal { pid, signal } => {
                let process = self.running(pid)?;
                sys::signal(&process.descriptor, signal).context(|| "send the signal")?;
                DONE
            }
            Request::Resize { pid, size } => {
                let process = self.running(pid)?;
                let Some(terminal) = &process.terminal else {
                    return Err(refuse(RefusalKind::Unsupported, "it has no terminal"));
                };
                crate::agent::set_size(terminal, size).context(|| "set the terminal's size")?;
                DONE
            }
            Request::CloseInput { pid } => {
                self.running(pid)?;
                self.close_input(pid);
                DONE
            }
            Request::CloseOutput { pid, stream } => {
                self.running(pid)?.stream(stream).drop_readers();
                DONE
            }
            Request::Pause => self.pause(),
            Request::Resume => self.resume(),
            Request::Update(limits) => self.update(limits),
            Request::AddMount(mount) => self.add_mount(mount),
            Request::RemoveMount { target } => {
                let known = self.launch.mounts.iter().position(|mount| mount.target == target);
                let Some(place) = known else {
                    return Err(refuse(RefusalKind::NotFound, "nothing is mapped there"));
                };
                mounts::remove(self.init()?, &target)?;
                self.launch.mounts.remove(place);
                DONE
            }
            Request::AddDevices(devices) => self.add_devices(devices),
            Request::RemoveDevices { targets } => self.remove_devices(&targets),
            Request::Statistics => self.statistics(),
            Request::Processes => {
                let init = self.init()?;
                let pids = match &self.group {
                    Some(group) => group.processes().context(|| "look at the processes")?,
                    None => process_list::below(init),
                };
                let agent = init.as_raw_nonzero().get();
                let found = pids.into_iter().filter(|pid| *pid != agent);
                Ok(Outcome::Answered(Answer::Processes(
                    found.filter_map(process_list::look).collect(),
                )))
            }
            Request::Shutdown { signal, force_after } => self.shut_down(signal, force_after),
            Request::Terminate(cause) => {
                self.end(cause);
                self.wait_for_the_end(client, number);
                Ok(Outcome::Later)
            }
            Request::Leash => self.leash(client, true),
            Request::Release => {
                self.leash(client, false)?;
                if !self.clients.iter().any(|client| client.leash) {
                    self.end(Cause::LastHandleClosed);
                }
                DONE
            }
            Request::Unleash => self.leash(client, false),
            Request::Inspect => Ok(Outcome::Answered(Answer::Inspection(Box::new(self.inspect())))),
        }
    }

    /// It is being ended: who wants that, too, waits for it.
    fn perform_at_the_end(&mut self, client: u64, number: u64, request: Request) -> Performed {
        match request {
            Request::Terminate(_) => {
                self.wait_for_the_end(client, number);
                Ok(Outcome::Later)
            }
            Request::Leash => self.leash(client, true),
            Request::Release | Request::Unleash => self.leash(client, false),
            Request::Inspect => Ok(Outcome::Answered(Answer::Inspection(Box::new(self.inspect())))),
            _ => Err(refuse(RefusalKind::Ended, "the system has ended")),
        }
    }

    /// Makes the first process: the namespaces stand from then on, and no process of a user's runs yet.
    fn start(&mut self, client: u64, number: u64) -> Performed {
        self.need(State::Created)?;
        let Some(prepared) = self.prepared.take() else {
            return Err(refuse(RefusalKind::State, "it cannot be started again"));
        };
        match prepared.start(&self.launch, self.group.as_ref(), &self.host) {
            Ok(made) => {
                self.made = Some(made);
                self.started = Some((Moment::now(), Instant::now()));
                self.set_state(State::Running);
                DONE
            }
            Err(refusal) => {
                self.end(Cause::StartFailed(refusal));
                self.wait_for_the_end(client, number);
                Ok(Outcome::Later)
            }
        }
    }

    fn make_process(&mut self, client: u64, number: u64, launch: ProcessLaunch) -> Performed {
        self.need(State::Running)?;
        if self.ending.is_some() {
            return Err(refuse(RefusalKind::Ended, "the system is about to end"));
        }
        let streaming = Streaming::new(launch.streams, launch.terminal.is_some())?;
        if let Some(Made { maker: Maker::External(external), .. }) = &mut self.made {
            let mut streaming = streaming;
            let ends = std::mem::take(&mut streaming.process);
            let spawned = external.spawn(&self.launch, &launch, ends.streams, ends.descriptors)?;
            self.welcome((client, number), streaming, spawned);
            return Ok(Outcome::Later);
        }
        let order = self.number();
        let streams = streaming.process.streams;
        let message = ToAgent::Spawn { number: order, launch: Box::new(launch), streams };
        self.tell_agent(&message, &streaming.process.borrow())
            .context(|| "speak to the first process")?;
        let mut streaming = streaming;
        // The process's ends are its own from now on: who waits for their end must not be one of those who hold them.
        streaming.process = Default::default();
        self.being_made.insert(order, BeingMade { client, number, streaming });
        Ok(Outcome::Later)
    }

    fn attach(&mut self, client: u64, number: u64, pid: u32, streams: Streams) -> Performed {
        let ends = self.running(pid)?.attach(streams)?;
        let answer = Ok(Answer::Process { pid, streams: ends.streams });
        if let Some(client) = self.clients.iter_mut().find(|found| found.id == client) {
            client.answer(number, answer, &ends.borrow());
        }
        Ok(Outcome::Later)
    }

    fn close_input(&mut self, pid: u32) {
        if let Some(process) = self.processes.iter_mut().find(|process| process.pid == pid) {
            process.input.close(&mut self.block);
        }
    }

    fn pause(&mut self) -> Performed {
        self.need(State::Running)?;
        let Some(group) = &self.group else {
            return Err(refuse(RefusalKind::Unsupported, "pausing takes a control group"));
        };
        group.freeze().context(|| "pause")?;
        self.set_state(State::Paused);
        DONE
    }

    fn resume(&mut self) -> Performed {
        self.need(State::Paused)?;
        if let Some(group) = &self.group {
            group.thaw().context(|| "resume")?;
        }
        self.set_state(State::Running);
        DONE
    }

    fn update(&mut self, limits: Limits) -> Performed {
        let Some(group) = &self.group else {
            return Err(refuse(RefusalKind::Unsupported, "limits take a control group"));
        };
        group.set_limits(&self.limits, &limits).context(|| "set the limits")?;
        self.limits = limits;
        DONE
    }

    fn add_mount(&mut self, mount: Mount) -> Performed {
        self.need(State::Running)?;
        if self.launch.isolation == Isolation::HostProcess {
            return Err(refuse(RefusalKind::Unsupported, "host processes see the host as it is"));
        }
        if self.launch.mounts.iter().any(|known| known.target == mount.target) {
            return Err(refuse(RefusalKind::Exists, "something is mapped there"));
        }
        mounts::add(self.init()?, &mount)?;
        self.launch.mounts.push(mount);
        DONE
    }

    fn add_devices(&mut self, devices: Vec<hostcompute_supervisor::launch::Device>) -> Performed {
        self.need(State::Running)?;
        let known = &mut self.launch.devices;
        let fresh: Vec<_> = devices
            .into_iter()
            .filter(|device| !known.iter().any(|old| old.target == device.target))
            .collect();
        if fresh.is_empty() {
            return Err(refuse(RefusalKind::Exists, "it has these devices"));
        }
        if let Some(group) = &self.group {
            let rules: Vec<String> = fresh.iter().filter_map(crate::devices::rule).collect();
            group.allow_devices(&rules).context(|| "allow devices")?;
        }
        mounts::add_devices(self.init()?, self.launch.users.is_some(), &fresh)?;
        self.launch.devices.extend(fresh);
        DONE
    }

    fn remove_devices(&mut self, targets: &[std::path::PathBuf]) -> Performed {
        let (goes, stays): (Vec<_>, Vec<_>) =
            self.launch.devices.drain(..).partition(|device| targets.contains(&device.target));
        self.launch.devices = stays;
        if goes.is_empty() {
            return Err(refuse(RefusalKind::NotFound, "it has none of these devices"));
        }
        let targets: Vec<_> = goes.iter().map(|device| device.target.clone()).collect();
        mounts::remove_devices(self.init()?, &targets)?;
        if let Some(group) = &self.group {
            let rules: Vec<String> = goes.iter().filter_map(crate::devices::rule).collect();
            group.deny_devices(&rules).context(|| "deny devices")?;
        }
        DONE
    }

    fn statistics(&self) -> Performed {
        let group = match &self.group {
            Some(group) => group.usage().context(|| "read what was used")?,
            None => process_list::usage(self.init()?),
        };
        let started = self.started.map(|(moment, _)| moment).unwrap_or_default();
        let statistics = Statistics { at: Moment::now(), started, group };
        Ok(Outcome::Answered(Answer::Statistics(statistics)))
    }

    fn shut_down(&mut self, signal: i32, force_after: Option<u64>) -> Performed {
        self.need(State::Running)?;
        let force = force_after.map(|after| Instant::now() + Duration::from_millis(after));
        let first = self.first.filter(|_| self.launch.life == Life::FirstProcess);
        match first.and_then(|pid| self.processes.iter().find(|process| process.pid == pid)) {
            Some(process) => {
                sys::signal(&process.descriptor, signal).context(|| "send the signal")?;
            }
            None => {
                let is_external = self.launch.runtime != Runtime::Builtin;
                if is_external || self.launch.isolation == Isolation::HostProcess {
                    self.signal_group(signal)?;
                }
                if !is_external {
                    self.tell_agent(&ToAgent::End { signal }, &[])
                        .context(|| "speak to the first process")?;
                }
            }
        }
        self.shut_down_begins(force);
        DONE
    }

    /// Signals host processes, of which no namespace says who they are.
    fn signal_group(&self, signal: i32) -> Result<(), Refusal> {
        let Some(group) = &self.group else { return Ok(()) };
        let agent = self.init()?.as_raw_nonzero().get();
        for pid in group.processes().context(|| "look at the processes")? {
            let descriptor = Pid::from_raw(pid)
                .filter(|_| pid != agent)
                .map(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()));
            // Who is gone needs no signal.
            if let Some(Ok(descriptor)) = descriptor {
                let _ = sys::signal(descriptor, signal);
            }
        }
        Ok(())
    }

    fn leash(&mut self, client: u64, held: bool) -> Performed {
        if let Some(client) = self.clients.iter_mut().find(|found| found.id == client) {
            client.leash = held;
        }
        DONE
    }

    fn inspect(&self) -> Inspection {
        Inspection {
            state: self.state,
            supervisor: rustix::process::getpid().as_raw_nonzero().get(),
            init: self.made.as_ref().map(|made| made.init.as_raw_nonzero().get()),
            started: self.started.map(|(moment, _)| moment),
            limits: self.limits.clone(),
            processes: self.processes.iter().map(Process::state).collect(),
            cut: self.cut,
            out_of_memory: self.out_of_memory,
        }
    }

    /// The first process, once the system is started.
    fn init(&self) -> Result<Pid, Refusal> {
        let made = self.made.as_ref();
        made.map(|made| made.init).ok_or_else(|| refuse(RefusalKind::State, "it is not started"))
    }

    fn need(&self, state: State) -> Result<(), Refusal> {
        if self.state == state {
            return Ok(());
        }
        let message = match self.state {
            State::Created => "it is not started",
            State::Running => "it runs",
            State::Paused => "it is paused",
        };
        Err(refuse(RefusalKind::State, message))
    }

    /// A process that has not ended.
    fn running(&mut self, pid: u32) -> Result<&mut Process, Refusal> {
        let process = self.processes.iter_mut().find(|process| process.pid == pid);
        match process {
            None => Err(refuse(RefusalKind::NoProcess, format!("there is no process {pid}"))),
            Some(process) if process.status.is_some() => {
                Err(refuse(RefusalKind::ProcessEnded, format!("process {pid} has ended")))
            }
            Some(process) => Ok(process),
        }
    }
}

/// Kept here so that both outputs are named once.
pub(super) const OUTPUTS: [Stream; 2] = [Stream::Output, Stream::Error];
