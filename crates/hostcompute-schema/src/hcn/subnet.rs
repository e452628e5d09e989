//! Address ranges of a network and the routes through them (hcn.md 2.4).

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::document::Document;
use crate::hcn::Base;

documents! {
    /// A group of address ranges that are managed in the same way.
    pub struct Ipam("Ipam") {
        /// Who hands out the addresses: the service (Static, the default) or the network (Dhcp).
        kind: Option<IpamType> = "Type" ["2.0"],
        /// The address ranges.
        subnets: Vec<Subnet> = "Subnets" ["2.0"],
    }

    /// One address range of a network.
    pub struct Subnet("Subnet"): Base {
        /// The range as address and prefix length; host bits should be zero. Echoed as written.
        ip_address_prefix: Option<String> = "IpAddressPrefix" ["2.0"],
        /// The VLAN or virtual subnet that the range belongs to.
        policies: Vec<SubnetPolicy> = "Policies" ["2.0"],
        /// Routes of endpoints in this range; the default route names the gateway.
        routes: Vec<Route> = "Routes" ["2.0"],
        /// Finer blocks inside the range.
        ip_subnets: Vec<IpSubnet> = "IpSubnets" ["2.3"],
        /// Properties of the range as a sum of bits.
        flags: Option<SubnetFlags> = "Flags" ["2.7"],
    }

    /// A block inside an address range.
    pub struct IpSubnet("IpSubnet"): Base {
        /// The block as address and prefix length.
        ip_address_prefix: Option<String> = "IpAddressPrefix" ["2.3"],
        /// Properties of the block as a sum of bits.
        flags: Option<IPSubnetFlags> = "Flags" ["2.5"],
    }

    /// A route: where packets for a destination are sent next.
    pub struct Route("Route") {
        /// The address of the next hop; 0.0.0.0 means that the destination is on the link.
        next_hop: Option<String> = "NextHop" ["2.0"],
        /// The destination as address and prefix length; 0.0.0.0/0 and ::/0 are default routes.
        destination_prefix: Option<String> = "DestinationPrefix" ["2.0"],
        /// The preference among routes to the same destination; lower wins.
        metric: Option<u16> = "Metric" ["2.0"],
    }

    /// A policy of an address range.
    pub struct SubnetPolicy("SubnetPolicy") {
        /// What kind of isolation the settings describe.
        kind: Option<SubnetPolicyType> = "Type" ["2.0", Given],
        /// The body of the policy: VlanPolicySetting or VsidPolicySetting.
        settings: Option<Value> = "Settings" | "Data" ["2.0"],
    }

    /// Isolation by VLAN.
    pub struct VlanPolicySetting("VlanPolicySetting") {
        /// The VLAN, 1 to 4094; 0 means untagged and is printed too.
        isolation_id: Option<u32> = "IsolationId" ["2.0", Given],
    }

    /// Isolation by virtual subnet.
    pub struct VsidPolicySetting("VsidPolicySetting") {
        /// The 24-bit VXLAN network identifier, 4096 or above in practice.
        isolation_id: Option<u32> = "IsolationId" ["2.0"],
    }

    /// The body of a policy as the first published schema had it.
    pub struct PolicySettings("PolicySettings") {
        /// A label of the policy.
        name: Option<String> = "Name" ["2.0"],
    }

    /// Isolation by VLAN as the first published schema had it.
    pub struct VlanPolicy("VlanPolicy") {
        /// A label of the policy.
        name: Option<String> = "Name" ["2.0"],
        /// The VLAN, 1 to 4094; 0 means untagged and is printed too.
        isolation_id: Option<u32> = "IsolationId" ["2.0", Given],
    }
}

impl SubnetPolicy {
    /// A policy with these settings.
    pub fn new(kind: SubnetPolicyType, settings: &impl Document) -> SubnetPolicy {
        SubnetPolicy::default().kind(kind).settings(settings.to_value())
    }
}

kinds! {
    /// Who hands out the addresses of a range.
    pub enum IpamType {
        /// The service.
        Static ["2.0"],
        /// A DHCP server on the network.
        Dhcp ["2.0"],
    }

    /// The kinds of policy that an address range can have.
    pub enum SubnetPolicyType {
        /// The range is isolated by an IEEE 802.1Q tag.
        VLAN ["2.0"],
        /// The range is a virtual subnet of an overlay network.
        VSID ["2.0"],
    }
}

flags! {
    /// Properties of an address range.
    pub struct SubnetFlags {
        /// Nothing special.
        NONE = 0 "None" ["2.7"],
        /// The gateway's address may be given to an endpoint.
        DO_NOT_RESERVE_GATEWAY_ADDRESS = 1 "DoNotReserveGatewayAddress" ["2.7"],
    }

    /// Properties of a block inside an address range.
    pub struct IPSubnetFlags {
        /// Nothing special.
        NONE = 0 "None" ["2.5"],
        /// The block has a broadcast address.
        ENABLE_BROADCAST = 1 "EnableBroadcast" ["2.5"],
        /// The first address of the block is not handed out.
        RESERVE_NETWORK_ADDRESS = 2 "ReserveNetworkAddress" ["2.5"],
    }
}
