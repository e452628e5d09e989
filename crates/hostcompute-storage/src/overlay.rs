//! Overlay mounts: the merged view of read-only layers below a scratch directory. The one place that makes them.
//!
//! The layers go to the kernel one by one (`fsopen`, `lowerdir+`; Linux 6.7): any number, any characters in their paths. An older
//! kernel gets the classic option string, which is one page long; paths that do not fit there, or hold its separators, go as
//! `/proc/self/fd/N`. This module depends on nothing else of the crate: a supervisor builds it alone.
//!
//! Layers and scratch directories are kept by others; who may remove them is told by [`crate::hold`].

use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
};

/// The directory of a scratch that holds what was written.
pub const UPPER: &str = "upper";

/// The directory of a scratch that the kernel works in.
pub const WORK: &str = "work";

/// What the table of mounts shows as the device.
const SOURCE: &str = "hostcompute";

/// Longest value of one `fsconfig` string, its zero byte included (`fs/fsopen.c`).
const LONGEST_VALUE: usize = 256;

/// Longest option string of `mount(2)`: one page, its zero byte included.
const LONGEST_OPTIONS: usize = 4096;

/// In which extended attributes the kernel finds and leaves its marks (opaque directories).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Marks {
    /// `trusted.overlay.*`: needs CAP_SYS_ADMIN in the initial user namespace.
    #[default]
    Trusted,
    /// `user.overlay.*`: what a user namespace may use (mount option `userxattr`).
    User,
}

/// Where writes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    /// Holds what was written.
    pub upper: PathBuf,
    /// The kernel's own, on the same file system.
    pub work: PathBuf,
}

/// How much of what was written must survive a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syncing {
    /// As the file system does.
    #[default]
    Usual,
    /// Nothing: the scratch is thrown away with its user, so unmounting need not wait for the disk. Such a scratch cannot be mounted again.
    Never,
}

/// One merged view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    /// Read-only layers, top first.
    pub layers: Vec<PathBuf>,
    /// Where writes go; none: the view is read-only.
    pub scratch: Option<Scratch>,
    /// Whose marks count.
    pub marks: Marks,
    /// What becomes of writes.
    pub syncing: Syncing,
    /// What device nodes are good for.
    pub devices: Devices,
}

/// Whether device nodes in a view lead to devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Devices {
    /// As anywhere.
    #[default]
    Usable,
    /// Not: what a container may use is put there apart.
    Dead,
}

/// Why an overlay could not be mounted or removed.
#[derive(Debug)]
pub struct Error {
    doing: &'static str,
    path: Option<PathBuf>,
    /// What the kernel had to say beyond the number.
    said: String,
    errno: Errno,
}

impl Error {
    fn new(doing: &'static str, errno: Errno) -> Self {
        Self { doing, path: None, said: String::new(), errno }
    }

