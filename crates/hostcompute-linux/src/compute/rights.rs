//! Paths of a client's document, opened with that client's rights.
//!
//! A thread takes on the client's user and groups for good, opens what is named and looks whether it may be used so, and ends. What it
//! opened is handed on by its own name, without links, and with its device and inode: the supervisor, which opens it anew among its own
//! mounts, refuses what somebody has put in its place in between.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use hostcompute_engine::compute::{
    self as engine, Fault, Isolation, Launch, OnBehalf, Place, Root, Scratch,
};
use hostcompute_schema::HResult;
use hostcompute_supervisor::launch::{LookedAt, Mount};
use rustix::fs::{Access, AtFlags, Mode, OFlags};
use rustix::process::{Gid, Uid};

use super::translate;

/// What is to be done with a path.
#[derive(Debug, Clone, Copy)]
enum Use {
    Read,
    Write,
}

/// The root, by paths that name what its client may use, and what was found there. Layers of the service's own images, which are in
/// `store`, are for everybody who may make systems.
///
/// # Errors
/// E_ACCESSDENIED, ERROR_PATH_NOT_FOUND, with the place in the launch.
pub(super) fn root(launch: &Launch, store: Option<&Path>) -> Result<(Root, Vec<LookedAt>), Fault> {
    let (mut root, mut looked_at) = (launch.root.clone(), Vec::new());
    let Some(user) = &launch.on_behalf else { return Ok((root, looked_at)) };
    if let Isolation::HostProcess { .. } = launch.isolation {
        return Err(denied("processes of the host are root's to start"));
    }
    let mut named = |path: &str, wanted, place| {
        let opened = open(user, path, wanted).and_then(|(name, identity)| {
            looked_at.push(LookedAt { path: name.clone(), identity });
            text(&name)
        });
        opened.map_err(|fault| fault.at(place))
    };
    match &mut root {
        Root::Layers { layers, scratch } => {
            for (place, layer) in layers.iter_mut().enumerate() {
                if is_of(store, Path::new(layer)) {
                    continue;
                }
                *layer = named(layer, Use::Read, Place::Layer(place))?;
            }
            if let Scratch::Directory(path) = scratch {
                *path = named(path, Use::Write, Place::Scratch)?;
            }
        }
        Root::Directory { path } => *path = named(path, Use::Write, Place::Scratch)?,
        Root::Host => {
            return Err(denied("the host's root is root's to show").at(Place::Layer(0)));
        }
        Root::Shared => {}
    }
    Ok((root, looked_at))
}

/// Whether a path is that of a layer in the store, without any detour.
fn is_of(store: Option<&Path>, layer: &Path) -> bool {
    let name = layer.file_name().is_some_and(|name| !name.is_empty());
    name && store.is_some() && layer.parent() == store
}

/// A mapped directory, of nothing but what its client may use.
///
/// # Errors
/// E_ACCESSDENIED, ERROR_PATH_NOT_FOUND.
pub(super) fn mount(user: Option<&OnBehalf>, mount: &engine::Mount) -> Result<Mount, Fault> {
    let wanted = if mount.read_only { Use::Read } else { Use::Write };
    pinned(user, translate::mount(mount), &mount.host_path, wanted)
}

/// As [`mount`], for a pipe.
///
/// # Errors
/// As [`mount`].
pub(super) fn pipe(user: Option<&OnBehalf>, pipe: &engine::Pipe) -> Result<Mount, Fault> {
    pinned(user, translate::pipe(pipe), &pipe.host_path, Use::Write)
}

fn pinned(user: Option<&OnBehalf>, mount: Mount, path: &str, wanted: Use) -> Result<Mount, Fault> {
    let Some(user) = user else { return Ok(mount) };
    let (source, identity) = open(user, path, wanted)?;
    Ok(Mount { source, identity: Some(identity), ..mount })
}

fn text(name: &Path) -> Result<String, Fault> {
    name.to_str().map(str::to_owned).ok_or_else(|| denied("the path's own name is no UTF-8"))
}

/// Does something as that user, on a thread that is good for nothing else afterwards, and waits for it.
///
/// # Errors
/// The user's rights cannot be taken on: nothing was done.
pub fn acting(user: &OnBehalf, work: &mut (dyn FnMut() + Send)) -> io::Result<()> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            become_user(user)?;
            work();
            Ok(())
        });
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    })
}

