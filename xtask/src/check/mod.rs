//! `cargo xtask test`: everything CI checks, in order, each section with its heading and its time.
//!
//! A section that fails does not stop the others: one run tells all there is to mend. A section that cannot run here says why;
//! where `CI` is set that counts as a failure, so that nothing is left out silently.

pub mod client;
mod counts;
pub mod documents;
mod guest;
pub mod library;
mod licences;
mod python;
mod schema;
mod sections;
pub mod snapshot;
mod windows;
pub mod wine;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
pub use counts::Counts;
use sections::SECTIONS;

use crate::packages;
pub use sections::cargo;

/// What a section has to say when nothing is wrong.
pub enum Outcome {
    Passed,
    /// Could not be checked here, and why.
    Skipped(String),
}

/// One group of checks.
pub struct Section {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&mut Counts) -> Result<Outcome>,
}

struct Line {
    name: &'static str,
    took: Duration,
    result: Result<Outcome>,
}

/// `cargo xtask test [--yes] [--list] [SECTION...]`.
///
/// # Errors
/// A section failed, or a name is not that of a section.
pub fn run(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| argument == "--list") {
        for section in SECTIONS {
            println!("{:<14} {}", section.name, section.about);
        }
        return Ok(());
    }
    let (yes, names): (Vec<String>, Vec<String>) =
        arguments.iter().cloned().partition(|argument| argument == "--yes");
    let chosen = choose(&names)?;
    snapshot::mark()?;
    packages::provide(packages::TEST, !yes.is_empty())?;
    let before = snapshot::take()?;
    let mut counts = Counts::default();
    let mut lines = Vec::new();
    for section in chosen {
        println!("\n== {} == {}", section.name, section.about);
        let start = Instant::now();
        let result = (section.run)(&mut counts);
        if let Err(error) = &result {
            println!("FAILED: {error:#}");
        }
        lines.push(Line { name: section.name, took: start.elapsed(), result });
    }
    println!("\n== host == links, routes, rules, nftables, sysctls, mounts and processes as found");
    let start = Instant::now();
    let result = snapshot::unchanged_since(&before);
    match &result {
        Ok(said) => println!("{said}"),
        Err(error) => println!("FAILED: {error:#}"),
    }
    let result = result.map(|_| Outcome::Passed);
    lines.push(Line { name: "host", took: start.elapsed(), result });
    summary(&lines, &counts)
}

fn choose(names: &[String]) -> Result<Vec<&'static Section>> {
    if names.is_empty() {
        return Ok(SECTIONS.iter().collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        match SECTIONS.iter().find(|section| section.name == name) {
            Some(section) => chosen.push(section),
            None => bail!("no section is called {name}; `cargo xtask test --list` names them"),
        }
    }
    Ok(chosen)
}

fn summary(lines: &[Line], counts: &Counts) -> Result<()> {
    let on_ci = std::env::var_os("CI").is_some();
    let mut failed = Vec::new();
    println!("\n== summary ==");
    for line in lines {
        let (state, note) = match &line.result {
            Ok(Outcome::Passed) => ("ok", String::new()),
            Ok(Outcome::Skipped(why)) if on_ci => ("MISSED", format!("  {why}")),
            Ok(Outcome::Skipped(why)) => ("skipped", format!("  {why}")),
            Err(error) => ("FAILED", format!("  {error:#}")),
        };
        if state == "FAILED" || state == "MISSED" {
            failed.push(line.name);
        }
        println!("{state:>8}  {:<14} {:>6.1} s{note}", line.name, line.took.as_secs_f32());
    }
    let total: Duration = lines.iter().map(|line| line.took).sum();
    println!("          {:<14} {:>6.1} s\n", "in all", total.as_secs_f32());
    if *counts != Counts::default() {
        println!("{counts}");
    }
    match failed.as_slice() {
        [] => Ok(()),
        names => bail!("not as it should be: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(result: Result<Outcome>) -> Line {
        Line { name: "some", took: Duration::ZERO, result }
    }

    #[test]
    fn one_failed_section_fails_the_whole() {
        let lines = [line(Ok(Outcome::Passed)), line(Err(anyhow::anyhow!("because")))];
        assert!(summary(&lines, &Counts::default()).unwrap_err().to_string().contains("some"));
        assert!(summary(&lines[..1], &Counts::default()).is_ok());
    }

    #[test]
    fn sections_are_chosen_by_name() {
        assert_eq!(choose(&["tidy".to_owned()]).unwrap().len(), 1);
        assert!(choose(&["tidiness".to_owned()]).is_err());
        assert_eq!(choose(&[]).unwrap().len(), SECTIONS.len());
    }
}
