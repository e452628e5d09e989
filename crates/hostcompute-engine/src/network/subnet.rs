//! Subnets of a network: prefixes, gateways, and which addresses endpoints cannot have (hcn.md 2.4, 3.2, 3.4).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hostcompute_schema::{
    Failure, Guid, HResult, IpSubnet, Ipam, IpamType, Route, Subnet as Document, SubnetFlags,
    SubnetPolicyType, VsidPolicySetting,
};
use ipnet::{IpNet, Ipv4Net};

use crate::network::network::Mode;
use crate::network::overlay::VSIDS;
use crate::plan::Family;

/// A subnet with its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    pub id: Guid,
    pub prefix: IpNet,
    /// The address that routes out of the subnet: declared, or chosen by the service on NAT and Internal networks.
    pub gateway: Option<IpAddr>,
    /// Whether the document declares the gateway. Without, low addresses stay reserved (hcn.md 3.4).
    pub declared: bool,
    /// The virtual subnet, on Overlay networks.
    pub vsid: Option<u32>,
    /// The host's own addresses in it, on bridged networks.
    pub taken: Vec<IpAddr>,
    /// What is behind other machines than the gateway, on bridged networks.
    pub others: Vec<(IpNet, IpAddr)>,
}

impl Subnet {
    pub fn family(&self) -> Family {
        Family::of(&self.prefix.addr())
    }

    /// The gateway with the subnet's prefix length.
    pub fn gateway_net(&self) -> Option<IpNet> {
        self.gateway.and_then(|gateway| IpNet::new(gateway, self.prefix.prefix_len()).ok())
    }

    /// Whether no endpoint may have this address of the subnet.
    pub fn reserves(&self, address: IpAddr) -> bool {
        let first = self.prefix.network();
        let edge = address == first
            || (address.is_ipv4() && address == self.prefix.broadcast())
            || Some(address) == self.gateway
            || self.taken.contains(&address);
        let low = !self.declared && number(address).wrapping_sub(number(first)) < 4;
        edge || low
    }
}

