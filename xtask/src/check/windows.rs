//! The crate and hc on Windows: looked at by clippy for Windows, their tests and the tests against small libraries run in Wine; for
//! Microsoft's toolchain checked only, since nothing here links for it.

use anyhow::Result;

use super::{Outcome, counts::Counts};
use crate::windows::Tools;
use crate::{packages, process, root};

/// The libraries that stand for a Windows that lacks functions.
const LIBRARIES: &[&str] = &["computenetwork", "computecore"];

/// What is looked at. The same packages each time, since fewer of them would have other features and be built anew. Of hc only the program:
/// its tests that are programs of their own make machines of Linux.
const PACKAGES: &[&str] = &[
    "-p",
    "hostcompute-schema",
    "-p",
    "hostcompute",
    "-p",
    "hc",
    "--features",
    "hostcompute/async",
    "--lib",
    "--bins",
    "--locked",
];

/// The tests against the small libraries.
const SMALL: &[&str] = &["--test", "windows"];

/// Builds, checks and runs.
///
/// # Errors
/// Something does not build, warns, or fails.
pub fn check(counts: &mut Counts) -> Result<Outcome> {
    if let Err(error) = packages::provide(packages::WINDOWS, false) {
        // An ordinary user cannot install them; where nothing may be left out, that is a failure.
        if process::is_root() || std::env::var_os("CI").is_some() {
            return Err(error);
        }
        return Ok(Outcome::Skipped(format!("{error:#}")));
    }
    let tools = Tools::provide()?;
    process::run(&mut tools.clippy(&[PACKAGES, SMALL, &["--", "-D", "warnings"]].concat()))?;
    let mut tests = tools.cargo(&[&["test"], PACKAGES, SMALL].concat());
    let ran = process::watch(&mut tests, |line| counts.heed(line));
    tools.end()?;
    ran?;
    against_small_libraries(&tools.apart("small")?, counts)?;
    process::run(&mut tools.check_for_msvc(PACKAGES)?)?;
    Ok(Outcome::Passed)
}

/// The transport, where Windows finds libraries that lack most functions.
fn against_small_libraries(tools: &Tools, counts: &mut Counts) -> Result<()> {
    let sources = root::path().join("crates/hostcompute/tests/windows");
    for library in LIBRARIES {
        let source = sources.join(library).with_extension("c");
        let output = tools.system32().join(library).with_extension("dll");
        let mut gcc = std::process::Command::new(crate::windows::GCC);
        gcc.args(["-O1", "-s", "-shared", "-Wall", "-Wextra", "-Werror", "-o"]);
        process::run(gcc.arg(output).arg(source).arg("-lole32"))?;
    }
    // Whose libraries the prefix was copied with is nobody's business here.
    for library in ["computestorage.dll", "vmcompute.dll"] {
        let _ = std::fs::remove_file(tools.system32().join(library));
    }
    let mut tests = tools.cargo(&[&["test"], PACKAGES, SMALL, &["--", "--ignored"]].concat());
    let ran = process::watch(&mut tests, |line| counts.heed(line));
    tools.end()?;
    ran
}
