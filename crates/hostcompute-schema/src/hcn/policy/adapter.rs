//! Which adapter or switch a network stands on, and how names on it resolve (hcn.md 2.6).

use alloc::string::String;

use crate::guid::Guid;

/// The two published types of interface constraint have the same members.
macro_rules! interface_constraints {
    ($($(#[doc = $doc:literal])* $type:ident($name:literal);)*) => { documents! {$(
        $(#[doc = $doc])*
        pub struct $type($name) {
            /// The id of the interface.
            interface_guid: Option<Guid> = "InterfaceGuid" ["2.0"],
            /// The locally unique id of the interface.
            interface_luid: Option<u64> = "InterfaceLuid" ["2.0"],
            /// The index of the interface.
            interface_index: Option<u32> = "InterfaceIndex" ["2.0"],
            /// The medium of the interface as its number.
            interface_media_type: Option<u32> = "InterfaceMediaType" ["2.0"],
            /// The name of the interface.
            interface_alias: Option<String> = "InterfaceAlias" ["2.0"],
            /// The description of the interface.
            interface_description: Option<String> = "InterfaceDescription" ["2.0"],
        }
    )*} };
}

interface_constraints! {
    /// The adapter that a network uses, by any identity.
    InterfaceConstraintNetworkPolicySetting("InterfaceConstraintNetworkPolicySetting");
    /// The adapter that an endpoint uses, by any identity.
    InterfaceConstraintEndpointPolicySetting("InterfaceConstraintEndpointPolicySetting");
}

documents! {
    /// The MAC address on the wire in place of the adapter's.
    pub struct SourceMacAddressNetworkPolicySetting("SourceMacAddressNetworkPolicySetting") {
        /// The address.
        source_mac_address: Option<String> = "SourceMacAddress" ["2.0"],
    }

    /// The adapter that a network uses, by name.
    pub struct NetAdapterNameNetworkPolicySetting("NetAdapterNameNetworkPolicySetting") {
        /// The name; several, joined by commas, ask for a team.
        network_adapter_name: Option<String> = "NetworkAdapterName" ["2.0"],
    }

    /// A switch extension, on or off.
    pub struct VSwitchExtensionNetworkPolicySetting("VSwitchExtensionNetworkPolicySetting") {
        /// The id of the extension.
        extension_id: Option<Guid> = "ExtensionID" ["2.0"],
        /// Whether it is on.
        enable: Option<bool> = "Enable" ["2.0"],
    }

    /// Built-in resolution of container names.
    pub struct AutomaticDnsNetworkPolicySetting("AutomaticDNSNetworkPolicySetting") {
        /// Whether it is on.
        enable: Option<bool> = "Enable" ["2.0"],
    }

    /// The switch that a network stands on.
    pub struct LayerConstraintNetworkPolicySetting("LayerConstraintNetworkPolicySetting") {
        /// The id of the switch, as another network's Health tells it.
        layer_id: Option<Guid> = "LayerId" ["2.0"],
    }
}
