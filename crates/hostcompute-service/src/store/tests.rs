//! What the store promises: nothing half written, an operation taken back exactly, damage told in words.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use hostcompute_engine::{Change, Kind};
use hostcompute_schema::{Guid, HResult};

use super::*;

/// A directory of a test's own, removed with the value.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir()
            .join(format!("hostcompute-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(scratch: &Scratch) -> Result<Store, Failure> {
    Store::open(scratch.path(), Duration::ZERO)
}

/// Deletions suffice to exercise the journal: what they took is what must come back.
fn delete(id: u8) -> Change {
    Change::Delete(Kind::Network, Guid::from_bytes([id; 16]))
}

fn begin(store: &mut Store, changes: &[Change], durability: Durability) -> Result<(), Failure> {
    store.begin(&Entry::of("HcnDeleteNetwork", durability), changes)
}

fn seed(store: &mut Store, id: u8, body: &str) {
    let id = Guid::from_bytes([id; 16]).to_string();
    store
        .database
        .write(Durability::Disk, |write| write.put(Kind::Network.as_str(), &id, body))
        .expect("written");
}

fn bodies(store: &Store) -> Vec<String> {
    store.records().expect("readable").into_iter().map(|record| record.body).collect()
}

#[test]
fn an_operation_without_a_done_mark_is_pending_at_the_next_start() {
    let scratch = Scratch::new("pending");
    let mut store = open(&scratch).expect("new");
    assert_eq!(store.pending(), Ok(None));
    seed(&mut store, 1, "{}");
    begin(&mut store, &[delete(1)], Durability::Process).expect("begun");
    drop(store);
    let mut store = open(&scratch).expect("again");
    assert_eq!(store.pending(), Ok(Some("HcnDeleteNetwork".to_owned())));
    assert!(bodies(&store).is_empty());
    store.done();
    drop(store);
    assert_eq!(open(&scratch).expect("again").pending(), Ok(None));
}

#[test]
fn taking_back_restores_every_row() {
    let scratch = Scratch::new("revert");
    let mut store = open(&scratch).expect("new");
    seed(&mut store, 1, "{\"a\":1}");
    seed(&mut store, 2, "{\"b\":2}");
    begin(&mut store, &[delete(1), delete(2), delete(3)], Durability::Disk).expect("begun");
    assert!(bodies(&store).is_empty());
    store.revert(Durability::Disk).expect("taken back");
    assert_eq!(bodies(&store), ["{\"a\":1}", "{\"b\":2}"]);
    // The rows are back; whether the machine is, only a comparison can tell.
    assert_eq!(store.pending(), Ok(Some("HcnDeleteNetwork".to_owned())));
    store.done();
    assert_eq!(store.pending(), Ok(None));
}

#[test]
fn a_machine_that_does_not_agree_is_remembered_until_it_does() {
    let scratch = Scratch::new("unsettled");
    let mut store = open(&scratch).expect("new");
    begin(&mut store, &[], Durability::Process).expect("begun");
    store.settled(false);
    store.done();
    drop(store);
    assert_eq!(open(&scratch).expect("again").pending(), Ok(Some("repair".to_owned())));
}

#[test]
fn the_identity_is_kept() {
    let scratch = Scratch::new("identity");
    let mut store = open(&scratch).expect("new");
    assert_eq!(store.identity(), Ok(None));
    let identity = Identity { boot: "b".into(), host: "1".into(), place: "/x".into() };
    store.begin_on(&identity, "start", &[]).expect("written");
    assert_eq!(store.identity(), Ok(Some(identity)));
}

#[track_caller]
fn refused(scratch: &Scratch, code: HResult, word: &str) {
    let refused = open(scratch).and_then(|store| store.verify().and(store.records().map(drop)));
    let failure = refused.expect_err("a damaged store");
    assert_eq!(failure.hresult, code, "{failure}");
    assert!(failure.message.contains(word) && failure.hint.is_some(), "{failure}");
}

#[test]
fn files_that_are_not_ours_are_refused_in_words() {
    let scratch = Scratch::new("foreign");
    let file = scratch.path().join(DATABASE);
    std::fs::write(&file, "this is not a database, and long enough to have a header of its own")
        .expect("written");
    refused(&scratch, HResult::HCN_E_REGKEY_FAILURE, "damaged");
    std::fs::remove_file(&file).expect("removed");
    let foreign = rusqlite::Connection::open(&file).expect("opened");
    foreign.execute_batch("CREATE TABLE x (y); PRAGMA application_id = 7").expect("written");
    drop(foreign);
    refused(&scratch, HResult::HCN_E_REGKEY_FAILURE, "another program");
}

#[test]
fn another_format_is_the_wrong_disk() {
    let scratch = Scratch::new("format");
    drop(open(&scratch).expect("new"));
    let file = rusqlite::Connection::open(scratch.path().join(DATABASE)).expect("opened");
    file.execute_batch("PRAGMA user_version = 99").expect("written");
    drop(file);
    refused(&scratch, HResult::ERROR_WRONG_DISK, "format 99");
}

#[test]
fn a_row_of_an_unknown_kind_is_refused() {
    let scratch = Scratch::new("row");
    let mut store = open(&scratch).expect("new");
    store
        .database
        .write(Durability::Disk, |write| write.put("submarine", "x", "{}"))
        .expect("written");
    drop(store);
    refused(&scratch, HResult::HCN_E_REGKEY_FAILURE, "submarine");
}

/// Whatever byte of the file is hit, opening and reading either works or fails in words.
#[test]
fn flipped_bytes_never_panic() {
    let scratch = Scratch::new("flip");
    let mut store = open(&scratch).expect("new");
    (1..40).for_each(|id| seed(&mut store, id, "{\"Document\":{},\"Chosen\":{}}"));
    begin(&mut store, &[delete(1)], Durability::Disk).expect("begun");
    drop(store);
    let file = scratch.path().join(DATABASE);
    let log = rusqlite::Connection::open(&file).expect("opened");
    log.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("folded in");
    drop(log);
    let sound = std::fs::read(&file).expect("readable");
    for place in (0..sound.len()).step_by(101) {
        let mut broken = sound.clone();
        broken[place] ^= 0x55;
        let _ = std::fs::remove_file(scratch.path().join("state.sqlite-wal"));
        std::fs::write(&file, &broken).expect("written");
        let read = open(&scratch).and_then(|store| {
            store.verify()?;
            store.pending()?;
            store.records().map(drop)
        });
        if let Err(failure) = read {
            let code = failure.hresult;
            assert!(
                [HResult::HCN_E_REGKEY_FAILURE, HResult::ERROR_WRONG_DISK, HResult::E_ACCESSDENIED]
                    .contains(&code),
                "{failure}"
            );
        }
    }
}

/// The file cannot be written for a while, in the middle of an operation that the host refuses.
#[test]
fn what_cannot_be_taken_back_now_is_owed() {
    let scratch = Scratch::new("owed");
    let mut store = open(&scratch).expect("new");
    seed(&mut store, 1, "{\"a\":1}");
    begin(&mut store, &[delete(1)], Durability::Process).expect("begun");
    store.database.refuse_writing(true);
    let refused = store.revert(Durability::Disk).expect_err("not to be written");
    assert!(refused.hint.is_some(), "{refused}");
    assert_eq!(bodies(&store), ["{\"a\":1}"], "read as if it had been taken back");
    assert_eq!(store.pending(), Ok(Some("HcnDeleteNetwork".to_owned())));
    begin(&mut store, &[delete(2)], Durability::Process).expect_err("not to be written");
    assert_eq!(bodies(&store), ["{\"a\":1}"]);
    store.database.refuse_writing(false);
    begin(&mut store, &[delete(2)], Durability::Process).expect("written");
    store.done();
    drop(store);
    let store = open(&scratch).expect("again");
    assert_eq!((bodies(&store), store.pending()), (vec!["{\"a\":1}".to_owned()], Ok(None)));
}

/// A process that ends while it owes leaves the operation to the next one, which finishes it or takes it back.
#[test]
fn what_is_owed_at_the_end_is_pending_at_the_next_start() {
    let scratch = Scratch::new("owed-end");
    let mut store = open(&scratch).expect("new");
    seed(&mut store, 1, "{}");
    begin(&mut store, &[delete(1)], Durability::Process).expect("begun");
    store.database.refuse_writing(true);
    store.revert(Durability::Disk).expect_err("not to be written");
    store.done();
    drop(store);
    let mut store = open(&scratch).expect("again");
    assert_eq!(store.pending(), Ok(Some("HcnDeleteNetwork".to_owned())));
    store.revert(Durability::Disk).expect("written");
    assert_eq!(bodies(&store), ["{}"]);
}

fn note(uid: u32, key: &str) -> Note {
    Note { uid, key: key.to_owned(), digest: "d".to_owned(), answer: "{}".to_owned() }
}

#[test]
fn answers_come_and_go_with_their_operation() {
    let scratch = Scratch::new("answers");
    let mut store = open(&scratch).expect("new");
    let notes = [note(1, "a"), note(2, "a")];
    let entry = Entry { notes: &notes, events: 3, ..Entry::of("x", Durability::Process) };
    store.begin(&entry, &[]).expect("begun");
    store.done();
    store.begin(&Entry { notes: &[note(1, "b")], ..entry }, &[]).expect("begun");
    store.revert(Durability::Process).expect("taken back");
    store.done();
    drop(store);
    let store = open(&scratch).expect("again");
    let known = |uid, key: &str| store.reply(uid, key).expect("readable").is_some();
    assert_eq!(
        (known(1, "a"), known(2, "a"), known(1, "b"), known(3, "a")),
        (true, true, false, false)
    );
    assert_eq!(store.events(), 3);
}

#[test]
fn notifications_of_a_killed_process_keep_their_numbers() {
    let scratch = Scratch::new("numbers");
    let mut store = open(&scratch).expect("new");
    let entry = Entry { events: 3, ..Entry::of("x", Durability::Process) };
    store.begin(&entry, &[]).expect("begun");
    // No done-mark and no farewell: as after `kill -9`.
    let killed = Scratch::new("numbers-killed");
    for entry in std::fs::read_dir(scratch.path()).expect("readable") {
        let entry = entry.expect("readable");
        std::fs::copy(entry.path(), killed.path().join(entry.file_name())).expect("copied");
    }
    assert_eq!(open(&killed).expect("again").events(), 3);
}

#[test]
fn old_answers_are_forgotten_and_so_are_the_oldest_of_too_many() {
    let scratch = Scratch::new("forgotten");
    let mut store = open(&scratch).expect("new");
    let write = |write: &Write<'_>| {
        write.put_reply(&note(1, "old"), 10)?;
        (0..5).try_for_each(|at| write.put_reply(&note(1, &format!("k{at}")), 100 + at))?;
        write.put_reply(&note(2, "k0"), 100)?;
        write.forget_replies(50, 3)
    };
    store.database.write(Durability::Process, write).expect("written");
    let left: Vec<_> = ["old", "k0", "k1", "k2", "k3", "k4"]
        .into_iter()
        .filter(|key| store.reply(1, key).expect("readable").is_some())
        .collect();
    assert_eq!(left, ["k2", "k3", "k4"]);
    assert!(store.reply(2, "k0").expect("readable").is_some());
}

#[test]
fn a_state_of_the_first_format_is_brought_up_to_date() {
    let scratch = Scratch::new("first");
    let mut store = open(&scratch).expect("new");
    seed(&mut store, 1, "{}");
    drop(store);
    let file = rusqlite::Connection::open(scratch.path().join(DATABASE)).expect("opened");
    file.execute_batch("DROP TABLE reply; PRAGMA user_version = 1").expect("written");
    drop(file);
    let store = open(&scratch).expect("brought up to date");
    assert_eq!(bodies(&store), ["{}"]);
    assert_eq!(store.reply(1, "a"), Ok(None));
}

#[test]
fn a_long_log_is_folded_in_at_the_end() {
    let scratch = Scratch::new("log");
    let mut store = open(&scratch).expect("new");
    let log = scratch.path().join("state.sqlite-wal");
    for id in 1..=200 {
        seed(&mut store, id, &"x".repeat(20_000));
    }
    assert!(std::fs::metadata(&log).expect("a log").len() > 1 << 20);
    drop(store);
    assert_eq!(std::fs::metadata(&log).map_or(0, |log| log.len()), 0);
    assert_eq!(bodies(&open(&scratch).expect("again")).len(), 200);
}
