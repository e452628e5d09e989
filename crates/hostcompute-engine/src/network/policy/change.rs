//! Modifying an endpoint's policies: Add, Update, Remove (hcn.md 3.9).

use alloc::string::String;
use alloc::vec::Vec;

use hostcompute_schema::{
    Document, EndpointPolicy, EndpointPolicyType, Failure, HResult, ModifyRequestType,
};
use serde_json::{Map, Value};

/// The policies after a request.
///
/// Add appends. Update replaces the policies of each type that the request names; a policy without a type clears those
/// that can be modified, and so does a request that repeats what cannot, all of it and nothing else: so Azure's network policy
/// manager takes the last rule away. Remove takes out what equals the request by value, and fails when something does not exist.
///
/// # Errors
/// HCN_E_POLICY_NOT_FOUND.
pub(crate) fn combine(
    present: &[EndpointPolicy],
    kind: &ModifyRequestType,
    asked: Vec<EndpointPolicy>,
) -> Result<Vec<EndpointPolicy>, Failure> {
    let mut result = present.to_vec();
    match kind {
        ModifyRequestType::Add => result.extend(asked),
        ModifyRequestType::Update => {
            let clears =
                asked.iter().any(|policy| policy.kind.is_none()) || repeats_fixed(present, &asked);
            result.retain(|policy| {
                let named = asked.iter().any(|other| other.kind == policy.kind);
                !(named || clears && modifiable(policy))
            });
            result.extend(asked.into_iter().filter(|policy| policy.kind.is_some()));
        }
        _ => {
            for (i, policy) in asked.iter().enumerate() {
                let Some(place) = result.iter().position(|other| equal(other, policy)) else {
                    let why = "the endpoint has no such policy";
                    return Err(Failure::new(HResult::HCN_E_POLICY_NOT_FOUND, why)
                        .at(alloc::format!("Settings.Policies[{i}]")));
                };
                result.remove(place);
            }
        }
    }
    Ok(result)
}

/// Whether a request says exactly what an endpoint has beside the policies that can be modified.
fn repeats_fixed(present: &[EndpointPolicy], asked: &[EndpointPolicy]) -> bool {
    let mut fixed = present.iter().filter(|policy| !modifiable(policy));
    fixed.clone().count() == asked.len()
        && fixed.all(|policy| asked.iter().any(|other| equal(policy, other)))
}

/// What a request without a type clears (hcn.md 3.9).
fn modifiable(policy: &EndpointPolicy) -> bool {
    use EndpointPolicyType as Type;
    matches!(
        policy.kind,
        Some(Type::ACL | Type::L4Proxy | Type::L4WFPPROXY | Type::TierAcl | Type::QOS)
    )
}

/// Equality by value: members in any order and case, defaults omitted or not, GUIDs and MACs in any case.
fn equal(present: &EndpointPolicy, asked: &EndpointPolicy) -> bool {
    present.kind == asked.kind && canonical(present) == canonical(asked)
}

pub(crate) fn canonical(policy: &EndpointPolicy) -> Map<String, Value> {
    use EndpointPolicyType as Type;
    use hostcompute_schema as s;
    fn through<T: Document>(settings: Option<&Value>) -> Option<Map<String, Value>> {
        super::parse::<T>(settings).ok().map(|setting| setting.write())
    }
    let settings = policy.settings.as_ref();
    let normal = match policy.kind.as_ref() {
        Some(Type::PortMapping) => through::<s::PortMappingPolicySetting>(settings),
        Some(Type::OutBoundNAT) => through::<s::OutboundNatPolicySetting>(settings),
        Some(Type::ACL) => through::<s::AclPolicySetting>(settings),
        Some(Type::TierAcl) => through::<s::TierAclPolicySetting>(settings),
        Some(Type::L4Proxy) => through::<s::L4ProxyPolicySetting>(settings),
        Some(Type::L4WFPPROXY) => through::<s::L4WfpProxyPolicySetting>(settings),
        Some(Type::Iov) => through::<s::IovPolicySetting>(settings),
        Some(Type::InterfaceConstraint) => {
            through::<s::InterfaceConstraintEndpointPolicySetting>(settings)
        }
        Some(Type::QOS) => through::<s::QosPolicySetting>(settings),
        Some(Type::InterfaceParameters) => through::<s::InterfaceParametersPolicySetting>(settings),
        Some(Type::EncapOverhead) => through::<s::EncapOverheadEndpointPolicySetting>(settings),
        Some(Type::PortName) => through::<s::PortnameEndpointPolicySetting>(settings),
        Some(Type::ProviderAddress) => through::<s::ProviderAddressEndpointPolicySetting>(settings),
        Some(Type::VLAN) => through::<s::VlanPolicySetting>(settings),
        Some(Type::SDNRoute) => through::<s::SdnRoutePolicySetting>(settings),
        _ => settings.and_then(Value::as_object).cloned(),
    };
    normal.unwrap_or_default()
}
