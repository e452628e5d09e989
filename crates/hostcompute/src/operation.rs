//! Calls about compute systems that are not waited for: HCS_OPERATION, with its one callback, its result that can be read again, and its
//! codes. The rules are the engine's; here are the threads.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use hostcompute_engine::compute::operation::OperationType;
use hostcompute_engine::compute::operation::{self as engine, Delivery, Told};
use hostcompute_engine::compute::verb::Verb;
use hostcompute_schema::hcs::{ComputeSystem, ProcessParameters};
use hostcompute_schema::{ComputeOperation, Document, Failure, HResult, Warning};

use crate::transport::{ComputeAnswer, ComputeCall, Streams};
use crate::{Host, System};

/// Who is told that a call has ended. It is called once for each call, on a thread of the operation's, when the result can be read.
pub type Callback = Arc<dyn Fn(&Operation) + Send + Sync>;

/// A call that is not waited for, and after it the next one. A clone is the same operation; dropping all of them leaves the call to
/// itself: it goes on, and its result is lost.
///
/// ```no_run
/// use hostcompute::operation::Operation;
/// use hostcompute::schema::ComputeOperation;
/// use hostcompute::{Host, Options, System};
///
/// # fn main() -> Result<(), hostcompute::Error> {
/// let host = Host::auto(Options::from_env())?;
/// let system = System::open(&host, "example")?;
/// let operation = Operation::new();
/// operation.start(&system, ComputeOperation::ShutDownComputeSystem, "")?;
/// operation.wait(None)?;
/// operation.start(&system, ComputeOperation::TerminateComputeSystem, "")?; // the same one again
/// operation.wait(None)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Operation(Arc<Inside>);

struct Inside {
    state: Mutex<State>,
    ended: Condvar,
}

type State = engine::Operation<Callback, Subject, Result<ComputeAnswer, Failure>>;

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The id of the system; empty for all of them, or for the service.
    pub system: String,
    /// The process, where it is about one.
    pub pid: Option<u32>,
}

/// What a call brought. It can be read as often as one likes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// The document; empty where there is nothing to say.
    pub body: String,
    /// What was tolerated in the document.
    pub warnings: Vec<Warning>,
}

impl Operation {
    /// An operation that tracks nothing yet.
    #[expect(clippy::new_without_default, reason = "two operations are never alike")]
    pub fn new() -> Self {
        Self::made(None)
    }

    /// An operation whose callback is told of each call that ends.
    pub fn with_callback(callback: impl Fn(&Self) + Send + Sync + 'static) -> Self {
        Self::made(Some(Arc::new(callback)))
    }

    fn made(callback: Option<Callback>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let state = engine::Operation::new(NEXT.fetch_add(1, Ordering::Relaxed), callback);
        Self(Arc::new(Inside { state: Mutex::new(state), ended: Condvar::new() }))
    }

    /// Its number, unique in this process.
    pub fn id(&self) -> u64 {
        self.lock().id()
    }

    /// What it tracks, or tracked last.
    pub fn kind(&self) -> OperationType {
        self.lock().kind()
    }

    /// What the call under way is about; `None` when none is.
    pub fn subject(&self) -> Option<Subject> {
        self.lock().subject()
    }

    /// Sets the callback, or takes it away.
    ///
    /// # Errors
    /// HCS_E_OPERATION_ALREADY_STARTED while a call is under way.
    pub fn set_callback(&self, callback: Option<Callback>) -> Result<(), Failure> {
        self.lock().set_callback(callback).map_err(refused)
    }

    /// Begins a call about a system.
    ///
    /// # Errors
    /// HCS_E_OPERATION_ALREADY_STARTED while another is under way. What the service refuses is the result of the call.
    pub fn start(
        &self,
        system: &System,
        operation: ComputeOperation,
        document: &str,
    ) -> Result<(), Failure> {
        self.begin(system.host(), &ComputeCall::on(operation, system.id(), document))
    }

