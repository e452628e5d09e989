//! The normal form in which documents are printed.

use hostcompute_schema::{
    AclPolicySetting, Document, EndpointPolicy, EndpointPolicyType, HostComputeEndpoint,
    HostComputeNetwork, HostComputeRoute, ModifyNamespaceSettingRequest, SubnetPolicy,
    VlanPolicySetting, VsidPolicySetting, parse,
};

#[track_caller]
fn normal<T: Document>(text: &str, expected: &str) {
    let parsed = parse::<T>(text).unwrap_or_else(|failure| panic!("{text}: {failure}"));
    assert_eq!(parsed.document.to_value().to_string(), expected);
}

#[test]
fn members_come_in_schema_order_with_the_inherited_first() {
    normal::<HostComputeNetwork>(
        r#"{"Flags":8,"Ipams":[{"Type":"Static"}],"Dns":{"Domain":"d"},"SchemaVersion":
            {"Minor":0,"Major":2},"Type":"Private","Name":"n","Owner":"o"}"#,
        r#"{"Owner":"o","Name":"n","SchemaVersion":{"Major":2,"Minor":0},"Type":"Private","Dns":{"Domain":"d"},"Ipams":[{}],"Flags":8}"#,
    );
    normal::<AclPolicySetting>(
        r#"{"RuleType":"Switch","Direction":"in","Action":"allow","Priority":200,
            "RemoteAddresses":"10.0.0.21","Protocols":"6"}"#,
        r#"{"Protocols":"6","RemoteAddresses":"10.0.0.21","Priority":200,"Action":"Allow","Direction":"In","RuleType":"Switch"}"#,
    );
}

#[test]
fn defaults_are_left_out() {
    normal::<HostComputeNetwork>(
        r#"{"Type":"NAT","Name":"","Flags":0,"Policies":[],"Version":0}"#,
        "{}",
    );
    normal::<HostComputeEndpoint>(
        r#"{"MacAddress":"","IpConfigurations":[{"PrefixLength":0}]}"#,
        r#"{"IpConfigurations":[{}]}"#,
    );
}

#[test]
fn some_members_are_printed_whatever_they_hold() {
    normal::<VlanPolicySetting>(r#"{"IsolationId":0}"#, r#"{"IsolationId":0}"#);
    normal::<VsidPolicySetting>(r#"{"IsolationId":0}"#, "{}");
    normal::<EndpointPolicy>(
        r#"{"Type":"PortMapping","Settings":{}}"#,
        r#"{"Type":"PortMapping","Settings":{}}"#,
    );
    normal::<SubnetPolicy>(
        r#"{"Data":{"IsolationId":7},"Type":"vlan"}"#,
        r#"{"Type":"VLAN","Settings":{"IsolationId":7}}"#,
    );
    normal::<ModifyNamespaceSettingRequest>(
        r#"{"ResourceType":"Container","RequestType":"Add"}"#,
        r#"{"RequestType":"Add","ResourceType":"Container"}"#,
    );
}

#[test]
fn a_route_is_printed_under_both_names() {
    normal::<HostComputeRoute>(
        r#"{"Setting":[{"NeedEncap":true,"NextHop":"127.10.0.34"}]}"#,
        r#"{"Setting":[{"NextHop":"127.10.0.34","NeedEncap":true}],"Routes":[{"NextHop":"127.10.0.34","NeedEncap":true}]}"#,
    );
}

#[test]
fn texts_stay_as_they_were_written() {
    normal::<HostComputeEndpoint>(
        r#"{"MacAddress":"aa:bb:cc:DD:ee:ff","IpConfigurations":[{"IpAddress":"010.0.0.1"}]}"#,
        r#"{"IpConfigurations":[{"IpAddress":"010.0.0.1"}],"MacAddress":"aa:bb:cc:DD:ee:ff"}"#,
    );
}

#[test]
fn unknown_members_come_last() {
    normal::<HostComputeNetwork>(
        r#"{"Zeta":[1],"Name":"n","Alpha":{"b":null}}"#,
        r#"{"Name":"n","Zeta":[1],"Alpha":{"b":null}}"#,
    );
}

#[test]
fn policies_are_made_from_their_settings() {
    let acl = AclPolicySetting { priority: Some(7), ..AclPolicySetting::default() };
    let policy = EndpointPolicy::new(EndpointPolicyType::ACL, &acl);
    assert_eq!(policy.to_value().to_string(), r#"{"Type":"ACL","Settings":{"Priority":7}}"#);
}

#[test]
fn serde_goes_the_same_way() {
    let network: HostComputeNetwork = serde_json::from_str(r#"{"name":"n","Type":"nat"}"#).unwrap();
    assert_eq!(serde_json::to_string(&network).unwrap(), r#"{"Name":"n"}"#);
    let error = serde_json::from_str::<HostComputeNetwork>(r#"{"Name":1}"#).unwrap_err();
    assert!(error.to_string().contains("expected a string"), "{error}");
}
