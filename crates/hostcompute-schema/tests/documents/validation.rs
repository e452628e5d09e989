//! Checking whole documents, settings included, whatever they are.

use hostcompute_schema::{HostDocument, parse, recognise, type_named, validate};
use serde_json::{Value, json};

#[track_caller]
fn recognised(document: Value, name: &str) {
    assert_eq!(recognise(&document).map(|schema| schema.name), Some(name), "{document}");
}

#[test]
fn documents_are_recognised_by_their_members() {
    recognised(json!({"Networks": []}), "HostDocument");
    recognised(json!({"networks": []}), "HostDocument");
    recognised(json!({"Type": "nat", "Name": "n"}), "HostComputeNetwork");
    recognised(json!({"Subnets": []}), "HostComputeNetwork");
    recognised(json!({"Name": "n", "Ipams": []}), "HostComputeNetwork");
    recognised(json!({"IPConfigurations": []}), "HostComputeEndpoint");
    recognised(json!({"VirtualNetwork": "x"}), "HostComputeEndpoint");
    recognised(json!({"Type": "HostDefault"}), "HostComputeNamespace");
    recognised(json!({"FrontendVIPs": []}), "HostComputeLoadBalancer");
    recognised(json!({"HostComputeEndpoints": [], "Routes": []}), "HostComputeRoute");
    recognised(json!({"Filter": "{}"}), "HostComputeQuery");
    recognised(json!({"ResourceType": "Port"}), "ModifyEndpointSettingRequest");
    recognised(json!({"ResourceType": "Container"}), "ModifyNamespaceSettingRequest");
    recognised(json!({"ResourceType": "DNS"}), "ModifyNetworkSettingRequest");
    recognised(
        json!({"ResourceType": "Policy", "Settings": {"Policies": [{"Type": "HostRoute"}]}}),
        "ModifyNetworkSettingRequest",
    );
    recognised(
        json!({"ResourceType": "Policy", "Settings": {"Policies": [{"Type": "ACL"}]}}),
        "ModifyEndpointSettingRequest",
    );
    assert!(recognise(&json!({"Name": "n"})).is_none());
    assert!(recognise(&json!([])).is_none());
}

#[test]
fn every_list_and_every_setting_is_looked_into() {
    let text = r#"{
      "Networks": [{"Name": "n", "Type": "NAT"}],
      "Endpoints": [{
        "Name": "e", "HostComputeNetwork": "n", "HostComputeNamespace": "s",
        "Policies": [
          {"Type": "PortMapping", "Settings": {"InternalPort": 85000}},
          {"Type": "ACL", "Settings": {"Action": "Alow", "Prioriti": 5}},
          {"Type": "Nonsense", "Settings": {"Anything": 1}}
        ]
      }],
      "LoadBalancers": [{"HostComputeEndpoints": ["e"], "PortMappings": [{"Protocol": "TPC"}]}]
    }"#;
    let failures = validate(text, None).unwrap_err();
    let told: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "85000 is not a whole number from 0 to 65535 (at \
             Endpoints[0].Policies[0].Settings.InternalPort, 6:48) \
             [0x803b001b HCN_E_INVALID_JSON]",
            "\"TPC\" is not a value of ProtocolType; there are Unknown, ICMPv4, IGMP, \
             TCP, UDP, ICMPv6 and SCTP (at \
             LoadBalancers[0].PortMappings[0].Protocol, 11:75) [0x803b001b HCN_E_INVALID_JSON]",
        ]
    );
    let mended = text.replace("85000", "85").replace("TPC", "TCP");
    let validated = validate(&mended, None).unwrap();
    assert_eq!(validated.schema.name, "HostDocument");
    let told: Vec<&str> = validated.warnings.iter().map(|warning| &*warning.message).collect();
    assert_eq!(
        told,
        [
            "\"Alow\" is not a known ActionType; there are Allow, Block and Pass",
            "AclPolicySetting has no member \"Prioriti\"; did you mean \"Priority\"?",
            told[2],
        ]
    );
    assert!(told[2].starts_with("\"Nonsense\" is not a known EndpointPolicyType; there are "));
}

#[test]
fn requests_are_looked_into() {
    let text =
        r#"{"ResourceType": "Endpoint", "RequestType": "Add", "Settings": {"EndpointId": "x"}}"#;
    let failures = validate(text, None).unwrap_err();
    assert_eq!(failures[0].path.as_deref(), Some("Settings.EndpointId"));
    let text = r#"{"RequestType": "Update", "ResourceType": "Policy", "Settings":
                   {"Policies": [{"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": -1}}]}}"#;
    let failures = validate(text, None).unwrap_err();
    let path = "Settings.Policies[0].Settings.MaximumOutgoingBandwidthInBytes";
    assert_eq!(failures[0].path.as_deref(), Some(path));
}

#[test]
fn a_type_can_be_said() {
    let schema = type_named("vlanpolicysetting").unwrap();
    assert!(validate(r#"{"IsolationId": 7}"#, Some(schema)).is_ok());
    assert!(validate(r#"{"IsolationId": "7"}"#, Some(schema)).is_err());
    assert!(validate(r#"{"Name": "n"}"#, None).is_err());
    assert!(type_named("Nonsense").is_none());
}

#[test]
fn flags_without_a_name_are_told() {
    let validated = validate(r#"{"Type": "NAT", "Flags": 1073741825}"#, None).unwrap();
    assert_eq!(validated.warnings[0].message, "NetworkFlags has no flag 0x40000000");
}

#[test]
fn host_documents_keep_their_parts_raw() {
    let text = r#"{"endpoints": [{"HostComputeNetwork": "web"}], "$schema": "x", "Netwoks": []}"#;
    let parsed = parse::<HostDocument>(text).unwrap();
    assert_eq!(parsed.document.endpoints[0]["HostComputeNetwork"], "web");
    assert!(parsed.warnings[0].message.contains("did you mean \"Networks\""));
}
