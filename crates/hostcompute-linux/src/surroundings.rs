//! What the host has on its own, so that documents do not collide with it.

use std::collections::HashSet;

use hostcompute_engine::host::Surroundings;

use crate::error::Error;
use crate::marks;
use crate::netlink::Socket;
use crate::route::path::{ORIGIN, Target};
use crate::route::{address, link, path};

pub(crate) fn read(socket: &mut Socket) -> Result<Surroundings, Error> {
    let links = link::dump(socket)?;
    let ours: HashSet<u32> =
        links.iter().filter(|link| marks::is_ours(link)).map(|link| link.index).collect();
    let mut found = Surroundings::default();
    for address in address::dump(socket)? {
        if !ours.contains(&address.index) {
            found.prefixes.push(address.address.trunc());
            found.addresses.push(address.address.addr());
        }
    }
    for route in path::dump(socket)? {
        let through_ours = route.device.is_some_and(|device| ours.contains(&device));
        if route.path.destination.prefix_len() == 0 {
            let uplink = match route.path.target {
                Target::Device(index) | Target::Gateway(index, _) => Some(index),
                Target::Unreachable | Target::Other => None,
            };
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
    found.prefixes.sort();
    found.prefixes.dedup();
    found.addresses.sort();
    found.addresses.dedup();
    Ok(found)
}
