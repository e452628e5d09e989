//! The Rust API over the socket, over TCP, and with the service inside the process: word for word the same, successes, warnings, failures and
//! notifications.
//!
//! The scenario runs in a process of its own, in fresh network and mount namespaces, once for each way; what it writes down is compared.
#![cfg(all(socket, embedded))]

#[path = "../../hc/tests/sandbox/daemon.rs"]
mod daemon;

use std::fmt::{Debug, Display};
use std::path::{Path, PathBuf};
use std::process::Command;

use daemon::Daemon;
use hostcompute::schema::operation::{Kind, Operation};
use hostcompute::schema::service::{HostFile, Obstacle, Step};
use hostcompute::schema::{
    EndpointPolicy, EndpointPolicyType, HostComputeEndpoint, HostComputeNamespace,
    HostComputeNetwork, ModifyRequestType, PortMappingPolicySetting, ProtocolType, parse,
};
use hostcompute::transport::Call;
use hostcompute::{
    Endpoint, Failure, Guid, Host, LoadBalancer, Namespace, Network, Notice, Options, Topic, Way,
};

/// Tells the inner process which way to go, and where its folder is.
const WAY: &str = "HOSTCOMPUTE_TEST_WAY";
const FOLDER: &str = "HOSTCOMPUTE_TEST_FOLDER";

/// Where the service listens on its own loopback.
const PORT: &str = "127.0.0.1:8643";

#[test]
fn all_ways_are_alike_word_for_word() {
    if !is_root() {
        let required = std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_some();
        assert!(!required, "HOSTCOMPUTE_REQUIRE_ROOT is set, and this is not root");
        eprintln!("skipped: only root can make a private host");
        return;
    }
    if Daemon::program().is_none() {
        return;
    }
    let [embedded, served, tcp] = ["embedded", "served", "tcp"].map(written_down);
    assert!(embedded.lines().count() > 40, "{embedded}");
    for served in [served, tcp] {
        for (one, other) in embedded.lines().zip(served.lines()) {
            assert_eq!(one, other);
        }
        assert_eq!(embedded, served);
    }
}

