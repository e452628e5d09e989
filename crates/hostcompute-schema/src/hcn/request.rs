//! Requests to modify an object (hcn.md 2.7, 2.11, 2.16) and the answers the schema has for them.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::guid::Guid;
use crate::hcn::{EndpointPolicy, IpSubnet, NamespaceResourceType, NetworkPolicy, Subnet};

documents! {
    /// What every request to modify has.
    pub struct ModifySettingRequest("ModifySettingRequest") {
        /// The part of the object as a path; not used.
        resource_uri: Option<String> = "ResourceUri" ["2.0"],
        /// What to do.
        request_type: Option<ModifyRequestType> = "RequestType" ["2.0", Given],
    }

    /// Modifies a network.
    pub struct ModifyNetworkSettingRequest("ModifyNetworkSettingRequest") {
        /// The part of the object as a path; not used.
        resource_uri: Option<String> = "ResourceUri" ["2.0"],
        /// What to do.
        request_type: Option<ModifyRequestType> = "RequestType" ["2.0", Given],
        /// What part of the network it is about.
        resource_type: Option<NetworkResourceType> = "ResourceType" ["2.0", Given],
        /// The parts: PolicyNetworkRequest, SubnetNetworkRequest, IPSubnetNetworkRequest, DNS or
        /// Extension.
        settings: Option<Value> = "Settings" ["2.0"],
    }

    /// Modifies an endpoint.
    pub struct ModifyEndpointSettingRequest("ModifyEndpointSettingRequest") {
        /// The part of the object as a path; not used.
        resource_uri: Option<String> = "ResourceUri" ["2.0"],
        /// What to do.
        request_type: Option<ModifyRequestType> = "RequestType" ["2.0", Given],
        /// What part of the endpoint it is about.
        resource_type: Option<EndpointResourceType> = "ResourceType" ["2.0", Given],
        /// The parts: PolicyEndpointRequest or VmEndpointRequest.
        settings: Option<Value> = "Settings" ["2.0"],
    }

    /// Modifies a namespace.
    pub struct ModifyNamespaceSettingRequest("ModifyNamespaceSettingRequest") {
        /// The part of the object as a path; not used.
        resource_uri: Option<String> = "ResourceUri" ["2.0"],
        /// What to do.
        request_type: Option<ModifyRequestType> = "RequestType" ["2.0", Given],
        /// What goes in or out.
        resource_type: Option<NamespaceResourceType> = "ResourceType" ["2.0", Given],
        /// Its id: NamespaceEndpointRequest or NamespaceContainerRequest.
        settings: Option<Value> = "Settings" ["2.0"],
    }

    /// Modifies a guest network service.
    pub struct ModifyGuestNetworkServiceSettingRequest("ModifyGuestNetworkServiceSettingRequest") {
        /// The part of the object as a path; not used.
        resource_uri: Option<String> = "ResourceUri" ["2.0"],
        /// What to do.
        request_type: Option<ModifyRequestType> = "RequestType" ["2.0", Given],
        /// What part of the service it is about.
        resource_type: Option<GuestNetworkServiceResourceType> = "ResourceType" ["2.0", Given],
        /// The part: GuestNetworkServiceStateRequest.
        settings: Option<Value> = "Settings" ["2.0"],
    }

    /// The policies of a network to add, remove or replace.
    pub struct PolicyNetworkRequest("PolicyNetworkRequest") {
        /// The policies.
        policies: Vec<NetworkPolicy> = "Policies" ["2.0"],
    }

    /// The policies of an endpoint to add, remove or replace.
    pub struct PolicyEndpointRequest("PolicyEndpointRequest") {
        /// The policies.
        policies: Vec<EndpointPolicy> = "Policies" ["2.0"],
    }

    /// The address ranges to add or remove.
    pub struct SubnetNetworkRequest("SubnetNetworkRequest") {
        /// The ranges; an id suffices to remove one.
        subnets: Vec<Subnet> = "Subnets" ["2.6"],
    }

    /// The blocks to add to or remove from an address range.
    pub struct IpSubnetNetworkRequest("IPSubnetNetworkRequest") {
        /// The id of the address range.
        subnet_id: Option<Guid> = "SubnetId" ["2.6"],
        /// The blocks; an id suffices to remove one.
        ip_subnets: Vec<IpSubnet> = "IpSubnets" ["2.6"],
    }

    /// The endpoint to put into or take out of a namespace.
    pub struct NamespaceEndpointRequest("NamespaceEndpointRequest") {
        /// The id of the endpoint.
        endpoint_id: Option<Guid> = "EndpointId" ["2.0"],
    }

    /// The container that uses or no longer uses a namespace.
    pub struct NamespaceContainerRequest("NamespaceContainerRequest") {
        /// The id of the container.
        container_id: Option<String> = "ContainerId" ["2.0"],
    }

    /// The port of a virtual machine that an endpoint is joined to.
    pub struct VmEndpointRequest("VmEndpointRequest") {
        /// The id of the port.
        port_id: Option<Guid> = "PortId" ["2.0"],
        /// The name of the machine's adapter.
        virtual_nic_name: Option<String> = "VirtualNicName" ["2.0"],
        /// The id of the machine.
        virtual_machine_id: Option<Guid> = "VirtualMachineId" ["2.0"],
    }

    /// The answer to a request, which is also the error record.
    pub struct Response("Response") {
        /// Whether it succeeded; always false in an error record.
        success: Option<bool> = "Success" ["2.0", Given],
        /// What went wrong.
        error: Option<String> = "Error" ["2.0", Given],
        /// The HRESULT as an unsigned number.
        error_code: Option<u32> = "ErrorCode" ["2.0", Given],
    }

    /// The answer to a request to modify.
    pub struct ModifySettingResponse("ModifySettingResponse") {
        /// Whether it succeeded.
        success: Option<bool> = "Success" ["2.0", Given],
        /// What went wrong.
        error: Option<String> = "Error" ["2.0", Given],
        /// The HRESULT as an unsigned number.
        error_code: Option<u32> = "ErrorCode" ["2.0", Given],
        /// What the request brought.
        data: Option<Value> = "Data" ["2.0"],
    }

    /// The answer to a request to modify a namespace.
    pub struct ModifyNamespaceSettingResponse("ModifyNamespaceSettingResponse") {
        /// Whether it succeeded.
        success: Option<bool> = "Success" ["2.0", Given],
        /// What went wrong.
        error: Option<String> = "Error" ["2.0", Given],
        /// The HRESULT as an unsigned number.
        error_code: Option<u32> = "ErrorCode" ["2.0", Given],
        /// The number of the namespace's network stack.
        compartment_id: Option<u32> = "CompartmentId" ["2.0"],
    }
}

kinds! {
    /// What a request to modify asks for. The numbers are those of Microsoft's own client.
    pub enum ModifyRequestType {
        /// Add to what is there.
        Add ["2.0"] = 0,
        /// Take away what matches.
        Remove ["2.0"] = 1,
        /// Put in the place of what is there.
        Update ["2.0"] = 2,
        /// Apply once more what is there.
        Refresh ["2.0"] = 3,
        /// Go back to the beginning.
        Reset ["2.0"] = 4,
    }

    /// The parts of a network that can be modified.
    pub enum NetworkResourceType {
        /// Name resolution.
        DNS ["2.0"],
        /// A switch extension.
        Extension ["2.0"],
        /// Policies.
        Policy ["2.0"],
        /// Address ranges.
        Subnet ["2.6"],
        /// Blocks inside an address range.
        IPSubnet ["2.6"],
    }

    /// The parts of an endpoint that can be modified.
    pub enum EndpointResourceType {
        /// The port that joins the endpoint to a machine.
        Port ["2.0"],
        /// Policies.
        Policy ["2.0"],
    }

    /// The parts of a guest network service that can be modified.
    pub enum GuestNetworkServiceResourceType {
        /// Its state.
        State ["2.0"],
    }
}
