//! Two hundred clients at once for a minute, clients and the daemon killed in between: what was acknowledged is true afterwards,
//! nothing is left over.
//!
//! Each client is a process, this program once more, with a record of its own: it writes down what it is about to ask and what it
//! was answered. After the minute the records are held against the daemon's objects, and all of them against the kernel.
//!
//! Ignored by default, for it takes its minute: `cargo test -p hostcomputed --test storm -- --ignored --nocapture`.
//! `HOSTCOMPUTE_STORM=CLIENTS,SECONDS,SEED` makes it shorter or repeats one.

mod client;
mod ground;
#[path = "../../../hc/tests/sandbox/private.rs"]
mod private;
mod random;
mod record;

use std::process::Child;
use std::time::{Duration, Instant};

use hostcompute::Host;
use hostcompute::schema::operation::Operation;
use hostcompute::transport::Call;

use ground::Ground;
use record::{Fate, Records};

/// How heavy the storm is.
struct Weather {
    clients: usize,
    length: Duration,
    seed: u64,
}

impl Weather {
    fn forecast() -> Self {
        let given = std::env::var("HOSTCOMPUTE_STORM").unwrap_or_default();
        let mut numbers = given.split(',').map(|number| number.trim().parse::<u64>().ok());
        let mut next = |default: u64| numbers.next().flatten().unwrap_or(default);
        let clients = usize::try_from(next(200)).unwrap_or(200);
        Self { clients, length: Duration::from_secs(next(60)), seed: next(1) }
    }
}

/// A client's process is killed when this much time has gone since the last, and the daemon's after so many clients.
const BETWEEN_KILLS: Duration = Duration::from_millis(150);
const CLIENTS_TO_A_DAEMON: u64 = 25;

/// The namespace that every host has.
const HOST_DEFAULT: &str = "686f7374-636f-4d70-8000-64656661756c";

/// The entry of the client processes; as a test of its own it does nothing.
#[test]
#[ignore = "started by the storm"]
fn client_process() {
    if let Some(task) = client::Task::from_env() {
        client::run(&task);
    }
}

#[test]
#[ignore = "takes a minute"]
fn what_was_acknowledged_is_true_after_a_storm() {
    let weather = Weather::forecast();
    let Some(mut ground) = Ground::new() else { return };
    ground.start_daemon();
    let network = ground.make_network();
    let mut crowd: Vec<Child> = (0..weather.clients)
        .map(|number| ground.start_client(number as u64, weather.seed, network))
        .collect();
    let kills = blow(&weather, &mut ground, &mut crowd, network);
    ground.call_in();
    for mut client in crowd {
        let status = client.wait().expect("a child");
        assert!(status.success(), "a client that was not killed failed: {status}");
    }
    let records = Records::read(&ground.records());
    println!("{kills}; {}", records.summary());
    assert!(records.acknowledged() > weather.clients, "hardly anything was done: no proof");
    compare(&ground, &records, network);
    clear(&mut ground);
}

/// The storm itself; says how often it struck.
fn blow(
    weather: &Weather,
    ground: &mut Ground,
    crowd: &mut [Child],
    network: hostcompute::Guid,
) -> String {
    let mut random = random::Random::new(weather.seed);
    let end = Instant::now() + weather.length;
    let (mut clients, mut daemons) = (0_u64, 0_u64);
    while Instant::now() < end {
        std::thread::sleep(BETWEEN_KILLS);
        let victim = random.below(crowd.len() as u64) as usize;
        if let Some(child) = crowd.get_mut(victim) {
            child.kill().expect("a child of ours");
            child.wait().expect("a child of ours");
            clients += 1;
            let number = weather.clients as u64 + clients;
            *child = ground.start_client(number, weather.seed, network);
        }
        if clients.is_multiple_of(CLIENTS_TO_A_DAEMON) {
            ground.kill_daemon();
            ground.start_daemon();
            daemons += 1;
        }
    }
    format!("killed {clients} clients and the daemon {daemons} times")
}

/// What the clients know against what the daemon says.
fn compare(ground: &Ground, records: &Records, network: hostcompute::Guid) {
    let host = ground.host();
    for (kind, enumerate) in [
        ("namespace", Operation::EnumerateNamespaces),
        ("endpoint", Operation::EnumerateEndpoints),
        ("loadbalancer", Operation::EnumerateLoadBalancers),
    ] {
        let there = enumerated(&host, enumerate);
        for (id, fate) in records.of(kind) {
            match fate {
                Fate::There => {
                    assert!(there.contains(id), "{kind} {id} was acknowledged and is lost")
                }
                Fate::Gone => assert!(!there.contains(id), "{kind} {id} was deleted and is there"),
                Fate::Unknown => {}
            }
        }
        for id in &there {
            assert!(records.knows(kind, id), "{kind} {id} is there and nobody asked for it");
        }
    }
    assert_eq!(enumerated(&host, Operation::EnumerateNetworks), [network.to_string()]);
    assert_eq!(host.check().expect("checked"), [], "documents, journal and kernel differ");
}

/// Deletes what is there; then nothing may be left, in the daemon and in the kernel.
fn clear(ground: &mut Ground) {
    let host = ground.host();
    for (enumerate, delete) in [
        (Operation::EnumerateLoadBalancers, Operation::DeleteLoadBalancer),
        (Operation::EnumerateEndpoints, Operation::DeleteEndpoint),
        (Operation::EnumerateNamespaces, Operation::DeleteNamespace),
        (Operation::EnumerateNetworks, Operation::DeleteNetwork),
    ] {
        for id in enumerated(&host, enumerate) {
            let id = id.parse().expect("an id");
            host.call(&Call::on(delete, id, ""))
                .unwrap_or_else(|failure| panic!("{delete}: {failure}"));
        }
    }
    host.settle().expect("settled");
    assert_eq!(host.check().expect("checked"), [], "after everything was deleted");
    let sessions = host.inspect().expect("inspected");
    let sessions = sessions.get("Sessions").and_then(|all| all.as_array()).map(Vec::len);
    assert_eq!(sessions, Some(1), "sessions of dead clients are left");
    drop(host);
    ground.stop_daemon();
    ground.wait_until_nothing_remains();
}

fn enumerated(host: &Host, operation: Operation) -> Vec<String> {
    let call = Call { operation, id: None, network: None, document: "" };
    let answer = host.call(&call).unwrap_or_else(|failure| panic!("{operation}: {failure}"));
    let mut ids: Vec<String> = serde_json::from_str(&answer.body).expect("a list of ids");
    ids.retain(|id| id != HOST_DEFAULT);
    ids
}
