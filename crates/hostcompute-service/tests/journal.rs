//! The journal when things go wrong with it: every beginning of its log, a full disk, a directory that cannot be written, a damaged
//! page. Each ends in a state that is clear: reads are answered, changes are refused with what to do, and the service goes on without a
//! restart as soon as the file can be written again.

mod clients;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clients::{attach, call, code, hold, morning, play, prepare, root, serve, submit_all};
use hostcompute_engine::sim::{Fault, Moment};
use hostcompute_engine::{Kind, State};
use hostcompute_schema::operation::{Operation, Right};
use hostcompute_schema::{Failure, Guid, HResult};
use hostcompute_service::server::{Server, Session, Settings};
use hostcompute_service::{IdempotencyKey, Outcome, Store};
use serde_json::json;
use std::time::Duration;
use world::{Machine, Scratch, boot, memory, open, sound};

type Memory = Vec<(Kind, Guid, String)>;

const LOG: &str = "state.sqlite-wal";

fn log_length(directory: &Path) -> usize {
    fs::metadata(directory.join(LOG)).map_or(0, |log| usize::try_from(log.len()).expect("small"))
}

/// Single changes, groups of several clients' changes, changes with a key: a power cut leaves some beginning of the log, and each is a
/// point of the history that holds everything that had been acknowledged when the log was that long.
#[test]
fn every_beginning_of_the_log_holds_what_was_acknowledged_by_then() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    // The length of the log and what was acknowledged by then.
    let mut history: Vec<(usize, Memory)> = vec![(0, Vec::new())];
    let mut note = |session: &Session<Machine>| {
        history.push((log_length(scratch.path()), memory(&session.view())));
    };
    for (number, mut change) in morning().into_iter().enumerate() {
        change.key = Some(IdempotencyKey::new(&format!("key {number}")).expect("a key"));
        session.call(change).expect("done");
        note(&session);
    }
    session.call(call(Operation::DeleteNetwork, 1, json!({}))).expect("deleted");
    note(&session);
    prepare(&session, 6);
    note(&session);
    for places in [0..3, 3..6] {
        let held = hold(&server);
        let together: Vec<_> = places.map(|place| attach(60 + place, 40 + place)).collect();
        let answers = submit_all(&session, &together);
        drop(held);
        assert!(answers.into_iter().all(|(_, answer)| answer.is_ok()));
        note(&session);
    }
    let groups = server.metrics().groups;
    assert!(groups.sum >= groups.count + 4, "some changes shared a transaction: {groups:?}");
    let died = Scratch::copy_of(scratch.path());
    server.stop();
    let whole = fs::read(died.path().join(LOG)).expect("a log");
    for length in (0..whole.len()).step_by(1543).chain([whole.len()]) {
        let cut = Scratch::copy_of(died.path());
        fs::write(cut.path().join(LOG), &whole[..length]).expect("written");
        let found = remembered(cut.path());
        let acknowledged =
            history.iter().rposition(|(log, _)| *log <= length).expect("the beginning");
        let place = history.iter().rposition(|(_, memory)| *memory == found);
        assert!(
            place.is_some_and(|place| place >= acknowledged)
                || between(&found, &history[acknowledged..]),
            "cut at {length}"
        );
    }
}

/// `prepare` makes several changes between two notes: those points of the history are recognised by what they add to one note and lack of
/// the next.
fn between(found: &Memory, history: &[(usize, Memory)]) -> bool {
    let [(_, before), (_, after), ..] = history else { return false };
    before.iter().all(|object| found.contains(object))
        && found.iter().all(|object| after.contains(object))
}

fn remembered(directory: &Path) -> Memory {
    let store = Store::open(directory, Duration::ZERO).expect("opened");
    memory(&State::load(store.records().expect("readable")).expect("sound"))
}

/// Carries out a test in a mount namespace of its own, with a small disk for the state. Needs root, as a mount does.
fn on_a_small_disk(test: &str, work: impl FnOnce(&Path)) {
    const DISK: &str = "HOSTCOMPUTE_TEST_DISK";
    if let Some(disk) = std::env::var_os(DISK) {
        return work(Path::new(&disk));
    }
    let root = fs::metadata("/proc/self")
        .is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0);
    if !root {
        let required = std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_some();
        assert!(!required, "HOSTCOMPUTE_REQUIRE_ROOT is set, and this is not root");
        eprintln!("skipped: a small disk is a mount, which needs root");
        return;
    }
    let disk = Scratch::new();
    let mount = "mount -t tmpfs -o size=512k,mode=700 none \"$0\" && exec \"$@\"";
    let said = Command::new("unshare")
        .args(["--mount", "sh", "-c", mount])
        .arg(disk.path())
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(DISK, disk.path())
        .output()
        .expect("unshare can be started");
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

/// Something else fills the disk.
fn fill(disk: &Path) {
    use std::io::Write;
    let mut ballast = fs::File::create(disk.join("ballast")).expect("a file");
    while ballast.write_all(&[1; 512]).is_ok() {}
}

