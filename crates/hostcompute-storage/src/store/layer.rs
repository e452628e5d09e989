//! Layers: trees named by the digest of their tar stream, each made once.
//!
//! A tree that had to copy a directory's owner or permissions from the layers below fits upon those alone: its name is then followed
//! by what it stands on, `DIFFID-CHAINID`.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hostcompute_schema::Guid;
use serde::{Deserialize, Serialize};

use super::{Store, stage};
use crate::beneath;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::hold::{self, Hold};
use crate::image::Image;

/// What is known of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Bytes of its tar stream.
    pub stream: u64,
    /// Bytes of its files.
    pub bytes: u64,
    pub entries: u64,
    /// What could not be kept, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

/// Which tree is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub diff: Digest,
    /// What it is, with everything below.
    pub chain: Digest,
}

/// A tree in the making; nobody else makes the same.
#[derive(Debug)]
pub(crate) struct TreeMaker {
    staged: PathBuf,
    _hold: Hold,
}

impl TreeMaker {
    pub(crate) fn root(&self) -> Result<OwnedFd> {
        beneath::root(&self.staged).map_err(|error| Error::system("open", &self.staged, error))
    }
}

impl Store {
    pub(crate) fn layers_dir(&self) -> PathBuf {
        self.root.join(super::LAYERS)
    }

    /// The tree of a layer, if it is there.
    pub(crate) fn tree(&self, key: &Key) -> Option<PathBuf> {
        self.tree_names(key).into_iter().find(|path| path.is_dir())
    }

    fn tree_names(&self, key: &Key) -> [PathBuf; 2] {
        let layers = self.layers_dir();
        [
            layers.join(key.diff.hex()),
            layers.join(format!("{}-{}", key.diff.hex(), key.chain.hex())),
        ]
    }

    /// What is known of a tree.
    pub(crate) fn record(&self, tree: &Path) -> Result<Record> {
        let path = record_path(tree);
        let bytes = fs::read(&path).map_err(|error| Error::system("read", &path, error))?;
        crate::image::document::read(&path.display().to_string(), &bytes)
    }

    /// Begins a tree, in an empty directory; `None` when it is there already. Another maker of the same is waited for.
    pub(crate) fn tree_maker(&self, key: &Key) -> Result<Option<TreeMaker>> {
        let staged = self.staging().join(format!("layer-{}", key.diff.hex()));
        loop {
            if self.tree(key).is_some() {
                return Ok(None);
            }
            let Some(hold) = stage::claim_directory(&staged)? else { continue };
            if self.tree(key).is_some() {
                let _ = fs::remove_dir(&staged);
                return Ok(None);
            }
            empty(&staged)?;
            return Ok(Some(TreeMaker { staged, _hold: hold }));
        }
    }

    /// Gives a finished tree its name.
    pub(crate) fn keep_tree(
        &self,
        maker: &TreeMaker,
        key: &Key,
        is_bound_to_parents: bool,
        record: &Record,
    ) -> Result<PathBuf> {
        let [shared, bound] = self.tree_names(key);
        let target = if is_bound_to_parents { bound } else { shared };
        let path = record_path(&target);
        // A record without its tree says nothing: it need not be written in one step.
        fs::write(&path, crate::image::document::written(record))
            .map_err(|error| Error::system("write", &path, error))?;
        beneath::rename_directory(&maker.staged, &target)
            .map_err(|error| Error::system("name", &target, error))?;
        Ok(target)
    }

    /// Removes an unfinished tree at once: the next writer need not.
    pub(crate) fn discard(&self, maker: TreeMaker) {
        let _ = beneath::remove_tree(&maker.staged);
        drop(maker);
    }
}

/// A tree of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StoredLayer {
    /// The name-GUID of its directory, as documents have it.
    pub id: Guid,
    /// Its directory.
    pub path: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
    /// Entries that its stream had.
    pub entries: u64,
    /// The names (or ids) of the images that have it.
    pub images: Vec<String>,
    /// A system holds it, or it is part of a mount.
    pub is_in_use: bool,
}

impl StoredLayer {
    /// The document that commands print.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Store {
    /// All trees.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn layers(&self) -> Result<Vec<StoredLayer>> {
        let images = self.images()?;
        let directory = self.layers_dir();
        let failed = |error| Error::system("read", &directory, error);
        let mut layers = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some() {
                continue;
            }
            let has = |image: &&Image| image.layers.iter().any(|layer| layer.path == path);
            let called = |image: &Image| {
                image.names.first().cloned().unwrap_or_else(|| image.id.to_string())
            };
            let record = self.record(&path).unwrap_or_default();
            let is_in_use = Hold::alone(&path).is_err()
                || hold::is_mounted_from(&path).is_ok_and(|is_mounted| is_mounted);
            layers.push(StoredLayer {
                id: crate::layer::layer_id(&path),
                bytes: record.bytes,
                entries: record.entries,
                images: images.iter().filter(has).map(called).collect(),
                is_in_use,
                path,
            });
        }
        layers.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(layers)
    }
}

pub(super) fn record_path(tree: &Path) -> PathBuf {
    let mut name = tree.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

/// What a killed maker left in its directory.
pub(crate) fn empty(directory: &Path) -> Result<()> {
    let clear = || {
        let open = beneath::root(directory)?;
        rustix::fs::fchmod(&open, rustix::fs::Mode::RWXU)?;
        for name in beneath::names(&open)? {
            beneath::remove(&open, name.as_bytes())?;
        }
        for mark in [crate::overlay::Marks::Trusted, crate::overlay::Marks::User] {
            let _ = rustix::fs::fremovexattr(&open, crate::unpack::opaque(mark));
        }
        Ok(())
    };
    clear().map_err(|error: io::Error| Error::system("empty", directory, error))
}
