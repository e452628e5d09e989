//! Linux: memory of the C library, and file descriptors.

#[expect(unsafe_code, reason = "looks at descriptors of the C program")]
mod descriptor;
#[expect(unsafe_code, reason = "allocates what C programs free")]
mod memory;

pub use descriptor::Descriptor;
pub use memory::{Block, allocate};

/// A shared object stays where it is: its linker has said so (`build.rs`).
pub fn stay() {}
