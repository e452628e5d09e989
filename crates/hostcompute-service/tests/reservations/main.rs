//! Ports that clients reserve: who may have which, and that they go with their session.

mod histories;
#[path = "../../../hostcompute-engine/tests/seeded/mod.rs"]
mod seeded;
#[path = "../world/mod.rs"]
mod world;

use hostcompute_engine::host::{Host, Ports};
use hostcompute_engine::plan::Family;
use hostcompute_engine::sim::Listener;
use hostcompute_schema::HResult;
use hostcompute_schema::operation::Operation;
use hostcompute_service::server::{
    Access, Caller, Groups, Limits, Reservation, Server, Session, Settings,
};
use hostcompute_service::{Call, Notice, Reading, Subscription, Topic};
use serde_json::{Value, json};
use world::{Machine, Scratch, boot, guid, open};

use Access::{Exclusive, Shared};

struct Place {
    _scratch: Scratch,
    machine: Machine,
    server: Server<Machine>,
}

impl Place {
    fn new() -> Self {
        let (scratch, machine) = (Scratch::new(), Machine::default());
        let service = open(scratch.path(), &machine, &boot(1)).expect("opened");
        let limits = Limits { ports: 100, ..Limits::default() };
        let settings = Settings { limits, groups: Groups { manage: Some(5), read: Some(6) } };
        let server = Server::start(service, settings).expect("started");
        Self { _scratch: scratch, machine, server }
    }

    fn user(&self) -> Session<Machine> {
        self.server.connect(Caller { uid: 7, gid: 5, ..Caller::default() }).expect("a session")
    }

    /// Whether nobody has the port, as somebody outside sees it.
    fn is_free(&self, port: u16) -> bool {
        let ports = Ports { tcp: true, udp: false, first: port, last: port };
        self.machine.clone().hold(ports).is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.stop();
    }
}

fn tcp(session: &Session<Machine>, access: Access, port: u16) -> Result<Reservation, HResult> {
    session.reserve_port(true, false, access, port, None).map_err(|failure| failure.hresult)
}

const TAKEN: Result<Reservation, HResult> = Err(HResult::HCN_E_PORT_ALREADY_EXISTS);

#[test]
fn a_reserved_port_is_nobody_elses_until_it_is_released() {
    let place = Place::new();
    let (one, two) = (place.user(), place.user());
    let mine = tcp(&one, Exclusive, 8080).expect("free");
    assert_eq!(one.reservations(), [mine]);
    assert_eq!(two.reservations(), [mine]);
    assert!(!place.is_free(8080));
    assert_eq!(tcp(&two, Exclusive, 8080), TAKEN);
    assert_eq!(tcp(&two, Shared, 8080), TAKEN);
    assert!(two.reserve_port(false, true, Exclusive, 8080, None).is_ok(), "another protocol");
    assert_eq!(two.release(mine.number).expect_err("not its own").hresult, HResult::E_HANDLE);
    one.release(mine.number).expect("its own");
    assert!(place.is_free(8080));
    assert_eq!(one.release(mine.number).expect_err("gone").hresult, HResult::E_HANDLE);
}

#[test]
fn what_is_shared_is_held_as_long_as_somebody_has_it() {
    let place = Place::new();
    let (one, two) = (place.user(), place.user());
    let first = tcp(&one, Shared, 5353).expect("free");
    let second = tcp(&two, Shared, 5353).expect("shared");
    assert_eq!(tcp(&two, Exclusive, 5353), TAKEN);
    one.release(first.number).expect("released");
    assert!(!place.is_free(5353));
    two.release(second.number).expect("released");
    assert!(place.is_free(5353));
}

#[test]
fn reservations_go_with_their_session() {
    let place = Place::new();
    let one = place.user();
    tcp(&one, Exclusive, 8080).expect("free");
    one.reserve_range(9, None).expect("a range");
    drop(one);
    assert_eq!(place.user().reservations(), []);
    assert!(place.is_free(8080) && place.is_free(u16::MAX));
}

#[test]
fn a_range_is_a_row_of_free_ports_from_the_top() {
    let place = Place::new();
    let session = place.user();
    let listener =
        Listener { address: None, family: Family::V4, dual: false, protocol: 6, port: 65_530 };
    place.machine.with(|simulator| simulator.listen(listener));
    let Reservation { ports, .. } = session.reserve_range(9, None).expect("a range");
    assert_eq!((ports.first, ports.last), (65_520, 65_529));
    assert!(place.is_free(65_531), "what did not fit is given back");
    let next = session.reserve_range(4, None).expect("a range").ports;
    assert_eq!((next.first, next.last), (65_531, 65_535));
}

