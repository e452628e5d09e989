//! The house rules of `docs/style.md` that a program can check.
//!
//! A rule is a function from the files of the checkout to findings. Rules know no file system: each is tested on a tree of
//! two or three made-up files, and `cargo test` runs all of them on the real tree.

mod arrows;
mod compatibility;
mod environment;
mod length;
mod links;
mod lock;
mod map;
mod modules;
mod names;
mod unsafety;
mod words;

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Result, bail};

use crate::root;

/// The text files of the checkout.
pub struct Tree {
    pub files: Vec<File>,
    /// Files that are no text.
    pub pictures: Vec<String>,
}

/// One text file; `path` is relative to the top of the checkout, with slashes.
pub struct File {
    pub path: String,
    pub text: String,
}

/// What a rule found.
pub struct Finding {
    pub path: String,
    /// 1-based; 0 speaks of the whole file.
    pub line: usize,
    pub message: String,
}

struct Rule {
    name: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

const RULES: &[Rule] = &[
    Rule { name: "every source file says what it is for", check: words::heads },
    Rule { name: "no machine's paths, no registry's hosts", check: words::forbidden },
    Rule { name: "plain text: no tabs, no trailing blanks, a final newline", check: words::plain },
    Rule { name: "names say something", check: names::check },
    Rule { name: "files and functions stay short", check: length::check },
    Rule { name: "dependencies point one way", check: arrows::check },
    Rule { name: "the core knows no machine", check: arrows::no_std },
    Rule { name: "packages come from one registry", check: lock::check },
    Rule { name: "unsafe only where it is declared", check: unsafety::check },
    Rule { name: "every source file is part of a crate", check: modules::check },
    Rule { name: "ARCHITECTURE.md names every crate and engine module", check: map::check },
    Rule { name: "docs/compatibility.md names every type and member", check: compatibility::check },
    Rule { name: "every variable of the environment is explained", check: environment::check },
    Rule { name: "links lead somewhere", check: links::check },
];

/// `cargo xtask tidy`.
///
/// # Errors
/// Some rule found something; everything found has been printed.
pub fn run(arguments: &[String]) -> Result<()> {
    if let Some(unknown) = arguments.first() {
        bail!("tidy takes no argument, and got {unknown}");
    }
    let tree = Tree::read(&root::path())?;
    let mut total = 0;
    for rule in RULES {
        let findings = (rule.check)(&tree);
        let state = if findings.is_empty() { "ok" } else { "NOT" };
        println!("{state:>4}  {}", rule.name);
        for finding in &findings {
            println!("      {finding}");
        }
        total += findings.len();
    }
    match total {
        0 => Ok(()),
        1 => bail!("one finding"),
        _ => bail!("{total} findings"),
    }
}

impl Tree {
    /// Reads every text file; of files that are no UTF-8 (pictures) only the names.
    ///
    /// # Errors
    /// The list of files could not be had.
    pub fn read(root: &Path) -> Result<Tree> {
        let mut tree = Tree { files: Vec::new(), pictures: Vec::new() };
        for path in root::files(root)? {
            let read = std::fs::read_to_string(root.join(&path));
            let path = path.to_string_lossy().into_owned();
            match read {
                Ok(text) => tree.files.push(File { path, text }),
                Err(error) if error.kind() == ErrorKind::InvalidData => tree.pictures.push(path),
                Err(_) => {}
            }
        }
        Ok(tree)
    }

    /// The file with this path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Rust source.
    pub fn sources(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Tree {
        let file =
            |(path, text): &(&str, &str)| File { path: path.to_string(), text: text.to_string() };
        Tree { files: files.iter().map(file).collect(), pictures: Vec::new() }
    }
}

impl File {
    /// A finding in this file.
    pub fn finding(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, message: message.into() }
    }

    /// Lines with their 1-based numbers.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.path, self.message),
            line => write!(formatter, "{}:{line}: {}", self.path, self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_keeps_the_house_rules() {
        let tree = Tree::read(&root::path()).unwrap();
        let found: Vec<String> = RULES
            .iter()
            .flat_map(|rule| (rule.check)(&tree))
            .map(|finding| finding.to_string())
            .collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
