//! The processes of one system (hcs.md 2.3): which there are, how they ended, what is legal with them.
//!
//! A process is kept after its end as long as somebody holds a handle of it, and the last ones beyond that. Process ids come again: a
//! handle means the process that it was opened on.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use hostcompute_schema::hcs::ProcessStatus;
use hostcompute_schema::{Failure, HResult};

use super::exit;
use super::verb::Verb;
use super::worker;

/// How many processes that have ended and that nobody holds are remembered.
const KEPT: usize = 64;

/// What tells a process from a later one with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey(u64);

/// The processes of one system.
#[derive(Debug, Default)]
pub struct Processes {
    all: BTreeMap<ProcessKey, Process>,
    /// The last process with this id.
    latest: BTreeMap<u32, ProcessKey>,
    last: u64,
}

#[derive(Debug)]
struct Process {
    pid: u32,
    outcome: Outcome,
    handles: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Running,
    Exited(worker::ProcessStatus),
    /// It ended with the system.
    Lost,
}

impl Processes {
    /// There is a process of this id; the same one if it is known as running.
    pub fn add(&mut self, pid: u32) -> ProcessKey {
        if let Some(key) = self.running(pid) {
            return key;
        }
        self.last += 1;
        let key = ProcessKey(self.last);
        self.all.insert(key, Process { pid, outcome: Outcome::Running, handles: 0 });
        self.latest.insert(pid, key);
        key
    }

    /// The process of this id has ended. Its status document, unless that was known.
    pub fn exited(&mut self, pid: u32, status: worker::ProcessStatus) -> Option<ProcessStatus> {
        let key = self.running(pid)?;
        self.all.get_mut(&key)?.outcome = Outcome::Exited(status);
        self.forget();
        Some(exit::process_exited(pid, status))
    }

    /// The system has ended: what ran has ended with it. The documents of those.
    pub fn end(&mut self) -> Vec<ProcessStatus> {
        let running = self.all.values_mut().filter(|process| process.outcome == Outcome::Running);
        let lost = running.map(|process| {
            process.outcome = Outcome::Lost;
            exit::process_lost(process.pid)
        });
        let lost = lost.collect();
        self.forget();
        lost
    }

    /// The last process with this id, running or not.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND.
    pub fn find(&self, pid: u32) -> Result<ProcessKey, Failure> {
        self.latest.get(&pid).copied().ok_or_else(|| unknown(pid))
    }

    /// Whether `verb` is legal for a process.
    ///
    /// # Errors
    /// HCS_E_PROCESS_ALREADY_STOPPED; ERROR_NOT_FOUND for opening one that has ended, or one that is forgotten.
    pub fn legal(&self, verb: Verb, key: ProcessKey) -> Result<(), Failure> {
        let process = self.get(key)?;
        match (verb, process.outcome) {
            (_, Outcome::Running) | (Verb::GetProcessProperties, _) => Ok(()),
            (Verb::OpenProcess, _) => Err(unknown(process.pid)),
            _ => Err(stopped(process.pid)),
        }
    }

    /// The ProcessStatus document.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND for one that is forgotten.
    pub fn status(&self, key: ProcessKey) -> Result<ProcessStatus, Failure> {
        let process = self.get(key)?;
        Ok(match process.outcome {
            Outcome::Running => exit::process_running(process.pid),
            Outcome::Exited(status) => exit::process_exited(process.pid, status),
            Outcome::Lost => exit::process_lost(process.pid),
        })
    }

    /// Whether the process has ended; a forgotten one has.
    pub fn is_over(&self, key: ProcessKey) -> bool {
        self.all.get(&key).is_none_or(|process| process.outcome != Outcome::Running)
    }

    /// Its id.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND for one that is forgotten.
    pub fn pid(&self, key: ProcessKey) -> Result<u32, Failure> {
        Ok(self.get(key)?.pid)
    }

    /// One more handle of it.
    pub fn hold(&mut self, key: ProcessKey) {
        if let Some(process) = self.all.get_mut(&key) {
            process.handles += 1;
        }
    }

    /// One handle less.
    pub fn release(&mut self, key: ProcessKey) {
        if let Some(process) = self.all.get_mut(&key) {
            process.handles = process.handles.saturating_sub(1);
        }
        self.forget();
    }

    /// Ids of the processes that run.
    pub fn running_ids(&self) -> impl Iterator<Item = u32> {
        let running = self.all.values().filter(|process| process.outcome == Outcome::Running);
        running.map(|process| process.pid)
    }

    fn running(&self, pid: u32) -> Option<ProcessKey> {
        let key = *self.latest.get(&pid)?;
        (self.all.get(&key)?.outcome == Outcome::Running).then_some(key)
    }

    fn get(&self, key: ProcessKey) -> Result<&Process, Failure> {
        let forgotten = || Failure::new(HResult::ERROR_NOT_FOUND, "the process ended long ago");
        self.all.get(&key).ok_or_else(forgotten)
    }

    /// Lets go of the oldest that have ended and that nobody holds.
    fn forget(&mut self) {
        let idle = |process: &Process| process.outcome != Outcome::Running && process.handles == 0;
        let ended: Vec<_> = self.all.iter().filter(|(_, process)| idle(process)).collect();
        let surplus = ended.len().saturating_sub(KEPT);
        let old: Vec<_> =
            ended.into_iter().take(surplus).map(|(key, process)| (*key, process.pid)).collect();
        for (key, pid) in old {
            self.all.remove(&key);
            if self.latest.get(&pid) == Some(&key) {
                self.latest.remove(&pid);
            }
        }
    }
}

fn unknown(pid: u32) -> Failure {
    Failure::new(
        HResult::ERROR_NOT_FOUND,
        alloc::format!("no process {pid} was made in the system"),
    )
}

fn stopped(pid: u32) -> Failure {
    Failure::new(HResult::HCS_E_PROCESS_ALREADY_STOPPED, alloc::format!("process {pid} has ended"))
}
