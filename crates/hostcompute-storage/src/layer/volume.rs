//! Volumes and disks: what base layers and scratch disks of Windows need, and Linux has only in part.

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use hostcompute_schema::hcs::{OsLayerOptions, OsLayerType};
use rustix::fs::FileType;

use super::{linux_layer, missing};
use crate::error::{Error, Kind, Result};

/// Makes a base layer usable. For containers there is nothing to do on Linux but to look. `HcsSetupBaseOSLayer`.
///
/// # Errors
/// There is no such layer, it is one of Windows, or a disk for virtual machines is asked for (Unsupported).
pub fn setup_base_os_layer(
    layer: &Path,
    disk: Option<BorrowedFd<'_>>,
    options: &OsLayerOptions,
) -> Result<()> {
    for_containers(options)?;
    if disk.is_some() {
        let message = "a base layer for containers has no disk: the handle must be zero";
        return Err(Error::new(Kind::Argument, message));
    }
    linux_layer(layer)
}

/// As [`setup_base_os_layer`], with a volume instead of a disk. `HcsSetupBaseOSVolume`.
///
/// # Errors
/// As [`setup_base_os_layer`]; the volume is missing.
pub fn setup_base_os_volume(layer: &Path, volume: &Path, options: &OsLayerOptions) -> Result<()> {
    for_containers(options)?;
    if !volume.is_dir() {
        return Err(missing(volume));
    }
    linux_layer(layer)
}

fn for_containers(options: &OsLayerOptions) -> Result<()> {
    match options.kind {
        None | Some(OsLayerType::Container) => Ok(()),
        _ => Err(Error::new(Kind::Unsupported, "a boot disk cannot be made of a layer on Linux")),
    }
}

/// Formats a disk for a writable layer: scratches are directories on Linux. `HcsFormatWritableLayerVhd`.
///
/// # Errors
/// Always: Unsupported, or Argument for what is neither a disk nor a file.
pub fn format_writable_layer_vhd(disk: BorrowedFd<'_>) -> Result<()> {
    kind(disk)?;
    Err(Error::new(Kind::Unsupported, "writable layers are directories on Linux, not disks")
        .hint("HcsInitializeWritableLayer prepares a directory"))
}

/// Where a disk is mounted, or the path of an open directory. `HcsGetLayerVhdMountPath`.
///
/// # Errors
/// It is mounted nowhere (NotFound), or is no disk.
pub fn layer_vhd_mount_path(disk: BorrowedFd<'_>) -> Result<PathBuf> {
    let by_descriptor = format!("/proc/self/fd/{}", disk.as_raw_fd());
    match kind(disk)? {
        (FileType::Directory, _) => {
            let path = Path::new(&by_descriptor);
            fs::read_link(path).map_err(|error| Error::system("read", path, error))
        }
        (FileType::BlockDevice, number) => mount_point(number),
        _ => Err(Error::new(Kind::Unsupported, "a file is no disk until it is attached as one")),
    }
}

fn kind(disk: BorrowedFd<'_>) -> Result<(FileType, u64)> {
    let status = rustix::fs::fstat(disk)
        .map_err(|errno| Error::caused("cannot use the handle".to_owned(), errno.into()))?;
    match FileType::from_raw_mode(status.st_mode) {
        kind @ (FileType::Directory | FileType::BlockDevice | FileType::RegularFile) => {
            Ok((kind, status.st_rdev))
        }
        _ => Err(Error::new(Kind::Argument, "the handle is no disk")),
    }
}

/// The first mount of a device's root.
fn mount_point(device: u64) -> Result<PathBuf> {
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let table = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(table).map_err(|error| Error::system("read", table, error))?;
    let place = text.lines().find_map(|line| {
        let mut words = line.split(' ').skip(2);
        let (found, root, place) = (words.next()?, words.next()?, words.next()?);
        (found == number && root == "/").then(|| crate::hold::unescape(place))
    });
    place
        .map(|place| PathBuf::from(std::ffi::OsString::from_vec(place)))
        .ok_or_else(|| Error::new(Kind::NotFound, format!("the disk {number} is mounted nowhere")))
}
