//! Namespaces (hcn.md 2.15).

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::guid::Guid;
use crate::hcn::Base;

documents! {
    /// A network namespace: the network stack that containers share.
    pub struct HostComputeNamespace("HostComputeNamespace"): Base {
        /// The number of the network stack; zero until it is used.
        namespace_id: Option<u32> = "NamespaceId" ["2.0"],
        /// The GUID of the network stack; output only.
        namespace_guid: Option<Guid> = "NamespaceGuid" ["2.0"],
        /// Where the network stack lives; Host when absent.
        kind: Option<NamespaceType> = "Type" ["2.0"],
        /// The endpoints and containers inside; output only.
        resources: Vec<NamespaceResource> = "Resources" ["2.0"],
    }

    /// Something inside a namespace.
    pub struct NamespaceResource("NamespaceResource") {
        /// What it is.
        kind: Option<NamespaceResourceType> = "Type" ["2.0", Given],
        /// Its id: NamespaceResourceEndpoint or NamespaceResourceContainer.
        data: Option<Value> = "Data" ["2.0"],
    }

    /// An endpoint inside a namespace.
    pub struct NamespaceResourceEndpoint("NamespaceResourceEndpoint") {
        /// The endpoint's id, upper-case.
        id: Option<String> = "Id" ["2.0"],
    }

    /// A container inside a namespace.
    pub struct NamespaceResourceContainer("NamespaceResourceContainer") {
        /// The container's id.
        id: Option<String> = "Id" ["2.0"],
    }

    /// Something inside a guest's namespace.
    pub struct NamespaceResource2("NamespaceResource_2") {
        /// The endpoint's id.
        endpoint_id: Option<Guid> = "EndpointId" ["2.0"],
        /// The container's id.
        container_id: Option<Guid> = "ContainerId" ["2.0"],
    }
}

kinds! {
    /// Where a namespace's network stack lives.
    pub enum NamespaceType {
        /// A stack of its own on the host.
        Host ["2.0"],
        /// The host's own stack; there is exactly one.
        HostDefault ["2.0"],
        /// A stack of its own inside a utility machine.
        Guest ["2.0"],
        /// The utility machine's own stack.
        GuestDefault ["2.0"],
    }

    /// What can be inside a namespace.
    pub enum NamespaceResourceType {
        /// A container, which keeps the namespace from being deleted.
        Container ["2.0"],
        /// An endpoint.
        Endpoint ["2.0"],
    }
}
