//! The simulated host: a small model of the kernel with effects, refusals and faults on order, at memory speed.
//!
//! It is a second [`Host`], not a mock: what it refuses Linux refuses, what it takes along Linux takes along, and a plan that
//! passes here but not there is a bug of the model. Tests use it for what a real kernel cannot be asked to do on demand:
//! fail at the n-th step, die half way, change behind our back.
//!
//! - `thing.rs`: under which key the kernel holds a fact.
//! - `kernel.rs`: what is there, and what an addition or removal does to the rest.
//! - `refusal.rs`: what the kernel does not accept.
//! - `fault.rs`: faults on order.
//! - `reach.rs`: which packet arrives where, computed from facts alone.
//!
//! Not modelled: time, bandwidth, established flows, the namespaces' own settings beyond interfaces, addresses and routes.

mod batch;
mod fault;
mod kernel;
mod reach;
mod refusal;
#[cfg(test)]
mod tests;
mod thing;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Failure, Guid, HResult};
use ipnet::IpNet;

use crate::host::{
    Counters, Difference, Fault as HostFault, Flow, Hold, Host, Observer, Ports, Surroundings,
};
use crate::plan::{Claim, Fact, Family, Meter, Step, Stray};

pub use fault::{Fault, Moment};
pub use reach::{Connection, Delivery, Lost, Origin, Outcome, Reach, Receiver};

use fault::Faults;
use kernel::Kernel;
use thing::Thing;

/// A simulated machine.
#[derive(Debug, Clone)]
pub struct Simulator {
    kernel: Kernel,
    surroundings: Surroundings,
    listeners: Vec<Listener>,
    /// Ports that are held, each as long as its token lives.
    held: Vec<(Ports, Weak<Held>)>,
    counters: BTreeMap<Guid, Counters>,
    flows: Vec<Flow>,
    faults: Faults,
    dead: bool,
    /// Host ends that were removed since the last [`Host::settle`].
    dying: usize,
    performed: usize,
}

/// What stands for sockets that hold ports.
#[derive(Debug)]
struct Held;

impl Hold for Arc<Held> {}

/// A socket of a foreign program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// `None`: bound to every address.
    pub address: Option<IpAddr>,
    pub family: Family,
    /// A socket of family V6 on every address that takes IPv4 as well.
    pub dual: bool,
    pub protocol: u8,
    pub port: u16,
}

/// An edit by someone else: `ip link delete`, `nft add element`, `sysctl -w`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tamper {
    /// What the fact speaks of is gone, with what the kernel takes along.
    Lose(Fact),
    /// What the fact speaks of has this content now, or exists now, whatever the kernel's rules say about its prerequisites.
    Put(Fact),
    /// What the fact speaks of is there but broken in a part that its content does not show.
    Break(Fact),
}

/// Everything that can be read from the simulated machine; two pictures are equal when nobody could tell the machines apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture(Kernel);

impl Default for Simulator {
    fn default() -> Self {
        Self::new(Surroundings::default())
    }
}

impl Simulator {
    /// A machine with nothing of ours.
    pub fn new(surroundings: Surroundings) -> Self {
        let mut kernel = Kernel::default();
        kernel.forwarding.extend([(Family::V4, false), (Family::V6, false)]);
        kernel.links.insert(1, "lo".to_string());
        kernel.foreign.insert("lo".to_string(), 1);
        kernel.near = near(&surroundings);
        Self {
            kernel,
            surroundings,
            listeners: Vec::new(),
            held: Vec::new(),
            counters: BTreeMap::new(),
            flows: Vec::new(),
            faults: Faults::default(),
            dead: false,
            dying: 0,
            performed: 0,
        }
    }

    /// Every fact that holds, in the order of [`Fact`]; broken ones are left out.
    pub fn facts(&self) -> Vec<Fact> {
        let held = self.kernel.things.values().filter(|held| held.damage.is_none());
        let mut facts: Vec<Fact> = held.map(|held| held.fact.clone()).collect();
        facts.sort();
        facts
    }

    pub fn picture(&self) -> Picture {
        Picture(self.kernel.clone())
    }

    /// Whether the host forwards packets of the family.
    pub fn forwards(&self, family: Family) -> bool {
        self.kernel.forwarding.get(&family).copied().unwrap_or(false)
    }

    /// Sets what the machine's forwarding is before anything of ours; a later foreign change is a [`Tamper`].
    pub fn set_forwarding(&mut self, family: Family, on: bool) {
        self.kernel.forwarding.insert(family, on);
    }

