//! What a worker is told to make: plain data, every choice taken. The document is gone; what the host must find out for itself (is
//! there such a path, such a device) is the worker's to refuse, naming the [`Place`].

use alloc::string::String;
use alloc::vec::Vec;

use hostcompute_schema::Guid;

use super::terms::Terms;

/// A container, as it is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// The id as the client wrote it; unique ignoring case. 1 to 255 characters, none of them a control character.
    pub id: String,
    /// The same as the id where that is a GUID.
    pub runtime_id: Guid,
    /// What the service must find again when it adopts the system, a text of its own making (see [`super::Workers::adopt`]). The
    /// worker stores it before it makes anything, and does not read it.
    pub record: String,
    /// Something is going to be made for this system that the worker does not know and that must be taken back when the system has
    /// ended: a word for it. The worker keeps it from before it makes anything until it is told that it was
    /// ([`super::Workers::settle`]), whatever happens meanwhile.
    pub owes: Option<String>,
    pub root: Root,
    /// In the order of the document; a later one may lie inside an earlier one.
    pub mounts: Vec<Mount>,
    pub pipes: Vec<Pipe>,
    /// The name in the container's UTS namespace; absent: the first 12 characters of the runtime id. Never for
    /// [`Isolation::HostProcess`].
    pub host_name: Option<String>,
    pub limits: Limits,
    pub network: NetworkPlace,
    /// What /etc/resolv.conf says inside; absent: as in the root file system.
    pub resolv_conf: Option<String>,
    pub devices: Vec<DeviceNodes>,
    pub isolation: Isolation,
    /// What was said beside the document.
    pub terms: Terms,
    /// Whose rights the host's paths are opened with; absent: those of the service.
    pub on_behalf: Option<OnBehalf>,
}

/// A client that is not root: the user and the groups that it was when it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnBehalf {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// Read-only directories, top-most first, with a writable one above: an overlay.
    Layers { layers: Vec<String>, scratch: Scratch },
    /// The host's own root file system as the only layer, what is written being gone with the system. Mounts below it are not seen
    /// inside. Apart from [`Root::Layers`] because the scratch must be on another file system, and the worker must leave out
    /// what is its own.
    Host,
    /// This directory as it is: what is written stays.
    Directory { path: String },
    /// None of its own: only with [`Isolation::HostProcess`].
    Shared,
}

/// Where what is written goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scratch {
    /// A directory that exists; the worker keeps `upper` and `work` in it. What is written stays, for the next system too.
    Directory(String),
    /// Gone with the system.
    Ephemeral,
}

/// A directory (or file) of the host that is seen inside; with all that is mounted below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute.
    pub host_path: String,
    /// Absolute, normalised, not "/"; made where it is missing, never through a symbolic link that leads out of the root.
    pub container_path: String,
    /// Also for what is mounted below.
    pub read_only: bool,
}

/// A named pipe: a Unix socket of the host that is seen inside as `/run/pipes/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipe {
    /// One file name.
    pub name: String,
    /// Absolute.
    pub host_path: String,
}

/// What the system may use. [`super::Worker::update`] replaces all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes; absent: no limit.
    pub memory: Option<u64>,
    /// Processor time; absent: no limit.
    pub quota: Option<Quota>,
    /// Share of the processors when they are scarce, as cgroup v2 counts it: 1 to 10000, 100 being everybody's.
    pub weight: Option<u32>,
    /// Only on these processors (of the host); absent: on all.
    pub cpus: Option<Vec<u32>>,
    /// Reads and writes of the scratch's device per second; absent: no limit.
    pub iops: Option<u64>,
    /// Bytes read and written per second; absent: no limit.
    pub bandwidth: Option<u64>,
}

/// So much time of one processor in each period, in microseconds; more than the period for more than one processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub time: u64,
    pub period: u64,
}

/// The network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkPlace {
    /// Named by this file; it is somebody else's and stays. Entered at the start: before, the file may not be there yet.
    Named { path: String },
    /// A new one with nothing but the loopback interface, gone with the system.
    Own,
    /// That of the host.
    Host,
    /// That of another system that has not ended; ERROR_NOT_FOUND when there is none.
    SharedWith { system: String },
}

