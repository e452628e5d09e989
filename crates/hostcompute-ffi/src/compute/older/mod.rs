//! vmcompute.dll: the older functions of the compute service. They are carried out by the same code as those of computecore.dll, upon the
//! same handles; what differs is how results and ends are told.
//!
//! ```text
//!   answer    how calls answer, and failures are told
//!   exports   the names, as programs for Windows load them
//!   system    compute systems: calls return when they are done
//!   process   processes
//!   notify    callbacks: one function for all that happens, with numbers of its own
//!   document  documents of the first edition of the schema, as docker writes them
//! ```
//!
//! A call that changes a system answers "pending", and its end is told by a notification, as programs expect that were written for
//! Windows. Here it has ended by then: what is refused is refused at once, with words.

#[cfg(windows)]
mod answer;
mod document;
#[cfg(windows)]
mod exports;
#[cfg(windows)]
mod notify;
#[cfg(windows)]
mod process;
#[cfg(windows)]
mod system;

#[cfg(windows)]
pub use notify::Callbacks;
