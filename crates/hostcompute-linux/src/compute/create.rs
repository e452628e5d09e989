//! From the engine's launch to a supervisor that runs.
//!
//! What can be looked at before is looked at here, so that a refusal says which part of the document it is about. Then the system's
//! directory is made, complete and locked, and put in its place in one step: that is what takes the id.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use hostcompute_engine::compute as engine;
use hostcompute_engine::compute::{Fault, Sink};
use hostcompute_schema::HResult;
use hostcompute_supervisor::cgroup::Group;
use hostcompute_supervisor::directory;
use hostcompute_supervisor::kill::{Who, point};
use hostcompute_supervisor::launch::{Device, Isolation, Launch, Mount, Network, Root, Scratch};
use hostcompute_supervisor::message::{Answer, Request};
use hostcompute_supervisor::wire;

use super::fault::Context;
use super::link::{Link, Listening};
use super::place::Stored;
use super::{Supervised, Supervisors, exists, fault, group, rights, terms, translate};

/// Takes the id, makes the system, or leaves nothing.
pub(super) fn create(
    supervisors: &Supervisors,
    wanted: &engine::Launch,
    sink: Sink,
) -> Result<Supervised, Fault> {
    let systems = supervisors.systems();
    let directory = systems.directory(&wanted.id);
    if directory.exists() && systems.find(&wanted.id).is_ok() {
        return Err(exists(&wanted.id));
    }
    let launch = resolve(supervisors, wanted, &directory)?;
    let doing = || format!("make the directory of {}", wanted.id);
    let (fresh, hold) = systems.fresh().context(doing)?;
    point(Who::Maker);
    let disk = launch.limits.io_devices.first().copied().or_else(|| disk_of_root(&launch));
    let placed = (|| {
        let lock = directory::lock(&fresh)?;
        point(Who::Maker);
        let group = launch.cgroup.clone();
        let stored = Stored { id: wanted.id.clone(), record: wanted.record.clone(), group, disk };
        stored.write(&fresh)?;
        point(Who::Maker);
        if let Some(owes) = &wanted.owes {
            fs::write(fresh.join(directory::OWES), owes)?;
        }
        point(Who::Maker);
        directory::place(&fresh, &directory)?;
        point(Who::Maker);
        Ok::<_, std::io::Error>(lock)
    })();
    drop(hold);
    let lock = match placed {
        Ok(lock) => lock,
        Err(error) => {
            let _ = fs::remove_dir_all(&fresh);
            return Err(match error.kind() {
                std::io::ErrorKind::AlreadyExists => exists(&wanted.id),
                _ => Err::<(), _>(error).context(doing).expect_err("it is an error"),
            });
        }
    };
    let started = start(supervisors, launch, &directory, lock.into(), sink);
    if started.is_err() {
        // What the supervisor made it has undone; were it killed meanwhile, its group would be left.
        let _ = systems.remove(&directory);
    }
    started
}

/// Starts the supervisor and hands it the launch.
fn start(
    supervisors: &Supervisors,
    launch: Launch,
    directory: &Path,
    lock: OwnedFd,
    sink: Sink,
) -> Result<Supervised, Fault> {
    let (ours, starter) = match wire::connect(&supervisors.options.launcher) {
        Ok(socket) => (socket, None),
        // Nobody starts them for us.
        Err(_) => {
            let (socket, starter) =
                supervisors.options.spare.take_or_start(&supervisors.options.program)?;
            (socket, Some(starter))
        }
    };
    point(Who::Maker);
    let link = Link::new(ours, directory.to_owned(), Listening::Now, sink);
    let launched = supervisors
        .hub
        .add(&link)
        .context(|| "listen to a supervisor")
        .and_then(|()| link.ask_with(Request::Launch(Box::new(launch)), &[lock.as_fd()]));
    point(Who::Maker);
    if let Some(starter) = starter {
        // It is through by now.
        starter.wait()?;
    }
    match launched? {
        (Answer::Done, _) => Ok(Supervised::new(link, &supervisors.hub)),
        _ => Err(fault::nonsense()),
    }
}

