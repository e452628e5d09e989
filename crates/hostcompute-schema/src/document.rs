//! Documents: structs that are read leniently from JSON and written in one normal form.
//!
//! The normal form is the schema's order of members, defaults left out, values as given, members
//! that the schema does not know last (hcn.md 0.3 rules 9 to 11). The `documents!` macro writes a
//! type together with its [`StructSchema`]; the reading and writing is done once, here, over that
//! table.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::element::{Element, Member};
use crate::reader::{Manner, Reader};
use crate::schema::{Described, Family, Kind, MemberSchema, Print, StructSchema};
use crate::unknown::Unknown;

/// Bytes that hold the text of most documents.
const USUAL: usize = 1 << 10;

/// A document type.
pub trait Document: Sized + Default {
    /// The table that describes the type.
    const SCHEMA: &'static StructSchema;

    /// What the fields hold, in the order of [`StructSchema::all_members`].
    #[doc(hidden)]
    fn members(&self) -> Vec<&dyn Member>;

    #[doc(hidden)]
    fn members_mut(&mut self) -> Vec<&mut dyn Member>;

    /// What the document held beyond its schema; `None` for a type that is only part of others.
    #[doc(hidden)]
    fn unknown(&self) -> Option<&Unknown>;

    #[doc(hidden)]
    fn unknown_mut(&mut self) -> Option<&mut Unknown>;

    /// Reads what `value` says; mistakes and oddities are noted in `reader`.
    fn read(value: &Value, reader: &mut Reader) -> Self {
        let mut document = Self::default();
        match value {
            Value::Null => {}
            Value::Object(object) => {
                let unknown =
                    read_members(Self::SCHEMA, &mut document.members_mut(), object, reader);
                if let Some(kept) = document.unknown_mut() {
                    *kept = unknown.into();
                }
            }
            other => reader.fail_type("an object", other),
        }
        document
    }

    /// The document in its normal form.
    fn write(&self) -> Map<String, Value> {
        let mut object = write_members(Self::SCHEMA, &self.members());
        for (name, value) in self.unknown().into_iter().flat_map(Unknown::iter) {
            if !object.contains_key(name) {
                object.insert(name.clone(), value.clone());
            }
        }
        object
    }

    /// Whether it says nothing: every member has the value that leaving it out means.
    fn is_blank(&self) -> bool {
        self.members().iter().all(|member| member.is_default())
            && self.unknown().is_none_or(Unknown::is_empty)
    }

    /// The document in its normal form, as a value.
    fn to_value(&self) -> Value {
        Value::Object(self.write())
    }

    /// The document in its normal form, as compact text: that of [`Document::to_value`], made without the value.
    fn to_text(&self) -> String {
        let mut text = String::with_capacity(USUAL);
        self.print(&mut text);
        text
    }
}

/// Reads the members that the schema knows and returns the others.
fn read_members(
    schema: &StructSchema,
    members: &mut [&mut dyn Member],
    object: &Map<String, Value>,
    reader: &mut Reader,
) -> Map<String, Value> {
    let mut unknown = Map::new();
    for (name, value) in object {
        match reader.index_of(name, schema).and_then(|index| members.get_mut(index)) {
            Some(member) => reader.in_member(name, |reader| member.set(value, reader)),
            None if value.is_null() && reader.manner() == Manner::Lenient => {}
            None => {
                reader.unknown_member(name, schema);
                unknown.insert(name.clone(), value.clone());
            }
        }
    }
    unknown
}

fn write_members(schema: &'static StructSchema, members: &[&dyn Member]) -> Map<String, Value> {
    let mut object = Map::new();
    for (member, row) in printed(schema, members) {
        let empty = || {
            let list = row.print == Print::Always && matches!(row.kind, Kind::List(_));
            list.then(|| Value::Array(Vec::new()))
        };
        let Some(value) = member.get().or_else(empty) else { continue };
        if row.print == Print::Twice
            && let Some(alias) = row.aliases.first()
        {
            object.insert((*alias).into(), value.clone());
        }
        object.insert(row.name.into(), value);
    }
    object
}

