//! The libraries that programs for Windows load: one with all functions, `hostcompute.dll`, and four by the names of Windows that lead to
//! it. They are four because vmcompute.dll and computecore.dll have functions of equal names with other arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{GCC, TARGET, Tools, home};
use crate::{library, process};

/// The library with the functions.
const CORE: &str = "hostcompute";

/// The libraries by the names of Windows.
pub const NAMES: [&str; 4] = ["computenetwork", "computecore", "computestorage", "vmcompute"];

/// What stands before functions of vmcompute.dll in the library with all functions.
const OLDER: &str = "Vm";

/// `cargo xtask windows-libraries FOLDER`: the libraries as they are installed, below drive C's system32 or beside a program.
///
/// # Errors
/// They do not build, or the folder cannot be written.
pub fn run(arguments: &[String]) -> Result<()> {
    let [folder] = arguments else {
        bail!("windows-libraries takes one argument, the folder to put them into")
    };
    let folder = std::path::absolute(folder).context("finding the folder")?;
    make(&Tools::provide()?, &folder, Profile::Release)?;
    println!("put into {}", folder.display());
    Ok(())
}

/// How they are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Development,
    Release,
}

/// Builds them; answers the functions of each.
///
/// # Errors
/// They do not build, or the folder cannot be written.
pub fn make(
    tools: &Tools,
    folder: &Path,
    profile: Profile,
) -> Result<BTreeMap<&'static str, BTreeSet<String>>> {
    let mut build = tools.cargo(&["build", "--package", "hostcompute-ffi", "--locked"]);
    let place = match profile {
        Profile::Development => "debug",
        Profile::Release => {
            // The standard library was built without what this takes.
            build.arg("--release").env("CARGO_PROFILE_RELEASE_LTO", "off");
            "release"
        }
    };
    process::run(&mut build)?;
    fs::create_dir_all(folder).context("making the folder of libraries")?;
    let core = folder.join(format!("{CORE}.dll"));
    let built = home().join("build").join(TARGET).join(place).join("hostcompute_ffi.dll");
    fs::copy(&built, &core).with_context(|| format!("copying {}", built.display()))?;
    let mut functions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for name in exported(&core)? {
        let (library, own) = place_of(&name)?;
        functions.entry(library).or_default().insert(own.to_owned());
    }
    for (library, names) in &functions {
        forward(folder, library, names)?;
    }
    Ok(functions)
}

/// The functions that a library has for others.
fn exported(library: &Path) -> Result<Vec<String>> {
    let mut objdump = Command::new("x86_64-w64-mingw32-objdump");
    let told = process::output(objdump.arg("-p").arg(library))?;
    let table = told.split_once("[Ordinal/Name Pointer] Table").map_or("", |(_, table)| table);
    let lines = table.lines().skip(1).take_while(|line| line.trim_start().starts_with('['));
    Ok(lines.filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect())
}

/// The library that has a function, and the function's name there.
fn place_of(name: &str) -> Result<(&'static str, &str)> {
    if let Some(older) = name.strip_prefix(OLDER) {
        return Ok(("vmcompute", older));
    }
    let storage = library::source().join("include/computestorage.h");
    let storage = fs::read_to_string(&storage).context("reading computestorage.h")?;
    let library = match name {
        "HNSCall" => "vmcompute",
        name if name.starts_with("Hcn") => "computenetwork",
        name if storage.contains(&format!(" {name}(")) => "computestorage",
        name if name.starts_with("Hcs") => "computecore",
        _ => bail!("{name} belongs to no library of Windows"),
    };
    Ok((library, name))
}

/// A library without code: each of its names leads to the one with the functions.
fn forward(folder: &Path, library: &str, names: &BTreeSet<String>) -> Result<()> {
    let mut definition = format!("LIBRARY {library}.dll\nEXPORTS\n");
    for name in names {
        let older = if library == "vmcompute" && name != "HNSCall" { OLDER } else { "" };
        definition.push_str(&format!("    {name} = {CORE}.{older}{name}\n"));
    }
    let file = folder.join(format!("{library}.def"));
    fs::write(&file, definition).with_context(|| format!("writing {}", file.display()))?;
    let mut gcc = Command::new(GCC);
    gcc.args(["-shared", "-nostdlib", "-s", "-Wl,--entry,0", "-o"]);
    process::run(gcc.arg(folder.join(format!("{library}.dll"))).arg(&file))?;
    fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))
}

/// Puts them where Windows looks for its libraries.
///
/// # Errors
/// The folder cannot be written.
pub fn install(tools: &Tools, folder: &Path) -> Result<()> {
    for name in NAMES.iter().chain(&[CORE]) {
        let file = format!("{name}.dll");
        let to: PathBuf = tools.system32().join(&file);
        fs::copy(folder.join(&file), &to).with_context(|| format!("copying {file}"))?;
    }
    Ok(())
}
