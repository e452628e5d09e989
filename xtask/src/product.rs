//! The program `hc` as this checkout builds it.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::check::cargo;
use crate::{process, root};

/// Tells a run of this program that is not in the checkout, or in a sandbox, which `hc` to use.
pub const PROGRAM: &str = "XTASK_HC";

/// Builds `hc` (development profile: it is about speed of building here) and says where it is.
///
/// # Errors
/// It does not build.
pub fn build() -> Result<PathBuf> {
    if let Some(built) = std::env::var_os(PROGRAM) {
        return Ok(PathBuf::from(built));
    }
    process::run(&mut cargo(&["build", "--package", "hc", "--bin", "hc", "--locked"]))?;
    let program = root::target().join("debug").join("hc");
    if !program.is_file() {
        bail!("cargo built hc, and {} is not there", program.display());
    }
    Ok(program)
}
