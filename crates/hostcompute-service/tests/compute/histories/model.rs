//! What the published rules say of a history (hcs.md 2), written down once more and as plainly as possible: it shares no code with the
//! engine.

use std::collections::BTreeMap;

use hostcompute_engine::compute::sim::Doing;
use hostcompute_schema::HResult;

/// How a system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Created,
    Running,
    Paused,
    Ended(Why),
}

/// Why a system has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Asked,
    ShutDown,
    PoweredOff,
    Crashed { out_of_memory: bool },
    Lost,
    NotStarted,
}

impl Why {
    /// ExitType and Status.
    pub fn told(self) -> (&'static str, HResult) {
        match self {
            Why::Asked => ("ForcedExit", HResult::S_OK),
            Why::ShutDown | Why::PoweredOff => ("GracefulExit", HResult::S_OK),
            Why::Crashed { out_of_memory: true } => ("UnexpectedExit", HResult::E_OUTOFMEMORY),
            Why::Crashed { .. } | Why::Lost => ("UnexpectedExit", HResult::HCS_E_UNEXPECTED_EXIT),
            Why::NotStarted => ("UnexpectedExit", REFUSED),
        }
    }

    /// What a call is told that the end cuts short.
    fn cuts_short(self) -> HResult {
        match self.told().0 {
            "ForcedExit" => HResult::HCS_E_TERMINATED,
            "GracefulExit" => HResult::HCS_E_SYSTEM_ALREADY_STOPPED,
            _ => HResult::HCS_E_UNEXPECTED_EXIT,
        }
    }
}

/// What a host that refuses something says here.
pub const REFUSED: HResult = HResult::E_ACCESSDENIED;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    Refused,
    DiesBefore,
    DiesAfter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Sleep,
    True,
    Stubborn,
    Cat,
    Missing,
}

impl Program {
    pub fn name(self) -> &'static str {
        match self {
            Program::Sleep => "sleep",
            Program::True => "true",
            Program::Stubborn => "stubborn",
            Program::Cat => "cat",
            Program::Missing => "missing",
        }
    }
}

/// What became of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Runs,
    Code(u32),
    /// With its system; nobody knows how.
    Lost,
}

/// An event of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Process(u32, Outcome),
    System(Why),
}

/// One system, for ever.
#[derive(Debug)]
pub struct System {
    pub key: &'static str,
    pub state: State,
    pub mortal: bool,
    pub processes: BTreeMap<u32, (Program, Outcome)>,
    /// Handles, by service and client.
    pub handles: BTreeMap<(usize, usize), usize>,
    /// Services that would end it by going.
    pub leashes: Vec<usize>,
    pub log: Vec<Told>,
    last_pid: u32,
    /// A shutdown was asked for; and forced.
    ending: Option<bool>,
}

/// Everything.
#[derive(Debug, Default)]
pub struct Model {
    pub systems: Vec<System>,
    pub mishaps: Vec<(Doing, Mishap)>,
}

pub type Code = Result<(), HResult>;

impl Model {
    /// The system that has an id now.
    pub fn current(&self, key: &str) -> Option<usize> {
        self.systems
            .iter()
            .position(|system| system.key == key && !matches!(system.state, State::Ended(_)))
    }

    /// The last one of this id that has ended.
    pub fn last_ended(&self, key: &str) -> Option<Why> {
        self.systems.iter().filter(|system| system.key == key).filter_map(System::why).next_back()
    }

    fn mishap(&mut self, doing: Doing) -> Option<Mishap> {
        let index = self.mishaps.iter().position(|(ordered, _)| *ordered == doing)?;
        Some(self.mishaps.remove(index).1)
    }

    pub fn create(&mut self, key: &'static str, mortal: bool, by: (usize, usize)) -> Code {
        if self.current(key).is_some() {
            return Err(HResult::HCS_E_SYSTEM_ALREADY_EXISTS);
        }
        match self.mishap(Doing::Create) {
            Some(Mishap::Refused) => return Err(REFUSED),
            Some(Mishap::DiesBefore) => return Err(HResult::HCS_E_UNEXPECTED_EXIT),
            Some(Mishap::DiesAfter) => {
                // It was made, so its end is remembered; the client has nothing of it.
                let mut system = System::new(key, mortal);
                system.state = State::Ended(Why::Lost);
                self.systems.push(system);
                return Err(HResult::HCS_E_UNEXPECTED_EXIT);
            }
            None => {}
        }
        let mut system = System::new(key, mortal);
        system.handles.insert(by, 1);
        if mortal {
            system.leashes.push(by.0);
        }
        self.systems.push(system);
        Ok(())
    }

