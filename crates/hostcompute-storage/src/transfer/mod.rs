//! Images in and out: from directories, archives and registries into the store, and back.

mod archive;
mod export;
mod fetch;
mod import;
mod source;

pub use export::{ExportOptions, Form, Outer};
pub use import::{ImportOptions, Imported, archive_stem};

#[cfg(feature = "registry")]
pub(crate) use fetch::{Origin, Sink};
#[cfg(feature = "registry")]
pub(crate) use import::Parts;
#[cfg(feature = "registry")]
pub(crate) use source::{checked, choose, no_variant};
