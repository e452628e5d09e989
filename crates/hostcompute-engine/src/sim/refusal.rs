//! What the simulated kernel refuses, and why. Each rule is one that Linux has; the plan that breaks it would fail there too.
//!
//! Three questions about an addition: is it well formed ([`shape`]), is what it stands on there ([`needs`]), does something
//! else have its place ([`collisions`])?

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Failure, Guid, HResult};
use ipnet::IpNet;

use super::kernel::{Held, Kernel};
use super::thing::Thing;
use crate::mac::Mac;
use crate::plan::{
    AclChain, AclRule, AddressSet, Anchor, Detour, Diversion, Element, Fact, Family, FarEnd, Guise,
    Lane, Member, Port, PortRoute, Proxy, SLOT_CLASSES, Service, Station, Tunnel, Verdict, Way,
    Wire,
};

/// `IFNAMSIZ` less the terminating zero.
const NAME_LIMIT: usize = 15;

/// IPv6 is switched off on an interface with a smaller MTU.
const SMALLEST_V6_MTU: u32 = 1280;
const SMALLEST_V4_MTU: u32 = 68;

pub(super) fn exists(thing: &Thing, held: &Fact) -> Failure {
    Failure::new(HResult::ERROR_ALREADY_EXISTS, format!("{thing} exists as {held:?}"))
}

pub(super) fn not_as_expected(thing: &Thing, held: Option<&Fact>) -> Failure {
    Failure::new(HResult::ERROR_NOT_FOUND, format!("{thing} is to be changed but is {held:?}"))
}

fn taken(what: impl core::fmt::Display, by: &str) -> Failure {
    Failure::new(HResult::ERROR_ALREADY_EXISTS, format!("{what} is taken by {by}"))
}

fn missing(what: impl core::fmt::Display) -> Failure {
    Failure::new(HResult::ERROR_NOT_FOUND, format!("{what} is not there"))
}

fn malformed(what: impl Into<String>) -> Failure {
    Failure::new(HResult::E_INVALIDARG, what)
}

/// Everything that keeps a fact from being added where its key is free.
pub(super) fn addition(kernel: &Kernel, fact: &Fact) -> Result<(), Failure> {
    shape(fact)?;
    needs(kernel, fact)?;
    collisions(kernel, fact)
}

/// What can be said of a fact without looking at the kernel.
pub(super) fn shape(fact: &Fact) -> Result<(), Failure> {
    match fact {
        Fact::Anchor(anchor) => {
            interface(&anchor.name, anchor.index)?;
            if anchor.mac.is_group() {
                return Err(malformed(format!("{} is a group address", anchor.mac)));
            }
            Ok(())
        }
        Fact::Tunnel(tunnel) => tunnel_shape(tunnel),
        Fact::RemoteRoute(route) => {
            let stand_in = route.destination.network();
            match route.prefer.filter(|source| Family::of(source) != Family::of(&stand_in)) {
                Some(source) => Err(malformed(format!("{source} toward {}", route.destination))),
                None => Ok(()),
            }
        }
        Fact::Wire(wire) => {
            let mixed =
                |way: &Way| way.gateway.is_some_and(|gateway| !way.subnet.contains(&gateway));
            match wire.ways.iter().find(|way| mixed(way)) {
                Some(way) => Err(malformed(format!("{:?} is not in {}", way.gateway, way.subnet))),
                None => Ok(()),
            }
        }
        Fact::Port(port) => port_shape(port),
        Fact::Station(station) => station_shape(station),
        Fact::Face(face) if face.name.len() > NAME_LIMIT || face.mac.is_group() => {
            Err(malformed(format!("{} cannot be a link", face.name)))
        }
        Fact::Shaper(shaper) => {
            interface(&shaper.name, shaper.index)?;
            match shaper.bytes_per_second {
                0 => Err(malformed("a token bucket without rate")),
                _ => Ok(()),
            }
        }
        Fact::Diversion(diversion) => diversion_shape(diversion),
        Fact::AddressSet(set) => set_shape(set),
        Fact::AclChain(chain) => chain.rules.iter().try_for_each(rule_shape),
        Fact::Element(element) => element_shape(element),
        Fact::Service(service) => service_shape(service),
        _ => Ok(()),
    }
}

