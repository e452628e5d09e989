//! Guises: what guided endpoints send leaves under their MACs.
//!
//! ```text
//! table netdev hostcompute_hm…                        one for each Transparent network that guides endpoints
//!   map mac4 { ipv4_addr : ether_addr }, map mac6     the endpoints' addresses
//!   set alone4, set alone6                            those that the adapter's other machines do not see
//!   chain leaves, egress of hm…                       arp operation request arp saddr ip set 0.0.0.0
//!                                                     ether saddr set ip saddr map @mac4; ip saddr @alone4 fwd to the adapter
//! ```
//!
//! The link asks for neighbours as one who has no address yet (RFC 5227): they would take the host's address for its own.

use std::net::IpAddr;

use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::{Face, Family, Guise};
use rustix::io::Errno;

use super::batch::{
    Batch, CHAIN_HOOK, CHAIN_NAME, CHAIN_POLICY, CHAIN_TABLE, CHAIN_TYPE, DELSETELEM, DELTABLE,
    ELEMENT_DATA, ELEMENT_KEY, ELEMENTS_LIST, ELEMENTS_SET, ELEMENTS_TABLE, HOOK_NUMBER,
    HOOK_PRIORITY, NEWCHAIN, NEWRULE, NEWSET, NEWSETELEM, NEWTABLE, POLICY_ACCEPT, TABLE_NAME,
};
use super::expression::{Base, Expression, LIST_ELEMENT, Meta, Source, read_bytes, write_bytes};
use super::read::{GETCHAIN, GETSETELEM, GETTABLE, absent_is_empty, body};
use super::set::{self, Field};
use super::{NETDEV, header, welcome};
use crate::error::Error;
use crate::netlink::{Attributes, Socket, flag, messages};
use crate::route::{address_of, with_octets};

/// How the names of these tables begin, and those of tunnels ([`super::welcome`]).
const PREFIXES: [&str; 2] = ["hostcompute_hm", "hostcompute_hx"];
const CHAIN: &str = "leaves";
/// NF_NETDEV_EGRESS.
const EGRESS: u32 = 1;
const HOOK_DEVICE: u16 = 3;
const AIM: &str = "give packets their endpoint's MAC";
const MAP: u32 = 0x8;
/// Where the source is in the Ethernet header.
const LINK_SOURCE: u32 = 6;
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What the kernel has of one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The link whose way out it is at; `None` if that is gone.
    pub device: Option<String>,
    pub macs: Vec<(IpAddr, Mac)>,
}

/// The name of a link's table.
pub(crate) fn table(link: &str) -> String {
    ["hostcompute_", link].concat()
}

/// Makes the table, in place of any of its name; `uplink` is the adapter.
pub(crate) fn put(socket: &mut Socket, guise: &Guise, uplink: u32) -> Result<(), Error> {
    let name = table(&guise.name);
    let new = flag::CREATE | flag::EXCLUSIVE;
    let mut batch = at_device(&guise.name, CHAIN, EGRESS);
    push_rule(&mut batch, (&name, CHAIN), &nameless());
    for (number, family) in (1..).step_by(2).zip(FAMILIES) {
        for (number, set, flags) in [(number, map(family), MAP), (number + 1, alone(family), 0)] {
            batch.push(0, AIM, (NEWSET, new), |body| {
                body.put_text(set::SET_TABLE, &name).put_text(set::SET_NAME, set);
                body.put_be32(set::SET_ID, number).put_be32(set::SET_FLAGS, flags);
                let (key, value) = (Field::Address, Field::Mac);
                body.put_be32(set::SET_KEY_TYPE, key.type_number(family));
                body.put_be32(set::SET_KEY_LEN, key.length(family) as u32);
                if flags == MAP {
                    body.put_be32(set::SET_DATA_TYPE, value.type_number(family));
                    body.put_be32(set::SET_DATA_LEN, value.length(family) as u32);
                }
            });
        }
        push_rule(&mut batch, (&name, CHAIN), &dress(family));
        push_rule(&mut batch, (&name, CHAIN), &past_the_others(family, uplink));
    }
    carry_out(batch, socket)
}

