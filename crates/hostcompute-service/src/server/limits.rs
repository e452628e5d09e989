//! How much one user may ask of the service, so that none can take it from the others.
//!
//! Counts are kept for each user, not for each connection: who opens another connection gets nothing more. A place within a limit
//! is a [`Lease`], given back when it is dropped.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hostcompute_schema::{Failure, HResult};

use crate::sync::{Arc, Mutex, lock};

/// What one user may have. Root gets [`ROOT_FACTOR`] times as much, and no limit of its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one user.
    pub connections: usize,
    /// Handles of one session: of objects of the network, and as many of compute systems and processes.
    pub handles: usize,
    /// Compute systems of one user that have not ended.
    pub systems: usize,
    /// Processes that clients asked for and that run, in one compute system.
    pub processes: usize,
    /// Subscriptions of one user.
    pub subscriptions: usize,
    /// Ports of the host that one session reserves.
    pub ports: usize,
    /// Bytes of one request's document.
    pub request_bytes: usize,
    /// Requests of one user each second, in the long run.
    pub rate: u32,
    /// Requests that a user may make at once after a pause.
    pub burst: u32,
    /// Notices that wait for a reader before it is cut off.
    pub backlog: usize,
    /// Changes of all users that wait for their turn.
    pub queue: usize,
}

/// How much more root may have.
pub const ROOT_FACTOR: usize = 10;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            handles: 16_384,
            systems: 256,
            processes: 1024,
            subscriptions: 64,
            ports: 8192,
            request_bytes: 4 << 20,
            rate: 2000,
            burst: 4000,
            backlog: 1024,
            queue: 4096,
        }
    }
}

impl Limits {
    /// The limits as they are for a user.
    pub fn of_user(self, uid: u32) -> Self {
        let more = |count: usize| if uid == 0 { count.saturating_mul(ROOT_FACTOR) } else { count };
        Self {
            connections: more(self.connections),
            handles: more(self.handles),
            systems: more(self.systems),
            processes: more(self.processes),
            subscriptions: more(self.subscriptions),
            request_bytes: more(self.request_bytes),
            ..self
        }
    }
}

/// The failure for a limit that is reached: which, its value, and what changes it.
pub(crate) fn exceeded(what: &str, limit: usize, setting: &str, hint: &str) -> Failure {
    let why = format!("{what}: the limit is {limit}");
    Failure::new(HResult::ERROR_NOT_ENOUGH_QUOTA, why).hint(format!(
        "{hint}, or raise `{setting}` in section [limits] of the service's configuration"
    ))
}

/// The accounts of all users who are here.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    accounts: Mutex<BTreeMap<u32, Arc<Account>>>,
}

/// What one user has.
#[derive(Debug)]
pub(super) struct Account {
    uid: u32,
    limits: Limits,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    connections: usize,
    subscriptions: usize,
    bucket: Bucket,
    /// Nothing that holds up the changes of others is done for this user before.
    resting: Option<Instant>,
}

/// After changes were held up for somebody who may only look, they are not again for so many times as long.
const REST: u32 = 3;

impl Accounts {
    /// One more connection of a user, and the account on which it counts. Accounts of users who are gone and owe nothing are closed.
    pub fn connect(&self, uid: u32, limits: Limits) -> Result<(Arc<Account>, Lease), Failure> {
        // Under one lock: an account with a connection is not closed.
        let mut accounts = lock(&self.accounts);
        let now = Instant::now();
        accounts.retain(|other, account| *other == uid || !account.is_idle(now));
        let account = || {
            let limits = limits.of_user(uid);
            let bucket = Bucket::full(limits.burst, now);
            let inside = Inside { connections: 0, subscriptions: 0, bucket, resting: None };
            Arc::new(Account { uid, limits, inside: Mutex::new(inside) })
        };
        let account = accounts.entry(uid).or_insert_with(account).clone();
        let lease = account.connect()?;
        Ok((account, lease))
    }
}

impl Account {
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn connect(self: &Arc<Self>) -> Result<Lease, Failure> {
        let mut inside = lock(&self.inside);
        if inside.connections >= self.limits.connections {
            let what = format!("user {} has {} connections", self.uid, inside.connections);
            return Err(exceeded(&what, self.limits.connections, "connections", "close one"));
        }
        inside.connections += 1;
        Ok(Lease { account: self.clone(), of: Leased::Connection })
    }

    /// One more subscription.
    pub fn subscribe(self: &Arc<Self>) -> Result<Lease, Failure> {
        let mut inside = lock(&self.inside);
        if inside.subscriptions >= self.limits.subscriptions {
            let what = format!("user {} has {} subscriptions", self.uid, inside.subscriptions);
            return Err(exceeded(&what, self.limits.subscriptions, "subscriptions", "end one"));
        }
        inside.subscriptions += 1;
        Ok(Lease { account: self.clone(), of: Leased::Subscription })
    }

    /// One more request of so many bytes.
    pub fn request(&self, bytes: usize) -> Result<(), Failure> {
        let most = self.limits.request_bytes;
        if bytes > most {
            let why = format!("the request has {bytes} bytes: the limit is {most}");
            return Err(Failure::new(HResult::ERROR_MESSAGE_EXCEEDS_MAX_SIZE, why)
                .hint("raise `request-bytes` in section [limits] of the service's configuration"));
        }
        if self.uid == 0 || lock(&self.inside).bucket.take(self.limits.rate, Instant::now()) {
            return Ok(());
        }
        let what = format!("user {} makes too many requests each second", self.uid);
        let rate = usize::try_from(self.limits.rate).unwrap_or(usize::MAX);
        Err(exceeded(&what, rate, "rate", "make fewer"))
    }

