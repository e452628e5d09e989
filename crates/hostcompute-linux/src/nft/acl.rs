//! Access rules as nftables rules. A list of several values becomes a set that belongs to its rule.

use std::net::IpAddr;

use hostcompute_engine::plan::{AclChain, AclRule, Direction, End, Family, PortRange, SetMatch};
use ipnet::IpNet;

use super::element::Span;
use super::expression::{Expression, Source};
use super::rule::{Load, Rule};
use super::ruleset::conclude;
use super::set::Set;

/// A set that belongs to a rule: sorted ranges that neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnSet {
    pub number: u32,
    pub kind: Kind,
    pub ranges: Vec<Span>,
}

/// What the values of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Address(Family),
    Protocol,
    Port,
}

/// Protocols whose header starts with two ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// The rules of a chain, with the sets they own. Numbers of sets start at `first_number`.
pub(crate) fn rules(chain: &AclChain, first_number: u32) -> Vec<(Rule, Vec<OwnSet>)> {
    let mut number = first_number;
    let mut rules: Vec<_> = chain
        .rules
        .iter()
        .map(|rule| {
            let mut building = Building { rule: Rule::on(&chain.name), sets: Vec::new(), number };
            building.conditions(rule, chain.direction);
            number = building.number;
            (conclude(building.rule, &rule.verdict), building.sets)
        })
        .collect();
    rules.push((conclude(Rule::on(&chain.name), &chain.otherwise), Vec::new()));
    rules
}

struct Building {
    rule: Rule,
    sets: Vec<OwnSet>,
    number: u32,
}

impl Building {
    fn conditions(&mut self, rule: &AclRule, direction: Direction) {
        let (local, remote, local_port, remote_port) = match direction {
            Direction::In => (
                Load::DestinationAddress,
                Load::SourceAddress,
                Load::DestinationPort,
                Load::SourcePort,
            ),
            Direction::Out => (
                Load::SourceAddress,
                Load::DestinationAddress,
                Load::SourcePort,
                Load::DestinationPort,
            ),
        };
        let mut nets = rule.local.iter().chain(&rule.remote);
        let family = rule.family.or_else(|| nets.next().map(|net| Family::of(&net.addr())));
        if let Some(family) = family {
            self.rule = std::mem::replace(&mut self.rule, Rule::on("")).family(family);
        }
        let has_ports = !rule.local_ports.is_empty() || !rule.remote_ports.is_empty();
        let protocols: &[u8] =
            if rule.protocols.is_empty() && has_ports { &WITH_PORTS } else { &rule.protocols };
        let protocols = protocols.iter().map(|number| (vec![*number], vec![*number]));
        self.one_of(Kind::Protocol, Load::Protocol, protocols.collect());
        if let Some(family) = family {
            self.one_of(Kind::Address(family), local, rule.local.iter().map(net_range).collect());
            self.one_of(Kind::Address(family), remote, rule.remote.iter().map(net_range).collect());
        }
        for wanted in &rule.sets {
            self.in_set(*wanted, family.unwrap_or(Family::V4));
        }
        self.one_of(Kind::Port, local_port, rule.local_ports.iter().map(port_range).collect());
        self.one_of(Kind::Port, remote_port, rule.remote_ports.iter().map(port_range).collect());
    }

    /// An end of the packet's way is in a set of addresses.
    fn in_set(&mut self, wanted: SetMatch, family: Family) {
        let (address, port) = match wanted.end {
            End::Source => (Load::SourceAddress, Load::SourcePort),
            End::Destination => (Load::DestinationAddress, Load::DestinationPort),
        };
        let rule = std::mem::replace(&mut self.rule, Rule::on(""));
        self.rule = match wanted.ports {
            true => {
                let key = [address, Load::Protocol, port];
                rule.found(family, &key, Set::Services(wanted.number))
            }
            false => rule.found(family, &[address], Set::Addresses(wanted.number)),
        };
    }

    /// The loaded value lies in one of the ranges; no range means any value.
    fn one_of(&mut self, kind: Kind, load: Load, ranges: Vec<Span>) {
        if ranges.is_empty() {
            return;
        }
        let family = match kind {
            Kind::Address(family) => family,
            // Protocols and ports are at the same place in both families.
            Kind::Protocol | Kind::Port => Family::V4,
        };
        let rule = std::mem::replace(&mut self.rule, Rule::on(""));
        let (rule, _) = rule.load(family, &[load]);
        let mut ranges = merged(ranges);
        self.rule = rule.with(match (ranges.pop(), ranges.is_empty()) {
            (Some((first, last)), true) if first == last => {
                Expression::Compare { from: 0, equal: true, value: first }
            }
            (Some((first, last)), true) => Expression::Between { from: 0, first, last },
            (last, _) => {
                ranges.extend(last);
                let number = self.number;
                self.number += 1;
                self.sets.push(OwnSet { number, kind, ranges });
                Expression::Find { from: 0, set: Source::Own(number), present: true }
            }
        });
    }
}

/// Sorts ranges and joins those that overlap or touch: a set refuses overlapping ones.
fn merged(mut ranges: Vec<Span>) -> Vec<Span> {
    ranges.sort();
    let mut result: Vec<Span> = Vec::new();
    for (first, last) in ranges {
        match result.last_mut() {
            // Nothing comes after the highest value, so that everything that follows is within.
            Some((_, end)) if super::element::after(end).is_none_or(|next| first <= next) => {
                if last > *end {
                    *end = last;
                }
            }
            _ => result.push((first, last)),
        }
    }
    result
}

fn net_range(net: &IpNet) -> Span {
    (octets(net.network()), octets(net.broadcast()))
}

fn octets(address: IpAddr) -> Vec<u8> {
    crate::route::with_octets(address, <[u8]>::to_vec)
}

fn port_range(range: &PortRange) -> Span {
    (range.first.to_be_bytes().to_vec(), range.last.to_be_bytes().to_vec())
}

impl Kind {
    /// nft's number of the type, and its length.
    pub(crate) fn type_and_length(self) -> (u32, u32) {
        use super::set::Field;
        let (field, family) = match self {
            Kind::Address(family) => (Field::Address, family),
            Kind::Protocol => (Field::Protocol, Family::V4),
            Kind::Port => (Field::Port, Family::V4),
        };
        (field.type_number(family), field.length(family) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined_where_they_overlap_or_touch() {
        let port =
            |first: u16, last: u16| (first.to_be_bytes().to_vec(), last.to_be_bytes().to_vec());
        let joined = merged(vec![port(90, 100), port(80, 89), port(95, 97), port(200, 200)]);
        assert_eq!(joined, [port(80, 100), port(200, 200)]);
        assert_eq!(merged(vec![port(0, 65535), port(65535, 65535)]), [port(0, 65535)]);
    }
}
