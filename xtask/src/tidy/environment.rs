//! Every variable of the environment that the product reads is explained: in docs/platform.md where users meet it, in CONTRIBUTING.md
//! where only tests do.

use super::{Finding, Tree};

const EXPLAINED: [&str; 2] = ["docs/platform.md", "CONTRIBUTING.md"];

/// What the names of our own variables begin with, as a program writes them.
const OURS: &str = "\"HOSTCOMPUTE";

/// Variables that no document names.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let documents: Vec<&str> = EXPLAINED
        .iter()
        .filter_map(|path| tree.file(path))
        .map(|file| file.text.as_str())
        .collect();
    let mut found = Vec::new();
    for file in tree.sources().filter(|file| is_product(&file.path)) {
        for (number, line) in file.lines() {
            for name in variables(line) {
                let named = format!("`{name}`");
                if !documents.iter().any(|text| text.contains(&named)) {
                    let message = format!("{named} is in neither of {}", EXPLAINED.join(", "));
                    found.push(file.finding(number, message));
                }
            }
        }
    }
    found
}

fn is_product(path: &str) -> bool {
    path.starts_with("crates/") && path.contains("/src/")
}

/// The names of our variables that stand in a line as texts.
fn variables(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(OURS).filter_map(|(place, _)| {
        let (name, _) = line.get(place + 1..)?.split_once('"')?;
        name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_').then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_texts_of_capitals() {
        let line = r#"var("HOSTCOMPUTE_A").or(var("HOSTCOMPUTED_LOG")); "HOSTCOMPUTE says so""#;
        let found: Vec<&str> = variables(line).collect();
        assert_eq!(found, ["HOSTCOMPUTE_A", "HOSTCOMPUTED_LOG"]);
    }

    #[test]
    fn a_variable_that_nobody_explains_is_found() {
        let source = "var(\"HOSTCOMPUTE_A\");\nvar(\"HOSTCOMPUTE_B\");\n";
        let tree = Tree::of(&[
            ("crates/x/src/lib.rs", source),
            ("crates/x/tests/x.rs", "var(\"HOSTCOMPUTE_C\");\n"),
            ("docs/platform.md", "`HOSTCOMPUTE_A` is that\n"),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("HOSTCOMPUTE_B") && found[0].line == 2);
    }
}
