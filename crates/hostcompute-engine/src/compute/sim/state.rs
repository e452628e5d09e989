//! The model itself: what there is, and what each call does to it.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use hostcompute_schema::HResult;

use super::{Doing, Systems, Trouble, gone, program, put};
use crate::compute::facts::{Cpu, Enforceable, HostFacts};
use crate::compute::launch::{
    DeviceNodes, Launch, Limits, Mount, NetworkPlace, Pipe, Place, ProcessLaunch, Root, Scratch,
    Signal, StandardStream,
};
use crate::compute::record::key;
use crate::compute::worker::{
    Cause, Debt, End, Fault, Found, Happening, Leash, Phase, ProcessFound, ProcessStatus, Remains,
    Sink,
};

/// How many ends of systems are remembered.
const KEPT: usize = 64;

/// Everything on the machine.
pub struct State {
    pub systems: Systems,
    pub remains: VecDeque<Remains>,
    pub debts: Vec<Debt>,
    pub kept: String,
    pub facts: HostFacts,
    pub orders: Vec<(Doing, Trouble)>,
    pub lacking: Vec<String>,
    /// What is to be told, and to whom: those who listened when it happened.
    pub outbox: VecDeque<(Vec<Sink>, Happening)>,
    pub last_happening: u64,
    pub told: u64,
    pub telling: bool,
    processes: u64,
    incarnations: u64,
    clock: u64,
}

/// One system.
#[derive(Clone)]
pub struct Carried {
    pub launch: Launch,
    pub incarnation: u64,
    pub phase: Phase,
    pub limits: Limits,
    pub mounts: Vec<Mount>,
    pub pipes: Vec<Pipe>,
    pub devices: Vec<DeviceNodes>,
    pub processes: BTreeMap<u32, ProcessLaunch>,
    pub sinks: Vec<(u64, Sink)>,
    ended: Vec<ProcessFound>,
    last_pid: u32,
    leashes: BTreeSet<u64>,
    /// It was asked to end; and will be made to.
    ending: Option<Forced>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forced {
    Never,
    Later,
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("State").field("systems", &self.systems.keys()).finish_non_exhaustive()
    }
}

impl Carried {
    pub fn found(&self) -> Found {
        let running = self.processes.iter().map(|(pid, process)| ProcessFound {
            pid: *pid,
            console: process.console.is_some(),
            status: None,
        });
        let processes = self.ended.iter().copied().chain(running).collect();
        Found { phase: self.phase, limits: self.limits.clone(), processes }
    }
}

impl State {
    pub fn new() -> Self {
        let cpu = |index| Cpu { index, core: index, ..Cpu::default() };
        let facts = HostFacts {
            cpus: vec![cpu(0), cpu(1)],
            memory: 4 << 30,
            pipe_directory: "/run/hostcompute/pipes".into(),
            limits: Enforceable {
                memory: true,
                processor: true,
                cpuset: true,
                storage: true,
                freezer: true,
            },
            ..HostFacts::default()
        };
        Self {
            systems: BTreeMap::new(),
            remains: VecDeque::new(),
            debts: Vec::new(),
            kept: String::new(),
            facts,
            orders: Vec::new(),
            lacking: Vec::new(),
            outbox: VecDeque::new(),
            last_happening: 0,
            told: 0,
            telling: false,
            processes: 0,
            incarnations: 0,
            clock: 0,
        }
    }

    pub fn next_process(&mut self) -> u64 {
        self.processes += 1;
        self.processes
    }

    pub fn order(&mut self, doing: Doing, trouble: Trouble) {
        self.orders.push((doing, trouble));
    }

    fn trouble(&mut self, doing: Doing) -> Option<Trouble> {
        let index = self.orders.iter().position(|(ordered, _)| *ordered == doing)?;
        Some(self.orders.remove(index).1)
    }

    /// Does what was asked, unless something was ordered to go wrong.
    pub fn attempt<T>(
        &mut self,
        doing: Option<Doing>,
        key: &str,
        act: impl FnOnce(&mut Self, &str) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let died = End { cause: Cause::WorkerDied, out_of_memory: false };
        match doing.and_then(|doing| self.trouble(doing)) {
            None => act(self, key),
            Some(Trouble::Refused(fault)) => {
                if doing == Some(Doing::Start) {
                    let cause = Cause::StartFailed(fault.clone());
                    self.die(key, End { cause, out_of_memory: false });
                }
                Err(fault)
            }
            Some(Trouble::DiesBefore) => {
                self.die(key, died);
                Err(gone())
            }
            Some(Trouble::DiesAfter) => {
                let _ = act(self, key);
                self.die(key, died);
                Err(gone())
            }
        }
    }

    pub fn take_happenings(&mut self) -> Option<Vec<(Sink, Happening)>> {
        let (sinks, happening) = self.outbox.pop_front()?;
        self.telling = true;
        Some(sinks.into_iter().map(|sink| (sink, happening.clone())).collect())
    }

    pub fn system(&mut self, key: &str) -> Result<&mut Carried, Fault> {
        self.systems.get_mut(key).ok_or_else(gone)
    }

