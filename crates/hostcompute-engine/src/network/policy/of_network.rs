//! Network policies: which are legal on which type, and what they mean (hcn.md 2.6).
//!
//! Settings are kept in their normal form, as those of endpoints. What was chosen for a document that says nothing (the provider
//! address, the router's MAC) is written into it as a policy of its own: consumers wait for it (hcn.md rule 24).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema as s;
use hostcompute_schema::{
    Document, Failure, Guid, HResult, ModifyRequestType, NetworkPolicy, NetworkPolicyType,
};
use ipnet::IpNet;
use serde_json::{Map, Value};

use super::acl::Access;
use super::proxy::{self, Proxy};
use super::{parse, refuse_network_policy};
use crate::decide::Draft;
use crate::mac::Mac;
use crate::network::answering;
use crate::network::network::Mode;
use crate::network::remote_subnet::Way;
use crate::network::uplink::Wish;

/// What a network's policies mean together.
#[derive(Debug, Clone, Default)]
pub struct NetworkPolicies {
    pub adapter: Wish,
    /// LayerConstraint: stand where that network stands.
    pub layer: Option<Guid>,
    pub router_mac: Option<Mac>,
    pub vxlan_port: Option<u16>,
    /// SourceMacAddress: what a bridged network sends has this MAC in place of the adapter's.
    pub source_mac: Option<Mac>,
    pub host_route: bool,
    /// The rules for all endpoints.
    pub access: Access,
    /// AutomaticDNS: the names of endpoints resolve at the gateway.
    pub automatic_names: bool,
    /// The proxies of all endpoints.
    pub proxies: Vec<Proxy>,
}

/// Whether networks of this mode can have the policy at all.
fn is_legal(mode: Mode, kind: &NetworkPolicyType) -> bool {
    use NetworkPolicyType as Type;
    match kind {
        Type::InterfaceConstraint => mode.stands_on_uplink() || mode == Mode::Nat,
        Type::NetAdapterName | Type::ProviderAddress => mode.stands_on_uplink(),
        Type::LayerConstraint => mode.stands_on_uplink(),
        // The host sees bridged endpoints in any case.
        Type::HostRoute => mode.stands_on_uplink() && mode != Mode::Transparent,
        // Elsewhere nothing leaves under the adapter's MAC.
        Type::SourceMacAddress => mode == Mode::Bridged,
        Type::AutomaticDNS => answering::is_possible(mode),
        Type::DrMacAddress | Type::VxlanPort | Type::RemoteSubnetRoute => mode == Mode::Overlay,
        Type::SetPolicy | Type::NetworkACL | Type::L4Proxy => true,
        _ => false,
    }
}

/// Reads the policies of a network; paths are below `Policies`.
///
/// # Errors
/// The code of the first policy that cannot be carried out, at its path.
pub fn read(mode: Mode, documents: &[NetworkPolicy]) -> Result<NetworkPolicies, Failure> {
    let mut policies = NetworkPolicies::default();
    let mut seen: Vec<&NetworkPolicyType> = Vec::new();
    for (i, document) in documents.iter().enumerate() {
        let path = alloc::format!("Policies[{i}]");
        let Some(kind) = &document.kind else {
            let why = "the policy has no Type";
            return Err(Failure::new(HResult::HCN_E_INVALID_POLICY_TYPE, why)
                .at(alloc::format!("{path}.Type")));
        };
        if !is_legal(mode, kind) {
            let refusal = refuse_network_policy(kind.name());
            return Err(refusal.at(alloc::format!("{path}.Type")));
        }
        if !may_be_several(kind) && seen.contains(&kind) {
            let why = alloc::format!("a network has at most one policy {}", kind.name());
            return Err(Failure::new(HResult::HCN_E_POLICY_ALREADY_EXISTS, why)
                .at(alloc::format!("{path}.Type")));
        }
        seen.push(kind);
        read_one(&mut policies, i, kind, document.settings.as_ref()).map_err(|failure| {
            let member = failure.path.clone().unwrap_or_default();
            let dot = if member.is_empty() { "" } else { "." };
            failure.at(alloc::format!("{path}.Settings{dot}{member}"))
        })?;
    }
    policies.access.finish();
    Ok(policies)
}

