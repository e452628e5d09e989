//! Networks of containers: given, made for one, shared; and gone when their end is heard.

use std::time::Duration;

use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{Cause, End, NetworkPlace};
use hostcompute_schema::HResult;
use serde_json::{Value, json};

use crate::lab::{Asks, Lab, container_with, guid, heard};

fn on(networking: Value) -> Value {
    container_with("Networking", networking)
}

fn place(lab: &Lab, id: &str) -> NetworkPlace {
    lab.machine.look(id, |seen| seen.launch.network.clone()).expect("there")
}

#[test]
fn a_given_namespace_stays() {
    let lab = Lab::default();
    lab.nets.with(|nets| nets.namespaces.insert(guid(1), [].into()));
    let client = lab.client();
    let networking = json!({ "Namespace": guid(1).to_string(), "DnsSearchList": "a.example, b.example",
        "AllowUnqualifiedDnsQuery": true });
    client.running("c", &on(networking));
    let path = format!("/run/netns/{}", guid(1));
    assert_eq!(place(&lab, "c"), NetworkPlace::Named { path });
    let text = lab.machine.look("c", |seen| seen.launch.resolv_conf.clone()).flatten();
    assert_eq!(text.as_deref(), Some("nameserver 10.0.0.1\nsearch a.example b.example\n"));
    client.act(Verb::Terminate, "c").expect("ended");
    assert_eq!(lab.nets.with(|nets| nets.namespaces.len()), 1);
}

#[test]
fn a_namespace_for_endpoints_comes_and_goes_with_the_system() {
    let lab = Lab::default();
    lab.nets.with(|nets| nets.endpoints.extend([guid(7), guid(8)]));
    let client = lab.client();
    let networking = json!({ "NetworkAdapters": [guid(7).to_string()] });
    client.running("c", &on(networking.clone()));
    let made = lab.nets.with(|nets| nets.namespaces.clone());
    assert_eq!(made.values().next(), Some(&[guid(7)].into()));
    let add = json!({ "ResourcePath": "Container/Networks", "RequestType": "Add", "Settings": guid(8).to_string() });
    client.ask(Verb::Modify, "c", add).expect("added");
    let all = lab.nets.with(|nets| nets.namespaces.values().next().cloned());
    assert_eq!(all, Some([guid(7), guid(8)].into()));
    let subscription = client.subscribe("c").expect("there");
    lab.machine.end("c", End { cause: Cause::PoweredOff, out_of_memory: false });
    assert_eq!(heard(&subscription).len(), 1);
    assert!(lab.nets.with(|nets| nets.namespaces.is_empty()), "gone before the end was heard");
    client.running("d", &on(networking));
    client.act(Verb::Terminate, "d").expect("ended");
    assert!(lab.nets.with(|nets| nets.namespaces.is_empty()), "gone when the call returns");
}

#[test]
fn a_network_that_cannot_be_made_leaves_nothing() {
    let lab = Lab::default();
    lab.nets.with(|nets| {
        nets.endpoints.insert(guid(7));
        nets.broken = true;
    });
    let client = lab.client();
    let networking = json!({ "NetworkAdapters": [guid(7).to_string()] });
    let failure = client.ask(Verb::Create, "c", on(networking)).expect_err("broken");
    assert_eq!(failure.hresult, HResult::HCN_E_NAMESPACE_ATTACH_FAILED);
    assert_eq!(failure.path.as_deref(), Some("$.Container.Networking.NetworkAdapters"));
    lab.compute.settle();
    assert!(lab.machine.is_empty());
    assert!(lab.nets.with(|nets| nets.namespaces.is_empty()));
    let unknown = json!({ "NetworkAdapters": [guid(9).to_string()] });
    let failure = client.ask(Verb::Create, "c", on(unknown)).expect_err("no such endpoint");
    assert_eq!(failure.hresult, HResult::ERROR_NOT_FOUND);
}

#[test]
fn a_network_is_shared_with_another_container() {
    let lab = Lab::default();
    lab.nets.with(|nets| nets.endpoints.insert(guid(7)));
    let client = lab.client();
    client.running("alone", &on(json!({})));
    client.running("wired", &on(json!({ "NetworkAdapters": [guid(7).to_string()] })));
    let with = |other: &str| on(json!({ "NetworkSharedContainerName": other }));
    client.running("a", &with("Alone"));
    assert_eq!(place(&lab, "a"), NetworkPlace::SharedWith { system: "alone".into() });
    client.running("b", &with("wired"));
    assert_eq!(place(&lab, "b"), place(&lab, "wired"));
    let failure = client.ask(Verb::Create, "c", with("nobody")).expect_err("no such system");
    assert_eq!(failure.hresult, HResult::HCS_E_SYSTEM_NOT_FOUND);
    let two = on(json!({ "NetworkSharedContainerName": "a", "Namespace": guid(1).to_string() }));
    let failure = client.ask(Verb::Create, "c", two).expect_err("exclusive");
    assert_eq!(failure.hresult, HResult::E_INVALIDARG);
}

