//! All SQL of the project: four small tables in one SQLite file, in WAL mode, through one connection.
//!
//! `object` holds what exists, `pending` at most one operation whose plan may be unperformed, `reply` the answers to requests that
//! had a key, `meta` a few named texts.
//! Another store would replace this file and nothing else.
//!
//! `synchronous` is set per transaction: FULL waits for the disk, NORMAL leaves the data in the page cache, which survives the
//! death of the process but not a power cut. Commits stay ordered either way: a FULL commit carries all earlier ones to disk.
//! `locking_mode=EXCLUSIVE` keeps the WAL index in memory instead of a shared file; the directory lock already admits one process.

use std::path::{Path, PathBuf};

use hostcompute_schema::{Failure, HResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};

use super::saved::{APPLICATION, FIRST_FORMAT, FORMAT, SavedObject, SavedPending};
use crate::remembered::Note;

/// How far a commit must have got before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// In the page cache: safe against the death of the process. For what a reboot drops anyway.
    Process,
    /// On disk: safe against a power cut.
    Disk,
}

/// The open database.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    path: PathBuf,
    durability: Durability,
}

/// Pages of the log after which a commit folds it into the database. That waits for the disk twice, so it must be rare among the
/// operations of a long run: here one of a thousand.
const MOST_PAGES: i64 = 4096;

/// How the failure to open a file is told.
const OPEN: &str = "open";

/// A log longer than this is folded in when the store is closed, so that the next start need not read it.
const LONG_LOG: u64 = 1 << 20;

