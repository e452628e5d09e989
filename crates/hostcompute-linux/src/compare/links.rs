//! The host namespace's links, addresses, routes, neighbours and queues, and the inside of ports.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use hostcompute_engine::plan::{
    Anchor, DYING_GROUP, Detour, Fact, FarEnd, HOST_END_MAC, HostAddress, PORT_GROUP, Peer, Port,
    RemoteRoute, Shaper, Tunnel, VipRoute, Wire,
};
use ipnet::IpNet;

use super::face::Guises;
use super::{Finding, station};
use crate::anchor::{self, DEVICE_GROUP};
use crate::error::Error;
use crate::netlink::Socket;
use crate::pool::POOL_GROUP;
use crate::route::address::{self, Address};
use crate::route::destination::{self, Destination};
use crate::route::link::{self, Inet4Setting, Link};
use crate::route::neighbour::{self, Neighbour};
use crate::route::path::{self, ORIGIN, Path, Target};
use crate::route::queue;
use crate::route::rule::{self, Rule};
use crate::sweep::Handle;
use crate::{Linux, detour, face, marks, port, shaper, tunnel, wire};

/// One namespace's tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    links: HashMap<u32, Link>,
    addresses: HashSet<(u32, IpNet)>,
    paths: HashMap<IpNet, Vec<(Path, u8)>>,
}

impl Tables {
    pub(super) fn read(socket: &mut Socket) -> Result<Self, Error> {
        let routes = path::dump(socket)?;
        Self::with_routes(socket, &routes)
    }

    /// Of the routes, those of the main table count.
    fn with_routes(socket: &mut Socket, routes: &[path::Seen]) -> Result<Self, Error> {
        let mut paths: HashMap<IpNet, Vec<(Path, u8)>> = HashMap::new();
        for seen in routes.iter().filter(|seen| path::is_main(seen)) {
            paths.entry(seen.path.destination).or_default().push((seen.path, seen.origin));
        }
        let addresses = address::dump(socket)?.into_iter();
        Ok(Self {
            links: link::dump(socket)?.into_iter().map(|link| (link.index, link)).collect(),
            addresses: addresses.map(|Address { index, address }| (index, address)).collect(),
            paths,
        })
    }

    pub(super) fn link(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    pub(super) fn has_address(&self, index: u32, address: IpNet) -> bool {
        self.addresses.contains(&(index, address))
    }

    pub(super) fn has_path(&self, wanted: &Path) -> bool {
        self.paths
            .get(&wanted.destination)
            .is_some_and(|paths| paths.iter().any(|(path, _)| path == wanted))
    }
}

/// What the host namespace has.
#[derive(Debug)]
pub(crate) struct HostView {
    tables: Tables,
    neighbours: HashMap<(u32, IpAddr), Neighbour>,
    buckets: HashMap<u32, u64>,
    /// Who is behind our tunnels.
    destinations: BTreeSet<Destination>,
    /// Our routing rules, and the routes of our tables.
    rules: BTreeSet<Rule>,
    own: BTreeSet<(u32, Path)>,
    /// The addresses for which links answer because of us.
    proxies: BTreeSet<(u32, IpAddr)>,
    /// Ports whose addresses are set by a client inside, when it likes.
    leased: HashSet<u32>,
    /// What is at the ways out of adapters.
    pub(super) guises: Guises,
}

impl HostView {
    pub(crate) fn read(host: &mut Linux) -> Result<Self, Error> {
        let routes = path::dump_all(&mut host.route)?;
        let tables = Tables::with_routes(&mut host.route, &routes)?;
        let own = routes.iter().filter(|seen| path::is_own(seen));
        let own = own.map(|seen| (seen.table, seen.path)).collect();
        drop(routes);
        let mut destinations = BTreeSet::new();
        let is_tunnel = |link: &&Link| link.vxlan.is_some() && marks::is_ours(link);
        for link in tables.links.values().filter(is_tunnel) {
            destinations.extend(destination::dump(&mut host.route, link.index)?);
        }
        Ok(Self {
            tables,
            destinations,
            leased: HashSet::new(),
            guises: Guises::default(),
            rules: rule::dump(&mut host.route)?.into_iter().collect(),
            own,
            proxies: neighbour::dump_proxies(&mut host.route)?.into_iter().collect(),
            neighbours: neighbour::dump(&mut host.route)?
                .into_iter()
                .map(|one| ((one.index, one.address), one))
                .collect(),
            buckets: queue::dump_buckets(&mut host.route)?.into_iter().collect(),
        })
    }

