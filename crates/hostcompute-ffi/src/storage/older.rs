//! The functions of vmcompute.dll for layers. A layer is named by a path, or by a name below the folder of its driver; for all else they are
//! those of computestorage.dll. They stand here with `Vm` before their names (see `compute::older`).
#![expect(unsafe_code, reason = "exports names of C")]

use std::path::PathBuf;

use hostcompute::schema::hcs::{ExportLayerOptions, Layer, LayerData, OsLayerOptions};
use hostcompute::{Failure, Guid, HResult};
use sha1::{Digest as _, Sha1};

use super::work;
use crate::boundary::{Descriptor, DriverIn, Length, Out, ParentsIn, Room, Text, TextOut};
use crate::call::{Code, code};

fn place(driver: DriverIn, id: Text) -> Result<PathBuf, Failure> {
    let (home, id) = (driver.home()?, id.read("layer's id")?);
    let path = if home.is_empty() { id } else { format!("{home}\\{id}") };
    work::place(path, "layer's path")
}

fn parents(parents: ParentsIn, count: u32) -> Result<LayerData, Failure> {
    let layer = |path| Layer { path: Some(path), ..Layer::default() };
    let layers = parents.paths(count)?.into_iter().map(layer).collect();
    work::placed(LayerData { layers: Some(layers), ..LayerData::default() })
}

/// Functions of a layer, its driver, and its parents.
macro_rules! of_parents {
    ($($name:ident: $work:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(driver: DriverIn, id: Text, above: ParentsIn, count: u32) -> Code {
            code(|| work::$work(&place(driver, id)?, &parents(above, count)?))
        }
    )*};
}

/// Functions of a layer and its driver.
macro_rules! of_layer {
    ($($name:ident: $work:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(driver: DriverIn, id: Text) -> Code {
            code(|| work::$work(&place(driver, id)?))
        }
    )*};
}

of_parents! {
    VmPrepareLayer: attach;
}

of_layer! {
    VmUnprepareLayer: detach;
    VmDestroyLayer: destroy;
    // A layer is a directory: it needs no disk to be there.
    VmActivateLayer: demand;
    VmDeactivateLayer: demand;
}

#[unsafe(no_mangle)]
pub extern "C" fn VmCreateSandboxLayer(
    driver: DriverIn,
    id: Text,
    _parent: Descriptor,
    above: ParentsIn,
    count: u32,
) -> Code {
    code(|| work::initialize(&place(driver, id)?, &parents(above, count)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmImportLayer(
    driver: DriverIn,
    id: Text,
    source: Text,
    above: ParentsIn,
    count: u32,
) -> Code {
    code(|| {
        let source = super::path(source, "source's path")?;
        work::import(&place(driver, id)?, &source, &parents(above, count)?)
    })
}

/// Of a writable layer what was written, as that function does which knows both by what is in the directory.
#[unsafe(no_mangle)]
pub extern "C" fn VmExportLayer(
    driver: DriverIn,
    id: Text,
    folder: Text,
    above: ParentsIn,
    count: u32,
) -> Code {
    code(|| {
        let (path, folder) = (place(driver, id)?, super::path(folder, "export's path")?);
        let is_writable = work::is_writable(&path);
        let how = ExportLayerOptions {
            is_writable_layer: Some(is_writable),
            ..ExportLayerOptions::default()
        };
        work::export(&path, &folder, &parents(above, count)?, &how)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn VmLayerExists(driver: DriverIn, id: Text, exists: Out<u32>) -> Code {
    code(|| {
        exists.put(0);
        exists.demand("answer")?;
        exists.put(work::is_directory(&place(driver, id)?).into());
        Ok(())
    })
}

/// A layer's files are seen in its own directory, by the path of Linux: so documents name it.
#[unsafe(no_mangle)]
pub extern "C" fn VmGetLayerMountPath(
    driver: DriverIn,
    id: Text,
    length: Length,
    room: Room,
) -> Code {
    code(|| {
        let path = place(driver, id)?;
        work::demand(&path)?;
        room.fill(length, super::utf8(&path)?)
    })
}

/// The id of a layer by the name of its directory.
#[unsafe(no_mangle)]
pub extern "C" fn VmNameToGuid(name: Text, id: Out<[u8; 16]>) -> Code {
    code(|| {
        id.demand("id")?;
        let hash = Sha1::digest(name.read("name")?);
        id.put(Guid::from_name_hash(hash.into()).to_windows_bytes());
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn VmProcessBaseImage(path: Text) -> Code {
    code(|| {
        let path = super::path(path, "layer's path")?;
        work::set_up(&path, Descriptor::NONE, &OsLayerOptions::default())
    })
}

/// What there is none of, for whatever it is asked.
fn impossible(why: &str) -> Code {
    code(|| Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why)))
}

#[unsafe(no_mangle)]
pub extern "C" fn VmGetBaseImages(images: TextOut) -> Code {
    images.clear();
    impossible("there are no images of Windows here")
}

#[unsafe(no_mangle)]
pub extern "C" fn VmProcessUtilityImage(_path: Text) -> Code {
    impossible("a boot disk cannot be made of a layer on Linux")
}

#[unsafe(no_mangle)]
pub extern "C" fn VmCreateLayer(_driver: DriverIn, _id: Text, _parent: Text) -> Code {
    impossible("layers are made of what is in them (ImportLayer)")
}

#[unsafe(no_mangle)]
pub extern "C" fn VmCopyLayer(
    _driver: DriverIn,
    _from: Text,
    _to: Text,
    _above: ParentsIn,
    _count: u32,
) -> Code {
    impossible("layers are not copied, but shared")
}

#[unsafe(no_mangle)]
pub extern "C" fn VmExpandSandboxSize(_driver: DriverIn, _id: Text, _size: u64) -> Code {
    impossible("a writable layer is a directory, which has no size of its own")
}

#[unsafe(no_mangle)]
pub extern "C" fn VmGrantVmAccess(_machine: Text, _path: Text) -> Code {
    impossible("Linux has no accounts of virtual machines whom access could be given to")
}