    fn happen(&mut self, key: &str, happening: Happening) {
        let Some(system) = self.systems.get(key) else { return };
        let sinks = system.sinks.iter().map(|(_, sink)| sink.clone()).collect();
        self.outbox.push_back((sinks, happening));
        self.last_happening += 1;
    }

    pub fn create(&mut self, launch: &Launch, process: u64, sink: Sink) -> Result<u64, Fault> {
        let trouble = self.trouble(Doing::Create);
        if let Some(Trouble::Refused(fault)) = trouble {
            return Err(fault);
        }
        let key = key(&launch.id);
        if self.systems.contains_key(&key) {
            let why = "there is a system of this id";
            return Err(Fault::new(HResult::HCS_E_SYSTEM_ALREADY_EXISTS, why));
        }
        self.check(launch)?;
        if trouble == Some(Trouble::DiesBefore) {
            return Err(Fault::new(HResult::HCS_E_UNEXPECTED_EXIT, "what was to carry it died"));
        }
        self.incarnations += 1;
        let incarnation = self.incarnations;
        let carried = Carried {
            launch: launch.clone(),
            incarnation,
            phase: Phase::Created,
            limits: launch.limits.clone(),
            mounts: launch.mounts.clone(),
            pipes: launch.pipes.clone(),
            devices: launch.devices.clone(),
            processes: BTreeMap::new(),
            sinks: vec![(process, sink)],
            ended: Vec::new(),
            last_pid: 1,
            leashes: BTreeSet::from([process]),
            ending: None,
        };
        self.systems.insert(key.clone(), carried);
        if trouble == Some(Trouble::DiesAfter) {
            self.die(&key, End { cause: Cause::WorkerDied, out_of_memory: false });
        }
        Ok(incarnation)
    }

    /// What the host would have to say to a launch.
    fn check(&self, launch: &Launch) -> Result<(), Fault> {
        let lacks = |path: &String| self.lacking.contains(path);
        let missing = |place| {
            Err(Fault::new(HResult::ERROR_PATH_NOT_FOUND, "there is no such path").at(place))
        };
        match &launch.root {
            Root::Layers { layers, scratch } => {
                if let Some(index) = layers.iter().position(lacks) {
                    return missing(Place::Layer(index));
                }
                if matches!(scratch, Scratch::Directory(path) if lacks(path)) {
                    return missing(Place::Scratch);
                }
            }
            Root::Directory { path } if lacks(path) => return missing(Place::Scratch),
            _ => {}
        }
        match launch.mounts.iter().position(|mount| lacks(&mount.host_path)) {
            Some(index) => missing(Place::Mount(index)),
            None => Ok(()),
        }
    }

    pub fn start(&mut self, key: &str) -> Result<(), Fault> {
        let place = self.system(key)?.launch.network.clone();
        if let NetworkPlace::SharedWith { system } = &place
            && !self.systems.contains_key(&super::key(system))
        {
            let why = "the system whose network is to be shared has ended";
            let fault = Fault::new(HResult::ERROR_NOT_FOUND, why).at(Place::Network);
            let cause = Cause::StartFailed(fault.clone());
            self.die(key, End { cause, out_of_memory: false });
            return Err(fault);
        }
        self.change_phase(key, Phase::Created, Phase::Running)
    }

    pub fn pause(&mut self, key: &str) -> Result<(), Fault> {
        self.change_phase(key, Phase::Running, Phase::Paused)
    }

    pub fn resume(&mut self, key: &str) -> Result<(), Fault> {
        self.change_phase(key, Phase::Paused, Phase::Running)
    }

    fn change_phase(&mut self, key: &str, from: Phase, to: Phase) -> Result<(), Fault> {
        self.expect(key, from)?.phase = to;
        self.happen(key, Happening::Phase(to));
        Ok(())
    }

    fn expect(&mut self, key: &str, phase: Phase) -> Result<&mut Carried, Fault> {
        let system = self.system(key)?;
        if system.phase == phase {
            return Ok(system);
        }
        let why = alloc::format!("the system is {:?}", system.phase);
        Err(Fault::new(HResult::HCS_E_INVALID_STATE, why))
    }

    pub fn create_process(&mut self, key: &str, process: &ProcessLaunch) -> Result<u32, Fault> {
        let system = self.expect(key, Phase::Running)?;
        let program = process.arguments.first().map(String::as_str).unwrap_or_default();
        if program == program::MISSING {
            let fault = Fault::new(HResult::ERROR_FILE_NOT_FOUND, "there is no such program");
            return Err(fault.at(Place::Arguments));
        }
        let at_once = program == program::TRUE;
        system.last_pid += 1;
        let pid = system.last_pid;
        system.processes.insert(pid, process.clone());
        self.happen(key, Happening::ProcessCreated { pid });
        if at_once {
            self.exit(key, pid, ProcessStatus::Exited(0));
        }
        Ok(pid)
    }

