//! Images: imported, exported, listed, collected; in the store of the service, or in that of a state directory, which needs none.
//!
//! ```no_run
//! use hostcompute::image::{ImportOptions, Images, UNWATCHED};
//! use hostcompute::Options;
//!
//! # fn main() -> Result<(), hostcompute::Error> {
//! let images = Images::auto(&Options::from_env())?;
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

use hostcompute_schema::{ComputeOperation, Failure, HResult};
#[cfg(registry)]
pub use hostcompute_storage::RegistryOptions;
pub use hostcompute_storage::hold::Hold;
pub use hostcompute_storage::{
    Collected, Compression, Digest, Error, Event, Execution, ExportOptions, Form, Image,
    ImageLayer, ImportOptions, Imported, Limits, Outer, Platform, Reference, StoredLayer,
    UNWATCHED, Watch,
};
use serde_json::Value;

use crate::layer::absolute;
use crate::store::{Desk, StoreCall, understood};
use crate::{Host, Options};

/// The images of one store.
#[derive(Debug, Clone)]
pub struct Images(Desk);

impl Images {
    /// Opens the store of a state directory in this process; makes it if there is none.
    ///
    /// # Errors
    /// The directory cannot be made or written.
    pub fn open(options: &Options) -> Result<Self, Failure> {
        hostcompute_storage::Store::open(&options.state_dir)?;
        Ok(Self(Desk::Here(options.state_dir.clone())))
    }

    /// The store of a host: of its service, or, where that is inside this process, of its state directory.
    pub fn of(host: &Host) -> Self {
        Self(Desk::of(host))
    }

    /// The store of the service that runs on this machine when there is one, else that of the state directory; or what
    /// [`Options::way`] says.
    ///
    /// # Errors
    /// Why the service cannot be reached, or as [`Images::open`].
    pub fn auto(options: &Options) -> Result<Self, Failure> {
        match Desk::auto(options)? {
            Desk::Here(_) => Self::open(options),
            there => Ok(Self(there)),
        }
    }

    fn call(&self, call: StoreCall<'_>) -> Result<Value, Failure> {
        self.0.call(call, UNWATCHED)
    }

