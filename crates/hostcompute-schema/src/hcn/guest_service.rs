//! Guest network services: the networking agent inside a utility machine as the host sees it
//! (hcn.md 1.9, 2.21).

use alloc::string::String;
use alloc::vec::Vec;

use crate::guid::Guid;
use crate::hcn::Base;

documents! {
    /// The networking agent inside a utility machine.
    pub struct GuestNetworkService("GuestNetworkService"): Base {
        /// The id of the machine.
        virtual_machine_id: Option<Guid> = "VirtualMachineId" ["2.0"],
        /// The interfaces that are kept alike on host and guest; output only.
        mirrored_interfaces: Vec<GuestNetworkServiceInterface> = "MirroredInterfaces" ["2.2"],
        /// Whether the guest shares the host's addresses and adapters.
        mirror_host_networking: Option<bool> = "MirrorHostNetworking" ["2.5"],
        /// How the agent is reached.
        gns_rpc_server_information: Option<RpcConnectionInformation> =
            "GnsRpcServerInformation" ["2.11"],
        /// Properties of the service as a sum of bits.
        flags: Option<GuestNetworkServiceFlags> = "Flags" ["2.12"],
    }

    /// One interface that host and guest keep alike.
    pub struct GuestNetworkServiceInterface("GuestNetworkServiceInterface") {
        /// The id of the endpoint.
        endpoint_id: Option<Guid> = "EndpointId" ["2.2"],
        /// The id of the interface in the guest.
        interface_guid: Option<Guid> = "InterfaceGuid" ["2.2"],
        /// How far the two are alike.
        state: Option<GuestNetworkServiceInterfaceState> = "State" ["2.2", Given],
        /// What the guest was not told.
        missed_notifications: Option<GuestNetworkServiceNotificationType> =
            "MissedNotifications" ["2.7"],
    }

    /// The state that a guest network service is asked to take.
    pub struct GuestNetworkServiceStateRequest("GuestNetworkServiceStateRequest") {
        /// The state.
        state: Option<GuestNetworkServiceState> = "State" ["2.0", Given],
    }

    /// How a remote procedure server is reached.
    pub struct RpcConnectionInformation("RpcConnectionInformation") {
        /// The address of the server.
        network_address: Option<String> = "NetworkAddress" ["2.11"],
        /// The endpoint on the server.
        endpoint_address: Option<String> = "EndpointAddress" ["2.11"],
        /// The transport.
        endpoint_type: Option<RpcEndpointType> = "EndpointType" ["2.13", Given],
        /// The id of the object that is called.
        object_uuid: Option<Guid> = "ObjectUuid" ["2.13"],
    }
}

kinds! {
    /// The states of a guest network service, numbered in this order.
    pub enum GuestNetworkServiceState {
        /// No state.
        None ["2.0"] = 0,
        /// It exists.
        Created ["2.0"] = 1,
        /// It is being set up.
        Bootstrapping ["2.0"] = 2,
        /// Host and guest are alike.
        Synchronized ["2.0"] = 3,
        /// It is paused.
        Paused ["2.0"] = 4,
        /// Host and guest differ.
        Desynchronized ["2.5"] = 5,
        /// It comes back after a restart of the service.
        Rehydrating ["2.5"] = 6,
        /// It works in part.
        Degraded ["2.0"] = 7,
        /// It is gone.
        Destroyed ["2.0"] = 8,
    }

    /// The states of one interface.
    pub enum GuestNetworkServiceInterfaceState {
        /// It exists.
        Created ["2.2"],
        /// It is being set up.
        Bootstrapping ["2.2"],
        /// Host and guest are alike.
        Synchronized ["2.2"],
        /// Host and guest differ.
        Desynchronized ["2.2"],
        /// It is paused.
        Paused ["2.2"],
    }

    /// What a guest is told about an interface.
    pub enum GuestNetworkServiceNotificationType {
        /// Nothing.
        None ["2.7"],
        /// The cache of resolved names.
        DNSCacheParam ["2.7"],
        /// Parameters of DHCP.
        DHCPParam ["2.7"],
        /// Parameters of the interface.
        InterfaceParam ["2.7"],
        /// Addresses.
        AddressParam ["2.7"],
        /// Routes.
        Route ["2.7"],
        /// Name resolution.
        DNSParam ["2.7"],
        /// Address translation between IPv4 and IPv6.
        XlatParam ["2.7"],
        /// Neighbours.
        Neighbor ["2.7"],
    }

    /// How a remote procedure server is reached.
    pub enum RpcEndpointType {
        /// By a socket of the hypervisor.
        HvSocket ["2.13"],
        /// On the same machine.
        LRpc ["2.13"],
    }
}

flags! {
    /// Properties of a guest network service.
    pub struct GuestNetworkServiceFlags {
        /// Nothing special.
        NONE = 0 "None" ["2.12"],
        /// Flows are steered between guest and host.
        IS_FLOWSTEERED = 1 "IsFlowsteered" ["2.12"],
        /// Flows are steered, and the guest does it by itself.
        IS_FLOWSTEERED_SELF_MANAGED = 2 "IsFlowsteeredSelfManaged" ["2.14"],
    }
}
