//! Modifying a container that runs: every resource path, and what is refused.

use hostcompute_engine::compute::sim::{Doing, Trouble};
use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{Fault, Quota};
use hostcompute_schema::HResult;
use serde_json::{Value, json};

use crate::lab::{Asks, Client, Lab, container};

fn lab() -> (Lab, Client) {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &container());
    (lab, client)
}

fn modify(client: &Client, path: &str, kind: &str, settings: Value) -> HResult {
    let mut request = json!({ "ResourcePath": path, "Settings": settings });
    if !kind.is_empty() {
        request["RequestType"] = json!(kind);
    }
    let answer = client.ask(Verb::Modify, "c", request);
    answer.map_or_else(|failure| failure.hresult, |_| HResult::S_OK)
}

#[test]
fn mo_memory_and_processor() {
    let (lab, client) = lab();
    let set = |path, kind, settings| modify(&client, path, kind, settings);
    assert_eq!(set("Container/Memory/SizeInMB", "", json!(512)), HResult::S_OK);
    assert_eq!(set("Container/Processor", "Update", json!({ "Weight": 200 })), HResult::S_OK);
    let limits = lab.machine.look("c", |seen| seen.limits.clone()).expect("there");
    assert_eq!((limits.memory, limits.weight), (Some(512 << 20), Some(200)));
    assert_eq!(set("Container/Processor", "Update", json!({ "Count": 1 })), HResult::S_OK);
    let limits = lab.machine.look("c", |seen| seen.limits.clone()).expect("there");
    assert_eq!(limits.quota, Some(Quota { time: 100_000, period: 100_000 }));
    assert_eq!((limits.memory, limits.weight), (Some(512 << 20), None));
    assert_eq!(set("Container/Memory/SizeInMB", "Add", json!(512)), HResult::ERROR_NOT_SUPPORTED);
    assert_eq!(set("Container/Memory/SizeInMB", "Update", json!("x")), HResult::HCS_E_INVALID_JSON);
    // What the host refuses leaves everything as it was.
    let fault = Fault::new(HResult::E_OUTOFMEMORY, "more is in use");
    lab.machine.order(Doing::Update, Trouble::Refused(fault));
    assert_eq!(set("Container/Memory/SizeInMB", "", json!(1)), HResult::E_OUTOFMEMORY);
    assert_eq!(set("Container/Processor", "Update", json!({ "Weight": 1 })), HResult::S_OK);
    let limits = lab.machine.look("c", |seen| seen.limits.clone()).expect("there");
    assert_eq!(limits.memory, Some(512 << 20));
}

#[test]
fn mo_mapped_directories_and_pipes() {
    let (lab, client) = lab();
    let set = |path, kind, settings| modify(&client, path, kind, settings);
    let data = json!({ "HostPath": "/data", "ContainerPath": "/data", "ReadOnly": false });
    let path = "Container/MappedDirectories";
    assert_eq!(set(path, "Add", data.clone()), HResult::S_OK);
    assert_eq!(set(path, "Add", data.clone()), HResult::ERROR_ALREADY_EXISTS);
    assert_eq!(lab.machine.look("c", |seen| seen.mounts.len()), Some(1));
    assert_eq!(set(path, "Remove", json!({ "ContainerPath": "/data" })), HResult::S_OK);
    assert_eq!(set(path, "Remove", data.clone()), HResult::ERROR_NOT_FOUND);
    assert_eq!(set(path, "Update", data.clone()), HResult::ERROR_NOT_SUPPORTED);
    assert_eq!(set(path, "", data), HResult::ERROR_NOT_SUPPORTED);
    assert_eq!(set(path, "Add", Value::Null), HResult::E_INVALIDARG);
    let pipe = json!({ "ContainerPipeName": "x", "HostPath": "/run/x.sock" });
    assert_eq!(set("Container/MappedPipes", "Add", pipe), HResult::S_OK);
    assert_eq!(lab.machine.look("c", |seen| seen.pipes.len()), Some(1));
    let name = json!({ "ContainerPipeName": "x" });
    assert_eq!(set("Container/MappedPipes", "Remove", name), HResult::S_OK);
    let device = json!({ "Type": "DeviceInstance", "LocationPath": "/dev/fuse" });
    assert_eq!(set("Container/Devices/Generic", "Add", device.clone()), HResult::S_OK);
    assert_eq!(set("Container/Devices/Generic", "Remove", device), HResult::S_OK);
}

#[test]
fn mo_what_no_container_has_is_refused() {
    let (_lab, client) = lab();
    let set = |path, settings| modify(&client, path, "Update", settings);
    let memory = "VirtualMachine/ComputeTopology/Memory/SizeInMB";
    assert_eq!(set(memory, json!(512)), HResult::E_INVALIDARG);
    assert_eq!(set("Container/Nothing", json!({})), HResult::E_INVALIDARG);
    let flush = json!({ "Enabled": true });
    assert_eq!(set("Container/RegistryFlushState", flush), HResult::ERROR_NOT_SUPPORTED);
    let guest = json!({ "ResourcePath": "", "GuestRequest": { "ResourceType": "Memory" } });
    let failure = client.ask(Verb::Modify, "c", guest).expect_err("no guest");
    assert_eq!(failure.hresult, HResult::ERROR_NOT_SUPPORTED);
    assert_eq!(failure.path.as_deref(), Some("$.GuestRequest"));
}

#[test]
fn mo_places_are_those_of_the_request() {
    let (lab, client) = lab();
    lab.machine.lacks("/absent");
    let settings = json!({ "HostPath": "/absent", "ContainerPath": "/x" });
    let request = json!({
        "ResourcePath": "Container/MappedDirectories", "RequestType": "Add", "Settings": settings,
    });
    let failure = client.ask(Verb::Modify, "c", request).expect_err("no such path");
    assert_eq!(failure.hresult, HResult::ERROR_PATH_NOT_FOUND);
    assert_eq!(failure.path.as_deref(), Some("$.Settings"));
}
