//! One compute system, as its service sees it (hcs.md 2): its state, its end, its processes, what its holders are told and in which
//! order. It does nothing by itself: calls are made on the worker, what happens comes from the worker, here stands what it means.
//!
//! The state follows what the worker tells, never what a call answered: the worker tells what a call brought about before the call
//! returns, and others may have asked for more meanwhile.

use alloc::vec::Vec;
use core::mem;

use hostcompute_schema::hcs::{State, SystemExitStatus};
use hostcompute_schema::{Failure, HResult};

use super::event::Event;
use super::exit;
use super::launch::Limits;
use super::process::Processes;
use super::record::Record;
use super::verb::{self, Verb};
use super::worker::{Cause, End, Fault, Found, Happening, Phase};

/// A compute system.
#[derive(Debug)]
pub struct System {
    record: Record,
    stage: Stage,
    limits: Limits,
    handles: usize,
    pub processes: Processes,
    /// Calls whose completion must be heard before anything else: while there are some, events wait.
    gates: usize,
    waiting: Vec<Event>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// The worker makes it. Nobody sees it yet.
    Making,
    Alive(Phase),
    Ended(End),
}

impl System {
    /// A system that is about to be made.
    pub fn new(record: Record, limits: Limits) -> Self {
        Self {
            record,
            stage: Stage::Making,
            limits,
            handles: 0,
            processes: Processes::default(),
            gates: 0,
            waiting: Vec::new(),
        }
    }

    /// The worker has made it, or has found that somebody else did.
    pub fn made(&mut self, found: &Found) {
        self.limits = found.limits.clone();
        if self.stage == Stage::Making {
            self.stage = Stage::Alive(found.phase);
        }
        for process in &found.processes {
            self.processes.add(process.pid);
            if let Some(status) = process.status {
                self.processes.exited(process.pid, status);
            }
        }
    }

