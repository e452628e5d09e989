//! The files of a system: which there are, whether its supervisor lives, and how it ended.
//!
//! ```text
//! RUNTIME/systems/NAME/system.json   what the starter remembers, written before anything is made
//!                      lock          locked by the supervisor as long as it lives, by the starter before
//!                      control.sock  where the supervisor listens
//!                      log, log.1    what the processes wrote
//!                      exit.json     how the system ended
//!                      owes          what the starter still has to take back; its remains are kept as long
//!                      rootfs, bundle, scratch, runtime
//! RUNTIME/exited/NAME.NUMBER/        what is left of those that have ended: exit.json, log, system.json
//! ```

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::kill::{Who, point};
use rustix::fs::{FlockOperation, RenameFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub const SYSTEM: &str = "system.json";
pub const LOCK: &str = "lock";
pub const CONTROL: &str = "control.sock";
pub const LOG: &str = "log";
pub const EXIT: &str = "exit.json";
pub const OWES: &str = "owes";
pub const ROOT: &str = "rootfs";
pub const BUNDLE: &str = "bundle";
pub const SCRATCH: &str = "scratch";
pub const RUNTIME: &str = "runtime";

/// Below the runtime directory.
pub const SYSTEMS: &str = "systems";
pub const EXITED: &str = "exited";

/// So many remains are kept, those apart that owe something.
const KEPT: usize = 64;

/// What is left when a system has ended, its log apart.
const REMAINS: [&str; 3] = [SYSTEM, EXIT, OWES];

/// Writes a file wholly or not at all.
///
/// # Errors
/// It cannot be written; a file that was there is as before.
pub fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    File::create(&fresh)?.write_all(&text)?;
    fs::rename(&fresh, path)
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// There is no such file, or not of this kind.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Locks the file of a system's life for whoever holds the descriptor, and whoever it is given to.
///
/// # Errors
/// Somebody else holds it (`WouldBlock`).
pub fn lock(directory: &Path) -> io::Result<File> {
    let file =
        File::options().create(true).truncate(false).write(true).open(directory.join(LOCK))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Locks the file of a system whose supervisor has died, so that only one cleans up.
///
/// # Errors
/// There is no such system any more (`NotFound`), or somebody holds the lock (`WouldBlock`).
pub fn lock_existing(directory: &Path) -> io::Result<File> {
    let path = directory.join(LOCK);
    let file = File::open(&path)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    // Meanwhile another system may have got the name.
    let (held, named) = (rustix::fs::fstat(&file)?, rustix::fs::stat(&path)?);
    if (held.st_dev, held.st_ino) != (named.st_dev, named.st_ino) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(file)
}

/// Whether somebody holds the lock: the supervisor, or who is starting it.
///
/// # Errors
/// There is no such system.
pub fn is_alive(directory: &Path) -> io::Result<bool> {
    let file = File::open(directory.join(LOCK))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Where the supervisor listens, as a path that is short enough for a socket however long the directory's is. Good while the descriptor
/// of the directory is open.
///
/// # Errors
/// There is no such directory.
pub fn control(directory: &Path) -> io::Result<(File, PathBuf)> {
    let file = File::open(directory)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())).join(CONTROL);
    Ok((file, path))
}

/// A connection to a system's supervisor.
///
/// # Errors
/// There is no such system, or nobody listens.
pub fn connect(directory: &Path) -> io::Result<OwnedFd> {
    let (_directory, path) = control(directory)?;
    crate::wire::connect(&path)
}

/// Puts a finished directory in its place, unless there is one already (`AlreadyExists`).
///
/// # Errors
/// The name is taken, or the directory cannot be moved.
pub fn place(from: &Path, to: &Path) -> io::Result<()> {
    rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, RenameFlags::NOREPLACE)
        .map_err(Into::into)
}

