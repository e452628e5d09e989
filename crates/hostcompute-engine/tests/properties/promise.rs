//! What the documents promise about packets, worked out from the model, to be held against what the facts give.
//!
//! A promise is made only where the rules are plain: between endpoints in different namespaces, toward hosts and machines
//! outside that no rule singles out. What must never happen (reaching another network's endpoints, being reached
//! from outside without a mapping) is promised for all.

use std::net::IpAddr;

use hostcompute_engine::sim::{Connection, Delivery, Origin, Outcome, Reach, Receiver};

use crate::command::{Extra, Policy, REMOTES};
use crate::detours::{Course, course};
use crate::model::{Endpoint, Mode, Model, Network};
use crate::rules::{self, Packet, contains};
use crate::sidecars::{Taken, taken};

const SOURCE_PORT: u16 = 40_000;
pub const HOST: &str = "198.51.100.1";
pub const HOST6: &str = "2001:db8::1";
pub const STRANGER: &str = "203.0.113.9";
const STRANGER6: &str = "2001:db8:9::9";
/// Enough to walk each pair of a small world, not of a large one.
const MOST_ENDPOINTS: usize = 6;

/// Compares every promise with what the facts give; tells the first that is broken.
pub fn check(model: &Model, reach: &Reach<'_>) -> Result<(), String> {
    let attached = |endpoint: &&Endpoint| endpoint.place.is_some();
    // What is on the wire past the host is not ours to promise anything of.
    let passes_us = |endpoint: &&Endpoint| !model.is_station(endpoint);
    let endpoints: Vec<&Endpoint> =
        model.endpoints.iter().filter(attached).filter(passes_us).take(MOST_ENDPOINTS).collect();
    let walk = Walk { model, reach };
    for from in &endpoints {
        for to in &endpoints {
            walk.between(from, to)?;
        }
        walk.outward(from)?;
        walk.inward(from)?;
        walk.abroad(from)?;
    }
    walk.served()?;
    walk.mappings()?;
    walk.services()
}

struct Walk<'a> {
    model: &'a Model,
    reach: &'a Reach<'a>,
}

/// The service that test packets ask for.
const PROBES: [(u8, u16); 4] = [(6, 80), (6, 443), (17, 53), (1, 0)];

