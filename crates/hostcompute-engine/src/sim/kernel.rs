//! The simulated kernel: what is there, what an addition or removal does to the rest, and how a transaction is taken back.
//!
//! What a real kernel refuses is in `refusal.rs`. Effects modelled here, because plans and repairs depend on them:
//! - the table takes its chains, elements and services with it;
//! - a tunnel takes the routes through it and the MACs behind it;
//! - an anchor takes the routes to virtual IPs and the addresses on it; ports that prefer one of its addresses as source lose
//!   their host routes;
//! - a namespace takes its ports and its own packet filter; a port takes the redirection of what arrives from it, and a shaper leaves those to it leading nowhere;
//! - forwarding goes back to what it was before.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Failure, Guid};
use ipnet::IpNet;

use super::refusal;
use super::thing::Thing;
use crate::plan::{Element, Fact, Family, SetMatch, Verdict};

/// A fact that the kernel holds, and what is broken about it, if something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) fact: Fact,
    pub(super) damage: Option<&'static str>,
}

/// One host namespace and what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Kernel {
    pub(super) things: BTreeMap<Thing, Held>,
    /// Forwarding as found, by family, while it is ours; and as it is.
    pub(super) found_forwarding: BTreeMap<Family, bool>,
    pub(super) forwarding: BTreeMap<Family, bool>,
    /// Interfaces of the host namespace, foreign ones too, by index.
    pub(super) links: BTreeMap<u32, String>,
    /// Interfaces that are not ours, by name.
    pub(super) foreign: BTreeMap<String, u32>,
    /// What is on the same links as the host's adapters.
    pub(super) near: Vec<IpNet>,
    /// Addresses of the host namespace that are ours, with the interface that has them.
    pub(super) addresses: BTreeMap<IpAddr, String>,
    /// Routes of the host namespace that are ours, with the interface they belong to.
    pub(super) routes: BTreeMap<IpNet, String>,
    /// Host ends by the namespace that holds the inner end.
    pub(super) ports: BTreeMap<Guid, BTreeSet<String>>,
    /// How many elements and rules jump to a chain or look into a set.
    references: BTreeMap<Thing, usize>,
}

/// What was under each key before a transaction touched it, oldest first.
pub(super) type Before = Vec<(Thing, Option<Held>)>;

impl Kernel {
    /// Makes a fact hold.
    pub(super) fn add(&mut self, fact: &Fact) -> Result<(), Failure> {
        let thing = Thing::of(fact);
        match self.things.get(&thing) {
            Some(held) if held.fact == *fact && held.damage.is_none() => return Ok(()),
            Some(held) if held.fact == *fact => refusal::needs(self, fact)?,
            Some(held) => return Err(refusal::exists(&thing, &held.fact)),
            None => refusal::addition(self, fact)?,
        }
        self.put(thing, Held { fact: fact.clone(), damage: None });
        Ok(())
    }

    /// Gives a thing other content. What holds already is left alone, so that a change can be repeated and taken back.
    pub(super) fn change(&mut self, from: &Fact, to: &Fact) -> Result<(), Failure> {
        let thing = Thing::of(to);
        match self.things.get(&thing) {
            Some(held) if held.fact == *to => Ok(()),
            Some(held) if held.fact == *from && from.same_thing(to) => {
                refusal::shape(to)?;
                let held = Held { fact: to.clone(), ..held.clone() };
                self.put(thing, held);
                Ok(())
            }
            held => Err(refusal::not_as_expected(&thing, held.map(|held| &held.fact))),
        }
    }

