//! Who is meant: the ends of a trace, and the packet between them.

use alloc::format;
use alloc::string::{String, ToString};
use core::net::IpAddr;

use hostcompute_schema::service::TraceRequest;
use hostcompute_schema::{Failure, Guid, HResult, ProtocolType};
use ipnet::IpNet;

use super::Question;
use super::view::View;
use super::walk::Origin;
use super::words::{Words, network_of};
use crate::network::endpoint::Endpoint;
use crate::network::load_balancer::Balanced;
use crate::network::namespace::HOST_DEFAULT;
use crate::network::policy::port_mapping::{SCTP, TCP, UDP};
use crate::object::Kind;
use crate::plan::Family;
use crate::state::State;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// A port that programs get when they do not choose.
const EPHEMERAL: u16 = 50_000;

/// Who must get the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Anybody,
    Endpoint(Guid),
}

/// One end, as it was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Endpoint(Guid),
    Balancer(Guid),
    Host,
    Address(IpAddr),
}

/// Understands a request.
pub(super) fn understand(
    state: &State,
    view: View<'_>,
    request: &TraceRequest,
) -> Result<Question, Failure> {
    let from = end(state, request.from.as_deref(), "From")?;
    let to = end(state, request.to.as_deref(), "To")?;
    let origin = origin(state, view, from)?;
    let family = family(state, origin, to);
    let protocol = request.protocol.map_or(0, |ProtocolType(number)| number);
    let protocol = u8::try_from(protocol).map_err(|_| wrong("Protocol", "no IP protocol"))?;
    let port = request.port.unwrap_or_default();
    let target = Target { state, view, origin, family, protocol, port };
    let (to, protocol, port, expected) = target.of(to)?;
    let protocol = match (protocol, port) {
        (0 | ICMP | ICMPV6, 0) => {
            if to.is_ipv4() {
                ICMP
            } else {
                ICMPV6
            }
        }
        (0, _) => TCP,
        (TCP | UDP | SCTP, 0) => return Err(wrong("Port", "this protocol has ports: which?")),
        (TCP | UDP | SCTP, _) | (_, 0) => protocol,
        _ => return Err(wrong("Port", "this protocol has no ports")),
    };
    let has_address = |address: IpAddr| address.is_ipv4() == to.is_ipv4();
    if let Origin::Outside(source) | Origin::OtherHost(source, _) = origin
        && !has_address(source)
    {
        return Err(wrong("To", "the two ends have no family of addresses in common"));
    }
    if to.is_loopback() && origin != Origin::Host {
        return Err(wrong(
            "To",
            "this address does not leave the machine or namespace it is used in",
        ));
    }
    let source_port = match port {
        0 => 0,
        _ => request.source_port.filter(|port| *port != 0).unwrap_or(EPHEMERAL),
    };
    Ok(Question { origin, to, protocol, source_port, port, expected })
}

fn wrong(member: &str, why: &str) -> Failure {
    Failure::new(HResult::E_INVALIDARG, why).at(member)
}

fn end(state: &State, text: Option<&str>, member: &str) -> Result<End, Failure> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| wrong(member, "the end is not named"))?;
    if let Ok(address) = text.parse() {
        return Ok(End::Address(address));
    }
    let endpoint = match state.resolve(Kind::Endpoint, text) {
        Ok(id) => return Ok(End::Endpoint(id)),
        Err(failure) => failure,
    };
    // Several have the name, or the beginning of the id.
    if endpoint.hresult == HResult::E_INVALIDARG {
        return Err(endpoint.at(member));
    }
    if text.eq_ignore_ascii_case("host") {
        return Ok(End::Host);
    }
    match state.resolve(Kind::LoadBalancer, text) {
        Ok(id) if member == "To" => Ok(End::Balancer(id)),
        Ok(_) => Err(wrong(member, "a load balancer sends nothing of its own")),
        Err(failure) if failure.hresult == HResult::E_INVALIDARG => Err(failure.at(member)),
        Err(_) => Err(Failure::new(
            endpoint.hresult,
            format!("'{text}' is no endpoint, no load balancer, no IP address, and not 'host'"),
        )
        .at(member)
        .hint("list them with: hc endpoint ls, hc loadbalancer ls")),
    }
}

