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
#[path = "../../../hostcompute-engine/tests/seeded/mod.rs"]
mod seeded;
mod service;
mod wished;
