//! What is said on a supervisor's socket: requests, each with a number; answers, which repeat it; notices, which have none.
//!
//! ```text
//! client                        supervisor
//!   Launch(…)  ── 1 ──►           makes everything, or undoes it
//!              ◄── 1 ──         Done
//!   Start      ── 2 ──►
//!              ◄── 2 ──         Done
//!   Process(…) ── 3 ──►
//!              ◄── 3 ──         Process { pid } + descriptors
//!              ◄──────          Notice: ProcessExited { pid, status }
//! ```
//!
//! Descriptors travel beside the message, in the order in which the message names what they are for.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::launch::{Device, Launch, Limits, Mount};

/// What clients send.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    pub number: u64,
    pub request: Request,
}

/// What supervisors send.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Said {
    Answer { number: u64, answer: Result<Answer, Refusal> },
    Notice(Notice),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Makes the system; the first request, from the starter alone. Its one descriptor is the locked file `lock`.
    Launch(Box<Launch>),
    /// Sets the system going. No process of a user's runs yet.
    Start,
    /// Makes a process. Answered with [`Answer::Process`] and the wanted ends of its streams, in the order of [`Streams`].
    Process(Box<ProcessLaunch>),
    /// Gives ends of a running process's streams to a second client: its output from now on, its input shared.
    Attach {
        pid: u32,
        streams: Streams,
    },
    Signal {
        pid: u32,
        signal: i32,
    },
    Resize {
        pid: u32,
        size: Size,
    },
    /// Ends the input of a process. Closing one's end of the pipe does not: that is what happens to clients that are killed.
    CloseInput {
        pid: u32,
    },
    /// Sends no more of an output to anybody; it goes to the log alone.
    CloseOutput {
        pid: u32,
        stream: Stream,
    },
    Pause,
    Resume,
    /// Replaces all limits.
    Update(Limits),
    AddMount(Mount),
    RemoveMount {
        target: PathBuf,
    },
    /// Makes device nodes, those that the launch did not name.
    AddDevices(Vec<Device>),
    RemoveDevices {
        targets: Vec<PathBuf>,
    },
    Statistics,
    Processes,
    /// Asks the system to end: the signal goes to its first process where it ends with that, else to all; when none is left, it has
    /// ended. What is left after so many milliseconds is killed.
    Shutdown {
        signal: i32,
        force_after: Option<u64>,
    },
    /// Ends the system at once; the answer comes when it has ended.
    Terminate(Cause),
    /// The system ends with the last connection that said so.
    Leash,
    /// Lets go: unless another connection holds it, the system ends.
    Release,
    /// As if [`Request::Leash`] had never been said.
    Unleash,
    Inspect,
}

/// A process to be made in a running system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessLaunch {
    /// The program, looked up in `PATH` of `environment` where it has no slash; `None` is the first argument.
    pub program: Option<String>,
    /// Beginning with the program's name.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// `""` is `/`.
    pub directory: String,
    /// `name`, `name:group`, `uid`, `uid:gid`; `""` is root.
    pub user: String,
    /// A terminal of this size; its output is one stream.
    pub terminal: Option<Size>,
    pub streams: Streams,
    /// Without any capability, and without a way to gain one.
    pub restricted: bool,
}

/// Rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

/// Which streams are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    pub input: bool,
    pub output: bool,
    pub error: bool,
}

/// One of the outputs of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    Output,
    Error,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Answer {
    Done,
    /// The process's number inside the system, and which streams follow as descriptors.
    Process {
        pid: u32,
        streams: Streams,
    },
    Statistics(Statistics),
    Processes(Vec<ProcessDetails>),
    Inspection(Box<Inspection>),
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub kind: RefusalKind,
    /// The number of the system call's error, where one was behind it.
    pub errno: Option<i32>,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalKind {
    /// Not in this state: already started, not started, paused.
    State,
    /// The system has ended, or is about to.
    Ended,
    /// There never was such a process.
    NoProcess,
    /// The process has exited.
    ProcessEnded,
    /// There is no such program.
    NoProgram,
    /// There is no such directory or file.
    NoPath,
    /// There is no such user, mapping, device.
    NotFound,
    /// There is something already.
    Exists,
    /// The program cannot be executed.
    NotExecutable,
    /// The request contradicts itself.
    Invalid,
    /// Not on this machine, or not with this runtime.
    Unsupported,
    /// Everything else.
    Failed,
}

/// What happened, told to every client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    State(State),
    ProcessCreated {
        pid: u32,
    },
    /// What it wrote has been passed on, or its readers had their time.
    ProcessExited {
        pid: u32,
        status: Status,
    },
    /// The memory limit made the kernel end a process.
    OutOfMemory,
    /// A second client did not read: its end is closed, what followed is missing.
    ReaderCut {
        pid: u32,
        stream: Stream,
    },
    /// The system has ended and what it held is released. The last notice.
    Exited(Exit),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Exited(u8),
    Killed(u8),
}

/// How a system ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub cause: Cause,
    /// The memory limit had made the kernel end processes.
    pub out_of_memory: bool,
    pub at: Moment,
}

/// Nanoseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment(pub u64);

impl Moment {
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    Terminated,
    /// The last leash went.
    LastHandleClosed,
    /// [`Request::Shutdown`].
    ShutDown,
    /// What runs in it ended it: its first process exited by itself.
    PoweredOff,
    ServiceStopped,
    StartFailed(Refusal),
    /// The supervisor was ended; told by whoever noticed.
    WorkerDied,
    /// What held the system together was ended by somebody else.
    Crashed(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    pub at: Moment,
    pub started: Moment,
    pub group: crate::cgroup::Usage,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessDetails {
    /// Inside the system.
    pub pid: u32,
    pub name: String,
    pub created: Moment,
    /// In units of 100 nanoseconds.
    pub user_time: u64,
    pub kernel_time: u64,
    pub memory_commit: u64,
    pub memory_private: u64,
    pub memory_shared: u64,
}

/// Everything that one who comes later has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inspection {
    pub state: State,
    pub supervisor: i32,
    /// The host's number of the process by whose namespaces the system is joined; there is one from the start on.
    pub init: Option<i32>,
    pub started: Option<Moment>,
    pub limits: Limits,
    /// Those that run, and the last of those that have exited.
    pub processes: Vec<ProcessState>,
    /// How many readers were cut off.
    pub cut: u64,
    pub out_of_memory: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    Created,
    Running,
    Paused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessState {
    pub pid: u32,
    pub terminal: bool,
    /// `None` while it runs.
    pub status: Option<Status>,
}