fn interface(name: &str, index: u32) -> Result<(), Failure> {
    let bad = |c: char| c == '/' || c == ':' || c.is_ascii_whitespace();
    if name.is_empty() || name.len() > NAME_LIMIT || name.contains(bad) || name == "." {
        return Err(malformed(format!("'{name}' cannot name an interface")));
    }
    if index == 0 || i32::try_from(index).is_err() {
        return Err(malformed(format!("interface {name} cannot have index {index}")));
    }
    Ok(())
}

fn tunnel_shape(tunnel: &Tunnel) -> Result<(), Failure> {
    interface(&tunnel.name, tunnel.index)?;
    if tunnel.vsid == 0 || tunnel.vsid >= 1 << 24 || tunnel.port == 0 {
        return Err(malformed(format!(
            "no tunnel has VSID {} at port {}",
            tunnel.vsid, tunnel.port
        )));
    }
    if tunnel.mac.is_group() || !(SMALLEST_V4_MTU..=65535).contains(&tunnel.mtu) {
        return Err(malformed(format!("{} cannot be set up so", tunnel.name)));
    }
    Ok(())
}

fn port_shape(port: &Port) -> Result<(), Failure> {
    interface(&port.name, port.index)?;
    interface(&port.inner_name, port.inner_index)?;
    if port.mac.is_group() || port.mac.to_u64() == 0 {
        return Err(malformed(format!("{} cannot be the MAC of an interface", port.mac)));
    }
    let v6 = port.addresses.iter().any(|address| address.addr().is_ipv6());
    let least = if v6 { SMALLEST_V6_MTU } else { SMALLEST_V4_MTU };
    if port.mtu.is_some_and(|mtu| mtu < least || mtu > 65535) {
        return Err(malformed(format!("port {} cannot have MTU {:?}", port.name, port.mtu)));
    }
    for (nth, route) in port.routes.iter().enumerate() {
        let same = |other: &PortRoute| {
            (other.destination, other.metric) == (route.destination, route.metric)
        };
        if port.routes.iter().take(nth).any(same) {
            return Err(malformed(format!("two routes to {} in {}", route.destination, port.name)));
        }
        let Some(hop) = route.next_hop else { continue };
        if Family::of(&hop) != Family::of(&route.destination.addr()) {
            return Err(malformed(format!("{} cannot go through {hop}", route.destination)));
        }
        if !port.gateways.contains(&hop) {
            return Err(malformed(format!("next hop {hop} is not a neighbour of {}", port.name)));
        }
        if !port.addresses.iter().any(|a| Family::of(&a.addr()) == Family::of(&hop)) {
            return Err(malformed(format!("{} has no address for {hop}", port.name)));
        }
    }
    Ok(())
}

fn station_shape(station: &Station) -> Result<(), Failure> {
    interface(&station.name, station.index)?;
    if station.mac.is_group() || station.mac.to_u64() == 0 {
        return Err(malformed(format!("{} cannot be the MAC of an interface", station.mac)));
    }
    if let Some(trunk) = &station.trunk {
        let name = |name: &String| name.len() <= NAME_LIMIT;
        if !((1..4095).contains(&trunk.vlan) && name(&trunk.outer) && name(&trunk.face)) {
            return Err(malformed(format!("{trunk:?} cannot be")));
        }
    }
    for route in &station.routes {
        let Some(hop) = route.next_hop else { continue };
        let near = |other: &PortRoute| other.next_hop.is_none() && other.destination.contains(&hop);
        if !station.routes.iter().any(near) {
            return Err(malformed(format!("next hop {hop} is not on the wire")));
        }
    }
    Ok(())
}

/// One lane for each place, and the one for everything at the end.
fn diversion_shape(diversion: &Diversion) -> Result<(), Failure> {
    let lanes = &diversion.lanes;
    let places: BTreeSet<u32> = lanes.iter().map(|lane| lane.place).collect();
    let all = lanes.iter().position(|lane| lane.sources.is_empty());
    let last = all.is_none_or(|place| place + 1 == lanes.len());
    match !lanes.is_empty() && places.len() == lanes.len() && last {
        true => Ok(()),
        false => Err(malformed(format!("the lanes of {} cross", diversion.port))),
    }
}

