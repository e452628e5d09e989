//! Systems that another service made, or this one before it was started anew.

use std::time::Duration;

use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{Cause, End, ProcessStatus};
use hostcompute_schema::HResult;
use serde_json::{Value, json};

use crate::lab::{Asks, Lab, container, events, heard};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_new_service_knows_everything_that_the_old_one_knew() {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &container());
    let ended = client.exec("c", &["sleep"]).expect("made");
    let runs = client.exec("c", &["sleep"]).expect("made");
    lab.machine.exit("c", ended, ProcessStatus::Exited(3));
    let before = client.properties("c").expect("mine");
    lab.machine.die();
    let next = Lab::on(&lab.machine, &lab.nets);
    let client = next.client();
    assert_eq!(client.properties("c").expect("adopted"), before);
    let code = client.wait_for_process("c", ended, SOON).expect("known").and_then(|s| s.exit_code);
    assert_eq!(code, Some(3));
    let subscription = client.subscribe("c").expect("there");
    next.machine.exit("c", runs, ProcessStatus::Exited(4));
    client.act(Verb::Terminate, "c").expect("ended");
    let kinds: Vec<u32> = events(&heard(&subscription)).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [0x1_0000, 1]);
}

#[test]
fn what_another_service_does_is_seen() {
    let lab = Lab::default();
    let other = Lab::on(&lab.machine, &lab.nets);
    let (here, there) = (lab.client(), other.client());
    here.running("c", &container());
    let found = there.ask(Verb::Enumerate, "", Value::Null).expect("readable");
    let hostcompute_service::compute::Body::Document(list) = found.body else { panic!("a list") };
    assert_eq!(list[0]["Id"], "c");
    there.act(Verb::Pause, "c").expect("paused");
    assert_eq!(here.properties("c").expect("mine")["State"], "Paused");
    assert_eq!(here.code(Verb::Pause, "c"), HResult::HCS_E_INVALID_STATE);
    here.act(Verb::Resume, "c").expect("resumed");
    let pid = there.exec("c", &["sleep"]).expect("made");
    here.about(Verb::TerminateProcess, "c", pid, Value::Null).expect("known here, too");
    let code = there.wait_for_process("c", pid, SOON).expect("known").and_then(|s| s.exit_code);
    assert_eq!(code, Some(137));
    let taken = there.ask(Verb::Create, "C", container()).expect_err("taken");
    assert_eq!(taken.hresult, HResult::HCS_E_SYSTEM_ALREADY_EXISTS);
    there.act(Verb::Terminate, "c").expect("ended");
    assert_eq!(here.code(Verb::Terminate, "c"), HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    assert!(here.wait_for_exit("c", SOON).expect("mine").is_some());
}

#[test]
fn zl_1_and_2_systems_are_found_by_owner_and_swept() {
    let lab = Lab::default();
    let client = lab.client();
    for (id, owner) in [("a", "zlayer"), ("b", "other"), ("c", "zlayer")] {
        let mut document = container();
        document["Owner"] = json!(owner);
        client.ask(Verb::Create, id, document).expect("made");
    }
    let query = |query: Value| {
        let answer = client.ask(Verb::Enumerate, "", query).expect("readable");
        let hostcompute_service::compute::Body::Document(Value::Array(list)) = answer.body else {
            panic!("a list")
        };
        list.iter()
            .map(|one| one["Id"].as_str().unwrap_or_default().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(query(json!({ "Owners": ["zlayer"] })), ["a", "c"]);
    assert_eq!(query(json!({ "Owners": ["zlayer"], "Ids": ["C", "b"] })), ["c"]);
    assert_eq!(query(json!({ "Types": ["VirtualMachine"] })), Vec::<String>::new());
    assert_eq!(query(json!({})), ["a", "b", "c"]);
    for id in query(json!({ "Owners": ["zlayer"] })) {
        client.act(Verb::Terminate, &id).expect("ended");
    }
    assert_eq!(query(Value::Null), ["b"]);
}

#[test]
fn the_ends_of_systems_are_remembered_for_a_while() {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &container());
    lab.machine.end("c", End { cause: Cause::ShutDown, out_of_memory: false });
    let other = lab.client();
    let exit = other.wait_for_exit("C", Duration::ZERO).expect("remembered").expect("over");
    assert_eq!(exit.exit_type.map(|kind| kind.to_string()).as_deref(), Some("GracefulExit"));
    assert_eq!(other.remains().expect("readable").len(), 1);
    assert!(other.log("c", Default::default()).is_ok());
    let failure = other.wait_for_exit("d", Duration::ZERO).expect_err("never was");
    assert_eq!(failure.hresult, HResult::HCS_E_SYSTEM_NOT_FOUND);
}

/// hcs.md 5.a, as a client of containers goes through it.
#[test]
fn hc_1_a_whole_life() {
    let lab = Lab::default();
    let client = lab.client();
    client.ask(Verb::Create, "argon", crate::lab::mortal()).expect("made");
    let subscription = client.subscribe("argon").expect("there");
    let basic = client.properties("argon").expect("made");
    assert_eq!(
        basic,
        json!({ "Id": "argon", "SystemType": "Container", "RuntimeOsType": "Linux",
            "Owner": "tests", "RuntimeId": basic["RuntimeId"], "State": "Created" })
    );
    client.act(Verb::Start, "argon").expect("started");
    let init = client.exec("argon", &["init"]).expect("made");
    let extra = client.exec("argon", &["sleep"]).expect("made");
    lab.machine.exit("argon", init, ProcessStatus::Exited(0));
    assert_eq!(client.properties("argon").expect("mine")["State"], "Running");
    client.act(Verb::ShutDown, "argon").expect("asked");
    let exit = client.wait_for_exit("argon", SOON).expect("mine").expect("over");
    assert_eq!(exit.status, Some(0));
    let status = client.wait_for_process("argon", extra, SOON).expect("known").expect("over");
    assert_eq!(status.exit_code, Some(143));
    assert_eq!(client.code(Verb::ShutDown, "argon"), HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    assert_eq!(client.code(Verb::Terminate, "argon"), HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    client.close("argon").expect("held");
    assert_eq!(heard(&subscription).len(), 3);
    assert!(lab.machine.is_empty());
}
