//! The builtin runtime, from the outside: everything of the host that a container needs is opened, its first process is split off into new
//! namespaces, put into its groups and let go; what it does then is [`crate::inside`]. Host processes have the agent alone.
//!
//! The order makes paths safe: whatever is of the host is opened out here, before; whatever is of the container is resolved in there,
//! after its root is the root. No link in a root file system can lead out of it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hostcompute_supervisor::cgroup::Group;
use hostcompute_supervisor::directory;
use hostcompute_supervisor::kill::{Who, point};
use hostcompute_supervisor::launch::{IdRange, Isolation, Launch, Network, Root, Runtime, Users};
use hostcompute_supervisor::message::{Answer, Call, Refusal, RefusalKind, Request, Said};
use hostcompute_supervisor::wire;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::agent::message::FromAgent;
use crate::agent::{self, Plan};
use crate::devices::Node;
use crate::external::External;
use crate::inside::{self, Inside};
use crate::refusal::{Context, refuse};
use crate::root::{Holds, Host, Mapping};
use crate::sys::{self, MountAttributes, Side};
use crate::{devices, files, mounts};

/// How long a first process may take until it is ready: file systems may be slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long another supervisor may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A system whose first process is there, and ready to make others.
#[derive(Debug)]
pub struct Made {
    pub init: Pid,
    /// Readable when it has ended.
    pub init_descriptor: OwnedFd,
    pub maker: Maker,
}

/// Who makes the processes of a system.
#[derive(Debug)]
pub enum Maker {
    /// The first process, which is spoken to here.
    Agent(OwnedFd),
    /// A runtime's program.
    External(Box<External>),
}

/// Everything of the host that a system needs, opened; its first process is not there yet.
#[derive(Debug)]
pub enum Prepared {
    Container(Box<Inside>),
    HostProcess,
    External(Box<External>),
}

/// Opens what the launch names; makes nothing that is seen anywhere else.
pub fn prepare(
    launch: &Launch,
    group: Option<&Group>,
    holds: &mut Holds,
) -> Result<Prepared, Refusal> {
    if launch.isolation == Isolation::HostProcess {
        if launch.read_only {
            let message = "processes of the host write to the host's root";
            return Err(refuse(RefusalKind::Unsupported, message));
        }
        if launch.root != Root::Shared {
            crate::root::show(&launch.root, &launch.directory, launch.root_at.as_deref(), holds)?;
        }
        return Ok(Prepared::HostProcess);
    }
    if let Runtime::External(program) = &launch.runtime {
        return Ok(Prepared::External(Box::new(External::prepare(launch, program, holds)?)));
    }
    let bundle = launch.directory.join(directory::BUNDLE);
    let files = files::write(launch, &bundle)?;
    let users = launch.users.as_ref().map(user_namespace).transpose();
    let users = users.context(|| "map users")?;
    let mapping = users.as_ref().zip(launch.users.as_ref()).map(|(namespace, users)| Mapping {
        namespace: namespace.as_fd(),
        root: (root_of(&users.uids), root_of(&users.gids)),
    });
    let etc = files.iter().map(files::EtcFile::as_mount);
    let mapped = etc.chain(launch.mounts.iter().cloned());
    let mapped = mapped.map(|mount| mounts::open(&mount)).collect::<Result<_, _>>()?;
    Ok(Prepared::Container(Box::new(Inside {
        root: crate::root::open(&launch.root, &launch.directory, mapping, holds)?,
        read_only: launch.read_only,
        host_name: launch.host_name.clone(),
        raise_loopback: launch.network == Network::Own,
        shows_cgroup: group.is_some_and(Group::is_unified),
        has_group: group.is_some(),
        has_users: launch.users.is_some(),
        sys: foreign_sys(launch)?,
        mapped,
        devices: open_devices(launch)?,
    })))
}

