//! Device nodes of the host's in a container.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use hostcompute_supervisor::launch::Device;
use rustix::fs::{FileType, major, makedev, minor};

/// What a device node is.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    pub kind: FileType,
    pub number: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// Looks at a node of the host's; `None` where there is none.
pub fn look(device: &Device) -> Option<Node> {
    let found = fs::metadata(&device.source).ok()?;
    let kind = match found.file_type() {
        kind if kind.is_char_device() => FileType::CharacterDevice,
        kind if kind.is_block_device() => FileType::BlockDevice,
        _ => return None,
    };
    let number = makedev(major(found.rdev()), minor(found.rdev()));
    Some(Node { kind, number, mode: found.mode() & 0o777, uid: found.uid(), gid: found.gid() })
}

/// The line of version 1's device controller.
pub fn rule(device: &Device) -> Option<String> {
    let node = look(device)?;
    let (major, minor) = (major(node.number), minor(node.number));
    Some(format!("{} {major}:{minor} {}", letter(node), device.access))
}

fn letter(node: Node) -> &'static str {
    if node.kind == FileType::BlockDevice { "b" } else { "c" }
}
