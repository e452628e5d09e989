//! How a service is reached; where one inside this process keeps its things, and which host it serves.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::platform::{self, Directories};
#[cfg(embedded)]
use hostcompute_engine::compute::terms;
#[cfg(embedded)]
use hostcompute_schema::Failure;

/// How a service is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Way {
    /// Over the service's socket when something listens there, else inside this process.
    #[default]
    Any,
    /// Over this socket.
    Socket(PathBuf),
    /// At this address: `tcp://127.0.0.1:8643`, with the token in a file of [`Options::token_file`].
    Address(String),
    /// Inside this process.
    Embedded,
}

/// How [`crate::Host::auto`] finds a service, and how [`crate::Host::embedded`] runs one.
///
/// ```
/// use std::time::Duration;
///
/// use hostcompute::{Containers, Options, Way};
///
/// let options = Options {
///     way: Way::Embedded,
///     patience: Duration::from_secs(60),
///     containers: Containers { users: "0:100000:65536".into(), ..Containers::default() },
///     ..Options::at("/srv/example/state".into(), "/run/example".into())
/// };
/// assert!(options.token_file.starts_with("/run/example"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How the service is reached.
    pub way: Way,
    /// Objects and journal. Survives a reboot.
    pub state_dir: PathBuf,
    /// Namespaces, resolver files. Need not survive a reboot.
    pub runtime_dir: PathBuf,
    /// The network namespace that is the host; `None`: the one that the process is in.
    pub host_netns: Option<PathBuf>,
    /// Refuse members that the schema does not know, instead of warning.
    pub strict: bool,
    /// How long to wait for another process that uses the state directory, or for a service that is being started anew.
    pub patience: Duration,
    /// How containers are made, where nothing is said of one.
    pub containers: Containers,
    /// A compute system is about to be made: what will carry it is started at once, where that is inside this process.
    pub expects_system: bool,
    /// Do the kernel work in a user namespace, because the caller may not do it in the machine's own.
    pub rootless: bool,
    /// The token for services that are reached over TCP.
    pub token_file: PathBuf,
    /// The file that names the host's own resolvers: networks with a DNS proxy pass questions on to them.
    pub resolv_conf: PathBuf,
}

/// How a service makes containers of which nothing else is said: see `System::create_on`. Texts, as they stand in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Containers {
    /// An OCI runtime's program, by name or absolute path; empty or `builtin`: the supervisor itself.
    pub runtime: String,
    /// Whose users theirs are: ranges `INSIDE:HOST:COUNT` with commas between; empty or `host`: the host's.
    pub users: String,
    /// The same for groups; empty: as the users.
    pub groups: String,
}

/// Long enough for a queue of commands, short enough for a person.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where every system has it.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The token's name in the runtime directory.
const TOKEN: &str = "tcp.token";

/// The socket's name in the runtime directory.
const SOCKET: &str = "hostcompute.sock";

impl Options {
    /// The defaults for this user, changed by `HOSTCOMPUTE_SOCKET`, `HOSTCOMPUTE_ADDRESS` (see [`Way::Address`]), `HOSTCOMPUTE_TOKEN_FILE`, `HOSTCOMPUTE_STATE_DIR`, `HOSTCOMPUTE_RUNTIME_DIR`,
    /// `HOSTCOMPUTE_HOST_NETNS`, `HOSTCOMPUTE_STRICT`, `HOSTCOMPUTE_WAIT` (seconds), and for containers (see [`Containers`])
    /// `HOSTCOMPUTE_RUNTIME`, `HOSTCOMPUTE_USERS`, `HOSTCOMPUTE_GROUPS`; `HOSTCOMPUTE_RESOLV_CONF` for [`Self::resolv_conf`].
    ///
    /// Root uses `/var/lib/hostcompute` and `/run/hostcompute`. Other users use the XDG directories and a user namespace. Who names
    /// an address or a socket wants the service there; who names a state directory or a host namespace wants a service inside the process.
    pub fn from_env() -> Self {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let mut options = if platform::is_administrator() { Self::system() } else { Self::user() };
        if let Some(directory) = variable("HOSTCOMPUTE_STATE_DIR") {
            options.state_dir = directory.into();
            options.way = Way::Embedded;
        }
        if let Some(directory) = variable("HOSTCOMPUTE_RUNTIME_DIR") {
            options.runtime_dir = directory.into();
        }
        if let Some(netns) = variable("HOSTCOMPUTE_HOST_NETNS") {
            options.host_netns = Some(netns.into());
            options.way = Way::Embedded;
        }
        if let Some(socket) = variable("HOSTCOMPUTE_SOCKET") {
            options.way = Way::Socket(socket.into());
        }
        if let Some(address) = variable("HOSTCOMPUTE_ADDRESS") {
            options.way = Way::Address(address.to_string_lossy().into_owned());
        }
        options.token_file = match variable("HOSTCOMPUTE_TOKEN_FILE") {
            Some(file) => file.into(),
            None => options.runtime_dir.join(TOKEN),
        };
        if let Some(file) = variable("HOSTCOMPUTE_RESOLV_CONF") {
            options.resolv_conf = file.into();
        }
        options.strict = variable("HOSTCOMPUTE_STRICT").is_some_and(|value| value != "0");
        let text = |name: &str| {
            variable(name).map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
        };
        options.containers = Containers {
            runtime: text("HOSTCOMPUTE_RUNTIME"),
            users: text("HOSTCOMPUTE_USERS"),
            groups: text("HOSTCOMPUTE_GROUPS"),
        };
        let seconds = variable("HOSTCOMPUTE_WAIT").and_then(|value| value.to_str()?.parse().ok());
        options.patience = seconds.map_or(PATIENCE, Duration::from_secs);
        options
    }