fn origin(state: &State, view: View<'_>, from: End) -> Result<Origin, Failure> {
    Ok(match from {
        End::Host => Origin::Host,
        End::Balancer(_) => return Err(wrong("From", "a load balancer sends nothing of its own")),
        End::Endpoint(id) => match abroad(state, view, id) {
            Some((address, vsid)) => Origin::OtherHost(address, vsid),
            None => Origin::Endpoint(id),
        },
        End::Address(address) => match holder(state, address) {
            Some(endpoint) => Origin::Endpoint(endpoint.id),
            None if view.is_local(address) || address.is_loopback() => Origin::Host,
            None => match view.tunnel_of(address) {
                Some(vsid) => Origin::OtherHost(address, vsid),
                None => Origin::Outside(address),
            },
        },
    })
}

/// The endpoint of this host that has an address, attached or not.
pub(super) fn holder(state: &State, address: IpAddr) -> Option<&Endpoint> {
    let ids =
        state.networks().filter_map(|network| state.index.addresses.get(&(network.id, address)));
    let mut holders = ids.filter_map(|id| state.endpoints.get(*id));
    holders.find(|endpoint| endpoint.remote.is_none()).map(|endpoint| &**endpoint)
}

/// Where the packets of an endpoint on another host come from.
fn abroad(state: &State, view: View<'_>, id: Guid) -> Option<(IpAddr, u32)> {
    let endpoint = state.endpoints.get(id).filter(|endpoint| endpoint.remote.is_some())?;
    let addresses = endpoint.addresses.iter().map(IpNet::addr);
    addresses.into_iter().find_map(|address| Some((address, view.tunnel_of(address)?)))
}

/// The family that both ends have, IPv4 where they have both.
fn family(state: &State, origin: Origin, to: End) -> Family {
    let of_endpoint = |id: Guid, wanted: Family| {
        let found = state.endpoints.get(id);
        found.is_some_and(|e| e.addresses.iter().any(|net| Family::of(&net.addr()) == wanted))
    };
    let has = |wanted: Family| {
        let near = match origin {
            Origin::Endpoint(id) => of_endpoint(id, wanted),
            Origin::Host => true,
            Origin::Outside(address) | Origin::OtherHost(address, _) => {
                Family::of(&address) == wanted
            }
        };
        let far = match to {
            End::Endpoint(id) => of_endpoint(id, wanted),
            End::Balancer(id) => state.load_balancers.get(id).is_some_and(|balancer| {
                balancer.services.iter().any(|service| service.frontend.0 == wanted)
            }),
            End::Host => true,
            End::Address(address) => Family::of(&address) == wanted,
        };
        near && far
    };
    if !has(Family::V4) && has(Family::V6) { Family::V6 } else { Family::V4 }
}

/// What finding the destination takes.
struct Target<'a> {
    state: &'a State,
    view: View<'a>,
    origin: Origin,
    family: Family,
    protocol: u8,
    port: u16,
}

/// Destination, protocol (0: not said), port, and who must get it.
type Aim = (IpAddr, u8, u16, Expected);