/// Kinds of which a network may have more than one policy.
fn may_be_several(kind: &NetworkPolicyType) -> bool {
    use NetworkPolicyType as Type;
    matches!(kind, Type::RemoteSubnetRoute | Type::SetPolicy | Type::NetworkACL | Type::L4Proxy)
}

fn read_one(
    policies: &mut NetworkPolicies,
    place: usize,
    kind: &NetworkPolicyType,
    settings: Option<&Value>,
) -> Result<(), Failure> {
    use NetworkPolicyType as Type;
    match kind {
        Type::NetAdapterName => {
            let setting: s::NetAdapterNameNetworkPolicySetting = parse(settings)?;
            policies.adapter.name = setting.network_adapter_name.filter(|name| !name.is_empty());
        }
        Type::InterfaceConstraint => policies.adapter.constraint = Some(parse(settings)?),
        Type::ProviderAddress => {
            let setting: s::ProviderAddressNetworkPolicySetting = parse(settings)?;
            let text = setting.provider_address.unwrap_or_default();
            policies.adapter.address = Some(address(&text, "ProviderAddress")?);
        }
        Type::LayerConstraint => {
            let setting: s::LayerConstraintNetworkPolicySetting = parse(settings)?;
            policies.layer = setting.layer_id.filter(|id| !id.is_zero());
        }
        Type::DrMacAddress => {
            let setting: s::DrMacAddressNetworkPolicySetting = parse(settings)?;
            policies.router_mac = Some(mac(&setting.address.unwrap_or_default(), "Address")?);
        }
        Type::SourceMacAddress => {
            let setting: s::SourceMacAddressNetworkPolicySetting = parse(settings)?;
            let text = setting.source_mac_address.unwrap_or_default();
            policies.source_mac = Some(mac(&text, "SourceMacAddress")?);
        }
        Type::VxlanPort => {
            let setting: s::VxlanPortPolicySetting = parse(settings)?;
            let Some(port) = setting.port.filter(|port| *port != 0) else {
                return Err(invalid("Port", "a UDP port is needed"));
            };
            policies.vxlan_port = Some(port);
        }
        Type::HostRoute => policies.host_route = true,
        Type::AutomaticDNS => {
            let setting: s::AutomaticDnsNetworkPolicySetting = parse(settings)?;
            policies.automatic_names = setting.enable == Some(true);
        }
        Type::RemoteSubnetRoute => {
            // An object of its own (see `network::remote_subnet`).
            remote_way(&parse(settings)?)?;
        }
        Type::NetworkACL => policies.access.add(place, &parse(settings)?)?,
        Type::L4Proxy => policies.proxies.push(proxy::read(&parse(settings)?)?),
        // An object of its own (see `network::set`).
        Type::SetPolicy => {}
        other => return Err(refuse_network_policy(other.name())),
    }
    Ok(())
}

/// What a route to a subnet elsewhere says.
///
/// # Errors
/// HCN_E_INVALID_PREFIX, HCN_E_INVALID_POLICY.
pub(crate) fn remote_way(setting: &s::RemoteSubnetRoutePolicySetting) -> Result<Way, Failure> {
    let text = setting.destination_prefix.as_deref().unwrap_or_default();
    let prefix = text.parse::<IpNet>().ok().filter(|net| net.trunc() == *net).ok_or_else(|| {
        let why = alloc::format!("'{text}' is not a prefix like 10.244.2.0/24");
        Failure::new(HResult::HCN_E_INVALID_PREFIX, why).at("DestinationPrefix")
    })?;
    if prefix.prefix_len() == 0 {
        return Err(invalid("DestinationPrefix", "a remote subnet cannot be everything"));
    }
    let provider = setting.provider_address.as_deref().unwrap_or_default();
    let router = setting.distributed_router_mac_address.as_deref().unwrap_or_default();
    Ok(Way {
        prefix,
        vsid: setting.isolation_id.unwrap_or_default(),
        provider: address(provider, "ProviderAddress")?,
        mac: mac(router, "DistributedRouterMacAddress")?,
    })
}

