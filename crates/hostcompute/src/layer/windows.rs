//! Windows: the functions of computestorage.dll, carried out in this process.

use std::path::Path;

use hostcompute_schema::hcs::{ExportLayerOptions, LayerData, OsLayerOptions};
use hostcompute_schema::{Document, Failure, Guid, HResult};

use super::absolute;
use crate::transport::windows::layers as functions;

/// The id of a layer, by which documents name it: Windows makes it of the directory's base name (NameToGuid).
///
/// # Errors
/// E_NOTIMPL where vmcompute.dll is not there, E_INVALIDARG for a path that names nothing.
pub fn id(path: &Path) -> Result<Guid, Failure> {
    let name = path.file_name().and_then(|name| name.to_str());
    let nameless = || {
        let why = format!("the path {} ends with no name of Unicode", path.display());
        Failure::new(HResult::E_INVALIDARG, why)
    };
    functions::id(name.ok_or_else(nameless)?)
}

/// Who works on layers.
///
/// ```no_run
/// use hostcompute::layer::Layers;
/// use hostcompute::schema::hcs::LayerData;
///
/// # fn main() -> Result<(), hostcompute::Error> {
/// let (layers, place) = (Layers::here(), "C:\\layers\\base".as_ref());
/// layers.import(place, "C:\\transport".as_ref(), &LayerData::default())?;
/// layers.destroy(place)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Layers(());

impl Layers {
    /// This process.
    pub fn here() -> Self {
        Self(())
    }

    /// Makes a layer of a transport folder. `HcsImportLayer`.
    ///
    /// # Errors
    /// E_NOTIMPL where the function is not there, or what Windows refuses; so for all of these.
    pub fn import(&self, path: &Path, source: &Path, data: &LayerData) -> Result<(), Failure> {
        functions::import(&absolute(path)?, &absolute(source)?, &text(data))
    }

    /// Writes a layer into a transport folder. `HcsExportLayer`.
    ///
    /// # Errors
    /// As [`Layers::import`].
    pub fn export(
        &self,
        path: &Path,
        target: &Path,
        data: &LayerData,
        options: &ExportLayerOptions,
    ) -> Result<(), Failure> {
        functions::export(&absolute(path)?, &absolute(target)?, &text(data), &text(options))
    }

    /// Removes a layer or a writable layer. `HcsDestroyLayer`.
    ///
    /// # Errors
    /// As [`Layers::import`].
    pub fn destroy(&self, path: &Path) -> Result<(), Failure> {
        functions::destroy(&absolute(path)?)
    }

    /// Prepares a directory as a writable layer. `HcsInitializeWritableLayer`.
    ///
    /// # Errors
    /// As [`Layers::import`].
    pub fn initialize_writable(&self, path: &Path, data: &LayerData) -> Result<(), Failure> {
        functions::initialize_writable(&absolute(path)?, &text(data), "")
    }

    /// Makes a base layer usable, for containers. `HcsSetupBaseOSLayer`.
    ///
    /// # Errors
    /// As [`Layers::import`].
    pub fn setup_base(&self, path: &Path, options: &OsLayerOptions) -> Result<(), Failure> {
        functions::setup_base(&absolute(path)?, &text(options))
    }

    /// Makes the merged view of a writable layer and its parents, until it is detached. `HcsAttachLayerStorageFilter`.
    ///
    /// # Errors
    /// As [`Layers::import`].
    pub fn attach(&self, path: &Path, data: &LayerData) -> Result<(), Failure> {
        functions::attach(&absolute(path)?, &text(data))
    }

    /// Removes the merged view. `HcsDetachLayerStorageFilter`.
    ///
    /// # Errors
    /// As [`Layers::import`].
    pub fn detach(&self, path: &Path) -> Result<(), Failure> {
        functions::detach(&absolute(path)?)
    }
}

fn text(document: &impl Document) -> String {
    document.to_value().to_string()
}
