//! Many clients of one service: what each may do, what it holds, what it hears, and that none of it is another's.

mod clients;
mod world;

use std::sync::mpsc;
use std::time::Duration;

use clients::{attach, call, code, hold, morning, play, prepare, root, serve, submit_all};
use hostcompute_engine::EventKind;
use hostcompute_engine::Kind;
use hostcompute_engine::host::{Counters, Surroundings};
use hostcompute_engine::plan::{Element, Fact};
use hostcompute_engine::sim::{Fault, Moment, Tamper};
use hostcompute_schema::operation::{Operation, Right};
use hostcompute_schema::{Guid, HResult};
use hostcompute_service::server::{Caller, Groups, Limits, Session, Settings};
use hostcompute_service::{Body, Call, Disconnect, IdempotencyKey, Notice, Subscription, Topic};
use serde_json::json;
use world::{Machine, Scratch, act, boot, guid, memory, open};

fn user(uid: u32) -> Caller {
    Caller { uid, gid: uid, groups: vec![5], ..Caller::default() }
}

fn groups() -> Groups {
    Groups { manage: Some(5), read: Some(6) }
}

fn keyed(call: Call, key: &str) -> Call {
    Call { key: Some(IdempotencyKey::new(key).expect("a key")), ..call }
}

fn events(subscription: &Subscription) -> Vec<(u64, EventKind)> {
    let notices = std::iter::from_fn(|| subscription.try_next());
    let event = |notice| match notice {
        Notice::Event { number, event } => (number, event.kind),
        other => panic!("{other:?}"),
    };
    notices.map(event).collect()
}

#[test]
fn clients_see_what_others_did_at_once() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let (one, other) =
        (server.connect(root()).expect("root"), server.connect(root()).expect("root"));
    play(&one);
    let listed = other.call(call(Operation::EnumerateNetworks, 0, json!({}))).expect("listed");
    assert_eq!(listed.body, Body::Document(json!([guid(1).to_string(), guid(2).to_string()])));
    assert_eq!(other.view().endpoints().count(), 3);
    // By name, and by what every object must be looked into for.
    for (filter, ids) in [(json!({ "name": "b" }), 22..23), (json!({ "Flags": 0 }), 21..24)] {
        let query = json!({ "Filter": filter.to_string() });
        let found = other.call(call(Operation::EnumerateEndpoints, 0, query)).expect("listed");
        let ids: Vec<_> = ids.map(|id| guid(id).to_string()).collect();
        assert_eq!(found.body, Body::Document(json!(ids)), "{filter}");
    }
    machine.with(|simulator| {
        simulator.set_counters(guid(21), Counters { bytes_sent: 9, ..Counters::default() });
    });
    let counted = other.call(call(Operation::QueryEndpointStats, 21, json!({}))).expect("counted");
    let Body::Document(document) = counted.body else { panic!("a document") };
    assert_eq!(document["BytesSent"], 9);
    server.stop();
    let report = open(scratch.path(), &machine, &boot(1)).expect("again").check().expect("read");
    assert!(report.is_empty(), "{report:?}");
}