    pub fn running(&mut self, key: &str, pid: u32) -> Result<&ProcessLaunch, Fault> {
        let system = self.system(key)?;
        if system.ended.iter().any(|process| process.pid == pid) {
            let why = "the process has ended";
            return Err(Fault::new(HResult::HCS_E_PROCESS_ALREADY_STOPPED, why));
        }
        let unknown = || Fault::new(HResult::ERROR_NOT_FOUND, "there is no such process");
        system.processes.get(&pid).ok_or_else(unknown)
    }

    pub fn signal(&mut self, key: &str, pid: u32, signal: Signal) -> Result<(), Fault> {
        let stubborn = is(self.running(key, pid)?, program::STUBBORN);
        if signal == Signal::KILL || !stubborn {
            self.exit(key, pid, ProcessStatus::Killed(signal));
        }
        Ok(())
    }

    pub fn close(&mut self, key: &str, pid: u32, stream: StandardStream) -> Result<(), Fault> {
        let reads = is(self.running(key, pid)?, program::CAT);
        if reads && stream == StandardStream::Input {
            self.exit(key, pid, ProcessStatus::Exited(0));
        }
        Ok(())
    }

    /// A process ends; nothing happens when it is not there.
    pub fn exit(&mut self, key: &str, pid: u32, status: ProcessStatus) {
        let Some(system) = self.systems.get_mut(key) else { return };
        let Some(process) = system.processes.remove(&pid) else { return };
        let console = process.console.is_some();
        system.ended.push(ProcessFound { pid, console, status: Some(status) });
        let over = system.ending.is_some() && system.processes.is_empty();
        self.happen(key, Happening::ProcessExited { pid, status });
        if over {
            self.end(key, End { cause: Cause::ShutDown, out_of_memory: false });
        }
    }

    pub fn shut_down(&mut self, key: &str, signal: Signal, force: bool) -> Result<(), Fault> {
        let system = self.expect(key, Phase::Running)?;
        system.ending = Some(if force { Forced::Later } else { Forced::Never });
        let asked: Vec<u32> = system.processes.keys().copied().collect();
        if asked.is_empty() {
            self.end(key, End { cause: Cause::ShutDown, out_of_memory: false });
        }
        for pid in asked {
            // One of them may have been the last.
            let _ = self.signal(key, pid, signal);
        }
        Ok(())
    }

    pub fn time_passes(&mut self, key: &str) {
        let Some(system) = self.systems.get(key) else { return };
        if system.ending == Some(Forced::Later) {
            let left: Vec<u32> = system.processes.keys().copied().collect();
            for pid in left {
                self.exit(key, pid, ProcessStatus::Killed(Signal::KILL));
            }
        }
    }

    pub fn add_mount(&mut self, key: &str, mount: &Mount) -> Result<(), Fault> {
        if self.lacking.contains(&mount.host_path) {
            let fault = Fault::new(HResult::ERROR_PATH_NOT_FOUND, "there is no such path");
            return Err(fault.at(Place::Mount(0)));
        }
        let mounts = &mut self.system(key)?.mounts;
        put(mounts, mount.clone(), |other| other.container_path == mount.container_path)
    }

    pub fn leash(&mut self, key: &str, process: u64, leash: Leash) -> Result<(), Fault> {
        let system = self.system(key)?;
        match leash {
            Leash::Held => {
                system.leashes.insert(process);
            }
            Leash::Loose => {
                system.leashes.remove(&process);
            }
            Leash::Released => self.release(key, process),
        }
        Ok(())
    }

    fn release(&mut self, key: &str, process: u64) {
        let Some(system) = self.systems.get_mut(key) else { return };
        if system.leashes.remove(&process) && system.leashes.is_empty() {
            self.end(key, End { cause: Cause::LastHandleClosed, out_of_memory: false });
        }
    }

    pub fn process_died(&mut self, process: u64) {
        let keys: Vec<String> = self.systems.keys().cloned().collect();
        for key in keys {
            if let Some(system) = self.systems.get_mut(&key) {
                system.sinks.retain(|(other, _)| *other != process);
            }
            self.release(&key, process);
        }
    }

    /// The system ends in order: its processes are told of first.
    pub fn end(&mut self, key: &str, end: End) {
        let Some(system) = self.systems.get_mut(key) else { return };
        system.ending = None;
        let running: Vec<u32> = system.processes.keys().copied().collect();
        for pid in running {
            self.exit(key, pid, ProcessStatus::Killed(Signal::KILL));
        }
        self.die(key, end);
    }

    /// The system ends, and nobody knows what became of its processes.
    pub fn die(&mut self, key: &str, end: End) {
        self.happen(key, Happening::Exited(end.clone()));
        let Some(system) = self.systems.remove(key) else { return };
        self.clock += 1;
        let (id, record) = (system.launch.id, system.launch.record);
        let debt = |owes| Debt { id: id.clone(), owes, record: record.clone() };
        self.debts.extend(system.launch.owes.map(debt));
        self.remains.push_back(Remains { id, record, end, at: self.clock });
        if self.remains.len() > KEPT {
            self.remains.pop_front();
        }
    }
}

fn is(process: &ProcessLaunch, program: &str) -> bool {
    process.arguments.first().is_some_and(|argument| argument == program)
}
