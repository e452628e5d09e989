//! From the making of a system to its end: every cell of the table of legal calls, and what is left of what went wrong.

use std::time::Duration;

use hostcompute_engine::compute::sim::{Doing, Trouble};
use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{Cause, End, Fault};
use hostcompute_schema::HResult;
use serde_json::{Value, json};

use crate::lab::{Asks, Client, Lab, container, container_with, process};

const SOON: Duration = Duration::from_secs(60);

/// Brings a new system into a state.
fn reach(client: &Client, lab: &Lab, id: &str, state: &str) {
    client.ask(Verb::Create, id, container()).expect("made");
    match state {
        "Created" => {}
        "Running" => client.act(Verb::Start, id).expect("started"),
        "Paused" => {
            client.act(Verb::Start, id).expect("started");
            client.act(Verb::Pause, id).expect("paused");
        }
        _ => {
            lab.machine.end(id, End { cause: Cause::PoweredOff, out_of_memory: false });
        }
    }
}

fn document(verb: Verb) -> Value {
    match verb {
        Verb::CreateProcess => process(&["sh"]),
        Verb::Measure => json!({ "PropertyTypes": ["Statistics"] }),
        Verb::Modify => {
            json!({ "ResourcePath": "Container/Memory/SizeInMB", "RequestType": "Update", "Settings": 512 })
        }
        _ => Value::Null,
    }
}

#[test]
fn lc_1_to_9_every_cell_of_the_table() {
    const STATES: [&str; 4] = ["Created", "Running", "Paused", "Stopped"];
    const OK: HResult = HResult::S_OK;
    const NO: HResult = HResult::HCS_E_INVALID_STATE;
    const GONE: HResult = HResult::HCS_E_SYSTEM_ALREADY_STOPPED;
    // What only virtual machines can do is refused for that, where it is legal.
    const VM: HResult = HResult::ERROR_NOT_SUPPORTED;
    let table: [(Verb, [HResult; 4]); 12] = [
        (Verb::Start, [OK, NO, NO, GONE]),
        (Verb::ShutDown, [NO, OK, NO, GONE]),
        (Verb::Terminate, [OK, OK, OK, GONE]),
        (Verb::Pause, [NO, OK, NO, GONE]),
        (Verb::Resume, [NO, NO, OK, GONE]),
        (Verb::Save, [NO, NO, VM, GONE]),
        (Verb::Crash, [NO, VM, NO, GONE]),
        (Verb::GetProperties, [OK, OK, OK, OK]),
        (Verb::Measure, [NO, OK, OK, GONE]),
        (Verb::Modify, [NO, OK, NO, GONE]),
        (Verb::CreateProcess, [NO, OK, NO, GONE]),
        (Verb::OpenProcess, [NO, HResult::ERROR_NOT_FOUND, NO, GONE]),
    ];
    for (verb, cells) in table {
        for (state, expected) in STATES.into_iter().zip(cells) {
            let lab = Lab::default();
            let client = lab.client();
            reach(&client, &lab, "c", state);
            let code = match verb {
                Verb::OpenProcess => {
                    client.about(verb, "c", 99, Value::Null).expect_err("none").hresult
                }
                verb => client
                    .ask(verb, "c", document(verb))
                    .map_or_else(|failure| failure.hresult, |_| OK),
            };
            assert_eq!(code, expected, "{verb:?} while {state}");
        }
    }
}

