//! An archive of an image: a tar file whose members are found by their names.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::tar::{Kind, Reader, shown};

/// Most members of an archive: five for a layer are known.
const MOST_MEMBERS: usize = 100_000;

/// Most links that lead to a member, one after the other.
const MOST_HOPS: usize = 8;

/// Part of a file.
#[derive(Debug, Clone)]
pub(super) struct Section {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Section {
    /// All of a file.
    pub(super) fn whole(file: File) -> io::Result<Self> {
        let left = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), at: 0, left })
    }

    pub(super) fn size(&self) -> u64 {
        self.left
    }

    /// Leaves out the first bytes.
    pub(super) fn skip(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.at += bytes;
        self.left -= bytes;
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let wanted = buffer.get_mut(..most).unwrap_or_default();
        let length = self.file.read_at(wanted, self.at)?;
        if length == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += length as u64;
        self.left -= length as u64;
        Ok(length)
    }
}

enum Member {
    Data(Section),
    /// Another member, by its name.
    Link(Vec<u8>),
}

/// The members of a tar file.
pub(super) struct Archive(HashMap<Vec<u8>, Member>);

impl Archive {
    /// Reads all headers; data is jumped over.
    ///
    /// # Errors
    /// It is no tar file.
    pub(super) fn new(file: File) -> Result<Self> {
        let failed = |error| Error::caused("cannot read the archive".to_owned(), error);
        let mut reader = Reader::seekable(file.try_clone().map_err(failed)?);
        let file = Arc::new(file);
        let mut members = HashMap::new();
        while let Some(entry) = reader.next()? {
            if members.len() >= MOST_MEMBERS {
                return Err(Error::invalid("the archive has too many members for an image"));
            }
            let Some(name) = plain(&[], &entry.name) else { continue };
            let parent = parent(&name).to_vec();
            let member = match entry.kind {
                Kind::File if entry.sparse.is_none() => {
                    let (at, left) = reader.place()?;
                    Member::Data(Section { file: Arc::clone(&file), at, left })
                }
                Kind::HardLink => match plain(&[], &entry.link) {
                    Some(target) => Member::Link(target),
                    None => continue,
                },
                Kind::SymbolicLink => match plain(&parent, &entry.link) {
                    Some(target) => Member::Link(target),
                    None => continue,
                },
                _ => continue,
            };
            members.insert(name, member);
        }
        Ok(Self(members))
    }

    /// A member's data.
    pub(super) fn open(&self, name: &str) -> Result<Section> {
        let missing =
            || Error::invalid(format!("the archive has no member {}", shown(name.as_bytes())));
        let mut at = plain(&[], name.as_bytes()).ok_or_else(missing)?;
        for _ in 0..MOST_HOPS {
            match self.0.get(&at) {
                Some(Member::Data(section)) => return Ok(section.clone()),
                Some(Member::Link(target)) => at.clone_from(target),
                None => return Err(missing()),
            }
        }
        Err(missing())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name.as_bytes())
    }
}

fn parent(name: &[u8]) -> &[u8] {
    let slash = name.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    name.get(..slash).unwrap_or_default()
}

/// A name in its one spelling, seen from a directory; `None` when it leads out of the archive.
fn plain(from: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let from: &[u8] = if name.starts_with(b"/") { b"" } else { from };
    for part in from.split(|byte| *byte == b'/').chain(name.split(|byte| *byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling_and_stay_inside() {
        let of = |from: &str, name: &str| {
            plain(from.as_bytes(), name.as_bytes()).map(|name| String::from_utf8(name).unwrap())
        };
        assert_eq!(of("", "./a//b/").as_deref(), Some("a/b"));
        assert_eq!(of("abc", "../def/layer.tar").as_deref(), Some("def/layer.tar"));
        assert_eq!(of("abc", "../../x"), None);
        assert_eq!(parent(b"a/b/c"), b"a/b");
        assert_eq!(parent(b"a"), b"");
    }
}
