//! What we need from Debian, found by the programs that are missing; named, and installed when that is wanted.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// A program, the package that has it, and what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    program: &'static str,
    package: &'static str,
    reason: &'static str,
}

const IP: Need =
    Need { program: "ip", package: "iproute2", reason: "the outside, and what was there before" };
const UNSHARE: Need = Need { program: "unshare", package: "util-linux", reason: "sandboxes" };

const BUSYBOX: Need =
    Need { program: "busybox", package: "busybox-static", reason: "a container's programs" };

/// For the demo.
pub const DEMO: &[Need] = &[IP, UNSHARE, BUSYBOX];

/// For everything that CI checks: foreign tools that read what we made, and send packets through it.
pub const TEST: &[Need] = &[
    IP,
    UNSHARE,
    Need { program: "git", package: "git", reason: "the list of our files" },
    Need { program: "nft", package: "nftables", reason: "reads our table" },
    Need { program: "ping", package: "iputils-ping", reason: "packets of another's making" },
    Need { program: "sysctl", package: "procps", reason: "somebody else's hand on settings" },
    Need { program: "kill", package: "procps", reason: "ends programs of other users" },
    Need {
        program: "curl",
        package: "curl",
        reason: "README's example, the service's description",
    },
    Need { program: "systemd-nspawn", package: "systemd-container", reason: "boots a machine" },
    Need { program: "dbus-daemon", package: "dbus", reason: "what a booted machine talks by" },
    Need { program: "setpriv", package: "util-linux", reason: "other users" },
    Need { program: "pkill", package: "procps", reason: "ends programs by name" },
    Need { program: "python3", package: "python3", reason: "README's example, OpenAPI tools" },
    Need { program: "openssl", package: "openssl", reason: "certificates of a test's own" },
    Need { program: "skopeo", package: "skopeo", reason: "another's images" },
    Need { program: "umoci", package: "umoci", reason: "another's way to unpack them" },
    BUSYBOX,
    Need { program: "crun", package: "crun", reason: "containers of another runtime's making" },
];

/// For the console.
pub const CONSOLE: &[Need] = &[
    IP,
    UNSHARE,
    Need { program: "chromium", package: "chromium", reason: "shows the console's page" },
    Need { program: "fc-list", package: "fontconfig", reason: "finds the page's letters" },
];

/// For the guest.
pub const GUEST: &[Need] = &[
    Need { program: "qemu-system-x86_64", package: "qemu-system-x86", reason: "a machine" },
    Need { program: "cpio", package: "cpio", reason: "the files of a machine" },
    Need { program: "xz", package: "xz-utils", reason: "unpacks a kernel's modules" },
    Need { program: "strip", package: "binutils", reason: "makes test programs small" },
    BUSYBOX,
];

/// For the C libraries.
pub const LIBRARY: &[Need] = &[
    UNSHARE,
    Need { program: "gcc", package: "gcc", reason: "compiles C programs" },
    Need { program: "g++", package: "g++", reason: "compiles C++ programs" },
    Need { program: "nm", package: "binutils", reason: "reads what a library exports" },
    Need { program: "pkg-config", package: "pkg-config", reason: "tells how to use a library" },
    Need { program: "valgrind", package: "valgrind", reason: "watches what programs do to memory" },
    Need { program: "python3", package: "python3", reason: "calls the library, too" },
];

/// For programs for Windows.
pub const WINDOWS: &[Need] = &[
    UNSHARE,
    Need { program: "/usr/lib/wine/wine64", package: "wine64", reason: "runs them" },
    Need {
        program: "x86_64-w64-mingw32-gcc",
        package: "gcc-mingw-w64-x86-64-win32",
        reason: "compiles and links them",
    },
    Need { program: "/usr/bin/rustc", package: "rustc-web", reason: "compiles them" },
    Need { program: "/usr/bin/cargo", package: "cargo-web", reason: "builds them" },
    Need { program: "/usr/bin/cargo-clippy", package: "rust-web-clippy", reason: "looks at them" },
    Need {
        program: "/usr/share/doc/rust-web-src/copyright",
        package: "rust-web-src",
        reason: "Rust's standard library, to be built for Windows",
    },
];

/// The module that makes Python environments, which Debian packages on its own.
const VENV: Need =
    Need { program: "python3 -m venv", package: "python3-venv", reason: "OpenAPI tools" };

/// Names what is missing; installs it as root or where `yes` was said.
///
/// # Errors
/// Something is missing and may not or cannot be installed.
pub fn provide(needs: &[Need], yes: bool) -> Result<()> {
    let mut missing: Vec<Need> =
        needs.iter().filter(|need| !process::exists(need.program)).copied().collect();
    let python = needs.iter().any(|need| need.program == "python3");
    if python && !has_venv() {
        missing.push(VENV);
    }
    if missing.is_empty() {
        return Ok(());
    }
    println!("Missing Debian packages:");
    for Need { program, package, reason } in &missing {
        println!("  {package:<14} {program}: {reason}");
    }
    let names: BTreeSet<&str> = missing.iter().map(|need| need.package).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(" ");
    let line = format!("apt-get install --yes --no-install-recommends {names}");
    if !process::exists("apt-get") {
        bail!("this is no Debian; install what has the same programs");
    }
    if process::is_root() {
        install("sh", &["-c", &format!("apt-get update -q && {line}")])
    } else if yes {
        install("sudo", &["sh", "-c", &format!("apt-get update -q && {line}")])
    } else {
        bail!("install them with: sudo {line}\nor let me, with the argument --yes");
    }
}

fn has_venv() -> bool {
    process::output(Command::new("python3").args(["-c", "import ensurepip"])).is_ok()
}

fn install(program: &str, arguments: &[&str]) -> Result<()> {
    process::run(Command::new(program).args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}
