//! Policies of networks and endpoints: the envelopes, and one file per family of settings
//! (hcn.md 2.6, 2.10).

mod acl;
mod adapter;
mod encryption;
mod nat;
mod overlay;
mod port;
mod proxy;

pub use acl::*;
pub use adapter::*;
pub use encryption::*;
pub use nat::*;
pub use overlay::*;
pub use port::*;
pub use proxy::*;

use serde_json::Value;

use crate::document::Document;
use crate::schema::StructSchema;

documents! {
    /// A policy of a network.
    pub struct NetworkPolicy("NetworkPolicy") {
        /// What the settings describe.
        kind: Option<NetworkPolicyType> = "Type" ["2.0", Given],
        /// The body of the policy, of the type that belongs to the kind.
        settings: Option<Value> = "Settings" | "Data" ["2.0"],
    }

    /// A policy of an endpoint.
    pub struct EndpointPolicy("EndpointPolicy") {
        /// What the settings describe.
        kind: Option<EndpointPolicyType> = "Type" ["2.0", Given],
        /// The body of the policy, of the type that belongs to the kind.
        settings: Option<Value> = "Settings" | "Data" ["2.0"],
    }
}

kinds! {
    /// The kinds of policy that a network can have.
    pub enum NetworkPolicyType {
        /// The MAC address on the wire in place of the adapter's.
        SourceMacAddress ["2.0"],
        /// The adapter that the network uses, by name.
        NetAdapterName ["2.0"],
        /// The adapter that the network uses, by any identity.
        InterfaceConstraint ["2.0"],
        /// A switch extension, on or off.
        VSwitchExtension ["2.0"],
        /// The host's address on the network below an overlay.
        ProviderAddress ["2.0"],
        /// The MAC address of the host's distributed router.
        DrMacAddress ["2.0"],
        /// Built-in resolution of container names.
        AutomaticDNS ["2.0"],
        /// An address range that lives behind another host.
        RemoteSubnetRoute ["2.0"],
        /// The UDP port of VXLAN.
        VxlanPort ["2.0"],
        /// Routes between the host and its endpoints.
        HostRoute ["2.0"],
        /// A named set of addresses.
        SetPolicy ["2.0"],
        /// A redirection for all endpoints.
        L4Proxy ["2.0"],
        /// The switch that the network stands on.
        LayerConstraint ["2.0"],
        /// An access rule for all endpoints.
        NetworkACL ["2.0"],
    }

    /// The kinds of policy that an endpoint can have.
    pub enum EndpointPolicyType {
        /// A port of the host that leads to the endpoint.
        PortMapping ["2.0"],
        /// An access rule.
        ACL ["2.0"],
        /// A limit of bandwidth.
        QOS ["2.0"],
        /// Rewriting of link-layer addresses.
        L2Driver ["2.0"],
        /// Translation of the source address of outgoing traffic.
        OutBoundNAT ["2.0"],
        /// How traffic to a destination leaves.
        SDNRoute ["2.0"],
        /// A redirection in the switch.
        L4Proxy ["2.0"],
        /// A redirection in the namespace.
        L4WFPPROXY ["2.5"],
        /// The endpoint's address on the network below an overlay.
        ProviderAddress ["2.0"],
        /// The name of the port.
        PortName ["2.0"],
        /// Room that encapsulation needs in each packet.
        EncapOverhead ["2.0"],
        /// The adapter that the endpoint uses.
        InterfaceConstraint ["2.0"],
        /// IPsec.
        Encryption ["2.1"],
        /// The VLAN of the port.
        VLAN ["2.4"],
        /// Parameters of the interface, such as the MTU.
        InterfaceParameters ["2.4"],
        /// Virtual functions of the adapter.
        Iov ["2.9"],
        /// Access rules in tiers.
        TierAcl ["2.10"],
        /// Who owns the firewall of the port; no published schema lists it.
        Firewall [],
    }
}

