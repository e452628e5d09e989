//! The C libraries, as C, C++ and Python programs meet them: exactly the names that the headers declare, and programs that were compiled
//! against an installed copy, at work in a sandbox, under valgrind and under the compiler's own sanitizers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Outcome, cargo, counts::Counts, snapshot};
use crate::daemon::Daemon;
use crate::library::{self, Profile};
use crate::{lab, packages, process, product, root};

/// Tells the inner part where the library and the programs are.
const INSTALLED: &str = "XTASK_LIBRARY";

/// A program beside the crate.
struct Client {
    source: &'static str,
    /// The library that it is about.
    about: &'static str,
    /// Whether valgrind knows every system call that it makes; one that it does not know fails below it.
    watched: bool,
}

const CLIENTS: &[Client] = &[
    Client { source: "network.c", about: "computenetwork", watched: true },
    Client { source: "network.cc", about: "computenetwork", watched: true },
    Client { source: "threads.c", about: "computenetwork", watched: true },
    // Layers are walked with openat2, which valgrind does not know.
    Client { source: "storage.c", about: "computestorage", watched: false },
    Client { source: "compute.c", about: "computecore", watched: true },
];

/// Where programs put what they need for a while.
const TEMPORARY: &str = "temporary";

/// The examples in Python, in the folder of examples.
const EXAMPLES: &[&str] = &["network.py"];

/// The examples of the crate `hostcompute`.
const EXAMPLES_IN_RUST: &[&str] = &["tour", "asynchronous"];

/// Makes the compiler's sanitizers end a program at the first fault.
const SANITIZERS: &[&str] = &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/// Beginnings of the names that are exported; all else in a header is a type, a constant or a word.
const PREFIXES: &[&str] = &["Hcn", "Hcs", "HNS", "HostCompute", "CoTask", "LocalFree"];

/// The libraries that are here as a whole, by their names in the list of what programs for Windows import.
const WHOLE: &[&str] = &["computenetwork.dll", "computecore.dll", "computestorage.dll"];

/// What programs for Windows import, by a list that is kept beside the checkout.
pub const WITH_OTHERS: &str = "../shared/reference/functions.md";

/// Installs, compares names, compiles programs and lets them work.
///
/// # Errors
/// A name is missing or unknown, or a program finds something that is not as it should be.
pub fn check(_: &mut Counts) -> Result<Outcome> {
    if !process::is_root() {
        return Ok(Outcome::Skipped("layers and containers need root".to_owned()));
    }
    packages::provide(packages::LIBRARY, false)?;
    let prefix = root::target().join("library");
    let file = library::install(&prefix, Profile::Development)?;
    let exported = exported(&file)?;
    agree(&exported, &declared()?)?;
    let compared = compare_with_windows(&exported)?;
    for client in CLIENTS {
        compile(&prefix, client, Kind::Plain)?;
        compile(&prefix, client, Kind::Sanitized)?;
    }
    examples_in_rust(&prefix)?;
    let daemon = product::daemon()?;
    let supervisor = product::supervisor()?;
    let environment =
        [(product::DAEMON, &*daemon), (product::SUPERVISOR, &*supervisor), (INSTALLED, &*prefix)];
    lab::run_inside(&["inside".to_owned(), "library".to_owned()], &environment)?;
    Ok(if compared {
        Outcome::Passed
    } else {
        Outcome::Skipped("no ../shared/reference/functions.md beside the checkout".to_owned())
    })
}

/// Inside the sandbox: every program with the service inside it, then with one that runs by itself.
///
/// # Errors
/// As [`check`].
pub fn run_inside() -> Result<()> {
    let prefix = std::env::var_os(INSTALLED).context("who runs this says where the library is")?;
    let prefix = PathBuf::from(prefix);
    let before = snapshot::take()?;
    let folders = lab::Folders::new("library")?;
    fs::create_dir(folders.join(TEMPORARY)).context("making a folder for programs")?;
    for mut client in clients(&prefix) {
        process::run(in_place(&mut client, &prefix, &folders))?;
    }
    let daemon = Daemon::start(&folders)?;
    for mut client in clients(&prefix) {
        let client = in_place(&mut client, &prefix, &folders);
        process::run(client.env("HOSTCOMPUTE_SOCKET", daemon.socket()))?;
    }
    daemon.stop()?;
    drop(folders);
    println!("{}", snapshot::unchanged_since(&before)?);
    Ok(())
}