/// The members that are printed if they have a value.
fn printed<'m>(
    schema: &'static StructSchema,
    members: &'m [&dyn Member],
) -> impl Iterator<Item = (&'m dyn Member, &'static MemberSchema)> {
    members.iter().copied().zip(schema.all_members()).filter(|(member, row)| {
        let given =
            schema.family == Family::Compute || matches!(row.print, Print::Given | Print::Always);
        given || !member.is_default()
    })
}

/// The text of [`write_members`].
fn print_members(schema: &'static StructSchema, members: &[&dyn Member], text: &mut String) {
    let begin = text.len();
    for (member, row) in printed(schema, members) {
        let before = text.len();
        print_name(row.name, begin, text);
        let value = text.len();
        if !member.print(text) {
            if row.print == Print::Always && matches!(row.kind, Kind::List(_)) {
                text.push_str("[]");
            } else {
                text.truncate(before);
                continue;
            }
        }
        if row.print == Print::Twice
            && let Some(alias) = row.aliases.first()
        {
            // The older spelling comes first.
            let value = text.split_off(value);
            text.truncate(before);
            print_name(alias, begin, text);
            text.push_str(&value);
            print_name(row.name, begin, text);
            text.push_str(&value);
        }
    }
    if text.len() == begin {
        text.push('{');
    }
    text.push('}');
}

/// A member's name, behind the brace or comma that parts it from what is there since `begin`.
fn print_name(name: &str, begin: usize, text: &mut String) {
    text.push_str(if text.len() == begin { "{\"" } else { ",\"" });
    text.push_str(name);
    text.push_str("\":");
}

impl<T: Document> Described for T {
    const KIND: Kind = Kind::Struct(T::SCHEMA);
}

impl<T: Document> Element for T {
    const DEFAULT_IS_ABSENT: bool = true;

    fn from_json(value: &Value, reader: &mut Reader) -> Option<T> {
        Some(T::read(value, reader))
    }

    fn to_json(&self) -> Value {
        self.to_value()
    }

    fn print(&self, text: &mut String) {
        // Which of the unknown ones are printed depends on the known.
        if self.unknown().is_some_and(|unknown| !unknown.is_empty()) {
            return self.to_value().print(text);
        }
        print_members(T::SCHEMA, &self.members(), text);
    }

    fn is_default(&self) -> bool {
        self.is_blank()
    }
}

/// Documents of a type inside one of the same type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Children<T>(pub Vec<T>);

/// A type's table cannot hold itself while it is made; it can hold who knows it.
impl<T: Document> Described for Children<T> {
    const KIND: Kind = Kind::List(&Kind::Nested(schema_of::<T>));
}

fn schema_of<T: Document>() -> &'static StructSchema {
    T::SCHEMA
}

impl<T: Document> Element for Children<T> {
    fn from_json(value: &Value, reader: &mut Reader) -> Option<Children<T>> {
        Element::from_json(value, reader).map(Children)
    }

    fn to_json(&self) -> Value {
        self.0.to_json()
    }

    fn print(&self, text: &mut String) {
        Element::print(&self.0, text);
    }

    fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

/// A document inside another that few say, and that would make all of those large.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rare<T>(Box<T>);

impl<T> core::ops::Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> core::ops::DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Rare<T> {
    fn from(document: T) -> Rare<T> {
        Rare(Box::new(document))
    }
}

impl<T: Document> Described for Rare<T> {
    const KIND: Kind = T::KIND;
}

impl<T: Document> Element for Rare<T> {
    const DEFAULT_IS_ABSENT: bool = T::DEFAULT_IS_ABSENT;

    fn from_json(value: &Value, reader: &mut Reader) -> Option<Rare<T>> {
        T::from_json(value, reader).map(Rare::from)
    }

    fn to_json(&self) -> Value {
        self.0.to_json()
    }

    fn print(&self, text: &mut String) {
        self.0.print(text);
    }

