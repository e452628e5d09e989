//! Orphans: a source file that no `mod` line names compiles nowhere and rots unseen.

use super::{Finding, Tree};

/// Every `.rs` file below a `src` folder is a root or is named by the module above it.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.sources() {
        let Some((package, inside)) = file.path.split_once("/src/") else { continue };
        if ["lib.rs", "main.rs"].contains(&inside) || inside.starts_with("bin/") {
            continue;
        }
        let stem = inside.trim_end_matches(".rs").trim_end_matches("/mod");
        let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
        let parents = match folder {
            "" => vec!["lib.rs".to_owned(), "main.rs".to_owned()],
            folder => vec![format!("{folder}.rs"), format!("{folder}/mod.rs")],
        };
        let declared = parents
            .iter()
            .filter_map(|parent| tree.file(&format!("{package}/src/{parent}")))
            .any(|parent| parent.lines().any(|(_, line)| declares(line, name)));
        if !declared {
            found.push(file.finding(0, format!("no `mod {name};` makes it part of its crate")));
        }
    }
    found
}

fn declares(line: &str, name: &str) -> bool {
    let line = line.trim();
    let Some(rest) = line.strip_suffix(';') else { return false };
    rest.strip_suffix(name).is_some_and(|head| head.ends_with("mod "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_mod_line_is_found() {
        let tree = Tree::of(&[
            ("crates/a/src/lib.rs", "pub mod one;\nmod folder;\n"),
            ("crates/a/src/one.rs", ""),
            ("crates/a/src/folder/mod.rs", "pub(crate) mod inner;\n"),
            ("crates/a/src/folder/inner.rs", ""),
            ("crates/a/src/folder/lost.rs", ""),
            ("crates/a/tests/kernel.rs", ""),
        ]);
        let paths: Vec<_> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["crates/a/src/folder/lost.rs"]);
    }
}