/// A table of one link, with a chain where packets come to it or leave it, in place of what has the name.
pub(super) fn at_device(link: &str, chain: &str, place: u32) -> Batch {
    let name = table(link);
    let mut batch = Batch::of(NETDEV);
    let new = flag::CREATE | flag::EXCLUSIVE;
    let add_table = |batch: &mut Batch, flags| {
        batch.push(0, AIM, (NEWTABLE, flags), |body| {
            body.put_text(TABLE_NAME, &name);
        });
    };
    // One that is not there cannot be removed.
    add_table(&mut batch, flag::CREATE);
    push_remove(&mut batch, &name);
    add_table(&mut batch, new);
    batch.push(0, AIM, (NEWCHAIN, new), |body| {
        body.put_text(CHAIN_TABLE, &name).put_text(CHAIN_NAME, chain);
        body.nest(CHAIN_HOOK, |hook| {
            hook.put_be32(HOOK_NUMBER, place).put_be32(HOOK_PRIORITY, 0);
            hook.put_text(HOOK_DEVICE, link);
        });
        body.put_be32(CHAIN_POLICY, POLICY_ACCEPT).put_text(CHAIN_TYPE, "filter");
    });
    batch
}

pub(super) fn push_rule(
    batch: &mut Batch,
    (table, chain): (&str, &str),
    expressions: &[Expression],
) {
    batch.push(0, AIM, (NEWRULE, flag::CREATE | flag::APPEND), |body| {
        body.put_text(super::rule::RULE_TABLE, table);
        body.put_text(super::rule::RULE_CHAIN, chain);
        body.nest(super::rule::RULE_EXPRESSIONS, |list| {
            expressions.iter().for_each(|expression| expression.write(list));
        });
    });
}

fn map(family: Family) -> &'static str {
    match family {
        Family::V4 => "mac4",
        Family::V6 => "mac6",
    }
}

fn alone(family: Family) -> &'static str {
    match family {
        Family::V4 => "alone4",
        Family::V6 => "alone6",
    }
}

fn of_type(number: u16) -> [Expression; 2] {
    let value = number.to_be_bytes().to_vec();
    [
        Expression::Meta { key: Meta::EtherType, to: 0 },
        Expression::Compare { from: 0, equal: true, value },
    ]
}

/// Questions for neighbours say nothing of who asks.
fn nameless() -> Vec<Expression> {
    const ARP: u16 = 0x0806;
    const OPERATION: u32 = 6;
    const REQUEST: [u8; 2] = [0, 1];
    const SENDER: u32 = 14;
    let mut rule = Vec::from(of_type(ARP));
    rule.push(Expression::Payload { base: Base::Network, offset: OPERATION, length: 2, to: 0 });
    rule.push(Expression::Compare { from: 0, equal: true, value: REQUEST.to_vec() });
    rule.push(Expression::Load { to: 0, value: vec![0; 4] });
    rule.push(Expression::Put { base: Base::Network, offset: SENDER, length: 4, from: 0 });
    rule
}

/// A packet of one family, with its source in a register.
fn from_source(family: Family) -> Vec<Expression> {
    let (number, offset): (u16, u32) = match family {
        Family::V4 => (0x0800, 12),
        Family::V6 => (0x86dd, 8),
    };
    let length = Field::Address.length(family) as u32;
    let mut rule = Vec::from(of_type(number));
    rule.push(Expression::Payload { base: Base::Network, offset, length, to: 0 });
    rule
}

fn dress(family: Family) -> Vec<Expression> {
    let mut rule = from_source(family);
    rule.push(Expression::Map { from: 0, set: Source::Named(map(family).to_owned()), to: 0 });
    rule.push(Expression::Put { base: Base::Link, offset: LINK_SOURCE, length: 6, from: 0 });
    rule
}

/// Straight to the wire, so that the adapter does not hand it to others that it carries.
fn past_the_others(family: Family, uplink: u32) -> Vec<Expression> {
    let set = Source::Named(alone(family).to_owned());
    let mut rule = from_source(family);
    rule.push(Expression::Find { from: 0, set, present: true });
    rule.push(Expression::Load { to: 0, value: uplink.to_ne_bytes().to_vec() });
    rule.push(Expression::Forward { to: 0 });
    rule
}

/// Removes the table, if there is one.
pub(crate) fn remove(socket: &mut Socket, table: &str) -> Result<(), Error> {
    let mut batch = Batch::of(NETDEV);
    push_remove(&mut batch, table);
    forgiving(carry_out(batch, socket))
}

fn push_remove(batch: &mut Batch, name: &str) {
    batch.push(0, "remove the endpoints' MACs", (DELTABLE, 0), |body| {
        body.put_text(TABLE_NAME, name);
    });
}

/// Makes a face's packets leave under its MAC, whatever was said of its addresses before.
pub(crate) fn wear(socket: &mut Socket, face: &Face) -> Result<(), Error> {
    take_off(socket, face)?;
    let table = table(&face.guise);
    let mut batch = Batch::of(NETDEV);
    for address in &face.addresses {
        let family = Family::of(address);
        let add = (NEWSETELEM, flag::CREATE);
        push_element(&mut batch, add, (&table, map(family)), *address, Some(face.mac));
        if face.isolated {
            push_element(&mut batch, add, (&table, alone(family)), *address, None);
        }
    }
    carry_out(batch, socket)
}