/// What is at a path: its own name, its device and inode.
fn open(user: &OnBehalf, path: &str, wanted: Use) -> Result<(PathBuf, (u64, u64)), Fault> {
    let mut opened = Err(io::Error::other("nothing was opened"));
    let acted = acting(user, &mut || opened = open_path(path, wanted));
    let file = acted.and(opened).map_err(|error| {
        let message = format!("user {}: {path}: {error}", user.uid);
        match error.kind() {
            io::ErrorKind::NotFound => Fault::new(HResult::ERROR_PATH_NOT_FOUND, message),
            _ => denied(&message),
        }
    })?;
    let found = || {
        let found = rustix::fs::fstat(&file)?;
        let name = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        Ok::<_, io::Error>((name, (found.st_dev, found.st_ino)))
    };
    found().map_err(|error| denied(&format!("{path}: {error}")))
}

fn denied(message: &str) -> Fault {
    Fault::new(HResult::E_ACCESSDENIED, message)
        .hint("a client's paths are opened with the client's own rights")
}

/// The calling thread is that user's afterwards, and good for nothing else.
fn become_user(user: &OnBehalf) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<Gid> = user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

fn open_path(path: &str, wanted: Use) -> io::Result<OwnedFd> {
    let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let is_directory =
        rustix::fs::fstat(&file)?.st_mode & rustix::fs::FileType::Directory.as_raw_mode() != 0;
    let mut access = Access::READ_OK;
    access.set(Access::WRITE_OK, matches!(wanted, Use::Write));
    access.set(Access::EXEC_OK, is_directory);
    let by_descriptor = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
    rustix::fs::accessat(rustix::fs::CWD, by_descriptor, access, AtFlags::empty())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> OnBehalf {
        OnBehalf { uid: 65534, gid: 65534, groups: vec![65534] }
    }

    fn code(path: &str, wanted: Use) -> HResult {
        let opened = open(&nobody(), path, wanted);
        opened.map_or_else(|fault| fault.hresult, |_| HResult::S_OK)
    }

    #[test]
    fn a_clients_paths_are_the_clients() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: needs root");
        }
        let closed =
            std::env::temp_dir().join(format!("hostcompute-rights-{}", std::process::id()));
        std::fs::create_dir(&closed).expect("room");
        rustix::fs::chmod(&closed, Mode::RWXU).expect("ours");
        let inside = closed.join("inside");
        std::fs::create_dir(&inside).expect("room");
        let text = |path: &Path| path.display().to_string();
        assert_eq!(code(&text(&closed), Use::Read), HResult::E_ACCESSDENIED);
        assert_eq!(code(&text(&inside), Use::Read), HResult::E_ACCESSDENIED);
        assert_eq!(code("/etc/shadow", Use::Read), HResult::E_ACCESSDENIED);
        assert_eq!(code("/etc", Use::Read), HResult::S_OK);
        assert_eq!(code("/etc", Use::Write), HResult::E_ACCESSDENIED);
        assert_eq!(code("/nowhere", Use::Read), HResult::ERROR_PATH_NOT_FOUND);
        assert_eq!(code("/tmp", Use::Write), HResult::S_OK);
        assert!(rustix::process::geteuid().is_root(), "this thread is still ours");
        std::fs::remove_dir_all(&closed).expect("ours");
    }

    #[test]
    fn layers_of_the_store_are_for_everybody_and_no_others() {
        let store = Path::new("/state/images/layers");
        assert!(is_of(Some(store), Path::new("/state/images/layers/0123")));
        for other in ["/state/images/layers", "/state/images/layers/..", "/state/images/layers/a/b"]
        {
            assert!(!is_of(Some(store), Path::new(other)), "{other}");
        }
        assert!(!is_of(Some(store), Path::new("/state/images/layers/../secret")));
        assert!(!is_of(None, Path::new("/state/images/layers/0123")));
        assert!(!is_of(None, Path::new("/")));
    }

    #[test]
    fn what_was_opened_is_what_is_used() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: needs root");
        }
        let folder = std::env::temp_dir().join(format!("hostcompute-swap-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("room");
        std::fs::write(folder.join("mine"), "").expect("room");
        rustix::fs::chmod(&folder, Mode::from_raw_mode(0o755)).expect("ours");
        let wish = engine::Mount {
            host_path: folder.display().to_string(),
            container_path: "/mnt".into(),
            read_only: true,
        };
        let mapped = mount(Some(&nobody()), &wish).expect("open");
        let moved = folder.with_extension("moved");
        std::fs::rename(&folder, &moved).expect("ours");
        std::os::unix::fs::symlink("/root", &folder).expect("room");
        let found = rustix::fs::stat(&moved).expect("moved");
        assert_eq!(mapped.identity, Some((found.st_dev, found.st_ino)), "not what is there now");
        std::fs::remove_file(&folder).expect("ours");
        std::fs::remove_dir_all(&moved).expect("ours");
    }
}
