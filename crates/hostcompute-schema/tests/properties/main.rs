//! What holds for every document: printing loses nothing, and no input does harm.
//!
//! Cases are drawn from a fixed seed, so that a run today is the run of tomorrow.

mod compute;
mod harmless;
mod round_trip;
mod strategy;

use proptest::test_runner::{Config, RngSeed};

/// So many cases, always the same ones.
fn cases(cases: u32) -> Config {
    Config {
        cases,
        rng_seed: RngSeed::Fixed(0x0803_b001),
        failure_persistence: None,
        ..Config::default()
    }
}
