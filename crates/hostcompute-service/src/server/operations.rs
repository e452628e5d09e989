//! Long operations: what a client does not wait for, and asks about later.
//!
//! Whoever does the work holds a [`Running`] and tells its progress; clients of the same user (and root) look, wait or follow by id.
//! A worker that goes without a result has failed. What is finished is kept for an hour, and [`MOST`] for each user; it lives in
//! memory only, so a restart forgets it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hostcompute_schema::{Failure, Guid, HResult};
use serde_json::Value;

use super::new_id;
use crate::mailbox::Mailbox;
use crate::sync::{Arc, Condvar, Mutex, lock, wait_within};

/// The most operations that are kept for one user, and the most that may run for one.
pub const MOST: usize = 128;

/// How long a finished operation is kept.
pub const KEPT: Duration = Duration::from_secs(60 * 60);

/// The most lines of progress that are kept for those who come later, and that may wait for a follower.
const LINES: usize = 4096;

/// A long operation at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct LongOperation {
    pub id: Guid,
    /// What is done, for people.
    pub what: String,
    /// The user for whom it is done.
    pub owner: u32,
    pub stage: Stage,
    /// What was told so far, at most the first 4096 lines.
    pub progress: Vec<Value>,
}

/// How far a long operation is.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    Running,
    Succeeded(Value),
    Failed(Failure),
}

impl Stage {
    /// In one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Succeeded(_) => "Succeeded",
            Self::Failed(_) => "Failed",
        }
    }

    fn of(result: Result<Value, Failure>) -> Self {
        match result {
            Ok(value) => Self::Succeeded(value),
            Err(failure) => Self::Failed(failure),
        }
    }
}

/// What a follower hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    Progress(Value),
    /// The last update: never [`Stage::Running`].
    Finished(Stage),
    /// The last update for a follower that did not read.
    TooSlow,
}

/// The registry; clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Operations {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    entries: Mutex<BTreeMap<Guid, Entry>>,
    finished: Condvar,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations").finish_non_exhaustive()
    }
}

struct Entry {
    operation: LongOperation,
    /// What its worker looks at, where that can end in the middle.
    cancelled: Option<StdArc<AtomicBool>>,
    /// Orders the operations of a user.
    begun: Instant,
    ended: Option<Instant>,
    followers: Vec<Arc<Mailbox<Update>>>,
}

impl Operations {
    /// Begins an operation for a user.
    ///
    /// # Errors
    /// ERROR_NOT_ENOUGH_QUOTA when too many run for the user already.
    pub fn begin(&self, owner: u32, what: impl Into<String>) -> Result<Running, Failure> {
        let mut entries = lock(&self.shared.entries);
        let now = Instant::now();
        entries.retain(|_, entry| {
            entry.ended.is_none_or(|ended| now.saturating_duration_since(ended) < KEPT)
        });
        make_room(&mut entries, owner)?;
        let id = new_id();
        let (stage, progress) = (Stage::Running, Vec::new());
        let operation = LongOperation { id, what: what.into(), owner, stage, progress };
        let entry =
            Entry { operation, cancelled: None, begun: now, ended: None, followers: Vec::new() };
        entries.insert(id, entry);
        Ok(Running { shared: self.shared.clone(), id, ended: false })
    }

    /// An operation as it is now.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND for one that is not there or another user's.
    pub fn get(&self, id: Guid, uid: u32) -> Result<LongOperation, Failure> {
        let entries = lock(&self.shared.entries);
        find(&entries, id, uid).map(|entry| entry.operation.clone())
    }

    /// The operations of a user, oldest first; root sees all.
    pub fn list(&self, uid: u32) -> Vec<LongOperation> {
        let entries = lock(&self.shared.entries);
        let mut mine: Vec<_> = entries.values().filter(|entry| entry.is_for(uid)).collect();
        mine.sort_by_key(|entry| entry.begun);
        mine.into_iter().map(|entry| entry.operation.clone()).collect()
    }

