//! Several operations carried out as one: one transaction of the journal, one plan for the host.
//!
//! Whoever waits at the same time shares the cost. The operations of a group are decided one after the other, each on the result of
//! the one before; then all are written, performed and answered together. When the group's plan fails, all of it is taken back and
//! each operation is carried out alone, so that one client's failure stays its own. Nobody was told anything before.
//!
//! Only operations whose plans do not meet join a group: the host gathers the steps of a plan by where they go, so two that speak
//! of the same address, port or namespace must not be in one plan. What concerns everything (the table, forwarding, a network's
//! own device) is done alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use hostcompute_engine::host::{Fault, Host};
use hostcompute_engine::plan::{Element, Fact, Step, undo};
use hostcompute_engine::{Decision, Request, State};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Failure, Guid};

use crate::remembered::{Keyed, Note};
use crate::store::{Durability, Entry};
use crate::{Answer, Reading, Service, concerns_surroundings, durability, kill, perform};

/// The most operations that one transaction holds: enough to share its cost, few enough that the first does not wait long.
pub(crate) const MOST: usize = 32;

/// Operations that are decided and in the state, and neither written nor performed.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub decisions: Vec<Decision>,
    operations: Vec<Operation>,
    notes: Vec<Note>,
    plan: Vec<Step>,
    durability: Option<Durability>,
    touched: BTreeSet<Thing>,
    /// A step concerns everything.
    alone: bool,
    /// Why it is carried out, where nobody asked for it.
    occasion: Option<&'static str>,
}

/// What two plans must not both speak of.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Netns(Guid),
    Link(u32),
    /// A link on a wire, by name.
    Face(String),
    Address(IpAddr),
    Frontend(u8, u16),
    Chain(String),
}

impl Group {
    /// Takes in an operation; `state` holds its result.
    pub fn add(&mut self, state: &State, asked: &Asked<'_>, mut decision: Decision) {
        self.durability = self.durability.max(Some(durability::of(state, &decision)));
        self.operations.push(asked.request.operation);
        self.notes.extend(Note::of(asked, &decision.reply, &decision.warnings));
        if self.plan.is_empty() {
            self.plan = std::mem::take(&mut decision.plan);
        } else {
            self.plan.append(&mut decision.plan);
        }
        self.decisions.push(decision);
    }

    /// As [`Self::add`], unless the operation must not be in one plan with those here: then it is given back.
    fn join(&mut self, state: &State, asked: &Asked<'_>, decision: Decision) -> Option<Decision> {
        let (mut things, mut alone) = (BTreeSet::new(), false);
        for step in &decision.plan {
            alone |= !collect(step, &mut things);
        }
        let meets = self.alone || alone || !self.touched.is_disjoint(&things);
        if meets && !self.plan.is_empty() && !decision.plan.is_empty() {
            return Some(decision);
        }
        self.alone |= alone;
        self.touched.append(&mut things);
        self.add(state, asked, decision);
        None
    }

    /// Whether the operation's key is one of those here.
    fn remembers(&self, asked: &Asked<'_>) -> bool {
        let same = |note: &Note| {
            asked.key.is_some_and(|Keyed { uid, key }| note.uid == uid && note.key == key.as_str())
        };
        self.notes.iter().any(same)
    }

