//! The sets and maps of the table: their names, keys and values.
//!
//! Each exists once per family; the name ends in `4` or `6`. Keys are concatenations of fields, every field padded to four
//! bytes. The types are given by nft's own numbers, so that `nft list table inet hostcompute` prints keys as people write
//! them. (No "typeof" hints: nft 1.0.6 crashes on those of a hash.)

use hostcompute_engine::plan::{Family, SLOT_CLASSES};

use super::TABLE;
use crate::netlink::Body;

/// A set or map of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Set {
    Source,
    Loop,
    Intra,
    Outbound,
    Hidden,
    Apart,
    Published,
    Bridged,
    Fenced,
    Barred,
    Answered,
    Joined,
    Aloof,
    SeenAs,
    Isolated,
    PortMap,
    PortMapVip,
    NatExempt,
    NatLimited,
    NatLimit,
    NatAs,
    /// The ports that translated connections of a source use.
    NatPorts,
    Admit,
    Steer,
    /// Which chain says where packets of a source go instead.
    Proxied,
    /// What was redirected and appears as the host.
    Masked,
    /// Chains of access rules by their numbers.
    Lists,
    AclOut,
    AclIn,
    Service,
    ServiceClient,
    NodePort,
    NodePortClient,
    /// Services for those behind ports of ours, and of these those for programs of the host, too.
    Inside,
    InsideNode,
    Local,
    LocalNode,
    /// What backends of services see in place of the client.
    Shown,
    ShownNode,
    /// Backends that get packets with the virtual IP, and what becomes of their answers.
    Kept,
    KeptBack,
    /// Backends of services by slot; the number is the place in [`SLOT_CLASSES`].
    Slot(u8),
    /// Backends of node ports by slot.
    NodeSlot(u8),
    /// A set of addresses that access rules name, by its number. Not part of the table's fixed part.
    Addresses(u32),
    /// The same with protocols and ports.
    Services(u32),
}

/// One field of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Name,
    Mac,
    Address,
    Protocol,
    Port,
    Slot,
}

/// What a set says about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing but its presence.
    Presence,
    Address,
    AddressAndPort,
    /// The first and the last of some ports.
    Ports,
    /// A number for the packet.
    Mark,
    /// A chain to jump to.
    Chain,
}

/// The shape of a set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub key: &'static [Field],
    /// Elements are ranges, not single keys.
    pub ranges: bool,
    pub value: Value,
}

/// How names of sets of addresses begin; number and family follow.
const ADDRESSES: &str = "addresses_";
const SERVICES: &str = "services_";

const CLASSES: u8 = SLOT_CLASSES.len() as u8;

impl Set {
    /// Every set, once per family.
    pub(crate) fn all() -> impl Iterator<Item = (Set, Family)> {
        use Set::*;
        const PLAIN: [Set; 41] = [
            Source,
            Loop,
            Intra,
            Outbound,
            Hidden,
            Apart,
            Published,
            Bridged,
            Fenced,
            Barred,
            Answered,
            Joined,
            Aloof,
            SeenAs,
            Isolated,
            PortMap,
            PortMapVip,
            NatExempt,
            NatLimited,
            NatLimit,
            NatAs,
            NatPorts,
            Admit,
            Steer,
            Proxied,
            Masked,
            Lists,
            AclOut,
            AclIn,
            Service,
            ServiceClient,
            NodePort,
            NodePortClient,
            Inside,
            InsideNode,
            Local,
            LocalNode,
            Shown,
            ShownNode,
            Kept,
            KeptBack,
        ];
        let slots = (0..CLASSES).flat_map(|class| [Slot(class), NodeSlot(class)]);
        PLAIN
            .into_iter()
            .chain(slots)
            .flat_map(|set| [Family::V4, Family::V6].map(|family| (set, family)))
    }