fn make_room(disk: &Path) {
    fs::remove_file(disk.join("ballast")).expect("it is there");
}

#[track_caller]
fn refused_for_want_of_room(result: Result<impl std::fmt::Debug, Failure>) {
    let failure = result.expect_err("there is no room");
    assert_eq!(failure.hresult, HResult::HCN_E_REGKEY_FAILURE, "{failure}");
    assert!(failure.to_string().contains("free some space"), "{failure}");
}

fn stop(server: &Server<Machine>, session: Session<Machine>, machine: &Machine, directory: &Path) {
    let seen = memory(&session.view());
    drop(session);
    server.stop();
    let mut service = open(directory, machine, &boot(1)).expect("again");
    assert_eq!(memory(service.state()), seen);
    sound(&mut service);
    assert!(service.recovery().is_none(), "{:?}", service.recovery());
}

#[test]
fn a_full_disk_refuses_changes_until_there_is_room() {
    on_a_small_disk("a_full_disk_refuses_changes_until_there_is_room", |disk| {
        let machine = Machine::default();
        let server = serve(&disk.join("state"), &machine, Settings::default());
        let session = server.connect(root()).expect("root");
        play(&session);
        let (before, picture) =
            (memory(&session.view()), machine.with(|machine| machine.picture()));
        fill(disk);
        for change in [
            call(Operation::CreateNamespace, 70, json!({})),
            call(Operation::DeleteNetwork, 2, json!({})),
            call(Operation::DeleteEndpoint, 21, json!({})),
        ] {
            refused_for_want_of_room(session.call(change));
        }
        let held = hold(&server);
        let deletions: Vec<_> =
            (21..24).map(|id| call(Operation::DeleteEndpoint, id, json!({}))).collect();
        let answers = submit_all(&session, &deletions);
        drop(held);
        answers.into_iter().for_each(|(_, answer)| refused_for_want_of_room(answer));
        assert_eq!(memory(&session.view()), before);
        assert!(machine.with(|machine| machine.picture()) == picture, "the machine is as before");
        session.call(call(Operation::QueryEndpointProperties, 21, json!({}))).expect("reads go on");
        assert!(server.metrics().journal.failures > 0);
        // Killed now, the next process finds everything.
        let killed = Scratch::copy_of(&disk.join("state"));
        assert_eq!(remembered(killed.path()), before);
        make_room(disk);
        session.call(call(Operation::DeleteEndpoint, 21, json!({}))).expect("there is room again");
        stop(&server, session, &machine, &disk.join("state"));
    });
}

/// The disk fills up after a change was written, and the machine refuses the change: it cannot be taken back in the file.
#[test]
fn a_change_that_cannot_be_taken_back_in_the_file_is_taken_back_later() {
    on_a_small_disk("a_change_that_cannot_be_taken_back_in_the_file_is_taken_back_later", |disk| {
        let state = disk.join("state");
        let machine = Machine::default();
        let server = serve(&state, &machine, Settings::default());
        let session = server.connect(root()).expect("root");
        play(&session);
        let before = memory(&session.view());
        let its = disk.to_owned();
        machine.interrupt(move || fill(&its));
        machine.with(|machine| machine.order(Fault { after: 0, moment: Moment::After }));
        let create = || call(Operation::CreateNamespace, 70, json!({}));
        let failure = session.call(create()).expect_err("the machine refuses it");
        assert!(failure.message.contains("cannot write"), "both are told: {failure}");
        assert_eq!(memory(&session.view()), before);
        assert_eq!(
            code(session.call(call(Operation::OpenNamespace, 70, json!({})))),
            HResult::ERROR_NOT_FOUND
        );
        refused_for_want_of_room(session.call(create()));
        let report = session
            .with_service(Right::Read, "check", |service| service.check())
            .expect("served")
            .expect("read");
        assert_eq!(report.pending.as_deref(), Some("HcnCreateNamespace"), "what is owed is told");

        // Killed now, the next process finishes the change or takes it back; in any case all agree.
        let killed = Scratch::copy_of(&state);
        let elsewhere = Machine::of(machine.with(|machine| machine.clone()));
        let mut next = open(killed.path(), &elsewhere, &boot(1)).expect("recovered");
        assert!(next.recovery().is_some_and(|recovery| recovery.problems.is_empty()));
        sound(&mut next);
        drop(next);

        make_room(disk);
        session.call(call(Operation::DeleteEndpoint, 21, json!({}))).expect("there is room again");
        let report = session
            .with_service(Right::Read, "check", |service| service.check())
            .expect("served")
            .expect("read");
        assert!(report.is_empty(), "{report:?}");
        stop(&server, session, &machine, &state);
    });
}

