//! The service of this machine, over its unix socket, or over a loopback port with a token.
//!
//! Connections are kept for the next call; each is a session of the service, and one of them is the session that owns this host's
//! handles. When a connection breaks because the service is started anew, what can safely be asked again is asked again: everything
//! that only reads, and changes of the API, which carry an idempotency key, so that the service carries them out once.

mod carried;
mod compute;
#[cfg(unix)]
mod handed;
mod letter;
mod listen;
#[cfg(images)]
mod store;
mod stream;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hostcompute_schema::operation::Verb;
use hostcompute_schema::service::{HostFile, Obstacle, Output, Progress, ProgressLine, Step, Told};
use hostcompute_schema::{ComputeOperation, Failure, HResult, ServiceOperation, Warning};
use serde_json::Value;

use super::{
    Answer, Ask, Call, ComputeAnswer, ComputeCall, ComputeEvents, Events, Log, Subscription, Topic,
    Transport,
};
use crate::{Address, Options};
use letter::Letter;
use listen::Listener;
use stream::Unusable;
use wire::{Connection, Head, Incoming};

/// The way to a service that runs by itself.
#[derive(Debug, Clone)]
pub(crate) struct Socket(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    address: Address,
    strict: bool,
    /// How long to wait for a service that is being started anew.
    patience: Duration,
    /// Connections that wait for the next call.
    idle: Mutex<Vec<Connection>>,
    /// The connection whose session owns the handles.
    own: Mutex<Option<Connection>>,
    /// What that session has.
    held: Mutex<Held>,
}

/// What the session of this host has, so that the next one can have it, too: a service that is started anew knows no sessions.
#[derive(Debug, Default)]
struct Held {
    session: Option<String>,
    /// How many handles of each compute system.
    systems: BTreeMap<String, usize>,
    /// Inputs of processes that are connections.
    inputs: Vec<(String, u32, carried::Hold)>,
}

/// More connections than this are not kept.
const KEPT: usize = 8;

/// How long to wait where a limit of the service is reached: rates are counted by the second.
const HURRY: Duration = Duration::from_secs(1);

/// The status of HTTP for a token that does not open.
const UNAUTHORIZED: u16 = 401;

/// The first pause before another try; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);

const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A whole answer.
#[derive(Debug)]
struct Reply {
    head: Head,
    body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
enum Trouble {
    /// Nothing was sent.
    Unreachable(io::Error),
    /// What was asked may have been carried out.
    Broken(io::Error),
}

impl Socket {
    /// Connects, and makes sure that a service answers.
    ///
    /// # Errors
    /// RPC_S_SERVER_UNAVAILABLE when nothing listens there, E_ACCESSDENIED.
    pub fn connect(address: Address, options: &Options) -> Result<Self, Failure> {
        let first = Connection::open(&address)
            .map_err(|error| Trouble::Unreachable(error).failure(&address, "connect"))?;
        let socket = Self(Arc::new(Inside {
            address,
            strict: options.strict,
            patience: options.patience,
            idle: Mutex::new(vec![first]),
            own: Mutex::default(),
            held: Mutex::default(),
        }));
        socket.serve(&Ask::plain(ServiceOperation::Version))?;
        Ok(socket)
    }

    /// Asks on any connection, and reads the whole answer.
    fn ask(&self, letter: &Letter<'_>) -> Result<Reply, Failure> {
        self.patiently(letter, || {
            let incoming = self.begin(letter)?;
            let (head, body, connection) = incoming.whole().map_err(Trouble::Broken)?;
            self.keep(connection);
            Ok(Reply { head, body })
        })
    }

    /// Asks on the connection whose session owns the handles.
    fn ask_in_session(&self, letter: &Letter<'_>) -> Result<Reply, Failure> {
        let mut own = locked(&self.0.own);
        self.patiently(letter, || {
            let connection = match alive(own.take()) {
                Some(connection) => connection,
                None => self.open_again()?,
            };
            let incoming = connection.ask(&letter.request).map_err(Trouble::Broken)?;
            let (head, body, connection) = incoming.whole().map_err(Trouble::Broken)?;
            *own = connection;
            locked(&self.0.held).session = head.header(letter::SESSION).map(str::to_owned);
            Ok(Reply { head, body })
        })
    }

