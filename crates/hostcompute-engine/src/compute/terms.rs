//! What can be said of a container beside its document, because documents have no member for it: which program makes it, whose users its
//! users are, what its root may do, what its endpoint is like, whether its root file system can be written to, how long it lives, by which signal it is asked to end.
//!
//! Said by parameters of the call that makes it, in texts; how the service is set up counts where nothing is said.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::hcn::HostComputeEndpoint;
use hostcompute_schema::{Document, Failure, HResult, parse_endpoint};

use super::launch::Signal;

/// Names of the parameters.
pub const PARAMETERS: [&str; 9] = [
    "runtime",
    "users",
    "groups",
    "capabilities",
    "unfiltered",
    "read-only",
    "ends-with-first-process",
    "stop-signal",
    "endpoint",
];

/// Everything that can be said; the default is to say nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Terms {
    /// Absent: as the service is set up.
    pub runtime: Option<Runtime>,
    /// Absent: as the service is set up.
    pub users: Option<Users>,
    /// In this order, from what containers usually have.
    pub capabilities: Vec<Change>,
    /// No system call is refused but by the kernel's own rules.
    pub unfiltered: bool,
    /// Nobody may write to the root file system; what is mapped says for itself.
    pub read_only: bool,
    pub life: Life,
    /// What its processes get when it is shut down; absent: TERM.
    pub stop_signal: Option<Signal>,
    /// What the endpoint is like that is made for it on a network.
    pub endpoint: Option<Box<HostComputeEndpoint>>,
}

/// Who makes containers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Runtime {
    /// The worker itself.
    #[default]
    Builtin,
    /// A program with the OCI runtimes' command line: a name that is looked up along PATH, or an absolute path.
    Program(String),
}

/// Whose users those of a container are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Users {
    /// The host's.
    #[default]
    Host,
    /// Those of the host that the ranges say; others are nobody inside.
    Mapped { uids: Vec<IdRange>, gids: Vec<IdRange> },
}

/// So many numbers from `inside` on are those of the host from `host` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    pub inside: u32,
    pub host: u32,
    pub count: u32,
}

/// A capability more or less than usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Add(&'static str),
    Drop(&'static str),
    DropAll,
}

/// How long a system lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Life {
    /// Until it is stopped, whichever of its processes end.
    #[default]
    UntilStopped,
    /// Until the first process that was asked for ends.
    FirstProcess,
}

/// Capabilities by name, without `CAP_`, in the kernel's order.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The one that no container has: nothing would keep the host's devices away from it.
const NEVER: &str = "MKNOD";

impl Terms {
    /// Reads parameters; `given` tells the value of one.
    ///
    /// # Errors
    /// E_INVALIDARG for what is not understood; ERROR_NOT_SUPPORTED for the capability that cannot be given.
    pub fn read<'t>(given: impl Fn(&str) -> Option<&'t str>) -> Result<Self, Failure> {
        Ok(Self {
            runtime: given("runtime").map(Runtime::read).transpose()?,
            users: Users::read(given("users"), given("groups"))?,
            capabilities: given("capabilities").map(capabilities).transpose()?.unwrap_or_default(),
            unfiltered: switch("unfiltered", given("unfiltered"))?,
            read_only: switch("read-only", given("read-only"))?,
            life: match switch("ends-with-first-process", given("ends-with-first-process"))? {
                true => Life::FirstProcess,
                false => Life::UntilStopped,
            },
            stop_signal: given("stop-signal").map(signal).transpose()?,
            endpoint: given("endpoint").map(endpoint).transpose()?,
        })
    }

    /// The same as parameters, for another service.
    pub fn to_parameters(&self) -> Vec<(&'static str, String)> {
        let mut told = Vec::new();
        if let Some(runtime) = &self.runtime {
            told.push(("runtime", runtime.to_text()));
        }
        match &self.users {
            None => {}
            Some(Users::Host) => told.push(("users", "host".to_owned())),
            Some(Users::Mapped { uids, gids }) => {
                told.extend([("users", ranges_text(uids)), ("groups", ranges_text(gids))]);
            }
        }
        if !self.capabilities.is_empty() {
            let texts: Vec<String> = self.capabilities.iter().map(Change::to_text).collect();
            told.push(("capabilities", texts.join(",")));
        }
        let switches = [
            ("unfiltered", self.unfiltered),
            ("read-only", self.read_only),
            ("ends-with-first-process", self.life == Life::FirstProcess),
        ];
        let on = switches.into_iter().filter(|(_, on)| *on);
        told.extend(on.map(|(name, _)| (name, "true".to_owned())));
        told.extend(
            self.stop_signal.map(|Signal(number)| ("stop-signal", alloc::format!("{number}"))),
        );
        told.extend(self.endpoint.as_ref().map(|like| ("endpoint", like.to_value().to_string())));
        told
    }

    /// What of it takes something away from what keeps the host apart: only who is root anyway may say so.
    pub fn loosens(&self) -> Option<&'static str> {
        let adds = self.capabilities.iter().any(|change| matches!(change, Change::Add(_)));
        match self {
            Self { runtime: Some(Runtime::Program(program)), .. } if program.contains('/') => {
                Some("a runtime by its path")
            }
            Self { users: Some(_), .. } => Some("whose users a container's are"),
            Self { unfiltered: true, .. } => Some("a container without a filter of system calls"),
            _ if adds => Some("more capabilities than containers usually have"),
            _ => None,
        }
    }

    /// What of it has no meaning for processes of the host.
    pub fn of_containers_only(&self) -> Option<&'static str> {
        match self {
            Self { runtime: Some(_), .. } => Some("a runtime"),
            Self { users: Some(_), .. } => Some("users of its own"),
            Self { read_only: true, .. } => Some("a root that cannot be written to"),
            Self { unfiltered: true, .. } => Some("a filter of system calls"),
            Self { capabilities, .. } if !capabilities.is_empty() => Some("their own capabilities"),
            _ => None,
        }
    }
}

