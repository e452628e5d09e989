//! The root file system: a mount in no other namespace than the container's and the supervisor's own, with which it vanishes.
//!
//! Unions are made by `hostcompute_storage::overlay`; their layers are held for as long as the system is there. Everything is
//! mounted without device nodes: those of `/dev` are made apart.
//!
//! What a client named was looked at by somebody else, with that client's rights. Here it is opened once, compared, and used by that
//! descriptor: what its name leads to later does not matter.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hostcompute_storage::hold::Hold;
use hostcompute_storage::overlay::{self, Devices, Marks, Overlay, Syncing};
use hostcompute_supervisor::directory;
use hostcompute_supervisor::launch::{LookedAt, Root, Scratch};
use hostcompute_supervisor::message::{Refusal, RefusalKind};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

use crate::pieces;
use crate::refusal::{self, Context, refuse};
use crate::sys::{self, MountAttributes};

/// The host's file systems, from before this process had mounts of its own: what is mounted later on the host is found through it, also
/// where the host keeps its mounts to itself (a private root).
#[derive(Debug)]
pub struct Host {
    root: OwnedFd,
    /// Its mount namespace.
    pub mounts: File,
}

impl Host {
    /// The host of the process as it is now.
    pub fn now() -> Result<Self, Refusal> {
        let doing = || "look at the host's mounts";
        let mounts = File::open("/proc/self/ns/mnt").context(doing)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open("/", flags, Mode::empty()).context(doing)?;
        Ok(Self { root, mounts })
    }

    /// Opens a file of the host's by its absolute path.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        let below = path.strip_prefix("/").unwrap_or(path);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.root, below, flags, Mode::empty())?.into())
    }
}

/// Moves into a mount namespace of its own: nothing goes out of it, what is mounted on the host comes in.
pub fn enter_own_namespace() -> Result<(), Refusal> {
    sys::unshare(UnshareFlags::NEWNS).context(|| "make a mount namespace")?;
    let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", downstream).context(|| "keep mounts from the host")
}

/// Whose the files are.
#[derive(Debug, Clone, Copy)]
pub struct Mapping<'n> {
    pub namespace: BorrowedFd<'n>,
    /// Who the container's root is on the host.
    pub root: (u32, u32),
}

/// The root, mounted nowhere yet.
pub fn open(
    root: &Root,
    system: &Path,
    users: Option<Mapping<'_>>,
    holds: &mut Holds,
) -> Result<OwnedFd, Refusal> {
    match root {
        Root::Layers { layers, scratch } => union(layers, scratch, (system, users), holds),
        root if is_in_pieces(root) => pieces::open(system),
        Root::Host { scratch } => union(&[PathBuf::from("/")], scratch, (system, users), holds),
        Root::Directory { path } => as_it_is(path, users, holds),
        Root::Shared => Err(refuse(RefusalKind::Invalid, "a container takes a root")),
    }
}

/// Whether the root is several mounts.
pub fn is_in_pieces(root: &Root) -> bool {
    matches!(root, Root::Host { .. }) && in_user_namespace()
}

/// One directory as the root.
fn as_it_is(path: &Path, users: Option<Mapping<'_>>, holds: &Holds) -> Result<OwnedFd, Refusal> {
    let doing = || format!("use {} as the root", path.display());
    let mount = clone(path).context(doing)?;
    check(holds.identity(path), &mount).context(doing)?;
    map_users(&mount, users.map(|users| users.namespace)).context(doing)?;
    let set = sys::MOUNT_ATTR_NODEV;
    sys::set_mount_attributes(&mount, MountAttributes { set, ..Default::default() })
        .context(doing)?;
    Ok(mount)
}

/// Shows a root to host processes, in the supervisor's own mount namespace.
pub fn show(
    root: &Root,
    system: &Path,
    at: Option<&Path>,
    holds: &mut Holds,
) -> Result<(), Refusal> {
    let own = system.join(directory::ROOT);
    let place = at.unwrap_or(&own);
    if at.is_none() {
        make(&own, 0o755).context(|| "make the root's directory")?;
    }
    let mount = open(root, system, None, holds)?;
    attach(mount.as_fd(), place).context(|| format!("show the root at {}", place.display()))
}

/// Takes a mount away; whoever is in it keeps it.
pub fn unmount(place: &Path) -> io::Result<()> {
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    Ok(rustix::mount::unmount(place, flags)?)
}

/// A copy of what is seen at a path, mounts below it included, that is mounted nowhere.
pub fn clone(path: &Path) -> io::Result<OwnedFd> {
    let flags = CLONE | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, path, flags).map_err(Into::into)
}

const CLONE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE.union(OpenTreeFlags::OPEN_TREE_CLOEXEC);

/// Mounts what is mounted nowhere.
pub fn attach(mount: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", CWD, target, flags).map_err(Into::into)
}

/// Makes the files of a mount belong to those users of the namespace that have the numbers of their owners.
fn map_users(mount: &OwnedFd, users: Option<BorrowedFd<'_>>) -> io::Result<()> {
    if users.is_none() {
        return Ok(());
    }
    let set = sys::MOUNT_ATTR_IDMAP;
    sys::set_mount_attributes(mount, MountAttributes { set, users, ..Default::default() })
}

/// A layer whose files belong to those users. What is mounted below it is not seen in a union, and may be of a kind that cannot be mapped.
fn mapped_layer(path: &Path, users: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mount = rustix::mount::open_tree(CWD, path, CLONE)?;
    map_users(&mount, Some(users))?;
    Ok(mount)
}

