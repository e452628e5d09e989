//! `cargo xtask deb`: the Debian package, put together by Debian's own `dpkg-deb`.
//!
//! ```text
//!   /usr/bin/hc  /usr/sbin/hostcomputed     the programs
//!   /lib/systemd/system/                     packaging/systemd
//!   /etc/hostcompute/hostcomputed.toml       every setting with its default, as the daemon prints it
//!   /usr/share/doc/hostcompute/              licences, README, examples
//!   /usr/lib/TRIPLET/libhostcompute.so.0     the C libraries, their names for linkers and files for pkg-config
//!   /usr/include/hostcompute/                their headers
//!   shell completions where each shell looks for them
//! ```
//!
//! `prove` installs it on a machine that it boots for the purpose.

mod prove;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::check::cargo;
use crate::library::{self, Place};
use crate::{process, root};
pub use prove::{check, inside};

/// Name of the package.
const PACKAGE: &str = "hostcompute";

/// The configuration file; an administrator's changes to it survive upgrades.
/// What the service manager is told.
const UNITS: [&str; 4] = [
    "hostcomputed.service",
    "hostcomputed.socket",
    "hostcompute-supervisor@.service",
    "hostcompute-supervisor.socket",
];

/// The program that keeps one compute system running.
const SUPERVISOR: &str = "hostcompute-supervisor";

/// Named, since what is built for the build itself (macros, scripts) cannot be static.
fn target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

const CONFIGURATION: &str = "etc/hostcompute/hostcomputed.toml";

/// How the programs in the package are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// For users.
    Release,
    /// For tests, which should not wait for an optimiser.
    Dev,
}

/// `cargo xtask deb [FOLDER]`: builds the package into the folder, `target/debian` when none is given.
///
/// # Errors
/// Something does not build, or dpkg-deb is missing.
pub fn run(arguments: &[String]) -> Result<()> {
    let folder = match arguments {
        [] => root::target().join("debian"),
        [folder] => PathBuf::from(folder),
        _ => bail!("one folder at most"),
    };
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let version = env!("CARGO_PKG_VERSION");
    let package = build(&folder, Profile::Release, version)?;
    println!("{}", package.display());
    Ok(())
}

/// Builds the package and says where it is.
fn build(folder: &Path, profile: Profile, version: &str) -> Result<PathBuf> {
    let programs = programs(profile)?;
    let tree = folder.join("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("emptying {}", tree.display()))?;
    }
    fill(&tree, &programs)?;
    fill_libraries(&tree, profile)?;
    control(&tree, version)?;
    let architecture = architecture()?;
    let package = folder.join(format!("{PACKAGE}_{version}_{architecture}.deb"));
    let mut dpkg = Command::new("dpkg-deb");
    // The default compression takes half a minute here for a few megabytes less.
    dpkg.args(["--build", "--root-owner-group", "-Zgzip", "-z6"]).arg(&tree).arg(&package);
    process::output(&mut dpkg)?;
    Ok(package)
}

/// Builds the programs; the folder that holds them.
fn programs(profile: Profile) -> Result<PathBuf> {
    let mut build = cargo(&["build", "--locked", "--package", "hc", "--package", "hostcomputed"]);
    let name = match profile {
        Profile::Release => {
            build.arg("--release");
            "release"
        }
        Profile::Dev => "debug",
    };
    process::run(&mut build)?;
    // Static: the same program is to run inside of guests, and nothing of it changes when the machine's libraries do.
    let mut supervisor = cargo(&["build", "--locked", "--package", SUPERVISOR]);
    supervisor.args(["--target", &target(), "--profile"]);
    supervisor.arg(if name == "release" { name } else { "dev" });
    supervisor.env("RUSTFLAGS", "-C target-feature=+crt-static");
    process::run(&mut supervisor)?;
    Ok(root::target().join(name))
}

