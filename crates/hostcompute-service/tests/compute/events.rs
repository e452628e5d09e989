//! What is told, to whom, in which order, and what not.

use std::sync::mpsc;
use std::time::Duration;

use hostcompute_engine::compute::sim::{Doing, Trouble};
use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{Cause, End, ProcessStatus};
use hostcompute_schema::HResult;
use hostcompute_service::compute::{Call, Disconnect, Notice};
use serde_json::{Value, json};

use crate::lab::{Asks, Lab, container, events, heard, process};

fn told(cause: Cause, out_of_memory: bool) -> Value {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &container());
    let subscription = client.subscribe("c").expect("there");
    lab.machine.end("c", End { cause, out_of_memory });
    let all = events(&heard(&subscription));
    let [(1, data)] = all.as_slice() else { panic!("{all:?}") };
    let exit = client.wait_for_exit("c", Duration::ZERO).expect("a handle").expect("over");
    assert_eq!(hostcompute_schema::Document::to_value(&exit), *data);
    data.clone()
}

#[test]
fn ev_1_terminated() {
    assert_eq!(
        told(Cause::Terminated, false),
        json!({ "Status": 0, "ExitType": "ForcedExit",
            "Attribution": [{ "SystemExit": { "Detail": "Terminate", "Initiator": "Client" } }] })
    );
    assert_eq!(told(Cause::Terminated, false), told(Cause::LastHandleClosed, false));
}

#[test]
fn ev_2_shut_down() {
    assert_eq!(
        told(Cause::ShutDown, false),
        json!({ "Status": 0, "ExitType": "GracefulExit",
            "Attribution": [{ "SystemExit": { "Detail": "Shutdown", "Initiator": "Client" } }] })
    );
}

#[test]
fn ev_3_powered_off_from_inside() {
    let data = told(Cause::PoweredOff, false);
    assert_eq!((&data["Status"], &data["ExitType"]), (&json!(0), &json!("GracefulExit")));
    assert_eq!(data["Attribution"][0]["SystemExit"]["Initiator"], "GuestOS");
}

#[test]
fn ev_5_crashed_or_lost() {
    let unexpected = HResult::HCS_E_UNEXPECTED_EXIT.to_signed();
    let data = told(Cause::WorkerDied, false);
    assert_eq!(
        (&data["Status"], &data["ExitType"]),
        (&json!(unexpected), &json!("UnexpectedExit"))
    );
    assert_eq!(data["Attribution"][0]["WorkerExit"]["Detail"], "ProcessUnexpectedExit");
    let data = told(Cause::Crashed("init was killed".into()), false);
    assert_eq!(
        (&data["Status"], &data["ExitType"]),
        (&json!(unexpected), &json!("UnexpectedExit"))
    );
    let data = told(Cause::Crashed("init was killed".into()), true);
    assert_eq!(data["Status"], HResult::E_OUTOFMEMORY.to_signed());
}

#[test]
fn ev_late_subscribers_hear_nothing_of_what_was() {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &container());
    let pid = client.exec("c", &["true"]).expect("made");
    let late = client.subscribe("c").expect("there");
    client.act(Verb::Terminate, "c").expect("ended");
    let kinds: Vec<u32> = events(&heard(&late)).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [1], "nothing of process {pid}");
    let failure = client.subscribe("c").expect_err("nothing will happen");
    assert_eq!(failure.hresult, HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
}

#[test]
fn ev_processes_end_before_their_system_and_each_once() {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &container());
    let subscription = client.subscribe("c").expect("there");
    let first = client.exec("c", &["sleep"]).expect("made");
    let second = client.exec("c", &["sleep"]).expect("made");
    lab.machine.exit("c", first, ProcessStatus::Exited(7));
    client.act(Verb::Terminate, "c").expect("ended");
    let all = events(&heard(&subscription));
    let seven = json!({ "ProcessId": first, "Exited": true, "ExitCode": 7, "LastWaitResult": 0 });
    let killed =
        json!({ "ProcessId": second, "Exited": true, "ExitCode": 137, "LastWaitResult": 0 });
    assert_eq!(all[..2], [(0x1_0000, seven), (0x1_0000, killed)]);
    assert_eq!(all[2].0, 1);
    assert_eq!(all.len(), 3);
}

