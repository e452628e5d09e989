//! Runs a test on many drawn histories, the same ones every time.
//!
//! HOSTCOMPUTE_SEED sets the seed, which is printed with every failure; HOSTCOMPUTE_CASES sets how many histories run.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// Runs `test` on `cases` histories, or as many as the environment says, and tells how many that were; the failure names the seed and
/// the shortest history that fails.
pub fn run<S: Strategy>(
    histories: &S,
    cases: u32,
    test: impl Fn(S::Value) -> Result<(), String>,
) -> u32 {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("HOSTCOMPUTE_SEED").unwrap_or(1);
    let said = number("HOSTCOMPUTE_CASES").and_then(|cases| u32::try_from(cases).ok());
    let cases = said.unwrap_or(cases);
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(histories, |history| test(history).map_err(TestCaseError::fail));
    if let Err(failure) = outcome {
        panic!("HOSTCOMPUTE_SEED={seed}: {failure}");
    }
    cases
}
