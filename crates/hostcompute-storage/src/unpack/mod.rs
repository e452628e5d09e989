//! A layer's tar stream as a tree that overlay mounts understand.
//!
//! Whiteouts become character devices 0:0, opaque directories get their mark. Nothing in the stream can reach outside the root:
//! names are taken apart ([`name`]), and every directory is opened by `beneath`. Entries come in any order and more than once: the
//! last one counts, whiteouts speak of lower layers only.
//!
//! Directories get their owners, permissions and times at the end: filling them would change their times, and a directory that its
//! owner may not write could not be filled.

mod attributes;
mod name;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

pub use attributes::Lost;
pub(crate) use attributes::opaque;
pub(crate) use name::{OPAQUE, WHITEOUT, join};

use crate::beneath::{self, Links};
use crate::error::{Error, Kind as Wrong, Result};
use crate::limits::Limits;
use crate::overlay::Marks;
use crate::tar::{Entry, Kind, Reader, Segment, shown};
use attributes::Subject;
use name::{Meaning, Place};

/// Read and written at once.
const BUFFER: usize = 256 << 10;

/// What came of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub entries: u64,
    /// Bytes of data that were written.
    pub bytes: u64,
    pub lost: Lost,
    /// A directory that the stream only implies was made like the one in a lower layer: the tree fits upon those layers alone.
    pub is_bound_to_parents: bool,
}

/// A tree in the making.
pub(crate) struct Unpacker<'a> {
    root: &'a OwnedFd,
    /// Roots of the layers below, top first.
    parents: &'a [OwnedFd],
    marks: Marks,
    limits: Limits,
    directories: BTreeMap<Vec<u8>, Directory>,
    /// The last directory that something was put into: the next entry is most often there too.
    last: Option<(Vec<u8>, OwnedFd)>,
    outcome: Outcome,
    buffer: Vec<u8>,
    /// Places to hide when all is unpacked.
    hidden: Vec<Vec<u8>>,
}

/// What a directory gets when everything is in it.
#[derive(Debug, Default)]
struct Directory {
    entry: Option<Entry>,
    is_opaque: bool,
}

impl<'a> Unpacker<'a> {
    /// A tree below `root`, which is an empty directory of ours, upon the layers in `parents`.
    pub(crate) fn new(
        root: &'a OwnedFd,
        parents: &'a [OwnedFd],
        marks: Marks,
        limits: Limits,
    ) -> Self {
        Self {
            root,
            parents,
            marks,
            limits,
            directories: BTreeMap::from([(Vec::new(), Directory::default())]),
            last: None,
            outcome: Outcome::default(),
            buffer: vec![0; BUFFER],
            hidden: Vec::new(),
        }
    }

    /// What lower layers have at these places is hidden too.
    pub(crate) fn hiding(self, hidden: Vec<Vec<u8>>) -> Self {
        Self { hidden, ..self }
    }

    /// Unpacks all members and finishes the directories.
    ///
    /// # Errors
    /// The stream is damaged or hostile, or larger than the limits; the machine refuses.
    pub(crate) fn unpack<R: Read>(mut self, reader: &mut Reader<R>) -> Result<Outcome> {
        while let Some(entry) = reader.next()? {
            self.outcome.entries += 1;
            if self.outcome.entries > self.limits.layer_entries {
                let limit = self.limits.layer_entries;
                let message = format!("the layer has more than {limit} entries");
                return Err(
                    Error::new(Wrong::TooLarge, message).hint("a larger limit can be asked for")
                );
            }
            match name::meaning(&entry.name)? {
                Meaning::Root => self.describe(Vec::new(), entry),
                Meaning::Plain(place) => self.put(&place, entry, reader)?,
                Meaning::Whiteout(place) => self.hide(&place)?,
                Meaning::Opaque(path) => {
                    self.within(&path)?;
                    self.directories.entry(path).or_default().is_opaque = true;
                }
                Meaning::Ignored => {}
            }
        }
        for path in std::mem::take(&mut self.hidden) {
            self.hide(&name::target(&path)?)?;
        }
        self.finish()?;
        Ok(self.outcome)
    }

