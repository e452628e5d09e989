//! What container documents mean: each member with what it becomes, and each mistake with its code and place.

use hostcompute_engine::compute::document::{Meaning, Policy, Wanted, WantedNetwork, read_system};
use hostcompute_engine::compute::{
    Cpu, Enforceable, HostFacts, Isolation, Launch, Limits, NetworkPlace, Quota, Root,
};
use hostcompute_schema::{Failure, Guid, HResult};
use serde_json::{Value, json};

fn facts() -> HostFacts {
    let cpus = (0..4).map(|index| Cpu { index, ..Cpu::default() }).collect();
    let limits =
        Enforceable { memory: true, processor: true, cpuset: true, storage: true, freezer: true };
    HostFacts { cpus, limits, pipe_directory: "/pipes".into(), ..HostFacts::default() }
}

fn system(container: &Value) -> String {
    json!({ "SchemaVersion": { "Major": 2, "Minor": 1 }, "Container": container }).to_string()
}

/// A container with a root, and these members.
fn with(members: Value) -> Value {
    let mut container = json!({ "Storage": { "Path": "/root" } });
    for (name, value) in members.as_object().expect("members") {
        container[name] = value.clone();
    }
    container
}

fn read_on(facts: &HostFacts, container: &Value) -> Result<Box<Wanted>, Failure> {
    let fresh = Guid::from_random(1);
    match read_system("c", &system(container), facts, Policy::Refuse, fresh)? {
        Meaning::Container(wanted) => Ok(wanted),
        other => panic!("{other:?}"),
    }
}

fn read(members: Value) -> Result<Box<Wanted>, Failure> {
    read_on(&facts(), &with(members))
}

#[track_caller]
fn launch(members: Value) -> Launch {
    read(members).expect("a container").launch(NetworkPlace::Own, None, None)
}

#[track_caller]
fn refused(members: Value, code: HResult, path: &str) {
    let failure = read(members).expect_err("a mistake");
    assert_eq!((failure.hresult, failure.path.as_deref()), (code, Some(path)), "{failure}");
    assert!(failure.position.is_some(), "{failure}");
}

const INVALID: HResult = HResult::E_INVALIDARG;
const JSON: HResult = HResult::HCS_E_INVALID_JSON;
const UNSUPPORTED: HResult = HResult::ERROR_NOT_SUPPORTED;
const NOT_FOUND: HResult = HResult::ERROR_NOT_FOUND;

#[test]
fn limits_are_in_the_units_of_control_groups() {
    let limits = |members| launch(members).limits;
    let processor = |processor: Value| limits(json!({ "Processor": processor }));
    let quota = |time| Limits { quota: Some(Quota { time, period: 100_000 }), ..Limits::default() };
    assert_eq!(limits(json!({})), Limits::default());
    assert_eq!(processor(json!({ "Count": 3 })), quota(300_000));
    // Of four processors.
    assert_eq!(processor(json!({ "Maximum": 10_000 })), quota(400_000));
    assert_eq!(processor(json!({ "Maximum": 2500 })), quota(100_000));
    assert_eq!(processor(json!({ "Maximum": 1 })), quota(1000));
    assert_eq!(processor(json!({ "Weight": 0 })).weight, Some(1));
    assert_eq!(processor(json!({ "Weight": 10_000 })).weight, Some(10_000));
    let memory = limits(json!({ "Memory": { "SizeInMB": 3 } })).memory;
    assert_eq!(memory, Some(3 << 20));
    for (wrong, member) in [
        (json!({ "Count": 5 }), "Count"),
        (json!({ "Count": 0 }), "Count"),
        (json!({ "Maximum": 0 }), "Maximum"),
        (json!({ "Maximum": 10_001 }), "Maximum"),
        (json!({ "Weight": -1 }), "Weight"),
        (json!({ "Weight": 10_001 }), "Weight"),
    ] {
        let path = format!("$.Container.Processor.{member}");
        refused(json!({ "Processor": wrong }), INVALID, &path);
    }
    let too_much = json!({ "Memory": { "SizeInMB": u64::MAX } });
    refused(too_much, INVALID, "$.Container.Memory.SizeInMB");
}

