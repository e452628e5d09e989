//! Container.Storage: where the root file system comes from. docs/decisions/0007 says what stands for what.

use alloc::string::String;
use alloc::vec::Vec;

use hostcompute_schema::HResult;
use hostcompute_schema::hcs::{Layer, PathType, Storage};

use super::{Notes, path};
use crate::compute::launch::{Root, Scratch};

/// The root, and where it is seen when the system shares the host's.
pub fn read(
    storage: Option<&Storage>,
    host_process: bool,
    notes: &mut Notes,
) -> Option<(Root, Option<String>)> {
    let nothing = Storage::default();
    let storage = storage.unwrap_or(&nothing);
    let layers = layers(storage.layers.as_deref().unwrap_or_default(), notes);
    let at = "$.Container.Storage.Path";
    let scratch = match storage.path.as_deref() {
        None | Some("") => Some(None),
        Some(text) => path::absolute(text, at, notes).map(Some),
    };
    let root = root(layers?, scratch?, host_process, notes);
    let root_at = root_at(storage, root.as_ref(), host_process, notes);
    Some((root?, root_at?))
}

fn root(
    layers: Vec<String>,
    scratch: Option<String>,
    host_process: bool,
    notes: &mut Notes,
) -> Option<Root> {
    let at = "$.Container.Storage.Path";
    let whole_host = layers.iter().any(|layer| layer == "/");
    match (layers.len(), scratch) {
        (_, Some(scratch)) if scratch == "/" => {
            notes.invalid(at, "the host's root is never written; give \"/\" as the only layer");
        }
        (0, Some(path)) => return Some(Root::Directory { path }),
        (0, None) if host_process => return Some(Root::Shared),
        (0, None) => {
            let why = "a container needs layers, or a directory in Path";
            notes.invalid("$.Container.Storage", why);
        }
        (1, None) if whole_host => return Some(Root::Host),
        (_, _) if whole_host => {
            let why = "the host's root (\"/\") is a layer only alone, and without Path";
            notes.invalid("$.Container.Storage.Layers", why);
        }
        (_, Some(path)) => return Some(Root::Layers { layers, scratch: Scratch::Directory(path) }),
        (_, None) => return Some(Root::Layers { layers, scratch: Scratch::Ephemeral }),
    }
    None
}

fn layers(layers: &[Layer], notes: &mut Notes) -> Option<Vec<String>> {
    let read: Vec<Option<String>> =
        layers.iter().enumerate().map(|(index, layer)| layer_path(index, layer, notes)).collect();
    read.into_iter().collect()
}

fn layer_path(index: usize, layer: &Layer, notes: &mut Notes) -> Option<String> {
    let at = alloc::format!("$.Container.Storage.Layers[{index}]");
    if layer.path_type == Some(PathType::VirtualSmbShareName) {
        notes.refuse(
            HResult::HCS_E_INVALID_JSON,
            alloc::format!("{at}.PathType"),
            "a share of a virtual machine has no meaning for a container of the host",
        );
        return None;
    }
    let at = alloc::format!("{at}.Path");
    if layer.path.as_deref().is_some_and(path::is_windows) {
        let why = "a layer of Windows: its programs do not run on this host";
        notes.refuse(HResult::HCS_E_IMAGE_MISMATCH, at, why);
        return None;
    }
    path::required(layer.path.as_deref(), &at, notes)
}

#[expect(clippy::option_option, reason = "refused, absent, there")]
fn root_at(
    storage: &Storage,
    root: Option<&Root>,
    host_process: bool,
    notes: &mut Notes,
) -> Option<Option<String>> {
    let at = "$.Container.Storage.PrivilegedContainerRootPath";
    let given = storage.privileged_container_root_path.as_deref().filter(|path| !path.is_empty());
    match (given, root) {
        (None, Some(Root::Shared)) => Some(None),
        (None, Some(_)) if host_process => {
            notes.invalid(
                at,
                "a HostProcess container with a root of its own says where it is seen",
            );
            None
        }
        (None, _) => Some(None),
        (Some(_), _) if !host_process => {
            notes.invalid(at, "only a HostProcess container sees the host's root besides its own");
            None
        }
        (Some(_), Some(Root::Shared | Root::Host)) => {
            notes.invalid(at, "there is no root of its own that could be seen there");
            None
        }
        (Some(text), _) => match path::absolute(text, at, notes)? {
            path if path == "/" => {
                notes.invalid(at, "the host's root stays where it is");
                None
            }
            path => Some(Some(path)),
        },
    }
}
