//! The programs as this checkout builds them.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::check::cargo;
use crate::{process, root};

/// Tells a run of this program that is not in the checkout, or in a sandbox, which `hc` to use.
pub const PROGRAM: &str = "XTASK_HC";

/// The same for `hostcomputed`.
pub const DAEMON: &str = "XTASK_HOSTCOMPUTED";

/// Where services look for the supervisor, and we, too.
pub const SUPERVISOR: &str = "HOSTCOMPUTE_SUPERVISOR";

/// Builds `hc` (development profile: it is about speed of building here) and says where it is.
///
/// # Errors
/// It does not build.
pub fn build() -> Result<PathBuf> {
    program("hc", PROGRAM)
}

/// As [`build`], for `hostcomputed`.
///
/// # Errors
/// It does not build.
pub fn daemon() -> Result<PathBuf> {
    program("hostcomputed", DAEMON)
}

/// As [`build`], for the program that keeps compute systems running.
///
/// # Errors
/// It does not build.
pub fn supervisor() -> Result<PathBuf> {
    program("hostcompute-supervisor", SUPERVISOR)
}

fn program(name: &str, told: &str) -> Result<PathBuf> {
    if let Some(built) = std::env::var_os(told) {
        return Ok(PathBuf::from(built));
    }
    process::run(&mut cargo(&["build", "--package", name, "--bin", name, "--locked"]))?;
    let program = root::target().join("debug").join(name);
    if !program.is_file() {
        bail!("cargo built {name}, and {} is not there", program.display());
    }
    Ok(program)
}
