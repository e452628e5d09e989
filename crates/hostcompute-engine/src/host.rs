//! What the engine's plans need from a host. Two implementations exist: Linux (`hostcompute-linux`) and the simulator (`sim`).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::net::{IpAddr, SocketAddr};

use hostcompute_schema::{Failure, Guid};
use ipnet::IpNet;

use crate::mac::Mac;
use crate::plan::{Fact, Meter, Step, Stray};

/// A machine (or one host namespace of it) that can be brought to have facts.
pub trait Host {
    /// Performs a plan in order, batching as it likes.
    ///
    /// # Errors
    /// The first step that failed. Steps of the same batch may or may not have happened: the caller undoes the whole plan,
    /// which is safe because steps are idempotent.
    fn perform(&mut self, plan: &[Step]) -> Result<(), Fault>;

    /// Compares what the host has with what it should have; an empty list means they agree.
    ///
    /// # Errors
    /// The host could not be read.
    fn compare(&mut self, wanted: &[Fact]) -> Result<Vec<Difference>, Fault>;

    /// What the host has on its own that documents must not collide with.
    ///
    /// # Errors
    /// The host could not be read.
    fn surroundings(&mut self) -> Result<Surroundings, Fault>;

    /// The counters of an endpoint's interface, seen from the endpoint.
    ///
    /// # Errors
    /// The interface is gone or could not be read.
    fn counters(&mut self, meter: &Meter) -> Result<Counters, Fault>;

    /// Waits until removals that the host finishes in the background are through.
    ///
    /// # Errors
    /// A removal failed for good.
    fn settle(&mut self) -> Result<(), Fault>;

    /// A second, independent way to look at the host, for readers that must not wait for a change.
    ///
    /// # Errors
    /// The host cannot be looked at in another way, now.
    fn observer(&mut self) -> Result<Box<dyn Observer + Send>, Fault>;

    /// Keeps ports of the host from every program, until what is returned is dropped.
    ///
    /// # Errors
    /// HCN_E_PORT_ALREADY_EXISTS when a socket of the host has one of them: none is held then.
    fn hold(&mut self, ports: Ports) -> Result<Box<dyn Hold>, Fault>;

    /// Makes ready what coming operations will need, a little of it; called when there is nothing else to do. Returns whether
    /// there is more of it. What was made ready is not part of any state: it goes with this value, however its process ends.
    fn prepare(&mut self) -> bool {
        false
    }

    /// From now on calls `tell`, on a thread of the host's own, with words for what others take away or change of what is ours.
    ///
    /// # Errors
    /// The host cannot be watched.
    fn watch(&mut self, _tell: Tell) -> Result<(), Fault> {
        Ok(())
    }

    /// From now on this process answers for networks, as long as it lives: what these facts say of it holds when this returns, and
    /// coming plans keep it up. A host that nobody has told so leaves answering to others, and says so in its surroundings.
    ///
    /// # Errors
    /// The first that could not be made to hold; the others do.
    fn answer(&mut self, _facts: &[Fact]) -> Result<(), Fault> {
        Ok(())
    }

    /// The interface index of the host end that waits in a namespace for its first port, if there is one: a number of
    /// [`PREPARED_INTERFACES`](crate::plan::PREPARED_INTERFACES) that nothing else has.
    fn prepared(&self, _namespace: Guid) -> Option<u32> {
        None
    }
}

/// Ports of the host, of every address of both families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    pub tcp: bool,
    pub udp: bool,
    pub first: u16,
    /// Inclusive.
    pub last: u16,
}

impl Ports {
    /// Whether some port of some protocol is in both.
    pub fn meets(&self, other: &Ports) -> bool {
        let protocols = (self.tcp && other.tcp) || (self.udp && other.udp);
        protocols && self.first <= other.last && other.first <= self.last
    }

    /// The protocols, as numbers of the Internet protocol.
    pub fn protocols(&self) -> impl Iterator<Item = u8> + use<> {
        [(self.tcp, 6), (self.udp, 17)]
            .into_iter()
            .filter_map(|(wanted, number)| wanted.then_some(number))
    }
}

/// Ports that are held as long as this value lives.
pub trait Hold: Debug + Send + Sync {}

/// What happens to a host behind our back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told<'a> {
    /// Something of ours was removed or changed, in words for people.
    Disturbed(&'a str),
    /// The host has other addresses of its own than before.
    Moved,
}

