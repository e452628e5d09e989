//! Handles of networks.

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{
    HostComputeNetwork, Ipam, ModifyNetworkSettingRequest, NetAdapterNameNetworkPolicySetting,
    NetworkMode, NetworkPolicy, NetworkPolicyType, Route, Subnet, SubnetPolicy, SubnetPolicyType,
    VsidPolicySetting,
};

use crate::{Failure, Host};

handle! {
    /// A network: address ranges, and who reaches whom.
    ///
    /// ```no_run
    /// use hostcompute::schema::{HostComputeNetwork, NetworkMode};
    /// use hostcompute::{Host, Network, Options};
    ///
    /// # fn main() -> Result<(), hostcompute::Failure> {
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
    /// HCN_E_NETWORK_ALREADY_EXISTS for a name that is taken, HCN_E_INVALID_PREFIX for what is no prefix or has no room,
    /// HCN_E_INVALID_SUBNET for one that others have.
    pub fn create_nat(host: &Host, name: &str, prefix: &str) -> Result<Self, Failure> {
        Self::create(host, &of(NetworkMode::NAT, name, subnet(prefix)))
    }

    /// An Internal network: endpoints and the host reach each other, and nobody else, whatever adapters the host has.
    ///
    /// # Errors
    /// As [`Self::create_nat`].
    pub fn create_internal(host: &Host, name: &str, prefix: &str) -> Result<Self, Failure> {
        Self::create(host, &of(NetworkMode::Internal, name, subnet(prefix)))
    }

    /// A Transparent network: endpoints are machines of their own on the wire of this adapter, and leave by this gateway.
    ///
    /// # Errors
    /// As [`Self::create_nat`]; HCN_E_ADAPTER_NOT_FOUND.
    pub fn create_transparent(
        host: &Host,
        name: &str,
        adapter: &str,
        prefix: &str,
        gateway: &str,
    ) -> Result<Self, Failure> {
        let any = if gateway.contains(':') { "::/0" } else { "0.0.0.0/0" };
        let route = Route::default().next_hop(gateway).destination_prefix(any);
        let network = of(NetworkMode::Transparent, name, subnet(prefix).routes([route]));
        let wish = NetAdapterNameNetworkPolicySetting::default().network_adapter_name(adapter);
        let policy = NetworkPolicy::new(NetworkPolicyType::NetAdapterName, &wish);
        Self::create(host, &network.policies([policy]))
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
        let isolation = VsidPolicySetting::default().isolation_id(vsid);
        let policy = SubnetPolicy::new(SubnetPolicyType::VSID, &isolation);
        Self::create(host, &of(NetworkMode::Overlay, name, subnet(prefix).policies([policy])))
    }
}

fn of(kind: NetworkMode, name: &str, subnet: Subnet) -> HostComputeNetwork {
    HostComputeNetwork::default().name(name).kind(kind).ipams([Ipam::default().subnets([subnet])])
}

fn subnet(prefix: &str) -> Subnet {
    Subnet::default().ip_address_prefix(prefix)
}
