//! What the host answers to the endpoints of a network: addresses to DHCP clients, names to resolvers (hcn.md 2.3, 2.6).
//!
//! Somebody has to be there who answers: a service that stays. A process that comes and goes refuses networks that need it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use hostcompute_schema::{Dns, Failure, HResult, HostComputeNetwork, NetworkFlags};
use ipnet::IpNet;

use crate::decide::Draft;
use crate::network::endpoint::Endpoint;
use crate::network::network::{Mode, Network};
use crate::network::subnet::Subnet;
use crate::plan::{Element, Fact, Lease, Name, Port, Responder};
use crate::state::State;

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answering {
    /// EnableDhcpServer.
    pub dhcp: bool,
    /// EnableDnsProxy, or what needs it.
    pub dns: bool,
    /// AutomaticDNS: the names of endpoints resolve.
    pub names: bool,
}

/// The flags that ask for answers.
pub(crate) const FLAGS: u32 = NetworkFlags::ENABLE_DNS_PROXY.0 | NetworkFlags::ENABLE_DHCP_SERVER.0;

const DNS_PORT: u16 = 53;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The name that endpoints without one have: it tells none from another.
const NAMELESS: &str = "ethernet";

impl Answering {
    pub(crate) fn read(flags: u32, names: bool) -> Self {
        let flag = |flag: NetworkFlags| flags & flag.0 != 0;
        Self {
            dhcp: flag(NetworkFlags::ENABLE_DHCP_SERVER),
            dns: names || flag(NetworkFlags::ENABLE_DNS_PROXY),
            names,
        }
    }

    pub(crate) fn is_silent(self) -> bool {
        self == Self::default()
    }
}

/// Whether networks of this mode have an address of the host at which it can answer names.
pub(crate) fn is_possible(mode: Mode) -> bool {
    matches!(mode, Mode::Nat | Mode::Internal | Mode::Overlay)
}

/// Whether networks of this mode can have the flags.
pub(crate) fn is_by_flags(mode: Mode) -> bool {
    matches!(mode, Mode::Nat | Mode::Internal)
}

/// Refuses what nobody would answer.
///
/// # Errors
/// HCN_E_ICS_DISABLED in a process that does not stay; HCN_E_INVALID_SUBNET for DHCP without an IPv4 subnet.
pub(crate) fn check(
    draft: &Draft<'_, '_>,
    answering: Answering,
    subnets: &[Subnet],
) -> Result<(), Failure> {
    if answering.is_silent() {
        return Ok(());
    }
    if !draft.context.surroundings.answers {
        let why = "DHCP and DNS of a network are answered by the service, which is not running";
        return Err(Failure::new(HResult::HCN_E_ICS_DISABLED, why).at("Flags").hint(
            "start hostcomputed and ask it, or leave out the flags and policy AutomaticDNS",
        ));
    }
    if answering.dhcp && !subnets.iter().any(|subnet| subnet.prefix.addr().is_ipv4()) {
        let why = "DHCP hands out IPv4 addresses, and the network has no IPv4 subnet";
        return Err(Failure::new(HResult::HCN_E_INVALID_SUBNET, why).at("Flags"));
    }
    Ok(())
}

/// Networks that answer are their endpoints' resolver, unless the document names others.
pub(crate) fn name_servers(
    document: &mut HostComputeNetwork,
    answering: Answering,
    subnets: &[Subnet],
) {
    if answering.dns && document.dns.as_ref().is_none_or(|dns| dns.server_list.is_empty()) {
        let dns = document.dns.get_or_insert_with(Dns::default);
        dns.server_list = gateways(subnets).map(|gateway| gateway.to_string()).collect();
    }
}

fn gateways(subnets: &[Subnet]) -> impl Iterator<Item = IpAddr> {
    subnets.iter().filter_map(|subnet| subnet.gateway)
}