/// How a program was compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Sanitized,
}

/// The examples of the crate, built as its users build theirs.
fn examples_in_rust(prefix: &Path) -> Result<()> {
    let build =
        ["build", "--locked", "--package", "hostcompute", "--features", "async", "--examples"];
    process::run(&mut cargo(&build))?;
    for name in EXAMPLES_IN_RUST {
        let built = root::target().join("debug/examples").join(name);
        let place = prefix.join("bin").join(name);
        fs::copy(&built, place).with_context(|| format!("copying {}", built.display()))?;
    }
    Ok(())
}

/// Every way to run the programs.
fn clients(prefix: &Path) -> Vec<Command> {
    let mut runs = Vec::new();
    for Client { source, watched, .. } in CLIENTS {
        let kinds = [Kind::Plain, Kind::Sanitized];
        runs.extend(kinds.map(|kind| Command::new(program(prefix, source, kind))));
        if *watched {
            runs.push(valgrind(&program(prefix, source, Kind::Plain)));
        }
    }
    runs.extend(EXAMPLES_IN_RUST.iter().map(|name| Command::new(prefix.join("bin").join(name))));
    for source in EXAMPLES {
        let mut python = Command::new("python3");
        python.arg(root::path().join("examples").join(source));
        python.env("PYTHONDONTWRITEBYTECODE", "1");
        runs.push(python);
    }
    runs
}

fn valgrind(program: &Path) -> Command {
    let mut valgrind = Command::new("valgrind");
    // What is "possibly lost" is reached by a pointer into its middle, as Rust's standard library has them.
    valgrind.args(["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite"]);
    valgrind.args(["--show-leak-kinds=definite", "--error-exitcode=9"]);
    let suppressions = library::source().join("clients/valgrind.supp");
    valgrind.arg(format!("--suppressions={}", suppressions.display())).arg(program);
    valgrind
}

fn program(prefix: &Path, source: &str, kind: Kind) -> PathBuf {
    let ending = if kind == Kind::Sanitized { "sanitized" } else { "plain" };
    prefix.join("bin").join(format!("{source}.{ending}"))
}

fn in_place<'a>(
    command: &'a mut Command,
    prefix: &Path,
    folders: &lab::Folders,
) -> &'a mut Command {
    let command = folders.apply(command).env("LD_LIBRARY_PATH", prefix.join("lib"));
    // What a program that fails leaves behind goes with the folders.
    command.env("TMPDIR", folders.join(TEMPORARY))
}

