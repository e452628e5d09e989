//! Target `decide` for cargo-fuzz; what it checks is in `src/targets/decide.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    hostcompute_fuzz::targets::decide::run(data);
});
