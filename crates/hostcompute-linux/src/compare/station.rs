//! Stations, held against what is inside their namespaces.

use hostcompute_engine::plan::{Station, Trunk};

use super::Finding;
use super::links::{Report, Tables};
use crate::anchor::DEVICE_GROUP;
use crate::error::Error;
use crate::program::{self, Way};
use crate::route::{link, queue};
use crate::{Linux, station, trunk};

/// How a station was found.
pub(super) fn finding(host: &mut Linux, wanted: &Station) -> Result<Finding, Error> {
    let mtu = match wanted.mtu {
        Some(mtu) => Some(mtu),
        // An adapter that is gone has taken the link along.
        None => station::uplink_mtu(host, wanted).ok(),
    };
    let together = match &wanted.trunk {
        Some(trunk) => is_whole(host, wanted, trunk)?,
        None => true,
    };
    let inside = match host.namespaces.inside(wanted.netns) {
        Ok(inside) => inside,
        Err(Error::NamespaceGone { .. }) => return Ok(Finding::Missing),
        Err(error) => return Err(error),
    };
    let tables = Tables::read(&mut inside.socket)?;
    let Some(link) = tables.link(wanted.index) else { return Ok(Finding::Missing) };
    let mut found = Report::default();
    found.note(!together, "its frames are not in their VLAN");
    let kind = if wanted.trunk.is_some() { trunk::KIND } else { station::KIND };
    found.expect("the kind", kind, &link.kind);
    found.expect("the name", &wanted.name, &link.name);
    found.expect("the MAC", &Some(wanted.mac), &link.mac);
    found.note(mtu.is_some_and(|mtu| mtu != link.mtu), || format!("the MTU is {}", link.mtu));
    found.note(!link.up, "it is down");
    for address in &wanted.addresses {
        let there = tables.has_address(wanted.index, *address);
        found.note(!there, || format!("without address {address} inside"));
    }
    for path in station::paths(wanted) {
        let there = tables.has_path(&path);
        found.note(!there, || format!("without the route to {} inside", path.destination));
    }
    Ok(found.finding())
}

/// Whether both links of a trunk hand their frames to each other.
fn is_whole(host: &mut Linux, wanted: &Station, trunk: &Trunk) -> Result<bool, Error> {
    let index = |host: &mut Linux, name| link::index_of(&mut host.route, name);
    let (Some(outer), Some(face)) = (index(host, &trunk.outer)?, index(host, &trunk.face)?) else {
        return Ok(false);
    };
    for (way, at, to) in [(Way::Leaves, outer, face), (Way::Enters, face, outer)] {
        let up = |link: link::Link| {
            let mac = way == Way::Leaves || link.mac == Some(wanted.mac);
            link.up && link.group == DEVICE_GROUP && mac
        };
        let programs = queue::programs_of(&mut host.route, at)?;
        if !link::get(&mut host.route, at)?.is_some_and(up)
            || programs != [program::name(way, trunk.vlan, to)]
        {
            return Ok(false);
        }
    }
    Ok(true)
}
