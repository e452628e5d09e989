//! Python programs of others, each in an environment of its own below the target folder.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, root};

/// Makes the environment `name` with these packages, or finds it made; answers its folder of programs.
///
/// Versions are fixed by whoever asks, so that today's answer is tomorrow's.
///
/// # Errors
/// Python has no module for environments, or a package cannot be installed.
pub fn environment(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let home = root::target().join(name);
    let (programs, mark) = (home.join("bin"), home.join("packages"));
    let wanted = packages.join("\n");
    if programs.is_dir() && std::fs::read_to_string(&mark).is_ok_and(|made| made == wanted) {
        return Ok(programs);
    }
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))
        .context("making a Python environment (Debian package python3-venv)")?;
    let mut pip = Command::new(programs.join("pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages);
    process::run(&mut pip)?;
    std::fs::write(&mark, wanted).with_context(|| format!("writing {}", mark.display()))?;
    Ok(programs)
}
