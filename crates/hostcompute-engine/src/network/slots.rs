//! Slot tables of load-balanced services: which backend each slot leads to.
//!
//! A new connection draws a slot (at random, or by hash of the client), and a flat map leads from the slot to the
//! backend. Tables come in few sizes, each with a rule of its own, so that the ruleset does not grow with the services. A
//! size is good for a number of backends when every backend gets the same share, or nearly.
//!
//! Shares move little when backends come or go: each backend prefers slots by a hash of both (rendezvous hashing), so a
//! client with affinity keeps its backend unless that one is gone or must give slots away.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::plan::SLOT_CLASSES;

/// The most backends of one service: each has at least one slot of the largest table.
pub const MOST_BACKENDS: usize = SLOT_CLASSES[SLOT_CLASSES.len() - 1];

/// How uneven shares may be: with 12 slots for each backend, none has more than 1/12 above its share.
const FAIR: usize = 12;

/// The slot table for backends; empty when there are none.
pub fn assign(backends: &[SocketAddr]) -> Vec<SocketAddr> {
    let count = backends.len().min(MOST_BACKENDS);
    let Some(backends) = backends.get(..count).filter(|backends| !backends.is_empty()) else {
        return Vec::new();
    };
    let fits = |size: &&usize| size.is_multiple_of(count) || **size >= FAIR * count;
    let size = *SLOT_CLASSES.iter().find(fits).unwrap_or(&MOST_BACKENDS);
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

/// How much a backend wants a slot: FNV-1a over both, finished with a mix so that near inputs differ everywhere.
fn preference(backend: &SocketAddr, slot: usize) -> u64 {
    let octets = match backend.ip() {
        core::net::IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        core::net::IpAddr::V6(address) => address.octets(),
    };
    let bytes = octets.into_iter().chain(backend.port().to_be_bytes()).chain(slot.to_be_bytes());
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
            let slots = assign(&backends(count));
            assert!(SLOT_CLASSES.contains(&slots.len()), "{count}");
            let shares = shares(&slots);
            assert_eq!(shares.len(), count);
            let (least, most) = (shares.values().min().unwrap(), shares.values().max().unwrap());
            assert!(most - least <= 1, "{count}: {least}..{most}");
        }
        assert!(assign(&[]).is_empty());
    }

    #[test]
    fn small_services_stay_small() {
        let sizes: Vec<usize> =
            [1, 2, 3, 4, 5, 6].map(|count| assign(&backends(count)).len()).into();
        assert_eq!(sizes, [2, 2, 12, 12, 60, 12]);
    }

    #[test]
    fn most_slots_keep_their_backend_when_one_goes() {
        let all = backends(12);
        let before = assign(&all);
        let after = assign(&all[..11]);
        assert_eq!((before.len(), after.len()), (12, 840));
        let (six, five) = (assign(&all[..6]), assign(&all[..4]));
        let kept = six.iter().zip(&five).filter(|(a, b)| a == b).count();
        assert!(kept >= 4, "{kept} of 12");
    }
}
