//! Documents of the compute service: read strictly, printed as they were given.

use hostcompute_schema::hcs::*;
use hostcompute_schema::{Document, HResult};
use serde_json::{Value, json};

#[track_caller]
fn refused<T: Document + std::fmt::Debug>(text: &str, told: &str) {
    let failure = parse::<T>(text).unwrap_err();
    assert_eq!(failure.hresult, HResult::HCS_E_INVALID_JSON, "{text}");
    let said = failure.to_string();
    assert!(said.contains(told), "{said}\ninstead of {told}");
}

/// What is given is printed, defaults and what is empty included.
#[track_caller]
fn kept<T: Document>(document: &Value) {
    let read = parse::<T>(&document.to_string()).unwrap();
    assert_eq!(&read.to_value(), document);
}

#[test]
fn containers_are_read_and_printed() {
    let text = r#"{"SchemaVersion":{"Major":2,"Minor":1},"Owner":"t","ShouldTerminateOnLastHandleClosed":true,
     "Container":{"GuestOs":{"HostName":"c1"},
      "Storage":{"Layers":[{"Id":"6a3f0a5e-8f5b-5d57-9a55-2c1f3f1d0001","Path":"/layers/top"}],"Path":"/scratch/c1"},
      "MappedDirectories":[{"HostPath":"/data","ContainerPath":"/data","ReadOnly":true}],
      "Memory":{"SizeInMB":256},"Processor":{"Maximum":5000},
      "Networking":{"Namespace":"7f1d9a34-53bb-4a1a-9c36-1c47f1a0a9e1","DnsSearchList":"a.example,b.example"}}}"#;
    let system = parse_system(text).unwrap();
    assert_eq!(system.to_value(), serde_json::from_str::<Value>(text).unwrap());
    let container = system.container.unwrap();
    assert_eq!(container.processor.unwrap().maximum, Some(5000));
    let mapped = container.mapped_directories.unwrap();
    assert_eq!(mapped[0].container_path.as_deref(), Some("/data"));
}

#[test]
fn what_is_given_is_kept() {
    kept::<Container>(&json!({
        "MappedDirectories": [], "Memory": {}, "Processor": {"Count": 0},
        "HvSocket": {"Config": {"ServiceTable": {}}},
        "AssignedDevices": [{"Type": "ClassGuid",
            "InterfaceClassGuid": "00000000-0000-0000-0000-000000000000"}],
    }));
    kept::<ProcessParameters>(&json!({
        "CommandLine": "", "Environment": {}, "EmulateConsole": false, "ConsoleSize": [25, 80],
    }));
    kept::<SignalProcessOptions>(&json!({"Signal": "CtrlC"}));
    kept::<SignalProcessOptions>(&json!({"Signal": 15}));
}

