//! Linux: directories of which one is the layer, worked on by this process or by a service. See [`super`].

use std::fs::File;
use std::path::{Path, PathBuf};

use hostcompute_schema::hcs::{ExportLayerOptions, LayerData, OsLayerOptions};
use hostcompute_schema::{ComputeOperation, Document, Failure, Guid};
use hostcompute_storage::layer;
pub use hostcompute_storage::{Compression, Event, Limits, UNWATCHED, Watch};

use super::absolute;
use crate::store::{Desk, StoreCall};
use crate::{Host, Options};

/// The id of a layer: the name-GUID of its directory's base name.
pub fn id(path: &Path) -> Guid {
    layer::layer_id(path)
}

/// Who works on layers.
///
/// ```no_run
/// use hostcompute::layer::{Layers, Limits, UNWATCHED};
/// use hostcompute::schema::hcs::LayerData;
///
/// # fn main() -> Result<(), hostcompute::Error> {
/// let (layers, data) = (Layers::here(), LayerData::default());
/// let (place, archive) = ("/srv/layers/base".as_ref(), "base.tar.gz".as_ref());
/// layers.import(place, archive, &data, &Limits::default(), UNWATCHED)?;
/// layers.destroy(place)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Layers(Desk);

impl Layers {
    /// This process.
    pub fn here() -> Self {
        // Layers lie where they are named: there is no state.
        Self(Desk::Here(PathBuf::new()))
    }

    /// A host: its service, or, where that is inside this process, this process.
    pub fn of(host: &Host) -> Self {
        Self(Desk::of(host))
    }

    /// The service that runs on this machine when there is one, else this process; or what [`Options::way`] says.
    ///
    /// # Errors
    /// Why the service cannot be reached.
    pub fn auto(options: &Options) -> Result<Self, Failure> {
        Ok(Self(Desk::auto(options)?))
    }

    fn call(
        &self,
        operation: ComputeOperation,
        path: &Path,
        call: StoreCall<'_>,
        watch: Watch<'_>,
    ) -> Result<(), Failure> {
        let place = absolute(path)?;
        self.0.call(StoreCall { operation, place: &place, ..call }, watch).map(drop)
    }

    /// Makes a layer of a transport folder, or of an archive of a layer. `HcsImportLayer`.
    ///
    /// # Errors
    /// HCS_E_INVALID_LAYER, HCS_E_IMAGE_MISMATCH for a layer of Windows, ERROR_PATH_NOT_FOUND for a parent, ERROR_ALREADY_EXISTS.
    pub fn import(
        &self,
        path: &Path,
        source: &Path,
        data: &LayerData,
        limits: &Limits,
        watch: Watch<'_>,
    ) -> Result<(), Failure> {
        let source = absolute(source)?;
        self.import_with(path, Some(&source), None, (data, limits), watch)
    }

    /// As [`Layers::import`], from an open archive, such as standard input.
    ///
    /// # Errors
    /// As [`Layers::import`].
    pub fn import_archive(
        &self,
        path: &Path,
        archive: File,
        data: &LayerData,
        limits: &Limits,
        watch: Watch<'_>,
    ) -> Result<(), Failure> {
        self.import_with(path, None, Some(archive), (data, limits), watch)
    }

    fn import_with(
        &self,
        path: &Path,
        source: Option<&str>,
        archive: Option<File>,
        (data, limits): (&LayerData, &Limits),
        watch: Watch<'_>,
    ) -> Result<(), Failure> {
        let (parents, limits) = (data.to_value().to_string(), written(limits));
        let mut parameters = vec![("parents", parents.as_str())];
        parameters.extend(source.map(|source| ("source", source)));
        parameters.extend(limits.iter().map(|(name, value)| (*name, value.as_str())));
        let operation = ComputeOperation::ImportLayer;
        let call = StoreCall { parameters: &parameters, archive, ..StoreCall::on(operation, "") };
        self.call(operation, path, call, watch)
    }