/// Who is told of that.
pub type Tell = Box<dyn Fn(Told<'_>) + Send>;

/// Looks at a host and changes nothing.
pub trait Observer: Debug {
    /// As [`Host::counters`].
    ///
    /// # Errors
    /// The interface is gone or could not be read.
    fn counters(&mut self, meter: &Meter) -> Result<Counters, Fault>;

    /// The counters of every interface of the host namespace by its index, each as if it were the host end of a port: the reader
    /// knows which indexes are (see [`crate::plan::Port::index`]).
    ///
    /// # Errors
    /// The host could not be read.
    fn all_counters(&mut self) -> Result<Vec<(u32, Counters)>, Fault>;

    /// Connections to or from addresses of ours that the host remembers; at most `limit` of them, in no particular order.
    ///
    /// # Errors
    /// The host could not be read.
    fn flows(&mut self, limit: usize) -> Result<Vec<Flow>, Fault>;
}

/// A host that someone else keeps: a test looks at its simulator while a service works on it.
impl<H: Host + ?Sized> Host for &mut H {
    fn perform(&mut self, plan: &[Step]) -> Result<(), Fault> {
        (**self).perform(plan)
    }

    fn compare(&mut self, wanted: &[Fact]) -> Result<Vec<Difference>, Fault> {
        (**self).compare(wanted)
    }

    fn surroundings(&mut self) -> Result<Surroundings, Fault> {
        (**self).surroundings()
    }

    fn counters(&mut self, meter: &Meter) -> Result<Counters, Fault> {
        (**self).counters(meter)
    }

    fn settle(&mut self) -> Result<(), Fault> {
        (**self).settle()
    }

    fn observer(&mut self) -> Result<Box<dyn Observer + Send>, Fault> {
        (**self).observer()
    }

    fn hold(&mut self, ports: Ports) -> Result<Box<dyn Hold>, Fault> {
        (**self).hold(ports)
    }

    fn prepare(&mut self) -> bool {
        (**self).prepare()
    }

    fn watch(&mut self, tell: Tell) -> Result<(), Fault> {
        (**self).watch(tell)
    }

    fn answer(&mut self, facts: &[Fact]) -> Result<(), Fault> {
        (**self).answer(facts)
    }

    fn prepared(&self, namespace: Guid) -> Option<u32> {
        (**self).prepared(namespace)
    }
}

/// A step that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct Fault {
    /// Index of the step in the plan; 0 for calls without a plan.
    pub step: usize,
    /// What the client is told.
    pub failure: Failure,
}

/// One way in which the host differs from the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The fact does not hold at all.
    Missing(Fact),
    /// The thing is there with other content; `found` says which, for people.
    Different { wanted: Fact, found: String },
    /// Something with our mark that no object explains.
    Stray(Stray),
}

impl Difference {
    /// The fact that does not hold, or not as it should.
    pub fn lacking(&self) -> Option<&Fact> {
        match self {
            Self::Missing(fact) | Self::Different { wanted: fact, .. } => Some(fact),
            Self::Stray(_) => None,
        }
    }
}

/// The host's own addresses, routes and resolvers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// Prefixes of foreign addresses and routes (default routes excluded).
    pub prefixes: Vec<IpNet>,
    /// Every address of the host that is not ours.
    pub addresses: Vec<IpAddr>,
    /// Smallest MTU of the interfaces that carry default routes, if there is one.
    pub uplink_mtu: Option<u32>,
    /// Whether this process answers for networks ([`Host::answer`]).
    pub answers: bool,
    /// The links that a network may stand on, the most suitable first: those with a default route, then by their indexes.
    pub uplinks: Vec<Uplink>,
}

/// A link of the host that is not ours and leads to other machines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uplink {
    pub name: String,
    /// Other names by which it answers.
    pub other_names: Vec<String>,
    pub index: u32,
    pub mac: Mac,
    pub mtu: u32,
    pub up: bool,
    /// It carries frames under its own MAC alone.
    pub wireless: bool,
    /// Its addresses that other machines can know, with the lengths of their prefixes.
    pub addresses: Vec<IpNet>,
    /// Whether a default route leads through it.
    pub default_route: bool,
}

/// Traffic counters of a port; "received" is what the endpoint received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub packets_received: u64,
    pub packets_sent: u64,
    pub dropped_incoming: u64,
    pub dropped_outgoing: u64,
}

impl Counters {
    /// The same from the other end of the link.
    pub fn turned_round(self) -> Self {
        Self {
            bytes_received: self.bytes_sent,
            bytes_sent: self.bytes_received,
            packets_received: self.packets_sent,
            packets_sent: self.packets_received,
            dropped_incoming: self.dropped_outgoing,
            dropped_outgoing: self.dropped_incoming,
        }
    }
}

/// A connection that the host remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Number of the IP protocol.
    pub protocol: u8,
    /// Who opened it. Ports are 0 where the protocol has none.
    pub source: SocketAddr,
    /// What it was opened to: a virtual IP, a published port, an endpoint, something outside.
    pub destination: SocketAddr,
    /// Who answers in fact, where that is another than `destination`.
    pub translated_to: Option<SocketAddr>,
    /// Both directions together; `None` where the host does not count (`net.netfilter.nf_conntrack_acct`).
    pub bytes: Option<u64>,
    pub state: FlowState,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowState {
    /// Nothing came back yet, or the handshake is not through.
    Opening,
    Established,
    /// One side has said that it is done; the host remembers it for a while.
    Closing,
}

impl FlowState {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opening => "Opening",
            Self::Established => "Established",
            Self::Closing => "Closing",
        }
    }
}
