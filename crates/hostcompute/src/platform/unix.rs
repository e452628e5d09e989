//! Linux: directories by the hierarchy of file systems and by XDG, streams are descriptors.

use std::env;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::Directories;

/// One end of a process's stream.
pub type StreamEnd = OwnedFd;

/// Whether this user may have the machine's own service inside the process.
pub fn is_administrator() -> bool {
    user_number() == 0
}

/// The machine's own service.
pub fn system_directories() -> Directories {
    Directories { state: "/var/lib/hostcompute".into(), runtime: "/run/hostcompute".into() }
}

/// The service of an ordinary user.
pub fn user_directories() -> Directories {
    let home = || env::var_os("HOME").map(PathBuf::from);
    let state = env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| home().map(|home| home.join(".local/state")));
    let runtime =
        env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    // Without a runtime directory (no login session) the temporary one serves, with the user's number in the name.
    let fallback = || env::temp_dir().join(format!("hostcompute-{}", user_number()));
    Directories {
        state: state.map_or_else(|| fallback().join("state"), |path| path.join("hostcompute")),
        runtime: runtime.map_or_else(|| fallback().join("run"), |path| path.join("hostcompute")),
    }
}

/// The effective user, as the owner of the process's own entry in /proc.
fn user_number() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |entry| entry.uid())
}
