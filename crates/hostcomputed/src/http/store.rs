//! Images and layers over HTTP: archives as bodies, long work told line by line, begun and asked about, or waited for.
//!
//! ```text
//!   body ──► pipe ─┐                          ┌─► lines, or an operation's progress
//!                  ├─► thread: store::carry_out ─► answer
//!   body ◄── pipe ◄┘    (a client that goes, and a cancel, end it where it is)
//! ```
//!
//! What a client names is opened with that client's rights; what that means is said in [`carry_out`]'s module.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use hostcompute::image::Event;
use hostcompute::store::{Caller, StoreCall, Teller, carry_out};
use hostcompute_engine::compute::OnBehalf;
use hostcompute_linux::compute::acting;
use hostcompute_schema::compute::{ComputeOperation, Input, Output};
use hostcompute_schema::{Failure, HResult};
use hyper::body::Frame;
use serde_json::Value;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::client::{Client, Session};
use super::compute::decoded;
use super::request::{self, Parameters};
use super::service::blocking;
use super::{Edge, answer, files, long};

/// What is read of an archive at once.
const PIECE: usize = 128 << 10;

/// Pieces that wait for the client; the archive waits then.
const PIECES: usize = 4;

/// Carries out an operation.
pub async fn answer(
    client: Arc<Client>,
    operation: ComputeOperation,
    request: Request,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let session = client.session(&head.headers)?;
    let asked = Asked { client, session, operation };
    match asked.prepare(&head.headers, &head.uri, body).await {
        Ok((work, sent)) => asked.carry_out(&head.headers, work, sent).await,
        Err(failure) => {
            if !operation.is_read_only() {
                asked.session.audit(name(operation), failure.hresult);
            }
            Err(failure)
        }
    }
}

fn name(operation: ComputeOperation) -> &'static str {
    operation.symbol().unwrap_or(operation.name())
}

struct Asked {
    client: Arc<Client>,
    session: Arc<Session>,
    operation: ComputeOperation,
}

impl Asked {
    /// What is to be done, and the body that is an archive.
    async fn prepare(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        body: Body,
    ) -> Result<(Work, Option<Body>), Failure> {
        self.session.require(self.operation.right())?;
        let known: Vec<&str> =
            self.operation.parameters().iter().map(|parameter| parameter.name).collect();
        let parameters = Parameters::of(uri, &known)?;
        let place = place(self.operation, uri.path())?;
        let (mut document, mut sent) = (String::new(), None);
        match self.operation.input() {
            Input::Archive if parameters.get("source").is_none() => sent = Some(body),
            Input::Options(_) => {
                let limits = self.client.edge.settings.limits.of_user(self.session.caller().uid);
                document = request::text(headers, body, limits.request_bytes).await?;
            }
            _ => {}
        }
        self.session.count_request(document.len())?;
        let work = Work {
            state_dir: self.client.edge.settings.options.state_dir.clone(),
            rights: Rights(self.session.client()),
            session: self.session.clone(),
            operation: self.operation,
            parameters,
            place,
            document,
            archive: None,
            cancelled: Arc::default(),
            ending: self.client.edge.ending.clone(),
        };
        Ok((work, sent))
    }

    /// Does it, and answers as the client wants it: at the end, line by line, or at once.
    async fn carry_out(
        &self,
        headers: &HeaderMap,
        mut work: Work,
        sent: Option<Body>,
    ) -> Result<Response, Failure> {
        if let Output::Archive = self.operation.output() {
            return send(&self.client.edge, work).await;
        }
        let feeding = match sent {
            Some(body) => {
                let (reader, writer) = pipes()?;
                work.archive = Some(reader);
                let writer = pipe::Sender::from_owned_fd(writer).map_err(no_pipe)?;
                Some(feed(body, writer, work.cancelled.clone()))
            }
            None => None,
        };
        let is_long = matches!(self.operation.output(), Output::Work(_));
        let in_lines = request::header(headers, "accept")?
            .is_some_and(|kinds| kinds.contains("application/x-ndjson"));
        if is_long && request::wants_no_wait(headers) {
            let response = self.begin(work)?;
            fed(feeding).await;
            return Ok(response);
        }
        if is_long && in_lines {
            let response = told(&self.client.edge, work);
            fed(feeding).await;
            return Ok(response);
        }
        let left = Left(work.cancelled.clone());
        let carried = blocking(&self.client.edge, move || work.carry_out(&|_| ()));
        let ((), outcome) = tokio::join!(fed(feeding), carried);
        drop(left);
        Ok(match outcome?? {
            Value::Null => answer::empty(StatusCode::NO_CONTENT),
            value => answer::document(StatusCode::OK, &value),
        })
    }

    /// Begins what is asked about later.
    fn begin(&self, mut work: Work) -> Result<Response, Failure> {
        let (running, response) = long::begin(&self.client, &self.session, name(self.operation))?;
        running.cancellable(work.cancelled.clone());
        self.client.edge.background().spawn_blocking(move || {
            let outcome = work.carry_out(&|line| running.tell(line));
            running.finish(outcome);
        });
        Ok(response)
    }
}

