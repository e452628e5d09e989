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
//! An operation that could not be taken back in the file, because it cannot be written for now, is `owed`. A file that is damaged
//! while somebody works on it is written anew from memory on demand (`rewrite`).
//!
//! The done-mark costs no transaction of its own. A process that dies before it is written leaves a pending row; the next
//! start compares the machine with the state, which is right whether the plan had been performed, half performed or not at all.
//!
//! `sqlite` holds the SQL, `saved` the format, `lock` the one-process rule. Nothing else knows any of the three.

mod lock;
mod owed;
mod rewrite;
mod saved;
mod sqlite;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hostcompute_engine::{Change, Record};
use hostcompute_schema::{Failure, HResult};

use crate::remembered::{self, Note};
use lock::DirectoryLock;
use owed::Owed;
use saved::{SavedBefore, SavedObject, SavedPending};
pub use sqlite::Durability;
use sqlite::{Database, Write};

/// File name of the database inside the state directory.
const DATABASE: &str = "state.sqlite";

/// File name of its log.
const LOG: &str = "state.sqlite-wal";

/// Under which name the number of notifications is kept between two processes.
const EVENTS: &str = "events";

/// After how many remembered answers the old ones are forgotten.
const FORGET_EACH: usize = 64;

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
    /// What the pending row holds, where this process knows it.
    current: Option<SavedPending>,
    /// What is to be written, and could not be yet.
    owed: Option<Owed>,
    /// How many notifications there ever were.
    events: u64,
    /// Answers remembered since the old ones were last forgotten.
    notes: usize,
    // Last, so that the database is closed before the next process is let in.
    lock: DirectoryLock,
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

    fn write(&self, write: &Write<'_>) -> rusqlite::Result<()> {
        write.set_meta("boot", &self.boot)?;
        write.set_meta("host", &self.host)?;
        write.set_meta("place", &self.place)
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
        let counted = database.meta(EVENTS)?.and_then(|number| number.parse().ok()).unwrap_or(0);
        let under_way = database.pending()?.map_or(0, |pending| pending.events);
        Ok(Self {
            database,
            directory: directory.to_owned(),
            finished: false,
            unsettled: false,
            current: None,
            owed: None,
            events: counted.max(under_way),
            // The first answer forgets what an earlier process kept too long.
            notes: FORGET_EACH,
            lock,
        })
    }

    /// Tells those who come for the state directory on which socket they are served instead.
    ///
    /// # Errors
    /// HCN_E_REGKEY_FAILURE when the lock's file cannot be written.
    pub fn serve_at(&mut self, socket: &Path) -> Result<(), Failure> {
        let path = self.directory.join("lock");
        self.lock.serve_at(socket).map_err(|error| io_failure("write", &path, &error))
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
        self.understood(match &self.owed {
            Some(owed) => owed.applied(objects),
            None => objects,
        })
    }

    /// All objects as they were before the pending operation.
    ///
    /// # Errors
    /// As [`Self::records`].
    pub(crate) fn records_before(&self) -> Result<Vec<Record>, Failure> {
        let objects = self.database.objects()?;
        self.understood(match self.database.pending()? {
            Some(pending) => Owed::taking_back(pending).applied(objects),
            None => objects,
        })
    }

    fn understood(&self, objects: Vec<SavedObject>) -> Result<Vec<Record>, Failure> {
        let unreadable = |reason: String| sqlite::damaged(self.database.path(), &reason);
        objects.into_iter().map(|object| object.into_record().map_err(unreadable)).collect()
    }

    /// What was under way when the last process ended without saying goodbye.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn pending(&self) -> Result<Option<String>, Failure> {
        if let Some(owed) = &self.owed {
            return Ok(Some(owed.pending.operation.clone()));
        }
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

    /// How many notifications there ever were: numbers begin with 1 and go on where the last process ended.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The answer that was given to a request with this key.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn reply(&self, uid: u32, key: &str) -> Result<Option<Note>, Failure> {
        if self.owed.as_ref().is_some_and(|owed| owed.forgets(uid, key)) {
            return Ok(None);
        }
        self.database.reply(uid, key)
    }

    /// Writes the new rows of an operation together with the means to take them back.
    ///
    /// # Errors
    /// The file cannot be written; nothing of the operation is in it then.
    pub(crate) fn begin<'a>(
        &mut self,
        entry: &Entry<'_>,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), Failure> {
        self.write_pending(entry, changes, None)
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
        self.write_pending(&Entry::of(operation, Durability::Disk), changes, Some(identity))
    }

    fn write_pending<'a>(
        &mut self,
        entry: &Entry<'_>,
        changes: impl IntoIterator<Item = &'a Change>,
        identity: Option<&Identity>,
    ) -> Result<(), Failure> {
        let events = self.events + entry.events;
        let durability = if self.owed.is_some() { Durability::Disk } else { entry.durability };
        let forget = self.notes >= FORGET_EACH && !entry.notes.is_empty();
        let saved = self.database.write(durability, |write| {
            if let Some(owed) = &self.owed {
                owed.write(write)?;
            }
            let mut before = Vec::new();
            for change in changes {
                before.push(write_change(write, change)?);
            }
            if let Some(identity) = identity {
                identity.write(write)?;
            }
            let now = seconds_now();
            if forget {
                write.forget_replies(now.saturating_sub(remembered::LONGEST), remembered::MOST)?;
            }
            let mut replies = Vec::new();
            for note in entry.notes {
                write.put_reply(note, now)?;
                replies.push((note.uid, note.key.clone()));
            }
            let operation = entry.operation.to_owned();
            let saved = SavedPending { operation, before, replies, events };
            write.set_pending(Some(&saved))?;
            Ok(saved)
        })?;
        self.notes = if forget { 0 } else { self.notes + entry.notes.len() };
        self.current = Some(saved);
        self.owed = None;
        self.finished = false;
        Ok(())
    }

    /// The operation is through, and its notifications are told. The mark reaches the file with the next transaction or when the
    /// store is dropped.
    pub(crate) fn done(&mut self) {
        self.finished = true;
        if let Some(current) = &self.current {
            self.events = current.events;
        }
    }

    /// Writes the rows of the pending operation back as they were. Where that fails it is owed: rows are read as if it had been
    /// done, and [`Self::repay`] or the next [`Self::begin`] does it.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn revert(&mut self, durability: Durability) -> Result<(), Failure> {
        let pending = match self.current.take() {
            Some(pending) => pending,
            None => match self.database.pending()? {
                Some(pending) => pending,
                None => return Ok(()),
            },
        };
        self.pay(Owed::taking_back(pending), durability)
    }

    /// As [`Self::begin_on`] and [`Self::done`], as soon as the file can be written.
    pub(crate) fn owe(&mut self, identity: &Identity, operation: &str, changes: &[Change]) {
        self.owed = Some(Owed::making(operation, changes, identity, self.events));
    }

    /// Does what is owed.
    ///
    /// # Errors
    /// The file still cannot be written.
    pub(crate) fn repay(&mut self) -> Result<(), Failure> {
        let Some(owed) = self.owed.take() else { return Ok(()) };
        self.pay(owed, Durability::Disk)?;
        self.done();
        Ok(())
    }

    fn pay(&mut self, owed: Owed, durability: Durability) -> Result<(), Failure> {
        let operation = owed.pending.operation.clone();
        let (before, replies) = (Vec::new(), Vec::new());
        // Its notifications were never told: their numbers are free.
        let rest = SavedPending { operation, before, replies, events: self.events };
        let written = self.database.write(durability, |write| {
            owed.write(write)?;
            write.set_pending(Some(&rest))
        });
        match written {
            Ok(()) => self.current = Some(rest),
            Err(_) => self.owed = Some(owed),
        }
        written
    }

    /// A text that is kept beside the objects.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn named(&self, name: &str) -> Result<Option<String>, Failure> {
        self.database.meta(name)
    }

    /// Keeps a text beside the objects, safe against a power cut.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn set_named(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        self.database.write(Durability::Disk, |write| write.set_meta(name, text))
    }

    /// Says whether the machine agrees with the rows. While it does not, every start compares the two again.
    pub(crate) fn settled(&mut self, settled: bool) {
        self.unsettled = !settled;
    }

    /// Whether the last operation is through.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether the machine was said not to agree with the rows.
    pub(crate) fn is_settled(&self) -> bool {
        !self.unsettled
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What cannot be repaid is found pending at the next start.
        if self.repay().is_ok() && self.finished {
            let (before, replies, events) = (Vec::new(), Vec::new(), self.events);
            let again = SavedPending { operation: REPAIR.to_owned(), before, replies, events };
            let mark = self.unsettled.then_some(&again);
            // Without the mark the next start only compares once more than it must.
            let _ = self.database.write(Durability::Process, |write| {
                write.set_meta(EVENTS, &events.to_string())?;
                write.set_pending(mark)
            });
        }
        // A log that stays long costs the next start some time, nothing else.
        let _ = self.database.tidy();
    }
}

/// What one transaction is about, beside the changes.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// For people.
    pub operation: &'a str,
    /// Answers to remember.
    pub notes: &'a [Note],
    /// How many notifications the operation brings.
    pub events: u64,
    pub durability: Durability,
}

impl<'a> Entry<'a> {
    /// An operation that brings nothing but changes.
    pub fn of(operation: &'a str, durability: Durability) -> Self {
        Self { operation, notes: &[], events: 0, durability }
    }
}

/// Size of the files of the state in a directory, in bytes.
pub(crate) fn size(directory: &Path) -> u64 {
    let of = |name: &str| std::fs::metadata(directory.join(name)).map_or(0, |file| file.len());
    of(DATABASE) + of(LOG)
}

fn seconds_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |duration| duration.as_secs())
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
    let failed = |code| Failure::new(code, format!("cannot {verb} {}", path.display()));
    let failure = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            failed(HResult::E_ACCESSDENIED)
                .hint("run as root, or give a --state-dir that you may write")
        }
        _ => failed(HResult::HCN_E_REGKEY_FAILURE),
    };
    failure.because(error)
}

#[cfg(test)]
mod tests;
