//! A layer's tree as a tar stream: the inverse of `unpack`. The same tree gives the same bytes.
//!
//! Marks of the overlay become whiteouts, further names of a file hard links, holes stay holes. Sockets are left out: they mean
//! nothing without the process that listens.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, OFlags, Stat};
use rustix::io::Errno;

use crate::beneath::{self, Links};
use crate::error::{Error, Result};
use crate::overlay::Marks;
use crate::tar::{Entry, Kind, Segment, Time, Writer, shown};
use crate::unpack::{self, OPAQUE, WHITEOUT, is_whiteout, join};

/// What became of a tree.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub entries: u64,
    /// Sockets that were left out.
    pub sockets: u64,
}

/// Where whiteouts go.
pub(crate) enum Whiteouts<'a> {
    /// Into the stream, as OCI wants them.
    InStream,
    /// Onto a list, but for names that a list of lines cannot hold.
    Listed(&'a mut Vec<Vec<u8>>),
}

/// A tree on its way into a stream.
pub(crate) struct Packer<'a, W> {
    root: &'a OwnedFd,
    writer: &'a mut Writer<W>,
    whiteouts: Whiteouts<'a>,
    /// Files with further names that were met: device, inode and the first name.
    linked: HashMap<(u64, u64), Vec<u8>>,
    packed: Packed,
}

impl<'a, W: Write> Packer<'a, W> {
    pub(crate) fn new(
        root: &'a OwnedFd,
        writer: &'a mut Writer<W>,
        whiteouts: Whiteouts<'a>,
    ) -> Self {
        Self { root, writer, whiteouts, linked: HashMap::new(), packed: Packed::default() }
    }

    /// Writes every entry, directories before what is in them, names in the order of their bytes.
    ///
    /// # Errors
    /// The tree cannot be read, or changes meanwhile; the output cannot be written.
    pub(crate) fn pack(mut self) -> Result<Packed> {
        let mut pending = vec![Vec::new()];
        while let Some(path) = pending.pop() {
            let (parent, name) = split(&path);
            let failed =
                |error: io::Error| Error::caused(format!("cannot read {}", shown(&path)), error);
            let parent = beneath::directory(self.root, parent, Links::None).map_err(failed)?;
            let status = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|errno| failed(errno.into()))?;
            if FileType::from_raw_mode(status.st_mode) != FileType::Directory {
                self.other(&parent, name, &path, &status)?;
                continue;
            }
            let open =
                beneath::open(&parent, name, OFlags::RDONLY | OFlags::DIRECTORY, Links::None)
                    .map_err(failed)?;
            self.directory(&open, &path, &status)?;
            let mut names = beneath::names(&open).map_err(failed)?;
            names.sort_unstable_by(|one, other| other.cmp(one));
            pending.extend(names.iter().map(|name| join(&path, name.as_bytes())));
        }
        Ok(self.packed)
    }

    fn directory(&mut self, open: &OwnedFd, path: &[u8], status: &Stat) -> Result<()> {
        let name = if path.is_empty() { b"./".to_vec() } else { [path, b"/"].concat() };
        let mut entry = described(Kind::Directory, name, status);
        let attributes = attributes(open).map_err(|errno| unreadable(path, errno))?;
        let is_opaque = attributes.iter().any(|(name, value)| {
            let marks = [Marks::Trusted, Marks::User].map(unpack::opaque);
            marks.iter().any(|mark| name == mark.as_bytes()) && value == b"y"
        });
        entry.attributes = carried(attributes);
        self.append(&entry, &mut io::empty())?;
        if is_opaque {
            self.append(&empty(join(path, OPAQUE)), &mut io::empty())?;
        }
        Ok(())
    }

    fn other(&mut self, parent: &OwnedFd, name: &[u8], path: &[u8], status: &Stat) -> Result<()> {
        if is_whiteout(status) {
            return self.whiteout(path);
        }
        let identity = (status.st_dev, status.st_ino);
        if status.st_nlink > 1 {
            if let Some(first) = self.linked.get(&identity) {
                let mut entry = described(Kind::HardLink, path.to_vec(), status);
                entry.link = first.clone();
                return self.append(&entry, &mut io::empty());
            }
            self.linked.insert(identity, path.to_vec());
        }
        let kind = match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile => return self.file(parent, name, path),
            FileType::Symlink => Kind::SymbolicLink,
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::Character,
            FileType::BlockDevice => Kind::Block,
            _ => {
                self.packed.sockets += 1;
                return Ok(());
            }
        };
        let mut entry = described(kind, path.to_vec(), status);
        if kind == Kind::SymbolicLink {
            let target = rustix::fs::readlinkat(parent, name, Vec::new());
            entry.link = target.map_err(|errno| unreadable(path, errno))?.into_bytes();
        }
        let by_path = beneath::by_path(parent, name);
        let attributes = named_attributes(&by_path).map_err(|errno| unreadable(path, errno))?;
        entry.attributes = carried(attributes);
        self.append(&entry, &mut io::empty())
    }

    fn file(&mut self, parent: &OwnedFd, name: &[u8], path: &[u8]) -> Result<()> {
        let failed =
            |error: io::Error| Error::caused(format!("cannot read {}", shown(path)), error);
        let mut file = beneath::file(parent, name).map_err(failed)?;
        // Of what is open now: the name may be another file's since it was looked at.
        let status = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
        let mut entry = described(Kind::File, path.to_vec(), &status);
        entry.size = u64::try_from(status.st_size).unwrap_or(0);
        entry.attributes = carried(attributes(&file).map_err(|errno| unreadable(path, errno))?);
        let stored = u64::try_from(status.st_blocks).unwrap_or(0).saturating_mul(512);
        if stored < entry.size {
            entry.sparse = segments(&mut file, entry.size).map_err(failed)?;
        }
        let whole = [Segment { offset: 0, length: entry.size }];
        let segments = entry.sparse.clone().unwrap_or_else(|| whole.to_vec());
        self.append(&entry, &mut Stored { file, segments: segments.into_iter(), left: 0 })
    }

    fn whiteout(&mut self, path: &[u8]) -> Result<()> {
        if let Whiteouts::Listed(list) = &mut self.whiteouts
            && !path.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'))
        {
            list.push(path.to_vec());
            return Ok(());
        }
        let (parent, name) = split(path);
        let hidden = [WHITEOUT, name].concat();
        self.append(&empty(join(parent, &hidden)), &mut io::empty())
    }

    fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<()> {
        self.packed.entries += 1;
        self.writer.append(entry, data)
    }
}

