//! Handles, and systems that end with the last of them.

use std::time::Duration;

use hostcompute_engine::compute::verb::Verb;
use hostcompute_schema::HResult;

use crate::lab::{Asks, Lab, container, mortal};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn lc_11_the_last_handle_ends_only_what_is_marked() {
    let lab = Lab::default();
    let (one, two) = (lab.client(), lab.client());
    one.running("mortal", &mortal());
    one.running("durable", &container());
    two.open("mortal").expect("there");
    two.open("mortal").expect("there");
    let watcher = lab.client();
    one.close("mortal").expect("held");
    one.close("durable").expect("held");
    two.close("mortal").expect("held");
    assert_eq!(watcher.properties("mortal").expect("held by two")["State"], "Running");
    let events = watcher.subscribe("mortal").expect("there");
    two.close("mortal").expect("held");
    let told = crate::lab::events(&crate::lab::heard(&events));
    assert_eq!(told[0].1["ExitType"], "ForcedExit");
    assert_eq!(watcher.code(Verb::GetProperties, "mortal"), HResult::HCS_E_SYSTEM_NOT_FOUND);
    assert_eq!(watcher.properties("durable").expect("unmarked")["State"], "Running");
    assert_eq!(two.close("mortal").expect_err("no more").hresult, HResult::E_HANDLE);
}

#[test]
fn lc_11_a_client_that_goes_closes_its_handles() {
    let lab = Lab::default();
    let one = lab.client();
    one.running("mortal", &mortal());
    assert_eq!(one.handles(), (1, 0));
    drop(one);
    lab.compute.settle();
    assert!(lab.machine.is_empty());
    let late = lab.client().wait_for_exit("mortal", SOON).expect("remembered").expect("over");
    assert_eq!(late.status, Some(0));
}

#[test]
fn lc_11_a_service_that_dies_holds_nothing() {
    let lab = Lab::default();
    let one = lab.client();
    one.running("mortal", &mortal());
    one.running("durable", &container());
    lab.machine.die();
    let next = Lab::on(&lab.machine, &lab.nets);
    let client = next.client();
    assert_eq!(client.code(Verb::GetProperties, "mortal"), HResult::HCS_E_SYSTEM_NOT_FOUND);
    assert_eq!(client.properties("durable").expect("there")["State"], "Running");
}

#[test]
fn lc_11_two_services_hold_a_system_together() {
    let lab = Lab::default();
    let other = Lab::on(&lab.machine, &lab.nets);
    let (here, there) = (lab.client(), other.client());
    here.running("mortal", &mortal());
    there.open("mortal").expect("found");
    drop(here);
    lab.compute.settle();
    assert_eq!(there.properties("mortal").expect("held")["State"], "Running");
    there.close("mortal").expect("held");
    assert!(lab.machine.is_empty());
}

#[test]
fn a_handle_that_is_closed_while_the_system_is_made_counts() {
    let lab = Lab::default();
    let client = lab.client();
    let (sender, done) = std::sync::mpsc::channel();
    let document = mortal().to_string();
    let call = hostcompute_service::compute::Call::of(Verb::Create, "c", &document);
    client.submit(call, move |answer| {
        let _ = sender.send(answer.is_ok());
    });
    drop(client);
    assert!(done.recv().expect("told"));
    lab.compute.settle();
    assert!(lab.machine.is_empty());
}

#[test]
fn asking_takes_no_handle() {
    let lab = Lab::default();
    let maker = lab.client();
    maker.running("c", &mortal());
    let other = lab.client();
    other.properties("c").expect("there");
    other.act(Verb::Pause, "c").expect("running");
    assert_eq!(other.handles(), (0, 0));
    drop(other);
    lab.compute.settle();
    assert_eq!(maker.properties("c").expect("mine")["State"], "Paused");
}

#[test]
fn nothing_is_kept_of_what_carried_systems_that_ended() {
    let lab = Lab::default();
    let other = Lab::on(&lab.machine, &lab.nets);
    let before = lab.machine.handles();
    let (here, there) = (lab.client(), other.client());
    for id in ["a", "b", "c"] {
        here.running(id, &container());
        there.open(id).expect("found");
        there.act(Verb::Terminate, id).expect("ended");
    }
    assert_eq!(lab.machine.handles(), before);
    here.running("d", &container());
    drop((here, there, other));
    let closed = lab.client();
    closed.act(Verb::Terminate, "d").expect("ended");
    drop(closed);
    lab.compute.settle();
    assert!(lab.machine.handles() < before, "the other service's is gone");
}