/// Members of one family that do not overlap, with ports only where the keys have some.
fn set_shape(set: &AddressSet) -> Result<(), Failure> {
    let fits = |member: &Member| {
        Family::of(&member.net.addr()) == set.family && (set.ports || member.service.is_none())
    };
    let mut nets: BTreeMap<Option<(u8, u16)>, Vec<IpNet>> = BTreeMap::new();
    for member in set.members.iter() {
        nets.entry(member.service).or_default().push(member.net);
    }
    let whole = nets.get(&None).cloned().unwrap_or_default();
    for (service, nets) in &mut nets {
        nets.sort_unstable();
        let meets = nets.windows(2).any(|pair| matches!(pair, [a, b] if a.contains(b)));
        let inside = |net: &IpNet| whole.iter().any(|other| other.contains(net));
        if meets || (service.is_some() && nets.iter().any(inside)) {
            return Err(malformed(format!("members of set {:x} overlap", set.number)));
        }
    }
    match set.members.iter().all(fits) {
        true => Ok(()),
        false => Err(malformed(format!("set {:x} cannot hold all its members", set.number))),
    }
}

fn rule_shape(rule: &AclRule) -> Result<(), Failure> {
    if rule.family.is_none() && !rule.sets.is_empty() {
        return Err(malformed("a rule that names sets of no family"));
    }
    let nets = rule.local.iter().chain(&rule.remote).map(|net| Family::of(&net.addr()));
    let mut families = rule.family.into_iter().chain(nets);
    if let Some(first) = families.next()
        && families.any(|family| family != first)
    {
        return Err(malformed("one rule with addresses of both families"));
    }
    if let (Verdict::Redirect(to), family) = (&rule.verdict, rule.family)
        && family != Some(Family::of(&to.ip()))
    {
        return Err(malformed("a redirection of packets of both families"));
    }
    let mut ranges = rule.local_ports.iter().chain(&rule.remote_ports);
    if ranges.any(|range| range.first > range.last) {
        return Err(malformed("a range of ports that ends before it begins"));
    }
    let with_ports = |protocol: &u8| matches!(protocol, 6 | 17 | 33 | 132 | 136);
    let ported = !(rule.local_ports.is_empty() && rule.remote_ports.is_empty());
    if ported && (rule.protocols.is_empty() || !rule.protocols.iter().all(with_ports)) {
        return Err(malformed("ports of protocols that have none"));
    }
    Ok(())
}

fn element_shape(element: &Element) -> Result<(), Failure> {
    let same = |a: &IpAddr, b: &IpAddr| Family::of(a) == Family::of(b);
    let good = match element {
        Element::Intra { from, to } | Element::Barred { from, to } => {
            same(&from.addr(), &to.addr())
        }
        Element::Answered { port, .. } => *port != 0,
        Element::PortMapping { vip, port, to, .. } => {
            vip.is_none_or(|vip| same(&vip, &to.ip())) && *port != 0 && to.port() != 0
        }
        Element::NatExempt { source, destination } | Element::NatLimit { source, destination } => {
            same(source, &destination.addr())
        }
        Element::Admit { to, from } => same(to, &from.addr()),
        Element::NatAs { source, address } => same(source, address),
        Element::NatPorts { first, last, .. } => first <= last,
        Element::Masked { source, to, .. } => same(source, &to.ip()),
        _ => true,
    };
    if good { Ok(()) } else { Err(malformed(format!("{element:?} fits no set"))) }
}

fn service_shape(service: &Service) -> Result<(), Failure> {
    let family = |address: &IpAddr| Family::of(address) == service.family;
    if !SLOT_CLASSES.contains(&service.slots.len()) {
        return Err(malformed(format!("no map has {} slots", service.slots.len())));
    }
    let backends = service.slots.iter().all(|slot| family(&slot.ip()) && slot.port() != 0);
    if !(backends && service.vip.as_ref().is_none_or(family)) || service.port == 0 {
        return Err(malformed(format!("{:?} cannot be translated", service.frontend())));
    }
    Ok(())
}

