//! Where `unsafe` may stand: in the system-call modules listed here, opted in by a reason, each use explained.
//!
//! The compiler denies it elsewhere (workspace lint); this rule keeps the list of exceptions in one place, so that a new one
//! is a visible change to this file.

use super::{File, Finding, Tree};

/// Files that may opt in.
const ALLOWED: &[&str] = &[
    "bench/src/namespace.rs",
    // Named pipes: the streams of processes, as Windows' own service hands them out.
    "crates/hostcompute/src/platform/windows/pipe.rs",
    "crates/hostcompute/tests/windows/probe.rs",
    // The libraries of Windows: shapes of functions, memory that they hand out, handles, callbacks.
    "crates/hostcompute/src/transport/windows/boundary/adapters.rs",
    "crates/hostcompute/src/transport/windows/boundary/callback.rs",
    "crates/hostcompute/src/transport/windows/boundary/hcn.rs",
    "crates/hostcompute/src/transport/windows/boundary/hcs.rs",
    "crates/hostcompute/src/transport/windows/boundary/hns.rs",
    "crates/hostcompute/src/transport/windows/boundary/layer.rs",
    "crates/hostcompute/src/transport/windows/boundary/library.rs",
    "crates/hostcompute/src/transport/windows/boundary/memory.rs",
    "crates/hostcompute-ffi/src/boundary/callback.rs",
    "crates/hostcompute-ffi/src/boundary/options.rs",
    "crates/hostcompute-ffi/src/boundary/out.rs",
    "crates/hostcompute-ffi/src/boundary/text.rs",
    "crates/hostcompute-ffi/src/boundary/unix/descriptor.rs",
    "crates/hostcompute-ffi/src/boundary/unix/memory.rs",
    "crates/hostcompute-ffi/src/boundary/windows/layer.rs",
    "crates/hostcompute-ffi/src/boundary/windows/memory.rs",
    "crates/hostcompute-ffi/src/boundary/windows/module.rs",
    "crates/hostcompute-ffi/src/boundary/windows/path.rs",
    "crates/hostcompute-linux/examples/attach_cost.rs",
    "crates/hostcompute-linux/src/activation.rs",
    "crates/hostcompute-linux/src/peer.rs",
    "crates/hostcompute-linux/src/program.rs",
    "crates/hostcompute-linux/src/sys.rs",
    "crates/hostcompute-linux/tests/lab/mod.rs",
    // fork, signalfd, close_range, mount_setattr, seccomp: rustix has no safe form of them.
    "crates/hostcompute-supervisor/src/sys.rs",
];

/// Lines above a use in which its justification must stand.
const REACH: usize = 6;

/// Uses outside the list, opt-ins without a reason, uses without a justification.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.sources() {
        let lines: Vec<&str> = file.text.lines().collect();
        let uses: Vec<usize> =
            (0..lines.len()).filter(|index| is_use(lines.get(*index).copied())).collect();
        let Some(first) = uses.first() else { continue };
        if !ALLOWED.iter().any(|allowed| file.path == **allowed) {
            found.push(file.finding(first + 1, "`unsafe` outside the modules that xtask lists"));
        } else if !opted_in(tree, file) {
            let message = "`unsafe` without `expect(unsafe_code, reason = ...)` in the file";
            found.push(file.finding(first + 1, message));
        }
        for index in uses {
            let above = lines.get(index.saturating_sub(REACH)..=index).unwrap_or_default();
            if !above.iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety")) {
                found.push(file.finding(index + 1, "`unsafe` without a SAFETY comment above it"));
            }
        }
    }
    found
}

fn is_use(line: Option<&str>) -> bool {
    let Some(line) = line else { return false };
    let code = line.split("//").next().unwrap_or_default();
    // Written in halves, so that this file has no use of its own.
    let word = concat!("un", "safe ");
    ["{", "fn ", "impl ", "extern "]
        .iter()
        .any(|follower| code.contains(&format!("{word}{follower}")) && !code.contains('"'))
}

/// The file opts in itself, or the `mod` line of the module above does so for it.
fn opted_in(tree: &Tree, file: &File) -> bool {
    if file.text.contains("expect(unsafe_code, reason")
        || file.text.contains("expect(\n    unsafe_code")
    {
        return true;
    }
    let Some((folder, name)) = file.path.rsplit_once('/') else { return false };
    let declaration = format!("mod {};", name.trim_end_matches(".rs"));
    ["mod.rs", "lib.rs", "main.rs"]
        .iter()
        .filter_map(|parent| tree.file(&format!("{folder}/{parent}")))
        .any(|parent| {
            let text = &parent.text;
            text.find(&declaration).is_some_and(|place| {
                let above = text.get(..place).unwrap_or_default();
                above.rsplit(';').next().is_some_and(|since| since.contains("expect(unsafe_code"))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_reason_and_justification_are_asked_for() {
        let block = format!("fn f() {{\n    {}{{ g() }}\n}}\n", concat!("un", "safe "));
        let good = format!(
            "#![expect(unsafe_code, reason = \"calls the kernel\")]\n// SAFETY: g has no conditions.\n{block}"
        );
        let tree = Tree::of(&[
            ("crates/hc/src/main.rs", &good),
            ("crates/hostcompute-linux/src/sys.rs", &block),
            ("bench/src/namespace.rs", &good),
        ]);
        let found: Vec<String> = check(&tree).into_iter().map(|finding| finding.path).collect();
        let a = "crates/hostcompute-linux/src/sys.rs";
        assert_eq!(found, ["crates/hc/src/main.rs", a, a]);
    }
}
