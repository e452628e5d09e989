//! The public interface of the Rust crates as lists that are committed: a line for each item, sorted. Whoever changes what programs are
//! built on sees it as a change of these files, and so does the reviewer; a line that goes or changes breaks programs.
//!
//! The lists are made from what rustdoc knows (its JSON output, which the stable compiler gives when it is asked with
//! `RUSTC_BOOTSTRAP=1`), with all features on, on Linux. `cargo xtask generate` rewrites them.
//!
//! `cargo semver-checks` compares with a published version; there is none yet. Until then these lists are the baseline: what was listed once
//! stays as long as the version may not break programs ([`promise`]).

mod items;
mod promise;
mod twins;
mod written;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::check::{Counts, Outcome, cargo};
use crate::{process, root};

/// The crates whose interface others build on, with the features that are not on by default. What documents there are, and their members,
/// which are the schema's interface, stands in the descriptions beside the lists (`docs/api/*.openapi.json`).
const CRATES: &[(&str, &str)] = &[("hostcompute", "async,images,registry")];

/// The lists are what the crates have today.
///
/// # Errors
/// They are not: what was added, and what was removed.
pub fn check(_: &mut Counts) -> Result<Outcome> {
    let mut differences = 0;
    for (name, features) in CRATES {
        let now = list(name, features)?;
        let then = fs::read_to_string(committed(name)).unwrap_or_default();
        differences += compare(name, &then, &now);
        twins::check(&now)?;
        promise::check(name, &now)?;
    }
    if differences > 0 {
        bail!(
            "{differences} lines of the interface changed: cargo xtask generate, and say so in the commit"
        );
    }
    Ok(Outcome::Passed)
}

/// Rewrites the lists, and promises what is new.
///
/// # Errors
/// A crate's documentation cannot be built, or a file not be written.
pub fn generate() -> Result<()> {
    for (name, features) in CRATES {
        let file = committed(name);
        let text = list(name, features)?;
        promise::renew(name, &text)?;
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

fn committed(name: &str) -> PathBuf {
    root::path().join(format!("docs/api/{name}.txt"))
}

/// Tells what differs; how many lines.
fn compare(name: &str, then: &str, now: &str) -> usize {
    let [before, after]: [BTreeSet<&str>; 2] = [then, now].map(|text| text.lines().collect());
    let removed: Vec<_> = before.difference(&after).collect();
    let added: Vec<_> = after.difference(&before).collect();
    for line in &removed {
        println!("- {line}");
    }
    for line in &added {
        println!("+ {line}");
    }
    let verdict = match (removed.len(), added.len()) {
        (0, 0) => "as committed".to_owned(),
        (0, more) => format!("{more} lines more: programs go on as they are"),
        (gone, more) => {
            format!("{gone} lines gone or changed, {more} new: programs that use them break")
        }
    };
    println!("{name}: {} items; {verdict}", after.len());
    removed.len() + added.len()
}

/// Set where cargo takes this program for rustdoc.
const STAND_IN: &str = "XTASK_AS_RUSTDOC";

/// Where cargo takes this program for rustdoc: becomes it, with the right to unstable options. Returns only if it is not so, or fails.
pub fn stand_in_for_rustdoc() -> Option<ExitCode> {
    std::env::var_os(STAND_IN)?;
    let mut rustdoc = Command::new("rustdoc");
    rustdoc.env_remove(STAND_IN).env("RUSTC_BOOTSTRAP", "1").args(std::env::args_os().skip(1));
    eprintln!("xtask: cannot run rustdoc: {}", rustdoc.exec());
    Some(ExitCode::FAILURE)
}

/// The list of one crate.
fn list(name: &str, features: &str) -> Result<String> {
    let mut rustdoc = cargo(&["rustdoc", "--package", name, "--lib", "--locked"]);
    rustdoc.args(["--features", features, "--"]);
    rustdoc.args(["-Z", "unstable-options", "--output-format", "json"]);
    // Asked for by the environment, the compiler's unstable options would make many dependencies build themselves anew.
    rustdoc.env("RUSTDOC", std::env::current_exe().context("finding this program")?);
    process::run(rustdoc.env(STAND_IN, "1"))?;
    let file = root::target().join("doc").join(format!("{}.json", name.replace('-', "_")));
    let text = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
    let described: Value =
        serde_json::from_slice(&text).context("what rustdoc wrote is no JSON")?;
    let lines = items::lines(&described)?;
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_and_what_comes_is_counted() {
        assert_eq!(compare("a", "one\ntwo\n", "one\ntwo\n"), 0);
        assert_eq!(compare("a", "one\ntwo\n", "one\nthree\n"), 2);
        assert_eq!(compare("a", "", "one\n"), 1);
    }
}
