//! The numbers by which the host namespace knows the namespaces of its ports.
//!
//! Whatever the kernel says about a veth names the namespace of the other end, and to find that number it walks through all
//! numbers that the host has given, lowest first (`__peernet2id` in net/core/net_namespace.c): some 20 ns each, thrice for a
//! new port, twice of that under the lock that all of rtnetlink waits for. Left to itself the kernel gives the lowest free
//! number, so that the newest namespace, the one that is spoken of, comes last. We give falling numbers: the newest comes first.
//!
//! Nothing depends on which number a namespace has. A number that is taken, or a namespace that has one, is left as it is.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::time::{ClockId, Timespec};

use crate::netlink::Datagram;
use crate::netlink::message::Note;

const RTM_NEWNSID: u16 = 88;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
/// `struct rtgenmsg`, padded.
const HEADER: [u8; 4] = [0; 4];

/// The highest number; the kernel's are `int`.
const HIGHEST: u32 = i32::MAX as u32;
/// Ours stay in the upper half.
const RANGE: u32 = 1 << 30;

/// Falling numbers, dense within one process. A later process begins lower, by the clock. Clones go on together.
#[derive(Debug, Clone)]
pub(crate) struct Numbering {
    given: Arc<AtomicU32>,
}

impl Numbering {
    pub(crate) fn new() -> Self {
        Self::at(rustix::time::clock_gettime(ClockId::Boottime))
    }

    /// Hundredths of a second since boot: the range lasts for 124 days. After that the newest come last for a while, as they
    /// would without us.
    fn at(time: Timespec) -> Self {
        let hundredths = time.tv_sec.wrapping_mul(100).wrapping_add(time.tv_nsec / 10_000_000);
        Self { given: Arc::new(AtomicU32::new(hundredths.rem_euclid(i64::from(RANGE)) as u32)) }
    }

    fn next(&self) -> u32 {
        HIGHEST - (self.given.fetch_add(1, Ordering::Relaxed).wrapping_add(1)) % RANGE
    }

    /// Gives `netns` the next number.
    pub(crate) fn push(&self, datagram: &mut Datagram, note: Note, netns: BorrowedFd<'_>) {
        let number = self.next();
        datagram.push(RTM_NEWNSID, 0, note, |body| {
            body.raw(&HEADER)
                .put_u32(NETNSA_NSID, number)
                .put_u32(NETNSA_FD, netns.as_raw_fd() as u32);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Numbering {
        Numbering::at(Timespec { tv_sec: seconds, tv_nsec: 999_999_999 })
    }

    #[test]
    fn numbers_fall_and_later_processes_begin_lower() {
        let (early, late) = (at(5), at(60));
        let first = early.next();
        assert_eq!(early.next(), first - 1);
        assert!(late.next() < first - 1);
    }

    #[test]
    fn numbers_stay_in_the_upper_half_at_any_time() {
        for seconds in [0, 10_737_418, 10_737_419, i64::MAX, i64::MIN] {
            let numbering = at(seconds);
            for _ in 0..200 {
                assert!((HIGHEST - RANGE + 1..=HIGHEST).contains(&numbering.next()), "{seconds}");
            }
        }
    }
}