#[test]
fn limits_that_cannot_be_held_are_refused() {
    let weak = HostFacts { limits: Enforceable::default(), ..facts() };
    let refused = |members: Value, path: &str| {
        let failure = read_on(&weak, &with(members)).expect_err("cannot be held");
        assert_eq!((failure.hresult, failure.path.as_deref()), (UNSUPPORTED, Some(path)));
    };
    refused(json!({ "Memory": { "SizeInMB": 64 } }), "$.Container.Memory.SizeInMB");
    refused(json!({ "Processor": { "Weight": 1 } }), "$.Container.Processor");
    let storage = json!({ "Path": "/root", "QoS": { "BandwidthMaximum": 1 } });
    refused(json!({ "Storage": storage }), "$.Container.Storage.QoS");
    let unlimited = json!({ "Path": "/root", "QoS": { "BandwidthMaximum": 0 } });
    assert!(read_on(&weak, &with(json!({ "Storage": unlimited }))).is_ok());
}

#[test]
fn devices_of_windows_are_nodes_here() {
    let patterns = |members| -> Vec<String> {
        launch(members).devices.into_iter().flat_map(|device| device.patterns).collect()
    };
    let gpu = json!({ "InterfaceClassGuid": "5B45201D-F2F2-4F3B-85BB-30FF1F953599" });
    let all = patterns(json!({ "AssignedDevices": [gpu] }));
    assert_eq!(all[0], "/dev/dri/*");
    assert_eq!(patterns(json!({ "AssignedDevices": [{ "Type": "GpuMirror" }] })), all);
    let one = json!({ "Type": "DeviceInstance", "LocationPath": "/dev/ttyS0" });
    assert_eq!(patterns(json!({ "AssignedDevices": [one] })), ["/dev/ttyS0"]);
    let class =
        json!({ "type": "ClassGuid", "identifier": "86e0d1e0-8089-11d0-9ce4-08003e301f73" });
    let extension = json!({
        "device_category": { "name": "serial", "interface_class": [class] },
        "namespace": { "device": { "device_instance": [{ "location_path": "/dev/fuse" }] } },
    });
    let additional = json!({ "device_extension": [extension] });
    let all = patterns(json!({ "AdditionalDeviceNamespace": additional }));
    assert_eq!(all, ["/dev/ttyS*", "/dev/ttyUSB*", "/dev/ttyACM*", "/dev/fuse"]);
    let at = "$.Container.AssignedDevices[0]";
    let unknown = json!({ "InterfaceClassGuid": "00000000-0000-0000-0000-000000000001" });
    refused(
        json!({ "AssignedDevices": [unknown] }),
        NOT_FOUND,
        &format!("{at}.InterfaceClassGuid"),
    );
    for path in ["PCIROOT(0)#PCI(0100)", "/etc/passwd", "/dev/../etc/passwd", "/dev/tty*", ""] {
        let wrong = json!({ "Type": "DeviceInstance", "LocationPath": path });
        refused(json!({ "AssignedDevices": [wrong] }), NOT_FOUND, &format!("{at}.LocationPath"));
    }
    let objects = json!({ "device_extension": [{ "namespace": { "registry": { "symlink": [{ "key": "k", "target": "t" }] } } }] });
    refused(
        json!({ "AdditionalDeviceNamespace": objects }),
        UNSUPPORTED,
        "$.Container.AdditionalDeviceNamespace.device_extension[0].namespace",
    );
}