    /// A call that the state judges, and that can go wrong.
    fn act(
        &mut self,
        index: usize,
        legal: &[State],
        doing: Option<Doing>,
        work: impl FnOnce(&mut System) -> Code,
    ) -> Code {
        let system = self.systems.get(index).ok_or(HResult::HCS_E_SYSTEM_NOT_FOUND)?;
        if let State::Ended(_) = system.state {
            return Err(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
        }
        if !legal.contains(&system.state) {
            return Err(HResult::HCS_E_INVALID_STATE);
        }
        let mishap = doing.and_then(|doing| self.mishap(doing));
        let system = &mut self.systems[index];
        match mishap {
            None => work(system),
            Some(Mishap::Refused) => {
                if doing == Some(Doing::Start) {
                    system.lose(Why::NotStarted);
                }
                Err(REFUSED)
            }
            Some(mishap) => {
                if mishap == Mishap::DiesAfter {
                    let _ = work(system);
                }
                system.lose(Why::Lost);
                if doing == Some(Doing::Terminate) {
                    return Err(HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
                }
                Err(system.why().unwrap_or(Why::Lost).cuts_short())
            }
        }
    }

    pub fn start(&mut self, index: usize) -> Code {
        self.change(index, State::Created, State::Running, Doing::Start)
    }

    pub fn pause(&mut self, index: usize) -> Code {
        self.change(index, State::Running, State::Paused, Doing::Pause)
    }

    pub fn resume(&mut self, index: usize) -> Code {
        self.change(index, State::Paused, State::Running, Doing::Resume)
    }

    fn change(&mut self, index: usize, from: State, to: State, doing: Doing) -> Code {
        self.act(index, &[from], Some(doing), |system| {
            system.state = to;
            Ok(())
        })
    }

    pub fn shut_down(&mut self, index: usize, force: bool) -> Code {
        self.act(index, &[State::Running], Some(Doing::ShutDown), |system| {
            system.ending = Some(force);
            if system.running().is_empty() {
                system.end(Why::ShutDown);
            }
            for pid in system.running() {
                system.signal(pid, 15);
            }
            Ok(())
        })
    }

    pub fn terminate(&mut self, index: usize) -> Code {
        let anywhere = [State::Created, State::Running, State::Paused];
        self.act(index, &anywhere, Some(Doing::Terminate), |system| {
            system.end(Why::Asked);
            Ok(())
        })
    }

    /// What only virtual machines can do.
    pub fn unsupported(&mut self, index: usize, in_state: State) -> Code {
        self.act(index, &[in_state], None, |_| Err(HResult::ERROR_NOT_SUPPORTED))
    }

    pub fn measure(&mut self, index: usize) -> Code {
        let alive = [State::Running, State::Paused];
        self.act(index, &alive, Some(Doing::Statistics), |_| Ok(()))
    }

    pub fn limit(&mut self, index: usize) -> Code {
        self.act(index, &[State::Running], Some(Doing::Update), |_| Ok(()))
    }

    pub fn exec(&mut self, index: usize, program: Program) -> Code {
        self.act(index, &[State::Running], Some(Doing::CreateProcess), |system| {
            if program == Program::Missing {
                return Err(HResult::ERROR_FILE_NOT_FOUND);
            }
            system.last_pid += 1;
            let pid = system.last_pid;
            system.processes.insert(pid, (program, Outcome::Runs));
            if program == Program::True {
                system.exit(pid, Outcome::Code(0));
            }
            Ok(())
        })
    }

    /// The service that a client is of has one handle less: perhaps it is the last.
    pub fn closed(&mut self, index: usize, service: usize) {
        let system = &mut self.systems[index];
        let held = system.handles.iter().any(|((its, _), count)| *its == service && *count > 0);
        if !held && system.leashes.contains(&service) {
            system.leashes.retain(|its| *its != service);
            if system.leashes.is_empty() {
                system.end(Why::Asked);
            }
        }
    }
}

impl System {
    fn new(key: &'static str, mortal: bool) -> Self {
        Self {
            key,
            state: State::Created,
            mortal,
            processes: BTreeMap::new(),
            handles: BTreeMap::new(),
            leashes: Vec::new(),
            log: Vec::new(),
            last_pid: 1,
            ending: None,
        }
    }

    pub fn why(&self) -> Option<Why> {
        match self.state {
            State::Ended(why) => Some(why),
            _ => None,
        }
    }

    pub fn last_pid(&self) -> u32 {
        self.last_pid
    }

    fn running(&self) -> Vec<u32> {
        let running = self.processes.iter().filter(|(_, (_, outcome))| *outcome == Outcome::Runs);
        running.map(|(pid, _)| *pid).collect()
    }

    pub fn signal(&mut self, pid: u32, signal: u32) {
        if let Some((program, _)) = self.processes.get(&pid)
            && (signal == 9 || *program != Program::Stubborn)
        {
            self.exit(pid, Outcome::Code(128 + signal));
        }
    }

    pub fn close_input(&mut self, pid: u32) {
        if let Some((Program::Cat, _)) = self.processes.get(&pid) {
            self.exit(pid, Outcome::Code(0));
        }
    }

    pub fn exit(&mut self, pid: u32, how: Outcome) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        let Some((_, outcome @ Outcome::Runs)) = self.processes.get_mut(&pid) else { return };
        *outcome = how;
        self.log.push(Told::Process(pid, how));
        if self.ending.is_some() && self.running().is_empty() {
            self.end(Why::ShutDown);
        }
    }

    /// Everything that is left is killed.
    pub fn time_passes(&mut self) {
        if self.ending == Some(true) {
            for pid in self.running() {
                self.exit(pid, Outcome::Code(137));
            }
        }
    }

    pub fn end(&mut self, why: Why) {
        self.ending = None;
        for pid in self.running() {
            self.exit(pid, Outcome::Code(137));
        }
        self.lose(why);
    }

    pub fn lose(&mut self, why: Why) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        for pid in self.running() {
            self.processes.insert(pid, (Program::Sleep, Outcome::Lost));
            self.log.push(Told::Process(pid, Outcome::Lost));
        }
        self.state = State::Ended(why);
        self.log.push(Told::System(why));
    }
}
