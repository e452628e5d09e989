//! Proxies: connections that go somewhere else than they were meant to (hcn.md 2.10).
//!
//! - *L4Proxy* (of an endpoint, or of a network for all its endpoints) sends what an endpoint opens toward an address and port to
//!   another address and port. It stands at the port, out of the workload's reach. The endpoint that has the destination's address
//!   is left alone by its network's proxies: what a proxy sends is not sent to itself.
//! - *L4WFPPROXY* sends connections to a port inside the namespace, where a sidecar listens. The rules are in the namespace, as they
//!   are on Windows; connections of one user, the sidecar's, are left alone. A sidecar asks for SO_ORIGINAL_DST.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use hostcompute_schema::{
    Failure, FiveTuple, HResult, L4ProxyPolicySetting, L4WfpProxyPolicySetting, ProtocolType,
    ProxyExceptions,
};
use ipnet::IpNet;

use super::acl::{Addresses, Described, Names, Packets, described, ports};
use super::port_mapping::{SCTP, TCP, UDP};
use crate::network::endpoint::Endpoint;
use crate::network::network::Network;
use crate::plan::{
    AclChain, AclRule, Direction, Element, Fact, Family, Interception, PortRange, Redirection,
    Verdict,
};
use crate::state::State;

/// One L4Proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    packets: Packets,
    exceptions: Vec<IpNet>,
    to: SocketAddr,
    /// The proxy sees the host in place of the endpoint.
    masked: bool,
}

/// One L4WFPPROXY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    priority: u16,
    packets: Packets,
    /// Whose connections are left alone.
    user: Option<u32>,
    inbound: Option<Side>,
    outbound: Option<Side>,
}

/// What becomes of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Side {
    port: u16,
    peers: Vec<IpNet>,
    ports: Vec<PortRange>,
}

fn invalid(member: &str, why: impl Into<String>) -> Failure {
    Failure::new(HResult::HCN_E_INVALID_POLICY, why).at(member)
}

/// What an L4Proxy means.
///
/// # Errors
/// HCN_E_INVALID_POLICY, at the member.
pub(super) fn read(setting: &L4ProxyPolicySetting) -> Result<Proxy, Failure> {
    let text = setting.destination.as_deref().unwrap_or_default();
    let to: SocketAddr = text.parse().map_err(|_| {
        let why = alloc::format!("'{text}' is not an address and a port, like 10.0.0.5:8080");
        invalid("Destination", why)
    })?;
    let unfit = to.ip().is_loopback() || to.ip().is_unspecified() || to.ip().is_multicast();
    if unfit || to.port() == 0 {
        let why = alloc::format!("nothing can be sent to {to} from here");
        return Err(invalid("Destination", why)
            .hint("policy L4WFPPROXY redirects to a port inside the namespace"));
    }
    let protocols = match setting.protocol.map_or(0, |ProtocolType(number)| number) {
        0 => alloc::vec![TCP, UDP],
        6 => alloc::vec![TCP],
        17 => alloc::vec![UDP],
        132 => alloc::vec![SCTP],
        other => {
            let why = alloc::format!("protocol {other} has no ports");
            return Err(invalid("Protocol", why));
        }
    };
    let remote = nets(setting.ip.iter(), "IP")?;
    if remote.iter().any(|net| net.addr().is_ipv4() != to.is_ipv4()) {
        return Err(invalid("IP", alloc::format!("{to} is of the other family")));
    }
    let packets = Packets {
        remote_ports: ports(setting.port.as_deref(), "Port", &protocols)?,
        remote: Addresses::Nets(remote),
        protocols,
        ..Packets::default()
    };
    let exceptions = nets(setting.exception_list.iter(), "ExceptionList")?;
    Ok(Proxy { packets, exceptions, to, masked: setting.outbound_nat.unwrap_or_default() })
}

/// Addresses and prefixes; empty texts say nothing.
fn nets<'a>(texts: impl Iterator<Item = &'a String>, member: &str) -> Result<Vec<IpNet>, Failure> {
    let mut nets = Vec::new();
    let items = texts.flat_map(|text| text.split(',')).map(str::trim);
    for item in items.filter(|item| !item.is_empty()) {
        let net = item.parse::<IpNet>().map(|net| net.trunc());
        nets.push(net.or_else(|_| item.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
            invalid(member, alloc::format!("'{item}' is neither an address nor a prefix"))
        })?);
    }
    Ok(nets)
}

