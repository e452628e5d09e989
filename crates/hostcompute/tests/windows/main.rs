//! The transport to the services of Windows, against two small libraries that lack most of what the real ones have: what is there is
//! called rightly, what is missing is named. `cargo xtask test windows` builds the libraries and puts them where Windows looks.
#![cfg(windows)]

mod probe;

use std::io::Read;

use hostcompute::layer::Layers;
use hostcompute::schema::hcs::{LayerData, ProcessParameters, SystemPropertyQuery};
use hostcompute::schema::service::{HostFile, Severity};
use hostcompute::schema::{Document, HostComputeNetwork, NetworkMode, ServiceOperation};
use hostcompute::transport::Ask;
use hostcompute::{
    ComputeNotice, Failure, Guid, HResult, Host, LoadBalancer, Network, Notice, Options, System,
    Topic, Way,
};
use probe::{compute, network};

const ID: &str = "11111111-2222-3333-4444-555555555555";

fn host() -> Host {
    Host::auto(Options { way: Way::Any, ..Options::system() }).expect("the libraries are there")
}

#[track_caller]
fn refused<T>(result: Result<T, Failure>, code: HResult, word: &str) {
    let failure = result.map(drop).expect_err("a refusal");
    assert_eq!(failure.hresult, code, "{failure}");
    assert!(failure.to_string().contains(word), "{failure}");
}

/// One test, since the library has one network.
#[test]
#[ignore = "needs the libraries beside it in the system's folder"]
fn what_is_there_is_called_and_nothing_is_kept() {
    let host = host();
    assert!(Network::list(&host).expect("none").is_empty());
    let settings = HostComputeNetwork::default().name("größer").kind(NetworkMode::NAT);
    let made = Network::create(&host, &settings).expect("made");
    assert_eq!(made.id().to_string(), ID);
    assert_eq!(made.query().expect("it is there").to_value()["Name"], "größer");
    refused(Network::create(&host, &settings), HResult::HCN_E_NETWORK_ALREADY_EXISTS, "is there");
    let all: Vec<Guid> = Network::list(&host).expect("one").iter().map(Network::id).collect();
    assert_eq!(all, [made.id()]);
    for text in [ID, "größer", "1111"] {
        assert_eq!(Network::find(&host, text).expect(text).id(), made.id());
    }

    let other = Guid::from_random(1);
    let unknown = Network::open(&host, other);
    refused(unknown, HResult::HCN_E_NETWORK_NOT_FOUND, "no such network here");
    refused(Network::list_matching(&host, "no query"), HResult::E_INVALIDARG, "not a query");
    let nameless = Network::create_json(&host, None, "{}");
    refused(nameless, HResult::E_INVALIDARG, "no record, only words");
    let zero = Network::create_json(&host, None, "a\0b");
    refused(zero, HResult::E_INVALIDARG, "NUL");

    made.delete().expect("deleted");
    refused(made.delete(), HResult::HCN_E_NETWORK_NOT_FOUND, "without a reason");
    assert_eq!((network::texts(), network::handles()), (0, 0), "freed and closed");
    notifications_come(&host);
}

fn notifications_come(host: &Host) {
    let mut events = host.subscribe(Topic::All, None).expect("registered");
    let mut next = || match events.next() {
        Some(Ok(Notice::Event(event))) => event,
        other => panic!("no event: {other:?}"),
    };
    let first = next();
    assert_eq!((first.code, &*first.name), (2, "NetworkCreate"));
    assert_eq!(first.data["ID"], ID);
    assert_eq!(next().name, "ServiceDisconnect");
    assert_eq!(next().data, "not JSON");
    let stopper = events.stopper();
    let waiting = std::thread::spawn(move || events.map(|event| event.is_ok()).last());
    stopper.stop();
    assert_ne!(waiting.join().expect("no panic"), Some(false), "it ends and does not fail");
    // One more call comes after that, for nobody.
    network::listener_ended();
    assert_eq!(network::handles(), 0, "unregistered");
}

#[test]
#[ignore = "needs the libraries beside it in the system's folder"]
fn what_is_missing_is_named_with_the_windows_that_has_it() {
    let host = host();
    let absent = LoadBalancer::list(&host);
    refused(absent, HResult::E_NOTIMPL, "does not export HcnEnumerateLoadBalancers");
    let since = LoadBalancer::open(&host, Guid::from_random(1));
    refused(since, HResult::E_NOTIMPL, "17763");
    let layer = Layers::here().attach("C:\\layer".as_ref(), &LayerData::default());
    refused(layer, HResult::E_NOTIMPL, "no computestorage.dll");
    let older = host.hns_call("GET", "/globals/version", "");
    assert_eq!(older["ErrorCode"], HResult::E_NOTIMPL.0, "{older}");
    let document = r#"{"Method": "GET", "Path": "/globals/version"}"#;
    let asked = Ask { document, ..Ask::plain(ServiceOperation::CallOlder) };
    assert_eq!(host.serve(&asked).expect("an answer"), older);
    refused(host.events(0), HResult::E_NOTIMPL, "services of Windows");
    let files = [HostFile::new("a".to_owned(), "{}".to_owned())];
    let up = host.up(&files, &mut |_| {}).map_err(|obstacle| *obstacle.failure);
    refused(up, HResult::E_NOTIMPL, "hostcomputed");

    let lacks = host.doctor().expect("a diagnosis");
    let about = |library: &str| {
        let found = lacks.iter().find(|lack| lack.subject.as_deref() == Some(library));
        found.unwrap_or_else(|| panic!("nothing about {library}: {lacks:?}"))
    };
    assert_eq!(about("computestorage.dll").severity, Some(Severity::Problem));
    let found = about("computenetwork.dll").found.clone().unwrap_or_default();
    assert!(found.contains("HcnCreateEndpoint") && !found.contains("HcnCreateNetwork"), "{found}");
}