    pub fn record(&self) -> &Record {
        &self.record
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The worker has taken these limits.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    pub fn state(&self) -> State {
        match self.stage {
            Stage::Making => State::Unknown,
            Stage::Alive(Phase::Created) => State::Created,
            Stage::Alive(Phase::Running) => State::Running,
            Stage::Alive(Phase::Paused) => State::Paused,
            Stage::Ended(_) => State::Stopped,
        }
    }

    /// Whether others may see it: it is made and has not ended.
    pub fn is_alive(&self) -> bool {
        matches!(self.stage, Stage::Alive(_))
    }

    /// How it ended, once it has.
    pub fn end(&self) -> Option<&End> {
        match &self.stage {
            Stage::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// The document about its end, once it has ended.
    pub fn exit_status(&self) -> Option<SystemExitStatus> {
        self.end().map(exit::system_status)
    }

    /// Whether `verb` is legal now.
    ///
    /// # Errors
    /// HCS_E_INVALID_STATE, HCS_E_SYSTEM_ALREADY_STOPPED.
    pub fn legal(&self, verb: Verb) -> Result<(), Failure> {
        let state = self.state();
        verb::legal(verb, &state).map_err(|code| {
            let why = match code {
                HResult::HCS_E_SYSTEM_ALREADY_STOPPED => "the system has ended".into(),
                _ => alloc::format!("{verb:?} is not possible while the system is {state}"),
            };
            Failure::new(code, why)
        })
    }

    /// From now on events wait until [`Self::close_gate`]: a call has begun whose completion is to be heard first.
    pub fn open_gate(&mut self) {
        self.gates += 1;
    }

    /// That completion was told; the events that go out now.
    pub fn close_gate(&mut self) -> Vec<Event> {
        self.gates = self.gates.saturating_sub(1);
        self.deliver()
    }

    /// Something happened; the events that go out now.
    pub fn happened(&mut self, happening: Happening) -> Vec<Event> {
        if self.end().is_some() {
            return Vec::new();
        }
        match happening {
            Happening::Phase(phase) => {
                if self.is_alive() {
                    self.stage = Stage::Alive(phase);
                }
            }
            Happening::ProcessCreated { pid } => {
                self.processes.add(pid);
            }
            Happening::ProcessExited { pid, status } => {
                let told = self.processes.exited(pid, status);
                self.waiting.extend(told.map(Event::ProcessExited));
            }
            Happening::OutOfMemory => {}
            Happening::Exited(end) => {
                let lost = self.processes.end();
                self.waiting.extend(lost.into_iter().map(Event::ProcessExited));
                self.waiting.push(Event::SystemExited(exit::system_status(&end)));
                self.stage = Stage::Ended(end);
            }
        }
        self.deliver()
    }

    /// What a call ends with, when the worker answered so. A call that the end of the system cut short ends with that, whatever the
    /// worker said of it.
    ///
    /// # Errors
    /// What the worker refused; HCS_E_TERMINATED_DURING_START, HCS_E_TERMINATED, HCS_E_UNEXPECTED_EXIT,
    /// HCS_E_SYSTEM_ALREADY_STOPPED.
    pub fn outcome<T>(&self, verb: Verb, answer: Result<T, Fault>) -> Result<T, Failure> {
        match (verb, self.end(), answer) {
            (Verb::Start, Some(End { cause: Cause::StartFailed(fault), .. }), _) => {
                Err(self.record.failure(fault.clone()))
            }
            (Verb::Start, Some(end), _) => Err(during_start(end)),
            (Verb::Terminate, _, Err(fault)) | (_, None, Err(fault)) => {
                Err(self.record.failure(fault))
            }
            (_, Some(end), Err(fault)) => Err(Failure::new(exit::interrupted(end), fault.message)
                .hint("the system ended meanwhile")),
            (_, _, Ok(done)) => Ok(done),
        }
    }

    /// One more handle.
    pub fn hold(&mut self) {
        self.handles += 1;
    }

    /// One handle less.
    pub fn let_go(&mut self) {
        self.handles = self.handles.saturating_sub(1);
    }

    /// Whether it is to be held, so that it ends when its last handle is closed.
    pub fn wants_leash(&self) -> bool {
        self.end().is_none() && self.record.ends_with_last_handle && self.handles > 0
    }

    /// How many handles are open.
    pub fn handles(&self) -> usize {
        self.handles
    }

    /// Whether events wait for the completion of a call.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn deliver(&mut self) -> Vec<Event> {
        if self.gates == 0 { mem::take(&mut self.waiting) } else { Vec::new() }
    }
}

fn during_start(end: &End) -> Failure {
    let (code, why) = match &end.cause {
        Cause::WorkerDied => {
            (HResult::HCS_E_UNEXPECTED_EXIT, "what carries the system died while it was started")
        }
        _ => (HResult::HCS_E_TERMINATED_DURING_START, "the system was ended while it was started"),
    };
    Failure::new(code, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::launch::Signal;
    use crate::compute::worker::ProcessStatus;
    use hostcompute_schema::hcs::SystemType;
    use serde_json::Value;

    fn running() -> System {
        let record = Record {
            id: "c".into(),
            kind: SystemType::Container,
            owner: "".into(),
            user: None,
            runtime_id: hostcompute_schema::Guid::from_random(1),
            ends_with_last_handle: false,
            own_namespace: None,
            own_endpoints: Vec::new(),
            namespace: None,
            cpu_group: None,
            stop_signal: None,
            document: Value::Null,
        };
        let mut system = System::new(record, Limits::default());
        let limits = Limits::default();
        system.made(&Found { phase: Phase::Running, limits, processes: Vec::new() });
        system
    }

    /// A worker that tells more than it should changes nothing.
    #[test]
    fn what_is_told_twice_happened_once() {
        let mut system = running();
        let killed = ProcessStatus::Killed(Signal::KILL);
        let exited = |status| Happening::ProcessExited { pid: 7, status };
        assert_eq!(system.happened(exited(killed)), [], "a process that never was");
        system.happened(Happening::ProcessCreated { pid: 7 });
        assert_eq!(system.happened(exited(killed)).len(), 1);
        assert_eq!(system.happened(exited(ProcessStatus::Exited(0))), []);
        let key = system.processes.find(7).expect("known");
        assert_eq!(system.processes.status(key).expect("known").exit_code, Some(137));
        let end = End { cause: Cause::Terminated, out_of_memory: false };
        assert_eq!(system.happened(Happening::Exited(end)).len(), 1);
        let other = End { cause: Cause::WorkerDied, out_of_memory: false };
        assert_eq!(system.happened(Happening::Exited(other)), []);
        assert_eq!(system.happened(Happening::Phase(Phase::Paused)), []);
        assert_eq!(system.state(), State::Stopped);
        assert_eq!(system.end().map(|end| &end.cause), Some(&Cause::Terminated));
    }

    #[test]
    fn a_process_id_that_comes_again_is_another_process() {
        let mut system = running();
        system.happened(Happening::ProcessCreated { pid: 7 });
        let first = system.processes.find(7).expect("known");
        system.processes.hold(first);
        system.happened(Happening::ProcessExited { pid: 7, status: ProcessStatus::Exited(1) });
        system.happened(Happening::ProcessCreated { pid: 7 });
        let second = system.processes.find(7).expect("known");
        assert_ne!(first, second);
        assert!(system.processes.is_over(first) && !system.processes.is_over(second));
        assert_eq!(system.processes.status(first).expect("held").exit_code, Some(1));
    }

    #[test]
    fn ended_processes_are_forgotten_unless_they_are_held() {
        let mut system = running();
        for pid in 1..=200 {
            system.happened(Happening::ProcessCreated { pid });
            if pid == 1 {
                let key = system.processes.find(1).expect("known");
                system.processes.hold(key);
            }
            system.happened(Happening::ProcessExited { pid, status: ProcessStatus::Exited(0) });
        }
        let known = (1..=200).filter(|pid| system.processes.find(*pid).is_ok());
        let known: Vec<u32> = known.collect();
        assert_eq!(known.first(), Some(&1), "held");
        assert_eq!(known.len(), 1 + 64);
        assert_eq!(known.last(), Some(&200));
    }
}
