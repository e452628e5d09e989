//! Target `compute` for cargo-fuzz; what it checks is in `src/targets/compute.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    hostcompute_fuzz::targets::compute::run(data);
});
