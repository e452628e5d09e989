//! Version 1 documents on the way out (hcn.md 2.20): ids in upper case, members flat.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::policy::{encap_overhead, endpoint_policies, network_policies, subnet_policies, typed};
use crate::document::Document;
use crate::guid::Guid;
use crate::hcn::{
    AutomaticDnsNetworkPolicySetting, Base, Dns, EndpointFlags, EndpointPolicyType,
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork,
    HostComputeRoute, IpSubnet, LoadBalancerFlags, LoadBalancerPortMapping,
    LoadBalancerPortMappingFlags, NamespaceType, NetworkFlags, NetworkMode, NetworkPolicyType,
    PortnameEndpointPolicySetting, Route, Subnet,
};

/// What version 1 calls the two kinds of address range.
const SUBNET_OBJECT: u32 = 5;
const IP_SUBNET_OBJECT: u32 = 6;

/// An object that is put together member by member; what is absent is left out.
#[derive(Default)]
struct Printed(Map<String, Value>);

impl Printed {
    fn put(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.0.insert(name.into(), value.into());
        }
    }

    fn put_text(&mut self, name: &str, text: Option<&str>) {
        self.put(name, text.filter(|text| !text.is_empty()));
    }

    fn put_set(&mut self, name: &str, set: bool) {
        self.put(name, set.then_some(true));
    }

    fn put_base(&mut self, base: &Base) {
        self.put("ID", base.id.map(|id| id.to_upper()));
        self.put_text("Name", base.name.as_deref());
        self.put("Version", base.version);
        self.put("State", base.state);
        self.put("Health", base.health.as_ref().map(|health| health.to_value()));
    }

    fn put_dns(&mut self, dns: Option<&Dns>) {
        let Some(dns) = dns else { return };
        self.put_text("DNSDomain", dns.domain.as_deref());
        self.put_text("DNSSuffix", Some(&dns.search.join(",")));
        self.put_text("DNSServerList", Some(&dns.server_list.join(",")));
    }

    /// The network of a policy list, and the endpoints that it is about.
    fn put_references(&mut self, network: &Option<String>, endpoints: &[String]) {
        let network = network.as_deref().map(str::to_ascii_uppercase);
        self.put_text("HostComputeNetwork", network.as_deref());
        let endpoints = endpoints.iter().map(|id| {
            let id =
                id.parse::<Guid>().map_or_else(|_| id.to_ascii_lowercase(), |id| id.to_string());
            Value::from(format!("/endpoints/{id}"))
        });
        self.put_list("References", endpoints.collect());
    }

    fn put_list(&mut self, name: &str, list: Vec<Value>) {
        self.put(name, (!list.is_empty()).then_some(list));
    }
}

/// A network as version 1 has it.
pub fn to_v1_network(network: &HostComputeNetwork) -> Value {
    let mut printed = Printed::default();
    printed.put_base(&network.base);
    let kind = network.kind.as_ref().filter(|kind| **kind != NetworkMode::NAT);
    printed.put("Type", kind.map(|kind| kind.name()));
    let flags = network.flags.unwrap_or_default();
    printed.put("Flags", (!flags.is_empty()).then_some(flags.0));
    printed.put_set("IsolateSwitch", flags.contains(NetworkFlags::ISOLATE_V_SWITCH));
    printed.put("Policies", network_policies(&network.policies));
    put_adapter(&mut printed, network);
    let ranges = network.mac_pool.iter().flat_map(|pool| &pool.ranges);
    printed.put_list("MacPools", ranges.map(Document::to_value).collect());
    let subnets = network.ipams.iter().flat_map(|ipam| &ipam.subnets);
    printed.put_list("Subnets", subnets.map(v1_subnet).collect());
    printed.put_dns(network.dns.as_ref());
    let extra = network.base.health.as_ref().and_then(|health| health.extra.as_ref());
    printed.put("LayeredOn", extra.and_then(|extra| extra.layered_on).map(|id| id.to_upper()));
    Value::Object(printed.0)
}

