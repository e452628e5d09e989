//! What handles of systems and of processes have in common: calls in their order, and one registered callback.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hostcompute::transport::{ComputeAnswer, Streams};
use hostcompute::{Failure, HResult};
use hostcompute_engine::compute::operation::{Delivery, OperationType, Registration};

use super::events::Registered;
use super::lane::Lane;
use super::operation::{self, Outcome, Started, Subject};
use crate::boundary::OPERATION_CALLBACK;
use crate::call::guarded;
use crate::handle::Handle;

/// One side of calls: a handle, or nobody in particular.
#[derive(Debug, Default)]
pub struct Party {
    /// Calls, in their order.
    calls: Arc<Lane>,
    /// Callbacks about them. Apart from the calls, so that a callback may wait for a call.
    tells: Arc<Lane>,
    registration: Mutex<Registration<Arc<Registered>>>,
}

impl Party {
    /// Accepts a call: `work` is done in its turn, and the operation has what comes of it.
    ///
    /// # Errors
    /// What the operation refuses, or that nothing can be accepted: it is not done then.
    pub fn submit(
        self: &Arc<Self>,
        handle: Handle,
        (kind, subject): (OperationType, Subject),
        work: impl FnOnce() -> Result<Outcome, Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let operation = operation::find(handle)?;
        let ticket = operation.begin(kind, subject, self.delivery())?;
        let (party, tracked) = (self.clone(), operation.clone());
        let accepted = self.calls.push(move || {
            let outcome = guarded(work).unwrap_or_else(Outcome::Failed);
            tracked.finish(ticket, outcome, &party);
        });
        accepted.inspect_err(|_| operation.abandon(ticket))
    }

    /// Has something done in its turn that no operation tracks.
    ///
    /// # Errors
    /// Nothing can be accepted.
    pub fn follow(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        self.calls.push(work)
    }

    /// Has somebody called, on a thread where he may wait for calls.
    pub fn tell(
        self: &Arc<Self>,
        call: impl FnOnce(&Party) + Send + 'static,
    ) -> Result<(), Failure> {
        let party = self.clone();
        self.tells.push(move || call(&party))
    }

    /// Tells the registered callback that a call has ended.
    pub fn tell_completion(&self, operation: Handle) {
        // Taken out first: the callback may change the registration.
        let registered = self.registration().callback();
        if let Some(registered) = registered {
            registered.tell(OPERATION_CALLBACK, None, operation);
        }
    }

    /// How ends of calls are told.
    pub fn delivery(&self) -> Delivery {
        self.registration().delivery()
    }

    /// Registers a callback, or takes it away and waits until it does not run any more.
    ///
    /// # Errors
    /// HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET for a second one.
    pub fn register(
        &self,
        registered: Option<Arc<Registered>>,
        delivery: Delivery,
    ) -> Result<(), Failure> {
        let mut registration = self.registration();
        let before = if registered.is_none() { registration.callback() } else { None };
        registration
            .set(registered, delivery)
            .map_err(|code: HResult| Failure::new(code, "this handle has a callback already"))?;
        drop(registration);
        if let Some(before) = before {
            before.end();
        }
        Ok(())
    }

    /// Makes a registered callback hear; one that cannot is none.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn at_once(&self, listen: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        listen().inspect_err(|_| self.end())
    }

    /// The handle is closed: nothing is told any more.
    pub fn end(&self) {
        // Taking a callback away is never refused.
        let _ = self.register(None, Delivery::default());
    }

    fn registration(&self) -> MutexGuard<'_, Registration<Arc<Registered>>> {
        self.registration.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer without a process is to an operation.
pub fn plain(answer: ComputeAnswer) -> Outcome {
    Outcome::Done(answer.body, None)
}

/// What an answer with a process is to an operation.
pub fn with_process(pid: u32, answer: ComputeAnswer) -> Outcome {
    Outcome::Done(String::new(), Some(started_with(pid, answer.streams)))
}

/// A process with its streams.
pub fn started_with(pid: u32, streams: Streams) -> Started {
    let (input, output, error) = (streams.input, streams.output, streams.error);
    Started { pid, input, output, error }
}
