//! Images: what is in one, what it wants to be run with, and what it is called.

pub(crate) mod document;
mod reference;

use std::path::PathBuf;

use hostcompute_schema::hcs::Layer;
use serde::{Deserialize, Serialize};

pub use document::{Execution, Platform};
pub use reference::Reference;

use crate::digest::Digest;

/// An image of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
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

impl Image {
    /// The document that commands print and the service answers with.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Its layers as the document of a container names them: `Container.Storage.Layers`.
    pub fn layer_documents(&self) -> Vec<Layer> {
        let document = |layer: &ImageLayer| Layer {
            id: Some(crate::layer::layer_id(&layer.path)),
            path: Some(layer.path.to_string_lossy().into_owned()),
            ..Layer::default()
        };
        self.layers.iter().map(document).collect()
    }
}
