//! Layers of file systems as computestorage.dll takes them (hcs.md 1.6 and 3.11).

use alloc::string::String;
use alloc::vec::Vec;

use super::{Layer, Version};
use crate::guid::Guid;

documents! { @compute
    /// The layers below the one that an operation is about.
    pub struct LayerData("LayerData") {
        /// The schema version that the document is written in.
        schema_version: Option<Version> = "SchemaVersion" ["2.1"],
        /// The parents, the topmost first, the base last.
        layers: Option<Vec<Layer>> = "Layers" ["2.1"],
        /// What makes one file system of the layers.
        filter_type: Option<FilterType> = "FilterType" ["2.9"],
    }

    /// How a base layer is made usable.
    pub struct OsLayerOptions("OsLayerOptions") {
        /// What it is for.
        kind: Option<OsLayerType> = "Type" ["2.1"],
        /// Whether checks of signed code are not prepared.
        disable_ci_cache_optimization: Option<bool> = "DisableCiCacheOptimization" ["2.1"],
        /// Whether the boot configuration is left as it is.
        skip_update_bcd_for_boot: Option<bool> = "SkipUpdateBcdForBoot" ["2.5"],
    }

    /// How a layer is exported.
    pub struct ExportLayerOptions("ExportLayerOptions") {
        /// Whether it is the layer that a container wrote.
        is_writable_layer: Option<bool> = "IsWritableLayer" ["2.1"],
    }

    /// An image of files that is mounted as it is.
    pub struct CimMount("CimMount") {
        /// Where the image is.
        image_path: Option<String> = "ImagePath" ["2.3"],
        /// The name of the file system inside.
        file_system_name: Option<String> = "FileSystemName" ["2.3"],
        /// The id of the volume that it becomes.
        volume_guid: Option<Guid> = "VolumeGuid" ["2.3"],
        /// Properties of the mount, as bits.
        mount_flags: Option<u32> = "MountFlags" ["2.5"],
    }
}

names! {
    /// What makes one file system of layers.
    pub enum FilterType {
        /// The older filter.
        Wcifs = "WCIFS" ["2.9"],
        /// The newer filter.
        UnionFS ["2.9"],
    }

    /// What a base layer is for.
    pub enum OsLayerType {
        /// Containers on the host.
        Container ["2.1"],
        /// Virtual machines.
        Vm ["2.1"],
    }
}