/// Device nodes that are seen and may be used inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceNodes {
    /// Each an absolute path below /dev, whose last part may be or end in `*`. Together they must match at least one device,
    /// else ERROR_NOT_FOUND.
    pub patterns: Vec<String>,
}

/// How far the system is kept from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// Namespaces of its own: pid, mnt, ipc, uts, cgroup, and what [`NetworkPlace`] says; seccomp, capabilities and masked paths as
    /// OCI runtimes have them.
    Container,
    /// Processes of the host, in the host's namespaces, kept together by a cgroup. With [`Root::Layers`] or [`Root::Directory`]
    /// that root file system is seen at `root_at`, in a mount namespace that has everything of the host besides.
    HostProcess { root_at: Option<String> },
}

/// A process, as it is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessLaunch {
    /// What is executed, found along PATH of `environment` when it has no slash; absent: `arguments[0]`.
    pub application: Option<String>,
    /// Not empty.
    pub arguments: Vec<String>,
    /// `NAME`, `UID`, each with `:GROUP` or without, looked up inside; absent: root.
    pub user: Option<String>,
    /// Absolute; absent: "/".
    pub directory: Option<String>,
    /// Complete but for HOME, which the worker adds by the user where it is missing. No name twice.
    pub environment: Vec<(String, String)>,
    /// No capabilities, and none to be gained by executing anything.
    pub restricted: bool,
    /// A pseudo terminal of this size; output and errors are one stream then.
    pub console: Option<ConsoleSize>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// In characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsoleSize {
    pub rows: u16,
    pub columns: u16,
}

/// A standard stream of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StandardStream {
    Input,
    Output,
    Error,
}

/// A signal by its Linux number, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(pub u8);

impl Signal {
    pub const HANGUP: Signal = Signal(1);
    pub const INTERRUPT: Signal = Signal(2);
    pub const QUIT: Signal = Signal(3);
    pub const KILL: Signal = Signal(9);
    pub const TERMINATE: Signal = Signal(15);

    /// Names without `SIG`, by their numbers from 1 on: those that all of Linux's usual architectures share.
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];

    /// The first and the last of the signals without a meaning, as C libraries number them.
    const REAL_TIME: (u8, u8) = (34, 64);

    /// A signal by its number or its name, as images and people write it: `3`, `QUIT`, `SIGQUIT`, `SIGRTMIN+3`.
    pub fn read(text: &str) -> Option<Signal> {
        let (first, last) = Self::REAL_TIME;
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let beside = |from: &str| match name.strip_prefix(from)? {
            "" => Some(0),
            rest => rest.get(1..)?.parse::<u8>().ok().filter(|_| rest.starts_with(['+', '-'])),
        };
        let number = if let Ok(number) = text.parse::<u8>() {
            number
        } else if let Some(index) = Self::NAMES.iter().position(|known| *known == name) {
            u8::try_from(index + 1).ok()?
        } else if let Some(more) = beside("RTMIN").filter(|_| !name.contains('-')) {
            first.checked_add(more)?
        } else {
            last.checked_sub(beside("RTMAX").filter(|_| !name.contains('+'))?)?
        };
        ((1..=31).contains(&number) || (first..=last).contains(&number)).then_some(Signal(number))
    }
}

/// The part of a [`Launch`] that a worker's refusal is about: the service turns it into a path of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// By index, as the other lists.
    Layer(usize),
    Scratch,
    Mount(usize),
    Pipe(usize),
    Device(usize),
    HostName,
    Network,
    Memory,
    Processor,
    Storage,
    Isolation,
    /// Of a process.
    Arguments,
    User,
    Directory,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        let known = [("3", 3), ("QUIT", 3), ("SIGQUIT", 3), ("sigterm", 15), ("SIGRTMIN+3", 37)];
        for (text, number) in known.into_iter().chain([("RTMAX-1", 63)]) {
            assert_eq!(Signal::read(text), Some(Signal(number)), "{text}");
        }
        let unknown =
            ["", "0", "65", "32", "SIG", "SIGRTMIN-1", "RTMAX+1", "RTMIN+31", "NOPE", "-3"];
        for text in unknown {
            assert_eq!(Signal::read(text), None, "{text}");
        }
    }
}
