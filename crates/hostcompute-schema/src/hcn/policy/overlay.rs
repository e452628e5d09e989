//! Policies that tie networks of several hosts together, and routes (hcn.md 2.6, 2.10).

use alloc::string::String;

documents! {
    /// The host's address on the network below an overlay.
    pub struct ProviderAddressNetworkPolicySetting("ProviderAddressNetworkPolicySetting") {
        /// The address.
        provider_address: Option<String> = "ProviderAddress" ["2.0"],
    }

    /// The endpoint's address on the network below an overlay.
    pub struct ProviderAddressEndpointPolicySetting("ProviderAddressEndpointPolicySetting") {
        /// The address of the host that the endpoint is on.
        provider_address: Option<String> = "ProviderAddress" ["2.0"],
    }

    /// The MAC address of the host's distributed router.
    pub struct DrMacAddressNetworkPolicySetting("DrMacAddressNetworkPolicySetting") {
        /// The address.
        address: Option<String> = "Address" ["2.0"],
    }

    /// An address range that lives behind another host.
    pub struct RemoteSubnetRoutePolicySetting("RemoteSubnetRoutePolicySetting") {
        /// The range as address and prefix length.
        destination_prefix: Option<String> = "DestinationPrefix" ["2.0"],
        /// The VXLAN network identifier.
        isolation_id: Option<u32> = "IsolationId" ["2.0"],
        /// The other host's address on the network below.
        provider_address: Option<String> = "ProviderAddress" ["2.0"],
        /// The MAC address of the other host's distributed router.
        distributed_router_mac_address: Option<String> = "DistributedRouterMacAddress" ["2.0"],
    }

    /// The UDP port of VXLAN.
    pub struct VxlanPortPolicySetting("VxlanPortPolicySetting") {
        /// The port; 4789 when absent.
        port: Option<u16> = "Port" ["2.0"],
    }

    /// Routes between the host and its endpoints; there is nothing to set.
    pub struct HostRoutePolicySetting("HostRoutePolicySetting", "2.0") {}

    /// How traffic to a destination leaves.
    pub struct SdnRoutePolicySetting("SDNRoutePolicySetting") {
        /// The destination as address and prefix length.
        destination_prefix: Option<String> = "DestinationPrefix" ["2.0"],
        /// The address of the next hop.
        next_hop: Option<String> = "NextHop" ["2.0"],
        /// Whether the host's own stack carries it on.
        need_encap: Option<bool> = "NeedEncap" ["2.0"],
        /// Whether the next hop is watched and avoided when it is gone.
        automatic_endpoint_monitor: Option<bool> = "AutomaticEndpointMonitor" ["2.0"],
    }
}