impl Target<'_> {
    fn of(&self, to: End) -> Result<Aim, Failure> {
        match to {
            End::Address(address) => Ok((address, self.protocol, self.port, Expected::Anybody)),
            End::Host => {
                let address = self.host().ok_or_else(|| {
                    wrong("To", "this host has no address of the sender's family")
                })?;
                Ok((address, self.protocol, self.port, Expected::Anybody))
            }
            End::Endpoint(id) => self.endpoint(id),
            End::Balancer(id) => self.balancer(id),
        }
    }

    /// The host, as the sender knows it: an endpoint's gateway, or the host's first address.
    fn host(&self) -> Option<IpAddr> {
        let of_family = |address: &IpAddr| Family::of(address) == self.family;
        let gateway = || {
            let Origin::Endpoint(id) = self.origin else { return None };
            let endpoint = self.state.endpoints.get(id)?;
            let network = self.state.networks.get(endpoint.network)?;
            let gateways = network.subnets.iter().filter_map(|subnet| subnet.gateway);
            gateways.into_iter().find(|gateway| of_family(gateway) && self.view.is_local(*gateway))
        };
        gateway().or_else(|| self.view.own_address(self.family == Family::V4))
    }

    /// Whoever is outside means the published port, if there is one of that number.
    fn endpoint(&self, id: Guid) -> Result<Aim, Failure> {
        let endpoint = self.state.endpoint(id)?;
        if matches!(self.origin, Origin::Outside(_)) {
            let fits = |mapping: &&crate::network::policy::port_mapping::PortMapping| {
                mapping.external == self.port
                    && mapping.family == self.family
                    && [0, mapping.protocol].contains(&self.protocol)
            };
            let mapping = endpoint.policies.port_mappings.iter().find(fits);
            let published =
                mapping.and_then(|mapping| Some((mapping.vip.or_else(|| self.host())?, mapping)));
            if let Some((address, mapping)) = published {
                return Ok((address, mapping.protocol, self.port, Expected::Endpoint(id)));
            }
        }
        let mut addresses = endpoint.addresses.iter().map(IpNet::addr);
        let address = addresses.find(|address| Family::of(address) == self.family);
        let address = address
            .ok_or_else(|| wrong("To", "the two ends have no family of addresses in common"))?;
        let expected = match endpoint.remote {
            Some(_) => Expected::Anybody,
            None => Expected::Endpoint(id),
        };
        Ok((address, self.protocol, self.port, expected))
    }

    /// A frontend of a load balancer: the first that fits what was said.
    fn balancer(&self, id: Guid) -> Result<Aim, Failure> {
        let balancer = self.state.load_balancer(id)?;
        let fits = |balanced: &&Balanced| {
            let (family, _, protocol, port) = balanced.frontend;
            family == self.family
                && [0, protocol].contains(&self.protocol)
                && [0, port].contains(&self.port)
        };
        let of_family = |balanced: &&Balanced| balanced.frontend.0 == self.family;
        let found = balancer.services.iter().find(fits);
        let (protocol, port) = match found {
            Some(balanced) => (balanced.frontend.2, balanced.frontend.3),
            None => (self.protocol, self.port),
        };
        let any = found.or_else(|| balancer.services.iter().find(of_family));
        let address = any.and_then(|balanced| balanced.frontend.1.or_else(|| self.host()));
        let address = address.ok_or_else(|| {
            wrong("To", "the load balancer has no frontend of the sender's family")
        })?;
        Ok((address, protocol, port, Expected::Anybody))
    }
}

/// The namespace that a probe is sent from; `None` is the host's.
pub(super) fn sender(state: &State, question: &Question) -> Result<Option<Guid>, Failure> {
    match question.origin {
        Origin::Host => Ok(None),
        Origin::Endpoint(id) => {
            let attachment = state.endpoint(id)?.attachment.as_ref();
            let namespace = attachment.map(|attachment| attachment.namespace);
            Ok(namespace.filter(|namespace| *namespace != HOST_DEFAULT))
        }
        Origin::Outside(address) | Origin::OtherHost(address, _) => {
            let why = format!("{address} is not on this host, which can send nothing from there");
            Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
                .at("From")
                .hint("leave --live out, or trace from an endpoint or from 'host'"))
        }
    }
}

impl Question {
    pub(super) fn sender_words(&self, words: Words<'_>) -> String {
        match self.origin {
            Origin::Endpoint(id) => words.endpoint(id),
            Origin::Host => "this host".into(),
            Origin::Outside(address) => format!("{address}, elsewhere"),
            Origin::OtherHost(address, _) => format!("{address}, on another host"),
        }
    }

    pub(super) fn receiver_words(&self, words: Words<'_>) -> String {
        if let Expected::Endpoint(id) = self.expected {
            return words.endpoint(id);
        }
        let services = &words.state.index.services;
        let frontend = (Family::of(&self.to), Some(self.to), self.protocol, self.port);
        if let Some(id) = services.get(&frontend) {
            return words.balancer_by_id(*id);
        }
        match holder(words.state, self.to) {
            Some(endpoint) => words.endpoint(endpoint.id),
            None if words.view.is_local(self.to) => "this host".into(),
            None => match network_of(words.state, self.to) {
                Some(network) => format!("{} in network '{}'", self.to, network.name()),
                None => self.to.to_string(),
            },
        }
    }
}
