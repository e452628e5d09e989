//! What is being made: names in `staging` that only their maker may use, and what is done with those whose maker was killed.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{Lock, Store};
use crate::beneath;
use crate::error::{Error, Result};
use crate::hold::Hold;

/// Notes of imports begin so.
const NOTE: &str = "import-";

/// A writer's stay in the store: nothing is collected meanwhile.
#[derive(Debug)]
pub(crate) struct Import {
    _lock: Lock,
    note: PathBuf,
    _held: OwnedFd,
}

impl Import {
    /// All that was made is on disk: the note is not needed any more, nor are those of killed writers of this boot.
    pub(crate) fn settled(self) {
        let _ = fs::remove_file(&self.note);
    }
}

impl Store {
    /// Begins to write: leftovers of killed writers are removed first.
    pub(crate) fn begin(&self) -> Result<Import> {
        self.drop_unsettled()?;
        let lock = self.lock("lock", FlockOperation::LockShared)?;
        self.clean()?;
        let boot = boot_id()?;
        loop {
            let note =
                self.staging().join(format!("{NOTE}{}-{:016x}", std::process::id(), random()));
            let Some(held) = claim_file(&note)? else { continue };
            rustix::io::write(&held, boot.as_bytes())
                .map_err(|errno| Error::system("write", &note, errno))?;
            return Ok(Import { _lock: lock, note, _held: held });
        }
    }

    /// Removes what killed writers left: what nobody has locked.
    fn clean(&self) -> Result<()> {
        let staging = self.staging();
        let failed = |error| Error::system("clean", &staging, error);
        for entry in fs::read_dir(&staging).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if is_note(&path) || begins(&path, "blob-") {
                // Notes matter until a sync, or for the next boot; what came of a blob is gone on with.
                continue;
            }
            if let Some(_alone) = alone(&path) {
                beneath::remove_tree(&path)
                    .map_err(|error| Error::system("remove", &path, error))?;
            }
        }
        Ok(())
    }

    /// After a power cut: what no image names may be empty, and goes.
    fn drop_unsettled(&self) -> Result<()> {
        let boot = boot_id()?;
        let old: Vec<PathBuf> = self
            .notes()?
            .into_iter()
            .filter(|note| {
                fs::read_to_string(note).is_ok_and(|written| written != boot && !written.is_empty())
            })
            .collect();
        if old.is_empty() {
            return Ok(());
        }
        let _alone = self.lock("lock", FlockOperation::LockExclusive)?;
        self.sweep()?;
        for note in old {
            let _ = fs::remove_file(note);
        }
        Ok(())
    }

    /// Notes of writers of this boot that are gone: a sync has settled what they made.
    pub(crate) fn settle_others(&self) -> Result<()> {
        for note in self.notes()? {
            if alone(&note).is_some() {
                let _ = fs::remove_file(note);
            }
        }
        Ok(())
    }

    fn notes(&self) -> Result<Vec<PathBuf>> {
        let staging = self.staging();
        let entries =
            fs::read_dir(&staging).map_err(|error| Error::system("read", &staging, error))?;
        Ok(entries.flatten().map(|entry| entry.path()).filter(|path| is_note(path)).collect())
    }
}

fn is_note(path: &Path) -> bool {
    begins(path, NOTE)
}

fn begins(path: &Path, with: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(with))
}

/// The lock of something in `staging`, if nobody else has it.
fn alone(path: &Path) -> Option<Box<dyn Send>> {
    let status = fs::symlink_metadata(path).ok()?;
    if status.is_dir() {
        return Hold::alone(path).ok().map(|hold| Box::new(hold) as _);
    }
    let file = File::open(path).ok()?;
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    locked.ok().map(|()| Box::new(file) as _)
}

/// Makes a file, or takes what a killed writer left of it, and locks it; waits for a writer that lives.
///
/// `None`: it was removed or renamed meanwhile, and the caller looks again.
pub(super) fn claim_file(path: &Path) -> Result<Option<OwnedFd>> {
    let failed = |error: io::Error| Error::system("make", path, error);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| failed(errno.into()))?;
    loop {
        match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => break,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    let held = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
    let same = rustix::fs::stat(path)
        .is_ok_and(|there| (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino));
    Ok(same.then_some(file))
}

/// As [`claim_file`], for a directory; it is empty afterwards.
pub(crate) fn claim_directory(path: &Path) -> Result<Option<Hold>> {
    let failed = |error: io::Error| Error::system("make", path, error);
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed(errno.into())),
    }
    match Hold::alone_patiently(path) {
        Ok(hold) => Ok(Some(hold)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn boot_id() -> Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    fs::read_to_string(path).map_err(|error| Error::system("read", path, error))
}

/// A number for names that others are not likely to take; they are claimed all the same.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
