//! MAC pools: ranges that a document gives or that follow from the network's id (hcn.md 2.5).

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use hostcompute_schema::{Failure, Guid, HResult, MacPool, MacRange};

use crate::mac::Mac;
use crate::network::subnet::Subnet;
use crate::state::State;

/// Inclusive ranges of addresses, as numbers.
pub type Ranges = Vec<(u64, u64)>;

/// Microsoft's OUI, which HNS uses for generated addresses: existing tools recognise it.
const OUI: u64 = 0x0015_5d00_0000;

/// The ranges of a document's pool; an empty pool counts as none.
///
/// # Errors
/// HCN_E_INVALID_NETWORK for addresses that are none, or a range that runs backwards.
pub fn read(pool: &MacPool) -> Result<Ranges, Failure> {
    let bad = |i: usize, member: &str, why: alloc::string::String| {
        let path = alloc::format!("MacPool.Ranges[{i}].{member}");
        Err(Failure::new(HResult::HCN_E_INVALID_NETWORK, why).at(path))
    };
    let mut ranges = Ranges::new();
    for (i, range) in pool.ranges.iter().enumerate() {
        let parse = |text: &Option<alloc::string::String>| {
            text.as_deref().unwrap_or_default().parse::<Mac>()
        };
        let first = match parse(&range.start_mac_address) {
            Ok(mac) => mac,
            Err(why) => return bad(i, "StartMacAddress", why.to_string()),
        };
        let last = match parse(&range.end_mac_address) {
            Ok(mac) => mac,
            Err(why) => return bad(i, "EndMacAddress", why.to_string()),
        };
        if last < first {
            return bad(i, "EndMacAddress", alloc::format!("{last} is below {first}"));
        }
        if first.is_group() || last.is_group() {
            return bad(i, "StartMacAddress", "group addresses cannot belong to interfaces".into());
        }
        ranges.push((first.to_u64(), last.to_u64()));
    }
    Ok(ranges)
}

/// The pool of a network that names none: 4096 addresses as HNS gives, more for subnets with more endpoints.
pub fn default_pool(network: Guid, subnets: &[Subnet]) -> Ranges {
    let hosts = subnets.iter().map(|subnet| {
        let bits = subnet.prefix.max_prefix_len() - subnet.prefix.prefix_len();
        1u64 << bits.min(20)
    });
    let size = hosts.max().unwrap_or(0).max(4096);
    let id = network.as_bytes();
    let seed = u64::from(id[0]) << 16 | u64::from(id[1]) << 8 | u64::from(id[2]);
    let first = OUI | (seed & !(size - 1) & 0xff_ffff);
    vec![(first, first + size - 1)]
}

/// The pool as documents print it.
pub fn document(ranges: &Ranges) -> MacPool {
    let text = |number| Some(Mac::from_u64(number).to_string());
    let range = |&(first, last): &(u64, u64)| MacRange {
        start_mac_address: text(first),
        end_mac_address: text(last),
        ..MacRange::default()
    };
    MacPool { ranges: ranges.iter().map(range).collect(), ..MacPool::default() }
}

/// An address of the pool that nobody on the network has, beginning after the one given out last.
///
/// # Errors
/// E_OUTOFMEMORY when the pool is exhausted.
pub fn choose(state: &State, network: Guid, ranges: &Ranges, salt: u64) -> Result<Mac, Failure> {
    let size: u64 = ranges.iter().map(|(first, last)| last - first + 1).sum();
    let nth = |mut n: u64| {
        ranges.iter().find_map(|(first, last)| {
            let length = last - first + 1;
            if n < length {
                return Some(first + n);
            }
            n -= length;
            None
        })
    };
    // From a random place: neighbours in time then rarely reuse an address that peers still remember.
    let start = if size == 0 { 0 } else { salt % size };
    let free = (0..size)
        .filter_map(|step| nth((start + step) % size))
        .find(|mac| !state.index.macs.contains_key(&(network, *mac)));
    free.map(Mac::from_u64).ok_or_else(|| {
        Failure::new(
            HResult::E_OUTOFMEMORY,
            alloc::format!("all {size} MAC addresses of the network's pool are in use"),
        )
        .at("MacAddress")
        .hint("create the network with a larger MacPool")
    })
}
