//! `cargo xtask bench`: the comparison with the floor and the peers, by the program in `bench/`.

use anyhow::Result;

use crate::check::{Counts, Outcome, cargo};
use crate::process;

/// `cargo xtask bench [ARGUMENTS...]`: an optimised build, all arguments handed on.
///
/// # Errors
/// It does not build, or the measurement failed.
pub fn run(arguments: &[String]) -> Result<()> {
    let mut bench = cargo(&["run", "--release", "--quiet", "--package", "hostcompute-bench", "--"]);
    process::run(bench.args(arguments))
}

/// The short form runs to its end; no figure is judged. Built without optimisation, which spares a second build of everything.
///
/// # Errors
/// It does not.
pub fn smoke(_: &mut Counts) -> Result<Outcome> {
    if !process::is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    process::run(&mut cargo(&[
        "run",
        "--quiet",
        "--package",
        "hostcompute-bench",
        "--",
        "--quick",
    ]))?;
    Ok(Outcome::Passed)
}
