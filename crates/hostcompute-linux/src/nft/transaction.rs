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

use super::batch::{Batch, GROUP, Way};
use super::element::Entry;
use super::ruleset;
use super::set::Set;
use crate::error::{Error, Refusal};
use crate::netlink::Socket;

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
