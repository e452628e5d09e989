//! What the demo needs from Debian, found by the programs that are missing.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Program, package, and what it is for.
const NEEDED: &[(&str, &str, &str)] = &[
    ("cc", "gcc", "compiles SQLite"),
    ("ip", "iproute2", "builds the simulated outside, and compares before and after"),
    ("unshare", "util-linux", "makes the sandbox"),
];

/// Names what is missing; installs it with `--yes` or as root.
///
/// # Errors
/// Something is missing and may not or cannot be installed.
pub fn provide(yes: bool) -> Result<()> {
    let missing: Vec<_> =
        NEEDED.iter().filter(|(program, _, _)| !process::exists(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut names = Vec::new();
    println!("Missing Debian packages:");
    for (program, package, reason) in missing {
        println!("  {package:<12} {program}: {reason}");
        names.push(*package);
    }
    if names.contains(&"gcc") {
        names.push("libc6-dev");
    }
    let line = format!("apt-get install --yes --no-install-recommends {}", names.join(" "));
    if !process::exists("apt-get") {
        bail!("this is no Debian; install what has the same programs");
    }
    if process::is_root() {
        install("sh", &["-c", &format!("apt-get update -q && {line}")])
    } else if yes {
        install("sudo", &["sh", "-c", &format!("apt-get update -q && {line}")])
    } else {
        bail!("install them with: sudo {line}\nor let me: cargo xtask demo --yes");
    }
}

fn install(program: &str, arguments: &[&str]) -> Result<()> {
    process::run(Command::new(program).args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}
