//! Wine's prefix: a drive C with what Wine brings, one library that Wine 8 lacks, and the version of a Windows that has these services.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{GCC, Tools};
use crate::{process, root};

/// The key under which Windows keeps its version, and one for service packs, which this version has none of.
const VERSION: &str = r"HKLM\Software\Microsoft\Windows NT\CurrentVersion";
const SERVICE_PACK: &str = r"HKLM\System\CurrentControlSet\Control\Windows";

/// Windows Server 2022.
const VALUES: &[(&str, &str, &str, &str)] = &[
    (VERSION, "CurrentVersion", "REG_SZ", "10.0"),
    (VERSION, "CurrentMajorVersionNumber", "REG_DWORD", "10"),
    (VERSION, "CurrentMinorVersionNumber", "REG_DWORD", "0"),
    (VERSION, "CurrentBuildNumber", "REG_SZ", "20348"),
    (VERSION, "CurrentBuild", "REG_SZ", "20348"),
    (VERSION, "CSDVersion", "REG_SZ", ""),
    (VERSION, "ProductName", "REG_SZ", "Windows Server 2022"),
    (SERVICE_PACK, "CSDVersion", "REG_DWORD", "0"),
];

/// Makes it, unless it was made.
///
/// # Errors
/// Wine does not start, or the library does not compile.
pub fn provide(tools: &Tools) -> Result<()> {
    let mark = tools.prefix.join("made");
    if mark.is_file() {
        return Ok(());
    }
    println!("making a prefix for Wine, once");
    let _ = fs::remove_dir_all(&tools.prefix);
    fs::create_dir_all(&tools.prefix).context("making the prefix")?;
    process::output(tools.wine("wineboot".as_ref()).arg("--init"))?;
    for (key, name, kind, value) in VALUES {
        let mut reg = tools.wine("reg".as_ref());
        reg.args(["add", key, "/v", name, "/t", kind, "/d", value, "/f"]);
        process::output(&mut reg)?;
    }
    tools.end()?;
    let mut gcc = Command::new(GCC);
    gcc.args(["-O1", "-s", "-shared", "-o"]).arg(tools.system32().join("bcryptprimitives.dll"));
    gcc.arg(root::path().join("xtask/windows/bcryptprimitives.c")).arg("-ladvapi32");
    process::run(&mut gcc)?;
    fs::write(&mark, "").context("marking the prefix as made")
}
