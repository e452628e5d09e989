//! From a plan to system calls.
//!
//! The steps of a plan are gathered by where they go: all changes to the packet filter into one atomic batch, all rtnetlink
//! messages of the host namespace into as few datagrams as possible, and one datagram for the inside of each port. What is
//! gathered is sent in this order:
//!
//! 1. claims, since they change nothing;
//! 2. the packet filter, if the plan makes no links and leaves the table: what is taken out of service is dead before it is
//!    taken apart, behind the answer;
//! 3. namespaces, links, addresses, routes, files, in the order of the plan;
//! 4. the packet filter otherwise: what is made is complete before it may speak.
//!
//! The first attempt assumes that nothing is in the way. A link that exists is looked at only after the kernel has refused to
//! make it ([`Performance::take_place`]).

use std::os::fd::AsFd;

use hostcompute_engine::plan::{
    AddressSet, Diversion, Fact, FarEnd, Member, Port, Service, Step, Tunnel,
};
use rustix::io::Errno;

use crate::cleanup::Retired;
use crate::error::{Error, NO_STEP, Refusal};
use crate::forwarding;
use crate::netlink::message::Note;
use crate::netlink::socket::forgiven;
use crate::netlink::{Datagram, Lenient, Socket};
use crate::nft::element::{self, Entry};
use crate::nft::transaction::{Change, Transaction};
use crate::nft::{guise, inside, welcome};
use crate::pool::POOL_GROUP;
use crate::port::Pair;
use crate::route::link::{self, Link};
use crate::route::path;
use crate::{
    Linux, anchor, claim, compare, detour, face, marks, port, resolver, shaper, station, sweep,
    tunnel, wire,
};

/// Namespaces of ports whose making waits in the datagram must stay open, so there are fewer than are kept open.
const PORTS: usize = 24;

/// Performs the plan.
pub(crate) fn perform(host: &mut Linux, plan: &[Step]) -> Result<(), Error> {
    host.within(|| {
        for (step, claimed) in plan.iter().enumerate() {
            if let Step::Claim(claimed) = claimed {
                claim::check(claimed).map_err(|error| error.at(step))?;
            }
        }
        Ok(())
    })?;
    let mut filter = gather_filter(plan)?;
    let makes_links = plan.iter().any(|step| match step {
        Step::Add(fact) | Step::Change { to: fact, .. } => is_link(fact),
        _ => false,
    });
    // Without the table nothing would hold back links that are still there.
    let removes_table = plan.contains(&Step::Remove(Fact::Table));
    if !makes_links && !removes_table {
        std::mem::take(&mut filter).commit(&mut host.netfilter)?;
    }
    let mut performance = Performance {
        host,
        plan,
        datagram: Datagram::default(),
        begun: Vec::new(),
        retired: Retired::default(),
    };
    let result = performance.run();
    // What was retired before a failure is retired.
    performance.hand_over()?;
    result?;
    if removes_table {
        host.cleanup.settle()?;
    }
    filter.commit(&mut host.netfilter)
}

fn is_link(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Anchor(_)
            | Fact::Tunnel(_)
            | Fact::Peer(_)
            | Fact::RemoteRoute(_)
            | Fact::Wire(_)
            | Fact::Detour(_)
            | Fact::Proxy(_)
            | Fact::Station(_)
            | Fact::Face(_)
            | Fact::Guise(_)
            | Fact::Netns(_)
            | Fact::Port(_)
            | Fact::HostAddress(_)
            | Fact::Shaper(_)
            | Fact::Diversion(_)
            | Fact::VipRoute(_)
            | Fact::VipOwner(_)
    )
}

/// The plan's changes to the packet filter.
fn gather_filter(plan: &[Step]) -> Result<Transaction, Error> {
    let mut filter = Transaction::default();
    for (number, step) in plan.iter().enumerate() {
        let changes = match step {
            Step::Add(fact) => additions(fact),
            Step::Remove(fact) => removals(fact),
            Step::Change { from, to } => replacements(from, to),
            Step::Sweep(stray) => Ok(sweep::filter_changes(stray)),
            Step::Claim(_) => Ok(Vec::new()),
        };
        for change in changes.map_err(|error| error.at(number))? {
            filter.push(number, change);
        }
    }
    Ok(filter)
}

