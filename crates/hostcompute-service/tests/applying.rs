//! Host documents carried out by a session of a running service, beside whatever others ask.

mod world;

use std::sync::Mutex;

use hostcompute_engine::apply::PresentSystem;
use hostcompute_engine::compute::NetworkPlace;
use hostcompute_schema::ServiceOperation::{Diff, Down, Up};
use hostcompute_schema::hcn::{Dns, HostComputeEndpoint};
use hostcompute_schema::service::{HostFile, Progress, Step};
use hostcompute_schema::{Failure, HResult};
use hostcompute_service::apply::Systems;
use hostcompute_service::compute::{Adapter, Networks, OverDesk, OwnNetwork};
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
    let made =
        apply::carry_out(&session, &(), Up, &files, Reading::Lenient, &mut tell).expect("made");
    assert_eq!(sentences(&made), ["create n", "create s", "create a", "attach a"]);
    let Progress::Tolerated { file, warning } = told.remove(2) else { panic!("{told:?}") };
    assert_eq!((&*file, &*warning.path), ("f.json", "Namespaces[0].Clour"));
    assert_eq!(warning.position.map(|position| position.line), Some(3), "in the file");
    let done = made.into_iter().map(Progress::Done);
    assert_eq!(told, std::iter::once(Progress::Planned(4)).chain(done).collect::<Vec<_>>());

    let quiet = &mut |_: Progress| {};
    for work in [Up, Diff] {
        let steps = apply::carry_out(&session, &(), work, &files, Reading::Lenient, quiet);
        assert_eq!(sentences(&steps.expect("there")), Vec::<String>::new());
    }
    let gone =
        apply::carry_out(&session, &(), Down, &files, Reading::Lenient, quiet).expect("gone");
    assert_eq!(gone.len(), 3, "whoever goes is taken out first");
    assert_eq!(names(&session), 0);
    let refused =
        apply::carry_out(&session, &(), Up, &files, Reading::Strict, quiet).expect_err("odd");
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
    let refused =
        apply::up(&session, &(), &files, Reading::Lenient, &mut tell).expect_err("impossible");
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
    assert_eq!(
        apply::diff(&session, &(), &files, Reading::Lenient, quiet).expect("planned").len(),
        4
    );
    for work in [Up, Down] {
        let outcome = apply::carry_out(&session, &(), work, &files, Reading::Lenient, quiet);
        let code = outcome.map_err(|told| told.failure.hresult);
        assert_eq!(code.expect_err("refused"), HResult::E_ACCESSDENIED, "{work}");
    }
}

/// Systems that are made of documents and nothing else; those called "bad" cannot run anything.
#[derive(Default)]
struct Paper {
    systems: Mutex<Vec<PresentSystem>>,
    said: Mutex<Vec<String>>,
}

impl Paper {
    fn say(&self, what: &str, id: &str) {
        self.said.lock().expect("no panic").push(format!("{what} {id}"));
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut self.said.lock().expect("no panic"))
    }
}

impl Systems for Paper {
    fn present(&self) -> Result<Vec<PresentSystem>, Failure> {
        Ok(self.systems.lock().expect("no panic").clone())
    }

    fn make(&self, id: &str, document: &str) -> Result<(), Failure> {
        self.say("make", id);
        let document = serde_json::from_str(document).expect("a document");
        let system = PresentSystem { id: id.to_owned(), document };
        self.systems.lock().expect("no panic").push(system);
        Ok(())
    }

    fn run(&self, id: &str, process: &str) -> Result<(), Failure> {
        self.say("run", id);
        match id {
            "bad" => Err(Failure::new(HResult::ERROR_FILE_NOT_FOUND, process).at("$.CommandLine")),
            _ => Ok(()),
        }
    }

    fn end(&self, id: &str) -> Result<(), Failure> {
        self.say("end", id);
        self.systems.lock().expect("no panic").retain(|system| system.id != id);
        Ok(())
    }
}

const SYSTEMS: &str = r#"{
  "Namespaces": [{ "Name": "s" }],
  "ComputeSystems": [
    { "Id": "web", "Container": { "Networking": { "Namespace": "s" } },
      "Processes": [{ "CommandLine": "serve" }, { "CommandLine": "log" }] },
    { "Id": "other", "Container": {} }
  ]
}"#;

#[test]
fn systems_come_last_and_go_first() {
    let scratch = Scratch::new();
    let server = server(&scratch, Limits::default());
    let session = server.connect(Caller::default()).expect("root");
    let (paper, files) = (Paper::default(), [HostFile::new("f.json", SYSTEMS)]);
    let carry = |work| {
        let steps = apply::carry_out(&session, &paper, work, &files, Reading::Strict, &mut |_| ());
        sentences(&steps.expect("carried out"))
    };
    assert_eq!(carry(Diff), ["create s", "create web", "create other"]);
    assert_eq!(carry(Up), ["create s", "create web", "create other"]);
    assert_eq!(paper.said(), ["make web", "run web", "run web", "make other"]);
    let networking = paper.present().expect("there")[0].document["Container"]["Networking"].clone();
    let namespace = session.view().namespaces().next().expect("made").id;
    assert_eq!(networking["Namespace"], namespace.to_string());
    assert_eq!(carry(Up), Vec::<String>::new());
    assert_eq!(carry(Down), ["delete other", "delete web", "delete s"]);
    assert_eq!((paper.said(), names(&session)), (vec!["end other".into(), "end web".into()], 0));
}

