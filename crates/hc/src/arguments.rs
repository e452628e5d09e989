//! What can be typed: the grammar of the command line, and its help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hostcompute::schema::SchemaVersion;
use hostcompute::{Guid, Options, Way};

use crate::compute::arguments::{ExecArguments, Listing, LogArguments, RunArguments, SystemVerb};
#[cfg(unix)]
use crate::{image::ImageVerb, layer::LayerVerb};

/// Host networks, namespaces, endpoints, load balancers and containers by documents.
///
/// Objects are named by GUID, by the unique beginning of a GUID, or by Name; compute systems by their id. Documents are the JSON
/// of the HCN and HCS APIs; FILE may be `-` for standard input.
#[derive(Debug, Parser)]
#[command(name = "hc", version, max_term_width = 100, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Exit status: 0 done, 1 the request failed, 2 wrong usage, 3 no such object, 4 access denied.
First steps: `hc doctor` tells whether this kernel can do it, `hc up FILE` makes what a file asks for,
`hc topology` shows it, `hc down FILE` removes it again.";

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// How to print: a table for people, the document as JSON or YAML, or bare ids
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub output: Form,
    /// The socket of the service [default: that of the running service, if there is one]
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "embedded")]
    #[cfg_attr(windows, arg(hide = true))]
    socket: Option<PathBuf>,
    /// Carry the service inside this command, on its own state directory
    #[arg(long, global = true)]
    #[cfg_attr(windows, arg(hide = true))]
    embedded: bool,
    /// Where objects and journal are kept [default: /var/lib/hostcompute, or below the XDG directories]
    #[arg(long, global = true, value_name = "DIR")]
    #[cfg_attr(windows, arg(hide = true))]
    state_dir: Option<PathBuf>,
    /// Where namespaces and resolver files are [default: /run/hostcompute, or below the XDG directories]
    #[arg(long, global = true, value_name = "DIR")]
    #[cfg_attr(windows, arg(hide = true))]
    runtime_dir: Option<PathBuf>,
    /// The network namespace that is the host [default: the one this command runs in]
    #[arg(long, global = true, value_name = "PATH")]
    #[cfg_attr(windows, arg(hide = true))]
    host_netns: Option<PathBuf>,
    /// Refuse members that the schema does not know, instead of warning
    #[arg(long, global = true)]
    strict: bool,
    /// How long to wait for another command that uses the same state, or for a service that restarts
    #[arg(long, global = true, value_name = "SECONDS")]
    wait: Option<u64>,
}

impl Global {
    /// The environment's settings, changed by what was typed.
    pub fn options(&self) -> Options {
        let mut options = Options::from_env();
        if let Some(directory) = &self.state_dir {
            options.state_dir.clone_from(directory);
            options.way = Way::Embedded;
        }
        if let Some(directory) = &self.runtime_dir {
            options.runtime_dir.clone_from(directory);
        }
        if self.host_netns.is_some() {
            options.host_netns.clone_from(&self.host_netns);
            options.way = Way::Embedded;
        }
        if let Some(socket) = &self.socket {
            options.way = Way::Socket(socket.clone());
        }
        if self.embedded {
            options.way = Way::Embedded;
        }
        options.strict |= self.strict;
        if let Some(seconds) = self.wait {
            options.patience = Duration::from_secs(seconds);
        }
        options
    }
}

