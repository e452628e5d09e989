//! Reading collects: every mistake and every oddity of a document is noted with its path, and
//! reading goes on, so that the author of a document learns of all of them at once.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use serde_json::Value;

use crate::failure::{Failure, Warning};
use crate::hresult::HResult;
use crate::position::push_member;
use crate::schema::StructSchema;

/// Beyond this many notes of one sort the rest is only counted: a hostile document must not turn
/// into a list larger than itself.
const NOTE_LIMIT: usize = 100;

/// How a document is read. The services differ, and a client differs from a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// As the network service reads: names in any case, unknown members kept and reported.
    #[default]
    Lenient,
    /// As the compute service reads: exact names, nothing that the schema does not know.
    Strict,
    /// As a client of the compute service reads its answers: exact names, what is unknown is kept.
    Tolerant,
}

/// Where in the document reading stands, and what was noted so far.
#[derive(Debug, Default)]
pub struct Reader {
    manner: Manner,
    path: String,
    failures: Vec<Failure>,
    warnings: Vec<Warning>,
    uncounted_failures: usize,
}

impl Reader {
    /// A reader for a value that stands at `path` of some larger document; empty for a whole one.
    pub fn new(path: impl Into<String>) -> Reader {
        Reader { path: path.into(), ..Reader::default() }
    }

    /// A reader for what the compute service is given; its paths begin with `$`.
    pub fn strict() -> Reader {
        Reader { manner: Manner::Strict, path: "$".into(), ..Reader::default() }
    }

    /// A reader for what the compute service answers.
    pub fn tolerant() -> Reader {
        Reader { manner: Manner::Tolerant, ..Reader::strict() }
    }

    /// The same reader, for a value that stands at `path` of some larger document.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Reader {
        self.path = path.into();
        self
    }

    /// How it reads.
    pub fn manner(&self) -> Manner {
        self.manner
    }

    /// Where reading stands.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads something one member deeper.
    pub fn in_member<T>(&mut self, name: &str, read: impl FnOnce(&mut Reader) -> T) -> T {
        let length = self.path.len();
        push_member(&mut self.path, name);
        let result = read(self);
        self.path.truncate(length);
        result
    }

    /// Reads something one list element deeper.
    pub fn in_element<T>(&mut self, index: usize, read: impl FnOnce(&mut Reader) -> T) -> T {
        let length = self.path.len();
        write!(self.path, "[{index}]").expect("writing to a String cannot fail");
        let result = read(self);
        self.path.truncate(length);
        result
    }

    /// Notes a mistake at the present path.
    pub fn fail(&mut self, hresult: HResult, message: impl Into<String>) {
        if self.failures.len() < NOTE_LIMIT {
            self.failures.push(Failure::new(hresult, message).at(self.path.clone()));
        } else {
            self.uncounted_failures += 1;
        }
    }

    /// Notes that what stands here does not fit the schema.
    pub(crate) fn fail_schema(&mut self, message: impl Into<String>) {
        self.fail(self.manner.invalid_json(), message);
    }

    /// Notes that the value here is of the wrong JSON type.
    pub fn fail_type(&mut self, wanted: &str, found: &Value) {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.fail_schema(format!("expected {wanted}, found {found}"));
    }

    /// The member of this name, in this reader's manner of comparing names.
    pub(crate) fn index_of(&self, name: &str, schema: &StructSchema) -> Option<usize> {
        match self.manner {
            Manner::Lenient => schema.index_of(name),
            Manner::Strict | Manner::Tolerant => schema.index_of_exactly(name),
        }
    }

    /// Notes a member that the schema does not know, as far as that is worth a note.
    pub(crate) fn unknown_member(&mut self, name: &str, schema: &StructSchema) {
        match self.manner {
            Manner::Lenient => self.warn_unknown(name, schema),
            Manner::Strict => {
                let names = schema.all_members().map(|member| member.name);
                let message = match nearest(name, names) {
                    Some(near) => {
                        format!("{} has no member {name:?}; did you mean {near:?}?", schema.name)
                    }
                    None => format!("{} has no member {name:?}", schema.name),
                };
                self.in_member(name, |reader| reader.fail_schema(message));
            }
            Manner::Tolerant => {}
        }
    }

    /// Notes an oddity at the present path.
    pub fn warn(&mut self, message: impl Into<String>) {
        if self.warnings.len() < NOTE_LIMIT {
            self.warnings.push(Warning {
                path: self.path.clone(),
                message: message.into(),
                position: None,
            });
        }
    }

    /// Notes a member that the schema does not know.
    fn warn_unknown(&mut self, name: &str, schema: &StructSchema) {
        if self.warnings.len() >= NOTE_LIMIT {
            return;
        }
        let names = schema.all_members().map(|member| member.name);
        let message = match nearest(name, names) {
            Some(near) => format!("{} has no member {name:?}; did you mean {near:?}?", schema.name),
            None => format!("{} has no member {name:?}; it is ignored", schema.name),
        };
        self.in_member(name, |reader| reader.warn(message));
    }

    /// Takes over what a reader of another manner noted further down.
    pub(crate) fn absorb(&mut self, other: Reader) {
        self.failures.extend(other.failures);
        self.warnings.extend(other.warnings);
        self.uncounted_failures += other.uncounted_failures;
    }

    /// Whether a mistake was noted.
    pub fn has_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// What was noted: all mistakes (empty when there is none), and the oddities.
    pub fn into_notes(self) -> (Vec<Failure>, Vec<Warning>) {
        let mut failures = self.failures;
        if let Some(last) = failures.last_mut()
            && self.uncounted_failures > 0
        {
            last.hint = Some(format!("and {} more mistakes", self.uncounted_failures));
        }
        (failures, self.warnings)
    }
}

