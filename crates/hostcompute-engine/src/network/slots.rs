//! Slot tables of load-balanced services: which backend each slot leads to.
//!
//! A new connection draws a slot (at random, or by hash of the client), and a flat map leads from the slot to the
//! backend. Tables come in few sizes, each with a rule of its own, so that the ruleset does not grow with the services. A
//! size is good for a number of backends when every backend gets the same share, or nearly.
//!
//! Backends prefer slots by a hash of both (rendezvous hashing), and of a backend only its address counts: on every port of a load
//! balancer the same slot, and so the same client, leads to the same endpoint. Where clients have an affinity, a slot goes to whoever
//! wants it most: when a backend goes, only its clients move, and one that comes takes only those that are its own from then on. Shares
//! are what chance makes them, therefore the largest table. Otherwise shares are equal, or differ by one slot.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::plan::{Affinity, SLOT_CLASSES};

/// The most backends of one service: each has at least one slot of the largest table.
pub const MOST_BACKENDS: usize = SLOT_CLASSES[SLOT_CLASSES.len() - 1];

/// How uneven shares may be: with 12 slots for each backend, none has more than 1/12 above its share.
const FAIR: usize = 12;

/// The most backends among which chance leaves nobody without clients: the odds of a backend without a slot are below 10^-5.
const MOST_BY_CHANCE: usize = MOST_BACKENDS / FAIR;

/// The slot table for backends; empty when there are none.
pub fn assign(backends: &[SocketAddr], affinity: Affinity) -> Vec<SocketAddr> {
    let count = backends.len().min(MOST_BACKENDS);
    let Some(backends) = backends.get(..count).filter(|backends| !backends.is_empty()) else {
        return Vec::new();
    };
    if affinity == Affinity::Client && count <= MOST_BY_CHANCE {
        return (0..MOST_BACKENDS).filter_map(|slot| most_eager(backends, slot)).collect();
    }
    share_out(backends, count, affinity)
}

fn most_eager(backends: &[SocketAddr], slot: usize) -> Option<SocketAddr> {
    backends.iter().copied().max_by_key(|backend| (preference(backend, slot), *backend))
}

/// Everybody gets as much, as near to what they want as that allows.
fn share_out(backends: &[SocketAddr], count: usize, affinity: Affinity) -> Vec<SocketAddr> {
    let fits = |size: &&usize| size.is_multiple_of(count) || **size >= FAIR * count;
    let smallest = SLOT_CLASSES.iter().find(fits).filter(|_| affinity == Affinity::None);
    let size = *smallest.unwrap_or(&MOST_BACKENDS);
    let mut slots = alloc::vec![None; size];
    let mut room: Vec<usize> =
        (0..count).map(|n| size / count + usize::from(n < size % count)).collect();
    for (number, slot) in slots.iter_mut().enumerate() {
        let free = (0..count).filter(|n| room[*n] > 0);
        let best = free.max_by_key(|n| (preference(&backends[*n], number), *n));
        if let Some(best) = best {
            room[best] -= 1;
            *slot = Some(backends[best]);
        }
    }
    slots.into_iter().flatten().collect()
}

/// How much a backend wants a slot: FNV-1a over its address and the slot, finished with a mix so that near inputs differ everywhere.
fn preference(backend: &SocketAddr, slot: usize) -> u64 {
    let octets = match backend.ip() {
        core::net::IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        core::net::IpAddr::V6(address) => address.octets(),
    };
    let bytes = octets.into_iter().chain(slot.to_be_bytes());
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325, fnv);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    fn backends(count: usize) -> Vec<SocketAddr> {
        (0..count)
            .map(|n| SocketAddr::from(([10, 0, (n / 250) as u8, (n % 250) as u8 + 2], 80)))
            .collect()
    }

    fn shares(slots: &[SocketAddr]) -> BTreeMap<SocketAddr, usize> {
        let mut shares = BTreeMap::new();
        slots.iter().for_each(|backend| *shares.entry(*backend).or_default() += 1);
        shares
    }

    #[test]
    fn every_backend_has_a_fair_share() {
        for count in [1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 60, 100, 840] {
            let slots = assign(&backends(count), Affinity::None);
            assert!(SLOT_CLASSES.contains(&slots.len()), "{count}");
            let shares = shares(&slots);
            assert_eq!(shares.len(), count);
            let (least, most) = (shares.values().min().unwrap(), shares.values().max().unwrap());
            assert!(most - least <= 1, "{count}: {least}..{most}");
        }
        assert!(assign(&[], Affinity::None).is_empty());
    }

    #[test]
    fn small_services_stay_small() {
        let sizes: Vec<usize> =
            [1, 2, 3, 4, 5, 6].map(|count| assign(&backends(count), Affinity::None).len()).into();
        assert_eq!(sizes, [2, 2, 12, 12, 60, 12]);
    }

    #[test]
    fn with_affinity_only_the_clients_of_who_goes_move() {
        for count in 2..=MOST_BY_CHANCE {
            let all = backends(count);
            let before = assign(&all, Affinity::Client);
            assert_eq!((before.len(), shares(&before).len()), (MOST_BACKENDS, count));
            let gone = all[count / 2];
            let rest: Vec<_> = all.iter().copied().filter(|backend| *backend != gone).collect();
            let after = assign(&rest, Affinity::Client);
            let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
            assert!(moved.clone().all(|(old, _)| *old == gone), "{count}");
        }
        // Where there are too many for chance, nobody is left out.
        assert_eq!(shares(&assign(&backends(600), Affinity::Client)).len(), 600);
    }

    #[test]
    fn with_affinity_shares_are_about_equal() {
        for count in [2, 3, 5, 10] {
            let shares = shares(&assign(&backends(count), Affinity::Client));
            let fair = MOST_BACKENDS / count;
            assert!(shares.values().all(|share| share.abs_diff(fair) < fair / 2), "{shares:?}");
        }
    }

    #[test]
    fn a_slot_is_of_one_endpoint_on_every_port() {
        let of_port = |port| {
            let moved = backends(7).into_iter().map(|it| SocketAddr::new(it.ip(), port));
            let slots = assign(&moved.collect::<Vec<_>>(), Affinity::Client);
            slots.iter().map(SocketAddr::ip).collect::<Vec<_>>()
        };
        assert_eq!(of_port(80), of_port(8443));
    }
}
