//! A client in another language, made by a public generator from what a running service says of itself, at work on that service.
//!
//! The service runs in a sandbox ([`crate::lab`]); the generator takes its `/openapi.json`, and `xtask/client/flow.py` uses what came
//! out of it. So the description is held to be true by somebody who has nothing but the description.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Outcome, counts::Counts, python, snapshot};
use crate::daemon::Daemon;
use crate::{lab, process, product, root};

/// The generator and the library that its clients need. It understands OpenAPI 3.1, is Python alone, and its clients can be pointed at
/// a unix socket.
const PACKAGES: &[&str] = &["openapi-python-client==0.29.1", "httpx==0.28.1"];

/// Tells the inner part where the environment's programs are.
const PROGRAMS: &str = "XTASK_PYTHON";

/// The package that the generator makes.
const PACKAGE: &str = "hostcompute_client";

/// Generates a client and uses it.
///
/// # Errors
/// The generator complains, or the service does not do what it says.
pub fn check(_: &mut Counts) -> Result<Outcome> {
    let programs = python::environment("generated-client", PACKAGES)?;
    let daemon = product::daemon()?;
    let environment = [(product::DAEMON, &*daemon), (PROGRAMS, &*programs)];
    lab::run_inside(&["inside".to_owned(), "client".to_owned()], &environment)?;
    Ok(Outcome::Passed)
}

/// Inside the sandbox: the service up, the client made and used, the service down, nothing left.
///
/// # Errors
/// As [`check`].
pub fn run_inside() -> Result<()> {
    let programs = std::env::var_os(PROGRAMS).context("who runs this says where Python is")?;
    let programs = PathBuf::from(programs);
    let before = snapshot::take()?;
    let folders = lab::Folders::new("client")?;
    let daemon = Daemon::start(&folders)?;
    let description = folders.join("openapi.json");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--unix-socket"]).arg(daemon.socket());
    process::run(curl.arg("--output").arg(&description).arg("http://localhost/openapi.json"))?;
    let committed = std::fs::read_to_string(root::path().join("docs/api/service.openapi.json"))?;
    let served = std::fs::read_to_string(&description)?;
    if serde_json::from_str::<serde_json::Value>(&served)?
        != serde_json::from_str::<serde_json::Value>(&committed)?
    {
        bail!("what the service serves is not docs/api/service.openapi.json");
    }
    let mut generator = Command::new(programs.join("openapi-python-client"));
    generator.args(["generate", "--meta", "none", "--fail-on-warning", "--path"]).arg(&description);
    generator.arg("--output-path").arg(folders.join(PACKAGE));
    generator.arg("--config").arg(configuration(&folders)?);
    process::output(&mut generator)?;
    let mut flow = Command::new(programs.join("python"));
    flow.arg(root::path().join("xtask/client/flow.py")).arg(daemon.socket());
    // Nothing is written beside the sources.
    flow.env("PYTHONPATH", folders.join(".")).env("PYTHONDONTWRITEBYTECODE", "1");
    process::run(&mut flow)?;
    daemon.stop()?;
    drop(folders);
    println!("{}", snapshot::unchanged_since(&before)?);
    Ok(())
}

/// The generator's settings: it need not make its output pretty, for which it would want another program; lines of JSON, which it
/// does not know, it takes for JSON.
const SETTINGS: &str =
    "post_hooks: []\ncontent_type_overrides:\n  application/x-ndjson: application/json\n";

/// Writes them.
fn configuration(folders: &lab::Folders) -> Result<PathBuf> {
    let path = folders.join("generator.yml");
    std::fs::write(&path, SETTINGS).context("writing the generator's settings")?;
    Ok(path)
}