    /// Adds an interface that is not ours.
    pub fn add_foreign_link(&mut self, name: &str, index: u32) {
        self.kernel.links.insert(index, name.to_string());
        self.kernel.foreign.insert(name.to_string(), index);
    }

    pub fn set_surroundings(&mut self, surroundings: Surroundings) {
        self.kernel.near = near(&surroundings);
        self.surroundings = surroundings;
    }

    /// Starts a foreign program that holds a port of the host.
    pub fn listen(&mut self, listener: Listener) {
        self.listeners.push(listener);
    }

    /// Ends all foreign programs.
    pub fn stop_listening(&mut self) {
        self.listeners.clear();
    }

    /// Sets what [`Host::counters`] answers for an endpoint's port.
    pub fn set_counters(&mut self, endpoint: Guid, counters: Counters) {
        self.counters.insert(endpoint, counters);
    }

    /// Sets what [`Observer::flows`] answers.
    pub fn set_flows(&mut self, flows: Vec<Flow>) {
        self.flows = flows;
    }

    /// Orders a fault. Several strike one after the other.
    pub fn order(&mut self, fault: Fault) {
        self.faults.order(fault);
    }

    /// Takes back the faults that have not struck.
    pub fn cancel_faults(&mut self) {
        self.faults.cancel();
    }

    /// How many ordered faults have not struck yet.
    pub fn pending_faults(&self) -> usize {
        self.faults.pending()
    }

    /// Ends the effect of [`Moment::Death`]: a new process takes over.
    pub fn revive(&mut self) {
        self.dead = false;
        self.dying = 0;
    }

    /// Steps that succeeded so far.
    pub fn performed(&self) -> usize {
        self.performed
    }

    /// Removed ports whose removal nobody has waited for.
    pub fn unsettled(&self) -> usize {
        self.dying
    }

    /// Everything of ours goes, as it does when the machine starts anew; foreign programs and interfaces stay.
    pub fn reboot(&mut self) {
        let fresh = Self::new(self.surroundings.clone());
        let foreign = core::mem::take(&mut self.kernel.foreign);
        self.kernel = fresh.kernel;
        self.counters.clear();
        self.flows.clear();
        for (name, index) in foreign {
            self.add_foreign_link(&name, index);
        }
        self.revive();
    }

    /// Edits the machine by someone else's hand.
    pub fn tamper(&mut self, edit: Tamper) {
        match edit {
            Tamper::Lose(Fact::Forwarding(family)) => {
                self.kernel.forwarding.insert(family, false);
                self.kernel.damage(&Thing::Forwarding(family), "it was switched off");
            }
            Tamper::Lose(fact) => self.kernel.remove(&Thing::of(&fact)),
            Tamper::Put(fact) => {
                self.kernel.put(Thing::of(&fact), kernel::Held { fact, damage: None });
            }
            Tamper::Break(fact) => self.kernel.damage(&Thing::of(&fact), "someone took it apart"),
        }
    }

    fn alive(&self) -> Result<(), HostFault> {
        if self.dead {
            let text = "the simulated process is dead";
            return Err(HostFault {
                step: 0,
                failure: Failure::new(HResult::HCN_E_MANAGER_STOPPED, text),
            });
        }
        Ok(())
    }

    fn carry_out(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Add(fact) => self.kernel.add(fact),
            Step::Change { from, to } => self.kernel.change(from, to),
            Step::Remove(fact) => {
                let thing = Thing::of(fact);
                let port = matches!(fact, Fact::Port(_)) && self.kernel.things.contains_key(&thing);
                self.dying += usize::from(port);
                self.kernel.remove(&thing);
                Ok(())
            }
            Step::Claim(claim) => self.claim(claim),
            Step::Sweep(stray) => {
                let found =
                    self.kernel.things.keys().find(|thing| thing.to_string() == stray.handle);
                if let Some(thing) = found.cloned() {
                    self.kernel.remove(&thing);
                }
                Ok(())
            }
        }
    }

    fn claim(&self, claim: &Claim) -> Result<(), Failure> {
        let meets = |listener: &Listener| {
            let family =
                listener.family == claim.family || (listener.dual && listener.address.is_none());
            let address = match (listener.address, claim.address) {
                (Some(theirs), Some(ours)) => theirs == ours,
                _ => true,
            };
            family && address && (listener.protocol, listener.port) == (claim.protocol, claim.port)
        };
        let (tcp, udp) = (claim.protocol == 6, claim.protocol == 17);
        let claimed = Ports { tcp, udp, first: claim.port, last: claim.port };
        if self.listeners.iter().any(meets) || self.is_held(&claimed) {
            return Err(taken(claim.port));
        }
        Ok(())
    }

    fn is_held(&self, ports: &Ports) -> bool {
        self.held.iter().any(|(held, token)| token.strong_count() > 0 && held.meets(ports))
    }

    fn difference(&self, wanted: &Fact) -> Option<Difference> {
        let thing = Thing::of(wanted);
        match self.kernel.things.get(&thing) {
            None => Some(Difference::Missing(wanted.clone())),
            Some(held) if held.fact == *wanted && held.damage.is_none() => None,
            Some(held) => {
                let found = held.damage.map_or_else(|| format!("{:?}", held.fact), String::from);
                Some(Difference::Different { wanted: wanted.clone(), found })
            }
        }
    }
}

