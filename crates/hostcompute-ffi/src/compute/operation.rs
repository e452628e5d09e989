//! HCS_OPERATION: the state machine of the engine, with threads that wait for it and callbacks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hostcompute::schema::Document;
use hostcompute::schema::hcs::{
    OperationFailureInfo, OperationInfo, OperationType as Named, ResultError,
};
use hostcompute::transport::StreamEnd;
use hostcompute::{Failure, HResult};
use hostcompute_engine::compute::operation::{
    Delivery, INVALID_OPERATION_ID, Operation as Machine, OperationType, Ticket, Told,
};

use super::party::Party;
use crate::boundary::{Completed, Completion, Context, Descriptor, EventFunction, Out, TextOut};
use crate::gate::Gate;
use crate::handle::{self, Handle, Object};

/// INFINITE: a wait without an end.
pub const INFINITE: u32 = u32::MAX;

/// What a handle of an operation stands for.
#[derive(Debug)]
pub struct Operation {
    machine: Mutex<Machine<Completed, Subject, Outcome>>,
    ended: Condvar,
    context: Mutex<Context>,
    /// The way to the callback.
    gate: Gate,
    /// The operation's own handle, for its callback.
    handle: Mutex<Handle>,
}

/// The handles that a call is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject {
    pub system: Handle,
    pub process: Handle,
}

/// What a call ended with.
#[derive(Debug)]
pub enum Outcome {
    /// The document, empty for none; and the process that it is about.
    Done(String, Option<Started>),
    Failed(Failure),
}

/// A process, and the descriptors of its streams, which are handed out once.
#[derive(Debug, Default)]
pub struct Started {
    pub pid: u32,
    pub input: Option<StreamEnd>,
    pub output: Option<StreamEnd>,
    pub error: Option<StreamEnd>,
}

/// HCS_PROCESS_INFORMATION.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct ProcessInformation {
    pub pid: u32,
    pub reserved: u32,
    pub input: Descriptor,
    pub output: Descriptor,
    pub error: Descriptor,
}

static LAST: AtomicU64 = AtomicU64::new(0);

/// HcsCreateOperation; NULL when there can be no more.
pub fn create(context: Context, callback: Option<Completion>) -> Handle {
    new(context, callback.map(Completed::Plain))
}

/// HcsCreateOperationWithNotifications. No call here tells how far it has got; its end is told.
pub fn create_with_notifications(context: Context, callback: Option<EventFunction>) -> Handle {
    new(context, callback.map(Completed::Event))
}

fn new(context: Context, callback: Option<Completed>) -> Handle {
    let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    let operation = Arc::new(Operation {
        machine: Mutex::new(Machine::new(id, callback)),
        ended: Condvar::new(),
        context: Mutex::new(context),
        gate: Gate::default(),
        handle: Mutex::new(Handle::NULL),
    });
    let handle = handle::add(Object::Operation(operation.clone())).unwrap_or(Handle::NULL);
    *lock(&operation.handle) = handle;
    handle
}

fn pick(object: &Object) -> Option<Arc<Operation>> {
    match object {
        Object::Operation(operation) => Some(operation.clone()),
        _ => None,
    }
}

/// The operation that a handle stands for.
///
/// # Errors
/// E_INVALIDARG, E_HANDLE.
pub fn find(handle: Handle) -> Result<Arc<Operation>, Failure> {
    handle::find(handle, pick)
}

/// HcsCloseOperation: a call under way goes on, and nobody is told of its end. Waits for a callback that runs.
pub fn close(handle: Handle) -> Result<(), Failure> {
    handle::remove(handle, pick)?.gate.close();
    Ok(())
}

/// HcsGetOperationId.
pub fn id(handle: Handle) -> u64 {
    find(handle).map_or(INVALID_OPERATION_ID, |operation| operation.machine().id())
}

/// HcsGetOperationType.
pub fn kind(handle: Handle) -> i32 {
    find(handle).map_or(OperationType::None, |operation| operation.machine().kind()) as i32
}

