//! Rules: a chain and the expressions that a packet passes in it, written so that a rule reads like a line of nft.

use std::net::SocketAddr;

use hostcompute_engine::plan::{Family, STEERED};

use super::expression::{
    Base, Connection, Expression, Meta, ORIGINAL, Original, Side, Source, Verdict, Word,
};
use super::set::{Field, Set};
use crate::netlink::Body;

/// A rule under construction or complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub chain: String,
    pub expressions: Vec<Expression>,
}

/// Something of a packet that can be part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    InName,
    OutName,
    LinkSource,
    SourceAddress,
    DestinationAddress,
    Protocol,
    SourcePort,
    DestinationPort,
    /// What the connection was opened to.
    OriginalDestination,
    OriginalPort,
    /// A random slot.
    RandomSlot(u32),
    /// The slot that belongs to the client's address.
    ClientSlot(u32),
}

/// States of connections (bits of NFT_CT_STATE).
pub(crate) const INVALID: u32 = 1;
pub(crate) const ESTABLISHED: u32 = 2;
pub(crate) const RELATED: u32 = 4;
/// Status bit of connections whose destination was translated (IPS_DST_NAT).
const TRANSLATED: u32 = 1 << 5;
/// The kind of addresses that are this host's own (RTN_LOCAL).
const LOCAL: u32 = 2;
/// The type of links with MACs (ARPHRD_ETHER).
const ETHERNET: u16 = 1;
/// The bits that tell our numbers of packets from those of others.
/// A word behind every key, for what is needed again.
const SAVED: Word = 8;
const NUMBERS: u32 = 0xffff_c000;
/// The end of register space.
const LAST_WORD: Word = 15;
/// The kernel's name of links of this kind.
const TUNNEL: &str = "vxlan";
/// The loopback interface has this index in every namespace.
const LOOPBACK: u32 = 1;

impl Rule {
    /// A rule at the end of a chain.
    pub(crate) fn on(chain: impl Into<String>) -> Self {
        Self { chain: chain.into(), expressions: Vec::new() }
    }

    pub(crate) fn family(self, family: Family) -> Self {
        let number = crate::route::family_number(family);
        self.meta(Meta::Family, true, vec![number])
    }

    pub(crate) fn in_group(self, group: u32) -> Self {
        self.meta(Meta::InGroup, true, group.to_ne_bytes().to_vec())
    }

    pub(crate) fn out_group(self, group: u32) -> Self {
        self.meta(Meta::OutGroup, true, group.to_ne_bytes().to_vec())
    }

    pub(crate) fn not_in_group(self, group: u32) -> Self {
        self.meta(Meta::InGroup, false, group.to_ne_bytes().to_vec())
    }

    pub(crate) fn not_out_group(self, group: u32) -> Self {
        self.meta(Meta::OutGroup, false, group.to_ne_bytes().to_vec())
    }

    pub(crate) fn not_in_loopback(self) -> Self {
        self.meta(Meta::InInterface, false, LOOPBACK.to_ne_bytes().to_vec())
    }

    pub(crate) fn out_loopback(self) -> Self {
        self.meta(Meta::OutInterface, true, LOOPBACK.to_ne_bytes().to_vec())
    }

    /// It came out of a tunnel.
    pub(crate) fn out_of_tunnel(self) -> Self {
        self.named(Meta::InKind, TUNNEL)
    }

    /// It goes into a tunnel.
    pub(crate) fn into_tunnel(self) -> Self {
        self.named(Meta::OutKind, TUNNEL)
    }

    /// What is sent to its source leaves by the interface by which it came.
    pub(crate) fn answered_there(self) -> Self {
        self.with(Expression::WayBack { to: 0 }).with(Expression::Compare {
            from: 0,
            equal: false,
            value: vec![0; 4],
        })
    }

    pub(crate) fn protocol(self, number: u8) -> Self {
        self.meta(Meta::Protocol, true, vec![number])
    }

    /// It is about to leave the host's own programs: the only packets at these hooks that know where they go already.
    pub(crate) fn leaving(self) -> Self {
        self.meta(Meta::OutInterface, false, 0_u32.to_ne_bytes().to_vec())
    }

    /// It goes the way that the connection was opened.
    pub(crate) fn there(self) -> Self {
        self.with(Expression::Connection { key: Connection::Direction, to: 0 })
            .with(Expression::Compare { from: 0, equal: true, value: vec![ORIGINAL] })
    }

