//! What is to be written and could not be yet: the disk is full, or not to be written for now.
//!
//! Memory is right all the same. Rows are read as if what is owed had been written, and the next transaction writes it before
//! anything else.

use std::collections::BTreeMap;

use hostcompute_engine::Change;

use super::Identity;
use super::saved::{SavedBefore, SavedObject, SavedPending};
use super::sqlite::Write;

/// Rows that are to be as they are in here, and answers that are to be forgotten.
#[derive(Debug, Clone)]
pub(super) struct Owed {
    pub pending: SavedPending,
    /// The machine to which the objects belong from then on.
    pub identity: Option<Identity>,
}

impl Owed {
    /// An operation that is to be taken back.
    pub fn taking_back(pending: SavedPending) -> Self {
        Self { pending, identity: None }
    }

    /// Changes that are to be made.
    pub fn making(operation: &str, changes: &[Change], identity: &Identity, events: u64) -> Self {
        let row = |change: &Change| {
            let (kind, id) = change.subject();
            let body = match change {
                Change::Put(object) => Some(object.record().body),
                Change::Delete(..) => None,
            };
            SavedBefore { kind: kind.as_str().to_owned(), id: id.to_string(), body }
        };
        // Rows are written backwards, for that is how operations are taken back.
        let before = changes.iter().rev().map(row).collect();
        let operation = operation.to_owned();
        let pending = SavedPending { operation, before, replies: Vec::new(), events };
        Self { pending, identity: Some(identity.clone()) }
    }

    /// Whether an answer is to be forgotten.
    pub fn forgets(&self, uid: u32, key: &str) -> bool {
        self.pending.replies.iter().any(|(user, other)| (*user, other.as_str()) == (uid, key))
    }

    /// The objects as they are to be.
    pub fn applied(&self, objects: Vec<SavedObject>) -> Vec<SavedObject> {
        let key = |object: SavedObject| ((object.kind, object.id), object.body);
        let mut rows: BTreeMap<_, _> = objects.into_iter().map(key).collect();
        for row in self.pending.before.iter().rev() {
            let key = (row.kind.clone(), row.id.clone());
            match &row.body {
                Some(body) => drop(rows.insert(key, body.clone())),
                None => drop(rows.remove(&key)),
            }
        }
        rows.into_iter().map(|((kind, id), body)| SavedObject { kind, id, body }).collect()
    }

    /// Writes it.
    pub fn write(&self, write: &Write<'_>) -> rusqlite::Result<()> {
        for row in self.pending.before.iter().rev() {
            match &row.body {
                Some(body) => write.put(&row.kind, &row.id, body)?,
                None => write.delete(&row.kind, &row.id)?,
            }
        }
        if let Some(identity) = &self.identity {
            identity.write(write)?;
        }
        self.pending.replies.iter().try_for_each(|(uid, key)| write.delete_reply(*uid, key))
    }
}