impl Prepared {
    /// Makes the first process. `host` is where host processes are that have no root of their own, and where networks have names.
    pub fn start(
        self,
        launch: &Launch,
        group: Option<&Group>,
        host: &Host,
    ) -> Result<Made, Refusal> {
        match self {
            Self::Container(inside) => start_container(launch, &inside, group, host),
            Self::HostProcess => start_host_process(launch, group, &host.mounts),
            Self::External(external) => start_external(launch, *external, host),
        }
    }
}

fn start_container(
    launch: &Launch,
    inside: &Inside,
    group: Option<&Group>,
    host: &Host,
) -> Result<Made, Refusal> {
    let flags = namespaces(launch);
    let stay = join_network(&launch.network, host)?;
    let made = split_off(flags, group, launch.users.as_ref(), Isolation::Container, |socket| {
        if let Err(refusal) = inside.enter() {
            let _ = wire::send(&socket, &FromAgent::Failed(refusal), &[]);
            sys::leave(1)
        }
        let plan = Plan { security: launch.security.clone(), isolation: Isolation::Container };
        agent::run(socket.as_fd(), &plan)
    });
    if let Some(own) = stay {
        rustix::thread::move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))
            .context(|| "come back from the container's network")?;
    }
    made
}

fn start_external(launch: &Launch, external: External, host: &Host) -> Result<Made, Refusal> {
    // By number: the runtime has the mounts of this process, not the host's.
    let network = open_network(&launch.network, host)?;
    let number = |network: &File| {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), network.as_raw_fd()))
    };
    let network = network.as_ref().map(number);
    let started = external.start(launch, network.as_deref()).and_then(|init| {
        let init_descriptor = rustix::process::pidfd_open(init, PidfdFlags::empty())
            .context(|| "watch the first process")?;
        Ok((init, init_descriptor))
    });
    let (init, init_descriptor) = started.inspect_err(|_| external.delete())?;
    Ok(Made { init, init_descriptor, maker: Maker::External(Box::new(external)) })
}

fn start_host_process(
    launch: &Launch,
    group: Option<&Group>,
    host: &File,
) -> Result<Made, Refusal> {
    let flags = UnshareFlags::empty();
    split_off(flags, group, None, Isolation::HostProcess, |socket| {
        let shares_root = launch.root == Root::Shared;
        let kind = Some(LinkNameSpaceType::Mount);
        if shares_root && rustix::thread::move_into_link_name_space(host.as_fd(), kind).is_err() {
            sys::leave(1);
        }
        let plan = Plan { security: launch.security.clone(), isolation: Isolation::HostProcess };
        agent::run(socket.as_fd(), &plan)
    })
}

impl Made {
    /// Ends it, for a launch that failed later.
    pub fn undo(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.init_descriptor, Signal::KILL);
        let id = WaitId::PidFd(self.init_descriptor.as_fd());
        let _ = rustix::process::waitid(id, WaitIdOptions::EXITED);
    }
}

/// Splits the first process off, puts it where it belongs, and waits until it is ready.
fn split_off(
    flags: UnshareFlags,
    group: Option<&Group>,
    users: Option<&Users>,
    isolation: Isolation,
    life: impl FnOnce(OwnedFd),
) -> Result<Made, Refusal> {
    let (ours, theirs) = wire::pair().context(|| "make a pair of sockets")?;
    let (wait, go) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context(|| "make a pipe")?;
    let entrance = group.map(Group::entrance).transpose().context(|| "open the control group")?;
    let entrance = entrance.unwrap_or_default();
    let born_in = entrance.born_in.as_ref().map(AsFd::as_fd);
    match sys::split_into(flags, born_in).context(|| "make the first process")? {
        Side::Child => {
            drop((ours, go));
            point(Who::First);
            // Nothing to read is the end of a supervisor that could not go on.
            if rustix::io::read(&wait, &mut [0]) != Ok(1) {
                sys::leave(1);
            }
            if let Err(refusal) = entrance.enter().context(|| "enter the control group") {
                let _ = wire::send(&theirs, &FromAgent::Failed(refusal), &[]);
                sys::leave(1);
            }
            point(Who::First);
            life(theirs);
            sys::leave(0)
        }
        Side::Parent(init) => {
            drop((theirs, wait));
            point(Who::Supervisor);
            let init_descriptor = rustix::process::pidfd_open(init, PidfdFlags::empty())
                .context(|| "watch the first process")?;
            let made = Made { init, init_descriptor, maker: Maker::Agent(ours) };
            let ready = (|| {
                let Maker::Agent(agent) = &made.maker else { return Ok(()) };
                users.map_or(Ok(()), |users| map_users(init, users)).context(|| "map users")?;
                point(Who::Supervisor);
                rustix::io::write(&go, b"g").context(|| "let the first process go")?;
                point(Who::Supervisor);
                wait_until_ready(agent, isolation)
            })();
            point(Who::Supervisor);
            match ready {
                Ok(()) => Ok(made),
                Err(refusal) => {
                    made.undo();
                    Err(refusal)
                }
            }
        }
    }
}

