//! The host's root for an ordinary user's container, put together from pieces.
//!
//! In a user namespace a union over `/` is refused: what is mounted below it is locked there, and leaving it out would show what the
//! host has covered. So the root is a file system in memory with the directories of the host in it: one below which nothing is mounted is
//! a union of its own; one below which something is mounted is made anew, with what is in it in the same way, its files read-only. What is
//! mounted itself is left out, as in a union over `/`. What is written goes to memory, and vanishes.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hostcompute_storage::overlay::{Devices, Marks, Overlay, Scratch, Syncing};
use hostcompute_supervisor::directory;
use hostcompute_supervisor::message::Refusal;
use rustix::fs::{Access, AtFlags, CWD};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::refusal::Context;
use crate::root;
use crate::sys::{self, MountAttributes};

/// Everybody's to write in, below the first level: a union there could not copy the directory, which is root's.
const FRESH: &str = "/var/tmp";

/// The root, mounted nowhere.
pub fn open(system: &Path) -> Result<OwnedFd, Refusal> {
    let (place, scratch) = (system.join(directory::ROOT), system.join(directory::SCRATCH));
    let mounted = directory::mount_points().context(|| "look at what is mounted")?;
    let mut mounted: BTreeSet<PathBuf> = mounted.into_iter().collect();
    mounted.insert(FRESH.into());
    let made = (|| {
        for directory in [&place, &scratch] {
            root::make(directory, 0o755)?;
            root::attach(memory()?.as_fd(), directory)?;
        }
        let mut assembly = Assembly { mounted, scratch: scratch.clone(), unions: 0 };
        assembly.fill(Path::new("/"), &place)?;
        root::clone(&place)
    })();
    // The unions have what they need of it.
    for directory in [&place, &scratch] {
        let _ = root::unmount(directory);
    }
    made.context(|| "put the host's root together")
}

/// A file system in memory, mounted nowhere.
fn memory() -> io::Result<OwnedFd> {
    let file_system = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(file_system.as_fd(), "mode", "755")?;
    rustix::mount::fsconfig_create(file_system.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(rustix::mount::fsmount(file_system.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// What is needed while the root is put together.
struct Assembly {
    /// What is left empty.
    mounted: BTreeSet<PathBuf>,
    scratch: PathBuf,
    unions: usize,
}

impl Assembly {
    /// Fills a directory of the new root with what a directory of the host has.
    fn fill(&mut self, host: &Path, place: &Path) -> io::Result<()> {
        for entry in fs::read_dir(host)? {
            match self.put(&entry?, place) {
                // Gone meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                put => put?,
            }
        }
        Ok(())
    }

    fn put(&mut self, entry: &DirEntry, place: &Path) -> io::Result<()> {
        let (host, place) = (entry.path(), place.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            return symlink(fs::read_link(&host)?, &place);
        }
        if kind.is_dir() {
            return self.put_directory(&host, &place);
        }
        if !kind.is_file() {
            // Sockets and the like lead nowhere through a union either.
            return Ok(());
        }
        fs::File::create(&place)?;
        let tree = root::clone(&host)?;
        let set = sys::MOUNT_ATTR_RDONLY | sys::MOUNT_ATTR_NODEV;
        sys::set_mount_attributes(&tree, MountAttributes { set, ..Default::default() })?;
        root::attach(tree.as_fd(), &place)
    }

    fn put_directory(&mut self, host: &Path, place: &Path) -> io::Result<()> {
        let mode = fs::symlink_metadata(host)?.permissions().mode() & 0o7777;
        let make = |path: &Path| {
            fs::create_dir(path)?;
            fs::set_permissions(path, Permissions::from_mode(mode))
        };
        make(place)?;
        // What this user cannot look into is empty: root inside would be shown nothing either, and has a place to write.
        let open = Access::READ_OK | Access::EXEC_OK;
        if self.mounted.contains(host)
            || rustix::fs::accessat(CWD, host, open, AtFlags::empty()).is_err()
        {
            return Ok(());
        }
        if self.has_mounts_below(host) {
            return self.fill(host, place);
        }
        self.unions += 1;
        let own = self.scratch.join(self.unions.to_string());
        let scratch = Scratch::of(&own);
        fs::create_dir(&own)?;
        fs::create_dir(&scratch.work)?;
        make(&scratch.upper)?;
        let union = Overlay {
            layers: vec![host.to_owned()],
            scratch: Some(scratch),
            marks: Marks::User,
            syncing: Syncing::Never,
            devices: Devices::Dead,
        };
        let union = union.detached().map_err(io::Error::other)?;
        root::attach(union.as_fd(), place)
    }

    fn has_mounts_below(&self, host: &Path) -> bool {
        // Paths are in the order of their parts: what is below a path follows it.
        self.mounted.range(host.to_owned()..).any(|mount| mount != host && mount.starts_with(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_below_is_found() {
        let mounted = ["/mnt/a/b", "/proc", "/usr-local"].map(PathBuf::from).into();
        let assembly = Assembly { mounted, scratch: PathBuf::new(), unions: 0 };
        let found = |path: &str| assembly.has_mounts_below(Path::new(path));
        assert!(found("/") && found("/mnt") && found("/mnt/a"));
        assert!(!found("/mnt/a/b") && !found("/proc") && !found("/usr") && !found("/mnt/a/bc"));
    }
}