#[test]
fn ev_processes_of_a_lost_system_have_no_code() {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &container());
    let pid = client.exec("c", &["sleep"]).expect("made");
    let subscription = client.subscribe("c").expect("there");
    lab.machine.kill_worker("c");
    let lost = json!({ "ProcessId": pid, "Exited": true,
        "LastWaitResult": HResult::HCS_E_SYSTEM_ALREADY_STOPPED.to_signed() });
    let all = events(&heard(&subscription));
    assert_eq!(all[0], (0x1_0000, lost.clone()));
    assert_eq!(all[1].0, 1);
    let status = client.wait_for_process("c", pid, Duration::ZERO).expect("known");
    assert_eq!(status.map(|status| hostcompute_schema::Document::to_value(&status)), Some(lost));
}

#[test]
fn ev_nothing_comes_after_the_subscription_is_dropped() {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &container());
    let (sender, calls) = mpsc::channel();
    let subscription = client.subscribe("c").expect("there");
    subscription.on_ready(move || {
        let _ = sender.send(());
    });
    drop(subscription);
    client.act(Verb::Terminate, "c").expect("ended");
    assert_eq!(calls.try_iter().count(), 0);
}

#[test]
fn completions_are_told_before_what_they_brought_about() {
    let lab = Lab::default();
    let client = lab.client();
    client.ask(Verb::Create, "c", container()).expect("made");
    let (sender, order) = mpsc::channel();
    let subscription = client.subscribe("c").expect("there");
    let heard_at = sender.clone();
    subscription.on_ready(move || {
        let _ = heard_at.send("event");
    });
    lab.machine.order(Doing::Start, Trouble::DiesAfter);
    client.submit(Call::of(Verb::Start, "c", ""), move |answer| {
        assert!(answer.is_err());
        let _ = sender.send("completion");
    });
    let told: Vec<_> = (0..2).map(|_| order.recv().expect("told")).collect();
    assert_eq!(told, ["completion", "event"]);
    // A process that has ended before its creation was told.
    let other = lab.client();
    other.running("d", &container());
    let (sender, order) = mpsc::channel();
    let subscription = other.subscribe("d").expect("there");
    let heard_at = sender.clone();
    subscription.on_ready(move || {
        let _ = heard_at.send("event");
    });
    let document = process(&["true"]).to_string();
    other.submit(Call::of(Verb::CreateProcess, "d", &document), move |answer| {
        assert!(answer.is_ok());
        let _ = sender.send("completion");
    });
    let told: Vec<_> = (0..2).map(|_| order.recv().expect("told")).collect();
    assert_eq!(told, ["completion", "event"]);
}

#[test]
fn a_service_that_stops_says_so_and_ends_nothing() {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &crate::lab::mortal());
    let subscription = client.subscribe("c").expect("there");
    lab.compute.stop();
    assert_eq!(heard(&subscription), [Notice::Disconnected(Disconnect::Stopping)]);
    assert_eq!(client.code(Verb::Start, "c"), HResult::HCS_E_SERVICE_DISCONNECT);
    drop(client);
    lab.machine.die();
    assert!(!lab.machine.is_empty());
    let next = Lab::on(&lab.machine, &lab.nets);
    assert_eq!(next.client().properties("c").expect("adopted")["State"], "Running");
}

#[test]
fn whoever_does_not_read_is_cut_off() {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &container());
    let subscription = client.subscribe("c").expect("there");
    for _ in 0..1100 {
        client.exec("c", &["true"]).expect("made");
    }
    let notices = heard(&subscription);
    assert_eq!(notices.last(), Some(&Notice::Disconnected(Disconnect::TooSlow)));
    assert_eq!(notices.len(), 1025);
}
