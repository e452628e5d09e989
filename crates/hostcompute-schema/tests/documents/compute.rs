//! Documents of the compute service: read strictly, printed as they were given.

use hostcompute_schema::hcs::*;
use hostcompute_schema::{Document, HResult, type_named, validate};
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

/// Members that no published schema lists, and clients send.
#[test]
fn machines_may_have_what_only_clients_know() {
    let machine = json!({
        "StopOnReset": false,
        "Chipset": {"SystemInformation": {"UUID": "u", "SKUNumber": ""}, "FirmwareFile": {"Parameters": "QUJD"}},
        "ComputeTopology": {
            "Memory": {"SizeInMB": 2, "Backing": "Hybrid", "SharedMemoryMB": 0,
                       "SharedMemoryAccessSids": [], "EnableEpf": true, "SlitType": "Firmware"},
            "Processor": {"DefaultVpCpuPriority": 10, "SynchronizeHostFeatures": true,
                          "NumaProcessorsSettings": {"count_per_node": {"max": 4}}},
            "Numa": {"VirtualNodeCount": 1, "Settings": [{"PhysicalNodeNumber": 255}]},
            "Compatibility": {"GuestFeatureSet": 9},
        },
        "Devices": {
            "Scsi": {"a": {"Attachments": {"10": {"Path": "", "IgnoreFlushes": true}, "2": {}}}},
            "NetworkAdapters": {"n": {"MacAddress": "00-15-5D-0A-0B-0C", "IsConnected": true}},
            "VideoMonitor": {"ResolutionType": 4},
            "HvSocket": {"HvSocketConfig": {"ServiceTable": {
                "befcbc10-1381-45ab-946e-b1a12d6bce94": {"Disabled": true}}}},
            "Plan9": {"Shares": [{"Flags": 33}]},
            "GuestCrashReporting": {"WindowsCrashSettings": {"DumpType": "Mini", "MaxDumpSize": -1}},
            "Licensing": {"ContainerID": "00000000-0000-0000-0000-000000000000", "PackageFamilyNames": []},
            "Battery": {}, "Keyboard": {}, "KernelIntegration": {},
        },
        "RunInSilo": {"NotifySiloJobCreated": true},
        "LaunchOptions": {"Type": "None"},
        "DebugOptions": {},
        "SecuritySettings": {"EnableTpm": true, "Isolation": {"IsolationType": "GuestStateOnly", "DebugPort": 5}},
        "MigrationOptions": {"Origin": "Destination", "MemoryTransport": "TCP",
            "MemoryTransferThrottleParams": {"ThrottlingScale": 0.5}},
        "GuestConnection": {},
    });
    kept::<VirtualMachine>(&machine);
    refused::<VirtualMachine>(r#"{"LaunchOptions":{"Type":"Some"}}"#, "there are None");
    refused::<Devices>(
        r#"{"ComPorts":{"one":{}}}"#,
        "is not a number from 0 to 4294967295 (at $.ComPorts.one, ",
    );
    refused::<Devices>(r#"{"VirtualPMem":{"Devices":{"256":{}}}}"#, "a number from 0 to 255");
}

/// What goes wrong inside members that may hold anything is found by validation.
#[test]
fn validation_knows_the_compute_services_documents() {
    let valid = |text: &str| validate(text, None).unwrap().schema.name;
    let system = r#"{"SchemaVersion":{"Major":2,"Minor":1},"Container":{}}"#;
    assert_eq!(valid(system), "ComputeSystem");
    assert_eq!(valid(r#"{"CommandArgs":["sh"]}"#), "ProcessParameters");
    let modify = |path: &str, settings: &str| {
        format!(r#"{{"ResourcePath":"{path}","RequestType":"Update","Settings":{settings}}}"#)
    };
    assert_eq!(valid(&modify("Container/Memory/SizeInMB", "512")), "ModifySettingRequest");
    for (text, told) in [
        (modify("Container/Memory/SizeInMB", "-1"), "(at $.Settings, "),
        (
            modify("Container/Processor", r#"{"Coun":1}"#),
            "did you mean \"Count\"? (at $.Settings.Coun, ",
        ),
        (
            r#"{"SchemaVersion":{"Major":2},"VirtualMachine":{},"VirtualMachine":{}}"#.into(),
            "stands twice",
        ),
        (
            r#"{"SchemaVersion":{"Major":2},"Container":{},"VirtualMachine":{}}"#.into(),
            "exclude each other",
        ),
        (
            r#"{"Owner":"a","VirtualMachine":{"Devices":{"ComPorts":{"x":{}}}}}"#.into(),
            "(at $.VirtualMachine.Devices.ComPorts.x, ",
        ),
    ] {
        let failures = validate(&text, None).unwrap_err();
        assert!(failures[0].to_string().contains(told), "{}\ninstead of {told}", failures[0]);
    }
    let signal = type_named("signalprocessoptions");
    assert!(validate(r#"{"Signal":9}"#, signal).is_ok());
    assert!(validate(r#"{"Signal":"TERM"}"#, signal).is_err());
}

#[test]
fn types_of_one_name_are_told_apart() {
    let family = |name: &str| type_named(name).map(|schema| schema.family);
    use hostcompute_schema::schema::Family::{Compute, Network};
    assert_eq!(family("ModifySettingRequest"), Some(Network));
    assert_eq!(family("hcs.modifysettingrequest"), Some(Compute));
    assert_eq!(family("HCN.ModifySettingRequest"), Some(Network));
    assert_eq!(family("Container_Memory"), Some(Compute));
    assert_eq!(family("hcs.HostComputeNetwork"), None);
    assert_eq!(family("é"), None);
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

/// The machines of the sandbox and of the subsystem for Linux, as dumped; beside the checkout in CI.
#[test]
fn real_machines_are_read_and_printed_without_loss() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/documents");
    let Ok(entries) = std::fs::read_dir(folder) else {
        println!("skipped: there is no ../shared/documents beside the checkout");
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let system = parse_system(&text).unwrap_or_else(|failure| panic!("{path:?}: {failure}"));
        assert_eq!(system.to_value(), serde_json::from_str::<Value>(&text).unwrap(), "{path:?}");
    }
}
