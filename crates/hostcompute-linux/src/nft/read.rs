//! What the kernel has of our table.

use hostcompute_engine::plan::Family;
use rustix::io::Errno;

use super::element::{Data, Entry, Span, before};
use super::expression::{self, EXPR_DATA, EXPR_NAME, LIST_ELEMENT, read_bytes, read_chain};
use super::set::{Set, Value};
use super::{INET, TABLE, header, kind};
use crate::error::Error;
use crate::netlink::{Attributes, Socket, messages};

const NEWTABLE: u16 = kind(0);
pub(super) const GETTABLE: u16 = kind(1);
const NEWCHAIN: u16 = kind(3);
pub(super) const GETCHAIN: u16 = kind(4);
const NEWRULE: u16 = kind(6);
const GETRULE: u16 = kind(7);
const NEWSET: u16 = kind(9);
const GETSET: u16 = kind(10);
const NEWSETELEM: u16 = kind(12);
pub(super) const GETSETELEM: u16 = kind(13);

const TABLE_NAME: u16 = 1;
const TABLE_USERDATA: u16 = 6;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
const ELEMENTS_TABLE: u16 = 1;
const ELEMENTS_SET: u16 = 2;
const ELEMENTS_LIST: u16 = 3;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const ELEMENT_FLAGS: u16 = 3;
const ELEMENT_KEY_END: u16 = 10;
const INTERVAL_END: u32 = 1;

/// The comment of our table, which says what fixed part it has; `None` without a table.
pub(crate) fn signature(socket: &mut Socket) -> Result<Option<String>, Error> {
    let table = dump(socket, GETTABLE, "list the tables of the packet filter", TABLE_NAME)?;
    Ok(messages(&table)
        .filter(|message| message.kind == NEWTABLE)
        .filter_map(|message| body(message.body))
        .find(|attributes| attributes.get_text(TABLE_NAME) == Some(TABLE))
        .map(|attributes| {
            // Type and length come before the text.
            let data = attributes.get(TABLE_USERDATA).and_then(|data| data.get(2..));
            let text = data.and_then(crate::netlink::attribute::text_of);
            text.unwrap_or_default().to_owned()
        }))
}

/// A chain of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub name: String,
    /// Hangs at one of the kernel's hooks.
    pub hooked: bool,
}

pub(crate) fn chains(socket: &mut Socket) -> Result<Vec<Chain>, Error> {
    let table = dump(socket, GETCHAIN, "list the chains of the packet filter", CHAIN_TABLE)?;
    Ok(messages(&table)
        .filter(|message| message.kind == NEWCHAIN)
        .filter_map(|message| body(message.body))
        .filter(|attributes| attributes.get_text(CHAIN_TABLE) == Some(TABLE))
        .map(|attributes| Chain {
            name: attributes.get_text(CHAIN_NAME).unwrap_or_default().to_owned(),
            hooked: attributes.get(CHAIN_HOOK).is_some(),
        })
        .collect())
}

/// Chains of other tables that drop forwarded packets unless a rule accepts them: "ip filter FORWARD".
pub(crate) fn dropping_chains(socket: &mut Socket) -> Result<Vec<String>, Error> {
    const CHAIN_POLICY: u16 = 5;
    const HOOK_NUMBER: u16 = 1;
    const FORWARD: u32 = 2;
    const DROP: u32 = 0;
    let chains = socket.dump(GETCHAIN, "list the chains of the packet filter", |message| {
        message.raw(&header(0));
    });
    let chains = absent_is_empty(chains)?;
    Ok(messages(&chains)
        .filter(|message| message.kind == NEWCHAIN)
        .filter_map(|message| {
            let family = match message.body.first()? {
                1 => "inet",
                2 => "ip",
                10 => "ip6",
                // Bridges and devices are not on the way of routed packets.
                _ => return None,
            };
            let chain = body(message.body)?;
            let hook = chain.get_nested(CHAIN_HOOK)?.get_be32(HOOK_NUMBER)?;
            let drops = hook == FORWARD && chain.get_be32(CHAIN_POLICY) == Some(DROP);
            let (table, name) = (chain.get_text(CHAIN_TABLE)?, chain.get_text(CHAIN_NAME)?);
            drops.then(|| format!("chain {family} {table} {name}"))
        })
        .collect())
}