/// What must be there before the fact can be.
pub(super) fn needs(kernel: &Kernel, fact: &Fact) -> Result<(), Failure> {
    let has = |thing: Thing| {
        if kernel.things.contains_key(&thing) { Ok(()) } else { Err(missing(thing)) }
    };
    let device = |name: &str, index: u32| match kernel.links.get(&index) {
        Some(found) if found == name => Ok(()),
        _ => Err(missing(format!("interface {name} with index {index}"))),
    };
    match fact {
        Fact::Port(port) => {
            let inside = port.far == FarEnd::Namespace;
            if inside && !kernel.things.contains_key(&Thing::Netns(port.netns)) {
                let text = format!("namespace {} of port {} is not there", port.netns, port.name);
                return Err(Failure::new(HResult::HCN_E_NAMESPACE_ATTACH_FAILED, text));
            }
            // The kernel answers EINVAL to a route whose preferred source is not an address of the host.
            match port.prefer.iter().find(|source| !kernel.addresses.contains_key(source)) {
                Some(source) => Err(missing(format!("preferred source {source}"))),
                None => Ok(()),
            }
        }
        Fact::Interception(interception) => has(Thing::Netns(interception.netns)),
        Fact::HostAddress(host) => device(&host.device, host.index),
        Fact::Station(station) => {
            has(Thing::Netns(station.netns))?;
            match kernel.foreign.contains_key(&station.uplink) {
                true => Ok(()),
                false => Err(missing(format!("interface {}", station.uplink))),
            }
        }
        Fact::Face(face) => {
            has(Thing::Link(face.guise.clone()))?;
            match kernel.foreign.contains_key(&face.uplink) {
                true => Ok(()),
                false => Err(missing(format!("interface {}", face.uplink))),
            }
        }
        Fact::Wire(Wire { uplink, out, .. }) if out != uplink => has(Thing::Link(out.clone())),
        Fact::Proxy(Proxy { uplink, .. })
            if kernel.things.contains_key(&Thing::Link(uplink.clone())) =>
        {
            Ok(())
        }
        Fact::Solicited(uplink)
        | Fact::Guise(Guise { uplink, .. })
        | Fact::Wire(Wire { uplink, .. })
        | Fact::Proxy(Proxy { uplink, .. }) => match kernel.foreign.contains_key(uplink) {
            true => Ok(()),
            false => Err(missing(format!("interface {uplink}"))),
        },
        Fact::Detour(Detour { via: Some(hop), .. })
            if !kernel.near.iter().any(|net| net.contains(hop)) =>
        {
            let why = format!("no adapter of this host is in a subnet with {hop}");
            Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why))
        }
        Fact::Peer(peer) => device(&peer.device, peer.index),
        Fact::RemoteRoute(route) => {
            device(&route.device, route.index)?;
            match route.prefer.filter(|source| !kernel.addresses.contains_key(source)) {
                Some(source) => Err(missing(format!("preferred source {source}"))),
                None => Ok(()),
            }
        }
        Fact::VipRoute(route) => device(&route.device, route.index),
        // A socket is bound to an address that the host has.
        Fact::Responder(responder) => {
            match responder.gateways.iter().find(|gateway| !kernel.addresses.contains_key(gateway))
            {
                Some(gateway) => Err(missing(format!("address {gateway}"))),
                None => Ok(()),
            }
        }
        Fact::Lease(lease) => device(&lease.port, lease.index),
        Fact::VipOwner(owner) => device(&owner.port, owner.index),
        Fact::Diversion(diversion) => {
            device(&diversion.port, diversion.index)?;
            let gone = |lane: &&Lane| !kernel.links.contains_key(&lane.shaper);
            match diversion.lanes.iter().find(gone) {
                Some(lane) => Err(missing(format!("interface with index {}", lane.shaper))),
                None => Ok(()),
            }
        }
        Fact::AddressSet(_) | Fact::AclChain(_) | Fact::Element(_) | Fact::Service(_) => {
            has(Thing::Table)
        }
        _ => Ok(()),
    }
}