fn additions(fact: &Fact) -> Result<Vec<Change>, Error> {
    Ok(match fact {
        Fact::Table => vec![Change::AddTable],
        Fact::AddressSet(set) => {
            let (kernel, family) = element::set_of(set);
            let add = Change::AddSet(kernel, family);
            let members = entries(fact)?.into_iter().map(Change::AddElement);
            core::iter::once(add).chain(members).collect()
        }
        Fact::AclChain(chain) => vec![Change::AddChain(chain.clone())],
        _ => entries(fact)?.into_iter().map(Change::AddElement).collect(),
    })
}

fn removals(fact: &Fact) -> Result<Vec<Change>, Error> {
    Ok(match fact {
        Fact::Table => vec![Change::RemoveTable],
        // Its elements go along.
        Fact::AddressSet(set) => {
            let (kernel, family) = element::set_of(set);
            vec![Change::RemoveSet(kernel, family)]
        }
        Fact::AclChain(chain) => vec![Change::RemoveChain(chain.name.clone())],
        _ => entries(fact)?.into_iter().map(Change::RemoveElement).collect(),
    })
}

/// Only what differs is exchanged: a service whose backends change keeps the slots that stay.
fn replacements(from: &Fact, to: &Fact) -> Result<Vec<Change>, Error> {
    if let (Fact::AddressSet(from), Fact::AddressSet(to)) = (from, to) {
        return Ok(exchanged(from, to));
    }
    Ok(match to {
        Fact::Table => vec![Change::RemoveTable, Change::AddTable],
        Fact::AclChain(chain) => vec![Change::RefillChain(chain.clone())],
        _ => {
            let (old, new) = (entries(from)?, entries(to)?);
            let gone = old.iter().filter(|entry| !new.contains(entry));
            let come = new.iter().filter(|entry| !old.contains(entry));
            gone.cloned()
                .map(Change::RemoveElement)
                .chain(come.cloned().map(Change::AddElement))
                .collect()
        }
    })
}

/// The members of one that the other does not have; both are sorted.
fn exchanged(from: &AddressSet, to: &AddressSet) -> Vec<Change> {
    let lacks = |set: &AddressSet, member: &Member| set.members.binary_search(member).is_err();
    let gone = from.members.iter().filter(|member| lacks(to, member));
    let come = to.members.iter().filter(|member| lacks(from, member));
    gone.map(|member| Change::RemoveElement(element::of_member(from, member)))
        .chain(come.map(|member| Change::AddElement(element::of_member(to, member))))
        .collect()
}

/// The elements that a fact stands for.
pub(crate) fn entries(fact: &Fact) -> Result<Vec<Entry>, Error> {
    match fact {
        Fact::Element(element) => Ok(vec![element::of_element(element)]),
        Fact::AddressSet(set) => {
            Ok(set.members.iter().map(|member| element::of_member(set, member)).collect())
        }
        Fact::Service(service) => service_entries(service),
        _ => Ok(Vec::new()),
    }
}

fn service_entries(service: &Service) -> Result<Vec<Entry>, Error> {
    element::of_service(service)
}

/// The index of the link that the fact is.
pub(crate) fn link_index(fact: &Fact) -> Option<u32> {
    match fact {
        Fact::Anchor(anchor) => Some(anchor.index),
        Fact::Tunnel(tunnel) => Some(tunnel.index),
        Fact::Port(port) => Some(port.index),
        Fact::Shaper(shaper) => Some(shaper.index),
        _ => None,
    }
}

/// A port whose pair is there, or will be when the gathered messages are sent.
#[derive(Debug, Clone, Copy)]
struct Begun<'p> {
    step: usize,
    port: &'p Port,
    pair: Pair,
}

/// A plan under way.
struct Performance<'h, 'p> {
    host: &'h mut Linux,
    plan: &'p [Step],
    /// Messages for the host namespace.
    datagram: Datagram,
    /// Ports whose halves follow when the datagram is sent.
    begun: Vec<Begun<'p>>,
    retired: Retired,
}

