//! Objects whose member names are data: disks by number, adapters by name, sockets by GUID.
//!
//! The names travel as text whatever they are; a number is written in decimal, without sign and
//! without leading zeros, so that no two names are the same one.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use serde_json::{Map, Value};

use crate::element::{Element, Excerpt};
use crate::guid::Guid;
use crate::reader::Reader;
use crate::schema::{Described, Kind, MapKey};

/// What can be the name of an entry.
pub trait Key: Ord + Sized {
    /// What it is, for the schema.
    const KEY: MapKey;

    /// The key that is written so.
    fn from_name(name: &str) -> Option<Self>;

    /// How it is written.
    fn to_name(&self) -> String;
}

impl Key for String {
    const KEY: MapKey = MapKey::Text;

    fn from_name(name: &str) -> Option<String> {
        Some(name.into())
    }

    fn to_name(&self) -> String {
        self.clone()
    }
}

impl Key for Guid {
    const KEY: MapKey = MapKey::Guid;

    fn from_name(name: &str) -> Option<Guid> {
        name.parse().ok()
    }

    fn to_name(&self) -> String {
        self.to_string()
    }
}

macro_rules! number_keys {
    ($($type:ty),*) => {$(
        impl Key for $type {
            const KEY: MapKey = MapKey::Number(<$type>::BITS as u8);

            fn from_name(name: &str) -> Option<$type> {
                let plain = name.bytes().all(|byte| byte.is_ascii_digit());
                let canonical = plain && (name == "0" || !name.starts_with('0'));
                name.parse().ok().filter(|_| canonical)
            }

            fn to_name(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

number_keys!(u8, u32, u64);

impl<K: Key, T: Element> Described for BTreeMap<K, T> {
    const KIND: Kind = Kind::Map(K::KEY, &T::KIND);
}

impl<K: Key, T: Element> Element for BTreeMap<K, T> {
    fn from_json(value: &Value, reader: &mut Reader) -> Option<BTreeMap<K, T>> {
        let Value::Object(object) = value else {
            reader.fail_type("an object", value);
            return None;
        };
        let mut read = BTreeMap::new();
        for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            reader.in_member(name, |reader| read_entry(name, value, &mut read, reader));
        }
        Some(read)
    }

    fn to_json(&self) -> Value {
        let entries = self.iter().map(|(key, value)| (key.to_name(), value.to_json()));
        Value::Object(entries.collect::<Map<_, _>>())
    }

    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

fn read_entry<K: Key, T: Element>(
    name: &str,
    value: &Value,
    read: &mut BTreeMap<K, T>,
    reader: &mut Reader,
) {
    let Some(key) = K::from_name(name) else {
        return reader.fail_schema(invalid_key(K::KEY, name));
    };
    if let Some(value) = T::from_json(value, reader)
        && read.insert(key, value).is_some()
    {
        reader.fail_schema(format!("{} stands twice", Excerpt(name)));
    }
}

/// Whether a name can be a key.
pub(crate) fn is_key(key: MapKey, name: &str) -> bool {
    match key {
        MapKey::Text => true,
        MapKey::Guid => Guid::from_name(name).is_some(),
        MapKey::Number(8) => u8::from_name(name).is_some(),
        MapKey::Number(32) => u32::from_name(name).is_some(),
        MapKey::Number(_) => u64::from_name(name).is_some(),
    }
}

/// Why a name is no key.
pub(crate) fn invalid_key(key: MapKey, name: &str) -> String {
    let wanted = match key {
        MapKey::Text => "a name",
        MapKey::Guid => "a GUID",
        MapKey::Number(8) => "a number from 0 to 255",
        MapKey::Number(32) => "a number from 0 to 4294967295",
        MapKey::Number(_) => "a whole number",
    };
    format!("{} is not {wanted}", Excerpt(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> (Option<BTreeMap<u32, String>>, usize) {
        let mut reader = Reader::strict();
        let read = BTreeMap::from_json(value, &mut reader);
        (read, reader.into_notes().0.len())
    }

    #[test]
    fn numbers_are_keys_in_one_spelling_only() {
        let (map, failures) = read(&json!({"0": "a", "10": "b", "9": "c", "1": null}));
        assert_eq!(failures, 0);
        let map = map.unwrap();
        assert_eq!(map.keys().copied().collect::<alloc::vec::Vec<_>>(), [0, 9, 10]);
        assert_eq!(map.to_json(), json!({"0": "a", "9": "c", "10": "b"}));
        for wrong in ["", "00", "01", "+1", "-1", "1.0", "4294967296", " 1", "one"] {
            assert_eq!(read(&json!({wrong: "a"})).1, 1, "{wrong:?}");
        }
    }

    #[test]
    fn guids_are_one_key_in_every_spelling() {
        let lower = "910f7d92-ba2d-4c3f-98ae-7c0ac590d2dc";
        let upper = alloc::format!("{{{}}}", lower.to_uppercase());
        let mut reader = Reader::strict();
        let twice = json!({lower: "a", upper: "b"});
        assert!(BTreeMap::<Guid, String>::from_json(&twice, &mut reader).is_some());
        assert_eq!(reader.into_notes().0.len(), 1);
    }
}