/// A rule of the table: its chain, and its expressions as the kernel describes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenRule {
    pub chain: String,
    /// Name and attributes of each.
    pub expressions: Vec<(String, Vec<u8>)>,
}

pub(crate) fn rules(socket: &mut Socket) -> Result<Vec<SeenRule>, Error> {
    let table = dump(socket, GETRULE, "list the rules of the packet filter", RULE_TABLE)?;
    Ok(messages(&table)
        .filter(|message| message.kind == NEWRULE)
        .filter_map(|message| body(message.body))
        .filter(|attributes| attributes.get_text(RULE_TABLE) == Some(TABLE))
        .map(|attributes| SeenRule {
            chain: attributes.get_text(RULE_CHAIN).unwrap_or_default().to_owned(),
            expressions: attributes
                .get_nested(RULE_EXPRESSIONS)
                .into_iter()
                .flatten()
                .filter(|(kind, _)| *kind == LIST_ELEMENT)
                .map(|(_, bytes)| {
                    let expression = Attributes::new(bytes);
                    let name = expression.get_text(EXPR_NAME).unwrap_or_default().to_owned();
                    (name, expression.get(EXPR_DATA).unwrap_or_default().to_vec())
                })
                .collect(),
        })
        .collect())
}

/// Names of the sets of the table, those that belong to rules included.
pub(crate) fn set_names(socket: &mut Socket) -> Result<Vec<String>, Error> {
    let table = dump(socket, GETSET, "list the sets of the packet filter", SET_TABLE)?;
    Ok(messages(&table)
        .filter(|message| message.kind == NEWSET)
        .filter_map(|message| body(message.body))
        .filter(|attributes| attributes.get_text(SET_TABLE) == Some(TABLE))
        .filter_map(|attributes| attributes.get_text(SET_NAME).map(str::to_owned))
        .collect())
}

/// The elements of one of our sets.
pub(crate) fn entries(socket: &mut Socket, set: Set, family: Family) -> Result<Vec<Entry>, Error> {
    let seen = elements(socket, &set.name(family))?;
    if set.has_end_elements() {
        let ranges = pair(&seen).into_iter();
        return Ok(ranges
            .map(|(key, last)| Entry { set, family, key, last: Some(last), data: Data::None })
            .collect());
    }
    let value = set.shape().value;
    Ok(seen
        .into_iter()
        .map(|element| Entry {
            set,
            family,
            key: element.key,
            last: element.last,
            data: match value {
                Value::Presence => Data::None,
                Value::Chain => element.chain.map_or(Data::None, Data::Jump),
                Value::Address | Value::AddressAndPort | Value::Ports | Value::Mark => {
                    element.bytes.map_or(Data::None, Data::Bytes)
                }
            },
        })
        .collect())
}

/// The ranges of a set that belongs to a rule.
pub(crate) fn ranges(socket: &mut Socket, name: &str) -> Result<Vec<Span>, Error> {
    Ok(pair(&elements(socket, name)?))
}

/// An element as the kernel shows it.
#[derive(Debug, Clone, Default)]
struct Element {
    key: Vec<u8>,
    last: Option<Vec<u8>>,
    bytes: Option<Vec<u8>>,
    chain: Option<String>,
    /// The first key behind a range.
    end: bool,
}

fn elements(socket: &mut Socket, set: &str) -> Result<Vec<Element>, Error> {
    let table = socket.dump(GETSETELEM, "list a set of the packet filter", |message| {
        message.raw(&header(INET));
        message.put_text(ELEMENTS_TABLE, TABLE).put_text(ELEMENTS_SET, set);
    });
    let table = absent_is_empty(table)?;
    let mut found = Vec::new();
    for message in messages(&table).filter(|message| message.kind == NEWSETELEM) {
        let Some(list) = body(message.body).and_then(|body| body.get_nested(ELEMENTS_LIST)) else {
            continue;
        };
        for (_, bytes) in list.filter(|(kind, _)| *kind == LIST_ELEMENT) {
            let element = Attributes::new(bytes);
            let value = |kind| {
                element.get_nested(kind).and_then(|data| read_bytes(&data).map(<[u8]>::to_vec))
            };
            let data = element.get_nested(ELEMENT_DATA);
            found.push(Element {
                key: value(ELEMENT_KEY).unwrap_or_default(),
                last: value(ELEMENT_KEY_END),
                bytes: value(ELEMENT_DATA),
                chain: data.and_then(|data| expression_chain(&data)),
                end: element.get_be32(ELEMENT_FLAGS).unwrap_or(0) & INTERVAL_END != 0,
            });
        }
    }
    Ok(found)
}