    fn meta(self, key: Meta, equal: bool, value: Vec<u8>) -> Self {
        self.with(Expression::Meta { key, to: 0 }).with(Expression::Compare {
            from: 0,
            equal,
            value,
        })
    }

    /// The first byte of the transport header: the type of an ICMP message.
    pub(crate) fn message_type(self, number: u8) -> Self {
        self.with(Expression::Payload { base: Base::Transport, offset: 0, length: 1, to: 0 })
            .with(Expression::Compare { from: 0, equal: true, value: vec![number] })
    }

    /// The connection is in one of these states.
    pub(crate) fn state(self, states: u32) -> Self {
        self.bits(Connection::State, states)
    }

    /// The destination of the connection was translated.
    pub(crate) fn translated(self) -> Self {
        self.bits(Connection::Status, TRANSLATED)
    }

    fn bits(self, key: Connection, bits: u32) -> Self {
        self.with(Expression::Connection { key, to: 0 })
            .with(Expression::Mask { word: 0, mask: bits.to_ne_bytes().to_vec() })
            .with(Expression::Compare { from: 0, equal: false, value: vec![0; 4] })
    }

    /// The destination is none of this host's own addresses.
    pub(crate) fn not_to_local(self) -> Self {
        self.with(Expression::DestinationKind { to: 0 }).with(Expression::Compare {
            from: 0,
            equal: false,
            value: LOCAL.to_ne_bytes().to_vec(),
        })
    }

    /// An address of the packet lies in a prefix.
    pub(crate) fn address_in(self, family: Family, load: Load, net: ipnet::IpNet) -> Self {
        let (rule, _) = self.load(family, &[load]);
        let (mask, value) = (octets(net.netmask()), octets(net.network()));
        let rule = if usize::from(net.prefix_len()) == mask.len() * 8 {
            rule
        } else {
            rule.with(Expression::Mask { word: 0, mask })
        };
        rule.with(Expression::Compare { from: 0, equal: true, value })
    }

    /// The key made of these parts is in the set.
    pub(crate) fn found(self, family: Family, key: &[Load], set: Set) -> Self {
        let set = Source::Named(set.name(family));
        self.load(family, key).0.with(Expression::Find { from: 0, set, present: true })
    }

    /// The key made of these parts is not in the set.
    pub(crate) fn not_found(self, family: Family, key: &[Load], set: Set) -> Self {
        let set = Source::Named(set.name(family));
        self.load(family, key).0.with(Expression::Find { from: 0, set, present: false })
    }

    /// Does what the map of chains says for the key.
    pub(crate) fn decide(self, family: Family, key: &[Load], set: Set) -> Self {
        let set = Source::Named(set.name(family));
        self.load(family, key).0.with(Expression::Decide { from: 0, set })
    }

    /// Jumps to the chain whose number the map has for the key.
    pub(crate) fn decide_by_list(self, family: Family, key: &[Load], set: Set) -> Self {
        let names = Source::Named(set.name(family));
        let lists = Source::Named(Set::Lists.name(family));
        // The number goes through the packet's own for a moment: nft 1.0.6 crashes when it lists a rule that looks up what it has just
        // looked up.
        self.with(Expression::Meta { key: Meta::Mark, to: SAVED })
            .load(family, key)
            .0
            .with(Expression::Map { from: 0, set: names, to: 0 })
            .with(Expression::SetMark { from: 0 })
            .with(Expression::Meta { key: Meta::Mark, to: 0 })
            .with(Expression::SetMark { from: SAVED })
            .with(Expression::Decide { from: 0, set: lists })
    }

    /// Translates the destination to the address and port that the map has for the key.
    pub(crate) fn send_to(self, family: Family, key: &[Load], set: Set) -> Self {
        let set = Source::Named(set.name(family));
        self.load(family, key).0.with(Expression::Map { from: 0, set, to: 0 }).with(
            Expression::Translate {
                side: Side::Destination,
                family,
                address: 0,
                port: Some(Field::Address.words(family)),
            },
        )
    }

    /// Translates the source to the address that the map has for the key.
    pub(crate) fn appear_as(self, family: Family, key: &[Load], set: Set) -> Self {
        let set = Source::Named(set.name(family));
        self.load(family, key)
            .0
            .with(Expression::Map { from: 0, set, to: 0 })
            .with(Expression::Translate { side: Side::Source, family, address: 0, port: None })
    }

