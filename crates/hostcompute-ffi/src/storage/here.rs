//! Layers as this process works on them, in its own mount namespace. No service is asked.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hostcompute::schema::hcs::{ExportLayerOptions, LayerData, OsLayerOptions};
use hostcompute::{Failure, HResult};
use hostcompute_storage::layer;
use hostcompute_storage::{Limits, UNWATCHED};

use crate::boundary::Descriptor;

/// An absolute path of the caller's.
pub fn place(text: String, what: &str) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(text);
    if !path.is_absolute() {
        let why = format!("the {what} is {:?}, and must be absolute", path.display());
        return Err(Failure::new(HResult::E_INVALIDARG, why));
    }
    Ok(path)
}

/// The document as whoever works on layers reads it.
pub fn placed(data: LayerData) -> Result<LayerData, Failure> {
    Ok(data)
}

pub fn import(target: &Path, source: &Path, data: &LayerData) -> Result<(), Failure> {
    Ok(layer::import_layer(target, source, data, &Limits::default(), UNWATCHED)?)
}

pub fn export(
    source: &Path,
    folder: &Path,
    data: &LayerData,
    how: &ExportLayerOptions,
) -> Result<(), Failure> {
    Ok(layer::export_layer(source, folder, data, how, UNWATCHED)?)
}

pub fn export_legacy(
    mounted: &Path,
    source: &Path,
    folder: &Path,
    data: &LayerData,
) -> Result<(), Failure> {
    Ok(layer::export_legacy_writable_layer(mounted, source, folder, data, UNWATCHED)?)
}

pub fn destroy(path: &Path) -> Result<(), Failure> {
    Ok(layer::destroy_layer(path)?)
}

pub fn set_up(target: &Path, disk: Descriptor, how: &OsLayerOptions) -> Result<(), Failure> {
    let disk = disk.copy_if_given()?;
    Ok(layer::setup_base_os_layer(target, disk.as_ref().map(OwnedFd::as_fd), how)?)
}

pub fn set_up_volume(target: &Path, volume: &Path, how: &OsLayerOptions) -> Result<(), Failure> {
    Ok(layer::setup_base_os_volume(target, volume, how)?)
}

pub fn initialize(target: &Path, data: &LayerData) -> Result<(), Failure> {
    Ok(layer::initialize_writable_layer(target, data)?)
}

pub fn initialize_legacy(mounted: &Path, target: &Path, data: &LayerData) -> Result<(), Failure> {
    Ok(layer::initialize_legacy_writable_layer(mounted, target, data)?)
}

pub fn attach(path: &Path, data: &LayerData) -> Result<(), Failure> {
    Ok(layer::attach_layer_storage_filter(path, data)?)
}

pub fn detach(path: &Path) -> Result<(), Failure> {
    Ok(layer::detach_layer_storage_filter(path)?)
}

pub fn attach_overlay(volume: &Path, data: &LayerData) -> Result<(), Failure> {
    Ok(layer::attach_overlay_filter(volume, data)?)
}

pub fn detach_overlay(volume: &Path, data: &LayerData) -> Result<(), Failure> {
    Ok(layer::detach_overlay_filter(volume, data)?)
}

pub fn format(disk: Descriptor) -> Result<(), Failure> {
    Ok(layer::format_writable_layer_vhd(disk.copy()?.as_fd())?)
}

pub fn mount_path(disk: Descriptor) -> Result<PathBuf, Failure> {
    Ok(layer::layer_vhd_mount_path(disk.copy()?.as_fd())?)
}