    fn put<R: Read>(&mut self, place: &Place, entry: Entry, reader: &mut Reader<R>) -> Result<()> {
        let parent = self.within(&place.parent)?;
        let made = match entry.kind {
            Kind::Directory => self.make_directory(&parent, place, entry),
            Kind::File => self.make_file(&parent, place, &entry, reader),
            Kind::HardLink => self.link(&parent, place, &entry),
            Kind::SymbolicLink | Kind::Fifo | Kind::Character | Kind::Block => {
                self.make_special(&parent, place, &entry)
            }
        };
        self.last = Some((place.parent.clone(), parent));
        made
    }

    fn make_directory(&mut self, parent: &OwnedFd, place: &Place, entry: Entry) -> Result<()> {
        match rustix::fs::mkdirat(parent, &place.name[..], Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                match look(parent, &place.name).map_err(|e| cannot("look at", &entry, e))? {
                    Present::Directory => {}
                    found => {
                        self.clear(parent, place)?;
                        rustix::fs::mkdirat(parent, &place.name[..], Mode::RWXU)
                            .map_err(|errno| cannot("make", &entry, errno))?;
                        let hides = found == Present::Whiteout;
                        self.directories.entry(place.path()).or_default().is_opaque |= hides;
                    }
                }
            }
            Err(errno) => return Err(cannot("make", &entry, errno)),
        }
        self.describe(place.path(), entry);
        Ok(())
    }

    fn describe(&mut self, path: Vec<u8>, entry: Entry) {
        // A root that is a file makes no sense; its name is that of the root all the same.
        if entry.kind == Kind::Directory {
            self.directories.entry(path).or_default().entry = Some(entry);
        }
    }

    fn make_file<R: Read>(
        &mut self,
        parent: &OwnedFd,
        place: &Place,
        entry: &Entry,
        reader: &mut Reader<R>,
    ) -> Result<()> {
        let create = || {
            let flags =
                OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(parent, &place.name[..], flags, Mode::RUSR | Mode::WUSR)
        };
        let file = self.anew(parent, place, entry, create)?;
        let mut file = File::from(file);
        self.fill(&mut file, entry, reader)?;
        attributes::give(Subject::Open(file.as_fd()), entry, &mut self.outcome.lost)
    }

    fn fill<R: Read>(
        &mut self,
        file: &mut File,
        entry: &Entry,
        reader: &mut Reader<R>,
    ) -> Result<()> {
        let whole = [Segment { offset: 0, length: entry.size }];
        let segments = entry.sparse.as_deref().unwrap_or(&whole);
        let failed = |error| Error::caused(format!("cannot write {}", entry.shown()), error);
        let mut data = reader.data();
        for segment in segments {
            if entry.sparse.is_some() {
                file.seek(SeekFrom::Start(segment.offset)).map_err(failed)?;
            }
            let mut left = segment.length;
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
                let wanted = self.buffer.get_mut(..most).unwrap_or_default();
                let length = data.read(wanted).map_err(failed)?;
                if length == 0 {
                    return Err(Error::invalid(format!("{} ends too early", entry.shown())));
                }
                file.write_all(wanted.get(..length).unwrap_or_default()).map_err(failed)?;
                left -= length as u64;
                self.outcome.bytes += length as u64;
            }
        }
        if entry.sparse.is_some() {
            rustix::fs::ftruncate(&*file, entry.size).map_err(|errno| failed(errno.into()))?;
        }
        Ok(())
    }

    fn link(&mut self, parent: &OwnedFd, place: &Place, entry: &Entry) -> Result<()> {
        let target = name::target(&entry.link)?;
        if target == *place {
            // It is there, and stays.
            return Ok(());
        }
        let missing = |errno: Errno| {
            let message =
                format!("the hard link {} leads to {}", entry.shown(), shown(&entry.link));
            Error::caused(message, errno.into()).blaming_the_layer()
        };
        let above = beneath::directory(self.root, &target.parent, Links::Inside)
            .map_err(|error| missing(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        if look(&above, &target.name).map_err(missing)? != Present::Other {
            return Err(missing(Errno::ISDIR));
        }
        let make = || {
            let (from, to) = (&target.name[..], &place.name[..]);
            rustix::fs::linkat(&above, from, parent, to, AtFlags::empty())
        };
        self.anew(parent, place, entry, make)
    }

    fn make_special(&mut self, parent: &OwnedFd, place: &Place, entry: &Entry) -> Result<()> {
        let (name, mode) = (&place.name[..], Mode::RUSR | Mode::WUSR);
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        let make = || match entry.kind {
            Kind::SymbolicLink => rustix::fs::symlinkat(&entry.link[..], parent, name),
            Kind::Fifo => rustix::fs::mknodat(parent, name, FileType::Fifo, mode, 0),
            Kind::Block => rustix::fs::mknodat(parent, name, FileType::BlockDevice, mode, device),
            _ => rustix::fs::mknodat(parent, name, FileType::CharacterDevice, mode, device),
        };
        let is_device = matches!(entry.kind, Kind::Character | Kind::Block);
        match self.anew(parent, place, entry, make) {
            Err(error) if is_device && error.kind() == Wrong::Denied => {
                self.outcome.lost.devices += 1;
                self.outcome.lost.example(&entry.name, "device");
                return Ok(());
            }
            other => other?,
        }
        let subject = Subject::Named(parent.as_fd(), name);
        attributes::give(subject, entry, &mut self.outcome.lost)
    }

    /// Makes an entry; what an earlier member put there goes first.
    fn anew<T>(
        &mut self,
        parent: &OwnedFd,
        place: &Place,
        entry: &Entry,
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<T> {
        let made = match make() {
            Err(Errno::EXIST) => {
                self.clear(parent, place)?;
                make()
            }
            other => other,
        };
        made.map_err(|errno| cannot("make", entry, errno))
    }

    /// Removes an entry, and forgets what is known of directories below it.
    fn clear(&mut self, parent: &OwnedFd, place: &Place) -> Result<()> {
        beneath::remove(parent, &place.name).map_err(|error| {
            Error::caused(format!("cannot replace {}", shown(&place.path())), error)
        })?;
        let path = place.path();
        let below = [&path[..], b"/"].concat();
        self.directories.retain(|known, _| *known != path && !known.starts_with(&below));
        self.last = None;
        Ok(())
    }

    /// Hides what lower layers have at a place. What this layer has there stays: a whiteout speaks of others.
    fn hide(&mut self, place: &Place) -> Result<()> {
        let parent = self.within(&place.parent)?;
        let failed = |errno: Errno| {
            Error::caused(format!("cannot hide {}", shown(&place.path())), errno.into())
        };
        match look(&parent, &place.name) {
            Err(Errno::NOENT) => {
                let (device, mode) = (rustix::fs::makedev(0, 0), Mode::empty());
                rustix::fs::mknodat(
                    &parent,
                    &place.name[..],
                    FileType::CharacterDevice,
                    mode,
                    device,
                )
                .map_err(failed)?;
            }
            Err(errno) => return Err(failed(errno)),
            Ok(Present::Directory) => {
                self.directories.entry(place.path()).or_default().is_opaque = true;
            }
            Ok(Present::Whiteout | Present::Other) => {}
        }
        self.last = Some((place.parent.clone(), parent));
        Ok(())
    }

    /// The directory that an entry belongs to; made where the stream only implies it.
    fn within(&mut self, path: &[u8]) -> Result<OwnedFd> {
        if let Some((_, open)) = self.last.take_if(|(last, _)| last == path) {
            return Ok(open);
        }
        match beneath::directory(self.root, path, Links::Inside) {
            Ok(open) => Ok(open),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::NOTDIR) => self.imply(path),
                Some(Errno::XDEV | Errno::LOOP) => {
                    let message = format!("the way to \"{}\" leads out of the layer", shown(path));
                    Err(Error::invalid(message))
                }
                _ => Err(Error::caused(format!("cannot open {}", shown(path)), error)),
            },
        }
    }

    /// Makes the directories on a way, one by one.
    fn imply(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let failed =
            |error: std::io::Error| Error::caused(format!("cannot make {}", shown(path)), error);
        let mut open = beneath::directory(self.root, b"", Links::None).map_err(failed)?;
        let mut way = Vec::new();
        for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            let place = Place { parent: way.clone(), name: part.to_vec() };
            way = place.path();
            open = match beneath::directory(self.root, &way, Links::Inside) {
                Ok(next) => next,
                Err(error) => {
                    let hides = match look(&open, part) {
                        Err(Errno::NOENT) => false,
                        Ok(Present::Whiteout) => true,
                        _ => {
                            let message = format!(
                                "\"{}\" is no directory, and has something in it",
                                shown(&way)
                            );
                            return Err(Error::caused(message, error).blaming_the_layer());
                        }
                    };
                    self.imply_one(&open, &place, hides)?;
                    beneath::directory(self.root, &way, Links::Inside).map_err(failed)?
                }
            };
        }
        Ok(open)
    }

    /// One directory that is only implied: as the layers below have it, so that its owner and permissions do not change.
    fn imply_one(&mut self, parent: &OwnedFd, place: &Place, hides: bool) -> Result<()> {
        let path = place.path();
        if hides {
            self.clear(parent, place)?;
        }
        rustix::fs::mkdirat(parent, &place.name[..], Mode::RWXU).map_err(|errno| {
            Error::caused(format!("cannot make {}", shown(&path)), errno.into())
        })?;
        let mut entry = Entry::new(Kind::Directory, path.clone());
        let below = self.parents.iter().find_map(|root| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW;
            let found = beneath::open(root, &path, flags, Links::None).ok()?;
            rustix::fs::fstat(&found).ok()
        });
        if let Some(status) = below.filter(|status| is_directory(status) && !hides) {
            let like = (status.st_mode & 0o7777, status.st_uid, status.st_gid);
            self.outcome.is_bound_to_parents |= like != (entry.mode, entry.uid, entry.gid);
            (entry.mode, entry.uid, entry.gid) = like;
        }
        self.directories.insert(path, Directory { entry: Some(entry), is_opaque: hides });
        Ok(())
    }

    /// Deepest first: a directory that nobody may enter stands in nobody's way then.
    fn finish(&mut self) -> Result<()> {
        let directories = std::mem::take(&mut self.directories);
        for (path, directory) in directories.iter().rev() {
            let failed = |error| Error::caused(format!("cannot finish {}", shown(path)), error);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let open = match beneath::open(self.root, path, flags, Links::Inside) {
                Ok(open) => open,
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(failed(error)),
            };
            if directory.is_opaque {
                attributes::make_opaque(&open, self.marks).map_err(|errno| failed(errno.into()))?;
            }
            let root = || Entry::new(Kind::Directory, *b".");
            let entry = match &directory.entry {
                Some(entry) => entry,
                None if path.is_empty() => &root(),
                None => continue,
            };
            attributes::give(Subject::Open(open.as_fd()), entry, &mut self.outcome.lost)?;
        }
        Ok(())
    }
}

fn is_gone(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR))
}

/// What is at a place, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Present {
    Directory,
    Whiteout,
    Other,
}

fn look(parent: &OwnedFd, name: &[u8]) -> rustix::io::Result<Present> {
    let status = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(if is_directory(&status) {
        Present::Directory
    } else if is_whiteout(&status) {
        Present::Whiteout
    } else {
        Present::Other
    })
}

fn is_directory(status: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::Directory
}

/// A character device 0:0.
pub(crate) fn is_whiteout(status: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice && status.st_rdev == 0
}

fn cannot(doing: &str, entry: &Entry, errno: Errno) -> Error {
    Error::caused(format!("cannot {doing} {}", entry.shown()), errno.into())
}
