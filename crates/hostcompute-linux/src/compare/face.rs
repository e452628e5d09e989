//! Faces, guises and welcomes, held against the host's links and the tables of these.

use std::collections::HashMap;

use hostcompute_engine::plan::{Face, Guise};

use super::Finding;
use super::links::{HostView, Report};
use crate::Linux;
use crate::anchor::DEVICE_GROUP;
use crate::error::Error;
use crate::nft::guise::{self, Seen};
use crate::station::KIND;

/// What the host has at the ways out of its adapters, by table.
#[derive(Debug, Default)]
pub(crate) struct Guises(HashMap<String, Seen>);

impl Guises {
    pub(super) fn read(host: &mut Linux) -> Result<Self, Error> {
        let mut found = HashMap::new();
        for name in guise::names(&mut host.netfilter)? {
            let seen = guise::read(&mut host.netfilter, &name)?;
            found.insert(name, seen.unwrap_or_default());
        }
        Ok(Self(found))
    }

    pub(super) fn guise(&self, view: &HostView, wanted: &Guise) -> Finding {
        let seen = self.0.get(&guise::table(&wanted.name));
        let (Some(seen), Some(link)) = (seen, view.link_called(&wanted.name)) else {
            return Finding::Missing;
        };
        let mut found = Report::default();
        found.expect("the kind", KIND, &link.kind);
        found.expect("the group", &DEVICE_GROUP, &link.group);
        found.expect("the MAC", &Some(wanted.mac), &link.mac);
        found.note(!link.up, "it is down");
        found.note(seen.device.as_ref() != Some(&wanted.name), "its packets keep its own MAC");
        found.finding()
    }

    /// Whether what comes out of a tunnel is taken for this host's.
    pub(super) fn welcomes(&self, tunnel: &str) -> bool {
        let seen = self.0.get(&guise::table(tunnel));
        seen.is_some_and(|seen| seen.device.as_deref() == Some(tunnel))
    }

    pub(super) fn face(&self, view: &HostView, wanted: &Face) -> Finding {
        let Some(link) = view.link_called(&wanted.name) else { return Finding::Missing };
        let mut found = Report::default();
        found.expect("the kind", KIND, &link.kind);
        found.expect("the group", &DEVICE_GROUP, &link.group);
        found.expect("the MAC", &Some(wanted.mac), &link.mac);
        found.note(!link.up, "it is down");
        let seen = self.0.get(&guise::table(&wanted.guise));
        for address in &wanted.addresses {
            found.note(!view.answers_for(link.index, *address), || {
                format!("without answers for {address}")
            });
            let worn = seen.is_some_and(|seen| seen.macs.contains(&(*address, wanted.mac)));
            found.note(!worn, || format!("what {address} sends has another MAC"));
        }
        found.finding()
    }
}