fn invalid(member: &str, why: impl Into<String>) -> Failure {
    Failure::new(HResult::HCN_E_INVALID_POLICY, why).at(member)
}

/// An address that a machine can have.
pub(crate) fn address(text: &str, member: &str) -> Result<IpAddr, Failure> {
    let address: Option<IpAddr> = text.parse().ok();
    let usable = |address: &IpAddr| {
        !(address.is_unspecified() || address.is_loopback() || address.is_multicast())
    };
    address
        .filter(usable)
        .ok_or_else(|| invalid(member, alloc::format!("'{text}' is not the address of a machine")))
}

fn mac(text: &str, member: &str) -> Result<Mac, Failure> {
    let mac = text.parse::<Mac>().ok().filter(|mac| !mac.is_group() && *mac != Mac::default());
    mac.ok_or_else(|| {
        invalid(member, alloc::format!("'{text}' is not a MAC that an interface can have"))
    })
}

/// Brings the settings of a request's policies into normal form.
///
/// # Errors
/// Settings that cannot be read.
pub(crate) fn normalise(
    draft: &mut Draft<'_, '_>,
    documents: &mut [NetworkPolicy],
    path: &str,
) -> Result<(), Failure> {
    use NetworkPolicyType as Type;
    for (i, policy) in documents.iter_mut().enumerate() {
        let path = alloc::format!("{path}[{i}].Settings");
        let given = policy.settings.clone().unwrap_or(Value::Object(Map::new()));
        let normal = match policy.kind.as_ref() {
            Some(Type::NetAdapterName) => {
                draft.part::<s::NetAdapterNameNetworkPolicySetting>(&given, &path)?.write()
            }
            Some(Type::InterfaceConstraint) => {
                draft.part::<s::InterfaceConstraintNetworkPolicySetting>(&given, &path)?.write()
            }
            Some(Type::ProviderAddress) => {
                draft.part::<s::ProviderAddressNetworkPolicySetting>(&given, &path)?.write()
            }
            Some(Type::LayerConstraint) => {
                draft.part::<s::LayerConstraintNetworkPolicySetting>(&given, &path)?.write()
            }
            Some(Type::DrMacAddress) => {
                draft.part::<s::DrMacAddressNetworkPolicySetting>(&given, &path)?.write()
            }
            Some(Type::SourceMacAddress) => {
                draft.part::<s::SourceMacAddressNetworkPolicySetting>(&given, &path)?.write()
            }
            Some(Type::VxlanPort) => {
                draft.part::<s::VxlanPortPolicySetting>(&given, &path)?.write()
            }
            Some(Type::L4Proxy) => draft.part::<s::L4ProxyPolicySetting>(&given, &path)?.write(),
            Some(Type::NetworkACL) => {
                draft.part::<s::NetworkAclPolicySetting>(&given, &path)?.write()
            }
            Some(Type::AutomaticDNS) => {
                draft.part::<s::AutomaticDnsNetworkPolicySetting>(&given, &path)?.write()
            }
            Some(Type::HostRoute) => {
                draft.part::<s::HostRoutePolicySetting>(&given, &path)?.write()
            }
            // Refused by `read`, which says why.
            _ => continue,
        };
        policy.settings = Some(Value::Object(normal));
    }
    Ok(())
}