impl Manner {
    /// The code of a document that does not fit the schema.
    pub fn invalid_json(self) -> HResult {
        match self {
            Manner::Lenient => HResult::HCN_E_INVALID_JSON,
            Manner::Strict | Manner::Tolerant => HResult::HCS_E_INVALID_JSON,
        }
    }
}

/// The known name that `written` is probably a misspelling of.
pub(crate) fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Members have at most 37 letters; anything much longer is no misspelling.
    if written.len() > 48 {
        return None;
    }
    let allowed = (written.len() / 3).min(3);
    known
        .map(|name| (edit_distance(written, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein distance, ASCII case ignored, one row at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<u8> = b.bytes().map(|byte| byte.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, byte) in a.bytes().map(|byte| byte.to_ascii_lowercase()).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (other, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(*other != byte);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(edit_distance("", ""), 0);
        assert_eq!(edit_distance("abc", ""), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("Priority", "priorty"), 1);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }

    #[test]
    fn only_near_names_are_suggested() {
        let names = ["InternalPort", "ExternalPort", "VIP"];
        assert_eq!(nearest("InternalPorts", names.into_iter()), Some("InternalPort"));
        assert_eq!(nearest("Internport", names.into_iter()), Some("InternalPort"));
        assert_eq!(nearest("IP", names.into_iter()), None);
        assert_eq!(nearest("Something", names.into_iter()), None);
    }

    #[test]
    fn notes_are_bounded() {
        let mut reader = Reader::new("Settings");
        for index in 0..NOTE_LIMIT + 5 {
            reader.in_element(index, |reader| reader.fail(HResult::HCN_E_INVALID_JSON, "no"));
        }
        let (failures, _) = reader.into_notes();
        assert_eq!(failures.len(), NOTE_LIMIT);
        assert_eq!(failures[1].path.as_deref(), Some("Settings[1]"));
        assert_eq!(failures[NOTE_LIMIT - 1].hint.as_deref(), Some("and 5 more mistakes"));
    }
}