/// What the call under way is about; nothing when there is none.
pub fn subject(handle: Handle) -> Subject {
    find(handle).ok().and_then(|operation| operation.machine().subject()).unwrap_or_default()
}

/// HcsGetOperationContext.
pub fn context(handle: Handle) -> Context {
    find(handle).map_or(Context::NULL, |operation| *lock(&operation.context))
}

/// HcsSetOperationContext.
pub fn set_context(handle: Handle, context: Context) -> Result<(), Failure> {
    *lock(&find(handle)?.context) = context;
    Ok(())
}

/// HcsSetOperationCallback.
pub fn set_callback(
    handle: Handle,
    context: Context,
    callback: Option<Completion>,
) -> Result<(), Failure> {
    let operation = find(handle)?;
    let set = operation.machine().set_callback(callback.map(Completed::Plain));
    set.map_err(|code| Failure::new(code, "a call is under way with the callback before"))?;
    *lock(&operation.context) = context;
    Ok(())
}

/// HcsCancelOperation.
pub fn cancel(handle: Handle) -> Result<(), Failure> {
    let cancelled = find(handle)?.machine().cancel();
    cancelled.map_err(|code| Failure::new(code, "operations cannot be cancelled"))
}

/// HcsGetOperationResult, and with a time HcsWaitForOperationResult.
pub fn result(handle: Handle, patience: Option<u32>, document: TextOut) -> Result<(), Failure> {
    document.clear();
    let operation = find(handle)?;
    let machine = operation.settled(patience);
    machine.outcome(patience)?.hand_out(document)
}

/// HcsGetOperationResultAndProcessInfo, and with a time HcsWaitForOperationResultAndProcessInfo.
pub fn result_with_process(
    handle: Handle,
    patience: Option<u32>,
    (information, document): (Out<ProcessInformation>, TextOut),
) -> Result<(), Failure> {
    document.clear();
    information.put(ProcessInformation::of(Started::default())?);
    let operation = find(handle)?;
    let mut machine = operation.settled(patience);
    machine.outcome(patience)?;
    let outcome = machine.result_with_process().map_err(|code| {
        Failure::new(code, "the operation neither started nor asked for a process")
    })?;
    outcome.hand_out(document)?;
    if information.is_given() {
        let taken = machine.exchange_result(Outcome::without_streams).map_err(unexpected)?;
        if let Outcome::Done(_, Some(started)) = taken {
            information.put(ProcessInformation::of(started)?);
        }
    }
    Ok(())
}

/// HcsGetOperationProperties: an OperationInfo document, what is tracked and why it failed.
pub fn information(handle: Handle) -> Result<String, Failure> {
    let operation = find(handle)?;
    let machine = operation.machine();
    let failed = match machine.result() {
        Ok(Outcome::Failed(failure)) => Some(failure.hresult.to_signed()),
        Ok(Outcome::Done(..)) | Err(_) => None,
    };
    let kind = match machine.kind() {
        OperationType::Create => Named::Construct,
        OperationType::Start => Named::Start,
        OperationType::Shutdown => Named::Shutdown,
        OperationType::Pause => Named::Pause,
        OperationType::Resume => Named::Resume,
        OperationType::Save => Named::Save,
        OperationType::Terminate => Named::Terminate,
        OperationType::Modify => Named::Modify,
        OperationType::GetProperties => Named::GetProperties,
        OperationType::CreateProcess => Named::ExecuteProcess,
        OperationType::SignalProcess => Named::SignalProcess,
        OperationType::GetProcessInfo | OperationType::GetProcessProperties => {
            Named::GetProcessInfo
        }
        OperationType::ModifyProcess => Named::ModifyProcess,
        OperationType::Crash => Named::Crash,
        // These have no name there.
        OperationType::None | OperationType::Enumerate | OperationType::LiveMigration => {
            Named::None
        }
    };
    let failure_info = failed
        .map(|code| OperationFailureInfo { result: Some(code), ..OperationFailureInfo::default() });
    let operation = Some(kind);
    let information = OperationInfo { operation, failure_info, ..OperationInfo::default() };
    Ok(information.to_value().to_string())
}

