//! Messages from the service to the agent inside a utility machine about one interface
//! (hcn.md 2.21). Each starts with its number and the address family it is about.

use alloc::string::String;
use alloc::vec::Vec;

use crate::element::Base64;

documents! {
    /// What every message about an interface has.
    pub struct InterfaceNotificationMessage("InterfaceNotificationMessage") {
        /// The number of the message, rising.
        message_number: Option<u64> = "MessageNumber" ["2.0"],
        /// The address family as its number.
        family: Option<u16> = "Family" ["2.0"],
    }

    /// Parameters of an interface.
    pub struct NetworkInterface("NetworkInterface") {
        /// The number of the message, rising.
        message_number: Option<u64> = "MessageNumber" ["2.0"],
        /// The address family as its number.
        family: Option<u16> = "Family" ["2.0"],
        /// Whether the interface announces itself as a router.
        advertising_enabled: Option<bool> = "AdvertisingEnabled" ["2.0"],
        /// Whether it forwards.
        forwarding_enabled: Option<bool> = "ForwardingEnabled" ["2.0"],
        /// Whether it sends from addresses of other interfaces.
        weak_host_send: Option<bool> = "WeakHostSend" ["2.0"],
        /// Whether it receives for addresses of other interfaces.
        weak_host_receive: Option<bool> = "WeakHostReceive" ["2.0"],
        /// Whether its metric follows its speed.
        use_automatic_metric: Option<bool> = "UseAutomaticMetric" ["2.0"],
        /// Whether it notices lost neighbours.
        use_neighbor_unreachability_detection: Option<bool> =
            "UseNeighborUnreachabilityDetection" ["2.0"],
        /// Whether addresses can come by DHCP.
        managed_address_configuration_supported: Option<bool> =
            "ManagedAddressConfigurationSupported" ["2.0"],
        /// Whether other parameters can come by DHCP.
        other_stateful_configuration_supported: Option<bool> =
            "OtherStatefulConfigurationSupported" ["2.0"],
        /// Whether it announces a default route.
        advertise_default_route: Option<bool> = "AdvertiseDefaultRoute" ["2.0"],
        /// How routers are discovered, as a number.
        router_discovery_behavior: Option<u8> = "RouterDiscoveryBehavior" ["2.0"],
        /// How many probes an address is checked for duplicates with.
        dad_transmits: Option<u32> = "DadTransmits" ["2.0"],
        /// The base of the time a neighbour counts as reachable, in milliseconds.
        base_reachable_time: Option<u32> = "BaseReachableTime" ["2.0"],
        /// The time between probes, in milliseconds.
        retransmit_time: Option<u32> = "RetransmitTime" ["2.0"],
        /// How long a discovered path MTU is kept, in milliseconds.
        path_mtu_discovery_timeout: Option<u32> = "PathMtuDiscoveryTimeout" ["2.0"],
        /// Whether link-local addresses are made, as a number.
        link_local_address_behavior: Option<u8> = "LinkLocalAddressBehavior" ["2.0"],
        /// After which time a link-local address is made, in milliseconds.
        link_local_address_timeout: Option<u32> = "LinkLocalAddressTimeout" ["2.0"],
        /// The zone of each scope.
        zone_indices: Vec<u32> = "ZoneIndices" ["2.0"],
        /// The prefix length of the site.
        site_prefix_length: Option<u32> = "SitePrefixLength" ["2.0"],
        /// The metric.
        metric: Option<u32> = "Metric" ["2.0"],
        /// The largest packet, in bytes.
        nl_mtu: Option<u32> = "NlMtu" ["2.0"],
        /// Whether it is connected.
        connected: Option<bool> = "Connected" ["2.0"],
        /// Whether patterns can wake the machine.
        supports_wake_up_patterns: Option<bool> = "SupportsWakeUpPatterns" ["2.0"],
        /// Whether neighbours can be discovered.
        supports_neighbor_discovery: Option<bool> = "SupportsNeighborDiscovery" ["2.0"],
        /// Whether routers can be discovered.
        supports_router_discovery: Option<bool> = "SupportsRouterDiscovery" ["2.0"],
        /// The time a neighbour counts as reachable, in milliseconds.
        reachable_time: Option<u32> = "ReachableTime" ["2.0"],
        /// What the adapter does by itself when sending, as bits.
        transmit_offload: Option<u8> = "TransmitOffload" ["2.0"],
        /// What the adapter does by itself when receiving, as bits.
        receive_offload: Option<u8> = "ReceiveOffload" ["2.0"],
        /// Whether default routes are ignored on it.
        disable_default_routes: Option<bool> = "DisableDefaultRoutes" ["2.0"],
    }

    /// A route inside a utility machine.
    pub struct Route2("Route_2") {
        /// The number of the message, rising.
        message_number: Option<u64> = "MessageNumber" ["2.0"],
        /// The address family as its number.
        family: Option<u16> = "Family" ["2.0"],
        /// The address of the next hop.
        next_hop: Option<String> = "NextHop" ["2.0"],
        /// The destination as address and prefix length.
        destination_prefix: Option<String> = "DestinationPrefix" ["2.0"],
        /// The prefix length of the site.
        site_prefix_length: Option<u8> = "SitePrefixLength" ["2.0"],
        /// How long the route is valid, in seconds.
        valid_lifetime: Option<u32> = "ValidLifetime" ["2.0"],
        /// How long the route is preferred, in seconds.
        preferred_lifetime: Option<u32> = "PreferredLifetime" ["2.0"],
        /// The metric.
        metric: Option<u32> = "Metric" ["2.0"],
        /// Where the route comes from, as a number.
        protocol: Option<u8> = "Protocol" ["2.0"],
        /// Whether it leads back to the machine.
        loopback: Option<bool> = "Loopback" ["2.0"],
        /// Whether addresses may be made from it.
        autoconfigure_address: Option<bool> = "AutoconfigureAddress" ["2.0"],
        /// Whether it is announced.
        publish: Option<bool> = "Publish" ["2.0"],
        /// Whether it never expires.
        immortal: Option<bool> = "Immortal" ["2.0"],
    }

    /// An address inside a utility machine.
    pub struct IpAddress("IPAddress") {
        /// The number of the message, rising.
        message_number: Option<u64> = "MessageNumber" ["2.0"],
        /// The address family as its number.
        family: Option<u16> = "Family" ["2.0"],
        /// The address.
        address: Option<String> = "Address" ["2.0"],
        /// Where its prefix comes from, as a number.
        prefix_origin: Option<u8> = "PrefixOrigin" ["2.0"],
        /// Where its suffix comes from, as a number.
        suffix_origin: Option<u8> = "SuffixOrigin" ["2.0"],
        /// How long the address is valid, in seconds.
        valid_lifetime: Option<u32> = "ValidLifetime" ["2.0"],
        /// How long the address is preferred, in seconds.
        preferred_lifetime: Option<u32> = "PreferredLifetime" ["2.0"],
        /// The prefix length on the link.
        on_link_prefix_length: Option<u8> = "OnLinkPrefixLength" ["2.0"],
        /// Whether it is no source of outgoing packets unless asked for.
        skip_as_source: Option<bool> = "SkipAsSource" ["2.0"],
    }

    /// Name resolution inside a utility machine.
    pub struct Dns2("DNS_2") {
        /// The number of the message, rising.
        message_number: Option<u64> = "MessageNumber" ["2.0"],
        /// The address family as its number.
        family: Option<u16> = "Family" ["2.0"],
        /// The domain that the machine belongs to.
        domain: Option<String> = "Domain" ["2.0"],
        /// Suffixes that are tried for short names, joined by commas.
        search: Option<String> = "Search" ["2.0"],
        /// The addresses of the servers, joined by commas.
        server_list: Option<String> = "ServerList" ["2.0"],
        /// Options of the resolver, joined by commas.
        options: Option<String> = "Options" ["2.0"],
    }

    /// Address translation between IPv4 and IPv6 inside a utility machine.
    pub struct Xlat("Xlat", "2.5") {
        /// The number of the message, rising.
        message_number: Option<u64> = "MessageNumber" ["2.0"],
        /// The address family as its number.
        family: Option<u16> = "Family" ["2.0"],
        /// The IPv4 address that stands for the machine.
        synthetic_ipv4_address: Option<String> = "SyntheticIPv4Address" ["2.5"],
        /// The IPv4 address in case the first is taken.
        fallback_ipv4_address: Option<String> = "FallbackIPv4Address" ["2.5"],
        /// The IPv6 prefix of the machine.
        local_prefix: Option<String> = "LocalPrefix" ["2.5"],
        /// The length of that prefix.
        local_prefix_length: Option<u8> = "LocalPrefixLength" ["2.5"],
        /// The IPv6 prefix that stands for the IPv4 world.
        remote_prefix: Option<String> = "RemotePrefix" ["2.5"],
        /// The length of that prefix.
        remote_prefix_length: Option<u8> = "RemotePrefixLength" ["2.5"],
    }

    /// A neighbour inside a utility machine.
    pub struct Neighbor("Neighbor", "2.5") {
        /// The number of the message, rising.
        message_number: Option<u64> = "MessageNumber" ["2.0"],
        /// The address family as its number.
        family: Option<u16> = "Family" ["2.0"],
        /// The neighbour's address.
        address: Option<String> = "Address" ["2.5"],
        /// The interface by its locally unique id.
        interface_luid: Option<u64> = "InterfaceLuid" ["2.5"],
        /// The interface by its index.
        interface_index: Option<u32> = "InterfaceIndex" ["2.5"],
        /// The neighbour's MAC address.
        physical_address: Option<String> = "PhysicalAddress" ["2.5"],
        /// The length of that address, in bytes.
        physical_address_length: Option<u64> = "PhysicalAddressLength" ["2.5"],
        /// Whether the neighbour is known to be there, as a number.
        state: Option<u8> = "State" ["2.5"],
        /// Whether it is a router.
        is_router: Option<bool> = "IsRouter" ["2.5"],
        /// Whether it is known not to be there.
        is_unreachable: Option<bool> = "IsUnreachable" ["2.5"],
        /// Properties as bits.
        flags: Option<u8> = "Flags" ["2.5"],
        /// How long ago it was last there, in milliseconds.
        last_reachable: Option<u64> = "LastReachable" ["2.5"],
        /// How long ago it was last missed, in milliseconds.
        last_unreachable: Option<u64> = "LastUnreachable" ["2.5"],
    }

    /// The MAC address inside a utility machine.
    pub struct MacAddress("MacAddress", "2.5") {
        /// The number of the message, rising.
        message_number: Option<u64> = "MessageNumber" ["2.0"],
        /// The address family as its number.
        family: Option<u16> = "Family" ["2.0"],
        /// The address.
        physical_address: Option<String> = "PhysicalAddress" ["2.5"],
    }

    /// Keys of a Windows guest's registry.
    pub struct RegistryKey("RegistryKey", "2.1") {
        /// The number of the message, rising.
        message_number: Option<u64> = "MessageNumber" ["2.0"],
        /// The address family as its number.
        family: Option<u16> = "Family" ["2.0"],
        /// The keys.
        reg_keys: Vec<RegKey> = "RegKeys" ["2.1"],
        /// What they are for.
        keyword: Option<String> = "Keyword" ["2.5"],
        /// The class of the adapter they belong to.
        adapter_clsid: Option<String> = "AdapterCLSID" ["2.5"],
    }

    /// One key of a Windows guest's registry.
    pub struct RegKey("RegKey") {
        /// Where the key stands.
        path: Option<String> = "Path" ["2.1"],
        /// The name of the value.
        key: Option<String> = "Key" ["2.1"],
        /// The type of the value as its number.
        kind: Option<u16> = "Type" ["2.1"],
        /// The value's bytes.
        value: Option<Base64> = "Value" ["2.1"],
    }
}

kinds! {
    /// Where a redirection takes place.
    pub enum ProxyType {
        /// In the switch.
        VFP ["2.5"],
        /// In the network stack.
        WFP ["2.5"],
    }
}
