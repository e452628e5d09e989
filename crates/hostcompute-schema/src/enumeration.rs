//! Enumerations, all of them open: a value that this version does not know is kept, not refused.
//! Whether an unknown kind means anything is for the engine to say, with the code that fits. What
//! the compute service is given is the exception: it is read strictly.
//!
//! Four macros, by how values travel: `kinds!` by name, `names!` by name in documents of the compute
//! service, `numbers!` as one number, `flags!` as a sum of bits. Each writes the type, its conversions
//! and its [`EnumSchema`].

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde_json::Value;

use crate::element::{Excerpt, read_number};
use crate::reader::{Manner, Reader, nearest};
use crate::schema::{EnumSchema, SchemaVersion, ValueSchema, Wire};

/// The value that `text` names: exactly, or by another spelling or case.
pub(crate) fn find(schema: &'static EnumSchema, text: &str) -> Option<&'static ValueSchema> {
    schema.values.iter().find(|value| value.is_called(text))
}

/// Reads the name of a kind; numbers are understood where the table gives one.
pub(crate) fn read_kind<T>(
    schema: &'static EnumSchema,
    value: &Value,
    reader: &mut Reader,
    from_name: impl FnOnce(&str) -> T,
) -> Option<T> {
    if reader.manner() != Manner::Lenient {
        return read_name(schema, value, reader).map(from_name);
    }
    match value {
        // An empty kind means the default (containerd creates namespaces that way).
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(from_name(text)),
        Value::Number(number) => {
            let by_number = |value: &&ValueSchema| {
                value.number.is_some_and(|known| number.as_u64() == Some(u64::from(known)))
            };
            let found = schema.values.iter().find(by_number);
            if found.is_none() {
                reader.fail_schema(format!(
                    "{} travels by name; the number {number} is unknown",
                    schema.name
                ));
            }
            found.map(|value| from_name(value.name))
        }
        other => {
            reader.fail_type("a name", other);
            None
        }
    }
}

/// Reads the name of a value exactly as it is published.
fn read_name<'v>(
    schema: &'static EnumSchema,
    value: &'v Value,
    reader: &mut Reader,
) -> Option<&'v str> {
    let Value::String(text) = value else {
        reader.fail_type("a name", value);
        return None;
    };
    let published = schema.values.iter().find(|value| value.name == text);
    if let Some(published) = published.or_else(|| blank(schema, text)) {
        return Some(published.name);
    }
    if reader.manner() == Manner::Tolerant {
        return Some(text);
    }
    fail_name(schema, text, reader);
    None
}

/// The value that an empty text stands for.
fn blank(schema: &'static EnumSchema, text: &str) -> Option<&'static ValueSchema> {
    let first = schema.values.first();
    first.filter(|_| text.is_empty() && schema.wire == Wire::NameOrBlank)
}

/// A name as it travels.
pub(crate) fn name_as_sent<'n>(schema: &'static EnumSchema, name: &'n str) -> &'n str {
    let is_blank = blank(schema, "").is_some_and(|first| first.name == name);
    if is_blank { "" } else { name }
}

/// Reads one number, or the name of one.
pub(crate) fn read_coded(
    schema: &'static EnumSchema,
    value: &Value,
    reader: &mut Reader,
) -> Option<u32> {
    match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => code_of(schema, text, reader),
        Value::Number(_) => {
            let number = read_number(value, u64::from(u32::MAX), reader)?;
            u32::try_from(number).ok()
        }
        other => {
            reader.fail_type("a number or a name", other);
            None
        }
    }
}

/// Reads a sum of bits, or names joined by commas.
pub(crate) fn read_flags(
    schema: &'static EnumSchema,
    value: &Value,
    reader: &mut Reader,
) -> Option<u32> {
    let Value::String(text) = value else {
        return read_coded(schema, value, reader);
    };
    let mut bits = 0;
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        bits |= code_of(schema, name, reader)?;
    }
    Some(bits)
}

fn code_of(schema: &'static EnumSchema, name: &str, reader: &mut Reader) -> Option<u32> {
    let found = find(schema, name).and_then(|value| value.number);
    if found.is_none() {
        fail_name(schema, name, reader);
    }
    found
}

fn fail_name(schema: &'static EnumSchema, name: &str, reader: &mut Reader) {
    let suggestion = nearest(name, schema.values.iter().map(|value| value.name));
    let help = match suggestion {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", choices(schema)),
    };
    reader.fail_schema(format!("{} is not a value of {}; {help}", Excerpt(name), schema.name));
}

/// Prints the names of the bits, joined by commas, and what is left over in hexadecimal.
pub(crate) fn write_flags(
    schema: &EnumSchema,
    bits: u32,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let mut rest = bits;
    let mut separator = "";
    let named = schema.values.iter().filter_map(|value| Some((value.name, value.number?)));
    for (name, bit) in named.filter(|(_, bit)| *bit != 0 && bits & bit == *bit) {
        write!(f, "{separator}{name}")?;
        separator = ",";
        rest &= !bit;
    }
    if rest != 0 || bits == 0 {
        match bits {
            0 => f.write_str("None")?,
            _ => write!(f, "{separator}{rest:#x}")?,
        }
    }
    Ok(())
}