    pub(crate) fn shape(self) -> Shape {
        use Field::{Address, Mac, Name, Port, Protocol, Slot};
        let (key, ranges, value): (&'static [Field], bool, Value) = match self {
            Set::Source => (&[Name, Mac, Address], false, Value::Presence),
            Set::Loop => (&[Address, Address], false, Value::Presence),
            Set::Intra | Set::Barred => (&[Address, Address], true, Value::Presence),
            Set::Outbound | Set::Hidden | Set::Apart | Set::Published | Set::Bridged => {
                (&[Address], true, Value::Presence)
            }
            Set::Fenced => (&[Address], true, Value::Presence),
            Set::Joined => (&[Name, Address], true, Value::Presence),
            Set::Aloof => (&[Name], false, Value::Presence),
            Set::SeenAs => (&[Name], false, Value::Address),
            Set::Isolated | Set::NatLimited => (&[Address], false, Value::Presence),
            Set::PortMap => (&[Protocol, Port], false, Value::AddressAndPort),
            Set::PortMapVip => (&[Address, Protocol, Port], false, Value::AddressAndPort),
            Set::NatExempt | Set::NatLimit | Set::Admit => {
                (&[Address, Address], true, Value::Presence)
            }
            Set::NatAs => (&[Address], false, Value::Address),
            Set::NatPorts => (&[Address], false, Value::Ports),
            Set::Steer => (&[Address, Address], true, Value::Mark),
            Set::Proxied => (&[Address], false, Value::Chain),
            Set::AclOut | Set::AclIn => (&[Address], false, Value::Mark),
            Set::Lists => (&[Slot], false, Value::Chain),
            Set::Masked => (&[Address, Address, Protocol, Port], false, Value::Presence),
            Set::Service | Set::ServiceClient | Set::Answered | Set::Inside | Set::Local => {
                (&[Address, Protocol, Port], false, Value::Presence)
            }
            Set::NodePort | Set::NodePortClient | Set::InsideNode | Set::LocalNode => {
                (&[Protocol, Port], false, Value::Presence)
            }
            Set::Shown => (&[Address, Protocol, Port, Address], false, Value::Address),
            Set::ShownNode => (&[Protocol, Port, Address], false, Value::Address),
            Set::Kept => (&[Address, Protocol, Port, Address], false, Value::Presence),
            Set::KeptBack => (&[Name, Mac, Address, Protocol, Port], false, Value::Address),
            Set::Addresses(_) => (&[Address], true, Value::Presence),
            Set::Services(_) => (&[Address, Protocol, Port], true, Value::Presence),
            Set::Slot(_) => (&[Address, Protocol, Port, Slot], false, Value::AddressAndPort),
            Set::NodeSlot(_) => (&[Protocol, Port, Slot], false, Value::AddressAndPort),
        };
        Shape { key, ranges, value }
    }

    pub(crate) fn name(self, family: Family) -> String {
        let suffix = match family {
            Family::V4 => '4',
            Family::V6 => '6',
        };
        let size = |class: u8| SLOT_CLASSES.get(usize::from(class)).copied().unwrap_or_default();
        match self {
            Set::Slot(class) => format!("slot{}_{suffix}", size(class)),
            Set::NodeSlot(class) => format!("node_slot{}_{suffix}", size(class)),
            Set::Addresses(number) => format!("{ADDRESSES}{number:x}_{suffix}"),
            Set::Services(number) => format!("{SERVICES}{number:x}_{suffix}"),
            other => format!("{}{suffix}", other.stem()),
        }
    }

    fn stem(self) -> &'static str {
        match self {
            Set::Source => "source",
            Set::Loop => "loop",
            Set::Intra => "intra",
            Set::Outbound => "outbound",
            Set::Hidden => "hidden",
            Set::Apart => "apart",
            Set::Published => "published",
            Set::Bridged => "bridged",
            Set::Fenced => "fenced",
            Set::Barred => "barred",
            Set::Answered => "answered",
            Set::Joined => "joined",
            Set::Aloof => "aloof",
            Set::SeenAs => "seen_as",
            Set::Isolated => "isolated",
            Set::PortMap => "portmap",
            Set::PortMapVip => "portmap_vip",
            Set::NatExempt => "nat_exempt",
            Set::NatLimited => "nat_limited",
            Set::NatLimit => "nat_limit",
            Set::NatAs => "nat_as",
            Set::NatPorts => "nat_ports",
            Set::Admit => "admit",
            Set::Steer => "steer",
            Set::Proxied => "proxied",
            Set::Masked => "masked",
            Set::Lists => "lists",
            Set::AclOut => "acl_out",
            Set::AclIn => "acl_in",
            Set::Service => "service",
            Set::ServiceClient => "service_client",
            Set::NodePort => "nodeport",
            Set::NodePortClient => "nodeport_client",
            Set::Inside => "inside",
            Set::InsideNode => "inside_node",
            Set::Local => "local",
            Set::LocalNode => "local_node",
            Set::Shown => "shown",
            Set::ShownNode => "shown_node",
            Set::Kept => "kept",
            Set::KeptBack => "kept_back",
            Set::Slot(_) => "slot",
            Set::NodeSlot(_) => "node_slot",
            Set::Addresses(_) => ADDRESSES,
            Set::Services(_) => SERVICES,
        }
    }

    /// Ranges over one field are kept as pairs of start and end; over several fields as pairs of keys.
    pub(crate) fn has_end_elements(self) -> bool {
        let shape = self.shape();
        shape.ranges && shape.key.len() == 1
    }

    /// The set of addresses that has the name, if it is the name of one.
    pub(crate) fn of_addresses(name: &str) -> Option<(Set, Family)> {
        let (number, suffix) = name.rsplit_once('_')?;
        let family = match suffix {
            "4" => Family::V4,
            "6" => Family::V6,
            _ => return None,
        };
        let parse = |text| u32::from_str_radix(text, 16).ok();
        let set = match number.strip_prefix(ADDRESSES) {
            Some(number) => Set::Addresses(parse(number)?),
            None => Set::Services(parse(number.strip_prefix(SERVICES)?)?),
        };
        Some((set, family))
    }

    /// The size class of a service with this many slots.
    pub(crate) fn class_of(slots: usize) -> Option<u8> {
        SLOT_CLASSES.iter().position(|size| *size == slots).map(|class| class as u8)
    }
}

