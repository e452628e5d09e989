//! A batch: the messages of nftables that the kernel carries out together or not at all.
//!
//! Each message says which change of a [`super::transaction::Transaction`] it is for. What the changes are and in which order they
//! go is the transaction's business.

use hostcompute_engine::plan::{AclChain, Family};

use super::acl::{self, OwnSet};
use super::element::{Data, Entry, after};
use super::expression::{LIST_ELEMENT, OWN_SET, write_bytes, write_verdict};
use super::rule::Rule;
use super::set::{self, Set};
use super::{INET, TABLE, expression, header, kind, ruleset};
use crate::error::{Error, Refusal};
use crate::netlink::message::Note;
use crate::netlink::{Body, Datagram, Lenient, Socket, flag};

pub(super) const NEWTABLE: u16 = kind(0);
pub(super) const DELTABLE: u16 = kind(2);
pub(super) const NEWCHAIN: u16 = kind(3);
const DELCHAIN: u16 = kind(5);
pub(super) const NEWRULE: u16 = kind(6);
const DELRULE: u16 = kind(8);
pub(super) const NEWSET: u16 = kind(9);
const DELSET: u16 = kind(11);
pub(super) const NEWSETELEM: u16 = kind(12);
pub(super) const DELSETELEM: u16 = kind(14);
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
pub(super) const TABLE_NAME: u16 = 1;
const TABLE_USERDATA: u16 = 6;
pub(super) const CHAIN_TABLE: u16 = 1;
pub(super) const CHAIN_NAME: u16 = 3;
pub(super) const CHAIN_HOOK: u16 = 4;
pub(super) const CHAIN_POLICY: u16 = 5;
pub(super) const CHAIN_TYPE: u16 = 7;
pub(super) const HOOK_NUMBER: u16 = 1;
pub(super) const HOOK_PRIORITY: u16 = 2;
pub(super) const POLICY_ACCEPT: u32 = 1;
pub(super) const ELEMENTS_TABLE: u16 = 1;
pub(super) const ELEMENTS_SET: u16 = 2;
pub(super) const ELEMENTS_LIST: u16 = 3;
const ELEMENTS_SET_ID: u16 = 4;
pub(super) const ELEMENT_KEY: u16 = 1;
pub(super) const ELEMENT_DATA: u16 = 2;
const ELEMENT_FLAGS: u16 = 3;
const ELEMENT_KEY_END: u16 = 10;
const INTERVAL_END: u32 = 1;

/// The number of a set that is known by its name.
const SET_WITH_NAME: u32 = 0xffff;
/// Elements per message: the list must stay below 64 KiB, and the longest element (two keys of 40 bytes, data, headers) takes
/// 160 bytes.
pub(super) const GROUP: usize = 300;

/// Tries whether the kernel knows an expression: makes a table with one rule and removes it again.
pub(crate) fn probe(socket: &mut Socket, expression: &expression::Expression) -> Result<(), Error> {
    // Kernels refuse to read what nothing was written to.
    let written = expression::Expression::Load { to: 0, value: vec![0; 4] };
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
        body.nest(super::rule::RULE_EXPRESSIONS, |list| {
            [&written, expression].into_iter().for_each(|one| one.write(list));
        });
    });
    batch.push(0, "remove a table", (DELTABLE, 0), |body| {
        body.put_text(TABLE_NAME, NAME);
    });
    match batch.send(socket)?.into_iter().next() {
        None => Ok(()),
        Some(refusal) => Err(Error::Refused(refusal)),
    }
}

