//! Layers of the Linux below, as the service there works on them for a Windows program: with the rights of whom the token stands for. What
//! is mounted is seen by everybody there.

use std::path::{Path, PathBuf};

use hostcompute::schema::hcs::{ExportLayerOptions, LayerData, OsLayerOptions, OsLayerType};
use hostcompute::schema::{ComputeOperation as Verb, Document};
use hostcompute::transport::ComputeCall;
use hostcompute::{Failure, HResult};

use crate::boundary::{Descriptor, path_below};
use crate::service;

/// A path of the caller's, as Linux has it.
pub fn place(text: String, what: &str) -> Result<PathBuf, Failure> {
    path_below(&text, what).map(PathBuf::from)
}

/// The document with paths as Linux has them.
pub fn placed(mut data: LayerData) -> Result<LayerData, Failure> {
    for layer in data.layers.iter_mut().flatten() {
        if let Some(path) = &mut layer.path {
            *path = path_below(path, "parent's path")?;
        }
    }
    Ok(data)
}

fn text(path: &Path) -> &str {
    // They were made of texts.
    path.to_str().unwrap_or_default()
}

fn ask(
    verb: Verb,
    path: &Path,
    parameters: &[(&str, &str)],
    document: &str,
) -> Result<(), Failure> {
    let call = ComputeCall::on(verb, text(path), document).with(parameters);
    service::host()?.compute(&call).map(drop)
}

/// Fails where no directory is. Drive Z is the root of Linux.
pub fn demand(path: &Path) -> Result<(), Failure> {
    match is_directory(path) {
        true => Ok(()),
        false => {
            let why = format!("there is no directory {}", path.display());
            Err(Failure::new(HResult::ERROR_PATH_NOT_FOUND, why))
        }
    }
}

/// Whether a directory is there.
pub fn is_directory(path: &Path) -> bool {
    Path::new(&format!("Z:{}", text(path))).is_dir()
}

/// Whether a layer is a writable one, by what that is made of.
pub fn is_writable(path: &Path) -> bool {
    ["upper", "work"]
        .iter()
        .all(|part| is_directory(&PathBuf::from(format!("{}/{part}", text(path)))))
}

pub fn import(target: &Path, source: &Path, data: &LayerData) -> Result<(), Failure> {
    let parents = data.to_value().to_string();
    let parameters = [("source", text(source)), ("parents", &*parents)];
    ask(Verb::ImportLayer, target, &parameters, "")
}

pub fn export(
    source: &Path,
    folder: &Path,
    data: &LayerData,
    how: &ExportLayerOptions,
) -> Result<(), Failure> {
    let writable = if how.is_writable_layer == Some(true) { "true" } else { "false" };
    let parameters = [("target", text(folder)), ("writable", writable)];
    ask(Verb::ExportLayer, source, &parameters, &data.to_value().to_string())
}

pub fn export_legacy(
    mounted: &Path,
    source: &Path,
    folder: &Path,
    data: &LayerData,
) -> Result<(), Failure> {
    demand(mounted)?;
    let writable =
        ExportLayerOptions { is_writable_layer: Some(true), ..ExportLayerOptions::default() };
    export(source, folder, data, &writable)
}

pub fn destroy(path: &Path) -> Result<(), Failure> {
    ask(Verb::DestroyLayer, path, &[], "")
}

pub fn set_up(target: &Path, disk: Descriptor, how: &OsLayerOptions) -> Result<(), Failure> {
    if !disk.is_none() {
        let why = "a base layer for containers has no disk: the handle must be zero";
        return Err(Failure::new(HResult::E_INVALIDARG, why));
    }
    ask(Verb::SetupBaseOSLayer, target, &[], &how.to_value().to_string())
}

pub fn set_up_volume(target: &Path, volume: &Path, how: &OsLayerOptions) -> Result<(), Failure> {
    if !matches!(how.kind, None | Some(OsLayerType::Container)) {
        return Err(unsupported("a boot disk cannot be made of a layer on Linux"));
    }
    demand(volume)?;
    set_up(target, Descriptor::NONE, how)
}

pub fn initialize(target: &Path, data: &LayerData) -> Result<(), Failure> {
    ask(Verb::InitializeWritableLayer, target, &[], &data.to_value().to_string())
}

pub fn initialize_legacy(mounted: &Path, target: &Path, data: &LayerData) -> Result<(), Failure> {
    demand(mounted)?;
    initialize(target, data)
}

pub fn attach(path: &Path, data: &LayerData) -> Result<(), Failure> {
    ask(Verb::AttachLayerStorageFilter, path, &[], &data.to_value().to_string())
}

pub fn detach(path: &Path) -> Result<(), Failure> {
    ask(Verb::DetachLayerStorageFilter, path, &[], "")
}

pub fn attach_overlay(volume: &Path, data: &LayerData) -> Result<(), Failure> {
    attach(volume, data)
}

pub fn detach_overlay(volume: &Path, _: &LayerData) -> Result<(), Failure> {
    detach(volume)
}

pub fn format(_: Descriptor) -> Result<(), Failure> {
    let failure = unsupported("writable layers are directories on Linux, not disks");
    Err(failure.hint("HcsInitializeWritableLayer prepares a directory"))
}

pub fn mount_path(_: Descriptor) -> Result<PathBuf, Failure> {
    Err(unsupported(
        "layers have no disks: what a handle of Windows stands for is not mounted on Linux",
    ))
}

fn unsupported(why: &str) -> Failure {
    Failure::new(HResult::ERROR_NOT_SUPPORTED, why)
}
