//! Networks (hcn.md 2.3 and 2.5).

use alloc::string::String;
use alloc::vec::Vec;

use crate::guid::Guid;
use crate::hcn::{Base, Ipam, NetworkPolicy};

documents! {
    /// A virtual network: address ranges, a type that says how it is realised, and policies.
    pub struct HostComputeNetwork("HostComputeNetwork"): Base {
        /// How the network is realised; NAT when absent.
        kind: Option<NetworkMode> = "Type" ["2.0"],
        /// Rules and parameters of the network.
        policies: Vec<NetworkPolicy> = "Policies" ["2.0"],
        /// The addresses that endpoints without a MAC address of their own are given.
        mac_pool: Option<MacPool> = "MacPool" ["2.0"],
        /// Name resolution for endpoints that give none.
        dns: Option<Dns> = "Dns" ["2.0"],
        /// The address ranges; a NAT network without any is given one.
        ipams: Vec<Ipam> = "Ipams" ["2.0"],
        /// Properties of the network as a sum of bits.
        flags: Option<NetworkFlags> = "Flags" ["2.0"],
    }

    /// The MAC addresses of a network.
    pub struct MacPool("MacPool") {
        /// The ranges to choose from.
        ranges: Vec<MacRange> = "Ranges" ["2.0"],
    }

    /// A range of MAC addresses, both ends included.
    pub struct MacRange("MacRange") {
        /// The first address, with dashes between the bytes.
        start_mac_address: Option<String> = "StartMacAddress" ["2.0"],
        /// The last address.
        end_mac_address: Option<String> = "EndMacAddress" ["2.0"],
    }

    /// How names are resolved.
    pub struct Dns("DNS") {
        /// The domain that the endpoint belongs to.
        domain: Option<String> = "Domain" ["2.0"],
        /// Suffixes that are tried for short names.
        search: Vec<String> = "Search" ["2.0"],
        /// The addresses of the servers, asked in this order at port 53.
        server_list: Vec<String> = "ServerList" ["2.0"],
        /// Options of the resolver.
        options: Vec<String> = "Options" ["2.0"],
    }

    /// What a network may carry in AdditionalParams.
    pub struct NetworkAdditionalParams("NetworkAdditionalParams") {
        /// Flags of connection sharing.
        ics_flags: Option<u16> = "ICSFlags" ["2.0"],
    }

    /// The state of a switch extension.
    pub struct Extension("Extension") {
        /// The id of the extension.
        id: Option<Guid> = "Id" ["2.0"],
        /// Whether it is on.
        is_enabled: Option<bool> = "IsEnabled" ["2.0"],
    }
}

kinds! {
    /// How a network is realised.
    pub enum NetworkMode {
        /// A private range behind the host's address, with port mappings.
        NAT ["2.0"],
        /// Connection sharing: as NAT, with DHCP and DNS on the gateway.
        ICS ["2.0"],
        /// Endpoints appear with their own MAC addresses on a physical network.
        Transparent ["2.0"],
        /// Endpoints appear on a physical network under the host's MAC address.
        L2Bridge ["2.0"],
        /// As L2Bridge, with all traffic sent through the physical host.
        L2Tunnel ["2.0"],
        /// Endpoints of several hosts share a network through VXLAN.
        Overlay ["2.0"],
        /// Endpoints reach each other and nothing else, not even the host.
        Private ["2.0"],
        /// Endpoints reach each other and the host.
        Internal ["2.0"],
        /// A guest shares the host's own addresses and adapters.
        Mirrored ["2.4"],
        /// InfiniBand adapters are passed on.
        Infiniband ["2.4"],
        /// Connection sharing with a restricting firewall.
        ConstrainedICS ["2.10"],
    }
}

flags! {
    /// Properties of a network.
    pub struct NetworkFlags {
        /// Nothing special.
        NONE = 0 "None" ["2.0"],
        /// The gateway answers DNS.
        ENABLE_DNS_PROXY = 1 "EnableDnsProxy" | "EnableDns" ["2.0"],
        /// The gateway answers DHCP.
        ENABLE_DHCP_SERVER = 2 "EnableDhcpServer" | "EnableDhcp" ["2.0"],
        /// Traffic is mirrored.
        ENABLE_MIRRORING = 4 "EnableMirroring" ["2.0"],
        /// The network is gone after a reboot.
        ENABLE_NON_PERSISTENT = 8 "EnableNonPersistent" ["2.0"],
        /// The network survives a reboot although its type would not.
        ENABLE_PERSISTENT = 16 "EnablePersistent" ["2.0"],
        /// The network has a switch of its own.
        ISOLATE_V_SWITCH = 32 "IsolateVSwitch" ["2.0"],
        /// Flows are steered between guest and host: mirrored networking.
        ENABLE_FLOW_STEERING = 64 "EnableFlowSteering" ["2.11"],
        /// The network is not shared with guests.
        DISABLE_SHARING = 128 "DisableSharing" ["2.14"],
        /// A firewall stands between guest and host.
        ENABLE_FIREWALL = 256 "EnableFirewall" ["2.14"],
        /// A lost uplink is not shown to the endpoints.
        SUPPRESS_MEDIA_DISCONNECT = 512 "SuppressMediaDisconnect" [],
        /// The host has no port on the network.
        DISABLE_HOST_PORT = 1024 "DisableHostPort" [],
        /// The adapter receives for addresses of other adapters.
        WEAK_HOST_RECEIVE_ADAPTER = 2048 "WeakHostReceiveAdapter" [],
        /// The adapter sends from addresses of other adapters.
        WEAK_HOST_SEND_ADAPTER = 4096 "WeakHostSendAdapter" [],
        /// The switch hands out virtual functions of its adapter.
        ENABLE_IOV = 8192 "EnableIov" [],
    }
}
