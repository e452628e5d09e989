//! The first process of a system (its process 1, in a container): makes the others, collects their ends, and keeps the system alive
//! while nobody runs.
//!
//! It is a copy of the supervisor, not a program of its own: nothing has to be found or executed inside the container, and a process
//! that it makes is in all the right namespaces and groups from the beginning, under the same filter, with no more rights. It cannot be
//! looked into or traced from inside: it is not dumpable, so `/proc/1` tells nothing.
//!
//! When the supervisor goes, however that comes about, so does it, and with it everybody in the container.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use hostcompute_supervisor::launch::{
    DEFAULT_CAPABILITIES, Filter, Isolation, OPEN_FILES, Security,
};
use hostcompute_supervisor::message::Refusal;
use hostcompute_supervisor::wire;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitOptions};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::refusal::Context;
use crate::{seccomp, sys};

pub mod message;
mod spawn;
pub mod user;

pub use spawn::set_size;

use message::{FromAgent, ToAgent};

/// The first descriptor behind the standard streams.
const FIRST: RawFd = 3;

/// What the agent is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    pub security: Security,
    pub isolation: Isolation,
}

/// Becomes the agent. Never returns.
pub fn run(socket: BorrowedFd<'_>, plan: &Plan) -> ! {
    let mut agent = match Agent::new(socket, plan) {
        Ok(agent) => agent,
        Err(refusal) => {
            let _ = wire::send(socket, &FromAgent::Failed(refusal), &[]);
            sys::leave(1)
        }
    };
    let status = match wire::send(agent.socket, &FromAgent::Ready, &[]).and_then(|()| agent.serve())
    {
        Ok(()) => 0,
        Err(_) => 1,
    };
    sys::leave(status)
}

struct Agent<'s> {
    socket: BorrowedFd<'s>,
    /// Readable when a child has ended.
    children: OwnedFd,
    /// Those that were asked for and run.
    asked_for: BTreeSet<i32>,
    ending: bool,
    isolation: Isolation,
}

impl<'s> Agent<'s> {
    fn new(socket: BorrowedFd<'s>, plan: &Plan) -> Result<Self, Refusal> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .context(|| "bind the first process to the supervisor")?;
        let _ = rustix::thread::set_name(c"hc-init");
        close_others(socket).context(|| "close what is not the container's")?;
        rustix::process::chdir("/").context(|| "go to the root")?;
        if plan.isolation == Isolation::HostProcess {
            // The supervisor collects whom nobody else does; here that is ours.
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
                .context(|| "collect the ends of processes")?;
        } else {
            bound_descriptors().context(|| "limit open files")?;
            confine(&plan.security)?;
        }
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .context(|| "hide the first process")?;
        let children = sys::hear(libc::SIGCHLD).context(|| "hear of ends of processes")?;
        let isolation = plan.isolation;
        Ok(Self { socket, children, asked_for: BTreeSet::new(), ending: false, isolation })
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            let mut wait = [
                PollFd::new(&self.socket, PollFlags::IN),
                PollFd::new(&self.children, PollFlags::IN),
            ];
            match rustix::event::poll(&mut wait, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [asked, ended] = wait.map(|entry| !entry.revents().is_empty());
            if ended && self.collect()? {
                return Ok(());
            }
            if asked && self.answer()? {
                return Ok(());
            }
        }
    }

