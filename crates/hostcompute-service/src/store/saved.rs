//! What lies on disk, as types of their own: never the engine's types, even where they are equal today.
//!
//! The format has one number, [`FORMAT`], kept in the database's `user_version`. A change of any type in this file that an
//! older program would misread raises it; opening a state with another number fails with ERROR_WRONG_DISK, as Windows does for
//! objects of an incompatible service.
//!
//! Bodies of objects are JSON that the engine wrote and the engine reads; this module does not look into them.

use hostcompute_engine::{Kind, Record};
use hostcompute_schema::Guid;
use serde_json::{Map, Value, json};

/// Version of everything in this file.
pub const FORMAT: i32 = 2;

/// The format without remembered answers; files of it are brought up to date when they are opened.
pub const FIRST_FORMAT: i32 = 1;

/// Marks the database file as ours ("hcst" in ASCII), in SQLite's `application_id`.
pub const APPLICATION: i32 = 0x6863_7374;

/// One stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedObject {
    pub kind: String,
    pub id: String,
    pub body: String,
}

impl SavedObject {
    /// The engine's view of the object, or what is wrong with the row.
    pub fn into_record(self) -> Result<Record, String> {
        let kind: Kind = self.kind.parse().map_err(|_| format!("unknown kind {:?}", self.kind))?;
        let id: Guid = self.id.parse().map_err(|_| format!("malformed id {:?}", self.id))?;
        Ok(Record { kind, id, body: self.body })
    }
}

/// What a row held before an operation touched it; `body` is `None` where there was no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedBefore {
    pub kind: String,
    pub id: String,
    pub body: Option<String>,
}

/// An operation whose rows are written and whose plan may not have been performed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedPending {
    /// For people: what was under way.
    pub operation: String,
    /// Enough to write the rows back as they were, in the order in which they were touched.
    pub before: Vec<SavedBefore>,
    /// Answers that are remembered with the operation, by user and key.
    pub replies: Vec<(u32, String)>,
    /// How many notifications there ever were, the operation's own among them.
    pub events: u64,
}

impl SavedPending {
    /// The text of the pending row. Written piece by piece, for it is part of every operation.
    pub fn to_text(&self) -> String {
        let mut text =
            String::with_capacity(128 + self.before.iter().map(SavedBefore::room).sum::<usize>());
        text.push_str("{\"Operation\":");
        push_text(&mut text, &self.operation);
        text.push_str(",\"Before\":[");
        for (place, row) in self.before.iter().enumerate() {
            text.push_str(if place == 0 { "{\"Kind\":" } else { ",{\"Kind\":" });
            push_text(&mut text, &row.kind);
            text.push_str(",\"Id\":");
            push_text(&mut text, &row.id);
            if let Some(body) = &row.body {
                text.push_str(",\"Body\":");
                push_text(&mut text, body);
            }
            text.push('}');
        }
        text.push_str("],\"Events\":");
        text.push_str(&self.events.to_string());
        if !self.replies.is_empty() {
            text.push_str(",\"Replies\":");
            text.push_str(&json!(self.replies).to_string());
        }
        text.push('}');
        text
    }

    /// Reads what [`Self::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let object = value.as_object().ok_or("not an object")?;
        let rows = object.get("Before").and_then(Value::as_array).ok_or("Before is missing")?;
        let before = rows.iter().map(before_from_value).collect::<Result<_, _>>()?;
        let replies = match object.get("Replies") {
            Some(replies) => {
                serde_json::from_value(replies.clone()).map_err(|error| error.to_string())?
            }
            None => Vec::new(),
        };
        let events = object.get("Events").and_then(Value::as_u64).unwrap_or(0);
        Ok(Self { operation: text_member(object, "Operation")?, before, replies, events })
    }
}

impl SavedBefore {
    /// About as many bytes as its text has.
    fn room(&self) -> usize {
        64 + self.id.len() + self.body.as_ref().map_or(0, |body| body.len() + body.len() / 4)
    }
}

/// Appends a JSON text: quotation marks, backslashes and control characters are escaped.
fn push_text(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (place, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(text.get(plain..place).unwrap_or_default());
        plain = place + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            control => out.push_str(&format!("\\u{control:04x}")),
        }
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

fn before_from_value(value: &Value) -> Result<SavedBefore, String> {
    let row = value.as_object().ok_or("a row of Before is not an object")?;
    let body = row.get("Body").map(|_| text_member(row, "Body")).transpose()?;
    Ok(SavedBefore { kind: text_member(row, "Kind")?, id: text_member(row, "Id")?, body })
}

fn text_member(object: &Map<String, Value>, name: &str) -> Result<String, String> {
    object
        .get(name)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| format!("{name} is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_operation_survives_its_text() {
        let pending = SavedPending {
            operation: "HcnDeleteNetwork".into(),
            before: vec![
                SavedBefore {
                    kind: "Network".into(),
                    id: "x".into(),
                    body: Some("{\"a\":\"\\\\\",\n\u{1}é}".into()),
                },
                SavedBefore { kind: "Endpoint".into(), id: "y".into(), body: None },
            ],
            replies: vec![(1000, "a key".into())],
            events: 12,
        };
        assert_eq!(SavedPending::from_text(&pending.to_text()), Ok(pending));
    }

    #[test]
    fn damaged_text_is_refused_in_words() {
        for text in ["", "[]", "{}", r#"{"Operation":"x"}"#, r#"{"Operation":"x","Before":[3]}"#] {
            assert!(SavedPending::from_text(text).is_err(), "{text}");
        }
    }
}