/// Makes a table of this name that the kernel removes with the socket, however the process ends, with one rule at the beginning of
/// each way into the host.
pub(crate) fn lend(
    socket: &mut Socket,
    name: &str,
    expressions: &[expression::Expression],
) -> Result<(), Error> {
    const OWNED_BY_SOCKET: u32 = 2;
    const TABLE_FLAGS: u16 = 2;
    const AIM: &str = "watch a packet in the packet filter";
    let mut batch = Batch::new();
    let new = flag::CREATE | flag::EXCLUSIVE;
    batch.push(0, AIM, (NEWTABLE, new), |body| {
        body.put_text(TABLE_NAME, name).put_be32(TABLE_FLAGS, OWNED_BY_SOCKET);
    });
    for (chain, place) in [("arrives", ruleset::PREROUTING), ("leaves", ruleset::OUTPUT)] {
        batch.push(0, AIM, (NEWCHAIN, new), |body| {
            body.put_text(CHAIN_TABLE, name).put_text(CHAIN_NAME, chain);
            body.nest(CHAIN_HOOK, |hook| {
                hook.put_be32(HOOK_NUMBER, place);
                // Before all of ours.
                hook.put_be32(HOOK_PRIORITY, (-400_i32) as u32);
            });
            body.put_be32(CHAIN_POLICY, POLICY_ACCEPT).put_text(CHAIN_TYPE, "filter");
        });
        batch.push(0, AIM, (NEWRULE, flag::CREATE | flag::APPEND), |body| {
            body.put_text(super::rule::RULE_TABLE, name).put_text(super::rule::RULE_CHAIN, chain);
            body.nest(super::rule::RULE_EXPRESSIONS, |list| {
                expressions.iter().for_each(|expression| expression.write(list));
            });
        });
    }
    match batch.send(socket)?.into_iter().next() {
        None => Ok(()),
        Some(refusal) => Err(Error::Refused(refusal)),
    }
}

/// Removes a table that was made for a while.
pub(crate) fn take_back(socket: &mut Socket, name: &str) -> Result<(), Error> {
    let mut batch = Batch::new();
    batch.push(0, "remove a table of the packet filter", (DELTABLE, 0), |body| {
        body.put_text(TABLE_NAME, name);
    });
    match batch.send(socket)?.into_iter().next() {
        None => Ok(()),
        Some(refusal) => Err(Error::Refused(refusal)),
    }
}

const MAKE_TABLE: &str = "make the packet filter's table";

/// The table with a comment: user data of type 0, as nft shows it.
fn write_table(body: &mut Body<'_>, text: &str) {
    let mut comment = vec![0, text.len() as u8 + 1];
    comment.extend_from_slice(text.as_bytes());
    comment.push(0);
    body.put_text(TABLE_NAME, TABLE).put(TABLE_USERDATA, &comment);
}

/// Which way elements go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

