//! Cargo.lock: every package comes from the one public registry, with a checksum.

use super::{Finding, Tree};

/// The name by which cargo calls the public registry in lock files, wherever it is mirrored.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Sources of all lock files.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with("Cargo.lock")) {
        for (number, line) in file.lines() {
            let Some(source) = line.strip_prefix("source = ") else { continue };
            if source.trim_matches('"') != REGISTRY {
                found.push(file.finding(number, format!("a package from elsewhere: {source}")));
            } else if !file
                .text
                .lines()
                .nth(number)
                .is_some_and(|next| next.starts_with("checksum"))
            {
                found.push(file.finding(number, "a package without a checksum"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_sources_and_missing_checksums_are_found() {
        let text = format!(
            "source = \"{REGISTRY}\"\nchecksum = \"00\"\nsource = \"{REGISTRY}\"\n\nsource = \"git+x\"\n"
        );
        let found = check(&Tree::of(&[("Cargo.lock", &text)]));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [3, 5]);
    }
}
