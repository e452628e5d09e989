//! Parts of documents in a word or two, for tables and pictures alike.

use std::collections::BTreeMap;

use hostcompute::Guid;
use hostcompute::schema::{
    Base, EndpointPolicy, EndpointPolicyType, HostComputeEndpoint, HostComputeLoadBalancer,
    HostComputeNamespace, HostComputeNetwork, NamespaceResourceType, NamespaceType, NatFlags,
    NetworkMode, PortMappingPolicySetting, QosPolicySetting, Subnet, parse_value,
};

/// The name of an object, or the beginning of its id.
pub fn label(base: &Base) -> String {
    match base.name.as_deref() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => short(base.id.unwrap_or_default()),
    }
}

/// The first eight digits of a GUID: enough to name the object on the command line in nearly every case.
pub fn short(id: Guid) -> String {
    id.to_string().chars().take(8).collect()
}

/// NAT is the default and therefore not printed in documents.
pub fn network_kind(network: &HostComputeNetwork) -> String {
    network.kind.clone().unwrap_or(NetworkMode::NAT).name().to_owned()
}

fn subnet_list(network: &HostComputeNetwork) -> impl Iterator<Item = &Subnet> {
    network.ipams.iter().flat_map(|ipam| &ipam.subnets)
}

pub fn subnets(network: &HostComputeNetwork) -> Vec<String> {
    subnet_list(network).filter_map(|subnet| subnet.ip_address_prefix.clone()).collect()
}

pub fn gateways(network: &HostComputeNetwork) -> Vec<String> {
    let hops = subnet_list(network)
        .flat_map(|subnet| &subnet.routes)
        .filter_map(|route| route.next_hop.clone());
    let mut gateways: Vec<String> = hops.filter(|hop| !hop.is_empty()).collect();
    gateways.dedup();
    gateways
}

pub fn addresses(endpoint: &HostComputeEndpoint) -> Vec<String> {
    endpoint.ip_configurations.iter().filter_map(|config| config.ip_address.clone()).collect()
}

/// Published ports: "tcp 8080 → 80".
pub fn ports(endpoint: &HostComputeEndpoint) -> Vec<String> {
    endpoint.policies.iter().filter_map(port).collect()
}

fn port(policy: &EndpointPolicy) -> Option<String> {
    if policy.kind != Some(EndpointPolicyType::PortMapping) {
        return None;
    }
    let setting =
        parse_value::<PortMappingPolicySetting>(policy.settings.as_ref()?, "").ok()?.document;
    let mut protocol = protocol(setting.protocol.map_or(0, |protocol| protocol.0));
    if setting.flags.is_some_and(|flags| flags.contains(NatFlags::IPV6)) {
        protocol.push('6');
    }
    let (external, internal) =
        (setting.external_port.unwrap_or_default(), setting.internal_port.unwrap_or_default());
    Some(match setting.vip.filter(|vip| !vip.is_empty()) {
        Some(vip) => format!("{protocol} {vip} {external} → {internal}"),
        None => format!("{protocol} {external} → {internal}"),
    })
}

/// The policies that are no port mappings, counted by type.
pub fn policies(endpoint: &HostComputeEndpoint) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut rates = Vec::new();
    for policy in &endpoint.policies {
        match &policy.kind {
            Some(EndpointPolicyType::PortMapping) | None => {}
            Some(EndpointPolicyType::QOS) => rates.push(rate(policy)),
            Some(kind) => *counts.entry(kind.name().to_owned()).or_default() += 1,
        }
    }
    let counted = counts.into_iter().map(|(kind, count)| match count {
        1 => kind,
        _ => format!("{count} {kind}"),
    });
    counted.chain(rates).collect()
}

fn rate(policy: &EndpointPolicy) -> String {
    let bytes = policy
        .settings
        .as_ref()
        .and_then(|settings| parse_value::<QosPolicySetting>(settings, "").ok())
        .and_then(|parsed| parsed.document.maximum_outgoing_bandwidth_in_bytes)
        .unwrap_or_default();
    match bytes {
        1_000_000.. => format!("QOS {}.{} MB/s", bytes / 1_000_000, bytes / 100_000 % 10),
        1_000.. => format!("QOS {}.{} kB/s", bytes / 1_000, bytes / 100 % 10),
        _ => format!("QOS {bytes} B/s"),
    }
}

/// Host is the default and therefore not printed in documents.
pub fn namespace_kind(namespace: &HostComputeNamespace) -> String {
    namespace.kind.clone().unwrap_or(NamespaceType::Host).name().to_owned()
}

/// The host's own namespace has no name, but everybody knows what it is called.
pub fn namespace_label(namespace: &HostComputeNamespace) -> String {
    match (&namespace.base.name, &namespace.kind) {
        (None, Some(NamespaceType::HostDefault)) => "HostDefault".to_owned(),
        _ => label(&namespace.base),
    }
}

/// The endpoints in a namespace.
pub fn inside(namespace: &HostComputeNamespace) -> Vec<Guid> {
    let endpoints = namespace
        .resources
        .iter()
        .filter(|resource| resource.kind == Some(NamespaceResourceType::Endpoint));
    endpoints
        .filter_map(|resource| resource.data.as_ref()?.get("Id")?.as_str()?.parse().ok())
        .collect()
}

/// "10.96.0.10 tcp 80 → 8080", for every address and port.
pub fn frontends(balancer: &HostComputeLoadBalancer) -> Vec<String> {
    let vips: Vec<&str> = match balancer.frontend_vips.as_slice() {
        [] => vec!["every host address"],
        vips => vips.iter().map(String::as_str).collect(),
    };
    let mut frontends = Vec::new();
    for mapping in &balancer.port_mappings {
        let protocol = protocol(mapping.protocol.map_or(0, |protocol| protocol.0));
        let (external, internal) =
            (mapping.external_port.unwrap_or_default(), mapping.internal_port.unwrap_or_default());
        frontends
            .extend(vips.iter().map(|vip| format!("{vip} {protocol} {external} → {internal}")));
    }
    frontends
}

fn protocol(number: u32) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        132 => "sctp".to_owned(),
        other => format!("protocol {other}"),
    }
}
