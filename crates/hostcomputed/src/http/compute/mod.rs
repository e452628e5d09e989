//! The compute service over HTTP: one way for all operations of its table; what waits, listens or hands over descriptors beside it.
//!
//! Calls run on threads of their own, since starting a container takes longer than another request should wait for the end of its
//! connection to be noticed.

pub(super) mod carried;
mod stdio;
mod stream;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use hostcompute::local::compute as local;
use hostcompute::local::systems::Systems;
use hostcompute_engine::compute::exit::process_running;
use hostcompute_engine::compute::properties::read_filter;
use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{LogRequest, Stdio, Terms};
use hostcompute_linux::Linux;
use hostcompute_linux::compute::Supervisors;
use hostcompute_schema::compute::{self as table, ComputeOperation, STDIN, percent_encoded};
use hostcompute_schema::{Document, Failure, HResult};
use hostcompute_service::compute::{self, Body, Call, OverDesk, ProcessInformation};
use tokio::sync::oneshot;

use super::answer;
use super::client::{Client, Session, Unparked, pick};
use super::request::{self, Parameters};
use super::service::blocking;
use carried::{End, Input};
use stdio::Wanted;

/// The compute service of this daemon: its systems are in namespaces of the network service beside it.
pub type Compute = Systems<hostcompute_service::server::Session<Linux>>;

/// The network service as the compute service has it.
type Networks = OverDesk<hostcompute_service::server::Session<Linux>>;

/// What one client has of it.
pub type Holdings = compute::Session<Supervisors, Networks>;

/// Carries out an operation.
pub async fn answer(
    client: Arc<Client>,
    operation: ComputeOperation,
    mut request: Request,
) -> Result<Response, Failure> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let session = client.session(&head.headers)?;
    let mut known: Vec<&str> =
        operation.parameters().iter().map(|parameter| parameter.name).collect();
    known.extend(matches!(operation.input(), table::Input::Query(_)).then_some("query"));
    let parameters = Parameters::of(&head.uri, &known)?;
    let (system, pid) = place(operation, head.uri.path())?;
    if head.headers.contains_key("idempotency-key") && !operation.is_read_only() {
        let why = "answers about compute systems are not kept to be given again";
        return Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why)
            .hint("leave Idempotency-Key out; an id is taken once, and what a system is like can be asked"));
    }
    let document = match operation.input() {
        table::Input::Document(_) | table::Input::Options(_) | table::Input::None => {
            let limits = client.edge.settings.limits.of_user(session.caller().uid);
            request::text(&head.headers, body, limits.request_bytes).await?
        }
        _ => parameters.get("query").unwrap_or_default().to_owned(),
    };
    session.count_request(document.len())?;
    let began = Instant::now();
    let asked = Asked { client, session, operation, parameters, system, pid, document };
    let audited = asked.session.clone();
    let done = match operation {
        ComputeOperation::GetProcessInfo => asked.streams(&head.headers, upgrade).await,
        _ => asked.carry_out().await,
    };
    audited.answered(operation, began.elapsed(), done.is_err());
    if !operation.is_read_only() {
        let code = done.as_ref().map_or_else(|failure| failure.hresult, |_| HResult::S_OK);
        audited.audit(operation.symbol().unwrap_or(operation.name()), code);
    }
    done
}

/// What stands in the path: the system and the process.
fn place(operation: ComputeOperation, path: &str) -> Result<(String, Option<u32>), Failure> {
    let route = operation.route().map_or("", |(_, path)| path);
    let (mut system, mut pid) = (String::new(), None);
    for (part, given) in route.split('/').zip(path.split('/')) {
        match part {
            "{id}" => system = decoded(given)?,
            "{pid}" => {
                let number = given.parse().map_err(|_| {
                    let why = format!("{given:?} is no number of a process");
                    Failure::new(HResult::E_INVALIDARG, why)
                })?;
                pid = Some(number);
            }
            _ => {}
        }
    }
    Ok((system, pid))
}

