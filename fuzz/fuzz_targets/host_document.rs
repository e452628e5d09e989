//! Target `host_document` for cargo-fuzz; what it checks is in `src/targets/host_document.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    hostcompute_fuzz::targets::host_document::run(data);
});
