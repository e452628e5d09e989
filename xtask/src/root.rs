//! Where the checkout is, and what is in it according to git.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// Tells a copy of this program, run by an ordinary user, where examples and documents are.
pub const TOP: &str = "XTASK_TOP";

/// The top of the checkout: the folder above this package's manifest.
pub fn path() -> PathBuf {
    if let Some(top) = std::env::var_os(TOP) {
        return PathBuf::from(top);
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Every file that is committed or would be: tracked, plus untracked and not ignored.
///
/// # Errors
/// Git is missing, or this is no checkout.
pub fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let listing = process::output(&mut git).context("listing the files of the checkout")?;
    let mut files: Vec<PathBuf> =
        listing.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    files.sort();
    files.dedup();
    files.retain(|file| root.join(file).is_file());
    Ok(files)
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| path().join("target"), PathBuf::from)
}
