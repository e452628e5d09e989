//! The one thread that changes the host: takes everything that waits, carries it out as few groups as possible, answers.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hostcompute_engine::host::Host;
use hostcompute_schema::HResult;

use super::session::Change;
use super::{Job, Shared, Work};
use crate::group::Asked;
use crate::remembered::Keyed;
use crate::sync::Arc;
use crate::{Call, Service};

/// Works until the queue is closed and empty, then lets the service go.
pub(super) fn decide<H: Host>(shared: &Arc<Shared<H>>, mut service: Service<H>) {
    // Whatever ends this thread ends the service: nobody waits for answers that nobody gives.
    let _closing = Closing(shared);
    while let Some(jobs) = shared.queue.take(|| service.make_ready()) {
        for run in runs(jobs) {
            // What panics is a request: its answer is told when it is dropped, and the others go on.
            let worked = catch_unwind(AssertUnwindSafe(|| match run {
                Run::Changes(changes) => carry_out(shared, &mut service, changes),
                Run::Work(work) => work(&mut service),
            }));
            if worked.is_err() {
                service.mend();
            }
        }
    }
}

/// Ends what the decider serves, when the decider ends.
struct Closing<'a, H: Host>(&'a Shared<H>);

impl<H: Host> Drop for Closing<'_, H> {
    fn drop(&mut self) {
        self.0.queue.close();
        // After an ordinary end nothing is left in it; what is dropped tells its client.
        drop(self.0.queue.take(|| false));
        self.0.notifier.stop();
    }
}

fn carry_out<H: Host>(shared: &Shared<H>, service: &mut Service<H>, changes: Vec<Change>) {
    let (mut calls, mut waiting) = (Vec::new(), VecDeque::new());
    for Change { call, asker, asked, answering } in changes {
        waiting.push_back((asker, asked, answering));
        calls.push((call, asker.uid));
    }
    let asked: Vec<_> = calls.iter().map(|(call, uid)| asked(call, *uid)).collect();
    let mut calls = calls.iter();
    service.call_all(&asked, &mut |result| {
        let (Some((call, _)), Some((asker, since, answering))) =
            (calls.next(), waiting.pop_front())
        else {
            return;
        };
        let code = result.as_ref().map_or_else(|failure| failure.hresult, |_| HResult::S_OK);
        asker.audit(call.operation.symbol(), call.id, code);
        shared.numbers.answered(call.operation, since.elapsed(), result.is_err());
        answering.tell(result);
    });
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
