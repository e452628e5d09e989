//! Expressions: the instructions that rules are made of, as the kernel's virtual machine knows them.
//!
//! Registers are counted in words of four bytes, 0 to 15. The kernel shows word 0, 4, 8 and 12 under the old names of the
//! 16-byte registers; we write them like that too, so that what is read equals what was written.

use hostcompute_engine::plan::Family;

use crate::netlink::Body;

/// A word of register space.
pub(crate) type Word = u8;

/// Facts about a packet outside its bytes (linux/netfilter/nf_tables.h, NFT_META_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meta {
    EtherType = 1,
    Mark = 3,
    InInterface = 4,
    OutInterface = 5,
    InName = 6,
    OutName = 7,
    InType = 8,
    User = 10,
    Family = 15,
    Protocol = 16,
    PacketType = 19,
    InGroup = 21,
    OutGroup = 22,
    InKind = 26,
    OutKind = 27,
}

/// Facts about the connection a packet belongs to (NFT_CT_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connection {
    State = 0,
    Direction = 1,
    Status = 2,
}

/// What the first packet of a connection asked for, before any translation (NFT_CT_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Original {
    DestinationPort = 12,
    Destination4 = 20,
    Destination6 = 22,
}

/// Where a field of the packet is counted from (NFT_PAYLOAD_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    Link = 0,
    Network = 1,
    Transport = 2,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
}

/// The set that a lookup consults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A set of the table by its name.
    Named(String),
    /// A set that belongs to the rule; the number says which in the transaction that makes it.
    Own(u32),
}

/// Which address of a packet a translation replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Source = 0,
    Destination = 1,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    Meta {
        key: Meta,
        to: Word,
    },
    Payload {
        base: Base,
        offset: u32,
        length: u32,
        to: Word,
    },
    Connection {
        key: Connection,
        to: Word,
    },
    Original {
        key: Original,
        to: Word,
    },
    /// Puts an address into the header, and mends the checksums.
    Overwrite {
        family: Family,
        offset: u32,
        from: Word,
    },
    /// Puts bytes that no checksum covers into the packet.
    Put {
        base: Base,
        offset: u32,
        length: u32,
        from: Word,
    },
    /// Sends the packet out by the link whose index is in a register.
    Forward {
        to: Word,
    },
    /// The kind of the destination address: local, unicast, broadcast…
    DestinationKind {
        to: Word,
    },
    /// The interface that an answer to the source would leave by, where that is the one by which the packet came; else 0.
    WayBack {
        to: Word,
    },
    /// A random number below `modulus`.
    Random {
        modulus: u32,
        to: Word,
    },
    /// A hash below `modulus` of `length` bytes.
    Hash {
        from: Word,
        length: u32,
        modulus: u32,
        to: Word,
    },
    /// Goes on if the bytes are (not) equal.
    Compare {
        from: Word,
        equal: bool,
        value: Vec<u8>,
    },
    /// Goes on if the bytes lie between the two, inclusively.
    Between {
        from: Word,
        first: Vec<u8>,
        last: Vec<u8>,
    },
    /// Keeps the bits of `mask`.
    Mask {
        word: Word,
        mask: Vec<u8>,
    },
    /// Goes on if the key is (not) in the set.
    Find {
        from: Word,
        set: Source,
        present: bool,
    },
    /// Goes on with the value that the map has for the key.
    Map {
        from: Word,
        set: Source,
        to: Word,
    },
    /// Does what the map says for the key.
    Decide {
        from: Word,
        set: Source,
    },
    Verdict(Verdict),
    /// Gives the packet the number in a register.
    SetMark {
        from: Word,
    },
    /// Says for whom the link thinks the packet is.
    SetPacketType {
        from: Word,
    },
    /// From here on the kernel tells what becomes of the packet.
    SetTrace {
        from: Word,
    },
    /// Puts a value into a register.
    Load {
        to: Word,
        value: Vec<u8>,
    },
    /// Translates the destination to a port of this host.
    Intercept {
        port: Word,
    },
    /// Translates to the address (and port) in the registers.
    Translate {
        side: Side,
        family: Family,
        address: Word,
        port: Option<Word>,
    },
    /// Translates the source to the address in a register, and one of the ports between those in two others.
    TranslateWithin {
        family: Family,
        address: Word,
        ports: (Word, Word),
    },
    /// Translates the source to the address of the outgoing interface.
    Masquerade,
    /// The same, to one of the ports between those in two registers.
    MasqueradeWithin {
        ports: (Word, Word),
    },
}