fn resolve(
    supervisors: &Supervisors,
    wanted: &engine::Launch,
    directory: &Path,
) -> Result<Launch, Fault> {
    let options = &supervisors.options;
    let (isolation, root_at) = match &wanted.isolation {
        engine::Isolation::Container => (Isolation::Container, None),
        engine::Isolation::HostProcess { root_at } => {
            (Isolation::HostProcess, root_at.as_ref().map(PathBuf::from))
        }
    };
    let (root_as_named, looked_at) = rights::root(wanted, options.layers.as_deref())?;
    let root = root(&root_as_named)?;
    let user = wanted.on_behalf.as_ref();
    let mut mounts = Vec::new();
    for (place, mount) in wanted.mounts.iter().enumerate() {
        let mount = rights::mount(user, mount).and_then(there);
        mounts.push(mount.map_err(|fault| fault.at(engine::Place::Mount(place)))?);
    }
    for (place, pipe) in wanted.pipes.iter().enumerate() {
        let pipe = rights::pipe(user, pipe).and_then(there);
        mounts.push(pipe.map_err(|fault| fault.at(engine::Place::Pipe(place)))?);
    }
    let mut devices = Vec::new();
    for (place, nodes) in wanted.devices.iter().enumerate() {
        let found = translate::device_paths(nodes)
            .map_err(|fault| fault.at(engine::Place::Device(place)))?;
        devices.extend(found.into_iter().map(device));
    }
    let network =
        network(supervisors, &wanted.network).map_err(|fault| fault.at(engine::Place::Network))?;
    let host_name = match isolation {
        Isolation::HostProcess => None,
        Isolation::Container => Some(
            wanted
                .host_name
                .clone()
                .unwrap_or_else(|| wanted.runtime_id.to_string().chars().take(12).collect()),
        ),
    };
    let group = group(&options.runtime_dir, directory);
    let has_groups = Group::new(&group).is_ok_and(|group| group.can_create());
    let mut launch = Launch {
        id: wanted.id.clone(),
        directory: directory.to_owned(),
        root,
        looked_at,
        read_only: wanted.terms.read_only,
        mounts,
        host_name,
        network,
        users: terms::users(wanted, options),
        cgroup: has_groups.then_some(group),
        limits: Default::default(),
        devices,
        security: terms::security(&wanted.terms),
        resolver: wanted.resolv_conf.clone(),
        hosts: None,
        runtime: terms::runtime(wanted, options)?,
        isolation,
        root_at,
        life: terms::life(wanted.terms.life),
        leashed: true,
        log: options.log,
    };
    launch.limits = limits(&launch, &wanted.limits)?;
    Ok(launch)
}

fn root(wanted: &engine::Root) -> Result<Root, Fault> {
    Ok(match wanted {
        engine::Root::Layers { layers, scratch } => {
            for (place, layer) in layers.iter().enumerate() {
                let place = engine::Place::Layer(place);
                need(layer).map_err(|fault| fault.at(place))?;
                if is_for_windows(Path::new(layer)) {
                    let message = format!("{layer} is a layer for Windows");
                    return Err(Fault::new(HResult::HCS_E_IMAGE_MISMATCH, message).at(place));
                }
            }
            let scratch = match scratch {
                engine::Scratch::Ephemeral => Scratch::Own,
                engine::Scratch::Directory(path) => {
                    need(path).map_err(|fault| fault.at(engine::Place::Scratch))?;
                    Scratch::Directory(path.into())
                }
            };
            Root::Layers { layers: layers.iter().map(PathBuf::from).collect(), scratch }
        }
        engine::Root::Host => Root::Host { scratch: Scratch::Own },
        engine::Root::Directory { path } => {
            need(path).map_err(|fault| fault.at(engine::Place::Scratch))?;
            Root::Directory { path: path.into() }
        }
        engine::Root::Shared => Root::Shared,
    })
}