/// The machine starts with a full disk: its networks come back all the same.
#[test]
fn a_full_disk_does_not_keep_a_machine_from_its_networks() {
    on_a_small_disk("a_full_disk_does_not_keep_a_machine_from_its_networks", |disk| {
        let state = disk.join("state");
        let machine = Machine::default();
        let mut service = open(&state, &machine, &boot(1)).expect("new");
        world::day()[..12]
            .iter()
            .for_each(|act| drop(world::play(&mut service, act).expect("done")));
        drop(service);
        fill(disk);
        machine.with(|machine| machine.reboot());
        let mut service = open(&state, &machine, &boot(2)).expect("starts");
        let recovery = service.recovery().expect("rebuilt").clone();
        assert_eq!(recovery.outcome, Outcome::Rebuilt);
        recovery
            .problems
            .into_iter()
            .for_each(|problem| refused_for_want_of_room(Err::<(), _>(problem)));
        let names: Vec<_> =
            service.state().networks().map(|network| network.name().to_owned()).collect();
        assert_eq!(names, ["lasting"]);
        assert!(service.check().expect("read").differences.is_empty());
        let after = memory(service.state());
        drop(service);
        // As it could not be written, the next start does the same.
        let mut service = open(&state, &machine, &boot(2)).expect("starts again");
        assert_eq!(memory(service.state()), after);
        make_room(disk);
        world::play(&mut service, &world::act(Operation::CreateNamespace, 70, json!({})))
            .expect("there is room");
        let after = memory(service.state());
        drop(service);
        let mut service = open(&state, &machine, &boot(2)).expect("an ordinary start");
        assert!(service.recovery().is_none(), "{:?}", service.recovery());
        assert_eq!(memory(service.state()), after);
        sound(&mut service);
    });
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_in_words() {
    on_a_small_disk("a_directory_that_cannot_be_written_is_refused_in_words", |disk| {
        let machine = Machine::default();
        let mut service = open(disk, &machine, &boot(1)).expect("new");
        world::play(&mut service, &world::day()[1]).expect("made");
        let before = memory(service.state());
        drop(service);
        remount(disk, "ro");
        let refused = open(disk, &machine, &boot(1)).expect_err("not to be written");
        assert_eq!(refused.hresult, HResult::E_ACCESSDENIED);
        assert!(refused.story().contains("Read-only") && refused.hint.is_some(), "{refused:#}");
        remount(disk, "rw");
        assert_eq!(memory(open(disk, &machine, &boot(1)).expect("opened").state()), before);
    });
}

fn remount(disk: &Path, how: &str) {
    let how = format!("remount,{how}");
    let done =
        Command::new("mount").args(["-o", &how]).arg(disk).status().expect("mount can be started");
    assert!(done.success());
}

/// Spoils the page that holds the beginning of the table of objects.
fn spoil(directory: &Path) -> PathBuf {
    let path = directory.join("state.sqlite");
    let mut file = fs::read(&path).expect("readable");
    file[4096..4096 + 64].fill(0xA5);
    fs::write(&path, file).expect("written");
    path
}

/// Folds the log into the file, by closing the service and opening it with another program.
fn fold(directory: &Path) {
    let file = rusqlite::Connection::open(directory.join("state.sqlite")).expect("opened");
    file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("folded");
}

#[test]
fn a_damaged_file_keeps_a_service_from_starting_and_says_so() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    world::play(&mut service, &world::day()[1]).expect("made");
    drop(service);
    fold(scratch.path());
    spoil(scratch.path());
    let picture = machine.with(|machine| machine.picture());
    let refused = open(scratch.path(), &machine, &boot(1)).expect_err("damaged");
    assert_eq!(refused.hresult, HResult::HCN_E_REGKEY_FAILURE);
    assert!(refused.message.contains("damaged") && refused.hint.is_some(), "{refused}");
    assert!(machine.with(|machine| machine.picture()) == picture, "what runs goes on");
}

/// The file is damaged under a service that runs: memory is right, so the file is written anew from it.
#[test]
fn a_file_that_is_damaged_meanwhile_is_written_anew_from_memory() {
    let (scratch, machine) = (Scratch::new(), Machine::default());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    play(&session);
    drop(session);
    server.stop();
    fold(scratch.path());
    let server = serve(scratch.path(), &machine, Settings::default());
    let session = server.connect(root()).expect("root");
    let mut keyed = call(Operation::CreateNamespace, 70, json!({}));
    keyed.key = Some(IdempotencyKey::new("before").expect("a key"));
    spoil(scratch.path());
    let check = || {
        session
            .with_service(Right::Read, "check", |service| service.check())
            .expect("served")
            .expect("read")
    };
    let damage = check().damage.expect("found");
    assert!(damage.hint.as_ref().is_some_and(|hint| hint.contains("--repair")), "{damage}");
    let refused = session.call(keyed.clone()).expect_err("the file cannot be trusted");
    assert_eq!(refused.hresult, HResult::HCN_E_REGKEY_FAILURE, "{refused}");
    session.call(call(Operation::QueryNetworkProperties, 2, json!({}))).expect("reads go on");
    session
        .with_service(Right::Manage, "repair", |service| service.repair())
        .expect("served")
        .expect("repaired");
    assert!(check().is_empty(), "{:?}", check());
    session.call(keyed).expect("changes are accepted again");
    assert!(scratch.path().join("state.sqlite.damaged").exists(), "the damaged file is kept");
    stop(&server, session, &machine, scratch.path());
}