    /// Whose insides are set up by DHCP clients, which do so in their own time.
    pub(crate) fn expect_clients(&mut self, wanted: &[Fact]) {
        let leased = |fact: &Fact| match fact {
            Fact::Lease(lease) => Some(lease.index),
            _ => None,
        };
        self.leased = wanted.iter().filter_map(leased).collect();
    }

    /// How a fact of this kind was found; `None` for other kinds.
    pub(crate) fn finding(&self, host: &mut Linux, fact: &Fact) -> Result<Option<Finding>, Error> {
        Ok(Some(match fact {
            Fact::Anchor(wanted) => self.anchor(wanted),
            Fact::Tunnel(wanted) => self.tunnel(wanted),
            Fact::Peer(wanted) => self.peer(wanted),
            Fact::RemoteRoute(wanted) => self.remote_route(wanted),
            Fact::Wire(wanted) => self.wire(wanted),
            Fact::Detour(wanted) => self.detour(wanted),
            Fact::Proxy(wanted) => {
                let key = self.index_of(&wanted.uplink).map(|index| (index, wanted.address));
                match key.is_some_and(|key| self.proxies.contains(&key)) {
                    true => Finding::Holds,
                    false => Finding::Missing,
                }
            }
            Fact::Port(wanted) => match self.port(wanted) {
                Finding::Holds if wanted.far == FarEnd::Machine => Finding::Holds,
                Finding::Holds => inside(host, wanted, self.leased.contains(&wanted.index))?,
                other => other,
            },
            Fact::Lease(wanted) => match self.answers(wanted.index) && host.answers_for(fact) {
                true => Finding::Holds,
                false => Finding::Missing,
            },
            Fact::Station(wanted) => station::finding(host, wanted)?,
            Fact::Guise(wanted) => self.guises.guise(self, wanted),
            Fact::Face(wanted) => self.guises.face(self, wanted),
            Fact::HostAddress(wanted) => self.host_address(wanted),
            Fact::VipRoute(wanted) => self.vip(wanted),
            Fact::VipOwner(wanted) => {
                let wanted = anchor::owner(wanted);
                match self.neighbours.get(&(wanted.index, wanted.address)) == Some(&wanted) {
                    true => Finding::Holds,
                    false => Finding::Missing,
                }
            }
            Fact::Shaper(wanted) => self.shaper(wanted),
            Fact::Diversion(wanted) => {
                let found = queue::redirects_of(&mut host.route, wanted.index)?;
                match found == shaper::redirects(wanted) {
                    true => Finding::Holds,
                    false if found.is_empty() => Finding::Missing,
                    false => Finding::Different("other packets are redirected".to_owned()),
                }
            }
            _ => return Ok(None),
        }))
    }

    /// Whether a port answers for what is behind it.
    fn answers(&self, index: u32) -> bool {
        let link = self.tables.links.get(&index);
        link.is_some_and(|link| link.inet4(Inet4Setting::ProxyArp) == Some(1))
    }