    /// A connection whose session has the handles that the last one had. What has ended meanwhile has no handle any more.
    fn open_again(&self) -> Result<Connection, Trouble> {
        let mut connection = self.open()?;
        let systems = locked(&self.0.held).systems.clone();
        for (system, count) in systems {
            for _ in 0..count {
                let call = ComputeCall::on(ComputeOperation::OpenComputeSystem, &system, "");
                let Ok(letter) = Letter::of_compute(&call) else { continue };
                let incoming = connection.ask(&letter.request).map_err(Trouble::Broken)?;
                connection = match incoming.whole().map_err(Trouble::Broken)? {
                    (_, _, Some(connection)) => connection,
                    _ => return Err(Trouble::Broken(io::ErrorKind::UnexpectedEof.into())),
                };
            }
        }
        Ok(connection)
    }

    /// The id of the session that owns the handles.
    fn session(&self) -> Option<String> {
        locked(&self.0.held).session.clone()
    }

    fn hold(&self, system: &str) {
        *locked(&self.0.held).systems.entry(system.to_owned()).or_default() += 1;
    }

    fn let_go(&self, system: &str) {
        let mut held = locked(&self.0.held);
        if let Some(count) = held.systems.get_mut(system) {
            *count -= 1;
            if *count == 0 {
                held.systems.remove(system);
            }
        }
    }

    /// Remembers what ends an input of a process.
    fn hold_input(&self, system: &str, pid: u32, hold: carried::Hold) {
        locked(&self.0.held).inputs.push((system.to_lowercase(), pid, hold));
    }

    /// Ends the inputs of a process.
    fn end_inputs(&self, system: &str, pid: u32) {
        let system = system.to_lowercase();
        let ended: Vec<_> = {
            let inputs = &mut locked(&self.0.held).inputs;
            inputs.extract_if(.., |(of, number, _)| *of == system && *number == pid).collect()
        };
        for (_, _, hold) in ended {
            hold.finish();
        }
    }

    /// Sends a letter on a connection that nobody uses, and reads the head of the answer.
    fn begin(&self, letter: &Letter<'_>) -> Result<Incoming, Trouble> {
        let idle = locked(&self.0.idle).pop();
        // What cannot be sent twice is not sent into a connection that has ended.
        let idle = if letter.is_repeatable { idle } else { alive(idle) };
        if let Some(connection) = idle {
            let incoming = connection.ask(&letter.request).map_err(Trouble::Broken)?;
            // The token that was read when it was opened has been replaced since.
            if incoming.head.status != UNAUTHORIZED {
                return Ok(incoming);
            }
        }
        self.open()?.ask(&letter.request).map_err(Trouble::Broken)
    }

    fn address(&self) -> &Address {
        &self.0.address
    }

    fn open(&self) -> Result<Connection, Trouble> {
        Connection::open(self.address()).map_err(Trouble::Unreachable)
    }

    fn keep(&self, connection: Option<Connection>) {
        let mut idle = locked(&self.0.idle);
        if idle.len() < KEPT {
            idle.extend(connection);
        }
    }

    /// Tries again, as long as that is safe and patience lasts, when the service goes away (it may be in the course of a restart) or has
    /// heard too much from this user.
    fn patiently<T: Answered>(
        &self,
        letter: &Letter<'_>,
        mut attempt: impl FnMut() -> Result<T, Trouble>,
    ) -> Result<T, Failure> {
        let mut began: Option<Instant> = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let outcome = attempt();
            let patience = match &outcome {
                Ok(reply) if letter.is_repeatable => reply.refusal().map(|refusal| match refusal {
                    Refusal::Stopping => self.0.patience,
                    Refusal::TooMuch => self.0.patience.min(HURRY),
                }),
                Err(trouble) if trouble.may_pass(letter) => Some(self.0.patience),
                _ => None,
            };
            match (patience, began) {
                // At once: the connection may just have been an old one.
                (Some(_), None) => began = Some(Instant::now()),
                (Some(patience), Some(began)) if began.elapsed() < patience => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                _ => {
                    return outcome
                        .map_err(|trouble| trouble.failure(self.address(), &letter.line()));
                }
            }
            if outcome.is_err() {
                // Connections of a service that has gone are worth nothing.
                locked(&self.0.idle).clear();
            }
        }
    }

