//! What was promised stays: items that were ever listed under a version that programs may take for this one (0.1.4 for 0.1.0, 1.7 for 1.2)
//! are still there, and nothing came that breaks programs by being there.
//!
//! ```text
//!   docs/api/NAME.promised.txt   the version, and everything that was listed under it, traits of a type one by one
//!   docs/api/NAME.breaking.txt   items that went, changed or break since: the line of the item, and below it, indented, why
//! ```
//!
//! `cargo xtask generate` adds to the first what breaks nobody, and begins both anew when the version was raised.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::root;

/// What this version is.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a list keeps of what was promised; every exception is declared.
///
/// # Errors
/// Promises that are broken and not declared; declarations about nothing; promises of another version.
pub fn check(name: &str, now: &str) -> Result<()> {
    let promised = read(&promised_file(name))?;
    let declared = fs::read_to_string(breaking_file(name)).unwrap_or_default();
    let (version, before) = split(&promised)?;
    if series(version) != series(VERSION) {
        bail!("{name} is {VERSION}, its promises are of {version}: cargo xtask generate");
    }
    let broken = broken(&before, &exploded(now));
    let declared = declarations(&declared)?;
    let secret: Vec<_> = broken.difference(&declared).collect();
    if !secret.is_empty() {
        bail!(
            "programs for {name} {version} break by these items, which went, changed or came: {secret:#?}\n\
             declare each with the reason in docs/api/{name}.breaking.txt, or raise the version"
        );
    }
    let needless: Vec<_> = declared.difference(&broken).collect();
    if !needless.is_empty() {
        bail!("docs/api/{name}.breaking.txt declares what breaks nobody: {needless:#?}");
    }
    println!(
        "{name}: {} items promised since {version}, {} broken and declared",
        before.len(),
        broken.len()
    );
    Ok(())
}

/// Adds to the promises what came and breaks nobody; begins them anew for a version that may break.
///
/// # Errors
/// A file cannot be read or written.
pub fn renew(name: &str, now: &str) -> Result<()> {
    let file = promised_file(name);
    let now = exploded(now);
    let text = fs::read_to_string(&file).unwrap_or_default();
    let kept = split(&text).ok().filter(|(version, _)| series(version) == series(VERSION));
    let mut all = now.clone();
    if let Some((_, before)) = kept {
        let broken = broken(&before, &now);
        all.retain(|line| !broken.contains(line));
        all.extend(before);
    } else if breaking_file(name).exists() {
        fs::remove_file(breaking_file(name)).context("forgetting what was declared")?;
    }
    let lines: String = all.into_iter().map(|line| line + "\n").collect();
    fs::write(&file, format!("{VERSION}\n{lines}"))
        .with_context(|| format!("writing {}", file.display()))
}

fn promised_file(name: &str) -> PathBuf {
    root::path().join(format!("docs/api/{name}.promised.txt"))
}

fn breaking_file(name: &str) -> PathBuf {
    root::path().join(format!("docs/api/{name}.breaking.txt"))
}

fn read(file: &PathBuf) -> Result<String> {
    fs::read_to_string(file)
        .with_context(|| format!("reading {} (cargo xtask generate makes it)", file.display()))
}

fn split(promised: &str) -> Result<(&str, BTreeSet<String>)> {
    let (version, lines) = promised.split_once('\n').context("no version")?;
    Ok((version, lines.lines().map(str::to_owned).collect()))
}

/// The part of a version that is raised by what breaks programs.
fn series(version: &str) -> (&str, &str) {
    let mut parts = version.split('.');
    match (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) {
        ("0", minor) => ("0", minor),
        (major, _) => (major, ""),
    }
}

/// The lines of a list, where a line about the traits of a type becomes one for each trait: one more breaks nobody.
fn exploded(list: &str) -> BTreeSet<String> {
    let each = |line: &str| -> Vec<String> {
        let traits = line.strip_prefix("impl ").and_then(|rest| rest.rsplit_once(" for "));
        let Some((traits, of)) = traits else { return vec![line.to_owned()] };
        apart(traits).into_iter().map(|one| format!("impl {one} for {of}")).collect()
    };
    list.lines().flat_map(each).collect()
}

/// Traits between commas; those within brackets are arguments of one.
fn apart(traits: &str) -> Vec<&str> {
    let (mut found, mut depth, mut begin) = (Vec::new(), 0_usize, 0);
    for (place, byte) in traits.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' | b')' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                found.extend(traits.get(begin..place));
                begin = place + 1;
            }
            _ => {}
        }
    }
    found.extend(traits.get(begin..));
    found.into_iter().map(str::trim).collect()
}

