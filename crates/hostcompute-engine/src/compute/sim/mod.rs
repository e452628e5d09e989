//! A model of who carries compute systems, for tests: systems and processes that are only remembered, with everything that a real one
//! does to its callers. It refuses what cannot be, tells what happens in order and before a call returns, and dies when a test says so.
//!
//! A [`Machine`] is a host; each [`Machine::process`] is a program on it that carries systems, and can be killed: what it
//! held is let go then, and nothing is told to it any more. Programs in systems do what their names say (see [`program`]).

pub mod program;
mod state;

extern crate std;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hostcompute_schema::HResult;

use super::facts::HostFacts;
use super::launch::{
    ConsoleSize, DeviceNodes, Launch, Limits, Mount, OnBehalf, Pipe, ProcessLaunch, Signal,
    StandardStream,
};
use super::record::key;
use super::worker::{
    Adopted, Cause, Created, Debt, End, Fault, Found, Happening, Leash, LogRequest, ProcessEntry,
    ProcessStatus, Remains, Sink, Statistics, Stdio, Worker, Workers,
};
use state::State;

/// A call of the traits, as far as faults can be ordered for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doing {
    Create,
    Start,
    CreateProcess,
    Pause,
    Resume,
    Update,
    Mount,
    Statistics,
    ShutDown,
    Terminate,
    Leash,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It is refused, without effect.
    Refused(Fault),
    /// What carries the system dies before it did anything.
    DiesBefore,
    /// It dies after it has done it, before it answers.
    DiesAfter,
}

/// A simulated host. A clone is the same.
#[derive(Debug, Clone)]
pub struct Machine {
    inside: Arc<Mutex<State>>,
    /// The program that this is a handle of.
    process: u64,
    /// What a thread does while it waits for another to tell what happened.
    pause: fn(),
}

impl Default for Machine {
    fn default() -> Self {
        Self::new(std::thread::yield_now)
    }
}

/// Who carries one system.
#[derive(Clone)]
pub struct SimWorker {
    machine: Machine,
    /// As a connection has it.
    _sink: Sink,
    id: String,
    /// Which of the systems that ever had this id.
    incarnation: u64,
}

impl core::fmt::Debug for SimWorker {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SimWorker").field("id", &self.id).finish_non_exhaustive()
    }
}

/// One end of a pipe: what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimStream {
    pub system: String,
    pub pid: Option<u32>,
}

impl Machine {
    /// A host with two processors on which everything can be limited. `pause` lets other threads of a test go on.
    pub fn new(pause: fn()) -> Self {
        Self { inside: Arc::new(Mutex::new(State::new())), process: 0, pause }
    }

    /// Another program on the same host.
    pub fn process(&self) -> Self {
        let process = self.lock().next_process();
        Self { process, ..self.clone() }
    }

    /// This program dies: it hears nothing any more, and holds nothing.
    pub fn die(&self) {
        self.lock().process_died(self.process);
        self.tell_all();
    }

    /// The next call of this sort goes wrong.
    pub fn order(&self, doing: Doing, trouble: Trouble) {
        self.lock().order(doing, trouble);
    }

    /// Nothing goes wrong any more.
    pub fn cancel_orders(&self) {
        self.lock().orders.clear();
    }

    /// What paths of layers, scratch and mapped directories do not exist.
    pub fn lacks(&self, path: &str) {
        self.lock().lacking.push(path.into());
    }

    /// A process ends, by itself.
    pub fn exit(&self, id: &str, pid: u32, status: ProcessStatus) {
        self.act(id, |state, key| state.exit(key, pid, status));
    }

    /// The system ends, not because somebody asked for it.
    pub fn end(&self, id: &str, end: End) {
        self.act(id, |state, key| state.end(key, end));
    }

    /// What carries the system is killed.
    pub fn kill_worker(&self, id: &str) {
        let end = End { cause: Cause::WorkerDied, out_of_memory: false };
        self.act(id, |state, key| state.die(key, end));
    }

    /// The time that processes have to end after a forced shutdown is over.
    pub fn time_passes(&self, id: &str) {
        self.act(id, State::time_passes);
    }

    /// What the systems are made of and have, by id: for what a test wants to look at.
    pub fn look<T>(&self, id: &str, look: impl FnOnce(&Seen<'_>) -> T) -> Option<T> {
        let state = self.lock();
        let system = state.systems.get(&key(id))?;
        let pids = system.processes.keys().copied().collect();
        let (mounts, pipes) = (&system.mounts, &system.pipes);
        let seen = Seen { launch: &system.launch, limits: &system.limits, mounts, pipes, pids };
        Some(look(&seen))
    }

    /// How many handles there are to this machine and to what carries its systems.
    pub fn handles(&self) -> usize {
        Arc::strong_count(&self.inside)
    }

    /// Whether nothing at all is left: no system, nothing untold.
    pub fn is_empty(&self) -> bool {
        let state = self.lock();
        state.systems.is_empty() && state.outbox.is_empty()
    }

    fn act(&self, id: &str, act: impl FnOnce(&mut State, &str)) {
        act(&mut self.lock(), &key(id));
        self.tell_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what happened, in order. One thread does it at a time; others wait until what they brought about was told.
    fn tell_all(&self) {
        let until = self.lock().last_happening;
        loop {
            let told: Option<Vec<(Sink, Happening)>> = {
                let mut state = self.lock();
                if state.outbox.is_empty() && !state.telling || state.told >= until {
                    return;
                }
                if state.telling { None } else { state.take_happenings() }
            };
            let Some(told) = told else {
                (self.pause)();
                continue;
            };
            let _telling = Telling(self);
            told.into_iter().for_each(|(sink, happening)| sink(happening));
        }
    }
}

/// Somebody tells what happened; also when a sink panics, others go on.
struct Telling<'m>(&'m Machine);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.telling = false;
        state.told += 1;
    }
}