/// NFTA_LIST_ELEM.
pub(crate) const LIST_ELEMENT: u16 = 1;
pub(crate) const EXPR_NAME: u16 = 1;
pub(crate) const EXPR_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const REGISTER_VERDICT: u32 = 0;
/// IP_CT_DIR_ORIGINAL.
pub(crate) const ORIGINAL: u8 = 0;
/// NFT_PAYLOAD_CSUM_INET and NFT_PAYLOAD_L4CSUM_PSEUDOHDR.
const INTERNET_CHECKSUM: u32 = 1;
const TRANSPORT_CHECKSUM: u32 = 1;
/// RTN_LOCAL apart, the result of `fib … type`.
const FIB_ADDRESS_TYPE: u32 = 3;
const FIB_INTERFACE: u32 = 1;
const FIB_SOURCE: u32 = 1;
const FIB_DESTINATION: u32 = 2;
const FIB_IN_INTERFACE: u32 = 8;
/// A fixed seed: clients keep their backend when the table is made anew.
const SEED: u32 = 0x6863_6f6d;

/// The kernel's number of a word of register space.
pub(crate) fn register(word: Word) -> u32 {
    let word = u32::from(word);
    if word % 4 == 0 { 1 + word / 4 } else { 8 + word }
}

impl Expression {
    /// Writes the expression as an element of a rule's list.
    pub(crate) fn write(&self, list: &mut Body<'_>) {
        list.nest(LIST_ELEMENT, |expression| {
            expression
                .put_text(EXPR_NAME, self.name())
                .nest(EXPR_DATA, |data| self.write_data(data));
        });
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Meta { .. }
            | Self::SetMark { .. }
            | Self::SetPacketType { .. }
            | Self::SetTrace { .. } => "meta",
            Self::Payload { .. } | Self::Overwrite { .. } | Self::Put { .. } => "payload",
            Self::Connection { .. } | Self::Original { .. } => "ct",
            Self::DestinationKind { .. } | Self::WayBack { .. } => "fib",
            Self::Random { .. } => "numgen",
            Self::Hash { .. } => "hash",
            Self::Compare { .. } => "cmp",
            Self::Between { .. } => "range",
            Self::Mask { .. } => "bitwise",
            Self::Find { .. } | Self::Map { .. } | Self::Decide { .. } => "lookup",
            Self::Verdict(_) | Self::Load { .. } => "immediate",
            Self::Intercept { .. } => "redir",
            Self::Translate { .. } | Self::TranslateWithin { .. } => "nat",
            Self::Masquerade | Self::MasqueradeWithin { .. } => "masq",
            Self::Forward { .. } => "fwd",
        }
    }

    /// The attribute numbers are those of linux/netfilter/nf_tables.h (NFTA_META_*, NFTA_PAYLOAD_*, …), in order from 1.
    fn write_data(&self, data: &mut Body<'_>) {
        match self {
            Self::Meta { key, to } => {
                data.put_be32(1, register(*to)).put_be32(2, *key as u32);
            }
            Self::SetTrace { from } => {
                data.put_be32(2, META_TRACE).put_be32(3, register(*from));
            }
            Self::SetPacketType { from } => {
                data.put_be32(2, Meta::PacketType as u32).put_be32(3, register(*from));
            }
            Self::SetMark { from } => {
                data.put_be32(2, Meta::Mark as u32).put_be32(3, register(*from));
            }
            Self::Payload { base, offset, length, to } => {
                data.put_be32(1, register(*to)).put_be32(2, *base as u32);
                data.put_be32(3, *offset).put_be32(4, *length);
            }
            Self::Connection { key, to } => {
                data.put_be32(1, register(*to)).put_be32(2, *key as u32);
            }
            Self::Original { key, to } => {
                data.put_be32(1, register(*to)).put_be32(2, *key as u32).put_u8(3, ORIGINAL);
            }
            Self::Overwrite { family, offset, from } => {
                // IPv6 has no checksum of its own; that of the transport covers the addresses in both.
                let (length, kind, place) = match family {
                    Family::V4 => (4, INTERNET_CHECKSUM, 10),
                    Family::V6 => (16, 0, 0),
                };
                data.put_be32(2, Base::Network as u32).put_be32(3, *offset).put_be32(4, length);
                data.put_be32(5, register(*from)).put_be32(6, kind).put_be32(7, place);
                data.put_be32(8, TRANSPORT_CHECKSUM);
            }
            Self::Forward { to } => {
                data.put_be32(1, register(*to));
            }
            Self::Put { base, offset, length, from } => {
                data.put_be32(2, *base as u32).put_be32(3, *offset).put_be32(4, *length);
                data.put_be32(5, register(*from)).put_be32(6, 0).put_be32(7, 0);
            }
            Self::DestinationKind { to } => {
                data.put_be32(1, register(*to));
                data.put_be32(2, FIB_ADDRESS_TYPE).put_be32(3, FIB_DESTINATION);
            }
            Self::WayBack { to } => {
                data.put_be32(1, register(*to));
                data.put_be32(2, FIB_INTERFACE).put_be32(3, FIB_SOURCE | FIB_IN_INTERFACE);
            }
            Self::Random { modulus, to } => {
                data.put_be32(1, register(*to)).put_be32(2, *modulus).put_be32(3, 1);
            }
            Self::Hash { from, length, modulus, to } => {
                data.put_be32(1, register(*from)).put_be32(2, register(*to)).put_be32(3, *length);
                data.put_be32(4, *modulus).put_be32(5, SEED);
            }
            Self::Compare { from, equal, value } => {
                data.put_be32(1, register(*from)).put_be32(2, u32::from(!equal));
                write_value(data, 3, value);
            }
            Self::Between { from, first, last } => {
                data.put_be32(1, register(*from)).put_be32(2, 0);
                write_value(data, 3, first);
                write_value(data, 4, last);
            }
            Self::Mask { word, mask } => {
                data.put_be32(1, register(*word)).put_be32(2, register(*word));
                data.put_be32(3, mask.len() as u32);
                write_value(data, 4, mask);
                write_value(data, 5, &vec![0; mask.len()]);
            }
            Self::Find { from, set, present } => {
                write_lookup(data, set, *from, None);
                if !present {
                    data.put_be32(5, 1);
                }
            }
            Self::Map { from, set, to } => write_lookup(data, set, *from, Some(register(*to))),
            Self::Decide { from, set } => write_lookup(data, set, *from, Some(REGISTER_VERDICT)),
            Self::Verdict(verdict) => {
                data.put_be32(1, REGISTER_VERDICT);
                data.nest(2, |value| write_verdict(value, verdict));
            }
            Self::Translate { .. }
            | Self::TranslateWithin { .. }
            | Self::Masquerade
            | Self::MasqueradeWithin { .. } => self.write_translation(data),
            Self::Load { to, value } => {
                data.put_be32(1, register(*to));
                write_value(data, 2, value);
            }
            Self::Intercept { port } => {
                data.put_be32(1, register(*port));
            }
        }
    }

    fn write_translation(&self, data: &mut Body<'_>) {
        match self {
            Self::Translate { side, family, address, port } => {
                data.put_be32(1, *side as u32);
                data.put_be32(2, u32::from(crate::route::family_number(*family)));
                data.put_be32(3, register(*address));
                if let Some(port) = port {
                    data.put_be32(5, register(*port));
                }
            }
            Self::TranslateWithin { family, address, ports: (first, last) } => {
                data.put_be32(1, Side::Source as u32);
                data.put_be32(2, u32::from(crate::route::family_number(*family)));
                data.put_be32(3, register(*address));
                data.put_be32(5, register(*first)).put_be32(6, register(*last));
            }
            Self::MasqueradeWithin { ports: (first, last) } => {
                data.put_be32(1, PORTS_SPECIFIED);
                data.put_be32(2, register(*first)).put_be32(3, register(*last));
            }
            // Plain masquerading has nothing to say.
            _ => {}
        }
    }
}