    /// An operation when it is finished, or as it is after `patience`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn wait(&self, id: Guid, uid: u32, patience: Duration) -> Result<LongOperation, Failure> {
        let since = Instant::now();
        let mut entries = lock(&self.shared.entries);
        loop {
            let operation = &find(&entries, id, uid)?.operation;
            let left = patience.saturating_sub(since.elapsed());
            if operation.stage != Stage::Running || left.is_zero() {
                return Ok(operation.clone());
            }
            entries = wait_within(&self.shared.finished, entries, left);
        }
    }

    /// Asks an operation to end where it is: its worker is told, and says when it has. One that has ended is left alone.
    ///
    /// # Errors
    /// As [`Self::get`]; E_NOTIMPL for one that ends only when it is done.
    pub fn cancel(&self, id: Guid, uid: u32) -> Result<(), Failure> {
        let entries = lock(&self.shared.entries);
        let entry = find(&entries, id, uid)?;
        match &entry.cancelled {
            _ if entry.operation.stage != Stage::Running => Ok(()),
            Some(cancelled) => {
                cancelled.store(true, Ordering::Relaxed);
                Ok(())
            }
            None => {
                let why = format!("{} ends only when it is done", entry.operation.what);
                Err(Failure::new(HResult::E_NOTIMPL, why))
            }
        }
    }

    /// Everything that an operation told and tells, up to its end.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn follow(&self, id: Guid, uid: u32) -> Result<Following, Failure> {
        let mut entries = lock(&self.shared.entries);
        let entry = match entries.get_mut(&id) {
            Some(entry) if entry.is_for(uid) => entry,
            _ => return Err(missing(id)),
        };
        let told = entry.operation.progress.iter().cloned().map(Update::Progress).collect();
        let mailbox = Arc::new(Mailbox::new(told, LINES));
        match &entry.operation.stage {
            Stage::Running => entry.followers.push(mailbox.clone()),
            stage => mailbox.end(Update::Finished(stage.clone())),
        }
        Ok(Following { mailbox })
    }
}

impl Entry {
    fn is_for(&self, uid: u32) -> bool {
        uid == 0 || self.operation.owner == uid
    }
}

fn find(entries: &BTreeMap<Guid, Entry>, id: Guid, uid: u32) -> Result<&Entry, Failure> {
    entries.get(&id).filter(|entry| entry.is_for(uid)).ok_or_else(|| missing(id))
}

fn missing(id: Guid) -> Failure {
    Failure::new(HResult::ERROR_NOT_FOUND, format!("there is no operation {id}"))
        .hint("finished operations are kept for an hour, and not across a restart of the service")
}

/// Forgets the oldest finished operation of a user who has too many.
fn make_room(entries: &mut BTreeMap<Guid, Entry>, owner: u32) -> Result<(), Failure> {
    let mine = || entries.values().filter(|entry| entry.operation.owner == owner);
    if mine().count() < MOST {
        return Ok(());
    }
    let finished = mine().filter(|entry| entry.ended.is_some());
    let Some(oldest) = finished.min_by_key(|entry| entry.ended).map(|entry| entry.operation.id)
    else {
        let why = format!("{MOST} operations run for user {owner}, and more may not");
        return Err(Failure::new(HResult::ERROR_NOT_ENOUGH_QUOTA, why).hint("wait for one to end"));
    };
    entries.remove(&oldest);
    Ok(())
}

/// An operation in the hands of who carries it out. Dropped without a result it has failed.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    id: Guid,
    ended: bool,
}

impl Running {
    /// The operation's id.
    pub fn id(&self) -> Guid {
        self.id
    }

    /// Whoever carries it out looks at this again and again: true says that it is to end where it is.
    pub fn cancellable(&self, cancelled: StdArc<AtomicBool>) {
        if let Some(entry) = lock(&self.shared.entries).get_mut(&self.id) {
            entry.cancelled = Some(cancelled);
        }
    }

    /// Tells how far it is.
    pub fn tell(&self, line: Value) {
        let told = {
            let mut entries = lock(&self.shared.entries);
            let Some(entry) = entries.get_mut(&self.id) else { return };
            if entry.operation.progress.len() < LINES {
                entry.operation.progress.push(line.clone());
            }
            let told = entry.followers.clone();
            entry.followers.retain(|follower| {
                let kept = follower.put(Update::Progress(line.clone())).is_ok();
                if !kept {
                    follower.end(Update::TooSlow);
                }
                kept
            });
            told
        };
        told.iter().for_each(|follower| follower.call());
    }

    /// Ends it.
    pub fn finish(mut self, result: Result<Value, Failure>) {
        self.end(Stage::of(result));
    }

    fn end(&mut self, stage: Stage) {
        self.ended = true;
        let told = {
            let mut entries = lock(&self.shared.entries);
            let Some(entry) = entries.get_mut(&self.id) else { return };
            entry.operation.stage = stage.clone();
            entry.ended = Some(Instant::now());
            std::mem::take(&mut entry.followers)
        };
        self.shared.finished.notify_all();
        for follower in told {
            follower.end(Update::Finished(stage.clone()));
            follower.call();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let why = "the operation ended without a result";
            self.end(Stage::Failed(Failure::new(HResult::E_UNEXPECTED, why)));
        }
    }
}

/// What a follower reads. Dropping it stops following.
#[derive(Debug)]
pub struct Following {
    mailbox: Arc<Mailbox<Update>>,
}

