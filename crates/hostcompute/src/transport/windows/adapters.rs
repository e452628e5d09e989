//! The adapters of this Windows, in the words of the crate.

use std::cmp::Reverse;
use std::net::IpAddr;

use hostcompute_engine::host::Uplink;
use hostcompute_engine::mac::Mac;
use hostcompute_schema::Failure;

use super::boundary::adapters::{Adapter, list as all};

/// IF_TYPE_IEEE80211.
const WIRELESS: u32 = 71;

/// Those that have a MAC: first those that a default route leads through, by its metric, then those with an address that others can know.
///
/// # Errors
/// What Windows refuses.
pub fn list() -> Result<Vec<Uplink>, Failure> {
    Ok(sorted(all()?))
}

fn sorted(found: Vec<Adapter>) -> Vec<Uplink> {
    let mut found: Vec<_> = found
        .into_iter()
        .filter_map(|adapter| Some((adapter.default_route, uplink(adapter)?)))
        .collect();
    found.sort_by_key(|(metric, uplink)| {
        (Reverse(uplink.default_route), *metric, uplink.addresses.is_empty())
    });
    found.into_iter().map(|(_, uplink)| uplink).collect()
}

fn uplink(adapter: Adapter) -> Option<Uplink> {
    let mac = Mac(adapter.mac?);
    let known = |(ip, length): &(IpAddr, u8)| {
        // Nobody else knows addresses of the link.
        let is_of_link = match ip {
            IpAddr::V4(ip) => ip.is_link_local() || ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_loopback(),
        };
        if is_of_link { None } else { format!("{ip}/{length}").parse().ok() }
    };
    Some(Uplink {
        addresses: adapter.addresses.iter().filter_map(known).collect(),
        default_route: adapter.default_route.is_some() && adapter.is_up,
        name: adapter.name,
        other_names: vec![adapter.description, adapter.guid],
        index: adapter.index,
        mac,
        mtu: adapter.mtu,
        up: adapter.is_up,
        wireless: adapter.kind == WIRELESS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_default_route_comes_first_and_what_has_no_mac_not_at_all() {
        let adapter = |name: &str, default_route, address: &str| Adapter {
            name: name.to_owned(),
            description: format!("{name} #2"),
            guid: "{0}".to_owned(),
            index: 1,
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            kind: 6,
            is_up: true,
            addresses: vec![(address.parse().expect("an address"), 24)],
            default_route,
        };
        let tunnel = Adapter { mac: None, ..adapter("tunnel", Some(1), "192.0.2.9") };
        let down = Adapter { is_up: false, ..adapter("down", Some(1), "192.0.2.8") };
        let found = sorted(vec![
            adapter("bare", None, "169.254.0.1"),
            adapter("inside", None, "10.0.0.1"),
            adapter("slow", Some(50), "192.0.2.2"),
            tunnel,
            down,
            adapter("fast", Some(25), "192.0.2.1"),
        ]);
        let names: Vec<&str> = found.iter().map(|uplink| uplink.name.as_str()).collect();
        assert_eq!(names, ["fast", "slow", "inside", "bare", "down"]);
        assert_eq!(found[0].addresses.len(), 1);
        assert_eq!(found[0].addresses[0].to_string(), "192.0.2.1/24");
        assert!(found[3].addresses.is_empty());
    }
}
