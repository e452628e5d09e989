//! OutBoundNAT: under which address an endpoint's packets leave, and which keep their own (hcn.md 2.10).
//!
//! NAT networks translate by themselves; the policy narrows or redirects that. Endpoints of Overlay and Internal networks leave them by it only. Exceptions go untranslated; with
//! Destinations only those are translated; VirtualIP is the address used instead of the host's. With MaxPortPoolUsage an endpoint has that
//! many ports of the host for itself, and its translated connections no others.

use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Failure, HResult, NatFlags, OutboundNatPolicySetting};
use ipnet::IpNet;

use crate::network::network::Network;
use crate::plan::{Element, Fact};
use crate::state::State;

/// All OutBoundNAT policies of an endpoint together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboundNat {
    pub exceptions: Vec<IpNet>,
    pub destinations: Vec<IpNet>,
    /// At most one of each family.
    pub virtual_ips: Vec<IpAddr>,
    /// There is such a policy: it opens the way out where the network has none by itself.
    pub stated: bool,
    /// The most ports of the host that translated connections use at a time (MaxPortPoolUsage).
    pub most_ports: Option<u16>,
}

/// Ports of the host that an endpoint's translated connections have to themselves, first and last.
pub type Ports = (u16, u16);

/// The ports below are of well-known services.
const FIRST_PORT: u16 = 1024;

/// The ports for as many as a policy allows: those that the endpoint has, or the first that no other endpoint has.
///
/// # Errors
/// E_OUTOFMEMORY where too few are left.
pub(crate) fn allot(
    state: &State,
    present: Option<Ports>,
    policy: &OutboundNat,
) -> Result<Option<Ports>, Failure> {
    let Some(most) = policy.most_ports else { return Ok(None) };
    if present.is_some_and(|(first, last)| last - first == most - 1) {
        return Ok(present);
    }
    let mut first = FIRST_PORT;
    let others = state.index.nat_ports.iter().map(|(first, last)| (*first, *last));
    for (other, last) in others.filter(|other| Some(*other) != present) {
        if other - first >= most {
            break;
        }
        let Some(next) = last.checked_add(1) else {
            return Err(exhausted(most));
        };
        first = next;
    }
    first.checked_add(most - 1).map(|last| Some((first, last))).ok_or_else(|| exhausted(most))
}

fn exhausted(most: u16) -> Failure {
    let why = alloc::format!(
        "the host has no {most} ports in a row left for translated connections of one endpoint"
    );
    Failure::new(HResult::E_OUTOFMEMORY, why)
}

fn invalid(member: &str, why: alloc::string::String) -> Failure {
    Failure::new(HResult::HCN_E_INVALID_POLICY, why).at(member)
}

pub(super) fn read(
    policy: &mut OutboundNat,
    setting: &OutboundNatPolicySetting,
    network: &Network,
) -> Result<(), Failure> {
    if !network.mode.translates() {
        let why = "this network type has no way out, so there is nothing to translate";
        return Err(Failure::new(HResult::HCN_E_MAPPING_NOT_SUPPORTED, why));
    }
    let flags = setting.flags.map_or(0, |flags| flags.0);
    if flags & !(NatFlags::IPV6.0 | NatFlags::LOCAL_ROUTED_VIP.0) != 0 {
        return Err(invalid("Flags", "unknown NAT flags".into()));
    }
    if let Some(most) = setting.max_port_pool_usage.filter(|most| *most != 0) {
        // Whichever policy translates a packet, none has more.
        policy.most_ports = Some(policy.most_ports.map_or(most, |other| other.min(most)));
    }
    policy.stated = true;
    prefixes(&setting.exceptions, "Exceptions", &mut policy.exceptions)?;
    prefixes(&setting.destinations, "Destinations", &mut policy.destinations)?;
    let Some(text) = setting.virtual_ip.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    let address: IpAddr = text
        .parse()
        .map_err(|_| invalid("VirtualIP", alloc::format!("'{text}' is not an IP address")))?;
    let other = policy.virtual_ips.iter().find(|other| other.is_ipv4() == address.is_ipv4());
    match other {
        Some(other) if *other != address => {
            Err(invalid("VirtualIP", alloc::format!("another policy of the endpoint says {other}")))
        }
        Some(_) => Ok(()),
        None => {
            policy.virtual_ips.push(address);
            Ok(())
        }
    }
}

/// Prefixes or plain addresses. Host bits are refused, as Windows Server 2022 does (hcn.md 2.12).
fn prefixes(
    texts: &[alloc::string::String],
    member: &str,
    into: &mut Vec<IpNet>,
) -> Result<(), Failure> {
    for (i, text) in texts.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
        let place = alloc::format!("{member}[{i}]");
        let net = match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
            (Ok(net), _) if net.trunc() != net => {
                let why = alloc::format!("'{text}' has host bits set");
                return Err(invalid(&place, why).hint(alloc::format!("write {}", net.trunc())));
            }
            (Ok(net), _) => net,
            (_, Ok(address)) => IpNet::from(address),
            _ => {
                return Err(invalid(
                    &place,
                    alloc::format!("'{text}' is neither an address nor a prefix"),
                ));
            }
        };
        if !into.contains(&net) {
            into.push(net);
        }
    }
    Ok(())
}

impl OutboundNat {
    /// `kept`: what else the endpoint sends under its own address; `ports`: what it uses of the host's.
    pub(crate) fn facts(
        &self,
        source: IpAddr,
        (kept, ports): (&[IpNet], Option<Ports>),
        facts: &mut Vec<Fact>,
    ) {
        if let Some((first, last)) = ports {
            facts.push(Fact::Element(Element::NatPorts { source, first, last }));
        }
        let same_family = |net: &&IpNet| net.addr().is_ipv4() == source.is_ipv4();
        // Prefixes inside others say nothing new, and interval sets refuse overlaps.
        for destination in outermost(self.exceptions.iter().chain(kept).filter(same_family)) {
            facts.push(Fact::Element(Element::NatExempt { source, destination }));
        }
        let limits = outermost(self.destinations.iter().filter(same_family));
        if !limits.is_empty() {
            facts.push(Fact::Element(Element::NatLimited { source }));
        }
        for destination in limits {
            facts.push(Fact::Element(Element::NatLimit { source, destination }));
        }
        for address in self.virtual_ips.iter().filter(|vip| vip.is_ipv4() == source.is_ipv4()) {
            facts.push(Fact::Element(Element::NatAs { source, address: *address }));
        }
    }
}

/// The prefixes that no other one contains.
pub(crate) fn outermost<'a>(nets: impl Iterator<Item = &'a IpNet>) -> Vec<IpNet> {
    IpNet::aggregate(&nets.copied().collect())
}
