//! How single JSON values become Rust values: scalars, identifiers, raw JSON, lists.
//!
//! An [`Element`] is one value; a [`Member`] is what a struct field holds, an optional element or a
//! list of elements. `null` counts as absent everywhere (hcn.md 0.3 rule 36, hcs.md 0). In documents
//! of the network service so does the all-zero GUID, which that API uses for «not given».

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use serde_json::Value;

use crate::guid::Guid;
use crate::hresult::HResult;
use crate::reader::{Manner, Reader};
use crate::schema::{Described, Kind};

/// A value that can stand in a document.
pub trait Element: Described + Sized {
    /// A member that holds the default is as good as absent: `"MacPool":{}` is no pool, since Go
    /// clients cannot leave nested structs out (hcn.md 2.22).
    const DEFAULT_IS_ABSENT: bool = false;

    /// The value, or `None` when it is absent in effect or was refused (which the reader notes).
    fn from_json(value: &Value, reader: &mut Reader) -> Option<Self>;

    /// The value as it travels.
    fn to_json(&self) -> Value;

    /// The text of [`Element::to_json`], behind what is in `text`; written without values in between where answers have many such.
    fn print(&self, text: &mut String) {
        print_value(&self.to_json(), text);
    }

    /// Whether this is the value that leaving the member out means.
    fn is_default(&self) -> bool;
}

/// What a field of a document holds.
pub trait Member {
    /// Replaces what is held by what the JSON value says.
    fn set(&mut self, value: &Value, reader: &mut Reader);

    /// `None` when nothing was given.
    fn get(&self) -> Option<Value>;

    /// The text of [`Member::get`], behind what is in `text`; `false`, and nothing written, when nothing was given.
    fn print(&self, text: &mut String) -> bool;

    /// Whether leaving the member out would mean the same.
    fn is_default(&self) -> bool;
}

impl<T: Element> Member for Option<T> {
    fn set(&mut self, value: &Value, reader: &mut Reader) {
        *self = match value {
            Value::Null => None,
            value => {
                let element = T::from_json(value, reader);
                // `"GuestConnection":{}` of the compute service is a connection.
                let may_be_blank = reader.manner() != Manner::Lenient || !T::DEFAULT_IS_ABSENT;
                element.filter(|element| may_be_blank || !element.is_default())
            }
        };
    }

    fn get(&self) -> Option<Value> {
        self.as_ref().map(Element::to_json)
    }

    fn print(&self, text: &mut String) -> bool {
        self.as_ref().map(|element| element.print(text)).is_some()
    }

    fn is_default(&self) -> bool {
        self.as_ref().is_none_or(Element::is_default)
    }
}

impl<T: Element> Member for Vec<T> {
    fn set(&mut self, value: &Value, reader: &mut Reader) {
        // As long as it has to be: thousands of documents are kept.
        let read = (!value.is_null()).then(|| <Vec<T> as Element>::from_json(value, reader));
        *self = read.flatten().unwrap_or_default();
    }

    fn get(&self) -> Option<Value> {
        (!self.is_empty()).then(|| self.to_json())
    }

    fn print(&self, text: &mut String) -> bool {
        let given = !self.is_empty();
        if given {
            Element::print(self, text);
        }
        given
    }

    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

/// `Option<Vec<T>>` tells a list without elements from none; the compute service's documents do.
impl<T: Element> Element for Vec<T> {
    fn from_json(value: &Value, reader: &mut Reader) -> Option<Vec<T>> {
        let Value::Array(elements) = value else {
            reader.fail_type("a list", value);
            return None;
        };
        let mut read = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            read.extend(reader.in_element(index, |reader| T::from_json(element, reader)));
        }
        Some(read)
    }

    fn to_json(&self) -> Value {
        Value::Array(self.iter().map(Element::to_json).collect())
    }

    fn print(&self, text: &mut String) {
        text.push('[');
        for (index, element) in self.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            element.print(text);
        }
        text.push(']');
    }

    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Element> Described for Option<T> {
    const KIND: Kind = T::KIND;
}

impl<T: Element> Described for Vec<T> {
    const KIND: Kind = Kind::List(&T::KIND);
}

impl Described for bool {
    const KIND: Kind = Kind::Bool;
}

impl Element for bool {
    fn from_json(value: &Value, reader: &mut Reader) -> Option<bool> {
        let read = value.as_bool();
        if read.is_none() {
            reader.fail_type("true or false", value);
        }
        read
    }

    fn to_json(&self) -> Value {
        Value::Bool(*self)
    }

    fn is_default(&self) -> bool {
        !self
    }
}

macro_rules! unsigned_elements {
    ($($type:ty),*) => {$(
        impl Described for $type {
            const KIND: Kind = Kind::Unsigned(<$type>::BITS as u8);
        }

        impl Element for $type {
            fn from_json(value: &Value, reader: &mut Reader) -> Option<$type> {
                let number = read_number(value, u64::from(<$type>::MAX), reader)?;
                Some(<$type>::try_from(number).expect("the range was checked"))
            }

            fn to_json(&self) -> Value {
                Value::from(*self)
            }

            fn print(&self, text: &mut String) {
                print_displayed(format_args!("{self}"), text);
            }

            fn is_default(&self) -> bool {
                *self == 0
            }
        }
    )*};
}

unsigned_elements!(u8, u16, u32, u64);

