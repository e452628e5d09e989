//! Files and functions that fit in a head: limits for each file, and for the tree as a whole.
//!
//! Relies on rustfmt: a function ends at the first line that is its closing brace at the function's own indentation.

use super::{File, Finding, Tree};

/// At 600 lines a file wants to be split; past this it must be.
const FILE_LIMIT: usize = 800;

/// Past this a function must be split, whatever the reason.
const FUNCTION_LIMIT: usize = 100;

/// 95 functions of 100 stay within one screen.
const SCREEN: usize = 60;

/// Lines of files and functions.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut lengths = Vec::new();
    for file in tree.sources() {
        let lines = file.text.lines().count();
        if lines > FILE_LIMIT {
            found.push(file.finding(0, format!("{lines} lines, {FILE_LIMIT} are allowed")));
        }
        for (line, length) in functions(file) {
            lengths.push(length);
            if length > FUNCTION_LIMIT {
                let message = format!("a function of {length} lines, {FUNCTION_LIMIT} are allowed");
                found.push(file.finding(line, message));
            }
        }
    }
    lengths.sort_unstable();
    let p95 = lengths.get(lengths.len() * 95 / 100).copied().unwrap_or(0);
    if p95 > SCREEN {
        found.push(Finding {
            path: "the whole tree".to_owned(),
            line: 0,
            message: format!(
                "one function of twenty has more than {p95} lines, {SCREEN} is a screen"
            ),
        });
    }
    found
}

/// First line and length of each function.
fn functions(file: &File) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    for (number, line) in file.lines() {
        let indent = line.len() - line.trim_start().len();
        if starts_function(line.trim_start()) {
            open.push((indent, number));
        }
        let body = line.trim_start();
        let one_line = starts_function(body) && body.ends_with(['}', ';']);
        // A declaration without a body may end on a line of its own: `) -> Result<(), Fault>;`
        let ends = one_line || body == "}" || body.starts_with(')') && body.ends_with(';');
        if let Some((_, start)) = open.pop_if(|(start, _)| ends && *start == indent) {
            found.push((start, number + 1 - start));
        }
    }
    found
}

fn starts_function(line: &str) -> bool {
    let mut rest = line;
    loop {
        let Some((word, tail)) = rest.split_once(' ') else { return false };
        match word {
            "fn" => return true,
            "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"" => rest = tail,
            _ if word.starts_with("pub(") => rest = tail,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_nested_ones_too() {
        let text = "fn outer() {\n    fn inner() -> u8 {\n        1\n    }\n    inner();\n}\npub(crate) fn one() {}\n";
        let tree = Tree::of(&[("a.rs", text)]);
        assert_eq!(functions(&tree.files[0]), [(2, 3), (1, 6), (7, 1)]);
    }

    #[test]
    fn long_files_and_long_functions_are_found() {
        let long = format!("fn long() {{\n{}}}\n", "    step();\n".repeat(FUNCTION_LIMIT));
        let tree = Tree::of(&[("a.rs", &long), ("b.rs", &"// line\n".repeat(FILE_LIMIT + 1))]);
        assert_eq!(check(&tree).len(), 3, "the file, the function, and the tree's 95th percentile");
    }
}