/// What the scenario writes down when it goes this way.
fn written_down(way: &str) -> String {
    let name = format!("hostcompute-alike-{}-{way}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    let mut inner = Command::new("unshare");
    inner.args(["--net", "--mount", "--propagation", "private", "--"]);
    inner.arg(std::env::current_exe().expect("a program"));
    inner.args(["--exact", "scenario", "--ignored"]).env(WAY, way).env(FOLDER, &folder);
    for variable in [
        "STATE_DIR",
        "RUNTIME_DIR",
        "HOST_NETNS",
        "SOCKET",
        "ADDRESS",
        "TOKEN_FILE",
        "STRICT",
        "KILL_AT",
    ] {
        inner.env_remove(format!("HOSTCOMPUTE_{variable}"));
    }
    let output = inner.output().expect("unshare of util-linux");
    let written = std::fs::read_to_string(folder.join("written"));
    let _ = std::fs::remove_dir_all(&folder);
    assert!(output.status.success(), "{way}: {}", String::from_utf8_lossy(&output.stdout));
    written.expect("written down")
}

#[test]
#[ignore = "the inner part of the other test"]
fn scenario() {
    let variable = |name: &str| std::env::var_os(name).expect("run by the other test");
    let folder = PathBuf::from(variable(FOLDER));
    let options = Options::at(folder.join("state"), folder.join("run"));
    let (host, daemon) = if variable(WAY) == "embedded" {
        (Host::embedded(options).expect("opened"), None)
    } else {
        let daemon = serve(&folder);
        let way = match variable(WAY) == "tcp" {
            true => Way::Address(format!("tcp://{PORT}")),
            false => Way::Socket(folder.join("hostcompute.sock")),
        };
        (Host::auto(Options { way, ..options }).expect("connected"), Some(daemon))
    };
    let mut book = Book::default();
    objects(&host, &mut book).expect("what should succeed does");
    failures(&host, &mut book);
    files(&host, &mut book);
    notifications(&host, &mut book).expect("what should succeed does");
    whole(&host, &mut book).expect("what should succeed does");
    drop(host);
    daemon.into_iter().for_each(Daemon::stop);
    std::fs::write(folder.join("written"), book.0).expect("written");
}

fn serve(folder: &Path) -> Daemon {
    let mut command = Command::new(Daemon::program().expect("the other test has looked"));
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(up.expect("ip of iproute2").success());
    command.args(["--foreground", "--config", "/dev/null", "--tcp", PORT, "--socket"]);
    command.arg(folder.join("hostcompute.sock"));
    command.env("HOSTCOMPUTE_STATE_DIR", folder.join("state"));
    command.env("HOSTCOMPUTE_RUNTIME_DIR", folder.join("run"));
    Daemon::start(command, folder)
}

/// Everything that a caller sees, line by line.
#[derive(Default)]
struct Book(String);

impl Book {
    fn note(&mut self, about: &str, what: impl Display) {
        let said = format!("{about}: {what}");
        // Ids that the service drew differ from run to run; those of the scenario have one digit pair alone.
        let drawn = |word: &&str| {
            let drawn = word.parse::<Guid>().is_ok_and(|id| {
                let bytes = id.as_bytes();
                bytes.iter().any(|byte| byte != &bytes[0])
            });
            drawn && word.len() == 36
        };
        let words = said.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '-');
        let ids: Vec<&str> = words.filter(drawn).collect();
        let said = ids.iter().fold(said.clone(), |said, id| said.replace(id, "(an id)"));
        self.0.push_str(&said);
        self.0.push('\n');
    }

    #[track_caller]
    fn refused<T: Debug>(&mut self, about: &str, result: Result<T, Failure>) {
        self.note(about, result.expect_err(about));
    }
}

fn id(number: u8) -> Guid {
    Guid::from_bytes([number; 16])
}

fn objects(host: &Host, book: &mut Book) -> Result<(), Failure> {
    let settings = r#"{"Name":"lan","Type":"NAT","Colour":1,
        "Ipams":[{"Subnets":[{"IpAddressPrefix":"10.60.0.0/24"}]}]}"#;
    let (network, warnings) = Network::create_json(host, Some(id(1)), settings)?;
    book.note("tolerated", warnings.iter().map(ToString::to_string).collect::<String>());
    book.note("found", Network::find(host, "lan")?.id());
    book.note("found", Network::find(host, "01010101-01")?.id());
    book.note("network", network.query_json("")?);
    book.note("network", serde_json::Value::from(network.query_json(QUERY)?));
    book.note("kind", format!("{:?}", network.query()?.kind));
    let (namespace, _) = Namespace::create_json(host, Some(id(2)), "{\"Name\":\"space\"}")?;
    let endpoint = r#"{"Name":"port","HostComputeNetwork":"01010101-0101-0101-0101-010101010101",
        "MacAddress":"00-15-5D-01-02-03","IpConfigurations":[{"IpAddress":"10.60.0.9"}]}"#;
    let (endpoint, _) = Endpoint::create_json(host, None, Some(id(3)), endpoint)?;
    namespace.add(&endpoint)?;
    let mapping = PortMappingPolicySetting {
        protocol: Some(ProtocolType::TCP),
        internal_port: Some(80),
        external_port: Some(18080),
        ..Default::default()
    };
    let policies = vec![EndpointPolicy::new(EndpointPolicyType::PortMapping, &mapping)];
    endpoint.change_policies(ModifyRequestType::Add, policies)?;
    book.note("endpoint", endpoint.query_json(QUERY)?);
    book.note("inside", namespace.query()?.resources.len());
    let statistics = endpoint.statistics()?;
    book.note("statistics", format!("{:?}", statistics.endpoint_id));
    book.note("netns", host.netns_path(namespace.id())?.ends_with(id(2).to_string()));
    let balancer = r#"{"HostComputeEndpoints":["03030303-0303-0303-0303-030303030303"],
        "FrontendVIPs":["10.96.60.1"],"PortMappings":[{"Protocol":6,"InternalPort":80,"ExternalPort":80}]}"#;
    let (balancer, _) = LoadBalancer::create_json(host, Some(id(4)), balancer)?;
    book.note("balancer", balancer.query_json(QUERY)?);
    let addresses = Call::on(Operation::QueryEndpointAddresses, id(3), "");
    book.note("addresses", host.call(&addresses).map_or_else(|f| f.to_string(), |a| a.body));
    book.note("listed", Endpoint::list_matching(host, FILTER)?.len());
    book.note("found none", host.check()?.len());
    balancer.delete()?;
    namespace.remove(&endpoint)?;
    endpoint.delete()?;
    namespace.delete()?;
    host.settle()
}

