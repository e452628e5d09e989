//! Where systems are: names of directories, who is there, what is left, and the burial of those whose supervisor died.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hostcompute_engine::compute::{Debt, Fault, Remains};
use hostcompute_supervisor::cgroup::Group;
use hostcompute_supervisor::directory;
use hostcompute_supervisor::message::{Cause, Exit, Moment};
use rustix::fs::FlockOperation;
use serde_json::{Value, json};

use super::{fault, translate};

/// Directories of systems that are about to be. Who makes one holds it (a shared lock) until the directory is in its place.
const MAKING: &str = "making";

/// The text that is kept for everybody, and the lock of who changes it.
pub(super) const KEPT: &str = "kept";
pub(super) const KEPT_LOCK: &str = "kept.lock";

/// Unix sockets that are mapped as pipes.
pub(super) const PIPES: &str = "pipes";

/// How long a supervisor that was killed may hold its lock.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What is remembered of a system from before it is made (`system.json`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub id: String,
    pub record: String,
    pub group: Option<String>,
    /// The disk of the scratch, by its numbers.
    pub disk: Option<(u32, u32)>,
}

impl Stored {
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let value =
            json!({ "Id": self.id, "Record": self.record, "Group": self.group, "Disk": self.disk });
        directory::write(&directory.join(directory::SYSTEM), &value)
    }

    fn read(directory: &Path) -> io::Result<Self> {
        let value: Value = directory::read(&directory.join(directory::SYSTEM))?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "its record is incomplete");
        Ok(Self {
            id: text("Id").ok_or_else(missing)?,
            record: text("Record").ok_or_else(missing)?,
            group: text("Group"),
            disk: value.get("Disk").and_then(|disk| {
                let number = |place| u32::try_from(disk.get(place)?.as_u64()?).ok();
                Some((number(0_usize)?, number(1_usize)?))
            }),
        })
    }
}

/// Makes the directories below the runtime directory.
pub(super) fn prepare(runtime: &Path) -> io::Result<()> {
    let make = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    fs::DirBuilder::new().recursive(true).mode(0o755).create(runtime)?;
    [directory::SYSTEMS, directory::EXITED, MAKING]
        .into_iter()
        .try_for_each(|name| make(&runtime.join(name)))
}

/// Whether somebody died unseen, or something is still to be taken back of somebody who ended: whether it is worth while to look closer.
/// Nothing is made or changed; where there never was a system, there is nothing.
pub(super) fn has_business(runtime: &Path) -> bool {
    let any = |name: &str, holds: fn(&Path) -> bool| {
        let entries = fs::read_dir(runtime.join(name)).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).any(|path| holds(&path))
    };
    any(directory::EXITED, |path| path.join(directory::OWES).exists())
        || any(directory::SYSTEMS, |path| matches!(directory::is_alive(path), Ok(false)))
        || any(MAKING, |_| true)
}

/// All systems of a runtime directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'r> {
    runtime: &'r Path,
}

impl<'r> Place<'r> {
    pub(super) fn new(runtime: &'r Path) -> Self {
        Self { runtime }
    }

    /// Where the system with this id is, or would be.
    pub(super) fn directory(self, id: &str) -> PathBuf {
        self.runtime.join(directory::SYSTEMS).join(file_name(id))
    }

