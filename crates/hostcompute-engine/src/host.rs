//! What the engine's plans need from a host. Two implementations exist: Linux (`hostcompute-linux`) and the simulator (`sim`).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::Failure;
use ipnet::IpNet;

use crate::plan::{Fact, Port, Step, Stray};

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

    /// The counters of a port, seen from the endpoint.
    ///
    /// # Errors
    /// The port is gone or could not be read.
    fn counters(&mut self, port: &Port) -> Result<Counters, Fault>;

    /// Waits until removals that the host finishes in the background are through.
    ///
    /// # Errors
    /// A removal failed for good.
    fn settle(&mut self) -> Result<(), Fault>;
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

    fn counters(&mut self, port: &Port) -> Result<Counters, Fault> {
        (**self).counters(port)
    }

    fn settle(&mut self) -> Result<(), Fault> {
        (**self).settle()
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

/// The host's own addresses, routes and resolvers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// Prefixes of foreign addresses and routes (default routes excluded).
    pub prefixes: Vec<IpNet>,
    /// Every address of the host that is not ours.
    pub addresses: Vec<IpAddr>,
    /// Smallest MTU of the interfaces that carry default routes, if there is one.
    pub uplink_mtu: Option<u32>,
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
