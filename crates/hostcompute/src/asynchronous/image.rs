//! Images: [`crate::image`] for programs on tokio.
//!
//! ```no_run
//! use hostcompute::Options;
//! use hostcompute::asynchronous::image::Images;
//! use hostcompute::image::{ImportOptions, UNWATCHED};
//!
//! # async fn example() -> Result<(), hostcompute::Error> {
//! let images = Images::auto(&Options::from_env()).await?;
//! let options = ImportOptions::default();
//! for imported in images.import("busybox.tar".as_ref(), &options, UNWATCHED).await? {
//!     println!("{}", imported.image.id);
//! }
//! # Ok(())
//! # }
//! ```

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;

use hostcompute_schema::Failure;

use super::Host;
use super::pool::{Aside, make, on_the_pool, run, watched};
use crate::Options;
#[cfg(registry)]
use crate::image::RegistryOptions;
use crate::image::{
    self as blocking, Collected, Event, ExportOptions, Hold, Image, ImportOptions, Imported,
    StoredLayer,
};

/// The images of one store: [`crate::image::Images`] for programs on tokio.
#[derive(Debug, Clone)]
pub struct Images {
    inner: blocking::Images,
}

impl From<blocking::Images> for Images {
    fn from(inner: blocking::Images) -> Self {
        Self { inner }
    }
}

/// What keeps the layers of an image where they are, until this is dropped: see [`Images::in_use`].
#[derive(Debug)]
pub struct Holds(#[expect(dead_code, reason = "it is there to be dropped")] Aside<Vec<Hold>>);

impl Images {
    /// [`crate::image::Images::open`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn open(options: &Options) -> Result<Self, Failure> {
        let options = options.clone();
        run(move || blocking::Images::open(&options)).await?.map(Self::from)
    }

    /// The store of a host: of its service, or, where that is inside this process, of its state directory.
    pub fn of(host: &Host) -> Self {
        blocking::Images::of(host.blocking()).into()
    }

    /// [`crate::image::Images::auto`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn auto(options: &Options) -> Result<Self, Failure> {
        let options = options.clone();
        run(move || blocking::Images::auto(&options)).await?.map(Self::from)
    }

    /// The blocking one, for whom it does not block.
    pub fn blocking(&self) -> &blocking::Images {
        &self.inner
    }

    on_the_pool! {
        crate::image::Images:
        fn all() -> Vec<Image>;
        fn find(wanted: &str) -> Image;
        fn tag(wanted: &str, name: &str) -> ();
        fn remove(wanted: &str) -> (Image, bool);
        fn prune() -> Collected;
        fn layers() -> Vec<StoredLayer>;
    }

    /// [`crate::image::Images::in_use`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn in_use(&self, wanted: &str) -> Result<(Image, Holds), Failure> {
        let (images, wanted) = (self.inner.clone(), wanted.to_owned());
        let (image, holds) = make(move || images.in_use(&wanted), drop).await??;
        Ok((image, Holds(Aside::new(holds))))
    }

    /// [`crate::image::Images::import`], awaited. `watch` is asked on another thread; dropping the future calls the work off.
    ///
    /// # Errors
    /// As that.
    pub async fn import(
        &self,
        path: &Path,
        options: &ImportOptions,
        watch: impl Fn(Event<'_>) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Result<Vec<Imported>, Failure> {
        let (images, path, options) = (self.inner.clone(), path.to_owned(), options.clone());
        watched(watch, move |watch| images.import(&path, &options, watch)).await
    }

    /// [`crate::image::Images::import_stream`], awaited; as [`Self::import`].
    ///
    /// # Errors
    /// As that.
    pub async fn import_stream(
        &self,
        file: File,
        stem: &str,
        options: &ImportOptions,
        watch: impl Fn(Event<'_>) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Result<Vec<Imported>, Failure> {
        let (images, stem, options) = (self.inner.clone(), stem.to_owned(), options.clone());
        watched(watch, move |watch| images.import_stream(file, &stem, &options, watch)).await
    }

    /// [`crate::image::Images::pull`], awaited; as [`Self::import`].
    ///
    /// # Errors
    /// As that.
    #[cfg(registry)]
    pub async fn pull(
        &self,
        name: &str,
        options: &ImportOptions,
        access: &RegistryOptions,
        watch: impl Fn(Event<'_>) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Result<Imported, Failure> {
        let (images, name) = (self.inner.clone(), name.to_owned());
        let (options, access) = (options.clone(), access.clone());
        watched(watch, move |watch| images.pull(&name, &options, &access, watch)).await
    }

    /// [`crate::image::Images::export`], awaited; as [`Self::import`].
    ///
    /// # Errors
    /// As that.
    pub async fn export(
        &self,
        wanted: &str,
        target: &Path,
        options: &ExportOptions,
        watch: impl Fn(Event<'_>) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Result<Image, Failure> {
        let (images, wanted, target) = (self.inner.clone(), wanted.to_owned(), target.to_owned());
        let options = *options;
        watched(watch, move |watch| images.export(&wanted, &target, &options, watch)).await
    }

    /// [`crate::image::Images::export_stream`], awaited; as [`Self::import`].
    ///
    /// # Errors
    /// As that.
    pub async fn export_stream(
        &self,
        wanted: &str,
        output: File,
        options: &ExportOptions,
        watch: impl Fn(Event<'_>) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Result<(), Failure> {
        let (images, wanted, options) = (self.inner.clone(), wanted.to_owned(), *options);
        watched(watch, move |watch| images.export_stream(&wanted, output, &options, watch)).await
    }
}
