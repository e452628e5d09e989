//! libcomputestorage: the functions of computestorage.dll, on directories of this machine, in the mount namespace of the caller. No
//! service is asked.

mod exports;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hostcompute::schema::Document;
use hostcompute::schema::hcs::{LayerData, parse, parse_optional};
use hostcompute::{Failure, HResult};
use hostcompute_storage::layer;
use hostcompute_storage::{Limits, UNWATCHED};

use crate::boundary::{Descriptor, Text, TextOut};

/// An absolute path of the caller's.
fn path(text: Text, what: &str) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(text.read(what)?);
    if !path.is_absolute() {
        let why = format!("the {what} is {:?}, and must be absolute", path.display());
        return Err(Failure::new(HResult::E_INVALIDARG, why));
    }
    Ok(path)
}

/// The document that says which layers are below.
fn layers(text: Text) -> Result<LayerData, Failure> {
    parse(&text.read("layer data")?)
}

fn options<T: Document>(text: Text) -> Result<T, Failure> {
    parse_optional(&text.read_or_empty()?)
}

/// What is left unset today: NULL, an empty text, or an empty document.
fn none(text: Text, what: &str) -> Result<(), Failure> {
    match text.read_or_empty()?.trim() {
        "" | "null" | "{}" => Ok(()),
        _ => {
            let why = format!("{what} has no options");
            Err(Failure::new(HResult::E_INVALIDARG, why))
        }
    }
}

fn import(target: Text, source: Text, data: Text) -> Result<(), Failure> {
    let (target, source) = (path(target, "layer's path")?, path(source, "source's path")?);
    let data = layers(data)?;
    Ok(layer::import_layer(&target, &source, &data, &Limits::default(), UNWATCHED)?)
}

fn export(source: Text, folder: Text, data: Text, how: Text) -> Result<(), Failure> {
    let (source, folder) = (path(source, "layer's path")?, path(folder, "export's path")?);
    let (data, how) = (layers(data)?, options(how)?);
    Ok(layer::export_layer(&source, &folder, &data, &how, UNWATCHED)?)
}

fn export_legacy(mounted: Text, source: Text, folder: Text, data: Text) -> Result<(), Failure> {
    let (mounted, source) = (path(mounted, "mount's path")?, path(source, "layer's path")?);
    let (folder, data) = (path(folder, "export's path")?, layers(data)?);
    Ok(layer::export_legacy_writable_layer(&mounted, &source, &folder, &data, UNWATCHED)?)
}

fn set_up(target: Text, disk: Descriptor, how: Text) -> Result<(), Failure> {
    let (target, how) = (path(target, "layer's path")?, options(how)?);
    let disk = disk.copy_if_given()?;
    Ok(layer::setup_base_os_layer(&target, disk.as_ref().map(OwnedFd::as_fd), &how)?)
}

fn set_up_volume(target: Text, volume: Text, how: Text) -> Result<(), Failure> {
    let (target, volume) = (path(target, "layer's path")?, path(volume, "volume's path")?);
    Ok(layer::setup_base_os_volume(&target, &volume, &options(how)?)?)
}

fn initialize(target: Text, data: Text, how: Text) -> Result<(), Failure> {
    let (target, data) = (path(target, "layer's path")?, layers(data)?);
    none(how, "HcsInitializeWritableLayer")?;
    Ok(layer::initialize_writable_layer(&target, &data)?)
}

fn initialize_legacy(mounted: Text, target: Text, data: Text, how: Text) -> Result<(), Failure> {
    let (mounted, target) = (path(mounted, "mount's path")?, path(target, "layer's path")?);
    let data = layers(data)?;
    none(how, "HcsInitializeLegacyWritableLayer")?;
    Ok(layer::initialize_legacy_writable_layer(&mounted, &target, &data)?)
}

fn mount_path(disk: Descriptor, out: TextOut) -> Result<(), Failure> {
    out.clear();
    out.demand("path")?;
    let path = layer::layer_vhd_mount_path(disk.copy()?.as_fd())?;
    out.hand_out(utf8(&path)?)
}

/// A path as UTF-16 can say it.
fn utf8(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| {
        let why = format!("the path {:?} is not UTF-8, so UTF-16 cannot say it", path.display());
        Failure::new(HResult::ERROR_INVALID_DATA, why)
    })
}