    /// The same, with one of the ports that another map has for the sender.
    pub(crate) fn appear_within(self, family: Family, set: Set, ports: Set) -> Self {
        let (rule, ports) = self.ports_of_source(family, ports);
        let set = Source::Named(set.name(family));
        rule.load(family, &[Load::SourceAddress])
            .0
            .with(Expression::Map { from: 0, set, to: 0 })
            .with(Expression::TranslateWithin { family, address: 0, ports })
    }

    /// Masquerades with one of the ports that the map has for the sender.
    pub(crate) fn masquerade_within(self, family: Family, ports: Set) -> Self {
        let (rule, ports) = self.ports_of_source(family, ports);
        rule.with(Expression::MasqueradeWithin { ports })
    }

    /// The first and the last port that the map has for the sender, in registers that no address reaches.
    fn ports_of_source(self, family: Family, ports: Set) -> (Self, (Word, Word)) {
        const FIRST: Word = 8;
        let set = Source::Named(ports.name(family));
        let loaded = self.load(family, &[Load::SourceAddress]).0;
        (loaded.with(Expression::Map { from: 0, set, to: FIRST }), (FIRST, FIRST + 1))
    }

    /// Puts what the connection was opened to in the place of the destination.
    pub(crate) fn restore_destination(self, family: Family) -> Self {
        let (rule, _) = self.load(family, &[Load::OriginalDestination]);
        let (_, offset) = address_offsets(family);
        rule.with(Expression::Overwrite { family, offset, from: 0 })
    }

    /// Puts the address that the map has for the key in the place of the source, before the connection is looked up.
    pub(crate) fn regain_source(self, family: Family, key: &[Load], set: Set) -> Self {
        let set = Source::Named(set.name(family));
        let (offset, _) = address_offsets(family);
        self.load(family, key)
            .0
            .with(Expression::Map { from: 0, set, to: 0 })
            .with(Expression::Overwrite { family, offset, from: 0 })
    }

    /// Gives the packet the number that the map has for the key.
    pub(crate) fn number_by(self, family: Family, key: &[Load], set: Set) -> Self {
        let set = Source::Named(set.name(family));
        let loaded = self.load(family, key).0;
        loaded.with(Expression::Map { from: 0, set, to: 0 }).with(Expression::SetMark { from: 0 })
    }

    /// The packet has a number of ours.
    pub(crate) fn numbered(self) -> Self {
        self.with(Expression::Meta { key: Meta::Mark, to: 0 })
            .with(Expression::Mask { word: 0, mask: NUMBERS.to_ne_bytes().to_vec() })
            .with(Expression::Compare {
                from: 0,
                equal: true,
                value: (STEERED & NUMBERS).to_ne_bytes().to_vec(),
            })
    }

    /// Translates the destination to an address and port.
    pub(crate) fn translate_to(self, to: SocketAddr) -> Self {
        let family = Family::of(&to.ip());
        let port = Field::Address.words(family);
        self.with(Expression::Load { to: 0, value: octets(to.ip()) })
            .with(Expression::Load { to: port, value: to.port().to_be_bytes().to_vec() })
            .with(Expression::Translate {
                side: Side::Destination,
                family,
                address: 0,
                port: Some(port),
            })
    }

    /// Translates the destination to a port of the namespace that the packet is in.
    pub(crate) fn intercept(self, port: u16) -> Self {
        self.with(Expression::Load { to: 0, value: port.to_be_bytes().to_vec() })
            .with(Expression::Intercept { port: 0 })
    }

    /// The interface that a packet came or leaves by has this name.
    pub(crate) fn interface(self, which: Meta, name: &str) -> Self {
        self.named(which, name)
    }

    /// Names are compared as 16 bytes filled up with zeros.
    fn named(self, which: Meta, name: &str) -> Self {
        let mut value: Vec<u8> = name.bytes().collect();
        value.resize(Field::Name.length(Family::V4), 0);
        self.meta(which, true, value)
    }

    /// The user whose program sends the packet.
    pub(crate) fn user(self, user: u32) -> Self {
        self.meta(Meta::User, true, user.to_ne_bytes().to_vec())
    }

    pub(crate) fn masquerade(self) -> Self {
        self.with(Expression::Masquerade)
    }

    pub(crate) fn accept(self) -> Self {
        self.verdict(Verdict::Accept)
    }

    pub(crate) fn drop(self) -> Self {
        self.verdict(Verdict::Drop)
    }

    pub(crate) fn back(self) -> Self {
        self.verdict(Verdict::Return)
    }

