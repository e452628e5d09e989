//! What is remembered: the objects, the operation under way and the machine they belong to.
//!
//! The life of an operation in the store:
//!
//! ```text
//!            begin (one transaction: new rows + pending row)
//!   nothing ────────────────────────────────────────────────► pending
//!      ▲                                                      │    │
//!      │        revert (one transaction: old rows)            │    │ done (in memory only)
//!      ├──────────────────────────────────────────────────────┘    ▼
//!      └─────────────────────────────────────────────────────── finished
//!            the next begin, or the end of the process
//! ```
//!
//! The done-mark costs no transaction of its own. A process that dies before it is written leaves a pending row; the next
//! start compares the machine with the state, which is right whether the plan had been performed, half performed or not at all.
//!
//! `sqlite` holds the SQL, `saved` the format, `lock` the one-process rule. Nothing else knows any of the three.

mod lock;
mod saved;
mod sqlite;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hostcompute_engine::{Change, Record};
use hostcompute_schema::{Failure, HResult};

use lock::DirectoryLock;
use saved::{SavedBefore, SavedPending};
pub use sqlite::Durability;
use sqlite::{Database, Write};

/// File name of the database inside the state directory.
const DATABASE: &str = "state.sqlite";

/// The name under which a comparison is pending that no operation asked for.
pub const REPAIR: &str = "repair";

/// An open state directory. Dropping it writes the done-mark and lets the next process in.
#[derive(Debug)]
pub struct Store {
    database: Database,
    directory: PathBuf,
    /// The pending row belongs to an operation that is finished.
    finished: bool,
    /// The machine is known not to agree with the rows: the next start must compare, whatever is finished.
    unsettled: bool,
    /// An operation could not be taken back in the file: what it holds is no longer what this process believes.
    poisoned: bool,
    // Last, so that the database is closed before the next process is let in.
    _lock: DirectoryLock,
}

/// The machine (or host namespace) to which the stored facts belong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Changes with each start of the machine.
    pub boot: String,
    /// Names the host namespace within one boot.
    pub host: String,
    /// How a person names the host namespace; empty for the machine's own.
    pub place: String,
}

impl Identity {
    /// Whether facts made on one hold on the other; what a person calls it does not matter.
    pub fn same_machine(&self, other: &Self) -> bool {
        (&self.boot, &self.host) == (&other.boot, &other.host)
    }
}

impl Store {
    /// Opens the state directory, creating it when it is missing; waits at most `patience` for another process.
    ///
    /// # Errors
    /// E_ACCESSDENIED, RPC_S_SERVER_UNAVAILABLE (in use), HCN_E_REGKEY_FAILURE (damaged), ERROR_WRONG_DISK (other format).
    pub fn open(directory: &Path, patience: Duration) -> Result<Self, Failure> {
        create_directory(directory)?;
        let lock = DirectoryLock::take(directory, patience)?;
        let database = Database::open(&directory.join(DATABASE))?;
        let directory = directory.to_owned();
        Ok(Self {
            database,
            directory,
            finished: false,
            unsettled: false,
            poisoned: false,
            _lock: lock,
        })
    }

    /// Where the state lives.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// All objects, in no particular order.
    ///
    /// # Errors
    /// The file cannot be read or holds rows that this program does not understand.
    pub fn records(&self) -> Result<Vec<Record>, Failure> {
        let objects = self.database.objects()?;
        let unreadable = |reason: String| sqlite::damaged(self.database.path(), &reason);
        objects.into_iter().map(|object| object.into_record().map_err(unreadable)).collect()
    }