    /// Removes what a fact speaks of, whatever its content, with all that depends on it.
    pub(super) fn remove(&mut self, thing: &Thing) {
        let Some(held) = self.take(thing) else { return };
        match &held.fact {
            Fact::Table => self.remove_all(|thing, _| thing.is_in_table()),
            Fact::Anchor(anchor) => {
                let index = anchor.index;
                self.remove_all(|_, fact| match fact {
                    Fact::VipRoute(route) => route.index == index,
                    Fact::HostAddress(host) => host.index == index,
                    _ => false,
                });
                for gateway in &anchor.gateways {
                    self.sever(gateway.addr());
                }
            }
            Fact::Tunnel(tunnel) => {
                let index = tunnel.index;
                self.remove_all(|_, fact| match fact {
                    Fact::Peer(peer) => peer.index == index,
                    Fact::RemoteRoute(route) => route.index == index,
                    _ => false,
                });
            }
            Fact::HostAddress(host) => self.sever(host.address),
            Fact::Guise(guise) => {
                let rests = |held: &Held| match &held.fact {
                    Fact::Face(face) => face.guise == guise.name,
                    Fact::Wire(wire) => wire.out == guise.name,
                    Fact::Proxy(proxy) => proxy.uplink == guise.name,
                    _ => false,
                };
                let resting = self.things.iter().filter(|(_, held)| rests(held));
                let resting: Vec<Thing> = resting.map(|(thing, _)| thing.clone()).collect();
                for thing in resting {
                    self.damage(&thing, "what its packets leave by is gone");
                }
            }
            Fact::Netns(id) => {
                let netns = *id;
                self.remove_all(
                    |_, fact| matches!(fact, Fact::Station(station) if station.netns == netns),
                );
                for name in self.ports.get(id).cloned().unwrap_or_default() {
                    self.remove(&Thing::Link(name));
                }
                self.remove(&Thing::Interception(*id));
            }
            Fact::Port(port) => {
                let index = port.index;
                self.remove_all(
                    |_, fact| matches!(fact, Fact::VipOwner(owner) if owner.index == index),
                );
                self.remove(&Thing::Diversion(port.name.clone()));
            }
            Fact::Shaper(shaper) => self.mislead(shaper.index),
            _ => {}
        }
    }

    fn remove_all(&mut self, condition: impl Fn(&Thing, &Fact) -> bool) {
        let doomed: Vec<Thing> = self
            .things
            .iter()
            .filter(|(thing, held)| condition(thing, &held.fact))
            .map(|(thing, _)| thing.clone())
            .collect();
        for thing in doomed {
            self.remove(&thing);
        }
    }

    /// The kernel deletes routes whose preferred source has gone (`fib_sync_down_addr`).
    fn sever(&mut self, address: IpAddr) {
        let severed: Vec<Thing> = self
            .things
            .iter()
            .filter(|(_, held)| match &held.fact {
                Fact::Port(port) => port.prefer.contains(&address),
                Fact::RemoteRoute(route) => route.prefer == Some(address),
                _ => false,
            })
            .map(|(thing, _)| thing.clone())
            .collect();
        for thing in severed {
            self.damage(&thing, "its host routes are gone");
        }
    }

    /// What is redirected to a device that has gone is dropped, also when there is one of its index again.
    fn mislead(&mut self, shaper: u32) {
        let leads = |held: &Held| match &held.fact {
            Fact::Diversion(it) => it.lanes.iter().any(|lane| lane.shaper == shaper),
            _ => false,
        };
        let misled: Vec<Thing> = self
            .things
            .iter()
            .filter(|(_, held)| leads(held))
            .map(|(thing, _)| thing.clone())
            .collect();
        for thing in misled {
            self.damage(&thing, "it leads nowhere");
        }
    }

    /// Marks a thing as broken; adding its fact again mends it.
    pub(super) fn damage(&mut self, thing: &Thing, how: &'static str) {
        if let Some(held) = self.things.get_mut(thing) {
            held.damage = Some(how);
        }
    }

    /// Puts things back as they were before a transaction. Only for what lives in the table.
    pub(super) fn roll_back(&mut self, before: Before) {
        for (thing, held) in before.into_iter().rev() {
            match held {
                Some(held) => self.put(thing, held),
                None => drop(self.take(&thing)),
            }
        }
    }

    /// A chain or set that is named and does not exist, among those that the transaction touched.
    pub(super) fn dangling(&self, before: &Before) -> Option<Thing> {
        let mut touched = BTreeSet::new();
        for (thing, held) in before {
            let now = self.things.get(thing);
            touched.extend([held.as_ref(), now].into_iter().flatten().flat_map(|h| names(&h.fact)));
            if matches!(thing, Thing::Chain(_) | Thing::Set(..)) {
                touched.insert(thing.clone());
            }
        }
        touched.into_iter().find(|thing| {
            self.references.get(thing).is_some_and(|count| *count > 0)
                && !self.things.contains_key(thing)
        })
    }

    /// Stores a thing in place of what is there, and keeps the tables of who owns what current.
    pub(super) fn put(&mut self, thing: Thing, held: Held) {
        drop(self.take(&thing));
        self.occupy(&held.fact);
        self.things.insert(thing, held);
    }