#[test]
fn handles_end_with_their_session_and_go_stale_with_their_object() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    play(&session);
    let handle = session.open(Kind::Network, guid(2)).expect("there");
    let endpoint = session.open(Kind::Endpoint, guid(23)).expect("there");
    let host = session.open(Kind::Namespace, hostcompute_engine::network::namespace::HOST_DEFAULT);
    assert_eq!(code(session.open(Kind::Endpoint, guid(99))), HResult::HCN_E_ENDPOINT_NOT_FOUND);
    assert_eq!(session.object(handle), Ok((Kind::Network, guid(2))));
    assert_eq!(session.handles().len(), 3);
    let mut modified = call(Operation::ModifyNetwork, 2, json!({}));
    modified.document =
        json!({ "ResourceType": "Policy", "RequestType": "Add", "Settings": { "Policies": [] } })
            .to_string();
    session.call(modified).expect("modified");
    assert!(session.object(handle).is_ok(), "the same object still");

    session.call(call(Operation::DeleteNetwork, 2, json!({}))).expect("deleted");
    assert_eq!(code(session.object(handle)), HResult::HCN_E_OBJECT_USED_AFTER_UNLOAD);
    assert_eq!(code(session.object(endpoint)), HResult::HCN_E_OBJECT_USED_AFTER_UNLOAD);
    session.call(morning().remove(1)).expect("made again under the same id");
    assert_eq!(code(session.object(handle)), HResult::HCN_E_OBJECT_USED_AFTER_UNLOAD);
    assert!(session.object(host.expect("always there")).is_ok());
    session.close(handle).expect("mine");
    assert_eq!(code(session.close(handle)), HResult::E_HANDLE);

    let other = server.connect(root()).expect("root");
    assert_eq!(code(other.object(endpoint)), HResult::E_HANDLE, "handles are the session's own");
    assert_eq!((server.metrics().sessions, server.metrics().handles), (2, 2));
    drop(session);
    assert_eq!((server.metrics().sessions, server.metrics().handles), (1, 0));
    assert!(other.view().exists(Kind::Network, guid(2)), "objects outlive their makers");
    other.end();
    assert_eq!(code(other.open(Kind::Network, guid(2))), HResult::E_HANDLE);
    assert_eq!(code(other.call(call(Operation::OpenNetwork, 2, json!({})))), HResult::E_HANDLE);
    server.stop();
}

#[test]
fn rights_are_those_of_the_caller() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let settings = Settings { groups: groups(), ..Settings::default() };
    let server = serve(scratch.path(), &machine, settings);
    let create = || morning().remove(0);
    let manager = server.connect(user(7)).expect("in the group");
    assert_eq!(manager.right(), Right::Manage);
    manager.call(create()).expect("may");
    let reader = server.connect(Caller { groups: vec![6], ..user(8) }).expect("may look");
    assert_eq!(reader.right(), Right::Read);
    reader.call(call(Operation::OpenNetwork, 1, json!({}))).expect("may look");
    reader.subscribe(Topic::All, None).expect("may listen");
    assert_eq!(
        code(reader.call(call(Operation::DeleteNetwork, 1, json!({})))),
        HResult::E_ACCESSDENIED
    );
    assert_eq!(code(reader.with_service(Right::Manage, "repair", |_| ())), HResult::E_ACCESSDENIED);
    reader
        .with_service(Right::Read, "check", |service| service.check())
        .expect("may")
        .expect("read");
    assert_eq!(code(server.connect(Caller { groups: vec![], ..user(9) })), HResult::E_ACCESSDENIED);
    let foreign = Caller { foreign_user_namespace: true, ..root() };
    assert_eq!(code(server.connect(foreign)), HResult::E_ACCESSDENIED);
    server.stop();
}

#[test]
fn nobody_gets_more_than_the_limits_say() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let limits = Limits {
        connections: 2,
        handles: 1,
        subscriptions: 1,
        request_bytes: 500,
        rate: 1,
        burst: 12,
        ..Limits::default()
    };
    let server = serve(scratch.path(), &machine, Settings { limits, groups: groups() });
    let (one, two) =
        (server.connect(user(7)).expect("first"), server.connect(user(7)).expect("second"));
    assert_eq!(code(server.connect(user(7))), HResult::ERROR_NOT_ENOUGH_QUOTA);
    let other = server.connect(user(8)).expect("another user");
    drop(two);
    let two = server.connect(user(7)).expect("room again");
    one.call(morning().remove(0)).expect("made");
    let _handle = one.open(Kind::Network, guid(1)).expect("room");
    assert_eq!(code(one.open(Kind::Network, guid(1))), HResult::ERROR_NOT_ENOUGH_QUOTA);
    let heard = one.subscribe(Topic::All, None).expect("room");
    assert_eq!(code(two.subscribe(Topic::All, None)), HResult::ERROR_NOT_ENOUGH_QUOTA);
    drop(heard);
    two.subscribe(Topic::All, None).expect("room again");
    let mut long = call(Operation::EnumerateNetworks, 0, json!({}));
    long.document = " ".repeat(501);
    assert_eq!(code(one.call(long)), HResult::ERROR_MESSAGE_EXCEEDS_MAX_SIZE);
    let ask = |session: &Session<Machine>| session.call(call(Operation::OpenNetwork, 1, json!({})));
    let refused = (0..20).find_map(|_| ask(&one).err()).expect("too many");
    assert_eq!(refused.hresult, HResult::ERROR_NOT_ENOUGH_QUOTA);
    assert!(refused.hint.is_some_and(|hint| hint.contains("`rate`")));
    ask(&other).expect("another user's tokens");
    server.stop();
}