fn wait_until_ready(agent: &OwnedFd, isolation: Isolation) -> Result<(), Refusal> {
    let doing = || match isolation {
        Isolation::Container => "make the container",
        Isolation::HostProcess => "begin host processes",
    };
    rustix::net::sockopt::set_socket_timeout(
        agent,
        rustix::net::sockopt::Timeout::Recv,
        Some(PATIENCE),
    )
    .context(doing)?;
    let received = wire::receive::<FromAgent>(agent).context(doing)?;
    match received.map(|received| received.message) {
        Some(FromAgent::Ready) => rustix::io::ioctl_fionbio(agent, true).context(doing),
        Some(FromAgent::Failed(refusal)) => Err(refusal),
        _ => Err(refuse(RefusalKind::Failed, "the first process ended before it was ready")),
    }
}

fn namespaces(launch: &Launch) -> UnshareFlags {
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC;
    if launch.host_name.is_some() || launch.network != Network::Host {
        flags |= UnshareFlags::NEWUTS;
    }
    if launch.network == Network::Own {
        flags |= UnshareFlags::NEWNET;
    }
    if launch.users.is_some() {
        flags |= UnshareFlags::NEWUSER;
    }
    flags
}

/// The host's `/sys`, read-only, for those that cannot have their own.
fn foreign_sys(launch: &Launch) -> Result<Option<OwnedFd>, Refusal> {
    if launch.users.is_none() || launch.network == Network::Own {
        return Ok(None);
    }
    let open = || {
        let tree = crate::root::clone(Path::new("/sys"))?;
        let set = sys::MOUNT_ATTR_RDONLY;
        sys::set_mount_attributes(&tree, MountAttributes { set, ..Default::default() })?;
        Ok::<_, io::Error>(Some(tree))
    };
    open().context(|| "map /sys")
}

/// Moves this process into the network that its child is to be born in; returns its own. From within a user namespace of its own the child
/// could not join it any more.
fn join_network(network: &Network, host: &Host) -> Result<Option<OwnedFd>, Refusal> {
    let Some(theirs) = open_network(network, host)? else { return Ok(None) };
    let doing = || "join the container's network namespace";
    let own = File::open("/proc/self/ns/net").context(doing)?;
    rustix::thread::move_into_link_name_space(theirs.as_fd(), Some(LinkNameSpaceType::Network))
        .context(doing)?;
    Ok(Some(own.into()))
}

/// The network namespace that is joined, if one is.
fn open_network(network: &Network, host: &Host) -> Result<Option<File>, Refusal> {
    let Some(path) = network_path(network)? else { return Ok(None) };
    let doing = || format!("open the network namespace {}", path.display());
    host.open(&path).context(doing).map(Some)
}