    /// For people: the operation, or how many of which.
    fn name(&self) -> String {
        if let Some(occasion) = self.occasion {
            return occasion.to_owned();
        }
        if let [only] = self.operations.as_slice() {
            return only.symbol().to_owned();
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        self.operations.iter().for_each(|it| *counts.entry(it.symbol()).or_default() += 1);
        let counts: Vec<_> =
            counts.into_iter().map(|(symbol, count)| format!("{count} {symbol}")).collect();
        counts.join(", ")
    }

    fn durability(&self) -> Durability {
        self.durability.unwrap_or(Durability::Process)
    }
}

/// Collects what a step speaks of; false when that is everything.
fn collect(step: &Step, things: &mut BTreeSet<Thing>) -> bool {
    match step {
        Step::Add(fact) | Step::Remove(fact) => of_fact(fact, things),
        Step::Change { from, to } => of_fact(from, things) & of_fact(to, things),
        Step::Claim(claim) => {
            things.insert(Thing::Frontend(claim.protocol, claim.port));
            true
        }
        Step::Sweep(_) => false,
    }
}

fn of_fact(fact: &Fact, things: &mut BTreeSet<Thing>) -> bool {
    match fact {
        Fact::Table
        | Fact::Forwarding(_)
        | Fact::Anchor(_)
        | Fact::Tunnel(_)
        | Fact::Peer(_)
        | Fact::RemoteRoute(_)
        | Fact::Wire(_)
        | Fact::Guise(_)
        | Fact::Detour(_)
        | Fact::HostAddress(_)
        | Fact::VipRoute(_)
        | Fact::Responder(_)
        | Fact::Solicited(_)
        | Fact::VipOwner(_)
        | Fact::AddressSet(_) => return false,
        Fact::Netns(netns) => drop(things.insert(Thing::Netns(*netns))),
        Fact::Resolver(resolver) => drop(things.insert(Thing::Netns(resolver.netns))),
        Fact::Interception(inside) => drop(things.insert(Thing::Netns(inside.netns))),
        Fact::Port(port) => {
            things.insert(Thing::Netns(port.netns));
            things.insert(Thing::Link(port.index));
            things.extend(port.addresses.iter().map(|address| Thing::Address(address.addr())));
        }
        Fact::Station(station) => {
            things.insert(Thing::Netns(station.netns));
            things.extend(station.addresses.iter().map(|address| Thing::Address(address.addr())));
        }
        Fact::Face(face) => {
            things.insert(Thing::Face(face.name.clone()));
            things.extend(face.addresses.iter().copied().map(Thing::Address));
        }
        Fact::Lease(lease) => drop(things.insert(Thing::Link(lease.index))),
        Fact::Name(name) => drop(things.insert(Thing::Address(name.address))),
        Fact::Proxy(proxy) => drop(things.insert(Thing::Address(proxy.address))),
        Fact::Shaper(shaper) => {
            things.insert(Thing::Link(shaper.index));
        }
        Fact::Diversion(diversion) => {
            things.insert(Thing::Link(diversion.index));
            things.extend(diversion.lanes.iter().map(|lane| Thing::Link(lane.shaper)));
        }
        Fact::AclChain(chain) => drop(things.insert(Thing::Chain(chain.name.clone()))),
        Fact::Service(service) => {
            things.insert(Thing::Frontend(service.protocol, service.port));
        }
        Fact::Element(element) => return of_element(element, things),
    }
    true
}

fn of_element(element: &Element, things: &mut BTreeSet<Thing>) -> bool {
    let thing = match element {
        Element::Listed { chain, .. } => Thing::Chain(chain.clone()),
        Element::Intra { .. }
        | Element::Outbound { .. }
        | Element::Hidden { .. }
        | Element::Apart { .. }
        | Element::Published { .. }
        | Element::Bridged { .. }
        | Element::Fenced { .. }
        | Element::Barred { .. }
        | Element::Answered { .. }
        | Element::Joined { .. }
        | Element::Aloof { .. }
        | Element::SeenAs { .. } => return false,
        Element::Source { address, .. }
        | Element::Loop { address }
        | Element::Isolated { address }
        | Element::Proxied { address, .. }
        | Element::Masked { source: address, .. }
        | Element::AclOut { address, .. }
        | Element::AclIn { address, .. } => Thing::Address(*address),
        Element::NatExempt { source, .. }
        | Element::NatLimited { source }
        | Element::NatLimit { source, .. }
        | Element::NatAs { source, .. }
        | Element::NatPorts { source, .. }
        | Element::Admit { to: source, .. }
        | Element::Steer { source, .. } => Thing::Address(*source),
        Element::PortMapping { protocol, port, .. } => Thing::Frontend(*protocol, *port),
    };
    things.insert(thing);
    true
}

/// One operation that waits for its turn.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub request: Request<'a>,
    pub reading: Reading,
    pub key: Option<Keyed<'a>>,
}

/// What became of an operation before anything is carried out.
pub(crate) enum Drafted {
    /// Decided, and in the state: it must be carried out or taken back.
    Decided(Decision),
    /// Nothing is to be done.
    Known(Answer),
}

/// What an operation of a group waits for.
enum Waiting {
    /// For nothing but the answers before it.
    Nothing(Result<Answer, Failure>),
    /// For the next decision of the group.
    Decision,
}