    /// Whether changes may be held up for somebody who may only look.
    pub fn hold_up(&self) -> Result<(), Failure> {
        let Some(until) = lock(&self.inside).resting else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || self.uid == 0 {
            return Ok(());
        }
        let why = format!("user {} has the service look at the whole host too often", self.uid);
        let wait = format!("try again in {left:.1?}: changes of others waited for the last time");
        Err(Failure::new(HResult::ERROR_NOT_ENOUGH_QUOTA, why).hint(wait))
    }

    /// Changes were held up for so long.
    pub fn held_up(&self, lasted: Duration) {
        lock(&self.inside).resting = Instant::now().checked_add(lasted.saturating_mul(REST));
    }

    fn is_idle(&self, now: Instant) -> bool {
        let mut inside = lock(&self.inside);
        if inside.resting.is_some_and(|until| until > now) {
            return false;
        }
        inside.bucket.fill(self.limits.rate, now);
        inside.connections == 0 && inside.subscriptions == 0 && inside.bucket.is_full()
    }
}

/// A place within a limit, until it is dropped.
#[derive(Debug)]
pub struct Lease {
    account: Arc<Account>,
    of: Leased,
}

#[derive(Debug, Clone, Copy)]
enum Leased {
    Connection,
    Subscription,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut inside = lock(&self.account.inside);
        match self.of {
            Leased::Connection => inside.connections -= 1,
            Leased::Subscription => inside.subscriptions -= 1,
        }
    }
}

/// A token bucket: fills at a steady rate, holds so much and no more; each request takes one token out.
#[derive(Debug)]
struct Bucket {
    /// Counted in time of filling, so that slow rates lose nothing to rounding.
    level: Duration,
    burst: u32,
    /// When `level` was right.
    seen: Instant,
    /// As much as goes in.
    brim: bool,
}

impl Bucket {
    fn full(burst: u32, now: Instant) -> Self {
        Self { level: Duration::ZERO, burst, seen: now, brim: true }
    }

    fn is_full(&self) -> bool {
        self.brim
    }

    fn fill(&mut self, rate: u32, now: Instant) {
        let each = token(rate);
        let room = each.saturating_mul(self.burst);
        if self.brim {
            self.level = room;
        }
        self.level = (self.level + now.saturating_duration_since(self.seen)).min(room);
        self.seen = now;
        self.brim = self.level == room;
    }

    fn take(&mut self, rate: u32, now: Instant) -> bool {
        self.fill(rate, now);
        match self.level.checked_sub(token(rate)) {
            Some(rest) => {
                self.level = rest;
                self.brim = false;
                true
            }
            None => false,
        }
    }
}

/// How long one token takes to come.
fn token(rate: u32) -> Duration {
    Duration::from_secs(1) / rate.max(1)
}

#[cfg(all(test, not(feature = "schedules")))]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(3, start);
        assert!(bucket.is_full());
        assert_eq!((0..5).filter(|_| bucket.take(10, start)).count(), 3);
        let later = start + Duration::from_millis(250);
        assert_eq!((0..5).filter(|_| bucket.take(10, later)).count(), 2);
        bucket.fill(10, start + Duration::from_secs(60));
        assert!(bucket.is_full());
        let last = start + Duration::from_secs(61);
        assert_eq!((0..9).filter(|_| bucket.take(10, last)).count(), 3);
    }

    #[test]
    fn users_have_limits_and_root_has_more() {
        let limits = Limits {
            connections: 2,
            subscriptions: 1,
            rate: 1,
            burst: 1,
            request_bytes: 10,
            ..Limits::default()
        };
        let accounts = Accounts::default();
        let connect = || accounts.connect(7, limits);
        let (first, second) = (connect().expect("room"), connect().expect("room"));
        let refused = connect().expect_err("full");
        assert_eq!(refused.hresult, HResult::ERROR_NOT_ENOUGH_QUOTA);
        assert!(refused.message.contains("limit is 2") && refused.hint.is_some(), "{refused}");
        drop((first, second));
        let (account, _connected) = connect().expect("room again");
        let subscribed = account.subscribe().expect("room");
        let (same, _connected) = connect().expect("room");
        assert!(same.subscribe().is_err(), "the same user, the same account");
        drop(subscribed);
        assert_eq!(
            account.request(11).map_err(|f| f.hresult),
            Err(HResult::ERROR_MESSAGE_EXCEEDS_MAX_SIZE)
        );
        account.request(10).expect("the burst");
        assert_eq!(
            account.request(10).map_err(|f| f.hresult),
            Err(HResult::ERROR_NOT_ENOUGH_QUOTA)
        );
        let (root, _connected) = accounts.connect(0, limits).expect("room");
        (0..100).for_each(|_| root.request(100).expect("no rate for root"));
        assert!(root.request(101).is_err());
    }

    #[test]
    fn who_holds_up_others_rests_also_after_reconnecting() {
        let accounts = Accounts::default();
        let connect = |uid| accounts.connect(uid, Limits::default()).expect("room").0;
        let looker = connect(7);
        looker.hold_up().expect("the first time");
        looker.held_up(Duration::from_secs(60));
        drop(looker);
        connect(8).hold_up().expect("another user");
        let refused = connect(7).hold_up().expect_err("at once again");
        assert_eq!(refused.hresult, HResult::ERROR_NOT_ENOUGH_QUOTA);
        connect(7).held_up(Duration::ZERO);
        connect(7).hold_up().expect("rested");
    }

    #[test]
    fn reconnecting_does_not_fill_the_bucket() {
        let limits = Limits { rate: 1, burst: 1, ..Limits::default() };
        let accounts = Accounts::default();
        let connect = |uid| accounts.connect(uid, limits).expect("room");
        connect(7).0.request(0).expect("the burst");
        connect(8);
        assert!(connect(7).0.request(0).is_err());
    }
}
