//! What a system is made of: everything decided, every path absolute and of the host, nothing left to look up.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A compute system to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// The system's name; the OCI runtime's too.
    pub id: String,
    /// Its directory (see [`crate::directory`]), which exists and is locked.
    pub directory: PathBuf,
    pub root: Root,
    /// What of the root a client named, as it was found with that client's rights.
    #[serde(default)]
    pub looked_at: Vec<LookedAt>,
    /// Nobody may write to the root; what is mounted on it says for itself.
    #[serde(default)]
    pub read_only: bool,
    pub mounts: Vec<Mount>,
    pub host_name: Option<String>,
    pub network: Network,
    /// A user namespace of its own; `None` shares the host's.
    pub users: Option<Users>,
    /// Where its processes are counted, below the top of each hierarchy, as `hostcompute.name`; `None` where nobody may make groups.
    pub cgroup: Option<String>,
    pub limits: Limits,
    pub devices: Vec<Device>,
    pub security: Security,
    /// What stands in `/etc/resolv.conf`; `None` leaves the root's.
    pub resolver: Option<String>,
    /// What stands in `/etc/hosts`; `None` leaves the root's.
    pub hosts: Option<String>,
    pub runtime: Runtime,
    pub isolation: Isolation,
    /// Where host processes see a root that is not the host's.
    pub root_at: Option<PathBuf>,
    pub life: Life,
    /// Whether the connection by which this comes is a leash from the beginning.
    #[serde(default)]
    pub leashed: bool,
    pub log: LogBounds,
}

/// Where `/` comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Root {
    /// A union of read-only layers (top first, base last), and what is written to them.
    Layers { layers: Vec<PathBuf>, scratch: Scratch },
    /// The host's own root, under a scratch.
    Host { scratch: Scratch },
    /// A directory as it is.
    Directory { path: PathBuf },
    /// None of its own: for host processes.
    Shared,
}

/// Where a union's changes go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Scratch {
    /// Into the system's own directory, from which they vanish with the system.
    Own,
    /// Into `upper` and `work` of this directory, which are made where they are missing, and stay.
    Directory(PathBuf),
}

/// A directory that somebody has looked at: nothing else may be used in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedAt {
    /// As the root names it.
    pub path: PathBuf,
    /// Device and inode.
    pub identity: (u64, u64),
}

/// Something of the host's in the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub source: PathBuf,
    /// An absolute path in the system. What is missing on the way is made.
    pub target: PathBuf,
    pub read_only: bool,
    /// Device and inode that the source must be: whoever looked whether a client may use it found that.
    #[serde(default)]
    pub identity: Option<(u64, u64)>,
}

/// Which network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A new one, with a loopback interface.
    Own,
    /// The host's.
    Host,
    /// The one that this path names, at the start.
    Path(PathBuf),
    /// That of the system in this directory, which must be started before.
    System(PathBuf),
}

/// Which users of the host those of the system are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    pub uids: Vec<IdRange>,
    pub gids: Vec<IdRange>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    pub inside: u32,
    pub host: u32,
    pub count: u32,
}

/// What the system may use; `None` is without bound. The processor's three are alternatives in documents, not here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub memory_bytes: Option<u64>,
    pub cpu_quota: Option<Quota>,
    /// 1 to 10 000, 100 being the usual.
    pub cpu_weight: Option<u64>,
    /// Processors by number, as `0-3,6`.
    pub cpu_set: Option<String>,
    /// Reads in each second, and as many writes, of each disk named in `io_devices`.
    pub io_operations: Option<u64>,
    /// Bytes read in each second, and as many written, of each disk named in `io_devices`.
    pub io_bytes: Option<u64>,
    /// Disks by major and minor number.
    pub io_devices: Vec<(u32, u32)>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

/// So much time of one processor in each period, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    pub time: u64,
    pub period: u64,
}

/// A device node of the host's in the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub source: PathBuf,
    pub target: PathBuf,
    /// Of `r`, `w`, `m`.
    pub access: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Names without `CAP_`; `None` is [`DEFAULT_CAPABILITIES`].
    pub capabilities: Option<Vec<String>>,
    /// Whether system calls are filtered.
    pub filter: Filter,
    pub no_new_privileges: bool,
}

impl Default for Security {
    fn default() -> Self {
        Self { capabilities: None, filter: Filter::Default, no_new_privileges: false }
    }
}

/// Which system calls are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Filter {
    /// What the OCI runtimes let through.
    Default,
    /// All.
    None,
}

/// How many open files a process of a container may have, soft and hard: what service managers and container engines give, so that
/// programs that go through all possible descriptors come to an end.
pub const OPEN_FILES: (u64, u64) = (1024, 524_288);

/// What root in a container may do. Of what the OCI runtimes' users give by default, `MKNOD` and `AUDIT_WRITE` are missing: without
/// the former no control group has to keep devices away, which version 2 can only with programs in the kernel.
pub const DEFAULT_CAPABILITIES: [&str; 12] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Who makes the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Runtime {
    /// The supervisor.
    Builtin,
    /// A program with the OCI runtimes' command line.
    External(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Isolation {
    /// Namespaces of its own.
    Container,
    /// The host's namespaces, in a control group.
    HostProcess,
}

/// How long a system lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// Until it is stopped.
    UntilStopped,
    /// Until its first process exits.
    FirstProcess,
}

/// How much of what the processes write is kept, in one file and in how many; 0 bytes keep nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBounds {
    pub file_bytes: u64,
    pub files: u32,
}

impl Default for LogBounds {
    fn default() -> Self {
        Self { file_bytes: 4 << 20, files: 2 }
    }
}
