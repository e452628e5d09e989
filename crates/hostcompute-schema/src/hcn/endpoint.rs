//! Endpoints (hcn.md 2.8).

use alloc::string::String;
use alloc::vec::Vec;

use crate::guid::Guid;
use crate::hcn::{Base, Dns, EndpointPolicy, Route};

documents! {
    /// A port on a network: addresses, routes and policies of one interface.
    pub struct HostComputeEndpoint("HostComputeEndpoint"): Base {
        /// The id of the network.
        host_compute_network: Option<Guid> = "HostComputeNetwork" ["2.0"],
        /// The id of the namespace that the endpoint is attached to; output only.
        host_compute_namespace: Option<Guid> = "HostComputeNamespace" ["2.0"],
        /// Rules and parameters of the endpoint.
        policies: Vec<EndpointPolicy> = "Policies" ["2.0"],
        /// The addresses; one is chosen when none is given.
        ip_configurations: Vec<IpConfig> = "IpConfigurations" ["2.0"],
        /// Name resolution, in place of the network's.
        dns: Option<Dns> = "Dns" ["2.0"],
        /// The routes; a default route through the gateway when none is given.
        routes: Vec<Route> = "Routes" ["2.0"],
        /// The MAC address; one is chosen from the network's pool when absent.
        mac_address: Option<String> = "MacAddress" ["2.0"],
        /// Properties of the endpoint as a sum of bits.
        flags: Option<EndpointFlags> = "Flags" ["2.0"],
    }

    /// One address of an endpoint.
    pub struct IpConfig("IpConfig") {
        /// The address; chosen by the service when absent.
        ip_address: Option<String> = "IpAddress" ["2.0"],
        /// The prefix length; that of the address range when absent.
        prefix_length: Option<u8> = "PrefixLength" ["2.0"],
        /// The block to choose the address from.
        ip_subnet_id: Option<Guid> = "IpSubnetId" ["2.3"],
    }

    /// What an endpoint may carry in AdditionalParams.
    pub struct EndpointAdditionalParams("EndpointAdditionalParams") {
        /// The id of the switch.
        switch_id: Option<Guid> = "SwitchId" ["2.0"],
        /// The id of the port on the switch.
        switch_port_id: Option<Guid> = "SwitchPortId" ["2.0"],
    }
}

flags! {
    /// Properties of an endpoint.
    pub struct EndpointFlags {
        /// Nothing special.
        NONE = 0 "None" ["2.0"],
        /// The endpoint stands for an address on another host.
        REMOTE_ENDPOINT = 1 "RemoteEndpoint" ["2.0"],
        /// No traffic with other endpoints of the same network.
        DISABLE_INTER_COMPUTE_COMMUNICATION = 2 "DisableInterComputeCommunication" ["2.0"],
        /// The endpoint's traffic is mirrored.
        ENABLE_MIRRORING = 4 "EnableMirroring" ["2.0"],
        /// The interface is preferred over others of the namespace.
        ENABLE_LOW_INTERFACE_METRIC = 8 "EnableLowInterfaceMetric" ["2.0"],
        /// The service's own name resolution is asked first.
        OVERRIDE_DNS_SERVER_ORDER = 16 "OverrideDNSServerOrder" ["2.0"],
        /// The endpoint takes its address by DHCP.
        ENABLE_DHCP = 32 "EnableDhcp" ["2.0"],
    }
}