const TABLES: &str = "
    CREATE TABLE object (
        kind TEXT NOT NULL,
        id   TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (kind, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE pending (
        id   INTEGER PRIMARY KEY,
        text TEXT NOT NULL
    ) STRICT;
    CREATE TABLE meta (
        name  TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;";

/// What format 2 added.
const REPLIES: &str = "
    CREATE TABLE reply (
        uid    INTEGER NOT NULL,
        key    TEXT NOT NULL,
        digest TEXT NOT NULL,
        answer TEXT NOT NULL,
        at     INTEGER NOT NULL,
        PRIMARY KEY (uid, key)
    ) STRICT, WITHOUT ROWID;";

impl Database {
    /// Opens or creates the database file at `path`.
    ///
    /// # Errors
    /// The file cannot be opened, is not ours, is damaged (HCN_E_REGKEY_FAILURE) or of another format (ERROR_WRONG_DISK).
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let refuse = |error| sql_failure(OPEN, path, error);
        let connection = Connection::open(path).map_err(refuse)?;
        connection.set_prepared_statement_cache_capacity(32);
        // Before anything is read: afterwards the shared index would be made first.
        connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE").map_err(refuse)?;
        let found = identify(&connection, path)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;
                 PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;",
            )
            .map_err(refuse)?;
        // Too much for the end of every short command; `tidy` does it when it is worth it.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(refuse)?;
        connection.pragma_update(None, "wal_autocheckpoint", MOST_PAGES).map_err(refuse)?;
        let mut database =
            Self { connection, path: path.to_owned(), durability: Durability::Process };
        match found {
            Found::Nothing => database.write(Durability::Disk, |write| write.create_tables())?,
            Found::First => database.write(Durability::Disk, |write| write.add_replies())?,
            Found::Ours => {}
        }
        Ok(database)
    }

    /// All objects, in no particular order.
    pub fn objects(&self) -> Result<Vec<SavedObject>, Failure> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT kind, id, body FROM object")?;
            statement.query_map([], saved_object)?.collect()
        })
    }

    /// The operation that was under way when the last transaction was written, if there is one.
    pub fn pending(&self) -> Result<Option<SavedPending>, Failure> {
        let text: Option<String> = self.read(|connection| {
            connection
                .prepare_cached("SELECT text FROM pending")?
                .query_row([], |row| row.get(0))
                .optional()
        })?;
        text.map(|text| SavedPending::from_text(&text))
            .transpose()
            .map_err(|reason| damaged(&self.path, &format!("the pending operation: {reason}")))
    }

    /// A named text.
    pub fn meta(&self, name: &str) -> Result<Option<String>, Failure> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
                .optional()
        })
    }

    /// Reads every page and index entry from the disk; meant for the rare starts after an unclean end, and for people who ask.
    ///
    /// # Errors
    /// HCN_E_REGKEY_FAILURE with SQLite's first finding.
    pub fn verify(&self) -> Result<(), Failure> {
        let finding: String = self.read(|connection| {
            // What is in memory would be found sound whatever the disk holds.
            connection.execute_batch("PRAGMA shrink_memory")?;
            connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        })?;
        if finding == "ok" { Ok(()) } else { Err(damaged(&self.path, &finding)) }
    }

    /// The answer to a request that had a key.
    pub fn reply(&self, uid: u32, key: &str) -> Result<Option<Note>, Failure> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT digest, answer FROM reply WHERE uid = ?1 AND key = ?2")?
                .query_row((uid, key), |row| {
                    let key = key.to_owned();
                    Ok(Note { uid, key, digest: row.get(0)?, answer: row.get(1)? })
                })
                .optional()
        })
    }

    /// All remembered answers, each with its time.
    pub fn replies(&self) -> Result<Vec<(Note, u64)>, Failure> {
        self.read(|connection| {
            let mut statement =
                connection.prepare("SELECT uid, key, digest, answer, at FROM reply")?;
            let note = |row: &Row<'_>| {
                let note = Note {
                    uid: row.get(0)?,
                    key: row.get(1)?,
                    digest: row.get(2)?,
                    answer: row.get(3)?,
                };
                Ok((note, u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0)))
            };
            statement.query_map([], note)?.collect()
        })
    }

    /// Lets go of the file, so that another can take its name. Nothing can be read or written until it is opened again.
    pub fn leave(&mut self) -> Result<(), Failure> {
        let nothing = Connection::open_in_memory()
            .map_err(|error| sql_failure("let go of", &self.path, error))?;
        self.connection = nothing;
        Ok(())
    }

    /// Folds the log into the file, so that the file is whole without it.
    pub fn fold(&self) -> Result<(), Failure> {
        self.read(|connection| connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"))
    }

    /// One transaction: all of `work` or nothing.
    pub fn write<T>(
        &mut self,
        durability: Durability,
        work: impl FnOnce(&Write<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Failure> {
        self.set_durability(durability)?;
        let transaction = || {
            self.control("BEGIN")?;
            let result = work(&Write { connection: &self.connection })?;
            self.control("COMMIT")?;
            Ok(result)
        };
        transaction().map_err(|error| {
            if !self.connection.is_autocommit() {
                // It fails only where there is nothing left to roll back.
                let _ = self.control("ROLLBACK");
            }
            sql_failure("write to", &self.path, error)
        })
    }

    /// Begins or ends a transaction, with a statement that is prepared once.
    fn control(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(drop)
    }

    /// Folds a long log into the database; a short one stays for the next process to go on with.
    pub fn tidy(&self) -> Result<(), Failure> {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        if std::fs::metadata(log).is_ok_and(|log| log.len() > LONG_LOG) {
            self.fold()?;
        }
        Ok(())
    }

    /// Lets nothing be written, or lets it again.
    #[cfg(test)]
    pub fn refuse_writing(&self, refuse: bool) {
        self.connection.pragma_update(None, "query_only", refuse).expect("set");
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn set_durability(&mut self, durability: Durability) -> Result<(), Failure> {
        if self.durability != durability {
            let level = match durability {
                Durability::Process => "PRAGMA synchronous = NORMAL",
                Durability::Disk => "PRAGMA synchronous = FULL",
            };
            let refuse = |error| sql_failure("configure", &self.path, error);
            self.connection.execute_batch(level).map_err(refuse)?;
            self.durability = durability;
        }
        Ok(())
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Failure> {
        work(&self.connection).map_err(|error| sql_failure("read", &self.path, error))
    }
}

/// The statements of one transaction.
#[derive(Debug)]
pub struct Write<'a> {
    connection: &'a Connection,
}

impl Write<'_> {
    fn create_tables(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch(TABLES)?;
        self.connection.pragma_update(None, "application_id", APPLICATION)?;
        self.add_replies()
    }

    /// Makes a file of the first format one of this format.
    fn add_replies(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch(REPLIES)?;
        self.connection.pragma_update(None, "user_version", FORMAT)
    }

    /// Remembers an answer, given `at` so many seconds since 1970.
    pub fn put_reply(&self, note: &Note, at: u64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO reply (uid, key, digest, answer, at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((note.uid, &note.key, &note.digest, &note.answer, clamp(at)))
            .map(drop)
    }

    /// Forgets one answer.
    pub fn delete_reply(&self, uid: u32, key: &str) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM reply WHERE uid = ?1 AND key = ?2")?
            .execute((uid, key))
            .map(drop)
    }

    /// Forgets answers from before a time, and the oldest of each user who has more than `most`.
    pub fn forget_replies(&self, before: u64, most: usize) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM reply WHERE at < ?1")?
            .execute([clamp(before)])?;
        self.connection
            .prepare_cached(
                "DELETE FROM reply WHERE (uid, key) IN (
                     SELECT uid, key FROM (
                         SELECT uid, key, row_number() OVER (
                             PARTITION BY uid ORDER BY at DESC, key) AS place
                         FROM reply)
                     WHERE place > ?1)",
            )?
            .execute([i64::try_from(most).unwrap_or(i64::MAX)])
            .map(drop)
    }

    /// The body of an object as it is now.
    pub fn body(&self, kind: &str, id: &str) -> rusqlite::Result<Option<String>> {
        self.connection
            .prepare_cached("SELECT body FROM object WHERE kind = ?1 AND id = ?2")?
            .query_row([kind, id], |row| row.get(0))
            .optional()
    }

    /// Writes an object.
    pub fn put(&self, kind: &str, id: &str, body: &str) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO object (kind, id, body) VALUES (?1, ?2, ?3)
                 ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            )?
            .execute([kind, id, body])
            .map(drop)
    }

    /// Deletes an object; nothing happens where there is none.
    pub fn delete(&self, kind: &str, id: &str) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM object WHERE kind = ?1 AND id = ?2")?
            .execute([kind, id])
            .map(drop)
    }

    /// Replaces the pending operation.
    pub fn set_pending(&self, pending: Option<&SavedPending>) -> rusqlite::Result<()> {
        match pending {
            Some(pending) => self
                .connection
                .prepare_cached("INSERT OR REPLACE INTO pending (id, text) VALUES (1, ?1)")?
                .execute([pending.to_text()])
                .map(drop),
            None => self.connection.prepare_cached("DELETE FROM pending")?.execute([]).map(drop),
        }
    }

    /// Sets a named text.
    pub fn set_meta(&self, name: &str, value: &str) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
            .execute([name, value])
            .map(drop)
    }
}

