//! Calls about compute systems, as a session of the compute service carries them out: for the process that embeds the service. What
//! an operation of the table means there is said here once ([`verb`]), for the daemon, too.

use std::fmt::{self, Debug};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hostcompute_engine::compute::event::Event;
use hostcompute_engine::compute::exit::{exit_type, process_running};
use hostcompute_engine::compute::properties::read_filter;
use hostcompute_engine::compute::record::Record;
use hostcompute_engine::compute::{LogRequest, Remains, Stdio, Terms, Worker, Workers};
use hostcompute_schema::hcs::{ComputeEvent, Properties, SystemQuery};
use hostcompute_schema::{ComputeOperation, Document, Failure, HResult};
use hostcompute_service::apply::Systems;
use hostcompute_service::compute::{Answer, Body, Call, Networks, Notice, Session, Subscription};
use serde_json::Value;

pub use crate::operation::verb;
use crate::transport::{
    ComputeAnswer, ComputeCall, ComputeEvents, ComputeNotice, ComputeSource, Log, Streams,
};

/// Waits that have no end are made of such pieces.
const LONG: Duration = Duration::from_secs(3600);

/// A session of the compute service, whoever carries its systems.
pub(crate) trait Desk: Systems + Send + Sync {
    fn compute(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure>;
    fn events(&self, system: &str) -> Result<ComputeEvents, Failure>;
    fn log(&self, call: &ComputeCall<'_>) -> Result<Log, Failure>;
}

impl Debug for dyn Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

impl<W, N> Desk for Session<W, N>
where
    W: Workers,
    N: Networks,
    <W::Worker as Worker>::Stream: Into<OwnedFd>,
{
    fn compute(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure> {
        use ComputeOperation as Own;
        let pid = || call.pid.ok_or_else(|| incomplete(call));
        match call.operation {
            Own::CloseComputeSystem => self.close(call.system).map(|()| nothing()),
            Own::CloseProcess => self.close_process(call.system, pid()?).map(|()| nothing()),
            Own::WaitForComputeSystemExit => patiently(call, |patience| {
                Ok(self.wait_for_exit(call.system, patience)?.map(|status| status.to_value()))
            }),
            Own::WaitForProcessExit => {
                let pid = pid()?;
                patiently(call, |patience| {
                    let status = self.wait_for_process(call.system, pid, patience)?;
                    Ok(status.map(|status| status.to_value()))
                })
            }
            Own::EnumerateComputeSystems if flag(call, "ended")? => {
                let filter = read_filter(call.document)?;
                let ended = self.remains()?.iter().filter_map(ended).collect::<Vec<_>>();
                Ok(document(&matching(&filter, &ended)))
            }
            operation => {
                let verb = verb(operation).ok_or_else(|| impossible(operation))?;
                let system = match operation {
                    Own::CreateComputeSystem => call.parameter("id").unwrap_or_default(),
                    _ => call.system,
                };
                let mut wanted = Call::of(verb, system, call.document);
                wanted.pid = call.pid;
                if operation == Own::CreateComputeSystem {
                    wanted.terms = Terms::read(|name| call.parameter(name))?;
                }
                self.call(&wanted).map(told)
            }
        }
    }

    fn events(&self, system: &str) -> Result<ComputeEvents, Failure> {
        Ok(ComputeEvents::new(Box::new(Listening(self.subscribe(system)?))))
    }

    fn log(&self, call: &ComputeCall<'_>) -> Result<Log, Failure> {
        let number = |name: &str| call.parameter(name).map(|text| read_number(name, text));
        let request = LogRequest {
            follow: flag(call, "follow")?,
            pid: match number("pid").transpose()? {
                Some(pid) => Some(u32::try_from(pid).map_err(|_| not_a_number("pid"))?),
                None => None,
            },
            tail: number("tail").transpose()?,
        };
        let stream: OwnedFd = self.log(call.system, request)?.into();
        super::reading::log(stream)
    }
}

fn nothing() -> ComputeAnswer {
    ComputeAnswer::default()
}

fn document(value: &Value) -> ComputeAnswer {
    ComputeAnswer { body: value.to_string(), ..ComputeAnswer::default() }
}

fn told<S: Into<OwnedFd>>(answer: Answer<S>) -> ComputeAnswer {
    let (body, streams) = match answer.body {
        Body::Nothing => (String::new(), Streams::default()),
        Body::Document(value) => (value.to_string(), Streams::default()),
        Body::Process(process) => {
            (process_running(process.pid).to_value().to_string(), streams(process.stdio))
        }
    };
    ComputeAnswer { body, warnings: answer.warnings, streams }
}

/// The descriptors of a process's streams.
fn streams<S: Into<OwnedFd>>(stdio: Stdio<S>) -> Streams {
    let Stdio { input, output, error } = stdio;
    Streams {
        input: input.map(Into::into),
        output: output.map(Into::into),
        error: error.map(Into::into),
    }
}

/// Waits as long as the call says: by `wait`, which waits at most so long.
fn patiently(
    call: &ComputeCall<'_>,
    wait: impl Fn(Duration) -> Result<Option<Value>, Failure>,
) -> Result<ComputeAnswer, Failure> {
    let limit = call.parameter("timeout").map(|text| read_number("timeout", text)).transpose()?;
    let limit = limit.map(Duration::from_millis);
    let began = Instant::now();
    loop {
        let left = limit.map_or(LONG, |limit| limit.saturating_sub(began.elapsed()));
        if let Some(value) = wait(left.min(LONG))? {
            return Ok(document(&value));
        }
        if limit.is_some_and(|limit| began.elapsed() >= limit) {
            let why = "it has not ended within the given time";
            return Err(Failure::new(HResult::WAIT_TIMEOUT, why));
        }
    }
}

fn flag(call: &ComputeCall<'_>, name: &str) -> Result<bool, Failure> {
    match call.parameter(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => {
            let why = format!("the parameter {name} is true or false");
            Err(Failure::new(HResult::E_INVALIDARG, why))
        }
    }
}

fn read_number(name: &str, text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| not_a_number(name))
}

fn not_a_number(name: &str) -> Failure {
    Failure::new(HResult::E_INVALIDARG, format!("the parameter {name} is a number"))
}

fn incomplete(call: &ComputeCall<'_>) -> Failure {
    let why = format!("{} needs to know which one", call.operation);
    Failure::new(HResult::E_INVALIDARG, why)
}

fn impossible(operation: ComputeOperation) -> Failure {
    let why = format!("{operation} is not asked of a service");
    Failure::new(HResult::E_NOTIMPL, why)
}

/// What is told of a system that has ended; nothing of one whose record cannot be read.
pub fn ended(remains: &Remains) -> Option<Properties> {
    let record = Record::from_text(&remains.record).ok()?;
    Some(Properties {
        id: Some(remains.id.clone()),
        system_type: Some(record.kind),
        owner: Some(record.owner).filter(|owner| !owner.is_empty()),
        runtime_id: Some(record.runtime_id),
        stopped: Some(true),
        exit_type: Some(exit_type(&remains.end.cause)),
        ..Properties::default()
    })
}

/// Those that a query asks for, as a list.
pub fn matching(query: &SystemQuery, systems: &[Properties]) -> Value {
    fn any<T: PartialEq>(wanted: Option<&Vec<T>>, is: impl Fn(&T) -> bool) -> bool {
        wanted.is_none_or(|wanted| wanted.is_empty() || wanted.iter().any(is))
    }
    let found = systems.iter().filter(|system| {
        let id = system.id.as_deref().unwrap_or_default();
        any(query.ids.as_ref(), |wanted| wanted.eq_ignore_ascii_case(id))
            && any(query.names.as_ref(), |wanted| Some(wanted) == system.name.as_ref())
            && any(query.owners.as_ref(), |wanted| Some(wanted) == system.owner.as_ref())
            && any(query.types.as_ref(), |wanted| Some(wanted) == system.system_type.as_ref())
    });
    found.map(Document::to_value).collect()
}

/// An event as it travels.
pub fn event(event: &Event) -> ComputeEvent {
    ComputeEvent {
        kind: Some(event.kind() as u32),
        process_id: event.process(),
        data: Some(event.data()),
        ..ComputeEvent::default()
    }
}

struct Listening(Subscription);

impl ComputeSource for Listening {
    fn wait(&mut self) -> Result<Option<ComputeNotice>, Failure> {
        loop {
            match self.0.next(LONG) {
                Some(Notice::Event(told)) => {
                    return Ok(Some(ComputeNotice::Event(event(&told))));
                }
                Some(Notice::Disconnected(_)) => return Ok(Some(ComputeNotice::Disconnected)),
                None if self.0.is_over() => return Ok(None),
                None => {}
            }
        }
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync> {
        Box::new(self.0.ender())
    }
}
