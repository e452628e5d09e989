//! What the tests of this crate share: a place of their own, tar streams made by hand, and namespaces to mount in.

#![allow(dead_code, clippy::unwrap_used)]

#[cfg(feature = "registry")]
pub mod certificates;
pub mod image;
#[cfg(feature = "registry")]
pub mod registry;
pub mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory that goes with the test.
pub struct Place(PathBuf);

impl Place {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hc-storage-{name}-{}", std::process::id()));
        remove(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Directories of a layer may forbid their own removal: the tool of the house for that is `chmod`.
fn remove(path: &Path) {
    if path.exists() {
        let _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(path).output();
        let _ = std::fs::remove_dir_all(path);
    }
}

/// One member, as the bytes of a header; everything that a hostile writer could write.
pub struct Member<'a> {
    pub name: &'a str,
    pub kind: u8,
    pub link: &'a str,
    pub data: &'a [u8],
    pub mode: u32,
}

impl<'a> Member<'a> {
    pub fn file(name: &'a str, data: &'a [u8]) -> Self {
        Self { name, kind: b'0', link: "", data, mode: 0o644 }
    }

    pub fn directory(name: &'a str) -> Self {
        Self { name, kind: b'5', link: "", data: b"", mode: 0o755 }
    }

    pub fn symlink(name: &'a str, link: &'a str) -> Self {
        Self { name, kind: b'2', link, data: b"", mode: 0o777 }
    }

    pub fn hard_link(name: &'a str, link: &'a str) -> Self {
        Self { name, kind: b'1', link, data: b"", mode: 0o644 }
    }

    pub fn pax(text: &'a [u8]) -> Self {
        Self { name: "pax", kind: b'x', link: "", data: text, mode: 0o644 }
    }
}

/// A tar stream of these members.
pub fn tar(members: &[Member<'_>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for member in members {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        put(0, member.name.as_bytes());
        put(100, format!("{:07o}", member.mode).as_bytes());
        put(108, b"0000000");
        put(116, b"0000000");
        put(124, format!("{:011o}", member.data.len()).as_bytes());
        put(136, b"00000001750");
        put(148, b"        ");
        put(156, &[member.kind]);
        put(157, member.link.as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        stream.extend(header);
        stream.extend(member.data);
        stream.resize(stream.len().next_multiple_of(512), 0);
    }
    stream.resize(stream.len() + 1024, 0);
    stream
}

/// Whether this process is the machine's root; where it must be, that it is not is an error.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_none(), "root is required");
        eprintln!("skipped: needs root");
    }
    root
}

/// Which namespaces a test needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// A mount namespace: needs root.
    Mount,
    /// A user namespace too, in which only the caller's own id exists.
    User,
}

const INNER: &str = "HOSTCOMPUTE_STORAGE_INNER";

/// Runs a test in namespaces of its own, by starting this program again in them; nothing that it mounts is seen outside.
pub fn inside(test: &str, kind: Inside, body: impl FnOnce()) {
    if std::env::var(INNER).is_ok_and(|inner| inner == test) {
        return body();
    }
    if kind == Inside::Mount && !is_root() {
        return;
    }
    let mut command = Command::new("unshare");
    if kind == Inside::User {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--propagation", "private"]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    command.env(INNER, test);
    let output = command.output().expect("unshare is installed (util-linux)");
    let text = String::from_utf8_lossy(&output.stderr);
    if kind == Inside::User
        && text.contains("unshare failed")
        && !rustix::process::geteuid().is_root()
    {
        eprintln!("skipped: users may not make namespaces here");
        return;
    }
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{text}");
    assert!(told.contains("1 passed"), "the test {test} did not run: {told}");
}
