//! How changes are carried out: one group after the other, whoever does it.
//!
//! A client's thread that finds the service free takes everything that waits, its own change last, and carries it out itself: to hand
//! it to another thread would cost two wakes, which is more than most changes. Who finds it taken leaves the change in the queue.
//! Whoever lets the service go and finds that something has gathered calls the decider, a thread that does nothing else: all of it is one
//! group.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use hostcompute_engine::host::Host;
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Failure, Guid, HResult};

use super::session::{Asker, Change};
use super::{Job, Shared, Work};
use crate::answering::Answering;
use crate::group::Asked;
use crate::remembered::Keyed;
use crate::sync::{Arc, lock, try_lock};
use crate::{Answer, Body, Call, Service};

/// Carries out what is left to it until the queue is closed and empty, then lets the service go.
pub(super) fn decide<H: Host>(shared: &Arc<Shared<H>>) {
    // Whatever ends this thread ends the service: nobody waits for answers that nobody gives.
    let _closing = Closing(shared);
    let idle = || lock(&shared.service).as_mut().is_some_and(Service::make_ready);
    while shared.queue.is_filled(idle) {
        if let Some(service) = lock(&shared.service).as_mut() {
            carry_out(shared, service);
        }
    }
}

impl<H: Host> Shared<H> {
    /// Has carried out what was put in the queue: now, on this thread, or soon.
    pub(super) fn see_to_it(&self) {
        // Whoever has it looks at the queue again after it has let go.
        let Some(mut seat) = try_lock(&self.service) else { return };
        // Only a decider that has ended has taken the service away; it has emptied the queue, or still will.
        if let Some(service) = seat.as_mut() {
            carry_out(self, service);
            service.make_ready();
        }
        drop(seat);
        // What came meanwhile found the service taken. It has gathered, and this thread has an answer to give first.
        if !self.queue.is_empty() {
            self.queue.call();
        }
    }
}

/// Carries out everything that waits.
fn carry_out<H: Host>(shared: &Shared<H>, service: &mut Service<H>) {
    for run in runs(shared.queue.take()) {
        match run {
            Run::Changes(changes) => Batch::of(changes).carry_out(shared, service),
            Run::Work(work) => {
                let _ = guarded(service, |service| work(service));
            }
        }
    }
}

/// What panics is a request. What it did is taken back; its client is told when its answer is dropped.
fn guarded<H: Host>(
    service: &mut Service<H>,
    work: impl FnOnce(&mut Service<H>),
) -> std::thread::Result<()> {
    let worked = catch_unwind(AssertUnwindSafe(|| work(service)));
    if worked.is_err() {
        service.mend();
    }
    worked
}

/// Ends what the decider serves, when the decider ends.
struct Closing<'a, H: Host>(&'a Shared<H>);

impl<H: Host> Drop for Closing<'_, H> {
    fn drop(&mut self) {
        self.0.queue.close();
        // Whoever is at it finishes first.
        let service = lock(&self.0.service).take();
        // After an ordinary end nothing is left in it; what is dropped tells its client.
        drop(self.0.queue.take());
        self.0.notifier.stop();
        drop(service);
    }
}

/// Changes that wait together, and whoever waits for them.
struct Batch {
    calls: Vec<(Call, u32)>,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    asker: Asker,
    since: Instant,
    answering: Answering<Answer>,
}

impl Batch {
    fn of(changes: Vec<Change>) -> Self {
        let mut batch = Self { calls: Vec::new(), waiting: VecDeque::new() };
        for Change { call, asker, asked: since, answering } in changes {
            batch.calls.push((call, asker.uid));
            batch.waiting.push_back(Waiting { asker, since, answering });
        }
        batch
    }

    fn carry_out<H: Host>(mut self, shared: &Shared<H>, service: &mut Service<H>) {
        let all = |batch: &mut Self, service: &mut _| batch.answer(shared, service, usize::MAX);
        if guarded(service, |service| all(&mut self, service)).is_ok() {
            return;
        }
        // One of them panicked: the others need not suffer for it.
        while !self.waiting.is_empty() {
            let left = self.waiting.len();
            let _ = guarded(service, |service| self.answer(shared, service, 1));
            if self.waiting.len() == left {
                self.give_up(shared);
            }
        }
    }

    /// The next change cannot be carried out at all.
    fn give_up<H: Host>(&mut self, shared: &Shared<H>) {
        let next = self.calls.len() - self.waiting.len();
        if let (Some((call, _)), Some(next)) = (self.calls.get(next), self.waiting.pop_front()) {
            next.asker.audit(call.operation.symbol(), call.id, HResult::E_UNEXPECTED);
            shared.numbers.answered(call.operation.name(), next.since.elapsed(), true);
        }
    }

    /// Carries out the next `most` changes and answers them.
    fn answer<H: Host>(&mut self, shared: &Shared<H>, service: &mut Service<H>, most: usize) {
        let answered = self.calls.len() - self.waiting.len();
        let left = self.calls.iter().skip(answered).take(most);
        let asked: Vec<_> = left.clone().map(|(call, uid)| asked(call, *uid)).collect();
        let (mut left, waiting) = (left, &mut self.waiting);
        service.call_all(&asked, &mut |result| {
            let (Some((call, _)), Some(next)) = (left.next(), waiting.pop_front()) else { return };
            if let (Ok(_), Operation::DeleteGuestNetworkService, Some(id)) =
                (&result, call.operation, call.id)
            {
                shared.reservations.end_service(id);
            }
            let code = result.as_ref().map_or_else(|failure| failure.hresult, |_| HResult::S_OK);
            next.asker.audit(call.operation.symbol(), subject(call, &result), code);
            shared.numbers.answered(call.operation.name(), next.since.elapsed(), result.is_err());
            next.answering.tell(result);
        });
    }
}

/// The object that a change was about, or that it made.
fn subject(call: &Call, result: &Result<Answer, Failure>) -> Option<Guid> {
    match result {
        Ok(Answer { body: Body::Id(id), .. }) => Some(*id),
        _ => call.id,
    }
}

fn asked(call: &Call, uid: u32) -> Asked<'_> {
    let key = call.key.as_ref().map(|key| Keyed { uid, key });
    Asked { request: call.request(), reading: call.reading, key }
}

/// What was taken out of the queue, changes next to each other together.
fn runs<H: Host>(jobs: VecDeque<Job<H>>) -> Vec<Run<H>> {
    let mut runs: Vec<Run<H>> = Vec::new();
    for job in jobs {
        match (job, runs.last_mut()) {
            (Job::Change(change), Some(Run::Changes(changes))) => changes.push(change),
            (Job::Change(change), _) => runs.push(Run::Changes(vec![change])),
            (Job::Work(work), _) => runs.push(Run::Work(work)),
        }
    }
    runs
}

/// What the decider does in one go.
enum Run<H: Host> {
    Changes(Vec<Change>),
    Work(Work<H>),
}
