//! What can be typed about compute systems.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `hc system`.
#[derive(Debug, Subcommand)]
pub enum SystemVerb {
    /// Make one from a document
    Create {
        file: PathBuf,
        /// The id that it shall have; unique on this host whatever its case
        #[arg(long)]
        id: String,
        /// Start it, too
        #[arg(long)]
        start: bool,
    },
    /// Start one
    Start { id: String },
    /// List them
    Ls(Listing),
    /// Show what one is like
    Show { id: String },
    /// Ask for properties of one
    Properties {
        id: String,
        /// Statistics, ProcessList, Memory, ... [default: the basic ones]
        #[arg(value_name = "TYPE")]
        types: Vec<String>,
    },
    /// Change one by a document (ModifySettingRequest)
    Modify { id: String, file: PathBuf },
    /// Stop all processes of one where they are
    Pause { id: String },
    /// Let them go on
    Resume { id: String },
    /// Save one that is paused to a file
    Save { id: String, file: PathBuf },
    /// Ask one to end by itself
    Shutdown {
        id: String,
        /// Wait until it has ended
        #[arg(short, long)]
        wait: bool,
    },
    /// End one at once
    Terminate { id: String },
    /// Wait until one has ended, and tell how
    Wait {
        id: String,
        /// Give up after so long
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
    },
    /// Tell what happens to one, until it ends
    Events { id: String },
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
}

/// `hc run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Leave it running, and print its id
    #[arg(short, long)]
    pub detach: bool,
    /// Its id [default: a random one]
    #[arg(long, value_name = "ID")]
    pub name: Option<String>,
    #[command(flatten)]
    pub root: Root,
    /// The network: `none`, `host`, `container:ID`, `namespace:ID`, or a network that an endpoint is made on
    #[arg(long, default_value = "none", value_name = "NETWORK")]
    pub network: String,
    /// What it calls itself
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// The limit of memory: MiB, or with k, m, g behind
    #[arg(short, long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<u64>,
    /// How many processors it may use, such as 1.5
    #[arg(long, value_name = "COUNT", value_parser = cpus)]
    pub cpus: Option<f64>,
    /// A directory of the host that is seen inside
    #[arg(short, long = "volume", value_name = "HOST:INSIDE[:ro]")]
    pub volumes: Vec<String>,
    #[command(flatten)]
    pub command: CommandOptions,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub words: Vec<String>,
}

/// Where the file system comes from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Root {
    /// An image of the store
    #[arg(long, value_name = "IMAGE")]
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
pub struct ExecArguments {
    #[command(flatten)]
    pub command: CommandOptions,
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

/// The units of sizes.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Unit {
    K,
    M,
    G,
}

/// A size in MiB.
fn memory(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default().trim_end_matches(['b', 'B']);
    let unit = match unit {
        "" => Unit::M,
        unit => Unit::from_str(unit, true).map_err(|_| "sizes end with k, m or g".to_owned())?,
    };
    let number: u64 = digits.parse().map_err(|_| "not a size such as 256m".to_owned())?;
    let size = match unit {
        Unit::K => number / 1024,
        Unit::M => number,
        Unit::G => number.saturating_mul(1024),
    };
    if size == 0 { Err("at least one MiB".to_owned()) } else { Ok(size) }
}

fn cpus(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(count) if count.is_finite() && count > 0.0 => Ok(count),
        _ => Err("not a number of processors such as 1.5".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_mebibytes() {
        for (text, size) in [("256", 256), ("256m", 256), ("2048k", 2), ("1g", 1024), ("1GB", 1024)]
        {
            assert_eq!(memory(text), Ok(size), "{text}");
        }
        for text in ["", "m", "-1", "1t", "1k", "0", "99999999999999999999"] {
            assert!(memory(text).is_err(), "{text}");
        }
    }

    #[test]
    fn processors_are_counted_in_parts() {
        assert_eq!(cpus("1.5"), Ok(1.5));
        for text in ["", "0", "-1", "inf", "nan", "two"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }
}
