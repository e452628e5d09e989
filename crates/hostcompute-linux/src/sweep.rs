//! Strays: naming what is ours and belongs to nothing, and removing it.
//!
//! The engine passes a stray's handle back unread, possibly after a restart, so the handle is text. Before anything is removed
//! it is looked at again: a link must still carry our mark.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hostcompute_engine::plan::{Family, Stray};
use hostcompute_schema::Guid;
use ipnet::IpNet;

use crate::error::Error;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient};
use crate::nft::element::{Data, Entry};
use crate::nft::set::Set;
use crate::nft::transaction::Change;
use crate::nft::{guise, inside};
use crate::route::destination::{self, Destination};
use crate::route::path::{self, Path, Target};
use crate::route::rule::{self, Action, Rule};
use crate::route::{address, link, neighbour};
use crate::{Linux, cleanup, forwarding, marks, resolver};

/// Something with our mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Handle {
    Link {
        index: u32,
        name: String,
    },
    Address {
        index: u32,
        address: IpNet,
    },
    Path(Path),
    Destination(Destination),
    Rule(Rule),
    /// A route of a table of ours.
    Way(u32, Path),
    Proxy {
        index: u32,
        address: IpAddr,
    },
    Netns(String),
    Resolver(Guid),
    /// The packet filter of a namespace.
    Inside(Guid),
    Forwarding(Family),
    /// An adapter, by name, that answers solicitations for others.
    Solicited(String),
    /// The MACs of endpoints at an adapter's way out, by table.
    Guise(String),
    Table,
    Chain(String),
    Element((Set, Family, Vec<u8>, Option<Vec<u8>>)),
    /// A set of addresses.
    Set(Set, Family),
}

/// The changes to the packet filter that remove the stray.
pub(crate) fn filter_changes(stray: &Stray) -> Vec<Change> {
    match stray.handle.parse() {
        Ok(Handle::Table) => vec![Change::RemoveTable],
        Ok(Handle::Chain(name)) => vec![Change::RemoveChain(name)],
        Ok(Handle::Set(set, family)) => vec![Change::RemoveSet(set, family)],
        Ok(Handle::Element((set, family, key, last))) => {
            vec![Change::RemoveElement(Entry { set, family, key, last, data: Data::None })]
        }
        _ => Vec::new(),
    }
}

