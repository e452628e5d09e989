//! Tells the linker what the shared library is called where it is installed, and that it stays once it is loaded.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_UNIX").is_none() {
        return;
    }
    // Programs that were linked with any of its three names ask for this one.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libhostcompute.so.0");
    // It has threads of its own: its code must not go away below them with dlclose.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
