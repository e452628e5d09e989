//! All changes of a plan to the table, sent as one atomic batch.
//!
//! The order within the batch is fixed, whatever the order of the plan: elements go before the chains they name, and come after
//! them. Steps are idempotent, yet the first attempt assumes that nothing is in the way, since that needs no questions; only
//! when the kernel refuses because something is there or gone is the batch sent again, element by element, without what was
//! superfluous ([`Transaction::commit`]).
//!
//! A batch that is larger than the socket may send is split; then it is atomic no more, and we say so in the log. Privileged
//! sockets grow as needed, so that this only happens in rootless mode with thousands of ports in one plan.

use std::collections::HashSet;

use hostcompute_engine::plan::{AclChain, Family};
use rustix::io::Errno;

use super::acl::{self, OwnSet};
use super::element::{Data, Entry, after};
use super::expression::{LIST_ELEMENT, OWN_SET, write_bytes, write_verdict};
use super::set::{self, Set};
use super::{INET, TABLE, expression, header, kind, ruleset};
use crate::error::{Error, Refusal};
use crate::netlink::message::Note;
use crate::netlink::{Body, Datagram, Lenient, Socket, flag};

const NEWTABLE: u16 = kind(0);
const DELTABLE: u16 = kind(2);
const NEWCHAIN: u16 = kind(3);
const DELCHAIN: u16 = kind(5);
const NEWRULE: u16 = kind(6);
const DELRULE: u16 = kind(8);
const NEWSET: u16 = kind(9);
const DELSET: u16 = kind(11);
const NEWSETELEM: u16 = kind(12);
const DELSETELEM: u16 = kind(14);
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

const TABLE_NAME: u16 = 1;
const TABLE_USERDATA: u16 = 6;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const POLICY_ACCEPT: u32 = 1;
const ELEMENTS_TABLE: u16 = 1;
const ELEMENTS_SET: u16 = 2;
const ELEMENTS_LIST: u16 = 3;
const ELEMENTS_SET_ID: u16 = 4;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const ELEMENT_FLAGS: u16 = 3;
const ELEMENT_KEY_END: u16 = 10;
const INTERVAL_END: u32 = 1;

/// Elements per message: the list must stay below 64 KiB, and the longest element (two keys of 40 bytes, data, headers) takes
/// 160 bytes.
const GROUP: usize = 300;
/// The number of a set that is known by its name.
const SET_WITH_NAME: u32 = 0xffff;
/// How often a batch is sent again without its superfluous parts.
const ATTEMPTS: usize = 5;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    AddTable,
    RemoveTable,
    AddElement(Entry),
    RemoveElement(Entry),
    AddChain(AclChain),
    /// A set of addresses for access rules, without elements.
    AddSet(Set, Family),
    /// One that exists loses its elements.
    EmptySet(Set, Family),
    RemoveSet(Set, Family),
    /// New rules for a chain that exists.
    RefillChain(AclChain),
    RemoveChain(String),
}

/// The changes of a plan, each with its step.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    changes: Vec<(usize, Change)>,
}

/// What a message, or a few messages that belong together, do; in the order in which the kernel accepts them. All chains that
/// go are emptied before one is removed, and all new ones are made before one is filled, since their rules name each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    /// Before it is made anew.
    ClearTable,
    MakeTable,
    RemoveElements(Set, Family),
    EmptyChain,
    RemoveChain,
    /// Rules look into sets, so sets go after rules and come before them.
    RemoveSet,
    MakeSet,
    EmptySet,
    MakeChain,
    FillChain,
    AddElements(Set, Family),
    /// For good.
    RemoveTable,
}

/// A piece of a batch.
struct Unit {
    deed: Deed,
    /// Places in `changes`; the first one stands for all when the kernel refuses.
    places: Vec<usize>,
}

impl Transaction {
    pub(crate) fn push(&mut self, step: usize, change: Change) {
        self.changes.push((step, change));
    }

