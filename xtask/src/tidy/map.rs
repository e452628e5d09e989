//! ARCHITECTURE.md is the map: it names every crate and every module of the engine, and stays short enough to be read.

use super::{Finding, Tree};

const MAP: &str = "ARCHITECTURE.md";

/// A map longer than this is not read.
const LIMIT: usize = 400;

/// Crates, engine modules and decisions that the map does not name; its length.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.file(MAP) else {
        return vec![Finding { path: MAP.to_owned(), line: 0, message: "is missing".to_owned() }];
    };
    let mut found = Vec::new();
    let lines = map.text.lines().count();
    if lines >= LIMIT {
        found.push(map.finding(0, format!("{lines} lines, fewer than {LIMIT} are allowed")));
    }
    for file in &tree.files {
        let Some(name) = landmark(&file.path) else { continue };
        if !map.text.contains(&format!("`{name}`"))
            && !map.text.contains(&format!("({})", file.path))
        {
            found.push(map.finding(0, format!("does not name `{name}` ({})", file.path)));
        }
    }
    found
}

/// The name that the map must have for this file, if it must have one.
fn landmark(path: &str) -> Option<&str> {
    if let Some(package) = path.strip_suffix("/Cargo.toml") {
        return package.rsplit('/').next();
    }
    if let Some(decision) = path.strip_prefix("docs/decisions/") {
        return decision.strip_suffix(".md").filter(|name| *name != "README");
    }
    let module = path.strip_prefix("crates/hostcompute-engine/src/")?.strip_suffix(".rs")?;
    let module = module.strip_suffix("/mod").unwrap_or(module);
    (module != "lib" && !module.contains('/')).then_some(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_map_must_name() {
        assert_eq!(landmark("crates/hostcompute-linux/Cargo.toml"), Some("hostcompute-linux"));
        assert_eq!(landmark("crates/hostcompute-engine/src/sim/mod.rs"), Some("sim"));
        assert_eq!(landmark("crates/hostcompute-engine/src/sim/fault.rs"), None);
        assert_eq!(landmark("crates/hostcompute-engine/src/lib.rs"), None);
        assert_eq!(landmark("docs/decisions/0001-routed-ports.md"), Some("0001-routed-ports"));
        assert_eq!(landmark("Cargo.toml"), None);
    }

    #[test]
    fn a_missing_landmark_is_found() {
        let tree = Tree::of(&[
            (MAP, "The crate `hc` is the program.\n"),
            ("crates/hc/Cargo.toml", ""),
            ("crates/hostcompute-engine/src/plan.rs", ""),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("`plan`"));
    }
}
