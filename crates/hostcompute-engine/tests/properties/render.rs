//! Commands as documents: JSON text in the words of the published schema, in one of the spellings that mean the same.

use hostcompute_schema::Guid;
use ipnet::IpNet;
use serde_json::{Map, Value, json};

use crate::command::{
    Action, AddressWish, BAD_ACLS, BalancerWish, EndpointWish, Extra, Filter, Gateway,
    GuestServiceWish, How, IdWish, Kind, MacWish, NAMESPACE_TYPES, NamespaceWish, Naming,
    NetworkWish, PORT_LISTS, PREFIXES, PROTOCOL_LISTS, Policy, Pool, RANGES, REMOTES, RemoteWish,
    RouteWish, Rule, Spelling, SubnetWish, TYPES, Tier, UNKNOWN_POLICIES, VIPS,
};
use crate::{detours, sets, sidecars};

/// The ids that callers choose: the same few, so that they collide.
pub fn chosen_id(kind: Kind, number: u8) -> Guid {
    let mut bytes = [0xAB; 16];
    bytes[0] = kind as u8;
    bytes[15] = number;
    Guid::from_bytes(bytes)
}

/// The id in the call and the id in the document.
pub fn ids(kind: Kind, wish: IdWish) -> (Option<Guid>, Option<Guid>) {
    let id = |number| Some(chosen_id(kind, number));
    match wish {
        IdWish::Service => (None, None),
        IdWish::Parameter(a) => (id(a), None),
        IdWish::Member(b) => (None, id(b)),
        IdWish::Both(a, b) => (id(a), id(b)),
    }
}

pub fn name(number: u8) -> String {
    format!("n{number}")
}

fn start(kind: Kind, id: IdWish) -> Map<String, Value> {
    let mut document = Map::new();
    if let (_, Some(id)) = ids(kind, id) {
        document.insert("ID".into(), id.to_string().into());
    }
    document.insert("SchemaVersion".into(), json!({"Major": 2, "Minor": 0}));
    document
}

