//! What a client wrote down, and what follows from it for each object.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Where a client writes: a line before it asks (`try create endpoint ID`) and one when it was answered (`yes …`, `no …`).
#[derive(Debug)]
pub struct Pen(File);

impl Pen {
    pub fn new(path: &Path) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Self(file.expect("a record can be written"))
    }

    /// One line in one write: a kill leaves it whole or out.
    pub fn write(&mut self, word: &str, verb: &str, kind: &str, id: &str) {
        let line = format!("{word} {verb} {kind} {id}\n");
        self.0.write_all(line.as_bytes()).expect("a record can be written");
    }
}

/// What must be true of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    There,
    Gone,
    /// The client was killed, or lost its connection, between asking and hearing.
    Unknown,
}

/// All records together, by kind and id. An object is its maker's alone, so the order within one record is all the order there is.
#[derive(Debug, Default)]
pub struct Records {
    fates: BTreeMap<(String, String), Fate>,
    acknowledged: usize,
    refused: usize,
}

impl Records {
    pub fn read(folder: &Path) -> Self {
        let mut records = Self::default();
        for entry in fs::read_dir(folder).expect("the records") {
            let text = fs::read_to_string(entry.expect("a record").path()).expect("a record");
            for line in text.lines() {
                records.take(line);
            }
        }
        records
    }

    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, verb, kind, id] = words[..] else { panic!("a record says {line:?}") };
        let key = (kind.to_owned(), id.to_owned());
        let before = self.fates.get(&key).copied();
        let fate = match (word, verb) {
            ("try", "create" | "delete") => Fate::Unknown,
            ("yes", "create") => Fate::There,
            ("yes", "delete") => Fate::Gone,
            // Refused: as it was before the attempt, which the attempt's line has made unknown.
            ("no", "create") => Fate::Gone,
            ("no", "delete") => Fate::There,
            ("yes" | "no" | "try", _) => before.unwrap_or(Fate::Unknown),
            _ => panic!("a record says {line:?}"),
        };
        self.acknowledged += usize::from(word == "yes");
        self.refused += usize::from(word == "no");
        self.fates.insert(key, fate);
    }

    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a String, Fate)> {
        self.fates.iter().filter(move |((of, _), _)| of == kind).map(|((_, id), fate)| (id, *fate))
    }

    pub fn knows(&self, kind: &str, id: &str) -> bool {
        self.fates.contains_key(&(kind.to_owned(), id.to_owned()))
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    pub fn summary(&self) -> String {
        let count = |wanted| self.fates.values().filter(|fate| **fate == wanted).count();
        format!(
            "{} acknowledged, {} refused; of {} objects {} must be there, {} gone, {} unknown",
            self.acknowledged,
            self.refused,
            self.fates.len(),
            count(Fate::There),
            count(Fate::Gone),
            count(Fate::Unknown)
        )
    }
}