    /// Reads progress line by line, up to the end.
    fn follow(
        &self,
        incoming: Incoming,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Step>, Obstacle> {
        let broken = |error: io::Error| {
            Obstacle::from(Trouble::Broken(error).failure(self.address(), "carry out the files"))
        };
        let mut end = None;
        let heard = self.lines(incoming, &mut |line| {
            match ProgressLine::told(line) {
                Some(Told::Progress(progress)) => tell(progress),
                Some(Told::End(outcome)) => end = Some(outcome),
                // Something that a newer service tells.
                None => {}
            }
            ControlFlow::Continue(())
        });
        // Every line was wanted.
        let _ = heard.map_err(broken)?;
        end.unwrap_or_else(|| Err(broken(io::ErrorKind::UnexpectedEof.into())))
    }

    /// Reads lines of JSON up to the end, or until nobody wants more of them; a connection that still speaks is then ended.
    fn lines(
        &self,
        mut incoming: Incoming,
        hear: &mut dyn FnMut(&Value) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut text = Vec::new();
        while incoming.more(&mut text)? {
            while let Some(length) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=length).collect();
                let line = serde_json::from_slice(&line).unwrap_or(Value::Null);
                if hear(&line).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        let (_, _, connection) = incoming.whole()?;
        self.keep(connection);
        Ok(ControlFlow::Continue(()))
    }
}

impl Transport for Socket {
    fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let reply = self.ask(&Letter::of_call(call, self.0.strict)?)?.succeeded()?;
        if call.operation.verb() == Verb::Open {
            let id = call.id.unwrap_or_default();
            return Ok(Answer { body: format!("\"{id}\""), warnings: Vec::new() });
        }
        Ok(Answer { warnings: reply.warnings(), body: reply.text()? })
    }

    fn serve(&self, ask: &Ask<'_>) -> Result<Value, Obstacle> {
        use ServiceOperation as Own;
        let letter = Letter::of_ask(ask)?;
        let in_session = matches!(
            ask.operation,
            Own::OpenHandle
                | Own::ListHandles
                | Own::CloseHandle
                | Own::ReservePorts
                | Own::ReleasePorts
        );
        let reply = if in_session { self.ask_in_session(&letter)? } else { self.ask(&letter)? };
        let reply = reply.succeeded()?;
        match ask.operation.output() {
            Output::None => Ok(Value::Null),
            Output::Text(_) => Ok(reply.text()?.into()),
            _ => Ok(serde_json::from_slice(&reply.body).map_err(|error| garbled(&error))?),
        }
    }

    fn carry_out(
        &self,
        work: ServiceOperation,
        files: &[HostFile],
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Step>, Obstacle> {
        let body = letter::body_of(files);
        let letter = Letter::of_work(work, &body, self.0.strict);
        let incoming = self.patiently(&letter, || self.begin(&letter))?;
        if incoming.head.status == 200 && incoming.head.is(letter::NDJSON) {
            return self.follow(incoming, tell);
        }
        let broken = |error| Trouble::Broken(error).failure(self.address(), &letter.line());
        let (head, body, connection) = incoming.whole().map_err(broken)?;
        self.keep(connection);
        Reply { head, body }.succeeded()?;
        let why = "the service does not tell what it does";
        Err(Failure::new(HResult::E_UNEXPECTED, why).into())
    }

    fn events(&self, from: u64) -> Result<Events, Failure> {
        let inspected = self.serve(&Ask::plain(ServiceOperation::Inspect))?;
        let last = inspected.get("Events").and_then(Value::as_u64).unwrap_or_default();
        let next = last.saturating_add(1);
        if from >= next {
            return Ok(Events { next, ..Events::default() });
        }
        Listener::open(self, Topic::All, Some(from.saturating_sub(1)))?.until(next)
    }

    fn subscribe(&self, to: Topic, after: Option<u64>) -> Result<Subscription, Failure> {
        Ok(Subscription::new(Box::new(Listener::open(self, to, after)?)))
    }

    fn compute(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure> {
        self.compute_call(call)
    }

    fn compute_events(&self, system: &str) -> Result<ComputeEvents, Failure> {
        Ok(ComputeEvents::new(Box::new(self.listen_to(system)?)))
    }

    fn compute_log(&self, call: &ComputeCall<'_>) -> Result<Log, Failure> {
        self.read_log(call)
    }

    #[cfg(images)]
    fn store(
        &self,
        call: crate::store::StoreCall<'_>,
        watch: hostcompute_storage::Watch<'_>,
    ) -> Result<Value, Failure> {
        self.store_call(call, watch)
    }
}

impl Reply {
    /// The answer, or the failure that it tells of.
    fn succeeded(self) -> Result<Self, Obstacle> {
        if (200..300).contains(&self.head.status) {
            return Ok(self);
        }
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(problem) if problem.get("hresult").is_some() => {
                Err(Obstacle::from_problem(&problem))
            }
            _ => {
                let why = format!("the service answers with the HTTP status {}", self.head.status);
                Err(Failure::new(HResult::E_UNEXPECTED, why).into())
            }
        }
    }

    fn text(self) -> Result<String, Failure> {
        String::from_utf8(self.body).map_err(|error| garbled(&error))
    }

    /// What was tolerated in the document.
    fn warnings(&self) -> Vec<Warning> {
        let told = self.head.header("hostcompute-warnings").map(serde_json::from_str::<Vec<Value>>);
        match told {
            Some(Ok(warnings)) => warnings.iter().map(Warning::from_value).collect(),
            _ => Vec::new(),
        }
    }
}

/// A refusal that may pass.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    /// The service is about to end; another one may follow.
    Stopping,
    /// This user asks for more than the service allows in a second, or at a time.
    TooMuch,
}

