//! Layers: directories that containers are made of, as computestorage.dll has them.
//!
//! Each function is one of that library, with the documents of [`crate::schema::hcs`] (parents top first); [`Attached`] is a merged
//! view that goes with the value. None needs a service. What Linux cannot do (disks of virtual machines) answers ERROR_NOT_SUPPORTED.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use hostcompute_schema::hcs::{ExportLayerOptions, LayerData, OsLayerOptions};
use hostcompute_schema::{Failure, Guid};
use hostcompute_storage::layer;
pub use hostcompute_storage::{Compression, Event, Limits, UNWATCHED, Watch};

/// The id of a layer: the name-GUID of its directory's base name.
pub fn id(path: &Path) -> Guid {
    layer::layer_id(path)
}

/// Makes a layer of a transport folder, or of an archive of a layer. `HcsImportLayer`.
///
/// # Errors
/// HCS_E_INVALID_LAYER, HCS_E_IMAGE_MISMATCH for a layer of Windows, ERROR_PATH_NOT_FOUND for a parent, ERROR_ALREADY_EXISTS.
pub fn import(
    path: &Path,
    source: &Path,
    data: &LayerData,
    limits: &Limits,
    watch: Watch<'_>,
) -> Result<(), Failure> {
    Ok(layer::import_layer(path, source, data, limits, watch)?)
}

/// As [`import`], from an open archive, such as standard input.
///
/// # Errors
/// As [`import`].
pub fn import_archive(
    path: &Path,
    archive: File,
    data: &LayerData,
    limits: &Limits,
    watch: Watch<'_>,
) -> Result<(), Failure> {
    Ok(layer::import_archive(path, archive, data, limits, watch)?)
}

/// Writes a layer, or what was written into a writable one, into a transport folder. `HcsExportLayer`.
///
/// # Errors
/// ERROR_PATH_NOT_FOUND, HCS_E_INVALID_LAYER, ERROR_ALREADY_EXISTS, ERROR_SHARING_VIOLATION while it is attached.
pub fn export(
    path: &Path,
    folder: &Path,
    data: &LayerData,
    options: &ExportLayerOptions,
    watch: Watch<'_>,
) -> Result<(), Failure> {
    Ok(layer::export_layer(path, folder, data, options, watch)?)
}

/// Writes a layer as a tar stream with OCI's whiteouts.
///
/// # Errors
/// As [`export`].
pub fn export_archive(
    path: &Path,
    output: File,
    compression: Compression,
    options: &ExportLayerOptions,
    watch: Watch<'_>,
) -> Result<(), Failure> {
    Ok(layer::export_archive(path, output, compression, options, watch)?)
}

/// Removes a layer or a writable layer. `HcsDestroyLayer`.
///
/// # Errors
/// ERROR_PATH_NOT_FOUND, or ERROR_SHARING_VIOLATION while it is in use.
pub fn destroy(path: &Path) -> Result<(), Failure> {
    Ok(layer::destroy_layer(path)?)
}

/// Prepares a directory as a writable layer. `HcsInitializeWritableLayer`.
///
/// # Errors
/// ERROR_ALREADY_EXISTS where something is in it, ERROR_PATH_NOT_FOUND for a parent.
pub fn initialize_writable(path: &Path, data: &LayerData) -> Result<(), Failure> {
    Ok(layer::initialize_writable_layer(path, data)?)
}

/// Makes a base layer usable, for containers: there is nothing to do but to look. `HcsSetupBaseOSLayer`.
///
/// # Errors
/// ERROR_NOT_SUPPORTED for virtual machines, ERROR_PATH_NOT_FOUND, HCS_E_IMAGE_MISMATCH.
pub fn setup_base(
    path: &Path,
    disk: Option<BorrowedFd<'_>>,
    options: &OsLayerOptions,
) -> Result<(), Failure> {
    Ok(layer::setup_base_os_layer(path, disk, options)?)
}

/// Mounts the merged view of a writable layer upon its directory, until it is detached. `HcsAttachLayerStorageFilter`.
///
/// # Errors
/// HCS_E_INVALID_LAYER for what is no writable layer, ERROR_ALREADY_EXISTS, ERROR_SHARING_VIOLATION, E_ACCESSDENIED.
pub fn attach(path: &Path, data: &LayerData) -> Result<(), Failure> {
    Ok(layer::attach_layer_storage_filter(path, data)?)
}

/// Removes the merged view. `HcsDetachLayerStorageFilter`.
///
/// # Errors
/// ERROR_NOT_FOUND where nothing is attached, ERROR_SHARING_VIOLATION while somebody is in it.
pub fn detach(path: &Path) -> Result<(), Failure> {
    Ok(layer::detach_layer_storage_filter(path)?)
}

/// A merged view that goes with this value.
#[derive(Debug)]
pub struct Attached {
    path: PathBuf,
    is_attached: bool,
}

impl Attached {
    /// As [`attach`].
    ///
    /// # Errors
    /// As [`attach`].
    pub fn new(path: &Path, data: &LayerData) -> Result<Self, Failure> {
        attach(path, data)?;
        Ok(Self { path: path.to_owned(), is_attached: true })
    }

    /// Where it is seen.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Detaches it now, and says if that fails.
    ///
    /// # Errors
    /// As [`detach`].
    pub fn detach(mut self) -> Result<(), Failure> {
        self.is_attached = false;
        detach(&self.path)
    }

    /// Leaves it attached.
    pub fn keep(mut self) {
        self.is_attached = false;
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.is_attached {
            let _ = detach(&self.path);
        }
    }
}