    fn anchor(&self, wanted: &Anchor) -> Finding {
        let Some(link) = self.tables.links.get(&wanted.index) else { return Finding::Missing };
        let mut found = Report::default();
        found.expect("the name", &wanted.name, &link.name);
        found.expect("the kind", "bridge", &link.kind);
        found.expect("the group", &DEVICE_GROUP, &link.group);
        found.expect("the MAC", &Some(wanted.mac), &link.mac);
        found.note(!link.up, "it is down");
        for gateway in &wanted.gateways {
            let there = self.tables.addresses.contains(&(wanted.index, *gateway));
            found.note(!there, || format!("without address {gateway}"));
        }
        for path in anchor::paths(wanted) {
            let there = self.tables.has_path(&path);
            found.note(!there, || format!("without the reserving route to {}", path.destination));
        }
        found.finding()
    }

    fn tunnel(&self, wanted: &Tunnel) -> Finding {
        let Some(link) = self.tables.links.get(&wanted.index) else { return Finding::Missing };
        let mut found = Report::default();
        found.expect("the name", &wanted.name, &link.name);
        found.expect("the kind", "vxlan", &link.kind);
        found.expect("the group", &PORT_GROUP, &link.group);
        found.expect("the MAC", &Some(wanted.mac), &link.mac);
        found.expect("the MTU", &wanted.mtu, &link.mtu);
        found.expect("the virtual subnet", &Some(tunnel::vxlan(wanted)), &link.vxlan);
        found.note(!link.up, "it is down");
        for setting in tunnel::SETTINGS {
            found.note(link.inet4(setting) != Some(1), || format!("{setting:?} is off"));
        }
        found.note(!self.guises.welcomes(&wanted.name), "it takes what is for its own MAC alone");
        found.finding()
    }

    fn wire(&self, wanted: &Wire) -> Finding {
        match self.index_of(&wanted.out) {
            Some(out) => self.ways(&wire::rules(wanted), &wire::paths(wanted, out)),
            None => Finding::Different(format!("there is no adapter {}", wanted.out)),
        }
    }

    fn detour(&self, wanted: &Detour) -> Finding {
        let paths = detour::paths(wanted, self.link_of(wanted).unwrap_or_default());
        self.ways(&detour::rules(wanted), &paths)
    }

    /// The link behind which a detour leads.
    fn link_of(&self, wanted: &Detour) -> Option<u32> {
        let is_foreign =
            |index: u32| self.tables.links.get(&index).is_some_and(|link| !marks::is_ours(link));
        detour::link_of(self.tables.addresses.iter().copied(), is_foreign, wanted.via?)
    }

    /// Whether routing rules and the routes of their tables are there.
    fn ways(&self, rules: &[Rule], paths: &[(u32, Path)]) -> Finding {
        let mut found = Report::default();
        let (rules_total, paths_total) = (rules.len(), paths.len());
        let rules = rules.iter().filter(|rule| self.rules.contains(*rule)).count();
        let paths = paths.iter().filter(|path| self.own.contains(*path)).count();
        if rules + paths == 0 {
            return Finding::Missing;
        }
        found.note(rules != rules_total, || format!("{rules} of {rules_total} rules"));
        found.note(paths != paths_total, || format!("{paths} of {paths_total} routes"));
        found.finding()
    }

    fn index_of(&self, name: &str) -> Option<u32> {
        self.link_called(name).map(|link| link.index)
    }

    pub(super) fn link_called(&self, name: &str) -> Option<&Link> {
        self.tables.links.values().find(|link| link.name == name)
    }

    /// Whether a link answers for an address because of us.
    pub(super) fn answers_for(&self, index: u32, address: IpAddr) -> bool {
        self.proxies.contains(&(index, address))
    }

    fn peer(&self, wanted: &Peer) -> Finding {
        let wanted = tunnel::destination(wanted);
        let same = |found: &&Destination| (found.index, found.mac) == (wanted.index, wanted.mac);
        match self.destinations.iter().find(same) {
            None => Finding::Missing,
            Some(found) if *found == wanted => Finding::Holds,
            Some(found) => Finding::Different(format!("the host is {}", found.host)),
        }
    }

