//! Policy lists: what version 1 had for load balancers and SDN routes (hcn.md 2.17, 2.18, 2.20).
//!
//! `{"References": ["/endpoints/ID"], "Policies": [{"Type": "ELB", ...}]}`; what such a list is, its policies say.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value, json};

use crate::hcn::{LoadBalancerFlags, LoadBalancerPortMappingFlags};

/// Whether a document is a list of policies of this type (`ELB`, `ROUTE`).
pub fn is_policy_list(document: &Value, kind: &str) -> bool {
    let Some(members) = document.as_object() else { return false };
    let policies = member(members, "Policies").and_then(Value::as_array);
    member(members, "References").is_some()
        && policies.into_iter().flatten().any(|policy| is_of(policy, kind))
}

/// A policy list with policies ELB as a load balancer. One whose policies have different virtual addresses stays as it is: a load
/// balancer has one list of them.
pub fn load_balancer_from_v1(document: Value) -> Value {
    let Value::Object(mut members) = document else { return document };
    let policies = of_kind(&members, "ELB");
    let same = |name: &str| {
        let first = policies.first().and_then(|policy| member(policy, name));
        policies.iter().all(|policy| member(policy, name) == first)
    };
    if !["VIPs", "SourceVIP", "IsDSR", "DSR"].into_iter().all(same) {
        return Value::Object(members);
    }
    let first = policies.first().cloned().unwrap_or_default();
    let true_in = |policy: &Map<String, Value>, name: &str| {
        member(policy, name).and_then(Value::as_bool) == Some(true)
    };
    let mappings: Vec<Value> = policies
        .iter()
        .map(|policy| {
            let mut mapping = Map::new();
            for name in ["Protocol", "InternalPort", "ExternalPort"] {
                let value = member(policy, name).cloned();
                mapping.extend(value.map(|value| (name.to_string(), value)));
            }
            if true_in(policy, "ILB") {
                let flag = LoadBalancerPortMappingFlags::ENABLE_INTERNAL_LOAD_BALANCER.0;
                mapping.insert("Flags".into(), flag.into());
            }
            Value::Object(mapping)
        })
        .collect();
    take_references(&mut members);
    members.insert("PortMappings".into(), mappings.into());
    for (from, to) in [("VIPs", "FrontendVIPs"), ("SourceVIP", "SourceVIP")] {
        let value = member(&first, from).cloned();
        members.extend(value.map(|value| (to.to_string(), value)));
    }
    if true_in(&first, "IsDSR") || true_in(&first, "DSR") {
        let flag = LoadBalancerFlags::ENABLE_DIRECT_SERVER_RETURN.0;
        members.insert("Flags".into(), flag.into());
    }
    Value::Object(members)
}

/// A policy list with policies ROUTE as an SDN route.
pub fn route_from_v1(document: Value) -> Value {
    let Value::Object(mut members) = document else { return document };
    let routes: Vec<Value> = of_kind(&members, "ROUTE")
        .into_iter()
        .map(|mut policy| {
            policy.retain(|name, _| !name.eq_ignore_ascii_case("Type"));
            Value::Object(policy)
        })
        .collect();
    take_references(&mut members);
    members.insert("Routes".into(), routes.into());
    Value::Object(members)
}

fn is_of(policy: &Value, kind: &str) -> bool {
    let named = policy.as_object().and_then(|policy| member(policy, "Type"));
    named.and_then(Value::as_str).is_some_and(|name| name.eq_ignore_ascii_case(kind))
}

fn of_kind(members: &Map<String, Value>, kind: &str) -> Vec<Map<String, Value>> {
    let policies = member(members, "Policies").and_then(Value::as_array);
    let mine = policies.into_iter().flatten().filter(|policy| is_of(policy, kind));
    mine.filter_map(Value::as_object).cloned().collect()
}

/// `/endpoints/ID` becomes an id in the list of endpoints; the lists of version 1 go.
fn take_references(members: &mut Map<String, Value>) {
    let references = member(members, "References").and_then(Value::as_array);
    let id = |reference: &Value| {
        reference.as_str().map(|text| text.rsplit('/').next().unwrap_or(text).to_string())
    };
    let endpoints: Vec<String> = references.into_iter().flatten().filter_map(id).collect();
    members.retain(|name, _| {
        !["References", "Policies"].iter().any(|other| name.eq_ignore_ascii_case(other))
    });
    members.insert("HostComputeEndpoints".into(), json!(endpoints));
}

fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