impl Walk<'_> {
    fn connect(&self, origin: Origin, to: IpAddr, protocol: u8, port: u16) -> Outcome {
        let source_port = if protocol == 1 { 0 } else { SOURCE_PORT };
        self.reach.connect(&Connection { origin, to, protocol, source_port, port, draw: 0 })
    }

    fn network(&self, endpoint: &Endpoint) -> &Network {
        self.model.network(endpoint.network).expect("the model deletes endpoints with networks")
    }

    /// In a namespace with an interface of its own.
    fn is_plain(&self, endpoint: &Endpoint) -> bool {
        endpoint.place.is_some_and(|place| place != self.model.host_default)
    }

    /// Whether a proxy inside the namespace takes the connection, or may; then it goes nowhere else.
    fn caught(&self, from: &Endpoint, packet: &Packet, got: Outcome) -> Result<bool, String> {
        let port = match taken(self.model, from, false, packet) {
            Taken::Nobody => return Ok(false),
            Taken::Unsure => return Ok(true),
            Taken::Port(port) => port,
        };
        let there = got.map(|delivery| (delivery.receiver, delivery.destination.port()));
        if there == Ok((Receiver::Endpoint(from.id), port)) {
            return Ok(true);
        }
        Err(format!("{packet:?} of {} should be taken at port {port}, got {got:?}", from.id))
    }

    /// Whether what is opened to an endpoint comes out at the port of its proxy, if it has one.
    fn handed_over(&self, to: &Endpoint, packet: &Packet, got: Delivery) -> Result<(), String> {
        let port = match taken(self.model, to, true, packet) {
            Taken::Nobody => packet.port,
            Taken::Unsure => return Ok(()),
            Taken::Port(port) => port,
        };
        if got.destination.port() == port {
            return Ok(());
        }
        Err(format!("{packet:?} should come to port {port} of {}, got {got:?}", to.id))
    }

    fn between(&self, from: &Endpoint, to: &Endpoint) -> Result<(), String> {
        if from.id == to.id || from.place == to.place {
            return Ok(());
        }
        // An endpoint in HostDefault is an address of the host, which every network but a Private one sees.
        let same = from.network == to.network;
        let closed = [from, to].iter().any(|e| self.network(e).mode == Mode::Private);
        let apart = !same && self.is_plain(from) && (closed || self.is_plain(to));
        for destination in to.addresses.iter().map(ipnet::IpNet::addr) {
            let Some(source) = first_of_family(from, destination) else { continue };
            for (protocol, port) in PROBES {
                let got = self.connect(Origin::Endpoint(from.id), destination, protocol, port);
                let packet = Packet::new(source, destination, protocol, port);
                if self.caught(from, &packet, got)? {
                    continue;
                }
                let isolated = (from.flags | to.flags) & 2 != 0;
                let together = same && self.network(from).together(source, destination);
                let wanted = together
                    && !isolated
                    && packet.leaves(self.model, from)
                    && packet.enters(self.model, to);
                let reached =
                    got.map(|delivery| delivery.receiver) == Ok(Receiver::Endpoint(to.id));
                if let (true, Ok(delivery)) = (reached, got) {
                    self.handed_over(to, &packet, delivery)?;
                }
                let fenced = self.network(from).fenced && self.is_plain(from) && !same;
                if (same && wanted != reached) || ((apart || fenced) && reached) {
                    return Err(format!(
                        "{} -> {} ({destination} protocol {protocol} port {port}): promised {wanted}, got {got:?}",
                        from.id, to.id
                    ));
                }
            }
        }
        Ok(())
    }

    /// From an endpoint to its gateway and to a machine outside.
    fn outward(&self, from: &Endpoint) -> Result<(), String> {
        let network = self.network(from);
        if !self.is_plain(from) || network.leads_nowhere() {
            return Ok(());
        }
        for address in from.addresses.iter().map(ipnet::IpNet::addr) {
            let source = first_of_family(from, address).unwrap_or(address);
            let (host, stranger) = foreign(address.is_ipv4());
            let outside = self.connect(Origin::Endpoint(from.id), stranger, 6, 443);
            let packet = Packet::new(source, stranger, 6, 443);
            if self.caught(from, &packet, outside)? {
                continue;
            }
            let translated = from.policies.iter().any(|p| matches!(p, Policy::OutboundNat { .. }));
            let course = course(self.model, from, stranger);
            let way_out = match network.mode {
                Mode::Nat | Mode::Bridged | Mode::Transparent => true,
                Mode::Overlay | Mode::Internal => translated || course != Course::Usual,
                Mode::Private => false,
            };
            let wanted = way_out && packet.leaves(self.model, from);
            let reached = outside.map(|delivery| delivery.receiver) == Ok(Receiver::Outside);
            if wanted != reached {
                return Err(format!("{} -> outside: promised {wanted}, got {outside:?}", from.id));
            }
            if let (true, Ok(delivery)) = (wanted, outside) {
                // What leaves a network that masks nobody keeps its address, and so does what a route says so of.
                let masks = network.mode == Mode::Nat || translated;
                let kept = matches!(course, Course::Detour { encapsulated: false, .. });
                let own = !masks || kept || exempt(from, stranger);
                let seen = if own { source } else { host };
                if delivery.source != seen {
                    return Err(format!(
                        "{} appears outside as {}, not {seen}",
                        from.id, delivery.source
                    ));
                }
            }
            if network.mode == Mode::Private || network.fenced {
                let packet = Packet::new(source, host, 6, 443);
                let got = self.connect(Origin::Endpoint(from.id), host, 6, 443);
                if !self.caught(from, &packet, got)? && got.is_ok() {
                    return Err(format!("{} of a closed network reaches the host", from.id));
                }
            } else if let Some(gateway) =
                network.gateway_of(source).filter(|_| !network.is_on_wire())
            {
                let got = self.connect(Origin::Endpoint(from.id), gateway, 6, 443);
                if self.caught(from, &Packet::new(source, gateway, 6, 443), got)? {
                    continue;
                }
                let open = (network.mode != Mode::Overlay || network.host_route) && !network.fenced;
                let wanted = open && Packet::new(source, gateway, 6, 443).leaves(self.model, from);
                if wanted != (got.map(|delivery| delivery.receiver) == Ok(Receiver::Host)) {
                    return Err(format!(
                        "{} -> its gateway: promised {wanted}, got {got:?}",
                        from.id
                    ));
                }
            }
        }
        Ok(())
    }

    /// From the host and from outside to an endpoint's own address.
    fn inward(&self, to: &Endpoint) -> Result<(), String> {
        let network = self.network(to);
        for address in to.addresses.iter().map(ipnet::IpNet::addr) {
            let (_, stranger) = foreign(address.is_ipv4());
            let from_outside = self.connect(Origin::Outside(stranger), address, 6, 80);
            let on_host = to.place == Some(self.model.host_default);
            let bridged = network.is_on_wire();
            if bridged && network.leads_nowhere() {
                continue;
            }
            // An Internal network lets in what comes from where it sends under its own addresses.
            let course = course(self.model, to, stranger);
            let known = matches!(course, Course::Detour { encapsulated: false, .. });
            let open = bridged || (network.mode == Mode::Internal && known);
            let admitted = open && Packet::new(stranger, address, 6, 80).enters(self.model, to);
            if from_outside.is_ok() != admitted && !on_host {
                return Err(format!(
                    "{} from outside: promised {admitted}, got {from_outside:?}",
                    to.id
                ));
            }
            let from_host = self.connect(Origin::Host, address, 6, 80);
            let reached = from_host.map(|d| d.receiver) == Ok(Receiver::Endpoint(to.id));
            let wanted = match network.gateway_of(address) {
                _ if network.mode == Mode::Private => false,
                _ if network.mode == Mode::Overlay && !network.host_route => false,
                Some(gateway) => {
                    // Bridged endpoints see the host as one machine among others.
                    let host = foreign(address.is_ipv4()).0;
                    let source = if bridged { host } else { gateway };
                    Packet::new(source, address, 6, 80).enters(self.model, to)
                }
                None => false,
            };
            if self.is_plain(to) && wanted != reached {
                return Err(format!("host -> {}: promised {wanted}, got {from_host:?}", to.id));
            }
        }
        Ok(())
    }

    /// Between an endpoint and what is behind other hosts: in its own virtual subnet only, and only what was told of.
    fn abroad(&self, from: &Endpoint) -> Result<(), String> {
        if !self.is_plain(from) {
            return Ok(());
        }
        let own = self.network(from);
        for network in &self.model.networks {
            for (range, vsid, host) in &network.remotes {
                let there = crate::render::offset_in(range, 9);
                let Some(source) = first_of_family(from, there) else { continue };
                let home = own.subnets.iter().find(|subnet| subnet.prefix.contains(&source));
                let mine = home.is_some_and(|subnet| crate::model::vsid(&subnet.prefix) == *vsid);
                let together = own.id == network.id && mine;
                let isolated = from.flags & 2 != 0;
                // Single addresses may be on yet another host; one of them stands for all.
                let single = self
                    .model
                    .endpoints
                    .iter()
                    .any(|other| other.addresses.iter().any(|net| net.addr() == there));
                if single {
                    continue;
                }
                let packet = Packet::new(source, there, 6, 80);
                let wanted = together && !isolated && packet.leaves(self.model, from);
                let got = self.connect(Origin::Endpoint(from.id), there, 6, 80);
                let course = course(self.model, from, there);
                let elsewhere = matches!(course, Course::Detour { hop: true, .. });
                if self.caught(from, &packet, got)? || elsewhere {
                    continue;
                }
                let address = crate::render::provider(*host).parse();
                let address = address.map_err(|error| format!("{error}"))?;
                let reached = got.map(|d| d.receiver) == Ok(Receiver::Beyond(address));
                if wanted != reached {
                    return Err(format!("{} -> {there}: promised {wanted}, got {got:?}", from.id));
                }
                let back = self.connect(Origin::Beyond(there, *vsid), source, 6, 80);
                let wanted = together
                    && !isolated
                    && Packet::new(there, source, 6, 80).enters(self.model, from);
                let reached = back.map(|d| d.receiver) == Ok(Receiver::Endpoint(from.id));
                if wanted != reached {
                    return Err(format!("{there} -> {}: promised {wanted}, got {back:?}", from.id));
                }
                let lie = self.connect(Origin::Beyond(there, vsid + 1), source, 6, 80);
                if lie.is_ok() {
                    return Err(format!("{there} came out of another tunnel: {lie:?}"));
                }
            }
        }
        Ok(())
    }

    /// Questions of DNS at a gateway: the network's own endpoints and the host may ask, whatever rules say, and nobody outside.
    fn served(&self) -> Result<(), String> {
        const DNS: u16 = 53;
        let answers = |network: &&Network| network.flags & 1 != 0;
        for network in self.model.networks.iter().filter(answers) {
            for gateway in network.subnets.iter().filter_map(|subnet| subnet.gateway) {
                let (_, stranger) = foreign(gateway.is_ipv4());
                for protocol in [6, 17] {
                    let told = |who: &str, got: Outcome| {
                        Err(format!(
                            "{who} asks {gateway} for names ({protocol}), and gets {got:?}"
                        ))
                    };
                    let got = self.connect(Origin::Outside(stranger), gateway, protocol, DNS);
                    if got.is_ok() {
                        return told("a stranger", got);
                    }
                    let got = self.connect(Origin::Host, gateway, protocol, DNS);
                    if got.map(|delivery| delivery.receiver) != Ok(Receiver::Host) {
                        return told("the host", got);
                    }
                    let own = |endpoint: &&Endpoint| endpoint.network == network.id;
                    for from in self.model.endpoints.iter().filter(own) {
                        let Some(source) = first_of_family(from, gateway) else { continue };
                        let packet = Packet::new(source, gateway, protocol, DNS);
                        let got = self.connect(Origin::Endpoint(from.id), gateway, protocol, DNS);
                        if !self.is_plain(from) || self.caught(from, &packet, got)? {
                            continue;
                        }
                        if got.map(|delivery| delivery.receiver) != Ok(Receiver::Host) {
                            return told("an endpoint", got);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Published ports, from outside.
    fn mappings(&self) -> Result<(), String> {
        let host: IpAddr = HOST.parse().expect("the constant is an address");
        let stranger: IpAddr = STRANGER.parse().expect("the constant is an address");
        for endpoint in &self.model.endpoints {
            let Some(inner) = first_of_family(endpoint, host) else { continue };
            if self.network(endpoint).leads_nowhere() {
                continue;
            }
            for policy in &endpoint.policies {
                let Policy::Mapping { protocol, external, internal } = policy else { continue };
                let got = self.connect(Origin::Outside(stranger), host, *protocol, *external);
                let reached = got.map(|d| d.receiver) == Ok(Receiver::Endpoint(endpoint.id));
                let admitted =
                    Packet::new(stranger, inner, *protocol, *internal).enters(self.model, endpoint);
                let wanted = endpoint.place.is_some() && admitted;
                if wanted != reached {
                    return Err(format!(
                        "published port {protocol}/{external} of {}: promised {wanted}, got {got:?}",
                        endpoint.id
                    ));
                }
            }
        }
        Ok(())
    }

    /// Load-balanced services, from the host: every backend that is attached and refuses nobody, and no other.
    fn services(&self) -> Result<(), String> {
        for balancer in &self.model.balancers {
            for (vip, (protocol, external, _)) in balancer
                .vips
                .iter()
                .flat_map(|vip| balancer.mappings.iter().map(move |m| (*vip, *m)))
            {
                let connection = Connection {
                    origin: Origin::Host,
                    to: vip,
                    protocol,
                    source_port: SOURCE_PORT,
                    port: external,
                    draw: 0,
                };
                let found = self.reach.receivers(&connection);
                let mut backends =
                    balancer.endpoints.iter().filter_map(|id| self.model.endpoint(*id));
                let complete = backends.all(|endpoint| {
                    let open = !rules::are_there(self.model, endpoint, true);
                    let network = self.network(endpoint);
                    let seen = network.mode != Mode::Private && !network.leads_nowhere();
                    let reachable = first_of_family(endpoint, vip).is_some();
                    open && seen && reachable && endpoint.place.is_some()
                });
                for id in &balancer.endpoints {
                    let Some(endpoint) = self.model.endpoint(*id) else { continue };
                    let reached = found.contains(&Receiver::Endpoint(*id));
                    let family = first_of_family(endpoint, vip).is_some();
                    // A client with affinity meets one of them only.
                    let affine = found.len() == 1;
                    let here = endpoint.place == Some(self.model.host_default);
                    let kept_from = match balancer.extra {
                        Extra::Internal => true,
                        Extra::Preserve => here,
                        _ => false,
                    };
                    let never = endpoint.place.is_none() || !family || kept_from;
                    let sure = complete && !affine;
                    let always = self.is_plain(endpoint) && family && sure && !kept_from;
                    if (never && reached) || (always && !reached) {
                        return Err(format!(
                            "service {vip}:{external} and backend {id}: got {found:?}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

fn foreign(v4: bool) -> (IpAddr, IpAddr) {
    let (host, stranger) = if v4 { (HOST, STRANGER) } else { (HOST6, STRANGER6) };
    let parse = |text: &str| text.parse().expect("the constant is an address");
    (parse(host), parse(stranger))
}

fn first_of_family(endpoint: &Endpoint, like: IpAddr) -> Option<IpAddr> {
    let mut addresses = endpoint.addresses.iter().map(ipnet::IpNet::addr);
    addresses.find(|address| address.is_ipv4() == like.is_ipv4())
}

/// Whether OutBoundNAT exceptions leave the source alone toward this destination.
fn exempt(endpoint: &Endpoint, destination: IpAddr) -> bool {
    endpoint.policies.iter().any(|policy| match policy {
        Policy::OutboundNat { exceptions, .. } => {
            exceptions.iter().any(|which| contains(REMOTES[*which], destination))
        }
        _ => false,
    })
}
