//! Processes: codes, signals, streams, handles.

use std::time::Duration;

use hostcompute_engine::compute::ProcessStatus;
use hostcompute_engine::compute::verb::Verb;
use hostcompute_schema::HResult;
use hostcompute_service::compute::{Body, Call};
use serde_json::{Value, json};

use crate::lab::{Asks, Client, Lab, container};

const SOON: Duration = Duration::from_secs(60);

fn lab() -> (Lab, Client) {
    let lab = Lab::default();
    let client = lab.client();
    client.running("c", &container());
    (lab, client)
}

fn code(client: &Client, pid: u32) -> Option<u32> {
    client.wait_for_process("c", pid, SOON).expect("known").expect("ended").exit_code
}

#[test]
fn pr_1_exit_codes_come_through() {
    let (lab, client) = lab();
    let pid = client.exec("c", &["sh", "-c", "exit 42"]).expect("made");
    let status = client.about(Verb::GetProcessProperties, "c", pid, Value::Null).expect("known");
    assert_eq!(status, json!({ "ProcessId": pid, "Exited": false }));
    lab.machine.exit("c", pid, ProcessStatus::Exited(42));
    assert_eq!(code(&client, pid), Some(42));
    let query = json!({ "PropertyTypes": ["ProcessStatus"] });
    let status = client.about(Verb::GetProcessProperties, "c", pid, query).expect("known");
    let expected = json!({ "ProcessId": pid, "Exited": true, "ExitCode": 42, "LastWaitResult": 0 });
    assert_eq!(status, expected);
    assert_eq!(client.properties("c").expect("mine")["State"], "Running");
}

#[test]
fn pr_3_closing_the_input_is_the_end_of_it() {
    let (_lab, client) = lab();
    let pid = client.exec("c", &["cat"]).expect("made");
    let close = json!({ "Operation": "CloseHandle", "CloseHandle": { "Handle": "StdIn" } });
    client.about(Verb::ModifyProcess, "c", pid, close).expect("closed");
    assert_eq!(code(&client, pid), Some(0));
}

#[test]
fn pr_4_only_consoles_have_a_size() {
    let (_lab, client) = lab();
    let size = json!({ "Operation": "ConsoleSize", "ConsoleSize": { "Height": 40, "Width": 132 } });
    let plain = client.exec("c", &["sh"]).expect("made");
    let failure = client.about(Verb::ModifyProcess, "c", plain, size.clone()).expect_err("none");
    assert_eq!(failure.hresult, HResult::ERROR_NOT_SUPPORTED);
    let wanted = json!({ "CommandLine": "sh -l", "EmulateConsole": true, "ConsoleSize": [25, 80] });
    let Body::Process(made) = client.ask(Verb::CreateProcess, "c", wanted).expect("made").body
    else {
        panic!("a process")
    };
    client.about(Verb::ModifyProcess, "c", made.pid, size).expect("resized");
}

#[test]
fn pr_5_and_6_signals_and_their_codes() {
    let (_lab, client) = lab();
    for (verb, signal, expected) in [
        (Verb::SignalProcess, json!({ "Signal": "CtrlC" }), 130),
        (Verb::SignalProcess, json!({ "Signal": "CtrlShutdown" }), 143),
        (Verb::SignalProcess, json!({ "Signal": 10 }), 138),
        (Verb::SignalProcess, Value::Null, 137),
        (Verb::TerminateProcess, Value::Null, 137),
    ] {
        let pid = client.exec("c", &["sleep"]).expect("made");
        client.about(verb, "c", pid, signal).expect("sent");
        assert_eq!(code(&client, pid), Some(expected));
    }
    let pid = client.exec("c", &["sleep"]).expect("made");
    let wrong = client.about(Verb::SignalProcess, "c", pid, json!({ "Signal": "SIGTERM" }));
    assert_eq!(wrong.expect_err("no such signal").hresult, HResult::HCS_E_INVALID_JSON);
}

#[test]
fn pr_7_a_process_that_has_ended_answers_its_status_and_nothing_else() {
    let (lab, client) = lab();
    let pid = client.exec("c", &["sleep"]).expect("made");
    lab.machine.exit("c", pid, ProcessStatus::Exited(0));
    let close = json!({ "Operation": "CloseHandle", "CloseHandle": { "Handle": "StdIn" } });
    for (verb, document, expected) in [
        (Verb::GetProcessInfo, Value::Null, HResult::HCS_E_PROCESS_ALREADY_STOPPED),
        (Verb::SignalProcess, Value::Null, HResult::HCS_E_PROCESS_ALREADY_STOPPED),
        (Verb::TerminateProcess, Value::Null, HResult::HCS_E_PROCESS_ALREADY_STOPPED),
        (Verb::ModifyProcess, close, HResult::HCS_E_PROCESS_ALREADY_STOPPED),
        (Verb::OpenProcess, Value::Null, HResult::ERROR_NOT_FOUND),
    ] {
        let failure = client.about(verb, "c", pid, document).expect_err("over");
        assert_eq!(failure.hresult, expected, "{verb:?}");
    }
    assert!(client.about(Verb::GetProcessProperties, "c", pid, Value::Null).is_ok());
    let failure = client.about(Verb::GetProcessInfo, "c", 4711, Value::Null).expect_err("never");
    assert_eq!(failure.hresult, HResult::ERROR_NOT_FOUND);
}

#[test]
fn a_second_client_attaches() {
    let (lab, client) = lab();
    let pid = client.exec("c", &["sh"]).expect("made");
    let other = lab.client();
    other.about(Verb::OpenProcess, "c", pid, Value::Null).expect("running");
    let call = Call::of(Verb::GetProcessInfo, "c", "").process(pid);
    let Body::Process(information) = other.call(&call).expect("attached").body else {
        panic!("a process")
    };
    assert_eq!(information.pid, pid);
    let stdio = information.stdio;
    assert!(stdio.input.is_some() && stdio.output.is_some() && stdio.error.is_none());
    assert_eq!(other.handles(), (0, 1));
    other.close_process("c", pid).expect("held");
    assert_eq!(other.close_process("c", pid).expect_err("no more").hresult, HResult::E_HANDLE);
}

#[test]
fn a_program_that_is_not_there_is_told_with_its_place() {
    let (_lab, client) = lab();
    let failure = client.exec("c", &["missing"]).expect_err("no such program");
    assert_eq!(failure.hresult, HResult::ERROR_FILE_NOT_FOUND);
    assert_eq!(failure.path.as_deref(), Some("$.CommandArgs"));
}

#[test]
fn watchers_are_called_once_for_what_was_and_what_will_be() {
    let (lab, client) = lab();
    let pid = client.exec("c", &["sleep"]).expect("made");
    let (sender, calls) = std::sync::mpsc::channel();
    let call = |name: &'static str| {
        let sender = sender.clone();
        move || {
            let _ = sender.send(name);
        }
    };
    let _process = client.watch_process("c", pid, call("process")).expect("known");
    let _system = client.watch_exit("c", call("system")).expect("there");
    drop(client.watch_exit("c", call("given up")).expect("there"));
    lab.machine.exit("c", pid, ProcessStatus::Exited(0));
    let _late = client.watch_process("c", pid, call("late")).expect("known");
    client.act(Verb::Terminate, "c").expect("ended");
    let _later = client.watch_exit("c", call("later")).expect("there");
    assert_eq!(calls.try_iter().collect::<Vec<_>>(), ["process", "late", "system", "later"]);
}