#[test]
fn lc_10_an_id_is_free_again_after_the_end_and_unique_before() {
    let lab = Lab::default();
    let client = lab.client();
    client.running("Web", &container());
    assert_eq!(client.code(Verb::Start, "web"), HResult::HCS_E_INVALID_STATE);
    let again = client.ask(Verb::Create, "wEB", container()).expect_err("taken");
    assert_eq!(again.hresult, HResult::HCS_E_SYSTEM_ALREADY_EXISTS);
    let other = lab.client();
    let again = other.ask(Verb::Create, "WEB", container()).expect_err("taken");
    assert_eq!(again.hresult, HResult::HCS_E_SYSTEM_ALREADY_EXISTS);
    client.act(Verb::Terminate, "web").expect("ended");
    assert_eq!(client.code(Verb::Terminate, "web"), HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    // The old handle means the old system, whoever has the id now.
    other.running("Web", &container());
    assert_eq!(client.properties("web").expect("a handle")["ExitType"], "ForcedExit");
    assert_eq!(other.properties("web").expect("a handle")["State"], "Running");
    client.open("web").expect("the new one");
    assert_eq!(client.properties("web").expect("a handle")["State"], "Running");
}

#[test]
fn lc_10_a_failed_start_leaves_no_id_behind() {
    let lab = Lab::default();
    let client = lab.client();
    client.ask(Verb::Create, "c", container()).expect("made");
    let events = client.subscribe("c").expect("there");
    let fault = Fault::new(HResult::E_ACCESSDENIED, "the root is not readable");
    lab.machine.order(Doing::Start, Trouble::Refused(fault));
    let failure = client.act(Verb::Start, "c").expect_err("refused");
    assert_eq!(failure.hresult, HResult::E_ACCESSDENIED);
    let told = crate::lab::events(&crate::lab::heard(&events));
    let expected = json!({
        "Status": HResult::E_ACCESSDENIED.to_signed(),
        "ExitType": "UnexpectedExit",
        "Attribution": [{ "OperationFailure": { "Detail": "Start" } }],
    });
    assert_eq!(told, [(1, expected)]);
    let other = lab.client();
    assert_eq!(other.code(Verb::GetProperties, "c"), HResult::HCS_E_SYSTEM_NOT_FOUND);
    client.running("c", &container());
}

#[test]
fn a_system_that_dies_while_it_is_started_says_so() {
    for (trouble, code) in [
        (Trouble::DiesBefore, HResult::HCS_E_UNEXPECTED_EXIT),
        (Trouble::DiesAfter, HResult::HCS_E_UNEXPECTED_EXIT),
    ] {
        let lab = Lab::default();
        let client = lab.client();
        client.ask(Verb::Create, "c", container()).expect("made");
        lab.machine.order(Doing::Start, trouble);
        assert_eq!(client.code(Verb::Start, "c"), code);
        let exit = client.wait_for_exit("c", SOON).expect("a handle").expect("over");
        assert_eq!(exit.status, Some(HResult::HCS_E_UNEXPECTED_EXIT.to_signed()));
    }
}

#[test]
fn a_failed_create_leaves_nothing() {
    let lab = Lab::default();
    let client = lab.client();
    lab.machine.lacks("/layers/base");
    let failure = client.ask(Verb::Create, "c", container()).expect_err("a layer is missing");
    assert_eq!(failure.hresult, HResult::ERROR_PATH_NOT_FOUND);
    assert_eq!(failure.path.as_deref(), Some("$.Container.Storage.Layers[1].Path"));
    assert!(failure.position.is_some());
    assert!(lab.machine.is_empty());
    assert_eq!(client.handles(), (0, 0));
    assert_eq!(client.code(Verb::Start, "c"), HResult::HCS_E_SYSTEM_NOT_FOUND);
    let fine = json!({ "Layers": [{ "Path": "/" }] });
    client.running("c", &container_with("Storage", fine));
}

#[test]
fn what_cannot_be_is_refused_with_its_code_and_place() {
    let lab = Lab::default();
    let client = lab.client();
    let refused = |document: Value, code: HResult, path: &str| {
        let failure = client.ask(Verb::Create, "c", document).expect_err("refused");
        let told = (failure.hresult, failure.path.as_deref().unwrap_or_default());
        assert_eq!(told, (code, path), "{failure}");
    };
    let machine = json!({ "SchemaVersion": { "Major": 2, "Minor": 1 }, "VirtualMachine": {} });
    refused(machine, HResult::HCS_E_SERVICE_NOT_AVAILABLE, "$.VirtualMachine");
    let hosted = json!({
        "SchemaVersion": { "Major": 2, "Minor": 1 },
        "HostingSystemId": "uvm",
        "HostedSystem": { "SchemaVersion": { "Major": 2, "Minor": 1 }, "Container": {} },
    });
    refused(hosted, HResult::HCS_E_SYSTEM_NOT_FOUND, "$.HostingSystemId");
    let windows = json!({ "Layers": [{ "Path": r"C:\ProgramData\layer" }] });
    refused(
        container_with("Storage", windows),
        HResult::HCS_E_IMAGE_MISMATCH,
        "$.Container.Storage.Layers[0].Path",
    );
    let two = json!({ "Count": 1, "Weight": 100 });
    refused(container_with("Processor", two), HResult::E_INVALIDARG, "$.Container.Processor");
    refused(
        container_with("Processor", json!({ "Count": 3 })),
        HResult::E_INVALIDARG,
        "$.Container.Processor.Count",
    );
    refused(
        container_with("Memory", json!({ "SizeInMB": 0 })),
        HResult::E_INVALIDARG,
        "$.Container.Memory.SizeInMB",
    );
    let unknown = json!({ "Namespace": "7f1d9a34-53bb-4a1a-9c36-1c47f1a0a9e1" });
    refused(
        container_with("Networking", unknown),
        HResult::ERROR_NOT_FOUND,
        "$.Container.Networking.Namespace",
    );
    refused(
        container_with("ContainerCredentialGuard", json!({})),
        HResult::ERROR_NOT_SUPPORTED,
        "$.Container.ContainerCredentialGuard",
    );
    refused(
        container_with("Frobnicate", json!(1)),
        HResult::HCS_E_INVALID_JSON,
        "$.Container.Frobnicate",
    );
    assert_eq!(
        client.ask(Verb::Create, "", container()).expect_err("no id").hresult,
        HResult::E_INVALIDARG
    );
    assert!(lab.machine.is_empty());
}

#[test]
fn what_only_windows_has_is_left_out_with_a_warning() {
    let lab = Lab::default();
    let key = json!({ "Hive": "System", "Name": "ControlSet001\\Control" });
    let change = json!({ "AddValues": [{ "Key": key, "Name": "WaitToKillServiceTimeout", "Type": "String", "StringValue": "2147483647" }] });
    let document = container_with("RegistryChanges", change);
    let answer = lab.client().ask(Verb::Create, "c", document).expect("made");
    let paths: Vec<_> = answer.warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(paths, ["$.Container.RegistryChanges"]);
}

#[test]
fn the_launch_is_what_the_document_means() {
    use hostcompute_engine::compute::{Isolation, NetworkPlace, Quota, Root, Scratch};
    let lab = Lab::default();
    let client = lab.client();
    let mut document = container();
    document["Container"]["MappedDirectories"] =
        json!([{ "HostPath": "/data/", "ContainerPath": "/srv//data", "ReadOnly": true }]);
    document["Container"]["MappedPipes"] =
        json!([{ "ContainerPipeName": "engine", "HostPath": r"\\.\pipe\docker_engine" }]);
    document["Container"]["Memory"] = json!({ "SizeInMB": 256 });
    document["Container"]["Processor"] = json!({ "Maximum": 5000 });
    document["Container"]["Storage"]["QoS"] = json!({ "IopsMaximum": 100, "BandwidthMaximum": 0 });
    client.ask(Verb::Create, "c", document).expect("made");
    lab.machine.look("c", |seen| {
        let launch = seen.launch;
        let layers = vec!["/layers/top".to_string(), "/layers/base".to_string()];
        let scratch = Scratch::Directory("/scratch/c1".into());
        assert_eq!(launch.root, Root::Layers { layers, scratch });
        assert_eq!(launch.host_name.as_deref(), Some("c1"));
        assert_eq!(launch.network, NetworkPlace::Own);
        assert_eq!(launch.isolation, Isolation::Container);
        assert_eq!(launch.mounts[0].host_path, "/data");
        assert_eq!(launch.mounts[0].container_path, "/srv/data");
        assert!(launch.mounts[0].read_only);
        assert_eq!(launch.pipes[0].host_path, "/run/hostcompute/pipes/docker_engine");
        assert_eq!(launch.limits.memory, Some(256 << 20));
        // Half of two processors.
        assert_eq!(launch.limits.quota, Some(Quota { time: 100_000, period: 100_000 }));
        assert_eq!((launch.limits.iops, launch.limits.bandwidth), (Some(100), None));
    });
    let roots = [
        (json!({ "Layers": [{ "Path": "/" }] }), Root::Host),
        (json!({ "Path": "/rootfs" }), Root::Directory { path: "/rootfs".into() }),
        (
            json!({ "Layers": [{ "Path": "/l" }], "Path": "" }),
            Root::Layers { layers: vec!["/l".into()], scratch: Scratch::Ephemeral },
        ),
    ];
    for (index, (storage, root)) in roots.into_iter().enumerate() {
        let id = index.to_string();
        client.ask(Verb::Create, &id, container_with("Storage", storage)).expect("made");
        assert_eq!(lab.machine.look(&id, |seen| seen.launch.root.clone()), Some(root));
    }
    for storage in
        [json!({}), json!({ "Path": "/" }), json!({ "Layers": [{ "Path": "/" }], "Path": "/s" })]
    {
        let failure = client.ask(Verb::Create, "x", container_with("Storage", storage));
        assert_eq!(failure.expect_err("no root").hresult, HResult::E_INVALIDARG);
    }
    let mut host = container();
    host["Container"] = json!({ "IsolationType": "HostProcess" });
    client.ask(Verb::Create, "hp", host).expect("made");
    let seen =
        lab.machine.look("hp", |seen| (seen.launch.root.clone(), seen.launch.network.clone()));
    assert_eq!(seen, Some((Root::Shared, NetworkPlace::Host)));
}

#[test]
fn a_call_that_the_end_cuts_short_says_how_it_ended() {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &container());
    lab.machine.order(Doing::Pause, Trouble::DiesBefore);
    assert_eq!(client.code(Verb::Pause, "c"), HResult::HCS_E_UNEXPECTED_EXIT);
    assert_eq!(client.code(Verb::Pause, "c"), HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
}

#[test]
fn options_are_read_strictly() {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &container());
    let code = |verb, document| client.ask(verb, "c", document).expect_err("refused").hresult;
    assert_eq!(code(Verb::Terminate, json!({})), HResult::E_INVALIDARG);
    assert_eq!(code(Verb::ShutDown, json!({ "Type": "Reboot" })), HResult::ERROR_NOT_SUPPORTED);
    assert_eq!(code(Verb::ShutDown, json!({ "Type": "Nap" })), HResult::HCS_E_INVALID_JSON);
    let pause = json!({ "SuspensionLevel": "Suspend", "HostedNotification": { "Reason": "Save" } });
    client.ask(Verb::Pause, "c", pause).expect("paused");
    client.act(Verb::Resume, "c").expect("resumed");
    let shutdown = json!({ "Mechanism": "GuestConnection", "Type": "Shutdown", "Force": false });
    client.ask(Verb::ShutDown, "c", shutdown).expect("asked");
    let exit = client.wait_for_exit("c", SOON).expect("a handle").expect("over");
    assert_eq!(exit.exit_type.map(|kind| kind.to_string()).as_deref(), Some("GracefulExit"));
}

#[test]
fn who_may_look_may_not_change() {
    use hostcompute_schema::operation::Right;
    let lab = Lab::default();
    lab.client().running("c", &container());
    let reader = lab.compute.session(Right::Read).expect("running");
    assert_eq!(reader.properties("c").expect("may look")["State"], "Running");
    assert_eq!(reader.code(Verb::Terminate, "c"), HResult::HCS_E_ACCESS_DENIED);
    assert_eq!(reader.code(Verb::Enumerate, ""), HResult::S_OK);
}
