//! Random histories of two systems, three clients and two services on one machine, against a reference model (`model.rs`): the code of
//! every call, what every client sees after every step, and every event, once and in order. Faults are ordered, workers die, clients and
//! services go and come.
//!
//! Deterministic: the seed is fixed, printed with every failure, and set by HOSTCOMPUTE_SEED; HOSTCOMPUTE_CASES sets how many
//! histories run.

mod command;
mod model;
mod world;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use world::World;

const CASES: u32 = 400;
const LONGEST: usize = 50;

#[test]
fn histories_end_as_the_rules_say() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("HOSTCOMPUTE_SEED").unwrap_or(1);
    let cases = number("HOSTCOMPUTE_CASES").and_then(|cases| u32::try_from(cases).ok());
    let config = Config {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&command::history(LONGEST), |history| {
        let mut world = World::new();
        for command in &history {
            let step = world.step(command).and_then(|()| world.compare());
            step.map_err(|why| TestCaseError::fail(format!("{why}\nafter {command:?}")))?;
        }
        world.end().map_err(TestCaseError::fail)
    });
    if let Err(failure) = outcome {
        panic!("HOSTCOMPUTE_SEED={seed}: {failure}");
    }
}