    pub(crate) fn goto(self, chain: impl Into<String>) -> Self {
        self.verdict(Verdict::Goto(chain.into()))
    }

    /// Into another chain, and back at its end.
    pub(crate) fn jump(self, chain: impl Into<String>) -> Self {
        self.verdict(Verdict::Jump(chain.into()))
    }

    pub(crate) fn verdict(self, verdict: Verdict) -> Self {
        self.with(Expression::Verdict(verdict))
    }

    pub(crate) fn with(mut self, expression: Expression) -> Self {
        self.expressions.push(expression);
        self
    }

    /// Loads the parts of a key one after the other; returns the first free word too.
    pub(crate) fn load(mut self, family: Family, key: &[Load]) -> (Self, Word) {
        let mut word = 0;
        for part in key {
            word = self.load_one(family, *part, word);
        }
        (self, word)
    }

    fn load_one(&mut self, family: Family, part: Load, to: Word) -> Word {
        let (source, destination) = address_offsets(family);
        let size = Field::Address.length(family) as u32;
        let payload = |base, offset, length| Expression::Payload { base, offset, length, to };
        self.show_headers(family, part);
        let (expression, words) = match part {
            Load::InName => (Expression::Meta { key: Meta::InName, to }, Field::Name.words(family)),
            Load::OutName => {
                (Expression::Meta { key: Meta::OutName, to }, Field::Name.words(family))
            }
            Load::LinkSource => (payload(Base::Link, 6, 6), Field::Mac.words(family)),
            Load::SourceAddress => {
                (payload(Base::Network, source, size), Field::Address.words(family))
            }
            Load::DestinationAddress => {
                (payload(Base::Network, destination, size), Field::Address.words(family))
            }
            Load::Protocol => (Expression::Meta { key: Meta::Protocol, to }, 1),
            Load::SourcePort => (payload(Base::Transport, 0, 2), 1),
            Load::DestinationPort => (payload(Base::Transport, 2, 2), 1),
            Load::OriginalDestination => {
                let key = match family {
                    Family::V4 => Original::Destination4,
                    Family::V6 => Original::Destination6,
                };
                (Expression::Original { key, to }, Field::Address.words(family))
            }
            Load::OriginalPort => (Expression::Original { key: Original::DestinationPort, to }, 1),
            Load::RandomSlot(modulus) => (Expression::Random { modulus, to }, 1),
            Load::ClientSlot(modulus) => {
                // The client's address goes behind the key and its hash into the key.
                let client = to + 1;
                self.load_one(family, Load::SourceAddress, client);
                (Expression::Hash { from: client, length: size, modulus, to }, 1)
            }
        };
        self.expressions.push(expression);
        to + words
    }

    /// Says which header follows, before the first field of it is loaded. The packets that come here have no other, but without
    /// this `nft list` shows bytes instead of names, and people read it when they look for a fault.
    fn show_headers(&mut self, family: Family, part: Load) {
        let (key, value) = match part {
            Load::SourceAddress | Load::DestinationAddress => {
                (Meta::Family, vec![crate::route::family_number(family)])
            }
            Load::LinkSource => (Meta::InType, ETHERNET.to_ne_bytes().to_vec()),
            _ => return,
        };
        let shown = |expression: &Expression| matches!(expression, Expression::Meta { key: k, .. } if *k == key);
        if !self.expressions.iter().any(shown) {
            // The highest word is free: keys are shorter.
            let comparison = Expression::Compare { from: LAST_WORD, equal: true, value };
            self.expressions.push(Expression::Meta { key, to: LAST_WORD });
            self.expressions.push(comparison);
        }
    }

    /// Writes the rule (NFT_MSG_NEWRULE).
    pub(crate) fn write(&self, body: &mut Body<'_>) {
        body.put_text(RULE_TABLE, super::TABLE).put_text(RULE_CHAIN, &self.chain);
        body.nest(RULE_EXPRESSIONS, |list| {
            for expression in &self.expressions {
                expression.write(list);
            }
        });
    }
}

pub(crate) const RULE_TABLE: u16 = 1;
pub(crate) const RULE_CHAIN: u16 = 2;
pub(crate) const RULE_EXPRESSIONS: u16 = 4;

/// Where the header has the source and the destination.
fn address_offsets(family: Family) -> (u32, u32) {
    match family {
        Family::V4 => (12, 16),
        Family::V6 => (8, 24),
    }
}

fn octets(address: std::net::IpAddr) -> Vec<u8> {
    crate::route::with_octets(address, <[u8]>::to_vec)
}