    /// Sends the changes; either all happen or (unless the batch had to be split) none.
    ///
    /// # Errors
    /// The first refusal that idempotence does not explain away.
    pub(crate) fn commit(mut self, socket: &mut Socket) -> Result<(), Error> {
        self.drop_covered();
        self.keep_sets();
        self.keep_chains();
        let mut group = GROUP;
        for _ in 0..ATTEMPTS {
            if self.changes.is_empty() {
                return Ok(());
            }
            let refusals = self.send(socket, group)?;
            let Some(first) = refusals.first() else { return Ok(()) };
            if group > 1 {
                // Which element was refused is known only when each has its own message.
                if !refusals.iter().all(|refusal| self.may_be_superfluous(refusal)) {
                    return Err(self.explain(first.clone()));
                }
                group = 1;
                if refusals.iter().any(|refusal| self.is_element(refusal)) {
                    continue;
                }
            }
            self.reconsider(refusals, socket)?;
        }
        Err(Error::Unsteady { aim: "change the packet filter" })
    }

    /// The table takes everything in it along.
    fn drop_covered(&mut self) {
        if self.changes.iter().any(|(_, change)| *change == Change::RemoveTable) {
            self.changes.retain(|(_, change)| {
                !matches!(
                    change,
                    Change::RemoveElement(_) | Change::RemoveChain(_) | Change::RemoveSet(..)
                )
            });
        }
    }

    /// A set that is removed and added again is emptied and filled: rules that stay may still look into it.
    fn keep_sets(&mut self) {
        let of = |change: &Change| match change {
            Change::RemoveSet(set, family) => Some((*set, *family)),
            _ => None,
        };
        let removed: HashSet<_> = self.changes.iter().filter_map(|(_, c)| of(c)).collect();
        let mut kept = HashSet::new();
        for (_, change) in &mut self.changes {
            if let Change::AddSet(set, family) = *change
                && removed.contains(&(set, family))
            {
                kept.insert((set, family));
                *change = Change::EmptySet(set, family);
            }
        }
        self.changes.retain(|(_, change)| of(change).is_none_or(|set| !kept.contains(&set)));
    }

