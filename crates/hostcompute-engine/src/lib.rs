//! What the documents mean: state and request in; new state, plan, events and reply out. No I/O.
//!
//! `#![no_std]` makes that a compile error rather than a promise: no files, sockets, clock, environment or threads here.
//!
//! ```text
//!   Request ──decide──► changes ──► State (apply)          what is remembered
//!                          └──► facts before/after ──► plan (difference)   what the host must do
//! ```
//! Start reading at [`decide()`], then [`plan`], then one object under [`network`].
#![no_std]

extern crate alloc;

pub mod apply;
pub mod check;
pub mod compute;
mod decide;
pub mod host;
pub mod mac;
pub mod network;
pub mod object;
pub mod plan;
pub mod query;
pub mod request;
pub mod restart;
#[cfg(feature = "sim")]
pub mod sim;
pub mod state;
pub mod trace;

pub use check::Broken;
pub use decide::{decide, look};
pub use object::{Change, Kind, Object, Record};
pub use request::{Context, Decision, Event, EventKind, Reply, Request, Seen};
pub use restart::{after_reboot, reconcile};
pub use state::State;