#[test]
fn subscribers_hear_everything_in_order_and_only_what_concerns_them() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    assert_eq!(
        code(session.subscribe(Topic::Network(guid(2)), None)),
        HResult::HCN_E_NETWORK_NOT_FOUND
    );
    let all = session.subscribe(Topic::All, None).expect("room");
    play(&session);
    let one = session.subscribe(Topic::Network(guid(2)), Some(0)).expect("there");
    session.call(call(Operation::DeleteNetwork, 2, json!({}))).expect("deleted");
    use EventKind as E;
    let heard = events(&all);
    assert!(
        heard.iter().map(|(number, _)| *number).eq(1..=heard.len() as u64),
        "no gap: {heard:?}"
    );
    let of_network: Vec<_> = events(&one).into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(
        of_network,
        [
            E::NetworkPreCreate,
            E::NetworkCreate,
            E::NetworkEndpointAttached,
            E::NetworkPreDelete,
            E::NetworkEndpointDetached,
            E::NetworkDelete
        ]
    );
    server.stop();
    assert_eq!(all.next(Duration::MAX), Some(Notice::Disconnected(Disconnect::Stopping)));
    drop(server);
    // Numbers go on after a restart, so that a reader who comes back is told what it missed.
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    let last = heard.len() as u64;
    let back = session.subscribe(Topic::All, Some(last - 2)).expect("room");
    assert_eq!(back.try_next(), Some(Notice::Missed(2)));
    session.call(morning().remove(1)).expect("made");
    assert_eq!(events(&back), [(last + 1, E::NetworkPreCreate), (last + 2, E::NetworkCreate)]);
    server.stop();
}

#[test]
fn a_reader_who_sleeps_is_cut_off_and_delays_nobody() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let limits = Limits { backlog: 3, ..Limits::default() };
    let server = serve(scratch.path(), &machine, Settings { limits, ..Settings::default() });
    let session = server.connect(root()).expect("root");
    let asleep = session.subscribe(Topic::All, None).expect("room");
    let awake = session.subscribe(Topic::All, None).expect("room");
    let (sender, woken) = mpsc::channel();
    awake.on_ready(move || sender.send(()).expect("the test listens"));
    let mut heard = 0;
    for call in morning() {
        session.call(call).expect("done");
        while woken.try_recv().is_ok() {}
        heard += events(&awake).len();
    }
    assert!(heard > 4);
    let last = std::iter::from_fn(|| asleep.try_next()).last();
    assert_eq!(last, Some(Notice::Disconnected(Disconnect::TooSlow)));
    assert_eq!(server.metrics().events.cut_off, 1);
    session.end();
    assert_eq!(awake.try_next(), Some(Notice::Disconnected(Disconnect::SessionEnded)));
    server.stop();
}

#[test]
fn a_repeated_change_is_made_once() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let settings = Settings { groups: groups(), ..Settings::default() };
    let server = serve(scratch.path(), &machine, settings);
    let session = server.connect(root()).expect("root");
    let create = |name: &str| Call {
        id: None,
        ..call(Operation::CreateNetwork, 0, json!({ "Name": name, "Type": "Internal" }))
    };
    let first = session.call(keyed(create("a"), "k")).expect("made");
    assert_eq!(session.call(keyed(create("a"), "k")), Ok(first.clone()));
    assert_eq!(code(session.call(keyed(create("b"), "k"))), HResult::E_INVALIDARG);
    assert_eq!(session.view().networks().count(), 1);
    // Another user's key of the same name is another key, and a failure is not remembered.
    let other = server.connect(user(7)).expect("in the group");
    assert_eq!(code(other.call(keyed(create("a"), "k"))), HResult::HCN_E_NETWORK_ALREADY_EXISTS);
    other.call(keyed(create("b"), "k")).expect("a failure leaves the key free");
    server.stop();
    drop((session, other, server));
    let server = serve(scratch.path(), &machine, settings);
    let session = server.connect(root()).expect("root");
    assert_eq!(session.call(keyed(create("a"), "k")), Ok(first), "also after a restart");
    server.stop();
}

