//! Host documents: what `up`, `down` and `diff` do, told as one answer or line by line as it happens.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use hostcompute_linux::Linux;
use hostcompute_schema::service::{
    HostFile, HostFiles, Obstacle, Output, Progress, ProgressLine, Step, Steps,
};
use hostcompute_schema::{Document, Failure, HResult, ServiceOperation};
use hostcompute_service::{Reading, apply};
use tokio::sync::mpsc;

use super::Edge;
use super::answer;
use super::compute::Holdings;
use super::service::{Asked, blocking};

/// Carries files out.
pub async fn answer(asked: Asked) -> Result<Response, Obstacle> {
    let Some(work) = Work::of(&asked)? else {
        let why = format!("{} takes no files", asked.operation);
        return Err(Failure::new(HResult::E_UNEXPECTED, why).into());
    };
    if asked.in_lines {
        return Ok(told(&asked.client.edge, work));
    }
    let edge = asked.client.edge.clone();
    let steps = blocking(&edge, move || work.steps(&mut |_| ())).await??;
    Ok(answer::document(StatusCode::OK, &steps.to_value()))
}

/// The work of one request, ready to be done wherever it may take its time.
pub struct Work {
    /// One of its own, so that work that was begun is finished when the client goes.
    session: hostcompute_service::server::Session<Linux>,
    systems: Holdings,
    operation: ServiceOperation,
    files: Vec<HostFile>,
    reading: Reading,
}

impl Work {
    /// What the request asks for; `None` where it is not about files.
    ///
    /// # Errors
    /// HCN_E_INVALID_JSON for a body that holds none, or no session can be had for the work.
    pub fn of(asked: &Asked) -> Result<Option<Self>, Failure> {
        if !matches!(asked.operation.output(), Output::Steps) {
            return Ok(None);
        }
        let strict = asked.parameters.switch("strict");
        let caller = asked.session.caller().clone();
        Ok(Some(Self {
            session: asked.client.edge.server.connect_as(caller, asked.session.right())?,
            systems: asked
                .client
                .edge
                .compute
                .session_of(asked.session.right(), asked.session.client())?
                .within(asked.session.allowance(&asked.client.edge)),
            operation: asked.operation,
            files: HostFiles::of_body(&asked.document)?,
            reading: if strict { Reading::Strict } else { Reading::Lenient },
        }))
    }

    /// Does it; what was tolerated stands in the answer, too.
    ///
    /// # Errors
    /// What is wrong with a file, or what the host refuses.
    pub fn steps(&self, tell: &mut dyn FnMut(ProgressLine)) -> Result<Steps, Obstacle> {
        let mut warnings = Vec::new();
        let steps = self.carry_out(&mut |progress| {
            let line = progress.line();
            warnings.extend(line.tolerated.clone());
            tell(line);
        })?;
        Ok(Steps { steps, warnings, ..Steps::default() })
    }

    fn carry_out(&self, tell: &mut dyn FnMut(Progress)) -> Result<Vec<Step>, Obstacle> {
        let Self { session, systems, operation, files, reading } = self;
        // Whether the caller may, and a line in the audit trail, before anything else is said.
        session.with_service(operation.right(), operation.name(), |_| ())?;
        apply::carry_out(session, systems, *operation, files, *reading, tell)
    }
}

/// An answer that tells of each step as it is done.
fn told(edge: &Edge, work: Work) -> Response {
    let (sender, receiver) = mpsc::unbounded_channel();
    edge.background().spawn_blocking(move || {
        // A client that has gone does not hear the rest; the work is done all the same.
        let tell = |line: ProgressLine| drop(sender.send(format!("{}\n", line.to_value())));
        let outcome = work.carry_out(&mut |progress| tell(progress.line()));
        tell(ProgressLine::end(&outcome));
    });
    lines(receiver)
}

/// An answer of lines as they come; no more of them than a document has objects.
pub fn lines(mut receiver: mpsc::UnboundedReceiver<String>) -> Response {
    answer::as_they_come("application/x-ndjson", move |context| {
        receiver.poll_recv(context).map(|line| line.map(Bytes::from))
    })
}
