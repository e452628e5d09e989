//! Programs for Windows, unmodified, in Wine, at work on a service of this checkout: C programs on mingw-w64's own headers, `hc.exe`, and
//! others' crates from the registry with their own tests. They load our libraries by the names of Windows, which speak to the service
//! over TCP. Wine is not Windows: what is proved is what such programs see, not that the libraries work there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::library::{WITH_OTHERS, imported};
use super::{Outcome, counts::Counts, snapshot};
use crate::daemon::Daemon;
use crate::windows::libraries::{self, Profile};
use crate::windows::{self, GCC, Tools};
use crate::{lab, library, process, product, root};

/// Where the service listens on the loopback of its sandbox.
const PORT: &str = "127.0.0.1:8643";

/// Crates of others whose own tests run: those of the programs in `xtask/windows/clients`.
const CRATES: &[&str] = &["zlayer-hns", "zlayer-hcs"];

/// Programs in C, and what they are linked with.
const C_PROGRAMS: &[(&str, &[&str])] = &[
    ("windows", &["-lcomputenetwork", "-lcomputecore", "-lole32"]),
    // There is no import library of vmcompute.dll: who uses it looks its functions up.
    ("vmcompute", &["-lole32"]),
    ("layers", &["-lole32"]),
];

/// The programs there.
const PROGRAMS: &[&str] = &["hns", "hcs"];

/// Builds everything, then lets it run in a sandbox.
///
/// # Errors
/// Something does not build, a function is missing, or a program finds something that is not as it should be.
pub fn check(_: &mut Counts) -> Result<Outcome> {
    if !process::is_root() {
        return Ok(Outcome::Skipped("containers need root".to_owned()));
    }
    let tools = Tools::provide()?;
    let folder = root::target().join("windows/libraries");
    let functions = libraries::make(&tools, &folder, Profile::Development)?;
    let count: usize = functions.values().map(|names| names.len()).sum();
    println!("{count} functions are exported, by {} libraries", functions.len());
    let compared = fs::read_to_string(root::path().join(WITH_OTHERS)).ok();
    for (library, names) in &functions {
        let Some(list) = &compared else { continue };
        let missing: Vec<_> =
            imported(list, &format!("{library}.dll")).difference(names).cloned().collect();
        if !missing.is_empty() {
            bail!("{library}.dll lacks {missing:?}");
        }
    }
    // What of the library is built for Windows alone, nothing else looks at.
    let library = ["--package", "hostcompute-ffi", "--lib", "--locked"];
    process::run(&mut tools.clippy(&[&library[..], &["--", "-D", "warnings"]].concat()))?;
    process::run(&mut tools.cargo(&[&["test"], &library[..]].concat()))?;
    for (name, libraries) in C_PROGRAMS {
        compile(name, libraries)?;
    }
    process::run(&mut tools.cargo(&["build", "--package", "hc", "--locked"]))?;
    process::run(&mut tools.cargo(&["build", "--locked", "--manifest-path", CLIENTS]))?;
    for name in CRATES {
        let manifest = copied(name)?;
        process::run(&mut tools.cargo(&[
            "test",
            "--no-run",
            "--lib",
            "--tests",
            "--manifest-path",
            &manifest,
        ]))?;
    }
    let (daemon, supervisor) = (product::daemon()?, product::supervisor()?);
    let environment = [(product::DAEMON, &*daemon), (product::SUPERVISOR, &*supervisor)];
    // A server that was started elsewhere would open sockets there.
    tools.end()?;
    libraries::install(&tools, &folder)?;
    let ran = lab::run_inside(&["inside".to_owned(), "wine".to_owned()], &environment);
    tools.end()?;
    ran?;
    Ok(match compared {
        Some(_) => Outcome::Passed,
        None => Outcome::Skipped("no ../shared/reference/functions.md beside the checkout".into()),
    })
}

/// What `hc.exe` makes.
const NETWORK: &str =
    r#"{ "Name": "wine", "Type": "NAT", "SchemaVersion": { "Major": 2, "Minor": 0 } }"#;

/// The manifest of the programs upon others' crates.
const CLIENTS: &str = "xtask/windows/clients/Cargo.toml";

