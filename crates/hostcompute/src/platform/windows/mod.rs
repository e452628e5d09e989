//! Windows: the service is the system's own, so directories only say where files of ours would be; streams are handles.

#[cfg(socket)]
pub mod pipe;

use std::env;
use std::os::windows::io::OwnedHandle;
use std::path::PathBuf;

use super::Directories;

/// One end of a process's stream.
pub type StreamEnd = OwnedHandle;

/// Whom the system's service serves is its own decision: nobody has another one.
pub fn is_administrator() -> bool {
    true
}

/// Below the folder for data of all users.
pub fn system_directories() -> Directories {
    let folder = env::var_os("ProgramData").map_or_else(env::temp_dir, PathBuf::from);
    let folder = folder.join("hostcompute");
    Directories { state: folder.join("state"), runtime: folder.join("run") }
}

/// The same: see [`is_administrator`].
pub fn user_directories() -> Directories {
    system_directories()
}
