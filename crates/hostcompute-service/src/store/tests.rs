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
    store.begin("HcnDeleteNetwork", &[delete(1)], Durability::Process).expect("begun");
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
    store
        .begin("HcnDeleteNetwork", &[delete(1), delete(2), delete(3)], Durability::Disk)
        .expect("begun");
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
    store.begin("HcnDeleteNetwork", &[], Durability::Process).expect("begun");
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
    store.begin("HcnDeleteNetwork", &[delete(1)], Durability::Disk).expect("begun");
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

#[test]
fn a_journal_that_could_not_be_taken_back_takes_nothing_more() {
    let scratch = Scratch::new("poison");
    let mut store = open(&scratch).expect("new");
    seed(&mut store, 1, "{}");
    store.begin("HcnDeleteNetwork", &[delete(1)], Durability::Process).expect("begun");
    store.database.write(Durability::Disk, |write| write.spoil_pending()).expect("written");
    store.revert(Durability::Disk).expect_err("the means to undo are damaged");
    let refused = store.begin("HcnDeleteNetwork", &[], Durability::Process).expect_err("poisoned");
    assert!(refused.hint.is_some(), "{refused}");
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
