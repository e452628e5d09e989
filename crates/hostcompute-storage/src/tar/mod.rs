//! tar, read and written as a stream: ustar, pax (with extended attributes and sparse files) and GNU's forms.
//!
//! Our own, because what we read is hostile until proven otherwise: every length is bounded before memory is taken for it, a name
//! is bytes and never a path, and nothing here touches a file system.

mod header;
mod pax;
mod read;
mod sparse;
mod write;

pub(crate) use read::Reader;
pub(crate) use sparse::Segment;
pub(crate) use write::Writer;

/// tar counts in blocks of this size.
pub(crate) const BLOCK: usize = 512;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    SymbolicLink,
    Character,
    Block,
    Directory,
    Fifo,
}

/// Seconds since 1970, and nanoseconds that are added to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Time {
    pub seconds: i64,
    pub nanoseconds: u32,
}

/// One member, without its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub kind: Kind,
    /// As written: it may be absolute, or lead outside.
    pub name: Vec<u8>,
    /// Target of a link.
    pub link: Vec<u8>,
    /// Permissions, set-id bits and the sticky bit.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub modified: Time,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Names and values of extended attributes.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of the file as programs see it.
    pub size: u64,
    /// Where the stored bytes belong, for a file with holes.
    pub sparse: Option<Vec<Segment>>,
}

impl Entry {
    /// A member of this kind and name, and nothing else.
    pub(crate) fn new(kind: Kind, name: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            name: name.into(),
            link: Vec::new(),
            mode: if kind == Kind::Directory { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            modified: Time::default(),
            device: (0, 0),
            attributes: Vec::new(),
            size: 0,
            sparse: None,
        }
    }

    /// The name for messages.
    pub(crate) fn shown(&self) -> String {
        shown(&self.name)
    }
}

/// Bytes of a name as a person can read them.
pub(crate) fn shown(name: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(name).chars().take(200).collect();
    text.escape_debug().to_string()
}
