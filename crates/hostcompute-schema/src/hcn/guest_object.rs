//! Objects inside a utility machine and the requests that change them (hcn.md 2.21). They travel
//! between the service and the agent in the machine, never through the API.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::guid::Guid;
use crate::hcn::{
    Base, Dns2, IpAddress, ModifyRequestType, NamespaceResource2, NetworkInterface, Route2, Xlat,
};

documents! {
    /// An endpoint inside a utility machine.
    pub struct GuestEndpoint("GuestEndpoint"): Base {
        /// The id of the guest's namespace.
        namespace_id: Option<Guid> = "NamespaceId" ["2.0"],
    }

    /// What an endpoint inside a utility machine looks like now.
    pub struct GuestEndpointState("GuestEndpointState") {
        /// The interfaces, one per address family.
        network_interfaces: Vec<NetworkInterface> = "NetworkInterfaces" ["2.4"],
        /// The routes.
        routes: Vec<Route2> = "Routes" ["2.4"],
        /// The addresses.
        ip_addresses: Vec<IpAddress> = "IPAddresses" ["2.4"],
        /// Name resolution, one per address family.
        dns: Vec<Dns2> = "DNS" ["2.4"],
        /// Address translation between IPv4 and IPv6.
        xlat: Vec<Xlat> = "Xlat" ["2.5"],
    }

    /// A firewall inside a utility machine.
    pub struct GuestFirewall("GuestFirewall"): Base {}

    /// A namespace inside a utility machine.
    pub struct GuestNamespace("GuestNamespace"): Base {
        /// The number of the network stack.
        compartment_id: Option<u32> = "CompartmentId" ["2.0"],
        /// The endpoints and containers inside.
        resources: Vec<NamespaceResource2> = "Resources" ["2.0"],
    }

    /// A service inside a utility machine.
    pub struct GuestService("GuestService"): Base {
        /// The id of the service.
        service_id: Option<Guid> = "ServiceId" ["2.0"],
        /// Data for the service as base64 text.
        base64_encoded_data: Option<String> = "Base64EncodedData" ["2.0"],
    }

    /// Modifies an object inside a utility machine.
    pub struct GuestModifySettingRequest("GuestModifySettingRequest") {
        /// The part of the object as a path.
        resource_uri: Option<String> = "ResourceUri" ["2.0"],
        /// What to do.
        request_type: Option<ModifyRequestType> = "RequestType" ["2.0", Given],
        /// The kind of object.
        resource_type: Option<GuestResourceType> = "ResourceType" ["2.0", Given],
        /// The object.
        settings: Option<Value> = "Settings" ["2.0"],
    }

    /// Modifies an endpoint inside a utility machine.
    pub struct ModifyGuestEndpointSettingRequest("ModifyGuestEndpointSettingRequest") {
        /// The part of the object as a path.
        resource_uri: Option<String> = "ResourceUri" ["2.0"],
        /// What to do.
        request_type: Option<ModifyRequestType> = "RequestType" ["2.0", Given],
        /// The part of the endpoint.
        resource_type: Option<GuestEndpointResourceType> = "ResourceType" ["2.0", Given],
        /// The message that fits the part, such as NetworkInterface or Route_2.
        settings: Option<Value> = "Settings" ["2.0"],
    }

    /// Modifies a namespace inside a utility machine.
    pub struct ModifyGuestNamespaceSettingRequest("ModifyGuestNamespaceSettingRequest") {
        /// The part of the object as a path.
        resource_uri: Option<String> = "ResourceUri" ["2.0"],
        /// What to do.
        request_type: Option<ModifyRequestType> = "RequestType" ["2.0", Given],
        /// What goes in or out.
        resource_type: Option<GuestNamespaceResourceType> = "ResourceType" ["2.0", Given],
        /// Its id.
        settings: Option<Value> = "Settings" ["2.0"],
    }
}

kinds! {
    /// The kinds of object inside a utility machine.
    pub enum GuestResourceType {
        /// An endpoint.
        Endpoint ["2.0"],
        /// A namespace.
        Namespace ["2.0"],
        /// A service.
        Service ["2.0"],
        /// A firewall.
        Firewall ["2.0"],
    }

    /// The parts of an endpoint inside a utility machine, with the numbers of Microsoft's own
    /// client where they are known.
    pub enum GuestEndpointResourceType {
        /// The interface.
        Interface ["2.0"] = 0,
        /// A route.
        Route ["2.0"] = 1,
        /// An address.
        IPAddress ["2.0"] = 2,
        /// Name resolution.
        DNS ["2.0"] = 3,
        /// Keys of the registry.
        RegistryKey ["2.0"],
        /// Encryption.
        Encryption ["2.1"],
        /// The MAC address.
        MacAddress ["2.5"] = 6,
        /// A redirection in the switch.
        L4Proxy ["2.5"],
        /// A redirection in the guest.
        L4WFPPROXY ["2.5"],
        /// Address translation between IPv4 and IPv6.
        Xlat ["2.5"],
        /// A neighbour.
        Neighbor ["2.5"] = 10,
        /// The port; no published schema lists it.
        Port [] = 15,
    }

    /// What can be inside a guest's namespace.
    pub enum GuestNamespaceResourceType {
        /// A container.
        Container ["2.0"],
        /// An endpoint.
        Endpoint ["2.0"],
    }
}