pub fn network(wish: &NetworkWish) -> String {
    let mut document = start(Kind::Network, wish.id);
    if let Some(number) = wish.name {
        document.insert("Name".into(), name(number).into());
    }
    if !TYPES[wish.kind].is_empty() {
        document.insert("Type".into(), TYPES[wish.kind].into());
    }
    if wish.flags != 0 {
        document.insert("Flags".into(), wish.flags.into());
    }
    if !wish.subnets.is_empty() {
        let overlay = TYPES[wish.kind] == "Overlay";
        let subnets: Vec<Value> = wish.subnets.iter().map(|wish| subnet(wish, overlay)).collect();
        document.insert("Ipams".into(), json!([{"Type": "Static", "Subnets": subnets}]));
    }
    match wish.pool {
        Pool::Absent => document.insert("MacPool".into(), json!({})),
        Pool::Small(size) => document.insert(
            "MacPool".into(),
            json!({"Ranges": [{
                "StartMacAddress": "00-15-5D-AA-00-00",
                "EndMacAddress": format!("00-15-5D-AA-00-{:02X}", size - 1),
            }]}),
        ),
        Pool::Backwards => document.insert(
            "MacPool".into(),
            json!({"Ranges": [{
                "StartMacAddress": "00-15-5D-AA-00-09",
                "EndMacAddress": "00-15-5D-AA-00-00",
            }]}),
        ),
    };
    let adapter = json!({"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "nobody"}});
    let source = source_mac(wish).map(|number| {
        let mac = format!("02-00-5E-10-00-{number:02X}");
        json!({"Type": "SourceMacAddress", "Settings": {"SourceMacAddress": mac}})
    });
    let policies: Vec<Value> = wish.policy.then_some(adapter).into_iter().chain(source).collect();
    if !policies.is_empty() {
        document.insert("Policies".into(), policies.into());
    }
    spell(document, wish.spelling)
}

/// What a document says of it: only L2Bridge networks can have one.
pub fn source_mac(wish: &NetworkWish) -> Option<u8> {
    wish.source_mac.filter(|_| TYPES[wish.kind] == "L2Bridge")
}

fn subnet(wish: &SubnetWish, overlay: bool) -> Value {
    let prefix = PREFIXES[wish.prefix];
    let everything = if prefix.contains(':') { "::/0" } else { "0.0.0.0/0" };
    let mut subnet = Map::new();
    subnet.insert("IpAddressPrefix".into(), prefix.into());
    if let Some(gateway) = gateway(wish) {
        let route = json!({"NextHop": gateway, "DestinationPrefix": everything});
        subnet.insert("Routes".into(), json!([route]));
    }
    if overlay {
        let vsid = prefix.parse().map_or(4096, |net| crate::model::vsid(&net));
        let policy = json!({"Type": "VSID", "Settings": {"IsolationId": vsid}});
        subnet.insert("Policies".into(), json!([policy]));
    }
    Value::Object(subnet)
}

/// The gateway as the document spells it.
pub fn gateway(wish: &SubnetWish) -> Option<String> {
    let v6 = PREFIXES[wish.prefix].contains(':');
    match wish.gateway {
        Gateway::Absent => None,
        Gateway::Offset(offset) => {
            let net: Option<IpNet> = PREFIXES[wish.prefix].parse().ok();
            Some(net.map_or("10.9.0.1".into(), |net| offset_in(&net, offset).to_string()))
        }
        Gateway::Elsewhere => Some(if v6 { "fd77::1" } else { "192.0.2.77" }.into()),
        Gateway::Malformed => Some("1.2.3".into()),
    }
}

/// The address this far above a prefix's first.
pub fn offset_in(net: &IpNet, offset: u8) -> std::net::IpAddr {
    match net {
        IpNet::V4(net) => {
            std::net::Ipv4Addr::from_bits(net.network().to_bits() + u32::from(offset)).into()
        }
        IpNet::V6(net) => {
            std::net::Ipv6Addr::from_bits(net.network().to_bits() + u128::from(offset)).into()
        }
    }
}

pub fn namespace(wish: &NamespaceWish) -> String {
    let mut document = start(Kind::Namespace, wish.id);
    document.insert("NamespaceId".into(), 5.into());
    if !NAMESPACE_TYPES[wish.kind].is_empty() {
        document.insert("Type".into(), NAMESPACE_TYPES[wish.kind].into());
    }
    spell(document, wish.spelling)
}

/// An endpoint's document on a network with these subnets.
pub fn endpoint(wish: &EndpointWish, network: Guid, subnets: &[IpNet]) -> String {
    let mut document = start(Kind::Endpoint, wish.id);
    if let Some(number) = wish.name {
        document.insert("Name".into(), name(number).into());
    }
    if matches!(wish.naming, Naming::Member) {
        document.insert("HostComputeNetwork".into(), network.to_string().into());
    }
    if wish.flags != 0 {
        document.insert("Flags".into(), wish.flags.into());
    }
    let addresses: Vec<Value> = wish.addresses.iter().map(|wish| address(*wish, subnets)).collect();
    if !addresses.is_empty() {
        document.insert("IpConfigurations".into(), addresses.into());
    }
    if let Some(mac) = mac(wish.mac) {
        document.insert("MacAddress".into(), mac.into());
    }
    let mut all = policies(&wish.policies);
    if let (Some(host), Value::Array(all)) = (wish.remote, &mut all) {
        all.push(provider_policy(host));
    }
    if all != json!([]) {
        document.insert("Policies".into(), all);
    }
    spell(document, wish.spelling)
}

/// The address of a host on the network below; this one has number 1.
pub fn provider(host: u8) -> String {
    format!("198.51.100.{host}")
}

pub fn provider_policy(host: u8) -> Value {
    json!({"Type": "ProviderAddress", "Settings": {"ProviderAddress": provider(host)}})
}

/// What is behind another host.
pub fn remote_subnet(wish: &RemoteWish) -> Value {
    let RemoteWish { range, vsid, host } = *wish;
    json!({"Type": "RemoteSubnetRoute", "Settings": {
        "DestinationPrefix": RANGES[range],
        "IsolationId": vsid,
        "ProviderAddress": provider(host),
        "DistributedRouterMacAddress": format!("02-68-C6-33-64-0{host}"),
    }})
}

fn address(wish: AddressWish, subnets: &[IpNet]) -> Value {
    match wish {
        AddressWish::Any => json!({}),
        AddressWish::AnyWithLength(length) => json!({"PrefixLength": length}),
        AddressWish::Offset(..) | AddressWish::InRange(_) => {
            json!({"IpAddress": explicit(wish, subnets).to_string()})
        }
        AddressWish::Elsewhere => json!({"IpAddress": "198.51.100.200", "PrefixLength": 24}),
        AddressWish::Malformed => json!({"IpAddress": "10.1.0.999"}),
    }
}

/// The address that a wish names.
pub fn explicit(wish: AddressWish, subnets: &[IpNet]) -> std::net::IpAddr {
    let fallback: IpNet = IpNet::V4(ipnet::Ipv4Net::new_assert([10, 1, 0, 0].into(), 24));
    match wish {
        AddressWish::Offset(subnet, offset) => {
            let place = usize::from(subnet) % subnets.len().max(1);
            offset_in(subnets.get(place).unwrap_or(&fallback), offset)
        }
        AddressWish::InRange(range) => {
            offset_in(&RANGES[usize::from(range)].parse().unwrap_or(fallback), 7)
        }
        _ => offset_in(&fallback, 0),
    }
}

pub fn mac(wish: MacWish) -> Option<String> {
    match wish {
        MacWish::Service => None,
        MacWish::Given(number) => Some(format!("00:15:5d:00:00:0{number}")),
        MacWish::Group => Some("01-00-5E-00-00-01".into()),
        MacWish::Malformed => Some("00-15-5D".into()),
    }
}

pub fn policies(policies: &[Policy]) -> Value {
    policies.iter().map(policy).collect()
}

/// A policy in the normal form in which it is to come back (hcn.md 0.3 rule 10).
pub fn policy(policy: &Policy) -> Value {
    let (kind, settings) = match policy {
        Policy::Mapping { protocol, external, internal } => {
            let settings =
                json!({"Protocol": protocol, "InternalPort": internal, "ExternalPort": external});
            ("PortMapping", settings)
        }
        Policy::Acl(rule) => ("ACL", acl(rule)),
        Policy::BadAcl(which) => {
            ("ACL", serde_json::from_str(BAD_ACLS[*which]).expect("the constant is JSON"))
        }
        Policy::Qos(rate) => ("QOS", json!({"MaximumOutgoingBandwidthInBytes": rate})),
        Policy::Mtu(mtu) => ("InterfaceParameters", json!({"Mtu": mtu})),
        Policy::PortName(number) => ("PortName", json!({"Name": format!("port{number}")})),
        Policy::OutboundNat { most, exceptions } => {
            let exceptions: Vec<&str> = exceptions.iter().map(|which| REMOTES[*which]).collect();
            ("OutBoundNAT", json!({"Exceptions": exceptions, "MaxPortPoolUsage": most}))
        }
        Policy::Route(entry) => ("SDNRoute", detours::settings(entry)),
        Policy::Sidecar(sidecar) => ("L4WFPPROXY", sidecars::settings(sidecar)),
        Policy::Tier(tier) => ("TierAcl", tier_settings(tier)),
        Policy::Unknown(which) => (UNKNOWN_POLICIES[*which], json!({})),
    };
    json!({"Type": kind, "Settings": settings})
}

/// A rule of a network, for all its endpoints.
pub fn network_rule(rule: &Rule) -> Value {
    json!({"Type": "NetworkACL", "Settings": acl(rule)})
}

fn acl(rule: &Rule) -> Value {
    let mut settings = packets(rule);
    settings.insert("Action".into(), action(rule.action).into());
    settings.insert("Direction".into(), if rule.inbound { "In" } else { "Out" }.into());
    settings.insert("RuleType".into(), if rule.inner { "Host" } else { "Switch" }.into());
    Value::Object(settings)
}

fn tier_settings(tier: &Tier) -> Value {
    let one = |rule: &Rule| {
        let mut settings = packets(rule);
        settings.insert("TierAclRuleAction".into(), action(rule.action).into());
        Value::Object(settings)
    };
    let rules: Vec<Value> = tier.rules.iter().map(one).collect();
    let direction = if tier.inbound { "In" } else { "Out" };
    json!({"Direction": direction, "Order": tier.order, "TierAclRules": rules})
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Allow => "Allow",
        Action::Block => "Block",
        Action::Pass => "Pass",
    }
}

/// Which packets a rule means.
fn packets(rule: &Rule) -> Map<String, Value> {
    let mut settings = Map::new();
    let mut put = |name: &str, value: Value| settings.insert(name.into(), value);
    let remotes: Vec<&str> = rule.remote.iter().map(|which| REMOTES[*which]).collect();
    if !PROTOCOL_LISTS[rule.protocols].is_empty() {
        put("Protocols", PROTOCOL_LISTS[rule.protocols].into());
    }
    if !rule.from_sets.is_empty() {
        put("LocalAddresses", sets::names(&rule.from_sets).into());
    }
    if !rule.to_sets.is_empty() {
        put("RemoteAddresses", sets::names(&rule.to_sets).into());
    }
    if !remotes.is_empty() {
        put("RemoteAddresses", remotes.join(",").into());
    }
    if let Some(which) = rule.local_ports {
        put("LocalPorts", PORT_LISTS[which].into());
    }
    if let Some(which) = rule.remote_ports {
        put("RemotePorts", PORT_LISTS[which].into());
    }
    put("Priority", rule.priority.into());
    settings
}

pub fn route(wish: &RouteWish, endpoints: &[Guid]) -> String {
    let mut document = start(Kind::Route, wish.id);
    let endpoints: Vec<String> = endpoints.iter().map(Guid::to_string).collect();
    document.insert("HostComputeEndpoints".into(), endpoints.into());
    let entries: Vec<Value> = wish.entries.iter().map(detours::settings).collect();
    document.insert("Routes".into(), entries.into());
    spell(document, wish.spelling)
}

pub fn guest_service(wish: &GuestServiceWish) -> String {
    let mut document = start(Kind::GuestService, wish.id);
    document.insert("Flags".into(), wish.flags.into());
    spell(document, wish.spelling)
}

/// What backends see in place of the client.
pub const SOURCE_VIP: &str = "10.77.0.7";

pub fn balancer(wish: &BalancerWish, endpoints: &[Guid], new: bool) -> String {
    let mut document = if new { start(Kind::Balancer, wish.id) } else { Map::new() };
    let endpoints: Vec<String> = endpoints.iter().map(Guid::to_string).collect();
    document.insert("HostComputeEndpoints".into(), endpoints.into());
    let vips: Vec<&str> = wish.vips.iter().map(|which| VIPS[*which]).collect();
    if !vips.is_empty() {
        document.insert("FrontendVIPs".into(), vips.into());
    }
    let flags = match wish.extra {
        Extra::Nothing | Extra::Source => 0,
        Extra::Internal => 1,
        Extra::InternalAndLocal => 3,
        Extra::Preserve => 8,
    };
    if wish.extra == Extra::Source {
        document.insert("SourceVIP".into(), SOURCE_VIP.into());
    }
    let mapping = |(protocol, external, internal): &(u8, u16, u16)| {
        json!({
            "Protocol": protocol,
            "InternalPort": internal,
            "ExternalPort": external,
            "DistributionType": wish.affinity,
            "Flags": flags,
        })
    };
    let mappings: Vec<Value> = wish.mappings.iter().map(mapping).collect();
    document.insert("PortMappings".into(), mappings.into());
    document.insert("SchemaVersion".into(), json!({"Major": 2, "Minor": 0}));
    spell(document, wish.spelling)
}

pub fn modify(resource: &str, how: &str, settings: Value) -> String {
    json!({"ResourceType": resource, "RequestType": how, "Settings": settings}).to_string()
}

pub fn how(how: How) -> &'static str {
    match how {
        How::Add => "Add",
        How::Update => "Update",
        How::Remove => "Remove",
        How::Refresh => "Refresh",
        How::Reset => "Reset",
    }
}

