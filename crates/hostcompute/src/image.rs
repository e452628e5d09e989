//! Images: imported, exported, listed, collected; in the store of a state directory, which needs no service.
//!
//! ```no_run
//! use hostcompute::image::{ImportOptions, Images, UNWATCHED};
//! use hostcompute::Options;
//!
//! # fn main() -> Result<(), hostcompute::Failure> {
//! let images = Images::open(&Options::from_env())?;
//! for imported in images.import("busybox.tar".as_ref(), &ImportOptions::default(), UNWATCHED)? {
//!     println!("{} {:?}", imported.image.id, imported.image.execution.command(&[]));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Several processes may use one store at the same time. Who makes a container of an image takes it by [`Images::in_use`], so that nobody
//! removes its layers in between.

use std::fs::File;
use std::path::Path;

use hostcompute_schema::Failure;
#[cfg(feature = "registry")]
pub use hostcompute_storage::RegistryOptions;
pub use hostcompute_storage::hold::Hold;
pub use hostcompute_storage::{
    Collected, Compression, Digest, Error, Event, Execution, ExportOptions, Form, Image,
    ImageLayer, ImportOptions, Imported, Limits, Outer, Platform, Reference, StoredLayer,
    UNWATCHED, Watch,
};

use crate::Options;

/// The images of a state directory.
#[derive(Debug)]
pub struct Images {
    store: hostcompute_storage::Store,
}

impl Images {
    /// Opens the store of a state directory; makes it if there is none.
    ///
    /// # Errors
    /// The directory cannot be made or written.
    pub fn open(options: &Options) -> Result<Self, Failure> {
        Ok(Self { store: hostcompute_storage::Store::open(&options.state_dir)? })
    }

    /// In which extended attributes its layers have their marks: an overlay must be told.
    pub fn marks(&self) -> hostcompute_storage::overlay::Marks {
        self.store.marks()
    }

    /// All images, sorted by their names.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn all(&self) -> Result<Vec<Image>, Failure> {
        Ok(self.store.images()?)
    }

    /// One image: by a name, a digest, or the unique beginning of its id.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND, or E_INVALIDARG where several begin so.
    pub fn find(&self, wanted: &str) -> Result<Image, Failure> {
        Ok(self.store.image(wanted)?)
    }

    /// One image whose layers nobody removes until the holds are dropped.
    ///
    /// # Errors
    /// As [`Images::find`].
    pub fn in_use(&self, wanted: &str) -> Result<(Image, Vec<Hold>), Failure> {
        Ok(self.store.image_in_use(wanted)?)
    }

    /// Imports the images of a directory (OCI layout) or an archive (OCI or Docker, compressed or not).
    ///
    /// # Errors
    /// HCS_E_INVALID_LAYER for what is no image, ERROR_INVALID_DATA for bytes that are not those promised, HCS_E_IMAGE_MISMATCH for
    /// other platforms, E_ABORT when the watcher does not want to go on, what the machine refuses.
    pub fn import(
        &self,
        path: &Path,
        options: &ImportOptions,
        watch: Watch<'_>,
    ) -> Result<Vec<Imported>, Failure> {
        Ok(self.store.import(path, options, watch)?)
    }

    /// As [`Images::import`], from an open file or pipe; `stem` begins names that are only a tag.
    ///
    /// # Errors
    /// As [`Images::import`].
    pub fn import_stream(
        &self,
        file: File,
        stem: &str,
        options: &ImportOptions,
        watch: Watch<'_>,
    ) -> Result<Vec<Imported>, Failure> {
        Ok(self.store.import_stream(file, stem, options, watch)?)
    }

    /// Imports an image from the registry that its name begins with.
    ///
    /// # Errors
    /// E_INVALIDARG for a name without a registry, E_ACCESSDENIED, ERROR_NOT_FOUND, ERROR_UNEXP_NET_ERR (0x8007003b) for a registry that
    /// cannot be reached, and as [`Images::import`].
    #[cfg(feature = "registry")]
    pub fn pull(
        &self,
        name: &str,
        options: &ImportOptions,
        access: &RegistryOptions,
        watch: Watch<'_>,
    ) -> Result<Imported, Failure> {
        Ok(self.store.pull(name, options, access, watch)?)
    }

    /// Writes an image to a path where nothing is.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND, ERROR_ALREADY_EXISTS, what the machine refuses.
    pub fn export(
        &self,
        wanted: &str,
        target: &Path,
        options: &ExportOptions,
        watch: Watch<'_>,
    ) -> Result<Image, Failure> {
        Ok(self.store.export(wanted, target, options, watch)?)
    }

    /// Writes an image as an archive to an open file or pipe.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND, what the machine refuses.
    pub fn export_stream(
        &self,
        wanted: &str,
        output: File,
        options: &ExportOptions,
        watch: Watch<'_>,
    ) -> Result<Image, Failure> {
        Ok(self.store.export_stream(wanted, output, options, watch)?)
    }

    /// Gives an image a name; the name leaves the image that had it.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND, or E_INVALIDARG for what is no name.
    pub fn tag(&self, wanted: &str, name: &str) -> Result<(), Failure> {
        Ok(self.store.tag(wanted, name)?)
    }

    /// Takes a name away, or, by id, all names. Answers with the image, and whether it is gone from the list.
    ///
    /// What it was made of goes too, unless it is in use or another command works on the store: then with the next [`Images::prune`].
    ///
    /// # Errors
    /// ERROR_NOT_FOUND.
    pub fn remove(&self, wanted: &str) -> Result<(Image, bool), Failure> {
        let removed = self.store.untag(wanted)?;
        self.store.prune_if_idle()?;
        Ok(removed)
    }

    /// Removes what no image names and nobody uses.
    ///
    /// # Errors
    /// ERROR_SHARING_VIOLATION while another command works on the store; what the machine refuses.
    pub fn prune(&self) -> Result<Collected, Failure> {
        Ok(self.store.prune()?)
    }

    /// The trees of all layers.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn layers(&self) -> Result<Vec<StoredLayer>, Failure> {
        Ok(self.store.layers()?)
    }
}
