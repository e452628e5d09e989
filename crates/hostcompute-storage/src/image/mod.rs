//! Images: what is in one, what it wants to be run with, and what it is called.

pub(crate) mod document;
mod reference;

use std::path::PathBuf;

pub use document::{Execution, Platform};
pub use reference::Reference;

use crate::digest::Digest;

/// An image of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The digest of its configuration: what most tools call the image's id.
    pub id: Digest,
    /// The digest of its manifest: what a registry calls it.
    pub manifest: Digest,
    /// Its names, sorted; there may be none.
    pub names: Vec<String>,
    /// What it runs on.
    pub platform: Platform,
    /// When it was made, as it says itself.
    pub created: Option<String>,
    /// Bytes of its layers as they travel, compressed or not.
    pub size: u64,
    /// Bytes of its layers' files.
    pub unpacked: u64,
    /// Its layers, top first: the order of a container's document.
    pub layers: Vec<ImageLayer>,
    /// What it wants to be run with.
    pub execution: Execution,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLayer {
    /// The digest of its blob, as it travels.
    pub digest: Digest,
    /// The digest of its tar stream.
    pub diff_id: Digest,
    /// Bytes of its blob.
    pub size: u64,
    /// The directory that an overlay takes.
    pub path: PathBuf,
}