/// The forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Form {
    #[default]
    Table,
    Json,
    Yaml,
    /// One id per line.
    Id,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make everything that host documents ask for and is not there yet
    Up {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Also print the notifications of this run
        #[arg(long)]
        events: bool,
    },
    /// Delete exactly what host documents name, and wait until the host is clean
    Down {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show what `up` would do
    Diff {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Networks
    #[command(subcommand, visible_alias = "net")]
    Network(Verb),
    /// Endpoints: ports on networks
    #[command(subcommand, visible_alias = "ep")]
    Endpoint(EndpointVerb),
    /// Namespaces: network stacks that processes share
    #[command(subcommand, visible_alias = "ns")]
    Namespace(NamespaceVerb),
    /// Load balancers
    #[command(subcommand, visible_alias = "lb")]
    Loadbalancer(Verb),
    /// SDN routes: ways of their own for what endpoints send to some destinations
    #[command(subcommand)]
    Route(Verb),
    /// Guest network services, and ports of the host that are kept for guests
    #[command(subcommand)]
    Guestservice(GuestServiceVerb),
    /// Compute systems: containers and virtual machines
    #[command(subcommand)]
    System(SystemVerb),
    /// Run a command in a new container; the exit status is the command's, or 125 where hc failed
    Run(Box<RunArguments>),
    /// Run a command in a container that runs; the exit status is the command's, or 125 where hc failed
    Exec(ExecArguments),
    /// List compute systems
    Ps(Listing),
    /// Print what the processes of a compute system wrote
    Logs(LogArguments),
    /// Images: what containers are made of
    #[cfg(unix)]
    #[command(subcommand)]
    Image(ImageVerb),
    /// Layers: directories of which a container sees one
    #[cfg(unix)]
    #[command(subcommand)]
    Layer(LayerVerb),
    /// Show what is connected to what
    Topology {
        /// Draw a picture instead of a tree
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Tell whether a packet gets from one end to another, by which way, and what stops it
    Trace(TraceArguments),
    /// Show what has happened, as far as the service remembers, or what happens
    Events {
        /// Listen to what happens from now on, until interrupted
        #[arg(short, long)]
        follow: bool,
        /// One JSON document per line
        #[arg(long)]
        json: bool,
        /// Only what happens to this network and its endpoints
        #[arg(long, value_name = "ID", requires = "follow")]
        network: Option<String>,
    },
    /// The documents' schema
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Compare documents, journal and kernel, and name every difference
    Check {
        /// Make the kernel agree with the documents: make what is missing, remove what no object explains
        #[arg(long)]
        repair: bool,
    },
    /// Tell what this kernel lacks and what that costs
    Doctor,
    /// Show the live tree of the service
    Inspect,
    /// The whole state as one document
    #[command(subcommand)]
    State(StateCommand),
    /// Print a completion script
    Completions { shell: clap_complete::Shell },
    /// Print the version
    Version,
}

/// Guest network services.
#[derive(Debug, Subcommand)]
pub enum GuestServiceVerb {
    #[command(flatten)]
    Object(Verb),
    /// List the reserved ports of the host
    Ports,
    /// Keep ports of the host from everybody else, until the standard input ends
    Hold {
        id: String,
        /// One port, or `+COUNT` for so many next to each other, of both protocols
        #[arg(value_name = "PORT|+COUNT", value_parser = held_ports)]
        ports: HeldPorts,
        #[arg(long, value_enum, default_value_t)]
        protocol: PortKind,
        /// Others may share the port
        #[arg(long)]
        shared: bool,
    },
}

/// Which ports to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldPorts {
    One(u16),
    /// So many next to each other.
    Row(u16),
}

/// The protocols that have ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PortKind {
    #[default]
    Tcp,
    Udp,
    Both,
}

/// Whose packet, and where to.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 it gets there and the answer comes back, 1 it does not.")]
pub struct TraceArguments {
    /// Who sends: an endpoint, an IP address, or `host`
    pub from: String,
    /// Who is to get it: an endpoint, a load balancer, an IP address, or `host`
    pub to: String,
    /// The port at the other end, and the protocol: `443`, `53/udp`, `icmp` [default: a load balancer's first port, else icmp]
    #[arg(value_name = "PORT[/PROTOCOL]", value_parser = crate::trace::service)]
    pub service: Option<crate::trace::Asked>,
    /// The sender's port, where rules look at it
    #[arg(long, value_name = "PORT")]
    pub source_port: Option<u16>,
    /// Also send such a packet, by TCP, UDP or ICMP, and tell what the kernel does with it
    #[arg(long)]
    pub live: bool,
    /// Draw the way as a picture
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// Networks, load balancers, routes.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make one from a document
    Create {
        file: PathBuf,
        /// The id that it shall have
        #[arg(long, value_name = "GUID", value_parser = guid)]
        id: Option<Guid>,
    },
    #[command(flatten)]
    Other(ObjectVerb),
}

/// Endpoints.
#[derive(Debug, Subcommand)]
pub enum EndpointVerb {
    /// Make one from a document
    Create {
        file: PathBuf,
        /// The id that it shall have
        #[arg(long, value_name = "GUID", value_parser = guid)]
        id: Option<Guid>,
        /// The network that it shall be on, unless the document says so
        #[arg(long, value_name = "ID")]
        network: Option<String>,
    },
    #[command(flatten)]
    Other(ObjectVerb),
}