/// A batch under construction.
pub(super) struct Batch {
    pub(super) datagram: Datagram,
    own_sets: u32,
    /// Of the tables that it is about.
    family: u8,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self::of(INET)
    }

    /// About tables of another family than that of our one table.
    pub(super) fn of(family: u8) -> Self {
        let mut datagram = Datagram::transaction();
        datagram.push(BATCH_BEGIN, 0, note(0, "change the packet filter"), |body| {
            body.raw(&batch_header());
        });
        // Numbers of sets that belong to rules start after those of the table's own.
        Self { datagram, own_sets: 0x1_0000, family }
    }

    pub(super) fn send(mut self, socket: &mut Socket) -> Result<Vec<Refusal>, Error> {
        let last = self.datagram.count() - 1;
        self.datagram.push(BATCH_END, 0, note(0, "change the packet filter"), |body| {
            body.raw(&batch_header());
        });
        socket.talk(&mut self.datagram, last)
    }

    pub(super) fn push(
        &mut self,
        place: usize,
        aim: &'static str,
        (kind, flags): (u16, u16),
        body: impl FnOnce(&mut Body<'_>),
    ) {
        let family = self.family;
        self.datagram.push(kind, flags, note(place, aim), |message| {
            message.raw(&header(family));
            body(message);
        });
    }

    pub(super) fn add_table(&mut self, place: usize) {
        const AIM: &str = MAKE_TABLE;
        let new = flag::CREATE | flag::EXCLUSIVE;
        self.push(place, AIM, (NEWTABLE, new), |body| write_table(body, ruleset::signature()));
        for hook in ruleset::HOOKS {
            self.hook(place, hook);
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

    fn hook(&mut self, place: usize, hook: ruleset::Hook) {
        let new = flag::CREATE | flag::EXCLUSIVE;
        self.push(place, MAKE_TABLE, (NEWCHAIN, new), |body| {
            body.put_text(CHAIN_TABLE, TABLE).put_text(CHAIN_NAME, hook.chain);
            body.nest(CHAIN_HOOK, |where_| {
                where_.put_be32(HOOK_NUMBER, hook.place);
                where_.put_be32(HOOK_PRIORITY, hook.priority as u32);
            });
            body.put_be32(CHAIN_POLICY, POLICY_ACCEPT).put_text(CHAIN_TYPE, hook.kind);
        });
    }

    /// A table without anything, with this comment, in place of what is there; or none.
    pub(super) fn replace_table(&mut self, comment: Option<&str>) {
        // A table that is not there cannot be removed; one that is there can be made.
        self.push(0, MAKE_TABLE, (NEWTABLE, flag::CREATE), |body| {
            body.put_text(TABLE_NAME, TABLE);
        });
        self.remove_table(0);
        if let Some(comment) = comment {
            let new = flag::CREATE | flag::EXCLUSIVE;
            self.push(0, MAKE_TABLE, (NEWTABLE, new), |body| write_table(body, comment));
        }
    }

    /// A chain at a hook.
    pub(super) fn add_hook(
        &mut self,
        chain: &'static str,
        kind: &'static str,
        place: u32,
        priority: i32,
    ) {
        self.hook(0, ruleset::Hook { chain, kind, place, priority });
    }

    pub(super) fn add_rule(&mut self, rule: &Rule) {
        let flags = flag::CREATE | flag::APPEND;
        self.push(0, "add a rule to the packet filter", (NEWRULE, flags), |body| rule.write(body));
    }

    pub(super) fn remove_table(&mut self, place: usize) {
        self.push(place, "remove the packet filter's table", (DELTABLE, 0), |body| {
            body.put_text(TABLE_NAME, TABLE);
        });
    }

    pub(super) fn elements<'a>(
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

    pub(super) fn add_set(&mut self, place: usize, set: Set, family: Family) {
        let new = flag::CREATE | flag::EXCLUSIVE;
        self.push(place, "add a set to the packet filter", (NEWSET, new), |body| {
            // Numbers matter for sets without a name of their own only.
            set::write_declaration(body, set, family, SET_WITH_NAME);
        });
    }

    pub(super) fn empty_set(&mut self, place: usize, set: Set, family: Family) {
        self.push(place, "empty a set of the packet filter", (DELSETELEM, 0), |body| {
            body.put_text(ELEMENTS_TABLE, TABLE).put_text(ELEMENTS_SET, &set.name(family));
        });
    }

    pub(super) fn remove_set(&mut self, place: usize, set: Set, family: Family) {
        self.push(place, "remove a set from the packet filter", (DELSET, 0), |body| {
            body.put_text(set::SET_TABLE, TABLE).put_text(set::SET_NAME, &set.name(family));
        });
    }

    pub(super) fn add_chain(&mut self, place: usize, name: &str) {
        let new = flag::CREATE | flag::EXCLUSIVE;
        self.push(place, "add a chain to the packet filter", (NEWCHAIN, new), |body| {
            body.put_text(CHAIN_TABLE, TABLE).put_text(CHAIN_NAME, name);
        });
    }

    pub(super) fn empty_chain(&mut self, place: usize, name: &str) {
        self.push(place, "empty a chain of the packet filter", (DELRULE, 0), |body| {
            body.put_text(CHAIN_TABLE, TABLE).put_text(super::rule::RULE_CHAIN, name);
        });
    }

    pub(super) fn remove_chain(&mut self, place: usize, name: &str) {
        self.push(place, "remove a chain from the packet filter", (DELCHAIN, 0), |body| {
            body.put_text(CHAIN_TABLE, TABLE).put_text(CHAIN_NAME, name);
        });
    }

    pub(super) fn fill_chain(&mut self, place: usize, chain: &AclChain) {
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
