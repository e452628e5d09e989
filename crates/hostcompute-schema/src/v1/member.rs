//! Members of raw objects, found without regard to case.
//!
//! What is of an unexpected type is passed on as it is: the reader of the translated document
//! refuses it, with the path.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

/// A raw object that is taken apart.
pub(super) struct Taken(pub Map<String, Value>);

impl Taken {
    pub fn has(&self, name: &str) -> bool {
        self.0.keys().any(|key| key.eq_ignore_ascii_case(name))
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Removes every member of that name and returns the last, unless it says nothing.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let mut last = None;
        while let Some(key) = self.0.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned() {
            last = self.0.shift_remove(&key);
        }
        last.filter(|value| !is_blank(value))
    }

    /// Removes a boolean and tells whether it was set.
    pub fn take_true(&mut self, name: &str) -> bool {
        match self.get(name) {
            Some(Value::Bool(value)) => {
                let set = *value;
                self.take(name);
                set
            }
            _ => false,
        }
    }

    /// Sets bits in `Flags`. Flags that are given by name are left alone: they were not written by
    /// a client of version 1.
    pub fn add_flags(&mut self, bits: u32) {
        if bits == 0 {
            return;
        }
        let present = match self.get("Flags") {
            None => 0,
            Some(Value::Number(number)) => match number.as_u64() {
                Some(present) => present,
                None => return,
            },
            Some(_) => return,
        };
        self.take("Flags");
        self.put("Flags", Some(Value::from(present | u64::from(bits))));
    }

    pub fn put(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.0.insert(name.into(), value);
        }
    }

    /// Appends to the list of that name.
    pub fn append(&mut self, name: &str, mut more: Vec<Value>) {
        if more.is_empty() {
            return;
        }
        let mut list = match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            // Not a list: the reader says so.
            Some(other) => return self.put(name, Some(other)),
        };
        list.append(&mut more);
        self.put(name, Some(Value::Array(list)));
    }
}

/// Version 1 clients send every member of their structs: null, "" and 0 say nothing.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_u64() == Some(0),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.values().all(is_blank_identity),
        Value::Bool(_) => false,
    }
}

/// Inside an object that names an interface, the zero GUID says nothing either.
fn is_blank_identity(value: &Value) -> bool {
    let zero = |text: &str| text.parse::<crate::guid::Guid>().is_ok_and(|guid| guid.is_zero());
    is_blank(value) || value.as_str().is_some_and(zero)
}

/// A list that travels as one text with commas.
pub(super) fn split(value: Value) -> Value {
    match value {
        Value::String(text) => text
            .split(',')
            .map(|part| part.trim())
            .filter(|part| !part.is_empty())
            .map(Value::from)
            .collect(),
        other => other,
    }
}

/// Builds an object out of the members that are there.
pub(super) fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let given = members.into_iter().filter_map(|(name, value)| Some((name.into(), value?)));
    Value::Object(given.collect())
}
