//! Dependencies point one way, and each new one is a decision: the table below is the only place where it can be taken.
//!
//! ```text
//! schema <- engine <- {linux, service} <- hostcompute (feature `embedded`) <- {hc, hostcomputed, hostcompute-ffi}
//! ```

use super::{File, Finding, Tree};

/// Package, and everything its own code may depend on (our crates and others).
const ARROWS: &[(&str, &[&str])] = &[
    ("hostcompute-schema", &["serde", "serde_json"]),
    ("hostcompute-engine", &["hostcompute-schema", "ipnet", "serde_json", "sha2", "thiserror"]),
    (
        "hostcompute-linux",
        &[
            "hostcompute-engine",
            "hostcompute-schema",
            "hostcompute-supervisor",
            "ipnet",
            "libc",
            "rustix",
            "serde_json",
            "thiserror",
            "tracing",
        ],
    ),
    ("hostcompute-supervisor", &["hostcompute-storage", "libc", "rustix", "serde", "serde_json"]),
    (
        "hostcompute-service",
        &[
            "hostcompute-engine",
            "hostcompute-schema",
            "rusqlite",
            "serde_json",
            "thiserror",
            "tracing",
        ],
    ),
    (
        "hostcompute-storage",
        &[
            "flate2",
            "hostcompute-schema",
            "rustix",
            "rustls",
            "serde",
            "serde_json",
            "sha1",
            "sha2",
            "ureq",
            "zstd",
        ],
    ),
    (
        "hostcompute",
        &[
            "futures-core",
            "hostcompute-engine",
            "hostcompute-linux",
            "hostcompute-schema",
            "hostcompute-service",
            "hostcompute-storage",
            "httparse",
            "rustix",
            "serde_json",
            "thiserror",
            "tokio",
        ],
    ),
    (
        "hostcompute-ffi",
        &[
            "hostcompute",
            "hostcompute-engine",
            "hostcompute-storage",
            "rustix",
            "serde_json",
            "sha1",
        ],
    ),
    (
        "hc",
        &[
            "anyhow",
            "clap",
            "clap_complete",
            "comfy-table",
            "hostcompute",
            "hostcompute-schema",
            "rustix",
            "serde_json",
        ],
    ),
    (
        "hostcomputed",
        &[
            "anyhow",
            "axum",
            "clap",
            "form_urlencoded",
            "hostcompute",
            "hostcompute-engine",
            "hostcompute-linux",
            "hostcompute-schema",
            "hostcompute-service",
            "hyper",
            "hyper-util",
            "rustix",
            "serde_json",
            "tokio",
            "toml",
            "tracing",
            "tracing-subscriber",
        ],
    ),
    ("xtask", &["anyhow", "serde_json"]),
];

/// Tools for tests: any crate may use them there.
const TEST_TOOLS: &[&str] = &[
    "anyhow",
    "expect-test",
    "ipnet",
    "netlink-packet-core",
    "netlink-packet-route",
    "proptest",
    "serde_json",
    "shuttle",
];

/// Crates whose point is to see everything (measurements, fuzzing), or that depend on nothing of ours (others' clients).
const OBSERVERS: &[&str] = &["hostcompute-bench", "hostcompute-fuzz", "windows-clients"];

/// Crates that must compile without the standard library.
const NO_STD: &[&str] = &["crates/hostcompute-engine/src/lib.rs"];

/// Dependencies that the tables above do not allow.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let manifests = tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    for file in manifests {
        let Some(package) = package(file) else { continue };
        if OBSERVERS.contains(&package) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package) else {
            found.push(file.finding(0, format!("xtask's table of arrows does not know {package}")));
            continue;
        };
        for (line, table, name) in dependencies(file) {
            let in_tests = table.ends_with("dev-dependencies");
            let fine = allowed.contains(&name)
                || in_tests && (TEST_TOOLS.contains(&name) || is_below(package, name));
            if !fine {
                found.push(
                    file.finding(line, format!("{package} may not depend on {name} ({table})")),
                );
            }
        }
    }
    found
}

/// Tests may also use what the package could reach anyway, and the package itself with other features.
fn is_below(package: &str, name: &str) -> bool {
    let direct = ARROWS.iter().find(|(owner, _)| *owner == package);
    package == name
        || direct.is_some_and(|(_, allowed)| allowed.iter().any(|next| is_below(next, name)))
}

/// "No I/O" is a compile error only while this attribute stands.
pub fn no_std(tree: &Tree) -> Vec<Finding> {
    NO_STD
        .iter()
        .filter_map(|path| tree.file(path))
        .filter(|file| !file.lines().any(|(_, line)| line == "#![no_std]"))
        .map(|file| file.finding(0, "must be `#![no_std]`"))
        .collect()
}

fn package(file: &File) -> Option<&str> {
    let (_, section) = file.text.split_once("[package]")?;
    let name = section.lines().find_map(|line| line.strip_prefix("name = "))?;
    Some(name.trim_matches('"'))
}

/// Line, table and name of each dependency.
fn dependencies(file: &File) -> Vec<(usize, &str, &str)> {
    let mut found = Vec::new();
    let mut table = "";
    for (number, line) in file.lines() {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_end_matches(']');
            if let Some((head, name)) = table.split_once("dependencies.") {
                found.push((
                    number,
                    if head.ends_with("dev-") { "dev-dependencies" } else { "dependencies" },
                    name,
                ));
            }
        } else if table.ends_with("dependencies") {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            if !name.is_empty() && name.starts_with(|first: char| first.is_ascii_lowercase()) {
                found.push((number, table, name));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(dependencies: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"hostcompute-engine\"\n{dependencies}");
        let tree = Tree::of(&[("crates/hostcompute-engine/Cargo.toml", &text)]);
        check(&tree).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn allowed_arrows_pass_and_others_do_not() {
        assert!(engine("[dependencies]\nipnet.workspace = true\n").is_empty());
        assert!(
            engine("[dev-dependencies]\nproptest.workspace = true\nserde = \"1\"\n").is_empty()
        );
        assert_eq!(engine("[dependencies]\nrustix.workspace = true\n").len(), 1);
        assert_eq!(engine("[dependencies.tokio]\nversion = \"1\"\n").len(), 1);
        assert_eq!(engine("[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n").len(), 1);
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_found() {
        let tree = Tree::of(&[("crates/extra/Cargo.toml", "[package]\nname = \"extra\"\n")]);
        assert_eq!(check(&tree).len(), 1);
    }

    #[test]
    fn the_engine_must_be_no_std() {
        let path = "crates/hostcompute-engine/src/lib.rs";
        assert_eq!(no_std(&Tree::of(&[(path, "//! Text.\n")])).len(), 1);
        assert!(no_std(&Tree::of(&[(path, "//! Text.\n#![no_std]\n")])).is_empty());
    }
}