/// What an L4WFPPROXY means.
///
/// # Errors
/// HCN_E_INVALID_POLICY, at the member.
pub(super) fn read_sidecar(setting: &L4WfpProxyPolicySetting) -> Result<Sidecar, Failure> {
    let inbound = side(
        (setting.inbound_proxy_port.as_deref(), "InboundProxyPort"),
        (setting.inbound_exceptions.as_ref(), "InboundExceptions"),
    )?;
    let outbound = side(
        (setting.outbound_proxy_port.as_deref(), "OutboundProxyPort"),
        (setting.outbound_exceptions.as_ref(), "OutboundExceptions"),
    )?;
    if inbound.is_none() && outbound.is_none() {
        let why = "the proxy's port is missing: InboundProxyPort or OutboundProxyPort";
        return Err(invalid("OutboundProxyPort", why));
    }
    let empty = FiveTuple::default();
    let tuple = setting.filter_tuple.as_ref().unwrap_or(&empty);
    let below = |failure: Failure| {
        let member = failure.path.clone().unwrap_or_default();
        failure.at(alloc::format!("FilterTuple.{member}"))
    };
    let tcp = alloc::format!("{TCP}");
    let stated = tuple.protocols.as_deref().filter(|text| !text.trim().is_empty());
    let members = Described { protocols: Some(stated.unwrap_or(&tcp)), ..described!(tuple) };
    let packets = Packets::read(&members).map_err(below)?;
    if packets.protocols.iter().any(|protocol| ![TCP, UDP].contains(protocol))
        || packets.protocols.is_empty()
    {
        let why = "only TCP (6) and UDP (17) can be sent to a port of a proxy";
        return Err(invalid("FilterTuple.Protocols", why));
    }
    if let Some(name) = packets.set_names().next() {
        let why = alloc::format!("'{name}' is neither an address nor a prefix");
        return Err(invalid("FilterTuple", why));
    }
    let user = setting.user_sid.as_deref().filter(|text| !text.is_empty()).map(user).transpose()?;
    let priority = tuple.priority.unwrap_or_default();
    Ok(Sidecar { priority, packets, user, inbound, outbound })
}

fn side(
    (port, member): (Option<&str>, &str),
    (exceptions, list): (Option<&ProxyExceptions>, &str),
) -> Result<Option<Side>, Failure> {
    let Some(text) = port.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let port = text.parse().ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| invalid(member, alloc::format!("'{text}' is not a port")))?;
    let empty = ProxyExceptions::default();
    let exceptions = exceptions.unwrap_or(&empty);
    let joined = exceptions.port_exceptions.join(",");
    Ok(Some(Side {
        port,
        peers: nets(
            exceptions.ip_address_exceptions.iter(),
            &alloc::format!("{list}.IpAddressExceptions"),
        )?,
        ports: ports(Some(&joined), &alloc::format!("{list}.PortExceptions"), &[TCP])?,
    }))
}

/// The user that a security identifier stands for: `S-1-22-1-<uid>` (as Samba writes them), or S-1-5-18, which is root.
fn user(sid: &str) -> Result<u32, Failure> {
    let number = sid.strip_prefix("S-1-22-1-").or_else(|| sid.strip_prefix("s-1-22-1-"));
    match number.and_then(|number| number.parse().ok()) {
        Some(user) => Ok(user),
        None if sid.eq_ignore_ascii_case("S-1-5-18") => Ok(0),
        None => {
            let why = alloc::format!("no user of this host has the security identifier '{sid}'");
            Err(invalid("UserSID", why).hint("write S-1-22-1-<uid>"))
        }
    }
}

impl Proxy {
    /// Whether everything that it catches would come back to the endpoint itself.
    pub(super) fn check_own(&self, addresses: &[IpNet]) -> Result<(), Failure> {
        match addresses.iter().any(|own| own.addr() == self.to.ip()) {
            false => Ok(()),
            true => Err(invalid("Destination", "the endpoint cannot be its own proxy by its port")
                .hint("policy L4WFPPROXY redirects to a port inside the namespace")),
        }
    }

