//! The store: images, their layers as trees, and the blobs they came from.
//!
//! ```text
//! oci-layout, index.json, blobs/sha256/   an OCI image layout that other tools read too; index.json is what images there are
//! layers/DIFFID/                          a layer's tree, shared by all images that have it
//! layers/DIFFID.json                      what is known of it
//! staging/                                what is being made, or will be gone; nothing there is listed
//! lock, index.lock                        below
//! ```
//!
//! *Half-made things are not listed.* Blobs and trees are made in `staging` and renamed when their digests are right; an image is listed
//! last. Whoever is killed leaves things in `staging`, which the next writer removes (it can lock them), and blobs and trees that no
//! image names, which a repeated import finds ready and [`Store::prune`] removes.
//!
//! *After a power cut* a renamed file may be empty. Each import writes a note in `staging` with the boot's id and removes it when all is
//! on disk; a note of an earlier boot makes the next writer drop what no image names (`sweep`).
//!
//! *Several processes.* Who writes holds `lock` shared, who collects holds it alone; `index.lock` guards one change of the list. A tree
//! that two processes want is made by one, the other waits at its lock in `staging`.

mod blob;
mod collect;
mod index;
mod layer;
mod stage;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

pub(crate) use blob::BlobWriter;
pub use collect::Collected;
pub(crate) use index::{Documents, keys, named};
pub use layer::StoredLayer;
pub(crate) use layer::{Key, Record, TreeMaker, empty};
pub(crate) use stage::{Import, claim_directory};

use crate::beneath;
use crate::error::{Error, Result};
use crate::image::document::LAYOUT;
use crate::overlay::Marks;

/// Images and layers below one directory.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    marks: Marks,
}

/// The directory in the state directory.
pub const DIRECTORY: &str = "images";

/// The directory in the store.
const LAYERS: &str = "layers";

impl Store {
    /// The store in a state directory; made when there is none.
    ///
    /// # Errors
    /// The directory cannot be made or written.
    pub fn open(state_dir: &Path) -> Result<Self> {
        let root = state_dir.join(DIRECTORY);
        for directory in
            [&root, &root.join(LAYERS), &root.join("staging"), &root.join("blobs/sha256")]
        {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(|error| Error::system("make the directory", directory, error))?;
        }
        let root = fs::canonicalize(&root).map_err(|error| Error::system("find", &root, error))?;
        let marks = marks(&root.join("staging"))?;
        let store = Self { root, marks };
        let layout = store.root.join(LAYOUT.0);
        if !layout.exists() {
            let _alone = store.lock("index.lock", FlockOperation::LockExclusive)?;
            write_whole(&store.root.join(".oci-layout"), &layout, LAYOUT.1.as_bytes())?;
        }
        Ok(store)
    }

    /// Where the trees of a state directory's images are, as documents name them; nothing is made.
    pub fn layers_below(state_dir: &Path) -> Option<PathBuf> {
        let state_dir = fs::canonicalize(state_dir).ok()?;
        Some(state_dir.join(DIRECTORY).join(LAYERS))
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Which marks its trees have: a mount must look for the same.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Writes what the file system has in memory, so that what is named now is whole after a power cut.
    pub(crate) fn sync(&self) -> Result<()> {
        let failed = |error: io::Error| Error::system("write to disk", &self.root, error);
        let root = beneath::root(&self.root).map_err(failed)?;
        rustix::fs::syncfs(&root).map_err(|errno| failed(errno.into()))
    }

    /// Keeps others from collecting, or from writing, until it is dropped.
    fn lock(&self, name: &str, operation: FlockOperation) -> Result<Lock> {
        let path = self.root.join(name);
        let failed = |error: io::Error| match Errno::from_io_error(&error) {
            Some(Errno::WOULDBLOCK) => {
                let message =
                    format!("another command works on the images in {}", self.root.display());
                Error::new(crate::Kind::InUse, message).hint("try again when it is done")
            }
            _ => Error::system("lock", &path, error),
        };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::open(&path, flags, mode).map_err(|errno| failed(errno.into()))?;
        loop {
            match rustix::fs::flock(&file, operation) {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
        }
    }
}

/// A lock that is held.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: OwnedFd,
}

/// Writes a file so that its name has the old content or the new one, whenever the machine stops.
fn write_whole(by: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = File::create(by)?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(by, path)?;
        path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    };
    write().map_err(|error| Error::system("write", path, error))
}

/// Which marks this process may set: those of the machine's root, or those of users.
pub(crate) fn marks(directory: &Path) -> Result<Marks> {
    let failed = |error: io::Error| Error::system("mark", directory, error);
    let open = beneath::root(directory).map_err(failed)?;
    let name = "trusted.overlay.hostcompute";
    match rustix::fs::fsetxattr(&open, name, b"y", XattrFlags::empty()) {
        Ok(()) => match rustix::fs::fremovexattr(&open, name) {
            // Another process has tried at the same time.
            Ok(()) | Err(Errno::NODATA) => Ok(Marks::Trusted),
            Err(errno) => Err(failed(errno.into())),
        },
        Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => Ok(Marks::User),
        Err(errno) => Err(failed(errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_may_try_which_marks_they_may_set() {
        let directory =
            std::env::temp_dir().join(format!("hc-storage-marks-{}", std::process::id()));
        fs::create_dir(&directory).expect("room");
        let try_often = || (0..300).all(|_| marks(&directory).is_ok());
        let all = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(try_often)).collect();
            threads.into_iter().all(|thread| thread.join().is_ok_and(|fine| fine))
        });
        fs::remove_dir(&directory).expect("ours");
        assert!(all);
    }
}