#[test]
#[ignore = "needs the libraries beside it in the system's folder"]
fn systems_are_opened_asked_and_closed() {
    let host = host();
    refused(System::open(&host, "elsewhere"), HResult::HCS_E_SYSTEM_NOT_FOUND, "");
    let system = System::open(&host, "There").expect("it is there");
    let properties = system.properties(&SystemPropertyQuery::default()).expect("told");
    assert_eq!(properties.id.as_deref(), Some("there"));
    refused(system.start(), HResult::HCS_E_INVALID_STATE, "it runs already");
    refused(system.pause(&Default::default()), HResult::E_NOTIMPL, "HcsPauseComputeSystem");
    // A Windows that does not wait tells of the end.
    assert_eq!(system.wait(None).expect("it ends").status, Some(0));
    refused(host.systems(&Default::default()), HResult::E_NOTIMPL, "HcsEnumerateComputeSystems");

    let mut process = system.run(&ProcessParameters::default()).expect("started");
    assert_eq!(
        (process.id(), process.stdin.is_some(), process.stderr.is_some()),
        (7, false, false)
    );
    let mut said = String::new();
    process.stdout.take().expect("a stream").read_to_string(&mut said).expect("text");
    assert_eq!(said, "hello");
    assert_eq!(process.status().expect("told").exited, Some(false));
    for _ in 0..2 {
        // Told, and later asked: who comes too late hears of no event.
        let status = process.wait(None).expect("it ends");
        assert_eq!((status.exited, status.exit_code), (Some(true), Some(3)));
    }

    let told: Vec<_> =
        system.events().expect("heard").map(|notice| notice.expect("told")).collect();
    let kinds: Vec<_> = told
        .iter()
        .map(|notice| match notice {
            ComputeNotice::Event(event) => event.kind,
            ComputeNotice::Disconnected => None,
        })
        .collect();
    assert_eq!(kinds, [Some(2), Some(1)]);
    drop((process, system));
    #[cfg(feature = "async")]
    awaited(&host);
    assert_eq!(compute::handles(), 0, "closed");
}

/// The same, by futures.
#[cfg(feature = "async")]
fn awaited(host: &Host) {
    use hostcompute::asynchronous::{Host, System, adapter};

    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let host: Host = host.clone().into();
        let system = System::open(&host, "there").await.expect("it is there");
        let properties = system.properties(&SystemPropertyQuery::default()).await.expect("told");
        assert_eq!(properties.id.as_deref(), Some("there"));
        refused(system.start().await, HResult::HCS_E_INVALID_STATE, "it runs already");
        refused(system.log(true).await, HResult::E_NOTIMPL, "what processes wrote");
        let process = system.run(&ProcessParameters::default()).await.expect("started");
        assert_eq!(process.wait(None).await.expect("it has ended").exit_code, Some(3));
        let mut events = system.events().await.expect("heard");
        while let Some(notice) = events.next().await {
            notice.expect("told");
        }
        adapter::list().await.expect("told");
        // What drops give back is given back by threads of their own, which nobody can wait for: the blocking handles go here.
        let layers = hostcompute::asynchronous::layer::Layers::here();
        let layer = layers.detach("C:\\layer".as_ref()).await;
        refused(layer, HResult::E_NOTIMPL, "no computestorage.dll");
    });
    drop(runtime);
    while compute::handles() > 0 {
        std::thread::yield_now();
    }
}

/// Set for a process of the test's own, which finds one adapter.
const EXPECTED: &str = "HOSTCOMPUTE_TEST_ADAPTER";

#[test]
fn adapters_are_found_by_any_of_their_names() {
    use hostcompute::adapter::{UPLINK_ENV, find_primary_adapter, list};

    if let Ok(expected) = std::env::var(EXPECTED) {
        let found = find_primary_adapter();
        match expected.as_str() {
            "" => refused(found, HResult::HCN_E_ADAPTER_NOT_FOUND, "no such adapter"),
            expected => assert_eq!(found.expect("there").name, expected),
        }
        return;
    }
    let again = |wish: &str, expected: &str| {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this program"));
        child.args(["--exact", "adapters_are_found_by_any_of_their_names"]);
        let status = child.env(UPLINK_ENV, wish).env(EXPECTED, expected).status();
        assert!(status.expect("it runs").success(), "{wish:?} is not {expected:?}");
    };
    again("no such adapter", "");
    let adapters = list().expect("Windows tells");
    for adapter in &adapters {
        again(&adapter.name, &adapter.name);
        again(&adapter.name.to_uppercase(), &adapter.name);
        let [_, guid] = adapter.other_names.as_slice() else { panic!("{adapter:?}") };
        again(guid, &adapter.name);
    }
    match (find_primary_adapter(), adapters.first()) {
        (Ok(found), Some(first)) => assert_eq!(&found, first),
        (found, _) => refused(found, HResult::HCN_E_ADAPTER_NOT_FOUND, "no adapter"),
    }
}
