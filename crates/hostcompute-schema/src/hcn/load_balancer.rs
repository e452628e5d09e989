//! Load balancers (hcn.md 2.17) and their older form, policy lists.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::hcn::{Base, ProtocolType};

documents! {
    /// Spreads connections to virtual addresses over endpoints.
    pub struct HostComputeLoadBalancer("HostComputeLoadBalancer"): Base {
        /// The id of the network; normally that of the endpoints.
        host_compute_network: Option<String> = "HostComputeNetwork" ["2.5"],
        /// The ids of the endpoints that take the connections; at least one.
        host_compute_endpoints: Vec<String> = "HostComputeEndpoints" ["2.0"],
        /// The source address where the client's must be replaced; of any range.
        source_vip: Option<String> = "SourceVIP" ["2.0"],
        /// The virtual addresses; none means every address of the host.
        frontend_vips: Vec<String> = "FrontendVIPs" | "VirtualIPs" ["2.0"],
        /// The ports, usually one.
        port_mappings: Vec<LoadBalancerPortMapping> = "PortMappings" ["2.0"],
        /// Properties of the load balancer as a sum of bits.
        flags: Option<LoadBalancerFlags> = "Flags" ["2.0"],
    }

    /// One port of a load balancer.
    pub struct LoadBalancerPortMapping("LoadBalancerPortMapping") {
        /// The protocol as its number.
        protocol: Option<ProtocolType> = "Protocol" ["2.0"],
        /// The port that the endpoints listen on.
        internal_port: Option<u16> = "InternalPort" ["2.0"],
        /// The port that clients connect to.
        external_port: Option<u16> = "ExternalPort" ["2.0"],
        /// What binds a client to one endpoint, as its number.
        distribution_type: Option<LoadBalancerDistribution> = "DistributionType" ["2.7"],
        /// Properties of the port as a sum of bits.
        flags: Option<LoadBalancerPortMappingFlags> = "Flags" ["2.0"],
    }

    /// A list of policies on endpoints: the older form of load balancers and routes.
    pub struct HostComputePolicyList("HostComputePolicyList"): Base {
        /// The endpoints, each as `/endpoints/` and its id.
        references: Vec<String> = "References" ["2.0"],
        /// The policies in their flat form.
        policies: Vec<Value> = "Policies" ["2.0"],
    }
}

numbers! {
    /// What binds a client to one endpoint of a load balancer.
    pub struct LoadBalancerDistribution {
        /// Nothing: every connection is placed anew.
        NONE = 0 "None" ["2.7"],
        /// The client's address and the protocol.
        SOURCE_IP_PROTOCOL = 1 "SourceIPProtocol" ["2.7"],
        /// The client's address.
        SOURCE_IP = 2 "SourceIP" ["2.7"],
    }
}

flags! {
    /// Properties of a load balancer.
    pub struct LoadBalancerFlags {
        /// Nothing special.
        NONE = 0 "None" ["2.0"],
        /// Endpoints see the client's address and answer without a detour.
        ENABLE_DIRECT_SERVER_RETURN = 1 "EnableDirectServerReturn" ["2.0"],
        /// The virtual addresses are IPv6.
        IPV6 = 2 "IPv6" ["2.8"],
    }

    /// Properties of one port of a load balancer.
    pub struct LoadBalancerPortMappingFlags {
        /// Nothing special.
        NONE = 0 "None" ["2.0"],
        /// The port is reachable from inside the network only.
        ENABLE_INTERNAL_LOAD_BALANCER = 1 "EnableInternalLoadBalancer" ["2.0"],
        /// The port is reachable from the host itself.
        LOCAL_ROUTED_VIP = 2 "LocalRoutedVip" ["2.0"],
        /// An external multiplexer delivers the packets; the schema names the bit NotUsed.
        USE_MUX = 4 "NotUsed" | "UseMux" ["2.0"],
        /// Packets keep the virtual address as their destination.
        ENABLE_PRESERVE_DIP = 8 "EnablePreserveDip" ["2.0"],
        /// The virtual address is an external one.
        VIP_EXTERNAL_IP = 16 "VipExternalIP" [],
    }
}