/// What has the place that the fact wants.
fn collisions(kernel: &Kernel, fact: &Fact) -> Result<(), Failure> {
    match fact {
        Fact::Anchor(anchor) => anchor_collisions(kernel, anchor),
        Fact::Tunnel(tunnel) => tunnel_collisions(kernel, tunnel),
        Fact::RemoteRoute(route) => free_route(kernel, route.destination),
        Fact::Port(port) => port_collisions(kernel, port),
        Fact::Station(station) => {
            if let Some(trunk) = &station.trunk {
                free_link(kernel, &trunk.outer, trunk.index)?;
                if kernel.foreign.contains_key(&trunk.face) {
                    let what = format!("interface name {}", trunk.face);
                    return Err(taken(what, "a foreign interface"));
                }
            }
            inner_place(kernel, station.netns, &station.name, station.index, &station.routes)
        }
        Fact::Face(face) => free_on_wire(kernel, &face.name, (&face.uplink, face.mac)),
        Fact::Guise(guise) => free_on_wire(kernel, &guise.name, (&guise.uplink, guise.mac)),
        Fact::Shaper(shaper) => free_link(kernel, &shaper.name, shaper.index),
        Fact::HostAddress(host) => free_address(kernel, host.address),
        Fact::VipRoute(route) => free_route(kernel, IpNet::from(route.address)),
        Fact::AclChain(chain) => loops(kernel, chain),
        Fact::Element(element) => overlap(kernel, element),
        _ => Ok(()),
    }
}

fn free_link(kernel: &Kernel, name: &str, index: u32) -> Result<(), Failure> {
    if let Some(by) = kernel.links.get(&index) {
        return Err(taken(format!("interface index {index} for {name}"), by));
    }
    if kernel.foreign.contains_key(name) {
        return Err(taken(format!("interface name {name}"), "a foreign interface"));
    }
    Ok(())
}

fn free_address(kernel: &Kernel, address: IpAddr) -> Result<(), Failure> {
    if let Some(by) = kernel.addresses.get(&address) {
        return Err(taken(address, by));
    }
    match kernel.routes.get(&IpNet::from(address)) {
        Some(by) => Err(taken(format!("the route to {address}"), by)),
        None => Ok(()),
    }
}

fn free_route(kernel: &Kernel, destination: IpNet) -> Result<(), Failure> {
    if let Some(by) = kernel.routes.get(&destination) {
        return Err(taken(format!("the route to {destination}"), by));
    }
    // An address of the host itself wins over every route: the endpoint would never be reached.
    let host = destination.prefix_len() == destination.max_prefix_len();
    match kernel.addresses.get(&destination.addr()) {
        Some(by) if host => Err(taken(destination.addr(), by)),
        _ => Ok(()),
    }
}

fn anchor_collisions(kernel: &Kernel, anchor: &Anchor) -> Result<(), Failure> {
    free_link(kernel, &anchor.name, anchor.index)?;
    for gateway in &anchor.gateways {
        free_address(kernel, gateway.addr())?;
    }
    anchor.subnets.iter().try_for_each(|subnet| free_route(kernel, subnet.trunc()))
}

/// The kernel has one VXLAN device for each identifier and port, whatever its address.
fn tunnel_collisions(kernel: &Kernel, tunnel: &Tunnel) -> Result<(), Failure> {
    free_link(kernel, &tunnel.name, tunnel.index)?;
    let same = |held: &Held| match &held.fact {
        Fact::Tunnel(other) if (other.vsid, other.port) == (tunnel.vsid, tunnel.port) => {
            Some(other.name.clone())
        }
        _ => None,
    };
    match kernel.things.values().find_map(same) {
        Some(other) => Err(taken(format!("VSID {}", tunnel.vsid), &other)),
        None => Ok(()),
    }
}

