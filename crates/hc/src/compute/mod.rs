//! Compute systems: `hc system`, `hc run`, `hc exec`, `hc ps`, `hc logs`.
//!
//! `verbs` is what can be done to a system, `run` starts commands, `document` makes documents of what was typed, of which `limits`,
//! `mapped` and `confinement` are parts, `image` gets an image, `relay` carries what
//! a command reads and writes, `terminal` is this command's own terminal.

pub mod arguments;
mod confinement;
mod document;
mod image;
mod limits;
mod mapped;
mod port;
mod relay;
mod run;
mod terminal;
mod verbs;

pub use image::bring;
pub use run::{exec, failed, run};
pub use verbs::{list, logs, system};
