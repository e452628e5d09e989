//! The description of documents as data: what a struct, a member, an enumeration is called, which
//! schema version brought it and what it means.
//!
//! The `documents!`, `kinds!`, `numbers!` and `flags!` macros write these tables beside the types
//! they describe, so type and description cannot drift apart. The reader finds members through
//! them, and the OpenAPI documents are assembled from them.

use core::fmt;
use core::str::FromStr;

/// A version of the schema, such as 2.10: it names when something appeared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaVersion {
    /// The part that changes when documents stop being compatible.
    pub major: u32,
    /// The part that changes when members are added.
    pub minor: u32,
}

impl SchemaVersion {
    /// The newest version whose members are described here.
    pub const LATEST: SchemaVersion = SchemaVersion { major: 2, minor: 16 };

    /// Reads a literal of the tables; a malformed one does not compile.
    pub(crate) const fn of(text: &str) -> SchemaVersion {
        let bytes = text.as_bytes();
        let (mut major, mut minor, mut after_dot, mut at) = (0, 0, false, 0);
        while at < bytes.len() {
            if bytes[at] == b'.' {
                after_dot = true;
            } else if after_dot {
                minor = minor * 10 + (bytes[at] - b'0') as u32;
            } else {
                major = major * 10 + (bytes[at] - b'0') as u32;
            }
            at += 1;
        }
        assert!(after_dot, "a schema version has a major and a minor number");
        SchemaVersion { major, minor }
    }
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why a text is not a schema version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidVersion;

impl fmt::Display for InvalidVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a schema version (such as 2.10)")
    }
}

impl core::error::Error for InvalidVersion {}

impl FromStr for SchemaVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<SchemaVersion, InvalidVersion> {
        let (major, minor) = text.split_once('.').ok_or(InvalidVersion)?;
        let number = |digits: &str| digits.parse().map_err(|_| InvalidVersion);
        Ok(SchemaVersion { major: number(major)?, minor: number(minor)? })
    }
}

/// One document type.
#[derive(Debug)]
pub struct StructSchema {
    /// The published name, which may differ from the Rust name in case only.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub doc: &'static str,
    /// The version that brought the type, where its members do not tell.
    pub own_since: Option<SchemaVersion>,
    /// The type whose members come first, when there is one.
    pub base: Option<&'static StructSchema>,
    /// The type's own members, in the order in which they are printed.
    pub members: &'static [MemberSchema],
    /// Whose documents it belongs to.
    pub family: Family,
}

/// Whose documents a type belongs to: the two services write theirs differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The network service's: read leniently, defaults are left out.
    Network,
    /// The compute service's: read strictly, whatever was given is printed.
    Compute,
}

impl StructSchema {
    /// All members in printing order, those of the base first.
    pub fn all_members(&self) -> impl Iterator<Item = &'static MemberSchema> + use<> {
        self.base.map_or(&[][..], |base| base.members).iter().chain(self.members)
    }

    /// The version that brought the type: that of its oldest member, unless it says otherwise.
    pub fn since(&self) -> Option<SchemaVersion> {
        let oldest = || self.all_members().filter_map(|member| member.since).min();
        let own = || self.members.iter().filter_map(|member| member.since).min();
        self.own_since.or_else(own).or_else(oldest)
    }

    /// The position of the member with this name or alias among [`StructSchema::all_members`];
    /// case is ignored.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.all_members().position(|member| member.is_called(name))
    }

    /// The position of the member of exactly this name.
    pub fn index_of_exactly(&self, name: &str) -> Option<usize> {
        self.all_members().position(|member| member.name == name || member.aliases.contains(&name))
    }

    /// The member with this name or alias; case is ignored.
    pub fn member(&self, name: &str) -> Option<&'static MemberSchema> {
        self.all_members().find(|member| member.is_called(name))
    }
}

/// One member of a document.
#[derive(Debug)]
pub struct MemberSchema {
    /// The published name.
    pub name: &'static str,
    /// Other published spellings that are accepted.
    pub aliases: &'static [&'static str],
    /// What it holds.
    pub kind: Kind,
    /// The version that brought it; `None` for members that clients use and no schema lists.
    pub since: Option<SchemaVersion>,
    /// When it is printed.
    pub print: Print,
    /// What it means, in one sentence.
    pub doc: &'static str,
}

impl MemberSchema {
    /// Whether this is its name or an alias; case is ignored.
    pub fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    }
}

/// When a member is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Print {
    /// Unless it holds the value that leaving it out means.
    Changed,
    /// Whenever it was given, the default included.
    Given,
    /// Always: as [`Print::Given`], and a list also when it is empty. Readers may rely on it.
    Always,
    /// As [`Print::Changed`], and once more under its first alias, for clients that know that name.
    Twice,
}

/// What a member holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// True or false.
    Bool,
    /// An unsigned number of that many bits.
    Unsigned(u8),
    /// A signed number of that many bits.
    Signed(u8),
    /// A number with a fraction.
    Float,
    /// Text.
    Text,
    /// A GUID as text.
    Guid,
    /// Bytes in base64.
    Bytes,
    /// A hardware address.
    Mac,
    /// A date with time and zone.
    Time,
    /// Any JSON value; usually an object whose type another member names.
    Any,
    /// A list of such.
    List(&'static Kind),
    /// A list of exactly two such.
    Pair(&'static Kind),
    /// An object whose members all hold such, under names that are no part of the schema.
    Map(MapKey, &'static Kind),
    /// A value of an enumeration.
    Enum(&'static EnumSchema),
    /// A document.
    Struct(&'static StructSchema),
    /// A document of a type that holds others of its own type.
    Nested(fn() -> &'static StructSchema),
}

/// What the names of a [`Kind::Map`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKey {
    /// Any text.
    Text,
    /// A decimal number of that many bits.
    Number(u8),
    /// A GUID.
    Guid,
}

/// One enumeration.
#[derive(Debug)]
pub struct EnumSchema {
    /// The published name.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub doc: &'static str,
    /// How its values travel.
    pub wire: Wire,
    /// Its values, the first being the default.
    pub values: &'static [ValueSchema],
}

impl EnumSchema {
    /// The version that brought the enumeration: that of its oldest value.
    pub fn since(&self) -> Option<SchemaVersion> {
        self.values.iter().filter_map(|value| value.since).min()
    }
}

/// How the values of an enumeration travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// By name.
    Name,
    /// By name, the first one as an empty text.
    NameOrBlank,
    /// As one number; names are accepted.
    Number,
    /// As a sum of bits; names, joined by commas, are accepted.
    Flags,
}

/// One value of an enumeration.
#[derive(Debug)]
pub struct ValueSchema {
    /// The published name.
    pub name: &'static str,
    /// Another published spelling that is accepted.
    pub alias: Option<&'static str>,
    /// Its number, where it has one.
    pub number: Option<u32>,
    /// The version that brought it; `None` for values that clients use and no schema lists.
    pub since: Option<SchemaVersion>,
    /// What it means, in one sentence.
    pub doc: &'static str,
}

impl ValueSchema {
    /// Whether this is its name or alias; case is ignored.
    pub fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || self.alias.is_some_and(|alias| alias.eq_ignore_ascii_case(name))
    }
}

/// A Rust type that stands for a [`Kind`].
pub trait Described {
    /// The kind.
    const KIND: Kind;
}
