//! Windows, and Wine: memory of COM's task allocator, and handles of the kernel.

mod descriptor;
#[expect(unsafe_code, reason = "reads structures of the program")]
mod layer;
#[expect(unsafe_code, reason = "allocates what programs free")]
mod memory;
#[expect(unsafe_code, reason = "asks the loader")]
mod module;
#[expect(unsafe_code, reason = "asks Wine")]
mod path;

pub use descriptor::Descriptor;
pub use layer::{DriverIn, Length, ParentsIn, Room};
pub use memory::{Block, allocate};
pub use module::stay;
pub use path::path_below;
