//! HCS_OPERATION: what tracks one call at a time (hcs.md 1.2). It waits for nothing and calls nobody; who owns it does, outside of
//! whatever lock it keeps it under.
//!
//! ```text
//!   NotStarted ──start──► Pending ──complete──► Completed ──start──► Pending ...
//!        ▲                   │ abandon (the call was refused at once)
//!        └───────────────────┘
//! ```

use core::mem;

use hostcompute_schema::HResult;

/// What an operation tracks, by the numbers of HCS_OPERATION_TYPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(i32)]
pub enum OperationType {
    #[default]
    None = -1,
    Enumerate = 0,
    Create = 1,
    Start = 2,
    Shutdown = 3,
    Pause = 4,
    Resume = 5,
    Save = 6,
    Terminate = 7,
    Modify = 8,
    GetProperties = 9,
    CreateProcess = 10,
    SignalProcess = 11,
    GetProcessInfo = 12,
    GetProcessProperties = 13,
    ModifyProcess = 14,
    Crash = 15,
    LiveMigration = 19,
}

/// What an operation that does not exist says its id is: HCS_INVALID_OPERATION_ID.
pub const INVALID_OPERATION_ID: u64 = u64::MAX;

/// One operation. `C` is its completion callback (cheap to clone), `S` what it is about while a call is under way: the handle of
/// a system or process; `R` what a call ends with, its own failure included.
#[derive(Debug)]
pub struct Operation<C, S, R> {
    id: u64,
    callback: Option<C>,
    kind: OperationType,
    stage: Stage<S, R>,
    /// Counts calls, so that what comes late for an abandoned call is not taken for the next one's.
    calls: u64,
}

#[derive(Debug)]
enum Stage<S, R> {
    NotStarted,
    Pending(S),
    Completed(R),
}

/// The call that an operation tracks: whoever completes it says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// How the handle that a call is made on has its events delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Completions go to the operations' own callbacks.
    #[default]
    Callbacks,
    /// The handle's registration has EnableOperationCallbacks: completions are events of the handle.
    Events,
}

/// Who is told that a call has ended; exactly once for each call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told<C> {
    /// Call it.
    Callback(C),
    /// Deliver event OperationCallback on the handle.
    Event,
    /// Nobody: whoever wants to know waits.
    Nobody,
}