    fn remote_route(&self, wanted: &RemoteRoute) -> Finding {
        let neighbour = tunnel::neighbour(wanted);
        let known = self.neighbours.get(&(neighbour.index, neighbour.address)) == Some(&neighbour);
        match (self.tables.has_path(&tunnel::path(wanted)), known) {
            (true, true) => Finding::Holds,
            (true, false) => Finding::Different("without the MAC of the other router".to_owned()),
            (false, true) => Finding::Different("without the route".to_owned()),
            (false, false) => Finding::Missing,
        }
    }

    fn port(&self, wanted: &Port) -> Finding {
        let Some(link) = self.tables.links.get(&wanted.index) else { return Finding::Missing };
        let mut found = Report::default();
        found.expect("the name", &wanted.name, &link.name);
        match wanted.far {
            FarEnd::Namespace => {
                found.expect("the kind", "veth", &link.kind);
                found.expect("the other end's index", &Some(wanted.inner_index), &link.peer);
            }
            FarEnd::Machine => {
                found.expect("the kind", "tun", &link.kind);
                found.note(!self.answers(wanted.index), "it does not answer for neighbours");
            }
        }
        found.expect("the group", &PORT_GROUP, &link.group);
        found.expect("the MAC", &Some(HOST_END_MAC), &link.mac);
        found.expect("the MTU", &port::mtu(wanted), &link.mtu);
        found.expect("the alias", &wanted.alias, &link.alias);
        found.note(!link.up, "it is down");
        found.note(!link.silent && link.has_inet6(), "it makes IPv6 addresses by itself");
        for setting in port::HOST_SETTINGS {
            found.note(link.inet4(setting) != Some(1), || format!("{setting:?} is off"));
        }
        for gateway in port::answered_for(wanted) {
            let there = self.answers_for(wanted.index, gateway);
            found.note(!there, || format!("without answers for {gateway}"));
        }
        for path in port::host_paths(wanted) {
            let there = self.tables.has_path(&path);
            found.note(!there, || format!("without the route to {}", path.destination));
        }
        for neighbour in port::host_neighbours(wanted) {
            let found_one = self.neighbours.get(&(neighbour.index, neighbour.address));
            let there = found_one == Some(&neighbour);
            found.note(!there, || format!("without the MAC of {}", neighbour.address));
        }
        found.finding()
    }

    fn host_address(&self, wanted: &HostAddress) -> Finding {
        let key = (wanted.index, IpNet::from(wanted.address));
        if self.tables.addresses.contains(&key) { Finding::Holds } else { Finding::Missing }
    }

    fn vip(&self, wanted: &VipRoute) -> Finding {
        if self.tables.has_path(&anchor::vip_path(wanted)) {
            Finding::Holds
        } else {
            Finding::Missing
        }
    }

    fn shaper(&self, wanted: &Shaper) -> Finding {
        let Some(link) = self.tables.links.get(&wanted.index) else { return Finding::Missing };
        let mut found = Report::default();
        found.expect("the name", &wanted.name, &link.name);
        found.expect("the kind", "ifb", &link.kind);
        found.expect("the group", &DEVICE_GROUP, &link.group);
        found.note(!link.up, "it is down");
        let rate = self.buckets.get(&wanted.index);
        found.expect("the rate", &Some(&wanted.bytes_per_second), &rate);
        found.finding()
    }

    /// Whether links of ours are dead already and wait to be deleted.
    pub(crate) fn has_dying_links(&self) -> bool {
        self.tables.links.values().any(|link| link.group == DYING_GROUP && marks::is_ours(link))
    }