    fn is_default(&self) -> bool {
        self.0.is_blank()
    }
}

/// Serde for a document: its normal form out, lenient or tolerant in, the first mistake as the error.
pub(crate) fn deserialize<'de, T: Document, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = <Value as serde::Deserialize>::deserialize(deserializer)?;
    let mut reader = match T::SCHEMA.family {
        Family::Network => Reader::default(),
        Family::Compute => Reader::tolerant(),
    };
    let document = T::read(&value, &mut reader);
    match reader.into_notes().0.into_iter().next() {
        None => Ok(document),
        Some(failure) => Err(serde::de::Error::custom(failure)),
    }
}

/// Document types: the struct, its table, its conversions.
///
/// One line per member: `field: Type = "Member" | "Alias" ["2.0", Given]`. The brackets hold the
/// version that brought the member (left out when no schema lists it) and, where it is not
/// `Changed`, when it is printed. A version behind the name of the type is for types that are newer
/// than their oldest member.
macro_rules! documents {
    // A type that is only ever part of others and therefore keeps no unknown members itself.
    (@part
        $(#[doc = $doc:literal])*
        pub struct $type:ident($name:literal $(, $type_since:literal)?) {$(
            $(#[doc = $member_doc:literal])*
            $field:ident: $field_type:ty = $member:literal $(| $alias:literal)*
                [$($since:literal)? $(, $print:ident)?]
        ),* $(,)?}
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $type {
            $($(#[doc = $member_doc])* pub $field: $field_type,)*
        }

        documents!(@schema Network $type $name [$($type_since)?] [$(#[doc = $doc])*] [] {$(
            [$($member_doc)*] $field: $field_type = $member [$($alias)*]
                [$($since)? $(, $print)?]
        )*});
    };
    // Documents of the compute service.
    (@compute $(
        $(#[doc = $doc:literal])*
        pub struct $type:ident($name:literal $(, $type_since:literal)?) {$(
            $(#[doc = $member_doc:literal])*
            $field:ident: $field_type:ty = $member:literal [$($since:literal)?]
        ),* $(,)?}
    )*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $type {
            $($(#[doc = $member_doc])* pub $field: $field_type,)*
            /// Members that the schema does not know: of an answer only, input with such is refused.
            pub unknown: $crate::Unknown,
        }

        documents!(@schema Compute $type $name [$($type_since)?] [$(#[doc = $doc])*] [] {$(
            [$($member_doc)*] $field: $field_type = $member [] [$($since)?]
        )*} unknown);
    )*};
    ($(
        $(#[doc = $doc:literal])*
        pub struct $type:ident($name:literal $(, $type_since:literal)?) $(: $base:ident)? {$(
            $(#[doc = $member_doc:literal])*
            $field:ident: $field_type:ty = $member:literal $(| $alias:literal)*
                [$($since:literal)? $(, $print:ident)?]
        ),* $(,)?}
    )*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $type {
            $(
                /// What every object has: id, name, version.
                pub base: $base,
            )?
            $($(#[doc = $member_doc])* pub $field: $field_type,)*
            /// Members that the schema does not know; printed last.
            pub unknown: $crate::Unknown,
        }

        documents!(@schema Network $type $name [$($type_since)?] [$(#[doc = $doc])*] [$($base)?] {$(
            [$($member_doc)*] $field: $field_type = $member [$($alias)*]
                [$($since)? $(, $print)?]
        )*} unknown);
    )*};
    // The tables and conversions of a type, with or without a place for unknown members.
    (@schema $family:ident $type:ident $name:literal [$($type_since:literal)?] [$(#[doc = $doc:literal])*] [$($base:ident)?] {$(
        [$($member_doc:literal)*] $field:ident: $field_type:ty = $member:literal [$($alias:literal)*]
            [$($since:literal)? $(, $print:ident)?]
    )*} $($unknown:ident)?) => {
        impl $crate::document::Document for $type {
            const SCHEMA: &'static $crate::schema::StructSchema = {
                static SCHEMA: $crate::schema::StructSchema = $crate::schema::StructSchema {
                    name: $name,
                    doc: concat!($($doc),*),
                    own_since: $crate::enumeration::since(&[$($type_since)?]),
                    base: documents!(@base $($base)?),
                    members: &[$($crate::schema::MemberSchema {
                        name: $member,
                        aliases: &[$($alias),*],
                        kind: <$field_type as $crate::schema::Described>::KIND,
                        since: $crate::enumeration::since(&[$($since)?]),
                        print: documents!(@print $($print)?),
                        doc: concat!($($member_doc),*),
                    }),*],
                    family: $crate::schema::Family::$family,
                };
                &SCHEMA
            };

            fn members(&self) -> alloc::vec::Vec<&dyn $crate::element::Member> {
                let mut members: alloc::vec::Vec<&dyn $crate::element::Member> =
                    documents!(@members self $($base)?);
                members.extend([$(&self.$field as &dyn $crate::element::Member),*]
                    as [&dyn $crate::element::Member; _]);
                members
            }

            fn members_mut(&mut self) -> alloc::vec::Vec<&mut dyn $crate::element::Member> {
                let mut members: alloc::vec::Vec<&mut dyn $crate::element::Member> =
                    documents!(@members_mut self $($base)?);
                members.extend([$(&mut self.$field as &mut dyn $crate::element::Member),*]
                    as [&mut dyn $crate::element::Member; _]);
                members
            }

            fn unknown(&self) -> Option<&$crate::Unknown> {
                documents!(@unknown self $($unknown)?)
            }

            fn unknown_mut(&mut self) -> Option<&mut $crate::Unknown> {
                documents!(@unknown_mut self $($unknown)?)
            }
        }

        documents!(@builder $type [$($base)?] {$([$($member_doc)*] $field: $field_type)*});

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(&$crate::document::Document::write(self), serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                $crate::document::deserialize(deserializer)
            }
        }
    };
    (@builder $type:ident [$($base:ident)?] {$(
        [$($member_doc:literal)*] $field:ident: $field_type:ty
    )*}) => {
        /// Each method says one member and hands the document on.
        #[allow(clippy::wrong_self_convention, reason = "named as the members are")]
        impl $type {
            documents!(@builder_of_base $($base)?);
            $(
                $(#[doc = $member_doc])*
                #[must_use]
                pub fn $field(mut self, value: impl $crate::build::IntoMember<$field_type>) -> Self {
                    self.$field = value.into_member();
                    self
                }
            )*
        }
    };
    (@builder_of_base) => {};
    (@builder_of_base $base:ident) => {
        /// The object's id; the service chooses one when it is not said.
        #[must_use]
        pub fn id(mut self, value: impl $crate::build::IntoMember<Option<$crate::Guid>>) -> Self {
            self.base.id = value.into_member();
            self
        }

        /// A label; unique among networks, free among everything else.
        #[must_use]
        pub fn name(
            mut self,
            value: impl $crate::build::IntoMember<Option<alloc::string::String>>,
        ) -> Self {
            self.base.name = value.into_member();
            self
        }

        /// A free label of whoever makes the object; stored and echoed.
        #[must_use]
        pub fn owner(
            mut self,
            value: impl $crate::build::IntoMember<Option<alloc::string::String>>,
        ) -> Self {
            self.base.owner = value.into_member();
            self
        }
    };
    (@base) => { None };
    (@base $base:ident) => { Some(<$base as $crate::document::Document>::SCHEMA) };
    (@print) => { $crate::schema::Print::Changed };
    (@print $print:ident) => { $crate::schema::Print::$print };
    (@members $self:ident) => { alloc::vec::Vec::new() };
    (@members $self:ident $base:ident) => { $crate::document::Document::members(&$self.base) };
    (@members_mut $self:ident) => { alloc::vec::Vec::new() };
    (@members_mut $self:ident $base:ident) => {
        $crate::document::Document::members_mut(&mut $self.base)
    };
    (@unknown $self:ident) => { None };
    (@unknown $self:ident unknown) => { Some(&$self.unknown) };
    (@unknown_mut $self:ident) => { None };
    (@unknown_mut $self:ident unknown) => { Some(&mut $self.unknown) };
}