impl<C: Clone, S: Clone, R> Operation<C, S, R> {
    /// An operation that tracks nothing yet. Ids are unique in a process and never [`INVALID_OPERATION_ID`].
    pub fn new(id: u64, callback: Option<C>) -> Self {
        let (kind, stage) = (OperationType::None, Stage::NotStarted);
        Self { id, callback, kind, stage, calls: 0 }
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    /// What it tracks, or tracked last.
    pub fn kind(&self) -> OperationType {
        self.kind
    }

    /// What the call under way is about.
    pub fn subject(&self) -> Option<S> {
        match &self.stage {
            Stage::Pending(subject) => Some(subject.clone()),
            _ => None,
        }
    }

    /// Sets or takes away the callback.
    ///
    /// # Errors
    /// HCS_E_OPERATION_ALREADY_STARTED while a call is under way: it was begun with the old one.
    pub fn set_callback(&mut self, callback: Option<C>) -> Result<(), HResult> {
        self.refuse_pending()?;
        self.callback = callback;
        Ok(())
    }

    /// A call begins. The result of the one before is forgotten.
    ///
    /// # Errors
    /// HCS_E_OPERATION_ALREADY_STARTED while another is under way; HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET for an operation
    /// with a callback on a handle that has completions delivered as events. Nothing has changed then.
    pub fn start(
        &mut self,
        kind: OperationType,
        subject: S,
        delivery: Delivery,
    ) -> Result<Ticket, HResult> {
        self.refuse_pending()?;
        if delivery == Delivery::Events && self.callback.is_some() {
            return Err(HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
        }
        self.kind = kind;
        self.stage = Stage::Pending(subject);
        self.calls += 1;
        Ok(Ticket(self.calls))
    }

    /// The call was refused before it was accepted: the operation is as new. No one is told.
    pub fn abandon(&mut self, ticket: Ticket) {
        if self.is_pending(ticket) {
            self.kind = OperationType::None;
            self.stage = Stage::NotStarted;
        }
    }

    /// The call has ended. The result can be read before anybody is told. `delivery` is that of the handle now: a registration that
    /// came after the call began has its completion, too, unless the operation has a callback of its own.
    pub fn complete(&mut self, ticket: Ticket, result: R, delivery: Delivery) -> Told<C> {
        if !self.is_pending(ticket) {
            return Told::Nobody;
        }
        self.stage = Stage::Completed(result);
        match (&self.callback, delivery) {
            (Some(callback), _) => Told::Callback(callback.clone()),
            (None, Delivery::Events) => Told::Event,
            (None, Delivery::Callbacks) => Told::Nobody,
        }
    }

    /// What the last call ended with; as often as one likes.
    ///
    /// # Errors
    /// HCS_E_OPERATION_NOT_STARTED, HCS_E_OPERATION_PENDING.
    pub fn result(&self) -> Result<&R, HResult> {
        match &self.stage {
            Stage::NotStarted => Err(HResult::HCS_E_OPERATION_NOT_STARTED),
            Stage::Pending(_) => Err(HResult::HCS_E_OPERATION_PENDING),
            Stage::Completed(result) => Ok(result),
        }
    }

    /// As [`Self::result`], for who wants the process information with it.
    ///
    /// # Errors
    /// As [`Self::result`]; E_INVALIDARG for an operation that tracks another call than those which make or find processes.
    pub fn result_with_process(&self) -> Result<&R, HResult> {
        let result = self.result()?;
        match self.kind {
            OperationType::CreateProcess | OperationType::GetProcessInfo => Ok(result),
            _ => Err(HResult::E_INVALIDARG),
        }
    }

    /// As [`Self::result`], for who has waited as long as he wanted to. The call goes on.
    ///
    /// # Errors
    /// HCS_E_OPERATION_NOT_STARTED, HCS_E_OPERATION_TIMEOUT.
    pub fn result_after_waiting(&self) -> Result<&R, HResult> {
        match self.result() {
            Err(HResult::HCS_E_OPERATION_PENDING) => Err(HResult::HCS_E_OPERATION_TIMEOUT),
            other => other,
        }
    }

    /// Takes the result out, where it cannot be handed out twice (descriptors): `rest` is what is read from then on.
    ///
    /// # Errors
    /// As [`Self::result`].
    pub fn exchange_result(&mut self, rest: impl FnOnce(&R) -> R) -> Result<R, HResult> {
        let rest = rest(self.result()?);
        match mem::replace(&mut self.stage, Stage::Completed(rest)) {
            Stage::Completed(result) => Ok(result),
            _ => Err(HResult::E_UNEXPECTED),
        }
    }

    /// Documented as not implemented, and nothing else.
    ///
    /// # Errors
    /// E_NOTIMPL, always.
    pub fn cancel(&self) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    fn is_pending(&self, ticket: Ticket) -> bool {
        matches!(self.stage, Stage::Pending(_)) && ticket == Ticket(self.calls)
    }

    fn refuse_pending(&self) -> Result<(), HResult> {
        match self.stage {
            Stage::Pending(_) => Err(HResult::HCS_E_OPERATION_ALREADY_STARTED),
            _ => Ok(()),
        }
    }
}

/// What a handle has registered to hear (HcsSetComputeSystemCallback, HcsSetProcessCallback).
#[derive(Debug, Clone)]
pub struct Registration<C> {
    registered: Option<(C, Delivery)>,
}

impl<C> Default for Registration<C> {
    fn default() -> Self {
        Self { registered: None }
    }
}

impl<C: Clone> Registration<C> {
    /// Registers a callback; `None` takes it away.
    ///
    /// # Errors
    /// HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET for a second one.
    pub fn set(&mut self, callback: Option<C>, delivery: Delivery) -> Result<(), HResult> {
        match callback {
            Some(_) if self.registered.is_some() => {
                Err(HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET)
            }
            callback => {
                self.registered = callback.map(|callback| (callback, delivery));
                Ok(())
            }
        }
    }

    /// Who hears the events of the handle.
    pub fn callback(&self) -> Option<C> {
        self.registered.as_ref().map(|(callback, _)| callback.clone())
    }

    /// How completions are delivered.
    pub fn delivery(&self) -> Delivery {
        self.registered.as_ref().map(|(_, delivery)| *delivery).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Op = Operation<&'static str, &'static str, Result<&'static str, HResult>>;
    use Delivery::{Callbacks, Events};

    const ALREADY_SET: HResult = HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET;

    fn pending(operation: &mut Op, kind: OperationType) -> Ticket {
        operation.start(kind, "system", Callbacks).expect("free")
    }

    #[test]
    fn api_1_an_operation_is_used_again_and_its_results_are_read_again() {
        let mut operation = Op::new(1, None);
        let create = pending(&mut operation, OperationType::Create);
        operation.complete(create, Ok("one"), Callbacks);
        assert_eq!((operation.result(), operation.result()), (Ok(&Ok("one")), Ok(&Ok("one"))));
        let start = pending(&mut operation, OperationType::Start);
        assert_eq!(operation.result(), Err(HResult::HCS_E_OPERATION_PENDING));
        operation.complete(start, Err(HResult::E_FAIL), Callbacks);
        assert_eq!(operation.result(), Ok(&Err(HResult::E_FAIL)));
        assert_eq!(operation.kind(), OperationType::Start);
    }

    #[test]
    fn api_2_what_is_not_there_yet_has_its_codes() {
        let mut operation = Op::new(1, None);
        assert_eq!(operation.result(), Err(HResult::HCS_E_OPERATION_NOT_STARTED));
        assert_eq!(operation.result_after_waiting(), Err(HResult::HCS_E_OPERATION_NOT_STARTED));
        let ticket = pending(&mut operation, OperationType::Create);
        assert_eq!(operation.result(), Err(HResult::HCS_E_OPERATION_PENDING));
        assert_eq!(operation.result_after_waiting(), Err(HResult::HCS_E_OPERATION_TIMEOUT));
        let again = operation.start(OperationType::Start, "system", Callbacks);
        assert_eq!(again, Err(HResult::HCS_E_OPERATION_ALREADY_STARTED));
        assert_eq!(operation.result_with_process(), Err(HResult::HCS_E_OPERATION_PENDING));
        operation.complete(ticket, Ok(""), Callbacks);
        assert_eq!(operation.result_with_process(), Err(HResult::E_INVALIDARG));
        let ticket = pending(&mut operation, OperationType::CreateProcess);
        operation.complete(ticket, Ok("pid"), Callbacks);
        assert_eq!(operation.result_with_process(), Ok(&Ok("pid")));
    }

    #[test]
    fn api_3_each_call_is_told_once_and_after_its_result() {
        let mut operation = Op::new(1, Some("callback"));
        let first = pending(&mut operation, OperationType::Create);
        assert_eq!(operation.complete(first, Ok("one"), Callbacks), Told::Callback("callback"));
        assert_eq!(operation.result(), Ok(&Ok("one")));
        assert_eq!(operation.complete(first, Ok("two"), Callbacks), Told::Nobody);
        assert_eq!(operation.result(), Ok(&Ok("one")));
    }

    #[test]
    fn api_5_what_comes_late_for_an_abandoned_call_is_not_the_next_ones() {
        let mut operation = Op::new(1, Some("callback"));
        let refused = pending(&mut operation, OperationType::Create);
        operation.abandon(refused);
        assert_eq!(operation.result(), Err(HResult::HCS_E_OPERATION_NOT_STARTED));
        assert_eq!(operation.kind(), OperationType::None);
        let next = pending(&mut operation, OperationType::Start);
        assert_eq!(operation.complete(refused, Ok("late"), Callbacks), Told::Nobody);
        operation.abandon(refused);
        assert_eq!(operation.result(), Err(HResult::HCS_E_OPERATION_PENDING));
        assert_eq!(operation.complete(next, Ok(""), Callbacks), Told::Callback("callback"));
    }

    #[test]
    fn api_6_an_operation_knows_what_it_is_about_while_it_is() {
        let mut operation = Op::new(7, None);
        assert_eq!((operation.id(), operation.kind()), (7, OperationType::None));
        assert_eq!(operation.subject(), None);
        let ticket = pending(&mut operation, OperationType::Pause);
        assert_eq!((operation.subject(), operation.kind() as i32), (Some("system"), 4));
        assert_eq!(
            operation.set_callback(Some("late")),
            Err(HResult::HCS_E_OPERATION_ALREADY_STARTED)
        );
        operation.complete(ticket, Ok(""), Callbacks);
        assert_eq!(operation.subject(), None);
        assert_eq!(operation.set_callback(Some("next")), Ok(()));
    }

    #[test]
    fn api_7_nothing_can_be_cancelled() {
        assert_eq!(Op::new(1, None).cancel(), Err(HResult::E_NOTIMPL));
    }

    #[test]
    fn api_8_a_handle_has_one_callback() {
        let mut registration = Registration::default();
        assert_eq!(registration.set(Some("one"), Callbacks), Ok(()));
        assert_eq!(registration.set(Some("two"), Callbacks), Err(ALREADY_SET));
        assert_eq!(registration.callback(), Some("one"));
        assert_eq!(registration.set(None, Callbacks), Ok(()));
        assert_eq!(registration.set(Some("two"), Events), Ok(()));
        assert_eq!((registration.callback(), registration.delivery()), (Some("two"), Events));
    }

    #[test]
    fn api_9_completions_as_events_see_what_was_started_earlier_and_refuse_callbacks() {
        let mut operation = Op::new(1, None);
        let create = pending(&mut operation, OperationType::Create);
        assert_eq!(operation.complete(create, Ok(""), Events), Told::Event);
        operation.set_callback(Some("callback")).expect("free");
        let refused = operation.start(OperationType::Start, "system", Events);
        assert_eq!(refused, Err(ALREADY_SET));
        assert_eq!(operation.result(), Ok(&Ok("")), "the last result is still there");
        // One with a callback of its own that was begun before the registration keeps it.
        let start = pending(&mut operation, OperationType::Start);
        assert_eq!(operation.complete(start, Ok(""), Events), Told::Callback("callback"));
    }

    #[test]
    fn what_cannot_be_handed_out_twice_is_exchanged() {
        let mut operation = Op::new(1, None);
        assert!(operation.exchange_result(|_| Ok("rest")).is_err());
        let ticket = pending(&mut operation, OperationType::CreateProcess);
        operation.complete(ticket, Ok("with streams"), Callbacks);
        assert_eq!(operation.exchange_result(|_| Ok("without")), Ok(Ok("with streams")));
        assert_eq!(operation.result(), Ok(&Ok("without")));
    }
}