/// Seconds as the database keeps them.
fn clamp(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// What an opened file is.
enum Found {
    /// It has no content.
    Nothing,
    /// It is of the first format, which can be brought up to this one.
    First,
    Ours,
}

/// Checks that the file is ours and of a format that this program reads.
fn identify(connection: &Connection, path: &Path) -> Result<Found, Failure> {
    let number = |name: &str| {
        connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
            .map_err(|error| sql_failure(OPEN, path, error))
    };
    if number("schema_version")? == 0 && number("application_id")? == 0 {
        return Ok(Found::Nothing);
    }
    if number("application_id")? != i64::from(APPLICATION) {
        return Err(damaged(path, "it is a database of another program"));
    }
    let format = number("user_version")?;
    if format == i64::from(FIRST_FORMAT) {
        return Ok(Found::First);
    }
    if format != i64::from(FORMAT) {
        let message = format!(
            "the state in {} has format {format}, this program reads format {FORMAT}",
            path.display()
        );
        return Err(Failure::new(HResult::ERROR_WRONG_DISK, message).hint(
            "export it with the program that wrote it (hc state export) and import it with this one",
        ));
    }
    Ok(Found::Ours)
}

fn saved_object(row: &Row<'_>) -> rusqlite::Result<SavedObject> {
    Ok(SavedObject { kind: row.get(0)?, id: row.get(1)?, body: row.get(2)? })
}

/// What the client is told when the file cannot be trusted.
pub fn damaged(path: &Path, finding: &str) -> Failure {
    let message = format!("the state file {} is damaged: {finding}", path.display());
    Failure::new(HResult::HCN_E_REGKEY_FAILURE, message).hint(
        "a service that runs still knows everything: `hc check --repair` writes the file anew. Else move the state directory away and \
         start anew (hc state import reads an earlier export); `hc check` then names what is left in the kernel",
    )
}

/// What went wrong, by what it asks of people. While a service runs, reading goes on whatever happens to the file.
fn sql_failure(verb: &str, path: &Path, error: rusqlite::Error) -> Failure {
    let message = format!("cannot {verb} {}", path.display());
    let failed = |code| Failure::new(code, &*message).because(&error);
    let failure = |hint: &str| failed(HResult::HCN_E_REGKEY_FAILURE).hint(hint);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch) => {
            damaged(path, &error.to_string())
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly)
            if verb == OPEN =>
        {
            failed(HResult::E_ACCESSDENIED)
                .hint("run as root, or give a --state-dir that you may write")
        }
        Some(ErrorCode::DiskFull) => failure(
            "free some space on the disk that holds the state directory; nothing was changed, and changes are accepted again as soon \
             as there is room",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::SystemIoFailure) => failure(
            "look after the disk that holds the state directory; nothing was changed, and changes are accepted again as soon as it can \
             be written",
        ),
        _ => failed(HResult::HCN_E_REGKEY_FAILURE),
    }
}