/// An answer that tells of the work while it is done, and ends it when nobody listens any more.
fn told(edge: &Edge, mut work: Work) -> Response {
    let (sender, receiver) = mpsc::unbounded_channel();
    edge.background().spawn_blocking(move || {
        let cancelled = work.cancelled.clone();
        let tell = |line: Value| {
            if sender.send(format!("{line}\n")).is_err() {
                cancelled.store(true, Ordering::Relaxed);
            }
        };
        let outcome = work.carry_out(&tell);
        tell(Teller::end(&outcome));
    });
    files::lines(receiver)
}

/// What stands in the path.
fn place(operation: ComputeOperation, path: &str) -> Result<String, Failure> {
    let route = operation.route().map_or("", |(_, path)| path);
    decoded(request::place(path, route))
}

/// Tells the work of a request that nobody waits for it any more.
struct Left(Arc<AtomicBool>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The rights of a client; none where they are the service's own.
struct Rights(Option<OnBehalf>);

impl Caller for Rights {
    fn acting(&self, work: &mut (dyn FnMut() + Send)) -> Result<(), Failure> {
        let Some(user) = &self.0 else {
            work();
            return Ok(());
        };
        acting(user, work).map_err(|error| {
            let why = format!("the rights of user {} cannot be had: {error}", user.uid);
            Failure::new(HResult::E_ACCESSDENIED, why)
        })
    }

    fn is_own(&self) -> bool {
        self.0.is_none()
    }
}

/// The work of one request, ready to be done on a thread that may take its time.
struct Work {
    state_dir: std::path::PathBuf,
    rights: Rights,
    session: Arc<Session>,
    operation: ComputeOperation,
    parameters: Parameters,
    place: String,
    document: String,
    archive: Option<File>,
    cancelled: Arc<AtomicBool>,
    /// The service is.
    ending: Arc<AtomicBool>,
}

impl Work {
    fn carry_out(&mut self, tell: &(dyn Fn(Value) + Sync)) -> Result<Value, Failure> {
        let parameters = self.parameters.pairs();
        let call = StoreCall {
            operation: self.operation,
            place: &self.place,
            parameters: &parameters,
            document: &self.document,
            archive: self.archive.take(),
        };
        let teller = Teller::default();
        let watch = |event: Event<'_>| {
            teller.lines(event).into_iter().for_each(tell);
            let is_over = [&self.cancelled, &self.ending].map(|over| over.load(Ordering::Relaxed));
            match is_over.contains(&true) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let outcome = carry_out(&self.state_dir, &self.rights, call, &watch);
        if !self.operation.is_read_only() {
            let code = outcome.as_ref().map_or_else(|failure| failure.hresult, |_| HResult::S_OK);
            self.session.audit(name(self.operation), code);
        }
        outcome
    }
}

fn pipes() -> Result<(File, OwnedFd), Failure> {
    let (reader, writer) = io::pipe().map_err(no_pipe)?;
    Ok((File::from(OwnedFd::from(reader)), writer.into()))
}

fn no_pipe(error: io::Error) -> Failure {
    Failure::new(HResult::E_UNEXPECTED, format!("there is no pipe to be had: {error}"))
}

async fn fed(feeding: Option<impl Future<Output = ()>>) {
    if let Some(feeding) = feeding {
        feeding.await;
    }
}

/// Hands a body to whoever reads the pipe. One that does not arrive whole is not worked on any further.
async fn feed(mut body: Body, pipe: pipe::Sender, cancelled: Arc<AtomicBool>) {
    use hyper::body::Body as _;
    while let Some(frame) =
        std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        let Ok(frame) = frame else {
            // Before the end is seen at the other side.
            return cancelled.store(true, Ordering::Relaxed);
        };
        let Ok(piece) = frame.into_data() else { continue };
        let mut rest = &piece[..];
        while !rest.is_empty() {
            match pipe.try_write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if pipe.writable().await.is_err() {
                        return;
                    }
                }
                // Nobody reads any more: they know why.
                Err(_) => return,
            }
        }
    }
}

/// Answers with the archive that the work writes. What fails before its first byte is told; what fails later cuts the answer off.
async fn send(edge: &Arc<Edge>, mut work: Work) -> Result<Response, Failure> {
    let (mut reader, writer) = pipes()?;
    work.archive = Some(writer.into());
    let (sender, mut receiver) = mpsc::channel::<Result<Bytes, Failure>>(PIECES);
    edge.background().spawn_blocking(move || {
        let outcome = std::thread::scope(|scope| {
            let working = scope.spawn(move || work.carry_out(&|_| ()));
            let mut piece = vec![0; PIECE];
            while let Ok(read @ 1..) = reader.read(&mut piece) {
                let bytes = Bytes::copy_from_slice(piece.get(..read).unwrap_or_default());
                if sender.blocking_send(Ok(bytes)).is_err() {
                    break;
                }
            }
            // Whoever still writes learns that nobody reads.
            drop(reader);
            working.join().unwrap_or_else(|_| {
                Err(Failure::new(HResult::E_UNEXPECTED, "the work failed inside the service"))
            })
        });
        if let Err(failure) = outcome {
            // The client may have gone.
            let _ = sender.blocking_send(Err(failure));
        }
    });
    let first = receiver.recv().await.transpose()?;
    let body = Body::new(Archive { first, rest: receiver });
    Ok(answer::typed(StatusCode::OK, "application/octet-stream", body))
}

/// An archive, piece by piece.
#[derive(Debug)]
struct Archive {
    first: Option<Bytes>,
    rest: mpsc::Receiver<Result<Bytes, Failure>>,
}

impl hyper::body::Body for Archive {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        self.rest.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
