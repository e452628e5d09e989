//! `cargo xtask demo`: the main job, shown and proved. One document in, connected namespaces out, nothing left.
//!
//! By default the host that is configured is a sandbox ([`crate::lab`]) with a simulated outside, so the demo disturbs nothing;
//! `--host` does it on the machine itself. An ordinary user gets the sandbox inside a user namespace.

mod containers;
mod proof;
mod site;

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use proof::Proofs;
use site::Site;

use crate::check::{Counts, Outcome, snapshot};
use crate::lab::{Folders, Outside};
use crate::ordinary::Ordinary;
use crate::{lab, packages, process, product, root};

/// The document of the main job.
const DOCUMENT: &str = "examples/web.json";

/// `cargo xtask demo [--yes] [--host]`.
///
/// # Errors
/// Packages are missing, something does not build, or a proof failed.
pub fn run(arguments: &[String]) -> Result<()> {
    let (mut yes, mut on_host) = (false, false);
    for argument in arguments {
        match argument.as_str() {
            "--yes" | "-y" => yes = true,
            "--host" => on_host = true,
            "--private" => on_host = false,
            other => bail!("demo takes --yes, --private (the default) and --host, and got {other}"),
        }
    }
    snapshot::mark()?;
    packages::provide(packages::DEMO, yes)?;
    println!("Building hc ...");
    let program = product::build()?;
    product::supervisor()?;
    if on_host {
        if !process::is_root() {
            bail!("--host changes the machine's own network and needs root");
        }
        return show(&program, None);
    }
    let supervisor = product::supervisor()?;
    let told = [(product::PROGRAM, program.as_path()), (product::SUPERVISOR, &supervisor)];
    lab::run_inside(&["inside".to_owned(), "demo".to_owned()], &told)
}

/// The part that runs in the sandbox.
///
/// # Errors
/// A proof failed.
pub fn run_inside() -> Result<()> {
    let program = product::build()?;
    let outside = Outside::connect()?;
    let [host4, host6] = lab::HOST;
    println!(
        "The host is a sandbox ({host4}, {host6}) with a simulated outside; this machine's own network is not touched."
    );
    show(&program, Some(&outside))
}

/// The demo as a check: as root, and as an ordinary user.
///
/// # Errors
/// A proof failed.
pub fn check(_: &mut Counts) -> Result<Outcome> {
    run(&[])?;
    println!("\nThe same as an ordinary user:");
    let user = Ordinary::new(&product::build()?)?;
    process::run(user.command("xtask").arg("demo"))?;
    Ok(Outcome::Passed)
}

fn show(program: &Path, outside: Option<&Outside>) -> Result<()> {
    let before = snapshot::take()?;
    let folders = Folders::new("demo")?;
    let hc = Hc { program, folders: &folders };
    let mut proofs = Proofs::default();

    heading("One document in");
    hc.shown(&["up", DOCUMENT])?;
    let outcome = made_and_flows(&hc, outside, &mut proofs);

    heading("And away again");
    hc.shown(&["down", DOCUMENT])?;
    outcome?;
    containers::show(&hc, &mut proofs)?;
    proofs.check("hc check finds nothing", || {
        let said = hc.output(&["check"])?;
        Ok(said.lines().next().unwrap_or("documents, journal and kernel agree").to_owned())
    });
    drop(folders);
    proofs.check(
        "links, addresses, routes, tables, sysctls, mounts, processes are as before",
        || snapshot::unchanged_since(&before),
    );
    proofs.close()
}

/// Shows what exists, then sends traffic through it.
fn made_and_flows(hc: &Hc, outside: Option<&Outside>, proofs: &mut Proofs) -> Result<()> {
    heading("What was made");
    hc.shown(&["topology"])?;
    hc.shown(&["endpoint", "ls"])?;
    hc.shown(&["loadbalancer", "ls"])?;
    let site = Site::read(hc)?;
    heading("Traffic flows");
    proof::traffic(hc, &site, outside, proofs)
}

fn heading(text: &str) {
    println!("\n── {text} {}", "─".repeat(70_usize.saturating_sub(text.chars().count())));
}

/// The program with the folders of this demo.
pub struct Hc<'a> {
    program: &'a Path,
    folders: &'a Folders,
}

impl Hc<'_> {
    /// A command of `hc`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        self.folders.apply(&mut command).current_dir(root::path()).args(arguments);
        if let Ok(supervisor) = product::supervisor() {
            command.env("HOSTCOMPUTE_SUPERVISOR", supervisor);
        }
        command
    }

    /// Its output.
    fn output(&self, arguments: &[&str]) -> Result<String> {
        process::output(&mut self.command(arguments))
    }

    /// Runs it for the reader: the command line, then what it prints.
    fn shown(&self, arguments: &[&str]) -> Result<()> {
        println!("$ hc {}", arguments.join(" "));
        process::run(&mut self.command(arguments))
    }
}
