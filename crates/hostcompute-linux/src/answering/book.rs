//! What is answered: leases by port, names by network. Written by plans, read by the answering threads.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hostcompute_engine::plan::{Lease, Name, Responder};
use hostcompute_schema::Guid;

use super::dns::{self, Code, Query, Record};

/// A port that asks for its address again and again gets so many answers at once, and then one in each while.
const AT_ONCE: u32 = 16;
const WHILE: Duration = Duration::from_millis(250);

/// What is answered on one host.
#[derive(Debug, Default)]
pub(super) struct Book {
    leases: HashMap<u32, Held>,
    networks: HashMap<Guid, Names>,
    pub responders: HashMap<Guid, Responder>,
}

/// A lease, and how patient we are with who asks for it.
#[derive(Debug)]
struct Held {
    lease: Lease,
    left: u32,
    since: Instant,
}

/// The names of one network, both ways.
#[derive(Debug, Default)]
struct Names {
    addresses: HashMap<String, BTreeSet<IpAddr>>,
    /// Longest last: with the domain.
    names: HashMap<IpAddr, BTreeSet<(usize, String)>>,
}

impl Book {
    pub fn add_lease(&mut self, lease: &Lease) {
        let held = Held { lease: lease.clone(), left: AT_ONCE, since: Instant::now() };
        self.leases.insert(lease.index, held);
    }

    pub fn remove_lease(&mut self, lease: &Lease) {
        self.leases.remove(&lease.index);
    }

    pub fn has_lease(&self, lease: &Lease) -> bool {
        self.leases.get(&lease.index).is_some_and(|held| held.lease == *lease)
    }

    /// The lease of a port, unless it asks too often.
    pub fn lease(&mut self, index: u32, now: Instant) -> Option<&Lease> {
        let held = self.leases.get_mut(&index)?;
        let passed = now.duration_since(held.since).as_millis() / WHILE.as_millis();
        if passed > 0 {
            held.left =
                held.left.saturating_add(u32::try_from(passed).unwrap_or(AT_ONCE)).min(AT_ONCE);
            held.since = now;
        }
        held.left = held.left.checked_sub(1)?;
        Some(&held.lease)
    }

    pub fn add_name(&mut self, name: &Name) {
        let names = self.networks.entry(name.network).or_default();
        names.addresses.entry(name.name.clone()).or_default().insert(name.address);
        let back = names.names.entry(name.address).or_default();
        back.insert((name.name.len(), name.name.clone()));
    }

    pub fn remove_name(&mut self, name: &Name) {
        let Some(names) = self.networks.get_mut(&name.network) else { return };
        if let Some(addresses) = names.addresses.get_mut(&name.name) {
            addresses.remove(&name.address);
            if addresses.is_empty() {
                names.addresses.remove(&name.name);
            }
        }
        if let Some(back) = names.names.get_mut(&name.address) {
            back.remove(&(name.name.len(), name.name.clone()));
            if back.is_empty() {
                names.names.remove(&name.address);
            }
        }
        if names.addresses.is_empty() {
            self.networks.remove(&name.network);
        }
    }

    pub fn has_name(&self, name: &Name) -> bool {
        let names = self.networks.get(&name.network);
        let addresses = names.and_then(|names| names.addresses.get(&name.name));
        addresses.is_some_and(|addresses| addresses.contains(&name.address))
    }

    /// What we know ourselves about a question of a network; `None` is for others to answer.
    pub fn find(&self, network: Guid, query: &Query) -> Option<(Code, Vec<Record>)> {
        let responder = self.responders.get(&network)?;
        let names = self.networks.get(&network);
        if let Some(address) = dns::reversed(&query.name) {
            let known = names.and_then(|names| names.names.get(&address));
            let longest = known.and_then(BTreeSet::last);
            return match longest {
                Some((_, name)) => Some((Code::Good, vec![Record::Pointer(name.clone())])),
                // Nobody else knows addresses of this network.
                None if responder.subnets.iter().any(|net| net.contains(&address)) => {
                    Some((Code::NoSuchName, Vec::new()))
                }
                None => None,
            };
        }
        let addresses = names?.addresses.get(&query.name)?;
        Some((Code::Good, addresses.iter().copied().map(Record::Address).collect()))
    }

    /// Whether somebody of the network may ask from there.
    pub fn may_ask(&self, network: Guid, from: IpAddr) -> bool {
        self.responders.get(&network).is_some_and(|responder| {
            responder.subnets.iter().any(|net| net.contains(&from))
                && !responder.gateways.contains(&from)
        })
    }

    /// Whether an address is one on which we answer: asking there would go round in circles.
    pub fn is_ours(&self, address: IpAddr) -> bool {
        self.responders.values().any(|responder| responder.gateways.contains(&address))
    }

    pub fn wants_dhcp(&self) -> bool {
        self.responders.values().any(|responder| responder.dhcp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str, address: &str) -> Name {
        Name { network: Guid::default(), name: text.into(), address: address.parse().unwrap() }
    }

    #[test]
    fn a_name_goes_with_its_last_address() {
        let mut book = Book::default();
        let (one, two) = (name("web", "10.0.0.2"), name("web", "10.0.0.3"));
        let whole = name("web.test", "10.0.0.2");
        for name in [&one, &two, &whole] {
            book.add_name(name);
            assert!(book.has_name(name));
        }
        book.remove_name(&one);
        assert!(!book.has_name(&one) && book.has_name(&two) && book.has_name(&whole));
        book.remove_name(&two);
        book.remove_name(&whole);
        assert!(book.networks.is_empty());
    }

    #[test]
    fn who_asks_too_often_is_not_heard_for_a_while() {
        let lease = Lease {
            port: "he1".into(),
            index: 1,
            mac: hostcompute_engine::mac::Mac([2, 0, 0, 0, 0, 1]),
            address: "10.0.0.2/24".parse().unwrap(),
            gateway: [10, 0, 0, 1].into(),
            servers: Vec::new(),
            domain: None,
            search: Vec::new(),
            mtu: None,
        };
        let mut book = Book::default();
        book.add_lease(&lease);
        let now = Instant::now();
        let heard = (0..100).filter(|_| book.lease(1, now).is_some()).count();
        assert_eq!(heard, 16);
        assert!(book.lease(1, now + WHILE * 2).is_some());
        assert!(book.lease(2, now).is_none());
    }
}
