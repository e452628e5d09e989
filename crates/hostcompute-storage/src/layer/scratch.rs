//! Writable layers: where a container writes, and the merged view upon them.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use hostcompute_schema::hcs::LayerData;
use rustix::io::Errno;

use super::{missing, parents, unused};
use crate::beneath;
use crate::error::{Error, Kind, Result};
use crate::hold::Hold;
use crate::overlay::{self, Overlay, Scratch};
use crate::store;

/// Prepares an empty directory as a writable layer; it is made if there is none. `HcsInitializeWritableLayer`.
///
/// # Errors
/// A parent is missing, or something is in the directory.
pub fn initialize_writable_layer(layer: &Path, data: &LayerData) -> Result<()> {
    let parents = parents(data)?;
    let failed = |error: io::Error| Error::system("prepare", layer, error);
    match fs::create_dir(layer) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let _alone = Hold::alone(layer).map_err(failed)?;
    if !beneath::names(beneath::root(layer).map_err(failed)?).map_err(failed)?.is_empty() {
        return Err(Error::new(Kind::Exists, format!("{} is not empty", layer.display())));
    }
    let scratch = Scratch::of(layer);
    fs::create_dir(&scratch.work).map_err(failed)?;
    // Under another name until it is complete: half a scratch is none.
    let staged = layer.join(".upper");
    fs::create_dir(&staged).map_err(failed)?;
    if let Some(top) = parents.first() {
        // What is seen as / is this directory: its owner and permissions should be the image's.
        let status = fs::metadata(top).map_err(|error| Error::system("look at", top, error))?;
        let owned = std::os::unix::fs::chown(&staged, Some(status.uid()), Some(status.gid()));
        match owned {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                return Err(failed(error));
            }
            _ => {}
        }
        let permissions = fs::Permissions::from_mode(status.mode() & 0o7777);
        fs::set_permissions(&staged, permissions).map_err(failed)?;
    }
    beneath::rename_directory(&staged, &scratch.upper).map_err(failed)
}

/// As [`initialize_writable_layer`]: the older form names a mount point beside the folder, which must exist.
///
/// # Errors
/// As [`initialize_writable_layer`]; the mount point is missing.
pub fn initialize_legacy_writable_layer(
    mount_path: &Path,
    layer: &Path,
    data: &LayerData,
) -> Result<()> {
    if !mount_path.is_dir() {
        return Err(missing(mount_path));
    }
    initialize_writable_layer(layer, data)
}

/// Mounts the merged view of a writable layer and its parents upon the writable layer's directory. `HcsAttachLayerStorageFilter`.
///
/// The mount belongs to the mount namespace of the caller, and stays until it is detached.
///
/// # Errors
/// It is no writable layer (Invalid), attached already (Exists), or used elsewhere (InUse); the kernel refuses.
pub fn attach_layer_storage_filter(layer: &Path, data: &LayerData) -> Result<()> {
    // The kernel's table of mounts has the paths that were said: only without links in them are the layers found in it.
    let real = |path: &Path| fs::canonicalize(path).map_err(|_| missing(path));
    let layers = parents(data)?.iter().map(|path| real(path)).collect::<Result<Vec<_>>>()?;
    if layers.is_empty() {
        let message = "a writable layer alone shows nothing: there is no parent";
        return Err(Error::new(Kind::Argument, message));
    }
    let layer = &*real(layer)?;
    if !layer.is_dir() {
        return Err(missing(layer));
    }
    if overlay::is_mounted_at(layer) {
        return Err(Error::new(Kind::Exists, format!("{} is attached already", layer.display())));
    }
    let scratch = Scratch::of(layer);
    if !scratch.upper.is_dir() || !scratch.work.is_dir() {
        let message = format!("{} is no writable layer", layer.display());
        return Err(Error::invalid(message).hint("`hc layer init` makes one"));
    }
    let _alone = unused(layer)?;
    let _held = layers
        .iter()
        .map(|path| Hold::shared(path).map_err(|error| Error::system("use", path, error)))
        .collect::<Result<Vec<_>>>()?;
    let marks = store::marks(&scratch.work)?;
    let view = Overlay { layers, scratch: Some(scratch), marks, ..Overlay::default() };
    view.mount_at(layer).map_err(kernel)
}

/// Removes the merged view. `HcsDetachLayerStorageFilter`.
///
/// # Errors
/// Nothing is attached there (NotFound), or somebody is in it (InUse).
pub fn detach_layer_storage_filter(layer: &Path) -> Result<()> {
    if !layer.is_dir() {
        return Err(missing(layer));
    }
    if !overlay::is_mounted_at(layer) {
        let message = format!("nothing is attached at {}", layer.display());
        return Err(Error::new(Kind::NotFound, message));
    }
    overlay::unmount(layer).map_err(kernel)
}

/// As [`attach_layer_storage_filter`]: both filter types are the one overlay of Linux. `HcsAttachOverlayFilter`.
///
/// # Errors
/// As [`attach_layer_storage_filter`].
pub fn attach_overlay_filter(volume: &Path, data: &LayerData) -> Result<()> {
    attach_layer_storage_filter(volume, data)
}

/// As [`detach_layer_storage_filter`]; the document tells the filter type only. `HcsDetachOverlayFilter`.
///
/// # Errors
/// As [`detach_layer_storage_filter`].
pub fn detach_overlay_filter(volume: &Path, _data: &LayerData) -> Result<()> {
    detach_layer_storage_filter(volume)
}

/// The mount's error in the words of this crate.
fn kernel(error: overlay::Error) -> Error {
    let kind = match error.errno() {
        Errno::PERM | Errno::ACCESS => Kind::Denied,
        Errno::BUSY => Kind::InUse,
        Errno::NOENT | Errno::NOTDIR => Kind::PathNotFound,
        _ => Kind::System,
    };
    Error::new(kind, error.to_string())
}