    fn at(self, path: &Path) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    /// The kernel's number for it.
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.doing)?;
        if let Some(path) = &self.path {
            write!(f, " {}", path.display())?;
        }
        write!(f, ": {}", io::Error::from(self.errno))?;
        if !self.said.is_empty() {
            write!(f, " ({})", self.said)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl Scratch {
    /// The two directories of a scratch directory.
    pub fn of(directory: &Path) -> Self {
        Self { upper: directory.join(UPPER), work: directory.join(WORK) }
    }
}

impl Overlay {
    /// Mounts the view at an existing directory, in the mount namespace of the calling process.
    ///
    /// # Errors
    /// What the kernel refuses: a missing directory, no right, a scratch that is mounted elsewhere (EBUSY).
    pub fn mount_at(&self, target: &Path) -> Result<(), Error> {
        if let (None, [only]) = (&self.scratch, self.layers.as_slice()) {
            // An overlay needs two directories; one is bound as it is.
            return bind_read_only(only, target);
        }
        match self.prepare(Layers::OneByOne) {
            Ok(mount) => {
                let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                rustix::mount::move_mount(&mount, "", CWD, target, flags)
                    .map_err(|errno| Error::new("mount the layers at", errno).at(target))
            }
            Err(Refused::Old) => self.mount_classic(target),
            Err(Refused::For(error)) => Err(error.at(target)),
        }
    }

    /// The view as a mount that is nowhere yet; at least two layers, or a scratch.
    ///
    /// # Errors
    /// As [`Overlay::mount_at`]; E2BIG for more layers than a kernel before 6.7 takes in this way (a dozen).
    pub fn detached(&self) -> Result<OwnedFd, Error> {
        match self.prepare(Layers::OneByOne) {
            Err(Refused::Old) => self.prepare(Layers::Together),
            other => other,
        }
        .map_err(|refused| match refused {
            Refused::Old => Error::new("mount an overlay", Errno::NOSYS),
            Refused::For(error) => error,
        })
    }

    fn prepare(&self, layers: Layers) -> Result<OwnedFd, Refused> {
        let context =
            rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| {
                match errno {
                    Errno::NOSYS => Refused::Old,
                    other => Refused::For(Error::new("mount an overlay", other)),
                }
            })?;
        // Must live until the kernel has looked at the names made of them.
        let mut held = Vec::new();
        match layers {
            Layers::OneByOne => self.add_one_by_one(context.as_fd(), &mut held)?,
            Layers::Together => self.add_together(context.as_fd(), &mut held)?,
        }
        let failed = |errno| refusal(context.as_fd(), "mount the layers", errno);
        if let Some(scratch) = &self.scratch {
            for (key, path) in [("upperdir", &scratch.upper), ("workdir", &scratch.work)] {
                set(context.as_fd(), key, &short(path, &mut held)?)?;
            }
        }
        set(context.as_fd(), "source", Path::new(SOURCE))?;
        for flag in self.flags() {
            rustix::mount::fsconfig_set_flag(&context, flag).map_err(failed)?;
        }
        rustix::mount::fsconfig_create(&context).map_err(failed)?;
        let mut attributes = MountAttrFlags::empty();
        attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, self.scratch.is_none());
        attributes.set(MountAttrFlags::MOUNT_ATTR_NODEV, self.devices == Devices::Dead);
        rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed)
    }

    fn add_one_by_one(
        &self,
        context: BorrowedFd<'_>,
        held: &mut Vec<OwnedFd>,
    ) -> Result<(), Refused> {
        for layer in &self.layers {
            let value = short(layer, held)?;
            match rustix::mount::fsconfig_set_string(context, "lowerdir+", value.as_path()) {
                Ok(()) => {}
                // The key is unknown: the kernel is older than 6.7.
                Err(Errno::INVAL) => return Err(Refused::Old),
                Err(errno) => return Err(refusal(context, "use the layer", errno).at(layer)),
            }
        }
        Ok(())
    }

    fn add_together(
        &self,
        context: BorrowedFd<'_>,
        held: &mut Vec<OwnedFd>,
    ) -> Result<(), Refused> {
        let mut names = std::ffi::OsString::new();
        for layer in &self.layers {
            if !names.is_empty() {
                names.push(":");
            }
            names.push(by_descriptor(layer, held)?);
        }
        if names.len() >= LONGEST_VALUE {
            return Err(Refused::For(self.too_many()));
        }
        set(context, "lowerdir", Path::new(&names))
    }

    fn too_many(&self) -> Error {
        let said = format!("{} layers are more than this kernel takes", self.layers.len());
        Error { said, ..Error::new("mount the layers", Errno::TOOBIG) }
    }

    fn flags(&self) -> impl Iterator<Item = &'static str> {
        let user = (self.marks == Marks::User).then_some("userxattr");
        let volatile = self.scratch.is_some() && self.syncing == Syncing::Never;
        user.into_iter().chain(volatile.then_some("volatile"))
    }

    /// As kernels before 6.7 want it.
    fn mount_classic(&self, target: &Path) -> Result<(), Error> {
        let mut held = Vec::new();
        let options = self.options(&mut held)?;
        let mut flags = MountFlags::empty();
        flags.set(MountFlags::RDONLY, self.scratch.is_none());
        flags.set(MountFlags::NODEV, self.devices == Devices::Dead);
        rustix::mount::mount(SOURCE, target, "overlay", flags, options.as_c_str())
            .map_err(|errno| Error::new("mount the layers at", errno).at(target))
    }

    /// The option string; by descriptors where paths would be too long or hold separators.
    fn options(&self, held: &mut Vec<OwnedFd>) -> Result<CString, Error> {
        let plain = self.option_bytes(|path, _| Ok(path.to_owned()), held)?;
        let paths = self.layers.iter().chain(self.scratch.iter().flat_map(|s| [&s.upper, &s.work]));
        let separated =
            paths.flat_map(|path| path.as_os_str().as_bytes()).any(|b| b":,\\".contains(b));
        let bytes = if separated || plain.len() >= LONGEST_OPTIONS {
            self.option_bytes(by_descriptor, held)?
        } else {
            plain
        };
        if bytes.len() >= LONGEST_OPTIONS {
            return Err(self.too_many());
        }
        CString::new(bytes).map_err(|_| Error::new("mount the layers at", Errno::INVAL))
    }

    fn option_bytes(
        &self,
        mut spell: impl FnMut(&Path, &mut Vec<OwnedFd>) -> Result<PathBuf, Error>,
        held: &mut Vec<OwnedFd>,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = b"lowerdir=".to_vec();
        for (place, layer) in self.layers.iter().enumerate() {
            if place > 0 {
                bytes.push(b':');
            }
            bytes.extend(spell(layer, held)?.as_os_str().as_bytes());
        }
        if let Some(scratch) = &self.scratch {
            for (key, path) in [(",upperdir=", &scratch.upper), (",workdir=", &scratch.work)] {
                bytes.extend(key.as_bytes());
                bytes.extend(spell(path, held)?.as_os_str().as_bytes());
            }
        }
        for flag in self.flags() {
            bytes.push(b',');
            bytes.extend(flag.as_bytes());
        }
        Ok(bytes)
    }
}

/// How layers go to the kernel.
enum Layers {
    OneByOne,
    /// In one value, for kernels before 6.7.
    Together,
}

