//! The packet filter's table: its fixed part, its sets, and the chains of access rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hostcompute_engine::plan::{AclChain, Fact, Family};

use super::Finding;
use crate::Linux;
use crate::error::Error;
use crate::netlink::Socket;
use crate::nft::acl::{self, OwnSet};
use crate::nft::element::{Data, Entry, set_of};
use crate::nft::expression::{Expression, Source};
use crate::nft::read::{self, SeenRule};
use crate::nft::rule::Rule;
use crate::nft::ruleset;
use crate::nft::set::Set;
use crate::perform::entries;
use crate::sweep::Handle;

/// The place of an element: set, family, key, last key of a range.
type Place = (Set, Family, Vec<u8>, Option<Vec<u8>>);

/// What the table holds, and what of it the wanted facts explain.
#[derive(Debug, Default)]
pub(crate) struct FilterView {
    /// The state of the fixed part.
    table: Option<Finding>,
    elements: BTreeMap<Place, Data>,
    chains: HashMap<String, Vec<SeenRule>>,
    /// Sets of addresses.
    sets: BTreeSet<(Set, Family)>,
    explained: BTreeSet<Place>,
    explained_chains: BTreeSet<String>,
    explained_sets: BTreeSet<(Set, Family)>,
    wants_table: bool,
}

impl FilterView {
    pub(crate) fn read(host: &mut Linux, wanted: &[Fact]) -> Result<Self, Error> {
        let socket = &mut host.netfilter;
        let mut view = Self::default();
        for fact in wanted {
            view.wants_table |= *fact == Fact::Table;
            if let Fact::AclChain(chain) = fact {
                view.explained_chains.insert(chain.name.clone());
            }
            if let Fact::AddressSet(set) = fact {
                view.explained_sets.insert(set_of(set));
            }
            view.explained.extend(entries(fact)?.into_iter().map(place));
        }
        let Some(signature) = read::signature(socket)? else { return Ok(view) };
        for chain in read::chains(socket)? {
            view.chains.insert(chain.name, Vec::new());
        }
        for rule in read::rules(socket)? {
            view.chains.entry(rule.chain.clone()).or_default().push(rule);
        }
        let sets: BTreeSet<String> = read::set_names(socket)?.into_iter().collect();
        view.sets = sets.iter().filter_map(|name| Set::of_addresses(name)).collect();
        let fixed = Set::all().filter(|(set, family)| sets.contains(&set.name(*family)));
        for (set, family) in fixed.chain(view.sets.iter().copied()) {
            for entry in read::entries(socket, set, family)? {
                let data = entry.data.clone();
                view.elements.insert(place(entry), data);
            }
        }
        view.table = Some(view.fixed_part(&signature, &sets));
        Ok(view)
    }

    /// Whether the fixed part is as we make it.
    fn fixed_part(&self, signature: &str, sets: &BTreeSet<String>) -> Finding {
        if signature != ruleset::signature() {
            return Finding::Different(format!("a table of another version ({signature:?})"));
        }
        if let Some((set, family)) = Set::all().find(|(set, f)| !sets.contains(&set.name(*f))) {
            return Finding::Different(format!("without set {}", set.name(family)));
        }
        let mut wanted: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
        for rule in ruleset::rules() {
            wanted.entry(&rule.chain).or_default().push(rule);
        }
        let none = Vec::new();
        for (chain, rules) in wanted {
            let seen = self.chains.get(chain).unwrap_or(&none);
            let same = seen.len() == rules.len()
                && seen.iter().zip(rules).all(|(seen, rule)| rule_agrees(seen, rule));
            if !same {
                return Finding::Different(format!("the rules of chain {chain} were changed"));
            }
        }
        Finding::Holds
    }

    /// How a fact of this kind was found; `None` for other kinds. Without a sound table nothing in it counts, since it is made
    /// anew.
    pub(crate) fn finding(
        &self,
        socket: &mut Socket,
        fact: &Fact,
    ) -> Result<Option<Finding>, Error> {
        let sound = self.table == Some(Finding::Holds);
        Ok(Some(match fact {
            Fact::Table => self.table.clone().unwrap_or(Finding::Missing),
            Fact::AddressSet(_) | Fact::AclChain(_) | Fact::Element(_) | Fact::Service(_)
                if !sound =>
            {
                Finding::Missing
            }
            Fact::AddressSet(set) => match self.sets.contains(&set_of(set)) {
                true => self.exactly(set_of(set), entries(fact)?),
                false => Finding::Missing,
            },
            Fact::AclChain(chain) => self.acl_chain(socket, chain)?,
            Fact::Element(_) | Fact::Service(_) => self.all_of(entries(fact)?),
            _ => return Ok(None),
        }))
    }