/// Where mapped layers are seen for a moment, in the system's directory.
const MAPPED: &str = "mapped";

/// Layers that are mounted, in no other mount namespace than the supervisor's own, as long as a union is made of them: kernels before
/// Linux 6.15 make none of what is mounted nowhere. The union has its own copies.
#[derive(Debug, Default)]
struct Shown(Vec<PathBuf>);

impl Shown {
    /// Mounts one more; where it is seen.
    fn add(&mut self, below: &Path, layer: &OwnedFd) -> io::Result<PathBuf> {
        let place = below.join(self.0.len().to_string());
        fs::create_dir_all(&place)?;
        attach(layer.as_fd(), &place)?;
        self.0.push(place.clone());
        Ok(place)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        for place in &self.0 {
            // What cannot be taken away now goes with the namespace, and the directory with the system's.
            let _ = unmount(place).and_then(|()| fs::remove_dir(place));
        }
    }
}

/// A descriptor as a path.
fn path_of(descriptor: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}

fn union(
    layers: &[PathBuf],
    scratch: &Scratch,
    (system, users): (&Path, Option<Mapping<'_>>),
    holds: &mut Holds,
) -> Result<OwnedFd, Refusal> {
    if layers.is_empty() {
        return Err(refuse(RefusalKind::Invalid, "a root needs a layer"));
    }
    let place = match scratch {
        Scratch::Own => system.join(directory::SCRATCH),
        // The merged view is there already (`HcsAttachLayerStorageFilter`).
        Scratch::Directory(path) if overlay::is_mounted_at(path) => {
            return as_it_is(path, users, holds);
        }
        Scratch::Directory(path) => path.clone(),
    };
    // Held until the union is made, which then has its own hold.
    let mut held = Vec::new();
    make(&place, 0o755).context(|| format!("use {} as scratch", place.display()))?;
    let named = holds.take(&place, Hold::alone)?;
    let mut writable = overlay::Scratch::of(&named);
    for directory in [&mut writable.upper, &mut writable.work] {
        let doing = || format!("use {} as scratch", place.display());
        make(directory, 0o755).context(doing)?;
        if named != place {
            // Its client could have made a link of it.
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = rustix::fs::open(&*directory, flags, Mode::empty()).context(doing)?;
            *directory = path_of(opened.as_fd());
            held.push(opened);
        }
    }
    let mut layers = layers
        .iter()
        .map(|layer| holds.take(layer, Hold::shared))
        .collect::<Result<Vec<_>, _>>()?;
    let mut shown = Shown::default();
    if let Some(users) = users {
        for path in &mut layers {
            let mapped = mapped_layer(path, users.namespace)
                .and_then(|mapped| shown.add(&system.join(MAPPED), &mapped));
            *path = mapped.context(|| format!("map the users of {}", path.display()))?;
        }
    }
    if let Some(users) = users {
        // The union itself cannot be mapped: what is written is the host's users' whom the container's are.
        let (uid, gid) = users.root;
        let upper = &writable.upper;
        std::os::unix::fs::chown(upper, Some(uid), Some(gid))
            .context(|| format!("use {} as scratch", upper.display()))?;
    }
    let view = Overlay {
        layers,
        scratch: Some(writable),
        marks: if in_user_namespace() { Marks::User } else { Marks::Trusted },
        // Nobody waits at the end until what is thrown away is on the disk.
        syncing: if *scratch == Scratch::Own { Syncing::Never } else { Syncing::Usual },
        devices: Devices::Dead,
    };
    view.detached().map_err(|error| Refusal {
        kind: refusal::kind(&error.errno().into()),
        errno: Some(error.errno().raw_os_error()),
        message: error.to_string(),
    })
}

/// Directories that are in use until this is dropped: whoever would remove a layer, or use a scratch too, looks for that.
#[derive(Debug, Default)]
pub struct Holds {
    held: Vec<Hold>,
    looked_at: Vec<LookedAt>,
}

impl Holds {
    /// Nothing yet; of these, nothing but what was looked at is taken.
    pub fn of(looked_at: &[LookedAt]) -> Self {
        Self { held: Vec::new(), looked_at: looked_at.to_vec() }
    }

    /// Takes a directory; the answer is the name by which it is used: where it must be a certain one, that of its descriptor.
    fn take(
        &mut self,
        path: &Path,
        hold: fn(&Path) -> io::Result<Hold>,
    ) -> Result<PathBuf, Refusal> {
        let doing = || format!("use {}", path.display());
        let hold = hold(path).context(doing)?;
        let identity = self.identity(path);
        check(identity, hold.as_fd()).context(doing)?;
        let named = identity.map_or_else(|| path.to_owned(), |_| path_of(hold.as_fd()));
        self.held.push(hold);
        Ok(named)
    }

    /// What must be there.
    fn identity(&self, path: &Path) -> Option<(u64, u64)> {
        self.looked_at.iter().find(|looked_at| looked_at.path == path).map(|found| found.identity)
    }
}

/// Fails unless what was opened is what somebody has looked at.
pub fn check(looked_at: Option<(u64, u64)>, opened: impl AsFd) -> io::Result<()> {
    let Some(identity) = looked_at else { return Ok(()) };
    let found = rustix::fs::fstat(opened)?;
    if identity == (found.st_dev, found.st_ino) {
        return Ok(());
    }
    let why = "another thing has taken its place meanwhile";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Whether root here is an ordinary user of the host.
pub fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

/// Makes a directory unless there is one.
pub fn make(path: &Path, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}
