//! How Linux does it: performs the engine's plans with netlink, nftables and namespaces, and observes the machine.
//!
//! [`Linux`] is the real implementation of [`Host`]. It decides nothing: a plan leaves no choice open. Its parts:
//!
//! | | |
//! |---|---|
//! | [`perform`] | from a plan to as few system calls as possible |
//! | [`compare`] | what the kernel has, held against what it should have |
//! | [`nft`] | our table: fixed rules, sets, the atomic batch |
//! | [`port`], [`station`], [`anchor`], [`tunnel`], [`wire`], [`shaper`] | which messages make a fact |
//! | [`netns`], [`forwarding`], [`resolver`], [`claim`], [`conntrack`] | the facts that are not links |
//! | [`watch`] | hears what others take away |
//! | [`answering`] | DHCP and DNS at the gateways |
//! | [`observer`] | a second look, which waits for no change |
//! | [`pool`] | namespaces and links made in advance |
//! | [`cleanup`] | the slow end of links, behind the answer |
//! | [`netlink`], [`route`] | bytes |
//! | [`compute`] | compute systems, carried by supervisors |
//! | [`peer`], [`activation`] | sockets of a service: who connects, and what the service manager passes |
//!
//! Programs (`ip`, `nft`, `tc`) are never run; tests use them as witnesses.
//!
//! Everything on the host side happens in one *host namespace*: the one in which [`Linux::open`] was called, or the one named
//! in [`Options`]. Sockets are opened there once, so that the threads of the process may be anywhere.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use hostcompute_engine::host::{
    Counters, Difference, Fault, Hold, Host, Observer, Ports, Surroundings, Tell,
};
use hostcompute_engine::plan::{Fact, Meter, Step};

pub mod activation;
pub mod adapter;
mod anchor;
mod answering;
mod claim;
mod cleanup;
mod compare;
pub mod compute;
mod conntrack;
pub mod describe;
mod detour;
pub mod doctor;
mod error;
pub mod exec;
mod face;
mod forwarding;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod marks;
mod netlink;
mod netns;
mod nft;
mod observer;
pub mod peer;
mod perform;
mod pool;
mod port;
pub mod prober;
mod program;
mod resolver;
pub mod rootless;
mod route;
#[cfg(test)]
mod scarcity;
mod shaper;
mod station;
mod surroundings;
mod sweep;
mod sys;
mod trunk;
mod tunnel;
mod watch;
mod wire;

use cleanup::{Cleanup, Tools};
use error::Error;
use forwarding::Scene;
use hostcompute_schema::{Failure, Guid};
use netlink::{Protocol, Socket};
use netns::Namespaces;
use pool::Pool;
use route::numbering::Numbering;

/// Gives back to the system what is free: for a process that stays, after it has read all rows of a journal or compared a whole host.
pub fn give_back_memory() {
    sys::give_back_memory();
}

/// Where a [`Linux`] works.
#[derive(Debug, Clone)]
pub struct Options {
    /// The host namespace; `None` is the one of the calling thread.
    pub host_netns: Option<PathBuf>,
    /// Where namespaces get their names: `<netns_dir>/<guid>`.
    pub netns_dir: PathBuf,
    /// Where resolver files are: `<resolver_dir>/<guid>.conf`.
    pub resolver_dir: PathBuf,
    /// The file that remembers the host's own settings while ours are in force.
    pub saved: PathBuf,
    /// The file that names the host's own resolvers, to which questions of networks are passed on: /etc/resolv.conf.
    pub resolv_conf: PathBuf,
}

/// This machine, or one host namespace of it.
#[derive(Debug)]
pub struct Linux {
    /// The host namespace, when it is not the one this process runs in.
    netns: Option<OwnedFd>,
    route: Socket,
    netfilter: Socket,
    namespaces: Namespaces,
    numbering: Numbering,
    cleanup: Cleanup,
    pool: Pool,
    watch: Option<watch::Watch>,
    /// Where networks are answered, if this process does.
    desk: Option<answering::Desk>,
    resolv_conf: PathBuf,
    resolver_dir: PathBuf,
    saved: PathBuf,
    scene: Scene,
}