impl Runtime {
    /// `builtin`, a name or an absolute path.
    ///
    /// # Errors
    /// E_INVALIDARG.
    pub fn read(text: &str) -> Result<Self, Failure> {
        match text {
            "builtin" => Ok(Self::Builtin),
            name if name.is_empty() || name.contains('/') && !name.starts_with('/') => {
                let why = "a runtime is builtin, a program's name, or its absolute path";
                Err(Failure::new(HResult::E_INVALIDARG, why))
            }
            name => Ok(Self::Program(name.to_owned())),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Builtin => "builtin".to_owned(),
            Self::Program(program) => program.clone(),
        }
    }
}

impl Users {
    /// Nothing, `host`, or ranges; groups are as users where nothing is said of them.
    ///
    /// # Errors
    /// E_INVALIDARG.
    pub fn read(users: Option<&str>, groups: Option<&str>) -> Result<Option<Self>, Failure> {
        match (users, groups) {
            (None, None) => Ok(None),
            (Some("host"), None) => Ok(Some(Self::Host)),
            (Some(users), groups) if users != "host" => {
                let uids = ranges("users", users)?;
                let gids = groups.map(|groups| ranges("groups", groups)).transpose()?;
                Ok(Some(Self::Mapped { gids: gids.unwrap_or_else(|| uids.clone()), uids }))
            }
            _ => {
                let why = "groups are mapped where users are";
                Err(Failure::new(HResult::E_INVALIDARG, why))
            }
        }
    }
}

impl Change {
    fn to_text(&self) -> String {
        match self {
            Self::Add(name) => alloc::format!("+{name}"),
            Self::Drop(name) => alloc::format!("-{name}"),
            Self::DropAll => "-ALL".to_owned(),
        }
    }
}

/// `INSIDE:HOST:COUNT`, several with commas between; root must be among them, and none twice.
fn ranges(name: &str, text: &str) -> Result<Vec<IdRange>, Failure> {
    let wrong = |why: String| {
        Failure::new(HResult::E_INVALIDARG, why)
            .hint("ranges are INSIDE:HOST:COUNT, such as 0:100000:65536")
    };
    let mut read: Vec<IdRange> = Vec::new();
    for range in text.split(',') {
        let numbers: Vec<Option<u32>> = range.split(':').map(|part| part.parse().ok()).collect();
        let &[Some(inside), Some(host), Some(count)] = numbers.as_slice() else {
            return Err(wrong(alloc::format!("{name}: {range:?} is no range")));
        };
        // The last number means nobody to the kernel.
        let fits = |first: u32| first.checked_add(count).is_some_and(|end| end > first);
        let apart = |one: u32, other: u32, length: u32| {
            one.saturating_add(count) <= other || other.saturating_add(length) <= one
        };
        let clear = |known: &IdRange| {
            apart(inside, known.inside, known.count) && apart(host, known.host, known.count)
        };
        if !fits(inside) || !fits(host) {
            return Err(wrong(alloc::format!("{name}: {range:?} is no range of numbers")));
        }
        if !read.iter().all(clear) {
            return Err(wrong(alloc::format!("{name}: {range:?} has numbers of another range")));
        }
        read.push(IdRange { inside, host, count });
    }
    if !read.iter().any(|range| range.inside == 0) {
        return Err(wrong(alloc::format!("{name}: root (0) is not among them")));
    }
    Ok(read)
}