    fn rules(&self, names: &Names<'_>) -> Vec<AclRule> {
        let same = |net: &&IpNet| net.addr().is_ipv4() == self.to.is_ipv4();
        let exceptions: Vec<IpNet> = self.exceptions.iter().filter(same).copied().collect();
        let mut rules = Vec::new();
        if !exceptions.is_empty() {
            let remote = Addresses::Nets(super::outbound_nat::outermost(exceptions.iter()));
            let except = Packets { remote, ..self.packets.clone() };
            rules.extend(except.compile(Direction::Out, &Verdict::Allow, names));
        }
        let redirect = Verdict::Redirect(self.to);
        rules.extend(self.packets.compile(Direction::Out, &redirect, names));
        for rule in &mut rules {
            rule.family = Some(Family::of(&self.to.ip()));
        }
        rules
    }
}

/// The chain of an endpoint's proxies, its own before its network's, and what leads packets to it. An exception ends the search: such
/// a packet goes where it was meant to.
pub(crate) fn facts(
    state: &State,
    network: &Network,
    endpoint: &Endpoint,
    suffix: &str,
    facts: &mut Vec<Fact>,
) {
    let own = |proxy: &&Proxy| !endpoint.addresses.iter().any(|a| a.addr() == proxy.to.ip());
    let all = endpoint.policies.proxies.iter().chain(&network.proxies);
    let proxies: Vec<&Proxy> = all.filter(own).collect();
    if proxies.is_empty() {
        return;
    }
    let names = Names { state, network };
    let name = alloc::format!("proxy_{suffix}");
    facts.push(Fact::AclChain(AclChain {
        name: name.clone(),
        direction: Direction::Out,
        rules: proxies.iter().flat_map(|proxy| proxy.rules(&names)).collect(),
        otherwise: Verdict::Allow,
    }));
    for address in endpoint.addresses.iter().map(IpNet::addr) {
        let chain = name.clone();
        facts.push(Fact::Element(Element::Proxied { address, chain }));
        for proxy in proxies.iter().filter(|proxy| proxy.masked) {
            if Family::of(&proxy.to.ip()) != Family::of(&address) {
                continue;
            }
            for protocol in &proxy.packets.protocols {
                let (source, protocol, to) = (address, *protocol, proxy.to);
                facts.push(Fact::Element(Element::Masked { source, to, protocol }));
            }
        }
    }
}

impl Sidecar {
    fn redirections(&self, device: &str, names: &Names<'_>, into: &mut Vec<Redirection>) {
        let sides = [(Direction::In, &self.inbound), (Direction::Out, &self.outbound)];
        for (direction, side) in sides {
            let Some(side) = side else { continue };
            let mut rules = Vec::new();
            if !side.peers.is_empty() {
                let remote = Addresses::Nets(super::outbound_nat::outermost(side.peers.iter()));
                let except = Packets { remote, ..Packets::default() };
                rules.extend(except.compile(direction, &Verdict::Allow, names));
            }
            if !side.ports.is_empty() {
                let mut except =
                    Packets { protocols: self.packets.protocols.clone(), ..Packets::default() };
                // The port that the connection is made to.
                match direction {
                    Direction::In => except.local_ports.clone_from(&side.ports),
                    Direction::Out => except.remote_ports.clone_from(&side.ports),
                }
                rules.extend(except.compile(direction, &Verdict::Allow, names));
            }
            let intercept = Verdict::Intercept(side.port);
            rules.extend(self.packets.compile(direction, &intercept, names));
            let user = self.user.filter(|_| direction == Direction::Out);
            into.push(Redirection { device: device.into(), direction, user, rules });
        }
    }
}

/// What the packet filter of a namespace has to do for the sidecars of its endpoints.
pub(crate) fn interception<'a>(
    state: &State,
    netns: hostcompute_schema::Guid,
    endpoints: impl Iterator<Item = &'a Endpoint>,
) -> Option<Interception> {
    let mut redirections = Vec::new();
    for endpoint in endpoints {
        let Some(network) = state.networks.get(endpoint.network) else { continue };
        let Some(device) = crate::network::attach::inner_name(endpoint) else { continue };
        let mut sidecars: Vec<&Sidecar> = endpoint.policies.sidecars.iter().collect();
        sidecars.sort_by_key(|sidecar| sidecar.priority);
        for sidecar in sidecars {
            sidecar.redirections(&device, &Names { state, network }, &mut redirections);
        }
    }
    (!redirections.is_empty()).then_some(Interception { netns, redirections })
}
