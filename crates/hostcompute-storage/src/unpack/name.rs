//! What a member's name asks for: an entry below the root, or the absence of one.

use crate::error::{Error, Result};
use crate::tar::shown;

/// The meaning of a name in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The root itself.
    Root,
    /// An entry.
    Plain(Place),
    /// What lower layers have there is not to be seen.
    Whiteout(Place),
    /// Nothing that lower layers have in this directory is to be seen.
    Opaque(Vec<u8>),
    /// Bookkeeping of another union file system.
    Ignored,
}

/// An entry: the directory it is in (empty: the root), and its name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub parent: Vec<u8>,
    pub name: Vec<u8>,
}

impl Place {
    /// The whole way from the root.
    pub(crate) fn path(&self) -> Vec<u8> {
        join(&self.parent, &self.name)
    }
}

/// Begins the names of whiteouts.
pub(crate) const WHITEOUT: &[u8] = b".wh.";

/// Makes its directory opaque.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";

/// Other names that begin so are AUFS's own.
const BOOKKEEPING: &[u8] = b".wh..wh.";

/// Finds out what a member's name means.
///
/// # Errors
/// The name leads outside: it is absolute, or has `..` in it.
pub(crate) fn meaning(name: &[u8]) -> Result<Meaning> {
    let parts = parts(name)?;
    let Some((last, above)) = parts.split_last() else { return Ok(Meaning::Root) };
    if above.iter().any(|part| part.starts_with(BOOKKEEPING)) {
        return Ok(Meaning::Ignored);
    }
    if above.iter().any(|part| part.starts_with(WHITEOUT)) {
        return Err(refused(name, "is below a whiteout"));
    }
    let parent = above.join(&b'/');
    if *last == OPAQUE {
        return Ok(Meaning::Opaque(parent));
    }
    if last.starts_with(BOOKKEEPING) {
        return Ok(Meaning::Ignored);
    }
    match last.strip_prefix(WHITEOUT) {
        None => Ok(Meaning::Plain(Place { parent, name: last.to_vec() })),
        Some(b"" | b"." | b"..") => Err(refused(name, "is a whiteout of no name")),
        Some(hidden) => Ok(Meaning::Whiteout(Place { parent, name: hidden.to_vec() })),
    }
}

/// The place that a hard link names.
///
/// # Errors
/// It is outside, or the root itself.
pub(crate) fn target(name: &[u8]) -> Result<Place> {
    let parts = parts(name)?;
    match parts.split_last() {
        Some((last, above)) => Ok(Place { parent: above.join(&b'/'), name: last.to_vec() }),
        None => Err(refused(name, "is no file")),
    }
}

/// The parts of a name, without the empty ones and `.`.
fn parts(name: &[u8]) -> Result<Vec<&[u8]>> {
    if name.starts_with(b"/") {
        return Err(refused(name, "is absolute"));
    }
    let parts = name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let parts: Vec<&[u8]> = parts.collect();
    if parts.iter().any(|part| *part == b"..") {
        return Err(refused(name, "leads out of its directory"));
    }
    Ok(parts)
}

/// A name below a directory; the root is empty.
pub(crate) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() }
}

fn refused(name: &[u8], why: &str) -> Error {
    Error::invalid(format!("the layer's member \"{}\" {why}", shown(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(parent: &str, name: &str) -> Place {
        Place { parent: parent.into(), name: name.into() }
    }

    #[test]
    fn every_spelling_of_a_place_is_the_same_place() {
        for name in ["a/b", "./a/b", "a//b", "a/./b/", "./a/b//"] {
            assert_eq!(
                meaning(name.as_bytes()).unwrap(),
                Meaning::Plain(plain("a", "b")),
                "{name}"
            );
        }
        for name in ["", ".", "./", "././"] {
            assert_eq!(meaning(name.as_bytes()).unwrap(), Meaning::Root, "{name}");
        }
    }

    #[test]
    fn ways_outside_are_refused() {
        for name in ["/", "/etc/passwd", "//x", "..", "../x", "a/../x", "a/..", "./../x", "a/.."] {
            assert!(meaning(name.as_bytes()).is_err(), "{name}");
            assert!(target(name.as_bytes()).is_err(), "{name}");
        }
        assert!(target(b".").is_err());
    }

    #[test]
    fn whiteouts_hide_names_and_nothing_else() {
        let of = |name: &str| meaning(name.as_bytes());
        assert_eq!(of("a/.wh.b").unwrap(), Meaning::Whiteout(plain("a", "b")));
        assert_eq!(of("a/.wh..wh..opq").unwrap(), Meaning::Opaque(b"a".to_vec()));
        assert_eq!(of(".wh..wh..opq").unwrap(), Meaning::Opaque(Vec::new()));
        assert_eq!(of(".wh..wh.plnk/1.2").unwrap(), Meaning::Ignored);
        assert_eq!(of(".wh..wh.aufs").unwrap(), Meaning::Ignored);
        assert_eq!(of(".wh...x").unwrap(), Meaning::Whiteout(plain("", "..x")));
        for name in [".wh.", ".wh..", ".wh...", "a/.wh...", ".wh.a/b"] {
            assert!(of(name).is_err(), "{name}");
        }
    }
}
