//! Windows, and Wine: memory of COM's task allocator, and handles of the kernel.

mod descriptor;
#[expect(unsafe_code, reason = "allocates what programs free")]
mod memory;
#[expect(unsafe_code, reason = "asks the loader")]
mod module;

pub use descriptor::Descriptor;
pub use memory::{Block, allocate};
pub use module::stay;