fn empty(name: Vec<u8>) -> Entry {
    Entry { mode: 0o600, ..Entry::new(Kind::File, name) }
}

/// Directory and name; of the root, nothing and `.`.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    if path.is_empty() {
        return (b"", b".");
    }
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => {
            (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default())
        }
        None => (b"", path),
    }
}

fn described(kind: Kind, name: Vec<u8>, status: &Stat) -> Entry {
    Entry {
        mode: status.st_mode & 0o7777,
        uid: status.st_uid,
        gid: status.st_gid,
        modified: Time {
            seconds: status.st_mtime,
            nanoseconds: u32::try_from(status.st_mtime_nsec).unwrap_or(0),
        },
        device: match kind {
            Kind::Character | Kind::Block => {
                (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev))
            }
            _ => (0, 0),
        },
        ..Entry::new(kind, name)
    }
}

/// Where a file has bytes; none when it has no holes.
fn segments(file: &mut File, size: u64) -> io::Result<Option<Vec<Segment>>> {
    use rustix::fs::SeekFrom as Seek;
    let mut found = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(&*file, Seek::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
            Err(other) => return Err(other.into()),
        };
        let end = rustix::fs::seek(&*file, Seek::Hole(start))?.min(size);
        if start >= size {
            break;
        }
        found.push(Segment { offset: start, length: end - start });
        at = end;
    }
    file.rewind()?;
    let whole = Segment { offset: 0, length: size };
    if found == [whole] {
        return Ok(None);
    }
    if found.last().is_none_or(|last| last.offset + last.length < size) {
        // An empty run at the end says how long the file is, also to readers that look at the map alone.
        found.push(Segment { offset: size, length: 0 });
    }
    Ok(Some(found))
}

/// The stored bytes of a file, run after run.
struct Stored {
    file: File,
    segments: std::vec::IntoIter<Segment>,
    left: u64,
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some(next) = self.segments.next() else { return Ok(0) };
            self.file.seek(SeekFrom::Start(next.offset))?;
            self.left = next.length;
        }
        let length = (&self.file).take(self.left).read(buffer)?;
        self.left -= length as u64;
        Ok(length)
    }
}

type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// Without the overlay's own; in the order of their names.
fn carried(mut attributes: Attributes) -> Attributes {
    let own =
        |name: &[u8]| name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
    attributes.retain(|(name, _)| !own(name));
    attributes.sort_unstable();
    attributes
}

fn attributes(open: impl AsFd) -> rustix::io::Result<Attributes> {
    let open = open.as_fd();
    all_attributes(
        rustix::fs::flistxattr_query(open),
        |buffer| rustix::fs::flistxattr(open, buffer),
        |name, buffer| rustix::fs::fgetxattr(open, name, buffer),
    )
}

fn named_attributes(path: &std::ffi::CStr) -> rustix::io::Result<Attributes> {
    all_attributes(
        rustix::fs::llistxattr_query(path),
        |buffer| rustix::fs::llistxattr(path, buffer),
        |name, buffer| rustix::fs::lgetxattr(path, name, buffer),
    )
}

/// Longest list of names, and longest value, that Linux has.
const LONGEST: usize = 64 << 10;

fn all_attributes(
    length: rustix::io::Result<usize>,
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&[u8], &mut [u8]) -> rustix::io::Result<usize>,
) -> rustix::io::Result<Attributes> {
    // Most files have none, and cost no buffer.
    let length = match length {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = vec![0; length.max(LONGEST)];
    let length = list(&mut names)?;
    let mut found = Vec::new();
    let mut value = vec![0; LONGEST];
    for name in names.get(..length).unwrap_or_default().split(|byte| *byte == 0) {
        if name.is_empty() {
            continue;
        }
        match get(name, &mut value) {
            Ok(length) => {
                found.push((name.to_vec(), value.get(..length).unwrap_or_default().to_vec()));
            }
            Err(Errno::NODATA) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(found)
}

fn unreadable(path: &[u8], errno: Errno) -> Error {
    Error::caused(format!("cannot read {}", shown(path)), errno.into())
}
