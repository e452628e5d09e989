//! Who carries compute systems: Linux by a supervisor process for each, and a model of it in tests (`sim`).
//!
//! A [`Worker`] is a handle to what carries one system. The system lives without handles, without this process and through its
//! upgrade; several processes may hold workers of the same system at once. So the worker itself refuses what cannot be now
//! (HCS_E_INVALID_STATE, HCS_E_SYSTEM_ALREADY_STOPPED, HCS_E_PROCESS_ALREADY_STOPPED): what the caller remembers may be old.
//!
//! Calls block, each for a bounded time, and may come from several threads at once. What happens comes through the [`Sink`], one at a
//! time and in the order in which it happened, whoever brought it about. **What a call brings about is told before the call
//! returns**: with one connection and one reader, that is the order in which the supervisor wrote it. The sink does not block.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::time::Duration;

use hostcompute_schema::{Failure, HResult};

use super::facts::HostFacts;
use super::launch::{
    ConsoleSize, DeviceNodes, Launch, Limits, Mount, OnBehalf, Pipe, Place, ProcessLaunch, Signal,
    StandardStream,
};

/// A machine that can carry compute systems.
pub trait Workers: Send + Sync + 'static {
    type Worker: Worker;

    /// Takes the id and makes the system, as far as it can be made before a process of it runs. The sink is told what happens
    /// from now on. Wholly or not at all: after a fault the id is free and nothing is left. The system is held by a leash of this
    /// process ([`Leash::Held`]) until that is changed: if the process dies before it has told anybody, the system ends.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_ALREADY_EXISTS; ERROR_PATH_NOT_FOUND for a layer, scratch or directory that is missing;
    /// HCS_E_IMAGE_MISMATCH for a layer of Windows; ERROR_NOT_SUPPORTED for a limit that cannot be held here.
    fn create(&self, launch: &Launch, sink: Sink) -> Result<Self::Worker, Fault>;

    /// The ids of all systems that have not ended, whoever made them, in no particular order.
    ///
    /// # Errors
    /// What is there could not be read.
    fn list(&self) -> Result<Vec<String>, Fault>;

    /// Finds a system that somebody else made, or this program in an earlier life. The sink is told what happens from then on;
    /// [`Adopted::found`] is the state just before.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND when there is none (any more): ids are compared ignoring case.
    fn adopt(&self, id: &str, sink: Sink) -> Result<Adopted<Self::Worker>, Fault>;

    /// Systems that have ended, the newest first; only so many are kept.
    ///
    /// # Errors
    /// What is there could not be read.
    fn remains(&self) -> Result<Vec<Remains>, Fault>;

    /// Systems that have ended and for which something is still to be taken back ([`Launch::owes`]), however long ago they ended.
    ///
    /// # Errors
    /// What is there could not be read.
    fn owing(&self) -> Result<Vec<Debt>, Fault>;

    /// What was made for a system that has ended was taken back. Nothing is done where nothing is owed.
    ///
    /// # Errors
    /// It could not be noted: it will be owed again.
    fn settle(&self, id: &str, owes: &str) -> Result<(), Fault>;

    /// What the processes of a system have written, also of one that has ended (the newest with this id).
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND.
    fn log(&self, id: &str, request: LogRequest)
    -> Result<<Self::Worker as Worker>::Stream, Fault>;

    /// The host. Asked anew each time: processors come and go.
    fn facts(&self) -> HostFacts;

    /// The text that is kept for all processes that serve this host, until the machine stops; empty when there is none. `change`
    /// says what it shall be, from what it is (`None`: as it is); nobody else changes it meanwhile. Returns what it is now.
    ///
    /// # Errors
    /// What `change` refuses; it could not be read or written. The old text stays then.
    fn keep(
        &self,
        change: &mut dyn FnMut(&str) -> Result<Option<String>, Fault>,
    ) -> Result<String, Fault>;
}

