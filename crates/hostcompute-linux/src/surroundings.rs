//! What the host has on its own, so that documents do not collide with it.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::path::Path;

use hostcompute_engine::host::{Surroundings, Uplink};
use ipnet::IpNet;

use crate::error::Error;
use crate::marks;
use crate::netlink::Socket;
use crate::route::link::Link;
use crate::route::path::{ORIGIN, Target};
use crate::route::{address, link, path};

pub(crate) fn read(socket: &mut Socket) -> Result<Surroundings, Error> {
    let links = link::dump(socket)?;
    let ours: HashSet<u32> =
        links.iter().filter(|link| marks::is_ours(link)).map(|link| link.index).collect();
    let mut found = Surroundings::default();
    let mut addresses = address::dump(socket)?;
    for address in &addresses {
        if !ours.contains(&address.index) {
            found.prefixes.push(address.address.trunc());
            found.addresses.push(address.address.addr());
        }
    }
    let mut uplinks: BTreeMap<u32, Uplink> = links
        .iter()
        .filter(|link| leads_elsewhere(link) && !ours.contains(&link.index))
        .map(|link| (link.index, uplink(link)))
        .collect();
    // What only the link knows is the last by which the host is known.
    addresses.sort_by_key(|address| is_of_link(&address.address));
    for address in addresses.iter().filter(|address| is_known(&address.address)) {
        if let Some(uplink) = uplinks.get_mut(&address.index) {
            uplink.addresses.push(address.address);
        }
    }
    for route in path::dump(socket)? {
        let through_ours = route.device.is_some_and(|device| ours.contains(&device));
        if route.path.destination.prefix_len() == 0 {
            let uplink = match route.path.target {
                Target::Device(index) | Target::Gateway(index, _) => Some(index),
                Target::Unreachable | Target::Other => None,
            };
            if let Some(uplink) = uplink.and_then(|index| uplinks.get_mut(&index)) {
                uplink.default_route = true;
            }
            let mtu = uplink
                .and_then(|index| links.iter().find(|link| link.index == index))
                .map(|link| route.mtu.unwrap_or(link.mtu).min(link.mtu));
            found.uplink_mtu = match (found.uplink_mtu, mtu) {
                (Some(least), Some(mtu)) => Some(least.min(mtu)),
                (least, mtu) => least.or(mtu),
            };
        } else if route.origin != ORIGIN && !through_ours {
            found.prefixes.push(route.path.destination);
        }
    }
    found.uplinks = uplinks.into_values().collect();
    found.uplinks.sort_by_key(|uplink| {
        (!uplink.default_route, !uplink.up || uplink.addresses.iter().all(is_of_link), uplink.index)
    });
    found.prefixes.sort();
    found.prefixes.dedup();
    found.addresses.sort();
    found.addresses.dedup();
    Ok(found)
}

/// ARPHRD_ETHER: links with MACs.
const ETHERNET: u16 = 1;
/// The loopback interface has this index in every namespace.
const LOOPBACK: u32 = 1;

/// Whether the link could be an uplink: it has MACs, and is no device for tests or redirection.
fn leads_elsewhere(link: &Link) -> bool {
    link.header == ETHERNET
        && link.index != LOOPBACK
        && !matches!(link.kind.as_str(), "ifb" | "dummy")
}

/// Whether other machines can know the host by this address. IPv4 addresses of a link are given by people, too (Azure's adapter between
/// a host and its containers).
fn is_known(address: &IpNet) -> bool {
    match address.addr() {
        IpAddr::V4(address) => !address.is_loopback(),
        IpAddr::V6(address) => !(address.is_loopback() || address.is_unicast_link_local()),
    }
}

fn is_of_link(address: &IpNet) -> bool {
    matches!(address.addr(), IpAddr::V4(address) if address.is_link_local())
}

/// Asked in the file system, which netlink does not say. What is moved out of the machine's own namespace is wired.
fn is_wireless(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).join("phy80211").exists()
}

fn uplink(link: &Link) -> Uplink {
    Uplink {
        name: link.name.clone(),
        other_names: link.other_names.clone(),
        index: link.index,
        mac: link.mac.unwrap_or_default(),
        mtu: link.mtu,
        up: link.up,
        wireless: is_wireless(&link.name),
        ..Uplink::default()
    }
}