/// Items of which programs notice that they went or changed, or that they came.
fn broken(before: &BTreeSet<String>, now: &BTreeSet<String>) -> BTreeSet<String> {
    let gone = before.difference(now).cloned();
    let came = now.difference(before).filter(|line| breaks_by_coming(before, line)).cloned();
    gone.chain(came).collect()
}

/// Whether programs that were right without an item are wrong with it: those that match all variants, write down all members, or
/// implement a trait.
fn breaks_by_coming(before: &BTreeSet<String>, line: &str) -> bool {
    let Some((word, rest)) = line.split_once(' ') else { return false };
    let Some((parent, _)) = path(rest).rsplit_once("::") else { return false };
    let was = |word: &str| {
        before.iter().find(|line| {
            let rest = line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
            rest.and_then(|rest| rest.strip_prefix(parent)).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with([' ', '<', ':']) && !rest.starts_with("::")
            })
        })
    };
    match word {
        "variant" => was("enum").is_some(),
        "field" => {
            was("struct").is_some_and(|line| !line.contains("{ .. }")) || was("variant").is_some()
        }
        "fn" | "type" | "const" => was("trait").is_some(),
        _ => false,
    }
}

/// The path that an item's line begins with, behind its first word.
fn path(rest: &str) -> &str {
    let bytes = rest.as_bytes();
    let mut end = 0;
    while let Some(byte) = bytes.get(end) {
        let next = bytes.get(end + 1);
        match byte {
            b':' if next == Some(&b':') => end += 2,
            b'(' | b'<' | b' ' | b':' => break,
            _ => end += 1,
        }
    }
    rest.get(..end).unwrap_or(rest)
}

/// The items that are declared.
fn declarations(text: &str) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let mut has_reason = false;
        while lines.next_if(|next| next.starts_with(' ')).is_some() {
            has_reason = true;
        }
        if line.starts_with(' ') || !has_reason {
            bail!("a declaration is an item and, indented below it, the reason: {line:?}");
        }
        found.insert(line.to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "enum a::Kind\nvariant a::Kind::One\n#[non_exhaustive] enum a::Open\nstruct a::Plain\n\
                        field a::Plain::x: u8\nstruct a::Closed { .. }\ntrait a::Way: Send\nfn a::Way::go(&self)\n\
                        fn a::make() -> u8\nimpl Clone, From<(u8, u8)> for a::Plain\n";

    fn of(list: &str) -> BTreeSet<String> {
        broken(&exploded(LIST), &exploded(list))
    }

    #[test]
    fn what_goes_or_changes_breaks() {
        assert!(of(LIST).is_empty());
        let changed = of(&LIST.replace("-> u8", "-> u16"));
        assert_eq!(changed, BTreeSet::from(["fn a::make() -> u8".to_owned()]));
        let gone = of(&LIST.replace("Clone, ", ""));
        assert_eq!(gone, BTreeSet::from(["impl Clone for a::Plain".to_owned()]));
    }

    #[test]
    fn what_comes_breaks_those_alone_who_had_to_know_everything() {
        for harmless in [
            "variant a::Open::One",
            "field a::Closed::x: u8",
            "fn a::Plain::new() -> Self",
            "fn a::other()",
            "struct a::New",
            "field a::New::x: u8",
            "impl Debug for a::Plain",
        ] {
            assert!(of(&format!("{LIST}{harmless}\n")).is_empty(), "{harmless}");
        }
        for breaking in [
            "variant a::Kind::Two",
            "field a::Kind::One::0: u8",
            "field a::Plain::y: u8",
            "fn a::Way::back(&self)",
            "type a::Way::Answer: Send",
        ] {
            let found = of(&format!("{LIST}{breaking}\n"));
            assert_eq!(found, BTreeSet::from([breaking.to_owned()]));
        }
    }

    #[test]
    fn a_version_may_break_when_its_first_number_that_is_not_zero_is_raised() {
        assert_eq!(series("0.1.0"), series("0.1.9"));
        assert_ne!(series("0.1.0"), series("0.2.0"));
        assert_eq!(series("1.2.3"), series("1.9.0"));
        assert_ne!(series("1.2.3"), series("2.0.0"));
    }

    #[test]
    fn a_declaration_says_why() {
        let declared =
            declarations("fn a::make() -> u8\n  nobody had it\n\nenum a::Kind\n  gone\n");
        let expected = ["fn a::make() -> u8", "enum a::Kind"].map(str::to_owned);
        assert_eq!(declared.unwrap(), BTreeSet::from(expected));
        assert!(declarations("fn a::make() -> u8\n").is_err());
        assert!(declarations("  why\n").is_err());
    }

    /// Held without rustdoc, too: whoever commits a list without its promises hears of it in the tests.
    #[test]
    fn the_committed_list_keeps_what_was_promised() {
        let list = fs::read_to_string(super::super::committed("hostcompute")).unwrap();
        check("hostcompute", &list).unwrap();
    }
}