/// The policies of a network that version 1 has as members.
fn put_adapter(printed: &mut Printed, network: &HostComputeNetwork) {
    use NetworkPolicyType as Type;
    let settings = |kind: Type| {
        let policy = network.policies.iter().find(|policy| policy.kind == Some(kind.clone()));
        policy.and_then(|policy| policy.settings.as_ref())
    };
    for (kind, setting, member) in [
        (Type::NetAdapterName, "NetworkAdapterName", "NetworkAdapterName"),
        (Type::SourceMacAddress, "SourceMacAddress", "SourceMac"),
        (Type::ProviderAddress, "ProviderAddress", "ManagementIP"),
        (Type::DrMacAddress, "Address", "DrMacAddress"),
    ] {
        let value = settings(kind).and_then(|settings| settings.get(setting));
        printed.put_text(member, value.and_then(Value::as_str));
    }
    let automatic: AutomaticDnsNetworkPolicySetting = typed(settings(Type::AutomaticDNS));
    printed.put_set("AutomaticDNS", automatic.enable == Some(true));
    printed.put("InterfaceConstraint", settings(Type::InterfaceConstraint).cloned());
}

fn v1_subnet(subnet: &Subnet) -> Value {
    let mut printed = Printed::default();
    printed.put_base(&subnet.base);
    printed.put("ObjectType", Some(SUBNET_OBJECT));
    printed.put_text("AddressPrefix", subnet.ip_address_prefix.as_deref());
    printed.put_text("GatewayAddress", gateway(&subnet.routes, |_| true));
    printed.put("Policies", subnet_policies(&subnet.policies));
    printed.put("Flags", subnet.flags.filter(|flags| !flags.is_empty()).map(|flags| flags.0));
    printed.put_list("IpSubnets", subnet.ip_subnets.iter().map(v1_ip_subnet).collect());
    Value::Object(printed.0)
}

fn v1_ip_subnet(block: &IpSubnet) -> Value {
    let mut printed = Printed::default();
    printed.put_base(&block.base);
    printed.put("ObjectType", Some(IP_SUBNET_OBJECT));
    printed.put_text("IpAddressPrefix", block.ip_address_prefix.as_deref());
    printed.put("Flags", block.flags.filter(|flags| !flags.is_empty()).map(|flags| flags.0));
    Value::Object(printed.0)
}

/// The next hop of the first default route that is wanted.
fn gateway(routes: &[Route], wanted: impl Fn(&str) -> bool) -> Option<&str> {
    let is_default = |route: &&Route| {
        matches!(route.destination_prefix.as_deref(), Some("0.0.0.0/0" | "0.0.0.0" | "::/0" | "::"))
    };
    let mut hops = routes.iter().filter(is_default).filter_map(|route| route.next_hop.as_deref());
    hops.find(|hop| wanted(hop))
}

/// An endpoint as version 1 has it.
pub fn to_v1_endpoint(endpoint: &HostComputeEndpoint) -> Value {
    let is_v6 = |address: &str| address.contains(':');
    let mut printed = Printed::default();
    printed.put_base(&endpoint.base);
    printed.put("VirtualNetwork", endpoint.host_compute_network.map(|id| id.to_upper()));
    printed.put_text("MacAddress", endpoint.mac_address.as_deref());
    for (v6, address, length, gateway_member) in [
        (false, "IPAddress", "PrefixLength", "GatewayAddress"),
        (true, "IPv6Address", "IPv6PrefixLength", "GatewayAddressV6"),
    ] {
        let config = endpoint.ip_configurations.iter().find(|config| {
            config.ip_address.as_deref().is_some_and(|address| is_v6(address) == v6)
        });
        printed.put_text(address, config.and_then(|config| config.ip_address.as_deref()));
        printed.put(length, config.and_then(|config| config.prefix_length));
        printed.put_text(gateway_member, gateway(&endpoint.routes, |hop| is_v6(hop) == v6));
    }
    printed.put_dns(endpoint.dns.as_ref());
    printed.put("Policies", endpoint_policies(&endpoint.policies));
    let flags = endpoint.flags.unwrap_or_default();
    printed.put("Flags", (!flags.is_empty()).then_some(flags.0));
    for (member, flag) in [
        ("IsRemoteEndpoint", EndpointFlags::REMOTE_ENDPOINT),
        ("DisableICC", EndpointFlags::DISABLE_INTER_COMPUTE_COMMUNICATION),
        ("EnableLowMetric", EndpointFlags::ENABLE_LOW_INTERFACE_METRIC),
        ("EnableInternalDNS", EndpointFlags::OVERRIDE_DNS_SERVER_ORDER),
    ] {
        printed.put_set(member, flags.contains(flag));
    }
    printed.put("EncapOverhead", encap_overhead(&endpoint.policies));
    let namespace = endpoint.host_compute_namespace;
    printed.put("Namespace", namespace.map(|id| id_only(id.to_upper())));
    put_port(&mut printed, endpoint);
    Value::Object(printed.0)
}

