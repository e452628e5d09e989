//! From facts to elements of sets and maps.

use std::net::{IpAddr, SocketAddr};

use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::{
    AddressSet, Affinity, Audience, Element, Family, Kept, Member, Service,
};
use ipnet::IpNet;

use super::set::Set;
use crate::error::Error;
use crate::route::with_octets;

/// An element with its place: what a fact puts into the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub set: Set,
    pub family: Family,
    pub key: Vec<u8>,
    /// Last key of a range, inclusive.
    pub last: Option<Vec<u8>>,
    pub data: Data,
}

/// First and last key of a range.
pub(crate) type Span = (Vec<u8>, Vec<u8>);

/// What a map says about a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Data {
    None,
    Bytes(Vec<u8>),
    Jump(String),
}

/// A key under construction: fields one after the other, each padded to four bytes.
#[derive(Debug, Default)]
struct Key(Vec<u8>);

impl Key {
    fn address(self, address: IpAddr) -> Self {
        with_octets(address, |octets| self.field(octets))
    }

    fn protocol_and_port(self, protocol: u8, port: u16) -> Self {
        self.field(&[protocol]).field(&port.to_be_bytes())
    }

    fn field(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn name(self, name: &str) -> Self {
        // Interface names are compared as 16 bytes filled up with zeros.
        let mut bytes = [0; 16];
        for (place, byte) in bytes.iter_mut().zip(name.bytes()) {
            *place = byte;
        }
        self.field(&bytes)
    }

    /// Names of chains end in a number that no other listed chain has.
    fn chain(self, name: &str) -> Self {
        let number =
            name.rsplit('_').next().and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.field(&number.unwrap_or_default().to_ne_bytes())
    }

    fn mac(self, mac: Mac) -> Self {
        self.field(&mac.0)
    }

    fn slot(self, slot: usize) -> Self {
        self.field(&(slot as u32).to_ne_bytes())
    }
}

fn single(set: Set, family: Family, key: Key, data: Data) -> Entry {
    Entry { set, family, key: key.0, last: None, data }
}

fn range(set: Set, family: Family, first: Key, last: Key) -> Entry {
    Entry { set, family, key: first.0, last: Some(last.0), data: Data::None }
}

fn address_and_port(to: SocketAddr) -> Data {
    Data::Bytes(Key::default().address(to.ip()).field(&to.port().to_be_bytes()).0)
}

/// The element of a fact.
pub(crate) fn of_element(element: &Element) -> Entry {
    let key = Key::default;
    let prefix = |set, net: &IpNet| {
        let (first, last) = bounds(net);
        range(set, Family::of(&first), key().address(first), key().address(last))
    };
    let address = |set, address: &IpAddr, data| {
        single(set, Family::of(address), key().address(*address), data)
    };
    let host_to_prefix = |set, source: &IpAddr, net: &IpNet| {
        let (first, last) = bounds(net);
        let key = |end| Key::default().address(*source).address(end);
        range(set, Family::of(source), key(first), key(last))
    };
    match element {
        Element::Source { port, mac, address } => single(
            Set::Source,
            Family::of(address),
            key().name(port).mac(*mac).address(*address),
            Data::None,
        ),
        Element::Loop { address } => single(
            Set::Loop,
            Family::of(address),
            key().address(*address).address(*address),
            Data::None,
        ),
        Element::Intra { from, to } => prefix_to_prefix(Set::Intra, from, to),
        Element::Barred { from, to } => prefix_to_prefix(Set::Barred, from, to),
        Element::Fenced { subnet } => prefix(Set::Fenced, subnet),
        Element::Answered { address, protocol, port } => single(
            Set::Answered,
            Family::of(address),
            key().address(*address).protocol_and_port(*protocol, *port),
            Data::None,
        ),
        Element::Outbound { subnet } => prefix(Set::Outbound, subnet),
        Element::Hidden { subnet } => prefix(Set::Hidden, subnet),
        Element::Apart { subnet } => prefix(Set::Apart, subnet),
        Element::Published { subnet } => prefix(Set::Published, subnet),
        Element::Bridged { subnet } => prefix(Set::Bridged, subnet),
        Element::Joined { device, subnet } => {
            let (first, last) = bounds(subnet);
            let key = |end| Key::default().name(device).address(end);
            range(Set::Joined, Family::of(&first), key(first), key(last))
        }
        Element::SeenAs { device, address: seen } => {
            let data = Data::Bytes(key().address(*seen).0);
            single(Set::SeenAs, Family::of(seen), key().name(device), data)
        }
        Element::Aloof { family, device } => {
            single(Set::Aloof, *family, key().name(device), Data::None)
        }
        Element::Isolated { address: at } => address(Set::Isolated, at, Data::None),
        Element::PortMapping { vip, protocol, port, to } => {
            let family = Family::of(&to.ip());
            let (set, key) = match vip {
                Some(vip) => (Set::PortMapVip, key().address(*vip)),
                None => (Set::PortMap, key()),
            };
            single(set, family, key.protocol_and_port(*protocol, *port), address_and_port(*to))
        }
        Element::NatExempt { source, destination } => {
            host_to_prefix(Set::NatExempt, source, destination)
        }
        Element::NatLimited { source } => address(Set::NatLimited, source, Data::None),
        Element::NatLimit { source, destination } => {
            host_to_prefix(Set::NatLimit, source, destination)
        }
        Element::Admit { from, to } => host_to_prefix(Set::Admit, to, from),
        Element::NatAs { source, address: shown } => {
            address(Set::NatAs, source, Data::Bytes(key().address(*shown).0))
        }
        Element::NatPorts { source, first, last } => {
            let ports = key().field(&first.to_be_bytes()).field(&last.to_be_bytes());
            address(Set::NatPorts, source, Data::Bytes(ports.0))
        }
        Element::Steer { source, destination, number } => Entry {
            data: Data::Bytes(number.to_ne_bytes().to_vec()),
            ..host_to_prefix(Set::Steer, source, destination)
        },
        Element::Proxied { address: at, chain } => {
            address(Set::Proxied, at, Data::Jump(chain.clone()))
        }
        Element::Masked { source, to, protocol } => {
            let key = key().address(*source).address(to.ip());
            let key = key.protocol_and_port(*protocol, to.port());
            single(Set::Masked, Family::of(source), key, Data::None)
        }
        Element::Listed { family, chain } => {
            single(Set::Lists, *family, key().chain(chain), Data::Jump(chain.clone()))
        }
        Element::AclOut { address: at, chain } => {
            address(Set::AclOut, at, Data::Bytes(key().chain(chain).0))
        }
        Element::AclIn { address: at, chain } => {
            address(Set::AclIn, at, Data::Bytes(key().chain(chain).0))
        }
    }
}

/// The kernel's set of a set of addresses.
pub(crate) fn set_of(set: &AddressSet) -> (Set, Family) {
    let kernel = match set.ports {
        true => Set::Services(set.number),
        false => Set::Addresses(set.number),
    };
    (kernel, set.family)
}

/// The element of a member of a set of addresses.
pub(crate) fn of_member(set: &AddressSet, member: &Member) -> Entry {
    let (kernel, family) = set_of(set);
    let (first, last) = bounds(&member.net);
    let key = |end, (protocol, port)| {
        let key = Key::default().address(end);
        if set.ports { key.protocol_and_port(protocol, port) } else { key }
    };
    let whole = ((0, 0), (u8::MAX, u16::MAX));
    let (least, most) = member.service.map_or(whole, |service| (service, service));
    range(kernel, family, key(first, least), key(last, most))
}

fn prefix_to_prefix(set: Set, from: &IpNet, to: &IpNet) -> Entry {
    let ((from, from_last), (to, to_last)) = (bounds(from), bounds(to));
    let key = |from, to| Key::default().address(from).address(to);
    range(set, Family::of(&from), key(from, to), key(from_last, to_last))
}

/// First and last address of a prefix.
fn bounds(net: &IpNet) -> (IpAddr, IpAddr) {
    (net.network(), net.broadcast())
}

/// The elements of a service: the gate that recognises it, and one per slot.
pub(crate) fn of_service(service: &Service) -> Result<Vec<Entry>, Error> {
    let unfit = |why: String| Error::Unfit { what: "the service", why };
    let class = Set::class_of(service.slots.len())
        .ok_or_else(|| unfit(format!("{} slots are no size class", service.slots.len())))?;
    let family = service.family;
    if let Some(other) = service.slots.iter().find(|slot| Family::of(&slot.ip()) != family) {
        return Err(unfit(format!("backend {other} is of another family than its frontend")));
    }
    let frontend = || {
        let key = Key::default();
        let key = match service.vip {
            Some(vip) => key.address(vip),
            None => key,
        };
        key.protocol_and_port(service.protocol, service.port)
    };
    let (gate, slots) = match (service.vip, service.affinity) {
        (Some(_), Affinity::None) => (Set::Service, Set::Slot(class)),
        (Some(_), Affinity::Client) => (Set::ServiceClient, Set::Slot(class)),
        (None, Affinity::None) => (Set::NodePort, Set::NodeSlot(class)),
        (None, Affinity::Client) => (Set::NodePortClient, Set::NodeSlot(class)),
    };
    let mut entries = vec![single(gate, family, frontend(), Data::None)];
    entries.extend(
        service
            .slots
            .iter()
            .enumerate()
            .map(|(slot, to)| single(slots, family, frontend().slot(slot), address_and_port(*to))),
    );
    entries.extend(of_audience(service, frontend()));
    entries.extend(of_shown(service, &frontend));
    entries.extend(service.kept.iter().flat_map(|kept| of_kept(service, kept, &frontend)));
    Ok(entries)
}

/// For whom a service is; nothing where it is for everybody.
fn of_audience(service: &Service, frontend: Key) -> Vec<Entry> {
    let (inside, local) = match service.vip {
        Some(_) => (Set::Inside, Set::Local),
        None => (Set::InsideNode, Set::LocalNode),
    };
    let sets: &[Set] = match service.audience {
        Audience::Everybody => &[],
        Audience::Inside => &[inside],
        Audience::InsideAndHost => &[inside, local],
    };
    let entry = |set: &Set| single(*set, service.family, Key(frontend.0.clone()), Data::None);
    sets.iter().map(entry).collect()
}

fn of_shown(service: &Service, frontend: &dyn Fn() -> Key) -> Vec<Entry> {
    let Some(shown) = &service.shown else { return Vec::new() };
    let set = if service.vip.is_some() { Set::Shown } else { Set::ShownNode };
    let entry = |backend: &IpAddr| {
        let data = Data::Bytes(Key::default().address(shown.address).0);
        single(set, service.family, frontend().address(*backend), data)
    };
    shown.toward.iter().map(entry).collect()
}

/// The way there and the way back of a backend that owns the virtual IP.
fn of_kept(service: &Service, kept: &Kept, frontend: &dyn Fn() -> Key) -> Vec<Entry> {
    let Some(vip) = service.vip else { return Vec::new() };
    let (family, backend) = (service.family, kept.backend);
    let there = frontend().address(backend.ip());
    let from = Key::default().name(&kept.port).mac(kept.mac).address(vip);
    let back = from.protocol_and_port(service.protocol, backend.port());
    let own = Data::Bytes(Key::default().address(backend.ip()).0);
    vec![single(Set::Kept, family, there, Data::None), single(Set::KeptBack, family, back, own)]
}

/// The key after the last one of a range, or `None` when there is none: the end of a range over one field.
pub(crate) fn after(last: &[u8]) -> Option<Vec<u8>> {
    let mut next = last.to_vec();
    for byte in next.iter_mut().rev() {
        let (sum, overflow) = byte.overflowing_add(1);
        *byte = sum;
        if !overflow {
            return Some(next);
        }
    }
    None
}

/// The key before this one.
pub(crate) fn before(end: &[u8]) -> Vec<u8> {
    let mut previous = end.to_vec();
    for byte in previous.iter_mut().rev() {
        let (difference, borrow) = byte.overflowing_sub(1);
        *byte = difference;
        if !borrow {
            break;
        }
    }
    previous
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_range_carries_and_the_last_address_has_none() {
        assert_eq!(after(&[10, 0, 0, 255]), Some(vec![10, 0, 1, 0]));
        assert_eq!(after(&[255; 4]), None);
        assert_eq!(before(&[10, 0, 1, 0]), [10, 0, 0, 255]);
    }

    #[test]
    fn fields_of_a_key_are_padded() {
        let mapping = Element::PortMapping {
            vip: None,
            protocol: 6,
            port: 8080,
            to: "10.0.0.2:80".parse().unwrap(),
        };
        let entry = of_element(&mapping);
        assert_eq!(entry.key, [6, 0, 0, 0, 0x1f, 0x90, 0, 0]);
        assert_eq!(entry.data, Data::Bytes(vec![10, 0, 0, 2, 0, 80, 0, 0]));
    }

    #[test]
    fn a_service_has_a_gate_and_its_slots() {
        let mut service = Service {
            vip: Some("10.1.1.1".parse().unwrap()),
            family: Family::V4,
            protocol: 6,
            port: 80,
            affinity: Affinity::None,
            slots: vec!["10.0.0.2:80".parse().unwrap(); 2],
            audience: Audience::Everybody,
            shown: None,
            kept: Vec::new(),
        };
        let entries = of_service(&service).unwrap();
        assert_eq!(
            entries.iter().map(|e| e.set).collect::<Vec<_>>(),
            [Set::Service, Set::Slot(0), Set::Slot(0)]
        );
        service.slots.push("[fd00::1]:80".parse().unwrap());
        assert!(of_service(&service).is_err());
    }
}