/// A part of a path with its percent signs resolved.
pub fn decoded(text: &str) -> Result<String, Failure> {
    let wrong = || {
        let why = format!("{text:?} is no percent-encoded text");
        Failure::new(HResult::E_INVALIDARG, why)
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(wrong()) };
        bytes.push(u8::try_from(high << 4 | low).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// A request that has been read.
struct Asked {
    client: Arc<Client>,
    session: Arc<Session>,
    operation: ComputeOperation,
    parameters: Parameters,
    system: String,
    pid: Option<u32>,
    document: String,
}

impl Asked {
    async fn carry_out(self) -> Result<Response, Failure> {
        use ComputeOperation as O;
        match self.operation {
            O::EnumerateComputeSystems if self.parameters.switch("ended") => self.ended().await,
            O::CreateComputeSystem => self.create().await,
            O::CloseComputeSystem => {
                self.blocking(|session, asked| session.close(&asked.system)).await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            }
            O::CloseProcess => {
                let pid = self.pid.unwrap_or_default();
                self.session.unpark(&self.system, pid);
                self.blocking(move |session, asked| session.close_process(&asked.system, pid))
                    .await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            }
            O::SetComputeSystemCallback => {
                let (session, system) = (self.session.clone(), self.system.clone());
                let edge = self.client.edge.clone();
                let place = self.session.count_subscription()?;
                let subscribed =
                    blocking(&edge, move || session.compute()?.subscribe(&system)).await?;
                Ok(stream::events(subscribed?, place))
            }
            O::GetComputeSystemLog => self.log().await,
            O::WaitForComputeSystemExit | O::WaitForProcessExit => self.wait().await,
            _ => self.call().await,
        }
    }

    /// Does something with the client's part of the compute service, on a thread that may wait.
    async fn blocking<T: Send + 'static>(
        self,
        work: impl FnOnce(&Holdings, &Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let edge = self.client.edge.clone();
        blocking(&edge, move || work(self.session.compute()?, &self)).await?
    }

    fn as_call(&self, verb: Verb) -> Call {
        let call = Call::of(verb, &self.system, &self.document);
        match self.pid {
            Some(pid) => call.process(pid),
            None => call,
        }
    }

    async fn create(self) -> Result<Response, Failure> {
        let id = self.parameters.get("id").unwrap_or_default().to_owned();
        let place = format!("/systems/{}", percent_encoded(&id));
        let terms = Terms::read(|name| self.parameters.get(name))?;
        let answered = self.blocking(move |session, asked| {
            session.call(&Call::of(Verb::Create, &id, &asked.document).on(terms))
        });
        let answered = answered.await?;
        let mut response = answer::empty(StatusCode::CREATED);
        if let Ok(place) = HeaderValue::from_str(&place) {
            response.headers_mut().insert(LOCATION, place);
        }
        answer::warn(&mut response, &answered.warnings);
        Ok(response)
    }

    /// Whatever the table says.
    async fn call(self) -> Result<Response, Failure> {
        let Some(verb) = local::verb(self.operation) else {
            let why = format!("{} is not asked over a socket", self.operation);
            return Err(Failure::new(HResult::E_NOTIMPL, why));
        };
        let (session, system) = (self.session.clone(), self.system.clone());
        let edge = self.client.edge.clone();
        let answered = self.blocking(move |session, asked| {
            if verb == Verb::ModifyProcess {
                // Of an input that is closed, everything before is read.
                edge.inputs.drain(&asked.system, asked.pid.unwrap_or_default());
            }
            session.call(&asked.as_call(verb))
        });
        let answered = answered.await?;
        let mut response = match answered.body {
            Body::Nothing => answer::empty(StatusCode::NO_CONTENT),
            Body::Document(document) => answer::document(StatusCode::OK, &document),
            Body::Process(ProcessInformation { pid, stdio }) => {
                session.park(&system, pid, stdio);
                let status = process_running(pid).to_value();
                let mut response = answer::document(StatusCode::CREATED, &status);
                let place = format!("/systems/{}/processes/{pid}", percent_encoded(&system));
                if let Ok(place) = HeaderValue::from_str(&place) {
                    response.headers_mut().insert(LOCATION, place);
                }
                response
            }
        };
        answer::warn(&mut response, &answered.warnings);
        Ok(response)
    }

    /// The systems that ended lately.
    async fn ended(self) -> Result<Response, Failure> {
        let documents = self.blocking(|session, asked| {
            let query = read_filter(&asked.document)?;
            let ended: Vec<_> = session.remains()?.iter().filter_map(local::ended).collect();
            Ok(local::matching(&query, &ended))
        });
        Ok(answer::document(StatusCode::OK, &documents.await?))
    }

    async fn log(self) -> Result<Response, Failure> {
        let number = |name: &str| self.parameters.number(name);
        let wanted = LogRequest {
            follow: self.parameters.switch("follow"),
            pid: number("pid")?,
            tail: number("tail")?.map(u64::from),
        };
        let edge = self.client.edge.clone();
        let place = self.session.count_subscription()?;
        let log = self.blocking(move |session, asked| session.log(&asked.system, wanted)).await?;
        Ok(stream::log(&edge, log, place))
    }

    /// Waits for the end of a system or a process, without a thread.
    async fn wait(self) -> Result<Response, Failure> {
        let patience = self.parameters.number("timeout")?.filter(|forever| *forever != u32::MAX);
        let (sender, ended) = oneshot::channel();
        let call = move || _ = sender.send(());
        let session = self.session.clone();
        let watching = {
            let (edge, system, pid) = (self.client.edge.clone(), self.system.clone(), self.pid);
            let watch = move || match pid {
                None => session.compute()?.watch_exit(&system, call),
                Some(pid) => session.compute()?.watch_process(&system, pid, call),
            };
            blocking(&edge, watch).await??
        };
        match patience {
            Some(patience) => {
                let patience = Duration::from_millis(patience.into());
                let _ = tokio::time::timeout(patience, ended).await;
            }
            None => drop(ended.await),
        }
        let over = self.blocking(|session, asked| {
            Ok(match asked.pid {
                None => session
                    .wait_for_exit(&asked.system, Duration::ZERO)?
                    .map(|status| status.to_value()),
                Some(pid) => session
                    .wait_for_process(&asked.system, pid, Duration::ZERO)?
                    .map(|status| status.to_value()),
            })
        });
        let over = over.await?;
        drop(watching);
        match over {
            Some(status) => Ok(answer::document(StatusCode::OK, &status)),
            None => {
                let why = "it has not ended within the given time";
                Err(Failure::new(HResult::WAIT_TIMEOUT, why))
            }
        }
    }

    /// Hands over the streams of a process: those that its maker has not fetched yet, else new ones.
    async fn streams(
        self,
        headers: &HeaderMap,
        upgrade: hyper::upgrade::OnUpgrade,
    ) -> Result<Response, Failure> {
        let wanted = Wanted::of(headers, self.client.takes_descriptors)?;
        let (session, edge) = (self.session.clone(), self.client.edge.clone());
        let (system, pid) = (self.system.clone(), self.pid.unwrap_or_default());
        match wanted {
            Wanted::Descriptors => {
                let stdio = match session.unpark(&system, pid) {
                    Some(stdio) => stdio,
                    None => self.stdio().await?,
                };
                Ok(stdio::hand_over(&edge, stdio, upgrade))
            }
            Wanted::One(stream) => {
                let place = session.count_subscription()?;
                let end = match session.unpark_one(&system, pid, stream.bit) {
                    Unparked::Stream(end) => Some(end),
                    Unparked::None => None,
                    Unparked::Unknown => pick(&mut self.stdio().await?, stream.bit),
                };
                Ok(match end {
                    Some(end) if stream.bit == STDIN => {
                        let input = Input::new(end);
                        edge.inputs.add(&system, pid, &input);
                        carried::begin(&edge, stream, (End::Input(input), place), upgrade)
                    }
                    Some(end) => carried::begin(&edge, stream, (End::Output(end), place), upgrade),
                    None => answer::empty(StatusCode::NO_CONTENT),
                })
            }
        }
    }

    /// New ends of a process's streams.
    async fn stdio(self) -> Result<Stdio<OwnedFd>, Failure> {
        let call =
            |session: &Holdings, asked: &Self| session.call(&asked.as_call(Verb::GetProcessInfo));
        match self.blocking(call).await?.body {
            Body::Process(ProcessInformation { stdio, .. }) => Ok(stdio),
            _ => Ok(Stdio::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_travel_in_paths_whatever_they_are() {
        for id in ["web", "a/b c", "ö%", "..", "\u{1F433}"] {
            let path = format!("/systems/{}/processes/7", percent_encoded(id));
            let read = place(ComputeOperation::GetProcessProperties, &path);
            assert_eq!(read.expect("a place"), (id.to_owned(), Some(7)));
        }
        for wrong in ["/systems/%", "/systems/%f", "/systems/%zz", "/systems/%ff"] {
            assert!(place(ComputeOperation::StartComputeSystem, wrong).is_err(), "{wrong}");
        }
        let wrong = place(ComputeOperation::GetProcessProperties, "/systems/a/processes/x");
        assert_eq!(wrong.expect_err("no number").hresult, HResult::E_INVALIDARG);
    }
}