/// The file of the network namespace that is joined, if one is.
fn network_path(network: &Network) -> Result<Option<PathBuf>, Refusal> {
    Ok(match network {
        Network::Own | Network::Host => None,
        Network::Path(path) => Some(path.clone()),
        Network::System(directory) => {
            Some(PathBuf::from(format!("/proc/{}/ns/net", other_init(directory)?)))
        }
    })
}

/// The first process of another system, which its supervisor tells.
fn other_init(directory: &Path) -> Result<i32, Refusal> {
    let doing = || "find the system to share a network with";
    let socket = directory::connect(directory).context(doing)?;
    let timeout = rustix::net::sockopt::Timeout::Recv;
    rustix::net::sockopt::set_socket_timeout(&socket, timeout, Some(ANSWER)).context(doing)?;
    wire::send(&socket, &Call { number: 1, request: Request::Inspect }, &[]).context(doing)?;
    while let Some(received) = wire::receive::<Said>(&socket).context(doing)? {
        if let Said::Answer { answer: Ok(Answer::Inspection(inspection)), .. } = received.message {
            return inspection.init.ok_or_else(|| {
                refuse(RefusalKind::NotFound, "the system to share a network with is not started")
            });
        }
    }
    Err(refuse(RefusalKind::NotFound, "the system to share a network with has ended"))
}

fn map_users(init: Pid, users: &Users) -> io::Result<()> {
    let text = |ranges: &[IdRange]| -> String {
        let line = |range: &IdRange| format!("{} {} {}\n", range.inside, range.host, range.count);
        ranges.iter().map(line).collect()
    };
    let directory = PathBuf::from(format!("/proc/{}", init.as_raw_nonzero()));
    if crate::root::in_user_namespace() {
        fs::write(directory.join("setgroups"), "deny")?;
    }
    fs::write(directory.join("uid_map"), text(&users.uids))?;
    fs::write(directory.join("gid_map"), text(&users.gids))
}

/// Who the container's root is.
fn root_of(ranges: &[IdRange]) -> u32 {
    ranges.iter().find(|range| range.inside == 0).map_or(0, |range| range.host)
}

/// A user namespace with these users, and nobody in it.
fn user_namespace(users: &Users) -> io::Result<OwnedFd> {
    match sys::split_into(UnshareFlags::NEWUSER, None)? {
        Side::Child => loop {
            // Until it is killed, below.
            std::thread::park();
        },
        Side::Parent(holder) => {
            let mapped = map_users(holder, users);
            let opened = File::open(format!("/proc/{}/ns/user", holder.as_raw_nonzero()));
            rustix::process::kill_process(holder, Signal::KILL)?;
            rustix::process::waitpid(Some(holder), WaitOptions::empty())?;
            mapped?;
            opened.map(OwnedFd::from)
        }
    }
}

/// Takes back what was mounted in the supervisor's own namespace: for host processes, and for another runtime.
pub fn unmount(launch: &Launch) -> io::Result<()> {
    let below = directory::mounts_below(&launch.directory)?;
    let shown = launch.root_at.iter().filter(|_| launch.root != Root::Shared).cloned();
    below.into_iter().chain(shown).try_for_each(|place| crate::root::unmount(&place))
}

/// The standard devices and those of the launch; with the host's own nodes where nobody may make others.
fn open_devices(launch: &Launch) -> Result<Vec<(PathBuf, Node, Option<OwnedFd>)>, Refusal> {
    let bound = launch.users.is_some() || crate::root::in_user_namespace();
    let open = |source: &Path| {
        let tree = bound.then(|| crate::root::clone(source)).transpose();
        tree.context(|| format!("map {}", source.display()))
    };
    let mut found = Vec::new();
    for (path, node) in inside::standard_devices() {
        found.push((path.clone(), node, open(&path)?));
    }
    for device in &launch.devices {
        let Some(node) = devices::look(device) else {
            let message = format!("{} is no device", device.source.display());
            return Err(refuse(RefusalKind::NotFound, message));
        };
        found.push((device.target.clone(), node, open(&device.source)?));
    }
    Ok(found)
}
