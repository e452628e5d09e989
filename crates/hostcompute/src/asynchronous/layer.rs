//! Layers: [`crate::layer`] for programs on tokio.
//!
//! ```no_run
//! use hostcompute::asynchronous::layer::{Attached, Layers};
//! use hostcompute::schema::hcs::LayerData;
//!
//! # async fn example(data: LayerData) -> Result<(), hostcompute::Error> {
//! let layers = Layers::here();
//! layers.initialize_writable("/var/lib/example/scratch".as_ref(), &data).await?;
//! let view = Attached::new(&layers, "/var/lib/example/scratch".as_ref(), &data).await?;
//! println!("{}", view.path().display());
//! view.detach().await
//! # }
//! ```

use std::path::Path;

use hostcompute_schema::Failure;
#[cfg(windows)]
use hostcompute_schema::hcs::ExportLayerOptions;
use hostcompute_schema::hcs::{LayerData, OsLayerOptions};

use super::pool::{Aside, make, on_the_pool, run};
use crate::layer as blocking;

/// Who works on layers: [`crate::layer::Layers`] for programs on tokio.
#[derive(Debug, Clone)]
pub struct Layers {
    inner: blocking::Layers,
}

impl From<blocking::Layers> for Layers {
    fn from(inner: blocking::Layers) -> Self {
        Self { inner }
    }
}

impl Layers {
    /// This process.
    pub fn here() -> Self {
        blocking::Layers::here().into()
    }

    /// The blocking one, for whom it does not block.
    pub fn blocking(&self) -> &blocking::Layers {
        &self.inner
    }

    on_the_pool! {
        crate::layer::Layers:
        fn destroy(path: &Path) -> ();
        fn initialize_writable(path: &Path, data: &LayerData) -> ();
        fn setup_base(path: &Path, options: &OsLayerOptions) -> ();
        fn attach(path: &Path, data: &LayerData) -> ();
        fn detach(path: &Path) -> ();
    }
}

#[cfg(windows)]
impl Layers {
    on_the_pool! {
        crate::layer::Layers:
        fn import(path: &Path, source: &Path, data: &LayerData) -> ();
        fn export(path: &Path, target: &Path, data: &LayerData, options: &ExportLayerOptions) -> ();
    }
}

#[cfg(images)]
mod watched {
    use std::fs::File;
    use std::ops::ControlFlow;
    use std::path::Path;

    use hostcompute_schema::Failure;
    use hostcompute_schema::hcs::{ExportLayerOptions, LayerData};

    use super::Layers;
    use crate::Options;
    use crate::asynchronous::Host;
    use crate::asynchronous::pool::{run, watched};
    use crate::layer::{self as blocking, Compression, Event, Limits};

    impl Layers {
        /// A host: its service, or, where that is inside this process, this process.
        pub fn of(host: &Host) -> Self {
            blocking::Layers::of(host.blocking()).into()
        }

        /// [`crate::layer::Layers::auto`], awaited.
        ///
        /// # Errors
        /// As that.
        pub async fn auto(options: &Options) -> Result<Self, Failure> {
            let options = options.clone();
            run(move || blocking::Layers::auto(&options)).await?.map(Self::from)
        }

        /// [`crate::layer::Layers::import`], awaited. `watch` is asked on another thread; dropping the future calls the work off.
        ///
        /// # Errors
        /// As that.
        pub async fn import(
            &self,
            path: &Path,
            source: &Path,
            data: &LayerData,
            limits: &Limits,
            watch: impl Fn(Event<'_>) -> ControlFlow<()> + Send + Sync + 'static,
        ) -> Result<(), Failure> {
            let (layers, path, source) = (self.inner.clone(), path.to_owned(), source.to_owned());
            let (data, limits) = (data.clone(), *limits);
            watched(watch, move |watch| layers.import(&path, &source, &data, &limits, watch)).await
        }

        /// [`crate::layer::Layers::import_archive`], awaited; as [`Self::import`].
        ///
        /// # Errors
        /// As that.
        pub async fn import_archive(
            &self,
            path: &Path,
            archive: File,
            data: &LayerData,
            limits: &Limits,
            watch: impl Fn(Event<'_>) -> ControlFlow<()> + Send + Sync + 'static,
        ) -> Result<(), Failure> {
            let (layers, path) = (self.inner.clone(), path.to_owned());
            let (data, limits) = (data.clone(), *limits);
            watched(watch, move |watch| {
                layers.import_archive(&path, archive, &data, &limits, watch)
            })
            .await
        }

        /// [`crate::layer::Layers::export`], awaited; as [`Self::import`].
        ///
        /// # Errors
        /// As that.
        pub async fn export(
            &self,
            path: &Path,
            target: &Path,
            data: &LayerData,
            options: &ExportLayerOptions,
            watch: impl Fn(Event<'_>) -> ControlFlow<()> + Send + Sync + 'static,
        ) -> Result<(), Failure> {
            let (layers, path, target) = (self.inner.clone(), path.to_owned(), target.to_owned());
            let (data, options) = (data.clone(), options.clone());
            watched(watch, move |watch| layers.export(&path, &target, &data, &options, watch)).await
        }

        /// [`crate::layer::Layers::export_archive`], awaited; as [`Self::import`].
        ///
        /// # Errors
        /// As that.
        pub async fn export_archive(
            &self,
            path: &Path,
            output: File,
            compression: Compression,
            options: &ExportLayerOptions,
            watch: impl Fn(Event<'_>) -> ControlFlow<()> + Send + Sync + 'static,
        ) -> Result<(), Failure> {
            let (layers, path) = (self.inner.clone(), path.to_owned());
            let options = options.clone();
            watched(watch, move |watch| {
                layers.export_archive(&path, output, compression, &options, watch)
            })
            .await
        }
    }
}

/// A merged view that goes with this value, without blocking anybody: [`crate::layer::Attached`] for programs on tokio.
#[derive(Debug)]
pub struct Attached(Aside<blocking::Attached>);

impl Attached {
    /// [`crate::layer::Attached::new`], awaited. What was attached for nobody is detached.
    ///
    /// # Errors
    /// As that.
    pub async fn new(layers: &Layers, path: &Path, data: &LayerData) -> Result<Self, Failure> {
        let (layers, path, data) = (layers.inner.clone(), path.to_owned(), data.clone());
        let attach = move || blocking::Attached::new(&layers, &path, &data);
        Ok(Self(Aside::new(make(attach, drop).await??)))
    }

    /// Where it is seen.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// [`crate::layer::Attached::detach`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn detach(self) -> Result<(), Failure> {
        let attached = self.0.into_inner();
        run(move || attached.detach()).await?
    }

    /// Leaves it attached.
    pub fn keep(self) {
        self.0.into_inner().keep();
    }
}