macro_rules! signed_elements {
    ($($type:ty),*) => {$(
        impl Described for $type {
            const KIND: Kind = Kind::Signed(<$type>::BITS as u8);
        }

        impl Element for $type {
            fn from_json(value: &Value, reader: &mut Reader) -> Option<$type> {
                let Value::Number(number) = value else {
                    reader.fail_type("a number", value);
                    return None;
                };
                let read = number.as_i64().and_then(|number| <$type>::try_from(number).ok());
                if read.is_none() {
                    reader.fail_schema(format!(
                        "{number} is not a whole number from {} to {}",
                        <$type>::MIN,
                        <$type>::MAX
                    ));
                }
                read
            }

            fn to_json(&self) -> Value {
                Value::from(*self)
            }

            fn print(&self, text: &mut String) {
                print_displayed(format_args!("{self}"), text);
            }

            fn is_default(&self) -> bool {
                *self == 0
            }
        }
    )*};
}

signed_elements!(i32, i64);

impl Described for f64 {
    const KIND: Kind = Kind::Float;
}

impl Element for f64 {
    fn from_json(value: &Value, reader: &mut Reader) -> Option<f64> {
        let read = value.as_f64();
        if read.is_none() {
            reader.fail_type("a number", value);
        }
        read
    }

    fn to_json(&self) -> Value {
        Value::from(*self)
    }

    fn is_default(&self) -> bool {
        *self == 0.0
    }
}

/// A whole number from zero to `largest`.
pub(crate) fn read_number(value: &Value, largest: u64, reader: &mut Reader) -> Option<u64> {
    let Value::Number(number) = value else {
        reader.fail_type("a number", value);
        return None;
    };
    match number.as_u64() {
        Some(number) if number <= largest => Some(number),
        _ => {
            reader.fail_schema(format!("{number} is not a whole number from 0 to {largest}"));
            None
        }
    }
}

impl Described for String {
    const KIND: Kind = Kind::Text;
}

impl Element for String {
    fn from_json(value: &Value, reader: &mut Reader) -> Option<String> {
        read_text(value, reader).map(str::to_string)
    }

    fn to_json(&self) -> Value {
        Value::from(self.as_str())
    }

    fn print(&self, text: &mut String) {
        print_text(self, text);
    }

    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

pub(crate) fn read_text<'v>(value: &'v Value, reader: &mut Reader) -> Option<&'v str> {
    let read = value.as_str();
    if read.is_none() {
        reader.fail_type("a string", value);
    }
    read
}

impl Described for Guid {
    const KIND: Kind = Kind::Guid;
}

impl Element for Guid {
    fn from_json(value: &Value, reader: &mut Reader) -> Option<Guid> {
        let text = read_text(value, reader)?;
        let lenient = reader.manner() == Manner::Lenient;
        if text.is_empty() && lenient {
            return None;
        }
        match text.parse::<Guid>() {
            Ok(guid) => (!guid.is_zero() || !lenient).then_some(guid),
            Err(invalid) => {
                let message = format!("{} is {invalid}", Excerpt(text));
                if lenient {
                    reader.fail(HResult::HCN_E_GUID_CONVERSION_FAILURE, message);
                } else {
                    reader.fail_schema(message);
                }
                None
            }
        }
    }

    fn to_json(&self) -> Value {
        Value::from(self.to_string())
    }

    fn print(&self, text: &mut String) {
        print_displayed(format_args!("\"{self}\""), text);
    }

    fn is_default(&self) -> bool {
        self.is_zero()
    }
}

impl Described for Value {
    const KIND: Kind = Kind::Any;
}

impl Element for Value {
    fn from_json(value: &Value, _: &mut Reader) -> Option<Value> {
        Some(value.clone())
    }

    fn to_json(&self) -> Value {
        self.clone()
    }

    fn print(&self, text: &mut String) {
        print_value(self, text);
    }

    fn is_default(&self) -> bool {
        self.is_null()
    }
}

/// JSON text of a text.
pub(crate) fn print_text(said: &str, text: &mut String) {
    if said.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        return print_value(&Value::from(said), text);
    }
    text.push('"');
    text.push_str(said);
    text.push('"');
}

fn print_value(value: &Value, text: &mut String) {
    print_displayed(format_args!("{value}"), text);
}

fn print_displayed(displayed: core::fmt::Arguments<'_>, text: &mut String) {
    text.write_fmt(displayed).expect("a String takes all text");
}

/// Bytes that travel as base64 text; kept as the text that was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base64(pub String);

impl Base64 {
    /// Whole groups of four, padded at the end only.
    fn is_well_formed(&self) -> bool {
        let digits = self.0.trim_end_matches('=');
        let padding = self.0.len() - digits.len();
        self.0.len().is_multiple_of(4)
            && padding <= 2
            && digits
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
    }
}

impl Described for Base64 {
    const KIND: Kind = Kind::Bytes;
}

impl Element for Base64 {
    fn from_json(value: &Value, reader: &mut Reader) -> Option<Base64> {
        let bytes = Base64(String::from_json(value, reader)?);
        if !bytes.is_well_formed() {
            reader.fail_schema("not base64 text");
            return None;
        }
        Some(bytes)
    }

    fn to_json(&self) -> Value {
        self.0.to_json()
    }

    fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

/// A quoted text of the client, cut so that a message stays one readable line.
pub(crate) struct Excerpt<'a>(pub &'a str);

impl core::fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0.char_indices().nth(64) {
            Some((cut, _)) => write!(f, "{:?}...", self.0.get(..cut).unwrap_or_default()),
            None => write!(f, "{:?}", self.0),
        }
    }
}