#[test]
fn networks_of_systems_that_ended_unseen_go_at_the_next_start() {
    let lab = Lab::default();
    lab.nets.with(|nets| nets.endpoints.insert(guid(7)));
    let client = lab.client();
    client.running("c", &on(json!({ "NetworkAdapters": [guid(7).to_string()] })));
    lab.machine.die();
    lab.machine.kill_worker("c");
    assert_eq!(lab.nets.with(|nets| nets.namespaces.len()), 1);
    let next = Lab::on(&lab.machine, &lab.nets);
    assert!(next.nets.with(|nets| nets.namespaces.is_empty()));
    let exit = next.client().wait_for_exit("c", Duration::ZERO).expect("remembered");
    assert_eq!(exit.and_then(|exit| exit.status), Some(HResult::HCS_E_UNEXPECTED_EXIT.to_signed()));
}

/// However many ended since: what was made for a system is not forgotten before it is taken back.
#[test]
fn an_endpoint_for_one_system_goes_with_it_also_unseen() {
    let lab = Lab::default();
    lab.nets.with(|nets| nets.networks.insert(guid(3)));
    let client = lab.client();
    let networking = json!({ "NetworkAdapters": [guid(3).to_string()] });
    client.running("seen", &on(networking.clone()));
    let count = |lab: &Lab| lab.nets.with(|nets| (nets.namespaces.len(), nets.endpoints.len()));
    assert_eq!(count(&lab), (1, 1));
    client.act(Verb::Terminate, "seen").expect("ended");
    assert_eq!(count(&lab), (0, 0), "gone when the call returns");
    client.running("unseen", &on(networking));
    for number in 0..100 {
        client.running(&format!("other-{number}"), &on(json!({})));
    }
    lab.machine.die();
    lab.machine.kill_worker("unseen");
    for number in 0..100 {
        lab.machine.kill_worker(&format!("other-{number}"));
    }
    assert_eq!(count(&lab), (1, 1));
    let next = Lab::on(&lab.machine, &lab.nets);
    assert_eq!(count(&next), (0, 0));
}

#[test]
fn a_service_for_one_command_looks_when_it_is_asked() {
    use hostcompute_service::compute::{Adoption, Settings};
    let lab = Lab::default();
    lab.nets.with(|nets| nets.endpoints.insert(guid(7)));
    let client = lab.client();
    let networking = json!({ "NetworkAdapters": [guid(7).to_string()] });
    client.running("old", &on(networking.clone()));
    client.running("other", &on(json!({})));
    lab.machine.die();
    lab.machine.kill_worker("old");
    let settings = Settings { adoption: Adoption::WhenAsked, ..Settings::default() };
    let command = Lab::with(&lab.machine, &lab.nets, settings);
    assert_eq!((command.compute.alive(), lab.nets.with(|nets| nets.namespaces.len())), (0, 1));
    let client = command.client();
    assert_eq!(client.properties("other").expect("found")["State"], "Running");
    client.running("new", &on(networking));
    assert_eq!(lab.nets.with(|nets| nets.namespaces.len()), 1, "the new one's");
}

/// One thread is enough: who ends a system removes its network, too, when nobody else does.
#[test]
fn ending_a_system_needs_no_second_thread() {
    use hostcompute_engine::compute::sim::Machine;
    use hostcompute_service::compute::{Call, Settings};
    let settings = Settings { threads: 1, ..Settings::default() };
    let lab = Lab::with(&Machine::default(), &crate::lab::Nets::default(), settings);
    lab.nets.with(|nets| nets.endpoints.insert(guid(7)));
    let client = lab.client();
    client.running("c", &on(json!({ "NetworkAdapters": [guid(7).to_string()] })));
    let (sender, answered) = std::sync::mpsc::channel();
    client.submit(Call::of(Verb::Terminate, "c", ""), move |answer| {
        let _ = sender.send(answer.is_ok());
    });
    assert_eq!(answered.recv_timeout(Duration::from_secs(60)), Ok(true));
    assert!(lab.nets.with(|nets| nets.namespaces.is_empty()));
}
