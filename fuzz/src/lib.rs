//! What is fuzzed, and how inputs are made on the stable toolchain.
//!
//! A target takes bytes and panics when something that must hold does not. Two drivers feed it: cargo-fuzz, which is guided by
//! coverage and runs for hours, and `main.rs`, which makes a fixed number of inputs from seeds and a number, so that CI runs
//! the same ones everywhere.

pub mod machine;
pub mod mutate;
pub mod random;
pub mod sample;
pub mod seeds;
pub mod targets;