/// A policy of the service's own making.
pub(crate) fn chosen(kind: NetworkPolicyType, settings: Map<String, Value>) -> NetworkPolicy {
    NetworkPolicy {
        kind: Some(kind),
        settings: Some(Value::Object(settings)),
        ..NetworkPolicy::default()
    }
}

/// Whether the policy can be changed while the network exists.
pub(crate) fn is_modifiable(kind: &NetworkPolicyType) -> bool {
    use NetworkPolicyType as Type;
    matches!(
        kind,
        Type::RemoteSubnetRoute
            | Type::HostRoute
            | Type::SetPolicy
            | Type::NetworkACL
            | Type::L4Proxy
    )
}

/// The policies after a request, each of its own in normal form. Add appends (what is there stays once), Update replaces the
/// policies of the kinds that it names, Remove takes out what is equal by value.
///
/// # Errors
/// HCN_E_POLICY_NOT_FOUND; HCN_E_REQUEST_UNSUPPORTED for what is fixed for the network's life.
pub(crate) fn combine(
    present: &[NetworkPolicy],
    kind: &ModifyRequestType,
    asked: Vec<NetworkPolicy>,
) -> Result<Vec<NetworkPolicy>, Failure> {
    let mut result = present.to_vec();
    for (i, policy) in asked.iter().enumerate() {
        let fixed = policy.kind.as_ref().filter(|kind| !is_modifiable(kind));
        if let Some(fixed) = fixed.filter(|kind| !matches!(kind, NetworkPolicyType::Unknown(_))) {
            let why = alloc::format!("policy {} is fixed when a network is made", fixed.name());
            return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
                .at(alloc::format!("Settings.Policies[{i}].Type")));
        }
    }
    match kind {
        ModifyRequestType::Add => {
            for policy in asked {
                if !result.iter().any(|other| is_same(other, &policy)) {
                    result.push(policy);
                }
            }
        }
        ModifyRequestType::Update => {
            result.retain(|policy| !asked.iter().any(|other| other.kind == policy.kind));
            result.extend(asked);
        }
        _ => {
            for (i, policy) in asked.iter().enumerate() {
                let Some(place) = result.iter().position(|other| is_same(other, policy)) else {
                    let why = "the network has no such policy";
                    return Err(Failure::new(HResult::HCN_E_POLICY_NOT_FOUND, why)
                        .at(alloc::format!("Settings.Policies[{i}]")));
                };
                result.remove(place);
            }
        }
    }
    Ok(result)
}

fn is_same(present: &NetworkPolicy, asked: &NetworkPolicy) -> bool {
    (&present.kind, &present.settings) == (&asked.kind, &asked.settings)
}

/// Policies with their places in the request.
pub(crate) type Placed = Vec<(usize, NetworkPolicy)>;

/// Takes the policies out that are objects of their own: sets, and routes to subnets elsewhere.
pub(crate) fn take_objects(policies: &mut Vec<NetworkPolicy>) -> (Placed, Placed) {
    let (mut sets, mut routes) = (Vec::new(), Vec::new());
    for (place, policy) in core::mem::take(policies).into_iter().enumerate() {
        match policy.kind {
            Some(NetworkPolicyType::SetPolicy) => sets.push((place, policy)),
            Some(NetworkPolicyType::RemoteSubnetRoute) => routes.push((place, policy)),
            _ => policies.push(policy),
        }
    }
    (sets, routes)
}

/// The settings of the policies that the service adds.
pub(crate) fn provider_setting(address: IpAddr) -> Map<String, Value> {
    s::ProviderAddressNetworkPolicySetting {
        provider_address: Some(address.to_string()),
        ..s::ProviderAddressNetworkPolicySetting::default()
    }
    .write()
}

pub(crate) fn router_setting(mac: Mac) -> Map<String, Value> {
    s::DrMacAddressNetworkPolicySetting {
        address: Some(mac.to_string()),
        ..s::DrMacAddressNetworkPolicySetting::default()
    }
    .write()
}
