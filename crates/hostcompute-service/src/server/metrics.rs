//! Numbers for those who watch the service: how often, how long, how many. Plain numbers; their names on the wire are the daemon's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hostcompute_engine::Kind;
use hostcompute_schema::HResult;
use hostcompute_schema::compute::ComputeOperation;
use hostcompute_schema::operation::Operation;

use crate::Told;
use crate::sync::{Mutex, lock};

/// Upper bounds of the buckets of durations, in microseconds.
const DURATIONS: &[u64] = &[
    20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000, 2_000_000,
];

/// Upper bounds of the buckets of group sizes.
const SIZES: &[u64] = &[1, 2, 4, 8, 16, 32];

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metrics {
    /// Operations that were asked for at least once.
    pub operations: Vec<OperationNumbers>,
    pub objects: Vec<(Kind, usize)>,
    pub sessions: usize,
    pub handles: usize,
    pub events: Told,
    /// Changes that wait for their turn.
    pub queue: usize,
    /// How many operations shared a transaction.
    pub groups: Histogram,
    pub journal: JournalNumbers,
    /// What the kernel refused, by code.
    pub faults: Vec<(HResult, u64)>,
    /// How often others took away or changed something of ours on the host.
    pub disturbances: u64,
}

/// One operation's numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationNumbers {
    /// Its name in the table of the network's or of the compute service's operations, which have none in common.
    pub operation: &'static str,
    pub failures: u64,
    /// From the request to the answer, in microseconds.
    pub latency: Histogram,
}

/// The journal's numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JournalNumbers {
    /// Size of the files.
    pub bytes: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// How long each transaction took, in microseconds.
    pub commits: Histogram,
}

/// How values are spread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    pub count: u64,
    pub sum: u64,
    /// Upper bound, and how many values are not above it; the last bucket, without bound, is `count`.
    pub buckets: Vec<(u64, u64)>,
}

/// A histogram that is being written.
#[derive(Debug)]
struct Spread {
    bounds: &'static [u64],
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Spread {
    fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    fn record(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn read(&self) -> Histogram {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (place, single) in self.counts.iter().enumerate() {
            count += single.load(Ordering::Relaxed);
            buckets.extend(self.bounds.get(place).map(|bound| (*bound, count)));
        }
        Histogram { count, sum: self.sum.load(Ordering::Relaxed), buckets }
    }
}

/// The numbers as they are being counted.
#[derive(Debug)]
pub(crate) struct Numbers {
    operations: BTreeMap<&'static str, (AtomicU64, Spread)>,
    groups: Spread,
    commits: Spread,
    failed_commits: AtomicU64,
    faults: Mutex<BTreeMap<HResult, u64>>,
    disturbances: AtomicU64,
}

impl Default for Numbers {
    fn default() -> Self {
        let network = Operation::ALL.iter().map(|operation| operation.name());
        let compute = ComputeOperation::ALL.iter().map(|operation| operation.name());
        let numbers = |name| (name, (AtomicU64::new(0), Spread::new(DURATIONS)));
        Self {
            operations: network.chain(compute).map(numbers).collect(),
            groups: Spread::new(SIZES),
            commits: Spread::new(DURATIONS),
            failed_commits: AtomicU64::new(0),
            faults: Mutex::new(BTreeMap::new()),
            disturbances: AtomicU64::new(0),
        }
    }
}

impl Numbers {
    /// An operation of this name was answered.
    pub fn answered(&self, operation: &str, took: Duration, failed: bool) {
        if let Some((failures, latency)) = self.operations.get(operation) {
            failures.fetch_add(u64::from(failed), Ordering::Relaxed);
            latency.record(microseconds(took));
        }
    }

    /// So many operations were written in one transaction.
    pub fn committed(&self, operations: usize, took: Duration) {
        self.groups.record(operations as u64);
        self.commits.record(microseconds(took));
    }

    /// A transaction failed.
    pub fn commit_failed(&self) {
        self.failed_commits.fetch_add(1, Ordering::Relaxed);
    }

    /// The host refused something.
    pub fn refused(&self, code: HResult) {
        *lock(&self.faults).entry(code).or_default() += 1;
    }

    /// Others took away or changed something of ours.
    pub fn disturbed(&self) {
        self.disturbances.fetch_add(1, Ordering::Relaxed);
    }

    /// The numbers, but for what others know.
    pub fn read(&self) -> Metrics {
        let asked = |(operation, (failures, latency)): (&&'static str, &(AtomicU64, Spread))| {
            let latency = latency.read();
            let failures = failures.load(Ordering::Relaxed);
            (latency.count > 0).then_some(OperationNumbers { operation, failures, latency })
        };
        Metrics {
            operations: self.operations.iter().filter_map(asked).collect(),
            groups: self.groups.read(),
            journal: JournalNumbers {
                bytes: 0,
                failures: self.failed_commits.load(Ordering::Relaxed),
                commits: self.commits.read(),
            },
            faults: lock(&self.faults).iter().map(|(code, count)| (*code, *count)).collect(),
            disturbances: self.disturbances.load(Ordering::Relaxed),
            ..Metrics::default()
        }
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(feature = "schedules")))]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_the_bucket_that_bounds_them() {
        let spread = Spread::new(&[1, 4]);
        [1, 2, 4, 5].into_iter().for_each(|value| spread.record(value));
        let read = spread.read();
        assert_eq!((read.count, read.sum, read.buckets), (4, 12, vec![(1, 1), (4, 3)]));
    }

    #[test]
    fn the_tables_have_no_name_in_common() {
        let count = Operation::ALL.len() + ComputeOperation::ALL.len();
        assert_eq!(Numbers::default().operations.len(), count);
    }

    #[test]
    fn only_what_was_asked_for_is_told() {
        let numbers = Numbers::default();
        numbers.answered(Operation::CreateNetwork.name(), Duration::from_micros(30), true);
        numbers.refused(HResult::HCN_E_PORT_NOT_FOUND);
        let read = numbers.read();
        let [only] = read.operations.as_slice() else { panic!("{read:?}") };
        assert_eq!((only.operation, only.failures, only.latency.count), ("CreateNetwork", 1, 1));
        assert_eq!(read.faults, [(HResult::HCN_E_PORT_NOT_FOUND, 1)]);
    }
}
