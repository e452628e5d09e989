//! The table of what is checked, in order: what answers soonest and fails oftenest comes first.

use std::process::Command;

use anyhow::Result;

use super::counts::Counts;
use super::{Outcome, Section, client, documents, guest, library, licences, schema, windows, wine};
use crate::{bench, deb, demo, generate, interface, packages, process, root, tidy};

/// The fuzzer is a workspace of its own: its long runs need another toolchain.
const FUZZ: &str = "fuzz/Cargo.toml";

/// Inputs for each of the fuzzer's targets.
const FUZZED: u32 = 100_000;

/// What of the crate is not built by default.
const ASYNC: &str = "hostcompute/async";

/// All sections of `cargo xtask test`.
pub const SECTIONS: &[Section] = &[
    Section { name: "format", about: "the code is formatted", run: format },
    Section { name: "tidy", about: "the house rules", run: house_rules },
    Section { name: "licences", about: "everything we link may be shipped", run: licences::check },
    Section { name: "lint", about: "clippy, warnings refused", run: lint },
    Section { name: "rustdoc", about: "the documentation builds, warnings refused", run: rustdoc },
    Section {
        name: "interface",
        about: "the public interface of the crates is what was declared",
        run: interface::check,
    },
    Section { name: "tests", about: "unit, property and, as root, privileged tests", run: tests },
    Section {
        name: "schedules",
        about: "sessions, rundown and decider under a randomised scheduler",
        run: schedules,
    },
    Section { name: "console", about: "the console's page in headless Chromium", run: console },
    Section { name: "doctests", about: "the examples in the documentation", run: doctests },
    Section { name: "schema", about: "every field of the reference tables", run: schema::coverage },
    Section {
        name: "openapi",
        about: "a real validator accepts the document",
        run: schema::openapi,
    },
    Section {
        name: "client",
        about: "a client generated from /openapi.json works",
        run: client::check,
    },
    Section {
        name: "library",
        about: "programs in C, C++ (valgrind, sanitizers), Python and Rust on the libraries",
        run: library::check,
    },
    Section {
        name: "windows",
        about: "the crate and hc built for Windows; their tests, and those of its own services' transport, in Wine",
        run: windows::check,
    },
    Section {
        name: "wine",
        about: "programs for Windows, others' among them, in Wine upon a service of ours",
        run: wine::check,
    },
    Section {
        name: "documents",
        about: "commands in README and docs do what they show",
        run: documents::check,
    },
    Section { name: "fuzz", about: "100,000 inputs for each target", run: fuzz },
    Section { name: "pictures", about: "drawn pictures are current", run: generate::check },
    Section {
        name: "demo",
        about: "the main job, as root and as an ordinary user",
        run: demo::check,
    },
    Section {
        name: "package",
        about: "installed, used, upgraded, killed and removed on a booted machine",
        run: deb::check,
    },
    Section {
        name: "storm",
        about: "200 clients for a minute, they and the daemon killed in between",
        run: storm,
    },
    Section {
        name: "soak",
        about: "containers made and ended by many, everybody killed in between: nothing is left",
        run: soak,
    },
    Section {
        name: "guest",
        about: "containers on control groups of version 2, in a small virtual machine",
        run: guest::check,
    },
    Section { name: "bench", about: "the measurements run (short form)", run: bench::smoke },
];

/// Cargo at the top of the checkout.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root::path()).args(arguments);
    // Set by `cargo run` for us alone; a nested cargo must not take them for its own.
    for variable in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME"] {
        cargo.env_remove(variable);
    }
    cargo
}

fn done(command: &mut Command) -> Result<Outcome> {
    process::run(command)?;
    Ok(Outcome::Passed)
}

fn format(_: &mut Counts) -> Result<Outcome> {
    process::run(&mut cargo(&["fmt", "--manifest-path", FUZZ, "--check"]))?;
    done(&mut cargo(&["fmt", "--all", "--check"]))
}

fn house_rules(_: &mut Counts) -> Result<Outcome> {
    tidy::run(&[])?;
    Ok(Outcome::Passed)
}

