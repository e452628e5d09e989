//! Endpoint policies: which exist, which are carried out here, and their common reading (hcn.md 2.10, 3.8).
//!
//! Nothing is accepted that is not carried out: a policy of a known type that this network cannot enforce is refused with
//! the documented code. Accepted settings are kept in their normal form (schema order, defaults omitted).

pub mod acl;
pub mod change;
pub mod interface;
pub mod of_network;
pub mod outbound_nat;
pub mod port_mapping;
pub mod proxy;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{
    AclPolicySetting, Document, EncapOverheadEndpointPolicySetting, EndpointPolicy,
    EndpointPolicyType, Failure, HResult, InterfaceConstraintEndpointPolicySetting,
    InterfaceParametersPolicySetting, IovPolicySetting, L4ProxyPolicySetting,
    L4WfpProxyPolicySetting, OutboundNatPolicySetting, PortMappingPolicySetting,
    PortnameEndpointPolicySetting, ProviderAddressEndpointPolicySetting, QosPolicySetting,
    SdnRoutePolicySetting, TierAclPolicySetting, VlanPolicySetting,
};
use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::decide::Draft;
use crate::network::detour;
use crate::network::network::{Mode, Network};
use crate::network::remote;
use crate::network::vlan;
use port_mapping::PortMapping;

/// The smallest packet that IPv4 and IPv6 links must carry.
const SMALLEST_MTU: u32 = 1280;
const ETHERNET_MTU: u32 = 1500;

/// What an endpoint's policies mean together.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    pub port_mappings: Vec<PortMapping>,
    pub outbound_nat: outbound_nat::OutboundNat,
    pub access: acl::Access,
    pub proxies: Vec<proxy::Proxy>,
    pub sidecars: Vec<proxy::Sidecar>,
    pub bytes_per_second: Option<u64>,
    /// Largest packet by InterfaceParameters, before `overhead`.
    pub mtu: Option<u32>,
    /// What an encapsulation further on takes from each packet.
    pub overhead: u32,
    pub port_name: Option<String>,
    /// The host that the endpoint is on, of those that share an Overlay network.
    pub provider: Option<IpAddr>,
    /// Its own VLAN; `Some(None)` is untagged.
    pub vlan: Option<Option<u16>>,
    /// Its own routes (SDNRoute).
    pub detours: Vec<detour::Entry>,
}

impl Policies {
    /// Whether the host must see the endpoint's packets to carry them out. Sidecars are a matter of the namespace.
    pub(crate) fn need_host(&self) -> bool {
        self.outbound_nat.stated
            || !self.access.is_empty()
            || !self.proxies.is_empty()
            || self.bytes_per_second.is_some()
            || !self.detours.is_empty()
    }

    /// The sets of the network that rules name.
    pub(crate) fn set_names(&self) -> impl Iterator<Item = &str> {
        self.access.set_names()
    }

    /// The MTU of the port; `None` leaves Ethernet's.
    pub fn mtu(&self, network: Option<u32>) -> Option<u32> {
        let base = self.mtu.or(network);
        match self.overhead {
            0 => base,
            overhead => Some(base.unwrap_or(ETHERNET_MTU) - overhead),
        }
    }
}

/// Reads a request's policies and brings their settings into normal form; ports left to the service are chosen.
///
/// # Errors
/// The code of the first policy that cannot be carried out, at its path below `path`.
pub(crate) fn prepare(
    draft: &mut Draft<'_, '_>,
    documents: &mut [EndpointPolicy],
    path: &str,
    network: &Network,
    addresses: &[IpNet],
) -> Result<Policies, Failure> {
    for (i, document) in documents.iter_mut().enumerate() {
        normalise(draft, document, &alloc::format!("{path}[{i}].Settings"), addresses)?;
    }
    let relocate = |failure: Failure| match &failure.path {
        Some(inner) if inner.starts_with("Policies") => {
            let moved = [path, &inner["Policies".len()..]].concat();
            failure.at(moved)
        }
        _ => failure,
    };
    let policies = read(documents, network, addresses).map_err(relocate)?;
    for (i, document) in documents.iter().enumerate() {
        if document.kind == Some(EndpointPolicyType::InterfaceConstraint) {
            let uplinks = &draft.context.surroundings.uplinks;
            let setting = parse(document.settings.as_ref())?;
            interface::constraint(setting, network, uplinks)
                .map_err(|failure| failure.at(alloc::format!("{path}[{i}].Settings")))?;
        }
    }
    let state = &*draft.state;
    policies.access.check_sets(path, |name| state.set(network.id, name).is_some())?;
    Ok(policies)
}

