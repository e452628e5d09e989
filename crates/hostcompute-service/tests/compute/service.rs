//! Properties of systems and of the service, groups of processors.

use hostcompute_engine::compute::verb::Verb;
use hostcompute_schema::HResult;
use hostcompute_service::compute::Body;
use serde_json::{Value, json};

use crate::lab::{Asks, Client, Lab, container, guid};

fn document(client: &Client, verb: Verb, id: &str, query: Value) -> Value {
    match client.ask(verb, id, query).expect("answered").body {
        Body::Document(document) => document,
        body => panic!("{body:?}"),
    }
}

#[test]
fn properties_are_measured_when_they_are_asked_for() {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &crate::lab::mortal());
    let pid = client.exec("c", &["sleep"]).expect("made");
    let query =
        json!({ "PropertyTypes": ["Statistics", "ProcessList", "TerminateOnLastHandleClosed"] });
    let all = document(&client, Verb::GetProperties, "c", query);
    assert_eq!(all["Statistics"]["Uptime100ns"], 10_000_000);
    assert_eq!(all["Statistics"]["Timestamp"], "1970-01-01T00:00:02.0000000Z");
    assert_eq!(all["Statistics"]["Memory"]["MemoryUsageCommitBytes"], 1 << 20);
    assert_eq!(all["ProcessList"][0]["ProcessId"], pid);
    assert_eq!(all["ProcessList"][0]["ImageName"], "sleep");
    assert_eq!(all["TerminateOnLastHandleClosed"], true);
    for kind in ["Memory", "GuestConnection", "SharedMemoryRegion", "ICHeartbeatStatus"] {
        let query = json!({ "PropertyTypes": [kind] });
        let failure = client.ask(Verb::GetProperties, "c", query).expect_err("of machines only");
        assert_eq!(failure.hresult, HResult::ERROR_NOT_SUPPORTED);
        assert_eq!(failure.path.as_deref(), Some("$.PropertyTypes[0]"));
    }
}

#[test]
fn queries_by_name_are_answered_each_by_itself() {
    let lab = Lab::default();
    let client = lab.client();
    client.ask(Verb::Create, "c", container()).expect("made");
    let query = json!({ "Queries": { "ComputeSystemProperties": {}, "Statistics": {}, "ConsoleImage": { "Width": 1, "Height": 1 } } });
    let all = document(&client, Verb::GetProperties, "c", query.clone());
    let responses = &all["PropertyResponses"];
    assert_eq!(responses["ComputeSystemProperties"]["Response"]["State"], "Created");
    let invalid = HResult::HCS_E_INVALID_STATE.to_signed();
    assert_eq!(responses["Statistics"]["Error"]["Error"], invalid);
    let unsupported = HResult::ERROR_NOT_SUPPORTED.to_signed();
    assert_eq!(responses["ConsoleImage"]["Error"]["Error"], unsupported);
    client.act(Verb::Start, "c").expect("started");
    let all = document(&client, Verb::GetProperties, "c", query);
    assert!(all["PropertyResponses"]["Statistics"]["Response"].is_object());
}

#[test]
fn sv_1_to_3_the_service_tells_of_itself_and_its_host() {
    let lab = Lab::default();
    let client = lab.client();
    let ask = |query: Value| document(&client, Verb::GetServiceProperties, "", query);
    let basic = ask(json!({ "PropertyTypes": ["Basic"] }));
    assert_eq!(
        basic,
        json!({ "Properties": [{ "SupportedSchemaVersions": [{ "Major": 2, "Minor": 6 }] }] })
    );
    let two = ask(json!({ "PropertyTypes": ["ProcessorTopology", "QoSCapabilities"] }));
    assert_eq!(two["Properties"][0]["LogicalProcessorCount"], 2);
    assert_eq!(two["Properties"][0]["LogicalProcessors"][1]["LpIndex"], 1);
    assert_eq!(two["Properties"][1], json!({ "ProcessorQoSSupported": true }));
    let named = ask(json!({ "PropertyQueries": { "ProcessorCapabilities": {}, "Nonsense": {} } }));
    let responses = &named["PropertyResponses"];
    assert!(responses["ProcessorCapabilities"]["Response"]["ProcessorFeatures"].is_array());
    let unsupported = HResult::ERROR_NOT_SUPPORTED.to_signed();
    assert_eq!(responses["Nonsense"]["Error"]["Error"], unsupported);
    let guard = ask(json!({ "PropertyTypes": ["ContainerCredentialGuard"] }));
    assert_eq!(guard["Properties"][0], json!({ "Instances": [] }));
}