/// Everything that the package installs.
fn fill(tree: &Path, programs: &Path) -> Result<()> {
    let top = root::path();
    install(&programs.join("hc"), &tree.join("usr/bin/hc"), 0o755)?;
    install(&programs.join("hostcomputed"), &tree.join("usr/sbin/hostcomputed"), 0o755)?;
    let name = programs.file_name().unwrap_or_default();
    let supervisor = root::target().join(target()).join(name).join(SUPERVISOR);
    let place = format!("usr/libexec/hostcompute/{SUPERVISOR}");
    install(&supervisor, &tree.join(&place), 0o755)?;
    for program in ["usr/bin/hc", "usr/sbin/hostcomputed", &place] {
        // What people debug with is in the release's own archive; here it would be nine tenths of the size.
        process::run(Command::new("strip").arg("--strip-unneeded").arg(tree.join(program)))?;
    }
    for unit in UNITS {
        let from = top.join("packaging/systemd").join(unit);
        install(&from, &tree.join("lib/systemd/system").join(unit), 0o644)?;
    }
    let documents = tree.join("usr/share/doc").join(PACKAGE);
    for file in ["README.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        install(&top.join(file), &documents.join(file), 0o644)?;
    }
    install(&top.join("packaging/debian/copyright"), &documents.join("copyright"), 0o644)?;
    for example in ["web.json", "network.py"] {
        let from = top.join("examples").join(example);
        install(&from, &documents.join("examples").join(example), 0o644)?;
    }
    let hc = tree.join("usr/bin/hc");
    for (shell, path) in [
        ("bash", "usr/share/bash-completion/completions/hc"),
        ("zsh", "usr/share/zsh/vendor-completions/_hc"),
        ("fish", "usr/share/fish/vendor_completions.d/hc.fish"),
    ] {
        let script = process::output(Command::new(&hc).args(["completions", shell]))?;
        write(&tree.join(path), &script, 0o644)?;
    }
    let daemon = tree.join("usr/sbin/hostcomputed");
    let settings = process::output(Command::new(daemon).arg("--print-config"))?;
    write(&tree.join(CONFIGURATION), &settings, 0o644)
}

/// The C libraries, where the loader looks by itself, and what it takes to compile against them.
fn fill_libraries(tree: &Path, profile: Profile) -> Result<()> {
    let libraries = format!("lib/{}", triplet());
    let place = Place { root: tree, prefix: Path::new("/usr"), libraries: &libraries };
    let profile = match profile {
        Profile::Release => library::Profile::Release,
        Profile::Dev => library::Profile::Development,
    };
    let library = library::lay_out(&place, profile)?;
    fs::set_permissions(&library, fs::Permissions::from_mode(0o644))
        .with_context(|| format!("making {} readable", library.display()))?;
    process::run(Command::new("strip").arg("--strip-unneeded").arg(library))?;
    // So that the loader's cache knows them.
    write(&tree.join("DEBIAN/triggers"), "activate-noawait ldconfig\n", 0o644)
}

/// The machine's name in Debian's folders of libraries: what gcc says of the two that we build for.
fn triplet() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

/// What dpkg reads about the package.
fn control(tree: &Path, version: &str) -> Result<()> {
    let folder = tree.join("DEBIAN");
    let scripts = root::path().join("packaging/debian");
    for script in ["postinst", "prerm", "postrm"] {
        install(&scripts.join(script), &folder.join(script), 0o755)?;
    }
    write(&folder.join("conffiles"), &format!("/{CONFIGURATION}\n"), 0o644)?;
    let fields = [
        ("Package", PACKAGE.to_owned()),
        ("Version", version.to_owned()),
        ("Architecture", architecture()?),
        ("Maintainer", format!("{} <hostcompute@invalid>", env!("CARGO_PKG_AUTHORS"))),
        ("Installed-Size", installed_size(tree)?.to_string()),
        ("Depends", format!("libc6 (>= {}), libgcc-s1, passwd", libc()?)),
        ("Recommends", "iproute2, nftables".to_owned()),
        ("Section", "admin".to_owned()),
        ("Priority", "optional".to_owned()),
        ("Description", description()),
    ];
    let text: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    write(&folder.join("control"), &text, 0o644)
}

fn description() -> String {
    let lines = [
        "host networks, endpoints, namespaces and load balancers by documents",
        " The documents of Windows' Host Compute Network service, made real on the",
        " Linux kernel: a service on a unix socket, and a command that speaks to it",
        " or works alone.",
    ];
    lines.join("\n")
}

/// The C library that the programs were linked with: they run with it and with later ones.
fn libc() -> Result<String> {
    let version =
        process::output(Command::new("dpkg-query").args(["-W", "-f=${Version}", "libc6"]))?;
    let upstream = version.split('-').next().unwrap_or_default();
    Ok(upstream.to_owned())
}

fn architecture() -> Result<String> {
    Ok(process::output(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned())
}

/// In KiB, as dpkg wants it.
fn installed_size(tree: &Path) -> Result<u64> {
    let listing = process::output(Command::new("du").args(["-sk", "--exclude=DEBIAN"]).arg(tree))?;
    let number = listing.split_whitespace().next().unwrap_or_default();
    number.parse().with_context(|| format!("reading what du says: {listing}"))
}

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    make_parent(to)?;
    fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    set_mode(to, mode)
}

fn write(to: &Path, text: &str, mode: u32) -> Result<()> {
    make_parent(to)?;
    fs::write(to, text).with_context(|| format!("writing {}", to.display()))?;
    set_mode(to, mode)
}

fn make_parent(file: &Path) -> Result<()> {
    let folder = file.parent().context("a file in the package has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
}

fn set_mode(file: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(file, fs::Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of {}", file.display()))
}
