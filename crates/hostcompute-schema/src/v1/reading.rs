//! Version 1 documents on the way in.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::member::{Taken, object, split};
use super::policy::{from_flat, is_flat, is_isolation};
use crate::hcn::{EndpointFlags, NetworkFlags};

/// Members that only a version 1 network has.
const NETWORK_MEMBERS: &[&str] = &[
    "Subnets",
    "MacPools",
    "DNSSuffix",
    "DNSServerList",
    "DNSDomain",
    "NetworkAdapterName",
    "InterfaceConstraint",
    "IsolateSwitch",
    "SourceMac",
    "ManagementIP",
    "DrMacAddress",
    "AutomaticDNS",
];

/// Members that only a version 1 endpoint has.
const ENDPOINT_MEMBERS: &[&str] = &[
    "VirtualNetwork",
    "IPAddress",
    "PrefixLength",
    "IPv6Address",
    "IPv6PrefixLength",
    "GatewayAddress",
    "GatewayAddressV6",
    "DNSSuffix",
    "DNSServerList",
    "DNSDomain",
    "EnableInternalDNS",
    "DisableICC",
    "IsRemoteEndpoint",
    "EnableLowMetric",
    "EncapOverhead",
];

/// Whether a network document is of version 1: it does not claim a later one, and has a member or
/// a policy in the older shape.
pub fn is_v1_network(document: &Value) -> bool {
    is_v1(document, NETWORK_MEMBERS)
}

/// The same for an endpoint document.
pub fn is_v1_endpoint(document: &Value) -> bool {
    is_v1(document, ENDPOINT_MEMBERS)
}