    /// The machine's own service.
    pub fn system() -> Self {
        let Directories { state, runtime } = platform::system_directories();
        Self { way: Way::Any, ..Self::at(state, runtime) }
    }

    /// A service on directories of its own, for a private host or a test.
    pub fn at(state_dir: PathBuf, runtime_dir: PathBuf) -> Self {
        let token_file = runtime_dir.join(TOKEN);
        Self {
            way: Way::Embedded,
            state_dir,
            runtime_dir,
            host_netns: None,
            strict: false,
            patience: PATIENCE,
            containers: Containers::default(),
            expects_system: false,
            rootless: false,
            token_file,
            resolv_conf: RESOLV_CONF.into(),
        }
    }

    /// The service of an ordinary user.
    fn user() -> Self {
        let Directories { state, runtime } = platform::user_directories();
        Self { way: Way::Any, rootless: true, ..Self::at(state, runtime) }
    }

    /// Where a service listens, nearest first: one of these directories, then, for an ordinary user, the machine's own.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let own = self.runtime_dir.join(SOCKET);
        let system = self.rootless.then(|| Self::system().runtime_dir.join(SOCKET));
        std::iter::once(own).chain(system).collect()
    }

    /// Where the files of named network namespaces are.
    pub fn netns_dir(&self) -> PathBuf {
        self.runtime_dir.join("netns")
    }

    /// Where resolver configurations are.
    pub fn resolver_dir(&self) -> PathBuf {
        self.runtime_dir.join("resolv")
    }

    /// Where the host's former settings are kept until they are put back.
    pub fn saved_settings(&self) -> PathBuf {
        self.runtime_dir.join("sysctl.saved")
    }

    /// How a person names the host; empty for the namespace that the process is in.
    pub fn place(&self) -> String {
        self.host_netns.as_deref().map(Path::to_string_lossy).unwrap_or_default().into_owned()
    }
}

#[cfg(embedded)]
impl Containers {
    /// Who makes containers.
    ///
    /// # Errors
    /// E_INVALIDARG.
    pub(crate) fn runtime(&self) -> Result<terms::Runtime, Failure> {
        said(&self.runtime).map_or_else(|| Ok(terms::Runtime::default()), terms::Runtime::read)
    }

    /// Whose users theirs are.
    ///
    /// # Errors
    /// E_INVALIDARG.
    pub(crate) fn users(&self) -> Result<terms::Users, Failure> {
        Ok(terms::Users::read(said(&self.users), said(&self.groups))?.unwrap_or_default())
    }
}

#[cfg(embedded)]
fn said(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_a_private_service_is_below_its_directories() {
        let options = Options::at("/a/state".into(), "/a/run".into());
        for path in [options.netns_dir(), options.resolver_dir(), options.saved_settings()] {
            assert!(path.starts_with("/a/run"), "{}", path.display());
        }
        assert_eq!(options.place(), "");
        assert_eq!(options.sockets(), [PathBuf::from("/a/run/hostcompute.sock")]);
        assert_eq!(options.way, Way::Embedded);
    }

    #[test]
    fn an_ordinary_user_finds_the_machines_service_too() {
        let options = Options { rootless: true, ..Options::at("/s".into(), "/r".into()) };
        let machine = platform::system_directories().runtime.join("hostcompute.sock");
        assert_eq!(options.sockets(), [PathBuf::from("/r/hostcompute.sock"), machine]);
    }
}
