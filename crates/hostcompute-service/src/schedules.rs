//! Sessions, rundown, decider and notifier under a randomised scheduler: `cargo test -p hostcompute-service --features schedules`.
//!
//! In this build the locks, channels and threads of `sync` are those of `shuttle`: one thread runs at a time, and at each of them the
//! scheduler draws who goes on. What must hold is checked in every execution. A failure prints its schedule; put that text into
//! `shuttle::replay` in the place of [`explore`] to see the same execution again. `HOSTCOMPUTE_SCHEDULES` says how many executions
//! each test makes.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use hostcompute_engine::sim::{Fault, Moment, Simulator};
use hostcompute_engine::{Kind, State};
use hostcompute_schema::operation::{Operation, Right};
use hostcompute_schema::{Failure, Guid, HResult};
use serde_json::{Value, json};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use crate::server::{Access, Caller, Limits, Operations, Server, Session, Settings, Stage, Update};
use crate::sync::{Arc, Mutex, lock, thread};
use crate::{Call, Disconnect, IdempotencyKey, Notice, Reading, Service, Subscription, Topic};

#[path = "../tests/world/mod.rs"]
mod world;
use world::{Machine, Scratch, act, boot, guid, memory, open};

/// Runs `work` under many schedules: half of them drawn freely, half with few, well placed changes of turn, which finds what is
/// rare.
pub(crate) fn explore(work: impl Fn() + Send + Sync + 'static) {
    let executions =
        std::env::var("HOSTCOMPUTE_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let work = Arc::new(work);
    let config = || {
        let mut config = Config::new();
        // SQLite and the documents need more than the usual stack of a coroutine.
        config.stack_size = 1 << 20;
        config.max_steps = shuttle::MaxSteps::None;
        config
    };
    let its = work.clone();
    Runner::new(RandomScheduler::new(executions), config()).run(move || its());
    Runner::new(PctScheduler::new(3, executions), config()).run(move || work());
}

/// A state directory and a machine with a network, endpoints 40.. on it and namespaces 60..: made once, copied for each execution.
struct Ground {
    directory: Scratch,
    simulator: Simulator,
}

/// How many endpoints and namespaces there are.
const OBJECTS: u8 = 3;

impl Ground {
    /// Inside of an execution, for it takes locks; nothing of them is left in what it makes.
    fn prepare() -> Self {
        let (directory, machine) = (Scratch::new(), Machine::default());
        let mut service = open(directory.path(), &machine, &boot(1)).expect("new");
        let mut play = |operation, id, document: Value| {
            world::play(&mut service, &act(operation, id, document)).expect("made");
        };
        let subnets = json!([{ "Subnets": [{ "IpAddressPrefix": "10.1.0.0/24" }] }]);
        play(Operation::CreateNetwork, 1, json!({ "Name": "nat", "Ipams": subnets }));
        for number in 0..OBJECTS {
            let on = json!({ "HostComputeNetwork": guid(1).to_string() });
            play(Operation::CreateEndpoint, 40 + number, on);
            play(Operation::CreateNamespace, 60 + number, json!({}));
        }
        drop(service);
        Self { directory, simulator: machine.with(|simulator| simulator.clone()) }
    }

    fn copy(&self) -> (Scratch, Machine) {
        (Scratch::copy_of(self.directory.path()), Machine::of(self.simulator.clone()))
    }
}

fn serve(scratch: &Scratch, machine: &Machine, limits: Limits) -> Server<Machine> {
    let service = open(scratch.path(), machine, &boot(1)).expect("opened");
    Server::start(service, Settings { limits, ..Settings::default() }).expect("observable")
}

fn connect(server: &Server<Machine>) -> Result<Session<Machine>, Failure> {
    server.connect(Caller::default())
}

fn call(operation: Operation, id: u8, document: &Value) -> Call {
    let (id, document) = (Some(guid(id)), document.to_string());
    Call { operation, id, network: None, document, reading: Reading::Strict, key: None }
}

fn membership(kind: &str, namespace: u8, endpoint: u8) -> Call {
    let settings = json!({ "EndpointId": guid(endpoint).to_string() });
    let document = json!({ "ResourceType": "Endpoint", "RequestType": kind, "Settings": settings });
    call(Operation::ModifyNamespace, namespace, &document)
}

fn is_attached(state: &State, endpoint: u8) -> bool {
    state.endpoint(guid(endpoint)).is_ok_and(|endpoint| endpoint.attachment.is_some())
}

/// Documents, journal and machine agree, and a new process finds what clients saw last.
fn agree(scratch: &Scratch, machine: &Machine, seen: &[(Kind, Guid, String)]) {
    let mut service: Service<Machine> = open(scratch.path(), machine, &boot(1)).expect("again");
    assert_eq!(memory(service.state()), seen);
    let report = service.check().expect("readable");
    assert!(report.is_empty(), "{report:?}");
}

/// Each event once, in order, without a gap; then one last notice.
fn heard_properly(subscription: &Subscription) -> Disconnect {
    let mut last = None;
    loop {
        match subscription.next(Duration::MAX).expect("a notice, for the last has not come") {
            Notice::Event { number, .. } => {
                assert!(last.is_none_or(|last| number == last + 1), "{last:?} then {number}");
                last = Some(number);
            }
            Notice::Missed(_) => panic!("nothing was resumed"),
            Notice::Disconnected(why) => {
                assert_eq!((subscription.try_next(), subscription.is_over()), (None, true));
                return why;
            }
        }
    }
}

/// Clients work on objects of their own while the kernel refuses something, and the service stops at some moment: what a client was
/// told is true, in memory, in the journal and on the machine.
#[test]
fn what_clients_are_told_is_true() {
    let ground = OnceLock::new();
    explore(move || {
        let (scratch, machine) = ground.get_or_init(Ground::prepare).copy();
        let server = serve(&scratch, &machine, Limits::default());
        for _ in 0..thread_rng().gen_range(0..3) {
            let after = thread_rng().gen_range(0..6);
            machine.with(|simulator| simulator.order(Fault { after, moment: Moment::Halfway }));
        }
        let clients: Vec<_> = (0..OBJECTS)
            .map(|number| {
                let server = server.clone();
                thread::spawn(move || attach_and_detach(&server, number))
            })
            .collect();
        if thread_rng().gen_bool(0.5) {
            server.stop();
        }
        let told: Vec<bool> =
            clients.into_iter().map(|client| client.join().expect("no panic")).collect();
        server.stop();
        let metrics = server.metrics();
        assert_eq!((metrics.sessions, metrics.handles, metrics.events.subscriptions), (0, 0, 0));
        drop(server);
        machine.with(Simulator::cancel_faults);
        let service = open(scratch.path(), &machine, &boot(1)).expect("again");
        let attached: Vec<bool> =
            (0..OBJECTS).map(|number| is_attached(service.state(), 40 + number)).collect();
        assert_eq!(attached, told);
        let seen = memory(service.state());
        drop(service);
        agree(&scratch, &machine, &seen);
    });
}

/// Attaches an endpoint and takes it out again, a few times, as long as it is let; whether it is in the namespace at the end.
fn attach_and_detach(server: &Server<Machine>, number: u8) -> bool {
    let Ok(session) = connect(server) else { return false };
    let (endpoint, mut attached) = (40 + number, false);
    for _ in 0..3 {
        let kind = if attached { "Remove" } else { "Add" };
        match session.call(membership(kind, 60 + number, endpoint)) {
            Ok(_) => attached = !attached,
            Err(failure) if failure.hresult == HResult::HCN_E_MANAGER_STOPPED => break,
            Err(_) => {}
        }
        assert_eq!(is_attached(&session.view(), endpoint), attached, "what was answered is seen");
    }
    attached
}

/// Everybody hears everything once and in order while others come, go and are too slow.
#[test]
fn notifications_are_ordered_and_whole() {
    let ground = OnceLock::new();
    explore(move || {
        let (scratch, machine) = ground.get_or_init(Ground::prepare).copy();
        let limits = Limits { backlog: 4, ..Limits::default() };
        let server = serve(&scratch, &machine, limits);
        let listeners: Vec<_> = (0..2)
            .map(|_| {
                let server = server.clone();
                thread::spawn(move || {
                    let Ok(session) = connect(&server) else { return };
                    let subscription = session.subscribe(Topic::All, None).expect("room");
                    let why = heard_properly(&subscription);
                    assert!(matches!(why, Disconnect::Stopping | Disconnect::TooSlow), "{why:?}");
                })
            })
            .collect();
        let session = connect(&server).expect("running");
        for number in 0..OBJECTS {
            session.call(membership("Add", 60 + number, 40 + number)).expect("attached");
            session.call(membership("Remove", 60 + number, 40 + number)).expect("detached");
        }
        drop(session);
        server.stop();
        listeners.into_iter().for_each(|listener| listener.join().expect("no panic"));
    });
}

/// A session ends while it works on several threads: nothing of it is left, what it changed stays.
#[test]
fn rundown_takes_everything_whenever_it_comes() {
    let ground = OnceLock::new();
    explore(move || {
        let (scratch, machine) = ground.get_or_init(Ground::prepare).copy();
        let server = serve(&scratch, &machine, Limits::default());
        let session = Arc::new(connect(&server).expect("running"));
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (listening, opening, changing) = (session.clone(), session.clone(), session.clone());
        let reserving = session.clone();
        let subscriptions = kept.clone();
        let workers = [
            thread::spawn(move || {
                for topic in [Topic::All, Topic::Network(guid(1))] {
                    if let Ok(subscription) = listening.subscribe(topic, None) {
                        lock(&subscriptions).push(subscription);
                    }
                }
            }),
            thread::spawn(move || {
                for number in 0..OBJECTS {
                    let Ok(handle) = opening.open(Kind::Endpoint, guid(40 + number)) else { break };
                    let _ = opening.object(handle);
                }
            }),
            thread::spawn(move || {
                let attached = changing.call(membership("Add", 60, 40));
                let seen = is_attached(&changing.view(), 40);
                assert_eq!(attached.is_ok(), seen, "{attached:?}");
            }),
            thread::spawn(move || {
                let _ = reserving.reserve_port(true, false, Access::Exclusive, 8080, None);
            }),
        ];
        session.end();
        workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
        let metrics = server.metrics();
        assert_eq!((metrics.sessions, metrics.handles, metrics.events.subscriptions), (0, 0, 0));
        assert_eq!(session.reservations(), []);
        for subscription in std::mem::take(&mut *lock(&kept)) {
            assert_eq!(heard_properly(&subscription), Disconnect::SessionEnded);
        }
        let seen = memory(&session.view());
        server.stop();
        drop((session, server));
        agree(&scratch, &machine, &seen);
    });
}

/// Several clients repeat the same request under one key while the kernel refuses it now and then: it is made at most once.
#[test]
fn a_key_makes_a_change_once() {
    let ground = OnceLock::new();
    explore(move || {
        let (scratch, machine) = ground.get_or_init(Ground::prepare).copy();
        let server = serve(&scratch, &machine, Limits::default());
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let server = server.clone();
                thread::spawn(move || {
                    let session = connect(&server).expect("running");
                    let create = Call {
                        id: None,
                        key: Some(IdempotencyKey::new("once").expect("a key")),
                        ..call(Operation::CreateNamespace, 0, &json!({}))
                    };
                    session.call(create).map(|answer| format!("{:?}", answer.body))
                })
            })
            .collect();
        machine.with(|simulator| simulator.order(Fault { after: 0, moment: Moment::After }));
        let answers: Vec<_> =
            clients.into_iter().map(|client| client.join().expect("no panic")).collect();
        let made: BTreeSet<_> = answers.iter().flatten().collect();
        let session = connect(&server).expect("running");
        assert_eq!(
            session.view().namespaces().count(),
            usize::from(OBJECTS) + made.len(),
            "{answers:?}"
        );
        assert!(made.len() <= 1);
        let seen = memory(&session.view());
        server.stop();
        machine.with(Simulator::cancel_faults);
        drop((session, server));
        agree(&scratch, &machine, &seen);
    });
}

