//! What the documents mean: state and request in; new state, plan, events and reply out. No I/O.
//!
//! `#![no_std]` makes that a compile error rather than a promise: no files, sockets, clock, environment or threads here.
#![no_std]

extern crate alloc;

pub mod host;
pub mod mac;
pub mod plan;
#[cfg(feature = "sim")]
pub mod sim;
