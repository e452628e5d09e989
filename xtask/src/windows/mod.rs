//! Programs for Windows on this machine: built by Debian's Rust and mingw-w64, run by Wine, without a screen.
//!
//! ```text
//!   TARGET/windows/sysroot-VERSION  Rust's standard library for x86_64-pc-windows-gnu, built once from Debian's sources
//!   TARGET/windows/prefix           Wine's drive C
//!   TARGET/windows/build            what cargo builds
//!   TARGET/windows/libraries        computenetwork.dll, computecore.dll, computestorage.dll, vmcompute.dll upon hostcompute.dll
//! ```

pub mod libraries;
mod prefix;
mod sysroot;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{packages, process, root};

/// The target that everything is built for.
pub const TARGET: &str = "x86_64-pc-windows-gnu";

/// Microsoft's toolchain: what is built with it can be checked here, and nobody links.
pub const MSVC: &str = "x86_64-pc-windows-msvc";

/// The C compiler.
pub const GCC: &str = "x86_64-w64-mingw32-gcc";

/// The package puts it on no search path.
const WINE: &str = "/usr/lib/wine/wine64";
const WINESERVER: &str = "/usr/lib/wine/wineserver64";

/// Everything that it takes, ready.
#[derive(Debug)]
pub struct Tools {
    sysroot: PathBuf,
    prefix: PathBuf,
}

/// The folder of all of it.
fn home() -> PathBuf {
    root::target().join("windows")
}

impl Tools {
    /// Installs what is missing, and makes what is made once.
    ///
    /// # Errors
    /// A package, the standard library or the prefix cannot be had.
    pub fn provide() -> Result<Self> {
        packages::provide(packages::WINDOWS, false)?;
        let tools = Self::ready()?;
        sysroot::provide(&tools.sysroot, TARGET)?;
        prefix::provide(&tools)?;
        Ok(tools)
    }

    /// The same, where they were provided by another process before.
    ///
    /// # Errors
    /// There is no Rust of Debian's.
    pub fn ready() -> Result<Self> {
        let sysroot = home().join(format!("sysroot-{}", sysroot::version()?));
        Ok(Self { sysroot, prefix: home().join("prefix") })
    }

    /// The same with a prefix of its own, for libraries that are nobody else's business.
    ///
    /// # Errors
    /// There is no room for a copy.
    pub fn apart(&self, name: &str) -> Result<Self> {
        let prefix = home().join(format!("prefix-{name}"));
        let _ = std::fs::remove_dir_all(&prefix);
        process::run(Command::new("cp").arg("--archive").args([&self.prefix, &prefix]))?;
        Ok(Self { sysroot: self.sysroot.clone(), prefix })
    }

    /// Debian's cargo, which builds for Windows; its tests run in Wine.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        self.building("cargo", TARGET, arguments)
    }

    /// Debian's clippy for Windows: by its own name, since cargo takes another toolchain's where there is one.
    pub fn clippy(&self, arguments: &[&str]) -> Command {
        self.building("cargo-clippy", TARGET, &[&["clippy"], arguments].concat())
    }

    /// `cargo check` for Microsoft's toolchain.
    ///
    /// # Errors
    /// The standard library for it cannot be had.
    pub fn check_for_msvc(&self, arguments: &[&str]) -> Result<Command> {
        sysroot::provide(&self.sysroot, MSVC)?;
        Ok(self.building("cargo", MSVC, &[&["check"], arguments].concat()))
    }

    /// `arguments` begin with the command.
    fn building(&self, program: &str, target: &str, arguments: &[&str]) -> Command {
        let (command, rest) = arguments.split_first().unwrap_or((&"help", &[]));
        let mut cargo = debian(program);
        cargo.current_dir(root::path()).args([*command, "--target", target]).args(rest);
        cargo.env("CARGO_TARGET_DIR", home().join("build"));
        let word = target.to_uppercase().replace('-', "_");
        let flags = format!("--sysroot {}", self.sysroot.display());
        cargo.env(format!("CARGO_TARGET_{word}_RUSTFLAGS"), flags);
        cargo.env(format!("CARGO_TARGET_{word}_LINKER"), GCC);
        cargo.env(format!("CARGO_TARGET_{word}_RUNNER"), WINE);
        self.in_wine(&mut cargo);
        cargo
    }

    /// Where cargo puts what it builds without further words.
    pub fn built(&self, file: &str) -> PathBuf {
        home().join("build").join(TARGET).join("debug").join(file)
    }

    /// A Windows program, in Wine.
    pub fn wine(&self, program: &Path) -> Command {
        let mut wine = Command::new(WINE);
        wine.arg(program);
        self.in_wine(&mut wine);
        wine
    }

    /// Ends everything that runs in the prefix, and waits until it has. Sockets belong to Wine's server, and so to the network namespace in
    /// which that was started: each sandbox needs its own.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn end(&self) -> Result<()> {
        for word in ["--kill", "--wait"] {
            let mut server = Command::new(WINESERVER);
            // Of a server that does not run it has nothing to say but a failure.
            let _ = process::output(self.in_wine(server.arg(word)));
        }
        Ok(())
    }

    /// The folder from which Windows loads its libraries.
    pub fn system32(&self) -> PathBuf {
        self.prefix.join("drive_c/windows/system32")
    }

    fn in_wine<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=;winemenubuilder.exe=d;winedbg.exe=d")
            .env_remove("DISPLAY")
    }
}

/// A path as programs in Wine name it: drive Z is the root.
pub fn drive_z(path: &Path) -> String {
    format!("Z:{}", path.display())
}

/// A program of Debian's Rust, apart from whatever toolchain runs us.
pub fn debian(program: &str) -> Command {
    let mut command = Command::new(format!("/usr/bin/{program}"));
    command.env("PATH", "/usr/bin:/bin").env("RUSTC", "/usr/bin/rustc");
    for variable in ["RUSTUP_TOOLCHAIN", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"] {
        command.env_remove(variable);
    }
    command.env("CARGO", "/usr/bin/cargo");
    command
}
