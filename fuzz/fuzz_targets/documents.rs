//! Target `documents` for cargo-fuzz; what it checks is in `src/targets/documents.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    hostcompute_fuzz::targets::documents::run(data);
});
