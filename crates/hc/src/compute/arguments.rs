//! What can be typed about compute systems.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hostcompute::Failure;

use super::confinement::{Confinement, Isolation};
use super::image::Pull;
use super::limits::Limits;
use super::mapped::Mapped;
use super::port::Port;

/// `hc system`.
#[derive(Debug, Subcommand)]
pub enum SystemVerb {
    /// Make one from a document
    Create {
        /// The document (ComputeSystem), JSON; `-` is standard input
        file: PathBuf,
        /// The id that it shall have; unique on this host whatever its case
        #[arg(long)]
        id: String,
        /// Start it, too
        #[arg(long)]
        start: bool,
    },
    /// Start one
    Start {
        /// Its id
        id: String,
    },
    /// List them
    Ls(Listing),
    /// Show what one is like
    Show {
        /// Its id
        id: String,
    },
    /// Ask for properties of one
    Properties {
        /// Its id
        id: String,
        /// Statistics, ProcessList, Memory, ... [default: the basic ones]
        #[arg(value_name = "TYPE")]
        types: Vec<String>,
    },
    /// Change one by a document (ModifySettingRequest)
    Modify {
        /// Its id
        id: String,
        /// The document, JSON; `-` is standard input
        file: PathBuf,
    },
    /// Stop all processes of one where they are
    Pause {
        /// Its id
        id: String,
    },
    /// Let them go on
    Resume {
        /// Its id
        id: String,
    },
    /// Save one that is paused to a file; containers cannot be saved
    Save {
        /// Its id
        id: String,
        /// Where to
        file: PathBuf,
    },
    /// Ask one to end by itself
    Shutdown {
        /// Its id
        id: String,
        /// Wait until it has ended
        #[arg(short = 'w', long)]
        until_ended: bool,
    },
    /// End one at once
    Terminate {
        /// Its id
        id: String,
    },
    /// Wait until one has ended, and tell how
    Wait {
        /// Its id
        id: String,
        /// Give up after so long
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
    },
    /// Tell what happens to one, until it ends
    Events {
        /// Its id
        id: String,
    },
    /// Print what its processes wrote
    Logs(LogArguments),
}

/// `hc ps` and `hc system ls`.
#[derive(Debug, Args)]
pub struct Listing {
    /// Also those that have ended, as far as they are remembered
    #[arg(short, long)]
    pub all: bool,
    /// Only those of this owner
    #[arg(long)]
    pub owner: Option<String>,
}

/// `hc logs`.
#[derive(Debug, Args)]
pub struct LogArguments {
    /// The system's id
    pub id: String,
    /// Go on with what is written from now on, until the system ends
    #[arg(short, long)]
    pub follow: bool,
    /// Only so many of the last lines
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<u64>,
    /// Only what this process wrote
    #[arg(long)]
    pub pid: Option<u32>,
}

/// How a command runs: the same for `run` and `exec`.
#[derive(Debug, Args)]
pub struct CommandOptions {
    /// Let the command read what this one reads
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// A variable of its environment; without a value, the one that this command has
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub environment: Vec<String>,
    /// The directory that it begins in
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// The user that it runs as
    #[arg(short, long, value_name = "NAME[:GROUP]")]
    pub user: Option<String>,
    /// Give it no capabilities, and let it gain none
    #[arg(long)]
    pub restricted: bool,
}

const RUN_HELP: &str = "\
Examples:
  hc run --host-root -- echo hello                        over this machine's own files
  hc run -it --rootfs DIR -m 256 --cpus 1.5 -- sh         over a directory's
  hc run -d --image HOST/PATH:TAG --network web -p 8080:80
One of --host-root, --rootfs and --image says what it sees, or --scratch alone.";

/// `hc run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub struct RunArguments {
    /// Leave it running, and print its id
    #[arg(short, long)]
    pub detach: bool,
    /// End it with its command; without --detach that is so anyway
    #[arg(long, conflicts_with = "keep")]
    pub rm: bool,
    /// Leave it running when its command has ended
    #[arg(long)]
    pub keep: bool,
    /// Its id [default: a random one]
    #[arg(long, value_name = "ID")]
    pub name: Option<String>,
    #[command(flatten)]
    pub root: Root,
    /// When the image is pulled from its registry
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    #[arg(conflicts_with_all = ["rootfs", "host_root"])]
    #[cfg_attr(windows, arg(hide = true))]
    pub pull: Pull,
    /// The network: `none`, `host`, `container:ID`, `namespace:ID`, or a network that an endpoint is made on
    #[arg(long, default_value = "none", value_name = "NETWORK")]
    pub network: String,
    /// What it calls itself
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// What its processes get when it is asked to end, such as SIGQUIT [default: what its image says, or SIGTERM]
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Whose it is, for listings
    #[arg(long, default_value = "hc")]
    pub owner: String,
    #[command(flatten)]
    pub command: CommandOptions,
    #[command(flatten)]
    pub port: Port,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub mapped: Mapped,
    #[command(flatten)]
    pub confinement: Confinement,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub words: Vec<String>,
}

impl RunArguments {
    /// Whether the container outlives this command.
    pub fn stays(&self) -> bool {
        self.detach || self.keep
    }

    /// Whether it is said where the file system comes from. Processes of the host have the host's.
    pub fn has_root(&self) -> bool {
        let Root { image, rootfs, host_root } = &self.root;
        image.is_some()
            || rootfs.is_some()
            || *host_root
            || self.mapped.scratch.is_some()
            || self.confinement.isolation == Isolation::HostProcess
    }

    /// What is said beside its document.
    ///
    /// # Errors
    /// E_INVALIDARG for what cannot be understood.
    pub fn terms(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let mut terms = self.confinement.terms();
        terms.extend(self.port.term()?.map(|endpoint| ("endpoint", endpoint)));
        if self.rm && self.detach {
            terms.push(("ends-with-first-process", true.to_string()));
        }
        Ok(terms)
    }
}

/// Where the file system comes from.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Root {
    /// An image of the store
    #[arg(long, value_name = "IMAGE")]
    #[cfg_attr(windows, arg(hide = true))]
    pub image: Option<String>,
    /// A directory; what is written is gone with the container
    #[arg(long, value_name = "DIR")]
    pub rootfs: Option<PathBuf>,
    /// The host's own; what is written is gone with the container
    #[arg(long)]
    pub host_root: bool,
}

/// `hc exec`.
#[derive(Debug, Args)]
#[command(after_help = "Example: hc exec -it job -- sh")]
pub struct ExecArguments {
    #[command(flatten)]
    pub command: CommandOptions,
    /// The system's id
    pub id: String,
    /// The command and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    pub words: Vec<String>,
}