#[test]
fn what_waits_together_shares_a_transaction_and_is_answered_in_order() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    prepare(&session, 8);
    let before = server.metrics().groups;
    let calls: Vec<_> = (0..8).map(|number| attach(60 + number, 40 + number)).collect();
    let held = hold(&server);
    let answers = submit_all(&session, &calls);
    drop(held);
    let order: Vec<_> =
        answers.into_iter().map(|(place, result)| result.map(|_| place).expect("done")).collect();
    assert_eq!(order, (0..8).collect::<Vec<_>>());
    let after = server.metrics().groups;
    assert_eq!((after.count - before.count, after.sum - before.sum), (1, 8));
    server.stop();
    let report = open(scratch.path(), &machine, &boot(1)).expect("again").check().expect("read");
    assert!(report.is_empty(), "{report:?}");
}

/// The kernel refuses a step of a group, or the group holds requests that meet or cannot be done: each client gets its own answer.
#[test]
fn one_clients_failure_is_its_own() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    prepare(&session, 6);
    let mut calls: Vec<_> = (0..6).map(|number| attach(60 + number, 40 + number)).collect();
    calls.insert(3, attach(61, 40));
    calls.push(call(Operation::DeleteEndpoint, 44, json!({})));
    let held = hold(&server);
    // The whole group fails once; alone, each succeeds.
    machine.with(|simulator| simulator.order(Fault { after: 2, moment: Moment::Halfway }));
    let answers = submit_all(&session, &calls);
    drop(held);
    let refused: Vec<_> = answers
        .into_iter()
        .filter_map(|(place, result)| result.err().map(|f| (place, f.hresult)))
        .collect();
    assert_eq!(refused, [(3, HResult::HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS)]);
    assert_eq!(
        session.view().endpoints().filter(|endpoint| endpoint.attachment.is_some()).count(),
        5
    );
    assert_eq!(server.metrics().faults.iter().map(|(_, count)| count).sum::<u64>(), 1);
    let seen = memory(&session.view());
    server.stop();
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("again");
    assert_eq!(memory(service.state()), seen);
    world::sound(&mut service);
}

#[test]
fn the_same_key_twice_in_one_group_is_one_change() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    let create = Call { id: None, ..call(Operation::CreateNamespace, 0, json!({})) };
    let calls: Vec<_> = (0..3).map(|_| keyed(create.clone(), "once")).collect();
    let held = hold(&server);
    let answers = submit_all(&session, &calls);
    drop(held);
    let answers: Vec<_> = answers.into_iter().map(|(_, result)| result.expect("done")).collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(session.view().namespaces().count(), 1);
    server.stop();
}

#[test]
fn a_request_that_panics_harms_nobody() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    play(&session);
    let before = memory(&session.view());
    let half_way = |service: &mut hostcompute_service::Service<Machine>| {
        let act = act(Operation::CreateNamespace, 77, json!({}));
        world::play(service, &act).expect("made");
        panic!("on purpose");
    };
    let failed = session.with_service(Right::Manage, "panic", half_way);
    assert_eq!(code::<()>(failed), HResult::E_UNEXPECTED);
    session
        .call(call(Operation::DeleteNamespace, 77, json!({})))
        .expect("what was made before stays");
    assert_eq!(memory(&session.view()), before);
    server.stop();
    world::sound(&mut open(scratch.path(), &machine, &boot(1)).expect("again"));
}