    /// Collects all that have ended; tells of those that were asked for. Whether that was the end of everything.
    fn collect(&mut self) -> io::Result<bool> {
        // What is in the descriptor is only that something ended; which, `wait` knows.
        let _ = rustix::io::read(&self.children, &mut [0; 512]);
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let pid = pid.as_raw_nonzero().get();
                    if self.asked_for.remove(&pid) {
                        let status = crate::status::of(status);
                        let pid = pid.unsigned_abs();
                        wire::send(self.socket, &FromAgent::Exited { pid, status }, &[])?;
                    }
                }
                Ok(None) => return Ok(false),
                Err(rustix::io::Errno::CHILD) => return Ok(self.ending),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Does what the supervisor asks for. Whether that was the end of everything.
    fn answer(&mut self) -> io::Result<bool> {
        let Some(received) = wire::receive::<ToAgent>(self.socket)? else {
            self.abandon();
            return Ok(true);
        };
        match received.message {
            ToAgent::Spawn { number, launch, streams } => {
                match spawn::spawn(&launch, streams, received.descriptors) {
                    Ok(spawned) => {
                        self.asked_for.insert(spawned.pid.as_raw_nonzero().get());
                        let pid = spawned.pid.as_raw_nonzero().get().unsigned_abs();
                        let mut beside = vec![spawned.descriptor.as_fd()];
                        beside.extend(spawned.terminal.as_ref().map(AsFd::as_fd));
                        wire::send(self.socket, &FromAgent::Spawned { number, pid }, &beside)?;
                    }
                    Err(refusal) => {
                        wire::send(self.socket, &FromAgent::Refused { number, refusal }, &[])?;
                    }
                }
                Ok(false)
            }
            ToAgent::End { signal } => {
                self.ending = true;
                if self.isolation == Isolation::Container {
                    // Nobody there is no error: it is what is waited for.
                    let _ = sys::signal_all(signal);
                }
                self.collect()
            }
        }
    }

    /// The supervisor is gone. In a container the kernel ends everybody with us; else those that we know of are ended here, and the rest
    /// by who notices.
    fn abandon(&self) {
        if self.isolation == Isolation::HostProcess {
            for pid in self.asked_for.iter().copied().filter_map(Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// Keeps the standard streams and the socket; closes all else.
fn close_others(socket: BorrowedFd<'_>) -> io::Result<()> {
    let kept = socket.as_raw_fd();
    if kept > FIRST {
        sys::close_from_to(FIRST, kept - 1)?;
    }
    sys::close_from(kept + 1)
}

/// Processes of a container have the usual bounds, not the supervisor's, which may have none.
fn bound_descriptors() -> io::Result<()> {
    let (soft, hard) = open_files();
    let limit = Rlimit { current: Some(soft), maximum: Some(hard) };
    Ok(rustix::process::setrlimit(Resource::Nofile, limit)?)
}

/// [`OPEN_FILES`], as far as we may have them ourselves: an ordinary user can raise nothing.
pub fn open_files() -> (u64, u64) {
    let (soft, hard) = OPEN_FILES;
    let own = rustix::process::getrlimit(Resource::Nofile).maximum;
    let hard = own.map_or(hard, |own| own.min(hard));
    (soft.min(hard), hard)
}

/// Gives up what processes of the system may not have: they inherit the rest.
fn confine(security: &Security) -> Result<(), Refusal> {
    if security.no_new_privileges {
        rustix::thread::set_no_new_privs(true).context(|| "give up new privileges")?;
    }
    if security.filter == Filter::Default {
        seccomp::install().context(|| "filter system calls")?;
    }
    let kept = kept_capabilities(security);
    for capability in CapabilitySet::all().difference(kept) {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // This kernel does not have it.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error).context(|| "give up capabilities"),
        }
    }
    let _ = rustix::thread::clear_ambient_capability_set();
    let empty = CapabilitySet::empty();
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: empty };
    rustix::thread::set_capabilities(None, sets).context(|| "give up capabilities")
}

/// What the launch leaves, as far as we have it ourselves.
fn kept_capabilities(security: &Security) -> CapabilitySet {
    let own = rustix::thread::capabilities(None).map(|sets| sets.permitted);
    let names: Vec<&str> = match &security.capabilities {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => DEFAULT_CAPABILITIES.to_vec(),
    };
    let wanted = names.iter().filter_map(|name| CapabilitySet::from_name(name));
    wanted.collect::<CapabilitySet>().intersection(own.unwrap_or_else(|_| CapabilitySet::empty()))
}