    /// All images, sorted by their names.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn all(&self) -> Result<Vec<Image>, Failure> {
        let all = self.call(StoreCall::on(ComputeOperation::EnumerateImages, ""))?;
        understood(serde_json::from_value(all))
    }

    /// One image: by a name, a digest, or the unique beginning of its id.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND, or E_INVALIDARG where several begin so.
    pub fn find(&self, wanted: &str) -> Result<Image, Failure> {
        let found = self.call(StoreCall::on(ComputeOperation::GetImage, wanted))?;
        understood(serde_json::from_value(found))
    }

    /// One image whose layers nobody removes until the holds are dropped; those of a service are held by it alone, from when a
    /// container uses them.
    ///
    /// # Errors
    /// As [`Images::find`].
    pub fn in_use(&self, wanted: &str) -> Result<(Image, Vec<Hold>), Failure> {
        match &self.0 {
            Desk::Here(state_dir) => {
                Ok(hostcompute_storage::Store::open(state_dir)?.image_in_use(wanted)?)
            }
            Desk::There(_) => Ok((self.find(wanted)?, Vec::new())),
        }
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
        let path = absolute(path)?;
        self.import_with(&[("source", &path)], None, options, watch)
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
        self.import_with(&[("stem", stem)], Some(file), options, watch)
    }

    fn import_with(
        &self,
        from: &[(&str, &str)],
        archive: Option<File>,
        options: &ImportOptions,
        watch: Watch<'_>,
    ) -> Result<Vec<Imported>, Failure> {
        let written = Written::of(options);
        let parameters = written.parameters(from);
        let call = StoreCall {
            parameters: &parameters,
            archive,
            ..StoreCall::on(ComputeOperation::ImportImage, "")
        };
        understood(serde_json::from_value(self.0.call(call, watch)?))
    }

    /// Imports an image from the registry that its name begins with.
    ///
    /// # Errors
    /// E_INVALIDARG for a name without a registry, E_ACCESSDENIED, ERROR_NOT_FOUND, ERROR_UNEXP_NET_ERR (0x8007003b) for a registry that
    /// cannot be reached, and as [`Images::import`].
    #[cfg(registry)]
    pub fn pull(
        &self,
        name: &str,
        options: &ImportOptions,
        access: &RegistryOptions,
        watch: Watch<'_>,
    ) -> Result<Imported, Failure> {
        use hostcompute_schema::Document;
        let (user, password) = access.credentials.clone().unzip();
        let access = hostcompute_schema::hcs::RegistryAccess {
            user,
            password,
            plain_http: access.is_plain.then_some(true),
            certificates: access.certificates.clone(),
            ..Default::default()
        };
        let (written, document) = (Written::of(options), access.to_value().to_string());
        let parameters = written.parameters(&[("reference", name)]);
        let call = StoreCall {
            parameters: &parameters,
            document: &document,
            ..StoreCall::on(ComputeOperation::PullImage, "")
        };
        understood(serde_json::from_value(self.0.call(call, watch)?))
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
        let target = absolute(target)?;
        let [form, compression] = words(options);
        let call = StoreCall {
            parameters: &[("target", &target), form, compression],
            ..StoreCall::on(ComputeOperation::ExportImage, wanted)
        };
        understood(serde_json::from_value(self.0.call(call, watch)?))
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
    ) -> Result<(), Failure> {
        if options.form == Form::OciLayout {
            let message = "a directory cannot be written to a stream";
            return Err(Failure::new(HResult::E_INVALIDARG, message));
        }
        let call = StoreCall {
            parameters: &words(options),
            archive: Some(output),
            ..StoreCall::on(ComputeOperation::GetImageArchive, wanted)
        };
        self.0.call(call, watch).map(drop)
    }

    /// Gives an image a name; the name leaves the image that had it.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND, or E_INVALIDARG for what is no name.
    pub fn tag(&self, wanted: &str, name: &str) -> Result<(), Failure> {
        let parameters = &[("name", name)];
        self.call(StoreCall { parameters, ..StoreCall::on(ComputeOperation::TagImage, wanted) })
            .map(drop)
    }

    /// Takes a name away, or, by id, all names. Answers with the image, and whether it is gone from the list.
    ///
    /// What it was made of goes too, unless it is in use or another command works on the store: then with the next [`Images::prune`].
    ///
    /// # Errors
    /// ERROR_NOT_FOUND.
    pub fn remove(&self, wanted: &str) -> Result<(Image, bool), Failure> {
        let mut told = self.call(StoreCall::on(ComputeOperation::RemoveImage, wanted))?;
        let gone = told.get("Gone").and_then(Value::as_bool).unwrap_or_default();
        let image = told.get_mut("Image").map(Value::take).unwrap_or_default();
        Ok((understood(serde_json::from_value(image))?, gone))
    }

    /// Removes what no image names and nobody uses.
    ///
    /// # Errors
    /// ERROR_SHARING_VIOLATION while another command works on the store; what the machine refuses.
    pub fn prune(&self) -> Result<Collected, Failure> {
        let told = self.call(StoreCall::on(ComputeOperation::PruneImages, ""))?;
        understood(serde_json::from_value(told))
    }

    /// The trees of all layers.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn layers(&self) -> Result<Vec<StoredLayer>, Failure> {
        let all = self.call(StoreCall::on(ComputeOperation::EnumerateLayers, ""))?;
        understood(serde_json::from_value(all))
    }
}

/// How an image is imported, as texts.
struct Written {
    name: Option<String>,
    platform: String,
    limits: [(&'static str, String); 2],
}

impl Written {
    fn of(options: &ImportOptions) -> Self {
        Self {
            name: options.name.clone(),
            platform: options.platform.to_string(),
            limits: crate::layer::written(&options.limits),
        }
    }

    fn parameters<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut parameters = vec![("platform", self.platform.as_str())];
        parameters.extend(self.name.as_deref().map(|name| ("name", name)));
        parameters.extend(self.limits.iter().map(|(name, value)| (*name, value.as_str())));
        parameters.extend(more);
        parameters
    }
}

/// How an image is exported, as texts.
fn words(options: &ExportOptions) -> [(&'static str, &'static str); 2] {
    let form = match options.form {
        Form::OciLayout => "oci",
        Form::OciArchive => "oci-archive",
        Form::DockerArchive => "docker-archive",
    };
    let compression = match options.compression {
        Outer::None => "none",
        Outer::Gzip => "gzip",
        Outer::Zstd => "zstd",
    };
    [("form", form), ("compression", compression)]
}