/// Moves what is left of a system away, so that its name is free; forgets the oldest of those that ended before. Returns where it is. Who
/// dies in the middle leaves a system whose lock is free, and who finds that goes on.
///
/// # Errors
/// It cannot be moved.
pub fn retire(directory: &Path) -> io::Result<PathBuf> {
    clear(directory)?;
    point(Who::Supervisor);
    let missing = || io::Error::from(io::ErrorKind::InvalidInput);
    let runtime = directory.parent().and_then(Path::parent).ok_or_else(missing)?;
    let name = directory.file_name().and_then(|name| name.to_str()).ok_or_else(missing)?;
    let exited = runtime.join(EXITED);
    fs::create_dir_all(&exited)?;
    let mut number = remains(&exited)?.iter().map(|(number, _)| number + 1).max().unwrap_or(1);
    loop {
        let place = exited.join(format!("{name}.{number}"));
        match self::place(directory, &place) {
            Ok(()) => {
                point(Who::Supervisor);
                // Until now whoever looked had to see that somebody is at it.
                remove_file(&place.join(LOCK))?;
                point(Who::Supervisor);
                forget(&exited)?;
                return Ok(place);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// What has ended, by the number of its end, which grows.
///
/// # Errors
/// The directory cannot be read.
pub fn remains(exited: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(exited)? {
        let path = entry?.path();
        let number = path
            .extension()
            .and_then(|extension| extension.to_str())
            .and_then(|extension| extension.parse::<u64>().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}

/// What is mounted in a directory, in this process's mount namespace, the deepest first.
///
/// # Errors
/// The mounts cannot be read.
pub fn mounts_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let directory = fs::canonicalize(directory)?;
    let mut found = mount_points()?;
    found.retain(|point| point.starts_with(&directory));
    found.reverse();
    Ok(found)
}

/// Where something is mounted, in this process's mount namespace, in the order in which it was.
///
/// # Errors
/// The mounts cannot be read.
pub fn mount_points() -> io::Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().filter_map(|line| line.split(' ').nth(4).map(unescape)).collect())
}

/// `\040` is a space, and so on.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(|_| byte == b'\\') {
            Some(code) => {
                bytes.push(code);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Removes everything but what is worth keeping, and the lock, by which it is seen that nobody lives here; nothing at all where something is mounted, which is not ours to empty.
fn clear(directory: &Path) -> io::Result<()> {
    if let Some(mount) = mounts_below(directory)?.first() {
        let message = format!("something is mounted at {}", mount.display());
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if REMAINS.contains(&&*text) || [LOCK, LOG].contains(&&*text) || text.starts_with("log.") {
            continue;
        }
        let removed = if text == ROOT {
            // Only ever mounted on.
            fs::remove_dir(entry.path())
        } else if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        passing_over_absence(removed)?;
    }
    Ok(())
}

fn remove_file(path: &Path) -> io::Result<()> {
    passing_over_absence(fs::remove_file(path))
}

fn passing_over_absence(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn forget(exited: &Path) -> io::Result<()> {
    let mut found = remains(exited)?;
    let surplus = found.len().saturating_sub(KEPT);
    if surplus == 0 {
        return Ok(());
    }
    found.retain(|(_, path)| !path.join(OWES).exists());
    let surplus = found.len().saturating_sub(KEPT);
    for (_, path) in found.into_iter().take(surplus) {
        passing_over_absence(fs::remove_dir_all(path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A runtime directory that goes with the value.
    struct Runtime(PathBuf);

    impl Runtime {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir()
                .join(format!("hostcompute-directory-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join(SYSTEMS)).expect("a directory");
            Self(path)
        }

        fn system(&self, name: &str) -> PathBuf {
            let path = self.0.join(SYSTEMS).join(name);
            fs::create_dir(&path).expect("a directory");
            path
        }
    }

    impl Drop for Runtime {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("removed");
        }
    }

    #[test]
    fn a_lock_is_seen_while_it_is_held() {
        let runtime = Runtime::new("lock");
        let system = runtime.system("one");
        assert!(is_alive(&system).is_err());
        let held = lock(&system).expect("locked");
        assert!(is_alive(&system).expect("a lock"));
        assert!(lock(&system).is_err());
        drop(held);
        assert!(!is_alive(&system).expect("a lock"));
    }

    #[test]
    fn a_name_is_taken_once_and_free_after_the_end() {
        let runtime = Runtime::new("name");
        let fresh = runtime.0.join("fresh");
        let place = runtime.system("one");
        fs::create_dir(&fresh).expect("a directory");
        let taken = self::place(&fresh, &place).expect_err("it is taken");
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        write(&place.join(SYSTEM), &1).expect("written");
        fs::create_dir(place.join(ROOT)).expect("a directory");
        let left = retire(&place).expect("retired");
        assert_eq!(read::<u32>(&left.join(SYSTEM)).expect("read"), 1);
        assert!(!left.join(ROOT).exists());
        self::place(&fresh, &place).expect("it is free");
    }

    /// Who dies while it moves a system away leaves its lock to the last.
    #[test]
    fn a_half_retired_system_is_still_one_that_nobody_holds() {
        let runtime = Runtime::new("half");
        let system = runtime.system("one");
        drop(lock(&system).expect("locked"));
        write(&system.join(SYSTEM), &1).expect("written");
        fs::write(system.join(CONTROL), "").expect("written");
        clear(&system).expect("cleared");
        assert!(!system.join(CONTROL).exists());
        assert!(!is_alive(&system).expect("it has its lock"));
        let left = retire(&system).expect("retired");
        assert!(!left.join(LOCK).exists());
    }

    #[test]
    fn names_of_mounts_are_read() {
        assert_eq!(unescape("/a\\040b\\134"), Path::new("/a b\\"));
        assert_eq!(unescape("/a\\0"), Path::new("/a\\0"));
    }

    #[test]
    fn only_so_many_remains_are_kept() {
        let runtime = Runtime::new("kept");
        for _ in 0..KEPT + 3 {
            retire(&runtime.system("one")).expect("retired");
        }
        let found = remains(&runtime.0.join(EXITED)).expect("remains");
        assert_eq!(found.len(), KEPT);
        assert_eq!(found.first().map(|(number, _)| *number), Some(4));
    }

    #[test]
    fn who_owes_something_is_not_forgotten() {
        let runtime = Runtime::new("owes");
        let debtor = runtime.system("debtor");
        fs::write(debtor.join(OWES), "a network").expect("written");
        let left = retire(&debtor).expect("retired");
        for _ in 0..KEPT + 3 {
            retire(&runtime.system("one")).expect("retired");
        }
        assert_eq!(fs::read(left.join(OWES)).expect("kept"), b"a network");
        assert_eq!(remains(&runtime.0.join(EXITED)).expect("remains").len(), KEPT + 1);
    }
}