fn port_collisions(kernel: &Kernel, port: &Port) -> Result<(), Failure> {
    free_link(kernel, &port.name, port.index)?;
    for address in &port.addresses {
        free_route(kernel, IpNet::from(address.addr()))?;
    }
    inner_place(kernel, port.netns, &port.inner_name, port.inner_index, &port.routes)
}

/// An adapter carries a MAC once, whichever namespace its link is in (`macvlan_addr_busy`).
fn free_on_wire(kernel: &Kernel, name: &str, (uplink, mac): (&String, Mac)) -> Result<(), Failure> {
    if kernel.foreign.contains_key(name) {
        return Err(taken(format!("interface name {name}"), "a foreign interface"));
    }
    let rival = |held: &Held| match &held.fact {
        Fact::Face(other) => (&other.uplink, other.mac) == (uplink, mac),
        Fact::Guise(other) => (&other.uplink, other.mac) == (uplink, mac),
        Fact::Station(other) => (&other.uplink, other.mac) == (uplink, mac),
        _ => false,
    };
    match kernel.things.values().any(rival) {
        true => Err(taken(format!("{mac} at {uplink}"), "another link")),
        false => Ok(()),
    }
}

/// Name, index and routes of a new interface in a namespace, beside those that are there.
fn inner_place(
    kernel: &Kernel,
    netns: Guid,
    name: &str,
    index: u32,
    routes: &[PortRoute],
) -> Result<(), Failure> {
    let inside = kernel.things.values().filter_map(|held| match &held.fact {
        Fact::Port(port) if port.netns == netns => {
            Some((&port.inner_name, port.inner_index, &port.routes))
        }
        Fact::Station(station) if station.netns == netns => {
            Some((&station.name, station.index, &station.routes))
        }
        _ => None,
    });
    for (other, other_index, other_routes) in inside {
        if other == name {
            return Err(taken(format!("{name} in {netns}"), other));
        }
        if other_index == index {
            return Err(taken(format!("index {index} inside"), other));
        }
        let clash = |route: &&PortRoute| {
            let same =
                |o: &PortRoute| o.destination == route.destination && o.metric == route.metric;
            other_routes.iter().any(same)
        };
        if let Some(route) = routes.iter().find(clash) {
            return Err(taken(format!("route to {} inside", route.destination), other));
        }
    }
    Ok(())
}

/// nftables refuses a chain from which a packet could come back to it.
fn loops(kernel: &Kernel, chain: &AclChain) -> Result<(), Failure> {
    let mut next = alloc::vec![chain];
    let mut depth = 0;
    while let Some(current) = next.pop() {
        depth += 1;
        let targets = current.rules.iter().map(|rule| &rule.verdict).chain([&current.otherwise]);
        for target in targets {
            let Verdict::Goto(name) = target else { continue };
            if *name == chain.name || depth > 1000 {
                return Err(malformed(format!("chain {} leads back to itself", chain.name)));
            }
            if let Some(Held { fact: Fact::AclChain(found), .. }) =
                kernel.things.get(&Thing::Chain(name.clone()))
            {
                next.push(found);
            }
        }
    }
    Ok(())
}