/// An answer that may be a refusal which passes.
trait Answered {
    fn refusal(&self) -> Option<Refusal>;
}

impl Answered for Reply {
    fn refusal(&self) -> Option<Refusal> {
        let (stopping, too_much) =
            (HResult::HCN_E_MANAGER_STOPPED, HResult::ERROR_NOT_ENOUGH_QUOTA);
        if ![stopping.http_status(), too_much.http_status()].contains(&self.head.status) {
            return None;
        }
        let problem = serde_json::from_slice::<Value>(&self.body).ok()?;
        match Failure::from_problem(&problem).hresult {
            code if code == stopping => Some(Refusal::Stopping),
            code if code == too_much => Some(Refusal::TooMuch),
            _ => None,
        }
    }
}

impl Answered for Incoming {
    fn refusal(&self) -> Option<Refusal> {
        None
    }
}

impl Trouble {
    /// Whether it may help to try again, and is safe.
    fn may_pass(&self, letter: &Letter<'_>) -> bool {
        match self {
            Self::Unreachable(_) if letter.is_farewell => false,
            Self::Unreachable(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::NotFound
                    | io::ErrorKind::WouldBlock
            ),
            // The other side has gone without having read all of the request (unix_release_sock in net/unix/af_unix.c): it carries out none
            // of it.
            Self::Broken(error)
                if [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset]
                    .contains(&error.kind()) =>
            {
                !letter.is_farewell
            }
            Self::Broken(error) => {
                letter.is_repeatable && error.kind() != io::ErrorKind::InvalidData
            }
        }
    }

    fn failure(self, place: &Address, what: &str) -> Failure {
        let (Self::Unreachable(error) | Self::Broken(error)) = &self;
        if let Some(failure) = unusable(error) {
            return failure.clone();
        }
        let failure = match (&self, error.kind()) {
            (Self::Unreachable(_), io::ErrorKind::PermissionDenied) => {
                let why = format!("the socket {place} may not be used");
                Failure::new(HResult::E_ACCESSDENIED, why)
            }
            (Self::Unreachable(_), _) => {
                let why = format!("no service answers on the socket {place}");
                Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, why).hint("start hostcomputed")
            }
            (Self::Broken(_), io::ErrorKind::InvalidData) => {
                let why = format!("what answers on {place} is not this service");
                Failure::new(HResult::E_UNEXPECTED, why)
            }
            (Self::Broken(_), _) => {
                let why = format!("the service on {place} went away while it was asked to {what}");
                Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, why)
                    .hint("whether it was done can be seen when the service is back")
            }
        };
        failure.because(error)
    }
}

/// The failure that an error carries.
fn unusable(error: &io::Error) -> Option<&Failure> {
    error.get_ref()?.downcast_ref::<Unusable>().map(|Unusable(failure)| failure)
}

/// A connection that can still be asked something.
fn alive(connection: Option<Connection>) -> Option<Connection> {
    let mut connection = connection?;
    (!connection.is_dead()).then_some(connection)
}

fn garbled(error: &dyn std::error::Error) -> Failure {
    Failure::new(HResult::E_UNEXPECTED, "the service's answer cannot be read").because(error)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
