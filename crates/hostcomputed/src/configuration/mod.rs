//! How the daemon runs: defaults, changed by the configuration file, by the environment, by the command line, in this order.
//!
//! `keys` is the one table of what can be set; `file` reads and prints TOML by it.

mod file;
mod keys;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hostcompute::Options;
use hostcompute_service::server::Limits;

use crate::{console, tcp};

/// Where the configuration file is, unless the command line says otherwise.
pub const FILE: &str = "/etc/hostcompute/hostcomputed.toml";

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// Directories and the host namespace.
    pub options: Options,
    /// The socket that is made where none is passed.
    pub socket: PathBuf,
    /// Members may change things; a name, a number, or empty for none but root.
    pub manage_group: String,
    /// Members may look.
    pub read_group: String,
    pub limits: Limits,
    pub log: Log,
    /// The page for browsers.
    pub console: console::Settings,
    /// The door for programs that have no unix sockets.
    pub tcp: tcp::Settings,
    /// How long a stop waits for what is under way.
    pub stop_patience: Duration,
    /// How long a client may leave an answer unread.
    pub write_patience: Duration,
}

/// What is logged, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub form: Form,
    /// In the syntax of `RUST_LOG`, such as `info` or `warn,audit=info`.
    pub filter: String,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Json,
}

impl Configuration {
    /// The defaults for this user, changed by the environment.
    pub fn from_environment() -> Self {
        let options = Options::from_env();
        let socket = std::env::var_os("HOSTCOMPUTE_SOCKET").filter(|path| !path.is_empty());
        Self {
            socket: socket
                .map_or_else(|| options.runtime_dir.join("hostcompute.sock"), PathBuf::from),
            manage_group: "hostcompute".into(),
            read_group: String::new(),
            limits: Limits::default(),
            log: Log {
                form: Form::Text,
                filter: std::env::var("HOSTCOMPUTED_LOG").unwrap_or_else(|_| "info".into()),
            },
            console: console::Settings::default(),
            tcp: tcp::Settings::default(),
            stop_patience: Duration::from_secs(20),
            write_patience: Duration::from_secs(30),
            options,
        }
    }

    /// Takes over what the file says and the environment does not.
    ///
    /// # Errors
    /// The file cannot be read, is no TOML, or sets what does not exist or to what it cannot be.
    pub fn read(&mut self, path: &Path) -> anyhow::Result<()> {
        use anyhow::Context;
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let set_outside =
            |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        file::read(self, &text, set_outside)
            .map_err(|mistake| anyhow::anyhow!("{}:{mistake}", path.display()))
    }

    /// The whole configuration as a file, each key with what it means.
    pub fn print(&self) -> String {
        file::print(self)
    }
}
