//! The comparison: one command, one run, one table.
//!
//! `cargo run --release -p hostcompute-bench` measures everything (about a quarter of an hour); `-- --quick` only
//! shows in under a minute that everything still runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use hostcompute_bench::floor::Sequence;
use hostcompute_bench::machine::{self, Machine};
use hostcompute_bench::measure::{self, Plan};
use hostcompute_bench::report::Report;
use hostcompute_bench::side::{Cni, Kind, Netavark};
use hostcompute_bench::worker;

/// Compares attach, detach and load balancing with bare netlink and with other programs.
#[derive(Debug, Parser)]
struct Program {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A process of the comparison; started by the program itself.
    #[command(hide = true)]
    Worker { setup: String },
}

#[derive(Debug, Args)]
struct Options {
    /// Few samples and low levels: shows that it runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Fail when a promise about speed is not kept.
    #[arg(long)]
    enforce: bool,
    /// Write the result as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Leave the peers out.
    #[arg(long)]
    no_peers: bool,
    /// Measure only these parts.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "attach,balance,list")]
    only: Vec<Part>,
    /// Numbers of endpoints present while attach and detach are measured.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    levels: Option<Vec<u32>>,
    /// The same for the peers; their cost per endpoint grows, so high numbers take very long.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    peer_levels: Option<Vec<u32>>,
    /// Numbers of services present while connections are made.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    services: Option<Vec<u32>>,
    /// Rounds of ten attaches and ten detaches for each side and level.
    #[arg(long)]
    rounds: Option<u32>,
    /// Where the CNI plugins are.
    #[arg(long, value_name = "DIR", default_value = "/usr/lib/cni")]
    cni: PathBuf,
    /// The netavark program; looked for where distributions put it.
    #[arg(long, value_name = "FILE")]
    netavark: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Attach,
    Balance,
    List,
}

const NETAVARK_PLACES: [&str; 4] = [
    "/usr/lib/podman/netavark",
    "/usr/libexec/podman/netavark",
    "/usr/local/lib/podman/netavark",
    "/usr/local/libexec/podman/netavark",
];

fn main() -> anyhow::Result<()> {
    let program = Program::parse();
    match program.command {
        Some(Command::Worker { setup }) => worker::serve(&serde_json::from_str(&setup)?),
        None => compare(&program.options),
    }
}

fn compare(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!(
        rustix::process::geteuid().is_root(),
        "making network namespaces needs root; the machine's own network is not touched"
    );
    let scratch = Scratch::make()?;
    let mut notes = Vec::new();
    let plan = plan(options, &scratch.0, &mut notes);
    let machine = Machine::describe()?;
    let before = machine::idle(Duration::from_secs(1))?;
    let wants = |part| options.only.contains(&part);
    let attach = if wants(Part::Attach) { measure::attach(&plan)? } else { Vec::new() };
    let balance = if wants(Part::Balance) { measure::balance(&plan)? } else { Vec::new() };
    let list = if wants(Part::List) { list(options, &plan, &mut notes)? } else { Vec::new() };
    let after = machine::idle(Duration::from_secs(1))?;
    let report = Report::new(machine, (before, after), notes, (&attach, &balance, &list));
    print!("{report}");
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("writing {}", file.display()))?;
    }
    let missed = report.budgets.iter().filter(|budget| !budget.kept).count();
    anyhow::ensure!(!options.enforce || missed == 0, "{missed} promises about speed were not kept");
    Ok(())
}

/// What is measured, by the options and by what is installed.
fn plan(options: &Options, directory: &Path, notes: &mut Vec<String>) -> Plan {
    let mut sides = vec![Kind::Ours];
    sides.extend(
        [Sequence::Fused, Sequence::Plain, Sequence::Routed, Sequence::Pool].map(Kind::Floor),
    );
    if !options.no_peers {
        sides.extend(peers(options, notes));
    }
    let (quick, pick) = (
        options.quick,
        |quick: &[u32], full: &[u32]| {
            if options.quick { quick.to_vec() } else { full.to_vec() }
        },
    );
    let mut levels = options.levels.clone().unwrap_or_else(|| pick(&[10], &[10, 100, 1000, 5000]));
    levels.sort_unstable();
    Plan {
        sides,
        batch: 10,
        rounds: options.rounds.unwrap_or(if quick { 1 } else { 10 }),
        settle: Duration::from_millis(if quick { 50 } else { 300 }),
        levels,
        peer_levels: options.peer_levels.clone().unwrap_or_else(|| pick(&[10], &[10, 100])),
        services: options
            .services
            .clone()
            .unwrap_or_else(|| pick(&[2, 100], &[2, 100, 1000, 5000])),
        connections: if quick { 50 } else { 400 },
        directory: directory.to_owned(),
    }
}

/// The peers that are installed; the others are named in a note.
fn peers(options: &Options, notes: &mut Vec<String>) -> Vec<Kind> {
    let mut peers = Vec::new();
    if Cni::found(&options.cni) {
        peers.push(Kind::Cni { plugins: options.cni.clone() });
    } else {
        notes.push(format!(
            "no CNI plugins in {} (Debian: containernetworking-plugins, iptables)",
            options.cni.display()
        ));
    }
    let known = || NETAVARK_PLACES.map(PathBuf::from).into_iter().find(|path| path.is_file());
    match options.netavark.clone().or_else(known) {
        Some(program) => match Netavark::identify(&program) {
            Ok((version, firewall)) => {
                peers.push(Kind::Netavark { program, version, firewall });
            }
            Err(error) => notes.push(format!("netavark is left out: {error:#}")),
        },
        None => notes.push(
            "no netavark (Debian: netavark; newer: cargo install netavark, then --netavark FILE)"
                .to_owned(),
        ),
    }
    peers
}

/// Measures the command line if it has been built beside this program.
fn list(
    options: &Options,
    plan: &Plan,
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<measure::ListRow>> {
    if let Err(error) = build_command_line() {
        notes.push(format!("hc is not measured: {error:#}"));
        return Ok(Vec::new());
    }
    let program = std::env::current_exe()?.with_file_name("hc");
    if !program.is_file() {
        notes
            .push(format!("no {}: build it with `cargo build --release -p hc`", program.display()));
        return Ok(Vec::new());
    }
    measure::list(plan, &program, if options.quick { 5 } else { 100 })
}

/// Under `cargo run`, builds `hc` in the same profile: one command is to be enough.
fn build_command_line() -> anyhow::Result<()> {
    let Some(cargo) = std::env::var_os("CARGO") else { return Ok(()) };
    let mut command = std::process::Command::new(cargo);
    command.args(["build", "--quiet", "--package", "hc"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.status().context("starting cargo to build hc")?;
    anyhow::ensure!(status.success(), "cargo could not build hc");
    Ok(())
}

/// A directory for the state of the sides, on the disk as in an installation; removed with all that is in it.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("hostcompute-bench-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} is left behind: {error}", self.0.display());
        }
    }
}