#[test]
fn networks_are_named_in_one_way() {
    let network =
        |networking: Value| read(json!({ "Networking": networking })).expect("a network").network;
    let id = "7f1d9a34-53bb-4a1a-9c36-1c47f1a0a9e1";
    let guid: Guid = id.parse().expect("a GUID");
    assert_eq!(network(json!({})), WantedNetwork::None);
    assert_eq!(network(json!({ "Namespace": "" })), WantedNetwork::None);
    assert_eq!(network(json!({ "Namespace": id })), WantedNetwork::Namespace(guid));
    let braces = format!("{{{}}}", id.to_uppercase());
    assert_eq!(network(json!({ "Namespace": braces })), WantedNetwork::Namespace(guid));
    assert_eq!(network(json!({ "NetworkAdapters": [id] })), WantedNetwork::Adapters(vec![guid]));
    let other = json!({ "NetworkSharedContainerName": "other" });
    assert_eq!(network(other), WantedNetwork::SharedWith("other".into()));
    let at = "$.Container.Networking";
    refused(
        json!({ "Networking": { "Namespace": "blue" } }),
        NOT_FOUND,
        &format!("{at}.Namespace"),
    );
    refused(json!({ "Networking": { "Namespace": [id] } }), JSON, &format!("{at}.Namespace"));
    let two = json!({ "Namespace": id, "NetworkAdapters": [id] });
    refused(json!({ "Networking": two }), INVALID, at);
    let words = json!({ "DnsSearchList": "a b" });
    refused(json!({ "Networking": words }), INVALID, &format!("{at}.DnsSearchList"));
}

#[test]
fn host_process_containers_share_what_the_host_has() {
    let host = |members: Value| {
        let mut container = json!({ "IsolationType": "HostProcess" });
        for (name, value) in members.as_object().expect("members") {
            container[name] = value.clone();
        }
        read_on(&facts(), &container)
    };
    let wanted = host(json!({})).expect("no root needed");
    assert_eq!(wanted.network, WantedNetwork::Host);
    let launch = wanted.launch(NetworkPlace::Host, None, None);
    assert_eq!(launch.root, Root::Shared);
    assert_eq!(launch.isolation, Isolation::HostProcess { root_at: None });
    let own = json!({ "Layers": [{ "Path": "/l" }], "PrivilegedContainerRootPath": "/mnt/root" });
    let launch =
        host(json!({ "Storage": own })).expect("seen").launch(NetworkPlace::Host, None, None);
    let root_at = Some("/mnt/root".to_string());
    assert_eq!(launch.isolation, Isolation::HostProcess { root_at });
    for (members, path) in [
        (json!({ "GuestOs": { "HostName": "x" } }), "$.Container.GuestOs.HostName"),
        (json!({ "Networking": { "NetworkSharedContainerName": "x" } }), "$.Container.Networking"),
        (
            json!({ "Storage": { "Path": "/root" } }),
            "$.Container.Storage.PrivilegedContainerRootPath",
        ),
    ] {
        let failure = host(members).expect_err("the host's");
        assert_eq!((failure.hresult, failure.path.as_deref()), (INVALID, Some(path)));
    }
    refused(json!({ "IsolationType": "Krypton" }), JSON, "$.Container.IsolationType");
}

#[test]
fn what_has_no_counterpart_is_refused() {
    let gmsa = json!({ "CredentialSpec": "{}" });
    let at = "$.Container.ContainerCredentialGuard";
    refused(json!({ "ContainerCredentialGuard": gmsa }), UNSUPPORTED, at);
    let sockets = json!({ "Config": { "DefaultBindSecurityDescriptor": "D:P(A;;FA;;;SY)" } });
    refused(json!({ "HvSocket": sockets }), UNSUPPORTED, "$.Container.HvSocket.Config");
    let direct = json!({ "EnablePowerShellDirect": true });
    let at = "$.Container.HvSocket.EnablePowerShellDirect";
    refused(json!({ "HvSocket": direct }), UNSUPPORTED, at);
    assert!(
        read(json!({ "HvSocket": { "EnablePowerShellDirect": false, "Config": null } })).is_ok()
    );
    let keys = json!({ "DeleteKeys": [{ "Hive": "System", "Name": "x" }] });
    refused(json!({ "RegistryChanges": keys }), UNSUPPORTED, "$.Container.RegistryChanges");
    let share =
        json!({ "HostPath": "/s", "HostPathType": "VirtualSmbShareName", "ContainerPath": "/x" });
    let at = "$.Container.MappedDirectories[0].HostPathType";
    refused(json!({ "MappedDirectories": [share] }), JSON, at);
    let share =
        json!({ "ContainerPipeName": "p", "HostPath": "p", "HostPathType": "VirtualSmbPipeName" });
    let failure = read(json!({ "MappedPipes": [share] })).expect_err("of a virtual machine");
    assert_eq!(failure.path.as_deref(), Some("$.Container.MappedPipes[0].HostPathType"));
}

