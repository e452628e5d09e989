//! What a test shows, as far as reading it can tell: which members and kinds of policies stand in the documents that it sends or reads.
//!
//! Nothing of it is noted by hand, so it cannot rot: the text of the test is followed into the functions and constants of its package's
//! test files that it names, and what stands there in quotes is what it exercises. A test that no longer sends a member no longer shows
//! it. (That it asserts the right thing of it is for people to see; that it sends it is not.)

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// The packages whose tests send packets through the kernel.
const WITH_PACKETS: [&str; 4] = ["hostcompute-linux", "hostcompute", "hc", "hostcomputed"];

/// A function or constant of a test file.
#[derive(Debug)]
struct Item {
    package: String,
    /// Where a test of the same name may stand twice.
    file: PathBuf,
    text: String,
    is_test: bool,
}

/// All tests below `crates`.
#[derive(Debug, Default)]
pub struct Tests {
    items: BTreeMap<String, Vec<Item>>,
    /// The words in quotes that a test exercises.
    shown: RefCell<HashMap<String, BTreeSet<String>>>,
}

impl Tests {
    pub fn read(crates: &Path) -> Self {
        let mut tests = Self::default();
        for package in std::fs::read_dir(crates).unwrap() {
            let package = package.unwrap();
            for part in ["src", "tests"] {
                let name = package.file_name().into_string().unwrap();
                tests.walk(&package.path().join(part), &name);
            }
        }
        tests
    }

    fn walk(&mut self, directory: &Path, package: &str) {
        let Ok(entries) = std::fs::read_dir(directory) else { return };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                self.walk(&path, package);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                self.take(&path, package);
            }
        }
    }

    fn take(&mut self, file: &Path, package: &str) {
        let text = std::fs::read_to_string(file).unwrap();
        // Of sources, what follows this line is tests.
        let text = match file.components().any(|part| part.as_os_str() == "tests") {
            true => text.as_str(),
            false => match text.split_once("#[cfg(test)]") {
                Some((_, tests)) => tests,
                None if file.file_name().is_some_and(|name| name == "tests.rs") => text.as_str(),
                None => return,
            },
        };
        let lines: Vec<&str> = text.lines().collect();
        for (place, line) in lines.iter().enumerate() {
            let Some((name, ends)) = opening(line) else { continue };
            let indent = line.len() - line.trim_start().len();
            let closes = |line: &&&str| {
                line.len() - line.trim_start().len() == indent
                    && ends.iter().any(|end| line.trim_start().starts_with(end))
            };
            let one_line = line.ends_with(';') || line.ends_with('}');
            let length = lines[place + 1..].iter().position(|line| closes(&line));
            let length = if one_line { 0 } else { length.map_or(0, |length| length + 1) };
            let before = place.saturating_sub(3);
            self.items.entry(name).or_default().push(Item {
                package: package.to_owned(),
                file: file.to_owned(),
                text: lines[place..=place + length].join("\n"),
                is_test: lines[before..place].iter().any(|line| line.trim() == "#[test]"),
            });
        }
    }

    pub fn exists(&self, test: &str) -> bool {
        self.items.get(test).is_some_and(|items| items.iter().any(|item| item.is_test))
    }

    /// Whether packets go through the kernel in it.
    pub fn has_packets(&self, test: &str) -> bool {
        let of_kernel = |item: &Item| {
            item.is_test
                && WITH_PACKETS.contains(&item.package.as_str())
                && item.file.components().any(|part| part.as_os_str() == "tests")
        };
        self.items.get(test).is_some_and(|items| items.iter().any(of_kernel))
    }

    /// Whether a member, or a kind of policy, stands in the documents of a test.
    pub fn shows(&self, test: &str, word: &str) -> bool {
        let mut shown = self.shown.borrow_mut();
        let words = shown.entry(test.to_owned()).or_insert_with(|| self.words(test));
        words.contains(word)
    }

    fn words(&self, test: &str) -> BTreeSet<String> {
        let items = self.items.get(test).map(Vec::as_slice).unwrap_or_default();
        let mut next: Vec<&Item> = items.iter().filter(|item| item.is_test).collect();
        let mut seen: BTreeSet<*const Item> = BTreeSet::new();
        let mut words = BTreeSet::new();
        while let Some(item) = next.pop() {
            if !seen.insert(item) {
                continue;
            }
            // Also in texts within texts, where quotes are escaped.
            let quoted = item.text.split('"').skip(1).map(|part| part.trim_end_matches('\\'));
            words.extend(quoted.filter(|word| word.len() < 64).map(str::to_owned));
            for name in item.text.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
                let named = self.items.get(name).map(Vec::as_slice).unwrap_or_default();
                let reached = |other: &&Item| other.package == item.package && !other.is_test;
                next.extend(named.iter().filter(reached));
            }
        }
        words
    }
}

/// The name of a function or constant that begins in a line, and how its last line begins.
fn opening(line: &str) -> Option<(String, &'static [&'static str])> {
    let rest = line.trim_start();
    let rest = match rest.strip_prefix("pub") {
        Some(rest) => rest.trim_start_matches(|c: char| c != ' ').trim_start(),
        None => rest,
    };
    let (rest, ends): (&str, &[&str]) =
        match (rest.strip_prefix("fn "), rest.strip_prefix("const ")) {
            (Some(rest), _) => (rest, &["}"]),
            (_, Some(rest)) if !rest.starts_with("fn ") => (rest, &["]", ")", "}", "\"", ";"]),
            _ => return None,
        };
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some((name, ends))
}
