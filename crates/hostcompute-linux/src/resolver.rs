//! Resolver files: what processes in a namespace see as /etc/resolv.conf, one file per namespace in a directory of ours.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hostcompute_schema::Guid;

use crate::error::Error;

const SUFFIX: &str = ".conf";

pub(crate) fn path(directory: &Path, netns: Guid) -> PathBuf {
    directory.join(format!("{netns}{SUFFIX}"))
}

/// Writes the file in one move, so that no reader sees half of it.
pub(crate) fn write(directory: &Path, netns: Guid, content: &str) -> Result<(), Error> {
    let (file, draft) = (path(directory, netns), directory.join(format!(".{netns}")));
    let written = fs::create_dir_all(directory)
        .and_then(|()| fs::write(&draft, content))
        .and_then(|()| fs::rename(&draft, &file));
    written.map_err(|source| Error::file("write", file, source))
}

pub(crate) fn remove(directory: &Path, netns: Guid) -> Result<(), Error> {
    let file = path(directory, netns);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", file, error))
        }
        _ => Ok(()),
    }
}

pub(crate) fn read(directory: &Path, netns: Guid) -> Result<Option<String>, Error> {
    let file = path(directory, netns);
    match fs::read(&file) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::file("read", file, source)),
    }
}

/// The files there are, with the namespace each speaks of, if its name is one.
pub(crate) fn list(directory: &Path) -> Result<Vec<(PathBuf, Option<Guid>)>, Error> {
    let listed = fs::read_dir(directory)
        .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
        .map(|entries| {
            entries
                .into_iter()
                .map(|entry| {
                    let name = entry.file_name();
                    let netns = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
                    (entry.path(), netns.and_then(|text| text.parse().ok()))
                })
                .collect()
        });
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|source| Error::file("list", directory, source)),
    }
}
