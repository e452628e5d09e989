//! Stations, held against what is inside their namespaces.

use hostcompute_engine::plan::Station;

use super::Finding;
use super::links::{Report, Tables};
use crate::error::Error;
use crate::{Linux, station};

/// How a station was found.
pub(super) fn finding(host: &mut Linux, wanted: &Station) -> Result<Finding, Error> {
    let mtu = match wanted.mtu {
        Some(mtu) => Some(mtu),
        // An adapter that is gone has taken the link along.
        None => station::uplink_mtu(host, wanted).ok(),
    };
    let inside = match host.namespaces.inside(wanted.netns) {
        Ok(inside) => inside,
        Err(Error::NamespaceGone { .. }) => return Ok(Finding::Missing),
        Err(error) => return Err(error),
    };
    let tables = Tables::read(&mut inside.socket)?;
    let Some(link) = tables.link(wanted.index) else { return Ok(Finding::Missing) };
    let mut found = Report::default();
    found.expect("the kind", station::KIND, &link.kind);
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