/// The policies of an endpoint that version 1 has as members.
fn put_port(printed: &mut Printed, endpoint: &HostComputeEndpoint) {
    let settings = |kind: EndpointPolicyType| {
        let policy = endpoint.policies.iter().find(|policy| policy.kind == Some(kind.clone()));
        policy.and_then(|policy| policy.settings.as_ref())
    };
    let port: PortnameEndpointPolicySetting = typed(settings(EndpointPolicyType::PortName));
    printed.put_text("PortFriendlyName", port.name.as_deref());
    let constraint = settings(EndpointPolicyType::InterfaceConstraint).cloned();
    printed.put("InterfaceConstraint", constraint);
}

fn id_only(id: String) -> Value {
    let mut members = Map::new();
    members.insert("ID".into(), Value::from(id));
    Value::Object(members)
}

/// A namespace as version 1 has it.
pub fn to_v1_namespace(namespace: &HostComputeNamespace) -> Value {
    let mut printed = Printed::default();
    printed.put_base(&namespace.base);
    let default =
        matches!(namespace.kind, Some(NamespaceType::HostDefault | NamespaceType::GuestDefault));
    printed.put_set("IsDefault", default);
    printed.put_list("ResourceList", namespace.resources.iter().map(Document::to_value).collect());
    printed.put("CompartmentId", Some(namespace.namespace_id.unwrap_or_default()));
    printed.put("CompartmentGuid", namespace.namespace_guid.map(|id| id.to_upper()));
    Value::Object(printed.0)
}

/// A load balancer as version 1 has it: a policy list.
pub fn to_v1_load_balancer(balancer: &HostComputeLoadBalancer) -> Value {
    let mut printed = Printed::default();
    printed.put_base(&balancer.base);
    printed.put_references(&balancer.host_compute_network, &balancer.host_compute_endpoints);
    let policies = balancer.port_mappings.iter().map(|mapping| v1_balancing(balancer, mapping));
    printed.put_list("Policies", policies.collect());
    Value::Object(printed.0)
}

/// An SDN route as version 1 has it: a policy list.
pub fn to_v1_route(route: &HostComputeRoute) -> Value {
    let mut printed = Printed::default();
    printed.put_base(&route.base);
    printed.put_references(&route.host_compute_network, &route.host_compute_endpoints);
    let policies = route.routes.iter().map(|setting| {
        let mut policy = setting.write();
        policy.insert("Type".into(), "ROUTE".into());
        Value::Object(policy)
    });
    printed.put_list("Policies", policies.collect());
    Value::Object(printed.0)
}

fn v1_balancing(balancer: &HostComputeLoadBalancer, mapping: &LoadBalancerPortMapping) -> Value {
    let flags = balancer.flags.unwrap_or_default();
    let port_flags = mapping.flags.unwrap_or_default();
    let internal = LoadBalancerPortMappingFlags::ENABLE_INTERNAL_LOAD_BALANCER;
    let mut printed = Printed::default();
    printed.put("Type", Some("ELB"));
    printed.put_text("SourceVIP", balancer.source_vip.as_deref());
    printed.put_list(
        "VIPs",
        balancer.frontend_vips.iter().map(|vip| Value::from(vip.as_str())).collect(),
    );
    printed.put_set("ILB", port_flags.contains(internal));
    printed.put_set("IsDSR", flags.contains(LoadBalancerFlags::ENABLE_DIRECT_SERVER_RETURN));
    printed.put("Protocol", Some(mapping.protocol.unwrap_or_default().0));
    printed.put("InternalPort", Some(mapping.internal_port.unwrap_or_default()));
    printed.put("ExternalPort", Some(mapping.external_port.unwrap_or_default()));
    Value::Object(printed.0)
}
