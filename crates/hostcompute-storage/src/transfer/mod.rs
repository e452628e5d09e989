//! Images in and out: from directories, archives and registries into the store, and back.

mod archive;
mod export;
mod fetch;
mod import;
mod source;

pub use export::{ExportOptions, Form, Outer};
pub use import::{ImportOptions, Imported};
