//! The ways of attaching an endpoint that are compared, each behind the same few verbs.
//!
//! One attach is the same work on every side: a named network namespace, an interface in it with an address and a
//! default route, source translation towards the outside, and one TCP port of the host mapped to the endpoint.

mod cni;
mod netavark;
mod ours;
pub mod scale;
mod service;

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};

pub use cni::Cni;
pub use netavark::{Firewall, Netavark};
pub use ours::{OurBalancer, Ours};
pub use service::{Queries, Service};

use crate::floor::{Balancer, Floor, Sequence};

/// One way of attaching endpoints.
pub trait Side {
    /// What may be done before the clock starts, for the next `count` attaches.
    fn prepare(&mut self, _count: u32) -> anyhow::Result<()> {
        Ok(())
    }

    fn attach(&mut self, number: u32) -> anyhow::Result<()>;

    fn detach(&mut self, number: u32) -> anyhow::Result<()>;

    /// How many links it may make ready in advance, which say nothing about what is still to be removed.
    fn spare(&self) -> usize {
        0
    }

    /// Attaches and detaches at once from so many threads, each so often.
    fn churn(&mut self, _threads: u32, _cycles: u32) -> anyhow::Result<()> {
        bail!("this side does one thing at a time")
    }
}

/// The numbers of the endpoints that a thread makes and removes.
fn numbers_of(thread: u32, cycles: u32) -> std::ops::Range<u32> {
    let first = FIRST_CHURNED + thread * cycles;
    first..first + cycles
}

/// Above those that stay; others that come and go do not do so at the same time.
const FIRST_CHURNED: u32 = 20_000;

/// The network of endpoints on our sides.
const NETWORK: &str = r#"{
    "Name": "bench", "Type": "NAT", "SchemaVersion": { "Major": 2, "Minor": 0 },
    "Ipams": [{ "Type": "Static", "Subnets": [{
        "IpAddressPrefix": "10.94.0.0/16",
        "Routes": [{ "NextHop": "10.94.0.1", "DestinationPrefix": "0.0.0.0/0" }]
    }]}]
}"#;

/// One way of balancing load: services with two backends each, and somebody who connects to them.
pub trait Balancing {
    fn add(&mut self, number: u32) -> anyhow::Result<()>;

    fn remove(&mut self, number: u32) -> anyhow::Result<()>;

    /// Where the service with this number is reached.
    fn frontend(&self, number: u32) -> SocketAddrV4;

    /// The namespace that connects.
    fn client(&self) -> anyhow::Result<PathBuf>;

    /// The namespaces that answer, on [`crate::BACKEND_PORT`].
    fn backends(&self) -> anyhow::Result<Vec<PathBuf>>;
}

/// What the table calls this project.
pub const OURS: &str = "hostcompute";

/// The same behind a socket, in a process of its own.
pub const SERVICE: &str = "hostcompute, service";

/// Which side, with what it needs to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Ours,
    /// The service, by its program.
    Service(PathBuf),
    Floor(Sequence),
    Cni {
        plugins: PathBuf,
    },
    Netavark {
        program: PathBuf,
        version: String,
        firewall: Firewall,
    },
}

impl Kind {
    /// What the table calls it.
    pub fn name(&self) -> String {
        match self {
            Self::Ours => OURS.to_owned(),
            Self::Service(_) => SERVICE.to_owned(),
            Self::Floor(sequence) => sequence.name().to_owned(),
            Self::Cni { .. } => "CNI bridge + portmap".to_owned(),
            Self::Netavark { version, firewall, .. } => {
                format!("netavark {version}, {}", firewall.name())
            }
        }
    }

    /// A word for file names.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Service(_) => "service",
            Self::Floor(Sequence::Fused) => "floor-fused",
            Self::Floor(Sequence::Plain) => "floor-plain",
            Self::Floor(Sequence::Routed) => "floor-routed",
            Self::Floor(Sequence::Pool) => "floor-pool",
            Self::Cni { .. } => "cni",
            Self::Netavark { .. } => "netavark",
        }
    }

    /// Whether the side takes part in the comparison of load balancers. The floor does so once.
    pub fn balances(&self) -> bool {
        matches!(self, Self::Ours | Self::Floor(Sequence::Routed))
    }

    /// How many endpoints the side can hold at once: a bridge has 1023 ports (BR_MAX_PORTS).
    pub fn limit(&self) -> u32 {
        match self {
            Self::Ours | Self::Service(_) | Self::Floor(Sequence::Routed) => u32::MAX,
            _ => 1023,
        }
    }

    /// Whether it is one of the programs that others made.
    pub fn is_peer(&self) -> bool {
        matches!(self, Self::Cni { .. } | Self::Netavark { .. })
    }

    /// Starts the side in the calling thread's namespaces; its files go below `directory`.
    pub fn open(&self, directory: &Path) -> anyhow::Result<Box<dyn Side>> {
        Ok(match self {
            Self::Ours => Box::new(Ours::open(directory)?),
            Self::Service(program) => Box::new(Service::open(program, directory)?),
            Self::Floor(sequence) => Box::new(Floor::open(*sequence)?),
            Self::Cni { plugins } => Box::new(Cni::open(plugins, directory)?),
            Self::Netavark { program, firewall, .. } => {
                Box::new(Netavark::open(program, *firewall)?)
            }
        })
    }

    /// Starts the side's load balancer.
    pub fn open_balancer(&self, directory: &Path) -> anyhow::Result<Box<dyn Balancing>> {
        match self {
            Self::Ours => Ok(Box::new(OurBalancer::open(directory)?)),
            Self::Floor(_) => Ok(Box::new(Balancer::open()?)),
            _ => anyhow::bail!("{} does not balance load", self.name()),
        }
    }
}

impl Side for Floor {
    fn prepare(&mut self, count: u32) -> anyhow::Result<()> {
        Ok(self.fill_stock(count)?)
    }

    fn attach(&mut self, number: u32) -> anyhow::Result<()> {
        Floor::attach(self, number).with_context(|| format!("attaching endpoint {number}"))
    }

    fn detach(&mut self, number: u32) -> anyhow::Result<()> {
        Floor::detach(self, number).with_context(|| format!("detaching endpoint {number}"))
    }

    fn churn(&mut self, threads: u32, cycles: u32) -> anyhow::Result<()> {
        let floors = (0..threads).map(|_| self.beside()).collect::<Result<Vec<_>, _>>()?;
        churn_with(floors, |thread, mut floor| {
            for number in numbers_of(thread, cycles) {
                floor.fill_stock(1)?;
                Side::attach(&mut floor, number)?;
                Side::detach(&mut floor, number)?;
            }
            Ok(())
        })
    }
}

/// Runs `work` on a thread for each tool, with the thread's number.
fn churn_with<T: Send>(
    tools: Vec<T>,
    work: impl Fn(u32, T) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(tools)
            .map(|(thread, tool)| scope.spawn(move || work(thread, tool)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread has panicked"))?)
    })
}