/// Namespaces.
#[derive(Debug, Subcommand)]
pub enum NamespaceVerb {
    #[command(flatten)]
    Object(NamespaceObjectVerb),
    /// Run a program inside
    #[cfg(unix)]
    Exec {
        id: String,
        /// The program and its arguments
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<std::ffi::OsString>,
    },
}

/// What namespaces can do as objects.
#[derive(Debug, Subcommand)]
pub enum NamespaceObjectVerb {
    /// Make one, from a document if there is one
    Create {
        file: Option<PathBuf>,
        /// The id that it shall have
        #[arg(long, value_name = "GUID", value_parser = guid)]
        id: Option<Guid>,
    },
    #[command(flatten)]
    Other(ObjectVerb),
    /// Plug an endpoint in
    Add { id: String, endpoint: String },
    /// Unplug an endpoint; it stays
    Remove { id: String, endpoint: String },
}

/// What every kind of object can do.
#[derive(Debug, Subcommand)]
pub enum ObjectVerb {
    /// List all
    Ls {
        /// Only those whose members equal these: a JSON object, such as '{"Name":"web"}'
        #[arg(long, value_name = "JSON")]
        filter: Option<String>,
    },
    /// Show one
    Show { id: String },
    /// Change one by a document: a request, or for load balancers the whole new document
    Modify { id: String, file: PathBuf },
    /// Delete some
    Delete {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Show what went through its endpoints
    Stats { id: String },
}

#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Print the API's description
    Openapi {
        #[arg(long, value_enum, default_value_t)]
        api: Api,
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Leave out what is newer than this version of the schema
        #[arg(long, value_name = "2.x", value_parser = version)]
        version: Option<SchemaVersion>,
    },
    /// Check a document, as far as the schema goes
    Validate {
        file: PathBuf,
        /// What it is, such as HostComputeNetwork [default: what its members suggest]
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Api {
    /// The published schema of the network service, and the routes of its functions
    #[default]
    Hcn,
    /// The published schema of the compute service, and the routes of its functions
    Hcs,
    /// Everything that the service answers on its socket
    Service,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    #[default]
    Openapi3,
    Swagger2,
}

#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Print it
    Export,
    /// Fill an empty state, and build what it says
    Import { file: PathBuf },
}

fn guid(text: &str) -> Result<Guid, String> {
    text.parse().map_err(|error: hostcompute::schema::InvalidGuid| error.to_string())
}

fn held_ports(text: &str) -> Result<HeldPorts, String> {
    let number = |text: &str| {
        text.parse::<u16>().ok().filter(|number| *number > 0).ok_or(format!("{text:?} is no port"))
    };
    match text.strip_prefix('+') {
        Some(count) => number(count).map(HeldPorts::Row),
        None => number(text).map(HeldPorts::One),
    }
}

fn version(text: &str) -> Result<SchemaVersion, String> {
    text.parse().map_err(|error: hostcompute::schema::schema::InvalidVersion| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_way_to_the_service_is_the_last_thing_said() {
        let way = |typed: &[&str]| {
            let words = ["hc", "check"].iter().chain(typed);
            Arguments::try_parse_from(words).expect("valid").global.options().way
        };
        assert_eq!(way(&["--embedded"]), Way::Embedded);
        assert_eq!(way(&["--state-dir", "/x"]), Way::Embedded);
        assert_eq!(way(&["--host-netns", "/x"]), Way::Embedded);
        assert_eq!(way(&["--socket", "/x", "--state-dir", "/y"]), Way::Socket("/x".into()));
        assert!(Arguments::try_parse_from(["hc", "check", "--embedded", "--socket", "x"]).is_err());
    }

    #[test]
    fn typed_settings_win_over_the_environment() {
        let arguments = Arguments::try_parse_from([
            "hc",
            "check",
            "--state-dir",
            "/x",
            "--strict",
            "--wait",
            "3",
        ]);
        let options = arguments.expect("valid").global.options();
        assert_eq!(options.state_dir, PathBuf::from("/x"));
        assert!(options.strict);
        assert_eq!(options.patience, Duration::from_secs(3));
    }
}
