//! Quantiles of samples.

use std::time::{Duration, Instant};

use rustix::time::ClockId;
use serde::{Deserialize, Serialize};

/// Durations in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples(Vec<u64>);

impl Samples {
    pub fn push(&mut self, duration: Duration) {
        self.0.push(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    pub fn append(&mut self, mut other: Samples) {
        self.0.append(&mut other.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `None` without samples.
    pub fn summary(&self) -> Option<Summary> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        Some(Summary {
            samples: sorted.len(),
            least: micros(*sorted.first()?),
            p50: micros(quantile(&sorted, 50)?),
            p99: micros(quantile(&sorted, 99)?),
        })
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        let mut samples = Self::default();
        durations.into_iter().for_each(|duration| samples.push(duration));
        samples
    }
}

/// What verbs took: by the clock on the wall, and of a processor's time.
///
/// The second does not grow when others use the machine, but it knows nothing of waiting, nor of work that the verb
/// leaves to other processes and to the kernel's own threads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    pub wall: Samples,
    pub processor: Samples,
}

impl Cost {
    /// Runs `work` under both clocks; the samples are kept if it succeeds.
    ///
    /// # Errors
    ///
    /// That of `work`.
    pub fn time<T, E>(&mut self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let (start, processor) = (Instant::now(), processor_time());
        let value = work()?;
        self.wall.push(start.elapsed());
        self.processor.push(processor_time().saturating_sub(processor));
        Ok(value)
    }

    pub fn append(&mut self, other: Cost) {
        self.wall.append(other.wall);
        self.processor.append(other.processor);
    }
}

/// What the calling thread has used of a processor so far, in the kernel and outside.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// What is shown of many samples; microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    pub samples: usize,
    pub least: f64,
    pub p50: f64,
    pub p99: f64,
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

/// The smallest sample that at least `percent` of all samples do not exceed (nearest rank).
fn quantile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let samples: Samples = (1..=100).rev().map(Duration::from_micros).collect();
        let summary = samples.summary().expect("there are samples");
        assert_eq!((summary.least, summary.p50, summary.p99), (1.0, 50.0, 99.0));
        let one: Samples = [Duration::from_micros(7)].into_iter().collect();
        assert_eq!(one.summary().map(|summary| (summary.p50, summary.p99)), Some((7.0, 7.0)));
        assert_eq!(Samples::default().summary(), None);
    }
}
