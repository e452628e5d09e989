//! What can be typed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;

use crate::configuration::{Configuration, FILE};

/// The service of hostcompute: host networks, namespaces, endpoints and load balancers over a unix socket.
///
/// Started by a service manager, it takes the sockets that it is passed. Everything can be set in the configuration file; options
/// and environment go before it.
#[derive(Debug, Parser)]
#[command(name = "hostcomputed", version, max_term_width = 100)]
pub struct Arguments {
    /// Make the socket myself, instead of taking what a service manager passes
    #[arg(long)]
    pub foreground: bool,
    /// Print the configuration that would be used, each key with its meaning, and end
    #[arg(long)]
    pub print_config: bool,
    /// The configuration file; the usual one may be missing
    #[arg(long, value_name = "FILE", default_value = FILE)]
    config: PathBuf,
    /// The socket that --foreground makes
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Where objects and journal are kept
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where namespaces and resolver files are
    #[arg(long, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,
    /// The network namespace that is the host
    #[arg(long, value_name = "PATH")]
    host_netns: Option<PathBuf>,
    /// Let programs in over TCP that know the token, such as at 127.0.0.1:8643; loopback addresses only
    #[arg(long, value_name = "ADDRESS:PORT")]
    tcp: Option<SocketAddr>,
    /// The file with that token; made where it is missing
    #[arg(long, value_name = "FILE")]
    tcp_token_file: Option<PathBuf>,
    /// Serve a page for browsers there, such as 127.0.0.1:8642; the log tells its address and token
    #[arg(long, value_name = "ADDRESS:PORT")]
    console: Option<SocketAddr>,
    /// What is logged, such as info, debug or warn,audit=info
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

impl Arguments {
    /// The configuration: file, environment, and what was typed.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn configuration(&self) -> anyhow::Result<Configuration> {
        let mut configuration = Configuration::from_environment();
        let usual = configuration.options.runtime_dir.clone();
        if self.config.exists() || self.config != Path::new(FILE) {
            configuration.read(&self.config)?;
        }
        let options = &mut configuration.options;
        for (typed, place) in [
            (&self.state_dir, &mut options.state_dir),
            (&self.runtime_dir, &mut options.runtime_dir),
            (&self.socket, &mut configuration.socket),
        ] {
            if let Some(path) = typed {
                *place = std::path::absolute(path)?;
            }
        }
        if self.host_netns.is_some() {
            options.host_netns.clone_from(&self.host_netns);
        }
        if self.console.is_some() {
            configuration.console.listen = self.console;
        }
        if self.tcp.is_some() {
            configuration.tcp.listen = self.tcp;
        }
        if let Some(path) = &self.tcp_token_file {
            configuration.tcp.token_file = Some(std::path::absolute(path)?);
        }
        if let Some(filter) = &self.log {
            configuration.log.filter.clone_from(filter);
        }
        // A socket that nobody has named is in the runtime directory, wherever that is.
        if configuration.socket.parent() == Some(&usual) && self.socket.is_none() {
            let name = configuration.socket.file_name().unwrap_or_default().to_owned();
            configuration.socket = configuration.options.runtime_dir.join(name);
        }
        Ok(configuration)
    }
}