fn lint(_: &mut Counts) -> Result<Outcome> {
    done(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        ASYNC,
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

/// The short form of the fuzzer: seeded, on this toolchain, the same inputs every time.
fn fuzz(_: &mut Counts) -> Result<Outcome> {
    let clippy = ["clippy", "--manifest-path", FUZZ, "--locked", "--", "-D", "warnings"];
    process::run(&mut cargo(&clippy))?;
    let documents = FUZZED.to_string();
    let run = ["run", "--quiet", "--manifest-path", FUZZ, "--locked", "--", "--documents"];
    done(cargo(&run).arg(documents))
}

fn rustdoc(_: &mut Counts) -> Result<Outcome> {
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    doc.args(["--locked", "--features", ASYNC]);
    // Built for ourselves, private items included: links to them lead somewhere.
    done(doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links"))
}

/// All tests, by nextest where it is installed. As root the privileged ones must run, not skip.
fn tests(counts: &mut Counts) -> Result<Outcome> {
    let mut runner = if process::exists("cargo-nextest") {
        cargo(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])
    } else {
        println!(
            "cargo-nextest is not installed: cargo's own runner does it, one crate after the other"
        );
        cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--locked", "--no-fail-fast"])
    };
    if process::is_root() {
        runner.env("HOSTCOMPUTE_REQUIRE_ROOT", "1");
    } else {
        println!("not root: tests of the kernel skip, each with a message");
    }
    process::watch(&mut runner, |line| counts.heed(line))?;
    // Not with the others: the programs are built as users have them.
    let features = "async,images";
    let futures = ["test", "-p", "hostcompute", "--features", features, "--test", "asynchronous"];
    done(cargo(&futures).arg("--locked"))
}

/// The service's threads in thousands of orders; a build of its own, for the locks are the scheduler's.
fn schedules(counts: &mut Counts) -> Result<Outcome> {
    let package = ["-p", "hostcompute-service", "--features", "schedules", "--lib", "--locked"];
    process::run(cargo(&["clippy", "--tests"]).args(package).args(["--", "-D", "warnings"]))?;
    let mut runner = cargo(&["test"]);
    runner.args(package).arg("schedules");
    process::watch(&mut runner, |line| counts.heed(line))?;
    Ok(Outcome::Passed)
}

/// The tests that need a browser: elsewhere they are left out.
fn console(counts: &mut Counts) -> Result<Outcome> {
    if !process::is_root() {
        return Ok(Outcome::Skipped("only root can make the machines that it runs on".to_owned()));
    }
    packages::provide(packages::CONSOLE, false)?;
    let arguments = ["test", "--package", "hostcomputed", "--test", "console", "--locked"];
    let mut runner = cargo(&arguments);
    // Browsers are heavy: two at a time are enough for two processors.
    runner.args(["--", "--ignored", "--test-threads", "2"]).env("HOSTCOMPUTE_REQUIRE_ROOT", "1");
    process::watch(&mut runner, |line| counts.heed(line))?;
    Ok(Outcome::Passed)
}

/// A minute that would disturb the other tests, and be disturbed by them.
fn storm(counts: &mut Counts) -> Result<Outcome> {
    if !process::is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    let words = ["test", "--package", "hostcomputed", "--test", "storm", "--locked", "--"];
    let mut storm = cargo(&words);
    storm.args(["--ignored", "--nocapture", "--exact"]);
    storm.arg("what_was_acknowledged_is_true_after_a_storm");
    process::watch(&mut storm, |line| counts.heed(line))?;
    Ok(Outcome::Passed)
}

/// A short form: `HOSTCOMPUTE_SOAK=1000,8,1` says how many containers, clients, and the seed.
fn soak(counts: &mut Counts) -> Result<Outcome> {
    if !process::is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    // It is looked for beside the daemon.
    process::run(&mut cargo(&["build", "--package", "hostcompute-supervisor", "--locked"]))?;
    let words = ["test", "--package", "hostcomputed", "--test", "soak", "--locked", "--"];
    let mut soak = cargo(&words);
    soak.args(["--ignored", "--nocapture", "--exact", "a_thousand_containers_leave_nothing"]);
    if std::env::var_os("HOSTCOMPUTE_SOAK").is_none() {
        soak.env("HOSTCOMPUTE_SOAK", "300,8,1");
    }
    process::watch(&mut soak, |line| counts.heed(line))?;
    Ok(Outcome::Passed)
}

fn doctests(counts: &mut Counts) -> Result<Outcome> {
    let others = ["--workspace", "--exclude", "hostcompute"];
    let whole = ["--package", "hostcompute", "--features", "async"];
    for packages in [others.as_slice(), &whole] {
        let mut runner = cargo(&["test", "--doc", "--locked", "--no-fail-fast"]);
        process::watch(runner.args(packages), |line| counts.heed(line))?;
    }
    Ok(Outcome::Passed)
}
