//! Rust's standard library for Windows, from the sources that Debian packages: built once for each version, without a network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{TARGET, debian};
use crate::process;

/// A package that needs the standard library and nothing else.
const MANIFEST: &str = r#"cargo-features = ["profile-rustflags"]

[package]
name = "nothing"
version = "0.0.0"
edition = "2021"

[profile.release]
opt-level = 2
debug = false
codegen-units = 4

[profile.release.package.panic_abort]
rustflags = ["-Cpanic=abort"]

[workspace]
"#;

/// Debian's version, such as `1.96.0`.
///
/// # Errors
/// There is none.
pub fn version() -> Result<String> {
    let told = process::output(debian("rustc").arg("--version"))
        .context("asking Debian's Rust (package rustc-web)")?;
    told.split(' ').nth(1).map(str::to_owned).context("rustc tells no version")
}

/// Builds it for a target, unless it was built. For [`TARGET`] it can be linked, for others only be checked against.
///
/// # Errors
/// The sources are not there, or do not build.
pub fn provide(sysroot: &Path, target: &str) -> Result<()> {
    let libraries = sysroot.join("lib/rustlib").join(target).join("lib");
    if libraries.is_dir() {
        return Ok(());
    }
    let version = version()?;
    let sources = PathBuf::from(format!("/usr/src/rustc-{version}/library"));
    if !sources.is_dir() {
        bail!("{} is not there: the package rust-web-src has another version", sources.display());
    }
    println!("building Rust's standard library {version} for {target}, once");
    let build = sysroot.join("build");
    fs::create_dir_all(build.join("src")).context("making a folder for the build")?;
    fs::write(build.join("Cargo.toml"), MANIFEST).context("writing a manifest")?;
    fs::write(build.join("src/lib.rs"), "#![no_std]\n").context("writing a source")?;
    let (verb, parts, wanted) = match target {
        TARGET => ("build", "std,panic_abort,panic_unwind,proc_macro,test", ".rlib"),
        _ => ("check", "std,panic_unwind,proc_macro", ".rmeta"),
    };
    let mut cargo = debian("cargo");
    cargo.current_dir(&build).args([verb, "--quiet", "--release", "--offline"]);
    cargo.arg(format!("-Zbuild-std={parts}"));
    cargo.args(["--target", target, "--config", "source.crates-io.replace-with='vendored'"]);
    cargo.arg("--config");
    cargo.arg(format!("source.vendored.directory='{}'", sources.join("vendor").display()));
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", build.join("target"));
    cargo.env("RUSTFLAGS", "-Cembed-bitcode=no -Zforce-unstable-if-unmarked");
    process::run(&mut cargo)?;
    // Whole or not at all: the folder is what says that it was built.
    let fresh = sysroot.join("fresh");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).context("making the folder of libraries")?;
    let made = build.join("target").join(target).join("release/deps");
    for entry in fs::read_dir(&made).with_context(|| format!("reading {}", made.display()))? {
        let file = entry.context("reading the folder of what was built")?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(wanted) && !name.starts_with("libnothing-") {
            fs::copy(&file, fresh.join(&name)).with_context(|| format!("copying {name}"))?;
        }
    }
    if let Some(parent) = libraries.parent() {
        fs::create_dir_all(parent).context("making the sysroot")?;
    }
    fs::rename(&fresh, &libraries).context("putting the libraries in their place")?;
    fs::remove_dir_all(&build).context("removing the build")
}