/// One request of several that wait together makes the service panic: the others are carried out, it is not.
#[test]
fn a_panic_in_a_group_is_one_requests_own() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    prepare(&session, 3);
    let calls: Vec<_> = (0..3).map(|number| attach(60 + number, 40 + number)).collect();
    let held = hold(&server);
    // The first plan is the group's, the second that of the first request alone.
    let again = machine.clone();
    machine.interrupt(move || {
        again.interrupt(|| panic!("on purpose"));
        panic!("on purpose");
    });
    let answers = submit_all(&session, &calls);
    drop(held);
    let refused: Vec<_> = answers
        .into_iter()
        .filter_map(|(place, result)| result.err().map(|f| (place, f.hresult)))
        .collect();
    assert_eq!(refused, [(0, HResult::E_UNEXPECTED)]);
    session.call(attach(60, 40)).expect("nothing of it was left");
    server.stop();
    world::sound(&mut open(scratch.path(), &machine, &boot(1)).expect("again"));
}

#[test]
fn stopping_finishes_what_was_accepted_and_accepts_nothing_more() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    let held = hold(&server);
    let answers = submit_all(&session, &morning());
    let stopping = {
        let server = server.clone();
        std::thread::spawn(move || server.stop())
    };
    while server.connect(root()).is_ok() {
        std::thread::yield_now();
    }
    assert_eq!(code(session.call(morning().remove(0))), HResult::HCN_E_MANAGER_STOPPED);
    drop(held);
    assert!(answers.into_iter().all(|(_, result)| result.is_ok()));
    stopping.join().expect("no panic");
    server.stop();
    assert!(open(scratch.path(), &machine, &boot(1)).expect("let in").recovery().is_none());
}

#[test]
fn ids_of_sessions_differ() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let ids: std::collections::BTreeSet<Guid> =
        (0..20).map(|_| server.connect(root()).expect("root").id()).collect();
    assert_eq!(ids.len(), 20);
    server.stop();
}

#[test]
fn what_others_take_away_is_put_right_but_not_for_ever() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    play(&session);
    let wanted = session.view().facts();
    let agrees = || {
        // What was asked of the decider before is done then.
        session.with_service(Right::Read, "Look", |_| ()).expect("looked");
        machine.with(|simulator| simulator.facts()) == wanted
    };
    assert!(agrees());
    for _ in 0..5 {
        machine.disturb(Tamper::Lose(Fact::Table));
        assert!(agrees());
    }
    machine.disturb(Tamper::Lose(Fact::Table));
    assert!(!agrees(), "who does it again and again is left in peace");
    session.call(call(Operation::CreateNamespace, 99, json!({}))).expect("made");
    let wanted = session.view().facts();
    assert_eq!(machine.with(|simulator| simulator.facts()), wanted, "until the next change");
    assert_eq!(server.metrics().disturbances, 6);
    server.stop();
    machine.disturb(Tamper::Lose(Fact::Table));
}

#[test]
fn without_objects_nothing_on_the_host_is_taken_for_ours() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    machine.disturb(Tamper::Put(Fact::Table));
    session.with_service(Right::Read, "Look", |_| ()).expect("looked");
    assert_eq!(machine.with(|simulator| simulator.facts()), [Fact::Table]);
}

/// What a constrained network is kept from is where the host is now, also after a start, and for readers and the file, too.
#[test]
fn fences_follow_the_host() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    let document = json!({
        "Type": "ConstrainedICS",
        "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.8.0.0/24"}]}],
    });
    session.call(call(Operation::CreateNetwork, 1, document)).expect("made");
    let near = |net: &str| Surroundings {
        prefixes: vec![net.parse().expect("a prefix")],
        ..Surroundings::default()
    };
    let is_barred = |facts: &[Fact], net: &str| {
        let net = net.parse().expect("a prefix");
        facts
            .iter()
            .any(|fact| matches!(fact, Fact::Element(Element::Barred { to, .. }) if *to == net))
    };
    let (home, hotel, train) = ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24");
    for (there, left) in [(home, hotel), (hotel, home)] {
        machine.relocate(near(there));
        session.with_service(Right::Read, "Look", |_| ()).expect("looked");
        let (found, seen) = (machine.with(|s| s.facts()), session.view().facts());
        assert_eq!(found, seen);
        assert!(is_barred(&found, there) && !is_barred(&found, left));
    }
    server.stop();
    machine.with(|simulator| simulator.set_surroundings(near(train)));
    let server = serve(scratch.path(), &machine, Settings::default());
    assert!(is_barred(&machine.with(|simulator| simulator.facts()), train));
    server.stop();
}
