//! Compute systems: `hc system`, `hc run`, `hc exec`, `hc ps`, `hc logs`.
//!
//! `verbs` is what can be done to a system, `run` starts commands, `document` makes documents of what was typed, `relay` carries what
//! a command reads and writes, `terminal` is this command's own terminal.

pub mod arguments;
mod document;
mod relay;
mod run;
mod terminal;
mod verbs;

pub use run::{exec, failed, run};
pub use verbs::{list, logs, system};
