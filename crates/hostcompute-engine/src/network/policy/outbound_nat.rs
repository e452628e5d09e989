//! OutBoundNAT: under which address an endpoint's packets leave, and which keep their own (hcn.md 2.10).
//!
//! NAT networks translate by themselves; the policy narrows or redirects that. Endpoints of Overlay and Internal networks leave them by it only. Exceptions go untranslated; with
//! Destinations only those are translated; VirtualIP is the address used instead of the host's.

use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Failure, HResult, NatFlags, OutboundNatPolicySetting};
use ipnet::IpNet;

use crate::network::network::Network;
use crate::plan::{Element, Fact};

/// All OutBoundNAT policies of an endpoint together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboundNat {
    pub exceptions: Vec<IpNet>,
    pub destinations: Vec<IpNet>,
    /// At most one of each family.
    pub virtual_ips: Vec<IpAddr>,
    /// There is such a policy: it opens the way out where the network has none by itself.
    pub stated: bool,
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
    let pool = |(name, value): (&alloc::string::String, &serde_json::Value)| {
        name.eq_ignore_ascii_case("MaxPortPoolUsage") && value.as_u64() != Some(0)
    };
    if setting.unknown.iter().any(pool) {
        let why = "the ports of translated connections cannot be limited";
        return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("MaxPortPoolUsage"));
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
    /// `kept`: what else the endpoint sends under its own address.
    pub(crate) fn facts(&self, source: IpAddr, kept: &[IpNet], facts: &mut Vec<Fact>) {
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
