//! libcomputestorage: the functions of computestorage.dll. On Linux they work on directories of this machine, in the mount namespace of the
//! caller; for programs under Wine the service of the Linux below does, on directories there. The functions of vmcompute.dll for layers
//! (module `older`, for Windows) are the same by other names.

mod exports;
#[cfg(unix)]
mod here;
#[cfg(windows)]
mod older;
#[cfg(windows)]
mod there;

use std::path::{Path, PathBuf};

use hostcompute::schema::Document;
use hostcompute::schema::hcs::{LayerData, parse, parse_optional};
use hostcompute::{Failure, HResult};

#[cfg(unix)]
use here as work;
#[cfg(windows)]
use there as work;

use crate::boundary::{Descriptor, Text, TextOut};

/// An absolute path of the caller's.
fn path(text: Text, what: &str) -> Result<PathBuf, Failure> {
    work::place(text.read(what)?, what)
}

/// The document that says which layers are below.
fn layers(text: Text) -> Result<LayerData, Failure> {
    work::placed(parse(&text.read("layer data")?)?)
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
    work::import(&target, &source, &layers(data)?)
}

fn export(source: Text, folder: Text, data: Text, how: Text) -> Result<(), Failure> {
    let (source, folder) = (path(source, "layer's path")?, path(folder, "export's path")?);
    work::export(&source, &folder, &layers(data)?, &options(how)?)
}

fn export_legacy(mounted: Text, source: Text, folder: Text, data: Text) -> Result<(), Failure> {
    let (mounted, source) = (path(mounted, "mount's path")?, path(source, "layer's path")?);
    let (folder, data) = (path(folder, "export's path")?, layers(data)?);
    work::export_legacy(&mounted, &source, &folder, &data)
}

fn set_up(target: Text, disk: Descriptor, how: Text) -> Result<(), Failure> {
    work::set_up(&path(target, "layer's path")?, disk, &options(how)?)
}

fn set_up_volume(target: Text, volume: Text, how: Text) -> Result<(), Failure> {
    let (target, volume) = (path(target, "layer's path")?, path(volume, "volume's path")?);
    work::set_up_volume(&target, &volume, &options(how)?)
}

fn initialize(target: Text, data: Text, how: Text) -> Result<(), Failure> {
    let (target, data) = (path(target, "layer's path")?, layers(data)?);
    none(how, "HcsInitializeWritableLayer")?;
    work::initialize(&target, &data)
}

fn initialize_legacy(mounted: Text, target: Text, data: Text, how: Text) -> Result<(), Failure> {
    let (mounted, target) = (path(mounted, "mount's path")?, path(target, "layer's path")?);
    let data = layers(data)?;
    none(how, "HcsInitializeLegacyWritableLayer")?;
    work::initialize_legacy(&mounted, &target, &data)
}

fn mount_path(disk: Descriptor, out: TextOut) -> Result<(), Failure> {
    out.clear();
    out.demand("path")?;
    out.hand_out(utf8(&work::mount_path(disk)?)?)
}

/// A path as UTF-16 can say it.
fn utf8(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| {
        let why = format!("the path {:?} is not UTF-8, so UTF-16 cannot say it", path.display());
        Failure::new(HResult::ERROR_INVALID_DATA, why)
    })
}
