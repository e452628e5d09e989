//! What differs between the systems that programs run on, under the same names: where a user's things are, what a stream ends in. How
//! each reaches a service is a transport, not a matter of this module.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::path::PathBuf;

#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;

/// Where a service keeps its things.
#[derive(Debug)]
pub struct Directories {
    pub state: PathBuf,
    pub runtime: PathBuf,
}