fn taken(port: u16) -> Failure {
    let text = format!("a program of the host holds port {port}");
    Failure::new(HResult::HCN_E_PORT_ALREADY_EXISTS, text)
}

impl Host for Simulator {
    fn perform(&mut self, plan: &[Step]) -> Result<(), HostFault> {
        self.alive()?;
        batch::perform(self, plan)
    }

    fn compare(&mut self, wanted: &[Fact]) -> Result<Vec<Difference>, HostFault> {
        self.alive()?;
        let mut differences: Vec<Difference> =
            wanted.iter().filter_map(|fact| self.difference(fact)).collect();
        let explained: alloc::collections::BTreeSet<Thing> = wanted.iter().map(Thing::of).collect();
        let strays = self.kernel.things.keys().filter(|thing| !explained.contains(thing));
        differences.extend(strays.map(|thing| {
            Difference::Stray(Stray { what: thing.to_string(), handle: thing.to_string() })
        }));
        Ok(differences)
    }

    fn surroundings(&mut self) -> Result<Surroundings, HostFault> {
        self.alive()?;
        Ok(self.surroundings.clone())
    }

    fn counters(&mut self, meter: &Meter) -> Result<Counters, HostFault> {
        self.alive()?;
        let is_it = |held: &kernel::Held| match &held.fact {
            Fact::Port(port) => port.meter() == *meter,
            Fact::Station(station) => station.meter() == *meter,
            _ => false,
        };
        match self.kernel.things.values().find(|held| is_it(held)) {
            Some(_) => Ok(self.counters.get(&meter.endpoint).copied().unwrap_or_default()),
            None => {
                let text = format!("interface {} is not there", meter.index);
                let failure = Failure::new(HResult::HCN_E_PORT_NOT_FOUND, text);
                Err(HostFault { step: 0, failure })
            }
        }
    }

    fn settle(&mut self) -> Result<(), HostFault> {
        self.alive()?;
        self.dying = 0;
        Ok(())
    }

    fn hold(&mut self, ports: Ports) -> Result<Box<dyn Hold>, HostFault> {
        self.alive()?;
        self.held.retain(|(_, token)| token.strong_count() > 0);
        let listens = |listener: &Listener| {
            let range = ports.first..=ports.last;
            ports.protocols().any(|protocol| protocol == listener.protocol)
                && range.contains(&listener.port)
        };
        if self.is_held(&ports) || self.listeners.iter().any(listens) {
            return Err(HostFault { step: 0, failure: taken(ports.first) });
        }
        let token = Arc::new(Held);
        self.held.push((ports, Arc::downgrade(&token)));
        Ok(Box::new(token))
    }

    /// A picture of the machine as it is now. Who shares a simulator between threads shares it with the observer too, and lets it
    /// answer.
    fn observer(&mut self) -> Result<Box<dyn Observer + Send>, HostFault> {
        self.alive()?;
        Ok(Box::new(self.clone()))
    }
}

/// What is on the same links as the host's adapters.
fn near(surroundings: &Surroundings) -> Vec<IpNet> {
    surroundings.uplinks.iter().flat_map(|uplink| &uplink.addresses).copied().collect()
}

impl Observer for Simulator {
    fn counters(&mut self, meter: &Meter) -> Result<Counters, HostFault> {
        Host::counters(self, meter)
    }

    fn all_counters(&mut self) -> Result<Vec<(u32, Counters)>, HostFault> {
        self.alive()?;
        let of = |held: &kernel::Held| match &held.fact {
            Fact::Port(port) => {
                Some((port.index, self.counters.get(&port.endpoint).copied().unwrap_or_default()))
            }
            _ => None,
        };
        Ok(self.kernel.things.values().filter_map(of).collect())
    }

    fn flows(&mut self, limit: usize) -> Result<Vec<Flow>, HostFault> {
        self.alive()?;
        Ok(self.flows.iter().take(limit).cloned().collect())
    }
}
