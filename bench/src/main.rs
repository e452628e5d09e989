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
use hostcompute_bench::measure::{self, Amount, Extent, Plan};
use hostcompute_bench::report::{Measured, Report};
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
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "attach,service,balance,list,containers,scale"
    )]
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
    Service,
    Balance,
    List,
    Containers,
    Scale,
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
    let mut plan = plan(options, &scratch.0, &mut notes);
    let wants = |part| options.only.contains(&part);
    let service = if wants(Part::Service) { program("hostcomputed", &mut notes) } else { None };
    plan.sides.splice(1..1, service.clone().map(Kind::Service));
    let machine = Machine::describe()?;
    let before = machine::idle(Duration::from_secs(1))?;
    let mut measured = Measured::default();
    if wants(Part::Attach) {
        measured.attach = measure::attach(&plan)?;
    } else if let Some(program) = &service {
        measured.attach = measure::attach(&beside_the_floor(&plan, program, options))?;
    }
    if let Some(program) = &service {
        measured.service = measure::service(&plan, program, amount(options))?;
    }
    if wants(Part::Balance) {
        measured.balance = measure::balance(&plan)?;
    }
    if wants(Part::List)
        && let Some(hc) = program("hc", &mut notes)
    {
        measured.list = measure::list(&plan, &hc, if options.quick { 5 } else { 100 })?;
    }
    if wants(Part::Containers)
        && let (Some(hc), Some(_)) =
            (program("hc", &mut notes), program("hostcompute-supervisor", &mut notes))
    {
        if measured.attach.is_empty() {
            let floor = Kind::Floor(Sequence::Fused);
            measured.attach = measure::attach(&Plan { sides: vec![floor], ..plan.clone() })?;
        }
        let count = if options.quick { 3 } else { 60 };
        let rows = measure::containers::containers(&plan, &hc, count, &mut notes)?;
        measured.list.extend(rows);
        if let Some(service) = program("hostcomputed", &mut notes) {
            let crowd = if options.quick { 10 } else { 200 };
            measured.crowd = Some(measure::containers::crowd(&plan, &service, crowd)?);
        }
    }
    if wants(Part::Scale)
        && let Some(service) = program("hostcomputed", &mut notes)
    {
        measured.scale = measure::scale(&plan, &service, extent(options))?;
    }
    let after = machine::idle(Duration::from_secs(1))?;
    let report = Report::new(machine, (before, after), notes, &measured);
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

/// The service and the floor alone, with few endpoints: what the service's part promises about attaching.
fn beside_the_floor(plan: &Plan, program: &Path, options: &Options) -> Plan {
    let mut sides = vec![Kind::Service(program.to_owned())];
    sides.extend([Sequence::Fused, Sequence::Routed, Sequence::Pool].map(Kind::Floor));
    let levels = options.levels.clone().unwrap_or_else(|| vec![10]);
    Plan { sides, levels, ..plan.clone() }
}

/// How much of the service is measured.
fn amount(options: &Options) -> Amount {
    if options.quick {
        return Amount { queries: 50, clients: 8, cycles: 5, endpoints: 20, restarts: 1 };
    }
    Amount { queries: 500, clients: 8, cycles: 50, endpoints: 5000, restarts: 5 }
}

/// How much there is on the large host.
fn extent(options: &Options) -> Extent {
    if options.quick {
        return Extent {
            endpoints: 40,
            services: 40,
            remotes: 20,
            sets: 2,
            samples: 3,
            restarts: 1,
        };
    }
    Extent { endpoints: 5000, services: 5000, remotes: 500, sets: 50, samples: 100, restarts: 3 }
}

/// One of our programs, if it has been built beside this one. Under `cargo run`, builds it in the same profile: one command is to
/// be enough.
fn program(package: &str, notes: &mut Vec<String>) -> Option<PathBuf> {
    if let Err(error) = build(package) {
        notes.push(format!("{package} is not measured: {error:#}"));
        return None;
    }
    let program = std::env::current_exe().ok()?.with_file_name(package);
    if !program.is_file() {
        let how = format!("build it with `cargo build --release -p {package}`");
        notes.push(format!("no {}: {how}", program.display()));
        return None;
    }
    Some(program)
}

fn build(package: &str) -> anyhow::Result<()> {
    let Some(cargo) = std::env::var_os("CARGO") else { return Ok(()) };
    let mut command = std::process::Command::new(cargo);
    command.args(["build", "--quiet", "--package", package]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.status().context("starting cargo")?;
    anyhow::ensure!(status.success(), "cargo could not build it");
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
