//! The table of keys: what each is called in the file, what it means, which variable of the environment goes before it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{Configuration, Form};

/// One key.
pub struct Key {
    /// With the table it stands in, such as `limits.connections`.
    pub name: &'static str,
    pub doc: &'static str,
    /// The variable of the environment that goes before the file.
    pub variable: Option<&'static str>,
    pub get: fn(&Configuration) -> Scalar,
    pub set: fn(&mut Configuration, Scalar) -> Result<(), String>,
}

/// A value as files have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    Text(String),
    Number(u64),
    Switch(bool),
}

macro_rules! keys {
    ($($(#[doc = $doc:literal])* $name:literal $(($variable:literal))? => $($field:ident).+;)*) => {
        /// All keys, in the order in which they are printed: plain ones first, then table by table.
        pub const KEYS: &[Key] = &[$(Key {
            name: $name,
            doc: concat!($($doc, "\n"),*),
            variable: keys!(@ $($variable)?),
            get: |configuration| Setting::to_scalar(&configuration.$($field).+),
            set: |configuration, value| {
                configuration.$($field).+ = Setting::from_scalar(value)?;
                Ok(())
            },
        }),*];
    };
    (@ $variable:literal) => { Some($variable) };
    (@) => { None };
}

keys! {
    /// Objects and journal. Survives a reboot.
    "state-dir" ("HOSTCOMPUTE_STATE_DIR") => options.state_dir;
    /// Namespaces and resolver files. Need not survive a reboot.
    "runtime-dir" ("HOSTCOMPUTE_RUNTIME_DIR") => options.runtime_dir;
    /// The network namespace that is the host; empty for the daemon's own.
    "host-netns" ("HOSTCOMPUTE_HOST_NETNS") => options.host_netns;
    /// The socket that `--foreground` makes; the service manager passes its own. Everybody may connect, the groups below decide.
    "socket" ("HOSTCOMPUTE_SOCKET") => socket;
    /// Members of this group may do what root may; a name or a number, empty for nobody.
    "manage-group" => manage_group;
    /// Members of this group may look and change nothing; a name or a number, empty for nobody.
    "read-group" => read_group;
    /// Seconds that a stop waits for what is under way.
    "stop-patience" => stop_patience;
    /// Seconds that a client may leave an answer or an event unread before it is cut off.
    "write-patience" => write_patience;
    /// Connections of one user at a time; root may have ten times as many of everything here.
    "limits.connections" => limits.connections;
    /// Open handles of one session: of objects of the network, and as many of compute systems and processes.
    "limits.handles" => limits.handles;
    /// Compute systems of one user that have not ended.
    "limits.systems" => limits.systems;
    /// Processes that clients asked for and that run, in one compute system.
    "limits.processes" => limits.processes;
    /// Subscriptions of one user at a time, to events of networks and of compute systems, and logs that are read.
    "limits.subscriptions" => limits.subscriptions;
    /// Ports of the host that one session reserves.
    "limits.ports" => limits.ports;
    /// Bytes of one request's body.
    "limits.request-bytes" => limits.request_bytes;
    /// Requests of one user in a second, in the long run; does not concern root.
    "limits.rate" => limits.rate;
    /// Requests of one user at once, before the rate counts.
    "limits.burst" => limits.burst;
    /// Events that wait for a reader before it is cut off.
    "limits.backlog" => limits.backlog;
    /// Changes of all users that wait for their turn.
    "limits.queue" => limits.queue;
    /// Who makes containers of which nothing is said: an OCI runtime's program such as "crun", by name or absolute path; empty for
    /// the supervisor itself.
    "containers.runtime" ("HOSTCOMPUTE_RUNTIME") => options.containers.runtime;
    /// Whose users those of such containers are: ranges INSIDE:HOST:COUNT with commas between, such as "0:100000:65536"; empty for the
    /// host's own.
    "containers.users" ("HOSTCOMPUTE_USERS") => options.containers.users;
    /// The same for groups; empty for the same as users.
    "containers.groups" ("HOSTCOMPUTE_GROUPS") => options.containers.groups;
    /// Address and port for programs that have no unix sockets, such as "127.0.0.1:8643"; only this machine's loopback addresses, empty
    /// for none. Each request must carry the token.
    "tcp.listen" => tcp.listen;
    /// The file with the token, which only its owner may read; made with a random one where it is missing. Empty for `tcp.token` in
    /// the runtime directory. SIGHUP reads it anew.
    "tcp.token-file" => tcp.token_file;
    /// The user whose rights and limits those have who know the token; a name or a number of /etc/passwd, empty for the owner of the
    /// file.
    "tcp.user" => tcp.user;
    /// Address and port of the console, a page for browsers, such as "127.0.0.1:8642"; empty for none.
    "console.listen" => console.listen;
    /// The file with the console's token, made with a random one where it is missing; empty for another one at each start, which the
    /// log tells.
    "console.token-file" => console.token_file;
    /// Further names under which browsers reach the console, with spaces between.
    "console.hosts" => console.hosts;
    /// Whether the console may listen where other machines reach it; what it sends is not encrypted, the token included.
    "console.remote" => console.remote;
    /// "text" or "json", one line for each event, on standard error.
    "log.form" => log.form;
    /// What is logged, such as "info", "debug" or "warn,audit=info"; SIGHUP reads it anew.
    "log.filter" ("HOSTCOMPUTED_LOG") => log.filter;
}

/// What can be the value of a key.
trait Setting: Sized {
    fn to_scalar(&self) -> Scalar;
    fn from_scalar(value: Scalar) -> Result<Self, String>;
}

impl Setting for String {
    fn to_scalar(&self) -> Scalar {
        Scalar::Text(self.clone())
    }

    fn from_scalar(value: Scalar) -> Result<Self, String> {
        match value {
            Scalar::Text(text) => Ok(text),
            _ => Err("must be a text".into()),
        }
    }
}

impl Setting for bool {
    fn to_scalar(&self) -> Scalar {
        Scalar::Switch(*self)
    }

    fn from_scalar(value: Scalar) -> Result<Self, String> {
        match value {
            Scalar::Switch(switch) => Ok(switch),
            _ => Err("must be true or false".into()),
        }
    }
}

impl Setting for Option<SocketAddr> {
    fn to_scalar(&self) -> Scalar {
        Scalar::Text(self.map_or_else(String::new, |address| address.to_string()))
    }

    fn from_scalar(value: Scalar) -> Result<Self, String> {
        let wrong = |_| "must be an address with a port, such as \"127.0.0.1:8642\"".to_owned();
        match String::from_scalar(value)?.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(wrong),
        }
    }
}

impl Setting for PathBuf {
    fn to_scalar(&self) -> Scalar {
        Scalar::Text(self.to_string_lossy().into_owned())
    }

    fn from_scalar(value: Scalar) -> Result<Self, String> {
        let path = PathBuf::from(String::from_scalar(value)?);
        if path.is_absolute() { Ok(path) } else { Err("must be an absolute path".into()) }
    }
}

impl Setting for Option<PathBuf> {
    fn to_scalar(&self) -> Scalar {
        self.as_ref().map_or_else(|| Scalar::Text(String::new()), Setting::to_scalar)
    }

    fn from_scalar(value: Scalar) -> Result<Self, String> {
        match value {
            Scalar::Text(text) if text.is_empty() => Ok(None),
            value => PathBuf::from_scalar(value).map(Some),
        }
    }
}

macro_rules! numbers {
    ($($number:ident),*) => {
        $(impl Setting for $number {
            fn to_scalar(&self) -> Scalar {
                Scalar::Number(u64::try_from(*self).unwrap_or(u64::MAX))
            }

            fn from_scalar(value: Scalar) -> Result<Self, String> {
                let fitting = match value {
                    Scalar::Number(number) if number > 0 => $number::try_from(number).ok(),
                    _ => None,
                };
                fitting.ok_or_else(|| format!("must be a number from 1 to {}", $number::MAX))
            }
        })*
    };
}

numbers!(u32, u64, usize);

impl Setting for Duration {
    fn to_scalar(&self) -> Scalar {
        Scalar::Number(self.as_secs())
    }

    fn from_scalar(value: Scalar) -> Result<Self, String> {
        u32::from_scalar(value).map(|seconds| Self::from_secs(seconds.into()))
    }
}

impl Setting for Form {
    fn to_scalar(&self) -> Scalar {
        let word = match self {
            Form::Text => "text",
            Form::Json => "json",
        };
        Scalar::Text(word.into())
    }

    fn from_scalar(value: Scalar) -> Result<Self, String> {
        match value {
            Scalar::Text(word) if word == "text" => Ok(Self::Text),
            Scalar::Text(word) if word == "json" => Ok(Self::Json),
            _ => Err("must be \"text\" or \"json\"".into()),
        }
    }
}
