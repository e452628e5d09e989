//! Requests that are not waited for (`Prefer: respond-async`): begun, asked about, waited for, followed.
//!
//! Such a request is carried out whether or not its client stays. Its result is what the request would have been answered with.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use hostcompute_schema::service::{self as documents, Obstacle, OperationState, Progress};
use hostcompute_schema::{Document, Failure, HResult};
use hostcompute_service::server::{Following, LongOperation, Running, Stage, Update};
use hostcompute_service::{Answer, Body, Call};
use serde_json::{Value, json};

use super::bell::Bell;
use super::client::{Client, Session};
use super::request;
use super::service::Asked;
use super::{answer, events, files};

/// The longest that a client is kept waiting for an answer.
const PATIENCE: u32 = 3600;

/// Begins an operation of the API.
pub fn begin_call(client: &Client, session: &Session, call: Call) -> Result<Response, Failure> {
    let (running, response) = begin(client, session, call.operation.symbol())?;
    session.submit(call, move |outcome| {
        let outcome = outcome.map(|Answer { body, warnings }| {
            for warning in warnings {
                let line = Progress::Tolerated { file: String::new(), warning }.line();
                running.tell(line.to_value());
            }
            match body {
                Body::None => Value::Null,
                Body::Id(id) => id.to_string().into(),
                Body::Document(document) => document,
                Body::Text(text) => serde_json::from_str(&text).unwrap_or_default(),
            }
        });
        running.finish(outcome);
    });
    Ok(response)
}

/// Begins an operation of the service.
pub fn begin_service(asked: Asked) -> Result<Response, Failure> {
    let (running, response) = begin(&asked.client, &asked.session, asked.operation.name())?;
    if let Some(work) = files::Work::of(&asked)? {
        asked.client.edge.background().spawn_blocking(move || {
            let outcome = work.steps(&mut |line| running.tell(line.to_value()));
            running.finish(outcome.map(|steps| steps.to_value()).map_err(told_as_one));
        });
    } else {
        asked.client.edge.clone().background().spawn(async move {
            let outcome = asked.local().await;
            running.finish(outcome.map_err(told_as_one));
        });
    }
    Ok(response)
}

/// A failure that names the file at fault and counts what failed beside.
fn told_as_one(obstacle: Obstacle) -> Failure {
    let Obstacle { file, failure, further } = obstacle;
    let mut failure = *failure;
    if let Some(file) = file {
        failure.message = format!("{file}: {}", failure.message);
    }
    for other in further {
        failure.also(&other.story());
    }
    failure
}

/// Begins something that is carried out by whoever asks for this.
pub fn begin(
    client: &Client,
    session: &Session,
    what: &str,
) -> Result<(Running, Response), Failure> {
    let operations = client.edge.server.operations();
    let uid = session.caller().uid;
    let running = operations.begin(uid, what)?;
    let told = document(&operations.get(running.id(), uid)?);
    let mut response = answer::document(StatusCode::ACCEPTED, &told);
    if let Ok(place) = HeaderValue::from_str(&format!("/operations/{}", running.id())) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok((running, response))
}

/// Tells how far an operation is, at once or when it has ended.
pub async fn tell(asked: Asked) -> Result<Response, Failure> {
    let id = request::guid(&asked.place)?;
    let uid = asked.session.caller().uid;
    let operations = asked.client.edge.server.operations();
    let patience = asked.parameters.number("wait")?.unwrap_or(0).min(PATIENCE);
    if patience > 0 {
        let following = operations.follow(id, uid)?;
        let _ = tokio::time::timeout(Duration::from_secs(patience.into()), end(following)).await;
    }
    Ok(answer::document(StatusCode::OK, &document(&operations.get(id, uid)?)))
}

/// Waits for the end of an operation.
async fn end(following: Following) {
    let bell = Bell::default();
    let rung = bell.clone();
    following.on_ready(move || rung.ring());
    poll_fn(|context| {
        bell.listen(context);
        while following.try_next().is_some() {}
        if following.is_over() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Asks an operation to end where it is.
pub fn cancel(asked: &Asked) -> Result<Response, Failure> {
    let id = request::guid(&asked.place)?;
    asked.session.require(asked.operation.right())?;
    asked.client.edge.server.operations().cancel(id, asked.session.caller().uid)?;
    asked.session.audit(asked.operation.name(), HResult::S_OK);
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// Sends what an operation tells.
pub fn follow(asked: &Asked) -> Result<Response, Failure> {
    let id = request::guid(&asked.place)?;
    let operations = asked.client.edge.server.operations();
    Ok(events::progress(operations.follow(id, asked.session.caller().uid)?))
}

/// One update as it travels.
pub fn written(update: &Update) -> String {
    let (name, data) = match update {
        Update::Progress(line) => ("Progress", line.clone()),
        Update::Finished(stage) => (stage.name(), ended(stage)),
        Update::TooSlow => {
            let why = "the reader was too far behind; ask for the operation itself";
            ("ServiceDisconnect", json!({ "Reason": why }))
        }
    };
    format!("event: {name}\ndata: {data}\n\n")
}

fn ended(stage: &Stage) -> Value {
    match stage {
        Stage::Running => json!({}),
        Stage::Succeeded(result) => json!({ "Result": result }),
        Stage::Failed(failure) => json!({ "Problem": failure.problem() }),
    }
}

fn document(operation: &LongOperation) -> Value {
    let state = match operation.stage {
        Stage::Running => OperationState::Running,
        Stage::Succeeded(_) => OperationState::Succeeded,
        Stage::Failed(_) => OperationState::Failed,
    };
    let mut told = documents::LongOperation {
        id: Some(operation.id),
        operation: Some(operation.what.clone()),
        state: Some(state),
        ..documents::LongOperation::default()
    }
    .to_value();
    if let (Value::Object(members), Value::Object(end)) = (&mut told, ended(&operation.stage)) {
        if !operation.progress.is_empty() {
            members.insert("Progress".into(), operation.progress.clone().into());
        }
        members.extend(end);
    }
    told
}