fn expression_chain(data: &Attributes<'_>) -> Option<String> {
    read_chain(data).map(str::to_owned)
}

/// Starts and ends, put together to ranges with inclusive ends.
fn pair(elements: &[Element]) -> Vec<Span> {
    let mut points: Vec<(&[u8], bool)> =
        elements.iter().map(|element| (element.key.as_slice(), !element.end)).collect();
    // Where one range ends and another starts at the same key, the end comes first.
    points.sort();
    let mut ranges = Vec::new();
    let mut open: Option<&[u8]> = None;
    for (key, start) in points {
        match (start, open.take()) {
            (true, None) => open = Some(key),
            // A start without an end in between reaches up to here.
            (true, Some(first)) => {
                ranges.push((first.to_vec(), before(key)));
                open = Some(key);
            }
            (false, Some(first)) => ranges.push((first.to_vec(), before(key))),
            // The kernel's own mark below the first range.
            (false, None) => {}
        }
    }
    if let Some(first) = open {
        ranges.push((first.to_vec(), vec![0xff; first.len()]));
    }
    ranges
}

fn dump(
    socket: &mut Socket,
    kind: u16,
    aim: &'static str,
    table_attribute: u16,
) -> Result<Vec<u8>, Error> {
    let result = socket.dump(kind, aim, |message| {
        message.raw(&header(INET));
        // Tables cannot be filtered by name in a dump.
        if kind != GETTABLE {
            message.put_text(table_attribute, TABLE);
        }
    });
    absent_is_empty(result)
}

pub(super) fn absent_is_empty(result: Result<Vec<u8>, Error>) -> Result<Vec<u8>, Error> {
    match result {
        Err(Error::Refused(refusal)) if refusal.errno == Errno::NOENT => Ok(Vec::new()),
        other => other,
    }
}

/// The attributes behind struct nfgenmsg.
pub(super) fn body(bytes: &[u8]) -> Option<Attributes<'_>> {
    bytes.get(4..).map(Attributes::new)
}

/// Whether the kernel's description of an expression says what `wanted` says. The kernel adds attributes with default values, so
/// every attribute that we write must be there with the same content; others may be there as well. The sets of lookups are
/// compared by the caller, who knows their names.
pub(crate) fn agrees(seen: &(String, Vec<u8>), wanted: &expression::Expression) -> bool {
    let mut bytes = Vec::new();
    wanted.write(&mut crate::netlink::Body::new(&mut bytes));
    let ours = Attributes::new(&bytes).get_nested(LIST_ELEMENT);
    let Some(ours) = ours.and_then(|ours| ours.get_nested(EXPR_DATA)) else { return false };
    let theirs = Attributes::new(&seen.1);
    if seen.0 != wanted.name() {
        return false;
    }
    match wanted.name() {
        // NFTA_LOOKUP_SREG, DREG and FLAGS.
        "lookup" => {
            [2, 3].into_iter().all(|kind| ours.get(kind) == theirs.get(kind))
                && theirs.get_be32(5).unwrap_or(0) == inverted(wanted)
        }
        // NFTA_IMMEDIATE_DREG and DATA, which holds a verdict or a value; the kernel does not mark it as nested.
        "immediate" => {
            let verdict = |data: &Attributes<'_>| {
                let verdict = data.get_nested(2)?.get_nested(2)?;
                Some((verdict.get(1)?.to_vec(), verdict.get_text(2).map(str::to_owned)))
            };
            let value = |data: &Attributes<'_>| Some(data.get_nested(2)?.get(1)?.to_vec());
            ours.get(1) == theirs.get(1)
                && verdict(&ours) == verdict(&theirs)
                && value(&ours) == value(&theirs)
        }
        _ => ours.into_iter().all(|(kind, value)| theirs.get(kind) == Some(value)),
    }
}

fn inverted(wanted: &expression::Expression) -> u32 {
    match wanted {
        expression::Expression::Find { present, .. } => u32::from(!present),
        _ => 0,
    }
}

/// The set that a lookup consults (NFTA_LOOKUP_SET).
pub(crate) fn consulted(seen: &(String, Vec<u8>)) -> Option<&str> {
    Attributes::new(&seen.1).get_text(1)
}
