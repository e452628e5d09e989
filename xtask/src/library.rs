//! The C libraries as they are installed: one shared object and its names, headers, files for pkg-config.
//!
//! ```text
//!   PREFIX/lib/libhostcompute.so.0                                          the library
//!   PREFIX/lib/lib{hostcompute,computenetwork,computecore,computestorage}.so  its names for linkers
//!   PREFIX/lib/pkgconfig/{computenetwork,computecore,computestorage}.pc
//!   PREFIX/include/hostcompute/*.h
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::check::cargo;
use crate::{process, root};

/// What programs that use it ask the loader for.
pub const SONAME: &str = "libhostcompute.so.0";

/// The libraries by the names of Windows.
pub const NAMES: &[&str] = &["computenetwork", "computecore", "computestorage"];

/// How it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Development,
    Release,
}

/// `cargo xtask library FOLDER`.
///
/// # Errors
/// It does not build, or the folder cannot be written.
pub fn run(arguments: &[String]) -> Result<()> {
    let [folder] = arguments else {
        bail!("library takes one argument, the folder to install below")
    };
    let folder = std::path::absolute(folder).context("finding the folder")?;
    install(&folder, Profile::Release)?;
    println!("installed below {}", folder.display());
    Ok(())
}

/// Builds the library and installs it below `prefix`; answers the library's file.
///
/// # Errors
/// It does not build, or the folder cannot be written.
pub fn install(prefix: &Path, profile: Profile) -> Result<PathBuf> {
    lay_out(&Place { root: Path::new("/"), prefix, libraries: "lib" }, profile)
}

/// Where things are put.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The tree that becomes a package; `/` for this machine.
    pub root: &'a Path,
    /// As programs will find it.
    pub prefix: &'a Path,
    /// The folder of libraries below the prefix.
    pub libraries: &'a str,
}

/// Builds the library and puts it with its names, headers and files for pkg-config where they belong; answers the library's file.
///
/// # Errors
/// It does not build, or a folder cannot be written.
pub fn lay_out(place: &Place<'_>, profile: Profile) -> Result<PathBuf> {
    let mut build = cargo(&["build", "--package", "hostcompute-ffi", "--lib", "--locked"]);
    let folder = match profile {
        Profile::Development => "debug",
        Profile::Release => {
            build.arg("--release");
            "release"
        }
    };
    process::run(&mut build)?;
    let built = root::target().join(folder).join("libhostcompute_ffi.so");
    let prefix = place.root.join(place.prefix.strip_prefix("/").unwrap_or(place.prefix));
    let libraries = prefix.join(place.libraries);
    let library = libraries.join(SONAME);
    fs::create_dir_all(libraries.join("pkgconfig")).context("making the folder of libraries")?;
    copy(&built, &library)?;
    for name in NAMES.iter().chain(&["hostcompute"]) {
        let link = libraries.join(format!("lib{name}.so"));
        if fs::symlink_metadata(&link).is_ok() {
            fs::remove_file(&link).with_context(|| format!("replacing {}", link.display()))?;
        }
        std::os::unix::fs::symlink(SONAME, &link)
            .with_context(|| format!("linking {}", link.display()))?;
    }
    let headers = prefix.join("include/hostcompute");
    fs::create_dir_all(&headers).context("making the folder of headers")?;
    for header in self::headers()? {
        copy(&header, &headers.join(header.file_name().unwrap_or_default()))?;
    }
    for name in NAMES {
        let template = source().join(format!("pkgconfig/{name}.pc.in"));
        let text = fs::read_to_string(&template)
            .with_context(|| format!("reading {}", template.display()))?;
        let text = text
            .replace("@prefix@", &place.prefix.to_string_lossy())
            .replace("@libdir@", place.libraries)
            .replace("@version@", env!("CARGO_PKG_VERSION"));
        let file = libraries.join(format!("pkgconfig/{name}.pc"));
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(library)
}

/// The headers of the checkout.
///
/// # Errors
/// The folder cannot be read.
pub fn headers() -> Result<Vec<PathBuf>> {
    let folder = source().join("include");
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        found.push(entry.context("reading the folder of headers")?.path());
    }
    found.sort();
    Ok(found)
}

/// The crate's folder.
pub fn source() -> PathBuf {
    root::path().join("crates/hostcompute-ffi")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    // A library that is in use keeps its old file.
    if to.exists() {
        fs::remove_file(to).with_context(|| format!("replacing {}", to.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}