impl<'p> Performance<'_, 'p> {
    fn run(&mut self) -> Result<(), Error> {
        let plan = self.plan;
        for (number, step) in plan.iter().enumerate() {
            let result = match step {
                Step::Add(fact) => self.add(number, fact),
                Step::Remove(fact) => self.remove(number, fact),
                Step::Change { from, to } => self.change(number, from, to),
                Step::Sweep(stray) => sweep::perform(self.host, stray, number),
                Step::Claim(_) => Ok(()),
            };
            result.map_err(|error| error.at(number))?;
            if self.datagram.is_full() || self.begun.len() >= PORTS {
                self.flush()?;
            }
        }
        self.flush()
    }

    fn add(&mut self, step: usize, fact: &'p Fact) -> Result<(), Error> {
        if link_index(fact).is_some_and(|index| self.retired.indexes.contains(&index)) {
            // The same link again: the old one must be gone before anything is said to the new one.
            self.flush()?;
            self.hand_over()?;
            self.host.cleanup.settle()?;
        }
        self.make_way(fact);
        match fact {
            Fact::Forwarding(family) => {
                let (saved, scene) = (&self.host.saved, &self.host.scene);
                self.host.within(|| forwarding::switch_on(saved, scene, *family))?;
                self.host.pool.empty();
            }
            Fact::Solicited(uplink) => {
                let (saved, scene) = (&self.host.saved, &self.host.scene);
                self.host.within(|| forwarding::answer_solicitations(saved, scene, uplink))?;
            }
            Fact::Anchor(new) => anchor::push_add(&mut self.datagram, step, new),
            Fact::Tunnel(new) => {
                tunnel::push_add(&mut self.datagram, step, new);
                self.flush()?;
                welcome::put(&mut self.host.netfilter, &new.name)?;
            }
            Fact::Peer(new) => tunnel::push_add_peer(&mut self.datagram, step, new),
            Fact::RemoteRoute(new) => tunnel::push_add_route(&mut self.datagram, step, new),
            Fact::Wire(new) => {
                let out = wire::index(&mut self.host.route, &new.out)?;
                wire::push_add(&mut self.datagram, step, new, out);
            }
            Fact::Detour(new) => {
                let link = detour::find_link(&mut self.host.route, new)?;
                detour::push_add(&mut self.datagram, step, new, link);
            }
            Fact::Proxy(new) => {
                let uplink = wire::index(&mut self.host.route, &new.uplink)?;
                wire::push_answer(&mut self.datagram, step, new, uplink);
            }
            Fact::Netns(netns) => self.host.namespaces.create(*netns, &mut self.host.pool)?,
            Fact::Port(new) => self.begin_port(step, new)?,
            Fact::Station(new) => {
                self.flush()?;
                // A port of the same endpoint has its place until it is gone.
                self.hand_over()?;
                station::make(self.host, step, new)?;
            }
            Fact::Guise(new) => {
                self.flush()?;
                face::put_on(self.host, step, new)?;
            }
            Fact::Face(new) => {
                self.flush()?;
                face::make(self.host, step, new)?;
            }
            Fact::HostAddress(new) => anchor::push_add_host_address(&mut self.datagram, step, new),
            Fact::Interception(new) => {
                inside::put(&mut self.host.namespaces.filter(new.netns)?, new)?;
            }
            Fact::Shaper(new) => shaper::push_add(&mut self.datagram, step, new),
            Fact::Diversion(new) => shaper::push_divert(&mut self.datagram, step, new),
            Fact::VipRoute(new) => anchor::push_add_vip(&mut self.datagram, step, new),
            Fact::VipOwner(new) => {
                // The port that it is said of may still be gathered.
                if self.begun.iter().any(|begun| begun.port.index == new.index) {
                    self.flush()?;
                }
                anchor::push_add_owner(&mut self.datagram, step, new);
            }
            Fact::Resolver(new) => {
                resolver::write(&self.host.resolver_dir, new.netns, &new.content)?
            }
            Fact::Lease(new) => {
                port::push_answers(&mut self.datagram, step, new.index);
                self.host.answer_for(fact)?;
            }
            Fact::Responder(_) => {
                // The addresses must be there.
                self.flush()?;
                self.host.answer_for(fact)?;
            }
            Fact::Name(_) => self.host.answer_for(fact)?,
            Fact::Table
            | Fact::AddressSet(_)
            | Fact::AclChain(_)
            | Fact::Element(_)
            | Fact::Service(_) => {}
        }
        Ok(())
    }

    /// Makes the port's pair, unless it is ready.
    fn begin_port(&mut self, step: usize, port: &'p Port) -> Result<(), Error> {
        let mut pair = Pair::Ready;
        if port.far == FarEnd::Machine {
            self.make_tap(port)?;
            pair = Pair::New;
        } else if !self.host.pool.redeem(port) {
            let inside = self.host.namespaces.inside(port.netns)?;
            let note = Note { step, aim: "number the namespace", lenient: Lenient::Present };
            self.host.numbering.push(&mut self.datagram, note, inside.fd.as_fd());
            port::push_link(&mut self.datagram, step, port, inside.fd.as_fd());
            pair = Pair::New;
        }
        self.begun.push(Begun { step, port, pair });
        Ok(())
    }

    /// Makes the tap for a machine, in the place of an earlier one of ours.
    fn make_tap(&mut self, port: &Port) -> Result<(), Error> {
        match self.host.within(|| port::make_tap(port)) {
            Err(error) if matches!(error.errno(), Some(Errno::BUSY | Errno::EXIST)) => {
                self.flush()?;
                self.hand_over()?;
                self.host.cleanup.settle()?;
                delete_ours(&mut self.host.route, port.index, &port.name)?;
                self.host.within(|| port::make_tap(port))
            }
            made => made,
        }
    }

    /// Waits for the cleanup where it has still to speak of the same link or address.
    fn make_way(&self, fact: &Fact) {
        let cleanup = &self.host.cleanup;
        match fact {
            Fact::Port(new) => {
                let addresses: Vec<_> = port::addresses(new).collect();
                cleanup.clear_for(new.index, &addresses);
            }
            Fact::Shaper(new) => cleanup.clear_for(new.index, &[]),
            _ => {}
        }
    }

    fn remove(&mut self, step: usize, fact: &'p Fact) -> Result<(), Error> {
        if !matches!(fact, Fact::Tunnel(_)) {
            self.retired.indexes.extend(link_index(fact));
        }
        match fact {
            Fact::Forwarding(family) => {
                // The switch sets every device, ours too; they are gone or going.
                self.flush()?;
                let (saved, scene) = (&self.host.saved, &self.host.scene);
                self.host.within(|| forwarding::restore(saved, scene, *family))?;
                self.host.pool.empty();
            }
            Fact::Solicited(uplink) => {
                self.flush()?;
                let (saved, scene) = (&self.host.saved, &self.host.scene);
                self.host.within(|| forwarding::restore_solicitations(saved, scene, uplink))?;
            }
            Fact::Anchor(old) => anchor::push_retire(&mut self.datagram, step, old),
            // An adapter that is gone took them along.
            Fact::Wire(old) => {
                let out = wire::index(&mut self.host.route, &old.out).unwrap_or_default();
                wire::push_remove(&mut self.datagram, step, old, out);
            }
            Fact::Detour(old) => {
                let link = detour::find_link(&mut self.host.route, old).unwrap_or_default();
                detour::push_remove(&mut self.datagram, step, old, link);
            }
            Fact::Proxy(old) => {
                let uplink = wire::index(&mut self.host.route, &old.uplink).unwrap_or_default();
                wire::push_silence(&mut self.datagram, step, old, uplink);
            }
            Fact::Tunnel(old) => {
                guise::remove(&mut self.host.netfilter, &guise::table(&old.name))?;
                tunnel::push_remove(&mut self.datagram, step, old);
            }
            Fact::Peer(old) => tunnel::push_remove_peer(&mut self.datagram, step, old),
            Fact::RemoteRoute(old) => tunnel::push_remove_route(&mut self.datagram, step, old),
            Fact::Netns(netns) => {
                if self.begun.iter().any(|begun| begun.port.netns == *netns) {
                    self.flush()?;
                }
                self.host.pool.forget(*netns);
                self.retired.held.extend(self.host.namespaces.remove(*netns)?);
                self.retired.ended.push(*netns);
            }
            Fact::Port(old) => {
                // Dead once the packet filter has lost it; the rest may take its time.
                port::push_retire(self.retired.messages(), step, old);
                self.retired.ties.push(old.netns);
                self.retired.addresses.extend(port::addresses(old));
            }
            Fact::Station(old) => station::remove(self.host, step, old)?,
            Fact::Face(old) => face::remove(self.host, step, old)?,
            Fact::Guise(old) => {
                self.flush()?;
                face::take_off(self.host, step, old)?;
            }
            Fact::HostAddress(old) => {
                anchor::push_remove_host_address(&mut self.datagram, step, old);
            }
            // It goes with its namespace, if that is gone.
            Fact::Interception(old) => {
                if self.host.namespaces.exists(old.netns) {
                    inside::remove(&mut self.host.namespaces.filter(old.netns)?)?;
                }
            }
            Fact::Shaper(old) => shaper::push_retire(self.retired.messages(), step, old),
            // What comes in its place takes it away, without a moment in which the port sends freely.
            Fact::Diversion(old) if self.is_replaced(old) => {}
            Fact::Diversion(old) => shaper::push_release(&mut self.datagram, step, old),
            Fact::VipRoute(old) => anchor::push_remove_vip(&mut self.datagram, step, old),
            Fact::VipOwner(old) => anchor::push_remove_owner(&mut self.datagram, step, old),
            Fact::Resolver(old) => resolver::remove(&self.host.resolver_dir, old.netns)?,
            // The port goes, or answers for what lies behind it without harm.
            Fact::Responder(_) | Fact::Lease(_) | Fact::Name(_) => self.host.answer_no_more(fact),
            Fact::Table
            | Fact::AddressSet(_)
            | Fact::AclChain(_)
            | Fact::Element(_)
            | Fact::Service(_) => {}
        }
        Ok(())
    }

    /// Whether the plan diverts the same port again.
    fn is_replaced(&self, old: &Diversion) -> bool {
        self.plan
            .iter()
            .any(|step| matches!(step, Step::Add(Fact::Diversion(new)) if new.index == old.index))
    }

    fn change(&mut self, step: usize, from: &'p Fact, to: &'p Fact) -> Result<(), Error> {
        match (from, to) {
            (Fact::Port(from), Fact::Port(to)) => {
                port::push_change(&mut self.datagram, step, from, to);
                let mut inside = Datagram::default();
                port::push_change_inside(&mut inside, step, from, to);
                if !inside.is_empty() && to.far == FarEnd::Namespace {
                    self.flush()?;
                    self.host.namespaces.inside(to.netns)?.socket.exchange(&mut inside)?;
                }
                Ok(())
            }
            (Fact::Station(from), Fact::Station(to)) => station::change(self.host, step, from, to),
            (Fact::Shaper(_), Fact::Shaper(to)) => {
                shaper::push_rate(&mut self.datagram, step, to);
                Ok(())
            }
            (Fact::Interception(_), Fact::Interception(to)) => {
                inside::put(&mut self.host.namespaces.filter(to.netns)?, to)
            }
            (Fact::Resolver(_), Fact::Resolver(to)) => {
                resolver::write(&self.host.resolver_dir, to.netns, &to.content)
            }
            // The packet filter's are gathered apart.
            (
                Fact::AddressSet(_)
                | Fact::AclChain(_)
                | Fact::Element(_)
                | Fact::Service(_)
                | Fact::Table,
                _,
            ) => Ok(()),
            // Everything else is fixed for life: the same thing is made anew.
            (from, to) => {
                self.remove(step, from)?;
                self.add(step, to)
            }
        }
    }

    /// Sends the gathered messages, then both halves of the ports among them.
    fn flush(&mut self) -> Result<(), Error> {
        if self.begun.iter().all(|begun| begun.pair == Pair::Ready) && !self.begun.is_empty() {
            // Nothing has to be there first.
            return self.finish_ports();
        }
        self.send()?;
        self.finish_ports()
    }

    fn finish_ports(&mut self) -> Result<(), Error> {
        let mut begun = std::mem::take(&mut self.begun);
        if begun.is_empty() {
            return Ok(());
        }
        self.send_host_halves(&mut begun)?;
        let inside = |begun: &Begun<'_>| begun.port.far == FarEnd::Namespace;
        let mut looks = Datagram::default();
        for Begun { step, port, pair } in begun.into_iter().filter(inside) {
            let mut datagram = Datagram::default();
            port::push_inside(&mut datagram, step, port, pair);
            let inside = self.host.namespaces.inside(port.netns)?;
            inside.socket.exchange(&mut datagram)?;
            link::push_look(
                &mut looks,
                Note { step, aim: "see the interface", lenient: Lenient::Not },
                port.index,
            );
        }
        match looks.is_empty() {
            true => Ok(()),
            false => self.host.route.exchange(&mut looks),
        }
    }

    fn send_host_halves(&mut self, ports: &mut [Begun<'p>]) -> Result<(), Error> {
        let choose_ipv6 = || {
            ports.iter().for_each(|begun| match begun.pair {
                Pair::New => port::refuse_ipv6(begun.port),
                Pair::Ready => port::allow_ipv6(begun.port),
            });
            ports.iter().try_for_each(|begun| port::answer_solicitations(begun.port))
        };
        self.host.within(choose_ipv6)?;
        for Begun { step, port, pair } in ports.iter() {
            port::push_host(&mut self.datagram, *step, port, *pair);
        }
        let anew = self.send()?;
        for begun in ports.iter_mut().filter(|begun| anew.contains(&begun.step)) {
            begun.pair = Pair::New;
            self.host.within(|| {
                port::refuse_ipv6(begun.port);
                Ok(())
            })?;
            let mut datagram = Datagram::default();
            port::push_host(&mut datagram, begun.step, begun.port, Pair::New);
            self.host.route.exchange(&mut datagram)?;
        }
        Ok(())
    }

    /// Sends the gathered messages; returns the steps whose links were in the way and are made anew.
    fn send(&mut self) -> Result<Vec<usize>, Error> {
        let refusals = self.host.route.refusals(&mut self.datagram)?;
        self.datagram.clear();
        let mut anew = Vec::new();
        for refusal in refusals {
            // What follows the refusal to make a link is refused too, and made good with it.
            if forgiven(&refusal) || anew.contains(&refusal.step) {
                continue;
            }
            if !self.is_in_the_way(&refusal) {
                return Err(Error::Refused(refusal));
            }
            anew.push(refusal.step);
        }
        for step in &anew {
            self.take_place(*step).map_err(|error| error.at(*step))?;
        }
        Ok(anew)
    }

    /// Whether a link, address or route that the step was to make is there, or a pair that was ready is gone.
    fn is_in_the_way(&self, refusal: &Refusal) -> bool {
        let adds = match self.plan.get(refusal.step) {
            Some(Step::Add(fact) | Step::Change { to: fact, .. }) => link_index(fact).is_some(),
            _ => false,
        };
        adds && matches!(refusal.errno, Errno::EXIST | Errno::NODEV)
    }

    /// Makes a link again whose place was taken: by one that is about to go, by itself from an earlier attempt, or by one of
    /// ours with other content. A link of somebody else is left alone.
    fn take_place(&mut self, step: usize) -> Result<(), Error> {
        self.hand_over()?;
        self.host.cleanup.settle()?;
        let fact = match self.plan.get(step) {
            Some(Step::Add(fact) | Step::Change { to: fact, .. }) => fact,
            _ => return Ok(()),
        };
        if compare::holds(self.host, fact)? {
            self.begun.retain(|begun| begun.step != step);
            return Ok(());
        }
        match fact {
            Fact::Port(port) => {
                delete_ours(&mut self.host.route, port.index, &port.name)?;
                delete_former_owners(&mut self.host.route, port)?;
                if port.far == FarEnd::Machine {
                    return self.host.within(|| port::make_tap(port));
                }
                self.delete_spare(port)?;
                let inside = self.host.namespaces.inside(port.netns)?;
                let mut datagram = Datagram::default();
                port::push_link(&mut datagram, step, port, inside.fd.as_fd());
                self.host.route.exchange(&mut datagram)
            }
            Fact::Anchor(anchor) => {
                delete_ours(&mut self.host.route, anchor.index, &anchor.name)?;
                let mut datagram = Datagram::default();
                anchor::push_add(&mut datagram, step, anchor);
                self.host.route.exchange(&mut datagram)
            }
            Fact::Tunnel(tunnel) => {
                delete_ours(&mut self.host.route, tunnel.index, &tunnel.name)?;
                delete_former_tunnel(&mut self.host.route, tunnel)?;
                let mut datagram = Datagram::default();
                tunnel::push_add(&mut datagram, step, tunnel);
                self.host.route.exchange(&mut datagram)
            }
            Fact::Shaper(shaper) => {
                delete_ours(&mut self.host.route, shaper.index, &shaper.name)?;
                let mut datagram = Datagram::default();
                shaper::push_add(&mut datagram, step, shaper);
                self.host.route.exchange(&mut datagram)
            }
            _ => Ok(()),
        }
    }

    /// Deletes the pair that an earlier process made ready in the port's namespace, and that has the port's place there.
    fn delete_spare(&mut self, port: &Port) -> Result<(), Error> {
        let inside = self.host.namespaces.inside(port.netns)?;
        let places = link::dump(&mut inside.socket)?.into_iter();
        let takes = |link: &Link| link.index == port.inner_index || link.name == port.inner_name;
        for outer in places.filter(takes).filter_map(|link| link.peer) {
            let spare = link::get(&mut self.host.route, outer)?;
            if spare.is_some_and(|link| link.group == POOL_GROUP) {
                delete(&mut self.host.route, outer)?;
            }
        }
        self.host.pool.forget(port.netns);
        Ok(())
    }

    /// Leaves what was retired to the cleanup.
    fn hand_over(&mut self) -> Result<(), Error> {
        let retired = std::mem::take(&mut self.retired);
        if retired.indexes.is_empty() {
            self.host.cleanup.ended(&retired.ended, retired.held);
            return Ok(());
        }
        let netns = self.host.netns.as_ref();
        self.host.cleanup.retire(retired, || crate::cleanup_tools(netns.map(AsFd::as_fd)))
    }
}

