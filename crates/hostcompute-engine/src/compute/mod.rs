//! Compute systems: what their documents mean, which calls are legal when, and what is told of their end. No I/O.
//!
//! ```text
//!   document ──read──► Launch ──► Workers (Linux, or the model in `sim`) ──► Happening ──► state machine ──► events, exit documents
//! ```
//! Networks have one decider and a journal; compute systems have neither. A system's truth is its worker, which outlives whoever
//! asked for it; what is here is pure, and kept by `hostcompute-service` beside the handle to the worker. Comments that cite
//! `hcs.md` mean the project's reference of HCS's behaviour, kept beside the checkout (`../shared/reference/hcs.md`).

pub mod cpu_group;
pub mod document;
pub mod event;
pub mod exit;
pub mod facts;
pub mod failure;
pub mod launch;
pub mod operation;
pub mod process;
mod processor;
pub mod properties;
pub mod record;
pub mod service_properties;
#[cfg(feature = "sim")]
pub mod sim;
pub mod system;
pub mod terms;
pub mod verb;
pub mod worker;

pub use facts::{Cpu, Enforceable, HostFacts};
pub use launch::{
    ConsoleSize, DeviceNodes, Isolation, Launch, Limits, Mount, NetworkPlace, OnBehalf, Pipe,
    Place, ProcessLaunch, Quota, Root, Scratch, Signal, StandardStream,
};
pub use terms::Terms;
pub use worker::{
    Adopted, Cause, Created, Debt, End, Fault, Found, Happening, Leash, LogRequest, Phase,
    ProcessEntry, ProcessFound, ProcessStatus, Remains, Sink, Statistics, Stdio, Worker, Workers,
};