    /// What was under way when the last process ended without saying goodbye.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn pending(&self) -> Result<Option<String>, Failure> {
        if self.finished {
            return Ok(None);
        }
        Ok(self.database.pending()?.map(|pending| pending.operation))
    }

    /// Checks the whole file, after an unclean end.
    ///
    /// # Errors
    /// HCN_E_REGKEY_FAILURE with the first finding.
    pub fn verify(&self) -> Result<(), Failure> {
        self.database.verify()
    }

    /// The machine that the objects were last realised on.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn identity(&self) -> Result<Option<Identity>, Failure> {
        let Some(boot) = self.database.meta("boot")? else { return Ok(None) };
        let host = self.database.meta("host")?.unwrap_or_default();
        let place = self.database.meta("place")?.unwrap_or_default();
        Ok(Some(Identity { boot, host, place }))
    }

    /// Writes the new rows of an operation together with the means to take them back.
    ///
    /// # Errors
    /// The file cannot be written; nothing of the operation is in it then.
    pub(crate) fn begin(
        &mut self,
        operation: &str,
        changes: &[Change],
        durability: Durability,
    ) -> Result<(), Failure> {
        self.write_pending(operation, changes, None, durability)
    }

    /// As [`Self::begin`], and from now on the objects belong to `identity`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn begin_on(
        &mut self,
        identity: &Identity,
        operation: &str,
        changes: &[Change],
    ) -> Result<(), Failure> {
        self.write_pending(operation, changes, Some(identity), Durability::Disk)
    }

    fn write_pending(
        &mut self,
        operation: &str,
        changes: &[Change],
        identity: Option<&Identity>,
        durability: Durability,
    ) -> Result<(), Failure> {
        if self.poisoned {
            let why = "the journal could not be written when an operation was taken back";
            return Err(Failure::new(HResult::HCN_E_REGKEY_FAILURE, why).hint(
                "start anew: the next start compares the journal with the host and puts both right",
            ));
        }
        self.database.write(durability, |write| {
            let mut before = Vec::with_capacity(changes.len());
            for change in changes {
                before.push(write_change(write, change)?);
            }
            if let Some(identity) = identity {
                write.set_meta("boot", &identity.boot)?;
                write.set_meta("host", &identity.host)?;
                write.set_meta("place", &identity.place)?;
            }
            write.set_pending(Some(&SavedPending { operation: operation.to_owned(), before }))
        })?;
        self.finished = false;
        Ok(())
    }

    /// The operation is through. The mark reaches the file with the next transaction or when the store is dropped.
    pub(crate) fn done(&mut self) {
        self.finished = true;
    }

    /// Writes the rows of the pending operation back as they were.
    ///
    /// # Errors
    /// The file cannot be read or written; the operation is pending still.
    pub(crate) fn revert(&mut self, durability: Durability) -> Result<(), Failure> {
        let reverted = self.write_back(durability);
        self.poisoned |= reverted.is_err();
        reverted
    }

    fn write_back(&mut self, durability: Durability) -> Result<(), Failure> {
        let Some(pending) = self.database.pending()? else { return Ok(()) };
        let rest = SavedPending { operation: pending.operation.clone(), before: Vec::new() };
        self.database.write(durability, |write| {
            for row in pending.before.iter().rev() {
                match &row.body {
                    Some(body) => write.put(&row.kind, &row.id, body)?,
                    None => write.delete(&row.kind, &row.id)?,
                }
            }
            write.set_pending(Some(&rest))
        })
    }

    /// Says whether the machine agrees with the rows. While it does not, every start compares the two again.
    pub(crate) fn settled(&mut self, settled: bool) {
        self.unsettled = !settled;
    }

    /// Whether the machine was said not to agree with the rows.
    pub(crate) fn is_settled(&self) -> bool {
        !self.unsettled
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.finished {
            let again = SavedPending { operation: REPAIR.to_owned(), before: Vec::new() };
            let mark = self.unsettled.then_some(&again);
            // Without the mark the next start only compares once more than it must.
            let _ = self.database.write(Durability::Process, |write| write.set_pending(mark));
        }
        // A log that stays long costs the next start some time, nothing else.
        let _ = self.database.tidy();
    }
}

/// Carries out one change and returns what was there before.
fn write_change(write: &Write<'_>, change: &Change) -> rusqlite::Result<SavedBefore> {
    let (kind, id) = change.subject();
    let (kind, id) = (kind.as_str().to_owned(), id.to_string());
    let body = write.body(&kind, &id)?;
    match change {
        Change::Put(object) => write.put(&kind, &id, &object.record().body)?,
        Change::Delete(..) => write.delete(&kind, &id)?,
    }
    Ok(SavedBefore { kind, id, body })
}

fn create_directory(directory: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    if directory.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| io_failure("create the state directory", directory, &error))
}

/// A failure of the file system, in words that name the path.
fn io_failure(verb: &str, path: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot {verb} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Failure::new(HResult::E_ACCESSDENIED, message)
                .hint("run as root, or give a --state-dir that you may write")
        }
        _ => Failure::new(HResult::HCN_E_REGKEY_FAILURE, message),
    }
}

#[cfg(test)]
mod tests;
