//! Reading text as the compute service does: strictly (hcs.md 0).
//!
//! What it is given may hold nothing that the schema does not know and no member twice; the failure
//! names the path. Answers of the service are read tolerantly: a newer service may tell more.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::document::Document;
use crate::element::Excerpt;
use crate::failure::Failure;
use crate::hresult::HResult;
use crate::parse::{LONGEST_TEXT, first_of, locate_notes, syntax_failure};
use crate::position::{locate, push_member};
use crate::reader::Reader;

/// Reads what the compute service is given. On failure the first mistake is told, with the number
/// of further ones.
///
/// # Errors
/// `HCS_E_INVALID_JSON` with path and position.
pub fn parse<T: Document>(text: &str) -> Result<T, Failure> {
    parse_all(text).map_err(first_of)
}

/// Reads what the compute service is given. On failure every mistake is told.
///
/// # Errors
/// `HCS_E_INVALID_JSON` with path and position, for each mistake.
pub fn parse_all<T: Document>(text: &str) -> Result<T, Vec<Failure>> {
    let value = read_json(text).map_err(|failure| vec![failure])?;
    document(&value, text, Reader::strict())
}

/// Reads a document that may be left out: options and queries. No text, `null` and `{}` say the
/// same.
///
/// # Errors
/// As [`parse`].
pub fn parse_optional<T: Document>(text: &str) -> Result<T, Failure> {
    match text.trim_ascii() {
        "" | "null" => Ok(T::default()),
        _ => parse(text),
    }
}

/// Reads a document out of a value that stands at path `at` of a larger one, such as `$.Settings`.
///
/// # Errors
/// `HCS_E_INVALID_JSON` with the whole path and no position.
pub fn parse_value<T: Document>(value: &Value, at: &str) -> Result<T, Failure> {
    let mut reader = Reader::strict().at(at);
    let document = T::read(value, &mut reader);
    let (failures, _) = reader.into_notes();
    if failures.is_empty() { Ok(document) } else { Err(first_of(failures)) }
}

/// Reads an answer of the compute service: members and values that are not known are kept.
///
/// # Errors
/// `HCS_E_INVALID_JSON` with path and position when it is no such document.
pub fn parse_answer<T: Document>(text: &str) -> Result<T, Failure> {
    let value = read_json(text)?;
    document(&value, text, Reader::tolerant()).map_err(first_of)
}

pub(crate) fn document<T: Document>(
    value: &Value,
    text: &str,
    mut reader: Reader,
) -> Result<T, Vec<Failure>> {
    if value.is_null() {
        reader.fail_type("an object", value);
    }
    let document = T::read(value, &mut reader);
    locate_notes(reader, text)?;
    Ok(document)
}

/// Reads JSON text; a member that stands twice is a mistake.
///
/// # Errors
/// `HCS_E_INVALID_JSON` with the place of the mistake.
pub fn read_json(text: &str) -> Result<Value, Failure> {
    let refuse = |message: String| Failure::new(HResult::HCS_E_INVALID_JSON, message);
    if text.len() > LONGEST_TEXT {
        return Err(refuse(format!("the document is longer than {LONGEST_TEXT} bytes")));
    }
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    if bare.trim_ascii().is_empty() {
        return Err(refuse("the document is empty".into()));
    }
    let mut path = String::from("$");
    let mut twice = false;
    let mut deserializer = serde_json::Deserializer::from_str(bare);
    let seed = Once { path: &mut path, twice: &mut twice };
    let read = seed.deserialize(&mut deserializer);
    let read = read.and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| {
        let mut failure = syntax_failure(bare, &error);
        failure.hresult = HResult::HCS_E_INVALID_JSON;
        if twice {
            failure.position = locate(bare, &path).or(failure.position);
            failure.path = Some(path);
        }
        failure
    })
}

/// Reads a value in which no object has a member twice. After a mistake the path stays where it is.
struct Once<'p> {
    path: &'p mut String,
    twice: &'p mut bool,
}

impl<'de> DeserializeSeed<'de> for Once<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let Once { path, twice } = self;
        let length = path.len();
        loop {
            path.push_str(&format!("[{}]", list.len()));
            let seed = Once { path: &mut *path, twice: &mut *twice };
            let Some(element) = elements.next_element_seed(seed)? else { break };
            list.push(element);
            path.truncate(length);
        }
        path.truncate(length);
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let Once { path, twice } = self;
        let length = path.len();
        while let Some(name) = members.next_key::<String>()? {
            push_member(path, &name);
            if object.contains_key(&name) {
                *twice = true;
                return Err(A::Error::custom(format!("{} stands twice", Excerpt(&name))));
            }
            let seed = Once { path: &mut *path, twice: &mut *twice };
            let value = members.next_value_seed(seed)?;
            object.insert(name, value);
            path.truncate(length);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use serde_json::json;

    #[test]
    fn values_are_read_as_they_are() {
        let text = r#"{"a":[1,-2,2.5,"x",null,true,{}],"b":{"c":18446744073709551615}}"#;
        assert_eq!(read_json(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(read_json("\u{feff} [] ").unwrap(), json!([]));
    }

    #[track_caller]
    fn refused(text: &str, told: &str) {
        let failure = read_json(text).unwrap_err();
        assert_eq!(failure.hresult, HResult::HCS_E_INVALID_JSON);
        let said = failure.to_string();
        assert!(said.contains(told), "{said}");
    }

    #[test]
    fn a_member_that_stands_twice_is_told_with_its_path() {
        refused("{\"a\":{\"b\":1,\n \"b\":2}}", "\"b\" stands twice (at $.a.b, 2:2)");
        refused("[0,{\"x.y\":{},\"x.y\":1}]", "(at $[1][\"x.y\"], 1:14)");
        // Another case is another member: it is for the schema to say that there is none.
        assert!(read_json(r#"{"a":1,"A":2}"#).is_ok());
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        refused("", "empty");
        refused(" \n", "empty");
        refused("{\"a\": 1,}", "1:9");
        refused("{} {}", "1:4");
        refused(&"[".repeat(200), "recursion");
    }
}