impl Following {
    /// The next update, if there is one.
    pub fn try_next(&self) -> Option<Update> {
        self.mailbox.take()
    }

    /// The next update, waiting at most `patience`.
    pub fn next(&self, patience: Duration) -> Option<Update> {
        self.mailbox.take_within(patience)
    }

    /// As [`crate::Subscription::on_ready`].
    pub fn on_ready(&self, ready: impl Fn() + Send + Sync + 'static) {
        self.mailbox.on_ready(Arc::new(ready));
    }

    /// Whether the last update was taken.
    pub fn is_over(&self) -> bool {
        self.mailbox.is_over()
    }
}

#[cfg(all(test, not(feature = "schedules")))]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_waited_for_followed_and_their_owners_alone() {
        let operations = Operations::default();
        let running = operations.begin(7, "up").expect("room");
        let id = running.id();
        running.tell(json!(1));
        let early = operations.follow(id, 7).expect("mine");
        running.tell(json!(2));
        assert_eq!(operations.wait(id, 7, Duration::ZERO).map(|o| o.stage), Ok(Stage::Running));
        let waiter = {
            let operations = operations.clone();
            std::thread::spawn(move || operations.wait(id, 0, Duration::MAX))
        };
        running.finish(Ok(json!("done")));
        let end = Stage::Succeeded(json!("done"));
        let waited = waiter.join().expect("no panic").expect("root sees all");
        assert_eq!((&waited.stage, waited.progress), (&end, vec![json!(1), json!(2)]));
        let late = operations.follow(id, 7).expect("mine");
        for follower in [early, late] {
            let heard: Vec<_> = std::iter::from_fn(|| follower.next(Duration::MAX)).collect();
            let progress = [1, 2].map(|line| Update::Progress(json!(line)));
            assert_eq!(heard, [&progress[..], &[Update::Finished(end.clone())]].concat());
        }
        let stranger = operations.get(id, 8).expect_err("not theirs");
        assert_eq!(stranger.hresult, HResult::ERROR_NOT_FOUND);
        assert_eq!((operations.list(7).len(), operations.list(8).len()), (1, 0));
    }

    #[test]
    fn a_worker_that_goes_has_failed() {
        let operations = Operations::default();
        let running = operations.begin(7, "up").expect("room");
        let id = running.id();
        drop(running);
        let Ok(LongOperation { stage: Stage::Failed(failure), .. }) = operations.get(id, 7) else {
            panic!("failed")
        };
        assert_eq!(failure.hresult, HResult::E_UNEXPECTED);
    }

    #[test]
    fn only_what_looks_for_it_is_cancelled() {
        let operations = Operations::default();
        let (deaf, listening) = (operations.begin(7, "up"), operations.begin(7, "import"));
        let (deaf, listening) = (deaf.expect("room"), listening.expect("room"));
        let cancelled = StdArc::new(AtomicBool::new(false));
        listening.cancellable(cancelled.clone());
        let refused = operations.cancel(deaf.id(), 7).expect_err("it does not look");
        assert_eq!(refused.hresult, HResult::E_NOTIMPL);
        assert!(operations.cancel(listening.id(), 8).is_err(), "another user's");
        assert!(!cancelled.load(Ordering::Relaxed));
        assert_eq!(operations.cancel(listening.id(), 7), Ok(()));
        assert!(cancelled.load(Ordering::Relaxed));
        let id = deaf.id();
        deaf.finish(Ok(json!(null)));
        assert_eq!(operations.cancel(id, 7), Ok(()), "it has ended");
    }

    #[test]
    fn the_oldest_finished_make_room_and_running_ones_do_not() {
        let operations = Operations::default();
        let first = operations.begin(7, "first").expect("room");
        let id = first.id();
        first.finish(Ok(json!(null)));
        let running: Vec<_> =
            (0..MOST).map(|_| operations.begin(7, "more").expect("room")).collect();
        assert!(operations.get(id, 7).is_err(), "it made room");
        let refused = operations.begin(7, "too many").expect_err("all run");
        assert_eq!(refused.hresult, HResult::ERROR_NOT_ENOUGH_QUOTA);
        operations.begin(8, "another user's").expect("room");
        drop(running);
    }

    #[test]
    fn a_follower_that_does_not_read_is_let_go() {
        let operations = Operations::default();
        let running = operations.begin(7, "up").expect("room");
        let following = operations.follow(running.id(), 7).expect("mine");
        (0..=LINES).for_each(|line| running.tell(json!(line)));
        let last = std::iter::from_fn(|| following.try_next()).last();
        assert_eq!((last, following.is_over()), (Some(Update::TooSlow), true));
    }
}