/// What carries one system. A clone is another handle to the same. Dropping all handles changes nothing for the system, but for a
/// [leash](Worker::leash).
pub trait Worker: Clone + Debug + Send + Sync + 'static {
    /// One end of a pipe: a descriptor.
    type Stream: Debug + Send + 'static;

    /// Starts the system: its namespaces and mounts stand, none of its processes runs. From then on it lives until it is shut
    /// down or terminated, whichever of its processes end.
    ///
    /// # Errors
    /// What the host refused. The system has ended then: [`Happening::Exited`] with [`Cause::StartFailed`] was told.
    fn start(&self) -> Result<(), Fault>;

    /// Starts a process. It is told ([`Happening::ProcessCreated`]) before this returns, and so may its exit be.
    ///
    /// # Errors
    /// ERROR_FILE_NOT_FOUND for a program, ERROR_PATH_NOT_FOUND for a directory, ERROR_NOT_FOUND for a user that is missing;
    /// E_ACCESSDENIED for a program that may not be executed. No process is left then.
    fn create_process(&self, process: &ProcessLaunch) -> Result<Created<Self::Stream>, Fault>;

    /// The streams of a process once more: output from now on, input shared with whoever has it. A reader that does not read is
    /// cut off; it delays nobody but the one that [`Self::create_process`] answered to.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND for a process that never was, HCS_E_PROCESS_ALREADY_STOPPED for one that has ended.
    fn attach(&self, pid: u32) -> Result<Stdio<Self::Stream>, Fault>;

    /// Sends a signal to one process. Never waits for its effect.
    ///
    /// # Errors
    /// As [`Self::attach`].
    fn signal(&self, pid: u32, signal: Signal) -> Result<(), Fault>;

    /// Sets the size of a process's terminal.
    ///
    /// # Errors
    /// As [`Self::attach`]; ERROR_NOT_SUPPORTED for a process without a terminal.
    fn resize(&self, pid: u32, size: ConsoleSize) -> Result<(), Fault>;

    /// Closes a stream of a process on this side: of input, what was written so far is read and then the end is seen.
    ///
    /// # Errors
    /// As [`Self::attach`].
    fn close(&self, pid: u32, stream: StandardStream) -> Result<(), Fault>;

    /// Stops all processes where they are.
    ///
    /// # Errors
    /// ERROR_NOT_SUPPORTED where there is no freezer.
    fn pause(&self) -> Result<(), Fault>;

    /// Lets them go on.
    ///
    /// # Errors
    /// HCS_E_INVALID_STATE when they run.
    fn resume(&self) -> Result<(), Fault>;

    /// Replaces the limits.
    ///
    /// # Errors
    /// What the host refused; the old limits hold then.
    fn update(&self, limits: &Limits) -> Result<(), Fault>;

    /// Lets a system that runs see one more directory, if who asks may open it.
    ///
    /// # Errors
    /// E_ACCESSDENIED; ERROR_PATH_NOT_FOUND for a host path, ERROR_ALREADY_EXISTS when something is mapped to that container path.
    fn add_mount(&self, mount: &Mount, on_behalf: Option<&OnBehalf>) -> Result<(), Fault>;

    /// Takes a mapped directory away, by its path in the container. Processes that use it keep what they have open.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND when nothing is mapped there.
    fn remove_mount(&self, container_path: &str) -> Result<(), Fault>;

    /// Lets a system that runs see one more pipe.
    ///
    /// # Errors
    /// As [`Self::add_mount`].
    fn add_pipe(&self, pipe: &Pipe, on_behalf: Option<&OnBehalf>) -> Result<(), Fault>;

    /// Takes a pipe away, by its name.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND.
    fn remove_pipe(&self, name: &str) -> Result<(), Fault>;

    /// Lets a system that runs see and use more devices.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND when the host has none of them, ERROR_ALREADY_EXISTS when it has them all already.
    fn add_devices(&self, devices: &DeviceNodes) -> Result<(), Fault>;

    /// Takes devices away.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND when none of them was given.
    fn remove_devices(&self, devices: &DeviceNodes) -> Result<(), Fault>;

    /// What the system has used.
    ///
    /// # Errors
    /// The host could not be read.
    fn statistics(&self) -> Result<Statistics, Fault>;

    /// All its processes, also those that processes of it made.
    ///
    /// # Errors
    /// The host could not be read.
    fn processes(&self) -> Result<Vec<ProcessEntry>, Fault>;

    /// Asks the system to end: its processes get `signal`, and when none is left it has ended, with [`Cause::ShutDown`]. After
    /// `force_after` those that are left are killed; absent: never. Returns when the signal is sent; asking again sends it again.
    ///
    /// # Errors
    /// The signal could not be sent.
    fn shut_down(&self, signal: Signal, force_after: Option<Duration>) -> Result<(), Fault>;

    /// Ends the system, whatever its state and whatever else it is busy with. Returns when it has ended and that was told.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_ALREADY_STOPPED when it had ended otherwise.
    fn terminate(&self, why: Cause) -> Result<(), Fault>;

    /// Holds the system, or lets it go: see [`Leash`]. Belongs to all clones of this worker together.
    ///
    /// # Errors
    /// The worker cannot be reached.
    fn leash(&self, leash: Leash) -> Result<(), Fault>;

    /// How the system is now.
    ///
    /// # Errors
    /// The worker cannot be reached.
    fn inspect(&self) -> Result<Found, Fault>;
}

/// Whether a system ends with those who hold it. Several processes may hold a system; each for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leash {
    /// The end of this process, however it comes about, is as good as [`Leash::Released`].
    Held,
    /// Held no more: unless another process holds it, the system ends with [`Cause::LastHandleClosed`].
    Released,
    /// As if this process had never held it: the service is about to be replaced by a newer one.
    Loose,
}

/// Who is told what happens to one system.
pub type Sink = Arc<dyn Fn(Happening) + Send + Sync>;

