//! Target `netlink` for cargo-fuzz; what it checks is in `src/targets/netlink.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    hostcompute_fuzz::targets::netlink::run(data);
});
