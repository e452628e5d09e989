//! Collecting: what no image names and nobody uses goes.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use hostcompute_schema::HResult;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::layer::record_path;
use super::{Store, stage};
use crate::beneath;
use crate::error::{Error, Result};
use crate::hold::{self, Hold};

/// What was collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Collected {
    /// Blobs that are gone.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Trees that are gone.
    pub layers: u64,
    /// Bytes of their files.
    pub layer_bytes: u64,
    /// Trees that no image names and somebody uses: they stay until later.
    pub in_use: u64,
}

impl Store {
    /// Removes blobs and trees that no image names and nobody uses.
    ///
    /// # Errors
    /// Another command works on the store (InUse); the machine refuses.
    pub fn prune(&self) -> Result<Collected> {
        let _alone = self.lock("lock", FlockOperation::NonBlockingLockExclusive)?;
        let collected = self.sweep()?;
        // Nothing is left that they could be about.
        self.settle_others()?;
        Ok(collected)
    }

    /// The outcome of an import; where the disk was too small for it, what came of it goes at once, rather than keep the disk full.
    pub(crate) fn unless_full<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|error| {
            if error.hresult() == HResult::ERROR_DISK_FULL {
                // Another time, if somebody else works on the store; the error is what is told.
                let _ = self.prune_if_idle();
            }
        })
    }

    /// As [`Store::prune`], if nobody else works on the store; else another time.
    ///
    /// # Errors
    /// The machine refuses.
    pub fn prune_if_idle(&self) -> Result<Option<Collected>> {
        match self.prune() {
            Err(error) if error.kind() == crate::Kind::InUse => Ok(None),
            other => other.map(Some),
        }
    }

    /// With the lock held alone.
    pub(super) fn sweep(&self) -> Result<Collected> {
        let mut blobs = HashSet::new();
        let mut trees = HashSet::new();
        for descriptor in self.index()?.manifests {
            let documents = self.documents(descriptor)?;
            blobs.insert(documents.descriptor.digest.hex());
            blobs.insert(documents.manifest.config.digest.hex());
            blobs.extend(documents.manifest.layers.iter().map(|layer| layer.digest.hex()));
            trees.extend(documents.keys().iter().filter_map(|key| self.tree(key)));
        }
        let mut collected = Collected::default();
        for path in entries(&self.root.join("blobs/sha256"))? {
            if !name(&path).is_some_and(|name| blobs.contains(name)) {
                let size = fs::symlink_metadata(&path).map_or(0, |status| status.len());
                remove(&path)?;
                collected.blobs += 1;
                collected.blob_bytes += size;
            }
        }
        for path in entries(&self.layers_dir())? {
            let tree = path.with_extension("");
            if path.extension().is_some() {
                // A record goes with its tree; one that is left alone goes too.
                if !tree.is_dir() {
                    remove(&path)?;
                }
            } else if !trees.contains(&path) {
                self.collect_tree(&path, &mut collected)?;
            }
        }
        for path in entries(&self.staging())? {
            // Nobody else is here: what lies there was left by killed writers. Notes are for who reads them.
            if !name(&path).is_some_and(|name| name.starts_with("import-")) {
                remove(&path)?;
            }
        }
        Ok(collected)
    }

    fn collect_tree(&self, path: &Path, collected: &mut Collected) -> Result<()> {
        let failed = |error| Error::system("remove", path, error);
        let Ok(_alone) = Hold::alone(path) else {
            collected.in_use += 1;
            return Ok(());
        };
        if hold::is_mounted_from(path).map_err(failed)? {
            collected.in_use += 1;
            return Ok(());
        }
        let bytes = self.record(path).map_or(0, |record| record.bytes);
        // Its name goes first: a kill in between leaves no half of it.
        let doomed = self.staging().join(format!("doomed-{:016x}", stage::random()));
        beneath::rename_directory(path, &doomed).map_err(failed)?;
        remove(&record_path(path))?;
        remove(&doomed)?;
        collected.layers += 1;
        collected.layer_bytes += bytes;
        Ok(())
    }
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::system("read", directory, error);
    let entries = fs::read_dir(directory).map_err(failed)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

fn remove(path: &Path) -> Result<()> {
    beneath::remove_tree(path).map_err(|error| Error::system("remove", path, error))
}