/// An address as a number, for arithmetic inside a prefix.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The address of `family` with the given number.
pub fn address(family: Family, number: u128) -> IpAddr {
    match family {
        // A number made from IPv4 addresses fits by construction.
        Family::V4 => IpAddr::V4(Ipv4Addr::from(number as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// Reads the subnets of all Ipams; every mistake is at its path.
///
/// # Errors
/// HCN_E_INVALID_PREFIX, HCN_E_INVALID_SUBNET, HCN_E_INVALID_POLICY, HCN_E_REQUEST_UNSUPPORTED.
pub fn read(ipams: &[Ipam], mode: Mode) -> Result<Vec<Subnet>, Failure> {
    let mut subnets: Vec<Subnet> = Vec::new();
    for (i, ipam) in ipams.iter().enumerate() {
        let leased = is_leased(ipam);
        if leased && mode != Mode::Transparent {
            // Nobody here asks a server for an endpoint.
            let why = "on this network type the service itself gives endpoints their addresses";
            return Err(Failure::new(HResult::HCN_E_INVALID_SUBNET, why)
                .at(alloc::format!("Ipams[{i}].Type"))
                .hint("use Type Static"));
        }
        for (j, document) in ipam.subnets.iter().enumerate() {
            let path = alloc::format!("Ipams[{i}].Subnets[{j}]");
            let Some(subnet) = read_one(document, mode, &path)? else { continue };
            if leased {
                // Only said: who runs the server decides.
                continue;
            }
            if let Some(other) = subnets.iter().find(|other| overlap(&other.prefix, &subnet.prefix))
            {
                let why = alloc::format!(
                    "{} overlaps {} of the same network",
                    subnet.prefix,
                    other.prefix
                );
                return Err(Failure::new(HResult::HCN_E_INVALID_SUBNET, why)
                    .at(alloc::format!("{path}.IpAddressPrefix")));
            }
            subnets.push(subnet);
        }
    }
    Ok(subnets)
}

/// Whether endpoints have their addresses from a server on the adapter's wire, which what runs in them asks itself.
pub(crate) fn is_leased(ipam: &Ipam) -> bool {
    ipam.kind == Some(IpamType::Dhcp)
}

/// Whether two prefixes share an address.
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

fn read_one(document: &Document, mode: Mode, path: &str) -> Result<Option<Subnet>, Failure> {
    let Some(text) = document.ip_address_prefix.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let prefix =
        prefix(text).map_err(|failure| failure.at(alloc::format!("{path}.IpAddressPrefix")))?;
    refuse_extras(document, mode, path)?;
    let vsid = vsid(document, mode, path)?;
    let id = document.base.id.unwrap_or_default();
    let mut subnet = Subnet {
        id,
        prefix,
        gateway: None,
        declared: false,
        vsid,
        taken: Vec::new(),
        others: Vec::new(),
    };
    for (k, route) in document.routes.iter().enumerate() {
        let path = alloc::format!("{path}.Routes[{k}]");
        let (destination, next_hop) = read_route(route, &path)?;
        let Some(gateway) = next_hop else { continue };
        if mode == Mode::Bridged && destination.prefix_len() > 0 {
            if [destination.addr(), gateway].map(|it| Family::of(&it)) != [subnet.family(); 2] {
                return Err(mixed_families(&path));
            }
            // Where it is known is looked at when the adapter is.
            subnet.others.push((destination, gateway));
            continue;
        }
        let inside = subnet.prefix.contains(&gateway) && gateway != subnet.prefix.network();
        if !inside || (gateway.is_ipv4() && gateway == subnet.prefix.broadcast()) {
            let why = alloc::format!("the next hop {gateway} is not an address of subnet {prefix}");
            return Err(Failure::new(HResult::HCN_E_INVALID_SUBNET, why)
                .at(alloc::format!("{path}.NextHop")));
        }
        if subnet.gateway.is_some_and(|other| other != gateway) {
            let why =
                "all routes of a subnet must have the same next hop: the subnet has one gateway";
            return Err(Failure::new(HResult::HCN_E_INVALID_SUBNET, why)
                .at(alloc::format!("{path}.NextHop")));
        }
        if Family::of(&destination.addr()) != subnet.family() {
            return Err(mixed_families(&path));
        }
        subnet.gateway = Some(gateway);
        subnet.declared = true;
    }
    subnet.others.retain(|(_, hop)| subnet.gateway != Some(*hop));
    if subnet.gateway.is_none() && mode.owns_gateways() {
        subnet.gateway = Some(address(subnet.family(), number(prefix.network()) + 1));
    }
    Ok(Some(subnet))
}

fn mixed_families(path: &str) -> Failure {
    Failure::new(HResult::HCN_E_INVALID_SUBNET, "IPv4 and IPv6 are mixed in one route")
        .at(alloc::format!("{path}.DestinationPrefix"))
}

fn refuse_extras(document: &Document, mode: Mode, path: &str) -> Result<(), Failure> {
    let unsupported = |member: &str, why: &str| {
        Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why.to_string())
            .at(alloc::format!("{path}.{member}")))
    };
    if document
        .flags
        .is_some_and(|flags| flags.contains(SubnetFlags::DO_NOT_RESERVE_GATEWAY_ADDRESS))
    {
        return unsupported("Flags", "the host owns the gateway address of this network type");
    }
    // A block that is the whole subnet says nothing new (consumers of ICS networks send one).
    let whole = |block: &IpSubnet| {
        let same = block.ip_address_prefix == document.ip_address_prefix;
        same || block.ip_address_prefix.as_deref().is_none_or(str::is_empty)
    };
    if !document.ip_subnets.iter().all(whole) {
        return unsupported("IpSubnets", "blocks inside a subnet are not carried out");
    }
    for (i, policy) in document.policies.iter().enumerate() {
        let kind = policy.kind.as_ref().map(ToString::to_string).unwrap_or_default();
        let (code, why) = match policy.kind {
            Some(SubnetPolicyType::VSID) if mode == Mode::Overlay => continue,
            Some(SubnetPolicyType::VSID) => {
                (HResult::HCN_E_INVALID_POLICY, "VSID belongs to Overlay networks")
            }
            Some(SubnetPolicyType::VLAN) if mode == Mode::Transparent => continue,
            Some(SubnetPolicyType::VLAN) => (
                HResult::HCN_E_REQUEST_UNSUPPORTED,
                "the host routes for endpoints of this network type, so that nothing would keep VLANs apart",
            ),
            _ => (HResult::HCN_E_INVALID_POLICY_TYPE, "unknown subnet policy"),
        };
        let why = alloc::format!("{why} (policy {kind})");
        return Err(Failure::new(code, why).at(alloc::format!("{path}.Policies[{i}]")));
    }
    Ok(())
}

/// The virtual subnet that the policies name; Overlay networks need one for each subnet.
fn vsid(document: &Document, mode: Mode, path: &str) -> Result<Option<u32>, Failure> {
    if mode != Mode::Overlay {
        return Ok(None);
    }
    let mut found = None;
    for (i, policy) in document.policies.iter().enumerate() {
        let path = alloc::format!("{path}.Policies[{i}].Settings");
        let setting: VsidPolicySetting = crate::network::policy::parse(policy.settings.as_ref())
            .map_err(|f| f.at(path.clone()))?;
        let vsid = setting.isolation_id.unwrap_or_default();
        if !VSIDS.contains(&vsid) {
            let why = alloc::format!("a VSID is {} to {}, not {vsid}", VSIDS.start(), VSIDS.end());
            return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why)
                .at(alloc::format!("{path}.IsolationId")));
        }
        if found.replace(vsid).is_some_and(|other| other != vsid) {
            let why = "a subnet has one VSID";
            return Err(Failure::new(HResult::HCN_E_POLICY_ALREADY_EXISTS, why).at(path));
        }
    }
    if found.is_none() {
        let why = "a subnet of an Overlay network needs a policy VSID";
        return Err(Failure::new(HResult::HCN_E_INVALID_NETWORK, why)
            .at(alloc::format!("{path}.Policies"))
            .hint(r#"add {"Type": "VSID", "Settings": {"IsolationId": 4096}}"#));
    }
    Ok(found)
}

/// The destination and next hop of a route; an empty or all-zero next hop means on-link.
///
/// # Errors
/// HCN_E_INVALID_PREFIX for the destination, HCN_E_INVALID_IP for the next hop.
pub fn read_route(route: &Route, path: &str) -> Result<(IpNet, Option<IpAddr>), Failure> {
    let next_hop = match route.next_hop.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(text.parse::<IpAddr>().map_err(|_| {
            Failure::new(HResult::HCN_E_INVALID_IP, alloc::format!("'{text}' is not an IP address"))
                .at(alloc::format!("{path}.NextHop"))
        })?),
    };
    let text = route.destination_prefix.as_deref().unwrap_or_default();
    let destination = destination(text, next_hop).ok_or_else(|| {
        Failure::new(
            HResult::HCN_E_INVALID_PREFIX,
            alloc::format!("'{text}' is not a prefix like 10.0.0.0/8"),
        )
        .at(alloc::format!("{path}.DestinationPrefix"))
    })?;
    Ok((destination, next_hop.filter(|hop| !hop.is_unspecified())))
}

/// Lenient about what consumers send: no prefix length for the default route, host bits set.
pub(crate) fn destination(text: &str, next_hop: Option<IpAddr>) -> Option<IpNet> {
    if let Ok(net) = text.parse::<IpNet>() {
        return Some(net.trunc());
    }
    match text.parse::<IpAddr>().ok() {
        Some(address) if address.is_unspecified() => IpNet::new(address, 0).ok(),
        Some(address) => Some(IpNet::from(address)),
        None if text.is_empty() => {
            let zero = match next_hop? {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            IpNet::new(zero, 0).ok()
        }
        None => None,
    }
}

/// A subnet's prefix.
fn prefix(text: &str) -> Result<IpNet, Failure> {
    let bad = |why: String| Failure::new(HResult::HCN_E_INVALID_PREFIX, why);
    let net: IpNet = text
        .parse()
        .map_err(|_| bad(alloc::format!("'{text}' is not a prefix like 172.20.0.0/16")))?;
    if net.trunc() != net {
        let hint = alloc::format!("write {}", net.trunc());
        return Err(bad(alloc::format!("'{text}' has host bits set")).hint(hint));
    }
    let (shortest, longest) = if net.addr().is_ipv4() { (4, 30) } else { (16, 126) };
    if !(shortest..=longest).contains(&net.prefix_len()) {
        return Err(bad(alloc::format!(
            "a subnet's prefix length is {shortest} to {longest}, not {}",
            net.prefix_len()
        )));
    }
    let address = net.addr();
    if address.is_loopback() || address.is_multicast() || address.is_unspecified() {
        return Err(bad(alloc::format!(
            "{net} is not a range that interfaces can have addresses of"
        )));
    }
    Ok(net)
}

/// Prefixes for networks that name none, nicest first.
pub fn candidates() -> impl Iterator<Item = Ipv4Net> {
    let block = |a: u8, b: u8, c: u8, length: u8| {
        Ipv4Net::new(Ipv4Addr::new(a, b, c, 0), length).expect("the length is below 32")
    };
    let middle = (16..32).flat_map(move |b| (0..16).map(move |c| block(172, b, c * 16, 20)));
    let small = (0..=255).map(move |c| block(192, 168, c, 24));
    let large = (0..=255).map(move |b| block(10, b, 0, 20));
    // 172.16/16 and 172.17/16 are what other container engines take first.
    let (taken, free): (Vec<_>, Vec<_>) = middle.partition(|net| net.addr().octets()[1] < 18);
    free.into_iter().chain(taken).chain(small).chain(large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_that_no_subnet_can_have() {
        for text in [
            "10.0.0.0/31",
            "10.0.0.1/24",
            "1.1.1.1/0",
            "x",
            "10.0.0.0",
            "fd00::/127",
            "127.0.0.0/8",
            "224.0.0.0/8",
        ] {
            assert_eq!(prefix(text).unwrap_err().hresult, HResult::HCN_E_INVALID_PREFIX, "{text}");
        }
        for text in ["10.0.0.0/30", "172.20.0.0/16", "fd00::/64"] {
            assert!(prefix(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn without_a_declared_gateway_four_low_addresses_are_reserved() {
        let mut subnet = Subnet {
            id: Guid::default(),
            prefix: "10.0.0.0/28".parse().unwrap(),
            gateway: Some("10.0.0.1".parse().unwrap()),
            declared: false,
            vsid: None,
            taken: Vec::new(),
            others: Vec::new(),
        };
        let reserved = |subnet: &Subnet| {
            (0..16)
                .filter(|n| subnet.reserves(address(Family::V4, number(subnet.prefix.addr()) + n)))
                .collect::<Vec<_>>()
        };
        assert_eq!(reserved(&subnet), [0, 1, 2, 3, 15]);
        subnet.declared = true;
        assert_eq!(reserved(&subnet), [0, 1, 15]);
    }
}