/// Interval sets refuse elements that overlap (`-ENOTEMPTY`, depending on the order even where one contains the other).
fn overlap(kernel: &Kernel, element: &Element) -> Result<(), Failure> {
    let meets = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    let rival = match element {
        Element::Intra { from, to } => peers(kernel, element).find(
            |other| matches!(other, Element::Intra { from: f, to: t } if meets(f, from) && meets(t, to)),
        ),
        Element::Barred { from, to } => peers(kernel, element).find(
            |other| matches!(other, Element::Barred { from: f, to: t } if meets(f, from) && meets(t, to)),
        ),
        Element::Fenced { subnet } => peers(kernel, element)
            .find(|other| matches!(other, Element::Fenced { subnet: s } if meets(s, subnet))),
        Element::Outbound { subnet } => peers(kernel, element)
            .find(|other| matches!(other, Element::Outbound { subnet: s } if meets(s, subnet))),
        Element::Hidden { subnet } => peers(kernel, element)
            .find(|other| matches!(other, Element::Hidden { subnet: s } if meets(s, subnet))),
        Element::Apart { subnet } => peers(kernel, element)
            .find(|other| matches!(other, Element::Apart { subnet: s } if meets(s, subnet))),
        Element::Published { subnet } => peers(kernel, element)
            .find(|other| matches!(other, Element::Published { subnet: s } if meets(s, subnet))),
        Element::Bridged { subnet } => peers(kernel, element)
            .find(|other| matches!(other, Element::Bridged { subnet: s } if meets(s, subnet))),
        Element::Joined { device, subnet } => peers(kernel, element).find(
            |other| matches!(other, Element::Joined { device: d, subnet: s } if d == device && meets(s, subnet)),
        ),
        Element::NatExempt { destination, .. } => peers(kernel, element).find(
            |other| matches!(other, Element::NatExempt { destination: d, .. } if meets(d, destination)),
        ),
        Element::Admit { from, .. } => peers(kernel, element).find(
            |other| matches!(other, Element::Admit { from: f, .. } if meets(f, from)),
        ),
        Element::Steer { destination, .. } => peers(kernel, element).find(
            |other| matches!(other, Element::Steer { destination: d, .. } if meets(d, destination)),
        ),
        Element::NatLimit { destination, .. } => peers(kernel, element).find(
            |other| matches!(other, Element::NatLimit { destination: d, .. } if meets(d, destination)),
        ),
        _ => None,
    };
    match rival {
        Some(rival) => Err(taken(format!("the place of {element:?}"), &format!("{rival:?}"))),
        None => Ok(()),
    }
}

/// The elements with which an element of an interval set could overlap: of its set, and for one source where it has one.
fn peers<'a>(kernel: &'a Kernel, element: &Element) -> impl Iterator<Item = &'a Element> {
    let everything = |like: &IpNet| match like {
        IpNet::V4(_) => IpNet::V4(ipnet::Ipv4Net::default()),
        IpNet::V6(_) => IpNet::V6(ipnet::Ipv6Net::default()),
    };
    let source = match element {
        Element::NatExempt { source, .. }
        | Element::NatLimit { source, .. }
        | Element::Admit { to: source, .. }
        | Element::Steer { source, .. } => Some(*source),
        _ => None,
    };
    let first = match element.clone() {
        Element::Intra { from, .. } => {
            Element::Intra { from: everything(&from), to: everything(&from) }
        }
        Element::Barred { from, .. } => {
            Element::Barred { from: everything(&from), to: everything(&from) }
        }
        Element::Fenced { subnet } => Element::Fenced { subnet: everything(&subnet) },
        Element::Outbound { subnet } => Element::Outbound { subnet: everything(&subnet) },
        Element::Hidden { subnet } => Element::Hidden { subnet: everything(&subnet) },
        Element::Apart { subnet } => Element::Apart { subnet: everything(&subnet) },
        Element::Published { subnet } => Element::Published { subnet: everything(&subnet) },
        Element::Bridged { subnet } => Element::Bridged { subnet: everything(&subnet) },
        Element::Joined { device, subnet } => {
            Element::Joined { device, subnet: everything(&subnet) }
        }
        Element::NatExempt { source, destination } => {
            Element::NatExempt { source, destination: everything(&destination) }
        }
        Element::NatLimit { source, destination } => {
            Element::NatLimit { source, destination: everything(&destination) }
        }
        Element::Admit { to, from } => Element::Admit { to, from: everything(&from) },
        Element::Steer { source, destination, .. } => {
            Element::Steer { source, destination: everything(&destination), number: 0 }
        }
        other => other,
    };
    let set = core::mem::discriminant(element);
    kernel
        .things
        .range(Thing::Element(first)..)
        .map_while(|(thing, _)| match thing {
            Thing::Element(element) => Some(element),
            _ => None,
        })
        .take_while(move |other| core::mem::discriminant(*other) == set)
        .take_while(move |other| match (other, source) {
            (
                Element::NatExempt { source: s, .. }
                | Element::NatLimit { source: s, .. }
                | Element::Admit { to: s, .. }
                | Element::Steer { source: s, .. },
                Some(source),
            ) => *s == source,
            _ => true,
        })
}
