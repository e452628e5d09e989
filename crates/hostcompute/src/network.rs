//! Handles of networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{
    Document, HostComputeNetwork, Ipam, IpamType, ModifyNetworkSettingRequest,
    NetAdapterNameNetworkPolicySetting, NetworkMode, NetworkPolicy, NetworkPolicyType, Route,
    SchemaVersion, Subnet, SubnetPolicy, SubnetPolicyType, VsidPolicySetting,
};

use crate::{Failure, HResult, Host};

handle! {
    /// A network: address ranges, and who reaches whom.
    ///
    /// ```no_run
    /// use hostcompute::schema::{HostComputeNetwork, NetworkMode};
    /// use hostcompute::{Host, Network, Options};
    ///
    /// # fn main() -> Result<(), hostcompute::Error> {
    /// let host = Host::embedded(Options::from_env())?;
    /// let settings = HostComputeNetwork::default().name("back").kind(NetworkMode::Private);
    /// let network = Network::create(&host, &settings)?;
    /// println!("{}", network.query_json("")?);
    /// network.delete()?;
    /// # Ok(())
    /// # }
    /// ```
    Network, HostComputeNetwork, Network,
    open OpenNetwork, enumerate EnumerateNetworks, query QueryNetworkProperties, delete DeleteNetwork,
    modify ModifyNetwork by ModifyNetworkSettingRequest
}

creation! { Network, HostComputeNetwork, CreateNetwork }

impl Network {
    /// A NAT network: endpoints leave under the host's address. The first address of the prefix (`10.1.0.0/24`) is the gateway's.
    ///
    /// # Errors
    /// As [`nat`]; HCN_E_NETWORK_ALREADY_EXISTS for a name that is taken, HCN_E_INVALID_SUBNET for a prefix that others have.
    pub fn create_nat(host: &Host, name: &str, prefix: &str) -> Result<Self, Failure> {
        Self::of_one_call(host, &nat(name, prefix)?)
    }

    /// An Internal network: endpoints and the host reach each other, and nobody else, whatever adapters the host has. Of IPv4 alone; one of
    /// IPv6, or of both, is made from its document by [`Self::create`].
    ///
    /// # Errors
    /// As [`internal`] and [`Self::create_nat`].
    pub fn create_internal(host: &Host, name: &str, prefix: &str) -> Result<Self, Failure> {
        Self::of_one_call(host, &internal(name, prefix)?)
    }

    /// A Transparent network: endpoints are machines of their own on the wire of this adapter, and leave by this gateway. Of IPv4
    /// alone, as [`Self::create_internal`].
    ///
    /// # Errors
    /// As [`transparent`] and [`Self::create_nat`]; HCN_E_ADAPTER_NOT_FOUND.
    pub fn create_transparent(
        host: &Host,
        name: &str,
        adapter: &str,
        prefix: &str,
        gateway: &str,
    ) -> Result<Self, Failure> {
        Self::of_one_call(host, &transparent(name, adapter, prefix, gateway)?)
    }

    /// An Overlay network: endpoints of several hosts in one virtual subnet (VXLAN network identifier `vsid`, from 4096 on). Which other
    /// hosts there are is said by RemoteSubnetRoute policies.
    ///
    /// # Errors
    /// As [`Self::create_nat`]; HCN_E_INVALID_POLICY for a VSID out of range, HCN_E_ADAPTER_NOT_FOUND on a host without an adapter.
    pub fn create_overlay(
        host: &Host,
        name: &str,
        prefix: &str,
        vsid: u32,
    ) -> Result<Self, Failure> {
        Self::of_one_call(host, &overlay(name, prefix, vsid)?)
    }
}

impl Network {
    /// Makes a network of a short way. Printing leaves out what is so anyway; others' short ways say it, so these do.
    fn of_one_call(host: &Host, document: &HostComputeNetwork) -> Result<Self, Failure> {
        let mut told = document.to_value();
        told["Type"] = document.kind.as_ref().map(ToString::to_string).into();
        told["Ipams"][0]["Type"] = IpamType::Static.to_string().into();
        Self::create_json(host, None, &told.to_string()).map(|(network, _)| network)
    }
}

/// The document of [`Network::create_nat`], to be added to.
///
/// ```
/// use hostcompute::network;
///
/// let document = network::nat("web", "10.1.0.0/24")?;
/// let route = &document.ipams[0].subnets[0].routes[0];
/// assert_eq!(route.next_hop.as_deref(), Some("10.1.0.1"));
/// let refused = network::nat("web", "10.1.0.0/31").unwrap_err();
/// assert_eq!(refused.hresult.name(), "HCN_E_INVALID_PREFIX");
/// # Ok::<(), hostcompute::Error>(())
/// ```
///
/// # Errors
/// HCN_E_INVALID_PREFIX for what is no prefix, or has no room for a gateway and an endpoint (`/31` and `/32`, `/127` and `/128`).
pub fn nat(name: &str, prefix: &str) -> Result<HostComputeNetwork, Failure> {
    Ok(of(NetworkMode::NAT, name, subnet(prefix)?))
}

