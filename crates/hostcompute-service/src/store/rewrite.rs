//! A damaged file is written anew from memory, by who still has it in memory.
//!
//! The new file is complete and on disk before it takes the old one's name; the old one is kept beside it. The old log goes first, for
//! it must never be read as the log of the new file: a process that dies in between leaves the damaged file without its log, which
//! the next start refuses as damaged, too.

use std::fs;
use std::path::{Path, PathBuf};

use hostcompute_engine::Record;
use hostcompute_schema::Failure;

use super::sqlite::Database;
use super::{DATABASE, Durability, EVENTS, Identity, LOG, Store, io_failure};
use crate::management;

/// Where the new file is written.
const FRESH: &str = "state.sqlite.new";
const FRESH_LOG: &str = "state.sqlite.new-wal";

/// Where the damaged file and its log are kept.
const DAMAGED: &str = "state.sqlite.damaged";
const DAMAGED_LOG: &str = "state.sqlite.damaged-wal";

impl Store {
    /// Puts a new file with these objects in the place of the damaged one; where that is kept now. Remembered answers are lost
    /// where they cannot be read.
    ///
    /// # Errors
    /// The new file cannot be written; everything is as before.
    pub(crate) fn rewrite(
        &mut self,
        records: impl IntoIterator<Item = Record>,
        identity: &Identity,
    ) -> Result<PathBuf, Failure> {
        let place = |name: &str| self.directory.join(name);
        let answers = self.database.replies().unwrap_or_default();
        let addresses = self.named(management::NAME).unwrap_or_default();
        remove(&place(FRESH))?;
        remove(&place(FRESH_LOG))?;
        let mut fresh = Database::open(&place(FRESH))?;
        fresh.write(Durability::Disk, |write| {
            for record in records {
                write.put(record.kind.as_str(), &record.id.to_string(), &record.body)?;
            }
            for (note, at) in &answers {
                write.put_reply(note, *at)?;
            }
            write.set_meta(EVENTS, &self.events.to_string())?;
            if let Some(text) = &addresses {
                write.set_meta(management::NAME, text)?;
            }
            identity.write(write)
        })?;
        fresh.fold()?;
        drop(fresh);
        let kept = place(DAMAGED);
        self.database.leave()?;
        let moved = rename(&place(LOG), &place(DAMAGED_LOG))
            .and_then(|()| link(&place(DATABASE), &kept))
            .and_then(|()| rename(&place(FRESH), &place(DATABASE)))
            .and_then(|()| remove(&place(FRESH_LOG)))
            .and_then(|()| settle(&self.directory));
        self.database = Database::open(&place(DATABASE))?;
        moved?;
        (self.current, self.owed, self.finished) = (None, None, true);
        Ok(kept)
    }
}

/// Waits until the names are on disk.
fn settle(directory: &Path) -> Result<(), Failure> {
    let settled = fs::File::open(directory).and_then(|directory| directory.sync_all());
    settled.map_err(|error| io_failure("write", directory, &error))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io_failure("remove", path, &error))
        }
        _ => Ok(()),
    }
}

/// Moves a file; one that is not there need not be moved.
fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io_failure("move", from, &error))
        }
        _ => Ok(()),
    }
}

/// Gives a file a second name, in the place of whatever had it.
fn link(file: &Path, name: &Path) -> Result<(), Failure> {
    remove(name)?;
    fs::hard_link(file, name).map_err(|error| io_failure("keep", file, &error))
}
