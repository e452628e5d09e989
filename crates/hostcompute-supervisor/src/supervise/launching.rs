//! From a launch to a system that waits for its start: wholly, or not at all.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use hostcompute_supervisor::cgroup::{Group, OomWatch};
use hostcompute_supervisor::kill::{Who, point};
use hostcompute_supervisor::launch::{Isolation, Launch, Limits};
use hostcompute_supervisor::message::{Answer, Call, Refusal, RefusalKind, Request, Said, State};
use hostcompute_supervisor::{directory, log, wire};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::client::Client;
use super::{Supervisor, relay};
use crate::builtin;
use crate::refusal::{Context, refuse};
use crate::root::Holds;
use crate::{devices, root};

/// Waits for the launch on the starter's socket, and makes the system. `None`: it was refused, or nobody wanted one.
pub fn launch(starter: OwnedFd) -> Option<Supervisor> {
    let received = wire::receive::<Call>(&starter).ok()??;
    let number = received.message.number;
    point(Who::Supervisor);
    let made = match (received.message.request, received.descriptors.into_iter().next()) {
        (Request::Launch(launch), Some(lock)) => make(*launch, lock),
        _ => Err(refuse(RefusalKind::Invalid, "the first request is a launch, with its lock")),
    };
    let (supervisor, answer) = match made {
        Ok(supervisor) => (Some(supervisor), Ok(Answer::Done)),
        Err(refusal) => (None, Err(refusal)),
    };
    let told = wire::send(&starter, &Said::Answer { number, answer }, &[]);
    let mut supervisor = supervisor?;
    point(Who::Supervisor);
    match told.and_then(|()| Client::new(0, starter)) {
        Ok(client) => {
            let leash = supervisor.launch.leashed;
            supervisor.clients.push(Client { leash, ..client });
            Some(supervisor)
        }
        Err(_) => {
            // Whoever wanted it does not know that it is there.
            supervisor.undo();
            None
        }
    }
}

fn make(launch: Launch, lock: OwnedFd) -> Result<Supervisor, Refusal> {
    let host = root::Host::now()?;
    root::enter_own_namespace()?;
    point(Who::Supervisor);
    let group = launch.cgroup.as_deref().map(Group::new).transpose();
    let group = group.context(|| "find the control groups")?;
    let prepared = (|| {
        let memory = set_up(&launch, group.as_ref())?;
        point(Who::Supervisor);
        let mut holds = Holds::of(&launch.looked_at);
        let prepared = builtin::prepare(&launch, group.as_ref(), &mut holds)?;
        point(Who::Supervisor);
        let listener = listen(&launch)?;
        point(Who::Supervisor);
        Ok((memory, (prepared, holds), listener))
    })();
    let (memory, (prepared, holds), listener) = prepared.inspect_err(|_| remove(group.as_ref()))?;
    Ok(Supervisor {
        _lock: lock,
        listener,
        clients: Vec::new(),
        next: 0,
        state: State::Created,
        started: None,
        agent_is_there: true,
        prepared: Some(prepared),
        holds,
        made: None,
        init_status: None,
        host,
        group,
        limits: launch.limits.clone(),
        memory,
        out_of_memory: false,
        look: None,
        processes: Vec::new(),
        first: None,
        being_made: BTreeMap::new(),
        log: log::Writer::new(launch.directory.join(directory::LOG), launch.log),
        cut: 0,
        ending: None,
        block: vec![0; relay::BLOCK],
        launch,
    })
}

/// Makes the control group, and what it is to hold.
fn set_up(launch: &Launch, group: Option<&Group>) -> Result<Option<OomWatch>, Refusal> {
    let Some(group) = group else {
        if launch.isolation == Isolation::HostProcess {
            return Err(refuse(RefusalKind::Unsupported, "host processes take a control group"));
        }
        if launch.limits != Limits::default() {
            return Err(refuse(RefusalKind::Unsupported, "limits take a control group"));
        }
        return Ok(None);
    };
    group.create().context(|| "make the control group")?;
    point(Who::Supervisor);
    group.set_limits(&Limits::default(), &launch.limits).context(|| "set the limits")?;
    if launch.isolation == Isolation::Container {
        let rules: Vec<String> = launch.devices.iter().filter_map(devices::rule).collect();
        group.restrict_devices(&rules).context(|| "restrict devices")?;
    }
    group.watch_memory().context(|| "watch the memory limit")
}

fn remove(group: Option<&Group>) {
    if let Some(group) = group {
        let _ = group.kill().and_then(|()| group.remove());
    }
}

fn listen(launch: &Launch) -> Result<OwnedFd, Refusal> {
    let listen = || {
        let (_directory, path) = directory::control(&launch.directory)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&socket, 64)?;
        Ok::<_, std::io::Error>(socket)
    };
    listen().context(|| "listen")
}

impl Supervisor {
    /// Ends what nobody knows of.
    fn undo(self) {
        remove(self.group.as_ref());
    }
}
