//! Faults on order: what goes wrong, when, and how much of the work was done by then.

use alloc::collections::VecDeque;

/// How much of the batch around the faulty step happens before the fault is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of it.
    Before,
    /// What a datagram of several messages does: the steps before, the faulty one broken where it has parts, the steps
    /// after it. An nftables transaction has no half: nothing of it happens.
    Halfway,
    /// All of it; only the answer is lost.
    After,
    /// The steps before the faulty one, then the process dies: every later call fails until [`super::Simulator::revive`].
    Death,
}

/// Something that will go wrong, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// How many steps succeed first, counted over all calls from now or from the fault ordered before this one.
    pub after: usize,
    pub moment: Moment,
}

/// The faults that were ordered and have not struck yet, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    ordered: VecDeque<Fault>,
}

impl Faults {
    pub(super) fn order(&mut self, fault: Fault) {
        self.ordered.push_back(fault);
    }

    pub(super) fn cancel(&mut self) {
        self.ordered.clear();
    }

    pub(super) fn pending(&self) -> usize {
        self.ordered.len()
    }

    /// Counts a batch of `steps` steps; tells which of them is struck, and how.
    pub(super) fn strike(&mut self, steps: usize) -> Option<(usize, Moment)> {
        let next = self.ordered.front_mut()?;
        if next.after >= steps {
            next.after -= steps;
            return None;
        }
        let struck = (next.after, next.moment);
        self.ordered.pop_front();
        Some(struck)
    }
}
