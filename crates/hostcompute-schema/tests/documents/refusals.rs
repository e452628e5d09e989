//! What is refused, with which code, and what the caller is told.

use hostcompute_schema::{
    EndpointPolicy, Failure, HResult, HostComputeEndpoint, HostComputeNetwork,
    PortMappingPolicySetting, parse, parse_all, parse_network, parse_value,
};
use serde_json::json;

#[track_caller]
fn refused(text: &str, expected: &str) {
    let failure = parse_network(text).unwrap_err();
    assert_eq!(failure.to_string(), expected, "{text}");
}

#[test]
fn text_that_is_no_json_is_refused_with_its_place() {
    refused("", "the document is empty [0x803b001b HCN_E_INVALID_JSON]");
    refused("[]", "expected an object, found a list (at 1:1) [0x803b001b HCN_E_INVALID_JSON]");
    refused("null", "expected an object, found null (at 1:1) [0x803b001b HCN_E_INVALID_JSON]");
    refused(
        "{\n  \"Name\": \"é\" oops\n}",
        "expected `,` or `}` (at 2:15) [0x803b001b HCN_E_INVALID_JSON]",
    );
    refused("{\"Name\": ", "EOF while parsing a value (at 1:9) [0x803b001b HCN_E_INVALID_JSON]");
}

#[test]
fn wrong_types_and_ranges_are_refused_with_their_path() {
    refused(
        "{\"Ipams\": [{\"Subnets\": [\n  {\"Routes\": [{\"Metric\": 65536}]}]}]}",
        "65536 is not a whole number from 0 to 65535 (at Ipams[0].Subnets[0].Routes[0].Metric, \
         2:16) [0x803b001b HCN_E_INVALID_JSON]",
    );
    refused(
        "{\"Name\": 5}",
        "expected a string, found a number (at Name, 1:2) [0x803b001b HCN_E_INVALID_JSON]",
    );
    refused(
        "{\"Policies\": [\"ACL\"]}",
        "expected an object, found a string (at Policies[0], 1:15) \
         [0x803b001b HCN_E_INVALID_JSON]",
    );
    refused(
        "{\"Type\": 9}",
        "NetworkMode travels by name; the number 9 is unknown (at Type, 1:2) \
         [0x803b001b HCN_E_INVALID_JSON]",
    );
    refused(
        "{\"Flags\": \"EnableNonPersistant\"}",
        "\"EnableNonPersistant\" is not a value of NetworkFlags; did you mean \
         EnableNonPersistent? (at Flags, 1:2) [0x803b001b HCN_E_INVALID_JSON]",
    );
    for number in ["-1", "1.5", "1e3", "4294967296", "\"6\""] {
        let text = format!("{{\"Flags\": {number}}}");
        assert_eq!(parse_network(&text).unwrap_err().hresult, HResult::HCN_E_INVALID_JSON);
    }
}

#[test]
fn malformed_guids_have_a_code_of_their_own() {
    let failure = parse::<HostComputeEndpoint>("{\"HostComputeNetwork\": \"web\"}").unwrap_err();
    assert_eq!(failure.hresult, HResult::HCN_E_GUID_CONVERSION_FAILURE);
    assert_eq!(failure.path.as_deref(), Some("HostComputeNetwork"));
}

#[test]
fn every_mistake_is_found() {
    let text = "{\"Name\": 1, \"Flags\": [], \"Ipams\": {}, \"ID\": \"x\"}";
    let failures = parse_all::<HostComputeNetwork>(text).unwrap_err();
    let paths: Vec<&str> = failures.iter().filter_map(|failure| failure.path.as_deref()).collect();
    assert_eq!(paths, ["Name", "Flags", "Ipams", "ID"]);
    let first = parse::<HostComputeNetwork>(text).unwrap_err();
    assert_eq!(first.hint.as_deref(), Some("3 more mistakes follow"));
}

#[test]
fn parts_of_documents_are_refused_with_the_whole_path() {
    let settings = json!({"Protocol": 6, "InternalPort": 85000});
    let failure =
        parse_value::<PortMappingPolicySetting>(&settings, "Policies[2].Settings").unwrap_err();
    assert_eq!(failure.path.as_deref(), Some("Policies[2].Settings.InternalPort"));
    let text = "{\"Policies\": [{}, {}, {\"Type\": \"PortMapping\",\n\"Data\": {\"InternalPort\": 85000}}]}";
    assert_eq!(failure.in_document(text).position.unwrap().to_string(), "2:10");
}

#[test]
fn settings_as_text_are_refused() {
    // Settings may hold anything; what they hold is refused once it is read as what it should be.
    let policy = parse::<EndpointPolicy>(r#"{"Type": "QOS", "Settings": "{}"}"#).unwrap().document;
    let settings = policy.settings.unwrap();
    assert!(parse_value::<PortMappingPolicySetting>(&settings, "Settings").is_err());
}

#[test]
fn documents_beyond_the_limits_are_refused_cleanly() {
    let deep = "[".repeat(100_000);
    let failure: Failure = parse_network(&deep).unwrap_err();
    assert_eq!(failure.hresult, HResult::HCN_E_INVALID_JSON);
    let long = format!("{{\"Name\": \"{}\"}}", "x".repeat(17 * 1024 * 1024));
    assert!(parse_network(&long).unwrap_err().message.contains("longer than"));
}
