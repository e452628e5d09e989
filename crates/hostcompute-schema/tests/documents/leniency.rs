//! What is accepted although it is not written as the schema has it.

use hostcompute_schema::{
    AclPolicySetting, Document, EndpointPolicy, EndpointPolicyType, GuestNetworkServiceState,
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork,
    HostComputeQuery, HostComputeQueryFlags, HostComputeRoute, IovPolicySetting,
    L4ProxyPolicySetting, LoadBalancerDistribution, NamespaceType, NetworkFlags, NetworkMode,
    OutboundNatPolicySetting, PortMappingPolicySetting, ProtocolType, SetPolicySetting,
    SetPolicyTypes, SubnetPolicy, parse, parse_query,
};

#[track_caller]
fn read<T: Document>(text: &str) -> T {
    let parsed = parse::<T>(text).unwrap_or_else(|failure| panic!("{text}: {failure}"));
    assert_eq!(parsed.warnings, [], "{text}");
    parsed.document
}

#[test]
fn member_names_are_read_in_any_case() {
    let endpoint: HostComputeEndpoint =
        read(r#"{"name": "e", "IPConfigurations": [{"ipaddress": "10.0.0.2"}]}"#);
    assert_eq!(endpoint.base.name.as_deref(), Some("e"));
    assert_eq!(endpoint.ip_configurations[0].ip_address.as_deref(), Some("10.0.0.2"));
    for id in ["Id", "ID", "id"] {
        let acl: AclPolicySetting = read(&format!(r#"{{"{id}": "rule"}}"#));
        assert_eq!(acl.id.as_deref(), Some("rule"));
    }
}

#[test]
fn renamed_members_are_read_under_every_published_name() {
    for body in ["Settings", "Data"] {
        let text = format!(r#"{{"Type": "VLAN", "{body}": {{"IsolationId": 7}}}}"#);
        assert!(read::<SubnetPolicy>(&text).settings.is_some());
        let text = format!(r#"{{"Type": "QOS", "{body}": {{}}}}"#);
        assert!(read::<EndpointPolicy>(&text).settings.is_some());
    }
    for vips in ["FrontendVIPs", "VirtualIPs"] {
        let balancer: HostComputeLoadBalancer = read(&format!(r#"{{"{vips}": ["1.1.1.1"]}}"#));
        assert_eq!(balancer.frontend_vips, ["1.1.1.1"]);
    }
    for routes in ["Routes", "Setting"] {
        let text = format!(r#"{{"{routes}": [{{"NextHop": "127.10.0.34"}}]}}"#);
        assert_eq!(read::<HostComputeRoute>(&text).routes.len(), 1);
    }
    for list in ["Exceptions", "ExceptionList"] {
        let text = format!(r#"{{"{list}": ["10.0.0.0/8"], "OutboundNAT": true}}"#);
        let proxy: L4ProxyPolicySetting = read(&text);
        assert_eq!((proxy.exception_list.len(), proxy.outbound_nat), (1, Some(true)));
        let text = format!(r#"{{"{list}": ["10.0.0.0/8"]}}"#);
        assert_eq!(read::<OutboundNatPolicySetting>(&text).exceptions.len(), 1);
    }
}

#[test]
fn null_and_empty_objects_and_the_zero_guid_are_absent() {
    let network: HostComputeNetwork = read(
        r#"{"ID": "00000000-0000-0000-0000-000000000000", "MacPool": {}, "Dns": {},
            "Health": {"Extra": {}}, "Ipams": null, "Flags": null, "Type": "",
            "SchemaVersion": {"Major": 0, "Minor": 0}, "SomethingElse": null}"#,
    );
    assert_eq!(network, HostComputeNetwork::default());
    let endpoint: HostComputeEndpoint = read(
        r#"{"MacAddress": null, "HostComputeNamespace": "00000000-0000-0000-0000-000000000000"}"#,
    );
    assert_eq!(endpoint, HostComputeEndpoint::default());
}

#[test]
fn the_last_of_several_spellings_counts() {
    let network: HostComputeNetwork = read(r#"{"Name": "a", "Name": "b", "name": "c"}"#);
    assert_eq!(network.base.name.as_deref(), Some("c"));
}

#[test]
fn guids_are_read_in_any_case_and_with_braces() {
    for id in [
        "910f7d92-ba2d-4c3f-98ae-7c0ac590d2dc",
        "910F7D92-BA2D-4C3F-98AE-7C0AC590D2DC",
        "{910F7D92-BA2D-4C3F-98AE-7C0AC590D2DC}",
    ] {
        let network: HostComputeNetwork = read(&format!(r#"{{"ID": "{id}"}}"#));
        assert_eq!(network.to_value()["ID"], "910f7d92-ba2d-4c3f-98ae-7c0ac590d2dc");
    }
}

#[test]
fn kinds_are_read_in_any_case_and_unknown_ones_are_kept() {
    let kind =
        |text: &str| read::<HostComputeNetwork>(&format!(r#"{{"Type": "{text}"}}"#)).kind.unwrap();
    assert_eq!(kind("nat"), NetworkMode::NAT);
    assert_eq!(kind("l2bridge"), NetworkMode::L2Bridge);
    assert_eq!(kind("Layered"), NetworkMode::Unknown("Layered".into()));
    assert_eq!(kind("Layered").name(), "Layered");
    let policy: EndpointPolicy = read(r#"{"Type": "SDNROUTE", "Settings": {}}"#);
    assert_eq!(policy.kind, Some(EndpointPolicyType::SDNRoute));
}

#[test]
fn flags_are_numbers_or_names() {
    let flags = |text: &str| {
        read::<HostComputeNetwork>(&format!(r#"{{"Flags": {text}}}"#)).flags.unwrap_or_default()
    };
    let both = NetworkFlags::ENABLE_DNS_PROXY | NetworkFlags::ENABLE_NON_PERSISTENT;
    for text in
        ["9", r#""EnableDnsProxy,EnableNonPersistent""#, r#""enabledns, ENABLENONPERSISTENT""#]
    {
        assert_eq!(flags(text), both, "{text}");
    }
    for text in ["0", r#""""#, r#""None""#] {
        assert_eq!(flags(text), NetworkFlags::NONE, "{text}");
    }
    assert_eq!(both.to_string(), "EnableDnsProxy,EnableNonPersistent");
    assert_eq!(NetworkFlags(0x8000_0001).to_string(), "EnableDnsProxy,0x80000000");
    assert_eq!(NetworkFlags::NONE.to_string(), "None");
    assert_eq!(flags("2147483649").unnamed(), NetworkFlags(0x8000_0000));
}

#[test]
fn protocols_are_numbers_or_names() {
    let protocol = |text: &str| {
        let mapping: PortMappingPolicySetting = read(&format!(r#"{{"Protocol": {text}}}"#));
        mapping.protocol.unwrap()
    };
    assert_eq!(protocol("6"), ProtocolType::TCP);
    assert_eq!(protocol(r#""TCP""#), ProtocolType::TCP);
    assert_eq!(protocol(r#""udp""#), ProtocolType::UDP);
    assert_eq!(protocol("132"), ProtocolType::SCTP);
    assert_eq!(protocol("99").to_string(), "99");
}

#[test]
fn numbers_stand_for_kinds_where_clients_send_them() {
    let set =
        |text: &str| read::<SetPolicySetting>(&format!(r#"{{"PolicyType": {text}}}"#)).policy_type;
    assert_eq!(set("1"), Some(SetPolicyTypes::NESTEDIPSET));
    assert_eq!(set(r#""nestedipset""#), Some(SetPolicyTypes::NESTEDIPSET));
    let iov: IovPolicySetting = read(r#"{"InterruptModeration": 0, "IovOffloadWeight": 100}"#);
    assert!(iov.interrupt_moderation.is_some());
    let state: hostcompute_schema::GuestNetworkServiceStateRequest = read(r#"{"State": 3}"#);
    assert_eq!(state.state, Some(GuestNetworkServiceState::Synchronized));
    let balancer: HostComputeLoadBalancer =
        read(r#"{"PortMappings": [{"DistributionType": "SourceIP"}, {"DistributionType": 2}]}"#);
    for mapping in balancer.port_mappings {
        assert_eq!(mapping.distribution_type, Some(LoadBalancerDistribution::SOURCE_IP));
    }
}

#[test]
fn empty_texts_in_lists_and_missing_next_hops_are_tolerated() {
    let endpoint: HostComputeEndpoint = read(
        r#"{"Dns": {"Search": [""]}, "Routes": [{"DestinationPrefix": "::/0"}],
            "IpConfigurations": [{}, {"PrefixLength": 24}]}"#,
    );
    assert_eq!(endpoint.dns.unwrap().search, [""]);
    assert_eq!((endpoint.routes.len(), endpoint.ip_configurations.len()), (1, 2));
}

#[test]
fn a_namespace_without_a_type_is_the_default_one() {
    let namespace: HostComputeNamespace =
        read(r#"{"Type": "", "SchemaVersion": {"Major": 0, "Minor": 0}}"#);
    assert_eq!(namespace.kind.unwrap_or_default(), NamespaceType::Host);
}

#[test]
fn no_query_asks_for_everything() {
    for text in ["", "  ", "{}", "null"] {
        assert_eq!(parse_query(text).unwrap().document, HostComputeQuery::default());
    }
    let query = parse_query(r#"{"Flags": "Detailed", "Filter": "{}"}"#).unwrap().document;
    assert_eq!(query.flags, Some(HostComputeQueryFlags::DETAILED));
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert!(parse::<HostComputeNetwork>("\u{feff}{\"Name\": \"n\"}").is_ok());
}

#[test]
fn unknown_members_are_kept_and_told() {
    let text = "{\n  \"Name\": \"n\",\n  \"Polices\": [],\n  \"IPv6\": true\n}";
    let parsed = parse::<HostComputeNetwork>(text).unwrap();
    let told: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "HostComputeNetwork has no member \"Polices\"; did you mean \"Policies\"? \
             (at Polices, 3:3)",
            "HostComputeNetwork has no member \"IPv6\"; it is ignored (at IPv6, 4:3)",
        ]
    );
    assert_eq!(parsed.document.unknown.get("IPv6"), Some(&true.into()));
}