    /// Begins to make a system. Its handle is there at once; until the call has ended it is of no use.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn create(
        &self,
        host: &Host,
        id: &str,
        document: &ComputeSystem,
    ) -> Result<System, Failure> {
        let text = document.to_value().to_string();
        let parameters = [("id", id)];
        let call = ComputeCall::on(ComputeOperation::CreateComputeSystem, "", &text);
        self.begin(host, &call.with(&parameters))?;
        Ok(System::expected(host, id))
    }

    /// Begins to start a process; [`Self::streams`] are its streams afterwards, its status the document.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn create_process(
        &self,
        system: &System,
        parameters: &ProcessParameters,
    ) -> Result<(), Failure> {
        let text = parameters.to_value().to_string();
        self.start(system, ComputeOperation::CreateProcess, &text)
    }

    /// Begins any call of the compute service.
    ///
    /// # Errors
    /// As [`Self::start`]; E_NOTIMPL for what no operation tracks.
    pub fn begin(&self, host: &Host, call: &ComputeCall<'_>) -> Result<(), Failure> {
        let Some(verb) = verb(call.operation) else {
            let why = format!("{} is not tracked by an operation", call.operation);
            return Err(Failure::new(HResult::E_NOTIMPL, why));
        };
        let wanted = Wanted::of(call);
        let subject = Subject { system: wanted.system.clone(), pid: call.pid };
        let started = self.lock().start(verb.operation(), subject, Delivery::Callbacks);
        let ticket = started.map_err(refused)?;
        let (tracked, host) = (self.clone(), host.clone());
        let work = move || tracked.complete(ticket, wanted.carry_out(&host));
        let spawned = thread::Builder::new().name("hcs-operation".to_owned()).spawn(work);
        spawned.map(drop).map_err(|error| {
            self.lock().abandon(ticket);
            Failure::new(HResult::E_OUTOFMEMORY, "no thread for the call").because(&error)
        })
    }

    fn complete(&self, ticket: engine::Ticket, result: Result<ComputeAnswer, Failure>) {
        let told = self.lock().complete(ticket, result, Delivery::Callbacks);
        self.0.ended.notify_all();
        if let Told::Callback(callback) = told {
            callback(self);
        }
    }

    /// What the last call brought, without waiting.
    ///
    /// # Errors
    /// HCS_E_OPERATION_NOT_STARTED, HCS_E_OPERATION_PENDING, or why the call failed.
    pub fn result(&self) -> Result<Outcome, Failure> {
        outcome(self.lock().result().map_err(refused)?)
    }

    /// Waits for the end of the call; what it brought.
    ///
    /// # Errors
    /// HCS_E_OPERATION_NOT_STARTED, HCS_E_OPERATION_TIMEOUT (the call goes on), or why the call failed.
    pub fn wait(&self, patience: Option<Duration>) -> Result<Outcome, Failure> {
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        let mut state = self.lock();
        while state.result().err() == Some(HResult::HCS_E_OPERATION_PENDING) {
            let Some(until) = until else {
                state = self.0.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.0.ended.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        outcome(state.result_after_waiting().map_err(refused)?)
    }

    /// The streams of the process that the last call made or found. They are handed out once.
    ///
    /// # Errors
    /// As [`Self::result`]; E_INVALIDARG for a call that neither makes nor finds processes.
    pub fn streams(&self) -> Result<Streams, Failure> {
        let mut state = self.lock();
        state.result_with_process().map(drop).map_err(refused)?;
        let without = |result: &Result<ComputeAnswer, Failure>| match result {
            Ok(answer) => Ok(ComputeAnswer {
                body: answer.body.clone(),
                warnings: answer.warnings.clone(),
                streams: Streams::default(),
            }),
            Err(failure) => Err(failure.clone()),
        };
        state.exchange_result(without).map_err(refused)?.map(|answer| answer.streams)
    }

    /// Documented by Microsoft as not implemented, and nothing else.
    ///
    /// # Errors
    /// E_NOTIMPL, always.
    pub fn cancel(&self) -> Result<(), Failure> {
        self.lock().cancel().map_err(refused)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let mut told = f.debug_struct("Operation");
        told.field("id", &state.id()).field("kind", &state.kind()).finish_non_exhaustive()
    }
}

fn outcome(result: &Result<ComputeAnswer, Failure>) -> Result<Outcome, Failure> {
    match result {
        Ok(answer) => Ok(Outcome { body: answer.body.clone(), warnings: answer.warnings.clone() }),
        Err(failure) => Err(failure.clone()),
    }
}

fn refused(code: HResult) -> Failure {
    Failure::new(code, code.message())
}

/// What a session carries out for an operation; none for what concerns handles, waits, logs, or the calling process only.
pub fn verb(operation: ComputeOperation) -> Option<Verb> {
    use ComputeOperation as Own;
    Some(match operation {
        Own::EnumerateComputeSystems => Verb::Enumerate,
        Own::CreateComputeSystem => Verb::Create,
        Own::OpenComputeSystem => Verb::Open,
        Own::StartComputeSystem => Verb::Start,
        Own::ShutDownComputeSystem => Verb::ShutDown,
        Own::TerminateComputeSystem => Verb::Terminate,
        Own::CrashComputeSystem => Verb::Crash,
        Own::PauseComputeSystem => Verb::Pause,
        Own::ResumeComputeSystem => Verb::Resume,
        Own::SaveComputeSystem => Verb::Save,
        Own::GetComputeSystemProperties => Verb::GetProperties,
        Own::ModifyComputeSystem => Verb::Modify,
        Own::CreateProcess => Verb::CreateProcess,
        Own::OpenProcess => Verb::OpenProcess,
        Own::GetProcessInfo => Verb::GetProcessInfo,
        Own::GetProcessProperties => Verb::GetProcessProperties,
        Own::ModifyProcess => Verb::ModifyProcess,
        Own::SignalProcess => Verb::SignalProcess,
        Own::TerminateProcess => Verb::TerminateProcess,
        Own::GetServiceProperties => Verb::GetServiceProperties,
        Own::ModifyServiceSettings => Verb::ModifyService,
        _ => return None,
    })
}

/// A call that a thread of its own carries out.
struct Wanted {
    operation: ComputeOperation,
    system: String,
    pid: Option<u32>,
    parameters: Vec<(String, String)>,
    document: String,
}

impl Wanted {
    fn of(call: &ComputeCall<'_>) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let id = call.parameter("id").unwrap_or_default();
        Self {
            operation: call.operation,
            system: if call.system.is_empty() { id } else { call.system }.to_owned(),
            pid: call.pid,
            parameters: call.parameters.iter().map(owned).collect(),
            document: call.document.to_owned(),
        }
    }

    fn carry_out(&self, host: &Host) -> Result<ComputeAnswer, Failure> {
        let parameters: Vec<(&str, &str)> =
            self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        host.compute(&ComputeCall {
            operation: self.operation,
            system: &self.system,
            pid: self.pid,
            parameters: &parameters,
            document: &self.document,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use crate::transport::{
        Answer, Ask, Call, ComputeEvents, Events, Log, Subscription, Topic, Transport,
    };
    use hostcompute_schema::ServiceOperation;
    use hostcompute_schema::service::{HostFile, Obstacle, Progress, Step};
    use serde_json::Value;

    /// A service that answers when the test says so: each call takes one answer.
    #[derive(Debug)]
    struct Told(Mutex<Receiver<Result<ComputeAnswer, Failure>>>);

    fn nothing<T>() -> Result<T, Failure> {
        Err(Failure::new(HResult::E_NOTIMPL, "only compute systems are here"))
    }

    impl Transport for Told {
        fn call(&self, _: &Call<'_>) -> Result<Answer, Failure> {
            nothing()
        }

        fn serve(&self, _: &Ask<'_>) -> Result<Value, Obstacle> {
            Ok(nothing()?)
        }

        fn carry_out(
            &self,
            _: ServiceOperation,
            _: &[HostFile],
            _: &mut dyn FnMut(Progress),
        ) -> Result<Vec<Step>, Obstacle> {
            Ok(nothing()?)
        }

        fn events(&self, _: u64) -> Result<Events, Failure> {
            nothing()
        }

        fn subscribe(&self, _: Topic, _: Option<u64>) -> Result<Subscription, Failure> {
            nothing()
        }

        fn compute(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure> {
            if call.operation == ComputeOperation::CloseComputeSystem {
                return Ok(ComputeAnswer::default());
            }
            self.0.lock().expect("whole").recv().unwrap_or_else(|_| nothing())
        }

        fn compute_events(&self, _: &str) -> Result<ComputeEvents, Failure> {
            nothing()
        }

        fn compute_log(&self, _: &ComputeCall<'_>) -> Result<Log, Failure> {
            nothing()
        }
    }

    fn service() -> (Sender<Result<ComputeAnswer, Failure>>, System) {
        let (answers, told) = channel();
        let host = Host::through(Arc::new(Told(Mutex::new(told))));
        (answers, System::expected(&host, "s"))
    }

    fn document(body: &str) -> Result<ComputeAnswer, Failure> {
        Ok(ComputeAnswer { body: body.to_owned(), ..ComputeAnswer::default() })
    }

    const START: ComputeOperation = ComputeOperation::StartComputeSystem;

    #[track_caller]
    fn fails<T: Debug>(result: Result<T, Failure>, code: HResult) {
        assert_eq!(result.expect_err("a failure").hresult, code);
    }

    #[test]
    fn results_are_read_again_and_operations_used_again() {
        let (answers, system) = service();
        let operation = Operation::new();
        fails(operation.result(), HResult::HCS_E_OPERATION_NOT_STARTED);
        fails(operation.wait(None), HResult::HCS_E_OPERATION_NOT_STARTED);
        operation.start(&system, START, "").expect("accepted");
        fails(operation.result(), HResult::HCS_E_OPERATION_PENDING);
        fails(operation.wait(Some(Duration::ZERO)), HResult::HCS_E_OPERATION_TIMEOUT);
        fails(operation.start(&system, START, ""), HResult::HCS_E_OPERATION_ALREADY_STARTED);
        assert_eq!(operation.subject().map(|subject| subject.system).as_deref(), Some("s"));
        answers.send(document("{}")).expect("taken");
        assert_eq!(operation.wait(None).expect("done").body, "{}");
        assert_eq!(operation.result().expect("done").body, "{}");
        assert_eq!((operation.kind(), operation.subject()), (OperationType::Start, None));
        answers.send(nothing()).expect("taken");
        operation.start(&system, START, "").expect("accepted again");
        fails(operation.wait(None), HResult::E_NOTIMPL);
        fails(operation.cancel(), HResult::E_NOTIMPL);
    }

    #[test]
    fn the_callback_is_told_once_when_the_result_is_there() {
        let (answers, system) = service();
        let (sender, told) = channel();
        let operation = Operation::with_callback(move |operation| {
            sender.send((operation.id(), operation.result().expect("there").body)).expect("heard");
        });
        answers.send(document("done")).expect("taken");
        operation.start(&system, START, "").expect("accepted");
        assert_eq!(told.recv().expect("told"), (operation.id(), "done".to_owned()));
        operation.set_callback(None).expect("none is under way");
        assert!(told.recv().is_err(), "told twice");
    }

    #[test]
    fn streams_are_handed_out_once_and_only_of_processes() {
        let (answers, system) = service();
        let operation = Operation::new();
        answers.send(document("")).expect("taken");
        operation.start(&system, START, "").expect("accepted");
        operation.wait(None).expect("done");
        fails(operation.streams(), HResult::E_INVALIDARG);
        let (read, _) = std::io::pipe().expect("a pipe");
        let streams = Streams { output: Some(read.into()), ..Streams::default() };
        let answer = ComputeAnswer { streams, ..ComputeAnswer::default() };
        answers.send(Ok(answer)).expect("taken");
        operation.create_process(&system, &ProcessParameters::default()).expect("accepted");
        operation.wait(None).expect("done");
        assert!(operation.streams().expect("a process").output.is_some());
        assert!(operation.streams().expect("a process").output.is_none());
    }
}
