//! Trees that others filled: opened, listed and removed without ever leaving them.
//!
//! The kernel keeps the promise (`openat2`, RESOLVE_BENEATH): a link that leads outside cannot be followed, whenever it was put
//! there. All other calls name one entry of a directory that is open already.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

/// How links on the way are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// Followed, as long as they stay inside.
    Inside,
    /// Not followed.
    None,
}

/// Opens something below a directory; an empty path is the directory itself.
///
/// # Errors
/// EXDEV for a way that leads outside; what else the kernel says.
pub(crate) fn open(
    root: impl AsFd,
    path: &[u8],
    flags: OFlags,
    links: Links,
) -> io::Result<OwnedFd> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_MAGICLINKS
        | match links {
            Links::Inside => ResolveFlags::empty(),
            Links::None => ResolveFlags::NO_SYMLINKS,
        };
    let flags = flags | OFlags::CLOEXEC;
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(root.as_fd(), path, flags, Mode::empty(), resolve) {
            // Something on the way was renamed meanwhile, or a signal came.
            Err(Errno::AGAIN | Errno::INTR) if tries < 100 => tries += 1,
            other => return Ok(other?),
        }
    }
}

/// A directory below another one, for naming its entries.
pub(crate) fn directory(root: impl AsFd, path: &[u8], links: Links) -> io::Result<OwnedFd> {
    open(root, path, OFlags::PATH | OFlags::DIRECTORY, links)
}

/// A directory by its path, wherever it is.
pub(crate) fn root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// A regular file below a directory, for reading; nothing else is opened: a pipe would keep us waiting.
pub(crate) fn file(root: impl AsFd, path: &[u8]) -> io::Result<File> {
    let opened =
        open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW, Links::Inside)?;
    let status = rustix::fs::fstat(&opened)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    Ok(File::from(opened))
}

/// The way to an entry for calls that know no descriptors.
pub(crate) fn by_path(directory: impl AsFd, name: &[u8]) -> CString {
    let mut path = format!("/proc/self/fd/{}/", directory.as_fd().as_raw_fd()).into_bytes();
    path.extend(name.iter().take_while(|byte| **byte != 0));
    CString::new(path).unwrap_or_default()
}

/// Names in a directory, without `.` and `..`.
pub(crate) fn names(directory: impl AsFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory.as_fd())? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Removes an entry and all below it; it is no error when there is none.
///
/// Directories below are moved up one after the other: the depth of a tree is not limited by open descriptors or the stack.
///
/// # Errors
/// What the kernel refuses; a mount below (EBUSY).
pub(crate) fn remove(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    let parent = parent.as_fd();
    if removed(rustix::fs::unlinkat(parent, name, AtFlags::empty()))? {
        return Ok(());
    }
    let top = writable(parent, name)?;
    let mut moved = 0_u64;
    loop {
        let left = names(&top)?;
        if left.is_empty() {
            break;
        }
        for name in left {
            let name = name.as_bytes();
            if !removed(rustix::fs::unlinkat(&top, name, AtFlags::empty()))? {
                empty(&top, name, &mut moved)?;
            }
        }
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// Removes a tree by its path.
///
/// # Errors
/// As [`remove`].
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    remove(CWD, path.as_os_str().as_bytes())
}

/// `false`: it is a directory.
fn removed(result: rustix::io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// Empties a directory of files and moves its directories up; then it can go.
fn empty(top: &OwnedFd, name: &[u8], moved: &mut u64) -> io::Result<()> {
    match rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::ACCESS) => {}
        Err(other) => return Err(other.into()),
    }
    let inner = writable(top, name)?;
    for child in names(&inner)? {
        let child = child.as_bytes();
        if removed(rustix::fs::unlinkat(&inner, child, AtFlags::empty()))? {
            continue;
        }
        match rustix::fs::unlinkat(&inner, child, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(_) => {}
        }
        // Moving a directory changes its `..`: it must be writable itself.
        drop(writable(&inner, child)?);
        loop {
            *moved += 1;
            let up = format!(".removed-{moved}");
            let flags = RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(&inner, child, top, up.as_bytes(), flags) {
                Ok(()) => break,
                Err(Errno::EXIST) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }
    Ok(rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR)?)
}

/// Opens a directory in which entries are to be removed; its owner may have forbidden that to himself.
fn writable(parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let parent = parent.as_fd();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(parent, name, flags, Mode::empty());
    let opened = match open() {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            open()?
        }
        other => other?,
    };
    let status = rustix::fs::fstat(&opened)?;
    if status.st_mode & 0o700 != 0o700 {
        // Root needs no permission, and others may only change what is theirs.
        let _ = rustix::fs::fchmod(&opened, Mode::from_raw_mode(status.st_mode & 0o7777 | 0o700));
    }
    Ok(opened)
}

/// Renames a directory; one that its owner may not write (its `..` changes) is made writable for the moment.
///
/// # Errors
/// What the kernel refuses: the new name is taken by something that is no empty directory.
pub(crate) fn rename_directory(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::rename(from, to) {
        Err(Errno::ACCESS) => {}
        other => return Ok(other?),
    }
    let open = root(from)?;
    let before = Mode::from_raw_mode(rustix::fs::fstat(&open)?.st_mode & 0o7777);
    rustix::fs::fchmod(&open, before | Mode::RWXU)?;
    let renamed = rustix::fs::rename(from, to);
    rustix::fs::fchmod(&open, before)?;
    Ok(renamed?)
}

/// A name beside `path` for something that becomes it, or was it, in one step.
pub(crate) fn beside(path: &Path, what: &str) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(Errno::INVAL)?.to_string_lossy().into_owned();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(parent.unwrap_or(Path::new(".")).join(format!(".{what}-{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn place(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("hc-beneath-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_tree_deeper_than_descriptors_is_removed() {
        let top = place("deep");
        let mut at = root(&top).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            rustix::fs::symlinkat("/etc", &at, "link").unwrap();
            at = directory(&at, b"d", Links::None).unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists() && Path::new("/etc").exists());
        remove_tree(&top).unwrap();
    }

    #[test]
    fn directories_without_permissions_are_removed() {
        let top = place("closed");
        std::fs::create_dir_all(top.join("a/.removed-1/c")).unwrap();
        std::fs::create_dir_all(top.join(".removed-1")).unwrap();
        for name in ["a/.removed-1", "a"] {
            let none = std::fs::Permissions::from_mode(0o000);
            std::fs::set_permissions(top.join(name), none).unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn no_way_leads_outside() {
        let top = place("inside");
        symlink("/etc", top.join("absolute")).unwrap();
        symlink("../..", top.join("up")).unwrap();
        symlink("sub", top.join("within")).unwrap();
        std::fs::create_dir(top.join("sub")).unwrap();
        let opened = root(&top).unwrap();
        for path in ["absolute", "absolute/ssl", "up", "..", "sub/../..", "/etc"] {
            let refused = directory(&opened, path.as_bytes(), Links::Inside).unwrap_err();
            assert_eq!(Errno::from_io_error(&refused), Some(Errno::XDEV), "{path}");
        }
        directory(&opened, b"within", Links::Inside).unwrap();
        assert!(directory(&opened, b"within", Links::None).is_err());
        remove_tree(&top).unwrap();
    }
}
