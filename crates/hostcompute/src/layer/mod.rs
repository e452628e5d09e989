//! Layers: directories that containers are made of, as computestorage.dll has them.
//!
//! Each function of [`Layers`] is one of that library, with the documents of [`crate::schema::hcs`] (parents top first); [`Attached`] is
//! a merged view that goes with the value. On Linux none needs a service; one that runs can be asked all the same, and does what an
//! ordinary user names with that user's rights. What Linux cannot do (disks of virtual machines) answers ERROR_NOT_SUPPORTED. On Windows
//! they are the library's own functions, without what they lack: archives, limits and progress.

#[cfg(images)]
mod files;
#[cfg(windows)]
mod windows;

use std::path::{Path, PathBuf};

use hostcompute_schema::hcs::LayerData;
use hostcompute_schema::{Failure, HResult};

#[cfg(images)]
pub use files::*;
#[cfg(windows)]
pub use windows::*;

/// A merged view that goes with this value.
///
/// ```no_run
/// use std::path::Path;
///
/// use hostcompute::layer::{Attached, Layers};
/// use hostcompute::schema::hcs::LayerData;
///
/// # fn main() -> Result<(), hostcompute::Error> {
/// # let parents = LayerData::default();
/// let (layers, scratch) = (Layers::here(), Path::new("/srv/layers/scratch"));
/// layers.initialize_writable(scratch, &parents)?;
/// let view = Attached::new(&layers, scratch, &parents)?;
/// println!("everything is in {}", view.path().display());
/// view.detach()?; // or dropped, or kept
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Attached {
    layers: Layers,
    path: PathBuf,
    is_attached: bool,
}

impl Attached {
    /// As [`Layers::attach`].
    ///
    /// # Errors
    /// As [`Layers::attach`].
    pub fn new(layers: &Layers, path: &Path, data: &LayerData) -> Result<Self, Failure> {
        layers.attach(path, data)?;
        Ok(Self { layers: layers.clone(), path: path.to_owned(), is_attached: true })
    }

    /// Where it is seen.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Detaches it now, and says if that fails.
    ///
    /// # Errors
    /// As [`Layers::detach`].
    pub fn detach(mut self) -> Result<(), Failure> {
        self.is_attached = false;
        self.layers.detach(&self.path)
    }

    /// Leaves it attached.
    pub fn keep(mut self) {
        self.is_attached = false;
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.is_attached {
            let _ = self.layers.detach(&self.path);
        }
    }
}

/// A path as it travels: absolute, since whoever works on it has another directory than the caller, or wants whole paths.
pub(crate) fn absolute(path: &Path) -> Result<String, Failure> {
    let refused = |why: &str| {
        Failure::new(HResult::E_INVALIDARG, format!("the path {} {why}", path.display()))
    };
    let whole = std::path::absolute(path).map_err(|error| refused(&format!("is none: {error}")))?;
    whole.into_os_string().into_string().map_err(|_| refused("is no UTF-8"))
}