/// Removes the stray, if it is not in the packet filter.
pub(crate) fn perform(host: &mut Linux, stray: &Stray, step: usize) -> Result<(), Error> {
    let note = |aim| Note { step, aim, lenient: Lenient::Absent };
    let mut datagram = Datagram::default();
    match stray.handle.parse()? {
        Handle::Link { index, name } => {
            match link::get(&mut host.route, index)? {
                // Gone, or the index belongs to another link by now.
                None => return Ok(()),
                Some(link) if link.name != name || !marks::is_ours(&link) => return Ok(()),
                Some(_) => {}
            }
            link::push_group(
                &mut datagram,
                note("retire the interface"),
                index,
                hostcompute_engine::plan::DYING_GROUP,
            );
            host.route.exchange(&mut datagram)?;
            return cleanup::delete_group(&mut host.route);
        }
        Handle::Address { index, address } => {
            address::push_remove(&mut datagram, note("remove the address"), index, address);
        }
        Handle::Path(path) => path::push_remove(&mut datagram, note("remove the route"), &path),
        Handle::Destination(entry) => {
            destination::push_remove(&mut datagram, note("make the tunnel forget a host"), entry);
        }
        Handle::Rule(stray) => {
            rule::push_remove(&mut datagram, note("remove the routing rule"), &stray);
        }
        Handle::Way(table, path) => {
            path::push_remove_from(&mut datagram, note("remove the route"), &path, table);
        }
        Handle::Proxy { index, address } => {
            let note = note("answer no more for an address");
            neighbour::push_remove_proxy(&mut datagram, note, index, address);
        }
        Handle::Netns(name) => {
            if let Ok(netns) = name.parse() {
                host.namespaces.remove(netns)?;
            }
        }
        Handle::Resolver(netns) => resolver::remove(&host.resolver_dir, netns)?,
        Handle::Inside(netns) => {
            if host.namespaces.exists(netns) {
                inside::remove(&mut host.namespaces.filter(netns)?)?;
            }
        }
        Handle::Forwarding(family) => {
            let (saved, scene) = (&host.saved, &host.scene);
            host.within(|| forwarding::restore(saved, scene, family))?;
        }
        Handle::Solicited(uplink) => {
            let (saved, scene) = (&host.saved, &host.scene);
            host.within(|| forwarding::restore_solicitations(saved, scene, &uplink))?;
        }
        Handle::Guise(name) => guise::remove(&mut host.netfilter, &name)?,
        Handle::Table | Handle::Chain(_) | Handle::Element(_) | Handle::Set(..) => {}
    }
    host.route.exchange(&mut datagram)
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { index, name } => write!(f, "link {index} {name}"),
            Self::Address { index, address } => write!(f, "address {index} {address}"),
            Self::Path(path) => {
                f.write_str("route ")?;
                write_path(f, path)
            }
            Self::Way(table, path) => {
                write!(f, "way {table} ")?;
                write_path(f, path)
            }
            Self::Rule(Rule { priority, from, link, mark, action }) => {
                let link = link.as_deref().unwrap_or("*");
                write!(f, "rule {priority} {from} {link} {} ", mark.unwrap_or_default())?;
                match action {
                    Action::Goto(target) => write!(f, "goto {target}"),
                    Action::Table { number, suppress: None } => write!(f, "table {number}"),
                    Action::Table { number, suppress: Some(length) } => {
                        write!(f, "table {number} {length}")
                    }
                }
            }
            Self::Proxy { index, address } => write!(f, "proxy {index} {address}"),
            Self::Destination(Destination { index, mac, host }) => {
                write!(f, "destination {index} {mac} {host}")
            }
            Self::Netns(name) => write!(f, "netns {name}"),
            Self::Resolver(netns) => write!(f, "resolver {netns}"),
            Self::Inside(netns) => write!(f, "inside {netns}"),
            Self::Forwarding(family) => write!(f, "forwarding {family:?}"),
            Self::Solicited(uplink) => write!(f, "solicited {uplink}"),
            Self::Guise(name) => write!(f, "guise {name}"),
            Self::Table => write!(f, "table"),
            Self::Chain(name) => write!(f, "chain {name}"),
            Self::Set(set, family) => write!(f, "set {}", set.name(*family)),
            Self::Element((set, family, key, last)) => {
                write!(f, "element {} {}", set.name(*family), hex(key))?;
                last.as_ref().map_or(Ok(()), |last| write!(f, " {}", hex(last)))
            }
        }
    }
}

fn write_path(f: &mut fmt::Formatter<'_>, path: &Path) -> fmt::Result {
    write!(f, "{} {} ", path.destination, path.metric)?;
    match path.target {
        Target::Device(index) => write!(f, "device {index}"),
        Target::Gateway(index, hop) => write!(f, "gateway {index} {hop}"),
        Target::Unreachable | Target::Other => write!(f, "unreachable"),
    }
}

fn parse_path(words: &[&str]) -> Option<Path> {
    let [destination, metric, target @ ..] = words else { return None };
    Some(Path {
        destination: destination.parse().ok()?,
        metric: metric.parse().ok()?,
        source: None,
        target: match target {
            ["device", index] => Target::Device(index.parse().ok()?),
            ["gateway", index, hop] => Target::Gateway(index.parse().ok()?, hop.parse().ok()?),
            ["unreachable"] => Target::Unreachable,
            _ => return None,
        },
    })
}

fn parse_rule(words: &[&str]) -> Option<Rule> {
    let [priority, from, link, mark, action @ ..] = words else { return None };
    Some(Rule {
        priority: priority.parse().ok()?,
        from: from.parse().ok()?,
        link: Some(*link).filter(|link| *link != "*").map(str::to_owned),
        mark: Some(mark.parse().ok()?).filter(|mark| *mark != 0),
        action: match action {
            ["goto", target] => Action::Goto(target.parse().ok()?),
            ["table", number] => Action::Table { number: number.parse().ok()?, suppress: None },
            ["table", number, length] => {
                Action::Table { number: number.parse().ok()?, suppress: Some(length.parse().ok()?) }
            }
            _ => return None,
        },
    })
}

impl FromStr for Handle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| {
            let error = std::io::Error::other(format!("{text:?} is no handle of ours"));
            Error::system("understand a stray", error)
        })
    }
}