impl<H: Host> Service<H> {
    /// Carries out operations in order, several at once where they do not meet; `answer` is called for each, in order.
    pub(crate) fn call_all(
        &mut self,
        asked: &[Asked<'_>],
        answer: &mut dyn FnMut(Result<Answer, Failure>),
    ) {
        let mut left = asked;
        while !left.is_empty() {
            let count = match left {
                [one] => {
                    answer(self.call_one(one));
                    1
                }
                several => self.call_some(several, answer),
            };
            left = left.get(count..).unwrap_or_default();
        }
    }

    /// Carries out as many of the first operations as can be one group, at least one; returns how many.
    fn call_some(
        &mut self,
        asked: &[Asked<'_>],
        answer: &mut dyn FnMut(Result<Answer, Failure>),
    ) -> usize {
        self.settle_debts();
        if let Err(failure) = self.refuse_company() {
            answer(Err(failure));
            return 1;
        }
        let (mut group, waiting) = self.draft_group(asked);
        let count = waiting.len();
        if !group.decisions.is_empty() && self.carry_out(&mut group).is_err() {
            // Taken back as a whole; what was refused may have been so because of it.
            asked.iter().take(count).for_each(|one| answer(self.call_one(one)));
            return count;
        }
        let mut decisions = group.decisions.into_iter();
        for waiting in waiting {
            answer(match waiting {
                Waiting::Nothing(result) => result,
                Waiting::Decision => {
                    let Decision { reply, warnings, .. } =
                        decisions.next().expect("one decision for each that waits for one");
                    self.answer(reply, warnings)
                }
            });
        }
        count
    }

    fn draft_group(&mut self, asked: &[Asked<'_>]) -> (Group, Vec<Waiting>) {
        let (mut group, mut waiting) = (Group::default(), Vec::new());
        for one in asked.iter().take(MOST) {
            if group.remembers(one) {
                break;
            }
            match self.draft(one) {
                Err(failure) => waiting.push(Waiting::Nothing(Err(failure))),
                Ok(Drafted::Known(answer)) => waiting.push(Waiting::Nothing(Ok(answer))),
                Ok(Drafted::Decided(decision)) => {
                    if let Some(decision) = group.join(&self.state, one, decision) {
                        self.state.apply(&decision.undo);
                        break;
                    }
                    waiting.push(Waiting::Decision);
                }
            }
        }
        (group, waiting)
    }

    /// Finds out what an operation means, or what it was answered when it was asked before.
    pub(crate) fn draft(&mut self, asked: &Asked<'_>) -> Result<Drafted, Failure> {
        if let Some(Keyed { uid, key }) = asked.key
            && !asked.request.operation.is_read_only()
            && let Some(note) = self.store.reply(uid, key.as_str())?
        {
            return note.answer(asked).map(Drafted::Known);
        }
        if concerns_surroundings(&asked.request) {
            self.surroundings = self.host.surroundings().map_err(|fault| fault.failure)?;
        }
        let decision = self.decide(&asked.request, asked.reading)?;
        if decision.changes.is_empty() && decision.plan.is_empty() {
            let Decision { reply, warnings, .. } = decision;
            return self.answer(reply, warnings).map(Drafted::Known);
        }
        Ok(Drafted::Decided(decision))
    }

    /// Carries out what nobody asked for, on this occasion. The state holds it already; after a failure it does not.
    pub(crate) fn carry_out_own(
        &mut self,
        occasion: &'static str,
        decision: Decision,
    ) -> Result<(), Failure> {
        self.settle_debts();
        let durability = Some(durability::of(&self.state, &decision));
        let plan = decision.plan.clone();
        let occasion = Some(occasion);
        let decisions = vec![decision];
        self.carry_out(&mut Group { durability, plan, occasion, decisions, ..Group::default() })
    }

    /// Journals and performs a group. The state holds it already; after a failure it does not.
    pub(crate) fn carry_out(&mut self, group: &mut Group) -> Result<(), Failure> {
        let operation = group.name();
        kill::point();
        if let Err(failure) = self.write_down(&operation, group) {
            self.forget(group);
            return Err(failure);
        }
        kill::point();
        if let Err(fault) = perform(&mut self.host, &group.plan) {
            return Err(self.take_back(group, fault));
        }
        kill::point();
        self.store.done();
        tracing::info!(operation, steps = group.plan.len(), "done");
        self.show(group);
        Ok(())
    }

    fn write_down(&mut self, operation: &str, group: &Group) -> Result<(), Failure> {
        let events: usize = group.decisions.iter().map(|decision| decision.events.len()).sum();
        let durability = group.durability();
        let entry = Entry { operation, notes: &group.notes, events: events as u64, durability };
        let changes = group.decisions.iter().flat_map(|decision| &decision.changes);
        let since = Instant::now();
        let written = self.store.begin(&entry, changes);
        match &written {
            Ok(()) => self.numbers.committed(group.decisions.len(), since.elapsed()),
            Err(_) => self.numbers.commit_failed(),
        }
        written
    }

    /// Lets readers and subscribers see what is true now.
    fn show(&mut self, group: &mut Group) {
        if let Some(view) = &self.view {
            let mut view = crate::sync::write(view);
            group.decisions.iter().for_each(|decision| view.apply(&decision.changes));
        }
        let events = group.decisions.iter_mut().flat_map(|decision| decision.events.drain(..));
        self.notifier.publish(events);
    }

    fn forget(&mut self, group: &Group) {
        group.decisions.iter().rev().for_each(|decision| self.state.apply(&decision.undo));
    }

    /// Undoes a group whose plan failed; what the caller is told names both failures.
    fn take_back(&mut self, group: &Group, fault: Fault) -> Failure {
        let mut failure = fault.failure;
        self.numbers.refused(failure.hresult);
        if let Err(second) = perform(&mut self.host, &undo(&group.plan)) {
            // The next start compares the host with the state and sweeps what is left.
            self.store.settled(false);
            let second = second.failure.story();
            failure.also(&format!("taking it back failed too: {second}"));
        }
        self.forget(group);
        kill::point();
        match self.store.revert(group.durability()) {
            Ok(()) => self.store.done(),
            Err(second) => {
                failure.also(&second.story());
            }
        }
        tracing::warn!(failure = format!("{failure:#}"), "taken back");
        failure
    }
}
