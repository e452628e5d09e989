//! Names that say nothing end up holding everything: they are refused for files, folders and crates.

use super::{Finding, Tree};

const EMPTY: &[&str] = &[
    "util", "utils", "common", "base", "helper", "helpers", "manager", "managers", "types", "misc",
    "shared", "stuff", "core", "lib2", "new", "old",
];

/// Folders and files below a crate, and the crates themselves.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.sources() {
        let stem = file.path.trim_end_matches(".rs");
        for part in stem.split('/') {
            let last = part.rsplit(['-', '_']).next().unwrap_or(part);
            if EMPTY.contains(&part) || EMPTY.contains(&last) {
                found.push(
                    file.finding(0, format!("the name `{part}` does not say what is inside")),
                );
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_found_in_files_folders_and_crates() {
        let tree = Tree::of(&[
            ("crates/hostcompute-utils/src/lib.rs", ""),
            ("crates/hc/src/helpers/mod.rs", ""),
            ("crates/hc/src/topology.rs", ""),
        ]);
        assert_eq!(check(&tree).len(), 2);
    }
}