/// What tells this boot of this host namespace from any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The kernel's random id of this boot.
    pub boot_id: String,
    /// The kernel's number of the host namespace, unique until the next boot.
    pub netns_cookie: u64,
}

impl Linux {
    /// Opens the host.
    ///
    /// # Errors
    /// The host namespace or a directory cannot be opened, or the kernel lacks netlink.
    pub fn open(options: Options) -> Result<Self, Failure> {
        Self::open_host(options).map_err(|error| error.into_failure(""))
    }

    fn open_host(options: Options) -> Result<Self, Error> {
        let Options { host_netns, netns_dir, resolver_dir, saved, resolv_conf } = options;
        let netns = match host_netns {
            None => None,
            Some(path) => {
                if !netns::is_namespace(&path) {
                    return Err(Error::NamespaceGone { path });
                }
                Some(netns::open(&path).map_err(|source| Error::file("open", path, source))?)
            }
        };
        let (mut route, mut netfilter) = netns::within(netns.as_ref().map(AsFd::as_fd), || {
            Ok((Socket::open(Protocol::Route)?, Socket::open(Protocol::Netfilter)?))
        })
        .map_err(|source| Error::system("open netlink sockets", source))?;
        for socket in [&mut route, &mut netfilter] {
            socket.sign();
            socket.widen().map_err(|source| Error::system("set up netlink sockets", source))?;
        }
        let scene = Scene { boot: boot_id()?, netns: cookie(&route)? };
        Ok(Self {
            netns,
            route,
            netfilter,
            namespaces: Namespaces::new(netns_dir),
            numbering: Numbering::new(),
            cleanup: Cleanup::new(),
            pool: Pool::default(),
            watch: None,
            desk: None,
            resolv_conf,
            resolver_dir,
            saved,
            scene,
        })
    }

    /// What tells this boot of this host namespace from any other.
    pub fn identity(&self) -> Identity {
        Identity { boot_id: self.scene.boot.clone(), netns_cookie: self.scene.netns }
    }

    /// The path by which a namespace is known to other programs.
    pub fn netns_path(&self, netns: Guid) -> PathBuf {
        self.namespaces.path(netns)
    }

    /// What it takes to send a probe: from the host, or from a namespace.
    ///
    /// # Errors
    /// The namespace cannot be opened.
    pub fn prober(&self, probe: hostcompute_engine::trace::Probe) -> Result<prober::Prober, Fault> {
        let namespace = probe.netns.map(|netns| self.namespaces.path(netns));
        let host = self.netns.as_ref().map(AsFd::as_fd);
        prober::Prober::new(host, namespace.as_deref(), probe).map_err(fault)
    }

    /// The resolver file of a namespace, whether or not it exists.
    pub fn resolver_path(&self, netns: Guid) -> PathBuf {
        resolver::path(&self.resolver_dir, netns)
    }

    /// How many namespaces are ready in advance (see [`Host::prepare`]).
    pub fn ready(&self) -> usize {
        self.pool.ready()
    }

    /// Makes what the process itself has of a fact hold, if it answers.
    fn answer_for(&self, fact: &Fact) -> Result<(), Error> {
        self.desk.as_ref().map_or(Ok(()), |desk| self.within(|| desk.add(fact)))
    }

    fn answer_no_more(&self, fact: &Fact) {
        self.desk.iter().for_each(|desk| desk.remove(fact));
    }

    /// Whether it holds; who does not answer leaves that to others.
    fn answers_for(&self, fact: &Fact) -> bool {
        self.desk.as_ref().is_none_or(|desk| desk.holds(fact))
    }

    /// Runs `work` with the calling thread in the host namespace.
    fn within<R>(&self, work: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
        let _stay = match &self.netns {
            None => None,
            Some(netns) => Some(
                netns::Excursion::to(netns.as_fd())
                    .map_err(|source| Error::system("enter the host namespace", source))?,
            ),
        };
        work()
    }
}