/// A system, looked at.
#[derive(Debug)]
pub struct Seen<'s> {
    pub launch: &'s Launch,
    pub limits: &'s Limits,
    pub mounts: &'s [Mount],
    pub pipes: &'s [Pipe],
    pub pids: Vec<u32>,
}

impl Workers for Machine {
    type Worker = SimWorker;

    fn create(&self, launch: &Launch, sink: Sink) -> Result<SimWorker, Fault> {
        let incarnation = self.lock().create(launch, self.process, sink.clone());
        self.tell_all();
        let id = launch.id.clone();
        Ok(SimWorker { machine: self.clone(), _sink: sink, id, incarnation: incarnation? })
    }

    fn list(&self) -> Result<Vec<String>, Fault> {
        Ok(self.lock().systems.values().map(|system| system.launch.id.clone()).collect())
    }

    fn adopt(&self, id: &str, sink: Sink) -> Result<Adopted<SimWorker>, Fault> {
        let mut state = self.lock();
        let system = state.systems.get_mut(&key(id)).ok_or_else(|| not_found(id))?;
        system.sinks.push((self.process, sink.clone()));
        let (id, incarnation) = (system.launch.id.clone(), system.incarnation);
        let worker = SimWorker { machine: self.clone(), _sink: sink, id, incarnation };
        Ok(Adopted { worker, record: system.launch.record.clone(), found: system.found() })
    }

    fn remains(&self) -> Result<Vec<Remains>, Fault> {
        Ok(self.lock().remains.iter().rev().cloned().collect())
    }

    fn owing(&self) -> Result<Vec<Debt>, Fault> {
        Ok(self.lock().debts.clone())
    }

    fn settle(&self, id: &str, owes: &str) -> Result<(), Fault> {
        self.lock().debts.retain(|debt| key(&debt.id) != key(id) || debt.owes != owes);
        Ok(())
    }

    fn log(&self, id: &str, request: LogRequest) -> Result<SimStream, Fault> {
        let state = self.lock();
        let live = state.systems.contains_key(&key(id));
        if live || state.remains.iter().any(|one| key(&one.id) == key(id)) {
            return Ok(SimStream { system: id.into(), pid: request.pid });
        }
        Err(not_found(id))
    }

    fn facts(&self) -> HostFacts {
        self.lock().facts.clone()
    }

    fn keep(
        &self,
        change: &mut dyn FnMut(&str) -> Result<Option<String>, Fault>,
    ) -> Result<String, Fault> {
        let mut state = self.lock();
        if let Some(text) = change(&state.kept)? {
            state.kept = text;
        }
        Ok(state.kept.clone())
    }
}

impl SimWorker {
    /// Does something to the system, if it is still there, and tells what came of it.
    fn act<T>(
        &self,
        doing: Option<Doing>,
        act: impl FnOnce(&mut State, &str) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let done = {
            let mut state = self.machine.lock();
            let key = key(&self.id);
            let there = state.systems.get(&key).is_some_and(|s| s.incarnation == self.incarnation);
            if there { state.attempt(doing, &key, act) } else { Err(gone()) }
        };
        self.machine.tell_all();
        done
    }
}

impl Worker for SimWorker {
    type Stream = SimStream;

    fn start(&self) -> Result<(), Fault> {
        self.act(Some(Doing::Start), State::start)
    }

    fn create_process(&self, process: &ProcessLaunch) -> Result<Created<SimStream>, Fault> {
        let pid =
            self.act(Some(Doing::CreateProcess), |state, key| state.create_process(key, process))?;
        Ok(Created { pid, stdio: self.stdio(pid, process) })
    }

    fn attach(&self, pid: u32) -> Result<Stdio<SimStream>, Fault> {
        let process = self.act(None, |state, key| state.running(key, pid).cloned())?;
        Ok(self.stdio(pid, &process))
    }

    fn signal(&self, pid: u32, signal: Signal) -> Result<(), Fault> {
        self.act(None, |state, key| state.signal(key, pid, signal))
    }

    fn resize(&self, pid: u32, _size: ConsoleSize) -> Result<(), Fault> {
        self.act(None, |state, key| match state.running(key, pid)?.console {
            Some(_) => Ok(()),
            None => Err(Fault::new(HResult::ERROR_NOT_SUPPORTED, "the process has no terminal")),
        })
    }