fn parse(text: &str) -> Option<Handle> {
    let words: Vec<&str> = text.split(' ').collect();
    Some(match words.as_slice() {
        ["link", index, name] => {
            Handle::Link { index: index.parse().ok()?, name: (*name).to_owned() }
        }
        ["address", index, address] => {
            Handle::Address { index: index.parse().ok()?, address: address.parse().ok()? }
        }
        ["route", path @ ..] => Handle::Path(parse_path(path)?),
        ["way", table, path @ ..] => Handle::Way(table.parse().ok()?, parse_path(path)?),
        ["rule", rule @ ..] => Handle::Rule(parse_rule(rule)?),
        ["proxy", index, address] => {
            Handle::Proxy { index: index.parse().ok()?, address: address.parse().ok()? }
        }
        ["destination", index, mac, host] => Handle::Destination(Destination {
            index: index.parse().ok()?,
            mac: mac.parse().ok()?,
            host: host.parse().ok()?,
        }),
        ["netns", name] => Handle::Netns((*name).to_owned()),
        ["resolver", netns] => Handle::Resolver(netns.parse().ok()?),
        ["inside", netns] => Handle::Inside(netns.parse().ok()?),
        ["forwarding", "V4"] => Handle::Forwarding(Family::V4),
        ["forwarding", "V6"] => Handle::Forwarding(Family::V6),
        ["solicited", uplink] => Handle::Solicited((*uplink).to_owned()),
        ["guise", name] => Handle::Guise((*name).to_owned()),
        ["table"] => Handle::Table,
        ["chain", name] => Handle::Chain((*name).to_owned()),
        ["set", name] => {
            let (set, family) = Set::of_addresses(name)?;
            Handle::Set(set, family)
        }
        ["element", set, key, last @ ..] => {
            let fixed = || Set::all().find(|(candidate, f)| candidate.name(*f) == *set);
            let (set, family) = Set::of_addresses(set).or_else(fixed)?;
            let last = match last {
                [] => None,
                [last] => Some(unhex(last)?),
                _ => return None,
            };
            Handle::Element((set, family, unhex(key)?, last))
        }
        _ => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostcompute_engine::mac::Mac;

    #[track_caller]
    fn check(handle: Handle) {
        assert_eq!(parse(&handle.to_string()), Some(handle));
    }

    #[test]
    fn handles_survive_as_text() {
        check(Handle::Link { index: 7, name: "he0123".to_owned() });
        check(Handle::Address { index: 7, address: "fd00::1/64".parse().unwrap() });
        for target in [
            Target::Device(3),
            Target::Gateway(3, "10.0.0.1".parse().unwrap()),
            Target::Unreachable,
        ] {
            let destination = "10.1.0.0/16".parse().unwrap();
            let path = Path { destination, target, source: None, metric: 5 };
            check(Handle::Path(path));
            check(Handle::Way(77, path));
        }
        for action in [
            Action::Goto(7),
            Action::Table { number: 9, suppress: None },
            Action::Table { number: 9, suppress: Some(31) },
        ] {
            for link in [None, Some("up0".to_owned())] {
                let (from, action) = ("10.0.0.0/8".parse().unwrap(), action.clone());
                for mark in [None, Some(7)] {
                    let (link, action) = (link.clone(), action.clone());
                    check(Handle::Rule(Rule { priority: 5, from, link, mark, action }));
                }
            }
        }
        check(Handle::Proxy { index: 2, address: "10.0.0.7".parse().unwrap() });
        let (mac, host) = (Mac([2, 0, 0, 0, 0, 1]), "192.0.2.1".parse().unwrap());
        check(Handle::Destination(Destination { index: 4, mac, host }));
        check(Handle::Forwarding(Family::V6));
        check(Handle::Solicited("eth0".to_owned()));
        check(Handle::Guise("hostcompute_hb7".to_owned()));
        check(Handle::Table);
        check(Handle::Chain("x".to_owned()));
        check(Handle::Resolver(Guid::default()));
        check(Handle::Inside(Guid::default()));
        check(Handle::Netns("x".to_owned()));
        check(Handle::Set(Set::Addresses(0x100_0002), Family::V4));
        check(Handle::Set(Set::Services(7), Family::V6));
        check(Handle::Element((Set::Services(7), Family::V6, vec![1], Some(vec![2]))));
        check(Handle::Element((Set::Slot(1), Family::V6, vec![1, 255], None)));
        check(Handle::Element((Set::Outbound, Family::V4, vec![10, 0], Some(vec![10, 255]))));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "link", "link x y", "element nowhere 00", "element source4 0", "route"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