fn is_v1(document: &Value, members: &[&str]) -> bool {
    let Value::Object(object) = document else { return false };
    let find = |name: &str| {
        object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let major = find("SchemaVersion").and_then(Value::as_object).and_then(|version| {
        let major = version.iter().find(|(key, _)| key.eq_ignore_ascii_case("Major"));
        major.and_then(|(_, major)| major.as_u64())
    });
    if major.is_some_and(|major| major >= 2) {
        return false;
    }
    let policies = find("Policies").and_then(Value::as_array);
    members.iter().any(|name| find(name).is_some())
        || policies.is_some_and(|policies| policies.iter().any(is_flat))
}

/// A version 1 network document in the shape of version 2. Members that both have, and members
/// that neither knows, stay as they are.
pub fn network_from_v1(document: Value) -> Value {
    let Value::Object(members) = document else { return document };
    let mut network = Taken(members);
    let mut policies = take_policies(&mut network);
    let isolation: Vec<Value> = policies.extract_if(.., |policy| is_isolation(policy)).collect();
    policies.extend(adapter_policies(&mut network));

    if let Some(pools) = network.take("MacPools") {
        network.put("MacPool", Some(object([("Ranges", Some(pools))])));
    }
    take_dns(&mut network);
    if network.take_true("IsolateSwitch") {
        network.add_flags(NetworkFlags::ISOLATE_V_SWITCH.0);
    }
    let mut subnets = network.take("Subnets");
    if let Some(Value::Array(all)) = &mut subnets {
        all.retain(|subnet| !is_any(subnet));
    }
    match subnets.filter(|subnets| !is_empty(subnets)) {
        Some(Value::Array(subnets)) => {
            let subnets = subnets.into_iter().map(|subnet| subnet_from_v1(subnet, &isolation));
            let subnets = Value::Array(subnets.collect());
            let ipam = object([("Type", Some("Static".into())), ("Subnets", Some(subnets))]);
            network.append("Ipams", [ipam].into());
        }
        // Not a list: where the list is expected, the reader says so.
        Some(other) => network.put("Ipams", Some(other)),
        None => policies.extend(isolation),
    }
    network.append("Policies", policies);
    Value::Object(network.0)
}

/// Whether a subnet is docker's way to leave the choice to the service: every address, and no gateway (hcn.md 5.10).
fn is_any(subnet: &Value) -> bool {
    let Value::Object(members) = subnet else { return false };
    let members = Taken(members.clone());
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    matches!(text("AddressPrefix"), "0.0.0.0/0" | "::/0") && text("GatewayAddress").is_empty()
}

fn is_empty(list: &Value) -> bool {
    list.as_array().is_some_and(Vec::is_empty)
}

/// The members of a version 1 network that version 2 has as policies.
fn adapter_policies(network: &mut Taken) -> Vec<Value> {
    let mut policies = Vec::new();
    for (member, kind, setting) in [
        ("NetworkAdapterName", "NetAdapterName", "NetworkAdapterName"),
        ("SourceMac", "SourceMacAddress", "SourceMacAddress"),
        ("ManagementIP", "ProviderAddress", "ProviderAddress"),
        ("DrMacAddress", "DrMacAddress", "Address"),
    ] {
        if let Some(value) = network.take(member) {
            policies.push(policy(kind, object([(setting, Some(value))])));
        }
    }
    if network.take_true("AutomaticDNS") {
        policies.push(policy("AutomaticDNS", object([("Enable", Some(Value::Bool(true)))])));
    }
    if let Some(constraint) = network.take("InterfaceConstraint") {
        policies.push(policy("InterfaceConstraint", constraint));
    }
    policies
}

fn subnet_from_v1(subnet: Value, isolation: &[Value]) -> Value {
    let Value::Object(members) = subnet else { return subnet };
    let mut subnet = Taken(members);
    let prefix = subnet.take("AddressPrefix");
    subnet.put("IpAddressPrefix", prefix);
    let gateway = subnet.take("GatewayAddress");
    subnet.append("Routes", gateway.map(default_route).into_iter().collect());
    let mut policies = take_policies(&mut subnet);
    policies.extend(isolation.iter().cloned());
    subnet.append("Policies", policies);
    subnet.take("ObjectType");
    if let Some(Value::Array(mut blocks)) = subnet.take("IpSubnets") {
        for block in blocks.iter_mut().filter_map(Value::as_object_mut) {
            let mut taken = Taken(core::mem::take(block));
            taken.take("ObjectType");
            *block = taken.0;
        }
        subnet.put("IpSubnets", Some(Value::Array(blocks)));
    }
    Value::Object(subnet.0)
}

/// A version 1 endpoint document in the shape of version 2. Members that both have, and members
/// that neither knows, stay as they are.
pub fn endpoint_from_v1(document: Value) -> Value {
    let Value::Object(members) = document else { return document };
    let mut endpoint = Taken(members);
    let network = endpoint.take("VirtualNetwork");
    if network.is_some() {
        endpoint.put("HostComputeNetwork", network);
    }
    for told in ["VirtualNetworkName", "Namespace", "SharedContainers"] {
        endpoint.take(told);
    }
    for (address, length, gateway) in [
        ("IPAddress", "PrefixLength", "GatewayAddress"),
        ("IPv6Address", "IPv6PrefixLength", "GatewayAddressV6"),
    ] {
        let address = endpoint.take(address);
        let length = endpoint.take(length);
        if address.is_some() || length.is_some() {
            let config = object([("IpAddress", address), ("PrefixLength", length)]);
            endpoint.append("IpConfigurations", [config].into());
        }
        let gateway = endpoint.take(gateway);
        endpoint.append("Routes", gateway.map(default_route).into_iter().collect());
    }
    take_dns(&mut endpoint);
    for (member, flag) in [
        ("IsRemoteEndpoint", EndpointFlags::REMOTE_ENDPOINT),
        ("DisableICC", EndpointFlags::DISABLE_INTER_COMPUTE_COMMUNICATION),
        ("EnableLowMetric", EndpointFlags::ENABLE_LOW_INTERFACE_METRIC),
        ("EnableInternalDNS", EndpointFlags::OVERRIDE_DNS_SERVER_ORDER),
    ] {
        if endpoint.take_true(member) {
            endpoint.add_flags(flag.0);
        }
    }
    let mut policies = take_policies(&mut endpoint);
    if let Some(overhead) = endpoint.take("EncapOverhead") {
        policies.push(policy("EncapOverhead", object([("Overhead", Some(overhead))])));
    }
    endpoint.append("Policies", policies);
    Value::Object(endpoint.0)
}

/// Takes the policies out, each in its envelope. What is no list stays.
fn take_policies(object: &mut Taken) -> Vec<Value> {
    match object.take("Policies") {
        Some(Value::Array(policies)) => policies.into_iter().map(from_flat).collect(),
        other => {
            object.put("Policies", other);
            Vec::new()
        }
    }
}

/// Gathers the three members about name resolution into one.
fn take_dns(taken: &mut Taken) {
    let domain = taken.take("DNSDomain");
    let search = taken.take("DNSSuffix").map(split);
    let servers = taken.take("DNSServerList").map(split);
    let dns = object([("Domain", domain), ("Search", search), ("ServerList", servers)]);
    if dns.as_object().is_some_and(|members: &Map<String, Value>| !members.is_empty()) {
        taken.put("Dns", Some(dns));
    }
}

fn policy(kind: &'static str, settings: Value) -> Value {
    object([("Type", Some(Value::from(kind))), ("Settings", Some(settings))])
}

/// The default route of the gateway's address family.
fn default_route(gateway: Value) -> Value {
    let v6 = gateway.as_str().is_some_and(|address| address.contains(':'));
    let destination = if v6 { "::/0" } else { "0.0.0.0/0" };
    object([("NextHop", Some(gateway)), ("DestinationPrefix", Some(Value::from(destination)))])
}
