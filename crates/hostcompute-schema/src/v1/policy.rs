//! Policies in both shapes: `{Type, Settings}` and flat.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::member::{Taken, object};
use crate::document::Document;
use crate::hcn::{
    AclPolicySetting, EncapOverheadEndpointPolicySetting, EndpointPolicy, EndpointPolicyType,
    L4ProxyPolicySetting, NatFlags, NetworkPolicy, OutboundNatPolicySetting,
    PortMappingPolicySetting, ProtocolType, ProviderAddressEndpointPolicySetting,
    SdnRoutePolicySetting, SubnetPolicy, SubnetPolicyType, VlanPolicySetting, VsidPolicySetting,
};
use crate::parse::parse_value;
use crate::schema::ValueSchema;

/// Whether a policy has its settings beside its type.
pub(super) fn is_flat(policy: &Value) -> bool {
    let Value::Object(members) = policy else { return false };
    let is = |key: &str, names: &[&str]| names.iter().any(|name| key.eq_ignore_ascii_case(name));
    let enveloped = members.keys().any(|key| is(key, &["Settings", "Data"]));
    !enveloped && members.keys().any(|key| !is(key, &["Type", "Name"]))
}

/// A flat policy in its envelope; anything else as it is.
pub(super) fn from_flat(policy: Value) -> Value {
    if !is_flat(&policy) {
        return policy;
    }
    let Value::Object(members) = policy else { return policy };
    let mut flat = Taken(members);
    let Some(kind) = flat.take("Type") else { return Value::Object(flat.0) };
    let (kind, settings) = match kind.as_str().map(str::to_ascii_uppercase).as_deref() {
        Some("NAT") => (Value::from("PortMapping"), port_mapping(flat)),
        Some("ACL") => (kind, access_rule(flat)),
        Some("OUTBOUNDNAT") => (kind, renamed(flat, &[("VIP", "VirtualIP")])),
        Some("PA") => (Value::from("ProviderAddress"), renamed(flat, &[("PA", "ProviderAddress")])),
        Some("ROUTE") => (Value::from("SDNRoute"), renamed(flat, &[("EncapEnabled", "NeedEncap")])),
        Some("PROXY") => (Value::from("L4Proxy"), Value::Object(flat.0)),
        Some("VLAN") => (kind, renamed(flat, &[("VLAN", "IsolationId")])),
        Some("VSID") => (kind, renamed(flat, &[("VSID", "IsolationId")])),
        _ => (kind, Value::Object(flat.0)),
    };
    object([("Type", Some(kind)), ("Settings", Some(settings))])
}

/// Whether a policy isolates an address range, which version 1 also says of whole networks.
pub(super) fn is_isolation(policy: &Value) -> bool {
    let kind = policy.get("Type").and_then(Value::as_str);
    kind.is_some_and(|kind| {
        let known: &[SubnetPolicyType] = SubnetPolicyType::KNOWN;
        known.iter().any(|known| known.name().eq_ignore_ascii_case(kind))
    })
}

fn port_mapping(mut flat: Taken) -> Value {
    let reserved = flat.take_true("ExternalPortReserved");
    if reserved {
        flat.add_flags(NatFlags::EXTERNAL_PORT_RESERVED.0);
    }
    Value::Object(flat.0)
}

fn access_rule(mut flat: Taken) -> Value {
    for (singular, plural) in
        [("Protocol", "Protocols"), ("LocalPort", "LocalPorts"), ("RemotePort", "RemotePorts")]
    {
        // 256 means any protocol, which the newer shape says by leaving the member out.
        let number = flat.take(singular).filter(|value| value.as_u64() != Some(256));
        if flat.get(plural).is_none() {
            let text = number.map(|value| match value {
                Value::Number(number) => Value::from(number.to_string()),
                other => other,
            });
            flat.put(plural, text);
        }
    }
    Value::Object(flat.0)
}

fn renamed(mut flat: Taken, names: &[(&str, &str)]) -> Value {
    for (old, new) in names {
        if !flat.has(new) {
            let value = flat.take(old);
            flat.put(new, value);
        }
    }
    Value::Object(flat.0)
}

/// The policies of an endpoint, flat.
pub(super) fn endpoint_policies(policies: &[EndpointPolicy]) -> Option<Value> {
    list(policies.iter().map(endpoint_policy))
}

/// The policies of a network, flat; those that version 1 has as members of the network are left
/// out.
pub(super) fn network_policies(policies: &[NetworkPolicy]) -> Option<Value> {
    let known = ["NetAdapterName", "SourceMacAddress", "ProviderAddress", "DrMacAddress"];
    let own = policies.iter().filter(|policy| {
        let name = policy.kind.as_ref().map_or("", |kind| kind.name());
        !known.contains(&name) && name != "AutomaticDNS" && name != "InterfaceConstraint"
    });
    list(own.map(|policy| {
        let kind = policy.kind.as_ref().map(|kind| kind.name());
        flattened(kind.unwrap_or_default(), members_of(policy.settings.as_ref()))
    }))
}