fn group(operation: &str, details: Value) -> Value {
    json!({ "PropertyType": "CpuGroup",
        "Settings": { "Operation": operation, "OperationDetails": details } })
}

#[test]
fn sv_4_groups_of_processors_hold_the_systems_in_them() {
    let lab = Lab::default();
    let client = lab.client();
    let change = |document: Value| {
        let answer = client.ask(Verb::ModifyService, "", document);
        answer.map_or_else(|failure| failure.hresult, |_| HResult::S_OK)
    };
    let id = guid(3).to_string();
    let create = group(
        "CreateGroup",
        json!({ "GroupId": id, "LogicalProcessorCount": 1, "LogicalProcessors": [1] }),
    );
    assert_eq!(change(create.clone()), HResult::S_OK);
    assert_eq!(change(create), HResult::ERROR_ALREADY_EXISTS);
    let absent =
        group("CreateGroup", json!({ "GroupId": guid(4).to_string(), "LogicalProcessors": [9] }));
    assert_eq!(change(absent), HResult::E_INVALIDARG);
    let query = json!({ "PropertyTypes": ["CpuGroup"] });
    let all = document(&client, Verb::GetServiceProperties, "", query);
    assert_eq!(all["Properties"][0]["CpuGroups"][0]["Affinity"]["LogicalProcessors"], json!([1]));
    client.running("c", &container());
    let assign = |id: Value| json!({ "ResourcePath": "Container/Processor/CpuGroup", "RequestType": "Update", "Settings": { "Id": id } });
    client.ask(Verb::Modify, "c", assign(json!(id))).expect("in");
    assert_eq!(lab.machine.look("c", |seen| seen.limits.cpus.clone()), Some(Some(vec![1])));
    let delete = group("DeleteGroup", json!({ "GroupId": id }));
    assert_eq!(change(delete.clone()), HResult::ERROR_INVALID_STATE);
    client
        .ask(Verb::Modify, "c", assign(json!("00000000-0000-0000-0000-000000000000")))
        .expect("out");
    assert_eq!(lab.machine.look("c", |seen| seen.limits.cpus.clone()), Some(None));
    client.ask(Verb::Modify, "c", assign(json!(id))).expect("in");
    client.act(Verb::Terminate, "c").expect("ended");
    assert_eq!(change(delete.clone()), HResult::S_OK);
    assert_eq!(change(delete), HResult::ERROR_NOT_FOUND);
    let whole = group(
        "SetProperty",
        json!({ "GroupId": id, "PropertyCode": 65536, "PropertyValue": 65536 }),
    );
    assert_eq!(change(whole), HResult::S_OK);
    let half = group(
        "SetProperty",
        json!({ "GroupId": id, "PropertyCode": 65536, "PropertyValue": 32768 }),
    );
    assert_eq!(change(half), HResult::ERROR_NOT_SUPPORTED);
    let guard = json!({ "PropertyType": "ContainerCredentialGuard", "Settings": {} });
    assert_eq!(change(guard), HResult::ERROR_NOT_SUPPORTED);
}

#[test]
fn a_group_that_the_host_refuses_has_no_member() {
    use hostcompute_engine::compute::Fault;
    use hostcompute_engine::compute::sim::{Doing, Trouble};
    let lab = Lab::default();
    let client = lab.client();
    let id = guid(3).to_string();
    let create = group("CreateGroup", json!({ "GroupId": id, "LogicalProcessors": [0] }));
    client.ask(Verb::ModifyService, "", create).expect("made");
    client.running("c", &container());
    let fault = Fault::new(HResult::E_ACCESSDENIED, "not today");
    lab.machine.order(Doing::Update, Trouble::Refused(fault));
    let assign =
        json!({ "ResourcePath": "Container/Processor/CpuGroup", "Settings": { "Id": id } });
    let failure = client.ask(Verb::Modify, "c", assign).expect_err("refused");
    assert_eq!(failure.hresult, HResult::E_ACCESSDENIED);
    let delete = group("DeleteGroup", json!({ "GroupId": id }));
    client.ask(Verb::ModifyService, "", delete).expect("nobody is in it");
}