/// NF_NAT_RANGE_PROTO_SPECIFIED.
const PORTS_SPECIFIED: u32 = 2;
/// NFT_META_NFTRACE.
const META_TRACE: u32 = 12;

fn write_value(data: &mut Body<'_>, kind: u16, value: &[u8]) {
    data.nest(kind, |inner| {
        inner.put(DATA_VALUE, value);
    });
}

fn write_lookup(data: &mut Body<'_>, set: &Source, from: Word, to: Option<u32>) {
    match set {
        Source::Named(name) => data.put_text(1, name),
        Source::Own(number) => data.put_text(1, OWN_SET).put_be32(4, *number),
    };
    data.put_be32(2, register(from));
    if let Some(to) = to {
        data.put_be32(3, to);
    }
}

/// The name of a set that belongs to a rule; the kernel puts a number in.
pub(crate) const OWN_SET: &str = "__acl%d";

/// Writes NFTA_DATA_VERDICT.
pub(crate) fn write_verdict(value: &mut Body<'_>, verdict: &Verdict) {
    let (code, chain) = match verdict {
        Verdict::Drop => (0_i32, None),
        Verdict::Accept => (1, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
        Verdict::Return => (-5, None),
    };
    value.nest(DATA_VERDICT, |inner| {
        inner.put(VERDICT_CODE, &code.to_be_bytes());
        if let Some(chain) = chain {
            inner.put_text(VERDICT_CHAIN, chain);
        }
    });
}

/// Writes plain bytes as data of an element.
pub(crate) fn write_bytes(value: &mut Body<'_>, bytes: &[u8]) {
    value.put(DATA_VALUE, bytes);
}

/// The bytes of NFTA_DATA_VALUE.
pub(crate) fn read_bytes<'a>(data: &crate::netlink::Attributes<'a>) -> Option<&'a [u8]> {
    data.get(DATA_VALUE)
}

/// The chain that NFTA_DATA_VERDICT jumps to.
pub(crate) fn read_chain<'a>(data: &crate::netlink::Attributes<'a>) -> Option<&'a str> {
    data.get_nested(DATA_VERDICT)?.get_text(VERDICT_CHAIN)
}
