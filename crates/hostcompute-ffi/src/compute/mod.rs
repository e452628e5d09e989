//! libcomputecore: the functions of computecore.dll.
//!
//! Asynchronous calls are accepted at once and carried out by threads of the library: those on one handle one after the other
//! ([`lane`]). An operation tracks one of them at a time ([`operation`]).

mod events;
mod exports;
mod lane;
mod machine;
#[cfg(any(windows, test))]
mod older;
mod operation;
mod party;
mod process;
mod system;

#[cfg(windows)]
pub use events::Registered;
pub use operation::Operation;
pub use process::Process;
pub use system::System;
