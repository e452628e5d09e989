//! Trees made from a description, and read back: what two trees have in common is compared as text.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

/// One entry of a tree to make.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    pub kind: Kind,
    pub mode: u32,
    pub owner: (u32, u32),
    pub time: (i64, u32),
    pub attributes: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Clone)]
pub enum Kind {
    Directory,
    File(Vec<u8>),
    /// Size, and where bytes are.
    Sparse(u64, Vec<u64>),
    Symlink(String),
    Fifo,
    Device(u32, u32),
    /// Another name of the file made before, if there is one.
    Again,
}

/// Makes a tree; entries whose parent is missing, or whose name is taken, are left out.
pub fn make(root: &Path, entries: &[Entry], is_root: bool) {
    fs::create_dir_all(root).unwrap();
    let mut last_file = None;
    let mut made = Vec::new();
    for entry in entries {
        let path = root.join(&entry.name);
        let has_parent =
            path.parent().is_some_and(|p| fs::symlink_metadata(p).is_ok_and(|s| s.is_dir()));
        if !has_parent || fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        match &entry.kind {
            Kind::Directory => fs::create_dir(&path).unwrap(),
            Kind::File(data) => {
                fs::write(&path, data).unwrap();
                last_file = Some(path.clone());
            }
            Kind::Sparse(size, places) => {
                use std::os::unix::fs::FileExt;
                let file = fs::File::create(&path).unwrap();
                for place in places.iter().filter(|place| **place + 5 < *size) {
                    file.write_all_at(b"bytes", *place).unwrap();
                }
                file.set_len(*size).unwrap();
            }
            Kind::Symlink(target) => std::os::unix::fs::symlink(target, &path).unwrap(),
            Kind::Fifo => {
                rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
            }
            Kind::Device(major, minor) => {
                if !is_root {
                    continue;
                }
                let device = rustix::fs::makedev(*major, *minor);
                let kind = FileType::CharacterDevice;
                rustix::fs::mknodat(CWD, &path, kind, Mode::RUSR, device).unwrap();
            }
            Kind::Again => {
                let Some(first) = &last_file else { continue };
                fs::hard_link(first, &path).unwrap();
                continue;
            }
        }
        made.push((path, entry));
    }
    // Deepest first: directories last, so that their times stay and their permissions hinder nobody.
    for (path, entry) in made.iter().rev() {
        describe(path, entry, is_root);
    }
}

fn describe(path: &Path, entry: &Entry, is_root: bool) {
    if is_root {
        std::os::unix::fs::lchown(path, Some(entry.owner.0), Some(entry.owner.1)).unwrap();
    }
    if !matches!(entry.kind, Kind::Symlink(_)) {
        let mode = if is_root { entry.mode } else { entry.mode & 0o777 | 0o700 };
        if matches!(entry.kind, Kind::Directory | Kind::File(_)) {
            for (name, value) in &entry.attributes {
                rustix::fs::setxattr(path, name.as_str(), value, XattrFlags::empty()).unwrap();
            }
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let time = Timespec { tv_sec: entry.time.0, tv_nsec: entry.time.1.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// What of an entry's time is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Times {
    Exact,
    Seconds,
}

/// Everything below a directory, one line for each entry; the root without its own attributes.
pub fn read(root: &Path, times: Times) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    let mut first_names = HashMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        let mut entries: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let status = fs::symlink_metadata(&path).unwrap();
            if status.is_dir() {
                pending.push(path.clone());
            }
            lines.insert(name, line(&path, &status, times));
        }
    }
    // Names of one file are found after all names are known: the order of reading is another than that of names.
    for name in lines.keys() {
        let status = fs::symlink_metadata(root.join(name)).unwrap();
        if !status.is_dir() && status.nlink() > 1 {
            first_names.entry(status.ino()).or_insert_with(|| name.clone());
        }
    }
    for (name, line) in &mut lines {
        let status = fs::symlink_metadata(root.join(name)).unwrap();
        if let Some(first) = first_names.get(&status.ino()).filter(|first| *first != name) {
            line.push_str(&format!(" = {first}"));
        }
    }
    lines
}

fn line(path: &Path, status: &fs::Metadata, times: Times) -> String {
    let kind = status.file_type();
    let content = if kind.is_file() {
        let data = fs::read(path).unwrap();
        let sum = data
            .iter()
            .fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        format!("file {} {sum:x}", data.len())
    } else if kind.is_symlink() {
        format!("link {:?}", fs::read_link(path).unwrap())
    } else if kind.is_char_device() || kind.is_block_device() {
        format!("device {:x}", status.rdev())
    } else if kind.is_fifo() {
        "fifo".to_owned()
    } else if kind.is_socket() {
        "socket".to_owned()
    } else {
        "directory".to_owned()
    };
    let time = match times {
        Times::Exact => format!("{}.{}", status.mtime(), status.mtime_nsec()),
        Times::Seconds => status.mtime().to_string(),
    };
    // The permissions of links mean nothing.
    let mode = if kind.is_symlink() { 0 } else { status.mode() & 0o7777 };
    let owner = format!("{}:{}", status.uid(), status.gid());
    format!("{content} {mode:o} {owner} {time}{}", attributes(path))
}

fn attributes(path: &Path) -> String {
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let mut found = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        found.push(format!(" {}={:?}", String::from_utf8_lossy(name), &value[..length]));
    }
    found.sort();
    found.concat()
}

/// Bytes of a file that are on the disk.
pub fn stored(path: &Path) -> u64 {
    assert!(!path.as_os_str().as_bytes().is_empty());
    fs::metadata(path).unwrap().blocks() * 512
}