impl NetworkPolicyType {
    /// The type of the settings of this kind of policy.
    pub fn settings(&self) -> Option<&'static StructSchema> {
        Some(match self {
            NetworkPolicyType::SourceMacAddress => SourceMacAddressNetworkPolicySetting::SCHEMA,
            NetworkPolicyType::NetAdapterName => NetAdapterNameNetworkPolicySetting::SCHEMA,
            NetworkPolicyType::InterfaceConstraint => {
                InterfaceConstraintNetworkPolicySetting::SCHEMA
            }
            NetworkPolicyType::VSwitchExtension => VSwitchExtensionNetworkPolicySetting::SCHEMA,
            NetworkPolicyType::ProviderAddress => ProviderAddressNetworkPolicySetting::SCHEMA,
            NetworkPolicyType::DrMacAddress => DrMacAddressNetworkPolicySetting::SCHEMA,
            NetworkPolicyType::AutomaticDNS => AutomaticDnsNetworkPolicySetting::SCHEMA,
            NetworkPolicyType::RemoteSubnetRoute => RemoteSubnetRoutePolicySetting::SCHEMA,
            NetworkPolicyType::VxlanPort => VxlanPortPolicySetting::SCHEMA,
            NetworkPolicyType::HostRoute => HostRoutePolicySetting::SCHEMA,
            NetworkPolicyType::SetPolicy => SetPolicySetting::SCHEMA,
            NetworkPolicyType::L4Proxy => L4ProxyPolicySetting::SCHEMA,
            NetworkPolicyType::LayerConstraint => LayerConstraintNetworkPolicySetting::SCHEMA,
            NetworkPolicyType::NetworkACL => NetworkAclPolicySetting::SCHEMA,
            NetworkPolicyType::Unknown(_) => return None,
        })
    }
}

impl EndpointPolicyType {
    /// The type of the settings of this kind of policy; `None` also for a kind without settings.
    pub fn settings(&self) -> Option<&'static StructSchema> {
        Some(match self {
            EndpointPolicyType::PortMapping => PortMappingPolicySetting::SCHEMA,
            EndpointPolicyType::ACL => AclPolicySetting::SCHEMA,
            EndpointPolicyType::QOS => QosPolicySetting::SCHEMA,
            EndpointPolicyType::OutBoundNAT => OutboundNatPolicySetting::SCHEMA,
            EndpointPolicyType::SDNRoute => SdnRoutePolicySetting::SCHEMA,
            EndpointPolicyType::L4Proxy => L4ProxyPolicySetting::SCHEMA,
            EndpointPolicyType::L4WFPPROXY => L4WfpProxyPolicySetting::SCHEMA,
            EndpointPolicyType::ProviderAddress => ProviderAddressEndpointPolicySetting::SCHEMA,
            EndpointPolicyType::PortName => PortnameEndpointPolicySetting::SCHEMA,
            EndpointPolicyType::EncapOverhead => EncapOverheadEndpointPolicySetting::SCHEMA,
            EndpointPolicyType::InterfaceConstraint => {
                InterfaceConstraintEndpointPolicySetting::SCHEMA
            }
            EndpointPolicyType::Encryption => EncryptionPolicySetting::SCHEMA,
            EndpointPolicyType::VLAN => crate::hcn::VlanPolicySetting::SCHEMA,
            EndpointPolicyType::InterfaceParameters => InterfaceParametersPolicySetting::SCHEMA,
            EndpointPolicyType::Iov => IovPolicySetting::SCHEMA,
            EndpointPolicyType::TierAcl => TierAclPolicySetting::SCHEMA,
            EndpointPolicyType::Firewall => FirewallPolicySetting::SCHEMA,
            EndpointPolicyType::L2Driver | EndpointPolicyType::Unknown(_) => return None,
        })
    }
}

impl NetworkPolicy {
    /// A policy with these settings.
    pub fn new(kind: NetworkPolicyType, settings: &impl Document) -> NetworkPolicy {
        let settings = Some(settings.to_value());
        NetworkPolicy { kind: Some(kind), settings, ..NetworkPolicy::default() }
    }
}

impl EndpointPolicy {
    /// A policy with these settings.
    pub fn new(kind: EndpointPolicyType, settings: &impl Document) -> EndpointPolicy {
        let settings = Some(settings.to_value());
        EndpointPolicy { kind: Some(kind), settings, ..EndpointPolicy::default() }
    }
}