/// Compiles a program as somebody would who has only what is installed.
fn compile(prefix: &Path, client: &Client, kind: Kind) -> Result<()> {
    let Client { source, about, .. } = *client;
    let mut ask = Command::new("pkg-config");
    ask.args(["--cflags", "--libs", about]);
    let flags = process::output(ask.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")))?;
    let (compiler, standard) =
        if source.ends_with(".cc") { ("g++", "c++17") } else { ("gcc", "c11") };
    let output = program(prefix, source, kind);
    fs::create_dir_all(prefix.join("bin")).context("making the folder of programs")?;
    let mut compile = Command::new(compiler);
    compile.arg(format!("-std={standard}")).args(["-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
    compile.args(["-g", "-pthread", "-o"]).arg(&output);
    if kind == Kind::Sanitized {
        compile.args(SANITIZERS);
    }
    compile.arg(library::source().join("clients").join(source)).args(flags.split_whitespace());
    process::run(&mut compile)
}

/// The functions that the library has for others.
fn exported(file: &Path) -> Result<BTreeSet<String>> {
    let mut nm = Command::new("nm");
    let listed = process::output(nm.args(["--dynamic", "--defined-only"]).arg(file))?;
    Ok(listed.lines().filter_map(|line| line.split(' ').nth(2)).map(str::to_owned).collect())
}

/// The functions that the headers declare.
fn declared() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for header in library::headers()? {
        let text =
            fs::read_to_string(&header).with_context(|| format!("reading {}", header.display()))?;
        found.extend(declarations(&text));
    }
    Ok(found)
}

/// Names before a parenthesis, outside of comments.
fn declarations(header: &str) -> BTreeSet<String> {
    let code: String =
        header.split("*/").map(|part| part.split("/*").next().unwrap_or_default()).collect();
    let heads = code.split('(').filter_map(|part| part.rsplit([' ', '*', '\n']).next());
    heads
        .filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .map(str::to_owned)
        .collect()
}

fn agree(exported: &BTreeSet<String>, declared: &BTreeSet<String>) -> Result<()> {
    let secret: Vec<_> = exported.difference(declared).collect();
    let missing: Vec<_> = declared.difference(exported).collect();
    if !secret.is_empty() || !missing.is_empty() {
        bail!("exported and in no header: {secret:?}; in a header and not exported: {missing:?}");
    }
    println!("{} functions are exported, each in a header", exported.len());
    Ok(())
}

/// Every name that programs for Windows import from a library is there; false where the list is not.
fn compare_with_windows(exported: &BTreeSet<String>) -> Result<bool> {
    let list = root::path().join(WITH_OTHERS);
    let Ok(text) = fs::read_to_string(list) else { return Ok(false) };
    for library in WHOLE {
        let names = imported(&text, library);
        let missing: Vec<_> = names.difference(exported).collect();
        if names.is_empty() || !missing.is_empty() {
            bail!("of {} names of {library} these are missing: {missing:?}", names.len());
        }
        println!("{library}: all {} names", names.len());
    }
    Ok(true)
}

/// The first column of the table below a library's heading.
pub fn imported(list: &str, library: &str) -> BTreeSet<String> {
    let heading = format!("## {library}");
    let below = list.split_once(&heading).map_or("", |(_, below)| below);
    let table = below.split("\n## ").next().unwrap_or_default();
    let names = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    names.filter(|name| *name != "function").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// An example that nobody runs is not one.
    #[test]
    fn every_example_is_run() {
        let stems = |folder: &str, wanted: fn(&Path) -> bool| -> BTreeSet<String> {
            let entries = fs::read_dir(root::path().join(folder)).unwrap();
            let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| wanted(path));
            paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(stems("crates/hostcompute/examples", |_| true), set(EXAMPLES_IN_RUST));
        let programs = stems("examples", |path| path.extension().is_none_or(|end| end != "json"));
        let run = EXAMPLES.iter().filter_map(|name| Some(name.split_once('.')?.0));
        assert_eq!(programs, run.map(str::to_owned).collect());
    }

    #[test]
    fn declarations_are_found_outside_of_comments() {
        let header = "/* HcnNothing(x) */\ntypedef int (*HCN_CALL)(int);\nHRESULT HcnOne(void *x);\n\
                      HANDLE\nHcsTwo(PCWSTR *a,\n    int b); /* HcnThree( */\nvoid *LocalFree(void *x);\n";
        assert_eq!(declarations(header), set(&["HcnOne", "HcsTwo", "LocalFree"]));
    }

    #[test]
    fn names_are_those_of_one_table() {
        let list = "## a.dll: 2 names\n\n| function | x |\n|---|---|\n| HcnOne | y |\n| HcnTwo | z |\n\n\
                    ## b.dll\n| HcsThree | x |\n";
        assert_eq!(imported(list, "a.dll"), set(&["HcnOne", "HcnTwo"]));
        assert_eq!(imported(list, "b.dll"), set(&["HcsThree"]));
        assert!(imported(list, "c.dll").is_empty());
    }

    #[test]
    fn a_name_on_one_side_alone_is_refused() {
        assert!(agree(&set(&["A"]), &set(&["A"])).is_ok());
        assert!(agree(&set(&["A", "B"]), &set(&["A"])).is_err());
        assert!(agree(&set(&["A"]), &set(&["A", "B"])).is_err());
    }
}