/// The policies of an address range, flat.
pub(super) fn subnet_policies(policies: &[SubnetPolicy]) -> Option<Value> {
    list(policies.iter().map(|policy| {
        let settings = policy.settings.as_ref();
        match policy.kind.as_ref() {
            Some(SubnetPolicyType::VLAN) => {
                let vlan: VlanPolicySetting = typed(settings);
                flattened("VLAN", [("VLAN".into(), number(vlan.isolation_id))])
            }
            Some(SubnetPolicyType::VSID) => {
                let vsid: VsidPolicySetting = typed(settings);
                flattened("VSID", [("VSID".into(), number(vsid.isolation_id))])
            }
            kind => flattened(kind.map_or("", |kind| kind.name()), members_of(settings)),
        }
    }))
}

fn endpoint_policy(policy: &EndpointPolicy) -> Value {
    use EndpointPolicyType as Type;
    let settings = policy.settings.as_ref();
    match policy.kind.as_ref() {
        Some(Type::PortMapping) => flat_port_mapping(&typed(settings)),
        Some(Type::OutBoundNAT) => {
            let nat: OutboundNatPolicySetting = typed(settings);
            let mut members = nat.write();
            rename(&mut members, &[("VirtualIP", "VIP"), ("Exceptions", "ExceptionList")]);
            flattened("OutBoundNAT", members)
        }
        Some(Type::ProviderAddress) => {
            let provider: ProviderAddressEndpointPolicySetting = typed(settings);
            flattened("PA", [("PA".into(), text(provider.provider_address))])
        }
        Some(Type::ACL) => flattened("ACL", typed::<AclPolicySetting>(settings).write()),
        Some(Type::SDNRoute) => {
            flattened("ROUTE", typed::<SdnRoutePolicySetting>(settings).write())
        }
        Some(Type::L4Proxy) => flattened("PROXY", typed::<L4ProxyPolicySetting>(settings).write()),
        Some(Type::VLAN) => {
            let vlan: VlanPolicySetting = typed(settings);
            flattened("VLAN", [("VLAN".into(), number(vlan.isolation_id))])
        }
        kind => flattened(kind.map_or("", |kind| kind.name()), members_of(settings)),
    }
}

fn flat_port_mapping(mapping: &PortMappingPolicySetting) -> Value {
    let protocol = mapping.protocol.unwrap_or_default();
    let named = |value: &&ValueSchema| value.number == Some(protocol.0);
    let protocol = match ProtocolType::SCHEMA.values.iter().find(named) {
        Some(value) => Value::from(value.name),
        None => Value::from(protocol.0),
    };
    let reserved = mapping.flags.unwrap_or_default().contains(NatFlags::EXTERNAL_PORT_RESERVED);
    let mut members = Map::new();
    members.insert("Protocol".into(), protocol);
    members.insert("InternalPort".into(), Value::from(mapping.internal_port.unwrap_or_default()));
    members.insert("ExternalPort".into(), Value::from(mapping.external_port.unwrap_or_default()));
    if reserved {
        members.insert("ExternalPortReserved".into(), Value::Bool(true));
    }
    if let Some(vip) = &mapping.vip
        && !vip.is_empty()
    {
        members.insert("VIP".into(), Value::from(vip.as_str()));
    }
    flattened("NAT", members)
}

/// The room that encapsulation needs, which version 1 has as a member of the endpoint.
pub(super) fn encap_overhead(policies: &[EndpointPolicy]) -> Option<u16> {
    let wanted = |policy: &&EndpointPolicy| policy.kind == Some(EndpointPolicyType::EncapOverhead);
    let policy = policies.iter().find(wanted)?;
    typed::<EncapOverheadEndpointPolicySetting>(policy.settings.as_ref()).overhead
}

/// Settings as what they are; those that cannot be read say nothing.
pub(super) fn typed<T: Document>(settings: Option<&Value>) -> T {
    let read = settings.and_then(|settings| parse_value(settings, "").ok());
    read.map(|parsed| parsed.document).unwrap_or_default()
}

fn flattened(kind: &str, members: impl IntoIterator<Item = (String, Value)>) -> Value {
    let mut flat = Map::new();
    flat.insert("Type".into(), Value::from(kind));
    for (name, value) in members {
        flat.entry(name).or_insert(value);
    }
    Value::Object(flat)
}

fn members_of(settings: Option<&Value>) -> Map<String, Value> {
    settings.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn rename(members: &mut Map<String, Value>, names: &[(&str, &str)]) {
    for (old, new) in names {
        if let Some(value) = members.shift_remove(*old) {
            members.insert((*new).into(), value);
        }
    }
}

fn list(policies: impl Iterator<Item = Value>) -> Option<Value> {
    let policies: Vec<Value> = policies.collect();
    (!policies.is_empty()).then_some(Value::Array(policies))
}

fn number(number: Option<u32>) -> Value {
    Value::from(number.unwrap_or_default())
}

fn text(text: Option<String>) -> Value {
    Value::from(text.unwrap_or_default())
}