const QUERY: &str = r#"{"SchemaVersion":{"Major":2,"Minor":0}}"#;

const FILTER: &str = r#"{"SchemaVersion":{"Major":2,"Minor":0},"Filter":"{\"Name\":\"port\"}"}"#;

fn failures(host: &Host, book: &mut Book) {
    let create = |settings: &str| Network::create_json(host, None, settings).map(drop);
    book.refused("no JSON", create("{\n  \"Name\": }"));
    book.refused("wrong type", create("{\n  \"Ipams\": 7 }"));
    book.refused("taken", create("{\"Name\":\"lan\"}"));
    book.refused(
        "overlap",
        create(r#"{"Ipams":[{"Subnets":[{"IpAddressPrefix":"10.60.0.0/25"}]}]}"#),
    );
    book.refused("nobody", Network::open(host, id(9)));
    book.refused("nobody", Endpoint::open(host, id(9)));
    book.refused("nobody", Namespace::find(host, "nobody"));
    book.refused("nothing", LoadBalancer::find(host, ""));
    book.refused("odd text", host.resolve(Kind::Network, "a&b=c d%41 \u{e4}"));
    book.refused("gone", Endpoint::open(host, id(3)));
    book.refused("nowhere", Endpoint::create_json(host, None, None, "{\"Name\":\"x\"}"));
    book.refused("nowhere", Endpoint::create_json(host, Some(id(9)), None, "{}"));
    book.refused("query", Network::list_matching(host, "{\"Filter\":7}"));
    let modify = |text: &str| host.call(&Call::on(Operation::ModifyNetwork, id(1), text));
    book.refused("request", modify("{\"ResourceType\":7}"));
    book.refused("import", host.import_state("{\"Format\":\"other\"}"));
    book.refused("place", host.netns_path(id(9)));
    let route =
        Call { operation: Operation::CreateSdnRoute, id: None, network: None, document: "{}" };
    book.refused("route", host.call(&route));
    let network = Network::open(host, id(1)).expect("there");
    let twice = Endpoint::create(&network, &HostComputeEndpoint::default());
    let twice = twice.and_then(|e| Endpoint::create_json(host, None, Some(e.id()), "{}").map(drop));
    book.note("twice", twice.expect_err("taken").hresult);
    network.delete().expect("with its endpoints");
    book.refused("deleted", network.query().map(drop));
}

fn files(host: &Host, book: &mut Book) {
    let file = |text: &str| [HostFile::new("some.json", text)];
    let good = r#"{ "Networks": [{ "ID": "05050505-0505-0505-0505-050505050505", "Name": "n",
  "Ipams": [{ "Subnets": [{ "IpAddressPrefix": "10.9.0.0/24" }] }], "Odd": 1 }], "Odder": 2 }"#;
    let bad = r#"{ "Networks": [{ "Name": "m", "Ipams": [{ "Subnets": [{ "IpAddressPrefix": "10.8.0.0/24" }] }] }],
  "Endpoints": [{ "Name": "a", "HostComputeNetwork": "m" },
    { "Name": "b", "HostComputeNetwork": "m", "IpConfigurations": [{ "IpAddress": "10.99.0.5" }] }] }"#;
    type Work = fn(
        &Host,
        &[HostFile],
        &mut dyn FnMut(hostcompute::schema::service::Progress),
    ) -> Result<Vec<Step>, Obstacle>;
    let works: [(&str, Work); 3] = [("up", Host::up), ("diff", Host::diff), ("down", Host::down)];
    for text in [good, bad, "{ nonsense", "{\"Routes\":[{}]}"] {
        for (name, work) in works {
            let mut count = 0;
            let outcome = work(host, &file(text), &mut |progress| {
                count += 1;
                book.note(name, format!("{progress:?}"));
            });
            match outcome {
                Ok(steps) => book.note(name, format!("{} steps, {count} told", steps.len())),
                Err(Obstacle { file, failure, further }) => {
                    book.note(name, format!("{file:?} {failure} {further:?}"));
                }
            }
        }
    }
}

