//! `cargo xtask`: everything one does with this repository besides `cargo build`.
//!
//! `demo` shows the product, `test` is what CI checks, `tidy` holds the house rules of `docs/style.md`, `generate`
//! rewrites the committed documents, `bench` prints the comparison with the floor and the peers, `deb` builds the Debian package.
//!
//! Kept to two small dependencies so that the first command of a fresh checkout answers soon.

mod bench;
mod check;
mod daemon;
mod deb;
mod demo;
mod generate;
mod interface;
mod lab;
mod library;
mod ordinary;
mod packages;
mod process;
mod product;
mod root;
mod tidy;
mod traffic;
mod windows;

use std::process::ExitCode;

use anyhow::{Result, bail};

/// One command: its name, the line of help, and what it does with the rest of the arguments.
struct Task {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<()>,
}

const TASKS: &[Task] = &[
    Task {
        name: "demo",
        arguments: "[--yes] [--private | --host]",
        about: "runs the main job in a sandbox and proves that traffic flows",
        run: demo::run,
    },
    Task {
        name: "test",
        arguments: "[--yes] [--list] [SECTION...]",
        about: "everything CI checks, section by section",
        run: check::run,
    },
    Task { name: "tidy", arguments: "", about: "the house rules of docs/style.md", run: tidy::run },
    Task {
        name: "generate",
        arguments: "",
        about: "rewrites docs/api and docs/images",
        run: generate::run,
    },
    Task {
        name: "bench",
        arguments: "[--quick] [ARGUMENTS...]",
        about: "the comparison with the floor and the peers",
        run: bench::run,
    },
    Task {
        name: "library",
        arguments: "FOLDER",
        about: "builds the C libraries and installs them with their headers below a folder",
        run: library::run,
    },
    Task {
        name: "windows-libraries",
        arguments: "FOLDER",
        about: "builds the libraries by which Windows programs in Wine reach a service",
        run: windows::libraries::run,
    },
    Task { name: "deb", arguments: "[FOLDER]", about: "builds the Debian package", run: deb::run },
];

fn main() -> ExitCode {
    if let Some(ended) = interface::stand_in_for_rustdoc() {
        return ended;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        bail!("which task?\n{}", help());
    };
    if ["help", "-h", "--help"].contains(&name.as_str()) {
        println!("{}", help());
        return Ok(());
    }
    // What the tasks start as programs of their own; not for people, so the help does not name them.
    match name.as_str() {
        "inside" => return inside(rest),
        "traffic" => return traffic::run(rest),
        _ => {}
    }
    match TASKS.iter().find(|task| task.name == name) {
        Some(task) => (task.run)(rest),
        None => bail!("no task is called {name}\n{}", help()),
    }
}

/// The part of a task that runs in a sandbox ([`lab`]).
fn inside(arguments: &[String]) -> Result<()> {
    match arguments {
        [what] if what == "demo" => demo::run_inside(),
        [what] if what == "picture" => generate::run_inside(),
        [what] if what == "client" => check::client::run_inside(),
        [what] if what == "library" => check::library::run_inside(),
        [what] if what == "wine" => check::wine::run_inside(),
        [what, document] if what == "document" => check::documents::run_inside(document),
        [what, packages @ ..] if what == "machine" => deb::inside(packages),
        _ => bail!("inside the sandbox there is nothing called {}", arguments.join(" ")),
    }
}

fn help() -> String {
    let mut text = String::from("usage: cargo xtask TASK [ARGUMENTS]\n");
    for task in TASKS {
        let usage = format!("{} {}", task.name, task.arguments);
        text.push_str(&format!("\n  {usage:<42} {}", task.about));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_task_is_refused_and_the_known_ones_are_named() {
        let error = dispatch(&["dance".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("dance") && error.contains("tidy"), "{error}");
    }
}