    /// Links, routes and addresses with our mark that no wanted fact explains.
    pub(crate) fn strays(&self, wanted: &[Fact]) -> Vec<(String, Handle)> {
        let mut explained = Explained::default();
        for fact in wanted {
            explained.add(fact, |name| self.index_of(name));
            if let Fact::Detour(wanted) = fact {
                explained.rules.extend(detour::rules(wanted));
                let link = self.link_of(wanted).unwrap_or_default();
                explained.own.extend(detour::paths(wanted, link));
            }
        }
        let mut strays = Vec::new();
        // What waits in the pool, or in a namespace for its first port, ends with what holds it.
        let ours: Vec<&Link> = self
            .tables
            .links
            .values()
            .filter(|link| marks::is_ours(link) && link.group != POOL_GROUP)
            .collect();
        for link in &ours {
            if link.group == DYING_GROUP || !explained.links.contains(&link.index) {
                let handle = Handle::Link { index: link.index, name: link.name.clone() };
                strays.push((format!("interface {}", link.name), handle));
            }
        }
        let anchors: HashSet<u32> = ours
            .iter()
            .filter(|link| explained.links.contains(&link.index))
            .map(|link| link.index)
            .collect();
        for (index, address) in &self.tables.addresses {
            if anchors.contains(index) && !explained.addresses.contains(&(*index, *address)) {
                let handle = Handle::Address { index: *index, address: *address };
                strays.push((format!("address {address}"), handle));
            }
        }
        for (path, _) in
            self.tables.paths.values().flatten().filter(|(_, origin)| *origin == ORIGIN)
        {
            let leaves_with_link = match path.target {
                Target::Device(index) | Target::Gateway(index, _) => {
                    self.tables.links.get(&index).is_some_and(marks::is_ours)
                        && !explained.links.contains(&index)
                }
                Target::Unreachable | Target::Other => false,
            };
            if !explained.paths.contains(path) && !leaves_with_link {
                strays.push((format!("route to {}", path.destination), Handle::Path(*path)));
            }
        }
        for entry in self.destinations.difference(&explained.destinations) {
            if explained.links.contains(&entry.index) {
                let what = format!("host {} behind a tunnel", entry.host);
                strays.push((what, Handle::Destination(*entry)));
            }
        }
        for rule in self.rules.difference(&explained.rules) {
            strays.push((format!("routing rule for {}", rule.from), Handle::Rule(rule.clone())));
        }
        for (table, path) in self.own.difference(&explained.own) {
            let what = format!("route to {} in table {table}", path.destination);
            strays.push((what, Handle::Way(*table, *path)));
        }
        for (index, address) in self.proxies.difference(&explained.proxies) {
            let handle = Handle::Proxy { index: *index, address: *address };
            strays.push((format!("answers for {address}"), handle));
        }
        strays.sort_by(|a, b| a.0.cmp(&b.0));
        strays
    }
}

/// What the wanted facts stand for.
#[derive(Debug, Default)]
struct Explained {
    links: HashSet<u32>,
    addresses: HashSet<(u32, IpNet)>,
    paths: BTreeSet<Path>,
    destinations: BTreeSet<Destination>,
    rules: BTreeSet<Rule>,
    own: BTreeSet<(u32, Path)>,
    proxies: BTreeSet<(u32, IpAddr)>,
}

impl Explained {
    /// `index_of` knows the links by their names.
    fn add(&mut self, fact: &Fact, index_of: impl Fn(&str) -> Option<u32>) {
        match fact {
            Fact::Anchor(anchor) => {
                self.links.insert(anchor.index);
                self.addresses.extend(anchor.gateways.iter().map(|net| (anchor.index, *net)));
                self.paths.extend(anchor::paths(anchor));
            }
            Fact::Tunnel(tunnel) => {
                self.links.insert(tunnel.index);
            }
            Fact::Wire(wire) => {
                self.rules.extend(wire::rules(wire));
                let out = index_of(&wire.out).unwrap_or_default();
                self.own.extend(wire::paths(wire, out));
            }
            Fact::Proxy(proxy) => {
                self.proxies.extend(index_of(&proxy.uplink).map(|index| (index, proxy.address)));
            }
            Fact::Guise(guise) => {
                let index = index_of(&guise.name);
                self.links.extend(index);
                let own = face::link_local(guise);
                self.addresses.extend(index.zip(own));
            }
            Fact::Station(station) => {
                let names = station.trunk.iter().flat_map(|it| [&it.outer, &it.face]);
                self.links.extend(names.filter_map(|name| index_of(name)));
            }
            Fact::Face(face) => {
                let index = index_of(&face.name);
                self.links.extend(index);
                let pairs = |index| face.addresses.iter().map(move |address| (index, *address));
                self.proxies.extend(index.into_iter().flat_map(pairs));
            }
            Fact::Peer(peer) => {
                self.destinations.insert(tunnel::destination(peer));
            }
            Fact::RemoteRoute(route) => {
                self.paths.insert(tunnel::path(route));
            }
            Fact::Port(port) => {
                self.links.insert(port.index);
                self.paths.extend(port::host_paths(port));
                self.proxies.extend(port::answered_for(port).map(|gateway| (port.index, gateway)));
            }
            Fact::Shaper(shaper) => {
                self.links.insert(shaper.index);
            }
            Fact::HostAddress(host) => {
                self.addresses.insert((host.index, IpNet::from(host.address)));
            }
            Fact::VipRoute(route) => {
                self.paths.insert(anchor::vip_path(route));
            }
            _ => {}
        }
    }
}

/// The inner half of a port.
fn inside(host: &mut Linux, wanted: &Port, leased: bool) -> Result<Finding, Error> {
    let inside = match host.namespaces.inside(wanted.netns) {
        Ok(inside) => inside,
        Err(Error::NamespaceGone { .. }) => return Ok(Finding::Missing),
        Err(error) => return Err(error),
    };
    let tables = Tables::read(&mut inside.socket)?;
    let Some(link) = tables.links.get(&wanted.inner_index) else {
        return Ok(Finding::Different("its inner end is not in the namespace".to_owned()));
    };
    let mut found = Report::default();
    found.expect("the inner name", &wanted.inner_name, &link.name);
    found.expect("the inner MAC", &Some(wanted.mac), &link.mac);
    found.expect("the outer end's index", &Some(wanted.index), &link.peer);
    found.expect("the inner MTU", &port::mtu(wanted), &link.mtu);
    if leased {
        return Ok(found.finding());
    }
    found.note(!link.up, "its inner end is down");
    for address in &wanted.addresses {
        let there = tables.addresses.contains(&(wanted.inner_index, *address));
        found.note(!there, || format!("without address {address} inside"));
    }
    for neighbour in port::inner_neighbours(wanted) {
        let there = neighbour::get(&mut inside.socket, neighbour.index, neighbour.address)?
            == Some(neighbour);
        found.note(!there, || format!("without the MAC of {} inside", neighbour.address));
    }
    for path in port::inner_paths(wanted) {
        let there = tables.has_path(&path);
        found.note(!there, || format!("without the route to {} inside", path.destination));
    }
    Ok(found.finding())
}

/// Differences of one link, put together for people.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<String>);

impl Report {
    pub(super) fn expect<
        T: PartialEq<U> + std::fmt::Debug + ?Sized,
        U: std::fmt::Debug + ?Sized,
    >(
        &mut self,
        what: &str,
        wanted: &T,
        found: &U,
    ) {
        if wanted != found {
            self.0.push(format!("{what} is {found:?}"));
        }
    }

    pub(super) fn note(&mut self, wrong: bool, text: impl Text) {
        if wrong {
            self.0.push(text.text());
        }
    }

    pub(super) fn finding(self) -> Finding {
        if self.0.is_empty() { Finding::Holds } else { Finding::Different(self.0.join(", ")) }
    }
}

/// A text that may have to be put together first.
pub(super) trait Text {
    fn text(self) -> String;
}

impl Text for &str {
    fn text(self) -> String {
        self.to_owned()
    }
}

impl<F: FnOnce() -> String> Text for F {
    fn text(self) -> String {
        self()
    }
}