/// All names in one phrase, for messages: `Allow, Block and Pass`.
pub(crate) fn choices(schema: &EnumSchema) -> String {
    let mut text = String::new();
    let last = schema.values.len().saturating_sub(1);
    for (index, value) in schema.values.iter().enumerate() {
        let separator = match index {
            0 => "",
            index if index == last => " and ",
            _ => ", ",
        };
        text.push_str(separator);
        text.push_str(value.name);
    }
    text
}

/// The version in a table's brackets; none when clients use a value that no schema lists.
pub(crate) const fn since(versions: &[&str]) -> Option<SchemaVersion> {
    match versions {
        [version] => Some(SchemaVersion::of(version)),
        _ => None,
    }
}

/// Enumerations that travel by name.
macro_rules! kinds {
    ($(
        $(#[doc = $doc:literal])*
        pub enum $type:ident {$(
            $(#[doc = $value_doc:literal])*
            $value:ident [$($since:literal)?] $(= $number:literal)?
        ),* $(,)?}
    )*) => {$(
        named! { () Unknown $type stringify!($type), [$(#[doc = $doc])*] {$(
            [$(#[doc = $value_doc])*] $value stringify!($value), [$($since)?] [$($number)?]
        )*} }
    )*};
}

/// Enumerations that travel by name in documents of the compute service. `Value = "name"` where the
/// published name is none in Rust; `or blank` where an empty text stands for the first value.
macro_rules! names {
    ($(
        $(#[doc = $doc:literal])*
        pub enum $type:ident $(($type_name:literal))? $(or $blank:ident)? {$(
            $(#[doc = $value_doc:literal])*
            $value:ident $(= $name:literal)? [$($since:literal)?]
        ),* $(,)?}
    )*) => {$(
        named! { ($($blank)?) Other $type names!(@name $type $($type_name)?), [$(#[doc = $doc])*] {$(
            [$(#[doc = $value_doc])*] $value names!(@name $value $($name)?), [$($since)?] []
        )*} }
    )*};
    (@name $ident:ident) => { stringify!($ident) };
    (@name $ident:ident $name:literal) => { $name };
}

/// What `kinds!` and `names!` have in common.
macro_rules! named {
    (
        ($($blank:ident)?) $open:ident $type:ident $type_name:expr, [$(#[doc = $doc:literal])*] {$(
            [$(#[doc = $value_doc:literal])*] $value:ident $name:expr,
                [$($since:literal)?] [$($number:literal)?]
        )*}
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[doc = $value_doc])* $value,)*
            /// A value that this version does not know, as it was written.
            $open(alloc::string::String),
        }

        impl $type {
            /// The table of the values.
            pub const SCHEMA: &'static $crate::schema::EnumSchema = {
                static SCHEMA: $crate::schema::EnumSchema = $crate::schema::EnumSchema {
                    name: $type_name,
                    doc: concat!($($doc),*),
                    wire: named!(@wire $($blank)?),
                    values: &[$($crate::schema::ValueSchema {
                        name: $name,
                        alias: None,
                        number: $crate::enumeration::only(&[$($number)?]),
                        since: $crate::enumeration::since(&[$($since)?]),
                        doc: concat!($($value_doc),*),
                    }),*],
                };
                &SCHEMA
            };

            /// The values that are known, in the order of the schema.
            pub const KNOWN: &'static [$type] = &[$($type::$value),*];

            /// The name as it travels.
            pub fn name(&self) -> &str {
                match self {
                    $($type::$value => $name,)*
                    $type::$open(name) => name,
                }
            }

            /// The value of this name; case is ignored.
            pub fn from_name(name: &str) -> $type {
                let known = $type::KNOWN.iter().find(|kind| kind.name().eq_ignore_ascii_case(name));
                known.cloned().unwrap_or_else(|| $type::$open(name.into()))
            }

            /// Whether it is one of [`Self::KNOWN`].
            pub fn is_known(&self) -> bool {
                !matches!(self, $type::$open(_))
            }
        }

        impl Default for $type {
            /// The first value, which is what leaving the member out means.
            fn default() -> $type {
                $type::KNOWN[0].clone()
            }
        }

        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.name())
            }
        }

        impl $crate::schema::Described for $type {
            const KIND: $crate::schema::Kind = $crate::schema::Kind::Enum($type::SCHEMA);
        }

        impl $crate::element::Element for $type {
            fn from_json(
                value: &serde_json::Value,
                reader: &mut $crate::reader::Reader,
            ) -> Option<$type> {
                $crate::enumeration::read_kind($type::SCHEMA, value, reader, $type::from_name)
            }

            fn to_json(&self) -> serde_json::Value {
                $crate::enumeration::name_as_sent($type::SCHEMA, self.name()).into()
            }

            fn print(&self, text: &mut alloc::string::String) {
                let name = $crate::enumeration::name_as_sent($type::SCHEMA, self.name());
                $crate::element::print_text(name, text);
            }

            fn is_default(&self) -> bool {
                *self == $type::KNOWN[0]
            }
        }
    };
    (@wire) => { $crate::schema::Wire::Name };
    (@wire blank) => { $crate::schema::Wire::NameOrBlank };
}

/// The number of a table's row, when it has one.
pub(crate) const fn only(numbers: &[u32]) -> Option<u32> {
    match numbers {
        [number] => Some(*number),
        _ => None,
    }
}

/// What `numbers!` and `flags!` have in common: a newtype over the number, with named constants.
macro_rules! coded {
    (
        $wire:ident $read:ident
        $(#[doc = $doc:literal])*
        pub struct $type:ident {$(
            $(#[doc = $value_doc:literal])*
            $value:ident = $number:literal $name:literal $(| $alias:literal)? [$($since:literal)?]
        ),* $(,)?}
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub u32);

        impl $type {
            $($(#[doc = $value_doc])* pub const $value: $type = $type($number);)*

            /// The table of the values.
            pub const SCHEMA: &'static $crate::schema::EnumSchema = {
                static SCHEMA: $crate::schema::EnumSchema = $crate::schema::EnumSchema {
                    name: stringify!($type),
                    doc: concat!($($doc),*),
                    wire: $crate::schema::Wire::$wire,
                    values: &[$($crate::schema::ValueSchema {
                        name: $name,
                        alias: $crate::enumeration::spelling(&[$($alias)?]),
                        number: Some($number),
                        since: $crate::enumeration::since(&[$($since)?]),
                        doc: concat!($($value_doc),*),
                    }),*],
                };
                &SCHEMA
            };
        }

        impl $crate::schema::Described for $type {
            const KIND: $crate::schema::Kind = $crate::schema::Kind::Enum($type::SCHEMA);
        }

        impl $crate::element::Element for $type {
            fn from_json(
                value: &serde_json::Value,
                reader: &mut $crate::reader::Reader,
            ) -> Option<$type> {
                $crate::enumeration::$read($type::SCHEMA, value, reader).map($type)
            }

            fn to_json(&self) -> serde_json::Value {
                serde_json::Value::from(self.0)
            }

            fn print(&self, text: &mut alloc::string::String) {
                $crate::element::Element::print(&self.0, text);
            }

            fn is_default(&self) -> bool {
                self.0 == 0
            }
        }
    };
}

/// The other spelling of a table's row, when it has one.
pub(crate) const fn spelling(spellings: &[&'static str]) -> Option<&'static str> {
    match spellings {
        [spelling] => Some(spelling),
        _ => None,
    }
}

/// Enumerations that travel as one number; names are accepted.
macro_rules! numbers {
    ($(
        $(#[doc = $doc:literal])*
        pub struct $type:ident { $($rows:tt)* }
    )*) => {$(
        coded! { Number read_coded $(#[doc = $doc])* pub struct $type { $($rows)* } }

        impl $type {
            /// The name of the value, when it has one.
            pub fn name(self) -> Option<&'static str> {
                let values = $type::SCHEMA.values.iter();
                values.filter(|value| value.number == Some(self.0)).map(|value| value.name).next()
            }
        }

        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }
    )*};
}

/// Enumerations that travel as a sum of bits; names, joined by commas, are accepted.
macro_rules! flags {
    ($(
        $(#[doc = $doc:literal])*
        pub struct $type:ident { $($rows:tt)* }
    )*) => {$(
        coded! { Flags read_flags $(#[doc = $doc])* pub struct $type { $($rows)* } }

        impl $type {
            /// Whether all bits of `other` are set.
            pub const fn contains(self, other: $type) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether no bit is set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// The bits that no row of the table names.
            pub fn unnamed(self) -> $type {
                let named = $type::SCHEMA.values.iter().filter_map(|value| value.number);
                $type(self.0 & !named.fold(0, |all, bit| all | bit))
            }
        }

        impl core::ops::BitOr for $type {
            type Output = $type;

            fn bitor(self, other: $type) -> $type {
                $type(self.0 | other.0)
            }
        }

        impl core::ops::BitOrAssign for $type {
            fn bitor_assign(&mut self, other: $type) {
                self.0 |= other.0;
            }
        }

        impl core::ops::BitAnd for $type {
            type Output = $type;

            fn bitand(self, other: $type) -> $type {
                $type(self.0 & other.0)
            }
        }

        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                $crate::enumeration::write_flags($type::SCHEMA, self.0, f)
            }
        }
    )*};
}
