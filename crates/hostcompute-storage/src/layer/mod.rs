//! Layers as computestorage.dll has them: directories that the caller names, parents top first (hcs.md 1.6 and 3.11).
//!
//! | Windows | here |
//! |---|---|
//! | a layer's directory | the tree itself, with the overlay's marks: what an overlay takes |
//! | the transport folder | `Files/`, and `tombstones.txt` with what it hides; a tar archive is taken too |
//! | a writable layer (scratch volume) | a directory with `upper` and `work` |
//! | the filter is attached to the scratch volume | the merged view is mounted upon the scratch directory |
//! | base layers are set up with hives and a boot disk | there is nothing to set up; disks of virtual machines are refused |
//!
//! A layer that is in use (held, or part of a mount) is not destroyed.

mod scratch;
mod transport;
mod volume;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hostcompute_schema::Guid;
use hostcompute_schema::hcs::{LayerData, PathType};
use sha1::{Digest as _, Sha1};

pub use scratch::{
    attach_layer_storage_filter, attach_overlay_filter, detach_layer_storage_filter,
    detach_overlay_filter, initialize_legacy_writable_layer, initialize_writable_layer,
};
pub use transport::{
    export_archive, export_layer, export_legacy_writable_layer, import_archive, import_layer,
};
pub use volume::{
    format_writable_layer_vhd, layer_vhd_mount_path, setup_base_os_layer, setup_base_os_volume,
};

use crate::beneath;
use crate::error::{Error, Kind, Result};
use crate::hold::{self, Hold};
use crate::overlay;

/// The id of a layer: a name-GUID (version 5) of its directory's base name.
///
/// The name space of Windows is not published; ours is empty, so the ids of one machine agree with each other.
pub fn layer_id(layer: &Path) -> Guid {
    let name = layer.file_name().unwrap_or_default();
    Guid::from_name_hash(Sha1::digest(name.as_encoded_bytes()).into())
}

/// Removes a layer, or a scratch, with all that is in it.
///
/// # Errors
/// It is not there (PathNotFound), in use (InUse), or the machine refuses.
pub fn destroy_layer(layer: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::system("remove", layer, error);
    if !fs::symlink_metadata(layer).is_ok_and(|status| status.is_dir()) {
        return Err(missing(layer));
    }
    let doomed = beneath::beside(layer, "hostcompute-doomed").map_err(failed)?;
    // Left by one who was killed while removing a layer of that name.
    beneath::remove_tree(&doomed).map_err(failed)?;
    let _alone = unused(layer)?;
    beneath::rename_directory(layer, &doomed).map_err(failed)?;
    beneath::remove_tree(&doomed).map_err(failed)
}

/// The layer alone, if nobody uses it.
fn unused(layer: &Path) -> Result<Hold> {
    let in_use =
        |how: &str| Error::new(Kind::InUse, format!("the layer {} {how}", layer.display()));
    if overlay::is_mounted_at(layer) {
        return Err(in_use("is attached").hint("detach it first"));
    }
    let hold = Hold::alone(layer).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => in_use("is used by a system"),
        _ => Error::system("use", layer, error),
    })?;
    match hold::is_mounted_from(layer) {
        Ok(false) => Ok(hold),
        Ok(true) => Err(in_use("is part of a mounted view")),
        Err(error) => Err(Error::system("look for mounts of", layer, error)),
    }
}

/// The parents' directories, top first.
fn parents(data: &LayerData) -> Result<Vec<PathBuf>> {
    let layers = data.layers.as_deref().unwrap_or_default();
    let path = |layer: &hostcompute_schema::hcs::Layer| {
        if layer.path_type.as_ref().is_some_and(|kind| *kind != PathType::AbsolutePath) {
            let message = "a layer in a share of a virtual machine has no directory on the host";
            return Err(Error::new(Kind::Argument, message));
        }
        let path = layer.path.as_deref().unwrap_or_default();
        let path = PathBuf::from(path);
        if !path.is_absolute() {
            let message =
                format!("the path of a layer must be absolute, {:?} is not", path.display());
            return Err(Error::new(Kind::Argument, message));
        }
        linux_layer(&path)?;
        Ok(path)
    };
    layers.iter().map(path).collect()
}

/// Fails unless there is a directory that Linux can use as a layer.
fn linux_layer(layer: &Path) -> Result<()> {
    if !layer.is_dir() {
        return Err(missing(layer));
    }
    let of_windows =
        ["Hives", "UtilityVM", "Files/Windows/System32", "blank-base.vhdx", "sandbox.vhdx"];
    match of_windows.iter().find(|name| layer.join(name).exists()) {
        None => Ok(()),
        Some(name) => {
            let message = format!("{} is a layer of Windows (it has {name})", layer.display());
            Err(Error::new(Kind::WrongPlatform, message))
        }
    }
}

fn missing(layer: &Path) -> Error {
    Error::new(Kind::PathNotFound, format!("there is no directory {}", layer.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_from_the_base_name_alone() {
        let id = layer_id(Path::new("/layers/base"));
        assert_eq!(id, layer_id(Path::new("/elsewhere/base/")));
        assert_ne!(id, layer_id(Path::new("/layers/top")));
        let text = id.to_string();
        assert_eq!(text.get(14..15), Some("5"), "{text}");
        assert!(matches!(text.get(19..20), Some("8" | "9" | "a" | "b")), "{text}");
    }
}