/// What policies in normal form mean on a network.
///
/// # Errors
/// As [`prepare`], with paths below `Policies`.
pub fn read(
    documents: &[EndpointPolicy],
    network: &Network,
    addresses: &[IpNet],
) -> Result<Policies, Failure> {
    let mut policies = Policies::default();
    for (i, document) in documents.iter().enumerate() {
        let path = alloc::format!("Policies[{i}]");
        let at = |failure: Failure| match failure.path.clone() {
            Some(member) => failure.at(alloc::format!("{path}.Settings.{member}")),
            None => failure.at(alloc::format!("{path}.Type")),
        };
        read_one(&mut policies, i, document, network, addresses).map_err(at)?;
    }
    policies.access.finish();
    interface::check(&policies, network, addresses)?;
    Ok(policies)
}

/// One policy; paths of failures are relative to its settings, absent when the type itself is at fault.
fn read_one(
    policies: &mut Policies,
    place: usize,
    document: &EndpointPolicy,
    network: &Network,
    addresses: &[IpNet],
) -> Result<(), Failure> {
    use EndpointPolicyType as Type;
    let settings = document.settings.as_ref();
    match document.kind.as_ref() {
        Some(Type::PortMapping) => {
            let setting: PortMappingPolicySetting = parse(settings)?;
            port_mapping::read(&mut policies.port_mappings, place, &setting, network, addresses)
        }
        Some(Type::OutBoundNAT) => {
            let setting: OutboundNatPolicySetting = parse(settings)?;
            outbound_nat::read(&mut policies.outbound_nat, &setting, network)
        }
        Some(Type::ACL) => {
            let setting: AclPolicySetting = parse(settings)?;
            policies.access.add(place, &setting)
        }
        Some(Type::TierAcl) => {
            let setting: TierAclPolicySetting = parse(settings)?;
            policies.access.add_tier(place, &setting)
        }
        Some(Type::L4Proxy) => {
            let proxy = proxy::read(&parse(settings)?)?;
            proxy.check_own(addresses)?;
            policies.proxies.push(proxy);
            Ok(())
        }
        Some(Type::L4WFPPROXY) => {
            policies.sidecars.push(proxy::read_sidecar(&parse(settings)?)?);
            Ok(())
        }
        Some(Type::QOS) => {
            let setting: QosPolicySetting = parse(settings)?;
            interface::qos(policies, &setting)
        }
        Some(Type::InterfaceParameters) => {
            let setting: InterfaceParametersPolicySetting = parse(settings)?;
            interface::parameters(policies, &setting)
        }
        Some(Type::EncapOverhead) => {
            let setting: EncapOverheadEndpointPolicySetting = parse(settings)?;
            interface::encap_overhead(policies, &setting)
        }
        Some(Type::PortName) => {
            let setting: PortnameEndpointPolicySetting = parse(settings)?;
            interface::port_name(policies, &setting)
        }
        Some(Type::ProviderAddress) => {
            let setting: ProviderAddressEndpointPolicySetting = parse(settings)?;
            remote::provider(policies, &setting, network)
        }
        Some(Type::SDNRoute) => {
            let setting: SdnRoutePolicySetting = parse(settings)?;
            policies.detours.push(detour::read(&setting, network)?);
            Ok(())
        }
        Some(Type::VLAN) if network.mode == Mode::Transparent => {
            vlan::of_policy(policies, &parse(settings)?)
        }
        Some(Type::Iov) => interface::iov(&parse(settings)?),
        // Checked with the host's adapters when it is asked for.
        Some(Type::InterfaceConstraint) => Ok(()),
        // What bridged ports do in any case.
        Some(Type::L2Driver) if network.mode == Mode::Bridged => Ok(()),
        Some(Type::Unknown(name)) => {
            let why = alloc::format!("'{name}' is not a type of endpoint policy");
            Err(Failure::new(HResult::HCN_E_INVALID_POLICY_TYPE, why))
        }
        Some(other) => {
            let why =
                alloc::format!("policy {} cannot be enforced on this network type", other.name());
            Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
                .hint("a policy that is not enforced is not accepted; leave it out"))
        }
        None => Err(Failure::new(HResult::HCN_E_INVALID_POLICY_TYPE, "the policy has no Type")),
    }
}

