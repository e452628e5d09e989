//! A second look at the host, with sockets of its own: what readers ask for while a plan is under way does not wait for it.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use hostcompute_engine::host::{Counters, Fault, Flow, Observer};
use hostcompute_engine::plan::Meter;
use ipnet::IpNet;

use crate::error::Error;
use crate::netlink::{Protocol, Socket};
use crate::netns::Namespaces;
use crate::route::link;
use crate::route::path::{self, ORIGIN, Target};
use crate::{conntrack, fault, netns};

/// Looks at one host namespace.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// The host namespace, when it is not the one this process runs in.
    netns: Option<OwnedFd>,
    route: Socket,
    netns_dir: PathBuf,
}

impl Watcher {
    pub(crate) fn new(netns: Option<BorrowedFd<'_>>, netns_dir: PathBuf) -> Result<Self, Error> {
        let opened = netns::within(netns, || {
            let mut route = Socket::open(Protocol::Route)?;
            route.widen()?;
            Ok(route)
        });
        let netns = netns.map(|netns| netns.try_clone_to_owned()).transpose();
        let look = |source| Error::system("look at the host", source);
        Ok(Self { netns: netns.map_err(look)?, route: opened.map_err(look)?, netns_dir })
    }

    fn read_flows(&mut self, limit: usize) -> Result<Vec<Flow>, Error> {
        let territory = Territory::read(&mut self.route)?;
        if limit == 0 || territory.is_empty() {
            return Ok(Vec::new());
        }
        // Of its own, since a table that is not read to its end stays in the socket.
        let netns = self.netns.as_ref().map(AsFd::as_fd);
        let mut socket = netns::within(netns, || Socket::open(Protocol::Netfilter))
            .map_err(|source| Error::system("look at the connections", source))?;
        conntrack::flows(&mut socket, limit, |address| territory.contains(address))
    }
}

impl Observer for Watcher {
    fn counters(&mut self, meter: &Meter) -> Result<Counters, Fault> {
        let Some(netns) = meter.inside else {
            return link::counters(&mut self.route, meter.index).map_err(fault);
        };
        // Seldom asked for, so nothing is kept open.
        let mut namespaces = Namespaces::new(self.netns_dir.clone());
        let inside = namespaces.inside(netns).map_err(fault)?;
        let counters = link::counters(&mut inside.socket, meter.index).map_err(fault)?;
        Ok(counters.turned_round())
    }

    fn all_counters(&mut self) -> Result<Vec<(u32, Counters)>, Fault> {
        link::all_counters(&mut self.route).map_err(fault)
    }

    fn flows(&mut self, limit: usize) -> Result<Vec<Flow>, Fault> {
        self.read_flows(limit).map_err(fault)
    }
}

/// The addresses that are ours, by the routes with our mark: subnets, and virtual IPs.
#[derive(Debug, Default)]
struct Territory {
    prefixes: HashSet<IpNet>,
    /// Their lengths, each with whether it is one of IPv4.
    lengths: BTreeSet<(bool, u8)>,
}

impl Territory {
    fn read(route: &mut Socket) -> Result<Self, Error> {
        let mut paths = path::dump(route)?;
        paths.retain(|seen| seen.origin == ORIGIN);
        // The reservations of whole subnets first: what lies in them need not be remembered by itself.
        paths.sort_by_key(|seen| seen.path.target != Target::Unreachable);
        let mut territory = Self::default();
        for seen in paths {
            territory.add(seen.path.destination);
        }
        Ok(territory)
    }

    fn add(&mut self, prefix: IpNet) {
        if !self.contains(prefix.addr()) {
            self.lengths.insert((prefix.addr().is_ipv4(), prefix.prefix_len()));
            self.prefixes.insert(prefix.trunc());
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        let of_family = self.lengths.iter().filter(|(v4, _)| *v4 == address.is_ipv4());
        of_family
            .filter_map(|(_, length)| IpNet::new(address, *length).ok())
            .any(|prefix| self.prefixes.contains(&prefix.trunc()))
    }

    fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_prefix_that_holds_it() {
        let mut territory = Territory::default();
        for prefix in ["10.1.0.0/24", "10.1.0.7/32", "10.99.0.1/32", "fd00:1::/64"] {
            territory.add(prefix.parse().unwrap());
        }
        assert_eq!(territory.prefixes.len(), 3, "one lies in another");
        let check = |address: &str| territory.contains(address.parse().unwrap());
        assert!(["10.1.0.1", "10.1.0.255", "10.99.0.1", "fd00:1::9"].into_iter().all(check));
        assert!(!["10.1.1.0", "10.99.0.2", "fd00:2::9", "::"].into_iter().any(check));
    }
}