impl Field {
    /// nft's number of the type (its `enum datatypes`).
    pub(crate) fn type_number(self, family: Family) -> u32 {
        match (self, family) {
            (Field::Name, _) => 41,
            (Field::Mac, _) => 9,
            (Field::Address, Family::V4) => 7,
            (Field::Address, Family::V6) => 8,
            (Field::Protocol, _) => 12,
            (Field::Port, _) => 13,
            // "mark": a plain 32-bit number in the machine's byte order.
            (Field::Slot, _) => 19,
        }
    }

    pub(crate) fn length(self, family: Family) -> usize {
        match (self, family) {
            (Field::Name, _) => 16,
            (Field::Mac, _) => 6,
            (Field::Address, Family::V4) => 4,
            (Field::Address, Family::V6) => 16,
            (Field::Protocol, _) => 1,
            (Field::Port, _) => 2,
            (Field::Slot, _) => 4,
        }
    }

    /// Words of register space.
    pub(crate) fn words(self, family: Family) -> u8 {
        self.length(family).div_ceil(4) as u8
    }
}

pub(crate) const SET_TABLE: u16 = 1;
pub(crate) const SET_NAME: u16 = 2;
pub(crate) const SET_FLAGS: u16 = 3;
pub(crate) const SET_KEY_TYPE: u16 = 4;
pub(crate) const SET_KEY_LEN: u16 = 5;
pub(crate) const SET_DATA_TYPE: u16 = 6;
pub(crate) const SET_DATA_LEN: u16 = 7;
pub(crate) const SET_DESC: u16 = 9;
pub(crate) const SET_ID: u16 = 10;
const DESC_CONCAT: u16 = 2;
const FIELD_LEN: u16 = 1;
pub(crate) const ANONYMOUS: u32 = 0x1;
pub(crate) const CONSTANT: u32 = 0x2;
pub(crate) const INTERVAL: u32 = 0x4;
const MAP: u32 = 0x8;
const CONCAT: u32 = 0x80;
/// The type of data that is a verdict.
const DATA_VERDICT_TYPE: u32 = 0xffff_ff00;

/// nft's number of a concatenation of types.
fn concatenated(types: impl Iterator<Item = u32>) -> u32 {
    types.fold(0, |sum, number| sum << 6 | number)
}

/// Writes the declaration of a set (NFT_MSG_NEWSET) with its number in the transaction.
pub(crate) fn write_declaration(body: &mut Body<'_>, set: Set, family: Family, number: u32) {
    let shape = set.shape();
    let concatenation = shape.key.len() > 1;
    let mut flags = 0;
    if shape.ranges {
        flags |= INTERVAL;
        if concatenation {
            flags |= CONCAT;
        }
    }
    if shape.value != Value::Presence {
        flags |= MAP;
    }
    let padded = |field: &Field| field.length(family).next_multiple_of(4);
    let key_length = match shape.key {
        [single] => single.length(family),
        several => several.iter().map(padded).sum(),
    };
    body.put_text(SET_TABLE, TABLE).put_text(SET_NAME, &set.name(family));
    body.put_be32(SET_ID, number).put_be32(SET_FLAGS, flags);
    body.put_be32(SET_KEY_TYPE, concatenated(shape.key.iter().map(|f| f.type_number(family))));
    body.put_be32(SET_KEY_LEN, key_length as u32);
    let address = Field::Address.length(family) as u32;
    let address_type = Field::Address.type_number(family);
    let data = match shape.value {
        Value::Presence => None,
        Value::Address => Some((address_type, address)),
        Value::AddressAndPort => {
            let types = [address_type, Field::Port.type_number(family)];
            Some((concatenated(types.into_iter()), address + 4))
        }
        Value::Ports => {
            let port = Field::Port.type_number(family);
            Some((concatenated([port; 2].into_iter()), 8))
        }
        Value::Mark => Some((Field::Slot.type_number(family), 4)),
        Value::Chain => Some((DATA_VERDICT_TYPE, 0)),
    };
    if let Some((data_type, length)) = data {
        body.put_be32(SET_DATA_TYPE, data_type);
        if length != 0 {
            body.put_be32(SET_DATA_LEN, length);
        }
    }
    if flags & CONCAT != 0 {
        body.nest(SET_DESC, |description| {
            description.nest(DESC_CONCAT, |fields| {
                for field in shape.key {
                    fields.nest(super::expression::LIST_ELEMENT, |one| {
                        one.put_be32(FIELD_LEN, field.length(family) as u32);
                    });
                }
            });
        });
    }
}
