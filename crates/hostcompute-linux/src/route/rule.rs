//! Rules that choose a routing table.

use std::net::IpAddr;

use hostcompute_engine::plan::Family;
use ipnet::IpNet;

use super::path::ORIGIN;
use super::{AF_INET, AF_INET6, address_of, family_number, with_octets};
use crate::error::Error;
use crate::netlink::attribute::array_of;
use crate::netlink::message::Note;
use crate::netlink::{Attributes, Body, Datagram, Message, Socket, flag, messages};

const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_PROTOCOL: u16 = 21;
const FR_ACT_TO_TBL: u8 = 1;
const FR_ACT_GOTO: u8 = 2;
/// The kernel's own rule that looks into table main, and that table.
pub(crate) const MAIN_RULE: u32 = 32_766;
pub(crate) const MAIN: u32 = 254;
/// "Suppress nothing", as the kernel shows it.
const NO_LENGTH: u32 = u32::MAX;

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// Look the destination up there; routes to prefixes of this length or shorter do not count.
    Table { number: u32, suppress: Option<u32> },
    /// Go on at this priority.
    Goto(u32),
}

/// A rule about packets from a range.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    pub priority: u32,
    pub from: IpNet,
    /// Only what came in by this link; "lo" is the host itself.
    pub link: Option<String>,
    /// Only packets that carry this number.
    pub mark: Option<u32>,
    pub action: Action,
}

pub(crate) fn push_add(datagram: &mut Datagram, note: Note, rule: &Rule) {
    datagram.push(RTM_NEWRULE, flag::CREATE | flag::EXCLUSIVE, note, |body| write(body, rule));
}

pub(crate) fn push_remove(datagram: &mut Datagram, note: Note, rule: &Rule) {
    datagram.push(RTM_DELRULE, 0, note, |body| write(body, rule));
}

fn write(body: &mut Body<'_>, rule: &Rule) {
    let family = family_number(Family::of(&rule.from.addr()));
    let action = match rule.action {
        Action::Table { .. } => FR_ACT_TO_TBL,
        Action::Goto(_) => FR_ACT_GOTO,
    };
    // struct fib_rule_hdr; the table is an attribute.
    body.raw(&[family, 0, rule.from.prefix_len(), 0, 0, 0, 0, action]).raw(&[0; 4]);
    if rule.from.prefix_len() > 0 {
        with_octets(rule.from.network(), |octets| {
            body.put(FRA_SRC, octets);
        });
    }
    if let Some(mark) = rule.mark {
        body.put_u32(FRA_FWMARK, mark).put_u32(FRA_FWMASK, u32::MAX);
    }
    if let Some(link) = &rule.link {
        body.put_text(FRA_IIFNAME, link);
    }
    body.put_u32(FRA_PRIORITY, rule.priority).put_u8(FRA_PROTOCOL, ORIGIN);
    match rule.action {
        Action::Table { number, suppress } => {
            body.put_u32(FRA_TABLE, number);
            if let Some(length) = suppress {
                body.put_u32(FRA_SUPPRESS_PREFIXLEN, length);
            }
        }
        Action::Goto(priority) => {
            body.put_u32(FRA_GOTO, priority);
        }
    }
}

/// A rule of ours; others are not looked at.
fn read(message: &Message<'_>) -> Option<Rule> {
    if message.kind != RTM_NEWRULE {
        return None;
    }
    let [family, _, length, _, short, _, _, action]: [u8; 8] = array_of(message.body, 0)?;
    let attributes = Attributes::new(message.body.get(12..)?);
    if attributes.get(FRA_PROTOCOL) != Some(&[ORIGIN]) {
        return None;
    }
    let any = match family {
        AF_INET6 => IpAddr::from([0; 16]),
        _ => IpAddr::from([0; 4]),
    };
    let suppress = attributes.get_u32(FRA_SUPPRESS_PREFIXLEN).filter(|length| *length != NO_LENGTH);
    Some(Rule {
        priority: attributes.get_u32(FRA_PRIORITY).unwrap_or_default(),
        from: IpNet::new(attributes.get(FRA_SRC).and_then(address_of).unwrap_or(any), length)
            .ok()?,
        mark: attributes.get_u32(FRA_FWMARK),
        link: attributes.get_text(FRA_IIFNAME).map(str::to_owned),
        action: match action {
            FR_ACT_GOTO => Action::Goto(attributes.get_u32(FRA_GOTO)?),
            _ => Action::Table {
                number: attributes.get_u32(FRA_TABLE).unwrap_or(u32::from(short)),
                suppress,
            },
        },
    })
}

/// Every rule of ours in the socket's namespace.
pub(crate) fn dump(socket: &mut Socket) -> Result<Vec<Rule>, Error> {
    let mut rules = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let table = socket.dump(RTM_GETRULE, "list the routing rules", |body| {
            body.raw(&[family, 0, 0, 0, 0, 0, 0, 0]).raw(&[0; 4]);
        });
        match table {
            Ok(table) => rules.extend(messages(&table).filter_map(|message| read(&message))),
            // A kernel without IPv6, or without rules, has none of ours.
            Err(Error::Refused(refusal))
                if refusal.errno == rustix::io::Errno::OPNOTSUPP
                    || refusal.errno == rustix::io::Errno::AFNOSUPPORT => {}
            Err(error) => return Err(error),
        }
    }
    Ok(rules)
}
