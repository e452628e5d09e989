//! Licences of everything we link: each package offers one that `deny.toml` allows.
//!
//! `cargo-deny` reads the same file and knows more (advisories); building it takes longer than our whole check may, so CI asks
//! this one question itself.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Outcome, counts::Counts};
use crate::{process, root};

/// Compares the licence of each package of the workspace's graph with the list.
///
/// # Errors
/// A package offers no licence of the list.
pub fn check(_: &mut Counts) -> Result<Outcome> {
    let policy =
        std::fs::read_to_string(root::path().join("deny.toml")).context("reading deny.toml")?;
    let allowed = allowed(&policy);
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root::path()).args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--all-features",
    ]);
    let graph: Value = serde_json::from_str(&process::output(&mut cargo)?)?;
    let packages =
        graph.get("packages").and_then(Value::as_array).context("no packages in the graph")?;
    let mut wrong = Vec::new();
    let mut tally = BTreeMap::new();
    for package in packages {
        let text = |member: &str| package.get(member).and_then(Value::as_str).unwrap_or_default();
        let licence = text("license");
        *tally.entry(licence.to_owned()).or_insert(0_usize) += 1;
        if !satisfied(licence, &allowed) {
            wrong.push(format!("{} {}: {licence:?}", text("name"), text("version")));
        }
    }
    println!(
        "{} packages, {} different licence lines, all allowed by deny.toml",
        packages.len(),
        tally.len()
    );
    if !wrong.is_empty() {
        bail!("licences that deny.toml does not allow:\n  {}", wrong.join("\n  "));
    }
    Ok(Outcome::Passed)
}

/// The quoted words of the list `allow` in the section `[licenses]`.
fn allowed(policy: &str) -> Vec<String> {
    let section = policy.split("[licenses]").nth(1).unwrap_or_default();
    let list = section
        .split("allow = [")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .unwrap_or_default();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met by the allowed licences: any side of an OR, both sides of an AND.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    // The old spelling `MIT/Apache-2.0` means OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed) && rest.is_empty()
}

fn either(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = both(words, allowed);
    while let [first, rest @ ..] = *words {
        if *first != "OR" {
            break;
        }
        *words = rest;
        // Both sides are read to the end, whatever the first one says.
        met |= both(words, allowed);
    }
    met
}

fn both(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while let [first, rest @ ..] = *words {
        if *first != "AND" {
            break;
        }
        *words = rest;
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &[String]) -> bool {
    let [first, rest @ ..] = *words else { return false };
    *words = rest;
    if *first == "(" {
        let met = either(words, allowed);
        let [")", rest @ ..] = *words else { return false };
        *words = rest;
        return met;
    }
    match *words {
        ["WITH", exception, rest @ ..] => {
            let whole = format!("{first} WITH {exception}");
            *words = rest;
            allowed.contains(&whole)
        }
        _ => allowed.iter().any(|licence| licence == first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_or_not() {
        let policy = "[licenses]\n# why\nallow = [\n  \"MIT\",\n  \"Unicode-3.0\",\n]\n[bans]\n";
        let allowed = allowed(policy);
        assert_eq!(allowed, ["MIT", "Unicode-3.0"]);
        for fine in
            ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0"]
        {
            assert!(satisfied(fine, &allowed), "{fine}");
        }
        for wrong in ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH something", "(MIT", "MIT )"] {
            assert!(!satisfied(wrong, &allowed), "{wrong}");
        }
    }
}