    fn close(&self, pid: u32, stream: StandardStream) -> Result<(), Fault> {
        self.act(None, |state, key| state.close(key, pid, stream))
    }

    fn pause(&self) -> Result<(), Fault> {
        self.act(Some(Doing::Pause), State::pause)
    }

    fn resume(&self) -> Result<(), Fault> {
        self.act(Some(Doing::Resume), State::resume)
    }

    fn update(&self, limits: &Limits) -> Result<(), Fault> {
        self.act(Some(Doing::Update), |state, key| {
            state.system(key)?.limits = limits.clone();
            Ok(())
        })
    }

    fn add_mount(&self, mount: &Mount, _: Option<&OnBehalf>) -> Result<(), Fault> {
        self.act(Some(Doing::Mount), |state, key| state.add_mount(key, mount))
    }

    fn remove_mount(&self, container_path: &str) -> Result<(), Fault> {
        self.act(Some(Doing::Mount), |state, key| {
            let mounts = &mut state.system(key)?.mounts;
            take(mounts, |mount| mount.container_path == container_path)
        })
    }

    fn add_pipe(&self, pipe: &Pipe, _: Option<&OnBehalf>) -> Result<(), Fault> {
        self.act(None, |state, key| {
            let pipes = &mut state.system(key)?.pipes;
            put(pipes, pipe.clone(), |other| other.name == pipe.name)
        })
    }

    fn remove_pipe(&self, name: &str) -> Result<(), Fault> {
        self.act(None, |state, key| take(&mut state.system(key)?.pipes, |pipe| pipe.name == name))
    }

    fn add_devices(&self, devices: &DeviceNodes) -> Result<(), Fault> {
        self.act(None, |state, key| {
            put(&mut state.system(key)?.devices, devices.clone(), |other| other == devices)
        })
    }

    fn remove_devices(&self, devices: &DeviceNodes) -> Result<(), Fault> {
        self.act(None, |state, key| take(&mut state.system(key)?.devices, |other| other == devices))
    }

    fn statistics(&self) -> Result<Statistics, Fault> {
        self.act(Some(Doing::Statistics), |state, key| {
            let processes = state.system(key)?.processes.len() as u64;
            Ok(Statistics {
                timestamp: 20_000_000,
                started: 10_000_000,
                memory_commit: processes << 20,
                ..Statistics::default()
            })
        })
    }

    fn processes(&self) -> Result<Vec<ProcessEntry>, Fault> {
        self.act(None, |state, key| {
            let entry = |(pid, process): (&u32, &ProcessLaunch)| ProcessEntry {
                pid: *pid,
                image_name: process.arguments.first().cloned().unwrap_or_default(),
                ..ProcessEntry::default()
            };
            Ok(state.system(key)?.processes.iter().map(entry).collect())
        })
    }

    fn shut_down(&self, signal: Signal, force_after: Option<Duration>) -> Result<(), Fault> {
        self.act(Some(Doing::ShutDown), |state, key| {
            state.shut_down(key, signal, force_after.is_some())
        })
    }

    fn terminate(&self, why: Cause) -> Result<(), Fault> {
        self.act(Some(Doing::Terminate), |state, key| {
            state.end(key, End { cause: why, out_of_memory: false });
            Ok(())
        })
    }

    fn leash(&self, leash: Leash) -> Result<(), Fault> {
        let process = self.machine.process;
        self.act(Some(Doing::Leash), |state, key| state.leash(key, process, leash))
    }

    fn inspect(&self) -> Result<Found, Fault> {
        self.act(None, |state, key| Ok(state.system(key)?.found()))
    }
}

impl SimWorker {
    fn stdio(&self, pid: u32, process: &ProcessLaunch) -> Stdio<SimStream> {
        let stream = |wanted: bool| {
            wanted.then(|| SimStream { system: self.id.to_string(), pid: Some(pid) })
        };
        Stdio {
            input: stream(process.stdin),
            output: stream(process.stdout),
            error: stream(process.stderr),
        }
    }
}

fn put<T>(list: &mut Vec<T>, item: T, same: impl Fn(&T) -> bool) -> Result<(), Fault> {
    if list.iter().any(same) {
        return Err(Fault::new(HResult::ERROR_ALREADY_EXISTS, "it is there already"));
    }
    list.push(item);
    Ok(())
}

fn take<T>(list: &mut Vec<T>, is: impl Fn(&T) -> bool) -> Result<(), Fault> {
    let Some(index) = list.iter().position(is) else {
        return Err(Fault::new(HResult::ERROR_NOT_FOUND, "there is no such thing"));
    };
    list.remove(index);
    Ok(())
}

fn not_found(id: &str) -> Fault {
    Fault::new(HResult::HCS_E_SYSTEM_NOT_FOUND, alloc::format!("there is no system {id:?}"))
}

fn gone() -> Fault {
    Fault::new(HResult::HCS_E_SYSTEM_ALREADY_STOPPED, "the system has ended")
}

/// The systems of a machine, by key.
type Systems = BTreeMap<String, state::Carried>;