/// A query with a filter about an object.
pub fn query(filter: Filter, about: Guid) -> String {
    let filter = match filter {
        Filter::None => return String::new(),
        Filter::Name(number) => json!({"Name": name(number)}).to_string(),
        // Comparison of GUIDs does not mind their case (hcn.md 0.3 rule 7).
        Filter::Id(_) => json!({"ID": about.to_string().to_uppercase()}).to_string(),
        Filter::Network(_, false) => json!({"VirtualNetwork": about.to_string()}).to_string(),
        Filter::Network(_, true) => json!({"HostComputeNetwork": about.to_string()}).to_string(),
        Filter::State(state) => json!({"State": state}).to_string(),
        Filter::Flags(flags) => json!({"Flags": flags}).to_string(),
        Filter::NameAndFlags(number, flags) => {
            json!({"Name": name(number), "Flags": flags}).to_string()
        }
        Filter::NetworkAndState(_, state) => {
            json!({"HostComputeNetwork": about.to_string(), "State": state}).to_string()
        }
        Filter::UnknownMember => json!({"Colour": "blue"}).to_string(),
        Filter::EmptyId => json!({"ID": ""}).to_string(),
        Filter::Malformed => "{\"Name\":".into(),
    };
    json!({"SchemaVersion": {"Major": 2, "Minor": 0}, "Filter": filter}).to_string()
}

fn spell(mut document: Map<String, Value>, spelling: Spelling) -> String {
    match spelling {
        Spelling::Exact => {}
        Spelling::LowerCase => return lower(Value::Object(document)).to_string(),
        Spelling::WithNullsAndUnknowns => {
            document.insert("Owner".into(), Value::Null);
            document.insert("Flavour".into(), json!({"Deep": [1, {"x": null}]}));
        }
        Spelling::UpperCaseIds => {
            for member in ["ID", "HostComputeNetwork"] {
                if let Some(Value::String(id)) = document.get_mut(member) {
                    *id = format!("{{{}}}", id.to_uppercase());
                }
            }
        }
    }
    Value::Object(document).to_string()
}

fn lower(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name.to_lowercase(), lower(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(lower).collect(),
        other => other,
    }
}
