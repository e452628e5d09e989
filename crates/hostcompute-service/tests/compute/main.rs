//! Compute systems for many clients, on the model of a machine. Tests that stand in the acceptance list (hcs.md appendix C) begin with
//! their name there.

mod adoption;
mod events;
mod handles;
mod histories;
mod lab;
mod life;
mod modify;
mod networks;
mod processes;
mod service;
mod wished;