    fn take(&mut self, thing: &Thing) -> Option<Held> {
        let held = self.things.remove(thing)?;
        self.vacate(&held.fact);
        Some(held)
    }

    fn occupy(&mut self, fact: &Fact) {
        for thing in names(fact) {
            *self.references.entry(thing).or_default() += 1;
        }
        match fact {
            Fact::Forwarding(family) => {
                let now = self.forwarding.insert(*family, true).unwrap_or(false);
                self.found_forwarding.insert(*family, now);
            }
            Fact::Anchor(anchor) => {
                self.links.insert(anchor.index, anchor.name.clone());
                for gateway in &anchor.gateways {
                    self.addresses.insert(gateway.addr(), anchor.name.clone());
                }
                for subnet in &anchor.subnets {
                    self.routes.insert(subnet.trunc(), anchor.name.clone());
                }
            }
            Fact::Tunnel(tunnel) => {
                self.links.insert(tunnel.index, tunnel.name.clone());
            }
            Fact::RemoteRoute(route) => {
                self.routes.insert(route.destination, route.device.clone());
            }
            Fact::Port(port) => {
                self.links.insert(port.index, port.name.clone());
                self.ports.entry(port.netns).or_default().insert(port.name.clone());
                for address in &port.addresses {
                    self.routes.insert(IpNet::from(address.addr()), port.name.clone());
                }
            }
            Fact::HostAddress(host) => {
                self.addresses.insert(host.address, host.device.clone());
            }
            Fact::Shaper(shaper) => {
                self.links.insert(shaper.index, shaper.name.clone());
            }
            Fact::VipRoute(route) => {
                self.routes.insert(IpNet::from(route.address), route.device.clone());
            }
            _ => {}
        }
    }

    fn vacate(&mut self, fact: &Fact) {
        for thing in names(fact) {
            if let Some(count) = self.references.get_mut(&thing) {
                *count -= 1;
                if *count == 0 {
                    self.references.remove(&thing);
                }
            }
        }
        match fact {
            Fact::Forwarding(family) => {
                if let Some(found) = self.found_forwarding.remove(family) {
                    self.forwarding.insert(*family, found);
                }
            }
            Fact::Anchor(anchor) => {
                self.links.remove(&anchor.index);
                for gateway in &anchor.gateways {
                    self.addresses.remove(&gateway.addr());
                }
                for subnet in &anchor.subnets {
                    self.routes.remove(&subnet.trunc());
                }
            }
            Fact::Tunnel(tunnel) => {
                self.links.remove(&tunnel.index);
            }
            Fact::RemoteRoute(route) => {
                self.routes.remove(&route.destination);
            }
            Fact::Port(port) => {
                self.links.remove(&port.index);
                if let Some(names) = self.ports.get_mut(&port.netns) {
                    names.remove(&port.name);
                    if names.is_empty() {
                        self.ports.remove(&port.netns);
                    }
                }
                for address in &port.addresses {
                    self.routes.remove(&IpNet::from(address.addr()));
                }
            }
            Fact::HostAddress(host) => {
                self.addresses.remove(&host.address);
            }
            Fact::Shaper(shaper) => {
                self.links.remove(&shaper.index);
            }
            Fact::VipRoute(route) => {
                self.routes.remove(&IpNet::from(route.address));
            }
            _ => {}
        }
    }
}

/// The chains that a fact jumps to, and the sets that it looks into.
fn names(fact: &Fact) -> Vec<Thing> {
    match fact {
        Fact::Element(
            Element::Proxied { chain, .. }
            | Element::Listed { chain, .. }
            | Element::AclOut { chain, .. }
            | Element::AclIn { chain, .. },
        ) => {
            alloc::vec![Thing::Chain(chain.clone())]
        }
        Fact::AclChain(chain) => {
            let verdicts = chain.rules.iter().map(|rule| &rule.verdict).chain([&chain.otherwise]);
            let jumps = verdicts.filter_map(|verdict| match verdict {
                Verdict::Goto(name) => Some(Thing::Chain(name.clone())),
                _ => None,
            });
            let sets = chain.rules.iter().flat_map(|rule| {
                let one = |set: &SetMatch| Some(Thing::Set(set.number, rule.family?, set.ports));
                rule.sets.iter().filter_map(one)
            });
            jumps.chain(sets).collect()
        }
        _ => Vec::new(),
    }
}