/// What happens to a system, by itself or because somebody asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// It is in this phase now.
    Phase(Phase),
    /// There is a new process, whoever asked for it.
    ProcessCreated { pid: u32 },
    /// A process that was asked for has ended, and what it had written is in the hands of its readers (or they have had their
    /// time).
    ProcessExited { pid: u32, status: ProcessStatus },
    /// The kernel killed a process because of the memory limit.
    OutOfMemory,
    /// The last thing that is told. All processes have ended, nothing of the system is left on the host; ends of processes that
    /// were not told before are told no more.
    Exited(End),
}

/// How far a system that has not ended is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    Created,
    Running,
    Paused,
}

/// That a system has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub cause: Cause,
    /// The kernel had killed processes of it because of the memory limit.
    pub out_of_memory: bool,
}

/// Why a system has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A client terminated it.
    Terminated,
    /// The last handle was closed, or its holder died.
    LastHandleClosed,
    /// A client shut it down.
    ShutDown,
    /// What runs in it powered it off.
    PoweredOff,
    /// The service ends what it carries.
    ServiceStopped,
    /// It could not be started.
    StartFailed(Fault),
    /// What carried it died.
    WorkerDied,
    /// The first process of its pid namespace died, all others with it; words for people.
    Crashed(String),
}

/// How a process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProcessStatus {
    /// By itself, with this code (0 to 255).
    Exited(u32),
    /// By this signal.
    Killed(Signal),
}

impl ProcessStatus {
    /// ProcessStatus.ExitCode: 128 and the number for a signal, as shells have it.
    pub fn code(self) -> u32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(Signal(number)) => 128 + u32::from(number),
        }
    }
}

/// A process that was made.
#[derive(Debug)]
pub struct Created<S> {
    /// As the system's own processes see it; the host's for [`super::Isolation::HostProcess`].
    pub pid: u32,
    pub stdio: Stdio<S>,
}

/// Streams of a process: those that it was asked to have, and still has.
#[derive(Debug)]
pub struct Stdio<S> {
    pub input: Option<S>,
    pub output: Option<S>,
    pub error: Option<S>,
}

impl<S> Default for Stdio<S> {
    fn default() -> Self {
        Self { input: None, output: None, error: None }
    }
}

/// A system that was there.
#[derive(Debug)]
pub struct Adopted<W> {
    pub worker: W,
    /// [`Launch::record`].
    pub record: String,
    pub found: Found,
}

/// How a system is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub phase: Phase,
    /// The limits that hold.
    pub limits: Limits,
    /// The processes that were asked for: all that run, and the last ones (64 at least) that have ended.
    pub processes: Vec<ProcessFound>,
}

/// A process of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessFound {
    pub pid: u32,
    pub console: bool,
    /// Absent while it runs.
    pub status: Option<ProcessStatus>,
}

/// What is left of a system that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    pub id: String,
    /// [`Launch::record`].
    pub record: String,
    pub end: End,
    /// When, in 100 ns since 1970.
    pub at: u64,
}

/// What is still to be taken back for a system that has ended: see [`Workers::owing`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debt {
    pub id: String,
    /// [`Launch::owes`].
    pub owes: String,
    /// [`Launch::record`].
    pub record: String,
}

/// How much of a log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogRequest {
    /// Go on with what is written from now on, until the system ends.
    pub follow: bool,
    /// Only the output of this process.
    pub pid: Option<u32>,
    /// Only so many of the last lines.
    pub tail: Option<u64>,
}

/// What a system has used since it was started. Times in 100 ns, sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// When this was read, since 1970.
    pub timestamp: u64,
    /// When the system was started, since 1970.
    pub started: u64,
    pub processor_total: u64,
    pub processor_user: u64,
    pub processor_kernel: u64,
    /// All that counts against the limit.
    pub memory_commit: u64,
    pub memory_commit_peak: u64,
    /// What belongs to its processes alone (anonymous memory).
    pub memory_private: u64,
    pub read_count: u64,
    pub read_bytes: u64,
    pub write_count: u64,
    pub write_bytes: u64,
}

/// One of the processes in a system. Times in 100 ns, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessEntry {
    pub pid: u32,
    /// The name of its program.
    pub image_name: String,
    /// Since 1970.
    pub created: u64,
    pub user_time: u64,
    pub kernel_time: u64,
    pub memory_commit: u64,
    pub working_set_private: u64,
    pub working_set_shared: u64,
}

/// What a worker refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub hresult: HResult,
    /// What was wrong, one line for people.
    pub message: String,
    /// What of the launch it is about.
    pub place: Option<Place>,
    /// What the caller could do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without a place.
    pub fn new(hresult: HResult, message: impl Into<String>) -> Self {
        Self { hresult, message: message.into(), place: None, hint: None }
    }

    /// The same, about this part of the launch.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The same, with what the caller could do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Fault> for Failure {
    /// Without a path: only who has the document can say where the place is.
    fn from(fault: Fault) -> Self {
        let failure = Failure::new(fault.hresult, fault.message);
        match fault.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