/// Forgets a face's addresses.
pub(crate) fn take_off(socket: &mut Socket, face: &Face) -> Result<(), Error> {
    let table = table(&face.guise);
    for address in &face.addresses {
        for set in [map, alone] {
            let mut batch = Batch::of(NETDEV);
            let set = (table.as_str(), set(Family::of(address)));
            push_element(&mut batch, (DELSETELEM, 0), set, *address, None);
            forgiving(carry_out(batch, socket))?;
        }
    }
    Ok(())
}

fn push_element(
    batch: &mut Batch,
    kind: (u16, u16),
    (table, set): (&str, &str),
    address: IpAddr,
    mac: Option<Mac>,
) {
    batch.push(0, AIM, kind, |body| {
        body.put_text(ELEMENTS_TABLE, table).put_text(ELEMENTS_SET, set);
        body.nest(ELEMENTS_LIST, |list| {
            list.nest(LIST_ELEMENT, |element| {
                with_octets(address, |octets| {
                    element.nest(ELEMENT_KEY, |key| write_bytes(key, octets));
                });
                if let Some(mac) = mac {
                    element.nest(ELEMENT_DATA, |data| write_bytes(data, &mac.0));
                }
            });
        });
    });
}

pub(super) fn carry_out(batch: Batch, socket: &mut Socket) -> Result<(), Error> {
    match batch.send(socket)?.into_iter().next() {
        None => Ok(()),
        Some(refusal) => Err(Error::Refused(refusal)),
    }
}

/// What is gone need not be removed.
fn forgiving(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Refused(refusal)) if refusal.errno == Errno::NOENT => Ok(()),
        other => other,
    }
}

/// The names of all such tables.
pub(crate) fn names(socket: &mut Socket) -> Result<Vec<String>, Error> {
    let tables = socket.dump(GETTABLE, "list the tables of the packet filter", |message| {
        message.raw(&header(NETDEV));
    });
    let tables = absent_is_empty(tables)?;
    let name = |attributes: Attributes<'_>| attributes.get_text(TABLE_NAME).map(str::to_owned);
    Ok(messages(&tables)
        .filter_map(|message| body(message.body).and_then(name))
        .filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .collect())
}

/// What the kernel has of a table of this name.
pub(crate) fn read(socket: &mut Socket, name: &str) -> Result<Option<Seen>, Error> {
    let chains = socket.dump(GETCHAIN, "list the chains of the packet filter", |message| {
        message.raw(&header(NETDEV));
        message.put_text(CHAIN_TABLE, name);
    });
    let chains = absent_is_empty(chains)?;
    let ours = messages(&chains).filter_map(|message| body(message.body)).find(|chain| {
        chain.get_text(CHAIN_TABLE) == Some(name)
            && matches!(chain.get_text(CHAIN_NAME), Some(CHAIN | welcome::CHAIN))
    });
    let Some(chain) = ours else { return Ok(None) };
    let hook = chain.get_nested(CHAIN_HOOK);
    let device = hook.and_then(|hook| hook.get_text(HOOK_DEVICE).map(str::to_owned));
    let mut seen = Seen { device, macs: Vec::new() };
    for family in FAMILIES {
        let elements = socket.dump(GETSETELEM, "list a set of the packet filter", |message| {
            message.raw(&header(NETDEV));
            message.put_text(ELEMENTS_TABLE, name).put_text(ELEMENTS_SET, map(family));
        });
        let elements = absent_is_empty(elements)?;
        for message in messages(&elements) {
            let list = body(message.body).and_then(|body| body.get_nested(ELEMENTS_LIST));
            let elements = list.into_iter().flatten().filter(|(kind, _)| *kind == LIST_ELEMENT);
            seen.macs.extend(elements.filter_map(|(_, bytes)| read_element(bytes)));
        }
    }
    Ok(Some(seen))
}

fn read_element(bytes: &[u8]) -> Option<(IpAddr, Mac)> {
    let element = Attributes::new(bytes);
    let key = element.get_nested(ELEMENT_KEY)?;
    let data = element.get_nested(ELEMENT_DATA)?;
    let mac: [u8; 6] = read_bytes(&data)?.get(..6)?.try_into().ok()?;
    Some((address_of(read_bytes(&key)?)?, Mac(mac)))
}
