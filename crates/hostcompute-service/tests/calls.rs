//! What callers see: ids, documents, statistics, events, exports.

mod world;

use hostcompute_engine::EventKind;
use hostcompute_engine::host::{Counters, Surroundings, Uplink};
use hostcompute_schema::HResult;
use hostcompute_schema::operation::Operation;
use hostcompute_service::Body;
use serde_json::json;
use world::{Machine, Scratch, act, boot, day, guid, id, memory, open, play, sound};

#[test]
fn answers_carry_ids_and_documents() {
    let scratch = Scratch::new();
    let machine = Machine::default();
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    let answers: Vec<_> =
        day()[..8].iter().map(|act| play(&mut service, act).expect("done")).collect();
    assert_eq!(id(&answers[0]), guid(1));
    assert_eq!(answers[7].body, Body::None);
    let listed =
        play(&mut service, &act(Operation::EnumerateNetworks, 0, json!({}))).expect("listed");
    assert_eq!(listed.body, Body::Document(json!([guid(1).to_string(), guid(2).to_string()])));
    let missing =
        play(&mut service, &act(Operation::OpenEndpoint, 99, json!({}))).expect_err("missing");
    assert_eq!(missing.hresult, HResult::HCN_E_ENDPOINT_NOT_FOUND);
}

#[test]
fn statistics_come_from_the_machine_and_are_zero_without_a_port() {
    let scratch = Scratch::new();
    let machine = Machine::default();
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    day()[..8].iter().for_each(|act| drop(play(&mut service, act).expect("done")));
    machine.with(|simulator| {
        simulator.set_counters(guid(21), Counters { bytes_received: 7, ..Counters::default() })
    });
    let mut received = |endpoint| {
        let answer = play(&mut service, &act(Operation::QueryEndpointStats, endpoint, json!({})))
            .expect("counted");
        let Body::Document(document) = answer.body else { panic!("a document") };
        document.get("BytesReceived").and_then(serde_json::Value::as_u64).unwrap_or(0)
    };
    assert_eq!((received(21), received(22)), (7, 0));
}

#[test]
fn an_endpoint_names_an_adapter_that_is_there_now() {
    let scratch = Scratch::new();
    let machine = Machine::default();
    let name_links = |names: &[&str]| {
        let link = |name: &&str| Uplink {
            name: (*name).to_owned(),
            default_route: true,
            ..Uplink::default()
        };
        let uplinks = names.iter().map(link).collect();
        let surroundings = Surroundings { uplinks, ..Surroundings::default() };
        machine.with(|simulator| simulator.set_surroundings(surroundings));
    };
    name_links(&["up0"]);
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    let network = json!({ "Type": "NAT" });
    play(&mut service, &act(Operation::CreateNetwork, 1, network)).expect("made");
    drop(service);
    // Nobody has made a network since the start, nor since the adapter got another name.
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("known");
    let mut attempt = |number, adapter: &str| {
        let policy =
            json!({ "Type": "InterfaceConstraint", "Settings": { "InterfaceAlias": adapter } });
        let document = json!({ "HostComputeNetwork": guid(1).to_string(), "Policies": [policy] });
        play(&mut service, &act(Operation::CreateEndpoint, number, document)).map(drop)
    };
    attempt(11, "up0").expect("it is there");
    name_links(&["up1"]);
    attempt(12, "up1").expect("it is there by now");
    let gone = attempt(13, "up0").expect_err("it is there no more");
    assert_eq!(gone.hresult, HResult::HCN_E_ADAPTER_NOT_FOUND);
}

#[test]
fn events_are_told_in_order_and_not_for_what_failed() {
    let scratch = Scratch::new();
    let machine = Machine::default();
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    day().iter().for_each(|act| drop(play(&mut service, act).expect("done")));
    play(&mut service, &day()[1]).expect_err("it exists");
    let happened = service.events(0);
    let kinds: Vec<_> = happened.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds[..2], [EventKind::NetworkPreCreate, EventKind::NetworkCreate]);
    assert_eq!(kinds.last(), Some(&EventKind::NetworkDelete));
    assert_eq!((happened.missed, service.events(happened.next).events.len()), (0, 0));
}

#[test]
fn an_export_fills_an_empty_state_elsewhere() {
    let (here, there) = (Scratch::new(), Scratch::new());
    let mut service = open(here.path(), &Machine::default(), &boot(1)).expect("new");
    day()[..14].iter().for_each(|act| drop(play(&mut service, act).expect("done")));
    let export = service.export().to_string();
    assert_eq!(service.import(&export).expect_err("not empty").hresult, HResult::E_INVALIDARG);
    let machine = Machine::default();
    let mut other = open(there.path(), &machine, &boot(9)).expect("new");
    assert!(other.import(&export).expect("imported") > 0);
    assert_eq!(memory(other.state()), memory(service.state()));
    sound(&mut other);
    drop(other);
    let mut again = open(there.path(), &machine, &boot(9)).expect("again");
    assert_eq!(memory(again.state()), memory(service.state()));
    sound(&mut again);
}

#[test]
fn documents_that_are_no_export_are_refused() {
    let scratch = Scratch::new();
    let mut service = open(scratch.path(), &Machine::default(), &boot(1)).expect("new");
    let good = |objects: serde_json::Value| {
        json!({ "Format": "hostcompute-state", "Version": 1, "Objects": objects }).to_string()
    };
    for (text, code) in [
        ("{".to_owned(), HResult::HCN_E_INVALID_JSON),
        ("{}".to_owned(), HResult::HCN_E_INVALID_JSON),
        (good(json!(1)), HResult::HCN_E_INVALID_JSON),
        (good(json!([{ "Kind": "submarine" }])), HResult::HCN_E_INVALID_JSON),
        (
            good(json!([{ "Kind": "network", "Id": guid(1).to_string(), "Body": {} }])),
            HResult::HCN_E_REGKEY_FAILURE,
        ),
        (good(json!([])).replace(":1", ":2"), HResult::ERROR_WRONG_DISK),
    ] {
        assert_eq!(service.import(&text).expect_err("no export").hresult, code, "{text}");
    }
    assert!(service.state().is_empty());
}
