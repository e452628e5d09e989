//! Which parts are built: features are wishes, and some can be granted on Linux only. `#[cfg(embedded)]` in the sources means "asked for,
//! and possible on this target", so that default features build everywhere.

use std::env;

/// Features whose code speaks to the kernel of Linux, in lower case as `cfg` has them.
const ON_LINUX: [&str; 3] = ["embedded", "images", "registry"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str| env::var_os("CARGO_CFG_TARGET_OS").is_some_and(|system| system == name);
    let is_linux = is("linux");
    // Windows tells its adapters, too, in the words of the engine, which comes with the feature.
    println!("cargo::rustc-check-cfg=cfg(adapters)");
    if (is_linux || is("windows")) && env::var_os("CARGO_FEATURE_EMBEDDED").is_some() {
        println!("cargo::rustc-cfg=adapters");
    }
    println!("cargo::rustc-check-cfg=cfg(socket)");
    if env::var_os("CARGO_FEATURE_SOCKET").is_some() {
        println!("cargo::rustc-cfg=socket");
    }
    for part in ON_LINUX {
        println!("cargo::rustc-check-cfg=cfg({part})");
        let variable = format!("CARGO_FEATURE_{}", part.to_uppercase());
        if is_linux && env::var_os(variable).is_some() {
            println!("cargo::rustc-cfg={part}");
        }
    }
}