/// Why the new interface did not do it.
enum Refused {
    /// It is not there, or does not take layers one by one.
    Old,
    For(Error),
}

impl Refused {
    fn at(self, path: &Path) -> Self {
        match self {
            Self::Old => Self::Old,
            Self::For(error) => Self::For(error.at(path)),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::For(error)
    }
}

/// What the kernel says of a failure, in its own words too.
fn refusal(context: BorrowedFd<'_>, doing: &'static str, errno: Errno) -> Refused {
    Refused::For(Error { said: log(context), ..Error::new(doing, errno) })
}

fn set(context: BorrowedFd<'_>, key: &str, value: &Path) -> Result<(), Refused> {
    rustix::mount::fsconfig_set_string(context, key, value)
        .map_err(|errno| refusal(context, "use", errno).at(value))
}

/// Whether a merged view is mounted exactly here.
pub fn is_mounted_at(path: &Path) -> bool {
    let overlay = rustix::fs::statfs(path).is_ok_and(|status| status.f_type == OVERLAY_MAGIC);
    overlay && is_mount_root(path)
}

/// `OVERLAYFS_SUPER_MAGIC` (`include/uapi/linux/magic.h`).
const OVERLAY_MAGIC: rustix::fs::FsWord = 0x794c_7630;

fn is_mount_root(path: &Path) -> bool {
    let status = rustix::fs::statx(CWD, path, AtFlags::NO_AUTOMOUNT, StatxFlags::empty());
    status.is_ok_and(|status| status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Removes a view. Who has a file open there keeps it.
///
/// # Errors
/// Nothing is mounted there (EINVAL), it is in use (EBUSY), or there is no right.
pub fn unmount(path: &Path) -> Result<(), Error> {
    rustix::mount::unmount(path, UnmountFlags::NOFOLLOW)
        .map_err(|errno| Error::new("unmount", errno).at(path))
}

fn bind_read_only(layer: &Path, target: &Path) -> Result<(), Error> {
    let failed = |errno| Error::new("bind the layer at", errno).at(target);
    rustix::mount::mount_bind(layer, target).map_err(failed)?;
    rustix::mount::mount_remount(target, MountFlags::BIND | MountFlags::RDONLY, "").map_err(
        |errno| {
            let _ = rustix::mount::unmount(target, UnmountFlags::DETACH);
            failed(errno)
        },
    )
}

/// A path as it is, or by a descriptor where it is too long for one value.
fn short(path: &Path, held: &mut Vec<OwnedFd>) -> Result<PathBuf, Error> {
    if path.as_os_str().len() < LONGEST_VALUE {
        Ok(path.to_owned())
    } else {
        by_descriptor(path, held)
    }
}

fn by_descriptor(path: &Path, held: &mut Vec<OwnedFd>) -> Result<PathBuf, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| Error::new("open", errno).at(path))?;
    let name = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    held.push(opened);
    Ok(name)
}

/// What the kernel wrote into the context: lines that begin with the kind of message and a space.
fn log(context: BorrowedFd<'_>) -> String {
    let mut lines = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(length) = rustix::io::read(context, &mut buffer) {
        let Some(line) = buffer.get(..length).filter(|line| !line.is_empty()) else { break };
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        lines.push(line.strip_prefix("e ").unwrap_or(line).to_owned());
    }
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(layers: &[&str]) -> Overlay {
        Overlay { layers: layers.iter().map(PathBuf::from).collect(), ..Overlay::default() }
    }

    fn options(overlay: &Overlay) -> String {
        let mut held = Vec::new();
        overlay.options(&mut held).unwrap().into_string().unwrap()
    }

    #[test]
    fn the_classic_string_names_everything() {
        let mut overlay = of(&["/top", "/base"]);
        assert_eq!(options(&overlay), "lowerdir=/top:/base");
        overlay.scratch = Some(Scratch::of(Path::new("/s")));
        overlay.marks = Marks::User;
        overlay.syncing = Syncing::Never;
        assert_eq!(
            options(&overlay),
            "lowerdir=/top:/base,upperdir=/s/upper,workdir=/s/work,userxattr,volatile"
        );
    }

    #[test]
    fn paths_that_do_not_fit_go_by_descriptor() {
        let directory = std::env::temp_dir().join(format!("hc-overlay,{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let overlay = of(&[directory.to_str().unwrap(), "/"]);
        let text = options(&overlay);
        std::fs::remove_dir(&directory).unwrap();
        assert!(text.starts_with("lowerdir=/proc/self/fd/"), "{text}");
        assert!(!text.contains(".."), "{text}");
    }

    #[test]
    fn too_many_layers_for_an_old_kernel_are_refused() {
        let overlay = of(&vec!["/"; 4096]);
        assert_eq!(overlay.options(&mut Vec::new()).unwrap_err().errno(), Errno::TOOBIG);
    }

    #[test]
    fn the_root_of_this_machine_is_no_view_of_ours() {
        assert!(!is_mounted_at(Path::new("/proc")));
        assert!(!is_mounted_at(Path::new("/nowhere")));
    }
}