/// What layers for Windows have, and no others.
fn is_for_windows(layer: &Path) -> bool {
    layer.join("Hives").is_dir() || layer.join("Files/Windows/System32").is_dir()
}

/// A mount whose source is there.
fn there(mount: Mount) -> Result<Mount, Fault> {
    need(&mount.source.to_string_lossy())?;
    Ok(mount)
}

fn need(path: &str) -> Result<(), Fault> {
    match fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Fault::new(HResult::E_ACCESSDENIED, format!("{path}: {error}")))
        }
        Err(error) => Err(Fault::new(HResult::ERROR_PATH_NOT_FOUND, format!("{path}: {error}"))),
    }
}

fn network(supervisors: &Supervisors, wanted: &engine::NetworkPlace) -> Result<Network, Fault> {
    Ok(match wanted {
        engine::NetworkPlace::Own => Network::Own,
        engine::NetworkPlace::Host => Network::Host,
        // Entered at the start: it may not be there yet.
        engine::NetworkPlace::Named { path } => Network::Path(path.into()),
        engine::NetworkPlace::SharedWith { system } => {
            let directory = supervisors.systems().find(system).map_err(|_| {
                let message = format!("there is no compute system {system} to share with");
                Fault::new(HResult::ERROR_NOT_FOUND, message)
            })?;
            Network::System(directory)
        }
    })
}

fn limits(
    launch: &Launch,
    wanted: &engine::Limits,
) -> Result<hostcompute_supervisor::launch::Limits, Fault> {
    let refused = |what: &str, place| {
        let message = format!("{what} cannot be limited here: there is no control group for it");
        Err(Fault::new(HResult::ERROR_NOT_SUPPORTED, message).at(place))
    };
    let group = launch.cgroup.as_deref().and_then(|group| Group::new(group).ok());
    let can = |controller: &str| group.as_ref().is_some_and(|group| group.can(controller));
    if wanted.memory.is_some() && !can("memory") {
        return refused("memory", engine::Place::Memory);
    }
    if (wanted.quota.is_some() || wanted.weight.is_some()) && !can("cpu")
        || wanted.cpus.is_some() && !can("cpuset")
    {
        return refused("processor time", engine::Place::Processor);
    }
    let bounds_disk = wanted.iops.is_some() || wanted.bandwidth.is_some();
    if bounds_disk && !can("blkio") {
        return refused("storage", engine::Place::Storage);
    }
    let disk = disk_of_root(launch);
    if bounds_disk && disk.is_none() {
        return Err(no_disk().at(engine::Place::Storage));
    }
    Ok(translate::limits(wanted, disk))
}

/// What is written is not written to a disk.
pub(super) fn no_disk() -> Fault {
    let message = "storage cannot be limited here: what is written goes to no disk of its own";
    Fault::new(HResult::ERROR_NOT_SUPPORTED, message)
        .hint("give the system a scratch directory (Storage.Path) on a disk")
}

/// The disk that what is written goes to; none for file systems without one.
fn disk_of_root(launch: &Launch) -> Option<(u32, u32)> {
    let path = match &launch.root {
        Root::Layers { scratch: Scratch::Directory(path), .. } => path,
        Root::Directory { path, .. } => path,
        Root::Layers { .. } | Root::Host { .. } => launch.directory.parent()?,
        Root::Shared => Path::new("/"),
    };
    let device = fs::metadata(path).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let node = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    // Limits are the whole disk's.
    let disk = if node.join("partition").exists() { node.parent()? } else { &node };
    let numbers = fs::read_to_string(disk.join("dev")).ok()?;
    let (major, minor) = numbers.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A device of the host's, where the host has it.
pub(super) fn device(path: PathBuf) -> Device {
    let writable = fs::metadata(&path).is_ok_and(|found| {
        found.file_type().is_char_device() || found.file_type().is_block_device()
    });
    let access = if writable { "rwm" } else { "r" };
    Device { source: path.clone(), target: path, access: access.into() }
}