#[test]
fn published_ports_and_reserved_ports_exclude_each_other() {
    let place = Place::new();
    let session = place.user();
    let call = |operation, id, document: Value| Call {
        operation,
        id: Some(guid(id)),
        network: None,
        document: document.to_string(),
        reading: Reading::Strict,
        key: None,
    };
    let network =
        json!({"Type": "NAT", "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.0.0.0/24"}]}]});
    session.call(call(Operation::CreateNetwork, 1, network)).expect("a network");
    let publish = |id, port| {
        let settings = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": port});
        let policies = json!([{"Type": "PortMapping", "Settings": settings}]);
        let endpoint = json!({"HostComputeNetwork": guid(1), "Policies": policies});
        session
            .call(call(Operation::CreateEndpoint, id, endpoint))
            .map_err(|failure| failure.hresult)
    };
    tcp(&session, Exclusive, 8080).expect("free");
    assert_eq!(publish(2, 8080), Err(HResult::HCN_E_PORT_ALREADY_EXISTS));
    publish(3, 8081).expect("free");
    assert_eq!(tcp(&session, Exclusive, 8081), TAKEN);
}

#[test]
fn ports_of_a_guest_go_with_its_service() {
    let place = Place::new();
    let (owner, other) = (place.user(), place.user());
    let call = |operation, document: Value| Call {
        operation,
        id: Some(guid(9)),
        network: None,
        document: document.to_string(),
        reading: Reading::Strict,
        key: None,
    };
    let reserve = |port| owner.reserve_port(true, false, Exclusive, port, Some(guid(9)));
    assert_eq!(reserve(8080).expect_err("no service").hresult, HResult::ERROR_NOT_FOUND);
    other.call(call(Operation::CreateGuestNetworkService, json!({}))).expect("made");
    let reserved = reserve(8080).expect("free");
    assert_eq!(reserved.service, Some(guid(9)));
    owner.reserve_range(3, Some(guid(9))).expect("a range");
    let own = tcp(&owner, Exclusive, 8081).expect("free");
    // Whoever deletes it.
    other.call(call(Operation::DeleteGuestNetworkService, json!({}))).expect("deleted");
    assert_eq!(owner.reservations(), [own]);
    assert!(place.is_free(8080) && place.is_free(u16::MAX) && !place.is_free(8081));
}

#[test]
fn subscribers_of_a_guest_network_service_hear_its_states() {
    let place = Place::new();
    let session = place.user();
    let call = |operation, document: Value| {
        let call = Call {
            operation,
            id: Some(guid(9)),
            network: None,
            document: document.to_string(),
            reading: Reading::Strict,
            key: None,
        };
        session.call(call).map_err(|failure| failure.hresult)
    };
    let state = |name: &str| {
        let settings = json!({"State": name});
        json!({"RequestType": "Update", "ResourceType": "State", "Settings": settings})
    };
    let topic = Topic::GuestService(guid(9));
    assert!(session.subscribe(topic, None).is_err());
    let all = session.subscribe(Topic::All, None).expect("room");
    call(Operation::CreateGuestNetworkService, json!({"Flags": 3})).expect("made");
    let one = session.subscribe(topic, None).expect("there");
    let modify = Operation::ModifyGuestNetworkService;
    call(modify, state("Bootstrapping")).expect("modified");
    call(modify, state("Bootstrapping")).expect("nothing new");
    call(modify, state("Synchronized")).expect("modified");
    for own in ["None", "Created", "Rehydrating", "Destroyed", "Elsewhere"] {
        assert_eq!(call(modify, state(own)), Err(HResult::E_INVALIDARG), "{own}");
    }
    call(Operation::DeleteGuestNetworkService, json!({})).expect("deleted");
    let told = |subscription: &Subscription| -> Vec<(u32, Value)> {
        let notices = std::iter::from_fn(|| subscription.try_next());
        let events = notices.filter_map(|notice| match notice {
            Notice::Event { event, .. } => Some((event.kind as u32, event.data())),
            _ => None,
        });
        events.collect()
    };
    let changed =
        |state: &str| (0x11, json!({"ID": guid(9).to_string(), "Data": {"State": state}}));
    let bare = |kind| (kind, json!({"ID": guid(9).to_string()}));
    let states = [changed("Bootstrapping"), changed("Synchronized"), changed("Destroyed")];
    assert_eq!(told(&one), states);
    let mut everything = vec![bare(7)];
    everything.extend(states);
    everything.push(bare(8));
    assert_eq!(told(&all), everything);
}

#[test]
fn nonsense_too_much_and_readers_are_refused() {
    let place = Place::new();
    let session = place.user();
    assert_eq!(tcp(&session, Exclusive, 0), Err(HResult::E_INVALIDARG));
    let none = session.reserve_port(false, false, Exclusive, 80, None).expect_err("no protocol");
    assert_eq!(none.hresult, HResult::E_INVALIDARG);
    let much = session.reserve_range(100, None).expect_err("101 ports");
    assert_eq!(much.hresult, HResult::ERROR_NOT_ENOUGH_QUOTA);
    assert!(much.message.contains("100"), "{much}");
    let reader =
        place.server.connect(Caller { uid: 8, gid: 6, ..Caller::default() }).expect("may look");
    assert_eq!(tcp(&reader, Exclusive, 80), Err(HResult::E_ACCESSDENIED));
}