#[test]
fn a_process_that_cannot_run_takes_everything_back() {
    let scratch = Scratch::new();
    let server = server(&scratch, Limits::default());
    let session = server.connect(Caller::default()).expect("root");
    let text = SYSTEMS.replace("\"other\"", "\"bad\"").replace(
        "\"Container\": {} }",
        "\"Container\": {},\n      \"Processes\": [{ \"CommandLine\": \"nothing\" }] }",
    );
    let (paper, files) = (Paper::default(), [HostFile::new("f.json", &text)]);
    let refused =
        apply::up(&session, &paper, &files, Reading::Strict, &mut |_| ()).expect_err("impossible");
    let path = "ComputeSystems[1].Processes[0].CommandLine";
    assert_eq!(refused.failure.path.as_deref(), Some(path));
    assert_eq!(refused.failure.position.map(|position| position.line), Some(7), "in the file");
    assert_eq!(paper.said()[3..], ["make bad", "run bad", "end bad", "end web"]);
    assert_eq!((paper.present().expect("none"), names(&session)), (Vec::new(), 0));
}

#[test]
fn compute_systems_find_and_make_their_networks() {
    let scratch = Scratch::new();
    let server = server(&scratch, Limits::default());
    let session = server.connect(Caller::default()).expect("root");
    let file = FILE.replace(
        "\"Name\": \"a\",",
        "\"Name\": \"a\", \"Dns\": { \"ServerList\": [\"10.9.0.1\"] },",
    );
    let files = [HostFile::new("f.json", &file)];
    apply::up(&session, &(), &files, Reading::Lenient, &mut |_| ()).expect("made");
    let (namespace, endpoint) = {
        let view = session.view();
        let namespace = view.namespaces().next().expect("one").id;
        (namespace, view.endpoints().next().expect("one").id)
    };
    let networks = OverDesk::new(server.connect(Caller::default()).expect("root"), |id| {
        format!("/names/{id}")
    });
    let placed = networks.namespace(namespace).expect("there");
    assert_eq!(placed.place, NetworkPlace::Named { path: format!("/names/{namespace}") });
    assert_eq!(placed.resolv_conf.as_deref(), Some("nameserver 10.9.0.1\n"));
    let nowhere = world::guid(200);
    let lost = networks.namespace(nowhere).expect_err("none");
    assert_eq!(lost.hresult, HResult::ERROR_NOT_FOUND);
    assert_eq!(
        networks.plan(nowhere, &[Adapter::Given(nowhere)]).map_err(|failure| failure.hresult),
        Err(HResult::ERROR_NOT_FOUND)
    );
    // The endpoint is elsewhere: nothing of the namespace stays.
    let own = world::guid(201);
    let given = Adapter::Given(endpoint);
    assert!(networks.make(own, std::slice::from_ref(&given)).is_err());
    assert!(networks.namespace(own).is_err());
    networks.remove(namespace, endpoint).expect("inside");
    networks.make(own, std::slice::from_ref(&given)).expect("free");
    assert_eq!(
        session.view().endpoint(endpoint).expect("there").attachment.as_ref().map(|a| a.namespace),
        Some(own)
    );
    let mut all = OwnNetwork { namespace: own, endpoints: Vec::new() };
    networks.release(&all).expect("ours");
    networks.release(&all).expect("gone is as good");
    assert!(session.view().endpoint(endpoint).expect("stays").attachment.is_none());
    // A network instead of an endpoint: one is made on it, says what it says, and goes with the namespace.
    let network = session.view().networks().next().expect("one").id;
    assert!(networks.is_network(network) && !networks.is_network(endpoint));
    let mut like = Box::new(HostComputeEndpoint::default());
    like.base.name = Some("c".to_owned());
    let servers = vec!["192.0.2.53".to_owned()];
    like.dns = Some(Dns { server_list: servers, ..Dns::default() });
    let both = [Adapter::Made { endpoint: world::guid(202), network, like }, given];
    let planned = networks.plan(own, &both).expect("there");
    assert!(planned.resolv_conf.as_deref().is_some_and(|text| text.contains("192.0.2.53")));
    networks.make(own, &both).expect("made");
    assert_eq!(networks.namespace(own).expect("there"), planned);
    assert_eq!(
        session.view().endpoint(world::guid(202)).expect("made").document.base.name.as_deref(),
        Some("c")
    );
    all.endpoints.push(world::guid(202));
    networks.release(&all).expect("ours");
    assert!(session.view().endpoint(world::guid(202)).is_err());
    assert!(session.view().endpoint(endpoint).expect("stays").attachment.is_none());
}