    /// Writes a layer, or what was written into a writable one, into a transport folder; or, where the target's name ends with `.tar`,
    /// `.tar.gz` or `.tar.zst`, as a tar stream with OCI's whiteouts into that file. `HcsExportLayer`.
    ///
    /// # Errors
    /// ERROR_PATH_NOT_FOUND, HCS_E_INVALID_LAYER, ERROR_ALREADY_EXISTS, ERROR_SHARING_VIOLATION while it is attached.
    pub fn export(
        &self,
        path: &Path,
        target: &Path,
        data: &LayerData,
        options: &ExportLayerOptions,
        watch: Watch<'_>,
    ) -> Result<(), Failure> {
        let (target, document) = (absolute(target)?, data.to_value().to_string());
        let parameters = [("target", target.as_str()), writable(options)];
        let operation = ComputeOperation::ExportLayer;
        let call = StoreCall {
            parameters: &parameters,
            document: &document,
            ..StoreCall::on(operation, "")
        };
        self.call(operation, path, call, watch)
    }

    /// Writes a layer as a tar stream with OCI's whiteouts.
    ///
    /// # Errors
    /// As [`Layers::export`].
    pub fn export_archive(
        &self,
        path: &Path,
        output: File,
        compression: Compression,
        options: &ExportLayerOptions,
        watch: Watch<'_>,
    ) -> Result<(), Failure> {
        let compression = match compression {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        };
        let parameters = [("compression", compression), writable(options)];
        let operation = ComputeOperation::GetLayerArchive;
        let call = StoreCall {
            parameters: &parameters,
            archive: Some(output),
            ..StoreCall::on(operation, "")
        };
        self.call(operation, path, call, watch)
    }

    /// Removes a layer or a writable layer. `HcsDestroyLayer`.
    ///
    /// # Errors
    /// ERROR_PATH_NOT_FOUND, or ERROR_SHARING_VIOLATION while it is in use.
    pub fn destroy(&self, path: &Path) -> Result<(), Failure> {
        self.simply(ComputeOperation::DestroyLayer, path, "")
    }

    /// Prepares a directory as a writable layer. `HcsInitializeWritableLayer`.
    ///
    /// # Errors
    /// ERROR_ALREADY_EXISTS where something is in it, ERROR_PATH_NOT_FOUND for a parent.
    pub fn initialize_writable(&self, path: &Path, data: &LayerData) -> Result<(), Failure> {
        let document = data.to_value().to_string();
        self.simply(ComputeOperation::InitializeWritableLayer, path, &document)
    }

    /// Makes a base layer usable, for containers: there is nothing to do but to look. `HcsSetupBaseOSLayer`.
    ///
    /// # Errors
    /// ERROR_NOT_SUPPORTED for virtual machines, ERROR_PATH_NOT_FOUND, HCS_E_IMAGE_MISMATCH.
    pub fn setup_base(&self, path: &Path, options: &OsLayerOptions) -> Result<(), Failure> {
        let document = options.to_value().to_string();
        self.simply(ComputeOperation::SetupBaseOSLayer, path, &document)
    }

    /// Mounts the merged view of a writable layer upon its directory, until it is detached. `HcsAttachLayerStorageFilter`.
    ///
    /// # Errors
    /// HCS_E_INVALID_LAYER for what is no writable layer, ERROR_ALREADY_EXISTS, ERROR_SHARING_VIOLATION, E_ACCESSDENIED.
    pub fn attach(&self, path: &Path, data: &LayerData) -> Result<(), Failure> {
        let document = data.to_value().to_string();
        self.simply(ComputeOperation::AttachLayerStorageFilter, path, &document)
    }

    /// Removes the merged view. `HcsDetachLayerStorageFilter`.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND where nothing is attached, ERROR_SHARING_VIOLATION while somebody is in it.
    pub fn detach(&self, path: &Path) -> Result<(), Failure> {
        self.simply(ComputeOperation::DetachLayerStorageFilter, path, "")
    }

    fn simply(
        &self,
        operation: ComputeOperation,
        path: &Path,
        document: &str,
    ) -> Result<(), Failure> {
        let call = StoreCall { document, ..StoreCall::on(operation, "") };
        self.call(operation, path, call, UNWATCHED)
    }
}

/// Bounds as texts.
pub(crate) fn written(limits: &Limits) -> [(&'static str, String); 2] {
    [
        ("limit-size", limits.layer_bytes.to_string()),
        ("limit-entries", limits.layer_entries.to_string()),
    ]
}

fn writable(options: &ExportLayerOptions) -> (&'static str, &'static str) {
    let is_writable = options.is_writable_layer == Some(true);
    ("writable", if is_writable { "true" } else { "false" })
}
