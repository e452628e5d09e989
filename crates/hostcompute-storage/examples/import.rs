//! Imports an image and says how long it took: the yardstick beside `tar` and `sha256sum`.
//!
//! ```text
//! cargo run --release -p hostcompute-storage --example import -- STATE_DIR ARCHIVE
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use hostcompute_storage::{ImportOptions, Store, UNWATCHED};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(state), Some(archive)) = (words.next(), words.next()) else {
        return Err("two arguments: a state directory and an archive".into());
    };
    let begun = Instant::now();
    let imported = Store::open(&state)?.import(&archive, &ImportOptions::default(), UNWATCHED)?;
    let seconds = begun.elapsed().as_secs_f64();
    for image in imported.iter().map(|imported| &imported.image) {
        let megabytes = image.unpacked as f64 / 1e6;
        println!("{}: {} layers, {megabytes:.1} MB", image.id, image.layers.len());
    }
    println!("{seconds:.3} s");
    Ok(())
}