/// The kernel's random id of this boot.
fn boot_id() -> Result<String, Error> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path).map_err(|source| Error::file("read", path, source))?;
    Ok(text.trim().to_owned())
}

fn cookie(socket: &Socket) -> Result<u64, Error> {
    sys::netns_cookie(socket).map_err(|source| Error::system("identify the host namespace", source))
}

/// Sockets for the cleanup thread.
fn cleanup_tools(netns: Option<BorrowedFd<'_>>) -> Result<Tools, Error> {
    netns::within(netns, || {
        let tools = Tools {
            route: Socket::open(Protocol::Route)?,
            netfilter: Socket::open(Protocol::Netfilter)?,
        };
        tools.route.sign();
        Ok(tools)
    })
    .map_err(|source| Error::system("open netlink sockets", source))
}

/// A fault of a call without a plan.
fn fault(error: Error) -> Fault {
    Fault { step: 0, failure: error.into_failure("") }
}

impl Host for Linux {
    fn perform(&mut self, plan: &[Step]) -> Result<(), Fault> {
        self.pool.set_busy(true);
        let performed = perform::perform(self, plan);
        self.pool.set_busy(false);
        performed.map_err(|error| {
            let step = error.step();
            let subject = plan.get(step).map(describe::step).unwrap_or_default();
            Fault { step, failure: error.into_failure(&subject) }
        })
    }

    fn compare(&mut self, wanted: &[Fact]) -> Result<Vec<Difference>, Fault> {
        self.pool.set_busy(true);
        let differences = compare::compare(self, wanted);
        self.pool.set_busy(false);
        differences.map_err(fault)
    }

    fn surroundings(&mut self) -> Result<Surroundings, Fault> {
        let mut found = surroundings::read(&mut self.route).map_err(fault)?;
        found.answers = self.desk.is_some();
        Ok(found)
    }

    fn counters(&mut self, meter: &Meter) -> Result<Counters, Fault> {
        match meter.inside {
            None => route::link::counters(&mut self.route, meter.index),
            Some(netns) => self.namespaces.inside(netns).and_then(|inside| {
                route::link::counters(&mut inside.socket, meter.index).map(Counters::turned_round)
            }),
        }
        .map_err(fault)
    }

    fn hold(&mut self, ports: Ports) -> Result<Box<dyn Hold>, Fault> {
        self.within(|| claim::hold(ports)).map_err(fault)
    }

    fn settle(&mut self) -> Result<(), Fault> {
        self.cleanup.settle().map_err(fault)
    }

    fn observer(&mut self) -> Result<Box<dyn Observer + Send>, Fault> {
        let watcher = observer::Watcher::new(
            self.netns.as_ref().map(AsFd::as_fd),
            self.namespaces.directory().to_owned(),
        );
        Ok(Box::new(watcher.map_err(fault)?))
    }

    /// Opens the pool, which then fills itself while nothing is done.
    fn prepare(&mut self) -> bool {
        let netns = self.netns.as_ref().map(AsFd::as_fd);
        if let Err(error) = self.pool.open(netns, &self.numbering, &self.cleanup) {
            tracing::warn!(%error, "nothing is made ready in advance");
        }
        false
    }

    fn watch(&mut self, tell: Tell) -> Result<(), Fault> {
        let netns = self.netns.as_ref().map(AsFd::as_fd);
        self.watch = Some(watch::Watch::begin(netns, tell).map_err(fault)?);
        Ok(())
    }

    fn answer(&mut self, facts: &[Fact]) -> Result<(), Fault> {
        if self.desk.is_none() {
            let netns = self.netns.as_ref().map(AsFd::as_fd);
            let desk = answering::Desk::open(netns, self.resolv_conf.clone()).map_err(fault)?;
            self.desk = Some(desk);
        }
        let mut first = Ok(());
        for fact in facts {
            first = first.and(self.answer_for(fact).map_err(fault));
        }
        first
    }

    fn prepared(&self, namespace: Guid) -> Option<u32> {
        self.pool.prepared(namespace)
    }
}
