//! Host documents carried out by a session of a running service, beside whatever others ask.

mod world;

use hostcompute_schema::HResult;
use hostcompute_schema::ServiceOperation::{Diff, Down, Up};
use hostcompute_schema::service::{HostFile, Progress, Step};
use hostcompute_service::server::{Caller, Groups, Limits, Server, Session, Settings};
use hostcompute_service::{Reading, apply};
use world::{Machine, Scratch, boot, open};

const FILE: &str = r#"{
  "Networks": [{ "Name": "n", "Ipams": [{ "Subnets": [{ "IpAddressPrefix": "10.9.0.0/24" }] }] }],
  "Namespaces": [{ "Name": "s", "Clour": 1 }],
  "Endpoints": [{ "Name": "a", "HostComputeNetwork": "n", "HostComputeNamespace": "s" }]
}"#;

/// The second endpoint has an address of another network.
const CLASH: &str = r#"{
  "Networks": [{ "Name": "m", "Ipams": [{ "Subnets": [{ "IpAddressPrefix": "10.8.0.0/24" }] }] }],
  "Endpoints": [
    { "Name": "b", "HostComputeNetwork": "m" },
    { "Name": "c", "HostComputeNetwork": "m", "IpConfigurations": [{ "IpAddress": "10.99.0.5" }] }
  ]
}"#;

fn sentences(steps: &[Step]) -> Vec<String> {
    let said = |member: &Option<String>| member.clone().unwrap_or_default();
    steps.iter().map(|step| format!("{} {}", said(&step.action), said(&step.name))).collect()
}

fn server(scratch: &Scratch, limits: Limits) -> Server<Machine> {
    let machine = Machine::default();
    let service = open(scratch.path(), &machine, &boot(1)).expect("opened");
    let settings = Settings { limits, groups: Groups { manage: None, read: Some(6) } };
    Server::start(service, settings).expect("observable")
}

fn names(session: &Session<Machine>) -> usize {
    session.view().objects().count()
}

#[test]
fn what_is_there_is_left_and_what_was_made_goes() {
    let scratch = Scratch::new();
    let server = server(&scratch, Limits::default());
    let session = server.connect(Caller::default()).expect("root");
    let files = [HostFile::new("f.json", FILE)];
    let mut told = Vec::new();
    let mut tell = |progress: Progress| told.push(progress);
    let made = apply::carry_out(&session, Up, &files, Reading::Lenient, &mut tell).expect("made");
    assert_eq!(sentences(&made), ["create n", "create s", "create a", "attach a"]);
    let Progress::Tolerated { file, warning } = told.remove(2) else { panic!("{told:?}") };
    assert_eq!((&*file, &*warning.path), ("f.json", "Namespaces[0].Clour"));
    assert_eq!(warning.position.map(|position| position.line), Some(3), "in the file");
    let done = made.into_iter().map(Progress::Done);
    assert_eq!(told, std::iter::once(Progress::Planned(4)).chain(done).collect::<Vec<_>>());

    let quiet = &mut |_: Progress| {};
    for work in [Up, Diff] {
        let steps = apply::carry_out(&session, work, &files, Reading::Lenient, quiet);
        assert_eq!(sentences(&steps.expect("there")), Vec::<String>::new());
    }
    let gone = apply::carry_out(&session, Down, &files, Reading::Lenient, quiet).expect("gone");
    assert_eq!(gone.len(), 3, "whoever goes is taken out first");
    assert_eq!(names(&session), 0);
    let refused = apply::carry_out(&session, Up, &files, Reading::Strict, quiet).expect_err("odd");
    assert_eq!(refused.file.as_deref(), Some("f.json"));
    assert_eq!(refused.failure.path.as_deref(), Some("Namespaces[0].Clour"));
    assert_eq!(names(&session), 0);
}

/// A caller whose rate does not last for the taking back would leave half of it behind.
#[test]
fn a_run_that_fails_is_taken_back_whatever_the_callers_limits() {
    let scratch = Scratch::new();
    let limits = Limits { rate: 1, burst: 1, ..Limits::default() };
    let server = server(&scratch, limits);
    let manager = Caller { uid: 7, ..Caller::default() };
    let session =
        server.connect_as(manager, hostcompute_schema::operation::Right::Manage).expect("let in");
    let mut told = Vec::new();
    let mut tell = |progress: Progress| told.push(progress);
    let files = [HostFile::new("clash.json", CLASH)];
    let refused = apply::up(&session, &files, Reading::Lenient, &mut tell).expect_err("impossible");
    assert_eq!(refused.failure.hresult, HResult::HCN_E_INVALID_IP);
    assert_eq!(refused.failure.path.as_deref(), Some("Endpoints[1].IpConfigurations[0].IpAddress"));
    assert_eq!((refused.file.as_deref(), refused.further), (Some("clash.json"), Vec::new()));
    assert_eq!(told.last(), Some(&Progress::TakingBack));
    assert_eq!(names(&session), 0);
}

#[test]
fn who_may_only_look_may_compare_and_no_more() {
    let scratch = Scratch::new();
    let server = server(&scratch, Limits::default());
    let reader = Caller { uid: 7, groups: vec![6], ..Caller::default() };
    let session = server.connect(reader).expect("let in");
    let files = [HostFile::new("f.json", FILE)];
    let quiet = &mut |_: Progress| {};
    assert_eq!(apply::diff(&session, &files, Reading::Lenient, quiet).expect("planned").len(), 4);
    for work in [Up, Down] {
        let outcome = apply::carry_out(&session, work, &files, Reading::Lenient, quiet);
        let code = outcome.map_err(|told| told.failure.hresult);
        assert_eq!(code.expect_err("refused"), HResult::E_ACCESSDENIED, "{work}");
    }
}
