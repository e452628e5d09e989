//! Rules about what is written: head comments, words that must not be committed, plain text.

use super::{Finding, Tree};

/// Text that names one machine or one registry's host. Written in halves, so that this file keeps its own rule.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("crates", ".io/api"), "a registry's host"),
    (concat!("index.crates", ".io"), "a registry's host"),
    (concat!("static.crates", ".io"), "a registry's host"),
    (concat!("pypi", ".org"), "a registry's host"),
    (concat!("pythonhosted", ".org"), "a registry's host"),
    (concat!("registry.npmjs", ".org"), "a registry's host"),
    (concat!("deb.debian", ".org"), "a registry's host"),
];

/// Unfinished work is an issue, not a line in the tree.
const UNFINISHED: &[&str] =
    &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("todo", "!(")];

/// Every Rust file opens with a comment that says what it is for.
pub fn heads(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.sources() {
        let first =
            file.text.lines().find(|line| !line.trim().is_empty() && *line != "#![no_main]");
        match first.and_then(|line| line.strip_prefix("//!")) {
            None => found.push(file.finding(1, "opens without a head comment (`//!`)")),
            Some(head) if head.trim().len() < 12 => {
                found.push(file.finding(1, "the head comment does not say what the file is for"));
            }
            Some(_) => {}
        }
    }
    found
}

/// Words that have no place in a public tree.
pub fn forbidden(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (number, line) in file.lines() {
            for (word, what) in FORBIDDEN.iter().filter(|(word, _)| line.contains(word)) {
                found.push(file.finding(number, format!("{what}: {word}")));
            }
            if let Some(word) = UNFINISHED.iter().find(|word| line.contains(**word)) {
                found.push(
                    file.finding(number, format!("unfinished work belongs in an issue: {word}")),
                );
            }
        }
    }
    found
}

/// Tabs, trailing blanks and missing final newlines make noise in every later change.
pub fn plain(tree: &Tree) -> Vec<Finding> {
    const KINDS: &[&str] =
        &[".rs", ".toml", ".md", ".json", ".svg", ".sh", ".ci/run", ".txt", ".yml"];
    let mut found = Vec::new();
    for file in &tree.files {
        // Seeds of the fuzzer are input, not prose: anything may be in them.
        if !KINDS.iter().any(|kind| file.path.ends_with(kind))
            || file.path.starts_with("fuzz/seeds/")
        {
            continue;
        }
        for (number, line) in file.lines() {
            if line.contains('\t') {
                found.push(file.finding(number, "a tab"));
            }
            if line.ends_with(' ') {
                found.push(file.finding(number, "blanks at the end of the line"));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            found.push(file.finding(0, "no newline at the end"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comment_must_be_there_and_say_something() {
        let tree = Tree::of(&[
            ("a.rs", "use std::fs;\n"),
            ("b.rs", "//! Stuff\n"),
            ("c.rs", "//! Reads the table of protocols.\n"),
        ]);
        let paths: Vec<_> = heads(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["a.rs", "b.rs"]);
    }

    #[test]
    fn machine_paths_and_registry_hosts_are_found_with_their_line() {
        let text = format!("ok\nsee {}\n", concat!("/wo", "rk/main"));
        let found = forbidden(&Tree::of(&[("notes.md", &text)]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 2);
    }

    #[test]
    fn noise_is_found() {
        let found = plain(&Tree::of(&[("a.md", "one \n\ttwo\nthree")]));
        assert_eq!(found.len(), 3);
    }
}