impl Network {
    /// Who answers, and that nothing stands between.
    pub(crate) fn answering_facts(&self, facts: &mut Vec<Fact>) {
        if self.answering.is_silent() {
            return;
        }
        let gateways: Vec<IpAddr> = gateways(&self.subnets).collect();
        for address in gateways.iter().copied().filter(|_| self.answering.dns) {
            for protocol in [TCP, UDP] {
                let port = DNS_PORT;
                facts.push(Fact::Element(Element::Answered { address, protocol, port }));
            }
        }
        facts.push(Fact::Responder(Responder {
            network: self.id,
            gateways,
            subnets: self.subnets.iter().map(|subnet| subnet.prefix).collect(),
            dhcp: self.answering.dhcp,
            dns: self.answering.dns,
        }));
    }
}

impl State {
    /// What of [`State::facts`] is answered by a process, not held by the kernel.
    pub fn answers(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        let answers = |network: &Network| !network.answering.is_silent();
        for network in self.networks().filter(|network| answers(network)) {
            network.answering_facts(&mut facts);
        }
        let of_those =
            |endpoint: &Endpoint| self.networks.get(endpoint.network).is_some_and(|n| answers(n));
        for endpoint in self.endpoints().filter(|endpoint| of_those(endpoint)) {
            endpoint.facts(self, &mut facts);
        }
        facts.retain(Fact::is_answer);
        facts
    }
}

impl Endpoint {
    /// What the endpoint's port is told when it asks for an address.
    pub(crate) fn lease(&self, network: &Network, port: &Port) -> Option<Lease> {
        if !network.answering.dhcp {
            return None;
        }
        let own = self.addresses.iter().find_map(|address| match address {
            IpNet::V4(address) => Some(*address),
            IpNet::V6(_) => None,
        });
        let address = own?;
        let subnet = network
            .subnets
            .iter()
            .find(|subnet| subnet.prefix.contains(&IpAddr::V4(address.addr())))?;
        let Some(IpAddr::V4(gateway)) = subnet.gateway else { return None };
        let dns = self.document.dns.as_ref();
        let servers = dns.iter().flat_map(|dns| &dns.server_list);
        let search = dns.iter().flat_map(|dns| &dns.search);
        Some(Lease {
            port: port.name.clone(),
            index: port.index,
            mac: self.mac,
            address,
            gateway,
            servers: servers.filter_map(|text| text.parse::<Ipv4Addr>().ok()).collect(),
            domain: dns.and_then(|dns| dns.domain.clone()).filter(|domain| !domain.is_empty()),
            search: search.filter(|name| !name.is_empty()).cloned().collect(),
            mtu: port.mtu,
        })
    }

    /// The names under which its network finds it: its own, and with its domain.
    pub(crate) fn name_facts(&self, network: &Network, facts: &mut Vec<Fact>) {
        if !network.answering.names {
            return;
        }
        for name in self.names() {
            for address in self.addresses.iter().map(IpNet::addr) {
                let (network, name) = (network.id, name.clone());
                facts.push(Fact::Name(Name { network, name, address }));
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let name = self.document.base.name.as_deref().and_then(host_name);
        let Some(name) = name.filter(|name| name != NAMELESS) else { return Vec::new() };
        let domain = self.document.dns.as_ref().and_then(|dns| dns.domain.as_deref());
        let full = domain.and_then(host_name).map(|domain| [&name, ".", &domain].concat());
        let full = full.filter(|full| full.len() <= LONGEST);
        [name].into_iter().chain(full).collect()
    }
}

/// Names and their parts end here (RFC 1035, 2.3.4).
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A name as resolvers ask for it, if it is one that they can ask for.
fn host_name(text: &str) -> Option<String> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(known)
    };
    (name.len() <= LONGEST && name.split('.').all(label)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_resolvers_can_ask_for() {
        for (text, name) in [
            ("Web-1", Some("web-1")),
            ("db.internal.", Some("db.internal")),
            ("a b", None),
            ("", None),
            ("a..b", None),
        ] {
            assert_eq!(host_name(text).as_deref(), name, "{text:?}");
        }
        assert_eq!(host_name(&"a".repeat(64)), None);
    }

    #[test]
    fn names_need_somebody_who_answers() {
        assert_eq!(Answering::read(3, false), Answering { dhcp: true, dns: true, names: false });
        assert_eq!(Answering::read(0, true), Answering { dhcp: false, dns: true, names: true });
        assert!(Answering::read(8, false).is_silent());
    }
}