#[test]
fn null_is_as_good_as_absent() {
    let read =
        parse::<Container>(r#"{"Memory": null, "MappedPipes": null, "IsolationType": null}"#);
    assert_eq!(read.unwrap(), Container::default());
}

#[test]
fn an_empty_text_is_the_first_value_where_it_is_one() {
    for text in [r#"{"Cache": ""}"#, r#"{"Cache": "Unspecified"}"#] {
        let layer = parse::<Layer>(text).unwrap();
        assert_eq!(layer.cache, Some(CacheMode::Unspecified));
        assert_eq!(layer.to_value(), json!({"Cache": ""}));
    }
    refused::<Layer>(r#"{"PathType": ""}"#, "\"\" is not a value of PathType");
}

#[test]
fn what_is_not_known_is_refused_with_its_place() {
    refused::<Container>(
        "{\"Storage\":\n  {\"Pth\": \"/x\"}}",
        "Storage has no member \"Pth\"; did you mean \"Path\"? (at $.Storage.Pth, 2:4) \
         [0x8037010d HCS_E_INVALID_JSON]",
    );
    refused::<Container>(r#"{"guestos": {}}"#, "did you mean \"GuestOs\"? (at $.guestos, 1:2)");
    refused::<Container>(r#"{"Nothing": null}"#, "(at $.Nothing, 1:2)");
    refused::<SystemPropertyQuery>(
        r#"{"PropertyTypes": ["Memory", "memory"]}"#,
        "did you mean Memory? (at $.PropertyTypes[1], 1:30)",
    );
    refused::<ModifySettingRequest>(r#"{"RequestType": 1}"#, "expected a name, found a number");
}

#[test]
fn wrong_types_and_what_stands_twice_are_refused() {
    refused::<Container>(r#"{"Memory":{"SizeInMB":-1}}"#, "(at $.Memory.SizeInMB, 1:12)");
    refused::<Container>(r#"{"Memory":{"SizeInMB":"1"}}"#, "expected a number, found a string");
    refused::<Container>(r#"{"Memory":{"SizeInMB":18446744073709551616}}"#, "not a whole number");
    refused::<Container>(r#"{"Processor":{"Count":4294967296}}"#, "4294967295");
    refused::<Container>(r#"{"Processor":{"Weight":1.5}}"#, "not a whole number");
    refused::<Container>(
        r#"{"Memory":{},"Memory":{}}"#,
        "\"Memory\" stands twice (at $.Memory, 1:14)",
    );
    refused::<ProcessParameters>(r#"{"ConsoleSize":[25]}"#, "two numbers");
    refused::<ProcessParameters>(r#"{"Environment":{"A":1}}"#, "(at $.Environment.A, 1:17)");
    refused::<Layer>(r#"{"Id":"no"}"#, "not a GUID");
    refused::<Layer>("[]", "expected an object, found a list");
    refused::<Layer>("", "the document is empty");
}

#[test]
fn options_may_be_left_out() {
    for text in ["", " ", "null", "{}"] {
        assert_eq!(parse_optional::<PauseOptions>(text).unwrap(), PauseOptions::default());
    }
    assert!(parse_optional::<PauseOptions>("[]").is_err());
}

#[test]
fn answers_may_tell_more() {
    let text = r#"{"State": "Hibernating", "SystemType": "Container", "New": {"a": 1}, "RuntimeOsType": ""}"#;
    let properties = parse_answer::<Properties>(text).unwrap();
    assert_eq!(properties.state, Some(State::Other("Hibernating".into())));
    assert_eq!(properties.runtime_os_type, Some(OsType::Unknown));
    assert_eq!(properties.to_value(), serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(serde_json::from_str::<Properties>(text).unwrap(), properties);
    assert!(parse::<Properties>(text).is_err());
}

#[track_caller]
fn no_system(text: &str, told: &str) {
    let failure = parse_system(text).unwrap_err();
    assert_eq!(failure.hresult, HResult::HCS_E_INVALID_JSON, "{text}");
    assert!(failure.to_string().contains(told), "{failure}\ninstead of {told}");
}

#[test]
fn a_system_is_one_thing_of_a_version_that_is_understood() {
    let version = r#""SchemaVersion":{"Major":2,"Minor":99}"#;
    assert!(parse_system(&format!("{{{version},\"Container\":{{}}}}")).is_ok());
    no_system(&format!("{{{version}}}"), "one of Container, VirtualMachine and HostedSystem");
    no_system(
        &format!("{{{version},\"Container\":{{}},\n\"VirtualMachine\":{{}}}}"),
        "Container and VirtualMachine exclude each other (at $.VirtualMachine, 2:1)",
    );
    no_system(r#"{"Container":{}}"#, "SchemaVersion must be there");
    no_system(
        r#"{"SchemaVersion":{"Major":1,"Minor":0},"Container":{}}"#,
        "version 1.0 is not understood, only 2.0 and later (at $.SchemaVersion, 1:2)",
    );
    let hosted = r#""HostedSystem":{"SchemaVersion":{"Major":2},"Container":{"Nothing":1}}"#;
    no_system(&format!("{{{version},{hosted}}}"), "HostedSystem needs a HostingSystemId");
    no_system(
        &format!("{{{version},\"HostingSystemId\":\"u\",{hosted}}}"),
        "(at $.HostedSystem.Container.Nothing, ",
    );
}

#[test]
fn failures_become_error_documents() {
    let failure = parse::<Container>("{\"Foo\":1}").unwrap_err();
    let document = ResultError::of(&failure);
    assert_eq!(
        document.to_value(),
        json!({
            "Error": -2_143_878_899,
            "ErrorMessage": "Container has no member \"Foo\" (at $.Foo, 1:2)",
        })
    );
    assert_eq!(document.hresult(), HResult::HCS_E_INVALID_JSON);
}