fn ranges_text(ranges: &[IdRange]) -> String {
    let text = |range: &IdRange| alloc::format!("{}:{}:{}", range.inside, range.host, range.count);
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

/// A document of a caller's own: a member that it does not know was meant to be something.
fn endpoint(text: &str) -> Result<Box<HostComputeEndpoint>, Failure> {
    let read = parse_endpoint(text)?;
    match read.warnings.into_iter().next() {
        Some(warning) => Err(warning.into_failure()),
        None => Ok(Box::new(read.document)),
    }
}

fn signal(text: &str) -> Result<Signal, Failure> {
    Signal::read(text).ok_or_else(|| {
        let why = alloc::format!("{text:?} is no signal");
        Failure::new(HResult::E_INVALIDARG, why).hint("signals are numbers, or names as SIGTERM")
    })
}

/// `+NAME` and `-NAME`, with commas between; `-ALL` drops all.
fn capabilities(text: &str) -> Result<Vec<Change>, Failure> {
    text.split(',').map(capability).collect()
}

fn capability(text: &str) -> Result<Change, Failure> {
    let wrong = |why: String| Failure::new(HResult::E_INVALIDARG, why);
    let Some((sign, name)) = text.split_at_checked(1) else {
        return Err(wrong("an empty name is no capability".to_owned()));
    };
    let upper = name.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let known = CAPABILITIES.iter().find(|known| **known == name).copied();
    match (sign, known) {
        ("-", _) if name == "ALL" => Ok(Change::DropAll),
        ("+", _) if name == "ALL" => {
            Err(wrong("which capabilities to add is said by name".to_owned())
                .hint("processes of the host have all: IsolationType HostProcess"))
        }
        ("+", Some(NEVER)) => {
            let why = "MKNOD cannot be given: nothing would keep the host's devices away";
            Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why)
                .hint("AssignedDevices gives a container single devices"))
        }
        ("+", Some(known)) => Ok(Change::Add(known)),
        ("-", Some(known)) => Ok(Change::Drop(known)),
        _ => Err(wrong(alloc::format!("{text:?} is no capability to add (+) or to drop (-)"))),
    }
}

fn switch(name: &str, given: Option<&str>) -> Result<bool, Failure> {
    match given {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => {
            let why = alloc::format!("the parameter {name} is true or false");
            Err(Failure::new(HResult::E_INVALIDARG, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Terms, HResult> {
        let value = |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, v)| *v);
        Terms::read(value).map_err(|failure| failure.hresult)
    }

    #[test]
    fn what_is_said_is_read_and_told_again() {
        assert_eq!(read(&[]), Ok(Terms::default()));
        assert_eq!(Terms::default().to_parameters(), []);
        let said = [
            ("runtime", "crun"),
            ("users", "0:100000:65536,65536:0:1"),
            ("capabilities", "-all,+cap_net_admin,-CHOWN"),
            ("unfiltered", "true"),
            ("read-only", "true"),
            ("ends-with-first-process", "true"),
            ("stop-signal", "SIGQUIT"),
            ("endpoint", r#"{"MacAddress":"00-15-5D-00-00-07"}"#),
        ];
        let terms = read(&said).expect("terms");
        let told = terms.to_parameters();
        let told: Vec<(&str, &str)> =
            told.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert!(told.contains(&("groups", "0:100000:65536,65536:0:1")), "as the users");
        assert!(told.contains(&("capabilities", "-ALL,+NET_ADMIN,-CHOWN")), "{told:?}");
        assert_eq!(read(&told), Ok(terms));
        assert!(told.iter().all(|(name, _)| PARAMETERS.contains(name)));
        assert_eq!(read(&[("users", "host")]).map(|terms| terms.users), Ok(Some(Users::Host)));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for (name, text) in [
            ("runtime", ""),
            ("runtime", "./crun"),
            ("users", ""),
            ("users", "0:1"),
            ("users", "0:1:0"),
            ("users", "0:4294967295:2"),
            ("users", "1:1:1"),
            ("users", "0:0:10,5:100:1"),
            ("users", "0:0:10,10:9:1"),
            ("users", "0:-1:1"),
            ("groups", "0:0:1"),
            ("capabilities", ""),
            ("capabilities", "NET_ADMIN"),
            ("capabilities", "+ALL"),
            ("capabilities", "+NOTHING"),
            ("capabilities", "ö"),
            ("unfiltered", "yes"),
            ("stop-signal", "NOTHING"),
        ] {
            assert_eq!(read(&[(name, text)]), Err(HResult::E_INVALIDARG), "{name}={text}");
        }
        for text in ["[]", "{", r#"{"Policy":[]}"#] {
            assert_eq!(read(&[("endpoint", text)]), Err(HResult::HCN_E_INVALID_JSON), "{text}");
        }
        assert_eq!(read(&[("capabilities", "+MKNOD")]), Err(HResult::ERROR_NOT_SUPPORTED));
    }

    #[test]
    fn only_root_loosens() {
        let loosens = |name, text| read(&[(name, text)]).expect("terms").loosens().is_some();
        for (name, text) in [
            ("runtime", "/usr/bin/crun"),
            ("users", "host"),
            ("users", "0:1:1"),
            ("capabilities", "-CHOWN,+SYSLOG"),
            ("unfiltered", "true"),
        ] {
            assert!(loosens(name, text), "{name}={text}");
        }
        for (name, text) in [
            ("runtime", "crun"),
            ("capabilities", "-ALL"),
            ("read-only", "true"),
            ("ends-with-first-process", "true"),
        ] {
            assert!(!loosens(name, text), "{name}={text}");
        }
    }
}