/// Deletes the links that hold a name or an index, if they are ours.
fn delete_ours(socket: &mut Socket, index: u32, name: &str) -> Result<(), Error> {
    for link in link::dump(socket)? {
        if link.index != index && link.name != name {
            continue;
        }
        if !marks::is_ours(&link) {
            return Err(Error::Taken { what: format!("the interface {}", link.name) });
        }
        delete(socket, link.index)?;
    }
    Ok(())
}

/// Deletes a device of ours that has the tunnel's identifier. One of somebody else is named.
fn delete_former_tunnel(socket: &mut Socket, tunnel: &Tunnel) -> Result<(), Error> {
    let same = |link: &Link| {
        link.vxlan.is_some_and(|vxlan| (vxlan.id, vxlan.port) == (tunnel.vsid, tunnel.port))
    };
    for link in link::dump(socket)?.into_iter().filter(same) {
        if !marks::is_ours(&link) {
            let what = format!("VSID {} (by the interface {})", tunnel.vsid, link.name);
            return Err(Error::Taken { what });
        }
        delete(socket, link.index)?;
    }
    Ok(())
}

/// Deletes ports of ours that hold the routes to another port's addresses: what a killed process had no time to take away.
fn delete_former_owners(socket: &mut Socket, port: &Port) -> Result<(), Error> {
    let paths: Vec<_> = path::dump(socket)?;
    for wanted in port::host_paths(port) {
        let holders = paths.iter().filter(|seen| seen.path.destination == wanted.destination);
        for index in holders.filter_map(|seen| seen.device).filter(|index| *index != port.index) {
            if link::get(socket, index)?.is_some_and(|link| marks::is_ours(&link)) {
                delete(socket, index)?;
            }
        }
    }
    Ok(())
}

fn delete(socket: &mut Socket, index: u32) -> Result<(), Error> {
    let mut datagram = Datagram::default();
    let note = Note { step: NO_STEP, aim: "remove the interface", lenient: Lenient::Absent };
    link::push_delete(&mut datagram, note, index);
    socket.exchange(&mut datagram)
}