/// What needs the whole service takes its turn with everything else, and a service that stops answers it or refuses it.
#[test]
fn work_on_the_whole_service_takes_its_turn() {
    let ground = OnceLock::new();
    explore(move || {
        let (scratch, machine) = ground.get_or_init(Ground::prepare).copy();
        let server = serve(&scratch, &machine, Limits::default());
        let (one, other) = (server.clone(), server.clone());
        let checker = thread::spawn(move || {
            let Ok(session) = connect(&one) else { return };
            match session.with_service(Right::Read, "check", |service| service.check()) {
                Ok(report) => assert!(report.expect("readable").is_empty()),
                Err(failure) => assert_eq!(failure.hresult, HResult::HCN_E_MANAGER_STOPPED),
            }
        });
        let client = thread::spawn(move || attach_and_detach(&other, 0));
        server.stop();
        checker.join().expect("no panic");
        client.join().expect("no panic");
    });
}

/// Followers of a long operation hear all of it, whenever they come.
#[test]
fn followers_hear_all_of_an_operation() {
    explore(|| {
        let operations = Operations::default();
        let running = operations.begin(7, "up").expect("room");
        let id = running.id();
        let followers: Vec<_> = (0..2)
            .map(|_| {
                let operations = operations.clone();
                thread::spawn(move || {
                    let following = operations.follow(id, 7).expect("mine");
                    let heard = std::iter::from_fn(|| following.next(Duration::MAX));
                    heard.collect::<Vec<_>>()
                })
            })
            .collect();
        let waiter =
            thread::spawn(move || operations.wait(id, 7, Duration::MAX).expect("mine").stage);
        (0..3).for_each(|line| running.tell(json!(line)));
        running.finish(Ok(json!("done")));
        let end = Stage::Succeeded(json!("done"));
        assert_eq!(waiter.join().expect("no panic"), end);
        let mut all: Vec<_> = (0..3).map(|line| Update::Progress(json!(line))).collect();
        all.push(Update::Finished(end));
        for follower in followers {
            assert_eq!(follower.join().expect("no panic"), all);
        }
    });
}
