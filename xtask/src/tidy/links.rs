//! Links between our own documents: the file exists, and the heading too. Links to the world are not followed.

use super::{File, Finding, Tree};

/// Every relative link of every Markdown file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, target) in targets(file) {
            if let Some(message) = broken(tree, &file.path, target) {
                found.push(file.finding(line, message));
            }
        }
    }
    found
}

/// `](target)` outside code blocks, and the targets of HTML pictures.
fn targets(file: &File) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut code = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        if code {
            continue;
        }
        for (opening, closing) in [("](", ')'), ("src=\"", '"')] {
            for piece in line.split(opening).skip(1) {
                if let Some((target, _)) = piece.split_once(closing) {
                    found.push((number, target));
                }
            }
        }
    }
    found
}

fn broken(tree: &Tree, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { from.to_owned() } else { beside(from, path) };
    let folder = format!("{}/", path.trim_end_matches('/'));
    match tree.file(&path) {
        None if tree.pictures.contains(&path) => None,
        None if tree.files.iter().any(|file| file.path.starts_with(&folder)) => None,
        None => Some(format!("leads nowhere: {target}")),
        Some(file) if heading.is_empty() || has_heading(file, heading) => None,
        Some(file) => Some(format!("{} has no heading #{heading}", file.path)),
    }
}

/// `path` as seen from the folder of `from`.
fn beside(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn has_heading(file: &File, wanted: &str) -> bool {
    file.lines().filter(|(_, line)| line.starts_with('#')).any(|(_, line)| anchor(line) == wanted)
}

/// The anchor that a heading gets: lower case, blanks as hyphens, punctuation dropped.
fn anchor(line: &str) -> String {
    let text = line.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter_map(|character| match character {
            ' ' => Some('-'),
            '-' | '_' => Some(character),
            character if character.is_alphanumeric() => Some(character),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_files_and_dead_headings_are_found_and_live_ones_are_not() {
        let text = "[a](docs/a.md) [b](docs/a.md#first-step) [c](docs/a.md#none) [d](gone.md)\n\
                    [e](https://example.org) [f](docs) [g](#top)\n# Top\n```\n[x](code.md)\n```\n";
        let tree =
            Tree::of(&[("README.md", text), ("docs/a.md", "## First step!\n[up](../README.md)\n")]);
        let found: Vec<String> = check(&tree).into_iter().map(|finding| finding.message).collect();
        assert_eq!(found, ["docs/a.md has no heading #none", "leads nowhere: gone.md"]);
    }
}