fn program(name: &str) -> PathBuf {
    root::target().join(format!("windows/{name}.exe"))
}

/// A C program, as somebody compiles it who has mingw-w64 and nothing of ours.
fn compile(name: &str, libraries: &[&str]) -> Result<()> {
    let mut gcc = Command::new(GCC);
    gcc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-cast-function-type", "-o"]);
    gcc.arg(program(name)).arg(library::source().join("clients").join(name).with_extension("c"));
    process::run(gcc.args(libraries))
}

/// A copy of a crate as the registry has it, but a workspace of its own; answers its manifest.
fn copied(name: &str) -> Result<String> {
    let words =
        ["metadata", "--format-version", "1", "--locked", "--offline", "--manifest-path", CLIENTS];
    let mut metadata = windows::debian("cargo");
    metadata.current_dir(root::path()).args(words);
    let told: serde_json::Value = serde_json::from_str(&process::output(&mut metadata)?)
        .context("reading what cargo tells of packages")?;
    let packages = told.get("packages").and_then(|packages| packages.as_array());
    let found = packages.into_iter().flatten().find(|package| package["name"] == name);
    let manifest = found.and_then(|package| package["manifest_path"].as_str());
    let manifest = manifest.with_context(|| format!("{name} is no package of the programs"))?;
    let sources = Path::new(manifest).parent().context("a manifest is in a folder")?;
    let copy = root::target().join("windows/crates").join(name);
    let _ = fs::remove_dir_all(&copy);
    if let Some(parent) = copy.parent() {
        fs::create_dir_all(parent).context("making a folder for crates")?;
    }
    process::run(Command::new("cp").arg("--recursive").arg(sources).arg(&copy))?;
    let manifest = copy.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).context("reading a crate's manifest")?;
    fs::write(&manifest, format!("{text}\n[workspace]\n")).context("writing a manifest")?;
    Ok(manifest.to_string_lossy().into_owned())
}

/// Inside the sandbox: the service up, every program, the service down, nothing left.
///
/// # Errors
/// As [`check`].
pub fn run_inside() -> Result<()> {
    process::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    let outside = lab::Outside::connect()?;
    let tools = Tools::ready()?;
    let before = snapshot::take()?;
    let folders = lab::Folders::new("wine")?;
    let daemon = Daemon::start_with(&folders, &["--tcp", PORT])?;
    let token = windows::drive_z(&folders.join("run/tcp.token"));
    let run = |mut command: Command| {
        command.env("HOSTCOMPUTE_ADDRESS", format!("tcp://{PORT}"));
        process::run(command.env("HOSTCOMPUTE_TOKEN_FILE", &token))
    };
    for (name, _) in C_PROGRAMS {
        let mut program = tools.wine(&program(name));
        // Where one of them makes layers.
        program.arg(windows::drive_z(&folders.join("layers")));
        run(program)?;
    }
    let document = folders.join("network.json");
    fs::write(&document, NETWORK).context("writing a document")?;
    let (hc, document) = (tools.built("hc.exe"), windows::drive_z(&document));
    for words in [
        &["network", "create", &*document][..],
        &["network", "ls"],
        &["network", "show", "wine"],
        &["endpoint", "ls"],
        &["network", "delete", "wine"],
    ] {
        let mut hc = tools.wine(&hc);
        hc.args(words);
        run(hc)?;
    }
    for name in PROGRAMS {
        run(tools.wine(&tools.built(&format!("{name}.exe"))))?;
    }
    for name in CRATES {
        let manifest = root::target().join("windows/crates").join(name).join("Cargo.toml");
        let manifest = manifest.to_string_lossy();
        let words = ["test", "--offline", "--lib", "--tests", "--manifest-path", &manifest];
        let mut cargo = tools.cargo(&words);
        cargo.args(["--", "--include-ignored", "--test-threads", "1"]);
        run(cargo)?;
    }
    tools.end()?;
    daemon.stop()?;
    drop(folders);
    println!("{}", snapshot::unchanged_since(&before)?);
    drop(outside);
    Ok(())
}