fn notifications(host: &Host, book: &mut Book) -> Result<(), Failure> {
    let before = host.events(u64::MAX)?.next;
    let network = Network::create(host, &HostComputeNetwork::default())?;
    let mut all = host.subscribe(Topic::All, Some(before.saturating_sub(1)))?;
    let mut one = host.subscribe(Topic::Network(network.id()), None)?;
    let namespace = Namespace::create(host, &HostComputeNamespace::default())?;
    let endpoint = Endpoint::create(&network, &HostComputeEndpoint::default())?;
    namespace.add(&endpoint)?;
    namespace.delete()?;
    network.delete()?;
    let told = host.events(before)?;
    for event in &told.events {
        let named = [network.id(), namespace.id(), endpoint.id()].map(|id| id.to_string());
        let about = event.data["ID"].as_str().unwrap_or_default();
        let about = named.iter().position(|id| id == about);
        book.note(
            "happened",
            format!("{} {:#x} {} {about:?}", event.number, event.code, event.name),
        );
    }
    book.note("and then", format!("{} {}", told.next, told.missed));
    for event in &told.events {
        assert_eq!(all.next(), Some(Ok(Notice::Event(event.clone()))));
    }
    for _ in 0..4 {
        let Some(notice) = one.next() else { break };
        let Notice::Event(event) = notice? else { panic!("nothing is missed") };
        book.note("of the network", format!("{} {}", event.number, event.name));
    }
    let stopper = all.stopper();
    let waiting = std::thread::spawn(move || all.next().is_none() && all.next().is_none());
    stopper.stop();
    assert!(waiting.join().expect("it only waits"), "who was stopped hears nothing more");
    book.refused("no network", host.subscribe(Topic::Network(id(9)), None));
    Ok(())
}

fn whole(host: &Host, book: &mut Book) -> Result<(), Failure> {
    let empty = host.export_state()?;
    book.note("state", &empty);
    Network::create_json(host, Some(id(6)), r#"{"Name":"kept","Type":"Private"}"#)?;
    let full = host.export_state()?.to_string();
    book.refused("merge", host.import_state(&full));
    Network::open(host, id(6))?.delete()?;
    book.note("imported", host.import_state(&full)?);
    book.note(
        "kept",
        parse::<HostComputeNetwork>(&Network::open(host, id(6))?.query_json(QUERY)?)?
            .document
            .base
            .name
            .unwrap_or_default(),
    );
    book.note("repaired", format!("{:?}", host.repair()));
    book.note("found", format!("{:?}", host.check()?));
    book.note("objects", &host.inspect()?["Objects"]);
    Network::open(host, id(6))?.delete()?;
    book.note("settled", format!("{:?}", host.settle()));
    Ok(())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}
