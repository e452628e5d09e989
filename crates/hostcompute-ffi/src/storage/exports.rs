//! The exported functions of libcomputestorage, by the names of computestorage.h.
#![expect(unsafe_code, reason = "exports names of C")]

use super::work;
use crate::boundary::{Descriptor, Text, TextOut};
use crate::call::{Code, code};

#[unsafe(no_mangle)]
pub extern "C" fn HcsImportLayer(layer: Text, source: Text, data: Text) -> Code {
    code(|| super::import(layer, source, data))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsExportLayer(layer: Text, folder: Text, data: Text, options: Text) -> Code {
    code(|| super::export(layer, folder, data, options))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsExportLegacyWritableLayer(
    mounted: Text,
    layer: Text,
    folder: Text,
    data: Text,
) -> Code {
    code(|| super::export_legacy(mounted, layer, folder, data))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsDestroyLayer(layer: Text) -> Code {
    code(|| work::destroy(&super::path(layer, "layer's path")?))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsSetupBaseOSLayer(layer: Text, disk: Descriptor, options: Text) -> Code {
    code(|| super::set_up(layer, disk, options))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsSetupBaseOSVolume(layer: Text, volume: Text, options: Text) -> Code {
    code(|| super::set_up_volume(layer, volume, options))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsInitializeWritableLayer(layer: Text, data: Text, options: Text) -> Code {
    code(|| super::initialize(layer, data, options))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsInitializeLegacyWritableLayer(
    mounted: Text,
    layer: Text,
    data: Text,
    options: Text,
) -> Code {
    code(|| super::initialize_legacy(mounted, layer, data, options))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsAttachLayerStorageFilter(layer: Text, data: Text) -> Code {
    code(|| {
        let path = super::path(layer, "layer's path")?;
        work::attach(&path, &super::layers(data)?)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsDetachLayerStorageFilter(layer: Text) -> Code {
    code(|| work::detach(&super::path(layer, "layer's path")?))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsAttachOverlayFilter(volume: Text, data: Text) -> Code {
    code(|| {
        let path = super::path(volume, "volume's path")?;
        work::attach_overlay(&path, &super::layers(data)?)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsDetachOverlayFilter(volume: Text, data: Text) -> Code {
    code(|| {
        let path = super::path(volume, "volume's path")?;
        work::detach_overlay(&path, &super::layers(data)?)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsFormatWritableLayerVhd(disk: Descriptor) -> Code {
    code(|| work::format(disk))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsGetLayerVhdMountPath(disk: Descriptor, path: TextOut) -> Code {
    code(|| super::mount_path(disk, path))
}