fn unexpected(code: HResult) -> Failure {
    Failure::new(code, "the operation has no result")
}

/// What a reader of results asks the machine.
trait Read {
    fn outcome(&self, patience: Option<u32>) -> Result<&Outcome, Failure>;
}

impl Read for Machine<Completed, Subject, Outcome> {
    fn outcome(&self, patience: Option<u32>) -> Result<&Outcome, Failure> {
        let outcome = match patience {
            None => self.result(),
            Some(_) => self.result_after_waiting(),
        };
        outcome.map_err(|code| Failure::new(code, "the operation has no result yet"))
    }
}

impl Operation {
    /// A call begins.
    ///
    /// # Errors
    /// HCS_E_OPERATION_ALREADY_STARTED, HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET.
    pub fn begin(
        &self,
        kind: OperationType,
        subject: Subject,
        delivery: Delivery,
    ) -> Result<Ticket, Failure> {
        self.machine()
            .start(kind, subject, delivery)
            .map_err(|code| Failure::new(code, "the operation cannot track this call"))
    }

    /// The call was not accepted.
    pub fn abandon(&self, ticket: Ticket) {
        self.machine().abandon(ticket);
        self.ended.notify_all();
    }

    /// The call has ended: who waits wakes up, then who wants to be called is called.
    pub fn finish(self: &Arc<Self>, ticket: Ticket, outcome: Outcome, party: &Arc<Party>) {
        let told = self.machine().complete(ticket, outcome, party.delivery());
        self.ended.notify_all();
        let operation = self.clone();
        let telling = match told {
            Told::Nobody => return,
            Told::Callback(callback) => party.tell(move |_| {
                let handle = *lock(&operation.handle);
                let context = *lock(&operation.context);
                operation.gate.pass(|| callback.call(handle, context));
            }),
            Told::Event => party.tell(move |party| {
                party.tell_completion(*lock(&operation.handle));
            }),
        };
        // Without a thread nobody can be called; the result can be read all the same.
        let _ = telling;
    }

    fn machine(&self) -> MutexGuard<'_, Machine<Completed, Subject, Outcome>> {
        lock(&self.machine)
    }

    /// The machine, when its call has ended or patience has.
    fn settled(
        &self,
        patience: Option<u32>,
    ) -> MutexGuard<'_, Machine<Completed, Subject, Outcome>> {
        let mut machine = self.machine();
        let Some(patience) = patience else { return machine };
        let end =
            (patience != INFINITE).then(|| Instant::now() + Duration::from_millis(patience.into()));
        while machine.result().err() == Some(HResult::HCS_E_OPERATION_PENDING) {
            let Some(end) = end else {
                machine = self.ended.wait(machine).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.ended.wait_timeout(machine, left);
            machine = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        machine
    }
}

impl Outcome {
    fn hand_out(&self, out: TextOut) -> Result<(), Failure> {
        match self {
            Self::Done(document, _) if document.is_empty() => Ok(()),
            Self::Done(document, _) => out.hand_out(document),
            Self::Failed(failure) => {
                out.hand_out(&ResultError::of(failure).to_value().to_string())?;
                Err(failure.clone())
            }
        }
    }

    /// What is read when the streams have been handed out.
    fn without_streams(&self) -> Outcome {
        match self {
            Self::Done(document, started) => {
                let left = |started: &Started| Started { pid: started.pid, ..Started::default() };
                Self::Done(document.clone(), started.as_ref().map(left))
            }
            Self::Failed(failure) => Self::Failed(failure.clone()),
        }
    }
}

impl ProcessInformation {
    /// The same as C programs have it.
    ///
    /// # Errors
    /// There are no further descriptors.
    pub fn of(started: Started) -> Result<Self, Failure> {
        Ok(Self {
            pid: started.pid,
            reserved: 0,
            input: Descriptor::give(started.input)?,
            output: Descriptor::give(started.output)?,
            error: Descriptor::give(started.error)?,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