    /// An empty set is there without any element, so none of its elements is missing.
    fn exactly(&self, (set, family): (Set, Family), wanted: Vec<Entry>) -> Finding {
        match self.all_of(wanted) {
            Finding::Missing => {
                Finding::Different(format!("{} without its elements", set.name(family)))
            }
            found => found,
        }
    }

    fn all_of(&self, wanted: Vec<Entry>) -> Finding {
        let (mut present, mut wrong) = (0, None);
        let total = wanted.len();
        for entry in wanted {
            let data = entry.data.clone();
            match self.elements.get(&place(entry)) {
                Some(found) if *found == data => present += 1,
                Some(found) => wrong = Some(describe(found)),
                None => {}
            }
        }
        match wrong {
            _ if present == total => Finding::Holds,
            None if present == 0 => Finding::Missing,
            None => Finding::Different(format!("{present} of {total} elements")),
            Some(found) => Finding::Different(found),
        }
    }

    fn acl_chain(&self, socket: &mut Socket, chain: &AclChain) -> Result<Finding, Error> {
        let Some(seen) = self.chains.get(&chain.name) else { return Ok(Finding::Missing) };
        let wanted = acl::rules(chain, 0);
        if seen.len() != wanted.len() {
            return Ok(Finding::Different(format!("{} rules of {}", seen.len(), wanted.len())));
        }
        for (number, (seen, (rule, sets))) in (1..).zip(seen.iter().zip(&wanted)) {
            if !rule_agrees(seen, rule) || !sets_agree(socket, seen, rule, sets)? {
                return Ok(Finding::Different(format!("another rule {number}")));
            }
        }
        Ok(Finding::Holds)
    }

    /// What is in the table and explained by nothing.
    pub(crate) fn strays(&self) -> Vec<(String, Handle)> {
        if self.table.is_none() {
            return Vec::new();
        }
        if !self.wants_table {
            return vec![("table inet hostcompute".to_owned(), Handle::Table)];
        }
        let mut strays = Vec::new();
        for (set, family, key, last) in self.elements.keys() {
            let place = (*set, *family, key.clone(), last.clone());
            // Those of a set that goes go along.
            if !self.explained.contains(&place) && !self.is_stray_set(&(*set, *family)) {
                let what = format!("element of {}", set.name(*family));
                strays.push((what, Handle::Element(place)));
            }
        }
        let fixed: BTreeSet<String> = ruleset::chains()
            .into_iter()
            .chain(ruleset::HOOKS.map(|hook| hook.chain.to_owned()))
            .collect();
        for chain in self.chains.keys() {
            if !fixed.contains(chain) && !self.explained_chains.contains(chain) {
                strays.push((format!("chain {chain}"), Handle::Chain(chain.clone())));
            }
        }
        for (set, family) in self.sets.iter().filter(|set| self.is_stray_set(set)) {
            strays.push((format!("set {}", set.name(*family)), Handle::Set(*set, *family)));
        }
        strays
    }

    fn is_stray_set(&self, set: &(Set, Family)) -> bool {
        self.sets.contains(set) && !self.explained_sets.contains(set)
    }
}

fn place(entry: Entry) -> Place {
    (entry.set, entry.family, entry.key, entry.last)
}

fn describe(data: &Data) -> String {
    match data {
        Data::None => "nothing".to_owned(),
        Data::Bytes(bytes) => format!("another target ({bytes:?})"),
        Data::Jump(chain) => format!("chain {chain}"),
    }
}

fn rule_agrees(seen: &SeenRule, wanted: &Rule) -> bool {
    seen.expressions.len() == wanted.expressions.len()
        && seen.expressions.iter().zip(&wanted.expressions).all(|(seen, wanted)| {
            read::agrees(seen, wanted)
                && named_set(wanted).is_none_or(|name| read::consulted(seen) == Some(name))
        })
}

fn named_set(expression: &Expression) -> Option<&str> {
    match expression {
        Expression::Find { set: Source::Named(name), .. }
        | Expression::Map { set: Source::Named(name), .. }
        | Expression::Decide { set: Source::Named(name), .. } => Some(name),
        _ => None,
    }
}

/// Whether the sets that belong to the rule hold what they should.
fn sets_agree(
    socket: &mut Socket,
    seen: &SeenRule,
    wanted: &Rule,
    sets: &[OwnSet],
) -> Result<bool, Error> {
    for (seen, wanted) in seen.expressions.iter().zip(&wanted.expressions) {
        let Expression::Find { set: Source::Own(number), .. } = wanted else { continue };
        let own = sets.iter().find(|set| set.number == *number);
        let (Some(name), Some(own)) = (read::consulted(seen), own) else { return Ok(false) };
        if read::ranges(socket, name)? != own.ranges {
            return Ok(false);
        }
    }
    Ok(true)
}
