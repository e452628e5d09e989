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
First steps:
  hc doctor                         whether this kernel can do it
  hc up examples/web.json           makes what a file asks for
  hc topology                       shows it
  hc down examples/web.json         removes it again
  hc run --host-root -it -- sh      a container over this machine's own files

Exit status:
  0 done, 1 the request failed, 2 wrong usage, 3 no such object, 4 access denied
  of run and exec the command's own, or 125 where hc failed, 126 and 127 where there is no command

Environment, where no option says otherwise:
  HOSTCOMPUTE_SOCKET, HOSTCOMPUTE_ADDRESS (with HOSTCOMPUTE_TOKEN_FILE)    the service
  HOSTCOMPUTE_STATE_DIR, HOSTCOMPUTE_RUNTIME_DIR, HOSTCOMPUTE_HOST_NETNS,
  HOSTCOMPUTE_STRICT, HOSTCOMPUTE_WAIT                                     as the global options";

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// How to print: a table for people, the document as JSON or YAML, or bare ids, one per line
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
    /// How long to wait for another command that uses the same state, or for a service that restarts [default: 10]
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
    // One per line. A doc comment here would spread the possible values over eight lines of every command's help.
    Id,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make everything that host documents ask for and is not there yet
    #[command(
        after_help = "Example: hc up examples/web.json\n\nWhat is there already and is as the files say stays as it is; `hc diff` tells before."
    )]
    Up {
        /// Host documents, JSON; `-` is standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Also print the notifications of this run
        #[arg(long)]
        events: bool,
    },
    /// Delete exactly what host documents name, and wait until the host is clean
    Down {
        /// The host documents that were given to `up`; `-` is standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Show what `up` would do
    Diff {
        /// Host documents, JSON; `-` is standard input
        #[arg(required = true, value_name = "FILE")]
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
    /// Compute systems: containers, and processes of the host that are kept together
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
        /// Draw a picture (SVG) instead of a tree; `-` is standard output
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
        /// Only what happens to this network and its endpoints: by GUID, beginning of a GUID, or name
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
    #[command(after_help = "Example: hc completions bash > /etc/bash_completion.d/hc")]
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
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
        /// The guest network service: by GUID, beginning of a GUID, or name
        id: String,
        /// One port, or `+COUNT` for so many next to each other, of both protocols
        #[arg(value_name = "PORT|+COUNT", value_parser = held_ports)]
        ports: HeldPorts,
        /// Which ports: those of TCP, of UDP, or both
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
    /// Draw the way as a picture (SVG); `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// Networks, load balancers, routes.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make one from a document
    Create {
        /// The document, JSON; `-` is standard input
        file: PathBuf,
        /// The id that it shall have [default: what the document says, or a random one]
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
        /// The document, JSON; `-` is standard input
        file: PathBuf,
        /// The id that it shall have [default: what the document says, or a random one]
        #[arg(long, value_name = "GUID", value_parser = guid)]
        id: Option<Guid>,
        /// The network that it shall be on, unless the document says so: by GUID, beginning of a GUID, or name
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
    #[command(
        after_help = "Example: hc namespace exec front -- ip address\n\nExit status: the program's; 126 where it cannot be run, 127 where it is not found."
    )]
    Exec {
        /// The namespace: by GUID, beginning of a GUID, or name
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
        /// The document, JSON; `-` is standard input [default: an empty one]
        file: Option<PathBuf>,
        /// The id that it shall have [default: what the document says, or a random one]
        #[arg(long, value_name = "GUID", value_parser = guid)]
        id: Option<Guid>,
    },
    #[command(flatten)]
    Other(ObjectVerb),
    /// Plug an endpoint in
    Add {
        /// The namespace: by GUID, beginning of a GUID, or name
        id: String,
        /// The endpoint, named the same ways
        endpoint: String,
    },
    /// Unplug an endpoint; it stays
    Remove {
        /// The namespace: by GUID, beginning of a GUID, or name
        id: String,
        /// The endpoint, named the same ways
        endpoint: String,
    },
}

const MODIFY_HELP: &str = r#"A request says what, how and with which settings; for an endpoint, for example:
  { "ResourceType": "Policy", "RequestType": "Add", "Settings": { "Policies": [ ... ] } }"#;

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
    Show {
        /// Its GUID, the unique beginning of that, or its name
        id: String,
    },
    /// Change one by a document: a request, or for load balancers the whole new document
    #[command(after_help = MODIFY_HELP)]
    Modify {
        /// Its GUID, the unique beginning of that, or its name
        id: String,
        /// The document, JSON; `-` is standard input
        file: PathBuf,
    },
    /// Delete some
    Delete {
        /// Their GUIDs, unique beginnings of those, or names
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Show how many bytes and packets went through its endpoints
    Stats {
        /// Its GUID, the unique beginning of that, or its name
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Print the API's description
    Openapi {
        /// Which API
        #[arg(long, value_enum, default_value_t)]
        api: Api,
        /// In which form: OpenAPI 3.1, or Swagger 2.0 as it is published
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Leave out what is newer than this version of the schema
        #[arg(long, value_name = "2.x", value_parser = version)]
        version: Option<SchemaVersion>,
    },
    /// Check a document, as far as the schema goes
    #[command(after_help = "Example: hc schema validate examples/web.json")]
    Validate {
        /// The document, JSON; `-` is standard input
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
    Import {
        /// What `export` printed; `-` is standard input
        file: PathBuf,
    },
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

    /// Whoever asks for help gets it for everything that can be typed, within the width of a terminal.
    #[test]
    fn everything_is_explained() {
        fn look(command: &clap::Command, path: &str) {
            assert!(command.get_about().is_some(), "{path} does not say what it does");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path}: {} has no help", argument.get_id());
            }
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.lines().all(|line| line.chars().count() <= 100), "{path}: {after}");
            command
                .get_subcommands()
                .for_each(|next| look(next, &format!("{path} {}", next.get_name())));
        }
        let mut command = Arguments::command();
        command.build();
        look(&command, "hc");
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
