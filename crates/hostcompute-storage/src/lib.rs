//! Layers and images on Linux: a content-addressed store, trees of layers, and their merged view.
//!
//! [`overlay`] mounts layers and [`hold`] says which are in use; both are built without the feature `store`, for a supervisor that
//! needs nothing else. The crate is blocking, knows no daemon and no network (but for the feature `registry`), and executes nothing.

pub mod hold;
pub mod overlay;

#[cfg(feature = "store")]
mod beneath;
#[cfg(feature = "store")]
mod blocks;
#[cfg(feature = "store")]
mod compression;
#[cfg(feature = "store")]
mod digest;
#[cfg(feature = "store")]
mod error;
#[cfg(feature = "store")]
mod image;
#[cfg(feature = "store")]
pub mod layer;
#[cfg(feature = "store")]
mod limits;
#[cfg(feature = "store")]
mod pack;
#[cfg(feature = "registry")]
mod registry;
#[cfg(feature = "store")]
mod store;
#[cfg(feature = "store")]
mod tar;
#[cfg(feature = "store")]
mod transfer;
#[cfg(feature = "store")]
mod unpack;

#[cfg(feature = "store")]
pub use compression::Compression;
#[cfg(feature = "store")]
pub use digest::Digest;
#[cfg(feature = "store")]
pub use error::{Error, Kind, Result};
#[cfg(feature = "store")]
pub use image::{Execution, Image, ImageLayer, Platform, Reference};
#[cfg(feature = "store")]
pub use limits::{Event, Limits, UNWATCHED, Watch};
#[cfg(feature = "registry")]
pub use registry::RegistryOptions;
#[cfg(feature = "store")]
pub use store::{Collected, DIRECTORY, Store, StoredLayer};
#[cfg(feature = "store")]
pub use transfer::{ExportOptions, Form, ImportOptions, Imported, Outer, archive_stem};
#[cfg(feature = "store")]
pub use unpack::Lost;