/// The document of [`Network::create_internal`], to be added to.
///
/// The service takes IPv6, too, and so does this crate: in a document that says so.
///
/// ```
/// use hostcompute::network;
/// use hostcompute::schema::{HostComputeNetwork, Ipam, NetworkMode, Route, Subnet};
///
/// assert!(network::internal("web", "fd00:1::/64").is_err());
/// let gateway = Route::default().next_hop("fd00:1::1").destination_prefix("::/0");
/// let subnet = Subnet::default().ip_address_prefix("fd00:1::/64").routes([gateway]);
/// let document = HostComputeNetwork::default()
///     .name("web")
///     .kind(NetworkMode::Internal)
///     .ipams([Ipam::default().subnets([subnet])]);
/// # drop(document);
/// ```
///
/// # Errors
/// As [`nat`]; HCN_E_INVALID_PREFIX for a prefix of IPv6, too.
pub fn internal(name: &str, prefix: &str) -> Result<HostComputeNetwork, Failure> {
    only_ipv4(prefix)?;
    Ok(of(NetworkMode::Internal, name, subnet(prefix)?))
}

/// The document of [`Network::create_transparent`], to be added to.
///
/// # Errors
/// As [`internal`]; HCN_E_INVALID_IP for a gateway that is no address, or is not of the prefix's family.
pub fn transparent(
    name: &str,
    adapter: &str,
    prefix: &str,
    gateway: &str,
) -> Result<HostComputeNetwork, Failure> {
    only_ipv4(prefix)?;
    let Some(gateway) = gateway.parse().ok().filter(IpAddr::is_ipv4) else {
        let why = format!("{gateway:?} is no gateway of {prefix}");
        return Err(Failure::new(HResult::HCN_E_INVALID_IP, why).at(GATEWAY));
    };
    let network = of(NetworkMode::Transparent, name, routed(prefix, gateway));
    let wish = NetAdapterNameNetworkPolicySetting::default().network_adapter_name(adapter);
    Ok(network.policies([NetworkPolicy::new(NetworkPolicyType::NetAdapterName, &wish)]))
}

/// The document of [`Network::create_overlay`], to be added to.
///
/// # Errors
/// As [`nat`].
pub fn overlay(name: &str, prefix: &str, vsid: u32) -> Result<HostComputeNetwork, Failure> {
    let isolation = VsidPolicySetting::default().isolation_id(vsid);
    let policy = SubnetPolicy::new(SubnetPolicyType::VSID, &isolation);
    Ok(of(NetworkMode::Overlay, name, subnet(prefix)?.policies([policy])))
}

const PREFIX: &str = "Ipams[0].Subnets[0].IpAddressPrefix";
const GATEWAY: &str = "Ipams[0].Subnets[0].Routes[0].NextHop";

fn of(kind: NetworkMode, name: &str, subnet: Subnet) -> HostComputeNetwork {
    let mut network = HostComputeNetwork::default()
        .name(name)
        .kind(kind)
        .ipams([Ipam::default().kind(IpamType::Static).subnets([subnet])]);
    network.base.schema_version = Some(SchemaVersion { major: 2, minor: 0 }.into());
    network
}

/// A subnet whose gateway is the first address. It is said, so that no implementation reserves more than that one.
fn subnet(prefix: &str) -> Result<Subnet, Failure> {
    Ok(routed(prefix, range(prefix)?))
}

fn routed(prefix: &str, gateway: IpAddr) -> Subnet {
    let any = if gateway.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
    let route = Route::default().next_hop(gateway.to_string()).destination_prefix(any);
    Subnet::default().ip_address_prefix(prefix).routes([route])
}

/// The short ways of which others say that they take nothing else, and on which a program that comes from there relies.
fn only_ipv4(prefix: &str) -> Result<(), Failure> {
    if range(prefix)?.is_ipv4() {
        return Ok(());
    }
    let why = format!("{prefix:?} is of IPv6, which this short way does not make");
    Err(Failure::new(HResult::HCN_E_INVALID_PREFIX, why).at(PREFIX).hint(
        "Network::create takes both families, from a HostComputeNetwork whose Ipams say them",
    ))
}

/// The first address of a prefix behind the one that is the prefix's own.
fn range(prefix: &str) -> Result<IpAddr, Failure> {
    let bad = |why: &str| {
        Failure::new(HResult::HCN_E_INVALID_PREFIX, format!("{prefix:?} {why}")).at(PREFIX)
    };
    let none = || bad("is no prefix such as 10.1.0.0/24");
    let (address, length) = prefix.split_once('/').ok_or_else(none)?;
    let address: IpAddr = address.parse().map_err(|_| none())?;
    let length: u8 = length.parse().map_err(|_| none())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    if length > bits {
        return Err(none());
    }
    if length > bits - 2 {
        return Err(bad("has no room for a gateway and an endpoint"));
    }
    Ok(match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            Ipv4Addr::from((u32::from(address) & mask) + 1).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            Ipv6Addr::from((u128::from(address) & mask) + 1).into()
        }
    })
}