#[test]
fn nothing_is_mapped_twice() {
    let one = |path: &str| json!({ "HostPath": "/d", "ContainerPath": path });
    let twice = json!({ "MappedDirectories": [one("/x"), one("/y"), one("//x/")] });
    refused(twice, INVALID, "$.Container.MappedDirectories[2].ContainerPath");
    let pipe = json!({ "ContainerPipeName": "p", "HostPath": "/p" });
    let twice = json!({ "MappedPipes": [pipe, pipe] });
    refused(twice, INVALID, "$.Container.MappedPipes[1].ContainerPipeName");
}

#[test]
fn all_mistakes_are_found_at_once() {
    let members = json!({
        "GuestOs": { "HostName": "not a name" },
        "MappedDirectories": [{ "HostPath": "data", "ContainerPath": "/" }],
        "Memory": { "SizeInMB": 0 },
    });
    let failure = read(members).expect_err("four mistakes");
    assert_eq!(failure.hint.as_deref(), Some("3 more mistakes follow"));
}

#[test]
fn ids_are_texts_of_some_length() {
    let text = system(&with(json!({})));
    let read = |id: &str| read_system(id, &text, &facts(), Policy::Ignore, Guid::from_random(1));
    for wrong in ["", "a\n", &"x".repeat(256)] {
        assert_eq!(read(wrong).expect_err("no id").hresult, INVALID, "{wrong:?}");
    }
    let Ok(Meaning::Container(named)) = read("910F7D92-BA2D-4C3F-98AE-7C0AC590D2DC") else {
        panic!("a container")
    };
    assert_eq!(named.record.runtime_id.to_string(), "910f7d92-ba2d-4c3f-98ae-7c0ac590d2dc");
    let Ok(Meaning::Container(free)) = read(&"ä".repeat(255)) else { panic!("a container") };
    assert_eq!(free.record.runtime_id, Guid::from_random(1));
}

#[test]
fn null_is_absent() {
    let nothing = json!({
        "GuestOs": null, "MappedDirectories": null, "MappedPipes": null, "Memory": null,
        "Processor": null, "Networking": null, "HvSocket": null, "AssignedDevices": null,
        "ContainerCredentialGuard": null, "RegistryChanges": null, "IsolationType": null,
    });
    let full = launch(nothing);
    assert_eq!(
        Launch { record: String::new(), ..full },
        Launch { record: String::new(), ..launch(json!({})) }
    );
}

#[test]
fn other_kinds_of_systems_are_told_apart() {
    let read = |document: Value| {
        let text = document.to_string();
        read_system("c", &text, &facts(), Policy::Ignore, Guid::from_random(1))
    };
    let version = json!({ "Major": 2, "Minor": 1 });
    let machine = json!({ "SchemaVersion": version, "VirtualMachine": {} });
    assert!(matches!(read(machine), Ok(Meaning::VirtualMachine(_))));
    let hosted = json!({ "SchemaVersion": version, "HostingSystemId": "uvm",
        "HostedSystem": { "SchemaVersion": version, "Container": {} } });
    assert!(matches!(read(hosted), Ok(Meaning::Hosted { host, .. }) if host == "uvm"));
    let both = json!({ "SchemaVersion": version, "HostingSystemId": "uvm", "Container": {} });
    let failure = read(both).expect_err("one or the other");
    assert_eq!((failure.hresult, failure.path.as_deref()), (JSON, Some("$.HostingSystemId")));
}
