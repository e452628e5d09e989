//! Members that the schema does not know, kept beside those that it knows.
//!
//! Nearly no document has any, and a service keeps thousands of documents: without such members there is one pointer, and nothing
//! behind it.

use alloc::boxed::Box;
use alloc::string::String;

use serde_json::{Map, Value};

/// The members of a document that its schema does not know, in the order in which they were said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unknown(Option<Box<Map<String, Value>>>);

impl Unknown {
    /// Whether the schema knows every member.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What such a member says.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.as_ref()?.get(name)
    }

    /// Says a member; what it said before is returned.
    pub fn insert(&mut self, name: String, value: Value) -> Option<Value> {
        self.0.get_or_insert_default().insert(name, value)
    }

    /// The members' names and what they say.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter().flat_map(|members| members.iter())
    }
}

impl From<Map<String, Value>> for Unknown {
    fn from(members: Map<String, Value>) -> Unknown {
        Unknown((!members.is_empty()).then(|| Box::new(members)))
    }
}
