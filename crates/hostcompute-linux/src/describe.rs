//! Names of steps and facts for people: the subject of an error or of a difference.

use hostcompute_engine::plan::{Element, Fact, Step};

/// What a step is about.
pub fn step(step: &Step) -> String {
    match step {
        Step::Add(subject) | Step::Remove(subject) | Step::Change { to: subject, .. } => {
            fact(subject)
        }
        Step::Claim(claim) => format!("host port {}", claim.port),
        Step::Sweep(stray) => stray.what.clone(),
    }
}

/// What a fact is about.
pub fn fact(fact: &Fact) -> String {
    match fact {
        Fact::Table => "packet filter".to_owned(),
        Fact::Forwarding(family) => format!("forwarding of IP{family:?}").to_lowercase(),
        Fact::Solicited(uplink) => format!("answers of {uplink} to solicitations"),
        Fact::Anchor(anchor) => format!("device {} of network {}", anchor.name, anchor.network),
        Fact::Tunnel(tunnel) => {
            format!("tunnel {} of VSID {}, network {}", tunnel.name, tunnel.vsid, tunnel.network)
        }
        Fact::Peer(peer) => format!("host {} behind {}", peer.provider, peer.device),
        Fact::RemoteRoute(route) => format!("route to {} on another host", route.destination),
        Fact::Wire(wire) => format!("way out of network {} by {}", wire.network, wire.uplink),
        Fact::Detour(detour) => match detour.via {
            Some(hop) => format!("way through {hop}"),
            None => "way of the host's own routes".to_owned(),
        },
        Fact::Proxy(proxy) => format!("answers of {} for {}", proxy.uplink, proxy.address),
        Fact::Station(station) => {
            format!(
                "interface {} of endpoint {} on {}",
                station.name, station.endpoint, station.uplink
            )
        }
        Fact::Face(face) => {
            format!("link {} of endpoint {} to {}", face.name, face.endpoint, face.uplink)
        }
        Fact::Guise(guise) => format!("MACs of endpoints at {}", guise.uplink),
        Fact::Netns(netns) => format!("namespace {netns}"),
        Fact::Port(port) => format!("interface {} of endpoint {}", port.name, port.endpoint),
        Fact::HostAddress(host) => {
            format!("address {} of endpoint {}", host.address, host.endpoint)
        }
        Fact::Shaper(shaper) => format!("rate limit of interface {}", shaper.port),
        Fact::Diversion(it) => format!("rate limits of what interface {} sends", it.port),
        Fact::VipOwner(owner) => format!("owner of virtual address {}", owner.address),
        Fact::VipRoute(route) => format!("route to virtual address {}", route.address),
        Fact::AddressSet(set) => format!("set of addresses {:x}", set.number),
        Fact::AclChain(chain) => format!("access rules {}", chain.name),
        Fact::Element(element) => self::element(element),
        Fact::Service(service) => match service.vip {
            Some(vip) => format!("service {vip} port {}", service.port),
            None => format!("node port {}", service.port),
        },
        Fact::Interception(inside) => format!("proxies inside namespace {}", inside.netns),
        Fact::Resolver(resolver) => format!("resolver of namespace {}", resolver.netns),
        Fact::Responder(responder) => format!("answers of network {}", responder.network),
        Fact::Lease(lease) => format!("lease of {} at interface {}", lease.address, lease.port),
        Fact::Name(name) => format!("name {} of {}", name.name, name.address),
    }
}

fn element(element: &Element) -> String {
    match element {
        Element::Source { address, .. } => format!("source {address}"),
        Element::Loop { address } => format!("loop of {address}"),
        Element::Intra { from, to } => format!("traffic from {from} to {to}"),
        Element::Outbound { subnet } => format!("outbound traffic of {subnet}"),
        Element::Hidden { subnet } => format!("hiding of {subnet}"),
        Element::Apart { subnet } => format!("separation of {subnet} from the host"),
        Element::Published { subnet } => format!("published ports of {subnet}"),
        Element::Bridged { subnet } => format!("bridging of {subnet}"),
        Element::Fenced { subnet } => format!("fence around {subnet}"),
        Element::Barred { from, to } => format!("barring of {to} to {from}"),
        Element::Answered { address, port, .. } => format!("answers at {address} port {port}"),
        Element::Joined { device, subnet } => format!("{subnet} and what is behind {device}"),
        Element::SeenAs { device, address } => format!("strangers behind {device} as {address}"),
        Element::Aloof { device, .. } => format!("separation of {device} from the host"),
        Element::Isolated { address } => format!("isolation of {address}"),
        Element::PortMapping { vip: None, port, to, .. } => {
            format!("mapping of port {port} to {to}")
        }
        Element::PortMapping { vip: Some(vip), port, to, .. } => {
            format!("mapping of {vip} port {port} to {to}")
        }
        Element::NatExempt { source, destination } => {
            format!("exemption of {source} toward {destination}")
        }
        Element::NatLimited { source } => format!("limited translation of {source}"),
        Element::Admit { from, to } => format!("what comes from {from} to {to}"),
        Element::NatLimit { source, destination } => {
            format!("translation of {source} toward {destination}")
        }
        Element::NatAs { source, address } => format!("translation of {source} to {address}"),
        Element::NatPorts { source, first, last } => {
            format!("translation of {source} by ports {first} to {last}")
        }
        Element::Steer { source, destination, .. } => {
            format!("route of {source} to {destination}")
        }
        Element::Proxied { address, .. } => format!("proxies of {address}"),
        Element::Masked { source, to, .. } => format!("masking of {source} toward {to}"),
        Element::Listed { chain, .. } => format!("way to access rules {chain}"),
        Element::AclOut { address, .. } => format!("outgoing access rules of {address}"),
        Element::AclIn { address, .. } => format!("incoming access rules of {address}"),
    }
}
