//! Layers in use: who uses a layer holds it, and who would remove it must have it alone.
//!
//! A hold is a shared `flock` on the layer's directory itself: no file beside it, nothing left behind when the holder is killed, and
//! it works for any directory. A supervisor holds its layers and its scratch for as long as it lives. What `hc layer attach` mounted
//! has no process to hold it; there [`is_mounted_from`] asks the kernel's table of mounts.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// A directory that is in use until this is dropped.
#[derive(Debug)]
pub struct Hold {
    descriptor: OwnedFd,
}

impl Hold {
    /// Holds a directory together with others; waits for whoever has it alone, which is never long.
    ///
    /// # Errors
    /// It is not there, or was removed just now, or it is no directory.
    pub fn shared(directory: &Path) -> io::Result<Self> {
        Self::take(directory, FlockOperation::LockShared)
    }

    /// Holds a directory alone, in order to remove or to make it.
    ///
    /// # Errors
    /// As [`Hold::shared`]; EWOULDBLOCK when anybody holds it.
    pub fn alone(directory: &Path) -> io::Result<Self> {
        Self::take(directory, FlockOperation::NonBlockingLockExclusive)
    }

    /// Holds a directory alone, and waits for those who hold it.
    ///
    /// # Errors
    /// It is not there (any more), or is no directory.
    pub fn alone_patiently(directory: &Path) -> io::Result<Self> {
        Self::take(directory, FlockOperation::LockExclusive)
    }

    fn take(directory: &Path, operation: FlockOperation) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(directory, flags, Mode::empty())?;
        loop {
            match rustix::fs::flock(&descriptor, operation) {
                Err(Errno::INTR) => {}
                other => break other?,
            }
        }
        // It may have been moved away between the two calls: then the hold is on something that nobody will find.
        let (held, there) = (rustix::fs::fstat(&descriptor)?, rustix::fs::stat(directory)?);
        if (held.st_dev, held.st_ino) != (there.st_dev, there.st_ino) {
            return Err(Errno::NOENT.into());
        }
        Ok(Self { descriptor })
    }
}

impl AsFd for Hold {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Whether an overlay of this mount namespace is made from a directory: as one of its layers, or as its scratch.
///
/// # Errors
/// The table of mounts cannot be read.
pub fn is_mounted_from(directory: &Path) -> io::Result<bool> {
    let directory = fs::canonicalize(directory)?;
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().any(|line| sources(line).iter().any(|path| path.starts_with(&directory))))
}

/// The directories that an overlay in this line of the table is made from; none for other mounts.
fn sources(line: &str) -> Vec<PathBuf> {
    let Some((_, tail)) = line.split_once(" - ") else { return Vec::new() };
    let mut words = tail.split(' ');
    if words.next() != Some("overlay") {
        return Vec::new();
    }
    let options = words.nth(1).unwrap_or_default();
    let mut found = Vec::new();
    for option in split_unescaped(options, b',') {
        let Some((key, value)) = option.split_once('=') else { continue };
        match key {
            "lowerdir" => found.extend(split_unescaped(value, b':').into_iter().map(path)),
            "lowerdir+" | "datadir+" | "upperdir" | "workdir" => found.push(path(value)),
            _ => {}
        }
    }
    found
}

/// Parts between separators that no backslash stands before.
fn split_unescaped(text: &str, separator: u8) -> Vec<&str> {
    let bytes = text.as_bytes();
    let (mut parts, mut start) = (Vec::new(), 0);
    for (place, byte) in bytes.iter().enumerate() {
        let escaped = place > 0 && bytes.get(place - 1) == Some(&b'\\');
        if *byte == separator && !escaped {
            parts.extend(text.get(start..place));
            start = place + 1;
        }
    }
    parts.extend(text.get(start..));
    parts
}

fn path(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    PathBuf::from(std::ffi::OsString::from_vec(unescape(text)))
}

/// The table writes blanks and the like as three octal digits, and options their separators behind a backslash.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        (rest, _) = match (octal, first) {
            (Some(byte), _) => (tail.get(3..).unwrap_or_default(), out.push(byte)),
            (None, b'\\') => (tail, ()),
            (None, other) => (tail, out.push(*other)),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(line: &str) -> Vec<String> {
        sources(line).iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn the_table_of_mounts_is_understood_in_both_spellings() {
        let classic = "36 35 0:30 / /m rw - overlay overlay rw,lowerdir=/a\\040b:/c\\:d,upperdir=/s/upper,workdir=/s/work";
        assert_eq!(paths(classic), ["/a b", "/c:d", "/s/upper", "/s/work"]);
        let listed = "36 35 0:30 / /m rw - overlay overlay ro,lowerdir+=/a,lowerdir+=/b,xino=off";
        assert_eq!(paths(listed), ["/a", "/b"]);
        assert!(paths("1 2 0:3 / /m rw - ext4 /dev/x rw,lowerdir=/a").is_empty());
        assert!(paths("nonsense").is_empty());
    }

    #[test]
    fn a_hold_keeps_others_from_having_it_alone() {
        let directory = std::env::temp_dir().join(format!("hc-hold-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let first = Hold::shared(&directory).unwrap();
        let second = Hold::shared(&directory).unwrap();
        assert_eq!(Hold::alone(&directory).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop((first, second));
        let alone = Hold::alone(&directory).unwrap();
        // Who waits for one who removes it is told that it is gone.
        let waiting = std::thread::spawn({
            let directory = directory.clone();
            move || Hold::shared(&directory)
        });
        fs::remove_dir(&directory).unwrap();
        drop(alone);
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