/// The settings of a policy; absent ones count as empty.
pub(crate) fn parse<T: Document>(settings: Option<&Value>) -> Result<T, Failure> {
    match settings {
        Some(settings) => {
            hostcompute_schema::parse_value(settings, "").map(|parsed| parsed.document)
        }
        None => hostcompute_schema::parse_value(&Value::Object(Map::new()), "").map(|p| p.document),
    }
}

/// Reads the settings with the request's rules (warnings, strictness) and prints them back in schema order.
fn normalise(
    draft: &mut Draft<'_, '_>,
    policy: &mut EndpointPolicy,
    path: &str,
    addresses: &[IpNet],
) -> Result<(), Failure> {
    use EndpointPolicyType as Type;
    let given = policy.settings.clone().unwrap_or(Value::Object(Map::new()));
    let normal = match policy.kind.as_ref() {
        Some(Type::PortMapping) => {
            let mut setting: PortMappingPolicySetting = draft.part(&given, path)?;
            port_mapping::choose_port(draft, &mut setting, addresses)?;
            setting.write()
        }
        Some(Type::OutBoundNAT) => draft.part::<OutboundNatPolicySetting>(&given, path)?.write(),
        Some(Type::ACL) => draft.part::<AclPolicySetting>(&given, path)?.write(),
        Some(Type::TierAcl) => draft.part::<TierAclPolicySetting>(&given, path)?.write(),
        Some(Type::L4Proxy) => draft.part::<L4ProxyPolicySetting>(&given, path)?.write(),
        Some(Type::L4WFPPROXY) => draft.part::<L4WfpProxyPolicySetting>(&given, path)?.write(),
        Some(Type::Iov) => draft.part::<IovPolicySetting>(&given, path)?.write(),
        Some(Type::InterfaceConstraint) => {
            draft.part::<InterfaceConstraintEndpointPolicySetting>(&given, path)?.write()
        }
        Some(Type::QOS) => draft.part::<QosPolicySetting>(&given, path)?.write(),
        Some(Type::InterfaceParameters) => {
            draft.part::<InterfaceParametersPolicySetting>(&given, path)?.write()
        }
        Some(Type::EncapOverhead) => {
            draft.part::<EncapOverheadEndpointPolicySetting>(&given, path)?.write()
        }
        Some(Type::PortName) => draft.part::<PortnameEndpointPolicySetting>(&given, path)?.write(),
        Some(Type::ProviderAddress) => {
            draft.part::<ProviderAddressEndpointPolicySetting>(&given, path)?.write()
        }
        Some(Type::SDNRoute) => draft.part::<SdnRoutePolicySetting>(&given, path)?.write(),
        Some(Type::VLAN) => draft.part::<VlanPolicySetting>(&given, path)?.write(),
        // Refused by `read`, which says why.
        _ => return Ok(()),
    };
    policy.settings = Some(Value::Object(normal));
    Ok(())
}

/// Why a network policy is refused on a network of this type.
pub(crate) fn refuse_network_policy(kind: &str) -> Failure {
    use hostcompute_schema::NetworkPolicyType as Type;
    let (code, why) = match Type::from_name(kind) {
        Type::Unknown(_) => (HResult::HCN_E_INVALID_POLICY_TYPE, "is not a type of network policy"),
        Type::VSwitchExtension => (
            HResult::HCN_E_SWITCH_EXTENSION_NOT_FOUND,
            "names a switch extension, of which there are none",
        ),
        Type::LayerConstraint => {
            (HResult::HCN_E_LAYER_NOT_FOUND, "names a switch that does not exist")
        }
        Type::NetAdapterName | Type::InterfaceConstraint | Type::ProviderAddress => (
            HResult::HCN_E_ADAPTER_NOT_FOUND,
            "binds a network to an adapter, which networks of this type do not use",
        ),
        _ => (HResult::HCN_E_REQUEST_UNSUPPORTED, "cannot be enforced on this network type"),
    };
    Failure::new(code, alloc::format!("policy '{kind}' {why}"))
}