    /// A directory for a system that is about to be; nobody looks at it there, and nobody clears it away before the file is closed.
    pub(super) fn fresh(self) -> io::Result<(PathBuf, File)> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let making = self.runtime.join(MAKING);
        let hold = File::open(&making)?;
        rustix::fs::flock(&hold, FlockOperation::LockShared)?;
        let path = making.join(format!("{}-{number}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok((path, hold))
    }

    /// Forgets a system that could not be made: in one step, then what is left of it.
    pub(super) fn remove(self, directory: &Path) -> io::Result<()> {
        remove_group(directory)?;
        let (place, _hold) = self.fresh()?;
        fs::rename(directory, &place)?;
        fs::remove_dir_all(place)
    }

    /// Removes what those left who died while they made a directory. Not while anybody makes one: the next look will do.
    fn clear_making(self) -> io::Result<()> {
        let making = self.runtime.join(MAKING);
        if fs::read_dir(&making)?.next().is_none() {
            return Ok(());
        }
        let hold = File::open(&making)?;
        if rustix::fs::flock(&hold, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(());
        }
        for entry in fs::read_dir(&making)? {
            fs::remove_dir_all(entry?.path())?;
        }
        Ok(())
    }

    /// The directory of a system that has not ended.
    pub(super) fn find(self, id: &str) -> Result<PathBuf, Fault> {
        let directory = self.directory(id);
        let same = Stored::read(&directory)
            .is_ok_and(|stored| stored.id.to_lowercase() == id.to_lowercase());
        if same && is_alive(&directory) { Ok(directory) } else { Err(fault::no_system(id)) }
    }

    /// The newest remains of a system.
    pub(super) fn find_remains(self, id: &str) -> Option<PathBuf> {
        let found = directory::remains(&self.runtime.join(directory::EXITED)).ok()?;
        let of_it = |path: &PathBuf| {
            Stored::read(path).is_ok_and(|stored| stored.id.to_lowercase() == id.to_lowercase())
        };
        found.into_iter().rev().map(|(_, path)| path).find(of_it)
    }

    /// The ids of those that live; those that died unseen are buried.
    pub(super) fn list(self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        self.clear_making()?;
        for entry in fs::read_dir(self.runtime.join(directory::SYSTEMS))? {
            let directory = entry?.path();
            if is_alive(&directory) {
                // Ended between the two looks.
                found.extend(Stored::read(&directory).ok().map(|stored| stored.id));
            }
        }
        Ok(found)
    }

    /// Those of which something is still to be taken back.
    pub(super) fn owing(self) -> io::Result<Vec<Debt>> {
        let found = directory::remains(&self.runtime.join(directory::EXITED))?;
        let read = |path: &Path| -> io::Result<Debt> {
            let owes = fs::read_to_string(path.join(directory::OWES))?;
            let Stored { id, record, .. } = Stored::read(path)?;
            Ok(Debt { id, owes, record })
        };
        Ok(found.iter().filter_map(|(_, path)| read(path).ok()).collect())
    }

    /// What one of those owed was taken back.
    pub(super) fn settle(self, id: &str, owes: &str) -> io::Result<()> {
        let strike = |place: &Path| {
            let note = place.join(directory::OWES);
            let is_that = fs::read_to_string(&note).is_ok_and(|text| text == owes);
            match if is_that { fs::remove_file(note) } else { Ok(()) } {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        };
        // First where it is as long as nobody has buried it; somebody may do that just now.
        strike(&self.directory(id))?;
        let name = file_name(id);
        let ended = directory::remains(&self.runtime.join(directory::EXITED))?;
        let of_it = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem == name.as_str());
        ended.into_iter().map(|(_, path)| path).filter(of_it).try_for_each(|place| strike(&place))
    }

    /// What is left of those that have ended, the newest first.
    pub(super) fn remains(self) -> io::Result<Vec<Remains>> {
        let found = directory::remains(&self.runtime.join(directory::EXITED))?;
        let read = |path: &Path| -> io::Result<Remains> {
            let stored = Stored::read(path)?;
            let exit: Exit = directory::read(&path.join(directory::EXIT))?;
            Ok(Remains {
                id: stored.id,
                record: stored.record,
                end: translate::end(&exit),
                at: translate::moment(exit.at),
            })
        };
        // Those of which nothing is known are of no use to anybody.
        Ok(found.iter().rev().filter_map(|(_, path)| read(path).ok()).collect())
    }
}

/// What the service wants to find again.
pub(super) fn record(directory: &Path) -> io::Result<String> {
    Stored::read(directory).map(|stored| stored.record)
}

/// The disk that a system's limits are about.
pub(super) fn disk(directory: &Path) -> Option<(u32, u32)> {
    Stored::read(directory).ok()?.disk
}

/// Whether a system's supervisor lives; one that does not is buried.
fn is_alive(directory: &Path) -> bool {
    match directory::is_alive(directory) {
        Ok(true) => true,
        Ok(false) => {
            if let Err(error) = bury(directory) {
                tracing::warn!(%error, directory = %directory.display(), "a compute system could not be cleaned up");
            }
            false
        }
        // Gone.
        Err(_) => false,
    }
}

/// Cleans up after a supervisor that died: whoever is left is killed, and its name is free.
pub(super) fn bury(directory: &Path) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    let lock = loop {
        match directory::lock_existing(directory) {
            Ok(lock) => break lock,
            // Somebody else has buried it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // It is about to end, or somebody else is at it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    };
    remove_group(directory)?;
    let exit = directory.join(directory::EXIT);
    if !exit.exists() {
        let died = Exit { cause: Cause::WorkerDied, out_of_memory: false, at: Moment::now() };
        directory::write(&exit, &died)?;
    }
    directory::retire(directory)?;
    drop(lock);
    Ok(())
}

fn remove_group(directory: &Path) -> io::Result<()> {
    let Some(group) = Stored::read(directory).ok().and_then(|stored| stored.group) else {
        return Ok(());
    };
    let group = Group::new(&group)?;
    group.kill()?;
    group.remove()
}

/// A file name for an id, the same for all that differ in case alone: the id itself where it can be one.
pub(super) fn file_name(id: &str) -> String {
    let id = id.to_lowercase();
    let fits = (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && !id.starts_with('.')
        && !id.starts_with("x-");
    if fits { id } else { format!("x-{:016x}", hash(&id)) }
}

/// FNV-1a: the same in every process and version.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_file_names_where_they_can_be() {
        assert_eq!(file_name("Web-1"), "web-1");
        for id in ["", ".", "..", "a/b", "x-1", "ä", &"a".repeat(65)] {
            let name = file_name(id);
            assert_eq!(name.len(), 18, "{id}");
            assert!(name.starts_with("x-"), "{id}");
        }
        assert_eq!(file_name("A/B"), file_name("a/b"));
        assert_ne!(file_name("a/b"), file_name("a/c"));
    }
}