    /// A chain that is removed and added again is emptied and filled: elements that stay may still jump to it.
    fn keep_chains(&mut self) {
        let removed: HashSet<String> = self
            .changes
            .iter()
            .filter_map(|(_, change)| match change {
                Change::RemoveChain(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        let mut kept = HashSet::new();
        for (_, change) in &mut self.changes {
            if let Change::AddChain(chain) = change
                && removed.contains(&chain.name)
            {
                kept.insert(chain.name.clone());
                *change = Change::RefillChain(chain.clone());
            }
        }
        self.changes.retain(|(_, change)| match change {
            Change::RemoveChain(name) => !kept.contains(name),
            _ => true,
        });
    }

    /// Sends everything, in as many batches as must be; returns what the first unhappy one was refused for.
    fn send(&self, socket: &mut Socket, group: usize) -> Result<Vec<Refusal>, Error> {
        let units = self.units(group);
        if group == 1 {
            socket.expect_refusals(units.len());
        }
        let mut batch = Batch::new();
        for unit in &units {
            self.write(&mut batch, unit);
        }
        let wanted = batch.datagram.len() + 64;
        let room = socket.room(wanted);
        if wanted <= room {
            return batch.send(socket);
        }
        tracing::warn!(
            bytes = wanted,
            room,
            "the packet filter change is larger than one request may be: it is made in parts"
        );
        let mut rest = units.as_slice();
        while !rest.is_empty() {
            let mut batch = Batch::new();
            let mut taken = 0;
            for unit in rest {
                let mut longer = Batch::new();
                self.write(&mut longer, unit);
                if taken > 0 && batch.datagram.len() + longer.datagram.len() > room {
                    break;
                }
                self.write(&mut batch, unit);
                taken += 1;
            }
            let refusals = batch.send(socket)?;
            if !refusals.is_empty() {
                return Ok(refusals);
            }
            rest = rest.get(taken..).unwrap_or(&[]);
        }
        Ok(Vec::new())
    }

    /// The pieces in order; elements of the same set together, up to `group` in a message.
    fn units(&self, group: usize) -> Vec<Unit> {
        let rebuilt = self.changes.iter().any(|(_, change)| *change == Change::AddTable);
        let mut deeds: Vec<(Deed, usize)> = Vec::with_capacity(self.changes.len());
        for (place, (_, change)) in self.changes.iter().enumerate() {
            let (one, two) = match change {
                Change::RemoveTable if rebuilt => (Deed::ClearTable, None),
                Change::RemoveTable => (Deed::RemoveTable, None),
                Change::AddTable => (Deed::MakeTable, None),
                Change::RemoveElement(entry) => {
                    (Deed::RemoveElements(entry.set, entry.family), None)
                }
                Change::AddElement(entry) => (Deed::AddElements(entry.set, entry.family), None),
                Change::AddSet(..) => (Deed::MakeSet, None),
                Change::EmptySet(..) => (Deed::EmptySet, None),
                Change::RemoveSet(..) => (Deed::RemoveSet, None),
                Change::RemoveChain(_) => (Deed::EmptyChain, Some(Deed::RemoveChain)),
                Change::AddChain(_) => (Deed::MakeChain, Some(Deed::FillChain)),
                Change::RefillChain(_) => (Deed::EmptyChain, Some(Deed::FillChain)),
            };
            deeds.push((one, place));
            deeds.extend(two.map(|deed| (deed, place)));
        }
        deeds.sort();
        let mut units: Vec<Unit> = Vec::new();
        for (deed, place) in deeds {
            let elements = matches!(deed, Deed::RemoveElements(..) | Deed::AddElements(..));
            match units.last_mut() {
                Some(unit) if elements && unit.deed == deed && unit.places.len() < group => {
                    unit.places.push(place);
                }
                _ => units.push(Unit { deed, places: vec![place] }),
            }
        }
        units
    }

    fn write(&self, batch: &mut Batch, unit: &Unit) {
        let Some((place, (_, change))) =
            unit.places.first().and_then(|place| Some((*place, self.changes.get(*place)?)))
        else {
            return;
        };
        let entries = unit.places.iter().filter_map(|place| match self.changes.get(*place) {
            Some((_, Change::AddElement(entry) | Change::RemoveElement(entry))) => Some(entry),
            _ => None,
        });
        match (unit.deed, change) {
            (Deed::ClearTable | Deed::RemoveTable, _) => batch.remove_table(place),
            (Deed::MakeTable, _) => batch.add_table(place),
            (Deed::RemoveElements(set, family), _) => {
                batch.elements(place, Way::Out, (set, family), entries);
            }
            (Deed::AddElements(set, family), _) => {
                batch.elements(place, Way::In, (set, family), entries);
            }
            (Deed::EmptyChain, Change::RefillChain(AclChain { name, .. })) => {
                batch.empty_chain(place, name);
            }
            (Deed::EmptyChain, Change::RemoveChain(name)) => batch.empty_chain(place, name),
            (Deed::RemoveChain, Change::RemoveChain(name)) => batch.remove_chain(place, name),
            (Deed::MakeSet, Change::AddSet(set, family)) => batch.add_set(place, *set, *family),
            (Deed::EmptySet, Change::EmptySet(set, family)) => {
                batch.empty_set(place, *set, *family);
            }
            (Deed::RemoveSet, Change::RemoveSet(set, family)) => {
                batch.remove_set(place, *set, *family);
            }
            (Deed::MakeChain, Change::AddChain(chain)) => batch.add_chain(place, &chain.name),
            (Deed::FillChain, Change::AddChain(chain) | Change::RefillChain(chain)) => {
                batch.fill_chain(place, chain);
            }
            _ => {}
        }
    }

    fn is_element(&self, refusal: &Refusal) -> bool {
        matches!(
            self.changes.get(refusal.step),
            Some((_, Change::AddElement(_) | Change::RemoveElement(_)))
        )
    }

    fn may_be_superfluous(&self, refusal: &Refusal) -> bool {
        match self.changes.get(refusal.step) {
            Some((
                _,
                Change::AddElement(_) | Change::AddChain(_) | Change::AddSet(..) | Change::AddTable,
            )) => {
                matches!(refusal.errno, Errno::EXIST | Errno::BUSY)
            }
            Some((
                _,
                Change::RemoveElement(_)
                | Change::RemoveChain(_)
                | Change::RemoveSet(..)
                | Change::RemoveTable,
            )) => refusal.errno == Errno::NOENT,
            _ => false,
        }
    }

    /// Takes out what is there or gone already; puts other content in the place of what is in the way.
    fn reconsider(&mut self, refusals: Vec<Refusal>, socket: &mut Socket) -> Result<(), Error> {
        let mut superfluous = HashSet::new();
        let mut more = Vec::new();
        for refusal in refusals {
            if !self.may_be_superfluous(&refusal) {
                return Err(self.explain(refusal));
            }
            let Some((step, change)) = self.changes.get_mut(refusal.step) else { continue };
            match change {
                Change::AddElement(entry) => {
                    more.push((*step, Change::RemoveElement(entry.clone())));
                }
                Change::AddSet(set, family) => *change = Change::EmptySet(*set, *family),
                Change::AddChain(chain) => *change = Change::RefillChain(chain.clone()),
                Change::RefillChain(chain) => *change = Change::AddChain(chain.clone()),
                Change::AddTable => {
                    if super::read::signature(socket)?.as_deref() == Some(ruleset::signature()) {
                        superfluous.insert(refusal.step);
                    } else if !more.iter().any(|(_, change)| *change == Change::RemoveTable) {
                        // A table of another version: made anew, and its contents come with the steps that follow.
                        more.push((*step, Change::RemoveTable));
                    }
                }
                _ => {
                    superfluous.insert(refusal.step);
                }
            }
        }
        let mut place = 0;
        self.changes.retain(|_| {
            place += 1;
            !superfluous.contains(&(place - 1))
        });
        self.changes.extend(more);
        Ok(())
    }

    /// The refusal with the plan's step in place of our own count.
    fn explain(&self, refusal: Refusal) -> Error {
        let step = self.changes.get(refusal.step).map_or(0, |(step, _)| *step);
        Error::Refused(Refusal { step, ..refusal })
    }
}

/// Tries whether the kernel knows an expression: makes a table with one rule and removes it again.
pub(crate) fn probe(socket: &mut Socket, expression: &expression::Expression) -> Result<(), Error> {
    const NAME: &str = "hostcompute_probe";
    const CHAIN: &str = "probe";
    let mut batch = Batch::new();
    let new = flag::CREATE | flag::EXCLUSIVE;
    batch.push(0, "make a table", (NEWTABLE, new), |body| {
        body.put_text(TABLE_NAME, NAME);
    });
    batch.push(0, "make a chain", (NEWCHAIN, new), |body| {
        body.put_text(CHAIN_TABLE, NAME).put_text(CHAIN_NAME, CHAIN);
    });
    batch.push(0, "make a rule", (NEWRULE, flag::CREATE | flag::APPEND), |body| {
        body.put_text(super::rule::RULE_TABLE, NAME).put_text(super::rule::RULE_CHAIN, CHAIN);
        body.nest(super::rule::RULE_EXPRESSIONS, |list| expression.write(list));
    });
    batch.push(0, "remove a table", (DELTABLE, 0), |body| {
        body.put_text(TABLE_NAME, NAME);
    });
    match batch.send(socket)?.into_iter().next() {
        None => Ok(()),
        Some(refusal) => Err(Error::Refused(refusal)),
    }
}

/// Which way elements go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// A batch under construction.
struct Batch {
    datagram: Datagram,
    own_sets: u32,
}

impl Batch {
    fn new() -> Self {
        let mut datagram = Datagram::transaction();
        datagram.push(BATCH_BEGIN, 0, note(0, "change the packet filter"), |body| {
            body.raw(&batch_header());
        });
        // Numbers of sets that belong to rules start after those of the table's own.
        Self { datagram, own_sets: 0x1_0000 }
    }

    fn send(mut self, socket: &mut Socket) -> Result<Vec<Refusal>, Error> {
        let last = self.datagram.count() - 1;
        self.datagram.push(BATCH_END, 0, note(0, "change the packet filter"), |body| {
            body.raw(&batch_header());
        });
        socket.talk(&mut self.datagram, last)
    }

    fn push(
        &mut self,
        place: usize,
        aim: &'static str,
        (kind, flags): (u16, u16),
        body: impl FnOnce(&mut Body<'_>),
    ) {
        self.datagram.push(kind, flags, note(place, aim), |message| {
            message.raw(&header(INET));
            body(message);
        });
    }

    fn add_table(&mut self, place: usize) {
        const AIM: &str = "make the packet filter's table";
        let new = flag::CREATE | flag::EXCLUSIVE;
        self.push(place, AIM, (NEWTABLE, new), |body| {
            // nft shows user data of type 0 as the table's comment.
            let text = ruleset::signature();
            let mut comment = vec![0, text.len() as u8 + 1];
            comment.extend_from_slice(text.as_bytes());
            comment.push(0);
            body.put_text(TABLE_NAME, TABLE).put(TABLE_USERDATA, &comment);
        });
        for hook in ruleset::HOOKS {
            self.push(place, AIM, (NEWCHAIN, new), |body| {
                body.put_text(CHAIN_TABLE, TABLE).put_text(CHAIN_NAME, hook.chain);
                body.nest(CHAIN_HOOK, |where_| {
                    where_.put_be32(HOOK_NUMBER, hook.place);
                    where_.put_be32(HOOK_PRIORITY, hook.priority as u32);
                });
                body.put_be32(CHAIN_POLICY, POLICY_ACCEPT).put_text(CHAIN_TYPE, hook.kind);
            });
        }
        for chain in ruleset::chains() {
            self.push(place, AIM, (NEWCHAIN, new), |body| {
                body.put_text(CHAIN_TABLE, TABLE).put_text(CHAIN_NAME, &chain);
            });
        }
        for (number, (set, family)) in (1..).zip(Set::all()) {
            self.push(place, AIM, (NEWSET, new), |body| {
                set::write_declaration(body, set, family, number);
            });
        }
        for rule in ruleset::rules() {
            let flags = flag::CREATE | flag::APPEND;
            self.push(place, AIM, (NEWRULE, flags), |body| rule.write(body));
        }
    }

    fn remove_table(&mut self, place: usize) {
        self.push(place, "remove the packet filter's table", (DELTABLE, 0), |body| {
            body.put_text(TABLE_NAME, TABLE);
        });
    }

    fn elements<'a>(
        &mut self,
        place: usize,
        way: Way,
        (set, family): (Set, Family),
        entries: impl Iterator<Item = &'a Entry>,
    ) {
        let (aim, kind, flags) = match way {
            Way::In => ("add to the packet filter", NEWSETELEM, flag::CREATE),
            Way::Out => ("remove from the packet filter", DELSETELEM, 0),
        };
        self.push(place, aim, (kind, flags), |body| {
            body.put_text(ELEMENTS_TABLE, TABLE).put_text(ELEMENTS_SET, &set.name(family));
            body.nest(ELEMENTS_LIST, |list| {
                for entry in entries {
                    write_entry(list, entry, way);
                }
            });
        });
    }

    fn add_set(&mut self, place: usize, set: Set, family: Family) {
        let new = flag::CREATE | flag::EXCLUSIVE;
        self.push(place, "add a set to the packet filter", (NEWSET, new), |body| {
            // Numbers matter for sets without a name of their own only.
            set::write_declaration(body, set, family, SET_WITH_NAME);
        });
    }

    fn empty_set(&mut self, place: usize, set: Set, family: Family) {
        self.push(place, "empty a set of the packet filter", (DELSETELEM, 0), |body| {
            body.put_text(ELEMENTS_TABLE, TABLE).put_text(ELEMENTS_SET, &set.name(family));
        });
    }

    fn remove_set(&mut self, place: usize, set: Set, family: Family) {
        self.push(place, "remove a set from the packet filter", (DELSET, 0), |body| {
            body.put_text(set::SET_TABLE, TABLE).put_text(set::SET_NAME, &set.name(family));
        });
    }

    fn add_chain(&mut self, place: usize, name: &str) {
        let new = flag::CREATE | flag::EXCLUSIVE;
        self.push(place, "add a chain to the packet filter", (NEWCHAIN, new), |body| {
            body.put_text(CHAIN_TABLE, TABLE).put_text(CHAIN_NAME, name);
        });
    }

    fn empty_chain(&mut self, place: usize, name: &str) {
        self.push(place, "empty a chain of the packet filter", (DELRULE, 0), |body| {
            body.put_text(CHAIN_TABLE, TABLE).put_text(super::rule::RULE_CHAIN, name);
        });
    }

    fn remove_chain(&mut self, place: usize, name: &str) {
        self.push(place, "remove a chain from the packet filter", (DELCHAIN, 0), |body| {
            body.put_text(CHAIN_TABLE, TABLE).put_text(CHAIN_NAME, name);
        });
    }

    fn fill_chain(&mut self, place: usize, chain: &AclChain) {
        for (rule, sets) in acl::rules(chain, self.own_sets) {
            for own in &sets {
                self.own_set(place, own);
                self.own_sets = own.number + 1;
            }
            let flags = flag::CREATE | flag::APPEND;
            self.push(place, "add a rule to the packet filter", (NEWRULE, flags), |body| {
                rule.write(body);
            });
        }
    }

    fn own_set(&mut self, place: usize, own: &OwnSet) {
        const AIM: &str = "add a list to the packet filter";
        let (key_type, length) = own.kind.type_and_length();
        self.push(place, AIM, (NEWSET, flag::CREATE), |body| {
            body.put_text(set::SET_TABLE, TABLE).put_text(set::SET_NAME, OWN_SET);
            body.put_be32(set::SET_ID, own.number);
            body.put_be32(set::SET_FLAGS, set::ANONYMOUS | set::CONSTANT | set::INTERVAL);
            body.put_be32(set::SET_KEY_TYPE, key_type).put_be32(set::SET_KEY_LEN, length);
        });
        for ranges in own.ranges.chunks(GROUP) {
            self.push(place, AIM, (NEWSETELEM, flag::CREATE), |body| {
                body.put_text(ELEMENTS_TABLE, TABLE).put_text(ELEMENTS_SET, OWN_SET);
                body.put_be32(ELEMENTS_SET_ID, own.number);
                body.nest(ELEMENTS_LIST, |list| {
                    for (first, last) in ranges {
                        write_ends(list, first, last);
                    }
                });
            });
        }
    }
}

fn note(step: usize, aim: &'static str) -> Note {
    Note { step, aim, lenient: Lenient::Not }
}

/// struct nfgenmsg of a batch's borders: the subsystem is in the last two bytes.
fn batch_header() -> [u8; 4] {
    [0, 0, 0, 10]
}

/// Writes one element, or the two that stand for a range over one field.
fn write_entry(list: &mut Body<'_>, entry: &Entry, way: Way) {
    match &entry.last {
        Some(last) if entry.set.has_end_elements() => write_ends(list, &entry.key, last),
        last => {
            list.nest(LIST_ELEMENT, |element| {
                element.nest(ELEMENT_KEY, |key| write_bytes(key, &entry.key));
                if let Some(last) = last {
                    element.nest(ELEMENT_KEY_END, |key| write_bytes(key, last));
                }
                match &entry.data {
                    _ if way == Way::Out => {}
                    Data::None => {}
                    Data::Bytes(bytes) => {
                        element.nest(ELEMENT_DATA, |data| write_bytes(data, bytes));
                    }
                    Data::Jump(chain) => {
                        let jump = expression::Verdict::Jump(chain.clone());
                        element.nest(ELEMENT_DATA, |data| write_verdict(data, &jump));
                    }
                }
            });
        }
    }
}

fn write_ends(list: &mut Body<'_>, first: &[u8], last: &[u8]) {
    list.nest(LIST_ELEMENT, |element| {
        element.nest(ELEMENT_KEY, |key| write_bytes(key, first));
    });
    if let Some(end) = after(last) {
        list.nest(LIST_ELEMENT, |element| {
            element.put_be32(ELEMENT_FLAGS, INTERVAL_END);
            element.nest(ELEMENT_KEY, |key| write_bytes(key, &end));
        });
    }
}
